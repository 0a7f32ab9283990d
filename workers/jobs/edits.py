"""Edits pictures cheaply and asks a reward whether it likes them better so."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from backend.errors import InputError
from backend.preferences.intervals import Z95
from backend.rewards.interface import Floats, checked
from backend.rl import edits
from backend.services import reward_edits, reward_sets, rewards
from backend.services.reward_sets import Shown
from backend.types import Pictures
from workers import models
from workers.frame import JobFrame, run_job
from workers.sheets import png, stack

WORST = 4
"""Pictures that are kept of each edit: those that it raises most."""


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, reward_id, set, pictures, edits."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """{leverage}: that of the edit which raises the reward most; the report stays with it."""
    studio, args = frame.studio, frame.args
    reward = rewards.get(studio, args["reward_id"])
    scorer = checked(models.reward(reward["kind"], reward["config"]), reward["name"])
    if scorer.shape != "pointwise":
        raise InputError(
            f"'{reward['name']}' compares pictures with one another, so an edited picture has no "
            "value of its own; ask about the judge behind it, or audit that."
        )
    shown = reward_sets.resolve(studio, args["project_id"], args["set"], args["pictures"])
    images = stack([studio.media.read(one.media) for one in shown])
    prompts = [one.prompt for one in shown]
    names, steps = list(args["edits"]), len(args["edits"]) + 1
    before = scorer.score(images, prompts).values
    frame.step(1, steps, "Asked about the pictures as they are")
    spread = edits.spread_of(before, prompts)
    told = []
    for number, name in enumerate(names, 2):
        after = edits.edited(name, images, prompts)
        value = scorer.score(after, prompts).values
        found = edits.lever(name, value - before, prompts, spread)
        told.append(_plain(frame, found, shown, after, before))
        frame.step(number, steps, f"{number - 1} of {len(names)} edits tried")
    report = {
        "set": args["set"],
        "pictures": len(shown),
        "prompts": len(set(prompts)),
        "spread": spread,
        "missing": int(np.isnan(before).sum()),
        "levers": sorted(told, key=lambda one: -_order(one["leverage"])),
    }
    reward_edits.record(studio, reward["id"], report)
    return {"leverage": report["levers"][0]["leverage"]}


def _plain(
    frame: JobFrame, found: edits.Lever, shown: list[Shown], after: Pictures, before: Floats
) -> dict[str, Any]:
    """A lever with the pictures that it raises most, kept among the media."""
    change = np.where(np.isfinite(found.change_B), found.change_B, -math.inf)
    rows = [i for i in np.argsort(-change, kind="stable")[:WORST] if math.isfinite(change[i])]
    half = Z95 * found.mean.se
    return {
        "edit": found.edit,
        "mean": _or_none(found.mean.mean),
        "low": _or_none(found.mean.mean - half),
        "high": _or_none(found.mean.mean + half),
        "raised": _or_none(found.raised.value),
        "raised_low": found.raised.low,
        "raised_high": found.raised.high,
        "leverage": _or_none(found.leverage),
        "known": found.raised.num,
        "worst": [
            {
                "id": shown[i].id,
                "prompt": shown[i].prompt,
                "width": shown[i].width,
                "original": shown[i].media,
                "media": frame.studio.media.put(png(after[i])),
                "before": float(before[i]),
                "change": float(change[i]),
            }
            for i in rows
        ],
    }


def _order(leverage: float | None) -> float:
    return -math.inf if leverage is None else leverage


def _or_none(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
