"""What a reward is, and the contract every one of them is held to.

Three shapes:

    pointwise   (image, prompt) → a value, higher is better
    pairwise    (image a, image b, prompt) → how likely a is the better one
    groupwise   all siblings of a group → values that compare inside the group only

The contract, enforced by `checked`: a batch in gives a batch out, same length, same order. What
fails is *missing* with a reason, never 0 and never ½: an exception, NaN or infinity becomes a
missing value and is counted. A wrong length cannot be repaired, because nobody knows which sample a
value belongs to: it is an error. Pure numpy, so pages can list rewards without loading a model.

Beyond scoring, a reward may tell what it costs (`Judging`) and may learn during a run (`Learner`);
`routed` asks it about some samples of a batch only.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Literal, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards._contract import Failure as Failure
from backend.rewards._contract import (
    check_batch,
    check_length,
    clean,
    explained,
    spans_at,
    spans_of,
)

log = logging.getLogger(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
Images = NDArray[np.uint8]
"""(B, H, W, 3), red green blue, 0 to 255."""

Shape = Literal["pointwise", "pairwise", "groupwise"]
Status = Literal["ok", "abstain", "n/a", "refused", "parse_error", "timeout", "oom", "error"]
"""A value; none on purpose ("abstain": off its ground, "n/a": does not apply); or why it failed."""
FAILED: Final = frozenset({"error", "refused", "parse_error", "timeout", "oom"})
"""Statuses of a value that should be there; abstaining and not applying are answers."""
Bout = tuple[int, int, float]
"""Two samples of a batch in the order in which they were shown, and how likely the first of them is
the better one."""
Span = tuple[str, float]
"""Words of a prompt, and how right the picture shows them, 0 to 1."""
Files = Callable[[str], Path]
"""Resolves the hash of a stored file to a local path."""


@dataclass(frozen=True, slots=True)
class Scores:
    """What a reward said of a batch. A value is NaN exactly where its status is not "ok"."""

    values: Floats
    """(B,), higher is better."""
    status: list[str]
    """A `Status` for each value."""
    parts: dict[str, Floats] = field(default_factory=dict)
    """Aspects or ingredients by name, each (B,); NaN where an aspect does not apply."""
    reasons: list[str] = field(default_factory=list)
    """Why a value is missing, empty where it is not; the whole list may be empty."""
    bouts: list[Bout] = field(default_factory=list)
    """Of a win rate under a judge of pairs: who met whom, and what the judge said."""
    spans: list[list[Span]] = field(default_factory=list)
    """Of a reward of spans: what each value was made of by its declared reduction; the whole list
    is empty for any other."""

    @classmethod
    def of(
        cls, values: Any, parts: dict[str, Any] | None = None, why: str = "not a number"
    ) -> Scores:
        """Scores from plain values; what is not finite becomes missing, for the reason `why`."""
        array = np.array(values, dtype=np.float64).reshape(-1)
        good = np.isfinite(array)
        array[~good] = np.nan
        return cls(
            values=array,
            status=["ok" if ok else "error" for ok in good],
            parts={name: np.array(part, dtype=np.float64) for name, part in (parts or {}).items()},
            reasons=["" if ok else why for ok in good],
        )

    @classmethod
    def missing(cls, num: int, status: Status, reason: str) -> Scores:
        """`num` values that are all missing for one reason."""
        return cls(np.full(num, np.nan), [status] * num, {}, [reason] * num)

    @property
    def num_missing(self) -> int:
        """Values that were owed and not given; what does not apply ("n/a") was never owed."""
        return sum(said not in ("ok", "n/a") for said in self.status)

    @property
    def num_not_applicable(self) -> int:
        """Samples the reward has nothing to say of, or was not asked about."""
        return self.status.count("n/a")

    @property
    def share_failed(self) -> float:
        """Share of the values that should be there and are not, 0 to 1."""
        owed = len(self) - self.num_not_applicable
        return sum(said in FAILED for said in self.status) / owed if owed else 0.0

    def __len__(self) -> int:
        return len(self.values)


@dataclass(frozen=True, slots=True)
class Verdicts:
    """What a judge said of M pairs."""

    prefer_a: Floats
    """(M,) how likely a is the better one, 0 to 1; ½ is a tie, NaN is missing."""
    status: list[str]
    reasons: list[str] = field(default_factory=list)
    parts: dict[str, Floats] = field(default_factory=dict)
    """What else it said by name, each (M,): respects, categories, votes; NaN where it did not."""

    def __len__(self) -> int:
        return len(self.prefer_a)


@runtime_checkable
class Scorer(Protocol):
    """A pointwise reward."""

    shape: Shape

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per image, in order."""
        ...


@runtime_checkable
class PairScorer(Protocol):
    """A pairwise judge."""

    shape: Shape

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict per pair, in order."""
        ...


@runtime_checkable
class GroupScorer(Protocol):
    """A groupwise reward: its values compare only among equal `groups`."""

    shape: Shape

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per image, in order; without `groups`, equal prompts are siblings."""
        ...


@runtime_checkable
class Judging(Protocol):
    """A reward that pays a judge by the call."""

    @property
    def calls(self) -> int:
        """Calls made since it was loaded."""
        ...

    def judge_calls(self, group_sizes: Ints) -> int:
        """Calls that scoring groups of these sizes takes."""
        ...


@runtime_checkable
class Learner(Protocol):
    """A reward that learns during a run.

    Its randomness comes from its own seed and the step alone, so a run that is resumed from `state`
    goes on with the same bits.
    """

    def observe(self, images: Images, prompts: Sequence[str], step: int) -> dict[str, float]:
        """Learn from the pictures of update `step`, after it; returns figures for the charts."""
        ...

    def state(self) -> dict[str, NDArray[Any]]:
        """Everything it has learned, by name, of one dimension or more; a checkpoint keeps it."""
        ...

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        ...


class Checked:
    """A pointwise or groupwise scorer behind the contract; counts what it could not judge."""

    def __init__(self, scorer: Scorer | GroupScorer, name: str) -> None:
        self.scorer, self.name, self.shape = scorer, name, scorer.shape
        self.num_judged = self.num_missing = self.num_not_applicable = 0

    @property
    def missing_share(self) -> float:
        """Share of the samples so far that were owed a value and have none, 0 to 1."""
        owed = self.num_judged - self.num_not_applicable
        return self.num_missing / owed if owed else 0.0

    @property
    def learns(self) -> bool:
        """Whether the scorer learns during a run; one that does not has nothing to keep."""
        return isinstance(self.scorer, Learner)

    def observe(self, images: Images, prompts: Sequence[str], step: int) -> dict[str, float]:
        """Let the scorer learn from an update's pictures; its figures, none if it does not learn.

        Raises RewardError where it cannot: unlike a value, a lesson cannot be left out, since every
        later value depends on it.
        """
        check_batch(self.name, images, prompts)
        if not isinstance(self.scorer, Learner):
            return {}
        try:
            return self.scorer.observe(images, prompts, step)
        except Exception as error:
            raise RewardError(
                f"Reward '{self.name}' could not learn from the pictures of update {step} "
                f"({type(error).__name__}: {error}); mend the reward, then resume the run."
            ) from error

    def state(self) -> dict[str, NDArray[Any]]:
        """What the scorer has learned; empty if it does not learn."""
        return self.scorer.state() if isinstance(self.scorer, Learner) else {}

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Give the scorer back what it had learned; a RewardError where it is not its own."""
        if not isinstance(self.scorer, Learner):
            if state:
                raise RewardError(
                    f"Reward '{self.name}' does not learn, but the checkpoint keeps what it "
                    f"learned; resume with the rewards the run was started with."
                )
            return
        self.scorer.load_state(state)

    def score(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None = None
    ) -> Scores:
        """One value per image, in order; missing where the scorer failed.

        A batch that raises is tried again picture by picture (not for a groupwise reward), so one
        bad prompt costs one value. Raises RewardError on a wrong length.
        """
        check_batch(self.name, images, prompts)
        if len(prompts) == 0:
            return Scores(np.zeros(0), [])
        scores = self._try(images, prompts, groups)
        if isinstance(scores, Failure):
            if self.shape == "groupwise" or len(prompts) == 1:
                scores = Scores.missing(len(prompts), scores.status, scores.text)
            else:
                scores = self._one_by_one(images, prompts)
        scores = clean(self.name, scores, len(prompts))
        self.num_judged += len(scores)
        self.num_missing += scores.num_missing
        self.num_not_applicable += scores.num_not_applicable
        return scores

    def _try(
        self, images: Images, prompts: Sequence[str], groups: Sequence[int] | Ints | None
    ) -> Scores | Failure:
        """The scorer's answer, or its failure."""
        try:
            if self.shape == "groupwise":
                return self.scorer.score(images, prompts, groups)  # type: ignore[call-arg]
            return self.scorer.score(images, prompts)
        except Exception as error:  # noqa: BLE001  whatever a reward raises is a missing value
            log.warning("Reward '%s' raised %s: %s", self.name, type(error).__name__, error)
            return Failure.of(error)

    def _one_by_one(self, images: Images, prompts: Sequence[str]) -> Scores:
        singles = []
        for i, prompt in enumerate(prompts):
            single = self._try(images[i : i + 1], [prompt], None)
            if isinstance(single, Failure):
                single = Scores.missing(1, single.status, single.text)
            singles.append(clean(self.name, single, 1))
        names = {name for single in singles for name in single.parts}
        nothing = np.full(1, np.nan)
        return Scores(
            values=np.concatenate([single.values for single in singles]),
            status=[single.status[0] for single in singles],
            parts={n: np.concatenate([s.parts.get(n, nothing) for s in singles]) for n in names},
            reasons=[single.reasons[0] for single in singles],
            spans=spans_of(singles),
        )


class CheckedPairs:
    """A pairwise judge behind the contract."""

    shape: Shape = "pairwise"

    def __init__(self, judge: PairScorer, name: str) -> None:
        self.judge, self.name = judge, name
        self.num_judged = self.num_missing = 0

    @property
    def missing_share(self) -> float:
        """Share of all pairs so far without a verdict, 0 to 1."""
        return self.num_missing / self.num_judged if self.num_judged else 0.0

    def compare(self, a: Images, b: Images, prompts: Sequence[str]) -> Verdicts:
        """One verdict per pair, in order; a judge that raises judged none of them."""
        check_batch(self.name, a, prompts)
        check_batch(self.name, b, prompts)
        try:
            verdicts = self.judge.compare(a, b, prompts)
        except Exception as error:  # noqa: BLE001  whatever a judge raises is a missing verdict
            log.warning("Judge '%s' raised %s: %s", self.name, type(error).__name__, error)
            why, num = Failure.of(error), len(prompts)
            verdicts = Verdicts(np.full(num, np.nan), [why.status] * num, [why.text] * num)
        prefer = np.array(verdicts.prefer_a, dtype=np.float64)
        check_length(self.name, len(prefer), len(prompts), "verdicts", "pairs")
        wrong = ~np.isfinite(prefer) | (prefer < 0) | (prefer > 1)
        prefer[wrong] = np.nan
        status, reasons = explained(verdicts.status, verdicts.reasons, wrong)
        self.num_judged += len(prefer)
        self.num_missing += int(wrong.sum())
        return Verdicts(prefer, status, reasons, verdicts.parts)


def checked(scorer: Any, name: str) -> Any:
    """`scorer` held to the contract: `Checked`, or `CheckedPairs` for a pairwise judge."""
    if getattr(scorer, "shape", None) == "pairwise":
        return CheckedPairs(scorer, name)
    return Checked(scorer, name)


def routed(
    scorer: Checked,
    prompts: Sequence[str],
    images: Images,
    groups: Sequence[int] | Ints,
    wanted: Bools,
) -> Scores:
    """Ask the scorer about the samples where `wanted` (B,) holds; the others are "n/a".

    Nothing that is not wanted reaches the scorer, so it costs nothing and is no sibling either.
    """
    num, asked = len(prompts), np.flatnonzero(wanted).tolist()
    check_length(scorer.name, len(wanted), num, "answers to whether it is wanted", "samples")
    said = scorer.score(images[asked], [prompts[i] for i in asked], np.asarray(groups)[asked])
    whole = Scores.missing(num, "n/a", "not asked")
    whole.values[asked] = said.values
    for row, i in enumerate(asked):
        whole.status[i], whole.reasons[i] = said.status[row], said.reasons[row]
    for name, part in said.parts.items():
        whole.parts[name] = np.full(num, np.nan)
        whole.parts[name][asked] = part
    whole.bouts.extend((asked[one], asked[other], said_) for one, other, said_ in said.bouts)
    whole.spans.extend(spans_at(said, asked, num))
    return whole


def judge_calls(scorer: Any, groups: Sequence[int] | Ints) -> int:
    """Calls of a judge that scoring samples of these groups (B,) takes; 0 for a plain reward."""
    scorer = _bare(scorer)
    sizes = np.unique(np.asarray(groups, dtype=np.int64), return_counts=True)[1]
    return scorer.judge_calls(sizes.astype(np.int64)) if isinstance(scorer, Judging) else 0


def calls_made(scorer: Any) -> int:
    """Calls of a judge made since the reward was loaded; 0 for a plain reward."""
    scorer = _bare(scorer)
    return scorer.calls if isinstance(scorer, Judging) else 0


def pays_a_judge(scorer: Any) -> bool:
    """Whether asking it costs calls; a reward that is asked elsewhere says what it is there."""
    bare = _bare(scorer)
    return bool(getattr(bare, "pays", isinstance(bare, Judging)))


def by_prompt(prompts: Sequence[str]) -> Ints:
    """Group ids that make equal prompts siblings. Shape (B,)."""
    seen: dict[str, int] = {}
    return np.array([seen.setdefault(prompt, len(seen)) for prompt in prompts], dtype=np.int64)


def _bare(scorer: Any) -> Any:
    return scorer.scorer if isinstance(scorer, Checked) else scorer
