"""Training of the pocket CLIP: pictures against captions, some with one word changed.

Each batch has 128 renders, half of them softened, noisy or shifted in colour as a model's pictures
are. Loss: cross-entropy of the right caption among the batch's 128 and three near misses of its
own, and of the right picture for each caption.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from safetensors.torch import save_model
from scipy import ndimage
from torch import Tensor

from backend.pocket import train_model, world
from backend.pocket.encoder import PocketEncoder, word_ids
from backend.pocket.world import Scene

log = logging.getLogger(__name__)

BATCH = 128
NEAR_MISSES = 3
NUM_PICTURES = 16_000
THING_KINDS = ("count", "size", "colour", "shape")


def train(path: Path, *, steps: int = 600, seed: int = 0) -> dict[str, float]:
    """Train, save to `path`, and return the figures measured."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    prompts = world.draw(NUM_PICTURES, seed + 9, "train")
    scenes = [world.parse(prompt) for prompt in prompts]
    pictures = torch.from_numpy(roughen(world.render_many(prompts, seed), rng))
    ids = word_ids(prompts)
    encoder = PocketEncoder()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1.5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps)
    start = time.perf_counter()
    for step in range(1, steps + 1):
        pick = torch.randint(len(prompts), (BATCH,))
        wrong = [near_miss(scenes[i], rng) for i in pick.tolist() for _ in range(NEAR_MISSES)]
        loss = _loss(encoder, pictures[pick], ids[pick], word_ids(wrong))
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            log.info("encoder step %d loss %.3f", step, loss.item())
    seconds = time.perf_counter() - start
    path.parent.mkdir(parents=True, exist_ok=True)
    save_model(encoder.eval(), path)
    return {"steps": steps, "seconds": round(seconds), **accuracy(encoder)}


def accuracy(encoder: PocketEncoder, num: int = 192) -> dict[str, float]:
    """Held-out pictures: the right caption first among `num` and as many near misses; pairwise."""
    rng = np.random.default_rng(3)
    prompts = world.draw(num, 555, "heldout")
    wrong = [near_miss(world.parse(prompt), rng, "any") for prompt in prompts]
    images = encoder.image(world.render_many(prompts, 555))
    similarity = images @ torch.cat([encoder.text(prompts), encoder.text(wrong)]).T
    right = similarity.argmax(1) == torch.arange(num)
    pair = similarity.diagonal() > similarity[:, num:].diagonal()
    return {
        "first_of_all": round(float(right.float().mean()), 3),
        "right_before_near_miss": round(float(pair.float().mean()), 3),
    }


def near_miss(scene: Scene, rng: np.random.Generator, split: world.Split = "train") -> str:
    """The scene's prompt with exactly one content word changed to another of its kind."""
    while True:
        changed = _change_one(scene, rng)
        colours = {thing.colour for thing in changed.things}
        if len(colours) == len(changed.things) and split in ("any", world.split_of(changed)):
            return changed.prompt


def _change_one(scene: Scene, rng: np.random.Generator) -> Scene:
    places = [(n, kind) for n in range(len(scene.things)) for kind in THING_KINDS]
    places += [(2, "background")] + [(2, "relation")] * (scene.relation is not None)
    n, kind = places[rng.integers(len(places))]
    change: dict[str, Any]
    if n == 2:
        change = {kind: train_model.other(kind, getattr(scene, kind), rng, 1)}
        return replace(scene, **change)
    thing = scene.things[n]
    if kind == "count":
        change = {"count": 1 + (thing.count - 1 + int(rng.integers(1, 3))) % 3}
    else:
        change = {kind: train_model.other(kind, getattr(thing, kind), rng, 1)}
    changed = replace(thing, **change)
    return replace(scene, first=changed) if n == 0 else replace(scene, second=changed)


def roughen(pictures: NDArray[np.uint8], rng: np.random.Generator) -> NDArray[np.uint8]:
    """Half of the pictures softened, shifted in colour and noisy; (B, 64, 64, 3) uint8."""
    rough = pictures.copy()
    for at in range(0, len(rough), 2):
        picture = rough[at].astype(np.float32)
        blur = rng.uniform(0, 1.2)
        picture = ndimage.gaussian_filter(picture, (blur, blur, 0)) + rng.normal(0, 8, 3)
        picture += rng.normal(0, rng.uniform(0, 10), picture.shape)
        rough[at] = picture.clip(0, 255).astype(np.uint8)
    return rough


def _loss(encoder: PocketEncoder, pictures: Tensor, ids: Tensor, wrong: Tensor) -> Tensor:
    images, right, near = encoder.see(pictures), encoder.read(ids), encoder.read(wrong)
    scale = encoder.log_scale.exp().clamp(max=50)
    among = images @ right.T
    own = torch.einsum("bd,bkd->bk", images, near.view(len(images), NEAR_MISSES, -1))
    target = torch.arange(len(images))
    return (
        F.cross_entropy(scale * torch.cat([among, own], 1), target)
        + F.cross_entropy(scale * among.T, target)
    ) / 2
