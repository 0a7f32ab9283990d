"""The palette from the keyboard alone, and what Today tells a researcher."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import expect

from backend.services import records
from backend.services.records import StoredCheckpoint
from backend.services.studio import Studio
from db.tables import Job
from tests import seed
from tests.browser.conftest import Opener, serious


@pytest.fixture
def seeded(store: Studio, project: int) -> seed.Seeded:
    """Runs, rewards and prompts; one run has kept a checkpoint."""
    return seed.project(store, steps=2)


def test_the_palette_finds_and_goes_by_keyboard_alone(visit: Opener, shown: seed.Seeded) -> None:
    visitor = visit()
    page = visitor.go("/")
    page.keyboard.press("Control+k")
    field = page.get_by_test_id("palette")
    expect(field).to_be_focused()
    page.keyboard.type("pocket-02")
    chosen = page.get_by_role("option", selected=True)
    expect(chosen).to_contain_text("g2rpo-pocket-02")
    for theme in ("dark", "light"):
        page.emulate_media(color_scheme=theme)
        visitor.shoot(f"palette-{theme}")
        assert serious(page, colours=theme == "light") == []
    first = chosen.inner_text()
    page.keyboard.press("ArrowDown")
    expect(page.get_by_role("option", selected=True)).not_to_have_text(first)
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(rf"/runs/{shown.runs['g2rpo-pocket-02']}$"))
    visitor.ready()

    page.get_by_test_id("more-actions").click()
    with page.expect_download() as taken:
        page.get_by_test_id("take-report").click()
    assert taken.value.suggested_filename.startswith("g2rpo-pocket-02")

    page.keyboard.press("Control+k")
    page.keyboard.type("no such thing")
    expect(page.get_by_text("Nothing is called that")).to_be_visible()
    page.keyboard.press("Escape")
    expect(field).to_have_count(0)
    page.keyboard.press("Control+k")
    page.keyboard.type("compare")
    page.keyboard.press("Enter")
    page.wait_for_url("**/compare")
    visitor.ready()
    page.keyboard.type("go")
    page.wait_for_url(re.compile(rf"/runs/{max(shown.runs.values())}/rollouts"))


def test_today_tells_what_works_and_what_was_kept(
    visit: Opener, store: Studio, seeded: seed.Seeded
) -> None:
    run = seeded.runs["g2rpo-pocket-02"]
    data = store.media.put(b"x")
    for step in (20, 40):
        records.checkpoint(store, run, StoredCheckpoint(step, data, data, None, {}))
    with store.write() as session:
        args = {"policy_id": seeded.policies["base"], "make_pairs": False}
        job = Job(kind="generate", queue="none", args=args, status="running", progress=0.4)
        job.message, job.heartbeat_at = "12 of 30 pictures drawn", 4e9
        session.add(job)
    visitor = visit()
    page = visitor.go("/")
    # A job of an earlier test may still be ending beside it.
    working = page.get_by_test_id("working").filter(has_text="12 of 30 pictures drawn")
    expect(working).to_contain_text("40 %")
    kept = page.get_by_test_id("checkpoint").filter(has_text="g2rpo-pocket-02")
    expect(kept).to_contain_text("step 40")
    visitor.shoot("today-working-light")
    assert serious(page) == []
    kept.get_by_role("link", name="Look").click()
    page.wait_for_url("**/compare?sources=*")
    visitor.ready()
    expect(page.locator(".src")).to_have_count(2)
    with store.write() as session:
        session.merge(job).status = "done"
