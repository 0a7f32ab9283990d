"""Today with 200 runs and 50 studies: first paint and the whole page, beside a project with one.

Printed: milliseconds to the browser's first contentful paint and until the page's module has drawn
everything, medians of several fresh loads, and both over those of the small project.

    python -m tests.benchmarks.bench_today
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, sync_playwright

from app.main import create_app
from backend.services import projects, studies, users
from backend.services.studies import NewStudy
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from tests import factory
from tests.benchmarks.bench_run_list import _fill
from tests.benchmarks.label_page import FLAGS, _served

LOADS = 7
PAINT = """() => ({
  paint: performance.getEntriesByName('first-contentful-paint')[0].startTime,
  ready: performance.now()})"""


def main() -> None:
    """Measure both projects; print figures as JSON."""
    many, one = (_measured(*size) for size in ((200, 50), (1, 1)))
    over = {name: round(many[name] / one[name], 2) for name in many}
    print(json.dumps({"many": many, "one": one, "over_one": over}, indent=1))


def _measured(runs: int, number: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as folder:
        studio = open_studio(read_settings(home=Path(folder), database_url=""), migrate=True)
        _project(studio, runs, number)
        with _served(create_app(studio)) as url, sync_playwright() as playwright:
            path = shutil.which("chromium")
            how: dict[str, Any] = {"executable_path": path} if path else {"channel": "chrome"}
            browser = playwright.chromium.launch(args=list(FLAGS), **how)
            loads = [_load(browser, url) for _ in range(LOADS + 1)][1:]
            browser.close()
        studio.close()
    return {name: round(statistics.median(one[name] for one in loads), 1) for name in loads[0]}


def _project(studio: Studio, runs: int, number: int) -> None:
    made = factory.project(studio, per_prompt=2)
    projects.open_project(studio, users.local(studio)["id"], made.project)
    _fill(studio, made.project, runs)
    for n in range(number):
        asked = NewStudy(name=f"study {n}", sample_ids=tuple(made.samples))
        studies.create(studio, made.project, asked)


def _load(browser: Browser, url: str) -> dict[str, float]:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.wait_for_function("document.documentElement.dataset.ready", polling=20, timeout=120_000)
    found: dict[str, float] = page.evaluate(PAINT)
    page.close()
    return found


if __name__ == "__main__":
    main()
