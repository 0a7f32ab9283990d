"""A judge on a hostile server that is a process of its own, and the record that outlives restarts.

Figures are printed: questions, calls, answers, retries, missing, and how many were answered twice,
which is none.
"""

from __future__ import annotations

import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sqlalchemy import func, select, update

from backend.rewards._judge_answers import GIVEN_UP_S
from backend.rewards.interface import checked
from backend.services import judgements, labels, pair_views, purses, rewards, users
from backend.services.studio import Studio
from db.tables import Judgement, Pair, Sample, Score
from tests import factory
from tests.conftest import ROOT, free_port
from tests.judge_server import counted
from tests.processes import wait_until
from workers.sheets import stack

GOOD = ("good", "busy", "ill", "slow")
BAD = ("hangs", "half", "html", "list", "empty", "free", "number", "refused")
EACH = 2


class Hostile:
    """The server's process, which can be killed and started again on its port."""

    def __init__(self, log: Path) -> None:
        self.log, self.port = log, free_port()
        self.address = f"http://127.0.0.1:{self.port}/v1"
        self.start()

    def start(self) -> None:
        command = [sys.executable, "-m", "tests.judge_server", str(self.port), str(self.log)]
        self.process = subprocess.Popen(command)
        wait_until(300, self.answers, "the server answers")

    def answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.address, timeout=30):
                return True
        except OSError:
            return False

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


@pytest.fixture
def hostile(tmp_path: Path) -> Iterator[Hostile]:
    server = Hostile(tmp_path / "asked.txt")
    yield server
    server.kill()


def judge(studio: Studio, address: str, run_id: int | None = None, **config: Any) -> Any:
    """As a worker that was just started has it."""
    told = {"model": "m", "backoff_s": 0.01, "timeout_s": 300.0, "breaker": 1000, **config}
    term = {"address": address, **told}
    return checked(rewards.load_term(studio, "judge-pair", term, run_id), "judge-pair")


def drawn(prompt: str) -> np.ndarray:
    """A picture of its own for every prompt."""
    return np.random.default_rng(list(prompt.encode())).integers(0, 256, (8, 8, 3), dtype=np.uint8)


def ask(scorer: Any, prompts: list[str]) -> dict[str, tuple[float, str, str]]:
    one = np.stack([drawn(prompt) for prompt in prompts])
    said = scorer.compare(one, 255 - one, prompts)
    told = zip(said.prefer_a.tolist(), said.status, said.reasons, strict=True)
    return dict(zip(prompts, told, strict=True))


ASKER = """
import sys
from backend.services.studio import open_studio
from backend.settings import read_settings
from tests.integration.test_store_judgements import ask, judge
home, store, address, *prompts = sys.argv[1:]
studio = open_studio(read_settings(home=home, database_url=store))
ask(judge(studio, address, concurrency=2), prompts)
"""
"""A worker that is killed in the middle."""


def test_a_hostile_server_costs_nothing_twice_over_restarts_of_both(
    services: Studio, hostile: Hostile, capsys: pytest.CaptureFixture[str]
) -> None:
    prompts = [f"{kind} {i}" for kind in (*GOOD, *BAD) for i in range(EACH)]
    half = prompts[::2]
    impatient = judge(services, hostile.address)
    assert ask(impatient, prompts[:1])[prompts[0]][:2] == (1.0, "ok")  # its start check, in peace
    client = impatient.judge.asking.client
    client.settings = client.settings.model_copy(update={"timeout_s": 0.3})
    hangs = [p for p in prompts if p.startswith("hangs")]
    assert all(np.isnan(value) for value, _status, _reason in ask(impatient, hangs).values())
    first = judge(services, hostile.address, concurrency=8)
    told = ask(first, half)
    hostile.kill()  # in the middle of the run
    down = ask(judge(services, hostile.address, retries=0), prompts)
    assert {down[p][0] for p in half if p.split()[0] in GOOD} == {1.0}  # known, so not asked
    assert all("could not be reached" in down[p][2] for p in prompts if p not in half + hangs)
    hostile.start()
    second = judge(services, hostile.address, concurrency=8)  # a worker that was started again
    whole = ask(second, prompts)
    again = ask(judge(services, hostile.address), prompts)
    for prompt, (value, status, reason) in whole.items():
        if prompt.split()[0] in GOOD:
            assert (value, status) == (1.0, "ok"), (prompt, reason)
        else:
            assert np.isnan(value) and status == "error" and reason, prompt
        assert np.array_equal(again[prompt][0], value, equal_nan=True)
        assert prompt not in told or np.array_equal(told[prompt][0], value, equal_nan=True)
    asked, answered = counted(hostile.log)
    spent = [one.judge.asking.client.spent for one in (impatient, first, second)]
    checks = answered.pop("canary")
    doubled = sum(number - 1 for number in answered.values())
    missing = sum(np.isnan(value) for value, _status, _reason in whole.values())
    with capsys.disabled():
        print(
            f"\n{services.store.dialect}: {len(prompts)} questions, {sum(asked.values())} calls, "
            f"{checks} start checks, {sum(answered.values())} answers, "
            f"{sum(one.retries for one in spent)} retries, "
            f"{missing} missing, {doubled} doubled"
        )
    assert doubled == 0
    assert missing == len(BAD) * EACH
    calls = {"busy": 3, "ill": 2}
    paid = [p for p in prompts if p.split()[0] not in ("refused", "hangs")]
    assert max(asked[p] for p in hangs) <= 1
    assert {p: asked[p] for p in paid} == {p: calls.get(p.split()[0], 1) for p in paid}
    with services.read() as session:
        found = list(session.scalars(select(Judgement).order_by(Judgement.id)))
        rows = {row.status: row for row in found}
        num = session.scalar(select(func.count()).select_from(Judgement))
    assert num == len(prompts) - EACH  # what was turned away is no judgement
    good = rows["ok"]
    assert good.value == 1.0 and good.tokens == 100 and good.version and good.kind == "judge-pair"
    assert len(good.first) == len(good.second) == 64 and good.first != good.second
    assert good.criterion == "choice" and good.latency_s is not None
    assert sum("may have been charged" in row.reason for row in found) == EACH
    assert rows["given up"].answer is None


def test_the_workers_of_a_run_share_its_budget_and_a_restart_does_not_renew_it(
    services: Studio, hostile: Hostile
) -> None:
    """An answer takes 100 tokens, and so does each worker's start check. One expects the longest
    answer allowed, 40, of its first calls, so those under way may go beyond what was set aside."""
    budget = {"budget_tokens": 1000, "max_tokens": 40, "concurrency": 3}
    halves = [[f"good {i}" for i in range(9)], [f"good {i}" for i in range(9, 18)]]
    both = [judge(services, hostile.address, 7, **budget) for _ in halves]
    with ThreadPoolExecutor(2) as pool:
        told = list(pool.map(ask, both, halves))
    said = [one for half in told for one in half.values()]
    paid = sum(status == "ok" for _value, status, _reason in said)
    (purse,) = purses.of_run(services, 7)
    checks = counted(hostile.log)[1]["canary"]  # one, where the other found the budget spent
    assert purse["tokens"] == 100 * (paid + checks)
    assert 1000 <= purse["tokens"] <= 1000 + 60 * 6 and paid < 18
    assert all("budget of 1,000 tokens" in reason for _v, status, reason in said if status != "ok")
    restarted = judge(services, hostile.address, 7, **budget)
    again = ask(restarted, [*halves[0], *halves[1]])
    assert sum(status == "ok" for _value, status, _reason in again.values()) == paid
    assert restarted.judge.asking.client.spent.calls == 0  # what is known is no call
    other = judge(services, hostile.address, 8, **budget)  # another run, its own budget
    assert set(status for _v, status, _r in ask(other, ["good 100"]).values()) == {"ok"}
    assert purses.of_run(services, 7) == [purse]


def test_money_is_counted_over_restarts_and_a_call_that_broke_off_keeps_what_it_may_have_cost(
    services: Studio, hostile: Hostile
) -> None:
    prices = {"price_in": 1e4, "price_out": 1e4, "budget_money": 3.0, "concurrency": 1}
    first = judge(services, hostile.address, 9, **prices)  # an answer costs 1
    assert ask(first, ["good 1", "half 1"])["good 1"][1] == "ok"
    (purse,) = purses.of_run(services, 9)
    assert purse["money"] == pytest.approx(2.0) and purse["tokens"] == 200 + 512
    second = judge(services, hostile.address, 9, **prices)
    reasons = [reason for _v, _s, reason in ask(second, ["good 2", "good 3"]).values()]
    assert all("budget of 3 is spent" in reason for reason in reasons)  # its check was the third


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_what_was_under_way_when_the_asker_was_killed_is_not_paid_for_again(
    services: Studio, hostile: Hostile, monkeypatch: pytest.MonkeyPatch
) -> None:
    stalls = {"stalls 0", "stalls 1"}
    prompts = ["good 0", "good 1", "good 2", *sorted(stalls), "good 3", "good 4"]
    given = services.settings
    command = [sys.executable, "-c", ASKER, str(given.home), given.database_url, hostile.address]
    with subprocess.Popen([*command, *prompts], cwd=ROOT) as asker:
        wait_until(300, lambda: stalls <= set(counted(hostile.log)[0]), "both are under way")
        asker.kill()
    with services.write() as session:  # as if their time were up
        session.execute(update(Judgement).values(created_at=Judgement.created_at - 1000))
    told = ask(judge(services, hostile.address), prompts)
    asked, answered = counted(hostile.log)
    assert asked.pop("canary") == answered.pop("canary") == 2  # each checks for itself
    assert max(asked.values()) == 1 and max(answered.values()) == 1
    lost = [reason for value, _status, reason in told.values() if np.isnan(value)]
    assert len(lost) == 2 and all("may have been charged" in reason for reason in lost)
    now = time.time()
    monkeypatch.setattr("backend.services.judgements.time.time", lambda: now + GIVEN_UP_S + 1)
    later = ask(judge(services, hostile.address), prompts)  # a day later they may be asked anew
    assert all(value == 1.0 for value, _status, _reason in later.values())


def test_another_revision_is_another_question_and_a_time_limit_is_not(
    services: Studio, hostile: Hostile
) -> None:
    ask(judge(services, hostile.address), ["good 1"])
    ask(judge(services, hostile.address, timeout_s=2.0, price_in=3.0), ["good 1"])
    assert counted(hostile.log)[0]["good 1"] == 1
    ask(judge(services, hostile.address, revision="b"), ["good 1"])
    assert counted(hostile.log)[0]["good 1"] == 2
    assert judgements.spent(services)["tokens"] == 200


def test_what_a_judge_said_of_a_pair_stands_with_what_people_said_of_it(
    services: Studio, hostile: Hostile
) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    local, pair = users.local(services)["id"], made.pairs[0]
    labels.store(services, local, factory.label(pair, "left"))
    with services.read() as session:
        row = session.get_one(Pair, pair)
        names = [session.get_one(Sample, one).media for one in (row.sample_a_id, row.sample_b_id)]
    a, b = (stack([services.media.read(name or "")]) for name in names)
    scorer = judge(services, hostile.address)
    for one, other, prompt in ((a, b, "good"), (b, a, "good"), (a, b, "free")):
        scorer.compare(one, other, [prompt])
    said = judgements.of_pair(services, pair)
    assert [(one["choice"], one["shown_left"], one["value"]) for one in said] == [
        ("a", "a", 1.0),
        ("b", "b", 0.0),  # always the first
        ("", "a", None),
    ]
    assert said[2]["status"] == "error" and said[2]["reason"] and said[0]["version"]
    (person,) = pair_views.answers(services, pair)["answers"]
    assert set(person) & set(said[0]) >= {"name", "kind", "choice", "shown_left", "seconds", "at"}
    assert judgements.of_pair(services, 10_000) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_the_version_of_a_reward_stands_beside_its_scores(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=1, pairs_per_prompt=0)
    reward = rewards.create(services, made.project, "light", "brightness", {})
    version = rewards.version_of(reward)
    row = rewards.ScoreRow(made.samples[0], 0.5)
    for said in ("", version):  # said again, the newer word stands
        rewards.record_scores(services, reward["id"], [row], said)
    with services.read() as session:
        assert session.scalars(select(Score.version)).all() == [version] and len(version) == 16
