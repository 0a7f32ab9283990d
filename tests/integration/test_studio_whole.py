"""A whole studio: started by one command, killed in parts and as a whole, nothing left behind."""

from __future__ import annotations

import io
import json
import os
import signal
import socket
import subprocess
import sys
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
from tests import factory
from tests.conftest import ROOT, RunningStudio, empty_database, free_port
from tests.processes import descendants, is_alive, wait_until

NUM_PAIRS = 60


@pytest.fixture(params=["sqlite", "postgresql"])
def running(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[RunningStudio]:
    with empty_database(request, tmp_path) as url:
        environment = {"PALATE_DATABASE_URL": url}
        studio = RunningStudio(tmp_path / "home", free_port(), environment, ("--no-demo",))
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
    with urllib.request.urlopen(request, timeout=5) as response:
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
    until = time.monotonic() + 60
    while True:
        try:
            return ask()
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()) from None
        except OSError:
            assert time.monotonic() < until, "the app did not come back"
            time.sleep(0.1)


@pytest.mark.slow
def test_killing_the_app_while_labels_are_sent_loses_none_and_doubles_none(
    running: RunningStudio,
) -> None:
    project = seed_pairs(running)

    def kill() -> None:
        os.kill(part(running, "app.main"), signal.SIGKILL)

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
@pytest.mark.parametrize("ending", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_a_studio_leaves_nothing_behind_however_it_ends(tmp_path: Path, ending: int) -> None:
    studio = RunningStudio(tmp_path / "home", free_port(), {}, ("--no-demo",)).start()
    try:
        for words in ("app.main", "main train", "main generate score", "redis.sock"):
            wait_until(30, lambda words=words: part(studio, words), f"{words} to run")
        everything = parts_of(studio)
        socket_folder = Path((studio.home / "redis.url").read_text().split("?")[0][7:]).parent
        assert studio.process is not None
        studio.process.send_signal(ending)
        studio.process.wait(15)
        wait_until(15, lambda: not any(map(is_alive, everything)), "all to be gone")
        if ending != signal.SIGKILL:
            assert studio.process.returncode == 0
            assert not socket_folder.exists() and not (studio.home / "redis.url").exists()
    finally:
        studio.stop()


@pytest.mark.slow
def test_whatever_part_is_killed_comes_back(tmp_path: Path) -> None:
    studio = RunningStudio(tmp_path / "home", free_port(), {}, ("--no-demo",)).start()
    try:
        for words in ("redis.sock", "workers.main train", "app.main"):
            wait_until(20, lambda words=words: part(studio, words), f"{words} to run")
            killed = part(studio, words)
            os.kill(killed, signal.SIGKILL)
            wait_until(
                20, lambda w=words, k=killed: part(studio, w) not in (0, k), f"{words} to be back"
            )
        wait_until(30, lambda: studio.answers() and call(studio, "workers"), "the app to answer")
    finally:
        studio.stop()


def palate(*words: str, home: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "workers.cli", *words],
        cwd=ROOT,
        env={**os.environ, "PALATE_HOME": str(home), **environment},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def refused(ended: subprocess.CompletedProcess[str], *words: str) -> None:
    """One sentence on standard error, exit code 1, no traceback."""
    assert ended.returncode == 1, ended
    assert "Traceback" not in ended.stderr and ended.stderr.startswith("palate: ")
    for word in words:
        assert word in ended.stderr


def test_a_port_in_use_a_lost_redis_and_a_bad_folder_each_get_a_sentence(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = str(holder.getsockname()[1])
        refused(palate("up", "--port", port, home=home), f"Port {port}", "already in use", "--port")
    nowhere = {"PALATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    refused(palate("up", "--port", str(free_port()), home=home, **nowhere), "no Redis answers")
    in_the_way = tmp_path / "file"
    in_the_way.write_text("")
    refused(palate("up", home=in_the_way), "data folder", "PALATE_HOME")
    open_bind = palate("up", "--host", "0.0.0.0", "--port", str(free_port()), home=home)
    refused(open_bind, "PALATE_HOST")
    refused(palate("up", home=home, PALATE_PORT="many"), "PALATE_PORT")
    refused(palate("worker", "train", home=home), "no Redis to take work from", "palate up")
    refused(palate("worker", "paint", home=home), "no queue 'paint'", "generate")


def test_prompts_go_in_and_labels_come_out_on_the_command_line(tmp_path: Path) -> None:
    home, file = tmp_path / "home", tmp_path / "mine.txt"
    file.write_text("a red circle\na blue square\n")
    done = palate("import", "prompts", str(file), home=home)
    assert done.returncode == 0 and "Imported 2 prompts as 'mine'" in done.stdout
    refused(palate("import", "prompts", str(file), home=home), "already a prompt set 'mine'")
    file.write_text("")
    refused(palate("import", "prompts", str(file), "--name", "n", home=home), "mine.txt")
    file.write_text('{"prompt": "fine"}\n{"prompt": 3}\n')
    refused(palate("import", "prompts", str(file), "--name", "n", home=home), "line 2")
    refused(palate("import", "prompts", str(tmp_path / "no"), home=home), "cannot be read")
    assert palate("export", "labels", home=home).stdout == ""
    person = ("user", "add", "Ada", "--no-password", "--email", "ada@example.org")
    done = palate(*person, home=home)
    assert done.returncode == 0 and "Added Ada" in done.stdout
    assert "Ada" in palate("user", "list", home=home).stdout
    refused(palate(*person, home=home), "Ada")


def test_labels_go_out_with_their_pictures_and_into_another_studio(tmp_path: Path) -> None:
    rows, home, other = tmp_path / "rows.jsonl", tmp_path / "home", tmp_path / "other"
    for name in "xy":
        (tmp_path / f"{name}.png").write_bytes(factory.png(ord(name)))
    pair = {"prompt": "a cat", "image_a": "x", "image_b": "y.png"}
    judged = [{**pair, "preferred": choice, "annotator": "Ada"} for choice in ("b", "both_bad")]
    rows.write_text("\n".join(map(json.dumps, judged)))
    done = palate("import", "labels", str(rows), home=home)
    assert done.stdout == "Imported 2 labels with 2 new pictures and 1 new prompt.\n", done.stderr
    done = palate("import", "labels", str(rows), home=home)
    assert done.stdout == "Imported nothing new. Already here: 2.\n"
    out = tmp_path / "out" / "labels.jsonl"
    folder = tmp_path / "pictures"
    done = palate("export", "labels", "--out", str(out), "--pictures", str(folder), home=home)
    assert done.stdout == f"Wrote 2 labels to {out}.\n" and len(list(folder.iterdir())) == 2
    again = palate("import", "labels", str(out), "--pictures", str(folder), home=other)
    assert again.stdout == "Imported 2 labels with 2 new pictures and 1 new prompt.\n"
    assert palate("export", "labels", home=other).stdout == out.read_text()
    trl = palate("export", "labels", "--format", "trl", home=other)
    assert "Left out, for want of a place: both bad (1)" in trl.stderr
    rows.write_text(json.dumps(pair))
    assert (
        "Imported nothing new. Already here: 1."
        in palate("import", "pairs", str(rows), home=home).stdout
    )
    (tmp_path / "x.png").write_text("no picture")
    rows.write_text(json.dumps({**pair, "prompt": "a dog"}))
    refused(palate("import", "pairs", str(rows), home=home), "line 1", "'x' is not a picture")
    refused(
        palate("import", "labels", str(rows), home=home), "line 1", "of no format that is known"
    )
    missing = ("import", "labels", str(rows), "--pictures", str(tmp_path / "none"))
    refused(palate(*missing, home=home), "no folder")


def test_the_doctor_names_what_it_looked_at_and_what_is_missing(tmp_path: Path) -> None:
    done = palate("doctor", home=tmp_path / "home")
    assert done.returncode == 0, done.stdout
    for name in ("Python", "Model stack", "Redis", "Database", "Pocket model", "Data folder"):
        assert f"ok        {name}" in done.stdout
    nowhere = {"PALATE_REDIS_URL": "redis://127.0.0.1:1/0"}
    done = palate("doctor", home=tmp_path / "home", **nowhere)
    assert done.returncode == 1 and "MISSING   Redis" in done.stdout and "→" in done.stdout


def test_help_reads_well_and_loads_neither_gradio_nor_torch(tmp_path: Path) -> None:
    code = (
        "import sys, workers.cli\nsys.argv = ['palate', '--help']\n"
        "try: workers.cli.main()\nexcept SystemExit: pass\n"
        "sys.exit(bool({'torch', 'gradio', 'rq', 'sqlalchemy'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0
    for word in ("up", "worker", "loop", "import", "export", "user", "doctor"):
        assert f"\n  {word} " in done.stdout
