"""Audits of judges: asked for, kept with the reward, told wherever the judge appears."""

from __future__ import annotations

import pytest

from backend.errors import InputError, NotFound
from backend.services import jobs, judge_audits, preflight, rewards
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
