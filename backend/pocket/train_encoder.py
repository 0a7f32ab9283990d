"""Training of the pocket CLIP: pictures against captions, some with one word changed.

Each batch has 128 renders, half of them softened, noisy or shifted in colour as a model's pictures
are. Loss: cross-entropy of the right caption among the batch's 128 and three near misses of its
own, and of the right picture for each caption.
"""

from __future__ import annotations

import logging
import time
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import FlowMatchEulerDiscreteScheduler
from numpy.typing import NDArray
from safetensors.torch import save_model
from scipy import ndimage
from torch import Tensor

from backend.pocket import PIPELINE_DIR, train_model, train_vae, world
from backend.pocket.encoder import PocketEncoder, word_ids
from backend.pocket.world import Scene

log = logging.getLogger(__name__)

BATCH = 128
NEAR_MISSES = 3
NUM_PICTURES = 16_000
NUM_REDRAWN = 6_400
REDRAW_FROM = (7, 6, 5, 4)
"""Steps of a ten-step schedule at which redrawing begins: sigma .46 to .79."""
THING_KINDS = ("count", "size", "colour", "shape")


def train(path: Path, *, steps: int = 900, seed: int = 0) -> dict[str, float]:
    """Train, save to `path`, and return the figures measured."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    prompts = world.draw(NUM_PICTURES, seed + 9, "train")
    scenes = [world.parse(prompt) for prompt in prompts]
    renders = world.render_many(prompts, seed)
    redrawn = redraw(prompts[:NUM_REDRAWN], renders[:NUM_REDRAWN], seed)
    pictures = torch.from_numpy(np.concatenate([roughen(renders, rng), redrawn]))
    prompts, scenes = prompts + prompts[:NUM_REDRAWN], scenes + scenes[:NUM_REDRAWN]
    ids = word_ids(prompts)
    encoder = PocketEncoder()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1.5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps)
    start = time.perf_counter()
    for step in range(1, steps + 1):
        some = torch.randint(NUM_PICTURES, (BATCH // 2,))
        pick = torch.cat([some, NUM_PICTURES + torch.randint(NUM_REDRAWN, (BATCH // 2,))])
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


@torch.inference_mode()
def redraw(prompts: list[str], pictures: NDArray[np.uint8], seed: int) -> NDArray[np.uint8]:
    """Give renders noise and let the pocket model finish them; (B, 64, 64, 3) uint8.

    With little noise a picture still shows its prompt; with more it is more the model's own.
    """
    parts = train_model.load_parts(PIPELINE_DIR)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(10)
    generator = torch.Generator().manual_seed(seed)
    config, drawn = parts.vae.config, []
    for n, at in enumerate(range(0, len(prompts), 64)):
        sigmas = scheduler.sigmas[REDRAW_FROM[n % len(REDRAW_FROM)] :]
        latents = train_vae.encode(parts.vae, pictures[at : at + 64]).float()
        noise = torch.randn(latents.shape, generator=generator)
        x = (1 - sigmas[0]) * latents + sigmas[0] * noise
        ids = [train_model.token_ids(parts, prompt) for prompt in prompts[at : at + 64]]
        tokens, pooled = train_model.embed(parts, torch.tensor(ids))
        with torch.autocast("cpu", torch.bfloat16):
            for now, then in pairwise(sigmas):
                timestep = (now * 1000).expand(len(ids))
                velocity = parts.transformer(x, tokens, pooled, timestep, return_dict=False)[0]
                x = x + (then - now) * velocity.float()
            signal = parts.vae.decode(x / config.scaling_factor + config.shift_factor).sample
        drawn.append(train_vae.to_pictures(signal))
    return np.concatenate(drawn)


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
