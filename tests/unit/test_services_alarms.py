"""Alarms: each sign once, and none without a reason."""

from __future__ import annotations

from typing import Any

import pytest

from backend.rl.early_stop import History
from backend.rl.recipe import EarlyStop, RewardTerm
from backend.services.alarms import of_run

GOOD: dict[str, Any] = {"loss": 0.1, "groups_kept": 9.0, "groups_total": 10.0, "clip_share": 0.1}
RISES = {"gain/verifier": 0.2, "gain_se/verifier": 0.01, "diversity": 0.5}


def _titles(last: dict[str, Any], *evaluations: dict[str, Any]) -> list[str]:
    found = of_run(1, ["verifier"], ["saturation"], [(5, last)], list(enumerate(evaluations)))
    return [alarm["title"] for alarm in found]


def test_a_good_run_raises_none() -> None:
    assert _titles(GOOD, {"diversity": 0.5}, RISES) == []
    assert of_run(1, ["verifier"], [], [], []) == []


@pytest.mark.parametrize(
    ("changes", "title"),
    [
        ({"loss": None}, "A figure is not a number"),
        ({"missing/verifier": 0.5}, "A reward is missing"),
        ({"groups_kept": 1.0}, "Few groups teach anything"),
        ({"clip_share": 0.8}, "Most of the update is clipped"),
    ],
)
def test_each_sign_of_an_iteration(changes: dict[str, Any], title: str) -> None:
    assert _titles({**GOOD, **changes}) == [title]


def test_a_watched_reward_that_falls_while_the_trained_one_rises_is_cheating() -> None:
    falls = {**RISES, "gain/saturation": -0.3, "gain_se/saturation": 0.05}
    assert _titles(GOOD, falls) == ["The reward may be cheated"]
    unsure = {**RISES, "gain/saturation": -0.03, "gain_se/saturation": 0.05}
    assert _titles(GOOD, unsure) == []


def test_pictures_that_become_alike_are_told() -> None:
    assert _titles(GOOD, {"diversity": 0.5}, {"diversity": 0.2}) == ["Pictures become alike"]


def test_a_run_that_stopped_itself_leads_to_the_step_it_delivers() -> None:
    """Gold is highest at step 10; at 20 and 30 it is more than two standard errors lower."""
    settings = EarlyStop(gold="verifier", patience=2)
    terms = [RewardTerm(name="saturation", kind="saturation")]
    curve = [
        (step, {"gain/saturation": proxy, "gain/verifier": gold, "gain_se/verifier": 0.01})
        for step, proxy, gold in ((0, 0.0, 0.0), (10, 0.1, 0.05), (20, 0.2, 0.0), (30, 0.3, -0.1))
    ]
    given = (1, ["saturation"], ["verifier"], [(30, GOOD)], curve)
    (alarm,) = of_run(*given, History(settings, terms))
    assert alarm["title"].startswith("Stopped before")
    assert alarm["url"] == "/runs/1?step=10" and alarm["step"] == 30
    assert "10" in alarm["action"] and "+0.05" in alarm["text"]
    until = (1, ["saturation"], ["verifier"], [(30, GOOD)], curve[:3])
    assert not any("Stopped" in a["title"] for a in of_run(*until, History(settings, terms)))
