"""A run's settings: what is refused, and that every refusal is a sentence that names the field."""

from __future__ import annotations

import re
from typing import Any

import pytest

from backend import recipes
from backend.errors import ConfigError
from backend.rl import rates
from backend.rl.cost import predict
from backend.rl.recipe import RunConfig, plans_at
from backend.rl.tree import grow, predict_cost

REWARD = {"name": "brightness", "kind": "brightness"}


def refused(**data: Any) -> ConfigError:
    with pytest.raises(ConfigError) as failure:
        RunConfig.read({"rewards": [REWARD]} | data)
    return failure.value


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_loads_and_names_its_paper(name: str) -> None:
    config = recipes.load(name)
    card = recipes.card(name)
    assert RunConfig.read(config.plain()) == config
    assert "arXiv" in card["source"]
    assert all(card.values())
    assert config.recipe == name


def test_short_names_find_the_pocket_recipes() -> None:
    assert recipes.load("g2rpo").method.name == "g2rpo"
    assert recipes.load("flow-grpo").method.name == "flow-grpo"
    with pytest.raises(ConfigError, match="did you mean 'pocket-g2rpo'"):
        recipes.load("g2rp")


def test_the_pocket_recipe_costs_what_it_says() -> None:
    """24 prompts, one fork at k ∈ {0…3}: each k 6 times k + 1 + 12·(9 − k)."""
    cost = predict(recipes.load("g2rpo"))
    assert cost.nfe_sample == 6 * sum(k + 1 + 12 * (9 - k) for k in range(4))
    assert (cost.nfe_update, cost.pictures) == (24, 288)


@pytest.mark.parametrize("name", recipes.names())
def test_a_card_says_what_an_update_costs(name: str) -> None:
    """Every number of a card is one that is predicted: S as the mean over the run, U, R, K, calls.

    Two in a hundred are let go for rounding, and for shares of the steps that are drawn anew.
    """
    config = recipes.load(name)
    known: dict[str, int] = {}
    sampled = 0
    for plan in (plan for step in range(config.num_steps) for plan in plans_at(config, step)):
        if repr(plan) not in known:
            known[repr(plan)] = predict_cost(grow([plan], config.sampling.num_steps)).sample
        sampled += known[repr(plan)]
    cost = predict(config)
    wanted = [sampled / config.num_steps, cost.nfe_update, cost.nfe_reference, cost.pictures]
    wanted.append(cost.judge_calls)
    told = re.findall(r"[0-9][0-9,]*", recipes.card(name)["cost"])
    for number in (int(text.replace(",", "")) for text in told):
        assert any(number == pytest.approx(real, rel=0.02) for real in wanted), (number, wanted)
    assert len(told) >= sum(real > 0 for real in wanted[2:]) + 1


def test_learning_rates_of_parts_that_change_nothing_are_refused() -> None:
    names = ["a.lora_A.weight", "a.lora_B.weight", "b.lora_B.weight"]
    assert rates.factors({"a.lora_B": 2.0, "lora_B": 3.0}, names) == [1.0, 2.0, 3.0]
    assert rates.factors({}, names) == [1.0, 1.0, 1.0]
    for idle in ({"to_q": 2.0}, {"lora": 1.0, "lora_B": 2.0}):
        with pytest.raises(ConfigError, match="would change nothing") as failure:
            rates.factors(idle, names)
        assert failure.value.field == "optim.lr_groups"
    assert "0 or more" in str(refused(optim={"lr_groups": {"lora_B": float("inf")}}))


def test_unknown_settings_are_refused_with_their_nearest_neighbour() -> None:
    assert "did you mean 'sampling'" in str(refused(samplin={}))
    assert "did you mean 'group_size'" in str(
        refused(method={"name": "g2rpo", "settings": {"group_sze": 4}})
    )
    assert (
        refused(method={"name": "g2rpo", "settings": {"group_sze": 4}}).field
        == "method.settings.group_sze"
    )
    assert "did you mean 'weights'" in str(refused(policy={"config": {"weight": "x"}}))
    assert "did you mean 'g2rpo'" in str(refused(method={"name": "grpo2"}))


@pytest.mark.parametrize(
    ("settings", "field", "sentence"),
    [
        ({"fork_steps": [0, 10]}, "fork_steps", "Step 10 cannot be explored"),
        ({"fork_steps": [2], "strides": [9]}, "strides", "7 steps are left"),
        ({"group_size": 1}, "group_size", "group of 1"),
        ({"eta": 0.0}, "eta", "explores without noise"),
        (
            {"kernel": "cps", "fork_steps": [9], "strides": [1]},
            "eta",
            "Step 9 explores without noise",
        ),
        ({"kernel": "cps", "eta": 2.0}, "eta", "at most 1"),
    ],
)
def test_impossible_pairs_are_refused_with_a_reason(
    settings: dict[str, Any], field: str, sentence: str
) -> None:
    error = refused(method={"name": "g2rpo", "settings": settings})
    assert sentence in str(error)
    assert error.field == f"method.settings.{field}"


def test_rewards_need_names_of_their_own_and_some_weight() -> None:
    assert "named 'brightness'" in str(refused(watch=[REWARD]))
    assert "weight 0" in str(refused(rewards=[REWARD | {"weight": 0}]))
    assert "There is no reward 'beauty'" in str(refused(rewards=[{"name": "x", "kind": "beauty"}]))


def test_defaults_are_written_out_so_that_a_stored_run_is_complete() -> None:
    config = RunConfig.read({"rewards": [REWARD]})
    assert config.method.settings["group_size"] == 12
    assert config.policy.config["weights"] == "pocket"
