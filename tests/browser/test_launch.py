"""From intent to a run: few clicks, no typing; what an address says, what rewards say of samples,
what a step takes, and why the same run is made again.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from backend.services import prompts, rewards, runs, samples
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from tests.browser.conftest import Opener, Visitor, draw_pairs, serious, stop_run

HELD = "\n".join(f"held-out {number}" for number in range(64))
REFUSED = "422"


@pytest.fixture
def drawn(store: Studio, project: int) -> int:
    """A project with pictures, and a reward `light` that has judged them all."""
    draw_pairs(store, project, 8, size=16)
    prompts.import_text(store, project, "held", "heldout", HELD)
    row = rewards.create(store, project, "light", "brightness", {})
    ids = [item["id"] for item in samples.page(store, project)["items"]]
    said = [ScoreRow(one, float(value)) for one, value in zip(ids, _values(len(ids)), strict=True)]
    rewards.record_scores(store, row["id"], said)
    return project


def _values(num: int) -> np.ndarray:
    """Skewed, so that a logarithm changes the picture."""
    return np.asarray(np.geomspace(0.1, 60.0, num))


def settings(page: Page) -> dict[str, Any]:
    """The whole form as its text says it."""
    page.get_by_test_id("as-text").click()
    area = page.get_by_test_id("json-text")
    expect(area).not_to_have_value("")
    page.get_by_test_id("as-json").click()
    expect(area).to_have_value(re.compile(r"^\{"))
    found: dict[str, Any] = json.loads(area.input_value())
    page.keyboard.press("Escape")
    return found


def test_an_empty_project_becomes_a_run_in_five_clicks_and_no_typing(
    visit: Opener, store: Studio, project: int
) -> None:
    visitor = visit()
    page = visitor.go("/runs")
    clicks = 0

    def click(test_id: str) -> None:
        nonlocal clicks
        clicks += 1
        page.get_by_test_id(test_id).first.click()

    click("new-run")
    page.wait_for_url("**/runs/new*")
    start = page.get_by_test_id("start-run")
    expect(page.get_by_test_id("start-why")).to_contain_text("prompts to train on")
    for split in ("train on", "evaluate on"):
        line = page.locator(f".pf[data-name='Prompts to {split}']")
        expect(line).to_have_attribute("data-status", "fail")
        clicks += 1
        line.get_by_test_id("fix").click()
        expect(line).to_have_attribute("data-status", "pass")
    expect(start).to_be_enabled()
    expect(page.locator(".pf[data-name='Memory']")).to_contain_text("Estimated")
    visitor.shoot("launch-first-light")
    click("start-run")
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    run = runs.get(store, int(page.url.rsplit("/", 1)[1]))
    assert run["project_id"] == project and run["owner"]
    assert clicks <= 5, clicks
    stop_run(store, run["id"])


ByHand = Callable[[Page], None]


def _spread(page: Page) -> None:
    page.get_by_test_id("field-method.settings.fork_steps").fill("1-2, 4")
    page.get_by_test_id("field-method.settings.forks_per_prompt").fill("0")


def _advanced(page: Page) -> None:
    page.get_by_test_id("advanced").check()
    page.get_by_test_id("field-optim.lr_groups").fill("lora_B: 4")
    page.get_by_test_id("field-sampling.bf16").uncheck()
    page.get_by_test_id("field-minutes").fill("12")


def _rewards(page: Page) -> None:
    page.get_by_test_id("add-reward").select_option("light")
    page.get_by_test_id("weight-light").fill("0.25")
    page.get_by_test_id("transform-light").select_option("log")


@pytest.mark.parametrize("by_hand", [_spread, _advanced, _rewards])
def test_a_form_filled_by_its_address_is_the_form_filled_by_hand(
    visit: Opener, drawn: int, by_hand: ByHand
) -> None:
    visitor = visit()
    page = visitor.go("/runs/new?recipe=pocket-g2rpo")
    before = settings(page)
    by_hand(page)
    expect(page.get_by_test_id("changes")).to_contain_text("change")
    filled = settings(page)
    assert filled != before
    address = str(page.evaluate("location.href"))
    other = visit()
    again = other.go(address.removeprefix(visitor.url))
    expect(again.get_by_test_id("changes")).to_contain_text("change")
    assert settings(again) == filled


def test_settings_leave_as_toml_and_come_back(visit: Opener, drawn: int) -> None:
    visitor = visit()
    page = visitor.go("/runs/new?recipe=pocket-g2rpo&num_steps=77")
    before = settings(page)
    page.get_by_test_id("as-text").click()
    page.get_by_test_id("as-toml").click()
    area = page.get_by_test_id("json-text")
    expect(area).to_have_value(re.compile("num_steps = 77"))
    text = area.input_value()
    area.fill(text.replace("num_steps = 77", "num_steps = 78"))
    page.get_by_test_id("json-use").click()
    expect(page.get_by_test_id("field-num_steps")).to_have_value("78")
    page.get_by_test_id("field-num_steps").fill("77")
    assert settings(page) == before
    page.get_by_test_id("as-text").click()
    page.get_by_test_id("json-text").fill("[method")
    page.get_by_test_id("json-use").click()
    expect(page.get_by_role("alert").last).to_contain_text("neither JSON, TOML nor YAML")
    _forgive(visitor)


def test_a_reward_shows_what_it_says_of_samples_and_its_transform_redraws_it(
    visit: Opener, drawn: int
) -> None:
    visitor = visit()
    page = visitor.go("/runs/new?recipe=pocket-g2rpo")
    page.get_by_test_id("add-reward").select_option("light")
    plot = page.get_by_test_id("histogram-light")
    expect(plot).to_have_attribute("data-state", "ready")
    bars = plot.locator("svg")
    raw = [int(n) for n in str(bars.get_attribute("data-counts")).split()]
    values = _values(16)
    assert raw == np.histogram(values, 16)[0].tolist() and sum(raw) == 16
    page.get_by_test_id("transform-light").select_option("log")
    expect(bars).not_to_have_attribute("data-counts", " ".join(map(str, raw)))
    logged = [int(n) for n in str(bars.get_attribute("data-counts")).split()]
    assert logged == np.histogram(np.log1p(values), 16)[0].tolist()
    line = page.locator(".pf[data-name='Reward light']")
    expect(line).to_contain_text("a number for 16 of 16 samples")
    expect(line).to_have_attribute("data-status", "pass")
    visitor.shoot("launch-mix-light")
    assert serious(page) == []


def test_start_leads_to_the_value_that_is_wrong_and_a_refused_one_can_be_put_back(
    visit: Opener, drawn: int
) -> None:
    visitor = visit(theme="dark")
    page = visitor.go("/runs/new?recipe=pocket-g2rpo")
    start = page.get_by_test_id("start-run")
    rate = page.get_by_test_id("field-optim.lr")
    rate.fill("fast")
    expect(page.get_by_test_id("start-why")).to_contain_text("cannot be read")
    expect(start).to_be_disabled()
    start.press("Enter")
    expect(rate).to_be_focused()
    rate.fill("0.0002")
    steps = page.get_by_test_id("field-method.settings.fork_steps")
    known = steps.input_value()
    steps.fill("0, 40")
    expect(page.get_by_test_id("start-why")).to_contain_text("fork steps")
    visitor.shoot("launch-blocked-dark")
    page.get_by_test_id("fix").first.click()
    expect(page.get_by_test_id("field-method.settings.fork_steps")).to_have_value(known)
    expect(start).to_be_enabled()
    _forgive(visitor)


def test_the_same_run_again_is_asked_why_and_a_clone_takes_three_clicks(
    visit: Opener, store: Studio, drawn: int
) -> None:
    config = {
        "rewards": [{"name": "light", "kind": "brightness"}],
        "method": {"name": "one-fork", "settings": {"group_size": 3}},
        "sampling": {"num_steps": 3, "prompts_per_step": 2},
        "evaluation": {"num_prompts": 8},
        "num_steps": 2,
    }
    away = runs.About(place="elsewhere")
    parent = runs.create(store, drawn, "parent", config, about=away)["id"]
    runs.want(store, parent, "stop")
    page = visit().go(f"/runs/new?clone={parent}")
    expect(page.get_by_test_id("changes")).to_contain_text("No differences from run parent")
    start = page.get_by_test_id("start-run")
    expect(page.get_by_test_id("start-why")).to_contain_text("Say why")
    expect(start).to_be_disabled()
    page.get_by_test_id("other-seed").click()
    expect(page.get_by_test_id("diff")).to_contain_text("seed")
    page.get_by_test_id("field-seed").fill("0")
    page.get_by_test_id("why-same").select_option("To check that it comes out the same")
    expect(start).to_be_enabled()
    start.click()
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    made = runs.get(store, int(page.url.rsplit("/", 1)[1]))
    assert made["diff"] == [] and made["parent_id"] == parent
    assert made["note"] == "To check that it comes out the same"
    stop_run(store, made["id"])


def test_a_step_is_tried_from_the_memory_line(visit: Opener, drawn: int) -> None:
    job = {"id": 1, "args": {"nfe": 748}, "progress": 0.5, "message": "update 1 of 2", "error": ""}
    answer = job | {"status": "running"}
    page = visit().go("/runs/new?recipe=pocket-g2rpo")
    page.route("**/api/v1/runs/probe", lambda route: route.fulfill(json=job, status=202))
    page.route("**/api/v1/jobs/1", lambda route: route.fulfill(json=answer))
    start = page.get_by_test_id("try-step")
    expect(start).to_be_visible()
    start.click()
    expect(page.get_by_test_id("step-probe")).to_contain_text("Trying a step, 748 evaluations")
    with page.expect_response("**/api/v1/runs/preflight"):  # asked again when it is over
        answer |= {"status": "done", "result": {}}
    expect(page.get_by_test_id("step-probe")).to_be_empty()


def _forgive(visitor: Visitor) -> None:
    """Refused settings are what these tests are about."""
    visitor.complaints[:] = [text for text in visitor.complaints if REFUSED not in text]
