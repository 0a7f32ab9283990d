"""Draws a blind comparison: every prompt once with the base and once with the tuned policy, same
noise.
"""

from __future__ import annotations

from typing import Any

from backend.services import comparisons
from backend.services.comparisons import DrawnPair
from workers.drawing import Drawing, Wish, usual
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: comparison_id."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Draw both sides from the same seeds, then open the comparison for votes."""
    studio = frame.studio
    plan = comparisons.plan(studio, frame.args["comparison_id"])
    wishes = [Wish.of(prompt, plan.seed, 0) for prompt in plan.prompts]
    num_steps, guidance = usual(studio, [plan.tuned.id, plan.base.id])
    drawing = Drawing(frame, num_steps, 2 * len(wishes), guidance)
    base, tuned = drawing.draw(plan.base, wishes), drawing.draw(plan.tuned, wishes)
    drawn = [
        DrawnPair(wish.prompt_id, one, other)
        for wish, one, other in zip(wishes, base, tuned, strict=True)
    ]
    made = comparisons.ready(studio, plan.id, drawn)
    return {"samples": 2 * len(wishes), "pairs": len(made), "nfe": drawing.nfe}
