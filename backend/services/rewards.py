"""Rewards: configured scorers in fixed versions, and what they said of samples."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

from sqlalchemy import func, select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from backend.config import Config
from backend.errors import ConfigError, InputError, NotFound
from backend.preferences.annotators import WEIGH, Weigh
from backend.registry import rewards as kinds
from backend.rewards import _version
from backend.rewards._heads import HEAD, HEADS
from backend.services import jobs, judge_audits, judgements, policies, samples
from backend.services.studio import Studio
from db.tables import Prompt, Reward, Sample, Score

TOTAL = "total"
LEARNED = ("learned", "directional")
"""Kinds that are made from labels: a model of its own, or likeness with one direction of taste."""
POCKET = "pocket"
"""References that the pocket world renders; others are named by their hash."""


@dataclass(frozen=True)
class ScoreRow:
    """What a reward said of one sample; `value` is None exactly where `status` is not "ok"."""

    sample_id: int
    value: float | None
    status: str = "ok"
    detail: str = ""
    criterion: str = TOTAL
    """`total`, or the name of an aspect."""


def kind_rows() -> list[dict[str, Any]]:
    """Every kind of reward there is, with the JSON schema of its settings."""
    rows = []
    for name in kinds.names():
        module = kinds.get(name)
        rows.append(
            {
                "kind": name,
                "title": module.TITLE,
                "summary": module.SUMMARY,
                "source": module.SOURCE,
                "range": list(module.RANGE),
                "traits": module.TRAITS.row(),
                "schema": module.Config.model_json_schema(),
            }
        )
    return rows


def read_config(studio: Studio, kind: str, config: dict[str, Any], at: str = "config") -> Config:
    """The typed settings of a kind of reward; refuses weights that are not among the media."""
    try:
        settings = cast(Config, kinds.get(kind).Config.read(config))
    except ConfigError as error:
        raise ConfigError(str(error), field=f"{at}.{error.field}") from None
    weights = getattr(settings, "weights", None)
    if kind in LEARNED and not weights:
        raise ConfigError(
            "This learned reward has not been trained; train it from labels on the Rewards page.",
            field=f"{at}.weights",
        )
    if weights and not studio.media.exists(weights):
        raise ConfigError(
            f"The weights {weights[:12]}… of this reward are not among the media; train it again.",
            field=f"{at}.weights",
        )
    references = getattr(settings, "references", "")
    if references not in ("", POCKET) and not studio.media.exists(references):
        raise ConfigError(
            f"The references {references[:12]}… of this reward are not among the media; store "
            "them again from a policy's samples.",
            field=f"{at}.references",
        )
    return settings


def create(
    studio: Studio, project_id: int, name: str, kind: str, config: dict[str, Any]
) -> dict[str, Any]:
    """A reward, or the next version of the one with that name; the same again is not a new
    version."""
    clean = _checked_name(name)
    settings = read_config(studio, kind, config).plain()
    with studio.write() as session:
        studio.store.serialise(session, "reward", project_id)
        last = _last(session, project_id, clean)
        if last is not None and (last.kind, last.config) == (kind, settings):
            return _row(last)
        return _row(_add(session, project_id, clean, kind, settings, last))


def save_learned(
    studio: Studio,
    project_id: int,
    name: str,
    weights: str,
    figures: dict[str, Any],
    kind: str = "learned",
) -> dict[str, Any]:
    """A reward that was just learned, as a new version; `weights` is the hash of its file."""
    settings = read_config(studio, kind, {"weights": weights}).plain()
    with studio.write() as session:
        studio.store.serialise(session, "reward", project_id)
        last = _last(session, project_id, _checked_name(name))
        reward = _add(session, project_id, name.strip(), kind, settings, last)
        reward.weights, reward.figures = weights, figures
        session.flush()
        return _row(reward)


def learn(
    studio: Studio,
    project_id: int,
    name: str,
    *,
    include_simulated: bool,
    seed: int,
    kind: str = "learned",
    weigh: Weigh = WEIGH,
    head: str = HEAD,
) -> int:
    """Ask the workers to learn a reward from the project's labels; returns the job's id.

    `kind` is "learned", a model of its own, or "directional", likeness with one direction of taste.
    `weigh`: how the answers of different people count in a model of its own; `head`: what that
    model is, "bayes" or "neural".
    """
    if head not in HEADS:
        raise InputError(f"A learned reward has no head '{head}'; choose {' or '.join(HEADS)}.")
    if kind not in LEARNED:
        raise InputError(
            f"A reward of kind '{kind}' is not learned from labels; {' and '.join(LEARNED)} are."
        )
    args = {
        "kind": kind,
        "project_id": project_id,
        "name": _checked_name(name),
        "include_simulated": include_simulated,
        "seed": seed,
        "weigh": weigh,
        "head": head,
    }
    return jobs.create(studio, "learn", args)


def store_references(
    studio: Studio, project_id: int, *, policy_id: int | None, limit: int | None
) -> int:
    """Ask the workers to keep samples as references of an adversarial reward; the job's id.

    Its result has their hash, which goes into the reward's setting `references`.
    """
    if policy_id is not None:
        with studio.read() as session:
            policies.find(session, policy_id)
    args = {"project_id": project_id, "policy_id": policy_id, "limit": limit}
    return jobs.create(studio, "references", args)


def score(studio: Studio, reward_id: int, *, policy_id: int | None, limit: int | None) -> int:
    """Ask the workers to score samples, newest first; returns the job's id."""
    with studio.read() as session:
        project_id = find(session, reward_id).project_id
        if policy_id is not None:
            policies.find(session, policy_id)
    args = {
        "reward_id": reward_id,
        "project_id": project_id,
        "policy_id": policy_id,
        "limit": limit,
    }
    return jobs.create(studio, "score", args)


def load(studio: Studio, reward_id: int) -> Any:
    """The scorer of a stored reward, ready to score (in a worker: this may load a model)."""
    with studio.read() as session:
        reward = find(session, reward_id)
        kind, config = reward.kind, reward.config
    return load_term(studio, kind, config)


def load_term(studio: Studio, kind: str, config: dict[str, Any], run_id: int | None = None) -> Any:
    """The scorer of a kind with settings, its files taken from the media; of a run, its budget for
    judges too."""
    return kinds.get(kind).load(read_config(studio, kind, config), judgements.Shelf(studio, run_id))


def version_of(reward: dict[str, Any]) -> str:
    """Hash of the code, weights and settings of a stored reward as they are here and now."""
    kind = reward["kind"]
    return _version.version(kind, kinds.get(kind).Config.read(reward["config"]))


def record_scores(
    studio: Studio, reward_id: int, scores: Sequence[ScoreRow], version: str = ""
) -> None:
    """Store what a reward said, in one transaction; said again, the newer word stands.

    `version` is the hash of code, weights and settings that gave the scores (`version_of`).
    """
    if not scores:
        return
    now = time.time()
    rows = [
        {
            "sample_id": row.sample_id,
            "reward_id": reward_id,
            "criterion": row.criterion,
            "value": row.value,
            "status": row.status,
            "detail": row.detail,
            "version": version,
            "created_at": now,
        }
        for row in scores
    ]
    insert = sqlite.insert if studio.store.dialect == "sqlite" else postgresql.insert
    statement = insert(Score)
    statement = statement.on_conflict_do_update(
        index_elements=["sample_id", "reward_id", "criterion"],
        set_={
            name: statement.excluded[name]
            for name in ("value", "status", "detail", "version", "created_at")
        },
    )
    with studio.write() as session:
        session.connection().execute(statement, rows)


def rows(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """The rewards of a project, newest version first."""
    with studio.read() as session:
        found = session.scalars(
            select(Reward).where(Reward.project_id == project_id).order_by(Reward.id.desc())
        )
        return [_audited(session, reward) for reward in found]


def get(studio: Studio, reward_id: int) -> dict[str, Any]:
    """One reward."""
    with studio.read() as session:
        return _audited(session, find(session, reward_id))


def scored_samples(
    studio: Studio, reward_id: int, *, order: str = "high", limit: int = 24
) -> list[dict[str, Any]]:
    """Samples this reward likes most (`high`) or least (`low`): [{sample, value, status,
    parts}]."""
    if order not in ("high", "low"):
        raise InputError(f"Order '{order}' is unknown; it is 'high' or 'low'.")
    direction = Score.value.desc() if order == "high" else Score.value.asc()
    with studio.read() as session:
        find(session, reward_id)
        found = list(
            session.execute(
                select(Score, Sample, Prompt.text)
                .join(Sample, Sample.id == Score.sample_id)
                .join(Prompt, Prompt.id == Sample.prompt_id)
                .where(
                    Score.reward_id == reward_id, Score.criterion == TOTAL, Score.value.is_not(None)
                )
                .order_by(direction, Score.sample_id)
                .limit(limit)
            )
        )
        parts = _parts(session, reward_id, [sample.id for _score, sample, _prompt in found])
    return [
        {
            "sample": samples.row(sample, prompt),
            "value": said.value,
            "status": said.status,
            "parts": parts.get(sample.id, {}),
        }
        for said, sample, prompt in found
    ]


def score_counts(studio: Studio, reward_id: int) -> dict[str, int]:
    """Samples by status: {"ok": 120, "error": 2}."""
    with studio.read() as session:
        found = session.execute(
            select(Score.status, func.count())
            .where(Score.reward_id == reward_id, Score.criterion == TOTAL)
            .group_by(Score.status)
        )
        return {status: int(number) for status, number in found}


def find(session: Session, reward_id: int) -> Reward:
    """The row of a reward, or NotFound."""
    reward = session.get(Reward, reward_id)
    if reward is None:
        raise NotFound(f"There is no reward {reward_id}.")
    return reward


def _checked_name(name: str) -> str:
    clean = name.strip()
    if not 1 <= len(clean) <= 100 or not clean.isprintable() or "/" in clean:
        raise InputError("A reward needs a name of 1 to 100 printable characters without '/'.")
    return clean


def _last(session: Session, project_id: int, name: str) -> Reward | None:
    return session.scalar(
        select(Reward)
        .where(Reward.project_id == project_id, Reward.name == name)
        .order_by(Reward.id.desc())
        .limit(1)
    )


def _add(
    session: Session,
    project_id: int,
    name: str,
    kind: str,
    config: dict[str, Any],
    last: Reward | None,
) -> Reward:
    version = str(int(last.version) + 1) if last is not None else "1"
    reward = Reward(project_id=project_id, name=name, kind=kind, version=version, config=config)
    session.add(reward)
    session.flush()
    return reward


def _parts(
    session: Session, reward_id: int, sample_ids: list[int]
) -> dict[int, dict[str, float | None]]:
    found: dict[int, dict[str, float | None]] = {}
    said = session.execute(
        select(Score.sample_id, Score.criterion, Score.value).where(
            Score.reward_id == reward_id,
            Score.sample_id.in_(sample_ids),
            Score.criterion != TOTAL,
        )
    )
    for sample_id, criterion, value in said:
        found.setdefault(sample_id, {})[criterion] = value
    return found


def _audited(session: Session, reward: Reward) -> dict[str, Any]:
    """A row, with what its audit says: "" for what is no judge."""
    said = judge_audits.standing(session, reward.project_id, reward.kind, reward.config)
    return {**_row(reward), "audit": said}


def _row(reward: Reward) -> dict[str, Any]:
    return {
        "id": reward.id,
        "name": reward.name,
        "kind": reward.kind,
        "version": reward.version,
        "config": reward.config,
        "figures": reward.figures,
        "created_at": reward.created_at,
        "project_id": reward.project_id,
    }
