"""Prompts: adding a set, problems with their line numbers, finding, asking for pairs."""

from __future__ import annotations

from playwright.sync_api import expect

from backend.services import prompts
from backend.services.studio import Studio
from tests.browser.conftest import Opener, draw_pairs


def test_a_pasted_set_is_added_and_found(visit: Opener, store: Studio, project: int) -> None:
    page = visit().go("/prompts")
    page.get_by_test_id("set-name").fill("mine")
    page.get_by_test_id("set-text").fill("a large red circle\na small blue square\na green star")
    page.get_by_test_id("add-prompts").click()
    expect(page.get_by_test_id("import-result")).to_contain_text("Added 3 prompts.")
    expect(page.get_by_test_id("prompt-list").locator("li")).to_have_count(3)
    page.get_by_test_id("prompt-search").fill("blue")
    expect(page.get_by_test_id("prompt-list").locator("li")).to_have_count(1)
    assert [row["num_prompts"] for row in prompts.rows(store, project)] == [3]


def test_a_broken_line_is_named_by_its_number_and_nothing_is_written(
    visit: Opener, store: Studio, project: int
) -> None:
    visitor = visit()
    page = visitor.go("/prompts")
    page.get_by_test_id("set-name").fill("broken")
    page.get_by_test_id("set-text").fill('{"prompt": "a red circle"}\n{"prompt": \n')
    page.get_by_test_id("add-prompts").click()
    expect(page.get_by_test_id("import-problems")).to_contain_text("2")
    visitor.shoot("prompts-problems-light")
    assert prompts.rows(store, project) == []
    visitor.complaints.clear()  # the browser itself logs the refusal


def test_a_field_out_of_range_is_told_beside_it(visit: Opener, store: Studio, project: int) -> None:
    draw_pairs(store, project, 4)
    page = visit().go("/prompts?generate=1")
    field = page.get_by_test_id("field-samples_per_prompt")
    field.fill("1")
    expect(page.get_by_text("At least 2.")).to_be_visible()
    page.get_by_test_id("generate-pairs").click()
    expect(field).to_be_focused()
    expect(page.get_by_test_id("job")).to_have_count(0)
