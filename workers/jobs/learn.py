"""Learns a reward from the project's labels and stores it as a new version with its figures."""

from __future__ import annotations

from typing import Any

from backend.errors import InputError
from backend.preferences.annotators import WEIGH
from backend.rewards import directional, learn
from backend.rewards._heads import HEAD
from backend.rewards.learn import Answer, PairData
from backend.services import labels, rewards
from backend.services.judged import JudgedPair
from backend.services.studio import Studio
from workers.frame import JobFrame, run_job
from workers.sheets import stack


def run(job_id: int, attempt: int) -> None:
    """Args: project_id, name, include_simulated, seed, kind, weigh, head."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """People's labels alone, unless simulated ones were asked for too."""
    studio, args = frame.studio, frame.args
    simulated = None if args["include_simulated"] else False
    judged = list(labels.judged(studio, args["project_id"], simulated=simulated))
    if not judged:
        told = "label some first" if simulated is None else "label some, or include simulated ones"
        raise InputError(f"There are no labels to learn from; {told}.")
    frame.step(0, 3, f"reading the pictures of {len(judged)} labels")
    data = _data(studio, judged)
    frame.step(1, 3, f"learning from {len(judged)} labels")
    kind = args.get("kind", "learned")
    reward: learn.LearnedReward | directional.Directional
    figures: Any
    if kind == "learned":
        how = {"weigh": args.get("weigh", WEIGH), "head": args.get("head", HEAD)}
        reward, figures = learn.fit(data, seed=args["seed"], **how)
    else:
        reward, figures = directional.fit_direction(data, seed=args["seed"])
    frame.step(2, 3, "storing the reward")
    weights = studio.media.put(reward.to_bytes())
    row = rewards.save_learned(
        studio, args["project_id"], args["name"], weights, figures.plain(), kind
    )
    return {"reward_id": row["id"], "version": row["version"], "figures": row["figures"]}


def _data(studio: Studio, judged: list[JudgedPair]) -> PairData:
    """Pictures once each, in the order of their first label, and what was said of them."""
    index: dict[tuple[str, str], int] = {}
    answers = []
    for pair in judged:
        left = index.setdefault((pair.left_media, pair.prompt), len(index))
        right = index.setdefault((pair.right_media, pair.prompt), len(index))
        a, b = (left, right) if pair.left == "a" else (right, left)
        said: Any = (a, b, pair.choice, pair.left, pair.propensity, pair.user_id)
        answers.append(Answer(*said))
    images = stack([studio.media.read(media) for media, _prompt in index])
    return PairData.of(images, [prompt for _media, prompt in index], answers)
