"""Label in a real browser: speed, order, undo, drafts, a lost network, and what is never shown."""

from __future__ import annotations

import itertools
import statistics
from typing import Any

from playwright.sync_api import Page, Response, expect
from sqlalchemy import select

from backend.services.studio import Studio
from db.tables import Label, Pair, Sample
from tests.browser.conftest import Opener, draw_pairs, saved

KEYS = {
    "ArrowLeft": "left",
    "1": "left",
    "ArrowRight": "right",
    "2": "right",
    "ArrowUp": "tie",
    "3": "tie",
    "ArrowDown": "both_bad",
    "4": "both_bad",
    "s": "skip",
}


def rows(store: Studio, project: int) -> list[Label]:
    """Every label of the project, retractions too, in the order they were stored."""
    with store.read() as session:
        query = (
            select(Label)
            .join(Pair, Pair.id == Label.pair_id)
            .where(Pair.project_id == project)
            .order_by(Label.id)
        )
        return list(session.scalars(query))


def judge(page: Page, key: str) -> None:
    """Press a key once a pair stands, as a person would."""
    page.wait_for_selector("[data-testid=label]:not([data-pair=''])")
    page.keyboard.press(key)


def latencies(page: Page) -> list[float]:
    """Milliseconds from each key to the next pair being painted."""
    found: list[float] = page.evaluate(
        "performance.getEntriesByName('palate.key-to-painted').map(entry => entry.duration)"
    )
    return found


def test_two_hundred_judgements_by_key_are_two_hundred_rows_in_order(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 210)
    page = visit().go("/label")
    pressed = list(itertools.islice(itertools.cycle(KEYS), 200))
    for key in pressed:
        judge(page, key)
    saved(page)
    stored = rows(store, project)
    assert [row.choice for row in stored] == [KEYS[key] for key in pressed]
    assert len({row.pair_id for row in stored}) == 200
    assert {row.pair_id for row in stored} <= set(drawn.pair_ids)
    assert all(row.t_shown < row.t_answer for row in stored)
    assert [row.t_answer for row in stored] == sorted(row.t_answer for row in stored)
    left = sum(row.shown_left == "a" for row in stored)
    assert 70 <= left <= 130, f"side a stood left {left} times of 200"
    expect(page.get_by_test_id("pace")).to_contain_text("200 of 210")
    report(latencies(page), "64 × 64")


def test_large_pictures_follow_a_key_too(visit: Opener, store: Studio, project: int) -> None:
    draw_pairs(store, project, 12, size=1024)
    page = visit().go("/label")
    for _ in range(10):
        judge(page, "ArrowLeft")
    saved(page)
    assert len(rows(store, project)) == 10
    report(latencies(page), "1024 × 1024")


def report(found: list[float], what: str) -> None:
    """Print p50 and p95; `tests.benchmarks.label_page` measures them."""
    assert found
    p50, p95 = statistics.median(found), statistics.quantiles(found, n=20)[18]
    print(f"\nkey → next pair painted, {what}: p50 {p50:.0f} ms, p95 {p95:.0f} ms, n {len(found)}")


def test_twenty_undos_walk_back_and_delete_nothing(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 30)
    page = visit().go("/label")
    prompts = []
    for _ in range(20):
        page.wait_for_selector("[data-testid=label]:not([data-pair=''])")
        prompts.append(page.get_by_test_id("prompt").inner_text())
        page.keyboard.press("ArrowRight")
    for prompt in reversed(prompts):
        page.keyboard.press("z")
        expect(page.get_by_test_id("prompt")).to_have_text(prompt)
    saved(page)
    stored = rows(store, project)
    assert [row.choice for row in stored] == ["right"] * 20 + ["retract"] * 20
    assert [row.retracts for row in stored[20:]] == [row.id for row in reversed(stored[:20])]
    expect(page.get_by_test_id("pace")).to_contain_text("0 of 30")


def test_undo_after_a_reload_asks_the_server_for_the_last_pair(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    visitor = visit()
    page = visitor.go("/label")
    first = page.get_by_test_id("prompt").inner_text()
    page.keyboard.press("ArrowLeft")
    saved(page)
    page.reload()
    visitor.ready()
    page.keyboard.press("z")
    expect(page.get_by_test_id("prompt")).to_have_text(first)
    saved(page)
    assert [row.choice for row in rows(store, project)] == ["left", "retract"]


def test_typing_in_the_comment_changes_nothing_but_the_comment(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    page = visit().go("/label")
    page.keyboard.press("c")
    page.keyboard.type("1 2 s z q w ?")
    expect(page.get_by_test_id("comment")).to_have_value("1 2 s z q w ?")
    assert rows(store, project) == []
    page.keyboard.press("Enter")
    page.keyboard.press("q")
    page.keyboard.press("ArrowUp")
    saved(page)
    (row,) = rows(store, project)
    assert (row.choice, row.comment, row.reasons) == ("tie", "1 2 s z q w ?", ["count"])


def test_with_single_keys_off_only_buttons_judge(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    page = visit().go("/label")
    page.keyboard.press("?")
    page.get_by_test_id("keys-on").uncheck()
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowLeft")
    page.get_by_test_id("answer-both_bad").click()
    saved(page)
    assert [row.choice for row in rows(store, project)] == ["both_bad"]


def test_five_judgements_without_a_network_are_five_rows_when_it_is_back(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 12)
    visitor = visit(fresh=True)
    page = visitor.go("/label")
    page.wait_for_load_state("networkidle")
    visitor.context.set_offline(True)
    for _ in range(5):
        judge(page, "ArrowRight")
    expect(page.get_by_test_id("saved-state")).to_have_text("5 kept here")
    assert rows(store, project) == []
    visitor.context.set_offline(False)
    saved(page)
    assert [row.choice for row in rows(store, project)] == ["right"] * 5


def test_a_reply_that_is_lost_or_sent_twice_stores_one_row(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    page = visit().go("/label")
    lost = {"count": 0}

    def lose_first(route: Any) -> None:
        if lost["count"] < 2:
            lost["count"] += 1
            route.fetch()
            route.abort()
        else:
            route.continue_()

    page.route("**/api/v1/label", lose_first)
    page.keyboard.press("ArrowLeft")
    saved(page)
    assert lost["count"] == 2
    assert [row.choice for row in rows(store, project)] == ["left"]


def test_judgements_kept_when_the_window_closes_are_sent_by_the_next_one(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    visitor = visit(fresh=True)
    page = visitor.go("/label")
    page.wait_for_load_state("networkidle")
    visitor.context.set_offline(True)
    judge(page, "ArrowLeft")
    judge(page, "ArrowUp")
    expect(page.get_by_test_id("saved-state")).to_have_text("2 kept here")
    page.close()
    assert rows(store, project) == []
    visitor.context.set_offline(False)
    visitor.page = visitor.context.new_page()
    visitor.go("/label")
    saved(visitor.page)
    assert [row.choice for row in rows(store, project)] == ["left", "tie"]


def test_a_reload_before_judging_shows_the_same_sides_and_the_same_draft(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    visitor = visit()
    page = visitor.go("/label")
    page.keyboard.press("w")
    page.keyboard.press("c")
    page.keyboard.type("hm")
    page.keyboard.press("Enter")

    def sides() -> list[str]:
        found: list[str] = page.eval_on_selector_all(".frame img", "all => all.map(i => i.src)")
        return found

    before = sides()
    page.reload()
    visitor.ready()
    assert sides() == before
    expect(page.get_by_test_id("comment")).to_have_value("hm")
    expect(page.locator("[data-reason=colour]")).to_have_attribute("aria-pressed", "true")


def test_no_pair_comes_twice_and_the_last_one_ends_with_the_next_thing_to_do(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 24)
    page = visit().go("/label")
    for _ in range(24):
        judge(page, "ArrowLeft")
    saved(page)
    assert len({row.pair_id for row in rows(store, project)}) == 24
    expect(page.get_by_text("Every pair is judged")).to_be_visible()
    expect(page.get_by_test_id("generate-pairs")).to_be_visible()


def test_no_name_of_a_model_is_anywhere_on_the_page(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 6)
    with store.read() as session:
        wanted = select(Sample.id).where(Sample.project_id == project)
        assert session.scalars(wanted).first() is not None
    visitor = visit()
    replies: list[Response] = []
    visitor.hear("response", lambda reply: replies.append(reply))
    page = visitor.go("/label")
    page.keyboard.press("ArrowLeft")
    saved(page)
    told = "".join(reply.text() for reply in list(replies) if "/label/next" in reply.url)
    assert "pair_id" in told
    assert "pocket 0" not in page.content() + told
    assert "policy" not in told
    sources = page.eval_on_selector_all(".frame img", "all => all.map(i => i.src)")
    assert all("/media/" in source for source in sources)


def test_nothing_has_colour_and_nothing_moves_from_pair_to_pair(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 8)
    page = visit().go("/label")
    box = page.get_by_test_id("img-left").bounding_box()
    page.evaluate(
        "window.shift = 0; new PerformanceObserver(list => list.getEntries().forEach("
        "e => { window.shift += e.value })).observe({type: 'layout-shift', buffered: false})"
    )
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown"):
        judge(page, key)
        page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
    assert page.get_by_test_id("img-left").bounding_box() == box
    assert page.evaluate("window.shift") <= 0.01
    outline = "getComputedStyle(document.querySelector('.frame')).outlineStyle"
    assert page.evaluate(outline) == "none"


def test_small_pictures_are_shown_at_whole_multiples(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 4)
    page = visit().go("/label")
    box = page.get_by_test_id("img-left").bounding_box()
    assert box is not None and box["width"] % 64 == 0 and box["width"] >= 576
    rendering = "getComputedStyle(document.querySelector('.frame img')).imageRendering"
    assert page.evaluate(rendering) == "pixelated"


def test_a_phone_judges_with_the_thumb(visit: Opener, store: Studio, project: int) -> None:
    draw_pairs(store, project, 8)
    visitor = visit(width=390, height=844)
    page = visitor.go("/label")
    for choice in ("left", "tie", "both_bad", "right"):
        box = page.get_by_test_id(f"answer-{choice}").bounding_box()
        assert box is not None and box["height"] >= 44 and box["width"] >= 44
        assert box["y"] > 600
    top, bottom = (page.get_by_test_id(f"img-{side}").bounding_box() for side in ("left", "right"))
    assert top is not None and bottom is not None and bottom["y"] >= top["y"] + top["height"]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    visitor.shoot("label-phone-light")
    page.get_by_test_id("img-right").tap()
    page.get_by_test_id("answer-tie").tap()
    saved(page)
    assert [row.choice for row in rows(store, project)] == ["right", "tie"]


def test_without_pairs_the_page_says_what_to_do(visit: Opener, project: int) -> None:
    page = visit().go("/label")
    expect(page.get_by_test_id("empty")).to_contain_text("No pairs to judge yet")
    page.get_by_test_id("generate-pairs").click()
    expect(page.locator("h1")).to_have_text("Prompts")
