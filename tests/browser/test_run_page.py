"""The Run page as people steer a run: what they change and end, what warns them, its log."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import Page, expect

from backend.services import alarms, jobs, orders
from backend.services.studio import Studio
from db.tables import Event, Iteration, Job, Run
from tests import seed
from tests.browser.conftest import Opener

LIVE = "g2rpo-pocket-06"


NO_ROUNDS = """const later = window.setTimeout;
window.setTimeout = (what, ms, ...more) => (ms === 5000 ? 0 : later(what, ms, ...more));"""
"""The bar does not ask what runs every five seconds: what it shows, the page has told it."""


@pytest.fixture
def run_id(store: Studio, project: int) -> int:
    """The seeded live run, at work in somebody's hands."""
    made = seed.project(store)
    assert made.project == project
    found = made.runs[LIVE]
    with store.write() as session:
        heard = time.time() + 3600  # so that nobody takes the job from its worker
        args = {"run_id": found}
        job = Job(kind="train", queue="nobody", args=args, status="running", attempt=1)
        job.heartbeat_at, job.worker = heard, "somebody"
        session.add(job)
        session.flush()
        session.get_one(Run, found).job_id = job.id
    return found


def opened(visit: Opener, path: str) -> Page:
    page = visit().go(path)
    expect(page.get_by_test_id("live-state")).to_have_text("live")
    return page


def test_a_setting_is_changed_while_it_runs_and_marked_in_the_charts(
    visit: Opener, store: Studio, run_id: int
) -> None:
    visitor = visit()
    page = visitor.go(f"/runs/{run_id}")
    expect(page.get_by_test_id("live-state")).to_have_text("live")
    page.get_by_test_id("change-settings").click()
    rate = page.get_by_test_id("set-optim.lr")
    rate.fill("-1")
    page.get_by_test_id("send-changes").click()
    expect(page.get_by_text("Not changed")).to_be_visible()
    expect(rate).to_be_focused()
    rate.fill("2e-5")
    page.get_by_test_id("set-rewards.people.weight").fill("0.25")
    page.get_by_test_id("send-changes").click()
    listed = page.get_by_test_id("orders").locator("li")
    expect(listed).to_have_count(2)
    expect(listed.first).to_contain_text("waits")
    expect(page.locator("svg.ch .mark")).to_have_count(0)
    visitor.complaints[:] = [text for text in visitor.complaints if "422" not in text]
    orders.heed(store, run_id, 60)  # as the loop does between two updates
    expect(listed.first).to_contain_text("step 60")
    expect(page.get_by_test_id("chart-rewards").locator(".mark[data-step='60']")).to_have_count(2)
    name = str(orders.rows(store, run_id)["orders"][0]["by"])
    expect(listed.last).to_contain_text(f"by {name}")
    page.get_by_test_id("sample-now").click()
    expect(listed).to_have_count(3)
    expect(listed.first).to_contain_text("pictures")


def test_tab_step_zoom_and_smoothing_are_in_the_address_and_survive_a_reload(
    visit: Opener, run_id: int
) -> None:
    page = opened(visit, f"/runs/{run_id}?step=49")
    expect(page.get_by_test_id("samples-of")).to_have_text("of step 40, nearest to 49")
    plot = page.get_by_test_id("chart-spread").locator(".plot")
    plot.scroll_into_view_if_needed()
    box = plot.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 60, box["y"] + 50)
    page.mouse.down()
    page.mouse.move(box["x"] + 140, box["y"] + 50, steps=4)
    page.mouse.up()
    expect(page.get_by_test_id("zoomed")).to_be_visible()
    page.get_by_test_id("smoothing").select_option("25")
    page.get_by_test_id("tab-log").click()
    seen = page.get_by_test_id("zoomed").inner_text()
    expect(page).to_have_url(re.compile(r"step=49&zoom=\d+-\d+&smooth=25&tab=log"))
    page.reload()
    expect(page.get_by_test_id("zoomed")).to_have_text(seen)
    expect(page.get_by_test_id("step-scrubber")).to_have_attribute("aria-valuenow", "49")
    expect(page.get_by_test_id("smoothing")).to_have_value("25")
    expect(page.get_by_test_id("tab-log")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("whole-log")).to_be_visible()
    page.get_by_test_id("unzoom").click()
    expect(page).not_to_have_url(re.compile("zoom"))


def test_a_figure_without_a_value_is_a_gap_that_is_seen_and_an_alarm(
    visit: Opener, store: Studio, run_id: int
) -> None:
    with store.write() as session:
        row = session.get_one(Iteration, (run_id, 25))
        row.metrics = {**row.metrics, "spread": None}
    story = alarms.story_of(store, run_id)
    story.updates = [update for update in story.updates if update[0] <= 25]
    alarms.look(store, run_id, story)
    page = opened(visit, f"/runs/{run_id}")
    chart = page.get_by_test_id("chart-spread")
    expect(chart.locator(".gap")).to_have_attribute("data-step", "25")
    assert str(chart.locator("path.ln").get_attribute("d")).count("M") == 2
    alarm = page.get_by_test_id("alarm").and_(page.locator("[data-rule='not-a-number']"))
    expect(alarm).to_contain_text("spread has no finite value.")
    page.get_by_test_id("alarm-rules").click()
    table = page.get_by_test_id("rules-table")
    expect(table.locator("tbody tr")).to_have_count(len(alarms.rules()))
    expect(table).to_contain_text("step 25, spread")
    page.keyboard.press("Escape")
    alarm.get_by_test_id("close-alarm").click()
    expect(alarm).to_have_count(0)
    page.get_by_role("button", name="Undo").click()
    expect(alarm).to_have_count(1)
    alarm.get_by_test_id("alarm-link").click()
    page.wait_for_url(re.compile(r"step=25&show=log"))
    expect(page.get_by_test_id("whole-log")).to_be_visible()


def test_stopping_is_said_until_the_run_is_over_and_it_can_be_stopped_at_once(
    visit: Opener, store: Studio, run_id: int
) -> None:
    visitor = visit(fresh=True)
    visitor.page.add_init_script(NO_ROUNDS)
    page = opened(lambda: visitor, f"/runs/{run_id}")
    expect(page.locator("#pulse")).to_contain_text("running")
    page.get_by_test_id("stop-after-step").click()
    page.get_by_role("button", name="Stop after step", exact=True).last.click()
    expect(page.get_by_test_id("stop-after-step")).to_have_text("Stopping")
    expect(page.get_by_test_id("run-status").first).to_have_text("Stopping")
    expect(page.locator("#pulse")).to_contain_text("stopping")
    page.get_by_test_id("more-actions").click()
    page.get_by_test_id("stop-now").click()
    expect(page.get_by_text("the checkpoint at step 60")).to_be_visible()
    page.get_by_role("button", name="Stop now", exact=True).last.click()
    expect(page.get_by_test_id("stop-now")).to_have_count(0)
    expect(page.get_by_test_id("run-status").first).to_have_text("Stopping")
    with store.read() as session:
        job_id = session.get_one(Run, run_id).job_id
    assert job_id is not None and jobs.wanted(store, job_id, 1) == "halt"
    jobs.end(store, job_id, 1, "stopped")
    expect(page.get_by_test_id("run-status").first).to_have_text("Stopped")
    expect(page.locator("#pulse")).to_be_hidden()
    expect(page.get_by_test_id("resume")).to_be_visible()


def test_the_log_is_filtered_by_level_and_words_and_jumps_to_the_error(
    visit: Opener, store: Studio, run_id: int
) -> None:
    with store.write() as session:
        for number in range(20):
            level = "warning" if number % 5 == 0 else "info"
            session.add(Event(run_id=run_id, text=f"line {number}", level=level))
        session.add(Event(run_id=run_id, text="The reward broke.", level="error"))
        session.add_all(Event(run_id=run_id, text=f"later {n}", level="info") for n in range(250))
    page = opened(visit, f"/runs/{run_id}?tab=log")
    lines = page.get_by_test_id("whole-log").locator("li")
    expect(lines).to_have_count(200)
    page.get_by_test_id("jump-error").click()
    told = page.get_by_test_id("whole-log").locator("li.told")
    expect(told).to_contain_text("The reward broke.")
    expect(told).to_be_in_viewport()
    page.get_by_test_id("log-level").select_option("warning")
    expect(lines).to_have_count(5)
    page.get_by_test_id("log-search").fill("LINE 1")
    expect(lines).to_have_count(2)
    expect(page).to_have_url(re.compile(r"level=warning&words=LINE\+1"))
