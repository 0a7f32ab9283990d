"""Training of the pocket autoencoder: flat coloured shapes, 64×64 → 8×8×16, crisp edges.

First crowded 32×32 crops, where every patch has something to learn and a step costs a quarter; then
whole pictures with more weight on edges. Loss: 2 |x̂ − x|² + 0.3 |x̂ − x| + w |∇x̂ − ∇x| + 10⁻⁵ KL.
The decoder also learns from latents with a little extra noise, so that pictures stay crisp when a
flow model ends not quite on the latents of real pictures.
"""

from __future__ import annotations

import logging
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL
from torch import Tensor

from backend.pocket import models, world

log = logging.getLogger(__name__)

BATCH = 32
KL_WEIGHT = 1e-5
EXTRA_NOISE = 0.1


def train(
    folder: Path, *, crop_steps: int = 2500, whole_steps: int = 800, seed: int = 0
) -> dict[str, float]:
    """Train on crowded crops, then on whole pictures; save into `folder`, return the figures."""
    torch.manual_seed(seed)
    vae = models.build_vae().to(memory_format=torch.channels_last)
    start = time.perf_counter()
    crops = to_signal(crowded(4_000, seed))
    crops = torch.cat(
        [half for tall in torch.split(crops, 32, 2) for half in torch.split(tall, 32, 3)]
    )
    _train_on(vae, crops, crop_steps, 3e-3, edge_weight=0.1)
    vae.save_pretrained(folder)
    scenes = to_signal(world.render_many(world.draw(8_000, seed, "any"), seed))
    _train_on(vae, scenes, whole_steps, 1e-3, edge_weight=0.5)
    _standardise(vae, scenes[:512])
    vae.save_pretrained(folder)
    seconds = time.perf_counter() - start
    steps = crop_steps + whole_steps
    return {"steps": steps, "seconds": round(seconds), "psnr_db": round(psnr(vae), 2)}


def _train_on(
    vae: AutoencoderKL, pictures: Tensor, steps: int, rate: float, *, edge_weight: float
) -> None:
    optimiser = torch.optim.AdamW(vae.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=1e-4)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, rate, total_steps=steps, pct_start=0.1
    )
    start = time.perf_counter()
    for step in range(1, steps + 1):
        batch = pictures[torch.randint(len(pictures), (BATCH,))]
        batch = batch.contiguous(memory_format=torch.channels_last)
        loss, error = _loss(vae, batch, edge_weight)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        optimiser.step()
        schedule.step()
        if step % 100 == 0:
            took = time.perf_counter() - start
            log.info("vae step %d mse %.4f loss %.4f %.0f s", step, error, loss.item(), took)


def crowded(num: int, seed: int) -> np.ndarray:
    """Pictures with twelve objects anywhere, over one another."""
    rng = np.random.default_rng([seed, 0xC04D])
    grounds, colours = list(world.BACKGROUNDS.values()), list(world.COLOURS.values())
    shapes, radii = tuple(world.SHAPES), tuple(world.SIZES.values())
    pictures = np.empty((num, world.SIDE, world.SIDE, 3), dtype=np.uint8)
    for picture in pictures:
        canvas = np.full(picture.shape, grounds[rng.integers(len(grounds))], dtype=np.float32)
        for _ in range(12):
            x, y = rng.uniform(2, world.SIDE - 2, 2)
            colour = colours[rng.integers(len(colours))]
            shape = shapes[rng.integers(len(shapes))]
            world.paint(canvas, shape, x, y, radii[rng.integers(2)], colour)
        picture[:] = np.rint(canvas)
    return pictures


@torch.inference_mode()
def psnr(vae: AutoencoderKL, num: int = 256) -> float:
    """Peak signal-to-noise ratio in dB over held-out pictures encoded and decoded."""
    pictures = to_signal(world.render_many(world.draw(num, 77, "heldout"), 77))
    again = vae.decode(vae.encode(pictures).latent_dist.mode()).sample
    error = ((again.clamp(-1, 1) - pictures) / 2).square().mean()
    return float(-10 * torch.log10(error))


@torch.inference_mode()
def encode(vae: AutoencoderKL, pictures: np.ndarray, batch: int = 64) -> Tensor:
    """Pictures (B, 64, 64, 3) uint8 → scaled latents (B, 16, 8, 8), as the pipeline sees them."""
    parts = [
        vae.encode(to_signal(pictures[at : at + batch])).latent_dist.mode()
        for at in range(0, len(pictures), batch)
    ]
    latents: Tensor = torch.cat(parts) - vae.config.shift_factor
    return latents * float(vae.config.scaling_factor)


def to_signal(pictures: np.ndarray) -> Tensor:
    """(B, 64, 64, 3) uint8 → (B, 3, 64, 64) in [−1, 1]."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 127.5 - 1


def to_pictures(signal: Tensor) -> np.ndarray:
    """(B, 3, 64, 64) in [−1, 1] → (B, 64, 64, 3) uint8."""
    levels = (signal.float().clamp(-1, 1) + 1) * 127.5
    return levels.round().to(torch.uint8).permute(0, 2, 3, 1).cpu().numpy()


def _loss(vae: AutoencoderKL, batch: Tensor, edge_weight: float) -> tuple[Tensor, float]:
    posterior = vae.encode(batch).latent_dist
    latent = posterior.sample()
    latent = latent + EXTRA_NOISE * posterior.mean.detach().std() * torch.randn_like(latent)
    again = vae.decode(latent).sample
    square = F.mse_loss(again, batch)
    edges = sum(F.l1_loss(again.diff(dim=dim), batch.diff(dim=dim)) for dim in (2, 3))
    loss = 2 * square + 0.3 * F.l1_loss(again, batch) + edge_weight * edges
    return loss + KL_WEIGHT * posterior.kl().mean() / latent[0].numel(), square.item()


def _standardise(vae: AutoencoderKL, pictures: Tensor) -> None:
    """Write the scale and shift that give the latents mean 0 and spread 1."""
    with torch.inference_mode():
        latents = vae.encode(pictures).latent_dist.mode()
    vae.register_to_config(
        shift_factor=float(latents.mean()), scaling_factor=float(1 / latents.std())
    )
