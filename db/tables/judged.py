"""What people judge: studies, pairs, who holds which, and every judgement.

Labels are append-only: an undo is a new row.
"""

from __future__ import annotations

import random
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text, false
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables._base import Base, JsonDict, key, now


class Study(Base):
    """A question put to people about items of one kind, and who is asked how often."""

    __tablename__ = "study"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    kind: Mapped[str]  # images | texts | single | best_worst
    config: Mapped[JsonDict]  # StudyConfig of backend/preferences/studies.py
    status: Mapped[str] = mapped_column(default="open")  # open | drawing | closed
    job_id: Mapped[int | None] = mapped_column(default=None)
    created_at: Mapped[float] = now()


class Exclusion(Base):
    """A person whose answers of a study do not count; the answers stay where they are."""

    __tablename__ = "exclusion"
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    made_by: Mapped[str] = mapped_column(default="", server_default="")  # the name at that time
    created_at: Mapped[float] = now()


class Pair(Base):
    """What is judged in one go: two samples of one prompt, or as the kind of its study says.

    In a comparison, a is base and b is tuned. One sample alone stands in both places; further ones
    are named in `detail`.
    """

    __tablename__ = "pair"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.id"))
    sample_a_id: Mapped[int] = mapped_column(ForeignKey("sample.id"))
    sample_b_id: Mapped[int] = mapped_column(ForeignKey("sample.id"))
    comparison_id: Mapped[int | None] = mapped_column(ForeignKey("comparison.id"), default=None)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), default=None)
    source: Mapped[str] = mapped_column(default="generate")
    # generate | study | check | rollouts | compare | import
    chooser: Mapped[str] = mapped_column(default="random")
    propensity: Mapped[float] = mapped_column(default=1.0)
    priority: Mapped[int] = mapped_column(default=0)
    overlap: Mapped[int] = mapped_column(default=1)
    settled: Mapped[bool] = mapped_column(default=False, server_default=false())
    # people have given enough verdicts: a hint kept with every label, so that the queue skips it
    verdicts: Mapped[int] = mapped_column(default=0, server_default=sql("0"))
    # of people that stand, kept with every label, so that progress is not counted anew
    utility: Mapped[float] = mapped_column(default=0.0, server_default=sql("0"))
    # how much a judgement would tell, by the study's chooser
    shuffle: Mapped[float] = mapped_column(default=random.random, server_default=sql("0"))
    # where a uniform draw finds it
    fact: Mapped[JsonDict | None] = mapped_column(JSON(none_as_null=True), default=None)
    # an attention check, never taste: {kind: distant | damaged | repeat, expected?, of?}
    detail: Mapped[JsonDict] = mapped_column(default=dict, server_default=sql("'{}'"))
    # {more: [sample ids], subject: media of the picture that texts are about}
    created_at: Mapped[float] = now()
    __table_args__ = (
        Index("ix_pair_queue", "project_id", "comparison_id", "settled", "priority", "id"),
        Index("ix_pair_study", "study_id", "settled", "shuffle"),
        Index(
            "ix_pair_progress",  # what a study's progress is counted from, without its pairs
            "study_id",
            "settled",
            "overlap",
            "verdicts",
            sqlite_where=sql("fact IS NULL"),
            postgresql_where=sql("fact IS NULL"),
        ),
    )


class Lease(Base):
    """A pair handed to one annotator for a while, so that nobody else is given it."""

    __tablename__ = "lease"
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    until: Mapped[float] = mapped_column(index=True)
    shown_left: Mapped[str]  # a | b: the side order survives a reload
    chooser: Mapped[str] = mapped_column(default="", server_default="")
    propensity: Mapped[float] = mapped_column(default=1.0, server_default=sql("1"))


class Label(Base):
    """One judgement. Append-only: `choice = 'retract'` takes back the label named in `retracts`."""

    __tablename__ = "label"
    id: Mapped[int] = key()
    pair_id: Mapped[int] = mapped_column(ForeignKey("pair.id"))
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"))
    client_id: Mapped[str]  # made by the browser: sent twice, stored once
    choice: Mapped[str]  # left | right | tie | both_bad | skip | rated | ranked | retract
    shown_left: Mapped[str]  # a | b: which sample stood on the left
    t_shown: Mapped[float]
    t_answer: Mapped[float]
    reasons: Mapped[list[Any]] = mapped_column(default=list)
    comment: Mapped[str] = mapped_column(Text, default="")
    answers: Mapped[JsonDict] = mapped_column(default=dict, server_default=sql("'{}'"))
    # Answers of backend/preferences/studies.py: aspects, regions, spans, rating, cause, ...
    chooser: Mapped[str] = mapped_column(default="", server_default="")
    propensity: Mapped[float] = mapped_column(default=1.0, server_default=sql("1"))
    # how the pair came to be handed out, and its chance relative to a uniform draw
    retracts: Mapped[int | None] = mapped_column(ForeignKey("label.id"), default=None, index=True)
    created_at: Mapped[float] = now()
    __table_args__ = (
        Index("uq_label_client", "user_id", "client_id", unique=True),
        Index("ix_label_user", "user_id", "id"),
        Index("ix_label_pair", "pair_id", "user_id"),
    )
