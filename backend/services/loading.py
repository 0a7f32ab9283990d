"""Rows into the store, a batch at a time: their pictures looked at and kept, then one transaction.

Pictures are decoded, hashed and written by a few threads, which do their work outside of Python's
lock; a batch ends at so many rows or so many bytes, so that memory does not grow with the file.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from sqlalchemy import select
from sqlalchemy.orm import Session, aliased

from backend.errors import EnvironmentProblem, InputError
from backend.preferences.formats import PairRow, Row
from backend.preferences.formats._rows import RANKED, RATED
from backend.services import labels, placing, row_faults, settling, studies, users
from backend.services.media import HASH, checked_picture
from backend.services.pictures import NoPictures, Pictures
from backend.services.placing import Added, Key, Picture, Placed
from backend.services.studio import Studio
from db import queries
from db.tables import Label, Pair, Prompt, Sample, Study

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
Media = tuple[str, ...]
"""The hashes of a row's pictures; of one picture the same twice."""
Named = tuple[int, Row, Media]
"""A row with its line and its pictures."""
Judged = tuple[int, Row, Media, int, str]
"""The same with its user and its id."""
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
        fault = row_faults.of_row(row, self._kind, self.somebody)
        if fault:
            tell(line, *fault)
            return
        blobs = row.blobs if isinstance(row, Row) else {}
        keys = []
        more = [("more", name) for name in row.more]
        for side, name in (("image_a", row.image_a), ("image_b", row.image_b), *more):
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
        return self._stored(sound, named, tell)

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
            data = self.pictures.read(name)
        if key not in self._raw and key not in self._known:
            self._raw[key] = data
            self._num_bytes += len(data)
        return key

    def _of_studio(self, name: str) -> Picture | None:
        """The picture of this studio with that hash."""
        if not HASH.fullmatch(name):
            return None
        asked = select(Sample.media, Sample.width, Sample.height).where(Sample.media == name)
        with self.studio.read() as session:
            found = session.execute(asked.limit(1)).one_or_none()
        return Picture(*found) if found else None

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
        found = fresh[key]
        assert not isinstance(found, InputError), "faulty pictures were told before"
        return found[1]

    def _fault_of_pictures(self, keys: Media, fresh: dict[str, Look]) -> tuple[str, str] | None:
        for side, key in zip(("image_a", "image_b", "more", "more"), keys, strict=False):
            found = fresh.get(key)
            if isinstance(found, InputError):
                return side, str(found).removesuffix(".")
        if self._kind != "single" and (
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
        known = {picture.media: picture for picture in self._known.values()}
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
            _label(row, media, who, label_id, place, now)
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
            who = (row.annotator or self.somebody, _kind(row))
            if who not in people:
                people[who] = _annotator(session, *who)
            user = people[who]
            if isinstance(user, InputError):
                tell(line, "annotator", str(user).removesuffix("."))
            else:
                given.append((line, row, media, user, row.id or _made_id(row, *media)))
        seen = _contents(session, given)
        already, ready = 0, []
        for line, row, media, user, label_id in given:
            mine = (user, label_id)
            key = (self.project_id, placing.key(row.prompt, *media))
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


def _kind(row: Row) -> str:
    return placing.IMPLICIT if row.implicit else "simulated" if row.simulated else "person"


def _annotator(session: Session, name: str, kind: str) -> int | InputError:
    try:
        return users.annotator(session, name, kind)
    except InputError as error:
        return error


def _made_id(row: Row, *media: str) -> str:
    """An id for a row without one: the same judgement, brought in again, has the same."""
    chosen = {"a": media[0], "b": media[1]}.get(row.preferred, row.preferred)
    if row.preferred in (RATED, RANKED):
        said = [row.answers.get(name) for name in ("rating", "checklist")]
        chosen = str([*said, *(media[place] for place in _places(row))])
    content = "\n".join([*sorted(media), chosen, str(row.t_answer), row.prompt])
    return f"import/{hashlib.sha256(content.encode()).hexdigest()[:32]}"


def _contents(session: Session, given: Iterable[Judged]) -> dict[tuple[int, str], tuple[int, Key]]:
    """(user, client id) → project and content of the pair of those judgements that are here."""
    people = sorted({one[3] for one in given})
    a, b = aliased(Sample), aliased(Sample)
    found: dict[tuple[int, str], tuple[int, Key]] = {}
    for some in queries.batches({one[4] for one in given}):
        rows = session.execute(
            select(
                Label.user_id,
                Label.client_id,
                Pair.project_id,
                Prompt.text,
                a.media,
                b.media,
                Pair.detail,
            )
            .join(Pair, Pair.id == Label.pair_id)
            .join(Prompt, Prompt.id == Pair.prompt_id)
            .join(a, a.id == Pair.sample_a_id)
            .join(b, b.id == Pair.sample_b_id)
            .where(Label.user_id.in_(people), Label.client_id.in_(some))
        ).all()
        more = queries.further_media(session, [row[-1] for row in rows])
        for who, label_id, project_id, *content, detail in rows:
            further = [more[sample] for sample in detail.get("more", [])]
            found[who, label_id] = (project_id, placing.key(*content, *further))
    return found


def _places(row: Row) -> list[int]:
    """Which of four are the best and the worst, from 0; of one picture nothing."""
    return ["abcd".index(row.answers[name]) for name in ("best", "worst") if name in row.answers]


def _kind_of(studio: Studio, study_id: int) -> str:
    with studio.read() as session:
        return studies.find(session, study_id).kind


def _label(
    row: Row, media: Media, user_id: int, client_id: str, place: placing.Placed, now: float
) -> dict[str, Any]:
    """A row as the store has it: sides instead of letters, in the order of the pair."""
    is_turned = len(media) == 2 and media[0] != place.media[0]
    left = queries.OTHER[row.shown_left] if is_turned else row.shown_left
    answers = dict(row.answers)
    if row.preferred == RANKED:
        letters = ("abcd"[place.media.index(media[at])] for at in _places(row))
        answers |= dict(zip(("best", "worst"), letters, strict=True))
    choice: str = row.preferred
    if choice in ("a", "b"):
        choice = "left" if choice == row.shown_left else "right"
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
        "answers": answers,
        "chooser": row.chooser,
        "propensity": row.propensity,
        # When it was given, as far as is known: Today counts what was judged today by this.
        "created_at": min(row.t_answer or now, now),
    }
