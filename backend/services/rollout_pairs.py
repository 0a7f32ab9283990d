"""From rollouts on: two of them as a pair to judge, several as pairs, as prompts, or to a board.

A pair holds the very pictures that were shown: the files that an import brought, or the tiles cut
from the group's strip.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import urlencode

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.services import media, pairs, prompts, runs, studies
from backend.services.rollouts import by_advantage, find
from backend.services.studio import Studio
from db import queries
from db.tables import (
    Checkpoint,
    Pair,
    Prompt,
    PromptSet,
    RolloutGroup,
    RolloutNode,
    Run,
    Sample,
    Study,
)

FIRST = -1
"""Priority of a pair that somebody picked from the rollouts: it comes before the others."""
MOST = 500
"""Rollouts that can be sent at once."""
BOARD = 6
"""Sources beside each other on a board."""


@dataclass(frozen=True)
class Shown:
    """A rollout with its picture among the media."""

    group: RolloutGroup
    leaf: RolloutNode
    media: str
    width: int
    height: int


def make_pair(
    studio: Studio,
    group_id: int,
    best: int | None = None,
    worst: int | None = None,
    study_id: int | None = None,
) -> int:
    """Queue two leaves of a group for people to judge, by default its best and its worst; into a
    study when one is named. Returns the pair's id; asked for again, the same pair.
    """
    with studio.read() as session:
        group = find(session, group_id)
        run = runs.find(session, group.run_id)
        leaves = queries.leaves_and_nodes(session, [group_id], leaves_only=True)[group_id]
    _check_study(studio, run.project_id, study_id)
    one, other = _shown(studio, group, _chosen(leaves, best, worst))
    if one.media == other.media:
        raise InputError("The two rollouts are the same picture; choose two that differ.")
    return _stored(studio, run, [(one, other)], study_id)[0]


def send_pairs(
    studio: Studio, run_id: int, chosen: Sequence[tuple[int, int]], study_id: int | None = None
) -> dict[str, Any]:
    """Queue chosen rollouts, (group, leaf) each: those of one prompt in the order of their reward,
    every one against the next. Returns {pairs: ids, alone: rollouts that had no partner}.
    """
    run, groups = _rows(studio, run_id, chosen)
    _check_study(studio, run.project_id, study_id)
    of_prompt: dict[str, list[Shown]] = {}
    for group, leaves in groups:
        of_prompt.setdefault(group.prompt, []).extend(_shown(studio, group, leaves))
    wanted, alone = [], 0
    for shown in of_prompt.values():
        ranked = sorted({one.media: one for one in shown}.values(), key=_worth, reverse=True)
        alone += len(shown) if len(ranked) < 2 else 0
        wanted += list(pairwise(ranked))
    if not wanted:
        raise InputError(
            "No two of the chosen rollouts have the same prompt and different pictures; choose at "
            "least two of one group."
        )
    return {"pairs": _stored(studio, run, wanted, study_id), "alone": alone}


def send_prompts(
    studio: Studio, run_id: int, chosen: Sequence[tuple[int, int]], name: str
) -> dict[str, Any]:
    """A new prompt set of the chosen rollouts' prompts, each once: {id, num_prompts, ...}."""
    run, groups = _rows(studio, run_id, chosen)
    texts = dict.fromkeys(group.prompt for group, _leaves in groups)
    lines = "\n".join(json.dumps({"prompt": text}) for text in texts)
    return prompts.import_text(studio, run.project_id, name, "train", lines, "rollouts.jsonl")


def _check_study(studio: Studio, project_id: int, study_id: int | None) -> None:
    """Refuse a study that does not ask about pairs of pictures, or of another project."""
    if study_id is None:
        return
    with studio.read() as session:
        study = studies.find(session, study_id)
        if study.project_id != project_id or study.kind != "images":
            raise InputError(
                f"The study '{study.name}' does not ask about pairs of pictures of this project; "
                "choose another one."
            )


def _rows(
    studio: Studio, run_id: int, chosen: Sequence[tuple[int, int]]
) -> tuple[Run, list[tuple[RolloutGroup, list[RolloutNode]]]]:
    """The chosen rollouts by their groups, in the order in which groups were first named."""
    if not 1 <= len(chosen) <= MOST:
        raise InputError(f"{len(chosen)} rollouts are chosen; send 1 to {MOST} at a time.")
    wanted: dict[int, set[int]] = {}
    for group_id, leaf in chosen:
        wanted.setdefault(group_id, set()).add(leaf)
    with studio.read() as session:
        run = runs.find(session, run_id)
        leaves = queries.leaves_and_nodes(session, list(wanted), leaves_only=True)
        found = []
        for group_id, numbers in wanted.items():
            group = find(session, group_id)
            here = [leaf for leaf in leaves[group_id] if leaf.idx in numbers]
            if group.run_id != run_id or len(here) != len(numbers):
                raise NotFound(f"Group {group_id} of run {run_id} has not all of these rollouts.")
            found.append((group, here))
    return run, found


def _chosen(leaves: list[RolloutNode], best: int | None, worst: int | None) -> list[RolloutNode]:
    by_idx = {leaf.idx: leaf for leaf in leaves}
    for idx in (best, worst):
        if idx is not None and idx not in by_idx:
            raise NotFound(f"This group has no rollout {idx}.")
    judged = [leaf for leaf in leaves if leaf.advantage is not None] or leaves
    if len(leaves) < 2:
        raise InputError("This group has fewer than two rollouts, so there is no pair in it.")
    ranked = sorted(judged, key=by_advantage, reverse=True)
    one = by_idx[best] if best is not None else ranked[0]
    other = by_idx[worst] if worst is not None else ranked[-1]
    if one.idx == other.idx:
        raise InputError("A pair needs two different rollouts; choose another one.")
    return [one, other]


def _shown(studio: Studio, group: RolloutGroup, leaves: list[RolloutNode]) -> list[Shown]:
    """The leaves' pictures: as they were imported, else cut from the strip and kept."""
    if group.sheet is None:
        raise Conflict("The pictures of this group were not kept, so nobody can judge them.")
    whole = group.detail.get("pictures")
    if whole is None:
        with studio.read() as session:
            every = queries.leaves_and_nodes(session, [group.id], leaves_only=True)[group.id]
        num = 1 + max(leaf.tile or 0 for leaf in every)
        tiles = _cut(studio.media.read(group.sheet), num)
    found = []
    for leaf in leaves:
        if leaf.tile is None:
            raise Conflict("The picture of this rollout was not kept, so nobody can judge it.")
        if whole is not None:
            name, width, height = whole[leaf.tile]
        else:
            data, width, height = tiles[leaf.tile]
            name = studio.media.put(data)
        found.append(Shown(group, leaf, name, width, height))
    return found


def _worth(shown: Shown) -> float:
    """Σ share where the trainer gave one, else the advantage: what a prompt's rollouts rank by."""
    raw = [part.get("raw") for part in shown.leaf.rewards.values() if part.get("weight")]
    weights = [part["weight"] for part in shown.leaf.rewards.values() if part.get("weight")]
    if raw and all(value is not None for value in raw):
        return float(sum(w * v for w, v in zip(weights, raw, strict=True)))
    return by_advantage(shown.leaf)


def _stored(
    studio: Studio, run: Run, wanted: Sequence[tuple[Shown, Shown]], study_id: int | None
) -> list[int]:
    """Samples and pairs in one transaction; what is there already is taken instead of doubled."""
    with studio.write() as session:
        studio.store.serialise(session, "rollout-pair", run.id)
        study = None if study_id is None else session.get(Study, study_id)
        return [_pair(session, run, one, other, study) for one, other in wanted]


def _pair(session: Session, run: Run, one: Shown, other: Shown, study: Study | None) -> int:
    prompt_id = _prompt_id(session, run, one.group.prompt)
    ids = [_sample(session, run, shown, prompt_id) for shown in (one, other)]
    place = Pair.study_id == study.id if study else Pair.study_id.is_(None)
    same = session.scalar(
        select(Pair.id).where(
            Pair.source == "rollouts",
            place,
            or_(
                and_(Pair.sample_a_id == ids[0], Pair.sample_b_id == ids[1]),
                and_(Pair.sample_a_id == ids[1], Pair.sample_b_id == ids[0]),
            ),
        )
    )
    if same is not None:
        return same
    row = {
        "project_id": run.project_id,
        "prompt_id": prompt_id,
        "sample_a_id": ids[0],
        "sample_b_id": ids[1],
        "study_id": study.id if study else None,
        "overlap": int(study.config["overlap"]) if study else 1,
        "source": "rollouts",
        "chooser": "picked",
        "priority": FIRST,
    }
    return pairs.add(session, [row])[0]


def _sample(session: Session, run: Run, shown: Shown, prompt_id: int) -> int:
    known = session.scalar(
        select(Sample.id)
        .where(Sample.media == shown.media, Sample.prompt_id == prompt_id)
        .where(Sample.policy_id == run.policy_id)
        .limit(1)
    )
    if known is not None:
        return known
    group, leaf = shown.group, shown.leaf
    sample = Sample(
        project_id=run.project_id,
        prompt_id=prompt_id,
        policy_id=run.policy_id,
        seed=leaf.seed or 0,
        media=shown.media,
        width=shown.width,
        height=shown.height,
        settings={"source": "rollouts", "group": group.id, "leaf": leaf.idx, "step": group.step},
    )
    session.add(sample)
    session.flush()
    return sample.id


def _prompt_id(session: Session, run: Run, text: str) -> int:
    """The prompt's row: of the run's own set, else of any set of the project."""
    found = list(
        session.execute(
            select(Prompt.id, PromptSet.name)
            .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
            .where(PromptSet.project_id == run.project_id, Prompt.text == text)
            .order_by(Prompt.id)
        )
    )
    if not found:
        raise Conflict("The prompt of this group is in no prompt set any more; import it again.")
    own = [prompt_id for prompt_id, name in found if name == run.config.get("prompt_set")]
    return own[0] if own else found[0][0]


def _cut(sheet: bytes, tiles: int) -> list[tuple[bytes, int, int]]:
    """The tiles of a strip as PNG: (bytes, width, height) each."""
    from PIL import Image

    with Image.open(io.BytesIO(sheet), formats=media.FORMATS) as strip:
        width, height = strip.width // tiles, strip.height
        found = []
        for number in range(tiles):
            out = io.BytesIO()
            box = (number * width, 0, (number + 1) * width, height)
            strip.crop(box).save(out, "PNG", compress_level=3)
            found.append((out.getvalue(), width, height))
    return found


def board_of(studio: Studio, run_id: int, chosen: Sequence[tuple[int, int]]) -> str:
    """The address of a board: where the run began and what it had learned by the chosen steps, on
    the first one's prompt."""
    run, groups = _rows(studio, run_id, chosen)
    with studio.read() as session:
        kept = list(session.scalars(select(Checkpoint.step).where(Checkpoint.run_id == run_id)))
        if not kept:
            raise Conflict(
                "This run has no checkpoint to draw with, so its steps cannot be put beside each "
                "other; choose a run that was trained here and has reached its first checkpoint."
            )
        prompt = session.get(Prompt, _prompt_id(session, run, groups[0][0].prompt))
    assert prompt is not None, "its id was found in this transaction"
    wanted = dict.fromkeys(group.step for group, _leaves in groups)
    near = dict.fromkeys(min(kept, key=lambda at: abs(at - step)) for step in wanted)
    sources = [f"policy:{run.policy_id}", *(f"run:{run_id}@{step}" for step in near)]
    query = {"sources": ",".join(sources[:BOARD]), "set": prompt.prompt_set_id}
    query["prompt"] = prompt.position
    return f"/compare?{urlencode(query, safe=':,@')}"
