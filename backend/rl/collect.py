"""From plans to scored rollouts: trees grow in parts, and one part is scored as the next one grows.

Parts are whole trees, so everything that is compared stands in one part. A part's numbers depend on
nothing but its own trees: growing all at once, in parts, with or without overlap, or on several
processes changes where the work is done, not what comes of it (to the bit where the network's calls
keep their size: a matrix product may round differently in other company).
"""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from backend.errors import InputError, MethodError
from backend.rewards._contract import spans_of
from backend.rewards.interface import Checked, Scores, calls_made, routed
from backend.rl.credit import Credit, Group, siblings
from backend.rl.kernels import Coefficients, compile_kernel
from backend.rl.randomness import prompts_at, seed_of, turns_at
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.rl.records import Forest, kept_nodes, trunk_nodes
from backend.rl.sampler import Field, Rollouts, decode, sample
from backend.rl.team import Team
from backend.rl.tree import Ints, Shape, TreePlan
from backend.types import Pictures, Policy

HALF = 2
"""Bytes of a number in half precision."""


class Clock:
    """Seconds by phase; a phase may come several times. "total" is the time since the start."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._start = self._last = time.perf_counter()

    def lap(self, phase: str) -> None:
        """The time since the last lap belongs to `phase`."""
        now = time.perf_counter()
        self.seconds[phase] = self.seconds.get(phase, 0.0) + now - self._last
        self._last = now

    def total(self) -> float:
        """Seconds so far, written down as "total"."""
        self.seconds["total"] = self._last - self._start
        return self.seconds["total"]


@dataclass(frozen=True)
class Pairs:
    """Stored pairs that people judged: M prompts, the picture that won and the one that lost."""

    prompts: Sequence[str]
    winners: Pictures
    losers: Pictures
    REWARD = "preferred"
    """Name of the one value such pictures have: 1 for the winner, 0 for the loser."""

    def __len__(self) -> int:
        return len(self.prompts)


@dataclass(frozen=True)
class Data:
    """What a run learns from and what it is measured on."""

    prompts: Sequence[str]
    heldout: Sequence[str]
    pairs: Pairs | None = None
    """For a method that learns from stored pairs."""


@dataclass(frozen=True)
class Collected:
    """One update's rollouts with what the rewards said of them."""

    prompts: list[str]
    """Of each tree."""
    parts: list[Rollouts]
    """What this process grew."""
    forest: Forest
    images: Pictures
    """(L, h, w, 3); blank where another process drew."""
    scores: dict[str, Scores]
    """Of all leaves, whoever grew them."""
    leaf_prompts: list[str]
    calls: dict[str, int] = field(default_factory=dict)
    """Judge calls made for these rollouts, of rewards that make any."""


@dataclass(frozen=True)
class _Update:
    """What the trees of one update are made from."""

    step: int
    plans: Sequence[TreePlan]
    shape: Shape
    prompts: list[str]
    seed_N: Ints
    watched: frozenset[int]
    """Nodes whose clean estimates are kept."""
    kept: frozenset[int]
    """Nodes whose latents are kept."""
    coefficients: Coefficients
    rows: list[int]
    """Of stored pairs: one a tree; empty where trees are grown."""


class Collector:
    """Grows and scores the trees of one update after another."""

    def __init__(
        self,
        config: RunConfig,
        policy: Policy,
        rewards: Mapping[str, Checked],
        credit: Credit,
        data: Data,
        team: Team,
    ) -> None:
        self.config, self.policy, self.credit, self.team = config, policy, credit, team
        self.rewards = {term.name: (rewards[term.name], term.only) for term in config.rewards}
        self.prompts, self.pairs = data.prompts, data.pairs
        self.sigmas = policy.schedule(config.sampling.num_steps)
        if learns_from_pairs(config) and not data.pairs:
            raise InputError(
                f"The method '{config.method.name}' learns from stored pairs and there are none "
                f"from {config.labels}; label some first, or include others' labels."
            )

    def trees(self, num: int) -> list[range]:
        """The parts of `num` trees that this process grows, in order."""
        size = self.config.sampling.trees_at_once or -(-num // self.team.size)
        parts = [range(first, min(first + size, num)) for first in range(0, num, size)]
        return parts[self.team.rank :: self.team.size]

    def collect(
        self,
        field: Field,
        step: int,
        plans: Sequence[TreePlan],
        shape: Shape,
        recorded: Sequence[Group],
        clock: Clock,
    ) -> Collected:
        """Grow this update's trees, or fetch its pairs, and score the leaves."""
        update = self._prepare(step, plans, shape, recorded)
        group_L = siblings(shape, self.credit)
        made = {name: calls_made(reward) for name, (reward, _) in self.rewards.items()}
        parts: list[Rollouts] = []
        pictures: dict[int, Pictures] = {}
        waiting: dict[int, Future[dict[str, Scores]]] = {}
        with ThreadPoolExecutor(1, thread_name_prefix="score") as scorers:
            for trees in self.trees(len(plans)):
                rollouts, images = self._grow(field, update, trees, clock)
                at = int(np.searchsorted(shape.leaf, rollouts.first))
                texts = [update.prompts[trees.start + t] for t in rollouts.leaf_tree]
                groups = group_L[at : at + len(images)]
                waiting[at] = scorers.submit(self._score, images, texts, groups)
                if not self.config.sampling.overlap:
                    waiting[at].result()
                    clock.lap("reward")
                parts.append(rollouts)
                pictures[at] = images
            scored = {at: job.result() for at, job in waiting.items()}
        clock.lap("reward")
        if any(reward.learns for reward, _ in self.rewards.values()):
            for theirs in self.team.gather(pictures):  # what learns must see what all have drawn
                pictures |= theirs
        whole: dict[int, dict[str, Scores]] = {}
        for one in self.team.gather(scored):
            whole |= one
        names = [*self.rewards] or [Pairs.REWARD]
        mine = {n: calls_made(reward) - made[n] for n, (reward, _) in self.rewards.items()}
        calls = self.team.gather(mine)
        return Collected(
            update.prompts,
            parts,
            Forest.of(shape, update.coefficients, update.seed_N, parts),
            _whole(pictures, len(shape.leaf)),
            {name: _joined([whole[at][name] for at in sorted(whole)]) for name in names},
            [update.prompts[tree] for tree in shape.tree[shape.leaf]],
            {n: sum(c[n] for c in calls) for n in self.rewards if any(c[n] for c in calls)},
        )

    def _prepare(
        self, step: int, plans: Sequence[TreePlan], shape: Shape, recorded: Sequence[Group]
    ) -> _Update:
        if any(plan.kernel != plans[0].kernel for plan in plans):
            raise MethodError("All trees of an update must draw their noise by the same kernel.")
        rows: list[int] = []
        seed, num = self.config.seed, len(plans)
        if plans[0].given and self.pairs is not None:
            rows = turns_at(len(self.pairs), seed, step, num)
            prompts = [self.pairs.prompts[row] for row in rows]
        else:
            prompts = prompts_at(self.prompts, seed, step, num)
        seed_N = np.zeros(len(shape), dtype=np.int64)
        for node in np.flatnonzero(shape.explored | (shape.parent < 0)):
            where = (int(shape.tree[node]), int(shape.local[node]))
            seed_N[node] = seed_of(seed, step, "rollout", *where)
        coefficients = compile_kernel(plans[0].kernel, self.sigmas)
        watched = trunk_nodes(shape, recorded)
        room = int(self.config.record_latents * 1e6) // self.team.size
        most = room // (HALF * math.prod(self.policy.latent_shape))
        kept = kept_nodes(shape, recorded, most)
        return _Update(step, plans, shape, prompts, seed_N, watched, kept, coefficients, rows)

    def _grow(
        self, field: Field, update: _Update, trees: range, clock: Clock
    ) -> tuple[Rollouts, Pictures]:
        """One part of the trees and the pictures of its leaves."""
        own = update.shape.part(trees.start, trees.stop)
        first = int(np.searchsorted(update.shape.tree, trees.start))
        seeds = update.seed_N[first : first + len(own)]
        cond = self.policy.embed(update.prompts[trees.start : trees.stop])
        if update.rows:
            images = self._stored(update.rows[trees.start : trees.stop])
            latents, blank = self._encode(images), np.full(len(own), np.nan)
            rollouts = Rollouts(own, update.coefficients, seeds, cond, [], latents, {}, blank)
        else:
            inside = range(first, first + len(own))
            watched, kept = (
                frozenset(node - first for node in nodes if node in inside)
                for nodes in (update.watched, update.kept)
            )
            rollouts = sample(
                field,
                own,
                update.coefficients,
                cond,
                seeds,
                watched=watched,
                kept=kept,
                solver=update.plans[0].solver,
            )
            clock.lap("sample")
            images = decode(self.policy, rollouts.leaves, field.decode_batch_size)
        rollouts.first, rollouts.steps = first, update.shape.trained_steps
        clock.lap("decode")
        return rollouts, images

    def _stored(self, rows: Sequence[int]) -> Pictures:
        """Winner and loser of each pair side by side."""
        assert self.pairs is not None
        both = [self.pairs.winners[rows], self.pairs.losers[rows]]
        return np.stack(both, axis=1).reshape(-1, *both[0].shape[1:])

    def _encode(self, images: Pictures) -> Tensor:
        size = self.config.sampling.batch_size
        parts = [images[at : at + size] for at in range(0, len(images), size)]
        return torch.cat([self.policy.encode(part) for part in parts])

    def _score(self, images: Pictures, texts: list[str], group_L: Ints) -> dict[str, Scores]:
        """What each reward says of the pictures of one part; what it is not asked about is n/a."""
        if not self.rewards:
            won = 1.0 - np.arange(len(images)) % 2
            return {Pairs.REWARD: Scores.of(won)}
        return {
            name: routed(reward, texts, images, group_L, np.array([only in t for t in texts]))
            if only
            else reward.score(images, texts, group_L)
            for name, (reward, only) in self.rewards.items()
        }


def _joined(parts: Sequence[Scores]) -> Scores:
    """What was said of all parts, in the order of the leaves."""
    if len(parts) == 1:
        return parts[0]
    names = {name for part in parts for name in part.parts}
    blank = {name: [np.full(len(part), np.nan) for part in parts] for name in names}
    return Scores(
        np.concatenate([part.values for part in parts]),
        [status for part in parts for status in part.status],
        {
            name: np.concatenate(
                [p.parts.get(name, b) for p, b in zip(parts, blank[name], strict=True)]
            )
            for name in names
        },
        [reason for part in parts for reason in part.reasons or [""] * len(part)],
        [
            (at + one, at + other, said)
            for at, part in zip(_starts(parts), parts, strict=True)
            for one, other, said in part.bouts
        ],
        spans_of(parts),
    )


def _starts(parts: Sequence[Scores]) -> list[int]:
    """Where each part begins in the whole."""
    return [0, *np.cumsum([len(part) for part in parts]).tolist()[:-1]]


def _whole(pictures: Mapping[int, Pictures], num: int) -> Pictures:
    """Pictures of all leaves, blank where this process has none."""
    if len(pictures) == 1 and len(next(iter(pictures.values()))) == num:
        return next(iter(pictures.values()))
    like = next(iter(pictures.values()), np.zeros((0, 1, 1, 3), np.uint8))
    whole = np.zeros((num, *like.shape[1:]), dtype=np.uint8)
    for at, images in pictures.items():
        whole[at : at + len(images)] = images
    return whole
