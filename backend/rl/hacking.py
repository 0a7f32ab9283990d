"""Is the reward being met, or bought? Figures of an update and of an evaluation.

    style_r2             share of the advantages that plain looks of the pictures explain
    style_r2/<look>      the same by one look alone: "38 % of the advantage is saturation"
    style_r2_null        what looks would explain by chance: .95 quantile over shuffled advantages
    lean/<reward>/<look> how far pictures that a reward fails on differ from their siblings
    dependence/<reward>  held-out value with the picture's own prompt minus with another's
    abstained/<reward>   share of held-out pictures that a reward abstains from
    unsure/<reward>      mean deviation ("sd") that it gives with its held-out values
    prompts_apart        distance between held-out pictures of different prompts

Advantages and looks are compared inside groups only: y and X are centred in each group, and with
n pictures, g groups and p looks

    adjusted R² = 1 − (1 − R²)(n − g)/(n − g − p)

which is 0 on average where looks do not matter. A reward is bought when style_r2 stands well above
style_r2_null: the limit of an alarm may be .3. Where prompts ask for a look, some of it is honest.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards import _looks, _statistics
from backend.rewards.interface import FAILED, Scores, pays_a_judge
from backend.rl.style import contrast, texture
from backend.types import Pictures, Scorer

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

STYLES: Final[dict[str, Callable[[Pictures], Floats]]] = {
    "brightness": _statistics.luminance,
    "saturation": _statistics.saturation,
    "contrast": contrast,
    "texture": texture,
    "entropy": _looks.colour_entropy,
    "text": _looks.text_area,
}
"""Looks that explain an advantage without asking what the picture shows."""

MOST: Final = 256
"""Pictures of an update that are looked at, evenly chosen."""
SHUFFLES: Final = 200
FEWEST: Final = 6
"""Failures without which nobody can say what they have in common."""
ASKED: Final = 32
"""Held-out prompts that are asked about a second time, for the dependence."""


def style_r2(advantage_B: Floats, images: Pictures, group_B: Ints) -> dict[str, float]:
    """How much of the advantages the looks of the pictures explain; nothing where none differ.

    Pictures without an advantage (NaN) are left out. Shuffling is inside groups, from a fixed
    seed.
    """
    known = np.flatnonzero(np.isfinite(advantage_B))
    if len(known) > MOST:
        known = known[np.linspace(0, len(known) - 1, MOST).round().astype(np.int64)]
    group = np.unique(group_B[known], return_inverse=True)[1]
    y = _within(advantage_B[known, None], group)[:, 0]
    free = len(known) - (int(group.max()) + 1 if len(known) else 0)
    if free <= len(STYLES) + 1 or float(y @ y) < 1e-12:
        return {}
    shown = _looks.thinned(images[known])
    X = _within(np.stack([look(shown) for look in STYLES.values()], axis=1), group)
    basis = _basis(X)
    if basis.shape[1] == 0:
        return {}
    found = {"style_r2": _adjusted(basis, y[:, None], free)[0]}
    for name, column in zip(STYLES, X.T, strict=True):
        own = _basis(column[:, None])
        found[f"style_r2/{name}"] = _adjusted(own, y[:, None], free)[0] if own.size else 0.0
    shuffled = np.stack([y[order] for order in _shuffles(group)], axis=1)
    found["style_r2_null"] = float(np.quantile(_adjusted(basis, shuffled, free), 0.95))
    return found


def leans(
    scores: Mapping[str, Scores], which_B: Ints, images: Pictures, group_B: Ints
) -> dict[str, float]:
    """Whether failures follow from the looks of the pictures; nothing where too few fail.

    `lean/<reward>/<look>` is Student's t, with the sign of the look's difference, of the
    correlation inside groups between failing and a look: about 0 ± 1 where failures are at random.
    Where they are not, what is learned from the rest leans. Abstaining is no failure. `which_B` is
    where the pictures stand in the scores.
    """
    found: dict[str, float] = {}
    for name, scored in scores.items():
        said = [scored.status[i] for i in which_B]
        known = np.flatnonzero([word == "ok" or word in FAILED for word in said])
        failed = np.array([said[i] in FAILED for i in known], dtype=np.float64)
        if not FEWEST <= failed.sum() <= len(known) - FEWEST:
            continue
        group = np.unique(group_B[known], return_inverse=True)[1]
        free = len(known) - int(group.max()) - 2
        shown = _looks.thinned(images[known])
        y = _within(failed[:, None], group)[:, 0]
        X = _within(np.stack([look(shown) for look in STYLES.values()], axis=1), group)
        for look, column in zip(STYLES, X.T, strict=True):
            size = float(np.sqrt((column @ column) * (y @ y)))
            if size > 1e-9 and free > 0:
                r = min(max(float(column @ y) / size, -0.999), 0.999)
                found[f"lean/{name}/{look}"] = r * math.sqrt(free / (1 - r * r))
    return found


def _within(rows: Floats, group: Ints) -> Floats:
    """Rows minus the mean of their group."""
    count = np.bincount(group)[:, None]
    sums = np.zeros((len(count), rows.shape[1]))
    np.add.at(sums, group, rows)
    return np.asarray(rows - (sums / np.maximum(count, 1))[group])


def _basis(X: Floats) -> Floats:
    """Orthonormal columns that span those of X; looks that do not vary add none."""
    size = np.sqrt((X**2).sum(axis=0))
    X = X[:, size > 1e-9 * np.sqrt(len(X))] / size[size > 1e-9 * np.sqrt(len(X))]
    left, values, _ = np.linalg.svd(X, full_matrices=False)
    return np.asarray(left[:, values > 1e-6])


def _adjusted(basis: Floats, Y: Floats, free: int) -> list[float]:
    """Adjusted R² of every column of Y, at least 0."""
    explained = ((basis.T @ Y) ** 2).sum(axis=0) / (Y**2).sum(axis=0)
    left = free - basis.shape[1]
    return [max(0.0, 1 - (1 - float(share)) * free / left) for share in explained]


def _shuffles(group: Ints) -> list[Ints]:
    """Orders that move pictures inside their group only."""
    rng = np.random.default_rng(0)
    rows = np.argsort(group, kind="stable")
    orders = []
    for _ in range(SHUFFLES):
        order = np.empty(len(group), dtype=np.int64)
        order[rows] = np.lexsort((rng.random(len(group)), group))
        orders.append(order)
    return orders


def dependence(
    rewards: Mapping[str, Scorer],
    values: Mapping[str, Floats],
    images: Pictures,
    prompts: Sequence[str],
) -> dict[str, float]:
    """Mean of value(picture, its prompt) − value(picture, another's prompt) over some prompts.
    `values` are what the rewards said of all pictures with their own prompts.

    A reward that looks at the picture alone has 0; one whose dependence falls to half of the
    base's is met by pictures that no longer mind the prompt. Rewards that compare inside a group
    or pay a judge by the call are not asked.
    """
    num = min(ASKED, len(prompts))
    other = [*prompts[num // 2 : num], *prompts[: num // 2]]
    if num < 2:
        return {}
    found = {}
    for name, reward in rewards.items():
        if getattr(reward, "shape", "pointwise") != "pointwise" or pays_a_judge(reward):
            continue
        apart = values[name][:num] - reward.score(images[:num], other).values
        if np.isfinite(apart).any():
            found[f"dependence/{name}"] = float(np.nanmean(apart))
    return found


def doubts(scores: Mapping[str, Scores]) -> dict[str, float]:
    """How often rewards abstain, and how unsure those are that say so; others have no figure.

    Both grow when a policy leaves the pictures that a learned reward was learned on.
    """
    found: dict[str, float] = {}
    for name, said in scores.items():
        sd = said.parts.get("sd")
        if "abstain" in said.status or sd is not None:
            found[f"abstained/{name}"] = said.status.count("abstain") / len(said)
        if sd is not None and np.isfinite(sd).any():
            found[f"unsure/{name}"] = float(np.nanmean(sd))
    return found


def prompts_apart(thumbnails: Floats) -> float:
    """Mean rms difference between pictures of different prompts, 0 to 1; NaN for less than two.

    `thumbnails` has a row for each prompt. All pictures alike: 0, whatever their own spread.
    """
    num = len(thumbnails)
    if num < 2:
        return math.nan
    square = (thumbnails**2).mean(axis=1)
    apart = square[:, None] + square[None] - 2 * thumbnails @ thumbnails.T / thumbnails.shape[1]
    above = np.triu_indices(num, 1)
    return float(np.sqrt(np.maximum(apart[above], 0.0)).mean())
