"""Labels and pairs from files, with their pictures: row by row, in memory that does not grow.

    parts ── records ──▶ rows ── look at their pictures ──▶ a batch ──▶ one transaction

A row that is at fault is told by file, line, column and reason while the rest loads. What is here
already is found again by its content (prompt, pictures, the annotator's client-made id), so the
same file brought in twice, or once more after it was broken off, adds nothing the second time.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.errors import InputError
from backend.preferences import formats
from backend.preferences.formats import AUTO, Item
from backend.services import attention, choosing, jobs, sources, studies
from backend.services.faults import Faults, counted
from backend.services.files import BrokenFile
from backend.services.loading import Loader
from backend.services.pictures import Pictures
from backend.services.placing import Added
from backend.services.sources import Part
from backend.services.studio import Studio

SOMEBODY = "imported"
"""Whose labels they are when neither the file nor its sender says."""
LABELS, PAIRS = "labels", "pairs"
KIND, ROLLOUTS = "import_rows", "import_rollouts"
"""The kinds of jobs that import: rows of labels or pairs, and what another trainer drew."""


@dataclass
class Report(Faults):
    """What an import has brought so far, what was at fault, and where it would go on."""

    labels: int = 0
    pairs: int = 0
    pictures: int = 0
    prompts: int = 0
    already: int = 0
    """Rows that the project had before."""
    rows: int = 0
    """Rows that are here now."""
    part: int = 0
    """The file it is at, and the last line or row of it that is done."""
    line: int = 0

    def add(self, added: Added) -> None:
        """Count what a batch brought."""
        for name, number in asdict(added).items():
            setattr(self, name, getattr(self, name) + number)

    def sentence(self) -> str:
        """What it did, for a person."""
        noun, number = ("label", self.labels) if self.labels else ("pair", self.pairs)
        what = counted(number, noun) if number else "nothing new"
        pictures, prompts_ = (
            counted(self.pictures, "new picture"),
            counted(self.prompts, "new prompt"),
        )
        extra = pictures if self.pictures else prompts_ if self.prompts else ""
        if self.pictures and self.prompts:
            extra = f"{pictures} and {prompts_}"
        said = f"Imported {what} with {extra}." if extra else f"Imported {what}."
        if self.already:
            said += f" Already here: {self.already:,}."
        if self.broken:
            said += f" {counted(self.broken, 'row')} could not be read."
        return said


@dataclass(frozen=True)
class How:
    """What a file holds, and where it goes."""

    what: str = LABELS
    form: str = AUTO
    """A format of labels, or auto."""
    annotator: str = ""
    """Whose labels they are where a row does not say."""
    study_id: int | None = None
    """Into that study; None: into the queue."""


Say = Callable[[Report, float], None]
"""Told after every batch: the report, and the share of all files that is done."""


def bring(
    studio: Studio,
    project_id: int,
    parts: list[Part],
    how: How | None = None,
    *,
    report: Report | None = None,
    say: Say | None = None,
) -> Report:
    """Import every row that can be read, batch by batch; each batch is kept as soon as it is said.

    `report` is that of an import that was broken off: it goes on behind it. Raises BrokenFile when
    there is not one row that can be read.
    """
    done, how = report or Report(), how or How()
    somebody = how.annotator.strip() or SOMEBODY
    loader = Loader(studio, project_id, somebody, how.study_id)
    for number in range(done.part, len(parts)):
        part, told = parts[number], len(done.problems)
        if number > done.part:
            done.part, done.line = number, 0
        loader.begin(part.pictures)
        for line, share in _loaded(loader, part, how, done):
            done.line = line
            if say:
                say(done, (number + share) / len(parts))
        done.problems[told:] = sorted(done.problems[told:], key=lambda one: int(one["line"]))
    if how.study_id is not None and done.pairs:
        attention.add(studio, how.study_id)
        choosing.request(studio, how.study_id)
    if not done.rows:
        if not done.problems:
            problem = formats.Problem(parts[0].name, 1, "line", f"the file holds no {how.what}")
            done.tell(problem)
        _refuse(done)
    return done


def _refuse(done: Report) -> None:
    """Raise BrokenFile: the first fault in words, those that were kept as data."""
    first = formats.Problem(**done.problems[0])
    more = counted(done.broken - 1, "more faulty row")
    raise BrokenFile(
        f"{first} ({more}). Nothing was imported; correct it and send the file again."
        if done.broken > 1
        else f"{first}. Nothing was imported; correct it and send the file again.",
        done.problems[: formats.MAX_PROBLEMS],
    )


def _loaded(loader: Loader, part: Part, how: How, done: Report) -> Iterator[tuple[int, float]]:
    """Load one part; yields the last line and the share of it that is done after every batch."""

    def tell(line: int, column: str, reason: str) -> None:
        done.tell(formats.Problem(part.name, line, column, reason))

    line, share, start = done.line, 0.0, done.line
    try:
        with part.path.open("rb") as file:
            for item in _items(file, how, part.name):
                if item.number <= start:
                    continue
                if loader.is_full and item.number != line:
                    done.add(loader.flush(tell))
                    done.rows += loader.num_rows
                    yield line, share
                line, share = item.number, item.share
                if item.fault:
                    tell(line, item.fault.column, item.fault.reason)
                for row in item.rows:
                    loader.take(line, row, tell)
    except InputError as error:
        tell(line + 1, "file", str(error).removesuffix("."))
    except OSError as error:
        tell(line + 1, "file", f"cannot be read on: {error.strerror or error}")
    done.add(loader.flush(tell))
    done.rows += loader.num_rows
    yield line, 1.0


def _items(file: Any, how: How, name: str) -> Iterator[Item[Any]]:
    if how.what == PAIRS:
        return formats.pair_items(file, f"'{name}'")
    return formats.items(file, how.form, f"'{name}'")


def check(what: str, form: str) -> None:
    """Refuse what cannot be imported before anything is sent."""
    if what not in (LABELS, PAIRS):
        raise InputError(f"'{what}' cannot be imported; '{LABELS}' and '{PAIRS}' can.")
    if form != AUTO and form not in formats.readable():
        raise InputError(
            f"Labels cannot be read from '{form}'; choose {AUTO}, {', '.join(formats.readable())}."
        )


def refuse_study(studio: Studio, project_id: int, study_id: int) -> None:
    """Refuse to bring rows into a study of another project."""
    with studio.read() as session:
        study = studies.find(session, study_id)
        if study.project_id != project_id:
            raise InputError(f"The study '{study.name}' belongs to another project; open that one.")


# --- what is small enough to be waited for -------------------------------------------------------


def import_labels(
    studio: Studio,
    project_id: int,
    data: str | bytes,
    form: str = "jsonl",
    *,
    pictures: Pictures | None = None,
    filename: str = "",
    annotator: str = "",
) -> Report:
    """Bring in judgements that are at hand as text or bytes."""
    how = How(form=form, annotator=annotator)
    return _brought(studio, project_id, data, pictures, filename, how)


def import_pairs(
    studio: Studio,
    project_id: int,
    data: str | bytes,
    *,
    pictures: Pictures | None = None,
    filename: str = "",
) -> Report:
    """Bring in pairs that wait to be judged, at hand as text or bytes."""
    return _brought(studio, project_id, data, pictures, filename, How(PAIRS))


def _brought(
    studio: Studio,
    project_id: int,
    data: str | bytes,
    pictures: Pictures | None,
    filename: str,
    how: How,
) -> Report:
    check(how.what, how.form)
    with tempfile.NamedTemporaryFile(prefix="palate-rows-") as file:
        file.write(data.encode("utf-8", "surrogatepass") if isinstance(data, str) else data)
        file.flush()
        with sources.opened(Path(file.name), name=filename or "the file") as parts:
            if pictures is not None:
                parts = [Part(part.name, part.path, pictures) for part in parts]
            return bring(studio, project_id, parts, how)


# --- what is large: a job ------------------------------------------------------------------------


def order(
    studio: Studio,
    project_id: int,
    upload: Path,
    how: How,
    filename: str = "",
) -> int:
    """Keep an uploaded file among the media and have a worker import it; returns the job's id."""
    check(how.what, how.form)
    if how.study_id is not None:
        refuse_study(studio, project_id, how.study_id)
    tidy(studio)
    args = {
        "project_id": project_id,
        "upload": studio.media.put_file(upload),
        "what": how.what,
        "format": how.form,
        "filename": filename,
        "annotator": how.annotator,
        "study_id": how.study_id,
    }
    return jobs.create(studio, KIND, args)


def tidy(studio: Studio, over: int | None = None) -> None:
    """Remove uploads of import jobs that are over, unless another one waits for the same file.

    `over` is the job that ends now.
    """
    rows = [row for kind in (KIND, ROLLOUTS) for row in jobs.of_kind(studio, kind)]
    ended = [row for row in rows if row["status"] in jobs.OVER or row["id"] == over]
    wanted = {row["args"].get("upload") for row in rows if row not in ended}
    for name in {row["args"].get("upload") for row in ended} - wanted:
        if name:
            studio.media.remove(name)
