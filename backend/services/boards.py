"""Boards: two to six sources on the same prompts, seeds and settings; which cells are drawn, and
how those that are missing are made.

A source is written `policy:12` (a model), `run:3@40` (what run 3 had learned at step 40) or
`imported` (pictures that came from outside). A seed is written `0`, `0.2` (the third picture under
seed 0, as `generate` numbers them) or `run` (the noise a run draws its fixed prompts from). Cells
are addressed by what they are of, so a link to a board reproduces it.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from pydantic import Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.config import Config
from backend.errors import Conflict, InputError, NotFound
from backend.services import board_sources, jobs, policies
from backend.services.board_sources import IMPORTED, Source
from backend.services.samples import picture_seed, url
from backend.services.studio import Studio
from db import queries
from db.tables import Evaluation, Prompt, PromptSet, Reward, Sample

RUN_SEED = "run"
"""The seed of a run's own pictures of its fixed prompts."""
MOST_CELLS = 2_000
MOST_STEPS = 200
MOST_GUIDANCE = 50
_SEED = re.compile(r"(\d{1,15})(?:\.(\d{1,6}))?")


class Board(Config):
    """Which cells: every source with every prompt, seed, number of steps and guidance."""

    sources: list[str] = Field(min_length=1, max_length=6)
    """`policy:12`, `run:3@40` or `imported`; one may stand twice."""
    prompt_ids: list[int] = Field(min_length=1, max_length=500)
    """Prompts of this project."""
    seeds: list[str] = Field(["0"], min_length=1, max_length=64)
    """`0`, `0.2` or `run`."""
    steps: list[int] = Field([], max_length=12)
    """Denoising steps; empty: what is usual for these sources."""
    guidances: list[float] = Field([], max_length=12)
    """Classifier-free guidance; empty: what is usual for these sources."""


class Cell(NamedTuple):
    """The address of one picture."""

    source: str
    prompt_id: int
    seed: str
    steps: int
    guidance: float


class Wanted(Config):
    """Cells that are to be drawn."""

    cells: list[Cell] = Field(min_length=1, max_length=MOST_CELLS)
    """(source, prompt id, seed, denoising steps, guidance); those that are drawn are left out."""


def cells(studio: Studio, project_id: int, board: Board) -> dict[str, Any]:
    """{sources, prompts, seeds, steps, guidances, cells, missing}: every cell of a board, with its
    picture or None.

    `missing` counts the cells that are not drawn and could be.
    """
    with studio.read() as session:
        whole = _whole(session, project_id, board)
        asked = list(_expanded(whole))
        found, texts, drawn = _looked_up(session, project_id, asked)
        scores = _scores_of(session, [one["id"] for one in drawn.values() if one.get("id")])
    listed = []
    for cell in asked:
        picture = drawn.get(cell)
        if picture is not None:
            said = scores.get(picture["id"], picture.get("scores", {}))
            picture = {**picture, "scores": said}
        can = picture is None and _can_draw(found[cell.source], cell)
        listed.append({**cell._asdict(), "picture": picture, "can_draw": can})
    return {
        **whole.plain(),
        "sources": [found[key].plain() for key in whole.sources],
        "prompts": [{"id": i, "text": texts[i]} for i in whole.prompt_ids],
        "cells": listed,
    }


def draw(studio: Studio, project_id: int, wanted: Sequence[Cell]) -> dict[str, Any]:
    """Ask the workers to draw exactly those of these cells that are missing: {job_id, missing}."""
    with studio.write() as session:
        found, _texts, drawn = _looked_up(session, project_id, wanted)
        missing = [c for c in wanted if c not in drawn and _can_draw(found[c.source], c)]
        if not missing:
            raise Conflict("Every cell that can be drawn is drawn already; load the board again.")
        made = {
            key: board_sources.policy_to_draw(session, project_id, key)
            for key in dict.fromkeys(cell.source for cell in missing)
        }
        cells = dict.fromkeys((made[c.source], *c[1:]) for c in missing)
        job = jobs.add(session, "cells", {"cells": [list(cell) for cell in cells]})
        job_id = job.id
    jobs.enqueue(studio, job_id)
    return {"job_id": job_id, "missing": len(cells)}


def policy_of(studio: Studio, project_id: int, source: str) -> dict[str, Any]:
    """The policy that a source is; what a run had learned at a step becomes one when it is
    asked for."""
    with studio.write() as session:
        policy_id = board_sources.policy_to_draw(session, project_id, source)
    return policies.get(studio, policy_id)


def prompt_texts(studio: Studio, prompt_ids: Sequence[int]) -> dict[int, str]:
    """Prompt id → text."""
    with studio.read() as session:
        return queries.prompt_texts(session, prompt_ids)


def noise_seed(seed: str, text: str) -> int:
    """The seed of the noise that `seed` means for a prompt, whoever draws it."""
    found = _SEED.fullmatch(seed)
    if found is None:
        raise InputError(f"'{seed[:40]}' is no seed that can be drawn; write 0, or 0.2.")
    return picture_seed(int(found[1]), text, int(found[2] or 0))


# how a board is read ------------------------------------------------------------------------------


def _expanded(board: Board) -> Iterator[Cell]:
    axes = (board.sources, board.prompt_ids, board.seeds, board.steps, board.guidances)
    return (Cell(*one) for one in itertools.product(*axes))


def _whole(session: Session, project_id: int, board: Board) -> Board:
    """The board with its settings written out."""
    steps, guidance = board_sources.usual(session, project_id, board.sources)
    whole = board.model_copy(
        update={"steps": board.steps or [steps], "guidances": board.guidances or [guidance]}
    )
    axes = (whole.sources, whole.prompt_ids, whole.seeds, whole.steps, whole.guidances)
    size = math.prod(len(axis) for axis in axes)
    if size > MOST_CELLS:
        raise InputError(
            f"This board has {size:,} cells and may have {MOST_CELLS:,}; choose fewer prompts, "
            "seeds or settings."
        )
    return whole


def _check(cell: Cell) -> None:
    if cell.seed != RUN_SEED and not _SEED.fullmatch(cell.seed):
        raise InputError(f"'{cell.seed[:40]}' is no seed; write 0, 0.2 or run.")
    if not 1 <= cell.steps <= MOST_STEPS:
        raise InputError(f"{cell.steps} denoising steps cannot be drawn; choose 1 to {MOST_STEPS}.")
    if not 0 <= cell.guidance <= MOST_GUIDANCE:
        raise InputError(f"Guidance {cell.guidance} cannot be drawn; choose 0 to {MOST_GUIDANCE}.")


def _can_draw(source: Source, cell: Cell) -> bool:
    return source.can_draw and cell.seed != RUN_SEED


def _texts(session: Session, project_id: int, prompt_ids: Sequence[int]) -> dict[int, str]:
    rows = session.execute(
        select(Prompt.id, Prompt.text)
        .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
        .where(Prompt.id.in_(prompt_ids), PromptSet.project_id == project_id)
    )
    found = {prompt_id: text for prompt_id, text in rows}
    for prompt_id in prompt_ids:
        if prompt_id not in found:
            raise NotFound(f"There is no prompt {prompt_id} in this project.")
    return found


# which pictures there are -------------------------------------------------------------------------


def _looked_up(
    session: Session, project_id: int, asked: Sequence[Cell]
) -> tuple[dict[str, Source], dict[int, str], dict[Cell, dict[str, Any]]]:
    """(sources by key, prompts' texts, the pictures there are by their cells)."""
    for cell in asked:
        _check(cell)
    keys = dict.fromkeys(cell.source for cell in asked)
    found = {key: board_sources.find(session, project_id, key) for key in keys}
    texts = _texts(session, project_id, list({cell.prompt_id for cell in asked}))
    stored = _stored(session, project_id, found, texts)
    ran = _of_runs(session, found, any(cell.seed == RUN_SEED for cell in asked))
    drawn: dict[Cell, dict[str, Any]] = {}
    for cell in asked:
        text, source = texts[cell.prompt_id], found[cell.source]
        if cell.seed == RUN_SEED:
            picture = ran.get((source.run_id or 0, source.step or 0, text))
        else:
            picture = _match(stored.get((source.policy_id or 0, text), []), cell, text)
        if picture is not None:
            drawn[cell] = picture
    return found, texts, drawn


def _stored(
    session: Session, project_id: int, found: dict[str, Source], texts: dict[int, str]
) -> dict[tuple[int, str], list[Any]]:
    """(policy, prompt) → its pictures. The same words in two sets are one prompt."""
    rows = session.execute(
        select(Prompt.id, Prompt.text)
        .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
        .where(PromptSet.project_id == project_id, Prompt.text.in_(set(texts.values())))
    )
    by_id = {prompt_id: text for prompt_id, text in rows}
    ids = [source.policy_id for source in found.values() if source.policy_id is not None]
    columns = (Sample.id, Sample.policy_id, Sample.prompt_id, Sample.seed, Sample.settings)
    samples = session.execute(
        select(*columns, Sample.media, Sample.width, Sample.height)
        .where(Sample.policy_id.in_(ids), Sample.prompt_id.in_(by_id), Sample.text.is_(None))
        .order_by(Sample.id)
    )
    stored: dict[tuple[int, str], list[Any]] = {}
    for row in samples:
        stored.setdefault((row.policy_id, by_id[row.prompt_id]), []).append(row)
    return stored


def _match(rows: Sequence[Any], cell: Cell, text: str) -> dict[str, Any] | None:
    if cell.source == IMPORTED:
        number = int(cell.seed.partition(".")[2] or 0)
        return _picture(rows[number]) if number < len(rows) else None
    seed = noise_seed(cell.seed, text)
    settings = {"num_steps": cell.steps, "guidance": cell.guidance}
    for row in rows:
        if row.seed == seed and row.settings == settings:
            return _picture(row)
    return None


def _picture(row: Any) -> dict[str, Any]:
    return {
        "id": row.id,
        "url": url(row.media),
        "width": row.width,
        "height": row.height,
        "seed": row.seed,
    }


def _of_runs(
    session: Session, found: dict[str, Source], is_asked: bool
) -> dict[tuple[int, int, str], dict[str, Any]]:
    """(run, step, prompt) → what a run drew of its fixed prompts when it was evaluated."""
    if not is_asked:
        return {}
    shown: dict[tuple[int, int, str], dict[str, Any]] = {}
    for source in found.values():
        if source.run_id is None:
            continue
        row = session.get(Evaluation, (source.run_id, source.step or 0))
        for sample in row.samples if row else []:
            shown[source.run_id, source.step or 0, sample["prompt"]] = {
                "id": None,
                "url": url(sample["media"]),
                "width": sample.get("width"),
                "height": sample.get("height"),
                "seed": sample["seed"],
                "scores": sample.get("rewards", {}),
            }
    return shown


def _scores_of(session: Session, sample_ids: Sequence[int]) -> dict[int, dict[str, float | None]]:
    """sample → {reward's name: value}."""
    scores = queries.scores_of(session, sample_ids)
    used = {reward_id for said in scores.values() for reward_id in said}
    rows = session.execute(select(Reward.id, Reward.name).where(Reward.id.in_(used)))
    names = {reward_id: name for reward_id, name in rows}
    return {
        sample_id: {names[i]: value for i, (value, _status) in said.items() if i in names}
        for sample_id, said in scores.items()
    }
