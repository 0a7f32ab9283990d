"""Runs, Run, Rollouts, New run and Rewards as people meet them, on the project of tests/seed."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Route, expect

from backend.services.studio import Studio
from db.tables import Run
from tests import seed
from tests.browser.conftest import Opener, in_both_themes, serious, stop_run

PAGES = {
    "runs": "/runs",
    "run": "/runs/{run}",
    "rollouts": "/runs/{run}/rollouts",
    "new-run": "/runs/new",
    "rewards": "/rewards",
}
LIVE = "g2rpo-pocket-06"


@pytest.mark.parametrize("name", list(PAGES))
def test_the_run_pages_are_drawn_and_accessible(
    name: str, visit: Opener, shown: seed.Seeded
) -> None:
    visitor = visit()
    page = visitor.go(PAGES[name].format(run=shown.runs[LIVE]))
    expect(page.locator("h1")).to_have_count(1)
    for theme in in_both_themes(page):
        visitor.shoot(f"{name}-{theme}")
        assert page.locator(".btn.primary:visible").count() <= 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440
        assert serious(page, colours=theme == "dark") == []


def test_the_run_pages_can_be_read_on_a_phone(visit: Opener, shown: seed.Seeded) -> None:
    visitor = visit(width=390, height=844)
    for name, path in PAGES.items():
        page = visitor.go(path.format(run=shown.runs[LIVE]))
        expect(page.locator("h1")).to_have_count(1)
        visitor.shoot(f"{name}-phone")
        assert page.evaluate("document.getElementById('main').scrollWidth") <= 390, name


def test_an_empty_project_says_what_will_be_there_and_the_next_move(
    visit: Opener, project: int
) -> None:
    visitor = visit()
    page = visitor.go("/runs")
    expect(page.get_by_text("No runs yet")).to_be_visible()
    expect(page.get_by_test_id("new-run")).to_be_visible()
    assert serious(page) == []
    visitor.shoot("runs-empty-light")
    page = visitor.go("/rewards")
    expect(page.get_by_text("No rewards yet")).to_be_visible()
    expect(page.get_by_test_id("train-reward")).to_be_disabled()
    assert serious(page) == []
    visitor.shoot("rewards-empty-light")


def test_the_filter_of_runs_lives_in_the_address_and_two_runs_are_compared(
    visit: Opener, shown: seed.Seeded
) -> None:
    page = visit().go("/runs?status=done")
    expect(page.get_by_test_id("run-row")).to_have_count(2)
    page.get_by_test_id("filter-failed").click()
    expect(page.get_by_test_id("run-row")).to_have_count(1)
    expect(page).to_have_url(re.compile("status=failed"))
    late: list[Route] = []
    page.route("**/api/v1/runs?*status=waiting*", lambda route: late.append(route))
    page.get_by_test_id("filter-waiting").click()
    expect(page).to_have_url(re.compile("status=waiting"))
    page.get_by_test_id("filter-all").click()
    expect(page.get_by_test_id("run-row")).to_have_count(6)
    with page.expect_response("**/api/v1/runs?*status=waiting*"):
        for route in late:
            route.continue_()
    page.evaluate("new Promise(done => setTimeout(done, 20))")  # too late to be shown
    assert page.get_by_test_id("run-row").count() == 6
    for name in ("flow-grpo-pocket-01", "g2rpo-pocket-02"):
        page.get_by_label(f"Select {name}").check()
    page.get_by_test_id("compare-runs").click()
    page.wait_for_url("**/runs/compare?runs=*")
    expect(page.get_by_test_id("compared-run")).to_have_count(2)
    tuned = shown.policies
    blind = str(page.get_by_test_id("compare-blind").get_attribute("href"))
    for name in ("flow-grpo-pocket-01", "g2rpo-pocket-02"):
        assert str(tuned[name]) in blind


def test_the_scrubber_moves_charts_samples_figures_and_the_address(
    visit: Opener, shown: seed.Seeded
) -> None:
    page = visit().go(f"/runs/{shown.runs[LIVE]}")
    scrubber = page.get_by_test_id("step-scrubber")
    expect(scrubber).to_have_attribute("aria-valuenow", "60")
    scrubber.focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(scrubber).to_have_attribute("aria-valuenow", "49")
    expect(page.locator(".cell .cur:not([data-step='49'])")).to_have_count(
        0
    )  # those out of view too
    expect(page.locator(".cell .cur").nth(9)).to_be_attached()  # those come one by one
    expect(page.locator(".cell .cur:not([data-step='49'])")).to_have_count(0)
    expect(page.locator(".smp th.now")).to_have_text("40")
    expect(page.get_by_test_id("this-iteration")).to_contain_text("Iteration 49")
    expect(page).to_have_url(re.compile("step=49"))
    page.reload()
    again = page.get_by_test_id("step-scrubber")
    expect(again).to_have_attribute("aria-valuenow", "49")
    page.get_by_test_id("step-scrubber").press("End")
    expect(page.get_by_test_id("this-iteration")).to_contain_text("Iteration 60")
    expect(page).not_to_have_url(re.compile("step="))


def test_a_new_iteration_is_in_the_charts_by_itself(
    visit: Opener, seeded: seed.Seeded, store: Studio
) -> None:
    run = seeded.runs[LIVE]
    page = visit().go(f"/runs/{run}")
    expect(page.get_by_test_id("live-state")).to_have_text("live")
    for step in (61, 62, 63):
        seed.iteration(store, run, step)
        page.wait_for_function(
            "step => document.getElementById('main').dataset.lastStep === String(step)", arg=step
        )
    assert page.locator(".cell .cur").first.get_attribute("data-step") == "63"
    seed.evaluation(store, run, 63)
    expect(page.locator(".smp th.now")).to_have_text("63")


def test_a_point_of_a_chart_opens_the_rollouts_of_its_step(
    visit: Opener, shown: seed.Seeded
) -> None:
    page = visit().go(f"/runs/{shown.runs[LIVE]}")
    page.get_by_test_id("chart-spread").locator("svg.ch").click(position={"x": 100, "y": 60})
    page.wait_for_url(re.compile(r"/rollouts\?step=\d+"))


def test_an_enlarged_chart_is_plotly_served_by_the_studio(
    visit: Opener, shown: seed.Seeded
) -> None:
    visitor = visit()
    page = visitor.go(f"/runs/{shown.runs[LIVE]}")
    page.get_by_label("Enlarge the held-out chart").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector("[data-testid=big-chart][data-ready=yes]")
    assert page.locator(".js-plotly-plot").count() == 1
    visitor.shoot("run-enlarged-light")


def test_a_recipe_becomes_a_run_with_no_typing(
    visit: Opener, seeded: seed.Seeded, store: Studio
) -> None:
    visitor = visit()
    page = visitor.go("/runs/new")
    start = page.get_by_test_id("start-run")
    expect(start).to_be_enabled()
    page.get_by_test_id("fix").first.click()  # fewer held-out prompts: the set has 64
    expect(page.get_by_test_id("changes")).to_contain_text("change")
    expect(start).to_be_enabled()
    start.click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    expect(page.get_by_test_id("run-step")).to_be_visible()
    run_id = int(page.url.rsplit("/", 1)[1])
    with store.read() as session:
        run = session.get(Run, run_id)
        assert run is not None and run.project_id == seeded.project
        assert run.config["evaluation"]["num_prompts"] <= 64
    stop_run(store, run_id)


def test_a_wrong_value_is_said_beside_its_field_and_keeps_start_shut(
    visit: Opener, shown: seed.Seeded
) -> None:
    visitor = visit()
    page = visitor.go("/runs/new")
    expect(page.get_by_test_id("start-run")).to_be_enabled()
    rate = page.get_by_test_id("field-optim.lr")
    rate.fill("fast")
    expect(rate).to_have_attribute("aria-invalid", "true")
    expect(page.locator(".err", has_text="is not a number")).to_be_visible()
    expect(page.get_by_test_id("start-run")).to_be_disabled()
    rate.fill("2e-4")
    steps = page.get_by_test_id("field-method.settings.fork_steps")
    steps.fill("0, 40")
    expect(page.get_by_test_id("start-why")).to_contain_text("fork steps")
    expect(page.locator(".err", has_text="choices are 0 to 9")).to_be_visible()
    expect(steps).to_be_focused()
    expect(page.get_by_test_id("start-run")).to_be_disabled()
    visitor.shoot("new-run-blocked-light")
    visitor.complaints[:] = [text for text in visitor.complaints if "422" not in text]


def test_a_clone_shows_its_difference_and_knows_its_parent(
    visit: Opener, seeded: seed.Seeded, store: Studio
) -> None:
    page = visit().go(f"/runs/new?clone={seeded.runs['g2rpo-pocket-02']}")
    expect(page.get_by_test_id("changes")).to_contain_text("No differences")
    expect(page.get_by_test_id("start-why")).to_contain_text("reward people")
    page.get_by_label("Remove people").click()
    page.get_by_test_id("weight-verifier").fill("0.5")
    expect(page.get_by_test_id("changes")).to_contain_text("change")
    expect(page.get_by_test_id("start-run")).to_be_enabled()
    page.get_by_test_id("start-run").click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    run_id = int(page.url.rsplit("/", 1)[1])
    with store.read() as session:
        run = session.get(Run, run_id)
        assert run is not None and run.parent_id == seeded.runs["g2rpo-pocket-02"]
        assert run.config["rewards"][0]["weight"] == 0.5
    stop_run(store, run_id)


def test_a_learned_reward_shows_its_accuracy_and_five_bins_and_what_it_likes(
    visit: Opener, shown: seed.Seeded
) -> None:
    visitor = visit()
    page = visitor.go("/rewards")
    expect(page.get_by_test_id("reward-accuracy")).to_have_text("74.1 %")
    expect(page.get_by_test_id("calibration-bin")).to_have_count(5)
    for order in ("high", "low"):
        expect(page.get_by_test_id(f"samples-{order}").locator("img")).to_have_count(8)
    expect(page.get_by_test_id("simulate")).to_contain_text("simulated")
    before = page.get_by_test_id("train-reward").inner_text()
    page.get_by_test_id("include-simulated").check()
    expect(page.get_by_test_id("train-reward")).not_to_have_text(before)
    page.get_by_test_id("use-in-run").click()
    page.wait_for_url("**/runs/new?*")
    expect(page.get_by_test_id("role-people")).to_have_value("trained")
    expect(page.get_by_test_id("role-verifier")).to_have_value("watched")
