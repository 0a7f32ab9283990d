"""How pictures look, whatever they show: figures whose drift says that a reward likes a look.

Each is a plain statistic of a picture. An evaluation draws the same prompts from the same noise
every time, so a mean that moves is the policy's doing. A new figure is one more line in `LOOKS`;
the alarm on drift and the charts find it by its prefix.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from backend.rewards import _looks, _statistics
from backend.types import Pictures

Floats = NDArray[np.float64]
WRITTEN = 0.05
"""Share of a picture from which it holds text."""
MEAN, SPREAD = "style/", "style_sd/"
"""Prefixes of a figure's mean over the held-out prompts, and of its standard deviation there."""


def texture(images: Pictures) -> Floats:
    """log₁₀ of the energy of the finest detail: mean square of the grey picture's Laplacian, (B,).

    Grain, ringing and periodic artefacts raise it; smearing lowers it. On values from 0 to 1.
    """
    grey = images.astype(np.float32) @ np.array([0.2126, 0.7152, 0.0722], dtype=np.float32) / 255
    inner = grey[:, 1:-1, 1:-1]
    around = grey[:, :-2, 1:-1] + grey[:, 2:, 1:-1] + grey[:, 1:-1, :-2] + grey[:, 1:-1, 2:]
    energy = ((4 * inner - around) ** 2).mean(axis=(1, 2), dtype=np.float64)
    return np.asarray(np.log10(energy + 1e-8))


def contrast(images: Pictures) -> Floats:
    """Standard deviation of all values of a picture, 0 to 1, (B,)."""
    return np.asarray(images.reshape(len(images), -1).std(axis=1, dtype=np.float64) / 255)


def written(images: Pictures) -> Floats:
    """1 where more than a twentieth of the picture looks like writing, else 0, (B,)."""
    return (_looks.text_area(images) > WRITTEN).astype(np.float64)


LOOKS: dict[str, Callable[[Pictures], Floats]] = {
    "brightness": _statistics.luminance,
    "saturation": _statistics.saturation,
    "contrast": contrast,
    "texture": texture,
    "entropy": _looks.colour_entropy,
    "dark": _looks.dark_share,
    "tiling": _looks.tiling,
    "text": written,
}


def figures(images: Pictures) -> dict[str, float]:
    """Mean and standard deviation over the pictures of every look."""
    found: dict[str, float] = {}
    for name, look in LOOKS.items():
        value = look(images)
        found |= {MEAN + name: float(value.mean()), SPREAD + name: float(value.std())}
    return found
