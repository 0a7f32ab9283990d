"""New run as people meet it: the gallery, the plan that follows the settings, the probe, every
setting; and the pages of runs whose methods are not chains of noise.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import expect
from sqlalchemy import delete

from backend.services import jobs
from backend.services.studio import Studio
from db.tables import Evaluation, Run
from tests import seed, tiny_runs
from tests.browser.conftest import Opener, in_both_themes, serious
from tests.browser.windows import WORK_MS
from tests.tiny_sd3 import tiny_sd3  # noqa: F401


@pytest.fixture
def seeded(store: Studio, project: int) -> seed.Seeded:
    """The synthetic project, open while the test runs."""
    return seed.project(store, steps=2)


def test_the_gallery_says_what_each_recipe_is_for_and_not_for(
    visit: Opener, shown: seed.Seeded
) -> None:
    page = visit().go("/runs/new")
    cards = page.get_by_test_id("recipe-card")
    count = cards.count()
    assert count >= 17
    for card in cards.all():
        expect(card).to_contain_text("Not for")
        expect(card).to_contain_text("Source")
    page.get_by_test_id("recipes-labels").click()
    expect(cards).to_have_count(1)
    page.get_by_test_id("recipes-all").click()
    page.get_by_test_id("find-recipe").fill("2601.20218")
    expect(cards).to_have_count(1)
    page.get_by_test_id("find-recipe").fill("nothing says this")
    page.get_by_role("button", name="Show all").click()
    expect(cards).to_have_count(count)


def test_arrows_walk_the_gallery_and_enter_takes_a_card(visit: Opener, shown: seed.Seeded) -> None:
    page = visit().go("/runs/new?recipe=pocket-branch-grpo")
    page.locator(".rec[aria-pressed=true]").focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile("recipe=pocket-dance-grpo"))
    chosen = page.locator(".rec[aria-pressed=true]")
    expect(chosen).to_have_attribute("data-recipe", "pocket-dance-grpo")
    assert page.locator(".rec[tabindex='0']").count() == 1


def test_the_drawing_is_the_plan_of_the_settings(visit: Opener, shown: seed.Seeded) -> None:
    visitor = visit()
    page = visitor.go("/runs/new?recipe=pocket-g2rpo")
    tree = page.get_by_test_id("plan-tree")
    expect(tree).to_have_attribute("data-explored", "0")
    expect(tree).to_have_attribute("data-paths", "12")
    page.get_by_test_id("field-method.settings.forks_per_prompt").fill("0")
    page.get_by_test_id("field-method.settings.fork_steps").fill("1-2, 4")
    expect(tree).to_have_attribute("data-explored", "1 2 4")
    expect(tree).to_have_attribute("data-paths", "36")
    page.get_by_test_id("field-method.settings.strides").fill("1, 2")
    expect(tree.locator(".end[data-stride='2']")).to_have_count(36)
    said = tree.locator(".step[data-step='2'] title").text_content()
    assert said is not None and "forks into 12" in said and "noise of standard deviation" in said
    expect(page.get_by_test_id("plan-note")).to_contain_text("3 forks × 12 · 2 strides")
    page.get_by_test_id("field-method.settings.fork_steps").fill("99")
    expect(page.get_by_test_id("plan-note")).to_contain_text("make no tree")
    visitor.complaints[:] = [text for text in visitor.complaints if "422" not in text]


def test_a_plan_that_moves_can_be_looked_at_later(visit: Opener, shown: seed.Seeded) -> None:
    page = visit().go("/runs/new?recipe=pocket-mix-grpo")
    tree = page.get_by_test_id("plan-tree")
    first = tree.get_attribute("data-explored")
    page.get_by_test_id("plan-update").press("End")
    expect(tree).not_to_have_attribute("data-explored", str(first))


@pytest.mark.parametrize("name", ["dense-grpo", "branch-grpo", "tempflow", "flow-dpo"])
def test_every_kind_of_plan_is_accessible(visit: Opener, shown: seed.Seeded, name: str) -> None:
    visitor = visit()
    page = visitor.go(f"/runs/new?recipe=pocket-{name}")
    expect(page.get_by_test_id("plan-note")).not_to_be_empty()
    expect(page.get_by_test_id("preflight-tally")).to_be_visible()
    page.get_by_test_id("advanced").check()
    assert page.evaluate("document.documentElement.scrollWidth") <= 1440
    for theme in in_both_themes(page):
        assert serious(page, colours=theme == "dark") == []
        visitor.shoot(f"new-run-{name}-{theme}")


def test_lists_tables_and_rewards_own_settings_can_be_set(
    visit: Opener, shown: seed.Seeded
) -> None:
    visitor = visit()
    page = visitor.go("/runs/new?recipe=pocket-pref-grpo")
    page.get_by_test_id("advanced").check()
    groups = page.get_by_test_id("field-optim.lr_groups")
    groups.fill("lora_B: fast")
    expect(page.locator(".err", has_text="lora_B")).to_be_visible()
    groups.fill("lora_B: 4, norm: 0.5")
    page.get_by_test_id("field-method.settings.kernel").select_option(label="table-sde")
    page.get_by_test_id("field-method.settings.psi").fill("0.7, 0.5")
    page.get_by_test_id("field-early_stop.gold").select_option(label="verifier")
    page.get_by_test_id("open-settings-win-rate").click()
    page.get_by_test_id("settings-win-rate").get_by_label("Rounds").fill("4")
    page.get_by_test_id("as-text").click()
    expect(page.get_by_test_id("json-text")).to_have_value(re.compile("lora_B"))
    text = page.get_by_test_id("json-text").input_value()
    for part in ('"lora_B": 4', '"norm": 0.5', '"gold": "verifier"', '"rounds": 4', "0.5\n"):
        assert part in text, part
    page.get_by_test_id("json-text").fill(text.replace('"lr_groups"', '"lr_grops"'))
    page.get_by_test_id("json-use").click()
    expect(page.get_by_role("alert").last).to_contain_text("lr_grops")
    visitor.complaints[:] = [text for text in visitor.complaints if "422" not in text]


def test_a_probe_says_its_cost_and_its_proposal_is_laid_over_the_form(
    visit: Opener, seeded: seed.Seeded, store: Studio
) -> None:
    page = visit().go("/runs/new?recipe=pocket-g2rpo")
    expect(page.get_by_test_id("probe-cost-spread")).to_contain_text("evaluations")
    result = _spread_found()
    page.route("**/api/v1/runs/probe", lambda route: route.fulfill(json=_job("due"), status=202))
    answer = _job("running")
    page.route("**/api/v1/jobs/1", lambda route: route.fulfill(json=answer))
    page.get_by_test_id("probe-spread").click()
    expect(page.get_by_test_id("job")).to_have_attribute("data-status", "running")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    answer |= _job("done", result)
    table = page.get_by_test_id("probe-table")
    expect(table.locator("td.on")).to_have_count(2)
    expect(page.get_by_test_id("probe-text")).to_contain_text("Fork at steps 1 and 2")
    page.get_by_test_id("probe-apply").click()
    expect(page.get_by_test_id("field-method.settings.fork_steps")).to_have_value("1, 2")
    expect(page.get_by_test_id("field-method.settings.eta")).to_have_value("0.4")
    expect(page.get_by_test_id("changes")).to_contain_text("2 changes")
    expect(page.get_by_test_id("probe-apply")).to_be_disabled()
    assert serious(page) == []


def test_a_probe_reaches_the_workers_and_can_be_stopped(
    visit: Opener, seeded: seed.Seeded, store: Studio
) -> None:
    page = visit().go("/runs/new?recipe=pocket-g2rpo")
    with page.expect_response("**/api/v1/runs/probe") as asked:
        page.get_by_test_id("probe-spread").click()
    job = asked.value.json()
    page.get_by_role("button", name="Stop").click()
    expect(page.get_by_test_id("probe-result")).to_contain_text(
        "nothing was changed", timeout=WORK_MS
    )
    assert jobs.get(store, job["id"])["status"] == "stopped"


def _job(status: str, result: Any = None) -> dict[str, Any]:
    message = "prompt 3 of 16"
    return {"id": 1, "status": status, "progress": 0.2, "message": message, "result": result}


def _spread_found() -> dict[str, Any]:
    rows = [
        {
            "step": step,
            "eta": eta,
            "spread": 0.1,
            "spread_se": 0.01,
            "share": None if step == 8 else 0.9 - 0.1 * step,
            "mean": 0.6,
            "drop": 0.02 * eta,
            "drop_se": 0.01,
        }
        for eta in (0.4, 0.7)
        for step in range(9)
    ]
    changes = {
        "method.settings.fork_steps": [1, 2],
        "method.settings.eta": 0.4,
        "method.settings.unheard_of": 1,
    }
    text = "Fork at steps 1 and 2 with eta 0.4."
    return {
        "rows": rows,
        "independent": {"spread": 0.12, "spread_se": 0.01, "mean": 0.6},
        "proposal": {"changes": changes, "text": text},
        "nfe": 28272,
        "pictures": 5376,
        "seconds": 90.0,
    }


SHAPES: dict[str, tuple[dict[str, Any], str, int]] = {
    "dense-grpo": ({"group_size": 4}, "4 chains · every latent finished", 4),
    "branch-grpo": ({"split_steps": [0, 2]}, "4 paths of 2 splits", 4),
    "tempflow": ({"seeds": 2, "group_size": 3, "last_fork": 1}, "2 trunks · 2 forks × 3", 12),
    "diffusion-nft": ({"group_size": 4, "times": 2}, "4 samples, no noise on the way", 4),
}
"""Method → (settings, what its tree is called, paths)."""


@pytest.mark.parametrize("method", SHAPES)
def test_rollouts_draw_the_tree_of_every_kind_of_method(
    visit: Opener,
    store: Studio,
    project: int,
    tiny_sd3: Path,  # noqa: F811
    method: str,
) -> None:
    given, said, paths = SHAPES[method]
    config = tiny_runs.settings(tiny_sd3, method, given)
    run = tiny_runs.finished(store, project, tiny_sd3, config)
    visitor = visit()
    page = visitor.go(f"/runs/{run}/rollouts")
    tree = page.get_by_test_id("rollout-tree")
    expect(tree).to_have_attribute("aria-label", f"Rollout tree of one prompt: {said}")
    expect(tree).to_have_attribute("data-paths", str(paths))
    expect(tree.locator(".leaf:not([data-completes])")).to_have_count(paths)
    valued = tree.locator(".leaf[data-completes]")
    expect(valued).to_have_count(4 * 5 if method == "dense-grpo" else 0)
    trained = tree.locator(".ex[data-trained=true]")
    assert (trained.count() > 0) == (method != "diffusion-nft")
    if method == "dense-grpo":
        valued.last.dispatch_event("click")
        expect(page.get_by_test_id("sample-detail")).to_contain_text("on the way")
    for theme in in_both_themes(page):
        assert serious(page, colours=theme == "dark") == []
        visitor.shoot(f"rollouts-{method}-{theme}")


def test_a_run_that_learns_from_pairs_has_its_own_charts_and_shows_its_pairs(
    visit: Opener,
    store: Studio,
    project: int,
    tiny_sd3: Path,  # noqa: F811
) -> None:
    run = tiny_runs.finished(
        store, project, tiny_sd3, tiny_runs.settings(tiny_sd3, "flow-dpo", {"times": 1})
    )
    visitor = visit()
    page = visitor.go(f"/runs/{run}")
    for name in ("pairs", "margin", "diversity", "nfe"):
        expect(page.get_by_test_id(f"chart-{name}")).to_be_visible()
    for name in ("ratio", "clip", "spread", "kept", "rewards", "kl", "judge"):
        expect(page.get_by_test_id(f"chart-{name}")).to_have_count(0)
    expect(page.get_by_test_id("this-iteration")).to_contain_text("pairs as judged")
    expect(page.get_by_test_id("run-log")).not_to_contain_text("undefined")
    assert serious(page) == []
    visitor.shoot("run-flow-dpo-light")
    page = visitor.go(f"/runs/{run}/rollouts")
    expect(page.get_by_test_id("judged-pair")).to_contain_text("rejected")
    assert serious(page) == []
    visitor.shoot("rollouts-flow-dpo-light")


def test_a_run_that_stopped_itself_links_to_the_step_it_delivers(
    visit: Opener, store: Studio, seeded: seed.Seeded
) -> None:
    """What is watched stands highest at step 10; after it the trained reward goes on rising."""
    run = seeded.runs["g2rpo-pocket-03"]
    with store.write() as session:
        row = session.get(Run, run)
        assert row is not None
        row.config = {**row.config, "early_stop": {"gold": "saturation", "patience": 2}}
        session.execute(delete(Evaluation).where(Evaluation.run_id == run))
        for step, trained, gold in ((0, 0.0, 0.0), (10, 0.1, 0.2), (20, 0.2, 0.0), (30, 0.3, -0.2)):
            gains = {"gain/verifier": trained, "gain/saturation": gold, "gain_se/saturation": 0.01}
            session.add(Evaluation(run_id=run, step=step, metrics=gains, samples=[], nfe=0))
    page = visit().go(f"/runs/{run}")
    alarm = page.get_by_test_id("alarm").first
    expect(alarm).to_contain_text("Stopped before its reward is cheated")
    alarm.get_by_test_id("alarm-link").click()
    page.wait_for_url(re.compile(r"step=10"))
    expect(page.get_by_test_id("step-scrubber")).to_have_attribute("aria-valuenow", "10")
