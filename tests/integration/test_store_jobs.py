"""Jobs on both kinds of store: claimed once, fenced by attempt, offered to Redis and never lost."""

from __future__ import annotations

import json
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
import sqlalchemy as sa
from redis import Redis

from backend.errors import Conflict, InputError
from backend.services import events, jobs, workers
from backend.services.studio import Studio
from db.tables import Job, Worker
from tests.conftest import RedisServer


def test_a_job_is_claimed_by_one_of_five_workers(services: Studio) -> None:
    job = jobs.create(services, "generate", {"x": 1})
    with ThreadPoolExecutor(5) as pool:
        claims = list(pool.map(lambda n: jobs.claim(services, job, 1, f"w{n}"), range(5)))
    won = [claim for claim in claims if claim is not None]
    assert len(won) == 1 and won[0].args == {"x": 1} and won[0].attempt == 1
    assert jobs.get(services, job)["status"] == "running"


def test_a_worker_given_up_for_dead_changes_nothing_when_it_wakes(services: Studio) -> None:
    job = jobs.create(services, "score", {})
    assert jobs.claim(services, job, 1, "old")
    assert jobs.abandoned(services, dead_s=3600) == []
    with services.write() as session:
        session.execute(sa.update(Job).values(heartbeat_at=time.time() - 60))
    assert [row["id"] for row in jobs.abandoned(services, dead_s=20)] == [job]
    assert jobs.release(services, job, 1) == "due"
    assert jobs.claim(services, job, 2, "new")
    assert not jobs.heartbeat(services, job, 1)
    assert jobs.progress(services, job, 1, 0.9) == "stop"
    assert not jobs.finish(services, job, 1)
    assert not jobs.fail(services, job, 1, "late")
    assert jobs.release(services, job, 1) == "lost"
    assert jobs.progress(services, job, 2, 0.5, "half") == "run"
    assert jobs.finish(services, job, 2, {"made": 3})
    row = jobs.get(services, job)
    assert (row["status"], row["attempt"], row["progress"]) == ("done", 2, 1.0)
    assert row["result"] == {"made": 3}


def test_a_job_whose_workers_keep_dying_fails_with_a_sentence(services: Studio) -> None:
    job = jobs.create(services, "generate", {}, max_attempts=2)
    for attempt in (1, 2):
        assert jobs.claim(services, job, attempt, "w")
        status = jobs.release(services, job, attempt)
    assert status == "failed"
    assert "died 2 times" in jobs.get(services, job)["error"]


def test_a_failure_is_retried_while_attempts_are_left(services: Studio) -> None:
    job = jobs.create(services, "generate", {}, max_attempts=2)
    jobs.claim(services, job, 1, "w")
    assert jobs.fail(services, job, 1, "First.", retry=True)
    assert jobs.get(services, job)["status"] == "due"
    jobs.claim(services, job, 2, "w")
    assert jobs.fail(services, job, 2, "Second.", retry=True)
    assert jobs.get(services, job)["status"] == "failed"
    texts = [signal.text for signal in events.after(services, 0)]
    assert texts == ["First.", "Second."]


def test_a_job_handed_back_costs_no_attempt(services: Studio) -> None:
    job = jobs.create(services, "generate", {}, max_attempts=1)
    jobs.claim(services, job, 1, "w")
    jobs.hand_back(services, job, 1)
    assert jobs.claim(services, job, 2, "w")


def test_stopping_reaches_a_waiting_job_at_once_and_a_running_one_at_its_step(
    services: Studio,
) -> None:
    waiting, running = (jobs.create(services, "generate", {}) for _ in range(2))
    jobs.claim(services, running, 1, "w")
    assert jobs.want(services, waiting, "stop")["status"] == "stopped"
    assert jobs.want(services, running, "stop")["status"] == "running"
    assert jobs.wanted(services, running, 1) == "stop"
    assert jobs.end(services, running, 1, "stopped")
    with pytest.raises(Conflict):
        jobs.want(services, running, "stop")
    assert jobs.claim(services, waiting, 1, "w") is None


def test_without_redis_a_job_stays_due(services: Studio) -> None:
    away = replace(
        services, settings=services.settings.model_copy(update={"redis_url": "redis://127.0.0.1:1"})
    )
    job = jobs.create(away, "generate", {})
    assert jobs.enqueue(away, job) is False
    assert [row["id"] for row in jobs.due(away)] == [job]


def test_a_job_is_offered_to_its_queue_once_by_dotted_name(
    services: Studio, redis: Redis, redis_server: RedisServer
) -> None:
    here = replace(
        services, settings=services.settings.model_copy(update={"redis_url": redis_server.url})
    )
    job = jobs.create(here, "score", {})
    assert jobs.enqueue(here, job) and jobs.enqueue(here, job)
    assert redis.lrange("rq:queue:score", 0, -1) == [f"{job}-1".encode()]
    data = zlib.decompress(redis.hget(f"rq:job:{job}-1", "data"))
    assert json.loads(data) == ["workers.jobs.score.run", None, [job, 1], {}]


def test_unknown_kinds_of_job_are_refused(services: Studio) -> None:
    with pytest.raises(InputError, match="known"):
        jobs.create(services, "mine-bitcoin", {})


def test_a_silent_worker_is_shown_as_gone(services: Studio) -> None:
    workers.beat(services, "w1", "train", "here", 1, "busy", 7)
    workers.beat(services, "w2", "score", "here", 2, "idle")
    assert workers.alive(services, "train") == ["w1"]
    with services.write() as session:
        session.execute(sa.update(Worker).values(heartbeat_at=time.time() - 60))
    assert [row["state"] for row in workers.rows(services)] == ["gone", "gone"]
    assert workers.alive(services) == []
