"""A newcomer's way from an empty studio to a blind comparison, by clicks alone, nothing typed.

Starts the whole studio (`palate up`, workers and all) with an empty folder and drives Chromium:
load the demo, judge 30 pairs, learn a reward of them, launch a run on it, watch it learn, look at
its rollouts, stop it, have both models draw and vote blind. Printed: clicks and seconds of every
part, and the share of the seconds that the person waits for the machine.

    python -m tests.benchmarks.bench_newcomer [--pairs 30] [--updates 3] [--votes 4]
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Locator, Page, expect, sync_playwright

from tests.benchmarks.label_page import FLAGS
from tests.conftest import RunningStudio, free_port

LONG_MS = 900_000
LEARNED = "people"
"""What a reward is called where nobody types another name."""

REWARDS = """async run =>
  (await (await fetch(`/api/v1/runs/${run}`)).json()).config.rewards.map(one => one.name)"""


@dataclass
class Walk:
    """One person's way through the pages: what they clicked, and how long each part took."""

    page: Page
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
        self.clicks, self.waited, self.began = 0, 0.0, now


def main() -> None:
    """Walk, print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--votes", type=int, default=4)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        studio = RunningStudio(Path(name) / "home", free_port(), {}, ("--no-demo",))
        start = time.monotonic()
        studio.start(600)
        served = time.monotonic() - start
        try:
            found = measure(studio.url, asked.pairs, asked.updates, asked.votes)
        finally:
            studio.stop()
    print(json.dumps({"served_after_s": round(served, 1), **found}, indent=1))


def measure(url: str, pairs: int, updates: int, votes: int) -> dict[str, Any]:
    """The whole way."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        how: dict[str, Any] = {"executable_path": path} if path else {"channel": "chrome"}
        browser = playwright.chromium.launch(args=list(FLAGS), **how)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.set_default_timeout(LONG_MS)
        page.goto(url)
        walk = Walk(page)
        _label(walk, pairs)
        _learn(walk)
        run = _train(walk, updates)
        result = _compare(walk, votes)
        browser.close()
    parts = walk.parts
    total = {key: round(sum(part[key] for part in parts.values()), 1) for key in parts["demo"]}
    share = round(total["waited_s"] / total["seconds"], 2)
    return {"parts": parts, "total": total, "waited_share": share, "run": run, "result": result}


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
    walk.click("use-in-run")
    walk.done("reward")


def _train(walk: Walk, updates: int) -> dict[str, Any]:
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
    walk.click(page.locator("#palate a[href*='/runs/']").first)
    walk.done("rollouts")
    walk.click("stop-after-step")
    walk.click(page.get_by_role("button", name="Stop after step", exact=True).last)
    walk.wait(page.get_by_test_id("compare-base"))
    walk.done("stop")
    trained = page.evaluate(REWARDS, page.url.rsplit("/", 1)[1].partition("?")[0])
    assert trained == [LEARNED], trained
    step = page.get_by_test_id("run-step").inner_text()
    return {"step": step, "tiles": tiles, "rewards": trained}


def _compare(walk: Walk, votes: int) -> str:
    page = walk.page
    walk.click("compare-base")
    walk.click("create-comparison")
    for number in range(votes):
        walk.click(f"answer-{'left' if number % 2 else 'right'}")
        page.wait_for_timeout(150)
    walk.click("reveal")
    walk.click("reveal-yes")
    walk.wait(page.get_by_test_id("result"))
    walk.done("compare blind")
    return page.get_by_test_id("result").inner_text()


if __name__ == "__main__":
    main()
