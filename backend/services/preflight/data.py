"""What a run learns from and is measured on: judged pairs and prompts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from backend import recipes
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.services import prompts
from backend.services.preflight.line import Fix, Line, changing, listed
from backend.services.run_settings import judged_pairs
from backend.services.studio import Studio
from db import queries

SAMPLES = "pocket-g2rpo"
"""The recipe whose method is proposed to who has no judged pairs."""


def pairs_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    """How many judged pairs a method has to learn from that learns from nothing else."""
    if not learns_from_pairs(config):
        return
    found, people, simulated = judged_pairs(studio, project_id, config)
    value = {
        "people": f"{found:,} from people",
        "simulated": f"{found:,} simulated",
        "both": f"{found:,} from people or simulated",
    }[config.labels]
    need = config.sampling.prompts_per_step
    if found >= need:
        yield Line("Judged pairs", value)
    elif found:
        reason = f"An update asks for {need:,}, so every pair would be learned again each time."
        fix = {"text": "Label more pairs", "url": "/label"}
        yield Line("Judged pairs", value, "warn", reason, fix)
    else:
        yield Line("Judged pairs", value, "fail", *_no_pairs(config, people, simulated))


def _no_pairs(config: RunConfig, people: int, simulated: int) -> tuple[str, dict[str, Any]]:
    method = config.method.name
    if config.labels == "people" and simulated:
        fix = {"text": f"learn from {simulated:,} simulated", "changes": {"labels": "simulated"}}
        reason = (
            f"{method} learns from judged pairs alone, and of prompts that are not held out people "
            "have judged none."
        )
        return reason, fix
    if config.labels == "simulated" and people:
        fix = {"text": f"learn from {people:,} of people", "changes": {"labels": "people"}}
        reason = (
            f"{method} learns from judged pairs alone, and of prompts that are not held out none "
            "is simulated."
        )
        return reason, fix
    reason = (
        f"{method} learns from judged pairs alone, and of prompts that are not held out there is "
        "none."
    )
    return reason, sampling_instead(config)


def sampling_instead(config: RunConfig) -> Fix:
    """Settings that draw pictures and train on the first watched reward; no pair is needed."""
    recipe = recipes.load(SAMPLES)
    watched = [term.plain() for term in config.watch]
    trained = watched[:1] or [term.plain() for term in recipe.rewards]
    changes = {
        "method": recipe.method.plain(),
        "rewards": trained,
        "watch": watched[1:],
        "early_stop.gold": "",
        "sampling.train_guidance": None,
    }
    name = trained[0]["name"]
    return {"text": f"learn from pictures scored by '{name}', {SAMPLES}", "changes": changes}


def prompt_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    """That both sets are there, are large enough, and share no prompt."""
    sets = prompts.rows(studio, project_id)
    by_name = {row["name"]: row for row in sets}
    chosen: dict[str, dict[str, Any]] = {}
    at_once = 1 if learns_from_pairs(config) else config.sampling.prompts_per_step
    wants = (
        ("prompt_set", "Prompts to train on", "train", at_once),
        ("heldout_set", "Prompts to evaluate on", "heldout", config.evaluation.num_prompts),
    )
    for field, title, split, need in wants:
        name = getattr(config, field)
        fitting = [row for row in sets if row["split"] == split]
        row = by_name.get(name) if name else (fitting[0] if fitting else None)
        if row is None:
            yield _missing_set(title, field, name, split, fitting)
            continue
        chosen[field] = row
        yield _set_line(title, field, row, split, need, fitting)
    if len(chosen) == 2:
        yield _overlap_line(studio, sets, chosen)


def _missing_set(
    title: str, field: str, name: str, split: str, fitting: list[dict[str, Any]]
) -> Line:
    if fitting:
        fix = _take(field, fitting[0])
    else:
        body = {"what": field}
        fix = {"text": "import the prompts of the pocket world", "post": mended(body)}
    what = f"There is no prompt set '{name}'." if name else f"There is no set of split '{split}'."
    return Line(title, name or "none", "fail", what, fix)


def _take(field: str, row: dict[str, Any]) -> Fix:
    return {"text": f"take '{row['name']}'", "changes": {field: row["name"]}}


def mended(body: dict[str, Any]) -> dict[str, Any]:
    """What a fix asks the studio to do, see `mend`."""
    return {"path": "runs/preflight/mend", "body": body}


def _set_line(
    title: str,
    field: str,
    row: dict[str, Any],
    split: str,
    need: int,
    fitting: list[dict[str, Any]],
) -> Line:
    value = f"{row['name']}, {row['num_prompts']:,}"
    if row["split"] != split:
        fix = _take(field, fitting[0]) if fitting else None
        return Line(title, value, "warn", f"This set is of split '{row['split']}'.", fix)
    if row["num_prompts"] < need:
        reason = f"{need:,} are asked for at once; there are {row['num_prompts']:,}."
        path = "sampling.prompts_per_step" if split == "train" else "evaluation.num_prompts"
        few = {"text": f"take {row['num_prompts']:,}", "changes": {path: row["num_prompts"]}}
        return Line(title, value, "warn", reason, few)
    return Line(title, value)


def _overlap_line(
    studio: Studio, sets: list[dict[str, Any]], chosen: dict[str, dict[str, Any]]
) -> Line:
    """No prompt that is trained on may be measured on: of the set that is chosen, or of another."""
    title, train = "Train and held-out overlap", chosen["prompt_set"]
    held = [row for row in sets if row["split"] == "heldout"]
    with studio.read() as session:
        shared = {
            row["name"]: queries.shared_prompts(session, train["id"], row["id"])
            for row in (*held, chosen["heldout_set"])
        }
    mine = shared.pop(chosen["heldout_set"]["name"])
    if not mine:
        others = [name for name, number in shared.items() if number]
        if not others:
            return Line(title, "no shared prompt")
        reason = f"Prompts of {listed(others)} are trained on: do not measure this run with them."
        return Line(title, "none with the chosen set", "warn", reason)
    reason = "What is trained on would be evaluated on, which flatters the run."
    free = next((name for name, number in shared.items() if not number), None)
    fix: Fix
    if free is not None:
        fix = changing(f"evaluate on '{free}'", heldout_set=free)
    else:
        body = {"what": "apart", "prompt_set": train["name"]}
        body["heldout_set"] = chosen["heldout_set"]["name"]
        fix = {"text": "make a held-out set without them", "post": mended(body)}
    return Line(title, f"{mine:,} shared", "fail", reason, fix)
