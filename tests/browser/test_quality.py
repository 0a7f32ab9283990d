"""Quality and Leaderboard: the numbers are the service's, a person is excluded and brought back by
one key, a low α leads to its pairs and a rank to its own."""

from __future__ import annotations

import math

import pytest
from playwright.sync_api import expect
from sqlalchemy import select

from backend.preferences.studies import StudyConfig
from backend.services import leaderboard, policies, quality, samples, studies, users
from backend.services.leaderboard import Votes
from backend.services.samples import NewSample
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db.queries import is_no_fact
from db.tables import Label, Pair, Sample
from tests.browser.conftest import Opener, draw_pairs, serious

ALWAYS_LEFT = "always left"


@pytest.fixture
def judged(store: Studio, project: int) -> int:
    """A study of two policies, judged by two who agree mostly and one who always chooses left."""
    first = draw_pairs(store, project, 24)
    other = policies.create(store, project, "tuned", "sd3", {"weights": "pocket"})["id"]
    with store.read() as session:
        query = select(Sample).where(Sample.policy_id == first.policy_id).order_by(Sample.id)
        drawn = session.scalars(query).all()
    half = drawn[:24]
    new = [NewSample(s.prompt_id, s.seed, drawn[24 + i].media, 64, 64) for i, s in enumerate(half)]
    ids = [sample.id for sample in half], samples.add(store, project, other, new)
    config = StudyConfig.read({"overlap": 3, "aspects": ["count"]})
    wanted = NewStudy("Trust", "images", config, sample_ids=(*ids[0], *ids[1]))
    study = int(studies.create(store, project, wanted)["id"])
    people = [users.create(store, f"{name} {study}")["id"] for name in ("ann", "ben", ALWAYS_LEFT)]
    with store.write() as session:
        pairs = session.scalars(
            select(Pair.id).where(Pair.study_id == study, is_no_fact()).order_by(Pair.id)
        ).all()
        for number, pair in enumerate(pairs):
            for who, person in enumerate(people):
                left = "ab"[(number + who) % 2]
                said = "b" if number % 6 or who else "a"
                said = left if who == 2 else said
                session.add(
                    Label(
                        pair_id=pair,
                        user_id=person,
                        client_id=f"{study}-{number}-{who}",
                        choice="left" if said == left else "right",
                        shown_left=left,
                        t_shown=1_760_000_000.0 + 86_400 * (number // 12),
                        t_answer=1_760_000_002.0 + 86_400 * (number // 12) + who,
                        answers={"aspects": {"count": "left"}} if who < 2 else {},
                    )
                )
    return study


def written(value: float | None) -> str:
    """A number as the pages write it."""
    if value is None or not math.isfinite(value):
        return "–"
    text = f"{abs(value):.2f}".removeprefix("0")
    return ("−" if value < 0 else "") + text


def test_quality_shows_the_services_numbers_and_z_brings_a_person_back(
    visit: Opener, store: Studio, project: int, judged: int
) -> None:
    visitor = visit()
    page = visitor.go(f"/studies/{judged}/quality")
    found = quality.figures(store, judged)
    expect(page.get_by_test_id("alpha-value")).to_have_text(
        [written(row["alpha"]) for row in found["aspects"]]
    )
    flagged = page.get_by_test_id("person").first
    expect(flagged).to_contain_text(ALWAYS_LEFT)
    expect(flagged.get_by_test_id("flag")).to_contain_text("Chose the left one in 100 % of 24")
    visitor.shoot("quality-light")
    assert serious(page) == []

    board = leaderboard.board(store, project, Votes())
    flagged.get_by_test_id("exclude-annotator").click()
    expect(page.get_by_test_id("undo")).to_be_visible()
    after = quality.figures(store, judged)
    assert after["aspects"][0]["alpha"] != found["aspects"][0]["alpha"]
    expect(page.get_by_test_id("alpha-value").first).to_have_text(
        written(after["aspects"][0]["alpha"])
    )
    assert leaderboard.board(store, project, Votes()) != board
    page.keyboard.press("z")
    expect(page.get_by_test_id("undo")).to_have_count(0)
    expect(page.get_by_test_id("alpha-value").first).to_have_text(
        written(found["aspects"][0]["alpha"])
    )
    assert leaderboard.board(store, project, Votes()) == board

    page.get_by_test_id("to-disputed").first.click()
    tiles = page.get_by_test_id("behind")
    expect(tiles.first).to_be_visible()
    parted = quality.disputed(store, judged)
    assert tiles.first.get_attribute("data-pair") == str(parted["items"][0]["pair_id"])
    tiles.first.click()
    expect(page.get_by_test_id("answers").locator("tbody tr")).to_have_count(3)
    page.keyboard.press("Escape")
    page.keyboard.press("2")
    expect(page.get_by_test_id("matrix")).to_contain_text("ann")


def test_the_leaderboard_shows_the_services_numbers_and_leads_to_the_pairs(
    visit: Opener, store: Studio, project: int, judged: int
) -> None:
    visitor = visit(theme="dark")
    page = visitor.go(f"/leaderboard?study={judged}")
    found = leaderboard.board(store, project, Votes(study_id=judged))
    rows = page.get_by_test_id("rank")
    expect(rows).to_have_count(2)
    expect(rows.first).to_contain_text(found["models"][0]["name"])
    expect(page.get_by_test_id("strength").first).to_have_text(
        "+" + written(found["models"][0]["strength"])
    )
    cell = found["cells"][0]
    expect(page.get_by_test_id("wins")).to_contain_text(f"{round(100 * cell['low'])}–")
    visitor.shoot("leaderboard-dark")
    assert serious(page) == []
    page.get_by_test_id("voters").locator("summary").click()
    ann = next(one for one in quality.figures(store, judged)["people"] if "ann" in one["name"])
    page.get_by_test_id(f"voter-{ann['id']}").check()
    hers = leaderboard.board(store, project, Votes(study_id=judged, annotators=(ann["id"],)))
    strength = hers["models"][0]["strength"]
    assert strength != found["models"][0]["strength"]
    expect(page.get_by_test_id("strength").first).to_have_text("+" + written(strength))
    page.get_by_test_id(f"voter-{ann['id']}").uncheck()
    page.get_by_test_id("rank-pairs").first.click()
    expect(page.get_by_test_id("behind")).to_have_count(24)
    page.keyboard.press("3")
    plain = leaderboard.board(store, project, Votes(study_id=judged), method="plain")
    expect(page.get_by_test_id("strength").first).to_have_text(
        written(plain["models"][0]["strength"])
    )


@pytest.mark.parametrize("path", ["/studies/{}/quality", "/leaderboard?study={}"])
def test_both_can_be_used_on_a_phone(path: str, visit: Opener, judged: int) -> None:
    visitor = visit(width=390, height=844, theme="dark" if "quality" in path else "light")
    page = visitor.go(path.format(judged))
    name = "quality" if "quality" in path else "leaderboard"
    visitor.shoot(f"{name}-phone")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    button = page.get_by_test_id("to-disputed" if name == "quality" else "rank-pairs").first
    box = button.bounding_box()
    assert box is not None and box["height"] >= 44
    button.click()
    expect(page.get_by_test_id("behind").first).to_be_in_viewport()
    assert serious(page) == []
