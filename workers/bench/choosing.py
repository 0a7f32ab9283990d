"""`palate bench choosing`: how many labels each policy of which pair next needs.

A pool: four pictures of every pocket prompt, by three sources (4, 6 and 10 denoising steps, which
stand for checkpoints; two of the last). Features are made once, without labels. A seed is a world:
a third of the prompts is held out, four simulated annotators, their noise. In each world every
policy asks for labels among the same pairs with the same answers, its utilities worked out again
after every few; the learned reward's own fit is made at each budget, and measured by the sign of
the average person's noise-free u on all pairs of the held-out prompts.

    agreement   mean over worlds ± t·s/√n
    difference  to random in the same world, mean ± t·s/√n, and its mean over the budgets from
                `FROM` on, by which the winner is found: the largest whose interval is above 0
    weighted    the same fit with weights 1 / propensity, minus the plain one
    stock       how far the agreement of the encoder's likeness on the pairs that were asked is from
                that on all pairs: as it is, and corrected by 1 / propensity
    needed      labels until the policy has the agreement that random has at 200 and at 400: mean
                curves made monotone (least squares), straight lines between; intervals by drawing
                worlds with replacement
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Final

import numpy as np

from backend.preferences import choosing, simulated
from backend.preferences.choosing import Known
from backend.registry import choosers
from backend.rewards import _bradley_terry as bt
from backend.rewards import _encoders, _features, learn
from backend.rewards.interface import Floats, Ints
from backend.rl.randomness import seed_of
from backend.types import Pictures
from workers import bare
from workers.bench import page
from workers.bench.chart import Line, Panel, write_chart
from workers.bench.lab import ANNOTATORS, Lab, circumstances
from workers.bench.summary import half_width
from workers.report import write_json

BUDGETS: Final = (25, 50, 100, 150, 200, 300, 400)
SOURCES: Final = ((0, 4), (1, 6), (2, 10), (2, 10))
"""Of each prompt's pictures: the source, and its denoising steps."""
HANDED: Final = 4
"""Pairs that are handed out at once."""
FROM: Final = 50
TARGETS: Final = (200, 400)
RESAMPLES: Final = 2000
RANDOM: Final = "random"

Curve = dict[str, Any]


@dataclass(frozen=True)
class ChoosingPlan:
    """What was asked for."""

    seeds: int = 5
    budgets: tuple[int, ...] = BUDGETS
    only: tuple[str, ...] = ()


@dataclass(frozen=True)
class Pool:
    """Pictures of P prompts, K each, and all that is known of them without a label."""

    features: Floats
    """(P · K, F)"""
    block: Ints
    seen: Floats
    """(3, P · K) what the annotators look at."""
    num_prompts: int

    def pairs(self, prompts: Ints) -> Ints:
        """All pairs within the prompts, (M, 2)."""
        each = np.array(list(itertools.combinations(range(len(SOURCES)), 2)))
        found: Ints = (prompts[:, None, None] * len(SOURCES) + each).reshape(-1, 2)
        return found


class World:
    """A seed: which prompts are held out, and what would be answered about every other pair."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        rng = np.random.default_rng([seed, 0xC4005E])
        order = rng.permutation(pool.num_prompts)
        cut = pool.num_prompts * 2 // 3
        self.pairs = pool.pairs(np.sort(order[:cut]))
        self.held = pool.pairs(np.sort(order[cut:]))
        self.a_left = rng.integers(2, size=len(self.pairs)).astype(bool)
        self.side = np.where(self.a_left, 1.0, -1.0)
        u = simulated.average(self._seen(slice(None)))
        self.truth = u[self.held[:, 0]] - u[self.held[:, 1]]

    @cached_property
    def outcome(self) -> Ints:
        """(M,) 1: a is preferred, −1: b, 0: neither; pairs are dealt out among the annotators."""
        found = np.zeros(len(self.pairs), dtype=np.int64)
        for number, person in enumerate(simulated.annotators(ANNOTATORS, self.seed)):
            mine = np.arange(number, len(found), ANNOTATORS)
            a, b = self.pairs[mine].T
            left, right = np.where(self.a_left[mine], a, b), np.where(self.a_left[mine], b, a)
            said = person.judge_seen(self._seen(left), self._seen(right), mine.tolist())
            toward = [{"left": 1, "right": -1}.get(one.choice, 0) for one in said]
            found[mine] = np.array(toward) * self.side[mine]
        return found

    @cached_property
    def stock(self) -> Floats:
        """(M,) 1 where the encoder's likeness alone agrees with the answer, else 0."""
        likeness = self.pool.features[:, self.pool.block == _features.STOCK].sum(axis=1)
        delta = likeness[self.pairs[:, 0]] - likeness[self.pairs[:, 1]]
        return np.asarray((delta > 0) == (self.outcome > 0), dtype=np.float64)

    def known(self, asked: Ints, open_: Ints, weight: Floats) -> Known:
        """What a policy may look at."""
        pool = self.pool
        source = np.tile([number for number, _ in SOURCES], pool.num_prompts)
        return Known(
            a=self.pairs[open_, 0],
            b=self.pairs[open_, 1],
            label_a=self.pairs[asked, 0],
            label_b=self.pairs[asked, 1],
            outcome=self.outcome[asked],
            side=self.side[asked],
            weight=weight,
            features=pool.features,
            block=pool.block,
            source=source,
            age=(source.max() - source).astype(np.float64),
        )

    def agreement(self, asked: Ints, weight: Floats | None = None) -> float:
        """Of the reward learned from these labels, on the held-out prompts' pairs."""
        pool = self.pool
        block, prior = learn.prior_of(pool.block)
        theta = prior
        if len(asked):
            a, b = self.pairs[asked].T
            x = learn.differences(pool.features, a, b, self.side[asked])
            said = bt.fit(
                x, self.outcome[asked], block, mean_D=prior, weight_M=weight, before=bt.CAREFUL
            )
            theta = said.theta
        value = pool.features @ theta[:-1]
        delta, differs = value[self.held[:, 0]] - value[self.held[:, 1]], self.truth != 0
        return float(((delta > 0) == (self.truth > 0))[differs].mean())

    def _seen(self, samples: Ints | slice) -> simulated.Ingredients:
        align, saturated, centred = self.pool.seen[:, samples]
        return align, saturated, centred


def bench(lab: Lab, plan: ChoosingPlan) -> dict[str, Any]:
    """Ask in every world by every policy, write choosing.json, .md and .png; returns the JSON."""
    names = list(dict.fromkeys([RANDOM, *(plan.only or choosers.names())]))
    for name in names:
        choosers.get(name)
    pool = pool_of(lab)
    curves = []
    for seed in range(plan.seeds):
        world = World(pool, seed)
        curves += [ask(world, name, plan.budgets) for name in names]
        told = ", ".join(f"{c['name']} {c['agreement'][-1]:.3f}" for c in curves[-len(names) :])
        lab.say(f"world {seed}: agreement after {plan.budgets[-1]} labels: {told}")
    rows = summarise(curves, plan.budgets)
    found = {
        "benchmark": "choosing",
        "plan": {**asdict(plan), "prompts": pool.num_prompts, "pictures": len(pool.features)},
        **circumstances(),
        "settings": {
            "share": choosing.SHARE,
            "temperature": choosing.TEMPERATURE,
            "candidates": choosing.CANDIDATES,
            "every": choosing.EVERY,
        },
        "before": float(np.mean([World(pool, s).agreement(_NONE) for s in range(plan.seeds)])),
        "winner": winner(rows),
        "policies": rows,
        "curves": curves,
    }
    write_json(lab.out / "choosing.json", found)
    (lab.out / "choosing.md").write_text(_page(found), encoding="utf-8")
    write_chart(lab.out / "choosing.png", "Which pair next", _panels(found))
    return found


def ask(world: World, name: str, budgets: Sequence[int]) -> Curve:
    """Labels by a policy up to the last budget, and what was learned at each."""
    policy = choosers.get(name)
    rng = np.random.default_rng([world.seed, 0xA5C])
    open_, asked, weight = np.arange(len(world.pairs)), _NONE, np.zeros(0)
    utilities = np.zeros(len(world.pairs))
    curve: Curve = {"name": name, "seed": world.seed, "agreement": [], "weighted": []}
    while len(asked) < budgets[-1]:
        if policy.NEEDS and len(asked) % choosing.EVERY == 0 and len(asked):
            known = world.known(asked, open_, weight)
            utilities[open_] = choosing.standardised(policy.utility(known))
        stops = [b for b in budgets if b > len(asked)]
        until = min(stops[0], (len(asked) // choosing.EVERY + 1) * choosing.EVERY)
        candidates = rng.choice(open_, min(choosing.CANDIDATES, len(open_)), replace=False)
        drawn = choosing.draw(
            utilities[candidates], min(HANDED, until - len(asked)), rng, name=name
        )
        fresh = candidates[[one.index for one in drawn]]
        asked = np.concatenate([asked, fresh])
        weight = np.concatenate([weight, [1 / one.propensity for one in drawn]])
        open_ = np.setdiff1d(open_, fresh)
        if len(asked) in budgets:
            curve["agreement"].append(world.agreement(asked))
            curve["weighted"].append(world.agreement(asked, weight))
    right, everyone = world.stock, world.outcome != 0
    mine, weight = asked[everyone[asked]], weight[everyone[asked]]
    curve["stock"] = {
        "all": float(right[everyone].mean()),
        "asked": float(right[mine].mean()),
        "corrected": float((weight * right[mine]).sum() / weight.sum()),
    }
    return curve


# --- figures --------------------------------------------------------------------------------------


def summarise(curves: Sequence[Curve], budgets: Sequence[int]) -> list[dict[str, Any]]:
    """A row a policy, the best first."""
    names = list(dict.fromkeys(curve["name"] for curve in curves))
    found = {n: np.array([c["agreement"] for c in curves if c["name"] == n]) for n in names}
    late = np.array(budgets) >= min(FROM, budgets[-1])
    rows = []
    for name in names:
        mine = [c for c in curves if c["name"] == name]
        apart = found[name] - found[RANDOM]
        weighted = np.array([c["weighted"] for c in mine]) - found[name]
        rows.append(
            {
                "name": name,
                "agreement": [_mean(column) for column in found[name].T],
                "difference": [_mean(column) for column in apart.T],
                "overall": _mean(apart[:, late].mean(axis=1)),
                "weighted": _mean(weighted[:, late].mean(axis=1)),
                "stock": {
                    key: _mean(np.array([c["stock"][key] - c["stock"]["all"] for c in mine]))
                    for key in ("asked", "corrected")
                },
                "needed": [
                    {"target": at, **needed(found[name], found[RANDOM], budgets, at)}
                    for at in TARGETS
                    if at in budgets
                ],
            }
        )
    return sorted(rows, key=lambda row: -row["overall"]["mean"])


def winner(rows: Sequence[dict[str, Any]]) -> str:
    """The policy that gains most beyond its interval; random where none does."""
    sure = [row for row in rows if (row["overall"]["half"] or math.inf) < row["overall"]["mean"]]
    return str(sure[0]["name"]) if sure else RANDOM


def needed(mine: Floats, base: Floats, budgets: Sequence[int], at: int) -> dict[str, Any]:
    """{labels, low, high, saved} until `mine` (W, B) has the agreement of `base` after `at` labels;
    None where it is not reached within the budgets. `saved` compares with what `base` needs."""
    rng = np.random.default_rng(0xB007)
    worlds = len(mine)
    picks = [np.arange(worlds), *rng.integers(worlds, size=(RESAMPLES, worlds))]
    place = list(budgets).index(at)
    found = []
    for pick in picks:
        level = monotone(base[pick].mean(axis=0))[place]
        found.append(reached(budgets, monotone(mine[pick].mean(axis=0)), level))
    low, high = np.quantile(found[1:], [0.025, 0.975], method="nearest")
    labels, low, high = (None if math.isinf(v) else float(v) for v in (found[0], low, high))
    return {"labels": labels, "low": low, "high": high, "saved": labels and at / labels}


def monotone(values: Floats) -> Floats:
    """The nearest curve that never falls (isotonic regression)."""
    from scipy.optimize import isotonic_regression

    return np.asarray(isotonic_regression(values).x)


def reached(budgets: Sequence[int], curve: Floats, level: float) -> float:
    """Labels at which a curve that never falls first is `level`; infinite if it never is.

    Example: .6 at 100 and .7 at 200 reach .65 at 150; the first budget where it begins above.
    """
    if curve[0] >= level:
        return float(budgets[0])
    for (x0, y0), (x1, y1) in itertools.pairwise(zip(budgets, curve, strict=True)):
        if y0 < level <= y1 + 1e-12:
            return float(x0 + (x1 - x0) * min((level - y0) / (y1 - y0), 1.0))
    return math.inf


def _mean(values: Floats) -> dict[str, float | None]:
    return {"mean": float(values.mean()), "half": half_width(values.tolist())}


_NONE: Final = np.zeros(0, dtype=np.int64)


# --- the pool -------------------------------------------------------------------------------------


def pool_of(lab: Lab) -> Pool:
    """Features of the pictures, by the encoder of today."""
    prompts, images = pictures_of(lab)
    asked = [prompt for prompt in prompts for _ in SOURCES]
    path = lab.out / f"choosing-pool-{len(prompts)}-{_encoders.version(_encoders.POCKET)}.npz"
    if not path.is_file():
        lab.say("reading the pictures")
        encoder = _encoders.load(_encoders.POCKET)
        recipe, features, _ = _features.fit(encoder, images, asked, learn.COMPONENTS)
        seen = np.stack(simulated.ingredients(images, asked))
        _save(path, features=features, block=recipe.block, seen=seen)
    with np.load(path, allow_pickle=False) as kept:
        return Pool(kept["features"], kept["block"], kept["seen"], len(prompts))


def pictures_of(lab: Lab) -> tuple[list[str], Pictures]:
    """Prompts (P,) and pictures (P · K, h, w, 3), drawn once and kept in the lab's folder."""
    prompts = lab.train + lab.heldout
    path = lab.out / f"choosing-pictures-{len(prompts)}.npz"
    if not path.is_file():
        _save(path, images=_drawn(lab, prompts))
    with np.load(path, allow_pickle=False) as kept:
        return prompts, kept["images"]


def _save(path: Path, **arrays: Any) -> None:
    partial = path.with_name(f".{path.stem}.part.npz")
    np.savez(partial, **arrays)
    partial.replace(path)


def _drawn(lab: Lab, prompts: Sequence[str]) -> Pictures:
    """(P · K, h, w, 3), a prompt's pictures together."""
    from backend.rl.sampler import Field, draw

    policy = bare.policy(bare.POCKET)
    columns = []
    for number, (_, steps) in enumerate(SOURCES):
        lab.say(f"drawing {len(prompts)} pictures of {steps} steps")
        seeds = [seed_of("bench", "choosing", number, i) for i in range(len(prompts))]
        columns.append(draw(Field(policy, bf16=True), prompts, seeds, policy.schedule(steps)))
    images = np.stack(columns, axis=1)
    return images.reshape(-1, *images.shape[2:])


# --- what is written ------------------------------------------------------------------------------


def _page(found: dict[str, Any]) -> str:
    plan, settings = found["plan"], found["settings"]
    budgets = plan["budgets"]
    about = (
        f"{plan['seeds']} worlds, {plan['pictures']} pictures of {plan['prompts']} prompts, of "
        f"which a third is held out. Agreement of the learned reward with the average person's "
        f"noise-free taste, mean ± 95 %; {found['before']:.3f} before any label. "
        f"{settings['share']:.0%} of the pairs are uniform."
    )
    head = ["policy", *(f"{budget} labels" for budget in budgets)]
    rows = [
        [row["name"], *(_interval(cell, "{:.3f}") for cell in row["agreement"])]
        for row in found["policies"]
    ]
    apart = [
        "policy",
        f"over random, {FROM} labels on",
        *(
            f"labels for what random has at {cell['target']}"
            for cell in found["policies"][0]["needed"]
        ),
        "weighted fit over plain",
        "stock, asked",
        "stock, corrected",
    ]
    more = [
        [
            row["name"],
            _interval(row["overall"], "{:+.4f}"),
            *(_labels(cell, budgets[-1]) for cell in row["needed"]),
            _interval(row["weighted"], "{:+.4f}"),
            _interval(row["stock"]["asked"], "{:+.3f}"),
            _interval(row["stock"]["corrected"], "{:+.3f}"),
        ]
        for row in found["policies"]
    ]
    said = (
        f"**{found['winner']}** gains most over random, beyond its interval."
        if found["winner"] != RANDOM
        else "No policy is better than random beyond its interval."
    )
    parts = ["# Which pair next", about, page.table(head, rows), page.table(apart, more), said]
    return "\n\n".join([*parts, page.made(found)]) + "\n"


def _interval(cell: dict[str, float | None], form: str) -> str:
    return page.interval(cell["mean"], cell["half"], form)


def _labels(cell: dict[str, Any], most: int) -> str:
    """ "118 (80 to 190)"; what lies beyond the last budget is said to."""
    value, low, high = (
        f"> {most}" if cell[key] is None else f"{cell[key]:.0f}"
        for key in ("labels", "low", "high")
    )
    return f"{value} ({low} to {high})"


def _panels(found: dict[str, Any]) -> list[list[Panel]]:
    budgets = found["plan"]["budgets"]
    panels = []
    for key, title in (("agreement", "Held-out agreement"), ("difference", "Over random")):
        lines = []
        for row in found["policies"]:
            y = [cell["mean"] for cell in row[key]]
            lines.append(Line(row["name"], budgets, y, row[key][-1]["half"] or 0.0))
        panels.append(Panel(title, "labels", lines, from_zero=key == "difference"))
    return [panels]
