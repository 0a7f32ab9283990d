"""What is drawn: projects and their people, prompts, models, pictures, blind comparisons."""

from __future__ import annotations

from sqlalchemy import BigInteger, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from db.tables._base import Base, JsonDict, key, now


class Project(Base):
    """One piece of work: its prompts, samples, labels and runs."""

    __tablename__ = "project"
    id: Mapped[int] = key()
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[float] = now()


class User(Base):
    """Someone who labels. `kind` keeps simulated annotators apart from people."""

    __tablename__ = "user"
    id: Mapped[int] = key()
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(default="person")  # person | simulated
    role: Mapped[str] = mapped_column(default="admin")  # annotator | researcher | admin
    settings: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[float] = now()


class PromptSet(Base):
    """A named list of prompts; `split` says whether it may be trained on."""

    __tablename__ = "prompt_set"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    split: Mapped[str] = mapped_column(default="train")  # train | heldout
    created_at: Mapped[float] = now()
    __table_args__ = (Index("uq_prompt_set_name", "project_id", "name", unique=True),)


class Prompt(Base):
    """One prompt, once per set."""

    __tablename__ = "prompt"
    id: Mapped[int] = key()
    prompt_set_id: Mapped[int] = mapped_column(ForeignKey("prompt_set.id"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    __table_args__ = (Index("uq_prompt_text", "prompt_set_id", "text", unique=True),)


class Policy(Base):
    """A model that draws: a family, its weights, and the adapter a run has put on it."""

    __tablename__ = "policy"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    family: Mapped[str]  # key in backend/policies
    config: Mapped[JsonDict] = mapped_column(default=dict)  # that family's Config
    adapter: Mapped[str | None] = mapped_column(default=None)  # media hash of LoRA safetensors
    run_id: Mapped[int | None] = mapped_column(default=None, index=True)
    step: Mapped[int | None] = mapped_column(default=None)
    created_at: Mapped[float] = now()


class Sample(Base):
    """A decoded picture with everything needed to draw it again."""

    __tablename__ = "sample"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.id"), index=True)
    policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    seed: Mapped[int] = mapped_column(BigInteger)
    media: Mapped[str] = mapped_column(index=True)
    width: Mapped[int]
    height: Mapped[int]
    settings: Mapped[JsonDict] = mapped_column(default=dict)  # num_steps, guidance, source
    text: Mapped[str | None] = mapped_column(Text, default=None)
    # what a captioning or language policy wrote; `media` is then the hash of the words, no file
    created_at: Mapped[float] = now()
    __table_args__ = (Index("ix_sample_policy", "policy_id", "prompt_id", "seed"),)


class Comparison(Base):
    """A blind test of two policies on the same prompts and seeds; its votes are labels."""

    __tablename__ = "comparison"
    id: Mapped[int] = key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    base_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    tuned_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    prompt_set_id: Mapped[int] = mapped_column(ForeignKey("prompt_set.id"))
    num_prompts: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(default="drawing")  # drawing | ready | failed
    job_id: Mapped[int | None] = mapped_column(default=None)
    created_at: Mapped[float] = now()
