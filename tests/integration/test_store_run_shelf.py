"""Runs as they lie in the list: found, tagged, put away, ordered, sent to a place; and what is said
of one whose worker died."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest
import sqlalchemy as sa
from redis import Redis

from backend.errors import Conflict, InputError
from backend.services import jobs, records, run_rows, run_shelf, runs
from backend.services.run_rows import Wanted
from backend.services.studio import Studio
from db.tables import Job
from tests import factory
from workers.redis_server import RedisServer


def _ids(studio: Studio, project: int, **wanted: object) -> list[int]:
    page = run_rows.page(studio, project, Wanted(**wanted))  # type: ignore[arg-type]
    return [row["id"] for row in page["items"]]


def _three(studio: Studio, project: int) -> list[int]:
    names = ("alpha", "beta 100 %", "gamma")
    return [runs.create(studio, project, name, factory.config())["id"] for name in names]


def test_runs_are_found_by_words_tag_and_status(services: Studio) -> None:
    made = factory.project(services)
    a, b, c = _three(services, made.project)
    run_shelf.together(services, [a, c], "tag", " good  ones ")
    run_shelf.change(services, b, tags=["ones"], note="Seeds of the Hague")
    assert run_rows.page(services, made.project)["tags"] == ["good ones", "ones"]
    assert _ids(services, made.project, tag="good ones") == [a, c]
    assert _ids(services, made.project, tag="ones") == [b]
    assert _ids(services, made.project, words="HAGUE g2rpo") == [b]
    assert _ids(services, made.project, words="100 %") == [b], "a per cent sign is no wildcard"
    assert _ids(services, made.project, words="al_ha") == []
    runs.want(services, c, "stop")
    assert _ids(services, made.project, status="stopped") == [c]
    assert run_rows.page(services, made.project)["counts"] == {"waiting": 2, "stopped": 1}
    with pytest.raises(InputError, match="it is one of running"):
        run_rows.page(services, made.project, Wanted("sleeping"))
    with pytest.raises(InputError, match="without commas"):
        run_shelf.change(services, a, tags=["a,b"])


def test_many_runs_are_stopped_or_put_away_and_the_rest_say_why_not(services: Studio) -> None:
    made = factory.project(services)
    a, b, c = _three(services, made.project)
    runs.want(services, a, "stop")
    said = run_shelf.together(services, [a, b, c, 999], "stop")
    assert said["done"] == [b, c]
    assert {line["id"] for line in said["refused"]} == {a, 999}
    assert run_shelf.together(services, [b, c], "hide") == {"done": [b, c], "refused": []}
    assert _ids(services, made.project) == [a]
    assert _ids(services, made.project, hidden=True) == [c, b]
    run_shelf.together(services, [b], "show")
    assert _ids(services, made.project) == [b, a]
    runs.want(services, a, "run")
    refused = run_shelf.together(services, [a], "hide")["refused"]
    assert "stop it before" in refused[0]["reason"]


def test_the_queue_goes_in_the_order_that_people_give_it(
    services: Studio, redis: Redis, redis_server: RedisServer
) -> None:
    settings = services.settings.model_copy(update={"redis_url": redis_server.url})
    studio = replace(services, settings=settings)
    made = factory.project(studio)
    a, b, c = _three(studio, made.project)
    tickets = {run: f"{runs.get(studio, run)['job_id']}-1".encode() for run in (a, b, c)}

    def lying(queue: str = "train") -> list[bytes | str]:
        return redis.lrange(f"rq:queue:{queue}", 0, -1)

    assert lying() == [tickets[a], tickets[b], tickets[c]]
    assert run_shelf.arrange(studio, [c, a]) == [c, b, a], "b keeps its place between them"
    assert _ids(studio, made.project) == [c, b, a]
    assert lying() == [tickets[c], tickets[b], tickets[a]]
    late = runs.create(studio, made.project, "late", factory.config())["id"]
    assert _ids(studio, made.project) == [c, b, a, late], "a new run waits behind the others"
    redis.flushall()
    for run in (a, late, b, c):
        jobs.enqueue(studio, runs.get(studio, run)["job_id"])
    assert lying()[:3] == [tickets[c], tickets[b], tickets[a]], "an emptied Redis is put in order"

    assert run_shelf.send(studio, b, "box:0")["place"] == "box:0"
    assert lying("train@box:0") == [tickets[b]] and tickets[b] not in lying()
    run_shelf.send(studio, b, "")
    assert lying("train@box:0") == [] and lying()[1] == tickets[b]
    jobs.claim(studio, runs.get(studio, c)["job_id"], 1, "w")
    assert run_shelf.arrange(studio, [a, c, b]) == [a, b, late], "c was taken meanwhile"
    with pytest.raises(Conflict, match="only a run that waits"):
        run_shelf.send(studio, c, "box:0")


def test_a_run_whose_worker_was_killed_says_crashed_with_its_last_words(services: Studio) -> None:
    made = factory.project(services)
    run = runs.create(services, made.project, "first", factory.config())["id"]
    job = runs.get(services, run)["job_id"]
    jobs.claim(services, job, 1, "w")
    records.iteration(services, run, factory.iteration(1, groups=0))
    records.say(services, run, "warning", "The disk is nearly full.", job_id=job)
    with services.write() as session:
        session.execute(sa.update(Job).values(heartbeat_at=time.time() - 30))
    for lost in jobs.abandoned(services):
        jobs.release(services, lost["id"], lost["attempt"])
    row = run_rows.page(services, made.project, Wanted("crashed"))["items"][0]
    assert row["id"] == run and row["step"] == 1
    assert "The disk is nearly full" in row["error"] and "attempt 1 died" in row["error"]
    jobs.claim(services, job, 2, "w2")
    row = runs.get(services, run)
    assert (row["status"], row["error"], row["attempt"]) == ("running", "", 2)
