"""UnifiedReward 2.0 run here: a Qwen vision-language model that marks a picture in three respects.

    Alignment Score (1-5): …    Coherence Score (1-5): …    Style Score (1-5): …

It always takes its likeliest word. An answer without each of the three, once and within 1 to 5, is
no answer: the value is missing as `parse_error`, never a number. The words it is asked with are our
own unless its authors' are given. On a server it is a `judge` instead.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, Literal

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _hub, _qwen, _templates
from backend.rewards._recall import recalled
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Floats, Images, Scores, Shape, Status

TITLE = "UnifiedReward 2.0"
SUMMARY = "Marks of 1 to 5 for alignment, coherence and style by a vision-language model run here."
SOURCE = "Wang et al. 2025, UnifiedReward (arXiv 2503.05236), weights 2.0"
RANGE = (1.0, 5.0)
TRAITS = Traits(latency=5, reads_text=True, licence="MIT", weights="safetensors")

RESPECTS: Final = ("alignment", "coherence", "style")
LOWEST, HIGHEST = 1.0, 5.0
MOST_TOKENS: Final = 160
OURS: Final = (
    "A picture was drawn for the text below. Mark it from 1 to 5 in three respects: how well it "
    "shows what the text says, how free it is of faults and impossible things, and how good it "
    "looks whatever the text says. Answer in exactly three lines:\nAlignment Score (1-5): X\n"
    "Coherence Score (1-5): Y\nStyle Score (1-5): Z\n\nText Caption: [{prompt}]"
)


class Config(Settings):
    """Which weights, which respect, and with which words they are asked."""

    model: str = Field(default=_hub.UNIFIED, title="Model")
    """A UnifiedReward 2.0 of Qwen's families: a fetched hub id, or a folder."""
    respect: Literal["mean", "alignment", "coherence", "style"] = Field(
        default="mean", title="Respect"
    )
    """Which mark is the value; all three are parts of it."""
    template: str = Field(default="", title="Words")
    """A text file with {prompt} in it, beside the weights if empty; without one, or with "ours",
    our own words."""
    most_pixels: int = Field(default=_qwen.MOST_PIXELS, ge=3136, title="Most pixels")
    """Larger pictures are made smaller, their shape kept."""


class UnifiedReward:
    """One value per picture, 1 to 5; the three marks are its parts."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        found = _templates.found(config.template, config.model)
        self.words = _templates.read(found, ("{prompt}",)) if found else OURS
        self.vlm, self.respect = _qwen.share(config.model, config.most_pixels), config.respect

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """The mark in the chosen respect, or the mean of all three."""
        said = [
            self.vlm.answer(
                [image], self.words.replace("{prompt}", _qwen.plain(prompt)), MOST_TOKENS
            )
            for image, prompt in zip(images, prompts, strict=True)
        ]
        return marked([read_marks(answer) for answer in said], self.respect)


def read_marks(answer: str) -> Floats | str:
    """The three marks of an answer, (3,), or why there are none."""
    marks = []
    for respect in RESPECTS:
        found = re.findall(
            rf"{respect}\s+score\s*(?:\(1-5\))?\**\s*:\s*\**\s*(-?\d+(?:\.\d+)?)", answer, re.I
        )
        if len({float(mark) for mark in found}) != 1:
            return f"gave {len(found) or 'no'} {respect} scores"
        marks.append(float(found[0]))
    if not all(LOWEST <= mark <= HIGHEST for mark in marks):
        return f"gave a mark outside {LOWEST:g} to {HIGHEST:g}"
    return np.array(marks)


def marked(read: Sequence[Floats | str], respect: str) -> Scores:
    """Scores of what was read; what could not be is missing, with the reason."""
    table = np.array([row if isinstance(row, np.ndarray) else [np.nan] * 3 for row in read])
    table = table.reshape(-1, 3)
    value = table.mean(axis=1) if respect == "mean" else table[:, RESPECTS.index(respect)]
    status: list[Status] = ["parse_error" if isinstance(row, str) else "ok" for row in read]
    return Scores(
        values=value,
        status=list(status),
        parts={name: table[:, at] for at, name in enumerate(RESPECTS)},
        reasons=[row if isinstance(row, str) else "" for row in read],
    )


def fingerprint(config: Config) -> str:
    """Which weights, and which words."""
    words = _templates.fingerprint(config.template, config.model)
    return _hub.fingerprint(config.model) + words


def load(config: Config, files: Files | None = None) -> UnifiedReward:
    """The model, shared with others that ask it."""
    return UnifiedReward(config)
