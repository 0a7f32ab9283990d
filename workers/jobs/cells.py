"""Draws the missing cells of a board: each its own policy, prompt, seed and settings."""

from __future__ import annotations

from typing import Any

from backend.services import boards, policies
from workers.drawing import Drawing, Wish
from workers.frame import JobFrame, run_job


def run(job_id: int, attempt: int) -> None:
    """Args: cells, each [policy id, prompt id, seed as a board writes it, steps, guidance]."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Cells that share policy and settings are drawn together."""
    cells = frame.args["cells"]
    texts = boards.prompt_texts(frame.studio, [prompt_id for _, prompt_id, *_ in cells])
    groups: dict[tuple[int, int, float], list[Wish]] = {}
    for policy_id, prompt_id, seed, num_steps, guidance in cells:
        text = texts[prompt_id]
        wish = Wish(prompt_id, text, boards.noise_seed(seed, text))
        groups.setdefault((policy_id, num_steps, guidance), []).append(wish)
    done = nfe = 0
    for (policy_id, num_steps, guidance), wishes in groups.items():
        drawing = Drawing(frame, num_steps, len(cells), guidance, done=done)
        drawing.draw(policies.spec(frame.studio, policy_id), wishes)
        done, nfe = drawing.done, nfe + drawing.nfe
    return {"samples": len(cells), "nfe": nfe}
