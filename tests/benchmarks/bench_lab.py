"""One arrow key on a weight of the Reward lab, to the pairs that change places on screen.

A project of many pictures with values of four rewards; the page is the real one in Chromium. Timed
by the browser, from the key to two frames after the flips it causes are in the page, beside the
same two frames with nothing to do (`over_frames`), and beside asking the server to compose the mix
anew instead (`server_over_key`), which is what the page would wait for if it did not work it out
itself. `cpu_ms` is the processor's time of the page's main thread for a key, whatever else the
machine does, and `idle_cpu_ms` that of two frames with nothing to do.

    python -m tests.benchmarks.bench_lab --pictures 5000
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from playwright.sync_api import Page, sync_playwright

import db
from app.main import create_app
from backend.services import projects, rewards, users
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from tests import factory
from tests.benchmarks.label_page import FLAGS, _served

SIBLINGS, KEYS = 4, 60
KINDS = ("brightness", "saturation", "file-size", "pocket-verifier")
PRESS = """
async ([num, press]) => {
  const slider = document.querySelector('[data-testid^=lab-slider-]');
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const took = [];
  for (let i = 0; i < num; i += 1) {
    const from = performance.now();
    if (press) {
      slider.value = String(Number(slider.value) + (i % 40 < 20 ? 0.05 : -0.05));
      slider.dispatchEvent(new Event('input'));
    }
    await frame(); // the page draws in this frame, before us: its callback was first
    document.querySelector('[data-testid=flips]').getBoundingClientRect();
    await frame();
    await frame();
    took.push(performance.now() - from);
  }
  return took;
}
"""
ASK = """
async ([num, body]) => {
  const took = [];
  for (let i = 0; i < num; i += 1) {
    const from = performance.now();
    const answer = await fetch('/api/v1/rewards/lab/mix', { method: 'POST',
      headers: { 'Content-Type': 'application/json' }, body: JSON.stringify(body) });
    await answer.json();
    took.push(performance.now() - from);
  }
  return took;
}
"""


def main() -> None:
    """Fill a store, press, print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pictures", type=int, default=5_000)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        url = f"sqlite:///{home / 'palate.db'}"
        db.migrate(url)
        studio = open_studio(read_settings(home=home, database_url=url))
        ids = _fill(studio, asked.pictures)
        with _served(create_app(studio)) as address, sync_playwright() as playwright:
            path = shutil.which("chromium")
            how: dict[str, Any] = {"executable_path": path} if path else {"channel": "chrome"}
            browser = playwright.chromium.launch(args=list(FLAGS), **how)
            page = browser.new_page(viewport={"width": 1440, "height": 900})
            page.goto(f"{address}/rewards/lab?set=newest")
            page.locator("[data-testid=flips][data-pairs]").wait_for(timeout=60_000)
            page.get_by_test_id("people").wait_for()
            figures = _pressed(page, ids)
            browser.close()
        studio.close()
    print(json.dumps({"pictures": asked.pictures, **figures}))


def _fill(studio: Studio, pictures: int) -> list[int]:
    """Four rewards with values of every picture of a project."""
    made = factory.project(
        studio, num_prompts=pictures // SIBLINGS, per_prompt=SIBLINGS, pairs_per_prompt=0
    )
    projects.open_project(studio, users.local(studio)["id"], made.project)
    rng = np.random.default_rng(0)
    ids = []
    for kind in KINDS:
        ids.append(int(rewards.create(studio, made.project, kind, kind, {})["id"]))
        values = rng.random(len(made.samples)).tolist()
        rows = [ScoreRow(i, value) for i, value in zip(made.samples, values, strict=True)]
        rewards.record_scores(studio, ids[-1], rows)
    return ids


def _pressed(page: Page, ids: list[int]) -> dict[str, Any]:
    pairs = int(page.get_by_test_id("flips").get_attribute("data-pairs") or 0)
    page.evaluate(PRESS, [5, True])
    idle, idle_cpu = _timed(page, press=False)
    keys, cpu = _timed(page, press=True)
    terms = [{"reward_id": one, "weight": 1.0} for one in ids]
    server = page.evaluate(ASK, [8, {"set": "newest", "terms": terms}])
    key, frames = statistics.median(keys), statistics.median(idle)
    return {
        "pairs": pairs,
        "flipped": int(page.get_by_test_id("flips").get_attribute("data-flipped") or 0),
        "key_p50_ms": round(key, 1),
        "key_p95_ms": round(float(np.quantile(keys, 0.95)), 1),
        "cpu_ms": round(cpu, 1),
        "idle_cpu_ms": round(idle_cpu, 1),
        "frames_ms": round(frames, 1),
        "over_frames": round(key / frames, 2),
        "server_ms": round(statistics.median(server), 1),
        "server_over_key": round(statistics.median(server) / key, 1),
    }


def _timed(page: Page, *, press: bool) -> tuple[list[float], float]:
    """Milliseconds of KEYS presses, or of as many frames, and of the main thread for one."""
    session = page.context.new_cdp_session(page)
    session.send("Performance.enable", {"timeDomain": "threadTicks"})

    def spent() -> float:
        found = session.send("Performance.getMetrics")["metrics"]
        return float(next(one["value"] for one in found if one["name"] == "TaskDuration"))

    before = spent()
    took = page.evaluate(PRESS, [KEYS, press])
    cpu = 1000 * (spent() - before) / KEYS
    session.detach()
    return took, cpu


if __name__ == "__main__":
    main()
