"""Training of the pocket CLIP: pictures against captions, some with one word changed.

Each batch has 128 renders, half of them softened, noisy or shifted in colour as a model's pictures
are.

The loss is the cross-entropy of the right caption among the batch's 128, of the right picture for
each caption, and of each word of the caption among all words of its kind. The last is what a judge
needs: each picture is told apart from some dozen near misses of its caption.

Captions come from the whole language: the split is there to test the model that draws, and its
judge must be able to read what the model has not seen.
"""

from __future__ import annotations

import logging
import time
from itertools import pairwise
from pathlib import Path
from typing import NamedTuple

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
from backend.pocket.near import one_word_changed

log = logging.getLogger(__name__)

BATCH = 128
NUM_PICTURES = 16_000
NUM_REDRAWN = 6_400
REDRAW_FROM = (8, 7, 6, 5)
"""Steps of a ten-step schedule at which redrawing begins: sigma .28 to .71."""
SLOTS, WORDS = 10, 6
"""Words of a prompt that can be changed, and the most others of a kind."""


class NearMisses(NamedTuple):
    """A prompt's near misses: word ids (N, 14), the slot that differs and by which word (N,)."""

    ids: Tensor
    slot: Tensor
    word: Tensor


def train(path: Path, *, steps: int = 800, seed: int = 0) -> dict[str, float]:
    """Train, save to `path`, and return the figures measured."""
    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    prompts = world.draw(NUM_PICTURES, seed + 9, "any")
    renders = world.render_many(prompts, seed)
    redrawn = redraw(prompts[:NUM_REDRAWN], renders[:NUM_REDRAWN], seed)
    pictures = torch.from_numpy(np.concatenate([roughen(renders, rng), redrawn]))
    prompts = prompts + prompts[:NUM_REDRAWN]
    near = {prompt: near_misses(prompt) for prompt in prompts[:NUM_PICTURES]}
    encoder = PocketEncoder()
    optimiser = torch.optim.AdamW(encoder.parameters(), lr=1.5e-3, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 1.5e-3, total_steps=steps)
    start = time.perf_counter()
    for step in range(1, steps + 1):
        some = torch.randint(NUM_PICTURES, (BATCH // 2,))
        pick = torch.cat([some, NUM_PICTURES + torch.randint(NUM_REDRAWN, (BATCH // 2,))])
        captions = [prompts[i] for i in pick.tolist()]
        loss = _loss(encoder, pictures[pick], captions, near)
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
    wrong = [others[rng.integers(len(others))] for others in map(_all_near, prompts)]
    images = encoder.image(world.render_many(prompts, 555))
    similarity = images @ torch.cat([encoder.text(prompts), encoder.text(wrong)]).T
    right = similarity.argmax(1) == torch.arange(num)
    pair = similarity.diagonal() > similarity[:, num:].diagonal()
    return {
        "first_of_all": round(float(right.float().mean()), 3),
        "right_before_near_miss": round(float(pair.float().mean()), 3),
    }


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


def _loss(
    encoder: PocketEncoder, pictures: Tensor, prompts: list[str], near: dict[str, NearMisses]
) -> Tensor:
    """The right caption among the batch's, the right picture for each, each word among its kind."""
    images, right = encoder.see(pictures), encoder.read(word_ids(prompts))
    scale = encoder.log_scale.exp().clamp(max=50)
    among = scale * images @ right.T
    target = torch.arange(len(images))
    whole = (F.cross_entropy(among, target) + F.cross_entropy(among.T, target)) / 2
    own = among.diagonal()
    misses = [some_of(near[prompt]) for prompt in prompts]
    row = torch.cat([torch.full((len(miss.ids),), i) for i, miss in enumerate(misses)])
    changed = encoder.read(torch.cat([miss.ids for miss in misses]))
    logits = scale * (images[row] * changed).sum(1)
    table = torch.full((len(images), SLOTS, WORDS), -torch.inf)
    table[row, torch.cat([miss.slot for miss in misses]), torch.cat([m.word for m in misses])] = (
        logits
    )
    there = torch.isfinite(table).any(2)
    rivals = torch.logaddexp(
        torch.logsumexp(table[there], 1), own[:, None].expand(-1, SLOTS)[there]
    )
    words = (rivals - own[:, None].expand(-1, SLOTS)[there]).mean()
    return whole + 3 * words


def some_of(miss: NearMisses, num_slots: int = 4) -> NearMisses:
    """The near misses of a few slots drawn at random: as good in the mean, and much quicker."""
    slots = miss.slot.unique()
    keep = torch.isin(miss.slot, slots[torch.randperm(len(slots))[:num_slots]])
    return NearMisses(miss.ids[keep], miss.slot[keep], miss.word[keep])


def near_misses(prompt: str) -> NearMisses:
    """Every prompt that differs in one word, with the word it differs in."""
    changed = [
        (slot, i, other)
        for slot, (_, others) in enumerate(one_word_changed(prompt))
        for i, other in enumerate(others)
    ]
    slot, word, others = zip(*changed, strict=True)
    return NearMisses(word_ids(list(others)), torch.tensor(slot), torch.tensor(word))


def _all_near(prompt: str) -> list[str]:
    return [other for _, others in one_word_changed(prompt) for other in others]
