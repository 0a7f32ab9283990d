"""How right each word of a prompt is drawn, by a judge on a server: a reward of spans.

    right(word) = 1 − error/10        error 0 (right) to 10 (missing or wrong), UnifiedReward 2.0
    value       = mean of right, or the least of them (`reduce`)

The question is that of `judge` with `ask = "words"`, so an answer on record is paid for once. An
answer that names what does not stand in the prompt, or no word, is no answer. Each word stays with
the value: Rollouts shows which one was wrong.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
from pydantic import Field

from backend.rewards import _judge_asking as asking
from backend.rewards import _judge_formats as formats
from backend.rewards import _judge_points as points
from backend.rewards._judge_asking import Asked
from backend.rewards._judge_client import picture
from backend.rewards._judge_formats import Said
from backend.rewards._judge_server import Server
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Ints, Scores, Shape, Span

TITLE = "Word scores"
SUMMARY = (
    "How right each word of the prompt is drawn, by a judge on a server; the mean or the least."
)
SOURCE = "UnifiedReward 2.0's word scores (arXiv 2503.05236), asked in our own words"
RANGE = (0.0, 1.0)
TRAITS = Traits(
    latency=4, deterministic=False, reads_text=True, licence="of the model", weights="server"
)
SHAPE: Shape = "pointwise"
JUDGE = True
ASK = "words"
WORST = 10.0

Reduce = Literal["mean", "least"]


class Config(Server):
    """Where the judge is, and how words become a value."""

    server: Literal["vllm", "openai", "plain"] = Field(default="vllm", title="Server")
    """vllm: constrains answers by `structured_outputs`; openai: by `response_format`, as hosted
    ones and SGLang do; plain: answers are free text."""
    reduce: Reduce = Field(default="mean", title="Value")
    """The mean of all words, or the least: one wrong word is then as bad as many."""


@dataclass(frozen=True, slots=True)
class Worded(Said):
    """An answer with its words."""

    spans: tuple[Span, ...] = ()


class WordScores:
    """One call a picture and vote; parts: the three scores beside, and the worst word."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config, files: Files | None = None) -> None:
        self.config = config
        self.asking = asking.Asking(config, "word-scores", files)
        self.format = points.format_of(ASK)

    @property
    def calls(self) -> int:
        """Calls made so far, retries and the start check too."""
        return self.asking.client.spent.calls

    def judge_calls(self, group_sizes: Ints) -> int:
        """What scoring groups of these sizes asks, if nothing has to be asked again."""
        return judge_calls(self.config, group_sizes)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value a picture with its words; what the judge did not say is missing."""
        asked = [
            [self._asked(prompt, image, vote) for vote in range(self.config.votes)]
            for image, prompt in zip(images, prompts, strict=True)
        ]
        said = self.asking.answers(asked, self.format.read)
        return replace(asking.scores_of(said), spans=[_together(votes) for votes in said])

    def _asked(self, prompt: str, image: Images, vote: int) -> Asked:
        call = self.format.call(self.config, prompt, [picture(image)], vote)
        reader = formats.by_json(partial(read, prompt=prompt, reduce=self.config.reduce))
        return Asked(call, [image], reader)


def read(data: dict[str, Any], prompt: str, reduce: Reduce) -> Said:
    """The words of an answer and the value that they come to."""
    whole = points.read_words(data)
    errors = points.words_of(data)
    if whole.value is None or errors is None:
        return whole
    text = _folded(prompt)
    strange = next((word for word, _error in errors if _folded(word) not in text), None)
    if strange is not None:
        return Said(None, f"scored '{strange[:40]}', which does not stand in the text")
    if not errors:
        return Said(None, "scored no word")
    spans = tuple((word, 1 - error / WORST) for word, error in errors)
    return Worded(reduced(spans, reduce), parts=whole.parts, spans=spans)


def reduced(spans: Sequence[Span], reduce: Reduce) -> float:
    """The value that words come to."""
    right = [value for _word, value in spans]
    return float(min(right) if reduce == "least" else np.mean(right))


def _together(votes: Sequence[Said]) -> list[Span]:
    """Words with the mean over the votes that name the same ones as the first that names any."""
    worded = [one.spans for one in votes if isinstance(one, Worded)]
    if not worded:
        return []
    words = [word for word, _value in worded[0]]
    same = [spans for spans in worded if [word for word, _value in spans] == words]
    means = np.mean([[value for _word, value in spans] for spans in same], axis=0)
    return list(zip(words, means.tolist(), strict=True))


def _folded(text: str) -> str:
    """Without case, and with single spaces."""
    return " ".join(text.lower().split())


def judge_calls(config: Config, group_sizes: Ints) -> int:
    """As `WordScores.judge_calls`, before anything is loaded."""
    return int(group_sizes.sum()) * config.votes


def load(config: Config, files: Files | None = None) -> WordScores:
    """Nothing is asked before the first picture; ConfigError on questions that do not fit."""
    asking.refuse(config, ASK)
    return WordScores(config, files)
