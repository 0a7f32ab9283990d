"""Every table of the store, top to bottom in the order of the loop.

Times are seconds since 1970 (UTC) as floats; durations end in `_s`. Pictures and weights are named
by the SHA-256 of their content (`media`), never by a path. Labels are append-only: an undo is a
new row.
"""

from __future__ import annotations

import random
import time
from typing import Any, ClassVar

from sqlalchemy import JSON, BigInteger, Float, ForeignKey, Index, Integer, String, Text, false
from sqlalchemy import text as sql
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

JsonDict = dict[str, Any]


class Base(DeclarativeBase):
    """Declarative base; maps plain Python annotations to column types."""

    type_annotation_map: ClassVar[dict[Any, Any]] = {
        JsonDict: JSON,
        list[Any]: JSON,
        float: Float,
        str: String,
    }


def _key() -> Mapped[int]:
    return mapped_column(
        BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True
    )


def _now() -> Mapped[float]:
    return mapped_column(default=time.time)


class Project(Base):
    """One piece of work: its prompts, samples, labels and runs."""

    __tablename__ = "project"
    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column(unique=True)
    created_at: Mapped[float] = _now()


class User(Base):
    """Someone who labels. `kind` keeps simulated annotators apart from people."""

    __tablename__ = "user"
    id: Mapped[int] = _key()
    name: Mapped[str] = mapped_column(unique=True)
    kind: Mapped[str] = mapped_column(default="person")  # person | simulated
    role: Mapped[str] = mapped_column(default="admin")  # annotator | researcher | admin
    settings: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[float] = _now()


class PromptSet(Base):
    """A named list of prompts; `split` says whether it may be trained on."""

    __tablename__ = "prompt_set"
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    split: Mapped[str] = mapped_column(default="train")  # train | heldout
    created_at: Mapped[float] = _now()
    __table_args__ = (Index("uq_prompt_set_name", "project_id", "name", unique=True),)


class Prompt(Base):
    """One prompt, once per set."""

    __tablename__ = "prompt"
    id: Mapped[int] = _key()
    prompt_set_id: Mapped[int] = mapped_column(ForeignKey("prompt_set.id"))
    position: Mapped[int]
    text: Mapped[str] = mapped_column(Text)
    __table_args__ = (Index("uq_prompt_text", "prompt_set_id", "text", unique=True),)


class Policy(Base):
    """A model that draws: a family, its weights, and the adapter a run has put on it."""

    __tablename__ = "policy"
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    family: Mapped[str]  # key in backend/policies
    config: Mapped[JsonDict] = mapped_column(default=dict)  # that family's Config
    adapter: Mapped[str | None] = mapped_column(default=None)  # media hash of LoRA safetensors
    run_id: Mapped[int | None] = mapped_column(default=None, index=True)
    step: Mapped[int | None] = mapped_column(default=None)
    created_at: Mapped[float] = _now()


class Sample(Base):
    """A decoded picture with everything needed to draw it again."""

    __tablename__ = "sample"
    id: Mapped[int] = _key()
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
    created_at: Mapped[float] = _now()
    __table_args__ = (Index("ix_sample_policy", "policy_id", "prompt_id", "seed"),)


class Comparison(Base):
    """A blind test of two policies on the same prompts and seeds; its votes are labels."""

    __tablename__ = "comparison"
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    base_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    tuned_policy_id: Mapped[int] = mapped_column(ForeignKey("policy.id"))
    prompt_set_id: Mapped[int] = mapped_column(ForeignKey("prompt_set.id"))
    num_prompts: Mapped[int]
    seed: Mapped[int] = mapped_column(BigInteger)
    status: Mapped[str] = mapped_column(default="drawing")  # drawing | ready | failed
    job_id: Mapped[int | None] = mapped_column(default=None)
    created_at: Mapped[float] = _now()


class Study(Base):
    """A question put to people about items of one kind, and who is asked how often."""

    __tablename__ = "study"
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    kind: Mapped[str]  # images | texts | single | best_worst
    config: Mapped[JsonDict]  # StudyConfig of backend/preferences/studies.py
    status: Mapped[str] = mapped_column(default="open")  # open | drawing | closed
    job_id: Mapped[int | None] = mapped_column(default=None)
    created_at: Mapped[float] = _now()


class Exclusion(Base):
    """A person whose answers of a study do not count; the answers stay where they are."""

    __tablename__ = "exclusion"
    study_id: Mapped[int] = mapped_column(ForeignKey("study.id"), primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    made_by: Mapped[str] = mapped_column(default="", server_default="")  # the name at that time
    created_at: Mapped[float] = _now()


class Pair(Base):
    """What is judged in one go: two samples of one prompt, or as the kind of its study says.

    In a comparison, a is base and b is tuned. One sample alone stands in both places; further ones
    are named in `detail`.
    """

    __tablename__ = "pair"
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"))
    prompt_id: Mapped[int] = mapped_column(ForeignKey("prompt.id"))
    sample_a_id: Mapped[int] = mapped_column(ForeignKey("sample.id"))
    sample_b_id: Mapped[int] = mapped_column(ForeignKey("sample.id"))
    comparison_id: Mapped[int | None] = mapped_column(ForeignKey("comparison.id"), default=None)
    study_id: Mapped[int | None] = mapped_column(ForeignKey("study.id"), default=None)
    source: Mapped[str] = mapped_column(
        default="generate"
    )  # generate | rollouts | compare | import
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
    created_at: Mapped[float] = _now()
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
    id: Mapped[int] = _key()
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
    created_at: Mapped[float] = _now()
    __table_args__ = (
        Index("uq_label_client", "user_id", "client_id", unique=True),
        Index("ix_label_user", "user_id", "id"),
        Index("ix_label_pair", "pair_id", "user_id"),
    )


class Reward(Base):
    """A configured scorer in one fixed version."""

    __tablename__ = "reward"
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    kind: Mapped[str]  # key in backend/rewards
    version: Mapped[str]
    config: Mapped[JsonDict] = mapped_column(default=dict)
    weights: Mapped[str | None] = mapped_column(default=None)  # media hash, safetensors
    figures: Mapped[JsonDict] = mapped_column(default=dict)  # accuracy, intervals, pairs, curve
    created_at: Mapped[float] = _now()


class Score(Base):
    """What one reward said of one sample. A failure is a null value with a status, never 0."""

    __tablename__ = "score"
    id: Mapped[int] = _key()
    sample_id: Mapped[int] = mapped_column(ForeignKey("sample.id"))
    reward_id: Mapped[int] = mapped_column(ForeignKey("reward.id"))
    criterion: Mapped[str] = mapped_column(default="total")
    value: Mapped[float | None]
    status: Mapped[str] = mapped_column(default="ok")  # ok | abstain | n/a | error
    detail: Mapped[str] = mapped_column(Text, default="")
    version: Mapped[str] = mapped_column(default="", server_default=sql("''"))
    # hash of code, weights and settings, as backend/rewards/_version.py makes it
    created_at: Mapped[float] = _now()
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
    id: Mapped[int] = _key()
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
    created_at: Mapped[float] = _now()
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


class Run(Base):
    """One training run with its full resolved settings. `wanted` is what people asked of it."""

    __tablename__ = "run"
    __table_args__ = (Index("ix_run_shelf", "project_id", "hidden", "id"),)
    id: Mapped[int] = _key()
    project_id: Mapped[int] = mapped_column(ForeignKey("project.id"), index=True)
    name: Mapped[str]
    status: Mapped[str] = mapped_column(default="waiting")
    # waiting | running | crashed | paused | done | stopped | failed
    wanted: Mapped[str] = mapped_column(default="run")  # run | pause | stop
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
    created_at: Mapped[float] = _now()
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
    created_at: Mapped[float] = _now()


class Evaluation(Base):
    """Held-out rewards and pictures on fixed prompts and seeds; step 0 is the base."""

    __tablename__ = "evaluation"
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"), primary_key=True)
    step: Mapped[int] = mapped_column(primary_key=True)
    metrics: Mapped[JsonDict]
    samples: Mapped[list[Any]]  # {prompt, seed, media, rewards}
    nfe: Mapped[int]
    created_at: Mapped[float] = _now()


class RolloutGroup(Base):
    """Siblings of one prompt that leave the same node: the unit GRPO compares."""

    __tablename__ = "rollout_group"
    id: Mapped[int] = _key()
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
    id: Mapped[int] = _key()
    run_id: Mapped[int] = mapped_column(ForeignKey("run.id"))
    step: Mapped[int]
    adapter: Mapped[str]
    optimiser: Mapped[str]
    ema: Mapped[str | None] = mapped_column(default=None)
    state: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[float] = _now()
    __table_args__ = (Index("uq_checkpoint", "run_id", "step", unique=True),)


class Job(Base):
    """Work for a worker. The queue only carries the id; this row is the truth."""

    __tablename__ = "job"
    id: Mapped[int] = _key()
    kind: Mapped[str]  # a key of services.jobs.QUEUES
    queue: Mapped[str]  # generate | score | train, or one of these "@" the place that must do it
    priority: Mapped[int] = mapped_column(default=0, server_default=sql("0"))  # higher goes first
    args: Mapped[JsonDict]
    status: Mapped[str] = mapped_column(default="due", index=True)
    # due | running | done | failed | stopped | paused
    wanted: Mapped[str] = mapped_column(default="run")  # run | pause | stop
    attempt: Mapped[int] = mapped_column(default=0)
    max_attempts: Mapped[int] = mapped_column(default=3)
    worker: Mapped[str | None] = mapped_column(default=None)
    heartbeat_at: Mapped[float | None] = mapped_column(default=None)
    progress: Mapped[float] = mapped_column(default=0.0)  # share done, 0 to 1
    message: Mapped[str] = mapped_column(Text, default="")
    result: Mapped[JsonDict] = mapped_column(default=dict)
    error: Mapped[str] = mapped_column(Text, default="")
    created_at: Mapped[float] = _now()
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
    started_at: Mapped[float] = _now()
    heartbeat_at: Mapped[float] = _now()


class Event(Base):
    """A line of log that people read, tied to a run or a job."""

    __tablename__ = "event"
    id: Mapped[int] = _key()
    run_id: Mapped[int | None] = mapped_column(default=None)
    job_id: Mapped[int | None] = mapped_column(default=None)
    kind: Mapped[str] = mapped_column(default="log")  # log | iteration | evaluation | status
    level: Mapped[str] = mapped_column(default="info")  # info | warning | error
    text: Mapped[str] = mapped_column(Text)
    data: Mapped[JsonDict] = mapped_column(default=dict)
    created_at: Mapped[float] = _now()
    __table_args__ = (Index("ix_event_run", "run_id", "id"),)


class RunOrder(Base):
    """What somebody asked of a run that goes on, besides its end. `step`: updates done when it was
    heeded, where a resumed run heeds it again; None while it waits."""

    __tablename__ = "run_order"
    id: Mapped[int] = _key()
    run_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"), index=True)
    kind: Mapped[str]  # setting | sample | checkpoint
    detail: Mapped[JsonDict] = mapped_column(default=dict)  # of a setting: key, value, was
    step: Mapped[int | None] = mapped_column(default=None)
    by: Mapped[str] = mapped_column(default="")  # the name at that time
    asked_at: Mapped[float] = _now()


class RunAlarm(Base):
    """A sign that a rule has found in a run, from the step it was first seen to the last one."""

    __tablename__ = "run_alarm"
    id: Mapped[int] = _key()
    run_id: Mapped[int] = mapped_column(BigInteger().with_variant(Integer, "sqlite"))
    rule: Mapped[str]  # a key of backend.rl.alarms.RULES
    about: Mapped[str] = mapped_column(default="")
    level: Mapped[str]  # warning | error
    step: Mapped[int]
    last_step: Mapped[int]
    value: Mapped[float | None] = mapped_column(default=None)
    text: Mapped[str] = mapped_column(Text)
    told: Mapped[JsonDict] = mapped_column(default=dict)  # how the webhook took it
    fired_at: Mapped[float] = _now()
    closed_at: Mapped[float | None] = mapped_column(default=None)
    closed_by: Mapped[str] = mapped_column(default="")
    __table_args__ = (Index("ix_run_alarm", "run_id", "rule", "about", unique=True),)


class Account(Base):
    """How a person signs in, and which studies are theirs. Who has none only gave labels."""

    __tablename__ = "account"
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), primary_key=True)
    password: Mapped[str | None] = mapped_column(default=None)  # Argon2id with its parameters
    email: Mapped[str] = mapped_column(default="", server_default="")
    subject: Mapped[str | None] = mapped_column(unique=True, default=None)
    # whom the OIDC provider means: issuer|sub
    studies: Mapped[list[Any]] = mapped_column(default=list, server_default=sql("'[]'"))
    # ids of the only studies this person may judge; empty: as everybody
    disabled_at: Mapped[float | None] = mapped_column(default=None)
    created_at: Mapped[float] = _now()


class SignIn(Base):
    """A browser that has signed in, by the SHA-256 of what its cookie holds."""

    __tablename__ = "sign_in"
    digest: Mapped[str] = mapped_column(primary_key=True)
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    address: Mapped[str] = mapped_column(default="", server_default="")
    browser: Mapped[str] = mapped_column(Text, default="", server_default="")
    created_at: Mapped[float] = _now()
    expires_at: Mapped[float]


class Token(Base):
    """A key for programs, by the SHA-256 of it; it may do what its scopes and its owner may."""

    __tablename__ = "token"
    id: Mapped[int] = _key()
    user_id: Mapped[int] = mapped_column(ForeignKey("user.id"), index=True)
    name: Mapped[str]
    digest: Mapped[str] = mapped_column(unique=True)
    scopes: Mapped[list[Any]]  # of read, label, write, admin
    created_at: Mapped[float] = _now()
    expires_at: Mapped[float | None] = mapped_column(default=None)
    used_at: Mapped[float | None] = mapped_column(default=None)
    revoked_at: Mapped[float | None] = mapped_column(default=None)


class Invite(Base):
    """A link that lets one person in once, or lets one who is in choose a new password."""

    __tablename__ = "invite"
    id: Mapped[int] = _key()
    digest: Mapped[str] = mapped_column(unique=True)
    role: Mapped[str]
    studies: Mapped[list[Any]] = mapped_column(default=list)
    note: Mapped[str] = mapped_column(default="")
    user_id: Mapped[int | None] = mapped_column(ForeignKey("user.id"), default=None)
    # whose password it renews; None: a new person
    made_by: Mapped[int | None] = mapped_column(ForeignKey("user.id"), default=None)
    created_at: Mapped[float] = _now()
    expires_at: Mapped[float]
    used_at: Mapped[float | None] = mapped_column(default=None)
    revoked_at: Mapped[float | None] = mapped_column(default=None)


class Audit(Base):
    """Who changed what of people, roles, keys, studies and what left the studio. Append-only."""

    __tablename__ = "audit"
    id: Mapped[int] = _key()
    at: Mapped[float] = _now()
    user_id: Mapped[int | None] = mapped_column(default=None)  # None: the command line
    who: Mapped[str]  # the name at that time
    action: Mapped[str] = mapped_column(index=True)
    text: Mapped[str] = mapped_column(Text)
    detail: Mapped[JsonDict] = mapped_column(default=dict)


class Secret(Base):
    """A random key of this studio, made once, in hexadecimal."""

    __tablename__ = "secret"
    name: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]
