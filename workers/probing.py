"""`palate probe`: a probe of a recipe on the pocket prompts, as a small table."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

from backend import recipes
from backend.pocket import TRAIN_PROMPTS_PATH
from backend.rl.probe import Probe, Say, probe, probe_cost
from backend.rl.psi import calibrate_psi, psi_cost
from workers import bare
from workers.report import refuse_unwritable, write_json


def run(
    recipe: str, kind: Literal["spread", "psi"], path: Path | None, *, say: Callable[[str], None]
) -> Probe:
    """Say what it will cost, measure, print and perhaps write what was found."""
    if path is not None:
        refuse_unwritable(path)
    config = recipes.load(recipe)
    cost = (psi_cost if kind == "psi" else probe_cost)(config)
    say(f"{cost.nfe:,} network evaluations and {cost.pictures:,} pictures ...")
    measure = calibrate_psi if kind == "psi" else probe
    prompts, rewards = bare.lines(TRAIN_PROMPTS_PATH), bare.scorers(config.rewards)
    found = measure(config, bare.policy(config.policy), rewards, prompts, say=_quarters(say))
    for line in table(found.plain()):
        say(line)
    say(found.proposal.text)
    for setting, value in found.proposal.changes.items():
        say(f"  {setting} = {value}")
    if path is not None:
        write_json(path, found.plain())
        say(f"Wrote {path}.")
    return found


def _quarters(say: Callable[[str], None]) -> Say:
    """Tells how far a probe is, four times."""

    def told(done: int, total: int, message: str) -> None:
        if done % max(total // 4, 1) == 0:
            say(f"  {done / total:.0%}, {message}")

    return told


def table(found: dict[str, Any]) -> list[str]:
    """Spread by noise level and step, or the noise of each step."""
    rows = found["rows"]
    if found["independent"] is None:
        body = [[row["step"], row["start"], row["psi"]] for row in rows]
        return _aligned(["step", "noise before", "calibrated"], body)
    steps = sorted({row["step"] for row in rows})
    body = []
    for eta in sorted({row["eta"] for row in rows}):
        mine = {row["step"]: row for row in rows if row["eta"] == eta}
        body.append([f"eta {eta:g}", *(mine[step]["spread"] for step in steps)])
        body.append(["  drop", *(mine[step]["drop"] for step in steps)])
    alone = found["independent"]["spread"]
    return [
        *_aligned(["spread at step", *map(str, steps)], body),
        f"independent samples: {_cell(alone)}",
    ]


def _aligned(head: Sequence[str], body: Sequence[Sequence[Any]]) -> list[str]:
    """Columns as wide as they must be; the first to the left, the others to the right."""
    cells = [list(head), *([_cell(value) for value in row] for row in body)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(head))]
    return [
        "  ".join(
            cell.ljust(width) if i == 0 else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        )
        for row in cells
    ]


def _cell(value: Any) -> str:
    if value is None:
        return "–"
    return f"{value:.3f}" if isinstance(value, float) else str(value)
