"""The list of runs as people meet it: found by words and tags, put in order, compared by keys,
and short in the page however many there are.
"""

from __future__ import annotations

import re
import time

import pytest
import sqlalchemy as sa
from playwright.sync_api import expect

from backend.rl.recipe import RunConfig
from backend.services import jobs, prompts, records, run_rows, runs, workers
from backend.services.studio import Studio
from db.tables import Job, Run, Worker
from tests import factory
from tests.browser.conftest import Opener, serious

MANY = 2_000
AWAY = runs.About(place="elsewhere")
"""Kept from the studio's own worker, which would begin it."""


@pytest.fixture
def three(store: Studio, project: int) -> list[int]:
    """Runs alpha and beta with records and pictures of the same prompts, and gamma, which waits."""
    prompts.import_text(store, project, "train", "train", "\n".join(f"prompt {i}" for i in "abcd"))
    held = "\n".join(f"held-out {i}" for i in range(4))
    prompts.import_text(store, project, "heldout", "heldout", held)
    watch = [{"name": "light", "kind": "brightness"}]
    made = []
    for number, name in enumerate(("alpha", "beta", "gamma")):
        config = factory.config(watch=watch, num_steps=20, optim={"lr": 1e-4 * (1 + number)})
        run = int(runs.create(store, project, name, config, about=AWAY)["id"])
        made.append(run)
        if name == "gamma":
            break
        for step in range(1, 13):
            record = factory.iteration(step, reward=0.5 + (1 + number) * step / 100, groups=0)
            records.iteration(store, run, record)
        for step in (0, 6, 12):
            shown = [
                {
                    "prompt": f"held-out {prompt}",
                    "seed": 1,
                    "media": store.media.put(factory.png(100 * number + 10 * prompt + step, 16)),
                    "rewards": {"verifier": 0.5 + step / 100},
                }
                for prompt in range(2)
            ]
            measured = factory.evaluation(step, gain=(1 + number) * step / 100)
            measured.metrics |= {"gain/light": -step / 200, "gain_se/light": 0.01}
            records.evaluation(store, run, measured, shown)
        adapter = store.media.put(f"adapter {run}".encode())
        records.save_tuned_policy(store, run, adapter, 12)
        runs.want(store, run, "stop")
    return made


def test_three_keys_compare_two_runs_over_each_other(
    visit: Opener, store: Studio, three: list[int]
) -> None:
    visitor = visit()
    page = visitor.go("/runs?q=stopped-no&status=stopped")
    page.get_by_test_id("find-run").fill("")
    rows = page.get_by_test_id("run-row")
    expect(rows).to_have_count(2)
    page.locator("#main").click(position={"x": 700, "y": 600})
    for key in ("x", "j", "x", "Enter"):
        page.keyboard.press(key)
    page.wait_for_url(re.compile(r"/runs/compare\?runs="))
    beta, alpha = three[1], three[0]
    expect(page.get_by_test_id("compared-run")).to_have_count(2)
    overlaid = page.get_by_test_id("over-held-verifier")
    expect(overlaid.locator("path.ln")).to_have_count(2)
    expect(overlaid.locator("polygon.band")).to_have_count(2)
    grid = page.get_by_test_id("side-by-side")
    expect(grid.locator("tbody img")).to_have_count(4)
    expect(grid.locator("thead")).to_contain_text("step 12")
    difference = page.get_by_test_id("config-difference").locator("tbody tr")
    expect(difference).to_have_count(1)
    expect(difference).to_have_attribute("data-key", "optim.lr")
    blind = str(page.get_by_test_id("compare-blind").get_attribute("href"))
    tuned = [runs.get(store, run)["tuned_policy_id"] for run in (beta, alpha)]
    assert f"base={tuned[0]}" in blind and f"tuned={tuned[1]}" in blind
    chart = overlaid.locator("svg.ch")
    chart.click(position={"x": 60, "y": 60})
    expect(grid.locator("thead")).to_contain_text("step 0")
    expect(page).to_have_url(re.compile("step="))
    assert serious(page) == []
    visitor.shoot("runs-compare-light")


def test_the_queue_is_ordered_by_buttons_and_by_dragging_and_survives_a_reload(
    visit: Opener, store: Studio, three: list[int], project: int
) -> None:
    config = factory.config()
    gamma, delta, epsilon = (
        three[2],
        *(
            int(runs.create(store, project, name, config, about=AWAY)["id"])
            for name in ("delta", "epsilon")
        ),
    )
    workers.beat(store, "box-1", "train@box:0,train", "box", 1, "busy", 7)
    with store.write() as session:  # it would be gone 20 seconds later
        session.execute(
            sa.update(Worker).values(heartbeat_at=time.time() + 3_600).where(Worker.name == "box-1")
        )

    def order() -> list[int]:
        page = run_rows.page(store, project, run_rows.Wanted("waiting"))
        return [row["id"] for row in page["items"]]

    visitor = visit()
    page = visitor.go("/runs?status=waiting")
    expect(page.get_by_test_id("queue-place").first).to_have_text("next")
    with page.expect_response("**/api/v1/runs/queue"):
        page.get_by_test_id(f"queue-up-{epsilon}").click()
    expect(page.locator("tr[data-run]").nth(1)).to_have_attribute("data-run", str(epsilon))
    assert order() == [gamma, epsilon, delta]
    row = page.locator(f"tr[data-run='{delta}'] td").nth(3)
    with page.expect_response("**/api/v1/runs/queue"):
        row.drag_to(page.locator(f"tr[data-run='{gamma}'] td").nth(3))
    expect(page.locator("tr[data-run]").first).to_have_attribute("data-run", str(delta))
    assert order() == [delta, gamma, epsilon]
    with page.expect_response(f"**/api/v1/runs/{gamma}/place"):
        page.get_by_test_id(f"place-{gamma}").select_option("box:0")
    assert runs.get(store, gamma)["place"] == "box:0"
    page.reload()
    visitor.ready()
    expect(page.get_by_test_id(f"place-{gamma}")).to_have_value("box:0")
    expect(page.get_by_test_id(f"place-{gamma}")).to_contain_text("box:0 is busy")
    visitor.shoot("runs-queue-light")


def test_runs_are_tagged_put_away_and_taken_out_again_together(
    visit: Opener, store: Studio, three: list[int], project: int
) -> None:
    visitor = visit(theme="dark")
    page = visitor.go("/runs")
    for name in ("alpha", "beta"):
        page.get_by_label(f"Select {name}", exact=True).check()
    expect(page.get_by_test_id("picked-count")).to_have_text("2 runs selected")
    tag = page.get_by_test_id("tag-runs")
    tag.fill("good")
    tag.press("Enter")
    expect(page.locator("button.tag")).to_have_count(2)
    expect(page.get_by_test_id("picked")).to_be_hidden()
    page.get_by_test_id("filter-tag").select_option("good")
    expect(page.get_by_test_id("run-row")).to_have_count(2)
    expect(page).to_have_url(re.compile("tag=good"))
    page.get_by_label("Select all of this page").check()
    visitor.shoot("runs-picked-dark")
    assert serious(page) == []
    page.get_by_test_id("hide-runs").click()
    expect(page.get_by_text("No run is like that")).to_be_visible()
    page.get_by_role("button", name="Undo").last.click()
    expect(page.get_by_test_id("run-row")).to_have_count(2)
    assert run_rows.page(store, project, run_rows.Wanted(hidden=True))["total"] == 0


def test_a_killed_trainer_is_shown_as_crashed_with_its_last_line(
    visit: Opener, store: Studio, three: list[int]
) -> None:
    gamma = three[2]
    job = runs.get(store, gamma)["job_id"]
    jobs.claim(store, job, 1, "w")
    page = visit().go("/runs")
    row = page.locator(f"tr[data-run='{gamma}']")
    expect(row).to_have_attribute("data-status", "running")
    records.say(store, gamma, "info", "Step 3 of 20 was begun.", job_id=job)
    with store.write() as session:
        session.execute(sa.update(Job).where(Job.id == job).values(heartbeat_at=time.time() - 30))
    for lost in jobs.abandoned(store):
        jobs.release(store, lost["id"], lost["attempt"])
    expect(row).to_have_attribute("data-status", "crashed")
    expect(row.get_by_test_id("run-error")).to_contain_text("Step 3 of 20 was begun")
    runs.want(store, gamma, "stop")


def test_two_thousand_runs_are_paged_and_the_page_stays_short(
    visit: Opener, store: Studio, three: list[int], project: int
) -> None:
    with store.write() as session:
        like = session.get_one(Run, three[0])
        config = RunConfig.read(like.config).plain()
        rows = [
            {
                "project_id": project,
                "name": f"many {number}",
                "status": "done",
                "config": config,
                "seed": 0,
                "policy_id": like.policy_id,
                "num_steps": 20,
            }
            for number in range(MANY)
        ]
        session.execute(sa.insert(Run), rows)
    visitor = visit()
    page = visitor.go("/runs?q=many")
    expect(page.get_by_test_id("runs-count")).to_have_text("1 to 50 of 2,000 runs")
    assert page.locator("#main tr").count() <= 80
    page.locator("tr.current").focus()
    for _ in range(50):
        page.keyboard.press("j")
    expect(page.get_by_test_id("runs-count")).to_have_text("51 to 100 of 2,000 runs")
    expect(page.locator("tr.current a")).to_have_text("many 1949")
    page.keyboard.press("k")
    expect(page.locator("tr.current a")).to_have_text("many 1950")
    expect(page.get_by_test_id("runs-count")).to_have_text("1 to 50 of 2,000 runs")
    page.goto(visitor.url + "/runs?q=many&page=40")
    visitor.ready()
    expect(page.get_by_test_id("runs-count")).to_have_text("1,951 to 2,000 of 2,000 runs")
    assert page.locator("#main tr").count() <= 80
    height = "document.querySelector('tr[data-run]').getBoundingClientRect().height"
    assert page.evaluate(height) <= 31
