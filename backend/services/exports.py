"""Labels out: in any format, as a stream of bytes whose memory does not grow with the labels."""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal, cast

from backend.errors import InputError
from backend.preferences import formats
from backend.preferences.formats import Losses, Row
from backend.services import labels
from backend.services.judged import JudgedPair
from backend.services.media import sniff
from backend.services.studio import Studio
from db import queries
from db.queries import Scope

FOLDER = "datasets"
"""The format that is a folder, not a file."""
SUFFIXES = {"image/png": ".png", "image/jpeg": ".jpg", "image/webp": ".webp"}


def rows(
    studio: Studio,
    project_id: int,
    *,
    simulated: bool = False,
    implicit: bool = False,
    excluded: bool = False,
    scope: Scope | None = None,
    inside: bool = False,
) -> Iterator[Row]:
    """Labels that stand, in the order they were given: people's, and others where asked for.

    `excluded`: those of people who are excluded from their study too. `inside`: with the bytes of
    the pictures.
    """
    for one in _judged(studio, project_id, simulated, implicit, scope, excluded):
        found = row_of(one)
        if inside:
            for name in found.images:
                found.blobs[name] = studio.media.read(name)
        yield found


def stream(
    studio: Studio,
    project_id: int,
    form: str = "jsonl",
    *,
    container: str = "",
    losses: Losses | None = None,
    **which: Any,
) -> Iterator[bytes]:
    """The file in a format; `which` as for `rows`. `losses` is filled while it is written."""
    if form == FOLDER and not container:
        raise InputError(
            "'datasets' is a folder, which cannot be sent as a file; export 'parquet', which "
            "Hugging Face datasets reads too, or use the command line."
        )
    return formats.written(rows(studio, project_id, **which), form, container, losses)


def summary(studio: Studio, project_id: int, form: str, **which: Any) -> dict[str, Any]:
    """What an export would hold and what it could not, without writing it: {written, left_out,
    changed, lost, sentence}."""
    losses = Losses()
    for _part in formats.written(rows(studio, project_id, **which), form, "lines", losses):
        pass
    return {**losses.plain(), "sentence": losses.sentence()}


def save_folder(
    studio: Studio, project_id: int, folder: Path, *, losses: Losses | None = None, **which: Any
) -> None:
    """A folder that `datasets.load_from_disk` takes: one Arrow file and two that tell of it."""
    folder.mkdir(parents=True, exist_ok=True)
    if any(folder.iterdir()):
        raise InputError(f"The folder {folder} is not empty; name one that is new.")
    name = "data-00000-of-00001.arrow"
    with (folder / name).open("wb") as file:
        for part in formats.written(rows(studio, project_id, **which), FOLDER, losses=losses):
            file.write(part)
    state: dict[str, Any] = {
        "_data_files": [{"filename": name}],
        "_fingerprint": uuid.uuid4().hex[:16],
        "_format_columns": None,
        "_format_kwargs": {},
        "_format_type": None,
        "_output_all_columns": False,
        "_split": None,
    }
    (folder / "state.json").write_text(json.dumps(state, indent=1))
    (folder / "dataset_info.json").write_text("{}")


def save_pictures(
    studio: Studio,
    project_id: int,
    folder: Path,
    *,
    simulated: bool = False,
    implicit: bool = False,
    scope: Scope | None = None,
) -> int:
    """Copy the pictures that an export names, each once, under its hash; returns how many."""
    folder.mkdir(parents=True, exist_ok=True)
    written = 0
    for one in _judged(studio, project_id, simulated, implicit, scope):
        for name in row_of(one).images:
            if any((folder / f"{name}{suffix}").exists() for suffix in SUFFIXES.values()):
                continue
            data = studio.media.read(name)
            partial = folder / f".{name}.part"
            partial.write_bytes(data)
            partial.replace(folder / f"{name}{SUFFIXES.get(sniff(data[:16]), '')}")
            written += 1
    return written


def _judged(
    studio: Studio,
    project_id: int,
    simulated: bool,
    implicit: bool,
    scope: Scope | None,
    excluded: bool = False,
) -> Iterator[JudgedPair]:
    yield from labels.judged(
        studio,
        project_id,
        simulated=None if simulated else False,
        scope=scope,
        excluded=excluded,
    )
    if implicit:
        yield from labels.judged(studio, project_id, implicit=True)


def row_of(label: JudgedPair) -> Row:
    """Pictures by their address; which of the two was preferred instead of which side."""
    a, b = label.left_media, label.right_media
    words = label.left_text, label.right_text
    if label.left == "b":
        a, b, words = b, a, words[::-1]
    if words[0]:
        a = b = ""
    preferred = queries.by_sample(label.choice, label.left)
    return Row(
        prompt=label.prompt,
        image_a=a,
        image_b=b,
        more=list(label.more),
        text_a=words[0],
        text_b=words[1],
        subject=label.subject,
        preferred=cast(formats.Preferred, preferred),
        shown_left=cast(Literal["a", "b"], label.left),
        annotator=label.user,
        simulated=label.kind == "simulated",
        t_shown=label.t_shown,
        t_answer=label.t_answer,
        reasons=label.reasons,
        comment=label.comment,
        id=label.client_id,
        key=label.key,
        answers=label.answers,
        implicit=label.kind == "implicit",
        chooser=label.chooser,
        propensity=label.propensity,
    )
