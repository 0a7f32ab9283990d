"""Best of N: dragging along the curve changes the picks, and the numbers are the estimator's."""

from __future__ import annotations

import numpy as np
import pytest
from playwright.sync_api import Page, expect

from backend.services import prompts, rewards
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from tests import factory, seed
from tests.browser.conftest import Opener, serious


def picks(page: Page) -> list[int]:
    """The picked samples, from the top."""
    found = page.get_by_test_id("pick")
    return [int(found.nth(i).get_attribute("data-sample") or 0) for i in range(found.count())]


def test_dragging_n_along_the_curve_changes_the_picks(
    visit: Opener, store: Studio, project: int
) -> None:
    made = seed.project(store, steps=3)
    base = made.policies["base"]
    held = prompts.named(store, project, "heldout")["id"]
    items = [prompt_id for prompt_id, _text in prompts.texts(store, held)]
    others = factory.draw(store, project, base, items[4:24], 2)
    ids = factory.draw(store, project, base, items[:4], 8)
    by_prompt = np.array(ids).reshape(4, 8)
    values = np.sort(np.random.default_rng(0).normal(size=(4, 8)), axis=1)  # the last is the best
    for reward, sign in (("people", 1), ("brightness", -1)):
        rows = [ScoreRow(int(i), float(sign * v)) for i, v in zip(ids, values.flat, strict=True)]
        rows += [ScoreRow(i, 0.0) for i in others]
        rewards.record_scores(store, made.rewards[reward], rows)
    where = f"policy={base}&set={held}&reward={made.rewards['people']}"
    visitor = visit()
    page = visitor.go(f"/best-of-n?{where}&gold={made.rewards['brightness']}")
    expect(page.get_by_test_id("bon-facts")).to_contain_text("2 pictures each")
    page.get_by_test_id("bon-depth").select_option(label="up to N = 8, 4 prompts")
    expect(page.get_by_test_id("bon-facts")).to_contain_text("4 prompts, 8 pictures each")
    chosen = page.get_by_test_id("curve-selecting")
    assert float(chosen.get_attribute("data-value") or 0) == pytest.approx(values[:, 7].mean())
    assert picks(page) == by_prompt[:, 7].tolist()

    box = chosen.locator("svg").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 12, box["y"] + 90)
    page.mouse.down()
    page.mouse.move(box["x"] + 36, box["y"] + 90, steps=5)
    page.mouse.up()
    expect(page.get_by_test_id("bon-n")).to_have_value("1")
    assert picks(page) == by_prompt[:, 0].tolist()
    assert float(chosen.get_attribute("data-value") or 0) == pytest.approx(values.mean())
    gold = page.get_by_test_id("curve-gold")
    assert float(gold.get_attribute("data-value") or 0) == pytest.approx(-values.mean())

    page.get_by_test_id("bon-n").focus()
    page.keyboard.press("ArrowRight")
    expect(page.get_by_test_id("bon-n")).to_have_value("2")
    assert picks(page) == by_prompt[:, 1].tolist()
    visitor.go(str(page.evaluate("location.href")).removeprefix(visitor.url))
    expect(page.get_by_test_id("bon-n")).to_have_value("2")
    expect(page.get_by_test_id("bon-runs")).to_contain_text("g2rpo-pocket-02")
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        assert serious(page) == []
