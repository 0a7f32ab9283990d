"""Audits of judges: asked for, kept with the reward, told wherever the judge appears."""

from __future__ import annotations

import math
from types import SimpleNamespace
from typing import cast

import numpy as np
import pytest

from backend.errors import InputError, NotFound
from backend.rewards import _judge_price
from backend.rewards._judge_answers import Ended, Question
from backend.rewards.interface import Verdicts
from backend.rl import cost
from backend.rl.recipe import RewardTerm, RunConfig
from backend.services import (
    glances,
    jobs,
    judge_audits,
    judgements,
    labels,
    own_pairs,
    preflight,
    rewards,
    runs,
    users,
)
from backend.services.studio import Studio
from db.tables import Pair, Sample
from tests import factory
from workers.frame import JobFrame
from workers.jobs import audit

TWIN = {"weights_of": "biased"}


def report(*failed: str) -> dict:
    return {"tests": [], "passed": not failed, "failed": list(failed)}


def test_a_judge_is_unaudited_until_its_report_is_there_and_so_are_its_win_rates(
    services: Studio,
) -> None:
    project = factory.project(services, pairs_per_prompt=0).project
    wins = {"judge": "pocket-judge", "judge_config": TWIN}
    judge = rewards.create(services, project, "twin", "pocket-judge", TWIN)["id"]
    rate = rewards.create(services, project, "wins", "win-rate", wins)["id"]
    plain = rewards.create(services, project, "light", "brightness", {})["id"]
    other = rewards.create(services, project, "sound", "pocket-judge", {})["id"]
    job = judge_audits.ask(services, judge, pairs=20, groups=4)
    assert jobs.get(services, job)["queue"] == "score"

    def said() -> list[str]:
        return [rewards.get(services, id_)["audit"] for id_ in (judge, rate, plain, other)]

    assert said() == ["unaudited", "unaudited", "", "unaudited"]
    judge_audits.record(services, judge, report("order flips"))
    assert said() == ["failed: order flips", "failed: order flips", "", "unaudited"]
    judge_audits.record(services, judge, report())
    assert said() == ["passed", "passed", "", "unaudited"]
    assert {row["name"]: row["audit"] for row in rewards.rows(services, project)}[
        "twin"
    ] == "passed"
    assert judge_audits.named(services, "twin") == judge


def test_what_was_not_taught_to_judge_is_not_audited(services: Studio) -> None:
    project = factory.project(services, pairs_per_prompt=0).project
    plain = rewards.create(services, project, "light", "brightness", {})["id"]
    wins = rewards.create(services, project, "wins", "win-rate", {"judge": "pocket-judge"})["id"]
    for reward in (plain, wins):
        with pytest.raises(InputError, match="no judge of its own"):
            judge_audits.ask(services, reward)
    with pytest.raises(NotFound, match="no reward 999"):
        judge_audits.ask(services, 999)
    with pytest.raises(NotFound, match="no reward 'nobody'"):
        judge_audits.named(services, "nobody")


def test_the_preflight_of_a_run_warns_of_a_judge_without_an_audit(services: Studio) -> None:
    project = factory.project(services, pairs_per_prompt=0).project
    judge = rewards.create(services, project, "twin", "pocket-judge", TWIN)["id"]
    terms = [{"name": "wins", "kind": "win-rate"}]
    terms[0]["config"] = {"judge": "pocket-judge", "judge_config": TWIN}
    config = factory.config(rewards=terms)

    def line() -> dict:
        lines = preflight.check(services, project, config)["lines"]
        return next(one for one in lines if one["name"] == "Judge of wins")

    assert (line()["status"], line()["value"]) == ("warn", "unaudited")
    judge_audits.record(services, judge, report("spread"))
    assert (line()["status"], line()["value"]) == ("warn", "failed: spread")
    judge_audits.record(services, judge, report())
    assert line()["status"] == "pass"


def test_new_run_and_run_say_of_every_judge_what_its_audit_says(services: Studio) -> None:
    made = factory.project(services, pairs_per_prompt=0)
    wins = {"name": "wins", "kind": "win-rate", "config": {"judge": "pocket-judge"}}
    plain = {"name": "plain", "kind": "brightness"}
    terms = [RewardTerm.read(wins), RewardTerm.read(plain)]
    seen = glances.ask(services, made.project, terms)
    assert {name: one.audit for name, one in seen.items()} == {"wins": "unaudited", "plain": ""}
    assert seen["wins"].state == "asked"
    run = runs.create(services, made.project, "wins", factory.config(rewards=[wins, plain]))["id"]
    assert runs.get(services, run)["audits"] == {"wins": "unaudited"}


SERVED = {"address": "https://example.org/v1", "model": "m", "price_in": 2.0, "price_out": 10.0}


def test_the_preflight_says_what_a_judge_on_a_server_will_cost(services: Studio) -> None:
    project = factory.project(services, pairs_per_prompt=0).project
    wins = {"judge": "judge-pair", "judge_config": {**SERVED, "votes": 2}, "rounds": 2}
    terms = [
        {"name": "wins", "kind": "win-rate", "config": wins},
        {"name": "seen", "kind": "judge", "config": {**SERVED, "ask": "yes"}},
    ]

    def lines(**more: object) -> dict[str, dict]:
        terms[0]["config"] = {**wins, "judge_config": {**wins["judge_config"], **more}}
        config = factory.config(rewards=terms[:1], watch=terms[1:])
        found = preflight.check(services, project, config)["lines"]
        return {one["name"]: one for one in found if one["name"].startswith("Price of")}

    config = RunConfig.read(factory.config(rewards=terms[:1], watch=terms[1:]))
    sizes = cost.compared(config)
    bouts = int((2 * (sizes // 2)).sum())
    wanted = 2 * bouts * config.num_steps
    held = (
        2
        * config.evaluation.num_prompts
        * (1 + math.ceil(config.num_steps / config.evaluation.every))
    )
    found = lines()
    read, wrote = 220 + 2 * 330, 12
    money = wanted * (read * 2 + wrote * 10) / 1e6
    assert found["Price of wins"]["value"].startswith(f"{wanted:,} questions, about ")
    assert found["Price of wins"]["value"].endswith(f"{money:,.2f} in money")
    assert "Estimated" in found["Price of wins"]["reason"]
    assert found["Price of seen"]["value"].startswith(f"{held:,} questions")
    cheap = lines(budget_money=money / 2)["Price of wins"]
    assert cheap["status"] == "warn" and "50%" in cheap["reason"]
    judge = _judge_price.asked("win-rate", terms[0]["config"])
    assert judge is not None
    record = judgements.StoredAnswers(services, judge.kind, judge.version, "choice")
    record.begin(Question("k"))
    record.end(Ended("k", {"choices": []}, "", 2 * (read + wrote), 0.1, 1.0))
    known = lines(timeout_s=9.0)["Price of wins"]
    assert known["value"].endswith(f"{2 * money:,.2f} in money")
    assert "From the 1 answers" in known["reason"]


# --- a project's own pairs ----------------------------------------------------------------------


def test_own_pairs_are_those_that_people_decided_with_what_each_of_them_said(
    services: Studio,
) -> None:
    made = factory.project(services, num_prompts=24, per_prompt=2, pairs_per_prompt=1)
    one, other = (users.create(services, name)["id"] for name in ("one", "other"))
    for pair in made.pairs[:-1]:
        labels.store(services, one, factory.label(pair, "left", left="a"))
    for pair in made.pairs[:2]:
        labels.store(services, other, factory.label(pair, "left", left="a"))
    labels.store(services, other, factory.label(made.pairs[2], "left", left="b"))  # undecided now
    labels.store(services, other, factory.label(made.pairs[3], "tie", left="a"))
    some = own_pairs.decided(services, made.project)
    assert len(some.prompts) == len(some.better) == len(some.worse) == 22
    assert (some.ties.value, some.ties.num) == (1 / 27, 27)
    votes = np.array(some.votes)
    assert votes.shape == (2, 22)
    # those with two answers come first, whichever order they have among themselves
    assert sorted(np.nan_to_num(votes[:, :3], nan=-1).T.tolist()) == [[1, 0.5], [1, 1], [1, 1]]
    assert np.isnan(votes[1, 3:]).all() and (votes[0] == 1).all()
    with services.read() as session:
        first = session.get_one(Pair, made.pairs[5])
        a, b = (session.get_one(Sample, i) for i in (first.sample_a_id, first.sample_b_id))
        assert (a.media, b.media) in zip(some.better, some.worse, strict=True)
    few = own_pairs.decided(services, made.project, 20)
    assert len(few.prompts) == 20


def test_an_audit_on_own_pairs_is_the_same_job_and_has_its_own_report(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services, num_prompts=20, per_prompt=2, pairs_per_prompt=1)
    judge = rewards.create(services, made.project, "twin", "pocket-judge", TWIN)["id"]
    with pytest.raises(InputError, match="have decided 0 pairs"):
        judge_audits.ask(services, judge, own=True)
    robot = users.simulated(services, "robot")["id"]
    for pair in made.pairs:
        labels.store(services, robot, factory.label(pair, "left", left="a"))
    with pytest.raises(InputError, match="count simulated annotators too"):
        judge_audits.ask(services, judge, own=True)
    job = judge_audits.ask(services, judge, own=True, simulated=True)
    monkeypatch.setattr(rewards, "load", lambda studio, reward_id: First())
    frame = SimpleNamespace(studio=services, args=jobs.get(services, job)["args"])
    told = audit.work(cast(JobFrame, frame))
    figures = rewards.get(services, judge)["figures"]
    assert "audit" not in figures and figures["audit_own"]["own"]
    assert told["failed"] == figures["audit_own"]["failed"]
    assert "order flips" in told["failed"] and figures["audit_own"]["flips"] == 1.0
    said = rewards.get(services, judge)["audit"]
    assert said.startswith("failed: order flips on own pairs")
    judge_audits.record(services, judge, report())
    assert rewards.get(services, judge)["audit"] == said  # both must be passed
    judge_audits.record(services, judge, {**report(), "own": True})
    assert rewards.get(services, judge)["audit"] == "passed"


class First:
    """Whatever stands first is better."""

    shape = "pairwise"

    def compare(self, a: np.ndarray, b: np.ndarray, prompts: list[str]) -> Verdicts:
        return Verdicts(np.ones(len(prompts)), ["ok"] * len(prompts))
