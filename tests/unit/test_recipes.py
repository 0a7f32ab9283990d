"""One update of every recipe costs what was predicted: the real pocket model, rewards and judge."""

from __future__ import annotations

from typing import Any

import pytest

from backend import recipes
from backend.pocket import world
from backend.policies import sd3
from backend.registry import rewards
from backend.rl.collect import Data, Pairs
from backend.rl.cost import predict
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.rl.trainer import Trainer
from tests.unit.test_rl_loop import Memory

PROMPTS = world.draw(1, 0, single=0.0)


@pytest.fixture(scope="module")
def pocket() -> sd3.Sd3Policy:
    return sd3.load(sd3.Config())


@pytest.mark.parametrize("name", recipes.names())
def test_an_update_of_a_recipe_costs_what_was_predicted(pocket: sd3.Sd3Policy, name: str) -> None:
    """S, U, R, K and judge calls; one prompt, and few pictures where no judge is budgeted."""
    data = recipes.load(name).plain()
    data["sampling"]["prompts_per_step"] = len(PROMPTS)
    if "group_size" in data["method"]["settings"] and "pref" not in name:
        data["method"]["settings"]["group_size"] = 3
    config, memory = RunConfig.read(data), Memory()
    pocket.drop_adapter()
    drawn = [world.render_many(PROMPTS, seed) for seed in (0, 1)]
    pairs = Pairs(PROMPTS, *drawn) if learns_from_pairs(config) else None
    scorers: dict[str, Any] = {}
    for term in [*config.rewards, *config.watch]:
        kind = rewards.get(term.kind)
        scorers[term.name] = kind.load(kind.Config.read(term.config))
    Trainer(config, pocket, scorers, Data(PROMPTS, PROMPTS, pairs), memory).iterate()

    (record,), cost = memory.iterations, predict(config)
    counted = {n: int(record.metrics.get(f"nfe/{n}", 0)) for n in ("sample", "update", "reference")}
    assert counted == {
        "sample": cost.nfe_sample,
        "update": cost.nfe_update,
        "reference": cost.nfe_reference,
    }
    assert record.nfe == cost.nfe
    calls = sum(value for key, value in record.metrics.items() if key.startswith("judge_calls/"))
    assert calls == cost.judge_calls
    leaves = sum(len(group.images) for group in record.groups)
    assert leaves == (cost.pictures or 2 * len(PROMPTS))
