"""Compare's grid while it is scrolled, and how soon New run says that a value cannot be.

The grid has 12 × 12 pictures of 1024² (its small copies are made before): frames a second while it
is scrolled through, beside a page as tall with nothing in it in the same browser. The message: from
an invalid value typed to its sentence painted beside the field, beside two bare frames.

    python -m tests.benchmarks.bench_compare
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from playwright.sync_api import Page, sync_playwright

from app.main import create_app
from backend.pocket import world
from backend.services import boards, policies, projects, prompts, samples, thumbnails, users
from backend.services.samples import NewSample
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from tests.benchmarks.label_page import FLAGS, _served

NUM, SIDE, SMALL = 12, 1024, 256
SCROLL = """
async (host) => {
  const gaps = []; let last = performance.now();
  const frame = () => new Promise(done => requestAnimationFrame(done));
  for (let i = 0; i < 120; i += 1) {
    host.scrollTop += i < 60 ? 24 : -24;
    await frame();
    const now = performance.now(); gaps.push(now - last); last = now;
  }
  gaps.sort((a, b) => a - b);
  const sum = gaps.reduce((a, b) => a + b, 0);
  return { fps: 1000 * gaps.length / sum, gap_p95: gaps[Math.floor(gaps.length * .95)],
    dropped: gaps.filter(gap => gap > 25).length };
}
"""
BLANK = """
() => {
  const host = document.createElement('div');
  host.style.cssText = 'position:fixed;inset:0;overflow:auto;background:#222;z-index:99';
  host.innerHTML = '<div style="height:1800px"></div>';
  document.body.append(host);
  return host;
}
"""
MESSAGE = """
async () => {
  const frame = () => new Promise(done => requestAnimationFrame(done));
  const input = document.querySelector('[name="num_steps"]');
  const took = [], bare = [];
  for (let i = 0; i < 15; i += 1) {
    let from = performance.now();
    await frame(); await frame();
    bare.push(performance.now() - from);
    input.value = '100'; input.dispatchEvent(new Event('input', { bubbles: true }));
    await frame(); await frame();
    from = performance.now();
    input.value = '-5'; input.dispatchEvent(new Event('input', { bubbles: true }));
    while (!document.getElementById(input.getAttribute('aria-describedby')).matches('.err'))
      await frame();
    await frame(); await frame();
    took.push(performance.now() - from);
  }
  const sorted = (all) => all.sort((a, b) => a - b);
  return { p50: sorted(took)[7], p95: sorted(took)[14], bare_p50: sorted(bare)[7] };
}
"""


def main() -> None:
    """Measure on a fresh SQLite store; print figures as JSON."""
    with tempfile.TemporaryDirectory() as folder:
        studio = open_studio(read_settings(home=Path(folder), database_url=""), migrate=True)
        print(json.dumps(measure(studio), indent=1))
        studio.close()


def measure(studio: Studio) -> dict[str, Any]:
    """All figures."""
    address = fill(studio)
    with _served(create_app(studio)) as url, sync_playwright() as playwright:
        path = shutil.which("chromium")
        how: dict[str, Any] = {"executable_path": path} if path else {"channel": "chrome"}
        browser = playwright.chromium.launch(args=list(FLAGS), **how)
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(url + address)
        page.wait_for_selector("[data-testid=board-grid] img", timeout=120_000)
        page.wait_for_timeout(1_000)
        host = page.query_selector("[data-testid=board-grid]")
        cells = page.get_by_test_id("cell").count()
        grid, blank = _both(page, host)
        page.goto(f"{url}/runs/new")
        page.wait_for_selector('[name="num_steps"]', state="attached", timeout=120_000)
        page.wait_for_timeout(1_000)
        message = page.evaluate(MESSAGE)
        browser.close()
    return {
        "cells": cells,
        "grid": _rounded(grid),
        "blank": _rounded(blank),
        "fps_over_blank": round(grid["fps"] / blank["fps"], 2),
        "message_ms": _rounded(message),
    }


def _both(page: Page, grid: Any) -> tuple[dict[str, float], dict[str, float]]:
    """Grid and empty page in turns; medians."""
    empty = page.evaluate_handle(BLANK)
    page.evaluate("host => { host.style.display = 'none' }", empty)
    found: dict[str, list[dict[str, float]]] = {"grid": [], "blank": []}
    for _round in range(3):
        found["grid"].append(page.evaluate(SCROLL, grid))
        page.evaluate("host => { host.style.display = '' }", empty)
        found["blank"].append(page.evaluate(SCROLL, empty))
        page.evaluate("host => { host.style.display = 'none' }", empty)
    grid_m, blank_m = (
        {key: statistics.median(one[key] for one in rows) for key in rows[0]}
        for rows in found.values()
    )
    return grid_m, blank_m


def fill(studio: Studio) -> str:
    """One source's pictures of twelve prompts under twelve seeds; the address of their grid."""
    me = users.local(studio)["id"]
    project = projects.create(studio, "bench")["id"]
    projects.open_project(studio, me, project)
    texts = world.draw(NUM, seed=3, split="heldout")
    made = prompts.import_text(studio, project, "heldout", "heldout", "\n".join(texts))
    policy = policies.create(studio, project, "base", "sd3", {"weights": "pocket"})["id"]
    settings = {"num_steps": 10, "guidance": 1.0}
    rows = []
    for prompt_id, text in prompts.texts(studio, made["id"]):
        whole = Image.fromarray(world.render(world.parse(text), 1)).resize((SIDE, SIDE))
        for number in range(NUM):
            media = studio.media.put(_jpeg(whole, number))
            thumbnails.path(studio, media, SMALL)
            seed = boards.noise_seed(str(number), text)
            rows.append(NewSample(prompt_id, seed, media, SIDE, SIDE, settings))
    samples.add(studio, project, policy, rows)
    seeds = ",".join(map(str, range(NUM)))
    asked = f"set={made['id']}&seed={seeds}&mode=grid&x=seed&y=prompt&rows={NUM}"
    return f"/compare?sources=policy:{policy}&{asked}"


def _jpeg(picture: Image.Image, number: int) -> bytes:
    """The picture with a mark of its own, so that no two files are the same."""
    pixels = np.asarray(picture).copy()
    pixels[:64, 64 * number : 64 * number + 64] = 255 - pixels[:64, 64 * number : 64 * number + 64]
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "JPEG", quality=85)
    return out.getvalue()


def _rounded(figures: dict[str, float]) -> dict[str, float]:
    return {name: round(value, 1) for name, value in figures.items()}


if __name__ == "__main__":
    main()
