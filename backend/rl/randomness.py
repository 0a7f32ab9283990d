"""All randomness is a pure function of (seed, step, purpose, …), so a resumed run repeats itself.

There is no generator to carry over: every noise tensor and every order is made from its own seed,
a hash of what it is for. Noise is drawn on the CPU, so it is the same on every device.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    import torch
    from torch import Tensor


def seed_of(*parts: int | str) -> int:
    """A seed below 2⁵² (exact in JSON and JavaScript) that is a hash of `parts`."""
    digest = hashlib.blake2b("/".join(map(str, parts)).encode(), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 12


def noise(seed: int, shape: Sequence[int]) -> Tensor:
    """Standard normal float32 noise of `shape`, from one seed."""
    import torch

    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def noises(seeds: Sequence[int], shape: Sequence[int], device: torch.device | str) -> Tensor:
    """(len(seeds), *shape): row i is `noise(seeds[i], shape)`, whoever else is in the batch."""
    import torch

    return torch.stack([noise(seed, shape) for seed in seeds]).to(device)


def prompts_at(prompts: Sequence[str], seed: int, step: int, num: int) -> list[str]:
    """The prompts of update `step`: endless shuffled passes over all, cut into `num` a step."""
    return [prompts[turn] for turn in turns_at(len(prompts), seed, step, num)]


def turns_at(total: int, seed: int, step: int, num: int) -> list[int]:
    """Whose turn it is at update `step`: `num` of range(total), in endless shuffled passes."""
    passes = range(step * num // total, ((step + 1) * num - 1) // total + 1)
    orders = {
        turn: np.random.default_rng(seed_of(seed, "prompts", turn)).permutation(total)
        for turn in passes
    }
    positions = range(step * num, (step + 1) * num)
    return [int(orders[at // total][at % total]) for at in positions]
