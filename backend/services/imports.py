"""Labels and pairs from a file, with their pictures: all of it or nothing.

    file ── read ──▶ rows ── look at their pictures ──▶ keep the pictures ──▶ one transaction

Every faulty row is told by its line, and nothing is written while there is one. What is here
already is found again by its content (prompt, pictures, the annotator's client-made id), so the
same file brought in twice adds nothing the second time.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Sequence
from typing import IO, Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import EnvironmentProblem, InputError
from backend.preferences import formats
from backend.preferences.formats import PairRow, Row
from backend.services import files, labels, placing, prompts, users
from backend.services.media import checked_picture
from backend.services.pictures import Archive, NoPictures, Pictures
from backend.services.placing import Added, Picture, Placed
from backend.services.studio import Studio
from db.tables import Label, Pair, Sample

SOMEBODY = "imported"
"""Whose labels they are when neither the file nor its sender says."""
SPARE_BYTES = 50_000_000
"""Space that must be left on the disk beside the pictures."""
FORMATS = tuple(formats.readable())


class _Faults:
    """Faulty rows by their lines, refused together."""

    def __init__(self, name: str, problems: Sequence[formats.Problem]) -> None:
        self.name = name
        self.found: list[dict[str, Any]] = []
        for problem in problems:
            self.add(problem.line, f"{problem.column} {problem.reason}")

    def add(self, line: int, reason: str) -> None:
        self.found.append({"line": line, "reason": reason})

    def refuse(self) -> None:
        """Raise BrokenFile when there is any."""
        self.found.sort(key=lambda fault: int(fault["line"]))
        files.refuse(self.found[: formats.MAX_PROBLEMS], self.name)


def import_labels(
    studio: Studio,
    project_id: int,
    data: str | bytes,
    form: str = "jsonl",
    *,
    pictures: Pictures | None = None,
    filename: str = "",
    annotator: str = "",
) -> Added:
    """Bring in judgements in a format of `FORMATS`; all of them or none.

    `annotator` is whose they are where a row does not say. Raises BrokenFile with every fault.
    """
    name, somebody = files.quoted(filename, "label"), annotator.strip() or SOMEBODY
    reading = formats.read(_text(data, name, "labels"), form, name)
    faults = _Faults(name, reading.problems)
    for row, line in zip(reading.rows, reading.lines, strict=True):
        reason = _fault_of_label(row, row.annotator or somebody)
        if reason:
            faults.add(line, reason)
    known = _look(studio, reading.rows, reading.lines, pictures or NoPictures(), faults)
    ids = [row.id or _made_id(row, known) for row in reading.rows]
    with studio.write() as session:
        placed, added = placing.lay(studio, session, project_id, reading.rows, known)
        people = _annotators(session, reading.rows, somebody)
        judgements = []
        for row, line, label_id, place in zip(
            reading.rows, reading.lines, ids, placed, strict=True
        ):
            user = people[row.annotator or somebody, row.simulated]
            if isinstance(user, InputError):
                faults.add(line, str(user).removesuffix("."))
            else:
                judgements.append((line, _label(row, user, label_id, place)))
        _store(studio, session, judgements, faults, added)
    return added


def import_pairs(
    studio: Studio,
    project_id: int,
    data: str | bytes,
    *,
    pictures: Pictures | None = None,
    filename: str = "",
) -> Added:
    """Bring in pairs that wait to be judged; all of them or none."""
    name = files.quoted(filename, "pair")
    reading = formats.read_pairs(_text(data, name, "pairs"), name)
    faults = _Faults(name, reading.problems)
    known = _look(studio, reading.rows, reading.lines, pictures or NoPictures(), faults)
    with studio.write() as session:
        _placed, added = placing.lay(studio, session, project_id, reading.rows, known)
    added.already = len(reading.rows) - added.pairs
    return added


def unpacked(file: IO[bytes], filename: str = "") -> tuple[bytes, Pictures]:
    """What somebody sent: rows alone, or a ZIP of rows and pictures."""
    file.seek(0)
    magic = file.read(4)
    file.seek(0)
    if magic == b"PK\x03\x04":
        archive = Archive(file, filename)
        return archive.rows(files.MAX_BYTES), archive
    return file.read(files.MAX_BYTES + 1), NoPictures()


def _text(data: str | bytes, name: str, noun: str) -> str:
    text = files.text_of(data, name)
    if not text.strip():
        raise InputError(f"{name} has no {noun} in it; write one a line, each a JSON object.")
    return text


# --- looking ------------------------------------------------------------------------------------


def _fault_of_label(row: Row, annotator: str) -> str:
    """What is wrong with a judgement beside its prompt and pictures, or an empty string."""
    if not all(_can_be_stored(text) for text in (row.comment, *row.reasons)):
        return "a text has a zero byte or half a character"
    if len(row.comment) > labels.LONGEST_COMMENT:
        return f"comment has more than {labels.LONGEST_COMMENT:,} characters"
    if len(row.id) > labels.LONGEST_ID or not row.id.isprintable():
        return f"id has more than {labels.LONGEST_ID} characters, or one that cannot be printed"
    return users.fault_of(annotator)


def _can_be_stored(text: str) -> bool:
    try:
        return b"\x00" not in text.encode("utf-8")
    except UnicodeEncodeError:
        return False


def _look(
    studio: Studio,
    rows: Sequence[PairRow],
    lines: Sequence[int],
    pictures: Pictures,
    faults: _Faults,
) -> dict[str, Picture]:
    """The pictures of all rows by their names there; kept on disk once every row is sound."""
    names = dict.fromkeys(name for row in rows for name in (row.image_a, row.image_b))
    found = _known(studio, list(names))
    broken: dict[str, str] = {}
    for name in names:
        if name not in found:
            try:
                found[name] = _sound(pictures.read(name), name)
            except InputError as error:
                broken[name] = str(error).removesuffix(".")
    for row, line in zip(rows, lines, strict=True):
        told = [prompts.fault_of(row.prompt), broken.get(row.image_a), broken.get(row.image_b)]
        if not any(told) and found[row.image_a].media == found[row.image_b].media:
            told = ["both pictures are the same"]
        for reason in dict.fromkeys(told):
            if reason:
                faults.add(line, reason)
    faults.refuse()
    _keep(studio, {name: kept for name, kept in found.items() if kept.num_bytes}, pictures)
    return found


def _known(studio: Studio, names: Sequence[str]) -> dict[str, Picture]:
    """Those of the names that are hashes of pictures which the studio has."""
    found: dict[str, Picture] = {}
    for some in placing.batches(names):
        asked = select(Sample.media, Sample.width, Sample.height).where(Sample.media.in_(some))
        with studio.read() as session:
            found |= {media: Picture(media, *size) for media, *size in session.execute(asked)}
    return found


def _sound(data: bytes, name: str) -> Picture:
    encoded, width, height = checked_picture(data, name)
    return Picture(hashlib.sha256(encoded).hexdigest(), width, height, len(encoded))


def _keep(studio: Studio, fresh: dict[str, Picture], pictures: Pictures) -> None:
    """Write the pictures that are not here; refused before the first when they do not fit."""
    wanted, free = sum(kept.num_bytes for kept in fresh.values()), studio.media.free_bytes()
    if fresh and free is not None and wanted + SPARE_BYTES > free:
        raise EnvironmentProblem(
            f"The {len(fresh):,} pictures need {wanted / 1e6:,.0f} MB, and the disk of "
            f"{studio.media.folder} has {free / 1e6:,.0f} MB free. Nothing was imported; free some "
            "space and send the file again."
        )
    for name in fresh:
        studio.media.put_picture(pictures.read(name), filename=name)


# --- writing ------------------------------------------------------------------------------------


def _annotators(
    session: Session, rows: Sequence[Row], somebody: str
) -> dict[tuple[str, bool], int | InputError]:
    """(name, simulated) → id of the user, or why there cannot be one."""
    found: dict[tuple[str, bool], int | InputError] = {}
    for who in dict.fromkeys((row.annotator or somebody, row.simulated) for row in rows):
        try:
            found[who] = users.annotator(session, *who)
        except InputError as error:
            found[who] = error
    return found


def _made_id(row: Row, known: dict[str, Picture]) -> str:
    """An id for a row without one: the same judgement, brought in again, has the same."""
    a, b = known[row.image_a].media, known[row.image_b].media
    chosen = {"a": a, "b": b}.get(row.preferred, row.preferred)
    content = "\n".join([*sorted((a, b)), chosen, str(row.t_answer), row.prompt])
    return f"import/{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _label(row: Row, user_id: int, client_id: str, place: Placed) -> dict[str, Any]:
    """A row as the store has it: sides instead of letters, in the order of the pair."""
    left = _turned(row.shown_left) if place.is_turned else row.shown_left
    choice: str = row.preferred
    if choice in ("a", "b"):
        choice = "left" if choice == row.shown_left else "right"
    now = time.time()
    return {
        "pair_id": place.pair_id,
        "user_id": user_id,
        "client_id": client_id,
        "choice": choice,
        "shown_left": left,
        "t_shown": row.t_shown or row.t_answer or now,
        "t_answer": row.t_answer or now,
        "reasons": list(row.reasons),
        "comment": row.comment,
        # When it was given, as far as is known: Today counts what was judged today by this.
        "created_at": min(row.t_answer or now, now),
    }


def _turned(letter: str) -> str:
    return {"a": "b", "b": "a"}[letter]


def _store(
    studio: Studio,
    session: Session,
    judgements: Sequence[tuple[int, dict[str, Any]]],
    faults: _Faults,
    added: Added,
) -> None:
    """Store the judgements whose ids are new; an id that names another judgement is a fault."""
    seen = _stored(session, [label for _line, label in judgements])
    fresh = []
    for line, label in judgements:
        mine = (label["user_id"], label["client_id"])
        if mine not in seen:
            seen[mine] = label["pair_id"]
            fresh.append(label)
        elif seen[mine] == label["pair_id"]:
            added.already += 1
        else:
            faults.add(line, f"id '{mine[1]}' names another judgement of this annotator already")
    faults.refuse()
    if fresh:
        added.labels = len(labels.insert(session, studio.store.dialect, fresh))
        for pair_id in sorted({label["pair_id"] for label in fresh}):
            labels.settle(session, session.get_one(Pair, pair_id, with_for_update=True))


def _stored(session: Session, given: Sequence[dict[str, Any]]) -> dict[tuple[int, str], int]:
    """(user, client id) → pair of those judgements that are here."""
    people = sorted({label["user_id"] for label in given})
    found: dict[tuple[int, str], int] = {}
    for some in placing.batches({label["client_id"] for label in given}):
        rows = session.execute(
            select(Label.user_id, Label.client_id, Label.pair_id).where(
                Label.user_id.in_(people), Label.client_id.in_(some)
            )
        )
        found |= {(user_id, client_id): pair_id for user_id, client_id, pair_id in rows}
    return found
