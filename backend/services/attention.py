"""Attention checks: facts, never taste, made of the items of a study.

A picture against that of another prompt, a picture against the same one damaged, an item shown
again with its sides changed: whoever looks answers the first two alike, and the third as before.
"""

from __future__ import annotations

import io
import random
from typing import Any

from PIL import Image, ImageFilter
from sqlalchemy import ColumnElement, func
from sqlalchemy.orm import Session

from backend.preferences.studies import StudyConfig
from backend.services import pairs, policies, samples
from backend.services.comparisons import UNLIMITED
from backend.services.studio import Studio
from db import queries
from db.tables import Sample, Study

KINDS = ("distant", "damaged", "repeat")
"""Made in turn."""
LEAST = 12
"""Attention checks of a study that has any, so that nobody learns them by heart at once."""
TWIN = "check"
"""The source of samples that are made for attention checks."""


def add(studio: Studio, study_id: int, seed: int = 0) -> int:
    """Make the attention checks a study wants and has not; returns how many were made.

    Their number follows the study's share of them. Only pictures are checked.
    """
    with studio.read() as session:
        row = session.get_one(Study, study_id)
        config = StudyConfig.read(row.config)
        if row.kind != "images" or config.attention == 0 or row.status == "drawing":
            return 0
        rng = random.Random(f"checks:{study_id}:{seed}")
        there, items = queries.study_check_counts(session, study_id)
        wanted = max(LEAST, round(config.attention * items)) - there
        drawn_from = queries.study_items(session, study_id, rng.random(), max(2 * wanted, 2))
    made = []
    for number in range(max(0, wanted) if drawn_from else 0):
        item = drawn_from[number % len(drawn_from)]
        other = next((one for one in drawn_from if one.prompt != item.prompt), None)
        kind = KINDS[(there + number) % len(KINDS)]
        if kind == "distant" and other is None:
            kind = "damaged"
        damaged = _damage(studio, item.media_a, rng) if kind == "damaged" else ""
        made.append((kind, item, other, damaged, rng.random()))
    with studio.write() as session:
        row = session.get_one(Study, study_id)
        pairs.add(session, [_check(session, row, *one) for one in made])
    return len(made)


def _check(
    session: Session,
    study: Study,
    kind: str,
    item: queries.Item,
    other: queries.Item | None,
    damaged: str,
    shuffle: float,
) -> dict[str, Any]:
    """The row of an attention check; a is always the one that is right."""
    a, b = item.sample_a, item.sample_b
    fact: dict[str, Any] = {"kind": kind, "expected": "a"}
    if kind == "distant" and other is not None:
        b = other.sample_a
    elif kind == "damaged":
        b = _twin(session, item.sample_a, damaged)
    else:
        fact = {"kind": kind, "of": item.pair_id}
    return {
        "project_id": study.project_id,
        "prompt_id": item.prompt_id,
        "sample_a_id": a,
        "sample_b_id": b,
        "study_id": study.id,
        "source": "check",
        "chooser": "all",
        "overlap": UNLIMITED,
        "shuffle": shuffle,
        "fact": fact,
    }


def _twin(session: Session, sample_id: int, media: str) -> int:
    """A sample like that one with another picture, for checks alone."""
    one = session.get_one(Sample, sample_id)
    twin = Sample(
        project_id=one.project_id,
        prompt_id=one.prompt_id,
        policy_id=policies.imported(session, one.project_id).id,
        seed=one.seed,
        media=media,
        width=one.width,
        height=one.height,
        settings={"source": TWIN},
    )
    session.add(twin)
    session.flush()
    return twin.id


def _damage(studio: Studio, media: str, rng: random.Random) -> str:
    """The picture with its tiles out of order and blurred: nobody can prefer it. Its new hash."""
    image = Image.open(io.BytesIO(studio.media.read(media))).convert("RGB")
    width, height = image.width // 4, image.height // 4
    if not width or not height:
        return studio.media.put(_png(image.point(lambda value: 255 - value)))
    places = [(x * width, y * height) for x in range(4) for y in range(4)]
    broken = image.copy()
    for (x, y), (to_x, to_y) in zip(places, rng.sample(places, len(places)), strict=True):
        broken.paste(image.crop((x, y, x + width, y + height)), (to_x, to_y))
    return studio.media.put(_png(broken.filter(ImageFilter.BoxBlur(max(1, image.width // 64)))))


def _png(image: Image.Image) -> bytes:
    out = io.BytesIO()
    image.save(out, "PNG")
    return out.getvalue()


def is_no_twin() -> ColumnElement[bool]:
    """Samples that somebody drew of their prompt or brought, not those made for attention checks
    alone, nor those asked for in other words than the prompt's."""
    source = func.coalesce(Sample.settings["source"].as_string(), "")
    return source.not_in((TWIN, samples.REWRITTEN))
