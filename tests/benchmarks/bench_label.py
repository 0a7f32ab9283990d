"""What a judgement costs: in the store, against a bare insert of one row; for the eye, from the key
to the next pair, against the same page driven by Gradio events.

A judgement is more than a row: the pair is found and locked, the side order read from its lease,
the client's id checked, the lease given back, the pair settled.
"""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from backend.services import labels, pairs
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from db.tables import Event
from tests import factory
from tests.benchmarks import label_page

NUM_PROMPTS = 60


def measure(studio: Studio) -> dict[str, float]:
    """Medians in milliseconds over all pairs of a small project, and their ratios."""
    made = factory.project(studio, num_prompts=NUM_PROMPTS)
    bare, handed, stored = [], [], []
    for number in range(len(made.pairs)):
        bare.append(_timed(lambda: _insert(studio)))
        handed.append(_timed(lambda: pairs.next_pairs(studio, made.project, made.user, 1)["pairs"]))
        found = pairs.next_pairs(studio, made.project, made.user, 1)["pairs"]
        if not found:
            break
        label = factory.label(found[0]["pair_id"], client_id=f"bench-{number}")
        stored.append(_timed(lambda label=label: labels.store(studio, made.user, label)))
    times = {"insert_ms": bare, "next_ms": handed, "label_ms": stored}
    medians = {name: 1000 * statistics.median(values) for name, values in times.items()}
    return {
        "labels": len(stored),
        **{name: round(value, 3) for name, value in medians.items()},
        "next_over_insert": round(medians["next_ms"] / medians["insert_ms"], 1),
        "label_over_insert": round(medians["label_ms"] / medians["insert_ms"], 1),
    }


def main() -> None:
    """Measure on a fresh SQLite store."""
    with tempfile.TemporaryDirectory() as folder:
        studio = open_studio(read_settings(home=Path(folder), database_url=""), migrate=True)
        print(json.dumps(measure(studio), indent=1))
        print(json.dumps(label_page.measure(studio), indent=1))
        studio.close()


def _timed(call: Callable[[], object]) -> float:
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def _insert(studio: Studio) -> None:
    with studio.write() as session:
        session.add(Event(text="a row"))


if __name__ == "__main__":
    main()
