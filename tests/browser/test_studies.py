"""Studies: one from two checkpoints in four clicks, what people see while the form changes, what
they said, and the data out."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass

import pytest
from playwright.sync_api import Route, expect

from backend.preferences.studies import TEMPLATES
from backend.services import jobs, labels, pairs, policies, studies, study_views, users
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db.queries import Scope
from tests import factory
from tests.browser.conftest import (
    Drawn,
    Opener,
    draw_pairs,
    in_both_themes,
    serious,
    stop_job,
)
from tests.browser.windows import READY_MS, WORK_MS

FAITHFUL = next(template for template in TEMPLATES if template.name == "faithful")
NO_CHECKS = FAITHFUL.config.model_copy(update={"attention": 0.0})
"""One item in twenty handed out would be an attention check, which no count of items counts."""


@dataclass
class Asked:
    """A study of which one item is judged by two people who differ."""

    id: int
    drawn: Drawn
    disputed: int


@pytest.fixture
def asked(store: Studio, project: int) -> Asked:
    drawn = draw_pairs(store, project, 4)
    wanted = NewStudy("Faithful?", config=NO_CHECKS, from_policies=(drawn.policy_id,))
    study = int(studies.create(store, project, wanted)["id"])
    me, scope = users.local(store)["id"], Scope(study=study)
    other = users.create(store, f"second of {project}")["id"]
    first = pairs.next_pairs(store, project, me, 1, scope=scope)["pairs"][0]
    mine = factory.label(first["pair_id"], "left", f"mine of {project}", first["shown_left"])
    labels.store(store, me, mine, veiled=True)
    labels.store(store, other, factory.label(first["pair_id"], "tie", f"other of {project}"))
    return Asked(study, drawn, first["pair_id"])


def test_a_study_from_two_checkpoints_takes_four_clicks(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 4)
    tuned = policies.create(store, project, "tuned", "sd3", {"weights": "pocket"})["id"]

    def stopped_at_once(route: Route) -> None:  # before a worker can have drawn it
        reply = route.fetch()
        if route.request.method == "POST":
            stop_job(store, studies.rows(store, project, users.local(store))[0]["job_id"])
        route.fulfill(response=reply)

    page = visit().go("/studies")
    page.route("**/api/v1/studies", stopped_at_once)
    expect(page.get_by_test_id("start-study")).to_be_disabled()
    # Four clicks and no key from here on.
    page.locator(f"[data-policy='{drawn.policy_id}'] input").click()
    page.locator(f"[data-policy='{tuned}'] input").click()
    page.locator("[data-template=faithful]").click()
    expect(page.get_by_test_id("study-plan")).to_contain_text("4 items × 3 people = 12 judgements")
    page.get_by_test_id("start-study").click()
    expect(page.locator("h1")).to_have_text("pocket 0 against tuned", timeout=READY_MS)
    made = studies.rows(store, project, users.local(store))[0]
    args = jobs.get(store, made["job_id"])["args"]
    assert sorted(args["policy_ids"]) == [drawn.policy_id, tuned] and made["overlap"] == 3
    expect(page).to_have_url(re.compile(f"/studies/{made['id']}$"))
    expect(page.get_by_test_id("study-preview")).to_contain_text(FAITHFUL.config.question)
    expect(page.get_by_text("Its pictures were not drawn")).to_be_visible(timeout=WORK_MS)


def test_texts_come_in_by_a_file_and_are_given_further_items_and_a_picture(
    visit: Opener, store: Studio, project: int
) -> None:
    texts = [("A cat.", "A cat, asleep."), ("A <b>dog</b>.", "A cat, asleep.")]
    rows = [{"prompt": "What is it?", "text_a": a, "text_b": b} for a, b in texts]
    text = "\n".join(json.dumps(row) for row in [*rows, {"prompt": "What is it?"}])
    page = visit().go("/studies")
    page.get_by_test_id("mode-file").click()
    page.locator("[data-template=texts]").click()
    expect(page.get_by_test_id("row-like")).to_contain_text("text_a")
    expect(page.get_by_test_id("start-study")).to_be_disabled()
    page.get_by_test_id("study-file").set_input_files(
        {"name": "captions.jsonl", "mimeType": "application/jsonl", "buffer": text.encode()}
    )
    page.get_by_test_id("start-study").click()
    expect(page.locator("h1")).to_have_text("captions", timeout=READY_MS)
    expect(page.get_by_test_id("import-problems").locator("tbody tr")).to_have_count(
        1, timeout=WORK_MS
    )
    expect(page.get_by_test_id("item")).to_have_count(2)
    expect(page.get_by_test_id("study-preview")).to_contain_text("A cat, asleep.")
    page.get_by_test_id("add-items").click()
    expect(page.get_by_test_id("add-go")).to_be_disabled()
    page.locator("[data-testid=add-source] input").check()
    assert not serious(page)
    page.get_by_test_id("add-go").click()
    expect(page.get_by_test_id("item")).to_have_count(3)
    page.get_by_test_id("item").first.click()
    page.get_by_test_id("subject-file").set_input_files(
        {"name": "x.png", "mimeType": "image/png", "buffer": factory.png(3)}
    )
    expect(page.get_by_test_id("subject-said")).to_have_text("Set for 3 items.")
    expect(page.locator("dialog img.subject-img")).to_be_visible()
    page.get_by_test_id("subject-drop").click()
    expect(page.get_by_test_id("subject-said")).to_have_text("Taken from 3 items.")


def test_what_people_see_follows_the_form_and_no_judgement_is_lost(
    visit: Opener, store: Studio, asked: Asked
) -> None:
    visitor = visit()
    page = visitor.go(f"/studies/{asked.id}")
    shown = page.get_by_test_id("study-preview")
    expect(shown.locator("[data-question]")).to_have_count(3)
    expect(shown.locator("img")).to_have_count(2)
    page.get_by_test_id("field-question").fill("Which has <b>all</b> of it?")
    expect(shown).to_contain_text("Which has <b>all</b> of it?")
    page.get_by_test_id("field-aspects").fill("things, and their number\nplace")
    expect(shown.locator("[data-question='things, and their number']")).to_have_count(1)
    expect(shown.locator("[data-question]")).to_have_count(2)
    page.get_by_test_id("field-reasons").fill("hands")
    expect(shown.locator(".chip")).to_have_text(["Qhands"])
    expect(shown.get_by_test_id("answer-tie")).to_have_count(1)
    page.get_by_test_id("field-ties").uncheck()
    expect(shown.get_by_test_id("answer-tie")).to_have_count(0)
    page.get_by_test_id("field-overlap").fill("0")
    page.get_by_test_id("save-study").click()
    expect(page.get_by_test_id("field-overlap")).to_be_focused()
    page.get_by_test_id("field-overlap").fill("7")
    page.get_by_test_id("asks-you").check()
    expect(page.get_by_test_id("study-changes")).to_contain_text("people an item 3 → 7")
    assert studies.get(store, asked.id)["config"] == NO_CHECKS.plain(), "kept when asked to"
    page.get_by_test_id("save-study").click()
    expect(page.get_by_test_id("study-changes")).to_contain_text("Kept")
    now = studies.get(store, asked.id)
    assert now["labels"] == 2, "a changed overlap deletes no judgement"
    assert now["config"]["aspects"] == ["things, and their number", "place"]
    assert (now["config"]["overlap"], now["config"]["overlap_most"]) == (7, 7)
    assert now["config"]["people"] == [users.local(store)["id"]]
    visitor.go(f"/studies/{asked.id}")
    expect(page.get_by_test_id("field-aspects")).to_have_value("things, and their number\nplace")
    expect(page.get_by_test_id("field-overlap_most")).to_have_value("7")


def test_disputed_items_come_first_and_the_data_goes_out(
    visit: Opener, store: Studio, asked: Asked
) -> None:
    page = visit().go(f"/studies/{asked.id}")
    expect(page.get_by_test_id("item")).to_have_count(1)
    expect(page.get_by_test_id("item")).to_have_attribute("data-pair", str(asked.disputed))
    page.get_by_test_id("item").click()
    expect(page.locator("dialog")).to_contain_text("2 of 3 judgements")
    page.keyboard.press("Escape")
    page.get_by_test_id("items-all").click()
    expect(page.get_by_test_id("item")).to_have_count(4)
    page.get_by_test_id("export-format").select_option("trl")
    expect(page.get_by_test_id("export-help")).to_contain_text("No place for: ")
    expect(page.get_by_test_id("export-help")).to_contain_text("tie")
    page.get_by_test_id("export-count").click()
    expect(page.get_by_test_id("export-counted")).to_contain_text("1 label would be written.")
    page.get_by_test_id("export-format").select_option("jsonl")
    href = page.get_by_test_id("export-link").get_attribute("href")
    lines = page.request.get(page.url.split("/studies")[0] + str(href)).text().splitlines()
    assert [json.loads(line)["preferred"] in ("a", "b") for line in lines] == [True, False]
    page.get_by_test_id("close-study").click()
    expect(page.get_by_test_id("study-status")).to_have_text("closed")
    assert studies.get(store, asked.id)["status"] == "closed"


def test_pairs_come_in_and_a_row_that_cannot_be_read_is_listed(
    visit: Opener, store: Studio, asked: Asked
) -> None:
    samples = study_views.items(store, asked.id, limit=1)["items"][0]["samples"]
    left, right = (str(sample["url"]).rsplit("/", 1)[-1] for sample in samples)
    rows: list[dict[str, str]] = [
        {"prompt": "brought from elsewhere", "image_a": left, "image_b": right},
        {"prompt": "half of a pair", "image_a": left},
    ]
    text = "\n".join(json.dumps(row) for row in rows)
    page = visit().go(f"/studies/{asked.id}?items=all")
    expect(page.get_by_test_id("import-go")).to_be_disabled()
    page.get_by_test_id("import-file").set_input_files(
        {"name": "mine.jsonl", "mimeType": "application/jsonl", "buffer": text.encode()}
    )
    page.get_by_test_id("import-go").click()
    faults = page.get_by_test_id("import-problems").locator("tbody tr")
    expect(faults).to_have_count(1, timeout=WORK_MS)
    expect(faults.locator("td").nth(0)).to_have_text("2")
    expect(faults.locator("td").nth(1)).to_have_text("image_b")
    expect(page.get_by_test_id("import-said")).to_contain_text("1 pair")
    expect(page.get_by_test_id("item")).to_have_count(5)
    assert studies.get(store, asked.id)["items"] == 5


def test_studies_are_accessible_wide_and_narrow(visit: Opener, asked: Asked) -> None:
    for width, height in ((1440, 900), (390, 844)):
        visitor = visit(width=width, height=height)
        for name, path in (("studies", "/studies"), ("study", f"/studies/{asked.id}")):
            page = visitor.go(path)
            assert page.evaluate("document.documentElement.scrollWidth") <= width
            assert page.locator(".btn.primary:visible").count() <= 1
            for theme in in_both_themes(page) if width > 390 else ("light",):  # colours are alike
                visitor.shoot(f"{name}-{theme}-{width}")
                assert serious(page, colours=theme == "dark") == []
