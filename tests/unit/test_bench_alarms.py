"""Runs that are staged for an alarm: each is a run, and changes what the alarm is for."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from backend.errors import RewardError
from backend.pocket import world
from backend.rewards.interface import Images, Scores, Shape, checked
from backend.rl import style
from backend.rl.alarms import RULES
from backend.types import IterationRecord
from workers.bench import alarms, staged

PROMPTS = world.draw(40, seed=0)
PICTURES = world.render_many(PROMPTS, 0)
SEEN = {"conflict", "bound", "clipped", "missing", "text", "grid"}
"""Alarms that no run on a wrong reward sets off, or only by chance."""


class Fair:
    """.0, .2, .4, ... over a batch."""

    shape: Shape = "pointwise"

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return Scores.of(np.arange(len(images)) / 5)


@pytest.mark.parametrize("one", staged.STAGED, ids=lambda one: one.name)
def test_a_staged_run_can_be_begun(one: staged.Staged) -> None:
    plan = alarms.AlarmsPlan(one.updates, 2)
    config = one.laid(alarms.config(plan, "one-fork", "verifier", alarms.FAST, 0))
    names = {term.name for term in [*config.rewards, *config.watch]}
    assert one.rule in RULES and set(one.instead) <= names
    assert config.num_steps > RULES[one.rule].window - 1, "it lasts until the alarm may fire"


def test_every_alarm_that_cheating_does_not_show_has_a_run() -> None:
    assert {one.rule for one in staged.STAGED} == SEEN


def test_a_short_scale_ends_at_one_and_a_failing_judge_fails_on_the_same_pictures_again() -> None:
    short = staged.Short(Fair()).score(PICTURES[:5], PROMPTS[:5])
    assert short.values.tolist() == pytest.approx([0.0, 0.4, 0.8, 1.0, 1.0])
    failing = staged.fails(0.5)(Fair())
    with pytest.raises(RewardError):
        failing.score(PICTURES, PROMPTS)
    first, again = (
        checked(staged.fails(0.5)(Fair()), "judge").score(PICTURES, PROMPTS) for _ in "ab"
    )
    assert first.status == again.status and 0.2 < first.share_failed < 0.8


def test_a_model_begins_to_draw_otherwise_after_so_many_updates() -> None:
    class Policy:
        side = 64

        def decode(self, latents: Any) -> np.ndarray:
            return PICTURES[:4]

    record = IterationRecord(1, {}, 0, {"total": 0.0}, [])
    for drawn, look in ((staged.captioned, "text"), (staged.tiled, "tiling")):
        policy, notes = staged.Midway.staged(Policy(), drawn, 2)  # type: ignore[arg-type]
        before = policy.decode(None)  # type: ignore[arg-type]
        notes.iteration(record)
        assert (policy.decode(None) == before).all()  # type: ignore[arg-type]
        notes.iteration(record)
        after = policy.decode(None)  # type: ignore[arg-type]
        assert after.shape == before.shape and policy.side == 64
        assert style.LOOKS[look](after).mean() > style.LOOKS[look](before).mean()
