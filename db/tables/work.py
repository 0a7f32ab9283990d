"""Work for workers, who does it, and the log that people read."""

from __future__ import annotations

from sqlalchemy import Index, Text
from sqlalchemy import text as sql
from sqlalchemy.orm import Mapped, mapped_column

from db.tables._base import Base, JsonDict, key, now


class Job(Base):
    """Work for a worker. The queue only carries the id; this row is the truth."""

    __tablename__ = "job"
    id: Mapped[int] = key()
    kind: Mapped[str]  # a key of services.jobs.QUEUES
    queue: Mapped[str]  # generate | score | train, or one of these "@" the place that must do it
    priority: Mapped[int] = mapped_column(default=0, server_default=sql("0"))  # higher goes first
    args: Mapped[JsonDict]
    status: Mapped[str] = mapped_column(default="due", index=True)
    # due | running | done | failed | stopped | paused
    wanted: Mapped[str] = mapped_column(default="run")  # run | pause | stop | halt
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    worker: Mapped[str | None] = mapped_column(default=None)
    heartbeat_at: Mapped[float | None] = mapped_column(default=None)
    progress: Mapped[float] = mapped_column(default=0.0)  # share done, 0 to 1
    message: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[JsonDict] = mapped_column(default=dict)
    error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float] = now()
    started_at: Mapped[float | None] = mapped_column(default=None)
    ended_at: Mapped[float | None] = mapped_column(default=None)


class Worker(Base):
    """A worker process as it last reported itself."""

    __tablename__ = "worker"
    name: Mapped[str] = mapped_column(primary_key=True)
    queue: Mapped[str]
    host: Mapped[str]
    pid: Mapped[int]
    state: Mapped[str] = mapped_column(default="idle")  # idle | busy
    job_id: Mapped[int | None] = mapped_column(default=None)
    started_at: Mapped[float] = now()
    heartbeat_at: Mapped[float] = now()


class Event(Base):
    """A line of log that people read, tied to a run or a job."""

    __tablename__ = "event"
    id: Mapped[int] = key()
    run_id: Mapped[int | None] = mapped_column(default=None)
    job_id: Mapped[int | None] = mapped_column(default=None)
    kind: Mapped[str] = mapped_column(default="log")  # log | iteration | evaluation | status
    level: Mapped[str] = mapped_column(default="info")  # info | warning | error
    text: Mapped[str] = mapped_column(Text)
    data: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[float] = now()
    __table_args__ = (Index("ix_event_run", "run_id", "id"),)
