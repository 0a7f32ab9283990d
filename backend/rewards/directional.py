"""Likeness to a prompt that has been moved along a direction of taste.

    reward, figures = fit_direction(data, seed=0)     # from people's pairs, a second or two
    reward.score(images, prompts).values              # x · e*

A CLIP-like encoder puts pictures x and prompts e into one space, where likeness x · e says whether
the picture shows what was asked for, and little of whether anybody likes it. D²-Align bends every
prompt the same way (`_direction`), e* = e₋ + ω (e₊ − e₋), and scores x · e*. With b = 0 that is
plain likeness. The length of e*, at most 2ω − 1, is one factor within a prompt: no order hangs on
it.

Departure: the paper learns b against the reward itself: the encoder is a reward trained on people
(HPS v2.1), and b is the way in which it overrates what the policy makes. Our encoders are plain,
there is no such reward to correct, and people's pairs are at hand, so b is fitted to them: by
Bradley–Terry on the corrected likeness, with a term for the side, measured on prompts it has not
seen. One direction of taste is all it can learn; where that does not show in the held-out
agreement, take `learned`.

Source: D²-Align (arXiv 2512.24146), stage 1.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import ConfigError, RewardError
from backend.rewards import _direction, _encoders, _figures, _weights, learn
from backend.rewards._posterior import FOLDS
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Floats, Images, Scores, Shape

TITLE = "Directional likeness"
SUMMARY = "Likeness of picture and prompt, the prompt moved along a direction learned from pairs."
SOURCE = "D²-Align (arXiv 2512.24146), stage 1, fitted to people's pairs"
RANGE = (-2.0, 2.0)
TRAITS = Traits(latency=1, comparable=False, weights="safetensors")

FORMAT: Final = "palate-direction-1"
OMEGA: Final = 1.5
"""The paper's ω."""


class Config(Settings):
    """Which direction."""

    weights: str = Field(default="", title="Weights")
    """Hash of the stored safetensors file; filled in when the direction is learned."""


@dataclass
class Directional:
    """Pointwise; parts: the plain likeness, and what the direction added to it."""

    direction: Floats
    """b, (E,)."""
    omega: float = OMEGA
    encoder_name: str = _encoders.POCKET
    metadata: dict[str, Any] = field(default_factory=dict)
    shape: Shape = "pointwise"
    _encoder: _encoders.Encoder | None = None

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """x · e*, one value per picture."""
        if self._encoder is None:
            self._encoder = _encoders.load(self.encoder_name)
        picture, text = _embedded(self._encoder, images, prompts)
        moved = _direction.corrected(text, self.direction, self.omega)
        value, plain = (picture * moved).sum(axis=1), (picture * text).sum(axis=1)
        return Scores.of(value, {"likeness": plain, "direction": value - plain})

    def to_bytes(self) -> bytes:
        """The direction as one safetensors file, settings as JSON in its header."""
        about = {"format": FORMAT, "encoder": self.encoder_name, "omega": self.omega}
        return _weights.pack({"direction": self.direction}, {**self.metadata, **about})


@dataclass(frozen=True)
class Figures:
    """How often the corrected likeness agrees with people, on prompts that its fit did not see."""

    accuracy: float
    low: float
    high: float
    pairs: int
    """Decided pairs, on which accuracy is measured; `ties` come on top."""
    ties: int
    prompts: int
    usable: bool
    """Whether the interval lies above one half, that is above guessing."""
    baseline: dict[str, Any]
    """Plain likeness on the same pairs: name, accuracy, low, high."""
    length: float
    """|b|, in lengths of an embedding."""
    side_bias: float
    """Fitted pull to the left picture, in units of choice noise."""
    encoder: str
    seed: int
    seconds: float

    def plain(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def fit_direction(
    data: learn.PairData,
    *,
    seed: int,
    encoder: str = _encoders.POCKET,
    omega: float = OMEGA,
) -> tuple[Directional, Figures]:
    """Learn the direction from pairs, and measure it on prompts it has not seen.

    Raises InputError with a sentence when the pairs cannot teach (`learn.prompts_of`).
    """
    started = time.perf_counter()
    prompt_M = learn.prompts_of(data)
    scorer = _encoders.load(encoder)
    picture, text = _embedded(scorer, data.images, data.prompts)
    apart, text, prefer = picture[data.a] - picture[data.b], text[data.a], (data.outcome + 1) / 2

    def fitted(pick: Any) -> tuple[Floats, float]:
        return _direction.fit(apart[pick], text[pick], prefer[pick], data.side[pick], omega)

    num_prompts, rng = int(prompt_M.max()) + 1, np.random.default_rng([seed, 0xF01D])
    fold_M = rng.permutation(num_prompts)[prompt_M] % FOLDS
    delta = np.zeros(len(apart))
    for fold in range(FOLDS):
        held = fold_M == fold
        moved = _direction.corrected(text[held], fitted(~held)[0], omega)
        delta[held] = (apart[held] * moved).sum(axis=1)
    decided, won = data.outcome != 0, data.outcome > 0
    weight = None if data.weight is None else data.weight[decided]
    share = _figures.agreement(delta[decided], won[decided], weight)
    likeness = _figures.agreement((apart * text).sum(axis=1)[decided], won[decided], weight)

    direction, side_bias = fitted(slice(None))
    about = {"pairs": len(apart), "seed": seed}
    reward = Directional(direction, omega, encoder, about, _encoder=scorer)
    return reward, Figures(
        **_figures.plain(share),
        pairs=int(decided.sum()),
        ties=int((~decided).sum()),
        prompts=num_prompts,
        usable=share.low > 0.5,
        baseline={"name": "encoder likeness alone", **_figures.plain(likeness)},
        length=float(np.linalg.norm(direction)),
        side_bias=side_bias,
        encoder=encoder,
        seed=seed,
        seconds=time.perf_counter() - started,
    )


def load(config: Config, files: Files | None = None) -> Directional:
    """The fitted direction; its encoder is loaded on the first score."""
    if not config.weights or files is None:
        raise ConfigError(
            "A directional reward needs its weights; learn one from labels first.", field="weights"
        )
    return from_file(files(config.weights))


def from_file(path: Path) -> Directional:
    """The reward whose bytes were written to `path`; a RewardError says what is wrong with it."""
    instead = "learn it again from the labels."
    data = _weights.read(path, "The directional reward's weights", instead)
    otherwise = f"The file is not a direction of this version of Palate; {instead}"
    arrays, about = _weights.unpack(data, FORMAT, otherwise)
    try:
        return Directional(arrays["direction"], about.pop("omega"), about.pop("encoder"), about)
    except KeyError as error:
        raise RewardError(otherwise) from error


def _embedded(
    encoder: _encoders.Encoder, images: Images, prompts: Sequence[str]
) -> tuple[Floats, Floats]:
    """Pictures and prompts in the encoder's space, (B, E) each, in float64."""
    return encoder.image(images).astype(np.float64), encoder.text(prompts).astype(np.float64)
