"""GenEval's way: a detector finds the things a prompt names, and rules say whether all is as asked.

    strict   1 where everything holds, else 0
    share    share of what was asked that holds

Presence, exact number, colour (by CLIP on what was found) and place, for prompts of GenEval's plain
language; of other prompts it says "n/a". Strict is what a benchmark counts, but it gives many
groups in which all pictures are alike; the share is kinder to learn from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _clip, _detector, _hub, _scene
from backend.rewards._recall import recalled
from backend.rewards._scene import Box
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "GenEval"
SUMMARY = "Things, numbers, colours and places of plain prompts, by a detector and rules."
SOURCE = "Ghosh et al. 2023, GenEval (arXiv 2310.11513), with stock detectors"
RANGE = (0.0, 1.0)
TRAITS = Traits(latency=2, weights="safetensors")

SAYINGS: Final = ("a photo of a {c} {n}", "a photo of a {c}-colored {n}", "a photo of a {c} object")
"""A thing's colour is the one that fits it best, over the mean of these."""


class Config(Settings):
    """Which detector, whose eye for colours, and what is paid."""

    model: str = Field(default=_hub.OWL, title="Detector")
    """An OWLv2 (any name), or a detector with a list of labels as RT-DETR: a fetched hub id, or a
    folder."""
    colours: str = Field(default=_hub.CLIP_L, title="Colours")
    """The CLIP that tells colours; only asked where a prompt names one."""
    value: Literal["strict", "share"] = Field(default="strict", title="Value")
    """All or nothing, or the share of what was asked that holds."""
    least: float = Field(default=0.2, ge=0, le=1, title="Least score")
    """What a detection must score to count."""


class GenEval:
    """One value per picture; parts: share of what holds, in all and by kind."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.config, self.detector = config, _detector.share(config.model)

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """Whether what the prompt names is in the picture as asked."""
        held: list[dict[str, list[bool]] | None] = []
        reasons = []
        for image, prompt in zip(images, prompts, strict=True):
            wanted, why = self._asked(prompt)
            held.append(_scene.checks(wanted, self._found(image, wanted)) if wanted else None)
            reasons.append(why)
        parts = _scene.table(held)
        share = parts["share"]
        value = share if self.config.value == "share" else np.where(share < 1, 0.0, share)
        status = ["n/a" if one is None else "ok" for one in held]
        return Scores(value.copy(), status, parts, reasons)

    def _asked(self, prompt: str) -> tuple[_scene.Wanted | None, str]:
        """What a prompt asks for; where it cannot be looked for, nothing and why."""
        wanted = _scene.read(prompt)
        if wanted is None:
            return None, f"not plain enough: {prompt[:80]}"
        unknown = [thing.name for thing in wanted.things if not self.detector.knows(thing.name)]
        if unknown:
            return None, f"the detector has no label '{unknown[0]}'"
        return wanted, ""

    def _found(self, image: _detector.Picture, wanted: _scene.Wanted) -> dict[str, list[Box]]:
        names = list(dict.fromkeys(thing.name for thing in wanted.things))
        found = self.detector.find(image, names, self.config.least)
        coloured = {thing.name for thing in wanted.things if thing.colour}
        return {
            name: self._coloured(image, name, boxes) if name in coloured else boxes
            for name, boxes in found.items()
        }

    def _coloured(self, image: _detector.Picture, name: str, boxes: list[Box]) -> list[Box]:
        """The boxes with their colours told; one without a pixel in the picture has none."""
        if not boxes:
            return boxes
        eye = _clip.share(self.config.colours)
        means = np.stack(
            [
                eye.text([saying.format(c=colour, n=name) for saying in SAYINGS]).mean(axis=0)
                for colour in _scene.COLOURS
            ]
        )
        told = []
        for box in boxes:
            top, left = max(0, int(box.top)), max(0, int(box.left))
            crop = image[top : max(top + 1, int(box.bottom)), left : max(left + 1, int(box.right))]
            if not crop.size:
                told.append(box)
                continue
            fit = means @ eye.image(np.ascontiguousarray(crop)[None])[0]
            told.append(replace(box, colour=_scene.COLOURS[int(fit.argmax())]))
        return told


def fingerprint(config: Config) -> str:
    """Which weights, of the detector and of the eye for colours."""
    return _hub.fingerprint(config.model) + _hub.fingerprint(config.colours)


def load(config: Config, files: Files | None = None) -> GenEval:
    """The detector, shared with others that use it; the CLIP is loaded when a colour is asked."""
    return GenEval(config)
