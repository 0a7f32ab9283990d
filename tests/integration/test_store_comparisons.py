"""Comparisons and the demo on both kinds of store."""

from __future__ import annotations

import time

import pytest

from backend.errors import InputError
from backend.services import comparisons, demo, jobs, labels, pairs, projects, today, users
from backend.services.comparisons import DrawnPair
from backend.services.studio import Studio
from db.queries import Scope
from tests import factory


def _drawn(studio: Studio) -> tuple[factory.Made, int]:
    made = factory.project(studio, per_prompt=0)
    run = factory.trained_run(studio, made)
    from backend.services import records

    tuned = records.save_tuned_policy(studio, run, studio.media.put(b"x"), 3)
    row = comparisons.create(
        studio,
        made.project,
        base_policy_id=made.policy,
        tuned_policy_id=tuned,
        prompt_set_id=made.prompt_set,
        num_prompts=100,
        seed=0,
    )
    assert (row["status"], row["num_prompts"], row["win_rate"]) == ("drawing", 4, None)
    plan = comparisons.plan(studio, row["id"])
    assert plan.tuned.adapter and not plan.base.adapter and len(plan.prompts) == 4
    base = factory.draw(studio, made.project, made.policy, made.prompt_ids, 1)
    other = factory.draw(studio, made.project, tuned, made.prompt_ids, 1)
    found = [DrawnPair(*ids) for ids in zip(made.prompt_ids, base, other, strict=True)]
    first = comparisons.ready(studio, row["id"], found)
    assert comparisons.ready(studio, row["id"], found) == first
    return made, row["id"]


def test_votes_are_counted_by_policy_whatever_the_side_people_and_simulated_apart(
    services: Studio,
) -> None:
    made, comparison = _drawn(services)
    queue = pairs.next_pairs(services, made.project, made.user, 8)
    assert queue["pairs"] == [] and queue["total"] == 0
    shown = pairs.next_pairs(services, made.project, made.user, 8, scope=Scope(comparison))["pairs"]
    cells = {c["pair_id"]: c for c in comparisons.get(services, comparison, reveal=True)["cells"]}
    for number, pair in enumerate(shown):
        tuned_left = pair["left"]["url"] == cells[pair["pair_id"]]["tuned_url"]
        choice = "tie" if number == 3 else ("left" if tuned_left else "right")
        vote = factory.label(pair["pair_id"], choice, left=pair["shown_left"])
        labels.store(services, made.user, vote, veiled=True)
    robot = users.simulated(services, "robot")["id"]
    labels.store_many(services, robot, [factory.label(shown[0]["pair_id"], "left", left="a")])
    row = comparisons.get(services, comparison)
    assert row["votes"] == {"base": 0, "tuned": 3, "tie": 1, "both_bad": 0, "skip": 0}
    assert row["win_rate"] == 0.875 and row["low"] < 0.875 < row["high"]
    assert row["by"]["simulated"]["votes"]["base"] == 1
    assert "cells" not in row and list(labels.judged(services, made.project)) == []
    labels.undo(services, made.project, made.user, "undo", Scope(comparison))
    assert comparisons.get(services, comparison)["votes"]["tie"] == 0


def test_a_policy_is_not_compared_with_itself(services: Studio) -> None:
    made = factory.project(services)
    with pytest.raises(InputError, match="itself"):
        comparisons.create(
            services,
            made.project,
            base_policy_id=made.policy,
            tuned_policy_id=made.policy,
            prompt_set_id=made.prompt_set,
            num_prompts=4,
            seed=0,
        )


def test_the_demo_is_made_once_and_opened(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    user = users.local(services)["id"]
    assert projects.current(services, user)["is_empty"]
    first = demo.ensure(services)
    assert first["name"] == "Pocket" and not first["is_empty"]
    assert demo.create(services) == first
    assert projects.current(services, user)["id"] == first["id"]
    assert len(jobs.due(services)) == 1
    shown = today.summary(services, first["id"], user)
    assert shown["next_pair"] is None and len(shown["rewards"]) == 4
    monkeypatch.setattr(today, "STARTED", time.time())
    assert not today.summary(services, first["id"], user)["alarms"], "workers come up later"
    monkeypatch.setattr(today, "STARTED", 0.0)
    shown = today.summary(services, first["id"], user)
    assert shown["alarms"][0]["url"] == "/workers"
