"""Rollouts that another trainer logged, as a run of their own: its pictures, rewards, advantages.

    parts ── records ──▶ samples ── their pictures looked at ──▶ groups by step and prompt ──▶ store

The run is marked as imported, and found again by its name. A row that is at fault is told by file,
line, column and reason while the rest loads. A sample is known by what it says, and the how manieth
of its group says the same, so the same files brought in twice add nothing the second time; rows
that come late join their group, which is then worked out anew.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from backend.errors import EnvironmentProblem, InputError
from backend.preferences import formats
from backend.preferences.formats import Entry, Fault
from backend.rl import logged
from backend.rl.logged import Logged
from backend.services import imports, jobs, prompts, rollout_groups
from backend.services.faults import Faults, counted
from backend.services.files import BrokenFile
from backend.services.loading import SPARE_BYTES
from backend.services.media import HASH
from backend.services.rollout_groups import Drawn
from backend.services.row_faults import can_be_stored
from backend.services.sources import Part
from backend.services.studio import Studio

KIND = imports.ROLLOUTS
"""The kind of job that imports."""
PICTURES, PICTURE_BYTES = 64, 64_000_000
"""Pictures that are looked at together: at most so many, or so many bytes."""
ROWS = 2_000
"""When so many rows wait, the groups of all steps but the last one read are stored."""
MOST_ROWS = 20_000
"""When so many wait, all of them are."""
THREADS = 4

Say = Callable[["Report", float], None]
"""Told from time to time: the report, and the share of all files that is done."""


@dataclass
class Report(Faults):
    """What an import has brought so far, and what was at fault."""

    run_id: int = 0
    rows: int = 0
    """Rows that are here now."""
    samples: int = 0
    """Of them new."""
    already: int = 0
    groups: int = 0
    """New groups."""
    computed: int = 0
    """Groups whose advantages were worked out here, because the log had none."""

    def sentence(self) -> str:
        """What it did, for a person."""
        if not self.samples:
            said = "Imported nothing new."
        else:
            rollouts, groups = (
                counted(self.samples, "rollout"),
                counted(self.groups, "new group"),
            )
            said = (
                f"Imported {rollouts} into run {self.run_id} with {groups}."
                if self.groups
                else f"Imported {rollouts} into run {self.run_id}."
            )
        if self.computed:
            said += (
                f" {counted(self.computed, 'group')} had no advantages; they were worked out from "
                "the rewards."
            )
        if self.already:
            said += f" Already here: {self.already:,}."
        if self.broken:
            said += f" {counted(self.broken, 'row')} could not be read."
        return said


def bring(
    studio: Studio, project_id: int, name: str, parts: list[Part], *, say: Say | None = None
) -> Report:
    """Import every row that can be read into the run of that name; raises BrokenFile when there is
    not one."""
    name = checked_name(name)
    loader = _Loader(studio, project_id, name)
    for number, part in enumerate(parts):
        for share in loader.load(part):
            if say:
                say(loader.report, (number + share) / len(parts))
    loader.flush()
    done = loader.report
    if not done.rows:
        if not done.problems:
            done.tell(formats.Problem(parts[0].name, 1, "line", "the file holds no rollouts"))
        first = formats.Problem(**done.problems[0])
        more = counted(done.broken - 1, "more faulty row")
        raise BrokenFile(
            f"{first} ({more}). Nothing was imported; correct it and send the file again."
            if done.broken > 1
            else f"{first}. Nothing was imported; correct it and send the file again.",
            done.problems[: formats.MAX_PROBLEMS],
        )
    return done


def checked_name(name: str) -> str:
    """The name of the run, or an InputError."""
    clean = " ".join(name.split())
    if not 1 <= len(clean) <= 200 or not clean.isprintable():
        raise InputError("The run of imported rollouts needs a name of 1 to 200 characters.")
    return clean


def order(studio: Studio, project_id: int, upload: Path, name: str, filename: str = "") -> int:
    """Keep an uploaded file among the media and have a worker import it; returns the job's id."""
    args = {
        "project_id": project_id,
        "name": checked_name(name),
        "upload": studio.media.put_file(upload),
        "filename": filename,
    }
    imports.tidy(studio)
    return jobs.create(studio, KIND, args)


@dataclass
class _Row:
    """A row that waits for its picture to be looked at."""

    line: int
    logged: Logged
    data: bytes | None


class _Loader:
    """Takes records one by one, keeps what is sound, and stores it by groups."""

    def __init__(self, studio: Studio, project_id: int, name: str) -> None:
        self.studio, self.project_id, self.name = studio, project_id, name
        self.report = Report()
        self._waiting: list[_Row] = []
        self._bytes = 0
        self._ready: dict[rollout_groups.Key, list[Drawn]] = {}
        self._num_ready = 0
        self._same: Counter[tuple[rollout_groups.Key, str]] = Counter()

    def load(self, part: Part) -> Iterator[float]:
        """Load one file; yields the share of it that is done from time to time."""
        share = 0.0
        try:
            with part.path.open("rb") as file:
                for entry in formats.records(file, f"'{part.name}'"):
                    share = entry.share
                    self._take(part, entry)
                    if len(self._waiting) >= PICTURES or self._bytes >= PICTURE_BYTES:
                        self._look(part)
                        yield share
        except InputError as error:
            self._tell(part, 1, "file", str(error).removesuffix("."))
        except OSError as error:
            self._tell(part, 1, "file", f"cannot be read on: {error.strerror or error}")
        self._look(part)
        yield 1.0

    def flush(self) -> None:
        """Store all groups that wait."""
        self._store(list(self._ready))

    def _take(self, part: Part, entry: Entry) -> None:
        """Read a record and its picture, or tell what is wrong with it."""
        try:
            if entry.fault or entry.record is None:
                raise entry.fault or Fault("line", "holds no record")
            row = logged.read(entry.record, part.name)
            fault = prompts.fault_of(row.prompt)
            if fault:
                raise Fault("prompt", fault)
            if not all(map(can_be_stored, (row.text, row.group, *row.rewards))):
                raise Fault("completion", "has a zero byte or half a character")
            data = self._read(part, row) if row.picture else None
        except Fault as fault_:
            self._tell(part, entry.number, fault_.column, fault_.reason)
            return
        self._waiting.append(_Row(entry.number, row, data))
        self._bytes += len(data or b"")

    def _read(self, part: Part, row: Logged) -> bytes:
        try:
            if row.picture in row.blobs:
                return row.blobs[row.picture]
            if HASH.fullmatch(row.picture) and self.studio.media.exists(row.picture):
                return self.studio.media.read(row.picture)
            return part.pictures.read(row.picture)
        except InputError as error:
            raise Fault("image", str(error).removesuffix(".")) from None

    def _look(self, part: Part) -> None:
        """Decode, check and keep the pictures that wait; their rows are ready for their groups."""
        rows, self._waiting, self._bytes = self._waiting, [], 0
        free = self.studio.media.free_bytes()
        if free is not None and sum(len(row.data or b"") for row in rows) + SPARE_BYTES > free:
            raise EnvironmentProblem(
                f"The disk of {self.studio.media.folder} has {free / 1e6:,.0f} MB free, and the "
                "next pictures need more; free some space and import the same files again."
            )

        def kept(row: _Row) -> tuple[str, int, int] | InputError | None:
            if row.data is None:
                return None
            try:
                return self.studio.media.put_picture(row.data, filename=row.logged.picture[-80:])
            except InputError as error:
                return error

        with ThreadPoolExecutor(THREADS) as pool:
            looked = list(pool.map(kept, rows))
        for row, found in zip(rows, looked, strict=True):
            if isinstance(found, InputError):
                self._tell(part, row.line, "image", str(found).removesuffix("."))
            else:
                self._place(row.logged, found)

    def _place(self, row: Logged, picture: tuple[str, int, int] | None) -> None:
        key = rollout_groups.Key(row.step, row.prompt, row.group)
        told = f"{picture and picture[0]}\n{row.text}\n{sorted(row.rewards.items())}\n{row.seed}"
        content = hashlib.sha256(told.encode()).hexdigest()[:24]
        self._same[key, content] += 1
        row.blobs.clear()
        drawn = Drawn(f"{content}-{self._same[key, content]}", row, picture)
        self._ready.setdefault(key, []).append(drawn)
        self._num_ready += 1
        if self._num_ready >= ROWS:
            everything = self._num_ready >= MOST_ROWS
            self._store([one for one in self._ready if everything or one.step != row.step])

    def _store(self, keys: list[rollout_groups.Key]) -> None:
        if not keys:
            return
        groups = {key: self._ready.pop(key) for key in keys}
        self._num_ready -= sum(map(len, groups.values()))
        added = rollout_groups.store(self.studio, self.project_id, self.name, groups)
        done = self.report
        done.run_id, done.rows = added.run_id, done.rows + added.samples + added.already
        done.samples, done.already = done.samples + added.samples, done.already + added.already
        done.groups, done.computed = done.groups + added.groups, done.computed + added.computed

    def _tell(self, part: Part, line: int, column: str, reason: str) -> None:
        self.report.tell(formats.Problem(part.name, line, column, reason))
