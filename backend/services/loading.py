"""Rows into the store, a batch at a time: their pictures looked at and kept, then one transaction.

Pictures are decoded, hashed and written by a few threads, which do their work outside of Python's
lock; a batch ends at so many rows or so many bytes, so that memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import EnvironmentProblem, InputError
from backend.preferences.formats import PairRow, Row
from backend.services import judgement_rows, labels, placing, row_faults, settling, studies, users
from backend.services.judgement_rows import Judged, Media
from backend.services.media import HASH, checked_picture
from backend.services.pictures import NoPictures, Pictures
from backend.services.placing import Added, Picture, Placed
from backend.services.studio import Studio
from db.tables import Sample, Study

ROWS = 500
BYTES = 64_000_000
"""A batch is full at so many rows, or at so many bytes of pictures."""
REMEMBERED = 50_000
"""Pictures that are known again by their names in later batches."""
SPARE_BYTES = 50_000_000
"""Space that must be left on the disk beside the pictures."""
THREADS, HANDFUL = 4, 16
T = TypeVar("T")
R = TypeVar("R")

Tell = Callable[[int, str, str], None]
"""Told of a fault: line, column, reason."""
Named = tuple[int, Row, Media]
"""A row with its line and its pictures."""
Look = tuple[bytes, Picture] | InputError
"""A picture as it will be kept, or why it will not."""


class Loader:
    """Takes rows one by one and brings them into a project by batches."""

    def __init__(
        self, studio: Studio, project_id: int, somebody: str, study_id: int | None = None
    ) -> None:
        self.studio, self.project_id, self.somebody = studio, project_id, somebody
        self.study_id = study_id
        self.pictures: Pictures = NoPictures()
        self.num_rows = 0
        """Rows of the last batch that are here now."""
        self._kind = "images" if study_id is None else _kind_of(studio, study_id)
        self._rows: list[tuple[int, PairRow, Media]] = []
        self._raw: dict[str, bytes] = {}
        self._texts: dict[str, Picture] = {}
        """The words of this batch."""
        self._num_bytes = 0
        self._known: dict[str, Picture] = {}

    def begin(self, pictures: Pictures) -> None:
        """From here on rows name their pictures in another place."""
        self.pictures, self._known = pictures, {}

    @property
    def is_full(self) -> bool:
        """Whether the batch should be flushed before more is taken."""
        return len(self._rows) >= ROWS or self._num_bytes >= BYTES

    def take(self, line: int, row: PairRow, tell: Tell) -> None:
        """Read a row's pictures and keep it for the batch, or tell what is wrong with it."""
        if self._kind == "texts" and isinstance(row, Row) and row.may_be_text:
            row = replace(row, text_a=row.image_a, text_b=row.image_b, image_a="", image_b="")
        fault = row_faults.of_row(row, self._kind, self.somebody)
        if fault:
            tell(line, *fault)
            return
        blobs = row.blobs if isinstance(row, Row) else {}
        keys = [self._text(text) for text in (row.text_a, row.text_b) if text]
        for side, name in judgement_rows.pictured(row):
            try:
                keys.append(self._read(name, blobs.get(name)))
            except InputError as error:
                tell(line, side, str(error).removesuffix("."))
                return
        self._rows.append((line, row, tuple(keys)))

    def flush(self, tell: Tell) -> Added:
        """Bring the batch in and begin the next; faults that show only now are told."""
        rows, raw = self._rows, self._raw
        self._rows, self._raw, self._num_bytes, self.num_rows = [], {}, 0, 0
        if not rows:
            return Added()
        fresh = self._looked_at(raw)
        sound: list[tuple[int, PairRow]] = []
        named: list[Media] = []
        for line, row, keys in rows:
            fault = self._fault_of_pictures(keys, fresh)
            if fault:
                tell(line, *fault)
            else:
                sound.append((line, row))
                named.append(tuple(self._picture(key, fresh).media for key in keys))
        self._keep(fresh, {key for _line, _row, keys in rows for key in keys})
        added, self._texts = self._stored(sound, named, tell), {}
        return added

    # --- looking ---------------------------------------------------------------------------------

    def _read(self, name: str, blob: bytes | None) -> str:
        """The key of a picture in this batch; its bytes are read unless it is known."""
        if blob is not None:
            key = f"blob:{hashlib.sha256(blob).hexdigest()}"
            data = blob
        else:
            key = f"name:{name}"
            if key in self._known or key in self._raw:
                return key
            found = self._of_studio(name)
            if found:
                self._remember(key, found)
                return key
            data = self._bytes(name)
        if key not in self._raw and key not in self._known:
            self._raw[key] = data
            self._num_bytes += len(data)
        return key

    def _text(self, text: str) -> str:
        """The key of a text in this batch."""
        media = hashlib.sha256(text.encode()).hexdigest()
        if media not in self._texts:
            self._texts[media] = Picture(media, 0, 0, text=text)
            self._num_bytes += len(text)
        return media

    def _of_studio(self, name: str) -> Picture | None:
        """The picture of this studio with that hash."""
        if not HASH.fullmatch(name):
            return None
        asked = select(Sample.media, Sample.width, Sample.height).where(Sample.media == name)
        with self.studio.read() as session:
            found = session.execute(asked.limit(1)).one_or_none()
        return Picture(*found) if found else None

    def _bytes(self, name: str) -> bytes:
        """Those of a picture beside the rows, or of one that texts here are about."""
        if self._kind == "texts" and HASH.fullmatch(name) and self.studio.media.exists(name):
            return self.studio.media.read(name)
        return self.pictures.read(name)

    def _looked_at(self, raw: dict[str, bytes]) -> dict[str, Look]:
        def look(key: str) -> Look:
            try:
                data, width, height = checked_picture(raw[key], key.partition(":")[2])
            except InputError as error:
                return error
            return data, Picture(hashlib.sha256(data).hexdigest(), width, height, len(data))

        found = _shared(lambda keys: [look(key) for key in keys], list(raw))
        return dict(zip(raw, found, strict=True))

    def _picture(self, key: str, fresh: dict[str, Look]) -> Picture:
        if key in self._known:
            return self._known[key]
        if key in self._texts:
            return self._texts[key]
        found = fresh[key]
        assert not isinstance(found, InputError), "faulty pictures were told before"
        return found[1]

    def _fault_of_pictures(self, keys: Media, fresh: dict[str, Look]) -> tuple[str, str] | None:
        sides = ("image_a", "image_b", "more", "more")
        if self._kind == "texts":
            sides = ("text_a", "text_b", "subject", "")
        for side, key in zip(sides, keys, strict=False):
            found = fresh.get(key)
            if isinstance(found, InputError):
                return side, str(found).removesuffix(".")
        if self._kind not in ("single", "texts") and (
            self._picture(keys[0], fresh).media == self._picture(keys[1], fresh).media
        ):
            return "image_b", "is the same picture as image_a"
        return None

    def _keep(self, fresh: dict[str, Look], wanted: set[str]) -> None:
        """Write the pictures; refused before the first of the batch when they do not fit."""
        found = {key: one for key, one in fresh.items() if not isinstance(one, InputError)}
        size, free = (
            sum(len(data) for data, _picture in found.values()),
            self.studio.media.free_bytes(),
        )
        if found and free is not None and size + SPARE_BYTES > free:
            raise EnvironmentProblem(
                f"The next {len(found):,} pictures need {size / 1e6:,.0f} MB, and the disk of "
                f"{self.studio.media.folder} has {free / 1e6:,.0f} MB free. What was imported "
                "before them is kept; free some space and send the same file again."
            )
        _shared(self.studio.media.put_all, [found[key][0] for key in found if key in wanted])
        for key, (_data, picture) in found.items():
            self._remember(key, picture)

    def _remember(self, key: str, picture: Picture) -> None:
        if len(self._known) >= REMEMBERED:
            for old in list(self._known)[: REMEMBERED // 2]:
                del self._known[old]
        self._known[key] = picture

    # --- writing ---------------------------------------------------------------------------------

    def _stored(self, sound: list[tuple[int, PairRow]], named: list[Media], tell: Tell) -> Added:
        known = {one.media: one for one in (*self._known.values(), *self._texts.values())}
        added = Added()
        with self.studio.write() as session:
            self.studio.store.serialise(session, "import", self.project_id)
            judged = [
                (line, row, media)
                for (line, row), media in zip(sound, named, strict=True)
                if isinstance(row, Row)
            ]
            plain = [
                (row, (row.prompt, *media))
                for (_line, row), media in zip(sound, named, strict=True)
                if not isinstance(row, Row)
            ]
            if plain:
                _placed, laid = self._laid(session, plain, known)
                laid.already = len(plain) - laid.pairs
                added.add(laid)
                self.num_rows += len(plain)
            for implicit in (False, True):
                some = [one for one in judged if one[1].implicit is implicit]
                if some:
                    added.add(self._judged(session, some, known, tell))
        return added

    def _judged(
        self,
        session: Session,
        rows: list[Named],
        known: dict[str, Picture],
        tell: Tell,
    ) -> Added:
        """Labels of people, of simulated annotators or implicit ones, with their pairs."""
        ready, already = self._new(session, rows, tell)
        source = placing.IMPLICIT if rows[0][1].implicit else placing.IMPORT
        rows_of = [(row, (row.prompt, *media)) for _line, row, media, _who, _id in ready]
        placed, added = self._laid(session, rows_of, known, source)
        now = time.time()
        fresh = [
            judgement_rows.label(row, media, who, label_id, place, now)
            for (_line, row, media, who, label_id), place in zip(ready, placed, strict=True)
        ]
        if fresh:
            added.labels = len(labels.insert(session, self.studio.store.dialect, fresh))
            if source == placing.IMPORT:
                settling.settle_many(session, {label["pair_id"] for label in fresh})
        added.already = already
        self.num_rows += len(fresh) + already
        return added

    def _laid(
        self,
        session: Session,
        rows: Sequence[tuple[PairRow, placing.Content]],
        known: dict[str, Picture],
        source: str = placing.IMPORT,
    ) -> tuple[list[Placed], Added]:
        """The pairs of rows with their contents, in the queue or in the study that was named."""
        study = None if self.study_id is None else session.get(Study, self.study_id)
        contents, names = [content for _row, content in rows], [row.key for row, _content in rows]
        return placing.lay(
            session, self.project_id, contents, known, source, names=names, study=study
        )

    def _new(self, session: Session, rows: list[Named], tell: Tell) -> tuple[list[Judged], int]:
        """Rows whose judgement is not here, and the number of those whose judgement is."""
        people: dict[tuple[str, str], int | InputError] = {}
        given = []
        for line, row, media in rows:
            who = (row.annotator or self.somebody, judgement_rows.kind(row))
            if who not in people:
                people[who] = _annotator(session, *who)
            user = people[who]
            if isinstance(user, InputError):
                tell(line, "annotator", str(user).removesuffix("."))
            else:
                given.append(
                    (line, row, media, user, row.id or judgement_rows.made_id(row, *media))
                )
        seen = judgement_rows.contents(session, given)
        already, ready = 0, []
        for line, row, media, user, label_id in given:
            mine = (user, label_id)
            shown = media[:2] if row.is_text else media  # not the picture texts are about
            key = (self.project_id, placing.key(row.prompt, *shown))
            if mine not in seen:
                seen[mine] = key
                ready.append((line, row, media, user, label_id))
            elif seen[mine] == key:
                already += 1
            else:
                tell(line, "id", f"'{label_id}' names another judgement of this annotator already")
        return ready, already


def _shared(work: Callable[[list[T]], list[R]], things: list[T]) -> list[R]:
    """`work` done on all of the things by a few threads, a handful at a time."""
    handfuls = [things[at : at + HANDFUL] for at in range(0, len(things), HANDFUL)]
    with ThreadPoolExecutor(THREADS) as pool:
        return [done for part in pool.map(work, handfuls) for done in part]


def _annotator(session: Session, name: str, kind: str) -> int | InputError:
    try:
        return users.annotator(session, name, kind)
    except InputError as error:
        return error


def _kind_of(studio: Studio, study_id: int) -> str:
    with studio.read() as session:
        return studies.find(session, study_id).kind
