"""A whole studio: started by one command, killed in parts and as a whole, nothing left behind."""

from __future__ import annotations

import http.client
import io
import json
import os
import signal
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from backend.services import labels, pairs, policies, prompts, samples, users
from backend.services.samples import NewSample
from tests.conftest import RunningStudio, empty_database, free_port
from tests.processes import descendants, is_alive, wait_until

NUM_PAIRS = 60
LONG_S = 600
"""What a busy machine may take; a quick one is not waited for."""


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[RunningStudio]:
    """One for all tests of a store; the last one ends it."""
    folder = tmp_path_factory.mktemp("whole")
    with empty_database(request, folder) as url:
        environment = {"PALATE_DATABASE_URL": url}
        studio = RunningStudio(folder / "home", free_port(), environment, ("--no-demo",))
        yield studio.start()
        studio.stop()


def parts_of(studio: RunningStudio) -> dict[int, str]:
    assert studio.process is not None
    return descendants(studio.process.pid)


def part(studio: RunningStudio, words: str) -> int:
    """The process itself, not its watchdog."""
    found = [
        pid
        for pid, command in parts_of(studio).items()
        if words in command and "watchdog" not in command
    ]
    return found[0] if found else 0


def call(studio: RunningStudio, path: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{studio.url}/api/v1/{path}", data, headers)
    with urllib.request.urlopen(request, timeout=LONG_S) as response:
        return json.load(response)


def seed_pairs(running: RunningStudio) -> int:
    """A project with pairs to judge; returns its id."""
    studio = running.open()
    project = int(call(running, "project")["id"])
    text = "\n".join(f"prompt {number}" for number in range(NUM_PAIRS))
    made = prompts.import_text(studio, project, "p", "train", text)
    policy = policies.create(studio, project, "p", "sd3", {"weights": "pocket"})
    rng, drawn = np.random.default_rng(0), []
    for prompt_id, _text in prompts.texts(studio, made["id"]):
        for _ in range(2):
            out = io.BytesIO()
            Image.fromarray(rng.integers(0, 255, (16, 16, 3), np.uint8)).save(out, "PNG")
            seed = int(rng.integers(2**40))
            drawn.append(NewSample(prompt_id, seed, studio.media.put(out.getvalue()), 16, 16))
    ids = samples.add(studio, project, policy["id"], drawn)
    assert len(pairs.make(studio, project, ids)) == NUM_PAIRS
    studio.close()
    return project


def judge_all(running: RunningStudio, at: dict[int, Any]) -> list[str]:
    """Judge every pair as the browser does: send again, with the same id, until it is answered."""
    sent: list[str] = []
    for number in range(NUM_PAIRS):
        pair = again(lambda: call(running, "label/next?n=1"))["pairs"][0]
        now = time.time()
        body = {
            "client_id": str(uuid.uuid4()),
            "pair_id": pair["pair_id"],
            "choice": ("left", "right", "tie")[number % 3],
            "shown_left": pair["shown_left"],
            "t_shown": now - 1,
            "t_answer": now,
            "reasons": [],
            "comment": "",
        }
        sent.append(body["client_id"])
        if number in at:
            at[number]()
        again(lambda body=body: call(running, "label", body))
        if number % 7 == 0:  # the answer was lost on the way: the browser sends it once more
            assert again(lambda body=body: call(running, "label", body))["repeated"]
    return sent


def again(ask: Any) -> Any:
    """Ask until there is an answer."""
    until = time.monotonic() + LONG_S
    while True:
        try:
            return ask()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except (OSError, http.client.HTTPException):
            assert time.monotonic() < until, "the app did not come back"
            time.sleep(0.1)


@pytest.mark.slow
def test_killing_the_app_while_labels_are_sent_loses_none_and_doubles_none(
    running: RunningStudio,
) -> None:
    project = seed_pairs(running)

    def kill() -> None:
        wait_until(LONG_S, lambda: part(running, "app.main"), "the app to run")
        found = part(running, "app.main")
        assert found, "0 would be every process of this group"
        os.kill(found, signal.SIGKILL)

    sent = judge_all(running, {11: kill, 35: kill})
    studio = running.open()
    rows = list(labels.judged(studio, project))
    assert len(rows) == NUM_PAIRS == len({row.pair_id for row in rows})
    assert [row.choice for row in rows] == [("left", "right", "tie")[n % 3] for n in range(60)]
    me = users.local(studio)["id"]
    assert pairs.counts(studio, project, me) == {"open": 0, "total": 60, "done_mine": 60}
    assert len(set(sent)) == NUM_PAIRS
    studio.close()


@pytest.mark.slow
@pytest.mark.parametrize("running", ["sqlite"], indirect=True)
def test_whatever_part_is_killed_comes_back(running: RunningStudio) -> None:
    for words in ("redis.sock", "workers.main train", "app.main"):
        wait_until(LONG_S, lambda words=words: part(running, words), f"{words} to run")
        killed = part(running, words)
        os.kill(killed, signal.SIGKILL)
        wait_until(
            LONG_S, lambda w=words, k=killed: part(running, w) not in (0, k), f"{words} to be back"
        )
    wait_until(LONG_S, lambda: running.answers() and call(running, "workers"), "the app to answer")


@pytest.mark.slow
def test_a_studio_that_is_asked_to_end_leaves_nothing_behind(
    running: RunningStudio,
) -> None:
    """By Ctrl-C and by SIGTERM; the last test of this studio."""
    by_key = running.settings.database_url.startswith("sqlite")
    leaves_nothing(running, signal.SIGINT if by_key else signal.SIGTERM)
    assert running.process is not None and running.process.returncode == 0
    assert not (running.home / "redis.url").exists()


@pytest.mark.slow
def test_a_studio_that_is_killed_leaves_nothing_running(tmp_path: Path) -> None:
    studio = RunningStudio(tmp_path / "home", free_port(), {}, ("--no-demo",)).start()
    try:
        leaves_nothing(studio, signal.SIGKILL)
    finally:
        studio.stop()


def leaves_nothing(studio: RunningStudio, ending: int) -> None:
    """End it by that signal when every part runs, and see all of them gone."""
    for words in ("app.main", "main train", "main generate score", "redis.sock"):
        wait_until(LONG_S, lambda words=words: part(studio, words), f"{words} to run")
    everything = parts_of(studio)
    socket_folder = Path((studio.home / "redis.url").read_text().split("?")[0][7:]).parent
    assert studio.process is not None
    studio.process.send_signal(ending)
    studio.process.wait(LONG_S)
    wait_until(LONG_S, lambda: not any(map(is_alive, everything)), "all to be gone")
    if ending != signal.SIGKILL:
        assert not socket_folder.exists()
