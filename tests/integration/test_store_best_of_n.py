"""Best-of-N of stored pictures, on both kinds of store."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest

from backend.errors import InputError
from backend.services import best_of_n, labels, pairs, projects, records, rewards
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from db.tables import Pair
from tests import factory


def test_the_curve_the_picks_and_runs_at_equal_calls(services: Studio) -> None:
    made = factory.project(services, num_prompts=6, per_prompt=5, pairs_per_prompt=4)
    light = rewards.create(services, made.project, "verifier", "pocket-verifier", {})["id"]
    gold = rewards.create(services, made.project, "light", "brightness", {})["id"]
    values = np.random.default_rng(0).normal(size=len(made.samples))
    scored = [ScoreRow(i, float(v)) for i, v in zip(made.samples, values, strict=True)]
    rewards.record_scores(services, light, scored[:-1])
    rewards.record_scores(
        services, gold, [ScoreRow(row.sample_id, -(row.value or 0)) for row in scored]
    )
    value_of = dict(zip(made.samples, values, strict=True))
    with services.read() as session:
        shown = {p: session.get_one(Pair, p) for p in made.pairs}
        sides = {p: (row.sample_a_id, row.sample_b_id) for p, row in shown.items()}
    for pair_id, (a, b) in sides.items():  # people prefer what the selecting reward likes
        choice = "left" if value_of[a] > value_of[b] else "right"
        labels.store(services, made.user, factory.label(pair_id, choice))
    run = factory.trained_run(services, made)

    def report(**changes: int) -> dict[str, Any]:
        given = {"policy_id": made.policy, "prompt_set_id": made.prompt_set, "reward_id": light}
        return best_of_n.report(services, made.project, **(given | changes))

    found = report(gold_id=gold, pictures=20)
    assert (found["depth"], found["prompts_used"], found["left_out"]) == (5, 5, 1)
    assert (found["unscored"], found["unscored_gold"], found["pictures_drawn"]) == (1, 0, 30)
    chosen = [point["value"] for point in found["curves"]["selecting"]]
    assert chosen[0] == pytest.approx(values[:25].mean())
    assert chosen[4] == pytest.approx(values[:25].reshape(5, 5).max(axis=1).mean())
    assert all(a <= b for a, b in itertools.pairwise(chosen))
    against = [point["value"] for point in found["curves"]["gold"]]
    assert against == pytest.approx([-value for value in chosen])
    people = [point["value"] for point in found["curves"]["people"]]
    assert found["verdicts"] == len(made.pairs) and people[4] > 0.9 > people[0]
    assert len(found["prompts"]) == 5 and len(found["prompts"][0]["samples"]) == 5

    assert found["calls_per_picture"] == 1 and found["runs"][0]["id"] == run
    assert found["runs"][0]["calls"] == 300 and found["runs"][0]["equal_n"] == 16
    assert found["runs"][0]["selecting"]["gain"] == pytest.approx(0.1)
    assert report()["curves"]["gold"] is None
    assert records.nfe_of(services, run) > 300, "evaluations are not training"

    other = projects.create(services, "Other")["id"]
    foreign = rewards.create(services, other, "far", "brightness", {})["id"]
    with pytest.raises(InputError, match="another project"):
        report(reward_id=foreign)


def test_nothing_drawn_or_scored_is_an_empty_curve(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    reward = rewards.create(services, made.project, "light", "brightness", {})["id"]
    given = {"policy_id": made.policy, "prompt_set_id": made.prompt_set, "reward_id": reward}
    found = best_of_n.report(services, made.project, **given)
    assert (found["depth"], found["prompts"], found["unscored"]) == (0, [], 0)
    factory.draw(services, made.project, made.policy, made.prompt_ids, 2)
    found = best_of_n.report(services, made.project, **given)
    assert (found["depth"], found["unscored"]) == (0, 8) and found["curves"]["people"] is None
    assert pairs.counts(services, made.project, made.user)["open"] == 0
