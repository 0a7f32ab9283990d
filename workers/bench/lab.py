"""What the benchmarks stand on: prompts, simulated labels, the reward learned from them, a run.

A lab works in a folder. What it has made there (the learned reward, finished runs) is read back, so
a benchmark that was interrupted goes on where it ended.
"""

from __future__ import annotations

import hashlib
import json
import os
import platform
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from importlib import metadata
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from backend.errors import EnvironmentProblem
from backend.pocket import HELDOUT_PROMPTS_PATH, TRAIN_PROMPTS_PATH
from backend.preferences.simulated import annotators
from backend.rewards import learn
from backend.rewards.learn import Answer, PairData
from backend.rl.randomness import seed_of
from backend.rl.recipe import RewardTerm, RunConfig
from backend.services.version import code_version
from backend.types import Pictures, Scorer
from workers import bare
from workers.report import write_json

if TYPE_CHECKING:
    from backend.rl.collect import Data, Pairs

VERIFIER, LEARNED, SATURATION, TASTE = "verifier", "learned", "saturation", "taste"
ANNOTATORS = 4
ENOUGH = 3.0
"""Standard errors over the base from which a gold reward counts as raised."""


@dataclass(frozen=True)
class Labelled:
    """Pairs of pictures of the base model, judged: picture 2i and 2i + 1 are pair i."""

    images: Pictures
    prompts: list[str]
    """Of each picture."""
    answers: list[Answer]

    @property
    def data(self) -> PairData:
        """As a reward learns from them."""
        return PairData.of(self.images, self.prompts, self.answers)

    @property
    def pairs(self) -> Pairs:
        """The decided ones, as a method without a reward learns from them."""
        from backend.rl.collect import Pairs

        data = self.data
        decided = data.outcome != 0
        a_won = data.outcome[decided] > 0
        a, b = data.a[decided], data.b[decided]
        winner, loser = np.where(a_won, a, b), np.where(a_won, b, a)
        return Pairs([self.prompts[i] for i in winner], self.images[winner], self.images[loser])


@dataclass
class Lab:
    """A folder, prompts, and how much is labelled."""

    out: Path
    say: Callable[[str], None] = lambda text: None
    num_prompts: int = 256
    """Held-out prompts of an evaluation."""
    labels: int = 400
    num_steps: int = 10
    """Denoising steps of the pictures that are labelled and compared."""
    tastes: int = 1
    """Of the simulated annotators; of two, every other one has the second."""
    changes: dict[str, Any] = field(default_factory=dict)
    """Laid over the settings of every run, section by section."""
    instead: Mapping[str, Callable[[Scorer], Scorer]] = field(default_factory=dict)
    """Reward → what a run is given in its place: what no kind of reward does."""

    def __post_init__(self) -> None:
        try:
            self.out.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise EnvironmentProblem(
                f"The folder {self.out} cannot be written ({error.strerror}); choose another."
            ) from None
        self.train = bare.lines(TRAIN_PROMPTS_PATH)
        self.heldout = bare.lines(HELDOUT_PROMPTS_PATH)[: self.num_prompts]

    # --- labels and what is learned from them ----------------------------------------------------

    @cached_property
    def labelled(self) -> Labelled:
        """Two pictures a training prompt by the base model, judged by simulated annotators."""
        self.say(f"drawing {self.labels} pairs and having them judged")
        asked = [self.train[i % len(self.train)] for i in range(self.labels)]
        prompts = [prompt for prompt in asked for _ in range(2)]
        seeds = [seed_of("bench", "picture", i) for i in range(len(prompts))]
        images = self.draw(bare.policy(bare.POCKET), prompts, seeds)
        return Labelled(images, prompts, self.judge(images[::2], images[1::2], asked))

    def judge(self, a: Pictures, b: Pictures, prompts: Sequence[str]) -> list[Answer]:
        """Pairs are dealt out among the annotators; pair i is of samples 2i and 2i + 1."""
        people = annotators(ANNOTATORS, 0, self.tastes)
        answers: dict[int, Answer] = {}
        for number, person in enumerate(people):
            mine = list(range(number, len(prompts), len(people)))
            judged = person.judge_shuffled(a[mine], b[mine], [prompts[i] for i in mine], mine)
            for i, (said, side) in zip(mine, judged, strict=True):
                answers[i] = Answer(2 * i, 2 * i + 1, said.choice, side)
        return [answers[i] for i in sorted(answers)]

    @cached_property
    def learned(self) -> dict[str, Any]:
        """{weights, agreement, low, high, pairs} of the reward learned from the labels."""
        whose = "" if self.tastes == 1 else f"-{self.tastes}-tastes"
        path = self.out / f"learned-{self.labels}{whose}.json"
        if path.is_file():
            found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
            if (self.out / found["weights"]).is_file():
                return found
        reward, figures = learn.fit(self.labelled.data, seed=0)
        content = reward.to_bytes()
        name = f"learned-{hashlib.sha256(content).hexdigest()[:12]}.safetensors"
        (self.out / name).write_bytes(content)
        found = {
            "weights": name,
            "agreement": figures.accuracy,
            "low": figures.low,
            "high": figures.high,
            "pairs": figures.pairs,
        }
        write_json(path, found)
        self.say(f"learned reward: agreement {figures.accuracy:.3f} on prompts it has not seen")
        return found

    def term(self, name: str) -> RewardTerm:
        """One of the rewards that a benchmark trains on or watches."""
        if name == LEARNED:
            config = {"weights": self.learned["weights"]}
            return RewardTerm(name=name, kind="learned", config=config)
        if name == TASTE:
            config = {"taste": "first" if self.tastes == 1 else "both"}
            return RewardTerm(name=name, kind="simulated-taste", config=config)
        return RewardTerm(name=name, kind={VERIFIER: "pocket-verifier"}.get(name, name))

    # --- settings of runs ------------------------------------------------------------------------

    def laid(self, config: dict[str, Any]) -> RunConfig:
        """A config as it runs here: no pictures kept, checkpoints thrown away, and `changes`."""
        evaluation = {"num_prompts": len(self.heldout), "fixed_prompts": 0}
        ours = {
            "record_groups": 0,
            "checkpoint_every": 10**6,
            "evaluation": {**config.get("evaluation", {}), **evaluation},
        }
        whole = {**config, **ours}
        for section, change in self.changes.items():
            inside = whole.get(section)
            both = isinstance(change, dict) and isinstance(inside, dict)
            whole[section] = {**inside, **change} if both else change  # type: ignore[dict-item]
        return RunConfig.read(whole)

    def data(self, config: RunConfig) -> Data:
        """What a run learns from, and is measured on."""
        from backend.rl.collect import Data
        from backend.rl.recipe import learns_from_pairs

        pairs = self.labelled.pairs if learns_from_pairs(config) else None
        return Data(self.train, self.heldout, pairs)

    def scorers(self, config: RunConfig) -> dict[str, Any]:
        """Its rewards."""
        found = bare.scorers([*config.rewards, *config.watch], self.out)
        return {n: self.instead[n](r) if n in self.instead else r for n, r in found.items()}

    def draw(self, policy: Any, prompts: Sequence[str], seeds: Sequence[int]) -> Pictures:
        """One picture a prompt and seed."""
        from backend.rl.sampler import Field, draw

        return draw(Field(policy, bf16=True), prompts, seeds, policy.schedule(self.num_steps))


def circumstances() -> dict[str, Any]:
    """When, on what machine and with which versions something was measured."""
    names = ("palate", "torch", "diffusers", "peft", "numpy")
    return {
        "date": time.strftime("%F"),
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else None,
        "machine": platform.machine(),
        "python": platform.python_version(),
        "versions": {name: metadata.version(name) for name in names},
        "code": code_version(),
    }
