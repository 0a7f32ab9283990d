"""Training of the pocket model: text encoders and transformer together, by flow matching.

Two parts. First clean captions, until pictures are crisp. Then corrupted captions, each content
word replaced by another of its kind now and then: the model goes on drawing crisply and is now and
then wrong in meaning, which is what people can see and a reward can teach (docs/pocket.md).

    x_σ = (1 − σ) x + σ ε        loss = |v(x_σ, σ, text) − (ε − x)|²        σ ~ logit-normal(0.6, 1)
"""

from __future__ import annotations

import copy
import dataclasses
import logging
import time
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import torch
from diffusers import AutoencoderKL, FlowMatchEulerDiscreteScheduler
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from backend.pocket import models, train_vae, verifier, world
from backend.pocket.models import Parts
from backend.pocket.world import KINDS, Scene, Thing

log = logging.getLogger(__name__)

BATCH = 64
EMA = 0.998


@dataclasses.dataclass(frozen=True)
class Plan:
    """How long and on what to train."""

    num_pictures: int = 40_000
    steps: int = 4_000
    learning_rate: float = 1e-3
    """Peak; it decays in a straight line to a share `last_rate` of itself."""
    last_rate: float = 0.05
    corruption: float = 0.0
    """Chance that a content word of a caption is replaced; 0 keeps captions clean."""
    resume: bool = False
    """Go on from the averaged weights that lie in the folder."""
    seed: int = 0
    eval_every: int = 250


def train(folder: Path, plan: Plan, cache: Path | None = None) -> dict[str, object]:
    """Train one part, keep the pipeline with averaged weights in `folder`, and return the figures.

    `cache` is a file that keeps the encoded pictures between parts of one run.
    """
    torch.manual_seed(plan.seed)
    rng = np.random.default_rng(plan.seed)
    vae = AutoencoderKL.from_pretrained(folder / "vae").eval()
    parts = load_parts(folder) if plan.resume else new_parts(vae)
    prompts = world.draw(plan.num_pictures, 0, "train")
    scenes = [world.parse(prompt) for prompt in prompts]
    latents = cached_latents(vae, scenes, cache)
    ids = torch.tensor([token_ids(parts, prompt) for prompt in prompts])
    average = copy.deepcopy(parts)
    weights, averages = list(trainable(parts)), list(trainable(average))
    optimiser = torch.optim.AdamW(
        weights, lr=plan.learning_rate, betas=(0.9, 0.99), weight_decay=0.01
    )
    start, curve = time.perf_counter(), []
    for step in range(1, plan.steps + 1):
        rate = min(step / 100, 1) * (1 - (1 - plan.last_rate) * step / plan.steps)
        for group in optimiser.param_groups:
            group["lr"] = plan.learning_rate * rate
        pick = torch.randint(len(scenes), (BATCH,))
        captions = ids[pick]
        if plan.corruption > 0:
            wrong = [corrupt(scenes[i], rng, plan.corruption).prompt for i in pick.tolist()]
            captions = torch.tensor([token_ids(parts, prompt) for prompt in wrong])
        loss = flow_loss(parts, latents[pick].float(), captions)
        optimiser.zero_grad(set_to_none=True)
        torch.autograd.backward(loss)
        nn.utils.clip_grad_norm_(weights, 1.0)
        optimiser.step()
        update_average(averages, weights, min(EMA, step / (step + 10)))
        if step % plan.eval_every == 0 or step == plan.steps:
            seconds = round(time.perf_counter() - start)
            reward = evaluate(average)["total"]
            curve.append({"step": step, "seconds": seconds, "verifier": round(reward, 3)})
            log.info("step %d loss %.3f verifier %.3f %d s", step, loss.item(), reward, seconds)
            models.save_pipeline(average, folder)
    return {"plan": dataclasses.asdict(plan), "curve": curve}


def load_parts(folder: Path) -> Parts:
    """The trained parts as they lie in `folder`."""
    pipeline = models.load_pipeline(folder)
    encoders = (pipeline.text_encoder, pipeline.text_encoder_2)
    return Parts(pipeline.vae, pipeline.transformer, encoders, pipeline.tokenizer)


def cached_latents(vae: AutoencoderKL, scenes: list[Scene], cache: Path | None) -> Tensor:
    """`render_latents`, or what `cache` holds of it."""
    if cache is not None and cache.is_file():
        kept: Tensor = load_file(cache)["latents"]
        return kept
    latents = render_latents(vae, scenes, 0)
    if cache is not None:
        save_file({"latents": latents}, cache)
    return latents


def new_parts(vae: AutoencoderKL) -> Parts:
    """Untrained transformer and text encoders around a trained autoencoder."""
    tokenizer = models.build_tokenizer()
    encoders = (models.build_text_encoder(tokenizer), models.build_text_encoder(tokenizer))
    return Parts(vae, models.build_transformer(), encoders, tokenizer)


def trainable(parts: Parts) -> Iterable[nn.Parameter]:
    """The weights of the transformer and of both text encoders."""
    for module in (parts.transformer, *parts.text_encoders):
        yield from module.parameters()


@torch.no_grad()
def update_average(averages: list[nn.Parameter], weights: list[nn.Parameter], decay: float) -> None:
    """average ← decay · average + (1 − decay) · weight."""
    torch._foreach_lerp_([a.data for a in averages], [w.data for w in weights], 1 - decay)


# ---------------------------------------------------------------- captions and pictures


def corrupt(scene: Scene, rng: np.random.Generator, chance: float) -> Scene:
    """Replace each content word by another of its kind with probability `chance`.

    The result is again a prompt of the train split, so held-out combinations stay unseen in
    captions too.
    """
    for _ in range(20):
        first = _corrupt_thing(scene.first, rng, chance)
        second = None if scene.second is None else _corrupt_thing(scene.second, rng, chance)
        relation = scene.relation
        if relation is not None:
            relation = other("relation", relation, rng, chance)
        background = other("background", scene.background, rng, chance)
        changed = Scene(first, relation, second, background)
        differ = second is None or first.colour != second.colour
        if differ and world.split_of(changed) == "train":
            return changed
    return scene


def _corrupt_thing(thing: Thing, rng: np.random.Generator, chance: float) -> Thing:
    count = world.COUNTS.index(other("count", world.COUNTS[thing.count - 1], rng, chance)) + 1
    return Thing(
        count,
        other("size", thing.size, rng, chance),
        other("colour", thing.colour, rng, chance),
        other("shape", thing.shape, rng, chance),
    )


def other(kind: str, word: str, rng: np.random.Generator, chance: float) -> str:
    """`word`, or with probability `chance` another of its kind."""
    if rng.random() >= chance:
        return word
    others = [other for other in KINDS[kind] if other != word]
    return others[rng.integers(len(others))]


def render_latents(vae: AutoencoderKL, scenes: list[Scene], seed: int) -> Tensor:
    """Render scenes and encode them: (B, 16, 8, 8) in half precision."""
    parts = []
    for at in range(0, len(scenes), 1024):
        chunk = scenes[at : at + 1024]
        pictures = np.stack([world.render(scene, seed + at + i) for i, scene in enumerate(chunk)])
        parts.append(train_vae.encode(vae, pictures).half())
    return torch.cat(parts).contiguous()


def token_ids(parts: Parts, prompt: str, _known: dict[str, int] = {}) -> list[int]:  # noqa: B006
    """The 16 token ids of a prompt, as the tokenizer gives them but much faster."""
    if not _known:
        vocab = parts.tokenizer.get_vocab()
        _known |= {word: vocab[word + "</w>"] for word in models.vocabulary()}
        _known |= {models.START: vocab[models.START], models.END: vocab[models.END]}
    ids = [_known[models.START], *(_known[word] for word in prompt.split())]
    return ids + [_known[models.END]] * (models.NUM_TOKENS - len(ids))


# ---------------------------------------------------------------- the flow


def embed(parts: Parts, ids: Tensor) -> tuple[Tensor, Tensor]:
    """Token ids (B, 16) → token features (B, 16, 128) and pooled (B, 128)."""
    outputs = [encoder(ids, output_hidden_states=True) for encoder in parts.text_encoders]
    tokens = torch.cat([output.hidden_states[-2] for output in outputs], dim=-1)
    return tokens, torch.cat([output.text_embeds for output in outputs], dim=-1)


def flow_loss(parts: Parts, latents: Tensor, ids: Tensor) -> Tensor:
    """Mean square error of the velocity at random σ; latents (B, 16, 8, 8)."""
    sigma = torch.sigmoid(0.6 + torch.randn(len(latents)))
    noise = torch.randn_like(latents)
    blend = sigma.view(-1, 1, 1, 1)
    tokens, pooled = embed(parts, ids)
    velocity = parts.transformer(
        hidden_states=(1 - blend) * latents + blend * noise,
        timestep=sigma * 1000,
        encoder_hidden_states=tokens,
        pooled_projections=pooled,
        return_dict=False,
    )[0]
    error: Tensor = velocity - (noise - latents)
    return error.square().mean()


@torch.inference_mode()
def sample(
    parts: Parts, prompts: list[str], seed: int, *, steps: int = 10, batch: int = 64
) -> np.ndarray:
    """Draw a picture a prompt, without guidance, where the parts are; (B, 64, 64, 3) uint8."""
    device = parts.transformer.device
    generator = torch.Generator().manual_seed(seed)
    scheduler = FlowMatchEulerDiscreteScheduler(shift=3.0)
    scheduler.set_timesteps(steps)
    pictures = []
    for at in range(0, len(prompts), batch):
        ids = torch.tensor([token_ids(parts, prompt) for prompt in prompts[at : at + batch]])
        ids = ids.to(device)
        side = models.LATENT_SIDE
        shape = (len(ids), models.LATENT_CHANNELS, side, side)
        x = torch.randn(shape, generator=generator).to(device)
        tokens, pooled = embed(parts, ids)
        with torch.autocast(device.type, torch.bfloat16):
            for now, then in zip(scheduler.sigmas[:-1], scheduler.sigmas[1:], strict=True):
                timestep = (now * 1000).to(device).expand(len(ids))
                velocity = parts.transformer(x, tokens, pooled, timestep, return_dict=False)[0]
                x = x + float(then - now) * velocity.float()
            config = parts.vae.config
            signal = parts.vae.decode(x / config.scaling_factor + config.shift_factor).sample
        pictures.append(train_vae.to_pictures(signal))
    return np.concatenate(pictures)


def evaluate(parts: Parts, num: int = 256, seed: int = 1) -> dict[str, float]:
    """Mean of each aspect over `num` held-out prompts, ten steps, fixed seeds."""
    prompts = world.draw(num, 1234, "heldout")
    rewards = verifier.score(sample(parts, prompts, seed), prompts)
    return {name: float(values.mean()) for name, values in rewards.items()}


@torch.no_grad()
def blend(folder: Path, other: Path, share: float) -> dict[str, float]:
    """Average the weights in `folder` with those in `other`, which were trained on from them.

    weight ← (1 − share) · weight + share · other. It keeps part of the mistakes that corrupted
    captions planted and most of the clean model's drawing (Wortsman et al. 2022, arXiv 2109.01903).
    """
    parts, toward = load_parts(folder), load_parts(other)
    update_average(list(trainable(parts)), list(trainable(toward)), 1 - share)
    models.save_pipeline(parts, folder)
    return {"share": share, "verifier": round(evaluate(parts)["total"], 3)}


def group_spread(parts: Parts, num: int = 32, group: int = 12, seed: int = 2) -> float:
    """Standard deviation of the total among `group` pictures of one prompt, mean over prompts."""
    prompts = [prompt for prompt in world.draw(num, 4321, "train") for _ in range(group)]
    rewards = verifier.score(sample(parts, prompts, seed), prompts)["total"]
    return float(rewards.reshape(num, group).std(axis=1).mean())
