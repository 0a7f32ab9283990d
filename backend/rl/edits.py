"""Edit leverage: how far eight cheap edits, none of which makes a picture better, raise a reward.

    Δ_e(i) = r(edit_e(picture i)) − r(picture i)          leverage_e = mean_i Δ_e(i) / s

s is the reward's spread among pictures of one prompt, which is what an advantage is measured in; of
pictures with a prompt each, their spread. Above 1, the edit buys more than being the better of two
siblings does. Errors of means are by prompt: pictures of one prompt are no independent witnesses.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.preferences.intervals import Difference, Share, mean_se, wilson
from backend.rewards import _groups
from backend.rewards._edits import PROBES
from backend.rewards.interface import by_prompt, pays_a_judge
from backend.types import Pictures, Scorer

Floats = NDArray[np.float64]

ASKED: Final = 32
"""Pictures that are edited at an evaluation, evenly chosen."""
RAISED: Final = 1e-9
"""A value that rises by more than this was raised."""


@dataclass(frozen=True)
class Lever:
    """What one edit does to a reward."""

    edit: str
    change_B: Floats
    """Value of the edited picture minus that of the picture; NaN where either is missing."""
    mean: Difference
    """Mean change with its standard error over prompts."""
    raised: Share
    """Share of the pictures whose value rises."""
    leverage: float
    """The mean change in spreads; NaN where nothing is known."""


def edited(edit: str, images: Pictures, prompts: Sequence[str]) -> Pictures:
    """Every picture (B, h, w, 3) after one of the `PROBES`."""
    change = PROBES[edit]
    return np.stack([change(image, p) for image, p in zip(images, prompts, strict=True)])


def levers(
    reward: Scorer,
    images: Pictures,
    prompts: Sequence[str],
    value_B: Floats,
    *,
    edits: Sequence[str] = tuple(PROBES),
    spread: float | None = None,
    tell: Callable[[int], None] = lambda _: None,
) -> list[Lever]:
    """What each edit does to a pointwise reward; `value_B` is what it said of the pictures.

    `spread` where the caller knows it, else that of `value_B`. `tell` hears the number of edits
    that are done.
    """
    scale = spread_of(value_B, prompts) if spread is None else spread
    found = []
    for done, edit in enumerate(edits, 1):
        after = reward.score(edited(edit, images, prompts), prompts).values
        found.append(lever(edit, after - value_B, prompts, scale))
        tell(done)
    return found


def lever(edit: str, change_B: Floats, prompts: Sequence[str], spread: float) -> Lever:
    """One edit's changes, summed up."""
    known = change_B[np.isfinite(change_B)]
    slot, num = _groups.slots(by_prompt(prompts))
    mean = mean_se(_groups.mean(change_B, slot, num))
    centre = float(known.mean()) if known.size else math.nan
    whole = Difference(centre, mean.se, mean.num)
    raised = wilson(float((known > RAISED).sum()), known.size)
    return Lever(edit, change_B, whole, raised, centre / spread if spread > 0 else math.nan)


def spread_of(value_B: Floats, prompts: Sequence[str]) -> float:
    """Mean standard deviation among pictures of one prompt; among all where prompts do not recur;
    0 where nothing differs."""
    slot, num = _groups.slots(by_prompt(prompts))
    inside = _groups.std(value_B, slot, num)
    inside = inside[np.isfinite(inside)]
    return float(inside.mean()) if inside.size else _groups.spread(value_B)


def edit_leverage(
    rewards: Mapping[str, Scorer],
    values: Mapping[str, Floats],
    images: Pictures,
    prompts: Sequence[str],
) -> dict[str, float]:
    """Figures for an evaluation, over at most `ASKED` of its pictures.

    leverage/<reward> is that of the edit that raises it most, leverage/<reward>/<edit> each one's.
    `values` are what the rewards said of all pictures. Rewards that compare inside a group or pay a
    judge by the call are not asked, and one whose values do not differ has no leverage.
    """
    some = np.linspace(0, len(prompts) - 1, min(ASKED, len(prompts))).round().astype(np.int64)
    found: dict[str, float] = {}
    for name, reward in rewards.items():
        if getattr(reward, "shape", "pointwise") != "pointwise" or pays_a_judge(reward):
            continue
        spread = spread_of(values[name], prompts)
        shown, words = images[some], [prompts[i] for i in some]
        told = levers(reward, shown, words, values[name][some], spread=spread)
        each = {one.edit: one.leverage for one in told if math.isfinite(one.leverage)}
        if each:
            found[f"leverage/{name}"] = max(each.values())
            found |= {f"leverage/{name}/{edit}": value for edit, value in each.items()}
    return found
