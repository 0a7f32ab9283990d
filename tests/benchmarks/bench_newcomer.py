"""How long a newcomer's way takes (`tests.newcomer`), with a studio, workers and sizes as they are.

Starts the whole studio (`palate up`) with an empty folder and drives Chromium. Printed: clicks and
seconds of every part, and the share of the seconds that the person waits for the machine.

    python -m tests.benchmarks.bench_newcomer [--pairs 30] [--updates 3] [--votes 4]
"""

from __future__ import annotations

import argparse
import json
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import sync_playwright

from tests import newcomer
from tests.benchmarks.label_page import FLAGS
from tests.conftest import RunningStudio, free_port


def main() -> None:
    """Walk, print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--pairs", type=int, default=30)
    parser.add_argument("--updates", type=int, default=3)
    parser.add_argument("--votes", type=int, default=4)
    plan = newcomer.Plan(**vars(parser.parse_args()))
    with tempfile.TemporaryDirectory() as name:
        studio = RunningStudio(Path(name) / "home", free_port(), {}, ("--no-demo",))
        start = time.monotonic()
        studio.start(600)
        served = time.monotonic() - start
        try:
            found = measure(studio.url, plan)
        finally:
            studio.stop()
    print(json.dumps({"served_after_s": round(served, 1), **found}, indent=1))


def measure(url: str, plan: newcomer.Plan) -> dict[str, Any]:
    """The whole way."""
    with sync_playwright() as playwright:
        path = shutil.which("chromium")
        how: dict[str, Any] = {"executable_path": path} if path else {"channel": "chrome"}
        browser = playwright.chromium.launch(args=list(FLAGS), **how)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        found = newcomer.walk(page, url, plan)
        browser.close()
    assert found.rewards == [newcomer.LEARNED], found.rewards
    total = found.total
    share = round(total["waited_s"] / total["seconds"], 2)
    run = {"step": found.step, "tiles": found.tiles, "rewards": found.rewards}
    parts = {"parts": found.parts, "total": total, "waited_share": share}
    return {**parts, "run": run, "result": found.result}


if __name__ == "__main__":
    main()
