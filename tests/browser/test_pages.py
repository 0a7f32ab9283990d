"""Every page as people meet it: pictures in both themes, accessible, sound when empty."""

from __future__ import annotations

import re
import time

import pytest
from playwright.sync_api import expect

from backend.services import labels, policies, prompts, users
from backend.services.durations import spell
from backend.services.studio import Studio
from db.tables import Job
from tests import factory
from tests.browser.conftest import (
    Opener,
    draw_comparison,
    draw_pairs,
    in_both_themes,
    serious,
)

PAGES = {
    "today": "/",
    "label": "/label",
    "prompts": "/prompts",
    "compare": "/compare",
    "workers": "/workers",
}


@pytest.fixture
def filled(store: Studio, project: int) -> int:
    """A project with something on every page of this file; returns its comparison."""
    draw_pairs(store, project, 12)
    return draw_comparison(store, project, 8)


@pytest.mark.parametrize("name", list(PAGES))
def test_each_page_is_drawn_and_accessible(name: str, visit: Opener, filled: int) -> None:
    visitor = visit()
    page = visitor.go(PAGES[name])
    expect(page.locator("h1")).to_have_count(1)
    for theme in in_both_themes(page):
        visitor.shoot(f"{name}-{theme}")
        assert page.evaluate("getComputedStyle(document.documentElement).colorScheme") == theme
        assert page.locator(".btn.primary:visible").count() <= 1
        assert page.evaluate("document.documentElement.scrollWidth") <= 1440
        assert serious(page, colours=theme == "dark") == []


def test_a_comparison_is_drawn_and_accessible_in_each_mode(visit: Opener, filled: int) -> None:
    visitor = visit()
    for mode in ("blind", "side", "wipe"):
        page = visitor.go(f"/compare?id={filled}&mode={mode}&reveal=1")
        expect(page.get_by_test_id("result")).to_be_visible()
        for theme in in_both_themes(page):
            visitor.shoot(f"compare-{mode}-{theme}")
            assert serious(page, colours=theme == "dark") == []


def test_an_empty_studio_has_exactly_one_primary_button(visit: Opener, project: int) -> None:
    visitor = visit()
    page = visitor.go("/")
    expect(page.get_by_test_id("load-demo")).to_be_visible()
    assert page.locator(".btn.primary").count() == 1
    visitor.shoot("today-empty-light")
    assert serious(page) == []
    for name in ("label", "prompts", "compare"):
        visitor.go(PAGES[name])
        visitor.shoot(f"{name}-empty-light")
        assert page.locator(".btn.primary:visible").count() <= 1
        assert serious(page) == []


def test_while_pairs_are_drawn_today_and_label_say_so(
    visit: Opener, store: Studio, project: int
) -> None:
    prompts.import_text(store, project, "mine", "train", "a red circle")
    policy = policies.create(store, project, "pocket", "sd3", {"weights": "pocket"})["id"]
    args = {"policy_id": policy, "make_pairs": True}
    with store.write() as session:  # as a worker far away would have it
        far = time.time() + 3600
        job = Job(kind="generate", queue="generate", args=args, status="running", progress=0.25)
        job.heartbeat_at = far
        session.add(job)
    visitor = visit()
    page = visitor.go("/")
    expect(page.get_by_test_id("see-drawing")).to_be_visible()
    assert page.locator(".btn.primary").count() == 1
    visitor.go("/label")
    expect(page.get_by_test_id("empty")).to_contain_text("The pairs are being drawn")
    with store.write() as session:
        session.get_one(Job, job.id).status = "done"
    expect(page.get_by_test_id("empty")).to_contain_text("No pairs to judge yet")


def test_today_leads_to_the_pairs_that_wait(visit: Opener, filled: int) -> None:
    page = visit().go("/")
    expect(page.get_by_test_id("continue-labelling")).to_contain_text("Start labelling")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("label")).to_be_visible()
    expect(page).to_have_url(re.compile("/label$"))


def test_after_thirty_answers_today_offers_a_reward_while_pairs_still_wait(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 31)
    given = [factory.label(pair) for pair in drawn.pair_ids[:30]]
    me = users.local(store)["id"]
    labels.store_many(store, me, given[:29])
    visitor = visit()
    page = visitor.go("/")
    expect(page.get_by_test_id("continue-labelling")).to_be_visible()
    expect(page.get_by_test_id("learn-reward")).to_have_count(0)
    labels.store_many(store, me, given[29:])
    expect(page.get_by_test_id("learn-reward")).to_be_visible()
    visitor.shoot("today-thirty-light")
    page.get_by_test_id("learn-reward").click()
    expect(page.locator("h1")).to_have_text("Rewards")


def test_the_rail_changes_pages_and_back_goes_back(visit: Opener, filled: int) -> None:
    page = visit().go("/")
    page.get_by_role("link", name="Prompts").click()
    expect(page.locator("h1")).to_have_text("Prompts")
    expect(page.locator(".rail a[aria-current]")).to_have_text("Prompts")
    page.keyboard.type("gw")
    expect(page.locator("h1")).to_have_text("Workers")
    page.go_back()
    expect(page.locator("h1")).to_have_text("Prompts")


def test_a_chosen_theme_is_kept_and_beats_the_system(visit: Opener, filled: int) -> None:
    visitor = visit(theme="light")
    page = visitor.go("/workers")
    page.get_by_test_id("theme").click()
    page.get_by_test_id("theme-dark").click()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    page.reload()
    assert page.evaluate("document.documentElement.dataset.theme") == "dark"
    visitor.ready()
    assert "dark" in page.evaluate("document.body.className")


def test_nothing_of_gradio_shows_through(visit: Opener, filled: int) -> None:
    page = visit().go("/")
    expect(page.locator("kbd").first).to_be_visible()
    assert page.locator("footer:visible").count() == 0
    assert "gradio" not in page.inner_text("body").lower()
    assert page.locator("h1").evaluate("node => getComputedStyle(node).fontWeight") == "600"
    border = "node => getComputedStyle(node).borderTopWidth"
    assert page.locator("kbd").first.evaluate(border) == "1px"


def test_an_address_that_no_page_has_leads_back(visit: Opener) -> None:
    visitor = visit()
    for path in ("/nowhere/at/all", "/nowhere"):
        reply = visitor.page.goto(visitor.url + path)
        assert reply is not None and reply.status == 404
        visitor.ready()
        expect(visitor.page.get_by_test_id("empty")).to_contain_text(path)
    visitor.page.locator(".btn.primary").click()
    expect(visitor.page).to_have_url(re.compile(r":\d+/$"))
    visitor.complaints[:] = [text for text in visitor.complaints if "404" not in text]


def test_the_pages_say_a_duration_as_the_studio_does(visit: Opener) -> None:
    times = [0, 0.25, 0.996, 9.5, 41.4, 59.6, 75, 599.6, 2520, 3599, 6300, 7200, 90_000, 172_770]
    page = visit().go("/")
    span = "async all => all.map((await import('/static/js/lib.js')).fmt.span)"
    assert page.evaluate(span, times) == [spell(seconds) for seconds in times]


def test_the_api_can_be_read_without_a_foreign_host(visit: Opener) -> None:
    visitor = visit()
    visitor.page.goto(f"{visitor.url}/api/v1/docs")
    expect(visitor.page.locator("h3", has_text="/api/v1/label/next")).to_be_visible()
    visitor.shoot("api-docs-light")
    rest = "[...document.querySelectorAll('section')].slice(12).forEach(one => one.remove())"
    visitor.page.evaluate(rest)  # they are alike, and there are hundreds
    assert serious(visitor.page) == []


def test_an_address_keeps_its_query_when_its_slash_is_taken_off(visit: Opener, filled: int) -> None:
    page = visit().go(f"/compare/?id={filled}&mode=wipe")
    expect(page).to_have_url(re.compile(rf"/compare\?id={filled}&mode=wipe"))


def test_keys_can_be_changed_and_put_back(visit: Opener, filled: int) -> None:
    visitor = visit()
    page = visitor.go("/label")
    first = page.get_by_test_id("prompt").inner_text()
    page.keyboard.press("?")
    visitor.shoot("keys-light")
    page.get_by_role("button", name="Change").first.wait_for()
    page.get_by_title("Change the key for Left").click()
    page.keyboard.press("j")
    page.keyboard.press("Escape")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("prompt")).to_have_text(first)
    page.keyboard.press("j")
    expect(page.get_by_test_id("prompt")).not_to_have_text(first)


def test_a_click_counts_when_its_button_is_drawn_anew_under_it(visit: Opener, filled: int) -> None:
    page = visit().go("/workers")
    page.evaluate(
        """() => {
          const host = document.createElement("div");
          host.style = "position: fixed; top: 0; left: 0; z-index: 99";
          window.votes = 0;
          window.draw = () => {
            const button = document.createElement("button");
            button.textContent = "One of two, as large as it must be";
            button.onclick = () => { votes += 1; };
            host.replaceChildren(button);
          };
          draw();
          document.body.append(host);
        }"""
    )
    page.mouse.move(20, 8)
    page.mouse.down()
    page.evaluate("draw()")
    page.mouse.up()
    page.wait_for_function("votes === 1")
    page.mouse.down()  # what stands there when it is let go gets no second click
    page.mouse.up()
    page.mouse.down()  # and a drag is none
    page.evaluate("draw()")
    page.mouse.move(60, 8)
    page.mouse.up()
    page.evaluate("new Promise(done => setTimeout(done, 20))")
    assert page.evaluate("votes") == 2


def test_a_page_at_rest_draws_no_frames(visit: Opener, filled: int) -> None:
    visitor = visit(fresh=True)
    visitor.page.add_init_script(
        "const frame = requestAnimationFrame; window.frames_asked = 0;"
        "requestAnimationFrame = (task) => { frames_asked += 1; return frame(task); };"
    )
    page = visitor.go("/label")
    page.wait_for_selector("[data-testid=label]:not([data-pair=''])")
    asked = page.evaluate(
        """async () => {
          const rest = () => new Promise((done) => setTimeout(done, 300));
          for (let turn = 0, before = -1; turn < 20 && window.frames_asked !== before; turn += 1) {
            before = window.frames_asked;
            await rest();
          }
          const before = window.frames_asked;
          await rest();
          return window.frames_asked - before;
        }"""
    )
    assert asked == 0
