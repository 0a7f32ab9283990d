"""Where the rows of an imported file go in a project: the pair of each, found again or made.

A pair is known by its content, its prompt and its two pictures in any order. Prompts that no set of
the project has go into a set of their own; pictures from outside hang on a policy that cannot draw.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy.orm import Session

from backend.preferences.formats import PairRow
from backend.services import pairs, policies
from backend.services.studio import Studio
from db import queries
from db.tables import Prompt, PromptSet, Sample

SET = "imported"
"""The prompt set that takes prompts which the project does not have."""
BATCH = 500
"""Values that are asked about in one statement."""

Key = tuple[str, str, str]
"""A pair by its content: its prompt and the hashes of its pictures in their order."""


@dataclass(frozen=True)
class Picture:
    """A picture that a row names, by the hash under which the studio has it or will have it."""

    media: str
    width: int
    height: int
    num_bytes: int = 0
    """Of a picture that is not here yet."""


@dataclass
class Added:
    """What an import brought that was not here."""

    labels: int = 0
    pairs: int = 0
    pictures: int = 0
    prompts: int = 0
    already: int = 0
    """Rows that the project had before."""


@dataclass(frozen=True)
class Placed:
    """The pair of a row; `is_turned` when the row's picture a is the pair's picture b."""

    pair_id: int
    is_turned: bool


def lay(
    studio: Studio,
    session: Session,
    project_id: int,
    rows: Sequence[PairRow],
    known: dict[str, Picture],
) -> tuple[list[Placed], Added]:
    """Find or make the pair of every row, in a transaction that is open."""
    studio.store.serialise(session, "import", project_id)
    added = Added()
    seen = {picture.media: picture for picture in known.values()}
    both = [(known[row.image_a].media, known[row.image_b].media) for row in rows]
    keys = [_key(row.prompt, *media) for row, media in zip(rows, both, strict=True)]
    found = _pairs(session, project_id, seen)
    fresh = {key: media for key, media in zip(keys, both, strict=True) if key not in found}
    if fresh:
        prompt_ids = _prompts(session, project_id, [key[0] for key in fresh], added)
        wanted = {(prompt_ids[key[0]], name) for key in fresh for name in key[1:]}
        sample_ids = _samples(session, project_id, wanted, seen, added)
        made = [
            {
                "project_id": project_id,
                "prompt_id": prompt_ids[key[0]],
                "sample_a_id": sample_ids[prompt_ids[key[0]], a],
                "sample_b_id": sample_ids[prompt_ids[key[0]], b],
                "source": "import",
                "chooser": "import",
            }
            for key, (a, b) in fresh.items()
        ]
        added.pairs = len(made)
        for pair_id, (key, (a, _b)) in zip(pairs.add(session, made), fresh.items(), strict=True):
            found[key] = (pair_id, a)
    placed = [
        Placed(found[key][0], is_turned=found[key][1] != a)
        for key, (a, _b) in zip(keys, both, strict=True)
    ]
    return placed, added


def batches(values: Iterable[str]) -> Iterator[list[str]]:
    """The values in lists short enough for one statement."""
    every = list(values)
    for start in range(0, len(every), BATCH):
        yield every[start : start + BATCH]


def _key(prompt: str, a: str, b: str) -> Key:
    return (prompt, a, b) if a < b else (prompt, b, a)


def _pairs(session: Session, project_id: int, media: Iterable[str]) -> dict[Key, tuple[int, str]]:
    """Pairs of these pictures by their content: (pair id, its picture a)."""
    return {
        _key(prompt, a, b): (pair_id, a)
        for some in batches(media)
        for pair_id, prompt, a, b in queries.pairs_of_pictures(session, project_id, some)
    }


def _prompts(
    session: Session, project_id: int, texts: Iterable[str], added: Added
) -> dict[str, int]:
    """Ids of prompts by their texts, made when no set of the project has them."""
    wanted = list(dict.fromkeys(texts))
    found: dict[str, int] = {}
    for some in batches(wanted):
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
        Prompt(prompt_set_id=row.id, position=after + number, text=text)
        for number, text in enumerate(absent)
    ]
    session.add_all(made)
    session.flush()
    added.prompts = len(made)
    return found | {prompt.text: prompt.id for prompt in made}


def _samples(
    session: Session,
    project_id: int,
    wanted: set[tuple[int, str]],
    pictures: dict[str, Picture],
    added: Added,
) -> dict[tuple[int, str], int]:
    """(prompt id, hash) → sample id, made when the project does not have it."""
    found: dict[tuple[int, str], int] = {}
    for some in batches({name for _prompt, name in wanted}):
        found |= queries.samples_of_pictures(session, project_id, some)
    absent = sorted(wanted - set(found))
    if not absent:
        return found
    policy = policies.imported(session, project_id)
    made = [
        Sample(
            project_id=project_id,
            prompt_id=prompt_id,
            policy_id=policy.id,
            seed=0,
            media=name,
            width=pictures[name].width,
            height=pictures[name].height,
            settings={"source": "import"},
        )
        for prompt_id, name in absent
    ]
    session.add_all(made)
    session.flush()
    added.pictures = len(made)
    return found | {(sample.prompt_id, sample.media): sample.id for sample in made}
