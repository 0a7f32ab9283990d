"""`palate loop`: once round the whole loop without a browser, through the same workers and store.

    prompts → samples → pairs → simulated labels → learned reward → RL run → held-out → blind

The run is trained on the learned reward. The verifier is only watched, on prompts of their own:
when it has fallen clearly below its best, the learned reward is being over-optimised and the run is
asked to stop; the checkpoint at which the watched verifier was best is delivered. Held-out prompts,
on which the result is measured, share no combination with training and are looked at once, at the
end.
"""

from __future__ import annotations

import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from backend import recipes
from backend.errors import Conflict, EnvironmentProblem, InputError, PalateError
from backend.pocket import HELDOUT_PROMPTS_PATH, TRAIN_PROMPTS_PATH, world
from backend.rl.recipe import RunConfig
from backend.services import (
    comparisons,
    jobs,
    policies,
    projects,
    prompts,
    records,
    rewards,
    runs,
    samples,
)
from backend.services.studio import Studio
from backend.settings import read_settings
from workers import report
from workers.supervisor import Supervisor

NUM_TRAIN, NUM_HELDOUT, NUM_WATCHED = 2048, 512, 128
ANNOTATORS = 4
CHECK_EVERY = 10
"""Updates between evaluations on the watched prompts, and between checkpoints."""
FALLEN = 2.0
"""Standard errors under its best at which the watched verifier ends a run."""
LEARNED, VERIFIER, TASTE = "learned", "verifier", "taste"


@dataclass(frozen=True)
class LoopPlan:
    """What `palate loop` was asked for."""

    recipe: str = "g2rpo"
    labels: int = 400
    minutes: float = 15.0
    seed: int = 0
    json: Path = Path("out.json")
    rounds: int = 1
    processes: int = 1
    tastes: int = 1
    """1: all annotators look mostly at the prompt; 2: every other one at colour and place too."""
    heldout: int = NUM_HELDOUT
    """Prompts on which the result is measured, at most 512."""


@dataclass
class Loop:
    """One way round, and what has been measured on it so far."""

    plan: LoopPlan
    studio: Studio
    supervisor: Supervisor
    say: Callable[[str], None]
    phases: list[dict[str, Any]] = field(default_factory=list)
    project: int = 0
    labels: int = 0

    # --- the way ---------------------------------------------------------------------------------

    def go(self) -> dict[str, Any]:
        """All phases; returns the report."""
        base = self._prepare()
        tuned, reward = base, {}
        trained: list[dict[str, Any]] = []
        for number in range(self.plan.rounds):
            self._label(tuned, number)
            reward = self._learn(number)
            trained.append(self._train(reward, tuned, base, number))
            tuned = trained[-1]["tuned_policy_id"]
        compared = self._compare(base, tuned, reward)
        return {**self._found(trained, reward), **compared}

    def _prepare(self) -> int:
        """A project with prompts, the pocket policy and the verifier; returns the policy."""
        with self._phase("prepare"):
            name = f"Loop, {self.plan.recipe}, seed {self.plan.seed}"
            self.project = projects.create(self.studio, f"{name}, {time.strftime('%F %T')}")["id"]
            for set_name, split, lines in _prompt_sets(self.plan.seed):
                prompts.import_text(self.studio, self.project, set_name, split, "\n".join(lines))
            for reward, kind, settings in self._watched():
                rewards.create(self.studio, self.project, reward, kind, settings)
            start = recipes.load(self.plan.recipe).policy
            row = policies.create(self.studio, self.project, "base", start.family, start.config)
        return int(row["id"])

    def _label(self, policy_id: int, number: int) -> None:
        """Draw two pictures a prompt with the present policy; simulated annotators choose."""
        wanted = self.plan.labels // self.plan.rounds
        with self._phase("generate") as phase:
            done = samples.generate(
                self.studio,
                prompt_set_id=self._set("train"),
                policy_id=policy_id,
                num_prompts=wanted + wanted // 20 + 1,
                samples_per_prompt=2,
                num_steps=recipes.load(self.plan.recipe).sampling.num_steps,
                seed=self.plan.seed + 1000 * number,
                make_pairs=True,
            )
            phase["nfe"] = self._wait(done)["nfe"]
        with self._phase("label"):
            self.labels += self._simulate(wanted, None)

    def _learn(self, number: int) -> dict[str, Any]:
        with self._phase("learn"):
            seed = self.plan.seed + number
            asked = rewards.learn(
                self.studio, self.project, LEARNED, include_simulated=True, seed=seed
            )
            reward = rewards.get(self.studio, self._wait(asked)["reward_id"])
        shown = reward["figures"]
        self.say(f"  agreement {shown['accuracy']:.3f} ({shown['low']:.3f} to {shown['high']:.3f})")
        return reward

    def _train(
        self, reward: dict[str, Any], policy_id: int, base: int, number: int
    ) -> dict[str, Any]:
        """Train on the learned reward while the verifier is watched; returns the finished run."""
        config = self._config(reward, number)
        with self._phase("train") as phase:
            run = runs.create(
                self.studio,
                self.project,
                f"round {number + 1}",
                config,
                policy_id=None if policy_id == base else policy_id,
            )
            Watch(self.studio, run["id"], self.say, self._still_going).until_over()
            phase["nfe"] = records.nfe_of(self.studio, run["id"])
        return runs.get(self.studio, run["id"])

    def _config(self, reward: dict[str, Any], number: int) -> dict[str, Any]:
        """The recipe, trained on the learned reward, with its share of the minutes."""
        config = recipes.load(self.plan.recipe).plain()
        kept = config["evaluation"] | {"every": CHECK_EVERY, "num_prompts": NUM_WATCHED}
        return config | {
            "rewards": [{"name": LEARNED, "kind": "learned", "config": reward["config"]}],
            "watch": [{"name": n, "kind": k, "config": c} for n, k, c in self._watched()],
            "evaluation": kept,
            "checkpoint_every": CHECK_EVERY,
            "minutes": self.plan.minutes / self.plan.rounds,
            "processes": self.plan.processes,
            "prompt_set": "train",
            "heldout_set": "watched",
            "seed": self.plan.seed + number,
        }

    def _watched(self) -> list[tuple[str, str, dict[str, Any]]]:
        """(name, kind, settings) of what is never trained on: the verifier, and the utility that
        the annotators' answers are drawn from."""
        whose = "both" if self.plan.tastes == 2 else "first"
        return [
            (VERIFIER, "pocket-verifier", {}),
            (TASTE, "simulated-taste", {"taste": whose}),
        ]

    def _compare(self, base: int, tuned: int, reward: dict[str, Any]) -> dict[str, Any]:
        """Held-out prompts, the same noise for both: scored, and judged blind."""
        with self._phase("evaluate") as phase:
            row = comparisons.create(
                self.studio,
                self.project,
                base_policy_id=base,
                tuned_policy_id=tuned,
                prompt_set_id=self._set("heldout"),
                num_prompts=self.plan.heldout,
                seed=self.plan.seed,
            )
            phase["nfe"] = self._wait(row["job_id"])["nfe"]
            watched = [
                r["id"]
                for r in rewards.rows(self.studio, self.project)
                if r["name"] in (VERIFIER, TASTE)
            ]
            for one in (*watched, reward["id"]):
                for policy_id in (base, tuned):
                    limit = self.plan.heldout
                    self._wait(rewards.score(self.studio, one, policy_id=policy_id, limit=limit))
        with self._phase("blind"):
            self._simulate(row["num_prompts"], row["id"])
        compared = comparisons.get(self.studio, row["id"], reveal=True)
        grid = self.plan.json.with_suffix(".png")
        report.write_grid(self.studio, compared["cells"], grid)
        blind = compared["by"]["simulated"]
        return {
            "heldout": self._heldout(compared["cells"]),
            "blind": {name: blind[name] for name in ("win_rate", "low", "high", "pairs", "votes")},
            "grid": grid.name,
        }

    def _heldout(self, cells: list[dict[str, Any]]) -> dict[str, Any]:
        """What each reward makes of the held-out prompts before and after, told as well."""
        names = {VERIFIER: VERIFIER, TASTE: TASTE, "reward": LEARNED}
        found = {key: report.before_after(cells, name) for key, name in names.items()}
        for name, one in found.items():
            gain = f"{one['gain']:+.3f} ± {one['gain_se']:.3f}"
            far = "" if one["standard_errors"] is None else f", {one['standard_errors']:.1f} s.e."
            self.say(f"  {name}: {one['before']:.3f}, then {one['after']:.3f} ({gain}{far})")
        return found

    def _found(self, trained: list[dict[str, Any]], reward: dict[str, Any]) -> dict[str, Any]:
        first, last = trained[0], trained[-1]
        told = [report.trained(self.studio, run) for run in trained]
        shown = ("accuracy", "low", "high", "pairs")
        return {
            "phases": self.phases,
            "labels": self.labels,
            "reward_model": {name: reward["figures"][name] for name in shown},
            "diversity": {
                "before": report.diversity(self.studio, first["id"], 0),
                "after": report.diversity(self.studio, last["id"], told[-1]["delivered_step"]),
            },
            "runs": told,
            "config": RunConfig.read(last["config"]).plain(),
            "plan": {**asdict(self.plan), "json": self.plan.json.name},
            "seed": self.plan.seed,
        }

    # --- helpers ---------------------------------------------------------------------------------

    def _simulate(self, num: int, comparison_id: int | None) -> int:
        args = {
            "project_id": self.project,
            "annotators": ANNOTATORS,
            "labels": num,
            "seed": self.plan.seed,
            "tastes": self.plan.tastes,
            "comparison_id": comparison_id,
        }
        return int(self._wait(jobs.create(self.studio, "simulate", args))["labels"])

    def _set(self, name: str) -> int:
        return int(prompts.named(self.studio, self.project, name)["id"])

    @contextmanager
    def _phase(self, name: str) -> Iterator[dict[str, Any]]:
        phase: dict[str, Any] = {"name": name, "seconds": 0.0, "nfe": 0}
        self.phases.append(phase)
        self.say(f"{name} ...")
        started = time.monotonic()
        yield phase
        phase["seconds"] = round(time.monotonic() - started, 2)
        self.say(f"{name}: {phase['seconds']:.1f} s, {phase['nfe']} network evaluations")

    def _wait(self, job_id: int) -> dict[str, Any]:
        """The result of a job once it is done; its own sentence if it failed."""
        while True:
            job = jobs.get(self.studio, job_id)
            if job["status"] == "done":
                return dict(job["result"])
            if job["status"] in jobs.OVER:
                raise PalateError(job["error"] or f"Job {job_id} was {job['status']}.")
            self._still_going()
            time.sleep(0.1)

    def _still_going(self) -> None:
        """Raise when nobody is left to do the work."""
        if self.supervisor.ended.is_set():
            raise EnvironmentProblem("The loop was stopped before its end; nothing was written.")
        for part in self.supervisor.parts:
            if part.has_given_up:
                raise EnvironmentProblem(self.supervisor.log_tail(part.name).splitlines()[-1])


class Watch:
    """Follows a run's evaluations; ends it when the watched verifier falls, delivers the best."""

    def __init__(
        self, studio: Studio, run_id: int, say: Callable[[str], None], check: Callable[[], None]
    ) -> None:
        self.studio, self.run_id, self.say, self.check = studio, run_id, say, check
        self.seen = -1
        self.best_step, self.best = 0, 0.0

    def until_over(self) -> None:
        """Wait for the run's end; its tuned policy is then the one of the best checkpoint."""
        while (row := runs.get(self.studio, self.run_id))["status"] not in jobs.OVER:
            if self._has_fallen() and row["wanted"] == "run":
                self.say("  the watched verifier has fallen: stopping here")
                with suppress(Conflict):  # it may have ended by itself in this moment
                    runs.want(self.studio, self.run_id, "stop")
            self.check()
            time.sleep(1.0)
        self._has_fallen()
        if row["status"] == "failed":
            raise PalateError(row["error"])
        adapter = records.adapter_at(self.studio, self.run_id, self.best_step)
        records.save_tuned_policy(self.studio, self.run_id, adapter, self.best_step)

    def _has_fallen(self) -> bool:
        """Take in new evaluations; whether the latest is clearly under the best."""
        fallen = False
        for found in runs.metrics(self.studio, self.run_id, since=self.seen)["evaluations"]:
            self.seen, measured = found["step"], found["metrics"]
            if self.seen == 0:
                continue
            gold, doubt = measured[f"gain/{VERIFIER}"], measured[f"gain_se/{VERIFIER}"]
            told = [
                f"{name} {measured[f'gain/{name}']:+.3f} ± {measured[f'gain_se/{name}']:.3f}"
                for name in (LEARNED, TASTE, VERIFIER)
            ]
            self.say(f"  update {self.seen}: {', '.join(told)}")
            if gold > self.best or self.best_step == 0:
                self.best_step, self.best = self.seen, gold
            fallen = gold < self.best - FALLEN * doubt
        return fallen


def run(plan: LoopPlan, home: Path | None, *, say: Callable[[str], None]) -> dict[str, Any]:
    """Start workers, go round, write the figures and the grid; nothing is left running."""
    recipes.load(plan.recipe)
    report.refuse_unwritable(plan.json)
    folder = home or Path(tempfile.mkdtemp(prefix="palate-loop-"))
    given = {"home": folder} if home else _own(folder)
    supervisor = Supervisor(read_settings(**given), with_app=False, say=say)
    try:
        with _stopped_by_signals(supervisor):
            studio = supervisor.start()
            threading.Thread(target=supervisor.watch, daemon=True).start()
            found = Loop(plan, studio, supervisor, say).go()
            report.write_json(plan.json, found)
    finally:
        supervisor.stop()
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
    say(f"Wrote {plan.json} and {plan.json.with_suffix('.png')}.")
    return found


def _own(folder: Path) -> dict[str, Any]:
    """Settings of a studio that shares nothing with the one the environment names."""
    return {"home": folder, "database_url": "", "media_url": "", "redis_url": ""}


def _prompt_sets(seed: int) -> list[tuple[str, str, list[str]]]:
    """(name, split, prompts); the watched ones are of the train split but not trained on."""
    train = _lines(TRAIN_PROMPTS_PATH) + world.draw(NUM_TRAIN + NUM_WATCHED, seed, "train")
    train = list(dict.fromkeys(train))[: NUM_TRAIN + NUM_WATCHED]
    heldout = _lines(HELDOUT_PROMPTS_PATH) + world.draw(NUM_HELDOUT, seed, "heldout")
    return [
        ("train", "train", train[:NUM_TRAIN]),
        ("watched", "heldout", train[NUM_TRAIN:]),
        ("heldout", "heldout", list(dict.fromkeys(heldout))[:NUM_HELDOUT]),
    ]


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise InputError(
            f"The pocket prompts {path} cannot be read ({error.strerror}); get the repository's "
            "static/pocket folder again."
        ) from None


@contextmanager
def _stopped_by_signals(supervisor: Supervisor) -> Iterator[None]:
    """Ctrl-C and SIGTERM end the loop at its next look."""

    def end(_signal: int, _frame: object) -> None:
        supervisor.ended.set()

    before = {number: signal.signal(number, end) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
