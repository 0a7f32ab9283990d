"""Who is better in a group by the judge and by people in one fit, and win rates by place."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.rewards import _pairings
from backend.services import (
    labels,
    records,
    rollout_pairs,
    rollout_ranking,
    rollouts,
    runs,
    users,
)
from backend.services.studio import Studio
from backend.types import GroupRecord, IterationRecord, NodeRecord
from tests import factory

SIZE = 4
ROUND_ROBIN = list(zip(*(side.tolist() for side in _pairings.schedule(SIZE, 0)), strict=True))
BOUTS = [[one, other, float(one < other)] for one, other in ROUND_ROBIN]
"""All pairs; whoever stands before the other wins."""


def group(number: int, rates: list[float], bouts: list[list[float]] | None) -> GroupRecord:
    leaves = []
    for i, rate in enumerate(rates):
        part = {"wins": {"raw": rate, "weight": 1.0, "share": rate, "status": "ok"}}
        leaf = NodeRecord(i, None, "leaf", 4, 1, 0.0, advantage=rate, rewards=part, tile=i, seed=i)
        leaves.append(leaf)
    detail: dict[str, Any] = {} if bouts is None else {"bouts": {"wins": bouts}}
    args = (float(np.mean(rates)), float(np.std(rates)), True, "", leaves, None, None, detail)
    return GroupRecord(number, f"prompt {number}", None, *args)


@pytest.fixture
def made(services: Studio) -> factory.Made:
    return factory.project(services, num_prompts=4, per_prompt=0)


def run_of(studio: Studio, made: factory.Made, groups: list[GroupRecord]) -> int:
    wins = {"name": "wins", "kind": "win-rate", "config": {"judge": "pocket-judge"}}
    run_id = int(runs.create(studio, made.project, "wins", factory.config(rewards=[wins]))["id"])
    strips = [
        records.Sheets(studio.media.put(factory._strip(40 + i)), None) for i in range(len(groups))
    ]
    records.iteration(studio, run_id, IterationRecord(1, {}, 1, {}, groups), strips)
    return run_id


def test_peoples_votes_enter_the_judges_fit_with_the_same_prior(
    services: Studio, made: factory.Made
) -> None:
    rates = [1.0, 2 / 3, 1 / 3, 0.0]
    run_id = run_of(services, made, [group(0, rates, BOUTS), group(1, rates, None)])
    first, second = (one["id"] for one in rollouts.page(services, run_id)["groups"])
    told = rollout_ranking.of_group(services, first)
    (judge,) = told["judges"]
    assert (judge["name"], judge["bouts"], told["votes"]) == ("wins", 6, 0)
    assert judge["spread"] == pytest.approx(np.std(rates))
    assert judge["mark"] == pytest.approx(1.3 * np.sqrt(0.25 / 3))
    alone = [one["judge"] for one in judge["samples"]]
    assert alone == sorted(alone, reverse=True) == [one["both"] for one in judge["samples"]]
    assert [one["rate"] for one in judge["samples"]] == pytest.approx(rates)
    assert judge["samples"][0]["sd"] > judge["samples"][1]["sd"]  # the ends are known less well

    pair = rollout_pairs.make_pair(services, first, best=0, worst=3)
    local = users.local(services)["id"]
    labels.store(services, local, factory.label(pair, "right"))  # the judge's last, of its first
    for name in ("one", "two", "three"):
        user = users.create(services, name)["id"]
        labels.store(services, user, factory.label(pair, "right"))
    told = rollout_ranking.of_group(services, first)
    (judge,) = told["judges"]
    assert told["votes"] == 4
    columns = np.array([*BOUTS, *[[0, 3, 0.0]] * 4])
    expected = _pairings.strengths(
        columns[:, 0].astype(int), columns[:, 1].astype(int), columns[:, 2], SIZE
    )
    assert [one["both"] for one in judge["samples"]] == pytest.approx(expected.tolist())
    assert [one["judge"] for one in judge["samples"]] == pytest.approx(alone)
    assert judge["samples"][0]["both"] < judge["samples"][3]["both"]  # people turned it round

    assert rollout_ranking.of_group(services, second) == {"judges": [], "votes": 0}
    pair = rollout_pairs.make_pair(services, second, best=1, worst=2)
    labels.store(services, local, factory.label(pair, "left"))
    (people,) = rollout_ranking.of_group(services, second)["judges"]
    assert people["name"] == "" and people["bouts"] == 0 and people["spread"] is None
    assert people["samples"][1]["both"] > 0 > people["samples"][2]["both"]
    assert people["samples"][0]["judge"] is None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_win_rate_that_follows_the_place_is_told_from_one_that_does_not(
    services: Studio, made: factory.Made
) -> None:
    rng = np.random.default_rng(0)
    falling = [1.0, 0.7, 0.3, 0.0]
    habit = [(np.array(falling) + rng.normal(0, 0.05, SIZE)).tolist() for _ in range(12)]
    run_id = run_of(services, made, [group(0, rates, None) for rates in habit])
    told = rollout_ranking.by_index(services, run_id)["wins"]
    assert told["groups"] == 12 and told["high"] < 0 and told["slope"] == pytest.approx(-1, abs=0.1)
    assert [place["mean"] for place in told["places"]] == pytest.approx(
        np.mean(habit, axis=0).tolist()
    )
    fair = [np.roll(falling, turn).tolist() for turn in range(SIZE)]
    run_id = run_of(services, made, [group(0, rates, None) for rates in fair])
    told = rollout_ranking.by_index(services, run_id)["wins"]
    assert told["slope"] == pytest.approx(0, abs=1e-9) and told["low"] < 0 < told["high"]
