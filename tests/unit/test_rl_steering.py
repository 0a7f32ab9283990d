"""What people change of a run while it goes on: from the next update on, after a resume alike."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from backend import recipes
from backend.errors import ConfigError
from backend.rl import steering
from backend.services import orders
from backend.types import HALT, Orders
from tests.tiny_sd3 import load_tiny
from tests.unit.test_rl_loop import Memory, run, same, settings, stored
from workers.frame import Interrupted
from workers.steering import Steering

LR = {"kind": "setting", "key": "optim.lr", "value": 0.03, "step": 2}
SOONER = {"kind": "setting", "key": "evaluation.every", "value": 1, "step": 3}
NOW = ({"kind": "sample", "step": 1}, {"kind": "checkpoint", "step": 1})


@dataclass
class Steered(Memory):
    """A control with orders that were heeded at some step."""

    heeded: list[dict[str, Any]] = field(default_factory=list)

    def orders(self, step: int) -> Orders:
        return orders.holding(self.heeded, step)


def test_a_change_holds_from_its_step_on_and_after_a_resume_alike(tiny_sd3: Path) -> None:
    config = settings(tiny_sd3, num_steps=4)
    plain, whole = Steered(), Steered(heeded=[LR, SOONER])
    run(config, load_tiny(tiny_sd3), plain)
    run(config, load_tiny(tiny_sd3), whole)
    rates = [record.metrics["lr"] for record in whole.iterations]
    assert rates == pytest.approx([0.01, 0.01, 0.03, 0.03])
    assert [r.metrics for r in plain.iterations[:2]] == [r.metrics for r in whole.iterations[:2]]
    assert not same(plain.checkpoints[-1], whole.checkpoints[-1])
    assert [e.step for e in whole.evaluations] == [0, 2, 4]
    for at in (1, 3):  # before the change and after it
        again = Steered(heeded=[LR, SOONER])
        run(config, load_tiny(tiny_sd3), again, resume=stored(whole.checkpoints[at]))
        assert same(whole.checkpoints[-1], again.checkpoints[-1])
        tail = [record.metrics for record in whole.iterations[at:]]
        assert [record.metrics for record in again.iterations] == tail


def test_pictures_and_a_checkpoint_are_made_at_once_and_change_nothing(tiny_sd3: Path) -> None:
    config = settings(tiny_sd3, num_steps=2, checkpoint_every=100)
    plain, asked = Steered(), Steered(heeded=[*NOW])
    run(config, load_tiny(tiny_sd3), plain)
    run(config, load_tiny(tiny_sd3), asked)
    assert [state.step for state in asked.checkpoints] == [0, 1, 2]
    shown = asked.evaluations[1]
    assert (shown.step, shown.metrics, len(shown.samples)) == (1, {}, 2)
    first = plain.evaluations[0].samples
    assert [s["prompt"] for s in shown.samples] == [s["prompt"] for s in first]
    assert [s["seed"] for s in shown.samples] == [s["seed"] for s in first]
    assert same(plain.checkpoints[-1], asked.checkpoints[-1])
    again = Steered(heeded=[*NOW])
    run(config, load_tiny(tiny_sd3), again, resume=stored(asked.checkpoints[1]))
    assert [e.step for e in again.evaluations] == [2], "what was drawn at 1 is not drawn again"


def test_weights_of_rewards_and_two_settings_may_change_and_nothing_else() -> None:
    config = recipes.load("one-fork")
    assert list(steering.changeable(config)) == [
        "rewards.verifier.weight",
        "optim.lr",
        "evaluation.every",
    ]
    changes = [("rewards.verifier.weight", 0.5), ("optim.lr", 1e-5), ("optim.lr", 2e-5)]
    changed = steering.changed(config, changes)
    assert (changed.rewards[0].weight, changed.optim.lr) == (0.5, 2e-5)
    assert changed.model_copy(update={"rewards": config.rewards, "optim": config.optim}) == config
    for key, value, words in (
        ("sampling.num_steps", 5, "cannot change while a run goes on"),
        ("rewards.verifier.kind", "saturation", "cannot change while a run goes on"),
        ("optim.lr", -1, "optim.lr"),
        ("rewards.verifier.weight", 0.0, "weight 0"),
    ):
        with pytest.raises(ConfigError, match=words):
            steering.changed(config, [(key, value)])


def test_the_last_change_asked_for_counts_even_where_an_older_one_is_met_later() -> None:
    late = {"kind": "setting", "key": "optim.lr", "value": 1.0, "step": 9}
    early = {"kind": "setting", "key": "optim.lr", "value": 2.0, "step": 4}
    assert orders.holding([late, early], 3) == Orders()
    assert orders.holding([late, early], 8).changes == (("optim.lr", 2.0),)
    assert orders.holding([late, early], 9).changes[-1] == ("optim.lr", 2.0)


class _Frame:
    """A job whose wish is set by the test."""

    wished = "run"

    def wish(self) -> str:
        return self.wished

    def wanted(self) -> str:
        return "stop" if self.wished == HALT else self.wished


def test_a_run_that_is_to_end_at_once_breaks_off_in_the_middle_of_an_update(tiny_sd3: Path) -> None:
    frame = _Frame()
    control, memory = Steering(frame, 1), Memory()  # type: ignore[arg-type]
    policy = load_tiny(tiny_sd3)
    counted = policy.velocity

    def velocity(*given: Any) -> Any:
        if len(memory.iterations) == 1:
            frame.wished = HALT
        return counted(*given)

    policy.velocity = velocity  # type: ignore[assignment,method-assign]
    with pytest.raises(Interrupted):
        run(settings(tiny_sd3), control.hurried(policy), memory)  # type: ignore[arg-type]
    assert [record.step for record in memory.iterations] == [1]
    assert memory.checkpoints[-1].step == 1
    assert control.wanted() == "stop"
