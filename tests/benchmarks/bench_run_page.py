"""What the Run page costs: drawing 200,000 points and moving over them, an event from the store to
the chart, and the memory of a tab over an hour of a run that makes an update a second.

Each beside something of the same run: the points without thinning, the bare server-sent event, and
the figures themselves as plain numbers.
"""

from __future__ import annotations

import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, Page, sync_playwright

from app.main import create_app
from backend.services import projects, users
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from tests import seed
from tests.benchmarks.label_page import FLAGS, _served

POINTS = 200_000
HOUR = 3600
EVENTS = 20
BATCH = 60
DRAW = """
async (num) => {
  const { lineChart, linePath } = await import('/static/js/charts.js');
  const { RunState } = await import('/static/js/run_state.js');
  const { chartsOf, cell, drawAll } = await import('/static/js/run_charts.js');
  const median = (all) => [...all].sort((a, b) => a - b)[all.length >> 1];
  const host = document.createElement('div');
  host.style.cssText = 'position:fixed;inset:0;width:700px;z-index:99;background:#fff';
  document.body.append(host);
  const timed = (make) => {
    const took = [];
    for (let i = 0; i < 9; i += 1) {
      const from = performance.now();
      host.replaceChildren(make());
      host.getBoundingClientRect();
      took.push(performance.now() - from);
    }
    return median(took);
  };
  const noise = (i) => Math.sin(i / 900) + Math.sin(i * 12.9898) * 0.4;
  const points = Array.from({ length: num }, (_, i) => [i, noise(i)]);
  const spec = { label: 'x', series: [{ name: 'a', points }], width: 700, height: 282, cursor: 10 };
  const chart = timed(() => lineChart(spec));
  const naive = timed(() => {
    const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
    const path = document.createElementNS('http://www.w3.org/2000/svg', 'path');
    path.setAttribute('d', linePath(points, (s) => s / num * 700, (v) => 140 - 80 * v));
    svg.append(path);
    return svg;
  });
  // the page's own charts: the same number of points as ten figures of a tenth of the steps
  const state = new RunState(1);
  const steps = Array.from({ length: num / 10 }, (_, i) => i + 1);
  const names = ['reward/verifier', 'reward_se/verifier', 'spread', 'loss', 'kl', 'grad_norm',
    'ratio_mean', 'ratio_max_dev', 'clip_share', 'groups_kept'];
  state.run = { num_steps: steps.length, config: { rewards: [{ name: 'verifier', weight: 1 }] } };
  const columns = names.map((name, k) => [name, steps.map((i) => noise(i * (k + 1)))]);
  state.series.lay(steps, Object.fromEntries(columns));
  const kinds = chartsOf(state).flat();
  const cells = kinds.map((kind) => cell(kind, state, { onPick() {}, onZoom() {}, height: 132 }));
  const all = document.createElement('div');
  all.style.cssText = 'height:900px;overflow:auto';
  all.append(...cells.map((c) => c.node));
  host.replaceChildren(all);
  const timedAll = (draw) => timed(() => { draw(); return all; });
  const every = (width) => cells.forEach((c) => c.draw(width));
  const cold = performance.now();
  every(660);
  host.getBoundingClientRect();
  const first = performance.now() - cold;
  const page = timedAll(() => { state.changed += 1; every(660); });
  const view = timedAll(() => { state.changed += 1; drawAll(cells); });
  const another = () => { state.pinned = 1 + (state.step + 7919) % steps.length; };
  const cursor = timedAll(() => { another(); every(660); });
  const over = host.querySelector('[data-key=spread] svg.ch');
  const box = over.getBoundingClientRect();
  const moves = [];
  for (let i = 0; i < 200; i += 1) {
    const from = performance.now();
    const at = { clientX: box.left + 30 + (i % 100), clientY: box.top + 20 };
    over.dispatchEvent(new PointerEvent('pointermove', at));
    host.getBoundingClientRect();
    moves.push(performance.now() - from);
  }
  moves.sort((a, b) => a - b);
  host.remove();
  const pages = { page_first: first, page, page_in_view: view, page_cursor: cursor };
  const hover = { hover: moves[100], hover_p95: moves[190] };
  return { chart, naive, ...pages, charts: cells.length, ...hover };
}
"""
LISTEN = """
async run => {
  window.heard = {}; window.shown = {};
  const main = document.getElementById('main');
  const stream = new EventSource(`/api/v1/runs/${run}/events`);
  await new Promise(resolve => { stream.onopen = resolve; });
  stream.addEventListener('iteration', event => {
    window.heard[JSON.parse(event.data).step] ??= Date.now();
  });
  new MutationObserver(() => { window.shown[main.dataset.lastStep] ??= Date.now(); })
    .observe(main, { attributes: true, attributeFilter: ['data-last-step'] });
}
"""


def measure(studio: Studio) -> dict[str, Any]:
    """All figures and their ratios."""
    me = users.local(studio)["id"]
    project = projects.create(studio, "bench")["id"]
    projects.open_project(studio, me, project)
    run = seed.project(studio, steps=20).runs["g2rpo-pocket-06"]
    with _served(create_app(studio)) as url, sync_playwright() as playwright:
        path = shutil.which("chromium")
        how = {"executable_path": path} if path else {"channel": "chrome"}
        browser = playwright.chromium.launch(args=list(FLAGS), **how)  # type: ignore[arg-type]
        page = _opened(browser, f"{url}/runs/{run}")
        drawn = page.evaluate(DRAW, POINTS)
        live = _followed(studio, page, run)
        memory = _an_hour(studio, page, run)
        browser.close()
    return {
        "draw_ms": {name: round(value, 2) for name, value in drawn.items()},
        "naive_over_chart": round(drawn["naive"] / drawn["chart"], 1),
        "event_ms": live,
        "memory": memory,
    }


def main() -> None:
    """Measure on a fresh SQLite store."""
    with tempfile.TemporaryDirectory() as folder:
        studio = open_studio(read_settings(home=Path(folder), database_url=""), migrate=True)
        print(json.dumps(measure(studio), indent=1))
        studio.close()


def _opened(browser: Browser, address: str) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(address)
    page.wait_for_function("document.documentElement.dataset.ready", timeout=60_000)
    page.wait_for_function(
        "document.querySelector('[data-testid=live-state]').textContent == 'live'"
    )
    return page


def _followed(studio: Studio, page: Page, run: int) -> dict[str, float]:
    """From the commit of an iteration to its event in the browser, and to the drawn chart."""
    page.evaluate(LISTEN, run)
    heard, shown = [], []
    for step in range(21, 21 + EVENTS):
        seed.iteration(studio, run, step, trees=0)
        began = 1000 * time.time()
        page.wait_for_function(
            "step => window.shown[step] && window.heard[step]", arg=str(step), polling=20
        )
        heard.append(page.evaluate("step => window.heard[step]", str(step)) - began)
        shown.append(page.evaluate("step => window.shown[step]", str(step)) - began)
    found = {"heard_p50": statistics.median(heard), "shown_p50": statistics.median(shown)}
    found |= {"shown_max": max(shown), "shown_over_heard": found["shown_p50"] / found["heard_p50"]}
    return {name: round(value, 1) for name, value in found.items()}


def _an_hour(studio: Studio, page: Page, run: int) -> dict[str, float]:
    """Growth of the tab's memory over an hour's updates, an evaluation every five minutes."""
    session = page.context.new_cdp_session(page)

    def heap() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"])

    first, before, nodes = 21 + EVENTS, heap(), _nodes(page)
    for start in range(first, first + HOUR, BATCH):
        for step in range(start, start + BATCH):
            seed.iteration(studio, run, step, trees=0)
        if start % (5 * BATCH) < BATCH:
            seed.evaluation(studio, run, start + BATCH - 1)
        page.wait_for_function(
            "step => Number(document.getElementById('main').dataset.lastStep) >= step",
            arg=start + BATCH - 1,
            timeout=120_000,
            polling=50,
        )
    grown, keys = heap() - before, page.evaluate(_FIGURES, run)
    return {
        "updates": HOUR,
        "grown_mb": round(grown / 1e6, 2),
        "figures_mb": round(8 * keys * HOUR / 1e6, 2),
        "grown_over_figures": round(grown / (8 * keys * HOUR), 1),
        "nodes_before": nodes,
        "nodes_after": _nodes(page),
    }


_FIGURES = """
async run => {
  const answer = await fetch(`/api/v1/runs/${run}/metrics?since=10`);
  return Object.keys((await answer.json()).series).length;
}
"""


def _nodes(page: Page) -> int:
    return int(page.evaluate("document.querySelectorAll('*').length"))


if __name__ == "__main__":
    main()
