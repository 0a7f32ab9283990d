"""A vision-language model on a server that judges one picture at a time."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field

from backend.errors import ConfigError
from backend.rewards import _judge_asking as asking
from backend.rewards import _judge_formats as formats
from backend.rewards._judge_client import Call, Server, picture_url
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Ints, Scores, Shape

TITLE = "Judge on a server"
SUMMARY = "A vision-language model that scores pictures: 1 to 5, yes against no, or a checklist."
SOURCE = "any OpenAI-compatible server, or `transformers serve`; formats in docs/judges.md"
RANGE = (-6.0, 6.0)
TRAITS = Traits(
    latency=4,
    deterministic=False,
    reads_text=True,
    licence="of the model",
    weights="server",
)
SHAPE: Shape = "pointwise"
JUDGE = True


class Config(Server):
    """Where the judge is and what it is asked."""

    ask: Literal["point", "yes", "checklist"] = Field(default="yes", title="Question")
    """yes: log odds of yes against no, ±6; point: a reason and 1 to 5, as 0 to 1; checklist: share
    of your items that hold."""
    items: list[str] = Field(default_factory=list, title="Checklist")
    """Yes-or-no questions on the picture; one that begins with '!' is essential."""


class Judge:
    """One call a picture and vote."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.config, self.asking = config, asking.Asking(config)

    @property
    def calls(self) -> int:
        """Calls made so far, retries and the start check too."""
        return self.asking.client.spent.calls

    def judge_calls(self, group_sizes: Ints) -> int:
        """What scoring groups of these sizes asks, if nothing has to be asked again."""
        return int(group_sizes.sum()) * self.config.votes

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value a picture; what the judge did not say is missing, with the reason."""
        urls = [picture_url(image) for image in images]
        asked = [
            [self._call(prompt, url, vote) for vote in range(self.config.votes)]
            for prompt, url in zip(prompts, urls, strict=True)
        ]
        said = self.asking.answers(asked, self._reader())
        values, status, reasons = (
            zip(*map(asking.mean_of, said), strict=True) if said else ((),) * 3
        )
        names = sorted({name for votes in said for one in votes for name in one.parts})
        parts = {
            name: np.array([_mean([one.parts.get(name) for one in votes]) for votes in said])
            for name in names
        }
        return Scores(np.array(values), list(status), parts | asking.by_vote(said), list(reasons))

    def _call(self, prompt: str, url: str, vote: int) -> Call:
        config = self.config
        if config.server == "systemone":
            question = {"type": "noul", "instructions": f"does it fit : {prompt}"}
            return formats.typed(config, question, [url])
        if config.ask == "yes":
            text = formats.YES.format(prompt=prompt)
            more: dict[str, Any] = {"max_tokens": 1, "logprobs": True, "top_logprobs": formats.TOP}
            return formats.chat(config, text, [url], vote=vote, **more)
        if config.ask == "point":
            return formats.chat(config, formats.POINT.format(prompt=prompt), [url], vote=vote)
        lines = [f"{i}. {item.lstrip('!').strip()}" for i, item in enumerate(config.items, 1)]
        text = formats.CHECKLIST.format(prompt=prompt, items="\n".join(lines))
        schema = formats.answers_of(len(config.items))
        return formats.chat(config, text, [url], schema=schema, vote=vote)

    def _reader(self) -> asking.Reader:
        if self.config.server == "systemone":
            return partial(formats.read_typed, kind="noul")
        if self.config.ask == "yes":
            return formats.read_yes
        if self.config.ask == "point":
            return asking.by_text(formats.read_point)
        return asking.by_text(partial(formats.read_checklist, items=self.config.items))


def _mean(values: Sequence[float | None]) -> float:
    known = [value for value in values if value is not None]
    return float(np.mean(known)) if known else float("nan")


def load(config: Config, files: Files | None = None) -> Judge:
    """Nothing is asked before the first picture; ConfigError on questions that do not fit."""
    if config.ask == "checklist" and not config.items:
        raise ConfigError("A checklist needs items; write some, or ask 'yes'.", field="items")
    if config.server == "systemone" and config.ask != "yes":
        raise ConfigError(
            "`transformers serve` answers yes or no here; set ask to 'yes'.", field="ask"
        )
    return Judge(config)
