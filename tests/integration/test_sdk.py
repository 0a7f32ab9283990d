"""The client against a real server: pairs in, judged, labels out as a table."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import uvicorn
from fastapi import FastAPI

from app.sdk import Pair, Palate, Refused, Study
from backend.services import jobs, labels, pairs, users
from backend.services.labels import NewLabel
from backend.services.studio import Studio
from db.queries import Scope
from tests import factory
from tests.conftest import free_port
from workers.frame import JobFrame
from workers.jobs import import_rows


@pytest.fixture
def address(services: Studio, api_app: FastAPI) -> Iterator[str]:
    """A server of its own, and somebody who does the imports that are ordered."""
    config = uvicorn.Config(api_app, port=free_port(), log_level="warning")
    server = uvicorn.Server(config)
    over = threading.Event()

    def work() -> None:
        while not over.wait(0.05):
            for row in jobs.of_kind(services, "import_rows"):
                if row["status"] == "due" and (claim := jobs.claim(services, row["id"], 1, "t")):
                    frame = JobFrame(services, row["id"], claim.attempt, claim.args)
                    try:
                        jobs.finish(services, row["id"], claim.attempt, import_rows.work(frame))
                    except Exception as error:  # noqa: BLE001 - the client is told, not left waiting
                        jobs.fail(services, row["id"], claim.attempt, repr(error))

    threads = [threading.Thread(target=target, daemon=True) for target in (server.run, work)]
    for thread in threads:
        thread.start()
    while not server.started:
        assert threads[0].is_alive(), "the server could not listen"
        time.sleep(0.02)
    yield f"http://127.0.0.1:{config.port}"
    over.set()
    server.should_exit = True
    for thread in threads:
        thread.join(300)


def _answer(services: Studio, study: Study, choice: str, colour: str) -> None:
    user = users.local(services)["id"]
    shown = pairs.next_pairs(services, 1, user, 1, scope=Scope(study=study.id))["pairs"][0]
    now = time.time()
    sent = NewLabel("one", shown["pair_id"], choice, shown["shown_left"], now - 2, now)
    labels.store(
        services,
        user,
        NewLabel(**{**sent.__dict__, "answers": {"aspects": {"colour": colour}}}),
        veiled=True,
    )


def test_pairs_go_in_are_judged_and_come_out_by_their_own_names(
    services: Studio, address: str, tmp_path: Path
) -> None:
    old = tmp_path / "old.png"
    old.write_bytes(factory.png(1))
    with Palate(address) as studio:
        study = studio.create_study(
            [
                Pair("a red cup", old, factory.png(2), key="mine/7"),
                Pair("a cat", old, factory.png(3)),
            ],
            name="New against old",
            aspects=["colour"],
            reasons=[],
        )
        assert (study.progress().items, study.progress().share) == (2, 0.0)
        assert study.labels().empty
        again = study.add([Pair("a red cup", old, factory.png(2), key="mine/7")])
        assert (again["pairs"], again["already"]) == (0, 1), "sent again, nothing is doubled"
        _answer(services, study, "left", "right")
        assert study.wait(labels=1, wait_s=300).labels == 1
        found = study.labels()
        assert isinstance(found, pd.DataFrame) and len(found) == 1
        row = found.iloc[0]
        other = {"a": "b", "b": "a"}[row["shown_left"]]
        assert (row["preferred"], row["aspect/colour"]) == (row["shown_left"], other)
        assert row["key"] == ("mine/7" if row["prompt"] == "a red cup" else "")
        study.close()
        assert [one.progress().status for one in studio.studies()] == ["closed"]


def test_what_cannot_be_taken_is_refused_with_a_sentence_and_the_rest_stays(
    services: Studio, address: str
) -> None:
    with Palate(address) as studio:
        study = studio.create_study([Pair("a cat", factory.png(1), factory.png(2))])
        with pytest.raises(Refused, match="pair 1, image_b"):
            study.add([Pair("a dog", factory.png(1), b"no picture"), Pair("an owl", *_two())])
        assert study.progress().items == 2
        with pytest.raises(Refused, match="aspects"):
            studio.create_study([], aspects=["a", "a"])
        with pytest.raises(Refused, match="no study 99"):
            studio.study(99)
    with (
        Palate("http://127.0.0.1:9", timeout_s=1) as nobody,
        pytest.raises(Refused, match="answer"),
    ):
        nobody._ask("POST", "/studies", body={})


def _two() -> tuple[bytes, bytes]:
    return factory.png(4), factory.png(5)
