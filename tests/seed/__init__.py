"""A synthetic project for tests of the pages: runs with iterations, evaluations and rollout trees,
rewards with figures, samples with scores. Pictures are renders of the pocket world; nothing is
trained. Every number follows from `seed`.
"""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np

from backend.pocket import world
from backend.rl.recipe import RunConfig
from backend.services import projects, users
from backend.services.studio import Studio
from db.tables import Checkpoint, Evaluation, Event, Iteration, Run
from tests.seed._material import (
    REWARDS,
    Seeded,
    blurred,
    pairs,
    policies,
    policy,
    prompts,
    put,
    rewards,
    samples,
)
from tests.seed._trees import CHILDREN, FORK_STEPS, STRIDES, T, add_trees, trees_of


def project(studio: Studio, *, seed: int = 0, steps: int = 60) -> Seeded:
    """Fill the project that is open; `steps` are those of its live run."""
    rng = np.random.default_rng(seed)
    me = users.local(studio)["id"]
    made = Seeded(projects.current(studio, me)["id"])
    with studio.write() as session:
        prompts(session, made)
        policies(session, made)
        rewards(session, made)
    samples(studio, made, rng)
    pairs(studio, made, me, rng)
    for name, status, method, done, gain in (
        ("flow-grpo-pocket-01", "done", "flow-grpo", 100, 0.021),
        ("g2rpo-pocket-02", "done", "g2rpo", 100, 0.032),
        ("g2rpo-pocket-03", "stopped", "g2rpo", 31, -0.006),
        ("g2rpo-pocket-04", "failed", "g2rpo", 12, 0.004),
        ("g2rpo-pocket-05", "waiting", "g2rpo", 0, 0.0),
        ("g2rpo-pocket-06", "running", "g2rpo", steps, 0.06),
    ):
        made.runs[name] = run(studio, made, name, status, method, done, gain, rng)
    return made


def run(
    studio: Studio,
    made: Seeded,
    name: str,
    status: str,
    method: str,
    done: int,
    gain: float,
    rng: np.random.Generator,
) -> int:
    """One run with everything that its pages show."""
    now = time.time()
    with studio.write() as session:
        row = Run(
            project_id=made.project,
            name=name,
            status=status,
            config=RunConfig.read(config(method)).plain(),
            seed=7,
            code_version="0.1.0+3f9a1c2",
            policy_id=made.policies["base"],
            parent_id=made.runs.get("g2rpo-pocket-02") if name.endswith("06") else None,
            step=done,
            num_steps=100,
            created_at=now - 4000,
            started_at=now - 3900 if status != "waiting" else None,
            ended_at=now - 600 if status in ("done", "stopped", "failed") else None,
            error="The reward 'people' gave no value for 40 of 40 pictures: its file is missing. "
            "Learn it again, then resume."
            if status == "failed"
            else "",
        )
        if name.endswith("06"):
            row.config = {**row.config, "optim": {**row.config["optim"], "lr": 5e-5}}
        session.add(row)
        session.flush()
        run_id = row.id
        if status == "done":
            tuned = policy(session, made, f"{name} · 100", run_id, 100)
            made.policies[name] = row.tuned_policy_id = tuned.id
    kept = {"running": 4, "done": 1}.get(status, 0)
    first = 0 if status in ("running", "done") else done  # the others need no pictures
    evaluated = [step for step in range(first, done + 1, 10) if status != "waiting"]
    rows: list[Any] = [_evaluation(studio, run_id, step, gain, rng) for step in evaluated]
    trees = []
    for step in range(1, done + 1):
        rows += _iteration(run_id, step, method, gain, rng)
        trees += trees_of(studio, run_id, step, method, rng, 4 if step > done - kept else 0)
    with studio.write() as session:
        session.add_all(rows)
        add_trees(session, trees)
        session.add_all(_checkpoint(run_id, step) for step in range(10, done + 1, 10))
    return run_id


def config(method: str) -> dict[str, Any]:
    """The settings of a run, as its form would send them."""
    g2rpo = {
        "fork_steps": list(FORK_STEPS),
        "forks_per_prompt": 2,
        "group_size": CHILDREN,
        "strides": list(STRIDES),
        "kernel": "flow-sde",
        "eta": 0.7,
        "clip_nats": 6.5,
        "step_weight": "none",
        "kl": 0.0,
    }
    kinds = {"verifier": "pocket-verifier", "people": "learned", "brightness": "brightness"}
    return {
        "recipe": f"pocket-{method}",
        "method": {"name": method, "settings": g2rpo if method == "g2rpo" else {"group_size": 12}},
        "policy": {"family": "sd3", "config": {"weights": "pocket"}},
        "rewards": [
            {"name": n, "kind": kinds[n], "weight": w, "config": {}} for n, w in REWARDS.items()
        ],
        "watch": [{"name": "saturation", "kind": "saturation", "weight": 1.0, "config": {}}],
        "compose": {"scale": "batch", "floor": 0.02, "clip": 5.0},
        "sampling": {"num_steps": T, "prompts_per_step": 24, "guidance": 1.0, "batch_size": 64},
        "optim": {"lr": 1e-4, "max_grad_norm": 1.0, "lora_rank": 16, "lora_alpha": 32.0},
        "evaluation": {"every": 10, "num_prompts": 256, "fixed_prompts": 5, "seed": 1000},
        "num_steps": 100,
        "checkpoint_every": 10,
        "record_groups": 8,
        "prompt_set": "train",
        "heldout_set": "heldout",
        "seed": 7,
    }


def iteration(
    studio: Studio, run_id: int, step: int, *, gain: float = 0.06, trees: int = 2
) -> None:
    """Record one more iteration of a G²RPO run as the train job does: metrics, log line, groups."""
    rng = np.random.default_rng(step)
    grown = trees_of(studio, run_id, step, "g2rpo", rng, trees)
    with studio.write() as session:
        session.add_all(_iteration(run_id, step, "g2rpo", gain, rng))
        add_trees(session, grown)
        row = session.get(Run, run_id)
        assert row is not None
        row.step = max(row.step, step)


def evaluation(studio: Studio, run_id: int, step: int, *, gain: float = 0.06) -> None:
    """Record one more held-out evaluation."""
    row = _evaluation(studio, run_id, step, gain, np.random.default_rng(step))
    text = f"Step {step} was evaluated on held-out prompts."
    with studio.write() as session:
        session.add(row)
        session.add(Event(run_id=run_id, kind="evaluation", text=text, data={"step": step}))


def _checkpoint(run_id: int, step: int) -> Checkpoint:
    return Checkpoint(run_id=run_id, step=step, adapter="0" * 64, optimiser="0" * 64, state={})


def _iteration(
    run_id: int, step: int, method: str, gain: float, rng: np.random.Generator
) -> list[Any]:
    """The iteration's row and its line in the log."""
    risen = 1 - math.exp(-step / 40)
    means = {
        "verifier": 0.74 + gain * risen,
        "people": 0.3 + 4 * gain * risen,
        "brightness": 0.62 - 0.4 * gain * risen,
    }
    metrics: dict[str, float] = {}
    for name, mean in means.items():
        metrics[f"reward/{name}"] = mean + float(rng.normal(0, 0.008))
        metrics[f"reward_se/{name}"] = 0.008
    metrics |= {
        "spread": 0.045 - 0.018 * risen + float(rng.normal(0, 0.001)),
        "advantage_std": 1.0 + float(rng.normal(0, 0.03)),
        "groups_kept": float(rng.integers(20, 25)),
        "groups_total": 24.0,
        "ratio_mean": 1.0 + float(rng.normal(0, 2e-4)),
        "ratio_max_dev": 0.012 + abs(float(rng.normal(0, 0.003))),
        "clip_share": 0.03 + abs(float(rng.normal(0, 0.01))),
        "grad_norm": 0.7 + float(rng.normal(0, 0.06)),
        "kl": 0.0003 * step,
        "diversity": 0.31 * (1 - 0.14 * risen) + float(rng.normal(0, 0.002)),
        "lr": 1e-4,
        "loss": float(rng.normal(0, 0.004)),
        "nfe/sample": 1936.0,
        "nfe/update": 200.0,
    }
    for k in FORK_STEPS if method == "g2rpo" else range(T):
        metrics[f"clip_share/{k}"] = abs(float(rng.normal(0.02 + 0.01 * k, 0.01)))
    phases = {
        "sample": 1.52,
        "decode": 0.18,
        "reward": 0.15,
        "credit": 0.01,
        "update": 0.2,
        "record": 0.03,
    }
    seconds = {name: value * (1 + 0.05 * float(rng.normal())) for name, value in phases.items()}
    seconds["total"] = sum(seconds.values())
    text = f"{step} reward {means['verifier']:.3f} kept {metrics['groups_kept']:.0f}/24"
    return [
        Iteration(run_id=run_id, step=step, metrics=metrics, nfe=2136, seconds=seconds),
        Event(run_id=run_id, level="info", text=text, kind="iteration", data={"step": step}),
    ]


def _evaluation(
    studio: Studio, run_id: int, step: int, gain: float, rng: np.random.Generator
) -> Evaluation:
    names = {**dict.fromkeys(REWARDS, 1.0), "saturation": -0.3}
    risen = gain * (1 - math.exp(-step / 40))
    metrics: dict[str, float] = {"diversity": 0.31 * (1 - 0.002 * step)}
    for i, (name, way) in enumerate(names.items()):
        moved = way * risen * (1 + i) + (float(rng.normal(0, 0.002)) if step else 0.0)
        metrics |= {
            f"heldout/{name}": 0.7 + moved,
            f"heldout_se/{name}": 0.009,
            f"gain/{name}": moved,
            f"gain_se/{name}": 0.004 if step else 0.0,
        }
    samples = []
    for i, prompt in enumerate(world.draw(5, seed=5, split="heldout")):
        picture = blurred(
            world.render(world.parse(prompt), seed=i), max(0.0, 26.0 - step * 0.4), rng
        )
        samples.append(
            {
                "prompt": prompt,
                "seed": 40 + i,
                "media": put(studio, picture),
                "rewards": dict.fromkeys(names, 0.6 + 0.03 * i + 2 * risen),
            }
        )
    return Evaluation(run_id=run_id, step=step, metrics=metrics, samples=samples, nfe=2560)
