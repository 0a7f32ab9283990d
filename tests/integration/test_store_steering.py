"""Orders, alarms and the log of a run in the store, and the webhook over a real socket."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any

import pytest

from backend import hooks
from backend.errors import ConfigError, Conflict, EnvironmentProblem, InputError, NotFound
from backend.services import alarms, jobs, orders, records, run_log, run_rows, runs
from backend.services.studio import Studio
from backend.types import EvaluationRecord
from db.tables import Run
from tests import factory
from workers.frame import JobFrame, _finish
from workers.jobs import notify
from workers.lookout import Lookout


@pytest.fixture
def run_id(services: Studio) -> int:
    """A run with records of three steps, said to be at work."""
    found = factory.trained_run(services, factory.project(services), steps=3)
    job_id = runs.get(services, found)["job_id"]
    assert jobs.claim(services, job_id, 1, "somebody") is not None
    return found


def reconfigure(studio: Studio, run_id: int, **sections: Any) -> None:
    with studio.write() as session:
        row = session.get_one(Run, run_id)
        row.config = {**row.config, **sections}


def test_a_change_waits_for_its_step_and_is_kept_with_step_and_person(
    services: Studio, run_id: int
) -> None:
    before = {s["key"]: s["value"] for s in orders.rows(services, run_id)["settings"]}
    asked = orders.change(services, run_id, "optim.lr", 5e-5, "Ada")
    assert (asked["step"], asked["by"], asked["was"]) == (None, "Ada", before["optim.lr"])
    heeded = orders.heed(services, run_id, 3)
    assert orders.holding(heeded, 3).changes == (("optim.lr", 5e-5),)
    assert orders.heed(services, run_id, 9) == heeded, "a resumed run finds it where it was"
    shown = orders.rows(services, run_id)
    assert shown["orders"][0]["step"] == 3
    now = {s["key"]: (s["value"], s["given"]) for s in shown["settings"]}
    assert now["optim.lr"] == (5e-5, before["optim.lr"])
    texts = [line["text"] for line in run_log.page(services, run_id, words="optim.lr")["lines"]]
    assert texts == [
        f"From update 4 on optim.lr is 5e-05 (was {before['optim.lr']:g}), as Ada asked."
    ]


def test_a_change_that_cannot_be_is_refused_with_a_sentence(services: Studio, run_id: int) -> None:
    lr = orders.rows(services, run_id)["settings"][1]["value"]
    for key, value, words in (
        ("optim.lr", lr, "nothing would change"),
        ("optim.lr", -1.0, "optim.lr"),
        ("evaluation.every", 0.5, "evaluation.every"),
        ("rewards.verifier.weight", float("nan"), "finite number"),
        ("seed", 1, "cannot change while a run goes on"),
        ("rewards.nobody.weight", 1, "cannot change while a run goes on"),
    ):
        with pytest.raises(ConfigError, match=words):
            orders.change(services, run_id, key, value, "Ada")
    job = runs.get(services, run_id)["job_id"]
    jobs.finish(services, job, 1)
    with pytest.raises(Conflict, match="clone it"):
        orders.change(services, run_id, "optim.lr", 1e-5, "Ada")


def test_pictures_and_checkpoints_can_be_asked_for_while_a_run_is_at_work(
    services: Studio, run_id: int
) -> None:
    first = orders.ask(services, run_id, "sample", "Ada")
    assert orders.ask(services, run_id, "sample", "Ada") == first, "one is enough"
    orders.ask(services, run_id, "checkpoint", "Ada")
    heeded = orders.heed(services, run_id, 3)
    assert (orders.holding(heeded, 3).sample, orders.holding(heeded, 3).checkpoint) == (True, True)
    assert not orders.holding(heeded, 4).sample
    reconfigure(services, run_id, evaluation={"fixed_prompts": 0})
    with pytest.raises(Conflict, match="keeps no pictures"):
        orders.ask(services, run_id, "sample", "Ada")
    with pytest.raises(InputError, match="not to 'dance'"):
        orders.ask(services, run_id, "dance", "Ada")
    runs.want(services, run_id, "pause")
    with pytest.raises(Conflict, match="not at work"):
        orders.ask(services, run_id, "checkpoint", "Ada")


def test_a_run_that_is_to_end_at_once_says_stopping_until_its_job_is_over(
    services: Studio, run_id: int
) -> None:
    runs.want(services, run_id, "stop")
    row = runs.want(services, run_id, "halt")
    assert (row["status"], row["wanted"]) == ("running", "halt")
    assert jobs.wanted(services, row["job_id"], 1) == "halt"
    jobs.end(services, row["job_id"], 1, "stopped")
    assert runs.get(services, run_id)["status"] == "stopped"


def test_a_run_that_stopped_itself_is_over_and_one_whose_worker_ends_is_handed_back(
    services: Studio, run_id: int
) -> None:
    job_id = runs.get(services, run_id)["job_id"]
    frame = JobFrame(services, job_id, 1, {"run_id": run_id})
    _finish(frame, {"ended": "paused"})
    assert jobs.get(services, job_id)["status"] == "due"
    assert jobs.claim(services, job_id, 2, "somebody") is not None
    _finish(JobFrame(services, job_id, 2, {"run_id": run_id}), {"ended": "stopped"})
    assert runs.get(services, run_id)["status"] == "stopped"


def test_pictures_that_were_only_drawn_have_no_say_in_gains(services: Studio, run_id: int) -> None:
    media = services.media.put(factory.png(3))
    shown = [{"prompt": "held-out 0", "seed": 1, "media": media, "rewards": {}}]
    records.evaluation(services, run_id, EvaluationRecord(2, {}, [], 9), shown)
    found = runs.metrics(services, run_id)["evaluations"]
    assert [(e["step"], len(e["samples"])) for e in found] == [(0, 1), (2, 1), (3, 1)]
    assert runs.get(services, run_id)["gain"]["value"] == 0.1


def test_an_alarm_is_one_row_from_its_first_step_to_its_last(services: Studio, run_id: int) -> None:
    story = alarms.story_of(services, run_id)
    assert alarms.look(services, run_id, story) == []
    bad = {"missing/verifier": 0.5, "loss": None}
    story.update(4, bad)
    fresh = alarms.look(services, run_id, story)
    assert [(a["rule"], a["about"], a["step"]) for a in fresh] == [
        ("not-a-number", "loss", 4),
        ("missing", "verifier", 4),
    ]
    story.update(5, bad)
    assert alarms.look(services, run_id, story) == []
    row = runs.get(services, run_id)
    assert [(a["step"], a["last_step"]) for a in row["alarms"]] == [(4, 5), (4, 5)]
    assert all(a["url"].startswith(f"/runs/{run_id}?step=5") for a in row["alarms"])
    alarms.close(services, run_id, fresh[0]["id"], "Ada", again=False)
    listed = run_rows.page(services, row["project_id"])["items"][0]["alarms"]
    assert [a["rule"] for a in listed] == ["missing"]
    assert len(alarms.of_run(services, run_id)) == 2
    alarms.close(services, run_id, fresh[0]["id"], "Ada", again=True)
    alarms.rewind(services, run_id, 4)
    assert [a["last_step"] for a in alarms.of_run(services, run_id)] == [4, 4]
    alarms.rewind(services, run_id, 3)
    assert alarms.of_run(services, run_id) == []
    with pytest.raises(NotFound):
        alarms.close(services, run_id, 12345, "Ada", again=False)


def test_a_run_ends_by_itself_on_an_alarm_that_it_was_told_to_stop_on(
    services: Studio, run_id: int
) -> None:
    chosen = {"stop_on": ["missing"], "webhook": "http://127.0.0.1:1/hook"}
    reconfigure(services, run_id, alarms=chosen)
    lookout = Lookout(services, run_id, runs.config_of(services, run_id))
    record = factory.iteration(4)
    lookout.updated(record)
    assert runs.get(services, run_id)["wanted"] == "run"
    record.metrics["missing/verifier"] = 0.9
    record.step = 5
    lookout.updated(record)
    row = runs.get(services, run_id)
    assert row["wanted"] == "stop"
    (job,) = jobs.of_kind(services, "notify")
    assert job["args"] == {"alarm_id": row["alarms"][0]["id"]}
    assert "Stopping after update 5" in [line["text"][:23] for line in row["log"]]


def test_a_silent_run_is_an_alarm_at_sight(
    services: Studio, run_id: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert runs.get(services, run_id)["alarms"] == []
    monkeypatch.setattr(alarms, "SILENT_S", -1.0)
    (alarm,) = runs.get(services, run_id)["alarms"]
    assert alarm["rule"] == "silent" and "show=log" in alarm["url"]


def test_the_log_is_read_by_level_and_words_and_finds_the_error(
    services: Studio, run_id: int
) -> None:
    for number in range(6):
        records.say(services, run_id, "info", f"line {number}, 100 %")
    records.say(services, run_id, "error", "The reward broke.")
    records.say(services, run_id, "warning", "Less is learned.")
    found = run_log.page(services, run_id, level="warning")
    assert [line["text"] for line in found["lines"]] == ["Less is learned.", "The reward broke."]
    assert found["errors"] == [found["lines"][1]["id"]]
    around = run_log.page(services, run_id, around=found["errors"][0], limit=3)["lines"]
    assert [line["text"][:6] for line in around] == ["The re", "line 5", "line 4"]
    assert len(run_log.page(services, run_id, words="LINE 100 %")["lines"]) == 6
    first = run_log.page(services, run_id, words="line", limit=4)
    rest = run_log.page(services, run_id, words="line", limit=4, before=first["next"])
    assert (len(first["lines"]), len(rest["lines"]), rest["next"]) == (4, 2, None)


class _Ear(BaseHTTPRequestHandler):
    """Answers with the statuses it was given, one after the other."""

    def do_POST(self) -> None:
        heard: list[Any] = self.server.heard  # type: ignore[attr-defined]
        heard.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
        self.send_response(self.server.answers.pop(0))  # type: ignore[attr-defined]
        self.send_header("Location", "/elsewhere")
        self.end_headers()

    def log_message(self, *_given: Any) -> None:
        """Say nothing."""


@pytest.fixture
def ear(monkeypatch: pytest.MonkeyPatch) -> Iterator[HTTPServer]:
    """A program on this machine that listens, and has time to answer."""
    monkeypatch.setattr(hooks, "TIMEOUT_S", 300.0)
    server = HTTPServer(("127.0.0.1", 0), _Ear)
    server.heard, server.answers = [], []  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


class _Frame:
    """A job that nobody stops."""

    def __init__(self, studio: Studio, alarm_id: int) -> None:
        self.studio, self.args = studio, {"alarm_id": alarm_id}

    def step(self, done: int, total: int, message: str) -> None:
        assert done < total


def test_a_webhook_is_told_again_until_it_takes_it_and_the_result_stays_with_the_alarm(
    services: Studio, run_id: int, ear: HTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notify, "PAUSES_S", (0.0, 0.0, 0.0))
    heard, answers = ear.heard, ear.answers  # type: ignore[attr-defined]
    story = alarms.story_of(services, run_id)
    story.update(4, {"loss": None})
    (alarm,) = alarms.look(services, run_id, story)
    frame: Any = _Frame(services, alarm["id"])
    assert notify.work(frame) == {}, "no webhook, nobody told"
    hook = f"http://127.0.0.1:{ear.server_port}/hook"
    reconfigure(services, run_id, alarms={"webhook": hook})
    answers[:] = [500, 204]
    assert notify.work(frame) == {"status": 204, "tries": 2}
    assert heard[0] == heard[1]
    assert heard[0] == {
        "run": run_id,
        "name": "small",
        "rule": "not-a-number",
        "title": "A figure is not a number",
        "level": "error",
        "step": 4,
        "text": "loss has no finite value.",
        "path": f"/runs/{run_id}?step=4&show=log",
    }
    told = alarms.of_run(services, run_id)[0]["told"]
    assert (told["ok"], told["tries"]) == (True, 2)
    answers[:] = [302, 302, 302]
    with pytest.raises(EnvironmentProblem, match="not followed"):
        notify.work(frame)
    assert len(heard) == 5, "a redirect leads nowhere"
    assert "not followed" in alarms.of_run(services, run_id)[0]["told"]["text"]


def test_nobody_who_answers_is_a_sentence() -> None:
    with pytest.raises(EnvironmentProblem, match=r"127\.0\.0\.1 did not answer"):
        hooks.post("http://127.0.0.1:9/", {})
