"""Groups of imported rollouts into the store: one transaction for a batch, joined with what is
there.

A sample's shares say how its advantage follows from its rewards:

    share_k = w_k · (raw_k − mean of the group) / D,   so that Σ_k share_k = (total − mean) / D

D is what the log's advantages imply, group by group; where they follow from no D the shares are
left out. A log without advantages has them worked out here, with D the group's standard deviation.
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import delete, func, insert, select
from sqlalchemy.orm import Session

from backend.errors import Conflict
from backend.rl import logged
from backend.rl.logged import Logged
from backend.services import events, media, placing, policies, rollout_facts, run_rows
from backend.services.studio import Studio
from backend.types import NodeRecord
from db.tables import Iteration, RolloutFact, RolloutGroup, RolloutNode, Run

IMPORTED = "imported"
"""Method, recipe and family of a run that was not trained here."""
TILE = 256
"""Tiles of a strip are at most this many pixels wide; the pictures themselves are kept whole."""
TOTAL = "total"
"""The reward of a log whose total follows from none of its rewards."""
NO_VALUE = "the log has no value"
FLAT = 1e-9
Floats = NDArray[np.float64]


class Key(NamedTuple):
    """What samples are compared with each other."""

    step: int
    prompt: str
    group: str


@dataclass
class Drawn:
    """A sample by its content, with its picture among the media: (hash, width, height)."""

    key: str
    row: Logged
    picture: tuple[str, int, int] | None


@dataclass
class Added:
    """What a batch brought."""

    run_id: int
    samples: int = 0
    already: int = 0
    groups: int = 0
    computed: int = 0


def store(studio: Studio, project_id: int, name: str, groups: dict[Key, list[Drawn]]) -> Added:
    """Write a batch of groups; those that are there already are joined and worked out anew."""
    strips = _strips(studio, project_id, name, groups)
    with studio.write() as session:
        studio.store.serialise(session, "import-rollouts", project_id)
        run = _run(session, project_id, name, [one for some in groups.values() for one in some])
        added, steps = Added(run.id), {key.step for key in groups}
        there = _there(session, run.id, steps)
        placing.prompt_ids(session, project_id, [key.prompt for key in groups], placing.Added())
        for key, drawn in groups.items():
            _join(studio, session, run, key, drawn, there, strips, added)
        session.flush()
        _iterations(session, run, steps)
        run.step = run.num_steps = max(run.step, *steps)
        return added


def _strips(
    studio: Studio, project_id: int, name: str, groups: dict[Key, list[Drawn]]
) -> dict[Key, str | None]:
    """The strips of groups that are new, made before anybody is kept from writing."""
    with studio.read() as session:
        run_id = session.scalar(
            select(Run.id).where(Run.project_id == project_id, Run.name == name)
        )
        there = _there(session, run_id or 0, {key.step for key in groups})
    return {
        key: _strip(studio, [one.picture for one in drawn if one.picture])
        for key, drawn in groups.items()
        if key not in there
    }


def _run(session: Session, project_id: int, name: str, drawn: Sequence[Drawn]) -> Run:
    """The imported run of that name, made with its rewards' weights when it is new."""
    run = session.scalar(
        select(Run).where(Run.project_id == project_id, Run.name == name).order_by(Run.id).limit(1)
    )
    if run is not None and not run_rows.is_imported(run):
        raise Conflict(
            f"There is a run '{name}' that was trained here; give the imported one another name."
        )
    if run is None:
        now = time.time()
        terms, weighed = _terms([one.row for one in drawn])
        run = Run(
            project_id=project_id,
            name=name,
            status="done",
            config={
                "recipe": IMPORTED,
                "method": {"name": IMPORTED, "settings": {}},
                "policy": {"family": policies.IMPORTED, "config": {}},
                "rewards": terms,
                "watch": [],
                "weights": weighed,
            },
            seed=0,
            policy_id=policies.imported(session, project_id).id,
            step=0,
            num_steps=0,
            started_at=now,
            ended_at=now,
        )
        session.add(run)
        session.flush()
        text = f"These rollouts were logged by another trainer and imported. {weighed}"
        events.write(session, text, run_id=run.id, kind="status")
    return run


def _terms(rows: Sequence[Logged]) -> tuple[list[dict[str, Any]], str]:
    """Rewards in the sum with their weights, and a sentence that says where those come from."""
    names = sorted({name for row in rows for name in row.rewards})
    value_NR = np.array([[_or_nan(row.rewards.get(name)) for name in names] for row in rows])
    total_N = np.array([_or_nan(row.total) for row in rows])
    if not np.isfinite(total_N).any():
        given = dict.fromkeys(names, 1.0)
        said = "The log has no total, so its rewards count alike."
    elif (found := logged.weights(names, value_NR, total_N)) is not None:
        given = dict(zip(names, found.tolist(), strict=True))
        said = "The rewards' weights follow from the log's totals."
    else:
        given = {TOTAL: 1.0}
        said = (
            "The log's totals do not follow from its rewards, so the total is the trained one and "
            "the rewards are only watched."
        )
    trained = {name: weight for name, weight in given.items() if weight != 0}
    terms = [{"name": n, "kind": IMPORTED, "weight": weight} for n, weight in trained.items()]
    return terms, said


def _there(session: Session, run_id: int, steps: set[int]) -> dict[Key, RolloutGroup]:
    groups = session.scalars(
        select(RolloutGroup).where(RolloutGroup.run_id == run_id, RolloutGroup.step.in_(steps))
    )
    return {Key(one.step, one.prompt, one.detail.get("group", "")): one for one in groups}


def _join(
    studio: Studio,
    session: Session,
    run: Run,
    key: Key,
    drawn: list[Drawn],
    there: dict[Key, RolloutGroup],
    strips: dict[Key, str | None],
    added: Added,
) -> None:
    """Write one group, or add to it what it lacks."""
    group = there.get(key)
    known = _kept(session, group) if group is not None else []
    have = {one.key for one in known}
    fresh = [one for one in drawn if one.key not in have]
    added.already += len(drawn) - len(fresh)
    if not fresh:
        return
    added.samples += len(fresh)
    whole = [*known, *fresh]
    terms = {term["name"]: float(term["weight"]) for term in run.config["rewards"]}
    nodes, figures = _nodes(whole, terms)
    added.computed += bool(figures["computed"])
    if group is None:
        tree = sum(one.step == key.step for one in there)
        group = RolloutGroup(run_id=run.id, step=key.step, tree=tree, prompt=key.prompt)
        group.fork_step = None
        session.add(group)
        there[key] = group
        added.groups += 1
    group.mean, group.spread = figures["mean"], figures["spread"]
    group.kept = figures["spread"] is None or figures["spread"] > FLAT
    group.reason = "" if group.kept else "no spread: every sample has the same reward"
    if known or key not in strips:
        strips[key] = _strip(studio, [one.picture for one in whole if one.picture])
    group.sheet = strips[key]
    group.detail = {
        "imported": True,
        "group": key.group,
        "computed": figures["computed"],
        "divisor": figures["divisor"],
        "scale": "group",
        "pictures": [list(one.picture) for one in whole if one.picture],
        "texts": {str(i): one.row.text for i, one in enumerate(whole) if one.row.text},
        "keys": [one.key for one in whole],
        "totals": [one.row.total for one in whole],
        "logged": [one.row.advantage for one in whole],
    }
    session.flush()
    for table in (RolloutNode, RolloutFact):
        session.execute(delete(table).where(table.group_id == group.id))
    session.execute(insert(RolloutNode), [{"group_id": group.id, **vars(node)} for node in nodes])
    rollout_facts.write(session, run.id, list(terms), {group.id: nodes})


def _kept(session: Session, group: RolloutGroup) -> list[Drawn]:
    """The samples of a stored group, as they were drawn."""
    nodes = session.scalars(
        select(RolloutNode).where(RolloutNode.group_id == group.id).order_by(RolloutNode.idx)
    ).all()
    detail, found = group.detail, []
    for node in nodes:
        i = node.idx
        rewards = {name: part["raw"] for name, part in node.rewards.items() if name != TOTAL}
        row = Logged(group.step, group.prompt, rewards=rewards, seed=node.seed)
        row.text = detail["texts"].get(str(i), "")
        row.total, row.advantage = detail["totals"][i], detail["logged"][i]
        picture = None if node.tile is None else tuple(detail["pictures"][node.tile])
        found.append(Drawn(detail["keys"][i], row, picture))
    return found


def _nodes(
    drawn: Sequence[Drawn], terms: dict[str, float]
) -> tuple[list[NodeRecord], dict[str, Any]]:
    """Leaves with how their advantages came about; {mean, spread, computed, divisor}.

    A reward that no sample of the group has was not asked about it, and is not missing.
    """
    rows = [one.row for one in drawn]
    names = list(dict.fromkeys([*terms, *(name for row in rows for name in row.rewards)]))
    raw = {name: np.array([_or_nan(_raw(row, name)) for row in rows]) for name in names}
    names = [name for name in names if np.isfinite(raw[name]).any()]
    terms = {name: weight for name, weight in terms.items() if name in names}
    total = _totals(rows, raw, terms)
    told = np.array([_or_nan(row.advantage) for row in rows])
    computed = not np.isfinite(told).any()
    advantage = logged.advantages(total) if computed else told
    by = logged.divisor(total, advantage)
    columns = {name: _column(raw[name], terms.get(name), by) for name in names}
    tiles = iter(range(len(drawn)))
    nodes = [
        NodeRecord(
            idx=i,
            parent=None,
            kind="leaf",
            step=1,
            stride=1,
            sigma=0.0,
            advantage=_or_none(advantage[i]),
            rewards={name: columns[name][i] for name in names},
            tile=next(tiles) if one.picture else None,
            seed=one.row.seed,
        )
        for i, one in enumerate(drawn)
    ]
    known = total[np.isfinite(total)]
    spread = float(known.std(ddof=1)) if len(known) > 1 else None
    mean = float(known.mean()) if len(known) else None
    return nodes, {"mean": mean, "spread": spread, "computed": computed, "divisor": by}


def _raw(row: Logged, name: str) -> float | None:
    return row.total if name == TOTAL and name not in row.rewards else row.rewards.get(name)


def _totals(rows: Sequence[Logged], raw: dict[str, Floats], terms: dict[str, float]) -> Floats:
    """The log's totals; where it has none, Σ w·raw over samples that miss none of the rewards."""
    weighed = [weight * raw[name] for name, weight in terms.items()]
    summed = np.sum(weighed, axis=0) if weighed else np.full(len(rows), np.nan)
    return np.array([_or_nan(row.total, summed[i]) for i, row in enumerate(rows)])


def _column(raw: Floats, weight: float | None, by: float | None) -> list[dict[str, Any]]:
    """What one reward said of each sample, and its share where the weights explain one."""
    known = raw[np.isfinite(raw)]
    middle = float(known.mean()) if len(known) else np.nan
    spread = float(known.std(ddof=1)) if len(known) > 1 else 0.0
    z = (raw - middle) / spread if spread > 0 else np.where(np.isfinite(raw), 0.0, np.nan)
    if weight is None or by is None:
        share = np.full_like(raw, np.nan)
    else:
        share = weight * (raw - middle) / by
    return [
        {
            "raw": _or_none(raw[i]),
            "shaped": _or_none(raw[i]) if weight is not None else None,
            "z": _or_none(z[i]),
            "weight": weight,
            "share": _or_none(share[i]),
            "status": "ok" if np.isfinite(raw[i]) else NO_VALUE,
        }
        for i in range(len(raw))
    ]


def _iterations(session: Session, run: Run, steps: set[int]) -> None:
    """The figures of whole steps, worked out from their groups, so that the run has curves."""
    names = [term["name"] for term in run.config["rewards"]]
    session.execute(delete(Iteration).where(Iteration.run_id == run.id, Iteration.step.in_(steps)))
    rows = session.execute(
        select(RolloutGroup.step, func.avg(RolloutGroup.spread), func.count())
        .where(RolloutGroup.run_id == run.id, RolloutGroup.step.in_(steps))
        .group_by(RolloutGroup.step)
    ).all()
    means = session.execute(
        select(RolloutGroup.step, RolloutFact.name, func.avg(RolloutFact.value))
        .join(RolloutFact, RolloutFact.group_id == RolloutGroup.id)
        .where(RolloutGroup.run_id == run.id, RolloutGroup.step.in_(steps))
        .where(RolloutFact.name.like("mean/%"))
        .group_by(RolloutGroup.step, RolloutFact.name)
    ).all()
    of_step: dict[int, dict[str, float]] = {step: {} for step in steps}
    for step, name, value in means:
        if name.removeprefix("mean/") in names:
            of_step[step][f"reward/{name.removeprefix('mean/')}"] = float(value)
    made = []
    for step, spread, count in rows:
        metrics = {**of_step[step], "groups_total": float(count)}
        if spread is not None:
            metrics["spread"] = float(spread)
        row = {"run_id": run.id, "step": step, "metrics": metrics, "nfe": 0, "seconds": {}}
        made.append(row | {"created_at": time.time()})
    session.execute(insert(Iteration), made)


def _strip(studio: Studio, pictures: Sequence[tuple[str, int, int]]) -> str | None:
    """The pictures as tiles of one strip, all of the first one's shape; None without pictures."""
    from PIL import Image

    if not pictures:
        return None
    _name, width, height = pictures[0]
    size = (min(width, TILE), max(1, round(height * min(width, TILE) / width)))
    strip = Image.new("RGB", (size[0] * len(pictures), size[1]))
    for i, (name, *_size) in enumerate(pictures):
        with Image.open(io.BytesIO(studio.media.read(name)), formats=media.FORMATS) as picture:
            tile = picture.convert("RGB")
        strip.paste(tile if tile.size == size else tile.resize(size), (i * size[0], 0))
    out = io.BytesIO()
    strip.save(out, "PNG", compress_level=3)
    return studio.media.put(out.getvalue())


def _or_nan(value: float | None, otherwise: float = np.nan) -> float:
    return otherwise if value is None else float(value)


def _or_none(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
