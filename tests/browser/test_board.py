"""A board: views that follow each other to the pixel, a wipe by key, a difference that is zero for
the same picture, missing cells that can be asked for, and an address that reproduces all of it."""

from __future__ import annotations

import re
from dataclasses import dataclass

import numpy as np
import pytest
from playwright.sync_api import Page, Route, expect

from backend.pocket import world
from backend.services import boards, jobs, policies, prompts, samples
from backend.services.samples import NewSample
from backend.services.studio import Studio
from tests.browser.conftest import Opener, put_png, serious, stop_job

NUM = 6


@dataclass(frozen=True)
class Board:
    """Three sources of which the third drew half of the prompts; the first stands twice."""

    sources: list[str]
    prompt_set: int

    def path(self, *which: int, more: str = "") -> str:
        """The address of a board of some of the sources."""
        keys = ",".join(self.sources[i] for i in which)
        return f"/compare?sources={keys}&set={self.prompt_set}{more}"


@pytest.fixture
def board(store: Studio, project: int) -> Board:
    texts = world.draw(NUM, seed=3, split="heldout")
    made = prompts.import_text(store, project, "heldout", "heldout", "\n".join(texts))
    items = prompts.texts(store, made["id"])
    keys = []
    for number, name in enumerate(("base", "tuned", "half")):
        policy = policies.create(store, project, name, "sd3", {"weights": "pocket"})["id"]
        rng = np.random.default_rng(number)
        rows = []
        for prompt_id, text in items[: NUM if number < 2 else NUM // 2]:
            picture = world.render(world.parse(text), 1) + rng.normal(
                0, 10 + 9 * number, (64, 64, 3)
            )
            media = put_png(store, np.clip(picture, 0, 255).astype(np.uint8), 64)
            settings = {"num_steps": 10, "guidance": 1.0}
            seed = boards.noise_seed("0", text)
            rows.append(NewSample(prompt_id, seed, media, 64, 64, settings))
        samples.add(store, project, policy, rows)
        keys.append(f"policy:{policy}")
    return Board(keys, made["id"])


def spots(page: Page) -> list[tuple[float, float, float]]:
    """Where the picture's corner lies in each frame, and how wide it is, in pixels."""
    return [
        tuple(found)
        for found in page.evaluate(
            """() => [...document.querySelectorAll(".bframe")].map(frame => {
              const f = frame.getBoundingClientRect();
              const p = frame.querySelector("img").getBoundingClientRect();
              return [p.left - f.left, p.top - f.top, p.width];
            })"""
        )
    ]


def test_zoom_and_pan_of_one_picture_move_the_others_within_a_pixel(
    visit: Opener, board: Board
) -> None:
    visitor = visit()
    page = visitor.go(board.path(0, 1, 2))
    box = page.get_by_test_id("frame-1").bounding_box()
    assert box is not None
    x, y = box["x"] + box["width"] * 0.8, box["y"] + box["height"] * 0.3
    page.mouse.move(x, y)
    page.mouse.wheel(0, -900)
    expect(page.get_by_test_id("zoom")).not_to_have_text("100 %")
    page.mouse.down()
    page.mouse.move(x - 40, y + 25)
    page.mouse.up()
    first, *rest = spots(page)
    assert first[2] > 2 * box["width"]
    # The point under the pointer went with it: the corner lies where the zoom about it says.
    zoom = first[2] / box["width"]
    assert first[0] == pytest.approx(-(zoom - 1) * 0.8 * box["width"] - 40, abs=1.5)
    for other in rest:
        assert other == pytest.approx(first, abs=1)
    page.get_by_test_id("sync-zoom").uncheck()
    page.mouse.move(x, y)
    page.mouse.wheel(0, -300)
    page.wait_for_function(  # the wheel is told of, not waited for
        "wide => document.querySelectorAll('.bframe img')[1].getBoundingClientRect().width > wide",
        arg=first[2] + 1,
    )
    assert spots(page)[0][2] == pytest.approx(first[2], abs=1)


def test_a_link_reproduces_mode_zoom_sources_prompt_and_seed(visit: Opener, board: Board) -> None:
    visitor = visit()
    page = visitor.go(board.path(0, 1, 2))
    page.keyboard.press("n")
    page.keyboard.press("n")
    page.keyboard.press("v")
    page.keyboard.press("f")
    page.keyboard.press("ArrowRight")
    for part in ("prompt=2", "mode=wipe", "zoom=4%2C", "cut=52"):
        expect(page).to_have_url(re.compile(re.escape(part)))
    prompt, before = page.get_by_test_id("prompt").inner_text(), spots(page)
    again = visit().go(page.url.removeprefix(visitor.url))
    expect(again.get_by_test_id("prompt")).to_have_text(prompt)
    expect(again.get_by_test_id("mode-wipe")).to_have_attribute("aria-pressed", "true")
    expect(again.get_by_role("slider", name="Wipe")).to_have_attribute("aria-valuenow", "52")
    expect(again.locator(".src")).to_have_count(3)
    assert np.allclose(spots(again), before, atol=1)


def test_the_wipe_moves_by_key_and_announces_its_position(visit: Opener, board: Board) -> None:
    page = visit().go(board.path(0, 1, more="&mode=wipe"))
    for _ in range(3):
        page.keyboard.press("ArrowLeft")
    wipe = page.get_by_role("slider", name="Wipe")
    expect(wipe).to_have_attribute("aria-valuenow", "44")
    expect(page.locator("#live")).to_have_text("44 %")
    wipe.focus()
    page.keyboard.press("End")
    expect(wipe).to_have_attribute("aria-valuetext", "100 % left, 0 % right")
    page.keyboard.press("v")
    expect(wipe).to_be_hidden()


def test_the_difference_of_a_picture_from_itself_is_zero_everywhere(
    visit: Opener, board: Board
) -> None:
    page = visit().go(board.path(0, 0, 1))
    page.keyboard.press("d")
    expect(page.get_by_test_id("distance-1")).to_have_text("the same to the pixel")
    expect(page.get_by_test_id("distance-2")).to_contain_text("mean .0")
    sums = page.evaluate(
        """() => [...document.querySelectorAll("canvas")].map(c => c.getContext("2d")
          .getImageData(0, 0, c.width, c.height).data
          .reduce((sum, v, i) => i % 4 === 3 ? sum : sum + v, 0))"""
    )
    assert sums[0] == 0 < sums[1]


def test_flicker_lays_one_over_the_other_while_held(visit: Opener, board: Board) -> None:
    page = visit().go(board.path(0, 1))
    left, right = (page.get_by_test_id(f"frame-{i}") for i in (0, 1))
    place, other = left.bounding_box(), right.bounding_box()
    assert place is not None and other is not None and place["x"] < other["x"]
    page.keyboard.down(" ")
    assert right.bounding_box() == pytest.approx(place, abs=1)
    page.keyboard.up(" ")
    assert right.bounding_box() == pytest.approx(other, abs=1)
    page.get_by_test_id("mode-flicker").click()
    page.locator("body").press("2")
    expect(left).to_be_hidden()
    expect(right).to_be_visible()


def test_missing_cells_say_so_and_exactly_they_are_asked_for(
    visit: Opener, store: Studio, board: Board
) -> None:
    page = visit().go(board.path(0, 2, more="&mode=grid"))
    expect(page.get_by_test_id("cell")).to_have_count(2 * NUM)
    expect(page.get_by_test_id("missing")).to_have_count(NUM // 2)
    expect(page.get_by_test_id("missing").first).to_contain_text("not generated")
    page.get_by_test_id("axis-y").select_option("steps")
    page.get_by_test_id("steps").fill("4, 10")
    page.get_by_test_id("steps").blur()
    expect(page.get_by_test_id("cell")).to_have_count(4)
    expect(page.get_by_test_id("missing")).to_have_count(2)
    waits = {"status": "due", "progress": 0.0, "message": "", "error": ""}
    page.route("**/api/v1/jobs/*", lambda route: route.fulfill(json=waits))  # however fast they are
    page.get_by_test_id("draw-missing").click()
    expect(page.get_by_test_id("missing").first).to_contain_text("being drawn")
    job = jobs.of_kind(store, "cells", 1)[0]
    drawn_by = [int(board.sources[i].removeprefix("policy:")) for i in (0, 2)]
    first = prompts.texts(store, board.prompt_set)[0][0]
    assert job["args"]["cells"] == [[policy, first, "0", 4, 1.0] for policy in drawn_by]
    stop_job(store, job["id"])


def test_the_board_is_offered_and_votes_blind(visit: Opener, store: Studio, board: Board) -> None:
    def still_drawn(route: Route) -> None:  # however fast the workers are
        route.fulfill(json=route.fetch().json() | {"status": "drawing", "progress": 0.5})

    visitor = visit(theme="dark")
    visitor.page.route("**/api/v1/comparisons/*", still_drawn)
    visitor.page.route("**/api/v1/jobs/*/stop", lambda route: route.fulfill(json={}))
    page = visitor.go("/compare")
    page.get_by_test_id("open-board").click()
    page.wait_for_url("**/compare?sources=*")
    visitor.ready()
    page.get_by_test_id("add-source").select_option(board.sources[1])
    expect(page.get_by_test_id("frame-2")).to_be_visible()
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        for mode in ("wipe", "difference", "grid", "side"):
            page.get_by_test_id(f"mode-{mode}").click()
            expect(page.get_by_test_id(f"mode-{mode}")).to_have_attribute("aria-pressed", "true")
            assert serious(page, colours=theme == "dark") == [], f"{mode}, {theme}"
    visitor.shoot("board-side-dark")
    page.get_by_test_id("vote-blind").click()
    page.wait_for_url("**/compare?id=*")
    expect(page.get_by_text("Drawing both")).to_be_visible()
    with page.expect_request("**/api/v1/jobs/*/stop") as asked:
        page.get_by_role("button", name="Stop").click()
    job = jobs.of_kind(store, "compare", 1)[0]["id"]
    assert asked.value.url.endswith(f"/jobs/{job}/stop")
    stop_job(store, job)
