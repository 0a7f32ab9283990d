"""Judges as pages show them: who is better by them and by people, their audit, what they said."""

from __future__ import annotations

import io
import json
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import expect

from backend.pocket import world
from backend.rewards._judge_client import digest
from backend.rl.recipe import RunConfig
from backend.services import (
    judge_audits,
    labels,
    own_pairs,
    prompts,
    records,
    rewards,
    rollout_pairs,
    rollout_ranking,
    rollouts,
    users,
)
from backend.services.studio import Studio
from backend.types import IterationRecord
from db.tables import Judgement, Pair, Run, Sample
from tests import factory
from tests.browser.conftest import Opener, draw_pairs, serious
from tests.integration.test_store_rollout_ranking import BOUTS, SIZE, group
from workers import sheets

RATES = [1.0, 2 / 3, 1 / 3, 0.0]
WINS = {"name": "wins", "kind": "win-rate", "config": {"judge": "pocket-judge"}}
ACCURACY = {"value": 0.9, "low": 0.8, "high": 0.95, "pairs": 40}
PASSED = {"tests": [], "passed": True, "failed": [], "accuracy": ACCURACY}


@pytest.fixture
def run(store: Studio, project: int) -> int:
    """A run whose judge likes each group's first picture best, over twelve groups."""
    policy = draw_pairs(store, project, 1).policy_id
    texts = "\n".join(f"prompt {number}" for number in range(12))
    prompts.import_text(store, project, "train", "train", texts)
    config = RunConfig.read(factory.config(rewards=[WINS])).plain()
    with store.write() as session:  # done already: no worker may take it up
        made = Run(
            project_id=project, name="wins", status="done", config=config, seed=0, policy_id=policy
        )
        made.step = made.num_steps = 1
        session.add(made)
        session.flush()
        run_id = int(made.id)
    groups = [group(number, RATES, BOUTS) for number in range(12)]
    strips = [records.Sheets(store.media.put(strip(i)), None) for i in range(12)]
    records.iteration(store, run_id, IterationRecord(1, {}, 1, {}, groups), strips)
    return run_id


def strip(number: int) -> bytes:
    """Four pictures of a group side by side."""
    return sheets.strip(world.render_many(world.draw(SIZE, seed=number), number))


def test_rollouts_show_who_is_better_by_the_judge_and_people_in_one_fit(
    visit: Opener, store: Studio, run: int
) -> None:
    first = int(rollouts.page(store, run)["groups"][0]["id"])
    pair = rollout_pairs.make_pair(store, first, best=0, worst=3)
    for name in ("one", "two", "three"):
        user = users.create(store, f"{name} of {run}")["id"]
        labels.store(store, user, factory.label(pair, "right"))
    (judge,) = rollout_ranking.of_group(store, first)["judges"]
    visitor = visit()
    page = visitor.go(f"/runs/{run}/rollouts?group={first}")
    section = page.get_by_test_id("ranking")
    section.get_by_text("6 verdicts of the judge and 3 votes of people in one fit.").wait_for()
    rows = section.get_by_test_id("ranking-table").locator("tbody tr")
    shown = [rows.nth(i).locator("td.num").all_inner_texts() for i in range(SIZE)]
    tiles = [int(rows.nth(i).get_attribute("data-tile") or -1) for i in range(SIZE)]
    ranked = sorted(judge["samples"], key=lambda one: -one["both"])
    assert tiles == [one["tile"] for one in ranked]
    assert [number(row[2]) for row in shown] == [round(one["both"], 2) for one in ranked]
    assert [number(row[1]) for row in shown] == [round(one["judge"], 2) for one in ranked]
    # win rates fall with the place in all twelve groups, and the judge is not audited
    expect(section.get_by_test_id("place")).to_have_count(SIZE)
    assert section.get_by_test_id("audit-mark").inner_text().strip() == "unaudited"
    section.scroll_into_view_if_needed()
    visitor.shoot("rollouts-ranking")


def number(text: str) -> float:
    """A figure as the pages write it."""
    return float(text.replace("−", "-").replace("±", ""))


def test_a_judge_is_marked_unaudited_wherever_it_appears(
    visit: Opener, store: Studio, project: int, run: int
) -> None:
    judge = rewards.create(store, project, "judge", "pocket-judge", {})["id"]
    term = quote(json.dumps([WINS]))
    visitor = visit()

    def marks(path: str, within: str = "") -> list[str]:
        page = visitor.go(path)
        found = page.locator(f"{within} [data-testid=audit-mark]".strip())
        found.first.wait_for()
        return [text.strip() for text in found.all_inner_texts()]

    places = {
        f"/rewards?reward={judge}": "",
        f"/runs/new?rewards={term}": "[data-testid=reward-mix]",
        f"/runs/{run}": "",
        f"/rewards/lab?set=newest&mix={judge}:1:1": "[data-testid=lab-term]",
    }
    for path, within in places.items():
        assert set(marks(path, within)) == {"unaudited"}, path
    judge_audits.record(store, judge, PASSED)
    assert set(marks(path, within)) == {"audited"}
    judge_audits.record(store, judge, {**PASSED, "own": True, "passed": False, "failed": ["ties"]})
    page = visitor.go(f"/rewards?reward={judge}")
    expect(page.get_by_test_id("audit")).to_contain_text("audit failed")
    title = page.get_by_test_id("audit").get_by_test_id("audit-mark").get_attribute("title")
    assert title == "failed: ties on own pairs"
    assert serious(page) == []


def test_the_audit_on_own_pairs_is_asked_for_by_a_click_and_shows_its_tests(
    visit: Opener, store: Studio, project: int
) -> None:
    """Simulated answers count only where the box says so; the studio's own worker does the rest."""
    judge = rewards.create(store, project, "judge", "pocket-judge", {})["id"]
    robot = users.simulated(store, f"robot of {judge}")["id"]
    for pair in draw_pairs(store, project, own_pairs.LEAST).pair_ids:
        labels.store(store, robot, factory.label(pair, "left", left="a"))
    visitor = visit()
    page = visitor.go(f"/rewards?reward={judge}")
    page.get_by_test_id("audit-own").click()
    page.get_by_text("People have decided 0 pairs of pictures here").wait_for()
    page.get_by_test_id("audit-simulated").check()
    page.get_by_test_id("audit-own").click()
    tests = page.get_by_test_id("audit-test")
    tests.first.wait_for(timeout=120_000)
    named = [name.strip() for name in tests.locator("td:nth-child(2)").all_inner_texts()]
    assert sorted(named) == sorted(
        ["order flips", "consistency", "agreement", "ties", "master keys", "blindness"]
    )
    section = page.get_by_test_id("audit")
    told = section.get_by_text("by what most people chose").inner_text()
    assert f"on {own_pairs.LEAST} pairs" in told
    # the right picture is always the one that was chosen, so nothing but its habits can fail
    report = rewards.get(store, judge)["figures"]["audit_own"]
    assert report["accuracy"]["value"] > 0.8
    assert set(tests.locator("td:nth-child(1)").all_inner_texts()) <= {"passed", "failed"}
    assert serious(page) == []
    visitor.shoot("audit-own-pairs")
    visitor.complaints[:] = [text for text in visitor.complaints if "422" not in text]


def test_the_pair_dialog_shows_what_judges_said_among_peoples_answers(
    visit: Opener, store: Studio, project: int
) -> None:
    (pair,) = draw_pairs(store, project, 1).pair_ids
    labels.store(store, users.local(store)["id"], factory.label(pair, "left", left="a"))
    with store.write() as session:
        row = session.get_one(Pair, pair)
        a, b = (seen(store, session.get_one(Sample, i)) for i in (row.sample_a_id, row.sample_b_id))
        common: dict[str, Any] = {"kind": "judge-pair", "status": "ok", "latency_s": 2.0}
        session.add_all(
            [
                Judgement(question=f"1 {pair}", first=a, second=b, value=0.9, **common),
                Judgement(
                    question=f"2 {pair}",
                    first=b,
                    second=a,
                    value=0.5,
                    criterion="style",
                    reason="both are round",
                    **common,
                ),
            ]
        )
    visitor = visit()
    page = visitor.go("/leaderboard")
    page.evaluate(
        "(id) => { import('/static/js/pairs_behind.js').then((m) => m.openPair(id)); }", pair
    )
    rows = page.get_by_test_id("judge-answer")
    rows.first.wait_for()
    assert rows.count() == 2 and page.get_by_test_id("answers").locator("tbody tr").count() == 3
    first, second = rows.all_inner_texts()
    assert "shown first" in first and "judge" in first
    assert "style" in second and "both are round" in second and "shown" not in second
    assert serious(page) == []
    visitor.shoot("pair-dialog-judges")


def seen(store: Studio, sample: Sample) -> str:
    """By what a judge knows the picture."""
    with Image.open(io.BytesIO(store.media.read(sample.media))) as image:
        return digest(np.asarray(image.convert("RGB")))
