"""Better without training, by workers: drawn, criticised and judged in turn, nothing twice."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa

from backend.errors import Conflict
from backend.rewards.interface import Failure
from backend.services import best_of_n, jobs, prompts, rewards, untrained
from backend.services.untrained import Wanted
from backend.types import Pictures
from db.tables import Sample, Score
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from tests.workshop import InProcess, Workshop, opened_for
from workers import models
from workers.jobs import untrained as job_of


@pytest.fixture(scope="module", params=["sqlite"])
def workshop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_sd3: Path,  # noqa: F811
) -> Iterator[Workshop]:
    with opened_for(request, tmp_path_factory, tiny_sd3, kind=InProcess) as running:
        yield running


class Larger:
    """A critic that asks once for a larger thing, and is content with that."""

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> list[str | None]:
        assert len(pictures) == len(prompts)
        large = [prompt.replace("small", "large") for prompt in prompts]
        both = zip(large, requests, strict=True)
        return [None if asked == wanted else wanted for wanted, asked in both]


class Mute:
    """A critic whose answers nobody can read."""

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> list[Failure]:
        return [Failure("error", "ended before its refined request") for _ in prompts]


@pytest.fixture
def larger(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the pocket judge describes of a random model's pictures leads nowhere."""
    load = models.reward

    def loaded(kind: str, config: dict[str, Any]) -> Any:
        if kind != "pocket-judge":
            return load(kind, config)
        return Mute() if config["weights_of"] == "biased" else Larger()

    monkeypatch.setattr(models, "reward", loaded)


def held_out(workshop: Workshop) -> int:
    return int(prompts.named(workshop.studio, workshop.project, "heldout")["id"])


def reward(workshop: Workshop, name: str, kind: str, **config: str) -> int:
    return int(rewards.create(workshop.studio, workshop.project, name, kind, config)["id"])


def ask(workshop: Workshop, way: str, rounds: int, **ids: int | None) -> int:
    settings = {"way": way, "rounds": rounds, "num_prompts": 4, "num_steps": 2}
    held = held_out(workshop)
    given = {"policy_id": workshop.policy_id, "prompt_set_id": held, "settings": settings, **ids}
    return untrained.ask(workshop.studio, workshop.project, Wanted.of(given), [])


def drawn(workshop: Workshop) -> dict[int, Any]:
    with workshop.studio.read() as session:
        rows = session.execute(
            sa.select(Sample.id, Sample.settings).where(Sample.project_id == workshop.project)
        )
        return {sample_id: settings for sample_id, settings in rows}


def last(found: dict[str, Any], way: str) -> dict[str, Any]:
    return next(row for row in found["rows"][::-1] if row["way"] == way)


@pytest.mark.usefixtures("larger")
def test_a_critic_and_a_picker_are_measured_between_the_queues(workshop: Workshop) -> None:
    workshop.new_project()
    light, red = (reward(workshop, kind, kind) for kind in ("brightness", "saturation"))
    critic = reward(workshop, "critic", "pocket-judge")
    asked = {"picker_id": light, "gold_id": red, "critic_id": critic}
    job_id = ask(workshop, "refine", 3, **asked)
    ended = workshop.end_of(job_id)
    assert ended["status"] == "done", ended["error"]
    assert ended["attempt"] > 2 and ended["attempt"] <= 8, "it has walked between two queues"
    found = ended["result"]
    best, again, refined = (last(found, way) for way in ("best", "again", "refine"))
    assert (best["calls"], again["calls"], refined["calls"]) == (3, 3, 2)
    assert best["gains"]["picker"] == again["gains"]["picker"] and best["gains"]["picker"]["gain"]
    assert found["questions"] == {"picker": 16, "gold": found["questions"]["gold"], "critic": 12}
    assert found["drawn"] == len(drawn(workshop)) == 16, "both ways share what is asked alike"
    rewritten = [row for row in drawn(workshop).values() if "request" in row]
    assert len(rewritten) == refined["rewritten"] == 4
    assert all("large" in row["request"] for row in rewritten)
    assert found["apart"]["picker"]["num"] == 4

    where = {"policy_id": workshop.policy_id, "reward_id": light}
    held = held_out(workshop)
    curve = best_of_n.report(workshop.studio, workshop.project, prompt_set_id=held, **where)
    assert curve["pictures_drawn"] == 12, "pictures asked for in other words are no draws of it"
    gain = curve["curves"]["selecting"][2]["value"] - np.mean(
        [row["samples"][0]["selecting"] for row in curve["prompts"]]
    )
    assert best["gains"]["picker"]["gain"] == pytest.approx(gain)

    report = untrained.report(workshop.studio, workshop.project, job_id)
    assert report["names"]["critic"] == "critic" and report["runs"] == []
    assert report["shown"][0]["kept"]["best"]["request"] == report["shown"][0]["prompt"]
    assert report["strongest"]["picker"]["way"] in ("best", "refine")

    before = drawn(workshop)
    again_ = workshop.end_of(ask(workshop, "refine", 3, **asked))
    assert again_["attempt"] == 1, "everything is there already"
    assert again_["result"]["rows"] == found["rows"] and drawn(workshop) == before

    assert found["unanswered"] == {"picker": 0, "gold": 0, "critic": 0}
    mute = reward(workshop, "mute", "pocket-judge", weights_of="biased")
    asked |= {"critic_id": mute}
    for _ in range(2):  # a failure is on record like any answer
        silent = workshop.end_of(ask(workshop, "refine", 3, **asked))["result"]
        assert silent["questions"]["critic"] == silent["unanswered"]["critic"] == 4
        assert last(silent, "refine")["calls"] == 1, "nothing is asked for, and nothing drawn"
    with workshop.studio.read() as session:
        kept = session.execute(
            sa.select(Score.value, Score.status, Score.detail).where(Score.reward_id == mute)
        )
        assert set(kept) == {(None, "error", "ended before its refined request")}


def test_a_judge_of_pairs_picks_and_a_job_between_queues_is_stopped(workshop: Workshop) -> None:
    workshop.new_project()
    judge, gold = reward(workshop, "judge", "pocket-judge"), reward(workshop, "v", "brightness")
    found = workshop.end_of(ask(workshop, "best", 2, picker_id=judge, gold_id=gold))["result"]
    gain = last(found, "best")["gains"]["picker"]
    assert 0 <= gain["gain"] <= 0.5 and "value" not in gain
    assert 8 <= found["questions"]["picker"] <= 16, "both ways round, and no pair twice"
    assert "value" in last(found, "best")["gains"]["gold"]

    job_id = ask(workshop, "best", 3, picker_id=gold, gold_id=None)
    job_of.run(job_id, 1)
    waiting = jobs.get(workshop.studio, job_id)
    assert (waiting["status"], waiting["queue"]) == ("due", "score")
    assert waiting["progress"] == pytest.approx(0.7), "all is drawn"
    jobs.want(workshop.studio, job_id, "stop")
    job_of.run(job_id, 2)
    assert jobs.get(workshop.studio, job_id)["status"] == "stopped"
    with pytest.raises(Conflict, match="It would fail: Critic"):
        untrained.ask(workshop.studio, workshop.project, Wanted.of(waiting["args"]), ["Critic: x"])
