"""From rewards that fail, abstain and take their time to the bars of Rollouts: they add up.

A run of the tiny model is trained and recorded as a worker does it, and read back as the page reads
it. What the optimiser was given is taken where it is given.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.rewards import word_scores
from backend.rewards.interface import Scores, checked
from backend.rl import trainer
from backend.services import rollouts
from backend.services.studio import Studio
from tests import factory, tiny_runs
from tests.tiny_sd3 import tiny_sd3  # noqa: F401


class Shaky:
    """Fails on what falls on an even number, as good as by chance: by raising, as a judge would."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        value = images.reshape(len(images), -1).sum(axis=1, dtype=np.int64)
        if len(images) == 1 and value[0] % 2 == 0:
            raise TimeoutError("no answer in time")
        scores = Scores.of(np.where(value % 2, value / images[0].size, np.nan), why="cut off")
        scores.status[:] = ["ok" if odd else "timeout" for odd in value % 2]
        return scores


class Shy:
    """Abstains from the darker half of what it is shown."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        value = images.std(axis=(1, 2, 3))
        scores = Scores.of(np.where(value >= np.median(value), value, np.nan))
        scores.status[:] = ["abstain" if np.isnan(v) else "ok" for v in scores.values]
        return scores


class Slow:
    """Contrast, late."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        time.sleep(0.05)
        return Scores.of(images[..., 0].std(axis=(1, 2)))


class Worded:
    """Two words each, the worse one counts."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        means = images.mean(axis=(1, 2)) / 255
        spans = [[("red", float(row[0])), ("circle", float(row[1]))] for row in means]
        scores = Scores.of([word_scores.reduced(row, "least") for row in spans])
        scores.spans.extend(spans)
        return scores


@pytest.mark.parametrize("combine", ["each", "sum"])
def test_the_bars_of_every_sample_add_up_to_what_the_optimiser_was_given(
    services: Studio,
    tiny_sd3: Path,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    combine: str,
) -> None:
    given: list[np.ndarray] = []
    prepare = trainer.prepare

    def heard(field: Any, parts: Any, advantage_N: np.ndarray, *more: Any) -> Any:
        given.append(advantage_N[np.isfinite(advantage_N)])
        return prepare(field, parts, advantage_N, *more)

    monkeypatch.setattr(trainer, "prepare", heard)
    mix = {"shade": 1.0, "shaky": 0.7, "shy": -0.4, "slow": 0.5, "words": 0.6}
    asked = {"shaky": Shaky(), "shy": Shy(), "slow": Slow(), "words": Worded()}
    config = tiny_runs.settings(
        tiny_sd3,
        "flow-grpo",
        {"group_size": 6},
        rewards=[{"name": n, "kind": "brightness", "weight": w} for n, w in mix.items()],
        compose={"floor": 0.0, "missing": 1.0, "combine": combine},
    )
    project = factory.project(services, num_prompts=1, per_prompt=0).project
    rewards = {name: checked(reward, name) for name, reward in asked.items()}
    run = tiny_runs.finished(services, project, tiny_sd3, config, rewards)
    groups = rollouts.page(services, run)["groups"]
    leaves = [leaf for group in groups for leaf in group["leaves"]]
    assert len(groups) == 4 and len(leaves) == 24, "two updates of two prompts"
    statuses = {part["status"] for leaf in leaves for part in leaf["rewards"].values()}
    assert statuses == {"ok", "timeout", "abstain"}
    for leaf in leaves:
        shares = [part["share"] for part in leaf["rewards"].values()]
        silent = [part for part in leaf["rewards"].values() if part["raw"] is None]
        assert all(part["share"] is None for part in silent), "what is missing has no bar"
        whole = sum(share for share in shares if share is not None)
        assert leaf["advantage"] == pytest.approx(whole, abs=1e-6)
        words = leaf["rewards"]["words"]
        assert min(value for _word, value in words["spans"]) == pytest.approx(words["raw"])
        assert "spans" not in leaf["rewards"]["shade"]
    shown = np.unique(np.round([leaf["advantage"] for leaf in leaves], 9))
    learned = np.unique(np.round(np.concatenate(given), 9))
    assert learned == pytest.approx(shown, abs=1e-6), "every path learns from its leaf's advantage"
    assert len(shown) == 24 and np.abs(shown).max() > 0.1
