"""G²RPO: the published tree at the published cost, and forks that rotate."""

from __future__ import annotations

from backend.methods import g2rpo
from backend.rl.tree import grow, predict_cost


def test_the_published_settings_cost_what_the_paper_pays_less_what_is_shared() -> None:
    """16 + 12·(92 + 48) = 1,696 published; less 8 trunk steps after the last fork, 96 shared."""
    shape = grow([g2rpo.plan(g2rpo.Config(), 16, step=0, tree=0)], 16)
    cost = predict_cost(shape)
    assert (cost.sample, cost.update, cost.pictures) == (1696 - 8 - 96, 8, 192)


def test_few_forks_rotate_over_prompts_and_updates() -> None:
    config = g2rpo.Config(fork_steps=[0, 1, 2, 3], forks_per_prompt=1)
    seen = [
        [min(g2rpo.plan(config, 10, step, tree).forks) for tree in range(4)] for step in range(4)
    ]
    assert all(sorted(row) == [0, 1, 2, 3] for row in seen)
    assert all(sorted(column) == [0, 1, 2, 3] for column in zip(*seen, strict=True))
    two = config.model_copy(update={"forks_per_prompt": 2})
    assert sorted(g2rpo.plan(two, 10, 0, 1).forks) == [2, 3]


def test_only_siblings_of_a_fork_are_compared() -> None:
    assert g2rpo.credit(g2rpo.Config()).key == "fork"
    (leash,) = g2rpo.objective(g2rpo.Config(clip_nats=2.0, kl=0.1)).leashes
    assert (leash.weight, leash.to) == (0.1, "reference")
