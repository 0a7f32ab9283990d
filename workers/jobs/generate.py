"""Draws samples of a prompt set with one policy and, if asked, pairs them up for labelling."""

from __future__ import annotations

from typing import Any

from backend.services import pairs, policies, prompts
from workers.drawing import Drawing, Wish
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: those of `backend.services.samples.generate`."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Draw; every picture follows from the job's seed, its prompt and its number."""
    studio, args = frame.studio, frame.args
    policy = policies.spec(studio, args["policy_id"])
    chosen = prompts.texts(studio, args["prompt_set_id"], limit=args["num_prompts"])
    numbers = range(args["samples_per_prompt"])
    wishes = [Wish.of(prompt, args["seed"], number) for prompt in chosen for number in numbers]
    drawing = Drawing(frame, args["num_steps"], len(wishes))
    ids = drawing.draw(policy, wishes)
    made: list[int] = []
    if args["make_pairs"]:
        made = pairs.make(studio, policy.project_id, ids, seed=args["seed"])
    return {"samples": len(ids), "pairs": len(made), "nfe": drawing.nfe}
