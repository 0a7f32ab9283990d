"""Policies: a model family, its weights, and the adapter that a run has put on them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import InputError, NotFound
from backend.registry import policies as families
from backend.services.studio import Studio
from db.tables import Policy, Run

IMPORTED = "imported"
"""The family of a policy that cannot draw: pictures which came from outside hang on it."""


@dataclass(frozen=True)
class PolicySpec:
    """All a worker needs to load a policy."""

    id: int
    project_id: int
    name: str
    family: str
    config: dict[str, Any]
    adapter: str | None
    """Media hash of LoRA safetensors."""


def create(
    studio: Studio, project_id: int, name: str, family: str, config: dict[str, Any]
) -> dict[str, Any]:
    """A policy that people may draw with; its settings are checked by the family's own Config."""
    if not name.strip():
        raise InputError("A policy needs a name.")
    settings = families.get(family).Config.read(config).plain()
    with studio.write() as session:
        policy = Policy(project_id=project_id, name=name.strip(), family=family, config=settings)
        session.add(policy)
        session.flush()
        return _row(policy)


def same_or_new(
    session: Session, project_id: int, family: str, config: dict[str, Any], name: str
) -> Policy:
    """The untuned policy with these very settings, made when the project has none."""
    known = session.scalars(
        select(Policy)
        .where(Policy.project_id == project_id, Policy.family == family, Policy.adapter.is_(None))
        .order_by(Policy.id)
    )
    for policy in known:
        if policy.config == config:
            return policy
    policy = Policy(project_id=project_id, name=name, family=family, config=config)
    session.add(policy)
    session.flush()
    return policy


def imported(session: Session, project_id: int) -> Policy:
    """The policy that stands for whatever drew a project's imported pictures."""
    policy = session.scalar(
        select(Policy).where(Policy.project_id == project_id, Policy.family == IMPORTED)
    )
    if policy is None:
        policy = Policy(project_id=project_id, name="imported pictures", family=IMPORTED, config={})
        session.add(policy)
        session.flush()
    return policy


def taught(session: Session, run: Run, adapter: str, step: int) -> Policy:
    """What a run had learned at a step, as a policy; the same adapter of the same step is one,
    however often it is asked for."""
    known = session.scalar(
        select(Policy).where(
            Policy.run_id == run.id, Policy.step == step, Policy.adapter == adapter
        )
    )
    if known is not None:
        return known
    base = find(session, run.policy_id)
    made = Policy(
        project_id=run.project_id,
        name=f"{run.name}, step {step}",
        family=base.family,
        config=base.config,
        adapter=adapter,
        run_id=run.id,
        step=step,
    )
    session.add(made)
    session.flush()
    return made


def rows(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """The policies of a project that can draw, oldest first."""
    with studio.read() as session:
        found = session.scalars(
            select(Policy)
            .where(Policy.project_id == project_id, Policy.family != IMPORTED)
            .order_by(Policy.id)
        )
        return [_row(policy) for policy in found]


def get(studio: Studio, policy_id: int) -> dict[str, Any]:
    """One policy."""
    with studio.read() as session:
        return _row(find(session, policy_id))


def spec(studio: Studio, policy_id: int) -> PolicySpec:
    """What a worker needs to load a policy."""
    with studio.read() as session:
        row = find(session, policy_id)
        return PolicySpec(row.id, row.project_id, row.name, row.family, row.config, row.adapter)


def find(session: Session, policy_id: int) -> Policy:
    """The row of a policy, or NotFound."""
    policy = session.get(Policy, policy_id)
    if policy is None or policy.family == IMPORTED:
        raise NotFound(f"There is no policy {policy_id}.")
    return policy


def _row(policy: Policy) -> dict[str, Any]:
    return {
        "id": policy.id,
        "name": policy.name,
        "family": policy.family,
        "config": policy.config,
        "run_id": policy.run_id,
        "step": policy.step,
        "created_at": policy.created_at,
        "project_id": policy.project_id,
    }
