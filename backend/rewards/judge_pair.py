"""A vision-language model on a server that says which of two pictures fits a prompt better."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from PIL import Image
from pydantic import Field

from backend.errors import ConfigError
from backend.rewards import _judge_asking as asking
from backend.rewards import _judge_formats as formats
from backend.rewards import _judge_pairs as pairs
from backend.rewards._judge_asking import Asked
from backend.rewards._judge_client import picture
from backend.rewards._judge_formats import Said
from backend.rewards._judge_server import Server
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Shape, Verdicts

TITLE = "Judge of pairs on a server"
SUMMARY = "A vision-language model that compares two pictures of one prompt; a judge for win rates."
SOURCE = "any OpenAI-compatible server, or `transformers serve`; formats in docs/judges.md"
RANGE = (0.0, 1.0)
TRAITS = Traits(
    latency=5,
    deterministic=False,
    comparable=False,
    reads_text=True,
    licence="of the model",
    weights="server",
)
SHAPE: Shape = "pairwise"
JUDGE = True


class Config(Server):
    """Where the judge is and what it is asked."""

    ask: Literal["choice", "verdict", "scores", "think", "flex", "criterion"] = Field(
        default="choice", title="Question"
    )
    """choice: the verdict alone; verdict: reasons first; scores: two that add up to 1, in three
    respects; think: dimensions of 1 to 10, then the answer; flex: categories of its own choice,
    then the winner; criterion: who wins in one thing."""
    criterion: str = Field(default="", title="Criterion")
    """For 'criterion': the one thing in which the two are compared."""
    mask: str = Field(default="", title="Mask")
    """For 'criterion': the hash of a stored picture; only what lies where it is white counts."""


class JudgePair:
    """One call a pair and vote, in the order given; `votes` keeps what each vote said."""

    shape: Shape = "pairwise"

    def __init__(self, config: Config, files: Files | None = None) -> None:
        self.config, self.asking = config, asking.Asking(config, "judge-pair", files)
        self.format = pairs.format_of(config.ask, config.criterion, bool(config.mask))
        self.mask = _mask(config, files)
        self.votes: list[list[Said]] = []
        """Of the newest batch, vote by vote."""

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict a pair; what the judge did not say is missing, with the reason."""
        asked = [
            [self._asked(prompt, pair, vote) for vote in range(self.config.votes)]
            for prompt, pair in zip(prompts, zip(a, b, strict=True), strict=True)
        ]
        return self._verdicts(asked)

    def _verdicts(self, asked: Sequence[Sequence[Asked]]) -> Verdicts:
        self.votes = self.asking.answers(asked, self._reader())
        said = [asking.mean_of(votes) for votes in self.votes]
        values, status, reasons = zip(*said, strict=True) if said else ((),) * 3
        parts = asking.parts_of(self.votes)
        return Verdicts(np.array(values, dtype=np.float64), list(status), list(reasons), parts)

    def compare_texts(
        self,
        pictures: Sequence[Images],
        one: Sequence[str],
        other: Sequence[str],
        prompts: Sequence[str],
    ) -> Verdicts:
        """As `compare`, of two answers in words to a question about one picture (h, w, 3)."""
        if self.config.ask not in ("choice", "verdict"):
            raise ConfigError(
                f"Answers in words are not compared by '{self.config.ask}'; ask 'choice' or "
                "'verdict'.",
                field="ask",
            )
        shown, form = [[picture(pixels)] for pixels in pictures], self.config.ask == "choice"
        says, schema = (pairs.SAY_JSON, formats.VERDICTS) if form else (pairs.SAY_LINE, None)
        texts = [
            pairs.ANSWERS.format(prompt=prompt, one=first, other=second) + says
            for prompt, first, second in zip(prompts, one, other, strict=True)
        ]
        config, votes = self.config, range(self.config.votes)
        asked = [
            [Asked(formats.chat(config, t, p, schema=schema, vote=v, prompt=q)) for v in votes]
            for t, p, q in zip(texts, shown, prompts, strict=True)
        ]
        return self._verdicts(asked)

    def _asked(self, prompt: str, pair: Sequence[Images], vote: int) -> Asked:
        config = self.config
        pictures = [picture(one) for one in (*pair, *self.mask)]
        if config.server == "systemone":
            criteria = {formats.FIRST: None, formats.SECOND: None}
            question = {"type": "choice", "instructions": f"which fits : {prompt}"}
            call = formats.typed(config, {**question, "criteria": criteria}, prompt, pictures)
            return Asked(call, pair)
        return Asked(self.format.call(config, prompt, pictures, vote), pair)

    def _reader(self) -> formats.Reader:
        if self.config.server == "systemone":
            return partial(formats.read_typed, kind="choice")
        return self.format.read


def _mask(config: Config, files: Files | None) -> list[Images]:
    """The mask as a picture, or nothing."""
    if not config.mask:
        return []
    if files is None:
        raise ConfigError("A mask is read inside a studio.", field="mask")
    with Image.open(files(config.mask)) as mask:
        return [np.asarray(mask.convert("RGB"))]


def load(config: Config, files: Files | None = None) -> JudgePair:
    """Nothing is asked before the first pair; ConfigError on questions that do not fit."""
    if (config.ask == "criterion") != bool(config.criterion.strip()):
        raise ConfigError(
            "One criterion belongs to the question 'criterion': write what is compared, and ask "
            "'criterion'.",
            field="criterion",
        )
    if config.mask and config.ask != "criterion":
        raise ConfigError("A mask belongs to the question 'criterion'.", field="mask")
    if config.server == "systemone" and config.ask != "choice":
        raise ConfigError(
            "`transformers serve` says who is better here; set ask to 'choice'.", field="ask"
        )
    asking.refuse(config, config.ask)
    return JudgePair(config, files)
