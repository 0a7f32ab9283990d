"""From pictures and prompts to the few numbers that a learned reward weighs.

    likeness   the encoder's own word on picture and prompt, which is the stock reward; principal
               components of picture ⊙ prompt; how sure it is of each kind of the prompt's words
    picture    principal components of the picture's embedding alone
    style      plain statistics: light, saturation, contrast, sharpness, centring …

Only differences between pictures of one prompt are ever labelled, so components and scales are
taken from what is left after each prompt's mean is removed. Each feature is clipped to the range it
had on the pictures it was fitted on: a policy gains nothing by leaving the ground the labels cover.

Letters: S samples to fit on, B samples to score, E width of the encoder, F features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.rewards import _statistics
from backend.rewards._encoders import Embeddings, Encoder
from backend.rewards.interface import Floats, Images, Ints, by_prompt

LIKENESS, PICTURE, STYLE, STOCK, WORDS = 0, 1, 2, 3, 4
"""Blocks of features that share a prior; the encoder's likeness is its own, the stock reward."""

PARTS: Final = {"likeness": (STOCK, LIKENESS, WORDS), "picture": (PICTURE,), "style": (STYLE,)}
"""How the blocks are named where a reward is taken apart."""

_CLIP: Final = 0.01
"""Share of the fitted samples beyond the clip on each side."""


@dataclass(frozen=True)
class Seen:
    """What is worked out of each picture with its prompt before anything is fitted. B rows each."""

    picture: Embeddings
    """(B, E)"""
    text: Embeddings
    """(B, E)"""
    words: Embeddings
    """(B, K) how sure the encoder is of the prompt's words, for each kind."""
    likeness: Floats
    """(B,) what the encoder alone says."""
    style: Floats


def see(encoder: Encoder, images: Images, prompts: Sequence[str]) -> Seen:
    """Encode pictures and prompts: the slow part, the same whatever is fitted later."""
    read = encoder.read(images, prompts)
    style = _statistics.table(images)
    return Seen(read.picture, encoder.text(prompts), read.words, read.likeness, style)


@dataclass(frozen=True)
class Recipe:
    """How features are made; fitted without labels, then fixed."""

    picture_basis: NDArray[np.float32]
    """(E, P)"""
    product_basis: NDArray[np.float32]
    """(E, Q)"""
    centre: Floats
    """(F,) mean on the fitted samples."""
    scale: Floats
    """(F,) standard deviation inside a prompt; 1 where a feature never varies."""
    low: Floats
    high: Floats
    """(F,) the range, in standardised units."""

    @property
    def block(self) -> Ints:
        """(F,) the block of each feature."""
        sizes = (
            (STOCK, 1),
            (WORDS, len(self.centre) - self._others()),
            (LIKENESS, self.product_basis.shape[1]),
            (PICTURE, self.picture_basis.shape[1]),
            (STYLE, len(_statistics.NAMES)),
        )
        return np.concatenate([np.full(size, block, dtype=np.int64) for block, size in sizes])

    def _others(self) -> int:
        """How many features are not of words."""
        bases = self.product_basis.shape[1] + self.picture_basis.shape[1]
        return int(1 + bases + len(_statistics.NAMES))

    def arrays(self) -> dict[str, NDArray[np.generic]]:
        """Everything to save, by name."""
        names = ("picture_basis", "product_basis", "centre", "scale", "low", "high")
        return {name: getattr(self, name) for name in names}

    def apply(
        self, encoder: Encoder, images: Images, prompts: Sequence[str]
    ) -> tuple[Floats, Floats]:
        """Standardised features, clipped and as they are. (B, F) each"""
        return self.of(see(encoder, images, prompts))

    def of(self, seen: Seen) -> tuple[Floats, Floats]:
        """`apply` to samples that are encoded already."""
        raw = _raw(seen, (self.picture_basis, self.product_basis))
        standard = (raw - self.centre) / self.scale
        return np.clip(standard, self.low, self.high), standard


def fit(
    encoder: Encoder, images: Images, prompts: Sequence[str], components: int
) -> tuple[Recipe, Floats, Floats]:
    """The recipe for these samples, and their features, clipped and as they are. (S, F) each"""
    return fit_seen(see(encoder, images, prompts), prompts, components)


def prior_of(block_F: Ints) -> Floats:
    """Prior mean of the weights: the stock reward counts 1, all else nothing. (F,)"""
    return np.asarray(block_F == STOCK, dtype=np.float64)


def fit_seen(seen: Seen, prompts: Sequence[str], components: int) -> tuple[Recipe, Floats, Floats]:
    """`fit` of samples that are encoded already."""
    groups = by_prompt(prompts)
    reads = seen.words.shape[1] > 0  # then the words say more than components could
    picture_basis = _components(seen.picture, groups, components // 3 if reads else components)
    product_basis = _components(seen.picture * seen.text, groups, 0 if reads else components)
    raw = _raw(seen, (picture_basis, product_basis))
    rest = _within(raw, groups)
    free = max(len(raw) - len(set(groups.tolist())), 1)
    scale = np.sqrt((rest**2).sum(axis=0) / free)
    scale = np.where(scale > 1e-9, scale, 1.0)
    centre = raw.mean(axis=0)
    standard = (raw - centre) / scale
    low, high = np.quantile(standard, [_CLIP, 1 - _CLIP], axis=0)
    recipe = Recipe(picture_basis, product_basis, centre, scale, low, high)
    return recipe, np.clip(standard, low, high), standard


def _raw(seen: Seen, bases: tuple[NDArray[np.float32], NDArray[np.float32]]) -> Floats:
    """Features before they are standardised. (B, F)"""
    product = seen.picture * seen.text
    columns = (
        seen.likeness[:, None],
        seen.words,
        product @ bases[1],
        seen.picture @ bases[0],
        seen.style,
    )
    return np.concatenate([column.astype(np.float64) for column in columns], axis=1)


def _components(rows: Embeddings, groups: Ints, num: int) -> NDArray[np.float32]:
    """Directions of most variance between pictures of one prompt, (E, ≤ num), signs fixed."""
    rest = _within(rows.astype(np.float64), groups)
    values, vectors = np.linalg.eigh(rest.T @ rest)
    keep = [i for i in np.argsort(-values)[:num] if values[i] > 1e-9 * max(values.max(), 1e-30)]
    basis = vectors[:, keep]
    if basis.shape[1]:
        largest = np.abs(basis).argmax(axis=0)
        basis = basis * np.sign(basis[largest, np.arange(basis.shape[1])])
    return np.ascontiguousarray(basis, dtype=np.float32)


def _within(rows: Floats, groups: Ints) -> Floats:
    """Rows minus the mean of their group. (S, ·)"""
    count = np.bincount(groups)[:, None]
    sums = np.zeros((len(count), rows.shape[1]))
    np.add.at(sums, groups, rows)
    return np.asarray(rows - (sums / count)[groups])
