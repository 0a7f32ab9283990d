"""A store with a million labels: how long Studies, Quality and Leaderboard take, and what an export
needs.

Fills a store in bulk (one study with all pairs, 12 policies, 40 annotators, two aspects, 1 %
retractions), serves it by the real app in a process of its own, and asks each address again and
again with a few new labels in between; `app_cpu_s` is what the app itself computed. `over_count` is
a median over that of a bare `select count(*) from label` in the same store; `export_growth` is by
how much the app's memory grew while 100 MB of labels were exported, over what was exported.

    python -m tests.benchmarks.bench_large_store --labels 1000000 [--database postgresql]
"""

from __future__ import annotations

import argparse
import io
import json
import os
import random
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import sqlalchemy as sa
from PIL import Image

import db
from backend.services import projects, users
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db.tables import Base, Label, Pair, Policy, Prompt, PromptSet, Sample, Study, User
from tests import postgres
from tests.conftest import free_port

LABELS_PER_PAIR = 10 / 3
POLICIES = 12
PEOPLE = 40
BATCH = 20_000
ROUNDS = 30
EXPORTED = 100_000_000
"""Bytes of the export that are read: enough to see memory grow."""
START = 1_750_000_000.0


def main() -> None:
    """Fill, serve, ask, export; print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--labels", type=int, default=20_000)
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        with postgres.store_url(asked.database, home) as url:
            figures = measure(home, url, asked.labels, asked.rounds)
    print(json.dumps({"database": asked.database, **figures}, indent=1))


def measure(home: Path, url: str, num_labels: int, rounds: int) -> dict[str, Any]:
    """All figures of one store."""
    settings = read_settings(home=home, database_url=url)
    studio = open_studio(settings, migrate=True)
    start = time.perf_counter()
    study_id = fill(studio, num_labels)
    filled = time.perf_counter() - start
    process, address = serve(home, url)
    try:
        figures = ask(studio, process.pid, address, study_id, rounds)
        export = exported(process.pid, address, study_id)
    finally:
        process.terminate()
        process.wait(30)
    studio.close()
    return {"labels": num_labels, "fill_s": round(filled, 1), **figures, **export}


# ---------------------------------------------------------------- the store


def fill(studio: Studio, num_labels: int) -> int:
    """Prompts, samples, pairs and labels in bulk; returns the study's id."""
    num_pairs = max(int(num_labels / LABELS_PER_PAIR), 10)
    num_prompts = max(num_pairs // 66, 1)
    me = users.local(studio)["id"]
    project = projects.current(studio, me)["id"]
    media = [studio.media.put(_png(seed)) for seed in range(64)]
    config = {"question": "Which is better?", "aspects": ["count", "colour"], "overlap": 4}
    with studio.store.engine.begin() as connection:
        if studio.store.dialect == "sqlite":
            connection.exec_driver_sql("PRAGMA foreign_keys=OFF")
        _put(connection, Study, [_study(project, config)])
        _put(connection, PromptSet, [{"id": 900, "project_id": project, "name": "large"}])
        _put(connection, Policy, (_policy(i, project) for i in range(POLICIES)))
        _put(connection, User, (_person(i) for i in range(PEOPLE)))
        _put(
            connection,
            Prompt,
            (
                {"id": 1000 + i, "prompt_set_id": 900, "position": i, "text": f"prompt {i}"}
                for i in range(num_prompts)
            ),
        )
        _put(connection, Sample, _samples(project, num_prompts, media))
        _put(connection, Pair, _pairs(project, num_prompts, num_pairs))
        _put(connection, Label, _labels(num_pairs, num_labels))
        if studio.store.dialect == "postgresql":
            for table in ("study", "prompt", "sample", "pair", "label", "user", "policy"):
                connection.exec_driver_sql(
                    f"select setval(pg_get_serial_sequence('\"{table}\"', 'id'), "
                    f'(select max(id) from "{table}"))'
                )
    with studio.store.engine.connect() as connection:
        connection.exec_driver_sql("ANALYZE")
        connection.commit()
    return 900


def _put(connection: sa.Connection, table: type[Base], rows: Any) -> None:
    batch: list[dict[str, Any]] = []
    statement = sa.insert(table.__table__)
    for row in rows:
        batch.append(row)
        if len(batch) == BATCH:
            connection.execute(statement, batch)
            batch = []
    if batch:
        connection.execute(statement, batch)


def _study(project: int, config: dict[str, Any]) -> dict[str, Any]:
    known = {"id": 900, "project_id": project, "name": "Large", "kind": "images"}
    return {**known, "config": config, "status": "open"}


def _policy(number: int, project: int) -> dict[str, Any]:
    name = f"policy {number}"
    known = {"id": 900 + number, "project_id": project, "name": name, "family": "sd3"}
    return {**known, "config": {"weights": "pocket", "number": number}}


def _person(number: int) -> dict[str, Any]:
    return {
        "id": 900 + number,
        "name": f"annotator {number}",
        "kind": "person",
        "role": "annotator",
    }


def _samples(project: int, num_prompts: int, media: list[str]) -> Iterator[dict[str, Any]]:
    for prompt in range(num_prompts):
        for policy in range(POLICIES):
            yield {
                "id": 1000 + prompt * POLICIES + policy,
                "project_id": project,
                "prompt_id": 1000 + prompt,
                "policy_id": 900 + policy,
                "seed": prompt,
                "media": media[(prompt + policy) % len(media)],
                "width": 8,
                "height": 8,
            }


def _pairs(project: int, num_prompts: int, num_pairs: int) -> Iterator[dict[str, Any]]:
    couples = [(a, b) for a in range(POLICIES) for b in range(a)]
    for number in range(num_pairs):
        prompt = (number // len(couples)) % num_prompts
        a, b = couples[number % len(couples)]
        base = 1000 + prompt * POLICIES
        yield {
            "id": 1000 + number,
            "project_id": project,
            "prompt_id": 1000 + prompt,
            "sample_a_id": base + a,
            "sample_b_id": base + b,
            "study_id": 900,
            "source": "study",
            "overlap": 4,
            "verdicts": 3,
            "shuffle": (number * 0.6180339887) % 1,
            "fact": {"kind": "distant", "expected": "a"} if number % 40 == 0 else None,
        }


def _labels(num_pairs: int, num_labels: int) -> Iterator[dict[str, Any]]:
    """Answers of people who mostly prefer the policy with the greater number."""
    rng = np.random.default_rng(0)
    couples = np.array([(a, b) for a in range(POLICIES) for b in range(a)])
    for start in range(0, num_labels, BATCH):
        number = np.arange(start, min(start + BATCH, num_labels))
        pair = number % num_pairs
        a, b = couples[pair % len(couples)].T
        prefers = rng.random(len(number)) < 1 / (1 + np.exp(-(a - b) / 6))
        left = rng.random(len(number)) < 0.5
        kind = rng.random(len(number))
        aspects = rng.random((len(number), 2)) < 0.6
        took = rng.lognormal(1.2, 0.4, len(number))
        person = (pair * 7 + number // num_pairs) % PEOPLE
        for i in range(len(number)):
            side = "left" if prefers[i] == left[i] else "right"
            choice = "tie" if kind[i] < 0.1 else "both_bad" if kind[i] < 0.13 else side
            retracts = 1000 + int(number[i]) - 7 if number[i] % 100 == 99 else None
            shown = START + float(number[i]) * 2
            said = {"aspects": {"count": "left" if aspects[i, 0] else "right", "colour": side}}
            yield {
                "id": 1000 + int(number[i]),
                "pair_id": 1000 + int(pair[i]),
                "user_id": 900 + int(person[i]),
                "client_id": f"c{number[i]}",
                "choice": "retract" if retracts else choice,
                "shown_left": "a" if left[i] else "b",
                "t_shown": shown,
                "t_answer": shown + float(took[i]),
                "answers": said if i % 3 == 0 else {},
                "propensity": 0.5 if i % 5 == 0 else 1.0,
                "retracts": retracts,
            }


def _png(seed: int) -> bytes:
    pixels = np.random.default_rng(seed).integers(0, 255, (8, 8, 3), dtype=np.uint8)
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, "PNG")
    return out.getvalue()


# ---------------------------------------------------------------- asking


def serve(home: Path, url: str) -> tuple[subprocess.Popen[bytes], str]:
    """The app in a process of its own, once it answers."""
    port = free_port()
    environment = {**os.environ, "PALATE_HOME": str(home), "PALATE_PORT": str(port)}
    if url:
        environment["PALATE_DATABASE_URL"] = url
    process = subprocess.Popen([sys.executable, "-m", "app.main"], env=environment)
    address = f"http://127.0.0.1:{port}"
    for _ in range(3000):
        try:
            urllib.request.urlopen(f"{address}/healthz", timeout=2).read()
            return process, address
        except OSError:
            time.sleep(0.1)
    process.kill()
    raise RuntimeError("The app did not start.")


def ask(studio: Studio, pid: int, address: str, study_id: int, rounds: int) -> dict[str, Any]:
    """Seconds of each address: the first time, then median and 95 % of `rounds`."""
    addresses = {
        "studies": "/api/v1/studies",
        "quality": f"/api/v1/quality?study_id={study_id}",
        "disputed": f"/api/v1/quality/disputed?study_id={study_id}",
        "leaderboard": "/api/v1/leaderboard?method=davidson",
        "behind": "/api/v1/leaderboard/pairs?model=900",
    }
    count = [_counted(studio.store) for _ in range(5)]
    bare = statistics.median(count)
    figures: dict[str, Any] = {"count_s": round(bare, 4)}
    taken: dict[str, list[float]] = {name: [] for name in addresses}
    worked: dict[str, list[float]] = {name: [] for name in addresses}
    for turn in range(rounds + 1):
        for name, path in addresses.items():
            _vote(studio, turn)
            start, cpu = time.perf_counter(), _cpu(pid)
            with urllib.request.urlopen(address + path, timeout=600) as answer:
                answer.read()
            taken[name].append(time.perf_counter() - start)
            worked[name].append(_cpu(pid) - cpu)
    for name, (first, *rest) in taken.items():
        p50, p95 = np.quantile(rest, [0.5, 0.95])
        figures[name] = {
            "first_s": round(first, 2),
            "p50_s": round(float(p50), 3),
            "p95_s": round(float(p95), 3),
            "app_cpu_s": round(statistics.median(worked[name][1:]), 2),
            "over_count": round(float(p50) / bare, 1),
        }
    return figures


def _counted(store: db.Store) -> float:
    start = time.perf_counter()
    with store.read() as session:
        session.execute(sa.select(sa.func.count()).select_from(Label)).scalar_one()
    return time.perf_counter() - start


def _vote(studio: Studio, turn: int) -> None:
    """Three new labels, so that nothing can be answered from what is known."""
    with studio.write() as session:
        for _ in range(3):
            session.add(
                Label(
                    pair_id=1001 + random.randrange(9),
                    user_id=900 + turn % PEOPLE,
                    client_id=f"new-{time.time_ns()}-{random.random()}",
                    choice="left",
                    shown_left="a",
                    t_shown=time.time() - 2,
                    t_answer=time.time(),
                )
            )


def exported(pid: int, address: str, study_id: int) -> dict[str, Any]:
    """Memory of the app before and while all labels leave it."""
    before, size, peak = _resident(pid), 0, 0
    start = time.perf_counter()
    path = f"/api/v1/labels/export?study_id={study_id}"
    with urllib.request.urlopen(address + path, timeout=3600) as answer:
        while size < EXPORTED and (part := answer.read(1 << 20)):
            size += len(part)
            peak = max(peak, _resident(pid))
    return {
        "export_s": round(time.perf_counter() - start, 1),
        "export_mb": round(size / 1e6, 1),
        "rss_before_mb": round(before / 1e6),
        "rss_peak_mb": round(peak / 1e6),
        "export_growth": round((peak - before) / max(size, 1), 3),
    }


def _cpu(pid: int) -> float:
    """Seconds of processor that a process has used, other processes' waiting left out."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _resident(pid: int) -> int:
    """Bytes of memory that a process holds now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


if __name__ == "__main__":
    main()
