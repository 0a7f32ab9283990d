"""Every page in Chinese: nothing English is left, and it costs nobody anything."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect
from sqlalchemy import select

from backend.services.studio import Studio
from db.tables import Policy, Project, Prompt, PromptSet, Reward, Run, Study, User
from tests import seed
from tests.browser.asking import TEXTS, draw_study
from tests.browser.conftest import Opener, Visitor, draw_comparison, serious
from tests.browser.windows import READY_MS
from tests.unit.test_languages import ENTRIES, TOLD

LIVE, FAILED = "g2rpo-pocket-06", "g2rpo-pocket-04"
PAGES = (
    "/",
    "/label",
    "/prompts?generate=1",
    "/compare",
    "/compare?id={comparison}&mode=side&reveal=1",
    "/compare?sources=policy:{base},policy:{tuned}",
    "/workers",
    "/runs",
    "/runs/new",
    "/runs/import",
    "/runs/compare?runs={live},{failed}",
    "/runs/{live}",
    "/runs/{failed}",
    "/runs/{live}/rollouts",
    "/rewards",
    "/rewards/lab",
    "/best-of-n",
    "/studies",
    "/studies?new=1",
    "/studies/{study}",
    "/studies/{study}/quality",
    "/leaderboard",
    "/people",
    "/you",
    "/sign-in",
    "/join/nobody",
    "/there-is-no-such-page",
    "/label/{study}",
)
PROSE = re.compile(r"\b[a-z]{2,},? [a-z]{2,}\b")
"""Two words of English that follow each other."""
OURS = re.compile(
    r"palate worker \w+|make studio|palate import rollouts|free guidance|hub id"
    r"|[a-z ]+ on an? \w+ background"
)
"""What is typed on a terminal, is called so in Chinese too, or is a prompt of the pocket world."""
COLLECT = """() => {
  const kept = '[translate="no"],code,pre,kbd,textarea,script,style,[contenteditable]';
  const walk = document.createTreeWalker(document.documentElement, NodeFilter.SHOW_TEXT |
    NodeFilter.SHOW_ELEMENT, (node) => node instanceof Element && node.matches(kept)
      ? NodeFilter.FILTER_REJECT : NodeFilter.FILTER_ACCEPT);
  const found = new Set();
  for (let node = walk.currentNode; node; node = walk.nextNode()) {
    if (node.nodeType === Node.TEXT_NODE) found.add(node.data);
    else for (const name of ["title", "aria-label", "placeholder", "alt", "aria-valuetext"])
      found.add(node.getAttribute(name) ?? "");
  }
  return [...found];
}"""


@pytest.fixture
def places(store: Studio, seeded: seed.Seeded) -> dict[str, int]:
    """What the addresses of pages name."""
    return {
        "comparison": draw_comparison(store, seeded.project, 3),
        "study": draw_study(store, seeded.project, "texts", about=True, name="Bridges"),
        "live": seeded.runs[LIVE],
        "failed": seeded.runs[FAILED],
        "base": seeded.policies["base"],
        "tuned": seeded.policies["g2rpo-pocket-02"],
    }


WRITTEN = (
    Prompt.text,
    Run.error,
    *(kind.name for kind in (Run, Study, User, Policy, Reward, PromptSet, Project)),
)


def written(store: Studio) -> set[str]:
    """What people, and tests in their place, have written so far."""
    with store.read() as session:
        found = {text for column in WRITTEN for text in session.scalars(select(column))}
    others = {*TEXTS, "secretive-model step", "tuned against pocket"}
    return {text for text in found | others if text}


def _english(page: Page, written: set[str]) -> Iterator[str]:
    longest_first = sorted(written, key=len, reverse=True)  # one may begin another
    for text in page.evaluate(COLLECT):
        plain = OURS.sub("", text)
        for known in longest_first:
            plain = plain.replace(known, "")
        if PROSE.search(plain) and "arXiv" not in plain:
            yield text


def test_every_page_is_in_chinese(visit: Opener, store: Studio, places: dict[str, int]) -> None:
    known = written(store)
    visitor = visit(locale="zh-CN")
    page = visitor.page
    left: list[str] = []
    for path in PAGES:
        page.goto(visitor.url + path.format(**places))
        expect(page.locator("html[data-ready]"), path).to_be_attached(timeout=READY_MS)
        page.wait_for_timeout(250)  # for what the page asks for when it stands
        assert page.locator("html").get_attribute("lang") == "zh-CN"
        left += [f"{path}: {text}" for text in _english(page, known)]
    visitor.complaints = [text for text in visitor.complaints if "status of 404" not in text]
    assert not left, "\n".join(left)


def test_dialogs_and_the_palette_are_in_chinese(
    visit: Opener, store: Studio, shown: seed.Seeded
) -> None:
    known = written(store)
    visitor = visit(locale="zh-CN")
    page = visitor.go(f"/runs/{shown.runs[LIVE]}/rollouts")
    page.keyboard.press("?")
    expect(page.locator("dialog h2")).to_have_text("键盘快捷键")
    assert not list(_english(page, known))
    page.keyboard.press("Escape")
    page.keyboard.press("Control+k")
    page.get_by_test_id("palette").fill("运行")
    expect(page.locator(".pal-l li").first).to_contain_text("运行")
    assert not list(_english(page, known))
    assert serious(page) == []


def test_the_language_is_chosen_and_kept(visit: Opener, project: int) -> None:
    visitor = visit()
    page = visitor.go("/you")
    asked: list[str] = []
    visitor.hear("request", lambda request: asked.append(request.url))
    visitor.go("/you")
    assert page.locator("html").get_attribute("lang") == "en"
    assert not [url for url in asked if "/languages/" in url or url.endswith("/language.js")]
    page.get_by_test_id("language-zh-CN").click()
    expect(page.locator("h1")).to_have_text("你", timeout=READY_MS)
    visitor.go("/workers")
    expect(page.locator("h1")).to_have_text("工作进程")
    page.keyboard.press("Control+k")
    page.get_by_test_id("palette").fill("english")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Workers", timeout=READY_MS)


def test_pages_look_texts_up_as_the_server_does(visit: Opener, project: int) -> None:
    page = visit().go("/you")
    told = page.evaluate(
        """async ([entries, texts]) => {
          const { translator } = await import("/static/js/language.js");
          return texts.map(translator(entries));
        }""",
        [ENTRIES, [text for text, _ in TOLD.values()]],
    )
    assert told == [shown for _, shown in TOLD.values()]


def test_what_comes_later_is_translated_before_it_is_painted(visit: Opener, project: int) -> None:
    page = visit(locale="zh-CN").go("/you")
    seen = page.evaluate(
        """async () => {
          const node = document.createElement("p");
          node.title = "Close";
          node.append("Saved", Object.assign(document.createElement("b"), { translate: false }));
          node.lastChild.textContent = "Saved";
          document.getElementById("main").append(node);
          await new Promise((done) => requestAnimationFrame(done));
          const first = [node.title, node.textContent];
          node.firstChild.data = "Saving";
          node.title = "Saved";
          await new Promise((done) => requestAnimationFrame(done));
          return [...first, node.title, node.textContent];
        }"""
    )
    assert seen == ["关闭", "已保存Saved", "已保存", "正在保存Saved"], json.dumps(seen)


def test_a_phone_reads_chinese_without_scrolling_sideways(
    visit: Opener, shown: seed.Seeded
) -> None:
    visitor: Visitor = visit(width=390, height=844, locale="zh-CN")
    for path in ("/", "/runs", f"/runs/{shown.runs[LIVE]}", "/you", "/sign-in"):
        page = visitor.go(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
