"""Fifty annotators on one studio: is a pair asked too often, is a label lost or stored twice?

Real app processes on a real store; every annotator is a program with a key of their own. One
request in twenty is dropped before it is sent, or its answer is thrown away, and then sent again,
as by a bad network. Printed: p50 and p95 of `label/next` and `label`, their ratio to one annotator
alone in the same run, and what the store says afterwards.

    python -m tests.benchmarks.bench_annotators --seconds 300
    python -m tests.benchmarks.bench_annotators --seconds 300 --store postgresql --processes 2
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import sqlalchemy as sa

import db
from backend.preferences.studies import StudyConfig
from backend.services import studies, tokens, users
from backend.services.studies import NewStudy
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db.tables import Label, Pair
from tests import factory, postgres
from tests.conftest import ROOT, free_port

BAD = 0.05
"""Share of requests that a bad network eats, on the way there or back."""
OVERLAP = 2


@dataclass
class Figures:
    """What all annotators saw."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {"next": [], "label": []})
    sent: dict[str, tuple[int, int]] = field(default_factory=dict)
    """client id → (user, pair) of every judgement that was acknowledged."""
    refused: Counter[str] = field(default_factory=Counter)
    repeated: int = 0

    def told(self, name: str) -> dict[str, float]:
        """Milliseconds."""
        values = 1000 * np.array(self.seconds[name] or [np.nan])
        return {"p50": float(np.median(values)), "p95": float(np.percentile(values, 95))}


def main() -> None:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--annotators", type=int, default=50)
    parser.add_argument("--store", choices=["sqlite", "postgresql"], default="sqlite")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--pause", type=float, default=1.0, help="Seconds between two judgements.")
    print(json.dumps(measure(**vars(parser.parse_args())), indent=1))


def measure(
    *, seconds: float, annotators: int, store: str, processes: int, pause: float
) -> dict[str, Any]:
    """Let them judge, then ask the store."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="palate-annotators-")))
        url = stack.enter_context(postgres.store_url(store, folder))
        db.migrate(url)
        studio = open_studio(read_settings(home=folder, database_url=url))
        stack.callback(studio.close)
        study_id, keys = _made(studio, annotators, round(seconds * annotators / pause / OVERLAP))
        ports = [stack.enter_context(_app(folder, url)) for _ in range(processes)]
        alone, many = Figures(), Figures()
        asyncio.run(_judge(alone, ports, keys[:1], study_id, min(seconds, 15.0), 0.05))
        asyncio.run(_judge(many, ports, keys, study_id, seconds, pause))
        many.sent |= alone.sent
        return {
            "store": store,
            "app processes": processes,
            "annotators": annotators,
            "seconds": seconds,
            "judgements": len(many.sent),
            "answered again": many.repeated,
            "refused": dict(many.refused),
            **{f"{name} ms": many.told(name) for name in many.seconds},
            **{f"{name} ms, one annotator": alone.told(name) for name in alone.seconds},
            **{
                f"{name} p95, to one annotator alone": many.told(name)["p95"]
                / alone.told(name)["p95"]
                for name in many.seconds
            },
            **_audit(studio, study_id, many),
        }


def _made(studio: Studio, annotators: int, items: int) -> tuple[int, list[str]]:
    """A study with more items than can be judged, and a key for every annotator."""
    per_prompt = 16
    prompts = max(4, -(-items // (per_prompt * (per_prompt - 1) // 2)) + 1)
    made = factory.project(studio, num_prompts=prompts, per_prompt=per_prompt, pairs_per_prompt=1)
    config = StudyConfig(overlap=OVERLAP, attention=0.05)
    wanted = NewStudy("Load", config=config, sample_ids=tuple(made.samples))
    study_id = int(studies.create(studio, made.project, wanted)["id"])
    people = [users.create(studio, f"annotator {number}") for number in range(annotators)]
    scopes = ["label"]
    return study_id, [tokens.make(studio, user, "load", scopes)["secret"] for user in people]


async def _judge(
    figures: Figures, ports: list[int], keys: list[str], study_id: int, seconds: float, pause: float
) -> None:
    until = time.monotonic() + seconds
    async with asyncio.TaskGroup() as group:
        for number, key in enumerate(keys):
            port = ports[number % len(ports)]
            group.create_task(_one(figures, port, key, study_id, until, pause, number))


async def _one(
    figures: Figures,
    port: int,
    key: str,
    study_id: int,
    until: float,
    pause: float,
    number: int,
) -> None:
    """An annotator as the page is one: pairs ahead, judgements sent until they are answered."""
    rng = random.Random(f"{number} {until}")
    headers = {"Authorization": f"Bearer {key}"}
    base = f"http://127.0.0.1:{port}/api/v1"
    async with httpx.AsyncClient(base_url=base, headers=headers, timeout=60) as client:
        ready: list[dict[str, Any]] = []
        await asyncio.sleep(pause * rng.random())
        while time.monotonic() < until:
            if len(ready) < 3:
                held = ",".join(str(pair["pair_id"]) for pair in ready)
                asked = {"study_id": study_id, "n": 4, "after": held}
                answer = await _sent(
                    figures, client, rng, "next", "GET", "/label/next", params=asked
                )
                ready += answer["pairs"]
            if not ready:
                await asyncio.sleep(pause)
                continue
            pair, now = ready.pop(0), time.time()
            body = {
                "client_id": str(uuid.UUID(int=rng.getrandbits(128))) + key[-6:],
                "pair_id": pair["pair_id"],
                "choice": rng.choice(["left", "right", "tie"]),
                "shown_left": pair["shown_left"],
                "t_shown": now - 1,
                "t_answer": now,
            }
            answer = await _sent(figures, client, rng, "label", "POST", "/label", json=body)
            if answer:
                figures.sent[body["client_id"]] = (number, pair["pair_id"])
            await asyncio.sleep(pause * rng.uniform(0.5, 1.5))


async def _sent(
    figures: Figures,
    client: httpx.AsyncClient,
    rng: random.Random,
    name: str,
    method: str,
    path: str,
    **more: Any,
) -> dict[str, Any]:
    """Send until an answer arrives; a bad network loses some requests and some answers."""
    while True:
        fate = rng.random()
        if fate < BAD / 2:  # lost on the way there
            await asyncio.sleep(0.05)
            continue
        start = time.perf_counter()
        response = await client.request(method, path, **more)
        figures.seconds[name].append(time.perf_counter() - start)
        if fate < BAD:  # lost on the way back
            continue
        if response.status_code >= 400:
            figures.refused[f"{response.status_code} {response.json().get('error', '')}"[:90]] += 1
            return {} if method == "POST" else {"pairs": []}
        answer: dict[str, Any] = response.json()
        figures.repeated += bool(answer.get("repeated"))
        return answer


def _audit(studio: Studio, study_id: int, figures: Figures) -> dict[str, Any]:
    """What the store says: every acknowledged judgement once, no pair asked too often."""
    with studio.read() as session:
        rows = list(
            session.execute(
                sa.select(Label.client_id, Label.pair_id, Label.user_id, Label.choice)
                .join(Pair, Pair.id == Label.pair_id)
                .where(Pair.study_id == study_id, Pair.fact.is_(None))
            )
        )
        facts = set(session.scalars(sa.select(Pair.id).where(Pair.fact.is_not(None))))
    stored = Counter(client for client, _pair, _user, _choice in rows)
    acknowledged = [c for c, (_n, pair) in figures.sent.items() if pair not in facts]
    people: dict[int, set[int]] = {}
    for _client, pair_id, user_id, choice in rows:
        if choice != "retract":
            people.setdefault(pair_id, set()).add(user_id)
    found = {
        "lost": sum(client not in stored for client in acknowledged),
        "doubled": sum(number > 1 for number in stored.values()),
        "pairs beyond their overlap": sum(len(who) > OVERLAP for who in people.values()),
        "pairs judged": len(people),
    }
    if found["lost"] or found["doubled"] or found["pairs beyond their overlap"]:
        sys.stderr.write(f"FAILED: {found}\n")
    return found


@contextmanager
def _app(folder: Path, url: str) -> Iterator[int]:
    """An app process of its own on the same store; its port."""
    port = free_port()
    environment = {
        **os.environ,
        "PALATE_HOME": str(folder),
        "PALATE_DATABASE_URL": url,
        "PALATE_PORT": str(port),
    }
    process = subprocess.Popen([sys.executable, "-m", "app.main"], cwd=ROOT, env=environment)
    try:
        for _ in range(3000):
            try:
                with urllib.request.urlopen(f"http://127.0.0.1:{port}/healthz", timeout=2):
                    break
            except OSError:
                time.sleep(0.1)
        yield port
    finally:
        process.terminate()
        process.wait(20)


if __name__ == "__main__":
    main()
