"""Runs: their records, trees, checkpoints, and what people and rules said while they went on."""

from __future__ import annotations

from typing import Any

from sqlalchemy import BigInteger, ForeignKey, Index, Integer, Text, false
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables._base import Base, JsonDict, key, now


class Run(Base):
    """One training run with its full resolved settings. `wanted` is what people asked of it."""

    __tablename__ = "run"
    __table_args__ = (Index("ix_run_shelf", "project_id", "hidden", "id"),)
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="waiting")
    # waiting | running | crashed | paused | done | stopped | failed
    wanted: Mapped[str] = mapped_column(default="run")  # run | pause | stop | halt
    config: Mapped[JsonDict]
    seed: Mapped[int] = mapped_column(BigInteger)
    code_version: Mapped[str] = mapped_column(default="")
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("run.id"), default=None)
    policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    tuned_policy_id: Mapped[int | None] = mapped_column(default=None)
    step: Mapped[int] = mapped_column(default=0)
    num_steps: Mapped[int]
    error: Mapped[str] = mapped_column(Text, default="")
    job_id: Mapped[int | None] = mapped_column(default=None)
    tags: Mapped[list[Any]] = mapped_column(default=list, server_default=sql("'[]'"))
    note: Mapped[str] = mapped_column(Text, default="", server_default="")
    hidden: Mapped[bool] = mapped_column(default=False, server_default=false())
    owner_id: Mapped[int | None] = mapped_column(BigInteger, default=None)  # user who began it
    created_at: Mapped[float] = now()
    started_at: Mapped[float | None] = mapped_column(default=None)
    ended_at: Mapped[float | None] = mapped_column(default=None)


class Iteration(Base):
    """One update of a run: metrics, network evaluations and seconds by phase."""

    __tablename__ = "iteration"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    metrics: Mapped[JsonDict]
    nfe: Mapped[int]
    seconds: Mapped[JsonDict]
    created_at: Mapped[float] = now()


class Evaluation(Base):
    """Held-out rewards and pictures on fixed prompts and seeds; step 0 is the base."""

    __tablename__ = "evaluation"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    metrics: Mapped[JsonDict]
    samples: Mapped[list[Any]]  # {prompt, seed, media, rewards}
    nfe: Mapped[int]
    created_at: Mapped[float] = now()


class RolloutGroup(Base):
    """Siblings of one prompt that leave the same node: the unit GRPO compares."""

    __tablename__ = "rollout_group"
    id: Mapped[int] = key()
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    step: Mapped[int]
    tree: Mapped[int]  # index of the prompt's tree within the iteration
    prompt: Mapped[str] = mapped_column(Text)
    fork_step: Mapped[int | None]
    mean: Mapped[float | None]
    spread: Mapped[float | None]
    kept: Mapped[bool]
    reason: Mapped[str] = mapped_column(default="")  # why it was skipped
    sheet: Mapped[str | None] = mapped_column(default=None)  # media: leaves as tiles in one strip
    trunk: Mapped[str | None] = mapped_column(
        default=None
    )  # media: clean estimates along the trunk
    detail: Mapped[JsonDict] = mapped_column(default=dict)  # sigmas, eta, floors, divisor
    num_leaves: Mapped[int | None] = mapped_column(default=None)
    # samples that were compared; None: its facts are not written yet
    __table_args__ = (Index("ix_group_run_step", "run_id", "step", "id"),)


class RolloutFact(Base):
    """A figure of a group by its name, so that groups are found and sorted by any of them."""

    __tablename__ = "rollout_fact"
    group_id: Mapped[int] = mapped_column(
        ForeignKey("rollout_group.id", ondelete="CASCADE"), primary_key=True
    )
    name: Mapped[str] = mapped_column(primary_key=True)  # as backend/services/rollout_facts.py says
    run_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    value: Mapped[float]
    __table_args__ = (Index("ix_rollout_fact", "run_id", "name", "value", "group_id"),)


class RolloutSeen(Base):
    """A group that a person has looked at."""

    __tablename__ = "rollout_seen"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    group_id: Mapped[int] = mapped_column(
        ForeignKey("rollout_group.id", ondelete="CASCADE"), primary_key=True, index=True
    )


class RolloutNode(Base):
    """One node of a rollout tree and the edge that led to it, numbered inside its group."""

    __tablename__ = "rollout_node"
    group_id: Mapped[int] = mapped_column(ForeignKey("rollout_group.id"), primary_key=True)
    idx: Mapped[int] = mapped_column(primary_key=True)
    parent: Mapped[int | None]
    kind: Mapped[str]  # trunk | child | leaf
    step: Mapped[int]
    stride: Mapped[int]
    sigma: Mapped[float]
    eta: Mapped[float | None]
    log_prob: Mapped[float | None]
    ratio: Mapped[float | None]
    advantage: Mapped[float | None]
    rewards: Mapped[JsonDict] = mapped_column(default=dict)
    # leaf: {name: {raw, shaped, z, weight, share, status}}
    tile: Mapped[int | None]
    seed: Mapped[int | None] = mapped_column(BigInteger)


class Checkpoint(Base):
    """All that is needed to go on: adapter, optimiser, EMA; each a safetensors file in media."""

    __tablename__ = "checkpoint"
    id: Mapped[int] = key()
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    step: Mapped[int]
    adapter: Mapped[str]
    optimiser: Mapped[str]
    ema: Mapped[str | None] = mapped_column(default=None)
    state: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[float] = now()
    __table_args__ = (Index("uq_checkpoint", "run_id", "step", unique=True),)


class RunOrder(Base):
    """What somebody asked of a run that goes on, besides its end. `step`: updates done when it was
    heeded, where a resumed run heeds it again; None while it waits."""

    __tablename__ = "run_order"
    id: Mapped[int] = key()
    run_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), index=True)
    kind: Mapped[str]  # setting | sample | checkpoint
    detail: Mapped[JsonDict] = mapped_column(default=dict)  # of a setting: key, value, was
    step: Mapped[int | None] = mapped_column(default=None)
    by: Mapped[str] = mapped_column(default="")  # the name at that time
    asked_at: Mapped[float] = now()


class RunAlarm(Base):
    """A sign that a rule has found in a run, from the step it was first seen to the last one."""

    __tablename__ = "run_alarm"
    id: Mapped[int] = key()
    run_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    rule: Mapped[str]  # a key of backend.rl.alarms.RULES
    about: Mapped[str] = mapped_column(default="")
    level: Mapped[str]  # warning | error
    step: Mapped[int]
    last_step: Mapped[int]
    value: Mapped[float | None] = mapped_column(default=None)
    text: Mapped[str] = mapped_column(Text)
    told: Mapped[JsonDict] = mapped_column(default=dict)  # how the webhook took it
    fired_at: Mapped[float] = now()
    closed_at: Mapped[float | None] = mapped_column(default=None)
    closed_by: Mapped[str] = mapped_column(default="")
    __table_args__ = (Index("ix_run_alarm", "run_id", "rule", "about", unique=True),)
