"""Two thousand runs: how long the first rows of the Runs page take, with their curves and alarms.

Fills a store in bulk, asks for the first page, a page in the middle and a search again and again,
each as the API does, JSON included, and counts the processor's time; `over_few` is the first page's
median over that of a store with one page of runs, made the same way: a list that is paged costs
about the same, whatever its length.

    python -m tests.benchmarks.bench_run_list --runs 2000
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import db
from backend.rl.recipe import RunConfig
from backend.services import policies, projects, run_rows, users
from backend.services.run_rows import Wanted
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db.tables import Evaluation, Iteration, Run
from tests import factory

UPDATES, EVALUATIONS, PAGE, ROUNDS = 40, 4, 50, 20


def main() -> None:
    """Fill, ask, print figures as JSON."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=2_000)
    asked = parser.parse_args()
    many, few = (_figures(number) for number in (asked.runs, PAGE))
    print(json.dumps({"runs": asked.runs, **many, "over_few": many["first_ms"] / few["first_ms"]}))


def _figures(number: int) -> dict[str, float]:
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        url = f"sqlite:///{home / 'palate.db'}"
        db.migrate(url)
        studio = open_studio(read_settings(home=home, database_url=url))
        project = projects.current(studio, users.local(studio)["id"])["id"]
        _fill(studio, project, number)
        pages: dict[str, Callable[[], Any]] = {
            "first_ms": lambda: run_rows.page(studio, project, limit=PAGE),
            "middle_ms": lambda: run_rows.page(studio, project, offset=number // 2, limit=PAGE),
            "search_ms": lambda: run_rows.page(studio, project, Wanted(words="7 g2rpo")),
        }
        found = {key: _median_ms(page) for key, page in pages.items()}
        studio.close()
        return found


def _fill(studio: Studio, project: int, number: int) -> None:
    policy = policies.create(studio, project, "pocket", "sd3", {"weights": "pocket"})["id"]
    config = RunConfig.read(factory.config(num_steps=UPDATES)).plain()
    with studio.write() as session:
        row = {"project_id": project, "status": "done", "config": config, "seed": 0}
        row |= {"policy_id": policy, "step": UPDATES, "num_steps": UPDATES}
        session.execute(sa.insert(Run), [row | {"name": f"run {n}"} for n in range(number)])
        ids = list(session.scalars(sa.select(Run.id)))
        steps = [factory.iteration(step, groups=0) for step in range(1, UPDATES + 1)]
        updates = [
            {"step": s.step, "metrics": s.metrics, "nfe": s.nfe, "seconds": s.seconds}
            for s in steps
        ]
        measured = [factory.evaluation(10 * step, step / 10) for step in range(EVALUATIONS)]
        evaluations = [
            {"step": one.step, "metrics": one.metrics, "samples": [], "nfe": 0} for one in measured
        ]
        for run in ids:
            session.execute(sa.insert(Iteration), [update | {"run_id": run} for update in updates])
            session.execute(sa.insert(Evaluation), [one | {"run_id": run} for one in evaluations])


def _median_ms(page: Callable[[], Any]) -> float:
    took = []
    for _ in range(ROUNDS):
        began = time.process_time()
        json.dumps(page())
        took.append(1000 * (time.process_time() - began))
    return statistics.median(took)


if __name__ == "__main__":
    main()
