"""A synthetic project for tests of the pages: runs with iterations, evaluations and rollout trees,
rewards with figures, samples with scores. Pictures are renders of the pocket world; nothing is
trained.

Every number follows from `seed`, and a leaf's shares add up to its advantage, as the trainer's do.
"""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy.orm import Session

from backend.pocket import world
from backend.registry import policies as families
from backend.rl.recipe import RunConfig
from backend.services import projects, users
from backend.services.studio import Studio
from db.tables import (
    Checkpoint,
    Evaluation,
    Event,
    Iteration,
    Label,
    Pair,
    Policy,
    Prompt,
    PromptSet,
    Reward,
    RolloutGroup,
    RolloutNode,
    Run,
    Sample,
    Score,
)

Pictures = NDArray[np.uint8]
T = 10
SET_SEED = 0
"""Of the prompts that are imported; groups are grown from the same."""
SIGMAS = [1 - k / T * (0.35 + 0.65 * k / T) for k in range(T)] + [0.0]
REWARDS = {"verifier": 1.0, "people": 0.6, "brightness": 0.3}
FORK_STEPS = (1, 3)
CHILDREN = 8
STRIDES = (1, 2)


@dataclass
class Seeded:
    """Ids of what was made."""

    project: int
    runs: dict[str, int] = field(default_factory=dict)
    policies: dict[str, int] = field(default_factory=dict)
    rewards: dict[str, int] = field(default_factory=dict)
    train_set: int = 0


def project(studio: Studio, *, seed: int = 0, steps: int = 60) -> Seeded:
    """Fill the project that is open; `steps` are those of its live run."""
    rng = np.random.default_rng(seed)
    me = users.local(studio)["id"]
    made = Seeded(projects.current(studio, me)["id"])
    with studio.write() as session:
        _prompts(session, made)
        _policies(session, made)
        _rewards(session, made)
    _samples(studio, made, rng)
    _pairs(studio, made, me, rng)
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
            tuned = _policy(session, made, f"{name} · 100", run_id, 100)
            made.policies[name] = row.tuned_policy_id = tuned.id
    kept = {"running": 4, "done": 1}.get(status, 0)
    first = 0 if status in ("running", "done") else done  # the others need no pictures
    evaluated = [step for step in range(first, done + 1, 10) if status != "waiting"]
    rows: list[Any] = [_evaluation(studio, run_id, step, gain, rng) for step in evaluated]
    trees = []
    for step in range(1, done + 1):
        rows += _iteration(run_id, step, method, gain, rng)
        trees += _trees(studio, run_id, step, method, rng, 4 if step > done - kept else 0)
    with studio.write() as session:
        session.add_all(rows)
        _add_trees(session, trees)
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
    grown = _trees(studio, run_id, step, "g2rpo", rng, trees)
    with studio.write() as session:
        session.add_all(_iteration(run_id, step, "g2rpo", gain, rng))
        _add_trees(session, grown)
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
        picture = _blur(world.render(world.parse(prompt), seed=i), max(0.0, 26.0 - step * 0.4), rng)
        samples.append(
            {
                "prompt": prompt,
                "seed": 40 + i,
                "media": _put(studio, picture),
                "rewards": dict.fromkeys(names, 0.6 + 0.03 * i + 2 * risen),
            }
        )
    return Evaluation(run_id=run_id, step=step, metrics=metrics, samples=samples, nfe=2560)


Tree = list[tuple[RolloutGroup, list[RolloutNode]]]


def _trees(
    studio: Studio, run_id: int, step: int, method: str, rng: np.random.Generator, count: int
) -> list[Tree]:
    return [_tree(studio, run_id, step, tree, method, rng) for tree in range(count)]


def _add_trees(session: Session, trees: list[Tree]) -> None:
    for group, nodes in (pair for tree in trees for pair in tree):
        session.add(group)
        session.flush()
        for node in nodes:
            node.group_id = group.id
        session.add_all(nodes)


def _tree(
    studio: Studio, run_id: int, step: int, tree: int, method: str, rng: np.random.Generator
) -> Tree:
    """The groups of one prompt's tree: one for each fork, or one of whole chains."""
    texts = world.draw(64, seed=SET_SEED)
    prompt = texts[(7 * step + tree) % len(texts)]
    if method == "g2rpo":
        flat = tree == 2
        return [
            _group(studio, run_id, step, tree, prompt, fork, rng, flat=flat and fork == 3)
            for fork in FORK_STEPS
        ]
    return [_group(studio, run_id, step, tree, prompt, None, rng)]


def _group(
    studio: Studio,
    run_id: int,
    step: int,
    tree: int,
    prompt: str,
    fork: int | None,
    rng: np.random.Generator,
    *,
    flat: bool = False,
) -> tuple[RolloutGroup, list[RolloutNode]]:
    strides = STRIDES if fork is not None else (1,)
    values = _shares(CHILDREN * len(strides), 0.0 if flat else 1.0, rng)
    nodes: list[RolloutNode] = []
    tiles: list[Pictures] = []

    def node(parent: int | None, kind: str, at: int, **more: Any) -> int:
        nodes.append(
            RolloutNode(
                idx=len(nodes),
                parent=parent,
                kind=kind,
                step=at,
                stride=more.pop("stride", 1),
                sigma=SIGMAS[at],
                **more,
            )
        )
        return len(nodes) - 1

    trunk = None
    if fork is not None:
        for at in range(fork + 1):
            trunk = node(trunk, "trunk", at)
    scene = world.parse(prompt)
    for child in range(CHILDREN):
        leaves = [values[child * len(strides) + i] for i in range(len(strides))]
        edge = float(sum(sum(part["share"] or 0.0 for part in leaf.values()) for leaf in leaves))
        at, length = (trunk, 1) if fork is not None else (node(None, "trunk", 0), T)
        first = fork or 0
        for k in range(first, first + length):
            at = node(
                at,
                "child",
                k + 1,
                eta=0.7,
                log_prob=-1.2 - 0.1 * child,
                ratio=1.0,
                advantage=edge,
                seed=70000 + child,
            )
        for stride, rewards in zip(strides, leaves, strict=True):
            picture = world.render(scene, seed=step + child * 3 + stride)
            tiles.append(_blur(picture, 6.0 + 6.0 * child * (not flat), rng))
            share = float(sum(part["share"] or 0.0 for part in rewards.values()))
            node(
                at, "leaf", T, stride=stride, advantage=share, rewards=rewards, tile=len(tiles) - 1
            )
    totals = [
        sum((part["raw"] or 0.0) * part["weight"] for part in leaf.values()) for leaf in values
    ]
    group = RolloutGroup(
        run_id=run_id,
        step=step,
        tree=tree,
        prompt=prompt,
        fork_step=fork,
        mean=float(np.mean(totals)),
        spread=float(np.std(totals)),
        kept=not flat,
        reason="no spread: 0.000 is under the floor of 0.020" if flat else "",
        sheet=_put(studio, np.concatenate(tiles, axis=1)),
        trunk=_put(
            studio,
            np.concatenate([_blur(tiles[0], 90.0 / (k + 1), rng) for k in range(fork + 1)], axis=1),
        )
        if fork is not None
        else None,
        detail={
            "sigmas": SIGMAS,
            "eta": 0.7,
            "nfe": 178,
            "fork_steps": list(FORK_STEPS),
            "strides": list(strides),
            "floors": dict.fromkeys(REWARDS, 0.02),
            "divisor": 0.162,
            "clip": 5.0,
        },
    )
    return group, nodes


def _shares(count: int, width: float, rng: np.random.Generator) -> list[dict[str, dict[str, Any]]]:
    """Every stage of `count` leaves; shares are centred, one brightness is missing."""
    total = sum(REWARDS.values())
    raw = {
        name: 0.6
        + 0.12 * width * (i + 1) * np.sort(rng.normal(size=count))[::-1] * (-1 if i == 2 else 1)
        for i, name in enumerate(REWARDS)
    }
    leaves: list[dict[str, dict[str, Any]]] = [{} for _ in range(count)]
    for name, weight in REWARDS.items():
        z = (raw[name] - raw[name].mean()) / max(float(raw[name].std()), 0.02)
        for i in range(count):
            gone = name == "brightness" and i == 3 and width > 0
            leaves[i][name] = {
                "raw": None if gone else float(raw[name][i]),
                "shaped": None if gone else float(raw[name][i]),
                "z": None if gone else float(z[i]),
                "weight": weight / total,
                "share": None if gone else float(z[i] * weight / total),
                "status": "error: the picture could not be read" if gone else "ok",
            }
    return leaves


def _prompts(session: Session, made: Seeded) -> None:
    for name, split in (("train", "train"), ("heldout", "heldout")):
        rows = PromptSet(project_id=made.project, name=name, split=split)
        session.add(rows)
        session.flush()
        texts = dict.fromkeys(
            world.draw(64, seed=SET_SEED, split="train" if split == "train" else "heldout")
        )
        session.add_all(
            Prompt(prompt_set_id=rows.id, position=i, text=text) for i, text in enumerate(texts)
        )
        if split == "train":
            made.train_set = rows.id


def _policies(session: Session, made: Seeded) -> None:
    made.policies["base"] = _policy(session, made, "pocket", None, None).id


def _policy(
    session: Session, made: Seeded, name: str, run_id: int | None, step: int | None
) -> Policy:
    row = Policy(
        project_id=made.project,
        name=name,
        family="sd3",
        config=families.get("sd3").Config.read({"weights": "pocket"}).plain(),
        run_id=run_id,
        step=step,
    )
    session.add(row)
    session.flush()
    return row


def _rewards(session: Session, made: Seeded) -> None:
    bins = [
        {
            "num": 60 - 8 * i,
            "predicted": 0.55 + 0.1 * i,
            "observed": 0.54 + 0.085 * i,
            "low": 0.44 + 0.085 * i,
            "high": 0.64 + 0.07 * i,
        }
        for i in range(5)
    ]
    curve = [
        {
            "pairs": n,
            "accuracy": 0.75 - 0.17 / math.sqrt(n / 25),
            "low": 0.7 - 0.21 / math.sqrt(n / 25),
            "high": 0.8 - 0.13 / math.sqrt(n / 25),
        }
        for n in (25, 50, 100, 200, 320)
    ]
    learned = {
        "accuracy": 0.741,
        "low": 0.69,
        "high": 0.786,
        "pairs": 320,
        "ties": 61,
        "prompts": 160,
        "ece": 0.031,
        "calibration": bins,
        "curve": curve,
        "usable": True,
        "log_loss": 0.52,
        "log_loss_guessing": 0.69,
        "members": 5,
        "side_bias": 0.1,
        "baseline": {"name": "encoder alone", "accuracy": 0.58, "low": 0.53, "high": 0.63},
        "seconds": 4.2,
    }
    for name, kind, figures in (
        ("verifier", "pocket-verifier", {}),
        ("people", "learned", learned),
        ("brightness", "brightness", {}),
    ):
        row = Reward(
            project_id=made.project,
            name=name,
            kind=kind,
            version="1",
            config={},
            weights="0" * 64 if figures else None,
            figures=figures,
        )
        session.add(row)
        session.flush()
        made.rewards[name] = row.id


def _samples(studio: Studio, made: Seeded, rng: np.random.Generator) -> None:
    with studio.read() as session:
        prompts = [
            (p.id, p.text)
            for p in session.query(Prompt).filter_by(prompt_set_id=made.train_set).limit(24)
        ]
    pictures = [
        (pid, s, _put(studio, _blur(world.render(world.parse(text), seed=s), 8.0 + 30.0 * s, rng)))
        for pid, text in prompts
        for s in range(2)
    ]
    with studio.write() as session:
        for prompt_id, seed, media in pictures:
            sample = Sample(
                project_id=made.project,
                prompt_id=prompt_id,
                policy_id=made.policies["base"],
                seed=seed,
                media=media,
                width=64,
                height=64,
            )
            session.add(sample)
            session.flush()
            level = float(rng.normal(0.7 - 0.2 * seed, 0.1))
            for name, value in (
                ("verifier", level),
                ("people", level + float(rng.normal(0, 0.1))),
                ("brightness", float(rng.uniform(0.3, 0.8))),
            ):
                session.add(
                    Score(sample_id=sample.id, reward_id=made.rewards[name], value=min(1.0, value))
                )


def _pairs(studio: Studio, made: Seeded, user_id: int, rng: np.random.Generator) -> None:
    """A pair of each prompt; two in three are judged, half of those by a simulated annotator."""
    robot = users.simulated(studio, "simulated 1")["id"]
    now = time.time()
    with studio.write() as session:
        by_prompt: dict[int, list[Sample]] = {}
        for sample in session.query(Sample).filter_by(project_id=made.project):
            by_prompt.setdefault(sample.prompt_id, []).append(sample)
        for i, (prompt_id, (left, right)) in enumerate(by_prompt.items()):
            pair = Pair(
                project_id=made.project,
                prompt_id=prompt_id,
                sample_a_id=left.id,
                sample_b_id=right.id,
            )
            session.add(pair)
            session.flush()
            if i % 3:
                choice = str(rng.choice(["left", "right", "tie"], p=[0.5, 0.35, 0.15]))
                session.add(
                    Label(
                        pair_id=pair.id,
                        user_id=user_id if i % 2 else robot,
                        client_id=f"seed-{pair.id}",
                        choice=choice,
                        shown_left="a",
                        t_shown=now - 60,
                        t_answer=now - 57,
                    )
                )


def _blur(picture: Pictures, noise: float, rng: np.random.Generator) -> Pictures:
    noisy = picture.astype(np.float32) + rng.normal(0, noise, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def _put(studio: Studio, picture: Pictures) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=1)
    return studio.media.put(out.getvalue())
