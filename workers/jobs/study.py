"""Draws the items of a study: every prompt with each of its checkpoints, from the same noise."""

from __future__ import annotations

from typing import Any

from backend.services import studies
from workers.drawing import Drawing, Wish, usual
from workers.frame import JobFrame, run_job

PER_PROMPT = {"images": 1, "single": 1, "best_worst": 4}
"""Pictures a checkpoint draws of a prompt, shared out among the checkpoints where fours are
judged."""


def run(job_id: int, attempt: int) -> None:
    """Args: those that `backend.services.studies.create` writes."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Draw with each checkpoint, then open the study."""
    studio = frame.studio
    plan = studies.plan(studio, frame.args)
    each = -(-PER_PROMPT[plan.kind] // len(plan.policies))
    wishes = [
        Wish.of(prompt, plan.seed, number) for prompt in plan.prompts for number in range(each)
    ]
    known, guidance = usual(studio, [policy.id for policy in plan.policies])
    total = len(plan.policies) * len(wishes)
    drawing = Drawing(frame, plan.num_steps or known, total, guidance)
    drawn = [sample for policy in plan.policies for sample in drawing.draw(policy, wishes)]
    items = studies.drawn(studio, plan.id, drawn, plan.seed)
    return {"samples": total, "pairs": items, "nfe": drawing.nfe}
