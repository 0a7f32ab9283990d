"""`palate bench choosing` on a pool of numbers: what is asked, what is said, what is written."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from backend.registry import choosers
from workers.bench import choosing
from workers.bench.choosing import ChoosingPlan, Pool, World
from workers.bench.lab import Lab

NUM_PROMPTS = 60


@pytest.fixture(scope="module")
def pool() -> Pool:
    """60 prompts × 4 samples; the features are what the annotators look at, and noise."""
    rng = np.random.default_rng(0)
    num = NUM_PROMPTS * len(choosing.SOURCES)
    seen = 0.5 + 0.1 * rng.standard_normal((3, num))
    features = np.concatenate([10 * (seen.T - 0.5), rng.standard_normal((num, 3))], axis=1)
    return Pool(features, np.array([3, 0, 0, 2, 2, 2]), seen, NUM_PROMPTS)


def test_policies_ask_in_the_same_world_and_learn_its_taste(pool: Pool) -> None:
    world = World(pool, 0)
    held, asked = ({i // 4 for i in pairs.ravel()} for pairs in (world.held, world.pairs))
    assert len(held) == 20 and len(asked) == 40 and not held & asked
    for name in ("random", "disagreement"):
        curve = choosing.ask(world, name, (20, 80))
        assert curve["agreement"][-1] > 0.75, name
        assert curve == choosing.ask(World(pool, 0), name, (20, 80)), "a world repeats itself"


def test_figures_are_written(pool: Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choosing, "pool_of", lambda lab: pool)
    monkeypatch.setattr(choosing, "RESAMPLES", 20)
    plan = ChoosingPlan(2, budgets=(20, 40), only=("frontier",))
    found = choosing.bench(Lab(tmp_path, num_prompts=4), plan)
    assert json.loads((tmp_path / "choosing.json").read_text()) == json.loads(json.dumps(found))
    assert {row["name"] for row in found["policies"]} == {"random", "frontier"}
    assert found["winner"] in choosers.names()
    assert "| policy | 20 labels | 40 labels |" in (tmp_path / "choosing.md").read_text()
    assert (tmp_path / "choosing.png").read_bytes().startswith(b"\x89PNG")


def test_labels_needed_by_hand() -> None:
    """Half as many everywhere: what 200 buy is had at 100."""
    budgets = (50, 100, 200, 400)
    base = np.array([[0.5, 0.6, 0.7, 0.8]] * 3)
    fast = np.array([[0.6, 0.7, 0.8, 0.9]] * 3)
    assert choosing.needed(fast, base, budgets, 200) == {
        "labels": 100.0, "low": 100.0, "high": 100.0, "saved": 2.0
    }  # fmt: skip
    slow = choosing.needed(base - 0.2, base, budgets, 400)
    assert slow == {"labels": None, "low": None, "high": None, "saved": None}


def test_curves_are_read_where_they_rise() -> None:
    assert choosing.monotone(np.array([0.6, 0.5, 0.7])).tolist() == pytest.approx([0.55, 0.55, 0.7])
    assert choosing.reached((100, 200), np.array([0.6, 0.7]), 0.65) == pytest.approx(150)
    assert choosing.reached((100, 200), np.array([0.6, 0.7]), 0.5) == 100
    assert math.isinf(choosing.reached((100, 200), np.array([0.6, 0.7]), 0.8))


def test_chance_wins_where_nothing_is_better_beyond_its_interval() -> None:
    def row(name: str, mean: float, half: float | None) -> dict[str, object]:
        return {"name": name, "overall": {"mean": mean, "half": half}}

    chance = row("random", 0.0, 0.0)
    assert choosing.winner([row("some", 0.02, 0.03), row("other", 0.01, None), chance]) == "random"
    assert choosing.winner([row("some", 0.02, 0.03), row("sure", 0.01, 0.005), chance]) == "sure"
