"""The check of a reward before a run: anchors, and controls that must not win.

    found = start_check(reward, *pocket_anchors())
    all(check.passed for check in found)

Anchors are pictures of their prompts. Each is held against four trivial controls of the same
prompt: a blank, noise, the prompt's words painted on a blank, and itself. A reward that likes a
control better than the real thing on more than a quarter of the prompts would be cheated in an
afternoon; one that gives the same picture two values, or none, would be noise. It catches what
never raises: weights that were not loaded, channels in the wrong order, a wrong resize.
"""

from __future__ import annotations

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.rewards.interface import Checked, Floats, Images

ANCHORS: Final = 16
MOST_BEATEN: Final = 0.25
"""Share of prompts on which a control may score above the anchor."""
DRIFT: Final = 1e-3
"""Change against known values that is still the same reward, in spreads of the anchors."""


@dataclass(frozen=True)
class Check:
    """One thing that was looked at."""

    name: str
    passed: bool
    value: float | None
    text: str
    """What was found, as a sentence."""


def pocket_anchors(num: int = ANCHORS, seed: int = 7) -> tuple[Images, list[str]]:
    """Renders of pocket prompts, true by construction: (pictures, prompts)."""
    from backend.pocket import world

    prompts = world.draw(num, seed)
    return world.render_many(prompts, seed), prompts


def controls(images: Images, prompts: Sequence[str]) -> dict[str, Images]:
    """Trivial pictures of the size of the anchors, one a prompt: {name: (B, H, W, 3)}."""
    blank = np.full_like(images, 128)
    noise = np.random.default_rng(0).integers(0, 256, images.shape, dtype=np.uint8)
    height, width = images.shape[1:3]
    words = np.stack([painted(prompt, height, width) for prompt in prompts])
    return {"blank": blank, "noise": noise, "words": words}


def painted(text: str, height: int, width: int) -> Images:
    """A white picture with the text in black, broken into lines. (H, W, 3)"""
    from PIL import Image, ImageDraw, ImageFont

    size = max(8, min(height, width) // 10)
    font = ImageFont.load_default(size)
    picture = Image.new("RGB", (width, height), "white")
    lines = textwrap.wrap(text, max(4, int(1.8 * width / size)))
    ImageDraw.Draw(picture).multiline_text((2, 2), "\n".join(lines), fill="black", font=font)
    return np.asarray(picture)


def start_check(
    reward: Checked, images: Images, prompts: Sequence[str], known: Floats | None = None
) -> list[Check]:
    """Look at a reward through some anchors, (B, H, W, 3) with B prompts.

    `known` are the values that it gave them before, (B,); a new version starts a new series.
    A groupwise reward sees each anchor beside its controls, as siblings.
    """
    score = _alone if reward.shape == "pointwise" else _beside
    said = score(reward, images, prompts)
    value = said["anchor"]
    missing = float(np.isnan(value).mean())
    found = [
        Check(
            "anchors",
            missing <= MOST_BEATEN and _spread(value) > 0,
            missing,
            f"{1 - missing:.0%} of {len(value)} known pictures have a value; they spread "
            f"{_spread(value):.3g}.",
        )
    ]
    for name, text in (
        ("blank", "A blank picture"),
        ("noise", "A picture of noise"),
        ("words", "The prompt's words painted on a blank"),
    ):
        both = np.isfinite(value) & np.isfinite(said[name])
        share = float((said[name][both] > value[both]).mean()) if both.any() else 0.0
        sentence = f"{text} scores above the real picture on {share:.0%} of the prompts."
        found.append(Check(name, share <= MOST_BEATEN, share, sentence))
    apart = np.abs(said["duplicate"] - value)
    apart = apart[np.isfinite(apart)]
    most = float(apart.max()) if len(apart) else 0.0
    same = most <= DRIFT * max(_spread(value), 1e-12)
    sentence = f"The same picture asked twice differs by up to {most:.3g}."
    found.append(Check("duplicate", same, most, sentence))
    if known is not None:
        off = np.abs(value - known)
        worst = float(off[np.isfinite(off)].max()) if np.isfinite(off).any() else 0.0
        kept = worst <= DRIFT * max(_spread(known), 1e-12)
        kept = kept and bool((np.isnan(value) == np.isnan(known)).all())
        sentence = f"Against the values known before it differs by up to {worst:.3g}."
        found.append(Check("known", kept, worst, sentence))
    return found


def _alone(reward: Checked, images: Images, prompts: Sequence[str]) -> dict[str, Floats]:
    """Every kind of picture asked about by itself."""
    asked = {"anchor": images, **controls(images, prompts), "duplicate": images}
    return {name: reward.score(some, prompts).values for name, some in asked.items()}


def _beside(reward: Checked, images: Images, prompts: Sequence[str]) -> dict[str, Floats]:
    """An anchor, its controls and itself as one group."""
    asked = {"anchor": images, **controls(images, prompts), "duplicate": images}
    groups = np.tile(np.arange(len(prompts)), len(asked))
    every = list(prompts) * len(asked)
    values = reward.score(np.concatenate(list(asked.values())), every, groups).values
    return dict(zip(asked, np.split(values, len(asked)), strict=True))


def _spread(value: Floats) -> float:
    present = value[np.isfinite(value)]
    return float(present.std(ddof=1)) if len(present) > 1 else 0.0
