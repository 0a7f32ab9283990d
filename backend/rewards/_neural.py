"""A head of small networks: what is left when a reward is not linear in its features.

    r(x) = θ₀·x + w · SiLU(W x + c)

with θ₀ the stock reward, so that an untrained member is that. Each of the K members is fitted to
prompts drawn with replacement, by Bradley–Terry with ties, pulled towards 0 by weight decay; all
members side by side in one tensor. Their disagreement is the doubt. torch is imported inside.

BaseReward (arXiv 2509.16127) compares depths and activations: two layers with SiLU did best, given
many pairs. Letters: as in `heads`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards._posterior import Labels
from backend.rewards.interface import Floats, Ints

if TYPE_CHECKING:
    from torch import Tensor

    from backend.rewards._heads import HeadName

MEMBERS: Final = 8
HIDDEN: Final = 16
STEPS: Final = 150
RATE: Final = 0.02
DECAY: Final = 4.0
"""Of all weights of a member together, as a Gaussian prior's precision."""


@dataclass(frozen=True)
class Neural:
    """The members' weights."""

    prior: Floats
    """(F,) θ₀."""
    first: Floats
    """(K, F + 1, H) W, c last."""
    second: Floats
    """(K, H) w."""
    tie: float
    lean: float
    name: HeadName = "neural"

    def say(self, features: Floats) -> tuple[Floats, Floats]:
        """Mean and standard deviation over the members."""
        each = self._each(features)
        return each.mean(axis=0), each.std(axis=0)

    def compare(self, labels: Labels) -> tuple[Floats, Floats]:
        """Mean and variance of each pair's Δ over the members."""
        each = self._each(labels.x + labels.of_b) - self._each(labels.of_b)
        return each.mean(axis=0), each.var(axis=0)

    def parts(self, features: Floats, block: Ints) -> dict[str, Floats]:
        """A network's value has no parts."""
        return {}

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Everything to save."""
        numbers = np.array([self.tie, self.lean])
        return {"prior": self.prior, "first": self.first, "second": self.second, "numbers": numbers}

    def _each(self, features: Floats) -> Floats:
        """(K, B)"""
        inside = features @ self.first[:, :-1] + self.first[:, -1:]
        active = inside / (1 + np.exp(-np.clip(inside, -500, 500)))
        return np.asarray(features @ self.prior + (active @ self.second[..., None])[..., 0])


def of(arrays: dict[str, NDArray[Any]]) -> Neural:
    """What `arrays` gave, taken out of them."""
    tie, lean = arrays.pop("numbers")
    prior, first = arrays.pop("prior"), arrays.pop("first")
    return Neural(prior, first, arrays.pop("second"), float(tie), float(lean))


def fit(labels: Labels, prior: Floats, *, seed: int) -> Neural:
    """All members, in some tenths of a second for 400 pairs."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    width = labels.x.shape[1]

    def tensor(values: Any) -> Tensor:
        return torch.from_numpy(np.asarray(values, dtype=np.float32))

    def grown(*shape: int, scale: float) -> Tensor:
        return (torch.randn(shape, generator=generator) * scale).requires_grad_()

    first = grown(MEMBERS, width + 1, HIDDEN, scale=0.5 / width**0.5)
    second = grown(MEMBERS, HIDDEN, scale=0.05)
    loose = torch.tensor([-1.0, 0.0], requires_grad=True)  # ln of the tie parameter, and the lean
    pair = [tensor(labels.x + labels.of_b), tensor(labels.of_b)]
    stock, side = tensor(labels.x @ prior), tensor(labels.side)
    outcome, weight = tensor(labels.outcome), tensor(_drawn(labels.prompt, seed))
    optimiser = torch.optim.Adam([first, second, loose], lr=RATE)

    def value(x: Tensor) -> Tensor:
        inside = x @ first[:, :-1] + first[:, -1:]
        return (torch.nn.functional.silu(inside) @ second[..., None])[..., 0]

    for _ in range(STEPS):
        tie = torch.nn.functional.softplus(loose[0])
        delta = stock + value(pair[0]) - value(pair[1]) + loose[1] * side
        a = torch.nn.functional.logsigmoid(delta - tie)
        b = torch.nn.functional.logsigmoid(-delta - tie)
        even = torch.log(torch.expm1(2 * tie).clamp(min=1e-9)) + a + b
        likely = torch.where(outcome > 0, a, torch.where(outcome < 0, b, even))
        pull = DECAY / 2 * ((first**2).sum((1, 2)) + (second**2).sum(1)).sum()
        loss = (pull - (weight * likely).sum()) / len(outcome)
        optimiser.zero_grad()
        torch.autograd.backward(loss)
        optimiser.step()
    learned = [part.detach().numpy().astype(np.float64) for part in (first, second)]
    found = torch.nn.functional.softplus(loose[0]).item(), loose[1].item()
    return Neural(prior, learned[0], learned[1], *found)


def _drawn(prompt: Ints, seed: int) -> Floats:
    """How often each member draws each pair's prompt. (K, M)"""
    rng = np.random.default_rng([seed, 0xB007])
    _, slot = np.unique(prompt, return_inverse=True)
    num = int(slot.max(initial=0)) + 1
    counts = [np.bincount(rng.integers(num, size=num), minlength=num) for _ in range(MEMBERS)]
    return np.stack(counts)[:, slot].astype(np.float64)
