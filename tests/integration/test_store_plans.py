"""The plan on paper that pages draw, and rollouts of every shape as the store hands them out."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from backend import recipes
from backend.errors import ConfigError
from backend.services import plans, projects, rollouts
from backend.services.studio import Studio
from tests import tiny_runs
from tests.tiny_sd3 import tiny_sd3  # noqa: F401


def _plan(name: str, update: int = 0, **settings: Any) -> dict[str, Any]:
    config = recipes.load(name).plain()
    config["method"]["settings"] |= settings
    return plans.draw(config, update)


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_has_a_plan_whose_nodes_hang_together(name: str) -> None:
    found = _plan(name)
    nodes = found["nodes"]
    assert [node["idx"] for node in nodes] == list(range(len(nodes)))
    for node in nodes:
        if node["parent"] is not None:
            above = nodes[node["parent"]]
            assert above["step"] < node["step"] or above["leaf"] is False
    leaves = [node for node in nodes if node["leaf"]]
    assert len(leaves) == found["leaves"] == found["shown"]
    explored = [row["explored"] for row in found["by_step"]]
    assert sum(explored) == sum(node["explored"] for node in nodes)
    assert {k for k, num in enumerate(explored) if num} <= set(found["sometimes"])


def test_the_plan_follows_its_settings() -> None:
    two = _plan("g2rpo", fork_steps=[1, 4], forks_per_prompt=0, strides=[1, 2])
    assert [k for k, row in enumerate(two["by_step"]) if row["fork"]] == [1, 4]
    assert two["leaves"] == 2 * 12 * 2 and not two["moves"]
    turning = _plan("g2rpo")
    assert turning["moves"] and turning["sometimes"] == [0, 1, 2, 3]
    assert turning["nodes"] != _plan("g2rpo", update=1)["nodes"]


def test_a_latent_that_is_finished_only_to_value_it_is_marked() -> None:
    dense = _plan("dense-grpo", group_size=2)
    marked = [node for node in dense["nodes"] if node["completes"]]
    assert len(marked) == 2 * 9  # each of nine noisy steps begins at a latent that goes on
    assert not any(node["completes"] for node in _plan("branch-grpo")["nodes"])


def test_edges_that_nothing_is_learned_from_are_not_trained() -> None:
    dance = _plan("dance-grpo")["by_step"]
    assert any(row["trained"] < row["explored"] for row in dance)


def test_a_tree_too_large_to_draw_keeps_whole_roots() -> None:
    large = _plan("dense-grpo", group_size=200)
    assert large["shown"] < large["leaves"] and len(large["nodes"]) <= plans.MOST_NODES
    assert large["shown"] % 10 == 0


def test_probes_are_priced_where_they_make_sense() -> None:
    assert _plan("g2rpo")["probes"]["spread"]["pictures"] > 0
    assert set(_plan("dense-grpo")["probes"]) == {"spread", "psi"}
    assert _plan("diffusion-nft")["probes"] == {} == _plan("flow-dpo")["probes"]
    table = _plan("dense-grpo", kernel="table-sde", psi=[0.5])["probes"]
    assert "follows a table" in table["spread"]["reason"] and table["psi"]["nfe"] > 0


def test_a_plan_that_cannot_be_is_refused_with_its_sentence() -> None:
    with pytest.raises(ConfigError, match="choices are 0 to 9"):
        _plan("g2rpo", fork_steps=[40])


def test_recipes_say_where_they_learn() -> None:
    kinds = {name: plans.facts(name)["learns_on"] for name in recipes.names()}
    assert kinds["pocket-g2rpo"] == "tree"
    assert kinds["pocket-awm"] == kinds["pocket-flow-dpo-online"] == "samples"
    assert kinds["pocket-flow-dpo"] == "labels"


@pytest.mark.parametrize(
    ("method", "given", "groups", "valued", "pair"),
    [
        ("dense-grpo", {"group_size": 3}, 2, 3 * 5, False),
        ("branch-grpo", {"split_steps": [0, 2]}, 2, 0, False),
        ("tempflow", {"seeds": 2, "group_size": 2, "last_fork": 1}, 8, 0, False),
        ("diffusion-nft", {"group_size": 3, "times": 2}, 2, 0, False),
        ("flow-dpo", {}, 2, 0, True),
    ],
)
def test_rollouts_of_every_shape_are_whole(
    services: Studio,
    tiny_sd3: Path,  # noqa: F811
    method: str,
    given: dict[str, Any],
    groups: int,
    valued: int,
    pair: bool,
) -> None:
    """All groups of a tree are recorded together, so that it can be drawn whole."""
    project = projects.named(services, "Test")["id"]
    config = tiny_runs.settings(tiny_sd3, method, given, num_steps=1)
    run = tiny_runs.finished(services, project, tiny_sd3, config)
    page = rollouts.page(services, run)
    assert page["total"] == groups
    for group in page["groups"]:
        assert sum(leaf["completes"] for leaf in group["leaves"]) == valued
        assert group["given"] is pair
    full = rollouts.get(services, page["groups"][0]["id"])
    assert len(full["groups_of_tree"]) == groups // 2
    assert [leaf["completes"] for leaf in full["leaves"]].count(True) == valued
