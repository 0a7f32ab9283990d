"""Prompts by their set and by their text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session, aliased

from db.queries.batches import batches
from db.tables import Prompt, PromptSet


def prompt_counts(session: Session, set_ids: Sequence[int]) -> dict[int, int]:
    """Prompts in each set."""
    rows = session.execute(
        select(Prompt.prompt_set_id, func.count())
        .where(Prompt.prompt_set_id.in_(list(set_ids)))
        .group_by(Prompt.prompt_set_id)
    )
    return {set_id: int(number) for set_id, number in rows}


def shared_prompts(session: Session, one: int, other: int) -> int:
    """How many prompts two sets have in common, word for word."""
    twin = aliased(Prompt)
    return int(
        session.scalar(
            select(func.count())
            .select_from(Prompt)
            .join(twin, and_(twin.text == Prompt.text, twin.prompt_set_id == other))
            .where(Prompt.prompt_set_id == one)
        )
        or 0
    )


def prompt_set_named(session: Session, project_id: int, name: str) -> PromptSet | None:
    """The prompt set of that name in the project."""
    return session.scalar(
        select(PromptSet).where(PromptSet.project_id == project_id, PromptSet.name == name)
    )


def prompts_by_text(session: Session, project_id: int, texts: Sequence[str]) -> dict[str, int]:
    """Ids of the prompts with these texts; of two in different sets the older one."""
    rows = session.execute(
        select(Prompt.text, Prompt.id)
        .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
        .where(PromptSet.project_id == project_id, Prompt.text.in_(texts))
        .order_by(Prompt.id.desc())
    )
    return {text: prompt_id for text, prompt_id in rows}


def prompt_texts(session: Session, prompt_ids: Iterable[int]) -> dict[int, str]:
    """Prompt → its text, however many are asked for."""
    found: dict[int, str] = {}
    for some in batches(prompt_ids):
        rows = session.execute(select(Prompt.id, Prompt.text).where(Prompt.id.in_(some)))
        found |= {prompt_id: text for prompt_id, text in rows}
    return found


def prompt_texts_named(session: Session, project_id: int, name: str) -> list[str]:
    """The prompts of a set by its name, in its order; empty when there is no such set."""
    return list(
        session.scalars(
            select(Prompt.text)
            .join(PromptSet, PromptSet.id == Prompt.prompt_set_id)
            .where(PromptSet.project_id == project_id, PromptSet.name == name)
            .order_by(Prompt.position)
        )
    )
