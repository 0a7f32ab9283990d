"""The reward as the labels stand now: pictures looked at once, refitted whenever somebody looks."""

from __future__ import annotations

from typing import Any

from backend.services import jobs, labels, live_reward
from backend.services.studio import Studio
from tests import factory
from workers.frame import JobFrame
from workers.jobs import look


def looked(studio: Studio) -> dict[str, Any]:
    """Do the job that was asked for."""
    job = next(row for row in jobs.of_kind(studio, "look") if row["status"] == "due")
    claim = jobs.claim(studio, job["id"], 1, "here")
    assert claim is not None
    result = look.work(JobFrame(studio, claim.id, claim.attempt, claim.args))
    jobs.finish(studio, claim.id, claim.attempt, result)
    return result


def test_every_label_moves_the_reward_once_its_pictures_were_looked_at(services: Studio) -> None:
    made = factory.project(services, num_prompts=8, per_prompt=3, pairs_per_prompt=3)
    nothing = live_reward.state(services, made.project)
    assert nothing == {"labels": 0, "decided": 0, "unseen": 0, "looking": False}
    given = [
        factory.label(pair, ("left", "right")[i % 3 == 0], left="ab"[i % 2])
        for i, pair in enumerate(made.pairs)
    ]
    labels.store_many(services, made.user, given[:21])
    told = live_reward.state(services, made.project)
    assert told == {"labels": 21, "decided": 21, "unseen": 21, "looking": True}
    live_reward.state(services, made.project)
    assert len(jobs.of_kind(services, "look")) == 1, "asked for once"
    assert looked(services)["pictures"] == 24

    told = live_reward.state(services, made.project)
    assert told["unseen"] == 0 and told["figures"]["pairs"] == 21
    assert told["figures"]["low"] <= told["figures"]["accuracy"] <= told["figures"]["high"]
    assert told["refit_ms_p95"] is None, "the first fit is no refit"
    again = live_reward.state(services, made.project)
    assert again["figures"] == told["figures"], "nothing new, nothing moves"
    labels.store_many(services, made.user, given[21:22])
    after = live_reward.state(services, made.project)
    assert after["figures"]["pairs"] == 22 and after["refit_ms_p95"] > 0
    assert live_reward.state(services, made.project, simulated=True)["labels"] == 22
