"""What rewards say of pictures, and what judges on servers were asked and took for it."""

from __future__ import annotations

from sqlalchemy import JSON, BigInteger, ForeignKey, Index, Integer, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables._base import Base, JsonDict, key, now


class Reward(Base):
    """A configured scorer in one fixed version."""

    __tablename__ = "reward"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    kind: Mapped[str]  # key in backend/rewards
    version: Mapped[str]
    config: Mapped[JsonDict] = mapped_column(default=dict)
    weights: Mapped[str | None] = mapped_column(default=None)  # media hash, safetensors
    figures: Mapped[JsonDict] = mapped_column(default=dict)  # accuracy, intervals, pairs, curve
    created_at: Mapped[float] = now()


class Score(Base):
    """What one reward said of one sample. A failure is a null value with a status, never 0."""

    __tablename__ = "score"
    id: Mapped[int] = key()
    sample_id: Mapped[int] = mapped_column(ForeignKey("sample.id"))
    reward_id: Mapped[int] = mapped_column(ForeignKey("reward.id"))
    criterion: Mapped[str] = mapped_column(default="total")
    value: Mapped[float | None]
    status: Mapped[str] = mapped_column(default="ok")
    # ok | abstain | n/a, or why it failed: Status of backend/rewards/interface.py
    detail: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[str] = mapped_column(default="", server_default=sql("''"))
    # hash of code, weights and settings, as backend/rewards/_version.py makes it
    created_at: Mapped[float] = now()
    __table_args__ = (
        Index("uq_score", "sample_id", "reward_id", "criterion", unique=True),
        Index("ix_score_reward", "reward_id", "criterion", "value"),
    )


class Judgement(Base):
    """One question to a judge on a server, and what it said: the same question is paid for once.

    People's judgements have this shape in `label`, which is append-only and knows who was asked;
    backend/services/judgements.py reads both as one.
    """

    __tablename__ = "judgement"
    id: Mapped[int] = key()
    question: Mapped[str]  # hash of address, model, revision, template, decoding and pictures
    version: Mapped[str] = mapped_column(default="")  # of the reward that read the answer
    kind: Mapped[str] = mapped_column(default="")  # key in backend/rewards
    criterion: Mapped[str] = mapped_column(default="")  # what was asked
    context: Mapped[str] = mapped_column(default="")  # hash of the prompt
    first: Mapped[str] = mapped_column(default="")  # hash of the pixels that were shown first
    second: Mapped[str] = mapped_column(default="")  # and second; empty for a single picture
    vote: Mapped[int] = mapped_column(default=0)
    value: Mapped[float | None]
    status: Mapped[str]  # asked | given up | ok | abstain | error
    reason: Mapped[str] = mapped_column(Text, default="")
    answer: Mapped[JsonDict | None] = mapped_column(JSON(none_as_null=True))
    # as the server gave it, to be read again at no cost
    tokens: Mapped[int] = mapped_column(default=0)
    money: Mapped[float] = mapped_column(default=0.0)
    latency_s: Mapped[float | None]
    created_at: Mapped[float] = now()
    __table_args__ = (
        Index("uq_judgement", "question", unique=True),
        Index("ix_judgement_shown", "first", "second"),
    )


class Purse(Base):
    """What a run has spent of its budget for one judge on a server, calls under way as they are
    expected; all of its workers share the row."""

    __tablename__ = "purse"
    run_id: Mapped[int] = mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=False
    )
    judge: Mapped[str] = mapped_column(primary_key=True)  # kind, and a hash of what is asked
    tokens: Mapped[int] = mapped_column(BigInteger, default=0)
    money: Mapped[float] = mapped_column(default=0.0)
