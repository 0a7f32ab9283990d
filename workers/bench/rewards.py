"""`palate bench rewards`: what labels buy a learned reward, whose labels count, what scoring costs.

The pool is that of `bench choosing`: four pictures of every pocket prompt by sources of 4, 6, 10
and 10 steps. A seed is a world: a third of the prompts is held out, people, their noise, which
pairs are asked. Six people answer:

    three of the first taste    the simulated annotators as they are: mostly, is the prompt met
    two of the second           half of that, six times the saturation, four times the centring
    one who lapses              of the first taste, and in two of five answers presses any key

    learned      agreement with the decided answers of the five ordinary people about pairs of the
                 held-out prompts, mean over worlds and its 95 % interval; of the stock reward (the
                 encoder's likeness) and of the best single reward there is, the mean of the five
                 people's utilities (ceiling), on the same answers; calibration error of the
                 reward's confidence there; 95th percentile of a refit's time, one label at a time
    annotators   what an answer of each tells about the reward (1: somebody in the middle who never
                 lapses), and the lapse rate found, mean over worlds at the last budget up to 400
    throughput   images a second of each reward of the encoder over those of the encoder alone
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np

from backend.preferences import simulated
from backend.preferences.simulated import Annotator
from backend.rewards import _encoders, _features, _posterior, directional, learn
from backend.rewards._figures import agreement, calibration
from backend.rewards._live import Live
from backend.rewards._posterior import Held, Labels
from backend.rewards.interface import Floats, Ints
from backend.rewards.learn import Answer, PairData
from workers.bench import choosing, page
from workers.bench.choosing import SOURCES, Pool
from workers.bench.lab import Lab, circumstances
from workers.bench.summary import half_width
from workers.report import write_json

BUDGETS: Final = (25, 50, 100, 200, 400, 1000, 2000)
REFITS: Final = 20
"""Labels that come one by one at each budget, to time the refit."""
SHOWN: Final = 400
"""The budget at which people are told apart."""
NAMES: Final = (
    "first taste, 1",
    "first taste, 2",
    "first taste, 3",
    "second taste, 1",
    "second taste, 2",
    "lapses 40 %",
)
ORDINARY: Final = 5
LAPSE: Final = 0.4
PICTURES: Final = 256
ROUNDS: Final = 5
BARE: Final = "encoder"


@dataclass(frozen=True)
class RewardsPlan:
    """What was asked for."""

    seeds: int = 5
    budgets: tuple[int, ...] = BUDGETS


def people(seed: int) -> list[Annotator]:
    """The six of a world."""
    found = simulated.annotators(len(NAMES), seed)
    for i in (3, 4):
        found[i] = found[i].of_second_taste()
    found[ORDINARY] = replace(found[ORDINARY], lapse=LAPSE)
    return found


class World:
    """A seed: what everybody would say of every pair."""

    def __init__(self, pool: Pool, seed: int) -> None:
        self.pool, self.seed = pool, seed
        self.rng = np.random.default_rng([seed, 0x4E3A4D])
        order = self.rng.permutation(pool.num_prompts)
        cut = pool.num_prompts * 2 // 3
        self.people = people(seed)
        pairs = pool.pairs(order[:cut])
        self.pairs = pairs[self.rng.permutation(len(pairs))]
        self.who = np.arange(len(self.pairs)) % len(self.people)
        self.side = self.rng.choice([-1.0, 1.0], len(self.pairs))
        self.outcome = self._said(self.pairs, self.who, self.side)
        self.held = pool.pairs(order[cut:])
        self.judge = np.arange(len(self.held)) % ORDINARY
        side = self.rng.choice([-1.0, 1.0], len(self.held))
        self.truth = self._said(self.held, self.judge, side)

    def labels(self, num: int) -> Labels:
        """The first `num` answers."""
        a, b = self.pairs[:num].T
        features = self.pool.features
        return Labels(
            features[a] - features[b],
            self.outcome[:num],
            self.side[:num],
            self.who[:num],
            a // len(SOURCES),
            features[b],
        )

    @property
    def ceiling(self) -> Floats:
        """Δ of the mean of the ordinary people's utilities, on the held-out pairs."""
        weights = np.mean(
            [[p.alignment, p.saturation, p.centring] for p in self.people[:ORDINARY]], axis=0
        )
        value = weights @ self.pool.seen
        return np.asarray(value[self.held[:, 0]] - value[self.held[:, 1]])

    def agreement(self, delta: Floats) -> float:
        """With the decided answers about held-out pairs."""
        decided = self.truth != 0
        return agreement(delta[decided], self.truth[decided] > 0).value

    def _said(self, pairs: Ints, who: Ints, side: Floats) -> Ints:
        found = np.zeros(len(pairs), dtype=np.int64)
        for k, person in enumerate(self.people):
            mine = np.flatnonzero(who == k)
            a, b = pairs[mine].T
            left, right = np.where(side[mine] > 0, a, b), np.where(side[mine] > 0, b, a)
            looks = [tuple(part[some] for part in self.pool.seen) for some in (left, right)]
            keys = (pairs[mine] @ np.array([100_003, 1]) + 7 * self.seed).tolist()
            said = person.judge_seen(looks[0], looks[1], keys)
            toward = np.array([{"left": 1, "right": -1}.get(one.choice, 0) for one in said])
            found[mine] = toward * side[mine]
        return found


def bench(lab: Lab, plan: RewardsPlan, out: Path) -> dict[str, Any]:
    """Measure, write `out` (JSON) and rewards.md in the lab's folder; returns the JSON."""
    pool = choosing.pool_of(lab)
    rows = []
    for seed in range(plan.seeds):
        world = World(pool, seed)
        rows += [measure(world, num) for num in plan.budgets]
        last = rows[-1]
        lab.say(f"world {seed}: {last['accuracy']:.3f}, stock {last['stock']:.3f}")
    found = {
        "benchmark": "rewards",
        "plan": asdict(plan),
        **circumstances(),
        "learned": [summarise([r for r in rows if r["labels"] == num]) for num in plan.budgets],
        "annotators": told_apart(rows, min(plan.budgets, key=lambda num: abs(num - SHOWN))),
        "throughput": throughput(lab),
    }
    write_json(out, found)
    (lab.out / "rewards.md").write_text(_page(found), encoding="utf-8")
    return found


def measure(world: World, num: int) -> dict[str, Any]:
    """After `num` labels, the last of them one by one."""
    pool = world.pool
    prior = _features.prior_of(pool.block)
    live = Live(pool.block, prior, seed=world.seed)
    before = max(num - REFITS, 1)
    for count in range(before, num + 1):
        live.refit(world.labels(count))
    labels = world.labels(num)
    posterior = _posterior.fit(labels, pool.block, prior)
    left_out = live.cross.all(labels)
    decided = labels.outcome != 0
    temperature = _posterior.temperature_of(left_out.take(decided), labels.outcome[decided] > 0)
    x = pool.features[world.held[:, 0]] - pool.features[world.held[:, 1]]
    variance = np.einsum("md,de,me->m", x, posterior.covariance, x)
    held = Held(x @ posterior.theta, variance, np.full(len(x), posterior.tie))
    said = world.truth != 0
    sure = _posterior.sureness(held.take(said), temperature)
    crowd = posterior.crowd
    return {
        "labels": num,
        "seed": world.seed,
        "accuracy": world.agreement(held.delta),
        "stock": world.agreement(x @ prior),
        "ceiling": world.agreement(world.ceiling),
        "ece": calibration(sure, world.truth[said] > 0)[1],
        "seconds": live.seconds,
        "weight": None if crowd is None else crowd.information.tolist(),
        "lapse": None if crowd is None else crowd.lapse.tolist(),
    }


def summarise(rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Means over worlds, with the 95 % interval of the accuracy and of its gain over stock."""
    each = {key: [row[key] for row in rows] for key in ("accuracy", "stock", "ceiling", "ece")}
    mean = {key: float(np.mean(values)) for key, values in each.items()}
    half = half_width(each["accuracy"]) or 0.0
    gain = np.subtract(each["accuracy"], each["stock"])
    seconds = [second for row in rows for second in row["seconds"]]
    return {
        "labels": rows[0]["labels"],
        **mean,
        "low": mean["accuracy"] - half,
        "high": mean["accuracy"] + half,
        "gain": float(gain.mean()),
        "gain_half": half_width(gain.tolist()),
        "refit_ms_p95": float(np.percentile(seconds, 95) * 1000) if seconds else None,
    }


def told_apart(rows: Sequence[dict[str, Any]], num: int) -> list[dict[str, Any]]:
    """What each person's answers weigh, and their lapse rates."""
    mine = [row for row in rows if row["labels"] == num and row["weight"] is not None]
    if not mine or any(len(row["weight"]) != len(NAMES) for row in mine):
        return []
    weight = np.mean([row["weight"] for row in mine], axis=0)
    lapse = np.mean([row["lapse"] for row in mine], axis=0)
    least = [int(np.argmin(row["weight"])) for row in mine]
    return [
        {
            "name": name,
            "weight": float(weight[k]),
            "lapse": float(lapse[k]),
            "least_in": least.count(k),
        }
        for k, name in enumerate(NAMES)
    ]


def throughput(lab: Lab) -> dict[str, float]:
    """Images a second of rewards over those of their encoder alone, the best of some rounds."""
    prompts, images = choosing.pictures_of(lab)
    asked = [prompt for prompt in prompts for _ in SOURCES][:PICTURES]
    images = images[:PICTURES]
    answers = [
        Answer(i, i + 1, ("left", "right")[(i // 2) % 3 == 0], "ab"[i % 4 == 0])  # type: ignore
        for i in range(0, PICTURES, 2)
    ]
    data = PairData.of(images, asked, answers)
    encoder = _encoders.load(_encoders.POCKET)
    learned, _ = learn.fit(data, seed=0)
    direction, _ = directional.fit_direction(data, seed=0)
    seconds = _best(
        {
            BARE: lambda: encoder.image(images),
            "learned": lambda: learned.score(images, asked),
            "directional": lambda: direction.score(images, asked),
        }
    )
    return {name: seconds[BARE] / took for name, took in seconds.items() if name != BARE}


def _best(works: dict[str, Callable[[], Any]]) -> dict[str, float]:
    """Seconds of each at its quickest, in turn, so that a busy moment meets all of them."""
    best = dict.fromkeys(works, np.inf)
    for _ in range(1 + ROUNDS):
        for name, work in works.items():
            started = time.perf_counter()
            work()
            best[name] = min(best[name], time.perf_counter() - started)
    return best


def _page(found: dict[str, Any]) -> str:
    head = ["labels", "learned", "stock", "over stock", "ceiling", "calibration error", "refit p95"]
    rows = [
        [
            str(row["labels"]),
            f"{row['accuracy']:.3f} ({row['low']:.3f} to {row['high']:.3f})",
            f"{row['stock']:.3f}",
            page.interval(row["gain"], row["gain_half"], "{:+.3f}"),
            f"{row['ceiling']:.3f}",
            f"{row['ece']:.3f}",
            page.number(row["refit_ms_p95"], "{:.0f} ms"),
        ]
        for row in found["learned"]
    ]
    who = [
        [row["name"], f"{row['weight']:.2f}", f"{row['lapse']:.2f}", str(row["least_in"])]
        for row in found["annotators"]
    ]
    cost = [[name, f"{ratio:.2f}"] for name, ratio in found["throughput"].items()]
    seeds = found["plan"]["seeds"]
    return "\n\n".join(
        [
            "# A reward learned from people",
            f"{seeds} worlds; agreement with the ordinary people about pairs of held-out prompts.",
            page.table(head, rows),
            page.table(["who", "weight", "lapse rate found", f"least of {seeds} worlds"], who),
            page.table(["reward", "images a second over the encoder's"], cost),
            page.made(found),
        ]
    )
