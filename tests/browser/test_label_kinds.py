"""Label for every kind of item and with every tool, in a real browser: what is said is stored."""

from __future__ import annotations

import json
import re
from typing import Any

from playwright.sync_api import Page, Response, expect
from sqlalchemy import select

from backend.services import labels, studies
from backend.services.studio import Studio
from db.queries import Scope
from db.tables import Label, Pair, Sample
from tests.browser.asking import POLICY, TEXTS, draw_study, items
from tests.browser.conftest import (
    Opener,
    Visitor,
    draw_pairs,
    in_both_themes,
    saved,
    serious,
)
from tests.browser.test_label import rows


def stands(page: Page) -> None:
    """Wait until an item stands there."""
    page.wait_for_selector("[data-testid=label]:not([data-pair=''])")


def press(page: Page, *names: str) -> None:
    """Keys one after the other."""
    for name in names:
        page.keyboard.press(name)


def answers(store: Studio, project: int) -> list[dict[str, Any]]:
    """What stands, beside its choice, in the order in which it was given."""
    return [row.answers for row in rows(store, project) if row.choice != "retract"]


def faults(page: Page) -> list[str]:
    """What axe finds serious or critical, in both themes."""
    found = []
    for theme in in_both_themes(page):
        found += [f"{theme} {fault}" for fault in serious(page, colours=theme == "dark")]
    page.emulate_media(color_scheme="light")
    return found


def box_of(page: Page, testid: str) -> dict[str, float]:
    """Where an element stands."""
    found: dict[str, float] = page.get_by_test_id(testid).evaluate(
        "node => node.getBoundingClientRect().toJSON()"
    )
    return found


def test_two_pictures_with_aspects_regions_and_a_comment_survive_a_reload_and_an_undo(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(
        store,
        project,
        question="Which follows the prompt?",
        guidelines="Count first.\nThen look at places.",
        aspects=["prompt", "beauty", "faults"],
        regions=True,
    )
    visitor = visit()
    page = visitor.go(f"/label/{study}")
    stands(page)
    expect(page.get_by_test_id("question")).to_have_text("Which follows the prompt?")
    row = page.get_by_test_id("aspect-row")
    expect(row.locator(".next")).to_have_attribute("data-question", "prompt")
    press(page, "Shift+ArrowRight", "Shift+ArrowUp")
    expect(row.locator(".next")).to_have_attribute("data-question", "faults")
    press(page, "m", "ArrowRight", "ArrowDown", "Shift+ArrowRight", "q", "Enter")
    right = box_of(page, "img-right")
    page.mouse.move(right["x"] + 0.1 * right["width"], right["y"] + 0.2 * right["height"])
    page.mouse.down()
    page.mouse.move(right["x"] + 0.5 * right["width"], right["y"] + 0.5 * right["height"])
    page.mouse.up()
    expect(page.get_by_test_id("box")).to_have_count(2)
    assert faults(page) == []
    press(page, "Escape", "c")
    page.keyboard.type("two, not three")
    press(page, "Enter")
    assert rows(store, project) == [], "nothing of this is a vote"

    page.reload()
    visitor.ready()
    stands(page)
    expect(page.get_by_test_id("box")).to_have_count(2)
    expect(page.get_by_label("prompt: right")).to_have_attribute("aria-pressed", "true")
    expect(page.get_by_test_id("comment")).to_have_value("two, not three")
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_test_id("box")).to_have_count(0)
    saved(page)
    (first,) = rows(store, project)
    assert (first.choice, first.comment) == ("left", "two, not three")
    assert first.answers["aspects"] == {"prompt": "right", "beauty": "tie"}
    by_key, drawn = first.answers["regions"]
    assert by_key == {
        "side": "left",
        "x": 0.37,
        "y": 0.37,
        "width": 0.32,
        "height": 0.3,
        "reason": "count",
    }
    assert drawn["side"] == "right"
    assert abs(drawn["x"] - 0.1) < 0.01 and abs(drawn["height"] - 0.3) < 0.01

    page.keyboard.press("z")
    expect(page.get_by_test_id("box")).to_have_count(2)
    expect(page.get_by_label("beauty: tie")).to_have_attribute("aria-pressed", "true")
    press(page, "m", "n", "Delete")
    expect(page.get_by_test_id("box")).to_have_count(1)
    press(page, "Escape", "h")
    expect(page.get_by_role("dialog")).to_contain_text("Then look at places.")


def test_spans_of_two_texts_are_selected_or_chosen_by_keys(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(store, project, "texts", spans=True, about=True, reasons=["wrong"])
    page = visit().go(f"/label/{study}")
    stands(page)
    expect(page.locator(".subject img")).to_be_visible()
    side = "left" if page.get_by_test_id("text-left").inner_text() == TEXTS[0] else "right"
    page.evaluate(
        """side => {
          const node = document.querySelector(`[data-testid=text-${side}]`);
          const at = node.textContent.indexOf("red boat");
          getSelection().setBaseAndExtent(node.firstChild, at, node.firstChild, at + 8);
          node.dispatchEvent(new PointerEvent("pointerup", {bubbles: true, pointerType: "mouse"}));
        }""",
        side,
    )
    expect(page.locator("mark")).to_have_text("red boat")
    press(page, "m", "2" if side == "left" else "1", "ArrowRight", "Shift+ArrowRight", "q")
    expect(page.locator("mark.at")).to_have_text("boats, red")
    assert faults(page) == []
    press(page, "Enter", "Enter", "ArrowDown")
    saved(page)
    (row,) = rows(store, project)
    assert row.choice == "both_bad"
    selected, chosen = row.answers["spans"]
    assert TEXTS[0][selected["start"] : selected["end"]] == "red boat"
    assert TEXTS[1][chosen["start"] : chosen["end"]] == "boats, red"
    assert chosen["reason"] == "wrong" and {selected["side"], chosen["side"]} == {"left", "right"}


def test_one_picture_gets_a_mark_and_a_checklist(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(store, project, "single", checklist=["The count", "The colours", "No text"])
    page = visit().go(f"/label/{study}")
    stands(page)
    press(page, "Shift+ArrowLeft", "Shift+ArrowDown", "Shift+ArrowRight")
    assert faults(page) == []
    page.keyboard.press("4")
    page.get_by_label("The colours: yes").click()
    page.keyboard.press("Enter")  # on the button that has the focus: it takes the answer back
    page.get_by_label("The colours: no").click()
    page.get_by_test_id("answer-checklist").click()
    page.keyboard.press("1")
    saved(page)
    assert [row.choice for row in rows(store, project)] == ["rated"] * 3
    assert answers(store, project) == [
        {"rating": 4, "checklist": {"The count": True, "No text": False}},
        {"checklist": {"The colours": False}},
        {"rating": 1},
    ]


def test_best_and_worst_of_four_are_two_keys_or_two_clicks(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(store, project, "best_worst")
    visitor = visit()
    page = visitor.go(f"/label/{study}")
    stands(page)
    page.keyboard.press("2")
    expect(page.get_by_test_id("best-step")).to_contain_text("Worst")
    page.keyboard.press("z")
    expect(page.get_by_test_id("best-step")).to_contain_text("Best")
    page.keyboard.press("3")
    assert faults(page) == []
    page.reload()
    visitor.ready()
    stands(page)
    expect(page.get_by_test_id("best-step")).to_contain_text("Worst")
    seen = page.eval_on_selector_all(".frame img", "all => all.map(i => i.src)")
    page.keyboard.press("1")
    page.get_by_test_id("img-4").click()
    expect(page.get_by_test_id("best-step")).to_contain_text("Worst")
    page.get_by_test_id("img-1").click()
    saved(page)
    first, second = rows(store, project)
    assert [first.choice, second.choice] == ["ranked", "ranked"]
    assert media_of(store, first, "best") in seen[2]
    assert media_of(store, first, "worst") in seen[0]


def media_of(store: Studio, row: Label, which: str) -> str:
    """The picture that was named, by the letter that was stored."""
    with store.read() as session:
        pair = session.get_one(Pair, row.pair_id)
        every = [pair.sample_a_id, pair.sample_b_id, *pair.detail["more"]]
        return session.get_one(Sample, every["abcd".index(row.answers[which])]).media


def test_a_skip_is_one_key_and_its_cause_two(visit: Opener, store: Studio, project: int) -> None:
    draw_pairs(store, project, 8)
    page = visit().go("/label")
    stands(page)
    press(page, "s", "Shift+s")
    expect(page.get_by_test_id("causes")).to_be_visible()
    page.keyboard.press("3")
    expect(page.get_by_test_id("causes")).to_be_hidden()
    press(page, "Shift+s", "s", "ArrowUp", "ArrowDown")
    saved(page)
    stored = rows(store, project)
    assert [row.choice for row in stored] == ["skip"] * 3 + ["tie", "both_bad"]
    assert [row.answers.get("cause") for row in stored[:3]] == [None, "the prompt is unclear", None]
    exported = page.request.get(page.url.replace("/label", "/api/v1/labels/export")).text()
    preferred = [json.loads(line)["preferred"] for line in exported.splitlines()]
    assert preferred == ["skip"] * 3 + ["tie", "both_bad"], "three values in the export"


def test_nothing_on_the_way_to_a_judgement_names_the_model(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(store, project, name=f"{POLICY} against others")
    visitor = visit()
    replies: list[Response] = []
    visitor.hear("response", lambda reply: replies.append(reply))
    page = visitor.go(f"/label/{study}")
    stands(page)
    page.keyboard.press("ArrowLeft")
    saved(page)
    told: list[str] = []
    for reply in list(replies):
        told.append(f"{reply.url} {reply.all_headers()}")
        if "json" in reply.headers.get("content-type", ""):
            told.append(reply.text())
        if "/media/" in reply.url:
            told.append(reply.body().decode("latin-1"))
    everything = page.content() + "".join(part for part in told if "/api/v1/projects" not in part)
    assert "/label/next" in everything and "/media/" in everything
    assert not re.search(r"secretive|step 40|policy_id", everything)
    assert page.locator("h1").inner_text() == f"Study {study}"
    names = [url.rsplit("/", 1)[1] for url in sources(page)]
    assert len({name[:4] for name in names}) == len(names), "addresses share no beginning"


def sources(page: Page) -> list[str]:
    """Addresses of the pictures that stand there."""
    found: list[str] = page.eval_on_selector_all(".frame img", "all => all.map(i => i.src)")
    return found


def test_studies_are_found_on_the_page_and_each_keeps_its_own_count_and_draft(
    visit: Opener, store: Studio, project: int
) -> None:
    first = draw_study(store, project, num=2, name="First", aspects=["place"])
    draw_study(store, project, num=3, name="Second")
    visitor = visit()
    page = visitor.go("/label")
    listed = page.get_by_test_id("studies")
    expect(listed).to_contain_text("0 of 3")
    page.get_by_label("Judge First").click()
    stands(page)
    expect(page.locator("h1")).to_have_text("First")
    page.route("**/api/v1/label", lambda route: route.abort())
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("Shift+ArrowLeft")
    expect(page.get_by_test_id("saved-state")).to_have_text("1 kept here")
    page.get_by_role("link", name="Label", exact=True).last.click()
    page.get_by_label("Judge Second").click()
    stands(page)
    expect(page.get_by_test_id("pace")).to_contain_text("0 of 3")
    page.unroute("**/api/v1/label")
    press(page, "ArrowRight", "ArrowRight", "ArrowRight")
    saved(page)
    expect(page.get_by_test_id("empty")).to_contain_text("You have judged 3 items")
    visitor.go(f"/label/{first}")
    stands(page)
    expect(page.get_by_test_id("pace")).to_contain_text("1 of 2")
    expect(page.get_by_label("place: left")).to_have_attribute("aria-pressed", "true")
    draw_pairs(store, project, 3)
    page = visitor.go("/label")
    first_of = page.get_by_test_id("studies").get_by_role("link").filter(has_text="First")
    expect(first_of).to_contain_text("1 of 2")
    studies.change(store, first, status="closed")
    visitor.go(f"/label/{first}")
    expect(page.get_by_test_id("empty")).to_contain_text("This study is closed")


def test_twenty_undos_after_a_reload_walk_back_through_a_study_alone(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(store, project, num=21)
    visitor = visit()
    page = visitor.go(f"/label/{study}")
    for _ in range(20):
        stands(page)
        page.keyboard.press("ArrowRight")
    saved(page)
    page.reload()
    visitor.ready()
    stands(page)
    press(page, *["z"] * 20)
    expect(page.get_by_test_id("pace")).to_have_text("0 of 21")
    saved(page)
    stored = rows(store, project)
    assert [row.choice for row in stored] == ["right"] * 20 + ["retract"] * 20
    assert [row.retracts for row in stored[20:]] == [row.id for row in reversed(stored[:20])]
    with store.read() as session:
        first = session.scalar(select(Label.pair_id).where(Label.id == stored[0].id))
    expect(page.get_by_test_id("label")).to_have_attribute("data-pair", str(first))
    assert first in items(store, study)
    assert list(labels.judged(store, project, scope=Scope(study=study))) == []


def test_a_key_is_changed_taken_from_another_and_shown_where_it_acts(
    visit: Opener, store: Studio, project: int
) -> None:
    draw_pairs(store, project, 6)
    page = visit().go("/label")
    stands(page)
    page.keyboard.press("?")
    row = page.get_by_test_id("key-label.left")
    row.get_by_role("button", name="Change").click()
    page.keyboard.press("g")
    expect(row).to_contain_text("begins other keys")
    row.get_by_role("button", name="Leave it").click()
    row.get_by_role("button", name="Change").click()
    page.keyboard.press("s")
    expect(row).to_contain_text("is Skip")
    row.get_by_role("button", name="Take it").click()
    expect(page.get_by_test_id("key-label.skip")).to_contain_text("no key")
    page.keyboard.press("Escape")
    expect(page.get_by_test_id("answer-left").locator("kbd")).to_have_text("S")
    expect(page.get_by_test_id("skip").locator("kbd")).to_be_hidden()
    press(page, "ArrowLeft", "s")
    saved(page)
    assert [row.choice for row in rows(store, project)] == ["left"]
    page.keyboard.press("?")
    page.get_by_test_id("keys-reset").click()
    page.get_by_test_id("keys-on").uncheck()
    page.keyboard.press("Escape")
    expect(page.locator(".ans kbd:visible")).to_have_count(0)


def test_a_phone_reaches_every_tool_with_the_thumb(
    visit: Opener, store: Studio, project: int
) -> None:
    study = draw_study(
        store, project, aspects=["prompt", "beauty"], regions=True, guidelines="Look twice."
    )
    visitor = visit(width=390, height=844)
    page = visitor.go(f"/label/{study}")
    stands(page)
    page.get_by_label("prompt: left").tap()
    expect(page.locator(".q.next")).to_have_attribute("data-question", "beauty")
    page.get_by_test_id("why").tap()
    assert too_small(page) == []
    page.get_by_test_id("mark").tap()
    assert too_small(page) == []
    page.get_by_test_id("img-right").tap()
    assert rows(store, project) == [], "while marking a tap is no vote"
    page.get_by_role("button", name="Done").tap()
    page.get_by_test_id("answer-left").tap()
    saved(page)
    assert answers(store, project) == [{"aspects": {"prompt": "left"}}]
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert faults(page) == []


def too_small(page: Page) -> list[str]:
    """Targets under 44 pixels, and those that lie outside the window."""
    found: list[str] = page.eval_on_selector_all(
        ".lab button, .lab input",
        """all => all.filter(n => n.checkVisibility()).flatMap(n => {
          const box = n.getBoundingClientRect();
          const isLarge = box.width >= 44 && box.height >= 44;
          const isInside = box.left >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
          const said = `${n.textContent} ${box.width} × ${box.height} at ${box.x}, ${box.y}`;
          return isLarge && isInside ? [] : [said];
        })""",
    )
    return found


def test_pictures_of_other_shapes_follow_without_a_shift(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 6)
    with store.write() as session:
        for number, pair_id in enumerate(drawn.pair_ids):
            pair = session.get_one(Pair, pair_id)
            for sample_id in (pair.sample_a_id, pair.sample_b_id):
                sample = session.get_one(Sample, sample_id)
                sample.width, sample.height = [(96, 64), (64, 96), (64, 64)][number % 3]
    visitor: Visitor = visit()
    page = visitor.go("/label")
    stands(page)
    parts = ("answer-left", "answer-right", "skip", "undo")
    places = [box_of(page, part) for part in parts]
    for key in ("ArrowLeft", "ArrowRight", "ArrowUp", "ArrowDown", "1"):
        page.keyboard.press(key)
        page.evaluate(
            "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
        )
        assert [box_of(page, part) for part in parts] == places, key
