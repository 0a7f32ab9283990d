"""Composition over a run: from what the rewards say to advantages, and what changes on the way.

Most runs change nothing. What can: thresholds that rise with the run, floors measured in the first
update, stages that open when the ones before have levelled off, weights that follow their targets.
All of it is a function of what the rewards said, so every process of a run comes to the same, and
`state` goes into checkpoints.

A stage opens when the mean of the last W updates is no more than `plateau_margin` standard errors
over the mean of the W before. What is averaged is Σ w·r/s over the rewards that count, s the spread
in the stage's first update. A stage that is open stays open, and the next one needs 2W updates of
its own: the rewards have changed, so the series begins anew.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, Final

import numpy as np

from backend.errors import RewardError
from backend.rewards import _groups, _operators
from backend.rewards.compose import PLAIN, Manner, Term, floors, needs_base, refuse
from backend.rewards.interface import Scores
from backend.rl.collect import Pairs
from backend.rl.composing import RewardTerm, as_term
from backend.rl.credit import Credit, Credited, Floats, assign, item_values, partition
from backend.rl.recipe import RunConfig
from backend.rl.tree import Shape

Base = Mapping[str, Sequence[float | None]]
"""Reward → what it said of the base's pictures, None where it said nothing."""

RUNNING: Final = 3
"""Updates in a row that a reward may fail before the run pauses."""


class Composition:
    """How the rewards of one run become advantages now."""

    def __init__(self, config: RunConfig, relative: Mapping[str, bool]) -> None:
        self.relative = relative
        self.base: Base = {}
        self.stage = 0
        self.history: list[float] = []
        self.spreads: dict[str, float] = {}
        self.floors: dict[str, float] = {}
        self.factors: dict[str, float] = {}
        """Reward with a target → its weight as a multiple of the one people gave it."""
        self.failing: dict[str, int] = {}
        self._news: list[str] = []
        self.heed(config)
        if config.rewards:
            compose = config.compose
            refuse(
                [as_term(t, relative=relative[t.name]) for t in config.rewards],
                compose.scale,
                compose.combine,
                renormalise=compose.renormalise,
            )

    def heed(self, config: RunConfig) -> None:
        """Settings that people have changed hold from now on."""
        self.config = config

    @property
    def needs_base(self) -> bool:
        """Whether what the rewards said of the base's pictures is asked for."""
        adaptive = any(term.target is not None for term in self.config.rewards)
        return adaptive or any(needs_base(as_term(term)) for term in self.config.rewards)

    def terms(self, step: int) -> list[Term]:
        """The rewards as they count in update `step`; stored pairs have one value, who won."""
        if not self.config.rewards:
            return [Term(Pairs.REWARD, relative=True)]
        share = step / self.config.num_steps
        return [self._term(term, share) for term in self.config.rewards]

    def _term(self, term: RewardTerm, share: float) -> Term:
        plain = as_term(term, relative=self.relative[term.name])
        return replace(
            plain,
            weight=term.weight * self.factors.get(term.name, 1.0),
            base=self._said(term.name) if needs_base(plain) else (),
            threshold=_operators.rising(term.thresholds, share) if term.thresholds else 0.0,
            active=term.stage <= self.stage,
        )

    def _said(self, name: str) -> tuple[float, ...]:
        """What the reward said of the base's pictures."""
        return tuple(value for value in self.base.get(name, ()) if value is not None)

    def assign(
        self,
        shape: Shape,
        scores: Mapping[str, Scores],
        terms: Sequence[Term],
        credit: Credit,
        log_prob_N: Floats,
    ) -> Credited:
        """The advantages of one update; `terms` are those that hold in it."""
        compose, values = self.config.compose, {n: s.values for n, s in scores.items()}
        if compose.measure_floors and not self.floors and self.config.rewards:
            self._measure(shape, item_values(shape, values, credit, log_prob_N), credit)
        return assign(
            shape,
            values,
            terms,
            credit,
            scale=compose.scale,
            floor=self._floor(),
            clip=compose.clip,
            renormalise=compose.renormalise,
            manner=self._manner(scores),
            log_prob_N=log_prob_N,
        )

    def _manner(self, scores: Mapping[str, Scores]) -> Manner:
        compose = self.config.compose
        unsure = [term.name for term in self.config.rewards if term.doubtful]
        silent = next((n for n in unsure if "sd" not in scores[n].parts), None)
        if silent and np.isfinite(scores[silent].values).any():
            raise RewardError(
                f"Reward '{silent}' gives no deviation ('sd') with its values, so its shares "
                "cannot shrink where it is unsure; take the setting away, or choose a learned one."
            )
        of_process = any(term.process for term in self.config.rewards)
        if compose.combine == "each" and compose.difficulty == "none" and not unsure:
            return replace(PLAIN, success=compose.success) if of_process else PLAIN
        doubt = {name: scores[name].parts["sd"] for name in unsure if name != silent}
        return Manner(compose.combine, compose.difficulty, compose.success, doubt)

    def _floor(self) -> float | dict[str, float]:
        compose = self.config.compose
        own = {t.name: t.floor for t in self.config.rewards if t.floor is not None}
        if not own and not self.floors:
            return compose.floor
        return {
            t.name: own.get(t.name, self.floors.get(t.name, compose.floor))
            for t in self.config.rewards
        }

    def _measure(self, shape: Shape, values: Mapping[str, Floats], credit: Credit) -> None:
        """Floors of the first update, kept: one that follows the spread down protects nobody."""
        noise = {term.name: term.noise for term in self.config.rewards}
        self.floors = floors(values, partition(shape, credit).group_I, noise=noise)

    # --- what the update tells for the next ------------------------------------------------------

    def observe(
        self, scores: Mapping[str, Scores], credited: Credited, step: int
    ) -> dict[str, float]:
        """Learn from an update's values; its figures for the charts."""
        figures = self._figures(credited, step) | self._doubts(scores)
        self._count_failures(scores)
        if not self.config.rewards:
            return figures
        if max(term.stage for term in self.config.rewards) > self.stage:
            self._follow_stage(scores)
        if any(term.target is not None for term in self.config.rewards):
            self._adapt(scores)
        return figures

    def _figures(self, credited: Credited, step: int) -> dict[str, float]:
        composed, found = credited.composed, dict[str, float]()
        shares = {n: s.share for n, s in composed.stages.items() if np.isfinite(s.share).any()}
        if len(shares) > 1:
            told = _operators.influence(shares)
            found |= {f"influence/{name}": value for name, value in told.items()}
        if composed.gated is not None:
            found["gated"] = float(composed.gated.mean())
        if any(term.stage for term in self.config.rewards):
            found["stage"] = float(self.stage)
        for term in self.config.rewards:
            if term.target is not None:
                weight = term.weight * self.factors.get(term.name, 1.0)
                found[f"weight/{term.name}"] = weight
            if len(term.thresholds) > 1:
                share = step / self.config.num_steps
                found[f"threshold/{term.name}"] = _operators.rising(term.thresholds, share)
        return found | {f"floor/{name}": value for name, value in self.floors.items()}

    def _doubts(self, scores: Mapping[str, Scores]) -> dict[str, float]:
        """How unsure rewards are, and whether that goes with their values, which would bend them:
        the rank correlation should stay within ±.3."""
        found: dict[str, float] = {}
        for term in self.config.rewards:
            doubt, value = scores[term.name].parts.get("sd"), scores[term.name].values
            if not term.doubtful or doubt is None:
                continue
            both = np.isfinite(doubt) & np.isfinite(value)
            if both.sum() > 2:
                found[f"doubt/{term.name}"] = float(doubt[both].mean())
                one, other = _groups.ranks(doubt[both]), _groups.ranks(value[both])
                if one.std() > 0 and other.std() > 0:
                    found[f"doubt_bias/{term.name}"] = float(np.corrcoef(one, other)[0, 1])
        return found

    def _follow_stage(self, scores: Mapping[str, Scores]) -> None:
        """Open the next stage once this one has levelled off."""
        live = [t for t in self.config.rewards if t.stage <= self.stage and t.role == "sum"]
        if not self.spreads:
            self.spreads = {t.name: _groups.spread(scores[t.name].values) or 1.0 for t in live}
        means = [(t, _mean(scores[t.name].values)) for t in live]
        known = [t.weight * m / self.spreads.get(t.name, 1.0) for t, m in means if math.isfinite(m)]
        if not known:
            return
        self.history.append(sum(known))
        width = self.config.compose.plateau
        if len(self.history) < 2 * width:
            return
        late, early = np.array(self.history[-width:]), np.array(self.history[-2 * width : -width])
        error = math.sqrt((late.var(ddof=1) + early.var(ddof=1)) / width)
        if late.mean() - early.mean() <= self.config.compose.plateau_margin * error:
            self.stage, self.history, self.spreads = self.stage + 1, [], {}
            joined = [f"'{t.name}'" for t in self.config.rewards if t.stage == self.stage]
            self._news.append(f"the rewards have levelled off; {' and '.join(joined)} count now.")

    def news(self) -> list[str]:
        """What people should know has changed, once."""
        told, self._news = self._news, []
        return told

    def _adapt(self, scores: Mapping[str, Scores]) -> None:
        """Weights that follow their targets, as multiples of those that people gave."""
        terms = [t for t in self.config.rewards if t.target is not None and t.stage <= self.stage]
        base = {t.name: 1.0 for t in terms}
        spread = {
            t.name: _groups.spread(
                np.array([v for v in self.base.get(t.name, ()) if v is not None])
            )
            for t in terms
        }
        self.factors |= _operators.adapted(
            base | {n: f for n, f in self.factors.items() if n in base},
            base,
            {t.name: t.target for t in terms if t.target is not None},
            {t.name: _mean(scores[t.name].values) for t in terms},
            {name: value or 1.0 for name, value in spread.items()},
            {t.name: scores[t.name].num_missing / max(len(scores[t.name]), 1) for t in terms},
        )

    def _count_failures(self, scores: Mapping[str, Scores]) -> None:
        for name, said in scores.items():
            bad = said.share_failed > self.config.compose.missing
            self.failing[name] = self.failing.get(name, 0) + 1 if bad else 0

    def lacking(self, step: int) -> str:
        """Why the run should pause, as a sentence; empty while no reward fails for too long."""
        name = next((n for n, num in self.failing.items() if num >= RUNNING), None)
        if name is None:
            return ""
        share = self.config.compose.missing
        return (
            f"Paused after update {step}: '{name}' had no value for more than {share:.0%} of the "
            f"pictures in {RUNNING} updates running, and what is learned from the rest may lean "
            "to one side. Mend the reward, then resume."
        )

    # --- checkpoints -----------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """What a resumed run must know; empty for a composition that never changes."""
        kept: dict[str, Any] = {
            "stage": self.stage,
            "history": self.history,
            "spreads": self.spreads,
            "floors": self.floors,
            "factors": self.factors,
        }
        return {name: value for name, value in kept.items() if value}

    def load(self, state: Mapping[str, Any]) -> None:
        """Go on from what `state` returned; failures are counted anew."""
        self.stage = int(state.get("stage", 0))
        self.history = list(state.get("history", []))
        self.spreads, self.floors = dict(state.get("spreads", {})), dict(state.get("floors", {}))
        self.factors = dict(state.get("factors", {}))


def _mean(value: Floats) -> float:
    present = value[np.isfinite(value)]
    return float(present.mean()) if len(present) else math.nan
