"""What runs begin from: prompts, models, rewards, scored samples and judged pairs of them."""

from __future__ import annotations

import io
import math
import time
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from sqlalchemy.orm import Session

from backend.pocket import world
from backend.registry import policies as families
from backend.services import users
from backend.services.studio import Studio
from db.tables import (
    Label,
    Pair,
    Policy,
    Prompt,
    PromptSet,
    Reward,
    Sample,
    Score,
)

Pictures = NDArray[np.uint8]
SET_SEED = 0
"""Of the prompts that are imported; groups are grown from the same."""
REWARDS = {"verifier": 1.0, "people": 0.6, "brightness": 0.3}


@dataclass
class Seeded:
    """Ids of what was made."""

    project: int
    runs: dict[str, int] = field(default_factory=dict)
    policies: dict[str, int] = field(default_factory=dict)
    rewards: dict[str, int] = field(default_factory=dict)
    train_set: int = 0


def prompts(session: Session, made: Seeded) -> None:
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


def policies(session: Session, made: Seeded) -> None:
    made.policies["base"] = policy(session, made, "pocket", None, None).id


def policy(
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


def rewards(session: Session, made: Seeded) -> None:
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


def samples(studio: Studio, made: Seeded, rng: np.random.Generator) -> None:
    with studio.read() as session:
        prompts = [
            (p.id, p.text)
            for p in session.query(Prompt).filter_by(prompt_set_id=made.train_set).limit(24)
        ]
    pictures = [
        (pid, s, put(studio, blurred(world.render(world.parse(text), seed=s), 8.0 + 30.0 * s, rng)))
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


def pairs(studio: Studio, made: Seeded, user_id: int, rng: np.random.Generator) -> None:
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


def blurred(picture: Pictures, noise: float, rng: np.random.Generator) -> Pictures:
    noisy = picture.astype(np.float32) + rng.normal(0, noise, picture.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def put(studio: Studio, picture: Pictures) -> str:
    out = io.BytesIO()
    Image.fromarray(picture).save(out, "PNG", compress_level=1)
    return studio.media.put(out.getvalue())
