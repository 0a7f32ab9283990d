"""Prompt sets: imported whole or not at all, each fault told by its line."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import func, insert, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from backend.errors import Conflict, InputError, NotFound
from backend.services import files
from backend.services.studio import Studio
from db import queries
from db.tables import Prompt, PromptSet

MAX_BYTES = files.MAX_BYTES
MAX_CHARACTERS = 2_000
"""Longest prompt that is taken; a policy may take less and says so itself."""
SPLITS = ("train", "heldout")


@dataclass
class ReadPrompts:
    """What a prompt file holds: distinct prompts in order, and what is wrong with it."""

    texts: list[str] = field(default_factory=list)
    duplicates: int = 0
    problems: list[dict[str, Any]] = field(default_factory=list)


def read(text: str | bytes, filename: str = "") -> ReadPrompts:
    """Read prompts from text: one a line, or JSONL with a key "prompt". Stores nothing."""
    lines = re.split("\r\n|\r|\n", files.text_of(text, files.quoted(filename, "prompt")))
    found = ReadPrompts()
    is_jsonl = next((line for line in lines if line.strip()), "").lstrip().startswith("{")
    seen: set[str] = set()
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        prompt, fault = _parsed(line) if is_jsonl else (line.strip(), "")
        fault = fault or fault_of(prompt)
        if fault:
            found.problems.append({"line": number, "reason": fault})
        elif prompt in seen:
            found.duplicates += 1
        else:
            seen.add(prompt)
            found.texts.append(prompt)
    return found


def checked(text: str | bytes, filename: str = "") -> ReadPrompts:
    """As `read`, for a file that must be whole: a faulty line, or no prompt at all, is refused."""
    found, name = read(text, filename), files.quoted(filename, "prompt")
    files.refuse(found.problems, name)
    if not found.texts:
        raise InputError(
            f'{name} has no prompts in it; write one a line, or JSONL with a key "prompt".'
        )
    return found


def import_text(
    studio: Studio,
    project_id: int,
    name: str,
    split: str,
    text: str | bytes,
    filename: str = "",
) -> dict[str, Any]:
    """Make a prompt set of a text; all of it or nothing.

    Returns {id, num_prompts, duplicates, problems: []}. Raises BrokenFile with every broken line,
    InputError for an empty file, Conflict for a name that is taken.
    """
    title = name.strip()
    if not title or len(title) > 200 or fault_of(title):
        raise InputError("A prompt set needs a name of 1 to 200 printable characters.")
    if split not in SPLITS:
        raise InputError(f"Split '{split}' is unknown; a prompt set is 'train' or 'heldout'.")
    found = checked(text, filename)
    try:
        with studio.write() as session:
            row = PromptSet(project_id=project_id, name=title, split=split)
            session.add(row)
            session.flush()
            session.execute(
                insert(Prompt),
                [
                    {"prompt_set_id": row.id, "position": position, "text": prompt}
                    for position, prompt in enumerate(found.texts)
                ],
            )
            set_id = row.id
    except IntegrityError:
        raise Conflict(
            f"There is already a prompt set '{title}' in this project; choose another name."
        ) from None
    return {
        "id": set_id,
        "num_prompts": len(found.texts),
        "duplicates": found.duplicates,
        "problems": [],
    }


def rows(studio: Studio, project_id: int) -> list[dict[str, Any]]:
    """The prompt sets of a project, oldest first."""
    with studio.read() as session:
        sets = list(
            session.scalars(
                select(PromptSet).where(PromptSet.project_id == project_id).order_by(PromptSet.id)
            )
        )
        counts = queries.prompt_counts(session, [row.id for row in sets])
        return [_row(row, counts.get(row.id, 0)) for row in sets]


def get(
    studio: Studio, set_id: int, *, q: str = "", offset: int = 0, limit: int = 50
) -> dict[str, Any]:
    """One prompt set with a page of its prompts, those that contain `q`; `total` counts all
    such."""
    with studio.read() as session:
        row = find(session, set_id)
        matching = Prompt.prompt_set_id == set_id
        if q:
            matching = matching & Prompt.text.icontains(q, autoescape=True)
        total = session.scalar(select(func.count()).where(matching)) or 0
        page = session.execute(
            select(Prompt.id, Prompt.text)
            .where(matching)
            .order_by(Prompt.position)
            .offset(offset)
            .limit(limit)
        )
        prompts = [{"id": prompt_id, "text": text} for prompt_id, text in page]
        count = queries.prompt_counts(session, [set_id]).get(set_id, 0)
    return {**_row(row, count), "total": total, "prompts": prompts}


def texts(studio: Studio, set_id: int, limit: int | None = None) -> list[tuple[int, str]]:
    """(id, text) of the prompts of a set, in its order."""
    with studio.read() as session:
        find(session, set_id)
        page = session.execute(
            select(Prompt.id, Prompt.text)
            .where(Prompt.prompt_set_id == set_id)
            .order_by(Prompt.position)
            .limit(limit)
        )
        return [(prompt_id, text) for prompt_id, text in page]


def named(studio: Studio, project_id: int, name: str) -> dict[str, Any]:
    """The prompt set of that name, or NotFound with the names there are."""
    sets = rows(studio, project_id)
    for row in sets:
        if row["name"] == name:
            return row
    known = ", ".join(f"'{row['name']}'" for row in sets) or "none yet"
    raise NotFound(f"There is no prompt set '{name}' in this project; there are: {known}.")


def find(session: Session, set_id: int) -> PromptSet:
    """The row of a prompt set, or NotFound."""
    row = session.get(PromptSet, set_id)
    if row is None:
        raise NotFound(f"There is no prompt set {set_id}.")
    return row


def _row(row: PromptSet, num_prompts: int) -> dict[str, Any]:
    return {
        "id": row.id,
        "name": row.name,
        "split": row.split,
        "num_prompts": num_prompts,
        "created_at": row.created_at,
        "project_id": row.project_id,
    }


def _parsed(line: str) -> tuple[str, str]:
    """(prompt, fault) of one JSONL line."""
    try:
        record = json.loads(line)
    except json.JSONDecodeError as error:
        return "", f"not valid JSON: {error.msg.lower()} at column {error.colno}"
    except RecursionError:
        return "", "not valid JSON: nested too deeply"
    if not isinstance(record, dict) or "prompt" not in record:
        return "", 'the record has no key "prompt"'
    prompt = record["prompt"]
    if not isinstance(prompt, str):
        return "", f'"prompt" is {type(prompt).__name__}, not text'
    return prompt.strip(), ""


def fault_of(prompt: str) -> str:
    """What is wrong with a prompt, or an empty string."""
    if not prompt:
        return "the prompt is empty"
    if len(prompt) > MAX_CHARACTERS:
        return f"the prompt has {len(prompt):,} characters; {MAX_CHARACTERS:,} is the most"
    if any(ord(character) < 32 and character not in "\t\n" for character in prompt):
        return "the prompt has a control character"
    try:
        prompt.encode("utf-8")
    except UnicodeEncodeError:
        return "the prompt has half a character (a lone surrogate)"
    return ""
