"""Audits of judges: asked for, kept with the reward, told wherever the judge appears."""

from __future__ import annotations

import math

import pytest

from backend.errors import InputError, NotFound
from backend.rewards import _judge_price
from backend.rewards._judge_answers import Ended, Question
from backend.rl import cost
from backend.rl.recipe import RewardTerm, RunConfig
from backend.services import glances, jobs, judge_audits, judgements, preflight, rewards, runs
from backend.services.studio import Studio
from tests import factory

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
