"""What `palate loop` writes: figures with their standard errors, and a before-and-after grid."""

from __future__ import annotations

import json
import math
import os
from pathlib import Path
from typing import Any

import numpy as np

from backend.errors import InputError
from backend.services import policies, runs
from backend.services.studio import Studio
from workers.sheets import before_after as grid_of

GRID_ROWS = 10


def before_after(cells: list[dict[str, Any]], reward: str) -> dict[str, Any]:
    """Means over prompts before and after, their standard errors, and the paired gain.

    A prompt counts when the reward had a value for both of its pictures.
    """
    said = [
        (cell["rewards"]["base"].get(reward), cell["rewards"]["tuned"].get(reward))
        for cell in cells
    ]
    both = np.array([pair for pair in said if None not in pair], dtype=np.float64).reshape(-1, 2)
    mean, se = both.mean(axis=0), both.std(axis=0, ddof=1) / math.sqrt(len(both))
    gain = both[:, 1] - both[:, 0]
    gain_se = float(gain.std(ddof=1) / math.sqrt(len(gain)))
    return {
        "before": float(mean[0]),
        "after": float(mean[1]),
        "se_before": float(se[0]),
        "se_after": float(se[1]),
        "prompts": len(both),
        "gain": float(gain.mean()),
        "gain_se": gain_se,
        "standard_errors": float(gain.mean() / gain_se) if gain_se else None,
    }


def trained(studio: Studio, run: dict[str, Any]) -> dict[str, Any]:
    """How a run went: its end, the step that was delivered, and every evaluation on the way."""
    found = runs.metrics(studio, run["id"])
    return {
        "status": run["status"],
        "steps": run["step"],
        "delivered_step": policies.get(studio, run["tuned_policy_id"])["step"],
        "evaluations": [{"step": e["step"], **e["metrics"]} for e in found["evaluations"]],
        "seconds": {k: round(sum(v or 0 for v in s), 2) for k, s in found["seconds"].items()},
    }


def diversity(studio: Studio, run_id: int, step: int) -> float | None:
    """Distance between pictures of one prompt after so many updates."""
    for found in runs.metrics(studio, run_id)["evaluations"]:
        if found["step"] == step:
            value = found["metrics"].get("diversity")
            return None if value is None else float(value)
    return None


def write_grid(studio: Studio, cells: list[dict[str, Any]], path: Path) -> None:
    """The first prompts, not the best ones: base on the left, tuned on the right."""
    rows = [
        (cell["prompt"], _picture(studio, cell["base_url"]), _picture(studio, cell["tuned_url"]))
        for cell in cells[:GRID_ROWS]
    ]
    path.write_bytes(grid_of(rows))


def write_json(path: Path, found: dict[str, Any]) -> None:
    """Whole or not at all."""
    partial = path.with_name(f".{path.name}.part")
    partial.write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")
    partial.replace(path)


def refuse_unwritable(path: Path) -> None:
    """Find out before the work, not after it, that its result could not be written."""
    folder = path.resolve().parent
    if not folder.is_dir() or not os.access(folder, os.W_OK) or path.is_dir():
        raise InputError(
            f"The figures cannot be written to {path}: {folder} is no folder that can be written; "
            "choose another file with --json."
        )


def _picture(studio: Studio, url: str) -> bytes:
    return studio.media.read(url.rsplit("/", 1)[-1])
