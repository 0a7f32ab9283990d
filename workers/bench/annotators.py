"""`palate bench annotators`: what a model of the people who label buys, on simulated bad ones.

Feature vectors instead of pictures: x ~ N(0, 1/(1 + d)) for 20 features d, a true reward that is
linear in them, two pictures of a pair two units apart (an average person is right in 76 of 100
decided answers). Four ordinary people (sharpness e^{N(0, .15²)}, side bias N(0, .25²), lapses 1 to
5 %), and in the world with bad ones two more of whom everyone gives as many labels: one lapses two
times in five, one always chooses left. Accuracy: sign of the learned against the true reward on
4,000 fresh pairs.

    uniform       one reward, one side bias, every label alike: what there was
    without bad   the same on the four ordinary people's labels: knowing whom to exclude
    annotators    each person's sharpness, lapse rate and side bias (`preferences.annotators.fit`)
    weights       the uniform fit with that model's label weights
    losses        the uniform fit with weights from running statistics of cross-fitted losses
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np

from backend.preferences import annotators
from backend.rewards import _bradley_terry as bt
from backend.rewards.interface import Floats, Ints
from workers.bench import page
from workers.bench.lab import circumstances
from workers.bench.summary import half_width
from workers.report import write_json

FEATURES: Final = 20
ORDINARY: Final = 4
HELD_OUT: Final = 4000
FOLDS: Final = 5
ABSENT, LEFT = ORDINARY, ORDINARY + 1
"""The two bad ones: who lapses two times in five, and who always chooses left."""
WAYS: Final = ("uniform", "without bad", "annotators", "weights", "losses")


@dataclass(frozen=True)
class AnnotatorsPlan:
    """What was asked for."""

    seeds: int = 5
    budgets: tuple[int, ...] = (200, 600, 1500)
    """Labels of all people together."""


@dataclass(frozen=True)
class World:
    """Labels of a seed, and the truth about fresh pairs."""

    x: Floats
    outcome: Ints
    side: Floats
    who: Ints
    fresh: Floats
    truth: Floats

    @classmethod
    def of(cls, seed: int, num: int, *, bad: bool) -> World:
        """The world of a seed with `num` labels."""
        rng = np.random.default_rng([seed, 0xBAD])
        scale = 1 / np.sqrt(1 + np.arange(FEATURES))
        theta = rng.normal(size=FEATURES)
        theta *= 2 / np.linalg.norm(theta * scale)
        people = ORDINARY + 2 * bad
        who = rng.integers(people, size=num)
        x, side = rng.normal(size=(num, FEATURES)) * scale, rng.choice([-1.0, 1.0], num)
        lean, lapse = 0.25 * rng.normal(size=people), rng.uniform(0.01, 0.05, people)
        if bad:
            lapse[ABSENT] = 0.4
        felt = np.exp(0.15 * rng.normal(size=people))[who] * (x @ theta) + lean[who] * side
        felt += rng.logistic(size=num)
        said = np.where(np.abs(felt) < 0.35, 0, np.sign(felt))
        said = np.where(rng.random(num) < lapse[who], rng.choice([-1, 1], num), said)
        said = np.where(who == LEFT, side, said).astype(np.int64)
        fresh = rng.normal(size=(HELD_OUT, FEATURES)) * scale
        return cls(x, said, side, who, fresh, fresh @ theta)

    def accuracy(self, theta: Floats) -> float:
        """Share of the fresh pairs that are put in the right order."""
        return float((np.sign(self.fresh @ theta) == np.sign(self.truth)).mean())

    def fitted(self, *, pick: Ints | slice = slice(None), weight: Floats | None = None) -> Any:
        """The uniform fit, with weights where they are given."""
        x = np.hstack([self.x, self.side[:, None]])[pick]
        block = np.append(np.zeros(FEATURES, dtype=np.int64), 1)
        return bt.fit(x, self.outcome[pick], block, weight_M=weight)

    def losses(self) -> Floats:
        """Of each label under a fit that has not seen it."""
        fold = np.arange(len(self.x)) % FOLDS
        found = np.zeros(len(self.x))
        for k in range(FOLDS):
            fitted, held = self.fitted(pick=np.flatnonzero(fold != k)), fold == k
            delta = np.hstack([self.x, self.side[:, None]])[held] @ fitted.theta
            found[held] = annotators.losses(delta, self.outcome[held], fitted.tie)
        return found


def bench(out: Path, plan: AnnotatorsPlan, say: Callable[[str], None]) -> dict[str, Any]:
    """Measure, write annotators.json and .md; returns the JSON."""
    rows = []
    for bad in (True, False):
        for num in plan.budgets:
            runs = [measure(World.of(seed, num, bad=bad)) for seed in range(plan.seeds)]
            rows.append(summarise(runs, num, bad=bad))
            say(_line(rows[-1]))
    found = {"benchmark": "annotators", "plan": asdict(plan), **circumstances(), "rows": rows}
    out.mkdir(parents=True, exist_ok=True)
    write_json(out / "annotators.json", found)
    (out / "annotators.md").write_text(_page(found), encoding="utf-8")
    return found


def measure(world: World) -> dict[str, Any]:
    """Accuracy of each way, and what the model says of each person."""
    block = np.zeros(FEATURES, dtype=np.int64)
    crowd = annotators.fit(world.x, world.outcome, world.side, world.who, block)
    by_loss = annotators.label_weights(world.losses(), world.who)
    ordinary = np.flatnonzero(world.who < ORDINARY)
    thetas = {
        "uniform": world.fitted().theta[:-1],
        "without bad": world.fitted(pick=ordinary).theta[:-1],
        "annotators": crowd.theta,
        "weights": world.fitted(weight=crowd.label_weights(world.who)).theta[:-1],
        "losses": world.fitted(weight=by_loss).theta[:-1],
    }
    return {
        "accuracy": {way: world.accuracy(theta) for way, theta in thetas.items()},
        "information": crowd.information.tolist(),
        "by_loss": [float(by_loss[world.who == k].mean()) for k in crowd.annotators],
    }


def summarise(runs: list[dict[str, Any]], num: int, *, bad: bool) -> dict[str, Any]:
    """Mean accuracy and its difference to uniform in the same world, ± t·s/√n over seeds."""
    accuracy = {way: [run["accuracy"][way] for run in runs] for way in WAYS}
    gain = {way: np.subtract(accuracy[way], accuracy["uniform"]).tolist() for way in WAYS}
    least = [int(np.argmax(run["information"][ORDINARY:])) for run in runs] if bad else []
    return {
        "labels": num,
        "bad": bad,
        "seeds": len(runs),
        "accuracy": {way: float(np.mean(values)) for way, values in accuracy.items()},
        "gain": {way: float(np.mean(values)) for way, values in gain.items()},
        "half": {way: half_width(values) for way, values in gain.items()},
        "information": np.mean([run["information"] for run in runs], axis=0).tolist(),
        "by_loss": np.mean([run["by_loss"] for run in runs], axis=0).tolist(),
        "bad_weigh_least": sum(
            run["information"][ORDINARY + worse] < min(run["information"][:ORDINARY])
            for run, worse in zip(runs, least, strict=False)
        ),
    }


def _line(row: dict[str, Any]) -> str:
    world = "two bad of six" if row["bad"] else "four ordinary"
    ways = ", ".join(f"{way} {row['accuracy'][way]:.3f}" for way in WAYS)
    return f"{world}, {row['labels']} labels: {ways}"


def _page(found: dict[str, Any]) -> str:
    head = ["people, labels", "uniform", *(f"{way} − uniform" for way in WAYS[1:])]
    rows = [
        [
            f"{'two bad of six' if row['bad'] else 'four ordinary'}, {row['labels']}",
            f"{row['accuracy']['uniform']:.3f}",
            *(page.interval(row["gain"][way], row["half"][way], "{:+.3f}") for way in WAYS[1:]),
        ]
        for row in found["rows"]
    ]
    people = [
        [
            str(row["labels"]),
            f"{min(row['information'][:ORDINARY]):.2f} to {max(row['information'][:ORDINARY]):.2f}",
            f"{row['information'][ABSENT]:.2f}",
            f"{row['information'][LEFT]:.2f}",
            f"{row['bad_weigh_least']} of {row['seeds']}",
        ]
        for row in found["rows"]
        if row["bad"]
    ]
    weights = ["labels", "ordinary", "absent two in five", "always left", "both bad least"]
    return "\n\n".join(
        [
            "# Learning from noisy people",
            "Held-out accuracy, mean over seeds, and differences in the same world ± 95 %.",
            page.table(head, rows),
            "What an answer tells about the reward, somebody in the middle who never lapses: 1.",
            page.table(weights, people),
            page.made(found),
        ]
    )
