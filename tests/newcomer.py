"""A newcomer's way from an empty studio to a blind comparison, by clicks alone, nothing typed.

Load the demo, judge 30 pairs, learn a reward of them, launch a run on it, watch it learn, look at
its rollouts, stop it, have both models draw and vote blind. The browser's test and the benchmark
walk it alike; the page itself counts what is clicked and what is typed.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from playwright.sync_api import Locator, Page, expect

LONG_MS = 900_000
LEARNED = "people"
"""What a reward is called where nobody types another name."""
COUNT = """for (const kind of ["pointerdown", "keydown"])
  addEventListener(kind, () => { sessionStorage[kind] = 1 + Number(sessionStorage[kind] ?? 0); },
    true);"""
"""Counts what a person does, from page to page of one tab."""
COUNTED = """["pointerdown", "keydown"].map(kind => Number(sessionStorage[kind] ?? 0))"""
REWARDS = """async run =>
  (await (await fetch(`/api/v1/runs/${run}`)).json()).config.rewards.map(one => one.name)"""


@dataclass(frozen=True)
class Plan:
    """How far somebody goes."""

    pairs: int = 30
    updates: int = 3
    votes: int = 4


@dataclass(frozen=True)
class Found:
    """What the way led to."""

    parts: dict[str, dict[str, float]]
    """Part → clicks, seconds, and what of them was waiting for the machine."""
    clicks: int
    keys: int
    """Clicks and keys as the pages themselves counted them."""
    step: str
    rewards: list[str]
    """What the run was trained on."""
    tiles: int
    """Pictures of the rollouts that were looked at."""
    result: str
    """What the comparison says in the end."""

    @property
    def total(self) -> dict[str, float]:
        """Over all parts."""
        keys = next(iter(self.parts.values()))
        return {key: round(sum(part[key] for part in self.parts.values()), 1) for key in keys}


@dataclass
class Walk:
    """One person's way through the pages: what they clicked, and how long each part took."""

    page: Page
    look: Callable[[str], Any] = lambda part: None
    """Told of every part that ends, while its last page stands."""
    parts: dict[str, dict[str, float]] = field(default_factory=dict)
    clicks: int = 0
    waited: float = 0.0
    began: float = field(default_factory=time.monotonic)

    def click(self, what: str | Locator) -> None:
        """Click once what can be clicked, after waiting for it."""
        found = self.page.get_by_test_id(what).first if isinstance(what, str) else what
        start = time.monotonic()
        expect(found).to_be_enabled(timeout=LONG_MS)
        self.waited += time.monotonic() - start
        found.click()
        self.clicks += 1

    def wait(self, what: Locator) -> None:
        """Wait for something to be seen."""
        start = time.monotonic()
        expect(what).to_be_visible(timeout=LONG_MS)
        self.waited += time.monotonic() - start

    def done(self, part: str) -> None:
        """A part of the way is behind them."""
        now = time.monotonic()
        figures = {"clicks": self.clicks, "seconds": round(now - self.began, 1)}
        self.parts[part] = figures | {"waited_s": round(self.waited, 1)}
        self.look(part)
        self.clicks, self.waited, self.began = 0, 0.0, time.monotonic()


def walk(page: Page, url: str, plan: Plan, look: Callable[[str], Any] | None = None) -> Found:
    """The whole way; the page has been nowhere yet."""
    page.add_init_script(COUNT)
    page.set_default_timeout(LONG_MS)
    page.goto(url)
    went = Walk(page) if look is None else Walk(page, look)
    went.wait(page.get_by_test_id("load-demo"))
    went.look("empty")
    _label(went, plan.pairs)
    _learn(went)
    step, rewards, tiles = _train(went, plan.updates)
    result = _compare(went, plan.votes)
    clicks, keys = page.evaluate(COUNTED)
    return Found(went.parts, clicks, keys, step, rewards, tiles, result)


def _label(walk: Walk, pairs: int) -> None:
    walk.click("load-demo")
    walk.click("continue-labelling")
    walk.done("demo")
    label = walk.page.get_by_test_id("label")
    for number in range(pairs):
        expect(label).not_to_have_attribute("data-pair", "", timeout=LONG_MS)
        before = label.get_attribute("data-pair")
        walk.click(f"answer-{'left' if number % 2 else 'right'}")
        expect(label).not_to_have_attribute("data-pair", before or "", timeout=LONG_MS)
    walk.done(f"label {pairs}")


def _learn(walk: Walk) -> None:
    walk.click(walk.page.locator('.rail a[href="/rewards"]').first)
    walk.click("train-reward")
    start = time.monotonic()
    expect(walk.page.get_by_test_id("reward-name-shown")).to_have_text(LEARNED, timeout=LONG_MS)
    walk.waited += time.monotonic() - start
    walk.look("learned")
    walk.click("use-in-run")
    walk.done("reward")


def _train(walk: Walk, updates: int) -> tuple[str, list[str], int]:
    page = walk.page
    walk.click("start-run")
    page.wait_for_url(re.compile(r"/runs/\d+$"))
    walk.done("launch")
    start = time.monotonic()
    page.wait_for_function(
        f"() => Number(document.getElementById('main').dataset.lastStep) >= {updates}"
    )
    walk.waited += time.monotonic() - start
    walk.done("watch")
    walk.click(page.get_by_test_id("rollouts"))
    walk.wait(page.get_by_test_id("rollout-tree"))
    tiles = page.get_by_test_id("sample").count()
    walk.click(page.get_by_test_id("sample").nth(3))
    walk.look("one of the rollouts")
    walk.click(page.locator("#palate a[href*='/runs/']").first)
    walk.done("rollouts")
    walk.click("stop-after-step")
    walk.click(page.get_by_role("button", name="Stop after step", exact=True).last)
    walk.wait(page.get_by_test_id("compare-base"))
    walk.done("stop")
    rewards = page.evaluate(REWARDS, page.url.rsplit("/", 1)[1].partition("?")[0])
    return page.get_by_test_id("run-step").inner_text(), rewards, tiles


def _compare(walk: Walk, votes: int) -> str:
    page = walk.page
    walk.click("compare-base")
    walk.wait(page.get_by_test_id("create-comparison"))
    walk.look("before comparing")
    walk.click("create-comparison")
    prompt = page.get_by_test_id("prompt")
    for number in range(votes):
        walk.wait(page.get_by_test_id("answer-left"))
        before = prompt.inner_text()
        if not number:
            walk.look("blind")
        walk.click(f"answer-{'left' if number % 2 else 'right'}")
        expect(prompt).not_to_have_text(before, timeout=LONG_MS)
    walk.click("reveal")
    walk.click("reveal-yes")
    walk.wait(page.get_by_test_id("result"))
    walk.wait(page.locator(".film button").first)
    walk.done("compare blind")
    return page.get_by_test_id("result").inner_text()
