"""Rollouts at a hundred thousand samples: first groups, every filter, every order, and the next
group in a browser.

Fills a store in bulk (groups of eight over 250 steps, three rewards, their facts), serves it by the
real app in a process of its own and asks for pages again and again. `over_count` is a median over
that of a bare `select count(*) from rollout_node` in the same store, `cpu_ms` what the app itself
computed. With Chromium at hand the page is opened too: `next_ms` is from the key J to the chosen
row painted, `work_ms` what the page did meanwhile, `over_frame` the median over that of two bare
frames, `pictures` the most that were in the page.

    python -m tests.benchmarks.bench_rollouts --samples 100000 [--database postgresql]
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
import urllib.parse
import urllib.request
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa

from backend.services import projects, rollout_facts, users
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from backend.types import NodeRecord
from db.tables import Base, Policy, RolloutFact, RolloutGroup, RolloutNode, Run
from tests import factory, postgres
from tests.benchmarks.bench_large_store import _cpu, serve

SIBLINGS, STEPS, REWARDS = 8, 250, {"count": 0.5, "taste": 0.3, "text": 0.2}
WORDS = ("red", "green", "blue", "fox", "cup", "boat", "bridge", "night", "two", "left", "small")
BATCH = 500
QUERIES: dict[str, dict[str, str]] = {
    "first": {},
    "step": {"step_min": "100", "step_max": "120"},
    "prompt": {"prompt": "fox bridge"},
    "mean": {"low": "0.2"},
    "mean of one": {"reward": "taste", "low": "0.3", "high": "0.4"},
    "z": {"far": "2.2"},
    "no spread": {"flat": "1"},
    "up and down": {"up": "count", "down": "taste"},
    "judge": {"judge": ""},
    "unseen": {"seen": "0"},
    "by spread": {"sort": "spread"},
    "by conflict": {"sort": "apart"},
    "by one reward": {"sort": "mean:taste"},
}
PICTURES = "document.querySelectorAll('.shot, .leaf image, img').length"
FRAMES = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))"
WALK = f"""async () => {{
  const took = [], work = [], frames = []; let pictures = 0;
  const on = () => document.querySelector('.grp.on')?.dataset.group;
  for (let i = 0; i < 40; i += 1) {{
    const bare = performance.now(); await {FRAMES}; frames.push(performance.now() - bare);
    const before = on(), began = performance.now();
    document.dispatchEvent(new KeyboardEvent('keydown', {{ key: 'j', bubbles: true }}));
    work.push(performance.now() - began);
    while (on() === before && performance.now() - began < 5000) await {FRAMES};
    await {FRAMES};
    took.push(performance.now() - began);
    pictures = Math.max(pictures, {PICTURES});
    await new Promise(done => setTimeout(done, 150));
  }}
  return {{ took, work, frames, pictures }};
}}"""


def main() -> None:
    """Fill, serve, ask, walk; print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--samples", type=int, default=8_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=9)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with postgres.store_url(asked.database, home) as url:
            figures = measure(home, url, asked.samples, asked.rounds)
    print(json.dumps({"database": asked.database, **figures}, indent=1))


def measure(home: Path, url: str, samples: int, rounds: int) -> dict[str, Any]:
    """All figures of one store."""
    studio = open_studio(read_settings(home=home, database_url=url), migrate=True)
    start = time.perf_counter()
    run_id = fill(studio, samples // SIBLINGS)
    filled = time.perf_counter() - start
    bare = median(rounds, lambda: _counted(studio))
    process, address = serve(home, url)
    try:
        pages = ask(address, process.pid, run_id, rounds, bare)
        walked = walk(address, run_id)
    finally:
        process.terminate()
        process.wait(30)
    studio.close()
    return {"samples": samples, "fill_s": round(filled, 1), "count_ms": _ms(bare), **pages} | walked


# ---------------------------------------------------------------- the store


def fill(studio: Studio, num_groups: int) -> int:
    """A run with so many groups, their leaves and their facts, in bulk; returns its id."""
    project = projects.current(studio, users.local(studio)["id"])["id"]
    sheets = [studio.media.put(factory._strip(seed)) for seed in range(16)]
    terms = [{"name": n, "kind": "saturation", "weight": w} for n, w in REWARDS.items()]
    config = {
        "recipe": "",
        "method": {"name": "flow-grpo", "settings": {}},
        "policy": {"family": "sd3", "config": {}},
        "rewards": terms,
    }
    policy = {"id": 900, "project_id": project, "name": "large", "family": "sd3", "config": {}}
    run = {"id": 900, "project_id": project, "name": "large", "status": "done", "config": config}
    run |= {"seed": 0, "policy_id": 900, "step": STEPS, "num_steps": STEPS}
    rng = np.random.default_rng(0)
    with studio.store.engine.begin() as connection:
        _put(connection, Policy, [policy])
        _put(connection, Run, [run])
        for first in range(0, num_groups, BATCH):
            numbers = range(first, min(first + BATCH, num_groups))
            made = [_group(n, num_groups, sheets[n % 16], rng) for n in numbers]
            _put(connection, RolloutGroup, [group for group, _nodes, _facts in made])
            _put(connection, RolloutNode, [node for _g, nodes, _f in made for node in nodes])
            _put(connection, RolloutFact, [fact for _g, _n, facts in made for fact in facts])
    with studio.store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    return 900


def _put(connection: sa.Connection, table: type[Base], rows: list[dict[str, Any]]) -> None:
    connection.execute(sa.insert(table), rows)


def _group(
    number: int, num_groups: int, sheet: str, rng: np.random.Generator
) -> tuple[dict[str, Any], list[dict[str, Any]], list[dict[str, Any]]]:
    """One group with its leaves and facts."""
    raw = {name: rng.normal(size=SIBLINGS) * (number % 50 > 0) for name in REWARDS}
    total = np.sum([weight * raw[name] for name, weight in REWARDS.items()], axis=0)
    judge = rng.normal(size=SIBLINGS)
    nodes = []
    for i in range(SIBLINGS):
        parts: dict[str, dict[str, Any]] = {}
        for name, weight in REWARDS.items():
            value = float(raw[name][i])
            share = weight * (value - float(raw[name].mean()))
            parts[name] = {"raw": value, "shaped": value, "z": value, "weight": weight}
            parts[name] |= {"share": share, "status": "ok"}
        parts["judge"] = {"raw": float(judge[i]), "weight": None, "status": "ok"}
        advantage = float(total[i] - total.mean())
        nodes.append(
            NodeRecord(
                i, None, "leaf", 10, 1, 0.0, advantage=advantage, rewards=parts, tile=i % 3, seed=i
            )
        )
    group = {
        "id": 1000 + number,
        "run_id": 900,
        "step": 1 + number * STEPS // num_groups,
        "tree": number % 50,
        "prompt": " ".join(WORDS[int(i)] for i in rng.integers(0, len(WORDS), 12)),
        "fork_step": None,
        "mean": float(total.mean()),
        "spread": float(total.std()),
        "kept": number % 50 > 0,
        "sheet": sheet,
        "detail": {"sigmas": [1 - k / 10 for k in range(11)], "nfe": 80, "clip": 5.0},
        "num_leaves": SIBLINGS,
    }
    facts = rollout_facts.of_group(nodes, list(REWARDS))
    rows = [
        {"group_id": group["id"], "run_id": 900, "name": name, "value": value}
        for name, value in facts.items()
    ]
    return group, [{"group_id": group["id"], **vars(node)} for node in nodes], rows


# ---------------------------------------------------------------- asking


def ask(address: str, pid: int, run_id: int, rounds: int, bare: float) -> dict[str, Any]:
    """Milliseconds of every page by what it asks for."""
    found: dict[str, Any] = {}
    for name, query in QUERIES.items():
        asked = urllib.parse.urlencode({**query, "limit": 20})
        path = f"{address}/api/v1/runs/{run_id}/rollouts?{asked}"
        total = json.loads(urllib.request.urlopen(path).read())["total"]
        before = _cpu(pid)
        took = median(rounds, partial(_timed, urllib.request.urlopen, path))
        computed = (_cpu(pid) - before) / (rounds + 1)
        found[name] = {"groups": total, "ms": _ms(took), "cpu_ms": _ms(computed)}
        found[name]["over_count"] = round(took / bare, 1)
    one = f"{address}/api/v1/rollouts/1010"
    took = median(rounds, lambda: _timed(urllib.request.urlopen, one))
    return {"pages": found, "one_group_ms": _ms(took)}


def walk(address: str, run_id: int) -> dict[str, Any]:
    """The page in Chromium: J forty times."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    if path is None:
        return {}
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox"])
        page = browser.new_page(viewport={"width": 1440, "height": 900})
        page.goto(f"{address}/runs/{run_id}/rollouts")
        page.wait_for_selector(".grp.on", timeout=120_000)
        page.reload()
        began = time.perf_counter()
        page.wait_for_selector(".grp.on", timeout=120_000)
        opened = time.perf_counter() - began
        page.wait_for_timeout(1_000)
        seen = page.evaluate(WALK)
        browser.close()
    took, frames = sorted(seen["took"]), statistics.median(seen["frames"])
    return {
        "open_ms": _ms(opened),
        "next_ms": {"p50": round(took[20], 1), "p95": round(took[37], 1)},
        "work_ms": round(statistics.median(seen["work"]), 1),
        "over_frame": round(took[20] / frames, 1),
        "pictures": seen["pictures"],
    }


def median(rounds: int, measured: Callable[[], float]) -> float:
    """The median of some measurements, after one that does not count."""
    measured()
    return statistics.median(measured() for _ in range(rounds))


def _timed(work: Callable[[str], Any], path: str) -> float:
    start = time.perf_counter()
    work(path).read()
    return time.perf_counter() - start


def _counted(studio: Studio) -> float:
    start = time.perf_counter()
    with studio.read() as session:
        session.scalar(sa.select(sa.func.count()).select_from(RolloutNode))
    return time.perf_counter() - start


def _ms(seconds: float) -> float:
    return round(1_000 * seconds, 1)


if __name__ == "__main__":
    main()
