"""Held-out evaluation: the same prompts and the same noise at every step, so gains are paired.

Pictures are drawn by ODE, as they will be at use. With the same seeds, the standard error of a
gain is that of the per-prompt differences, several times smaller than that of two means:

    gain = mean_p (r_p − r⁰_p),   se = std_p(r_p − r⁰_p)/√P        over prompts with both values
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.rewards.interface import Scores
from backend.rl import edits, hacking, style
from backend.rl.randomness import seed_of
from backend.rl.recipe import EvaluationSettings
from backend.rl.sampler import Field, draw
from backend.types import EvaluationRecord, Pictures, Scorer

Floats = NDArray[np.float64]
Baseline = dict[str, list[float | None]]
"""Reward → its value on each held-out prompt at step 0; None where it was missing."""

_FEATURE_SIDE = 8
_DIVERSE_PROMPTS, _DIVERSE_SEEDS = 16, 4


@dataclass(frozen=True)
class HeldOut:
    """What is evaluated on, fixed for the whole run."""

    prompts: list[str]
    seeds: list[int]
    fixed: int
    """The first so many are the fixed prompts whose pictures are kept."""

    @classmethod
    def of(cls, prompts: Sequence[str], settings: EvaluationSettings) -> HeldOut:
        """The first prompts of the held-out set, each with its own noise."""
        chosen = list(prompts[: settings.num_prompts])
        seeds = [seed_of(settings.seed, "heldout", i) for i in range(len(chosen))]
        return cls(chosen, seeds, min(settings.fixed_prompts, len(chosen)))


def evaluate(
    field: Field,
    held: HeldOut,
    rewards: Mapping[str, Scorer],
    sigmas: Sequence[float],
    *,
    step: int,
    baseline: Baseline | None,
    trained: Sequence[str] = (),
    tell: Callable[[Mapping[str, Scores]], None] = lambda _: None,
) -> tuple[EvaluationRecord, Baseline]:
    """Draw, score, compare with step 0; returns the record and this step's values per prompt.

    `field` is a fresh one: its count becomes the record's NFE. `trained` are the rewards that the
    policy learns from: only of those it matters what cheap edits buy. `tell` hears what was said.
    """
    images = draw(field, held.prompts, held.seeds, sigmas)
    scores = {name: r.score(images, held.prompts) for name, r in rewards.items()}
    tell(scores)
    values = {name: said.values for name, said in scores.items()}
    metrics: dict[str, float] = {}
    for name, value in values.items():
        metrics |= _mean_and_error(value, f"heldout/{name}", f"heldout_se/{name}")
        if baseline is not None:
            first = np.array(baseline[name], dtype=np.float64)
            metrics |= _mean_and_error(value - first, f"gain/{name}", f"gain_se/{name}")
    metrics |= {f"missing/{name}": said.share_failed for name, said in scores.items()}
    metrics["diversity"] = _diversity_of(field, held, sigmas)
    metrics |= style.figures(images) | hacking.dependence(rewards, values, images, held.prompts)
    metrics |= hacking.doubts(scores)
    taught = {name: reward for name, reward in rewards.items() if name in trained}
    metrics |= edits.edit_leverage(taught, values, images, held.prompts)
    metrics["prompts_apart"] = hacking.prompts_apart(thumbnails(images))
    record = EvaluationRecord(step, metrics, _samples(held, images, values), field.nfe.total())
    return record, {name: [_or_none(v) for v in value] for name, value in values.items()}


def show(
    field: Field,
    held: HeldOut,
    rewards: Mapping[str, Scorer],
    sigmas: Sequence[float],
    *,
    step: int,
) -> EvaluationRecord:
    """Only the pictures of the fixed prompts, as every evaluation draws them; no figures."""
    prompts, seeds = held.prompts[: held.fixed], held.seeds[: held.fixed]
    images = draw(field, prompts, seeds, sigmas)
    values = {name: reward.score(images, prompts).values for name, reward in rewards.items()}
    return EvaluationRecord(step, {}, _samples(held, images, values), field.nfe.total())


def _samples(held: HeldOut, images: Pictures, values: Mapping[str, Floats]) -> list[dict[str, Any]]:
    """The fixed prompts with their pictures and what each reward says of them."""
    return [
        {
            "prompt": held.prompts[i],
            "seed": held.seeds[i],
            "image": images[i],
            "rewards": {name: _or_none(value[i]) for name, value in values.items()},
        }
        for i in range(held.fixed)
    ]


def diversity(images: Pictures) -> float:
    """Mean distance of pictures of one prompt: rms difference of 8×8 colour thumbnails, 0 to 1."""
    if len(images) < 2:
        return math.nan
    features = thumbnails(images)
    first, second = np.triu_indices(len(features), 1)
    return float(np.sqrt(((features[first] - features[second]) ** 2).mean(axis=1)).mean())


def thumbnails(images: Pictures) -> Floats:
    """Pictures averaged down to 8×8 and flattened, values 0 to 1; (B, h, w, 3) → (B, 192)."""
    num, height, width, _ = images.shape
    side_h, side_w = height // _FEATURE_SIDE, width // _FEATURE_SIDE
    cut = images[:, : side_h * _FEATURE_SIDE, : side_w * _FEATURE_SIDE] / 255.0
    blocks = cut.reshape(num, _FEATURE_SIDE, side_h, _FEATURE_SIDE, side_w, 3)
    return np.asarray(blocks.mean(axis=(2, 4)).reshape(num, -1))


def _diversity_of(field: Field, held: HeldOut, sigmas: Sequence[float]) -> float:
    """Mean over prompts of the distance between their pictures from four other seeds."""
    prompts = [p for p in held.prompts[:_DIVERSE_PROMPTS] for _ in range(_DIVERSE_SEEDS)]
    seeds = [seed_of(held.seeds[0], "diversity", i) for i in range(len(prompts))]
    images = draw(field, prompts, seeds, sigmas)
    groups = np.split(images, len(prompts) // _DIVERSE_SEEDS)
    return float(np.mean([diversity(group) for group in groups]))


def _mean_and_error(value: Floats, mean: str, error: str) -> dict[str, float]:
    """Mean and standard error over the present values; nothing where fewer than two are present."""
    present = value[np.isfinite(value)]
    if len(present) < 2:
        return {}
    return {
        mean: float(present.mean()),
        error: float(present.std(ddof=1) / math.sqrt(len(present))),
    }


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
