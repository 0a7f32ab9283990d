"""Which pair next: by what a judgement would tell, and one in four by chance, with its propensity.

Of the open pairs M candidates are drawn uniformly (all of them where there are no more). Each next
one is, with chance ε, uniform among those left, and otherwise drawn by a softmax of the utilities:

    q_i = ε / m + (1 − ε) · exp(u_i / T) / Σ_j exp(u_j / T)        m candidates left
    propensity_i = m · q_i ≥ ε

The propensity is the density of the draw relative to a uniform one, so it never depends on how many
pairs there are, and 1 / propensity is at most 1 / ε = 4. It is conditional on the draws before it:
weighted by its inverse, every draw has the mean over the pairs that were left as its expectation,
whatever the policy had learned until then.

Weights 1 / propensity belong where a figure speaks of *all* pairs: a win rate, a ranking of
checkpoints, agreement, held-out accuracy. They do not belong into the fit of a reward from the
features of a pair: there the answer is modelled given the pair, which pairs were asked depends on
those features alone, and the weights would only throw answers away.

Utilities are standardised over the open pairs (`standardised`), so that 0, which a new pair has, is
the average, T means the same for every policy, and equal utilities are a uniform draw.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from backend.errors import InputError
from backend.rewards.interface import Floats, Ints

CANDIDATES: Final = 256
"""Open pairs among which the next one is chosen; more make the choice keener, and slower."""
SHARE: Final = 0.25
"""ε, the share of pairs that are handed out by chance alone."""
TEMPERATURE: Final = 0.1
"""T, in standard deviations of the utilities."""
DEFAULT: Final = "disagreement"
"""The policy of a study of pictures that names none: what won in `palate bench choosing`."""
UNIFORM: Final = "uniform"
"""The chooser of a pair that was drawn by chance."""
EVERY: Final = 20
"""Labels after which the utilities are worked out again."""

Need = Literal["labels", "features", "sources"]
"""What a policy looks at; the rest need not be read for it."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A pair to hand out next."""

    index: int
    """Into the candidates."""
    propensity: float
    """Its chance at this draw, relative to a uniform one."""
    chooser: str
    """`UNIFORM`, or the name of the policy."""


@dataclass(frozen=True)
class Known:
    """What a policy may know. Letters: S samples, F features, N open pairs, L labels.

    `source` and `age` are of each sample: a number for its checkpoint, and how many newer ones
    there are. What a policy does not need may be left empty.
    """

    a: Ints
    b: Ints
    """(N,) samples of the open pairs."""
    label_a: Ints
    label_b: Ints
    """(L,) samples of the judged ones."""
    outcome: Ints
    """(L,) 1: a was preferred, −1: b, 0: neither."""
    side: Floats
    """(L,) +1 where a stood on the left, −1 where b did."""
    weight: Floats
    """(L,) 1 / propensity, for figures that speak of all pairs."""
    features: Floats
    """(S, F) standardised inside a prompt, as a learned reward has them."""
    block: Ints
    """(F,) which features share a prior."""
    source: Ints
    """(S,)"""
    age: Floats
    """(S,) 0 for samples of the newest checkpoint."""


def draw(
    utilities: Sequence[float] | Floats,
    n: int,
    rng: np.random.Generator,
    share: float = SHARE,
    *,
    name: str = "policy",
    temperature: float = TEMPERATURE,
) -> list[Chosen]:
    """`n` candidates without replacement (all, where there are fewer), in the order drawn."""
    if not 0 < share <= 1 or temperature <= 0 or n < 0:
        raise InputError(
            f"{n} pairs cannot be drawn with a uniform share of {share} and temperature "
            f"{temperature}; the share lies above 0 and up to 1, the temperature above 0."
        )
    sharp = np.asarray(utilities, dtype=np.float64) / temperature
    if not np.isfinite(sharp).all():
        raise InputError("A utility is no finite number; work the utilities out again.")
    left = np.arange(len(sharp))
    found = []
    for _ in range(min(n, len(sharp))):
        chance = np.exp(sharp[left] - sharp[left].max())
        chance /= chance.sum()
        by_chance = bool(rng.random() < share)
        at = int(rng.integers(len(left)) if by_chance else rng.choice(len(left), p=chance))
        density = share + (1 - share) * len(left) * float(chance[at])
        found.append(Chosen(int(left[at]), density, UNIFORM if by_chance else name))
        left = np.delete(left, at)
    return found


def standardised(utilities: Floats) -> Floats:
    """Mean 0 and standard deviation 1; all 0 where no pair differs from another."""
    values = np.asarray(utilities, dtype=np.float64)
    if not np.isfinite(values).all():
        raise InputError("A policy gave a utility that is no finite number; use another policy.")
    spread = float(values.std()) if len(values) else 0.0
    if spread <= 1e-12 * max(float(np.abs(values).max(initial=0.0)), 1e-300):
        return np.zeros(len(values))
    return np.asarray((values - values.mean()) / spread)
