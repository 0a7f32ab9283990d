"""OCR: is the text that the prompt puts in quotes written in the picture?

    1 − min(edits, |target|) / |target|        1 where the target stands whole in what is read

Edits are insertions, deletions and replacements of letters between the target and all that is read;
case and spaces do not count. A prompt without quotes is "n/a"; of several quoted texts it is the
mean.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.rewards import _hub, _reader
from backend.rewards._recall import recalled
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "Text in the picture"
SUMMARY = "Whether the text that a prompt puts in quotes can be read in the picture."
SOURCE = "as the OCR reward of Flow-GRPO (arXiv 2505.05470), with a stock reader"
RANGE = (0.0, 1.0)
TRAITS = Traits(latency=3, reads_text=True, weights="safetensors")

_QUOTED: Final = re.compile(
    r"\"([^\"]+)\"|“([^”]+)”|「([^」]+)」|«([^»]+)»|(?<!\w)'((?:[^']|'(?=\w))+)'(?!\w)"
)


class Config(Settings):
    """Which reader."""

    model: str = Field(default=_hub.GOT, title="Reader")
    """A GOT-OCR 2, which reads whole pictures, or a TrOCR, which reads one line: a fetched hub id,
    or a folder."""


class Ocr:
    """One value per picture, 0 to 1; part `read`: letters that were read."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        self.reader = _reader.share(config.model)

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """How near what is read comes to what was asked; read only where something was asked."""
        values, letters = np.full(len(prompts), np.nan), np.full(len(prompts), np.nan)
        status, reasons = ["n/a"] * len(prompts), ["nothing in quotes"] * len(prompts)
        for row, (image, prompt) in enumerate(zip(images, prompts, strict=True)):
            targets = quoted(prompt)
            if not targets:
                continue
            said = self.reader.read(image)
            values[row] = np.mean([nearness(said, target) for target in targets])
            letters[row] = len(squeezed(said))
            status[row], reasons[row] = "ok", ""
        return Scores(values, status, {"read": letters}, reasons)


def quoted(prompt: str) -> list[str]:
    """The texts in quotes; an apostrophe inside a word is none."""
    found = ["".join(groups) for groups in _QUOTED.findall(prompt)]
    return [text for text in found if squeezed(text)]


def squeezed(text: str) -> str:
    """Without spaces and case."""
    return "".join(text.split()).lower()


def nearness(said: str, target: str) -> float:
    """1 for a target that stands whole in what is said, less by each edit it would take."""
    here, wanted = squeezed(said), squeezed(target)
    if wanted in here:
        return 1.0
    return 1 - min(edits(here, wanted), len(wanted)) / len(wanted)


def edits(a: str, b: str) -> int:
    """Insertions, deletions and replacements of letters that make `b` of `a`."""
    row = list(range(len(b) + 1))
    for i, letter in enumerate(a, 1):
        before, row[0] = row[0], i
        for j, other in enumerate(b, 1):
            before, row[j] = row[j], min(row[j] + 1, row[j - 1] + 1, before + (letter != other))
    return row[-1]


def fingerprint(config: Config) -> str:
    """Which weights."""
    return _hub.fingerprint(config.model)


def load(config: Config, files: Files | None = None) -> Ocr:
    """The reader, shared with others that use it."""
    return Ocr(config)
