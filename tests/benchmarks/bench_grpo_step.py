"""How much of a GRPO step is the model itself, and how fast the sampler is against a bare network.

    share     seconds inside the network (forward, backward) and the decoder / seconds of the step
    network   the network alone / seconds of the step
    speed     evaluations a second of the sampler / those of a tight loop of the bare network

The tight loop runs before, between and after the steps, at the same batch size and precision, so a
busy machine slows both. `measure` is also called by the tests, with small settings.
"""

from __future__ import annotations

import argparse
import json
import time
from typing import Any

import numpy as np
import torch

from backend import recipes
from backend.policies import sd3
from backend.registry import rewards
from backend.rl.collect import Data
from backend.rl.evaluate import HeldOut
from backend.rl.recipe import RunConfig
from backend.rl.trainer import Trainer
from backend.types import Cond, IterationRecord, Pictures
from workers.bare import device

TARGET = 0.90


class Timed(sd3.Sd3Policy):
    """The policy itself, with a clock in its network and in its decoder."""

    network_s = 0.0
    decode_s = 0.0
    _last = 0.0

    def velocity(self, latent: torch.Tensor, sigma: torch.Tensor, cond: Cond) -> torch.Tensor:
        start = self.now()
        out = super().velocity(latent, sigma, cond)
        self.network_s += self.now() - start
        if out.requires_grad:
            out.register_hook(self._backward_begins)
        return out

    def decode(self, latents: torch.Tensor) -> Pictures:
        start = self.now()
        pictures = super().decode(latents)
        self.decode_s += self.now() - start
        return pictures

    def watch_backward(self) -> None:
        """Count from the gradient's arrival at the velocity until it rests in a parameter."""
        for parameter in self.trainable().values():
            parameter.register_post_accumulate_grad_hook(self._gradient_rests)

    def _backward_begins(self, gradient: torch.Tensor) -> None:
        self._last = self.now()

    def _gradient_rests(self, parameter: torch.Tensor) -> None:
        now = self.now()
        self.network_s, self._last = self.network_s + now - self._last, now

    def now(self) -> float:
        """Seconds, with a GPU's work done: it runs behind the program."""
        if self.device.type == "cuda":
            torch.cuda.synchronize()
        return time.perf_counter()


class Quiet:
    """A sink that keeps the last iteration."""

    last: IterationRecord

    def iteration(self, record: IterationRecord) -> None:
        self.last = record

    def evaluation(self, record: Any) -> None: ...

    def checkpoint(self, state: Any) -> None: ...

    def log(self, *args: Any) -> None: ...


def measure(
    config: RunConfig, prompts: list[str], *, steps: int = 3, policy: Timed | None = None
) -> dict[str, float]:
    """Run `steps` updates of a recipe and as many tight loops; medians of the ratios."""
    if policy is None:
        settings = sd3.Config.read(config.policy.config)
        policy = Timed(sd3.load(settings, device()).pipeline, settings)
    scorers = {t.name: _scorer(t.kind, t.config) for t in [*config.rewards, *config.watch]}
    sink = Quiet()
    trainer = Trainer(config, policy, scorers, Data(prompts, prompts), sink)
    trainer.held = HeldOut.of(prompts[:2], config.evaluation)
    policy.watch_backward()
    policy.embed(prompts)
    trainer.iterate()  # the first step warms caches and is not counted
    shares, networks, speeds, totals = [], [], [], []
    bare = [_bare_speed(policy, config, prompts)]
    for _ in range(steps):
        policy.network_s = policy.decode_s = 0.0
        trainer.iterate()
        record = sink.last
        total = record.seconds["total"]
        totals.append(total)
        networks.append(policy.network_s / total)
        shares.append((policy.network_s + policy.decode_s) / total)
        bare.append(_bare_speed(policy, config, prompts))
        speed = record.metrics["nfe/sample"] / record.seconds["sample"]
        speeds.append(speed / float(np.mean(bare[-2:])))
    return {
        "share": float(np.median(shares)),
        "network": float(np.median(networks)),
        "speed": float(np.median(speeds)),
        "bare_nfe_per_s": float(np.median(bare)),
        "step_s": float(np.median(totals)),
        "nfe_per_step": float(sink.last.nfe),
        "batch_size": float(config.sampling.batch_size),
        **{f"seconds/{phase}": s for phase, s in sink.last.seconds.items()},
    }


def _bare_speed(policy: Timed, config: RunConfig, prompts: list[str], calls: int = 10) -> float:
    """Evaluations a second of the network alone, adapter folded in, nothing around it."""
    num = config.sampling.batch_size
    place, dtype = policy.device, policy.network.dtype
    latent = torch.randn(num, *policy.latent_shape, device=place, dtype=dtype)
    cond = policy.embed([prompts[i % len(prompts)] for i in range(num)])
    arguments = {
        "hidden_states": latent,
        "timestep": torch.full((num,), 500.0, device=place),
        "encoder_hidden_states": cond.tensors["text"].to(dtype),
        "pooled_projections": cond.tensors["pooled"].to(dtype),
        "return_dict": False,
    }
    precise = torch.autocast(place.type, torch.bfloat16, enabled=config.sampling.bf16)
    with torch.no_grad(), policy.merged(), precise:
        policy.network(**arguments)
        start = policy.now()
        for _ in range(calls):
            policy.network(**arguments)
        return num * calls / (policy.now() - start)


def _scorer(kind: str, settings: dict[str, Any]) -> Any:
    module = rewards.get(kind)
    return module.load(module.Config.read(settings), None)


def main() -> None:
    """Measure a recipe on the pocket model."""
    from backend.pocket import TRAIN_PROMPTS_PATH

    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipe", default="g2rpo")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    prompts = TRAIN_PROMPTS_PATH.read_text(encoding="utf-8").split("\n")
    figures = measure(recipes.load(options.recipe), [p for p in prompts if p], steps=options.steps)
    print(f"model calls {figures['share']:.1%} of a step (target {TARGET:.0%}), ", end="")
    print(f"network alone {figures['network']:.1%}; ", end="")
    print(f"sampler at {figures['speed']:.1%} of a tight loop of the bare network")
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
