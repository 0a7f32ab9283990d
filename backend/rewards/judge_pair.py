"""A vision-language model on a server that says which of two pictures fits a prompt better."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from backend.rewards import _judge_asking as asking
from backend.rewards import _judge_formats as formats
from backend.rewards._judge_client import Call, Server, picture_url
from backend.rewards._judge_formats import Said
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

    ask: Literal["choice", "verdict"] = Field(default="choice", title="Question")
    """choice: the verdict alone, constrained to first, second, tie and cannot judge; verdict: a few
    sentences of reasons first, then one of three lines."""


class JudgePair:
    """One call a pair and vote, in the order given; `votes` keeps what each vote said."""

    shape: Shape = "pairwise"

    def __init__(self, config: Config) -> None:
        self.config, self.asking = config, asking.Asking(config)
        self.votes: list[list[Said]] = []
        """Of the newest batch, vote by vote."""

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict a pair; what the judge did not say is missing, with the reason."""
        asked = [
            [self._call(prompt, pair, vote) for vote in range(self.config.votes)]
            for prompt, pair in zip(
                prompts, zip(map(picture_url, a), map(picture_url, b), strict=True), strict=True
            )
        ]
        self.votes = self.asking.answers(asked, self._reader())
        said = [asking.mean_of(votes) for votes in self.votes]
        values, status, reasons = zip(*said, strict=True) if said else ((),) * 3
        return Verdicts(np.array(values, dtype=np.float64), list(status), list(reasons))

    def _call(self, prompt: str, pair: Sequence[str], vote: int) -> Call:
        config = self.config
        if config.server == "systemone":
            criteria = {formats.FIRST: None, formats.SECOND: None}
            question = {"type": "choice", "instructions": f"which fits : {prompt}"}
            return formats.typed(config, {**question, "criteria": criteria}, pair)
        if config.ask == "choice":
            text = formats.CHOICE.format(prompt=prompt)
            return formats.chat(config, text, pair, schema=formats.VERDICTS, vote=vote)
        return formats.chat(config, formats.VERDICT.format(prompt=prompt), pair, vote=vote)

    def _reader(self) -> asking.Reader:
        if self.config.server == "systemone":
            return partial(formats.read_typed, kind="choice")
        read = formats.read_choice if self.config.ask == "choice" else formats.read_verdict
        return asking.by_text(read)


def load(config: Config, files: Files | None = None) -> JudgePair:
    """Nothing is asked before the first pair."""
    return JudgePair(config)
