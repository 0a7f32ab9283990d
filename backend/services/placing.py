"""Where the rows of an imported file go in a project: the pair of each, found again or made.

A pair is known by its content, its prompt and its pictures in any order; two texts too, and by the
picture they are about where the row names one. Prompts that no set of the project has go into a set
of their own; what comes from outside hangs on a policy that cannot draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import insert
from sqlalchemy.orm import Session

from backend.services import pairs, policies
from db import queries
from db.tables import Prompt, PromptSet, Sample, Study

IMPORT, IMPLICIT = "import", "implicit"
"""Where pairs come from: judgements that were given elsewhere, or clicks that were none."""
SET = "imported"
"""The prompt set that takes prompts which the project does not have."""

Content = tuple[str, ...]
"""A prompt and the hashes of its pictures: two, one that stands there twice, or four. Of texts
those of the words, and of the picture they are about if there is one."""
Key = tuple[str, ...]
"""The same with the hashes in their order: whichever picture is called a."""


@dataclass(frozen=True)
class Picture:
    """A picture that a row names, by the hash under which the studio has it or will have it; or a
    text, by the hash of its words."""

    media: str
    width: int
    height: int
    num_bytes: int = 0
    """Of a picture that is not here yet."""
    text: str | None = None


@dataclass
class Added:
    """What an import brought that was not here."""

    labels: int = 0
    pairs: int = 0
    pictures: int = 0
    prompts: int = 0
    already: int = 0
    """Rows that the project had before."""

    def add(self, other: Added) -> None:
        """Count what another batch brought."""
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


@dataclass(frozen=True)
class Placed:
    """The pair of a row, with its pictures in the pair's own order."""

    pair_id: int
    media: tuple[str, ...]


def lay(
    session: Session,
    project_id: int,
    rows: Sequence[Content],
    pictures: dict[str, Picture],
    source: str = IMPORT,
    *,
    names: Sequence[str] = (),
    study: Study | None = None,
) -> tuple[list[Placed], Added]:
    """Find or make the pair of every content, in a transaction that is open.

    They are pairs of the queue, or of a study. `names` are what their sender calls them.

    Weak pairs (`source` implicit) are nobody's to judge; they become pairs like others when
    somebody's judgement of them is brought in.
    """
    added = Added()
    keys = [key(*row) for row in rows]
    study_id = None if study is None else study.id
    found = _pairs(session, project_id, {name for row in rows for name in row[1:]}, study_id)
    called = dict(zip(keys, names, strict=False))
    fresh = {one: row[1:] for one, row in zip(keys, rows, strict=True) if one not in found}
    if fresh:
        of_prompt = prompt_ids(session, project_id, [one[0] for one in fresh], added)
        parted = {one: _parted(media, pictures) for one, media in fresh.items()}
        wanted = {
            (of_prompt[one[0]], name) for one, (names_, _) in parted.items() for name in names_
        }
        sample_ids = _samples(session, project_id, wanted, pictures, added)
        made = [
            {
                "project_id": project_id,
                "prompt_id": of_prompt[one[0]],
                "sample_a_id": sample_ids[of_prompt[one[0]], media[0]],
                "sample_b_id": sample_ids[of_prompt[one[0]], media[1]],
                "source": source,
                "chooser": "import",
                "settled": source == IMPLICIT,
                "study_id": study_id,
                "overlap": 1 if study is None else int(study.config["overlap"]),
                "detail": _detail(
                    called.get(one, ""),
                    [sample_ids[of_prompt[one[0]], name] for name in media[2:]],
                    subject,
                ),
            }
            for one, (media, subject) in parted.items()
        ]
        added.pairs = len(made)
        for pair_id, (one, media) in zip(pairs.add(session, made), fresh.items(), strict=True):
            found[one] = Placed(pair_id, media)
    if source != IMPLICIT:
        queries.adopt(session, [found[one].pair_id for one in keys], IMPLICIT, source)
    return [found[one] for one in keys], added


def _detail(name: str, more: list[int], subject: str) -> dict[str, Any]:
    found = {"key": name, "more": more, "subject": subject}
    return {part: value for part, value in found.items() if value}


def _parted(media: Content, pictures: dict[str, Picture]) -> tuple[Content, str]:
    """What stands there to be judged, and the picture that texts are about, or nothing."""
    is_text = media[0] in pictures and pictures[media[0]].text is not None
    return (media[:2], "".join(media[2:])) if is_text else (media, "")


def key(prompt: str, *media: str) -> Key:
    """The content of a pair, in whichever order its pictures stand."""
    return prompt, *sorted(media)


def _pairs(
    session: Session, project_id: int, media: Iterable[str], study_id: int | None
) -> dict[Key, Placed]:
    """Pairs of these pictures by their content; of texts about a picture also without it, where no
    others are about none: a row that names no picture may come from a format without a place for
    it."""
    found: dict[Key, Placed] = {}
    about: dict[Key, Placed] = {}
    for some in queries.batches(media):
        there = queries.pairs_of_pictures(session, project_id, some, study_id)
        for pair_id, prompt, of_pair, subject in there:
            if subject:
                about.setdefault(key(prompt, *of_pair), Placed(pair_id, tuple(of_pair)))
                of_pair = [*of_pair, subject]
            found[key(prompt, *of_pair)] = Placed(pair_id, tuple(of_pair))
    return about | found


def prompt_ids(
    session: Session, project_id: int, texts: Iterable[str], added: Added
) -> dict[str, int]:
    """Ids of prompts by their texts, made when no set of the project has them."""
    wanted = list(dict.fromkeys(texts))
    found: dict[str, int] = {}
    for some in queries.batches(wanted):
        found |= queries.prompts_by_text(session, project_id, some)
    absent = [text for text in wanted if text not in found]
    if not absent:
        return found
    row = queries.prompt_set_named(session, project_id, SET)
    if row is None:
        row = PromptSet(project_id=project_id, name=SET, split="train")
        session.add(row)
        session.flush()
    after = queries.prompt_counts(session, [row.id]).get(row.id, 0)
    made = [
        {"prompt_set_id": row.id, "position": after + number, "text": text}
        for number, text in enumerate(absent)
    ]
    added.prompts = len(made)
    return found | dict(zip(absent, _inserted(session, Prompt, made), strict=True))


def _samples(
    session: Session,
    project_id: int,
    wanted: set[tuple[int, str]],
    pictures: dict[str, Picture],
    added: Added,
) -> dict[tuple[int, str], int]:
    """(prompt id, hash) → sample id, made when the project does not have it."""
    found: dict[tuple[int, str], int] = {}
    for some in queries.batches({name for _prompt, name in wanted}):
        found |= queries.samples_of_pictures(session, project_id, some)
    absent = sorted(wanted - set(found))
    if not absent:
        return found
    policy = policies.imported(session, project_id)
    made = [
        {
            "project_id": project_id,
            "prompt_id": prompt_id,
            "policy_id": policy.id,
            "seed": 0,
            "media": name,
            "width": pictures[name].width,
            "height": pictures[name].height,
            "text": pictures[name].text,
            "settings": {"source": "import"},
        }
        for prompt_id, name in absent
    ]
    added.pictures = sum(row["text"] is None for row in made)
    return found | dict(zip(absent, _inserted(session, Sample, made), strict=True))


def _inserted(
    session: Session, table: type[Prompt | Sample], rows: list[dict[str, Any]]
) -> list[int]:
    """Ids of new rows, in their order."""
    return list(
        session.scalars(insert(table).returning(table.id, sort_by_parameter_order=True), rows)
    )
