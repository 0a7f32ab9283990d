"""Better without training on both kinds of store: what it will cost, and whether runs beat it."""

from __future__ import annotations

from typing import Any

import pytest

from backend.errors import Conflict, InputError, NotFound
from backend.recipes import untrained as recipes
from backend.services import jobs, projects, prompts, rewards, samples, untrained
from backend.services.preflight import untrained as preflight
from backend.services.samples import NewSample
from backend.services.studio import Studio
from backend.services.untrained import Wanted
from db.tables import Run
from tests import factory
from tests.factory import Made


def rows(best: float, other: float | None = None) -> list[dict[str, Any]]:
    """What a measurement found: the first picture, and four of best-of-N."""

    def row(way: str, rounds: int, gain: float) -> dict[str, Any]:
        gains = {"picker": {"gain": 2 * gain, "se": 0.01, "num": 4}}
        gains["gold"] = {"gain": gain, "se": 0.01, "num": 4}
        return {"way": way, "rounds": rounds, "calls": rounds, "rewritten": 0, "gains": gains}

    found = [row("best", 1, 0.0), row("best", 2, best)]
    return found if other is None else [*found, row("refine", 2, other)]


def wanted(studio: Studio, made: Made, **changes: Any) -> Wanted:
    held = prompts.named(studio, made.project, "heldout")["id"]
    picker = rewards.create(studio, made.project, "light", "brightness", {})["id"]
    gold = rewards.create(studio, made.project, "v", "pocket-verifier", {})["id"]
    settings = {"way": "best", "rounds": 2, "num_prompts": 64, "num_steps": 4}
    given = {
        "policy_id": made.policy,
        "prompt_set_id": held,
        "picker_id": picker,
        "gold_id": gold,
        "settings": {**settings, **changes.pop("settings", {})},
    }
    return Wanted.of({**given, **changes})


def measured(studio: Studio, made: Made, asked: Wanted, found: list[dict[str, Any]]) -> int:
    """A measurement that workers have done."""
    job_id = untrained.ask(studio, made.project, asked, [])
    assert jobs.claim(studio, job_id, 1, "worker")
    jobs.finish(studio, job_id, 1, {"rows": found, "prompts": 4, "drawn": 8, "shown": []})
    return job_id


def finished_run(studio: Studio, made: Made) -> int:
    """A run that is over; its verifier gained .1 ± .02 at the last evaluation."""
    run = factory.trained_run(studio, made)
    with studio.write() as session:
        session.get_one(Run, run).status = "done"
    return run


def line(found: dict[str, Any], name: str) -> dict[str, Any]:
    return next(one for one in found["lines"] if one["name"] == name)


def test_the_preflight_counts_what_is_drawn_and_asked(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    asked = wanted(services, made)
    found = preflight.check(services, made.project, asked)
    assert (found["pictures"], found["drawn"], found["nfe"]) == (8, 0, 32)
    assert found["questions"] == {"picker": 8, "gold": 8}
    assert line(found, "Pictures")["value"] == "8 to draw, 32 evaluations"
    assert line(found, "Workers")["status"] == "warn" and preflight.failing(found) == []

    held = prompts.texts(services, asked.prompt_set_id)
    media = services.media.put(factory.png(1))
    there = [
        NewSample(prompt_id, samples.picture_seed(0, text, 1), media, 8, 8, with_)
        for (prompt_id, text), with_ in zip(
            held[:3],
            (
                {"num_steps": 4, "guidance": 1.0},
                {"num_steps": 5, "guidance": 1.0},
                samples.asked_with({"num_steps": 4, "guidance": 1.0}, "other words"),
            ),
            strict=True,
        )
    ]
    samples.add(services, made.project, made.policy, there)
    assert preflight.check(services, made.project, asked)["drawn"] == 1

    critic = rewards.create(services, made.project, "critic", "pocket-judge", {})["id"]
    refine = {"settings": {"way": "refine", "rounds": 3}}
    found = preflight.check(services, made.project, wanted(services, made, **refine))
    assert "none" in line(found, "Critic")["value"] and len(preflight.failing(found)) == 1
    with pytest.raises(Conflict, match="It would fail: Critic"):
        untrained.ask(services, made.project, asked, preflight.failing(found))
    both = wanted(services, made, critic_id=critic, picker_id=critic, **refine)
    found = preflight.check(services, made.project, both)
    assert "pocket world alone" in line(found, "Critic")["reason"], "these are no such prompts"
    assert line(found, "Judge of critic")["value"] == "unaudited"
    # 3 ways × 4 prompts × 2 rounds picked and measured, each both ways round
    assert found["questions"] == {"picker": 96, "gold": 20, "critic": 12}
    unable = wanted(services, made, critic_id=asked.picker_id, **refine)
    found = preflight.check(services, made.project, unable)
    assert "does not say what to ask" in line(found, "Critic")["reason"]

    train = wanted(services, made, prompt_set_id=made.prompt_set, gold_id=None)
    found = preflight.check(services, made.project, train)
    assert line(found, "Prompts")["status"] == line(found, "Judged by")["status"] == "warn"
    other = projects.create(services, "Other")["id"]
    with pytest.raises(InputError, match="another project"):
        preflight.check(services, other, asked)


def test_runs_stand_beside_what_was_gained_without_training(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    run = finished_run(services, made)
    assert untrained.beside_run(services, run) == []
    asked = wanted(services, made)
    low = measured(services, made, asked, rows(0.02))
    found = untrained.report(services, made.project, low)
    assert found["strongest"]["gold"]["gains"]["gold"]["gain"] == 0.02
    [beside] = found["runs"]
    assert (beside["id"], beside["same"], beside["calls"]) == (run, True, 300)
    assert beside["gold"]["gain"] == pytest.approx(0.1)
    assert beside["verdict"] == {"picker": None, "gold": "beats"}, "it did not watch the picker"
    [told] = untrained.beside_run(services, run)
    assert (told["reward"], told["job_id"], told["verdict"]) == ("verifier", low, "beats")

    equal = measured(services, made, asked, rows(0.02, 0.1))
    assert untrained.report(services, made.project, equal)["runs"][0]["verdict"]["gold"] == "level"
    [told] = untrained.beside_run(services, run)
    assert (told["job_id"], told["way"], told["gain"]) == (equal, "refine", 0.1), "the newest"
    high = measured(services, made, asked, rows(0.5))
    assert untrained.report(services, made.project, high)["runs"][0]["verdict"]["gold"] == "below"

    fewer = wanted(services, made, settings={"num_prompts": 2})
    other = measured(services, made, fewer, rows(0.3))
    assert untrained.report(services, made.project, other)["runs"][0]["same"] is False
    assert untrained.beside_run(services, run)[0]["job_id"] == high, "others' prompts do not count"
    found = preflight.check(services, made.project, fewer)
    fix = line(found, "Beside runs")["fix"]["changes"]
    assert fix["settings"] == {"num_prompts": 4, "num_steps": 4, "guidance": 1.0}
    mended = wanted(services, made, settings=fix["settings"])
    said = line(preflight.check(services, made.project, mended), "Beside runs")
    assert said["value"] == "1 on these prompts, in this way"

    listed = untrained.options(services, made.project)
    assert [one["job_id"] for one in listed["measured"]] == [other, high, equal, low]
    assert [one["name"] for one in listed["recipes"]] == ["best-of-n", "critique-rewrite"]
    job_id = jobs.create(services, "learn", {"project_id": made.project})
    with pytest.raises(NotFound, match="no measurement"):
        untrained.report(services, made.project, job_id)


def test_recipes_without_training_are_files() -> None:
    assert recipes.names() == ["best-of-n", "critique-rewrite"]
    assert recipes.load("best-of-n").rounds == 4
    assert recipes.load("critique-rewrite").way == "refine"
    assert all(card["title"] and card["source"] for card in recipes.cards())
    with pytest.raises(InputError, match="no recipe 'x' without training"):
        recipes.load("x")
