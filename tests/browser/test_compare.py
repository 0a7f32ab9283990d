"""Compare: blind until twenty votes are stored, a wipe by key, a result with its interval."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from backend.preferences import intervals
from backend.services import comparisons
from backend.services.studio import Studio
from tests.browser.conftest import Opener, draw_comparison, saved


def test_names_appear_after_twenty_stored_votes_with_the_wilson_interval(
    visit: Opener, store: Studio, project: int
) -> None:
    comparison = draw_comparison(store, project, 24)
    visitor = visit()
    page = visitor.go(f"/compare?id={comparison}")
    assert "tuned against" not in page.inner_text("#main")
    expect(page.get_by_test_id("result")).to_have_count(0)
    prompt = page.get_by_test_id("prompt")
    for i in range(20):
        before = prompt.inner_text()
        page.keyboard.press("b" if i % 4 else "a")
        expect(prompt).not_to_have_text(before)  # a key before a pair stands says nothing
    expect(page.get_by_test_id("result")).to_be_visible()
    found = comparisons.get(store, comparison)["by"]["people"]
    assert sum(found["votes"].values()) == 20
    wins, losses = found["votes"]["tuned"], found["votes"]["base"]
    wilson = intervals.win_rate(wins, losses, found["votes"]["tie"])
    expect(page.get_by_test_id("win-rate-people")).to_have_text(f"{100 * wilson.value:.0f} %")
    expect(page.get_by_test_id("result")).to_contain_text(f"{100 * wilson.low:.0f} %")
    page.get_by_test_id("mode-side").click()
    expect(page.locator(".frame .tag").first).to_contain_text("pocket")
    visitor.shoot("compare-result-light")


def test_names_can_be_asked_for_and_the_link_keeps_the_view(
    visit: Opener, store: Studio, project: int
) -> None:
    comparison = draw_comparison(store, project, 6)
    visitor = visit()
    page = visitor.go(f"/compare?id={comparison}&mode=wipe")
    expect(page.get_by_text("Names are hidden")).to_be_visible()
    page.get_by_test_id("reveal").first.click()
    expect(page.locator(".film button")).to_have_count(6)
    page.locator(".film button").nth(3).click()
    expect(page).to_have_url(re.compile("prompt=3"))
    shown = page.get_by_test_id("prompt").inner_text()
    visitor.go(page.url.removeprefix(visitor.url))
    expect(page.get_by_test_id("prompt")).to_have_text(shown)
    expect(page.get_by_test_id("mode-wipe")).to_have_attribute("aria-pressed", "true")


def test_the_wipe_moves_two_percent_a_key_and_says_where_it_is(
    visit: Opener, store: Studio, project: int
) -> None:
    comparison = draw_comparison(store, project, 3)
    page = visit().go(f"/compare?id={comparison}&mode=wipe&reveal=1")
    wipe = page.get_by_role("slider", name="Wipe")
    expect(wipe).to_have_attribute("aria-valuenow", "50")
    wipe.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(wipe).to_have_attribute("aria-valuenow", "54")
    page.keyboard.press("Home")
    expect(wipe).to_have_attribute("aria-valuenow", "0")
    box = page.locator(".wipe-ui").bounding_box()
    assert box is not None
    page.mouse.click(box["x"] + box["width"] * 0.25, box["y"] + 40)
    expect(wipe).to_have_attribute("aria-valuenow", "25")


def test_a_vote_can_be_undone(visit: Opener, store: Studio, project: int) -> None:
    comparison = draw_comparison(store, project, 5)
    page = visit().go(f"/compare?id={comparison}")
    first = page.get_by_test_id("prompt").inner_text()
    page.keyboard.press("a")
    expect(page.get_by_test_id("prompt")).not_to_have_text(first)
    page.keyboard.press("z")
    expect(page.get_by_test_id("prompt")).to_have_text(first)
    saved(page)
    assert sum(comparisons.get(store, comparison)["by"]["people"]["votes"].values()) == 0
