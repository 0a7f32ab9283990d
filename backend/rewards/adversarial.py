"""A critic trained along with the run: it pays a picture for looking like a reference.

    r = λ_g · critic(the whole picture) + λ_l · mean over places of critic(the place)

After each update it compares the update's pictures with references of the same prompts. If on
average it likes the policy's pictures at least as well, it has been fooled and learns: `updates`
steps of the hinge loss on a frozen encoder's features, of the whole picture and of some places of
it. Otherwise it rests, since a critic that is far ahead tells siblings apart by nothing of use. So
what the reward means moves with the run: compare it inside an update, and watch another reward
beside it. The critics do not see the prompt; give the prompt's own reward a place in the mix.

Source: Adv-GRPO (arXiv 2511.20256), its DINO variant: references, condition, rate, updates, hinge,
whole picture and random patches. Ours: the encoder (any of `_encoders`), a head each for the whole
and the places, both scored without drawing patches so that a picture has one value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from backend.config import Config as Settings
from backend.errors import RewardError
from backend.rewards import _encoders, _references
from backend.rewards._critic import Critic
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Floats, Images, Scores, Shape

TITLE = "Adversarial"
SUMMARY = "A critic that learns during the run to tell the policy's pictures from references."
SOURCE = "Adv-GRPO (arXiv 2511.20256)"
RANGE = (None, None)
TRAITS = Traits(latency=1, weights="safetensors", comparable=False)

_WHOLE, _PLACES, _REFERENCES, _PATCHES = 1, 2, 3, 4
"""Streams of randomness that one seed is split into."""


class Config(Settings):
    """What it is held against, and how it learns."""

    references: str = Field(default=_references.POCKET, title="References")
    """"pocket": renders of the prompts by the pocket world; or the hash of a stored file of
    reference pictures with their prompts."""
    per_prompt: int = Field(default=8, ge=1, title="References per prompt")
    """How many references of each prompt an update is compared with; 8 in the paper."""
    encoder: str = Field(default=_encoders.POCKET, title="Encoder")
    """The frozen encoder whose features the critic sees: "pocket", a folder or a hub id of a CLIP
    checkpoint; the paper's is DINOv2."""
    learning_rate: float = Field(default=1e-4, gt=0, title="Learning rate")
    """Of the critic, by Adam; the paper's for a head on a frozen encoder."""
    updates: int = Field(default=10, ge=1, title="Updates")
    """Steps of the critic each time it was fooled; 10 in the paper."""
    patches: int = Field(default=8, ge=1, title="Patches")
    """Random places of each picture in a step of the critic. Our choice, half of the pocket
    encoder's 16; the authors' code takes 64 of DINOv2's 1,369."""
    weight_global: float = Field(default=0.7, ge=0, title="Weight of the whole")
    """λ_g. Our choice: the paper names no number, the authors' code weighs the loss of patches by
    .3."""
    weight_local: float = Field(default=0.3, ge=0, title="Weight of the places")
    """λ_l, see the weight of the whole."""
    seed: int = Field(default=0, ge=0, title="Seed")
    """Decides where the critic starts, which references and which patches it sees."""


class Adversarial:
    """Pointwise; values change whenever it learns, which it does in `observe` alone."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config, references: _references.References) -> None:
        self.config, self.references = config, references
        self.whole = Critic([config.seed, _WHOLE])
        self.places = Critic([config.seed, _PLACES])
        self._encoder: _encoders.Encoder | None = None

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value per picture; parts: what the whole and the places give, unweighted."""
        value, parts = self._reward(*self._features(images))
        return Scores.of(value, parts)

    def observe(self, images: Images, prompts: Sequence[str], step: int) -> dict[str, float]:
        """Learn where these pictures of update `step` fool it.

        Returns, before it learns, the mean reward of `reference` and `generated` and the share of
        pairs `told_apart` (½: none); after it, `updates` made and the last `loss` of the whole.
        """
        drawn = [self.config.seed, step, _REFERENCES]
        shown = self.references.draw(prompts, self.config.per_prompt, drawn)
        wanted, unwanted = self._features(shown), self._features(images)
        reference, generated = self._reward(*wanted)[0], self._reward(*unwanted)[0]
        apart = np.sign(reference[:, None] - generated[None, :])
        figures = {
            "reference": float(reference.mean()),
            "generated": float(generated.mean()),
            "told_apart": float((1 + apart.mean()) / 2),
            "updates": 0.0,
        }
        if generated.mean() < reference.mean():
            return figures
        rng = np.random.default_rng([self.config.seed, step, _PATCHES])
        rate, loss = self.config.learning_rate, 0.0
        for _ in range(self.config.updates):
            loss = self.whole.learn(wanted[0], unwanted[0], rate)
            good, bad = (_some(rows, self.config.patches, rng) for rows in (wanted[1], unwanted[1]))
            self.places.learn(good, bad, rate)
        return {**figures, "updates": float(self.config.updates), "loss": loss}

    def state(self) -> dict[str, NDArray[Any]]:
        """Both critics with their optimisers; empty before the first lesson."""
        return {
            f"{name}/{key}": array
            for name, critic in self._critics().items()
            for key, array in critic.arrays.items()
        }

    def load_state(self, state: Mapping[str, NDArray[Any]]) -> None:
        """Go on from what `state` returned."""
        held: dict[str, dict[str, NDArray[Any]]] = {name: {} for name in self._critics()}
        for path, array in state.items():
            name, _, key = path.partition("/")
            if name not in held:
                raise RewardError(
                    f"The checkpoint's '{path}' is no part of an adversarial reward; resume with "
                    f"the rewards the run was started with."
                )
            held[name][key] = array.copy()
        for name, critic in self._critics().items():
            critic.arrays = held[name]

    def _critics(self) -> dict[str, Critic]:
        return {"whole": self.whole, "places": self.places}

    def _features(self, images: Images) -> tuple[Floats, Floats]:
        """Of the whole picture (B, E) and of its places (B, L, F), each row of mean square 1."""
        if self._encoder is None:
            self._encoder = _encoders.load(self.config.encoder)
        return _scaled(self._encoder.image(images)), _scaled(self._encoder.patches(images))

    def _reward(self, whole_BE: Floats, places_BLF: Floats) -> tuple[Floats, dict[str, Floats]]:
        whole, places = self.whole.value(whole_BE), self.places.value(places_BLF).mean(axis=1)
        value = self.config.weight_global * whole + self.config.weight_local * places
        return np.asarray(value), {"whole": whole, "places": places}


def load(config: Config, files: Files | None = None) -> Adversarial:
    """A critic that has learned nothing yet; its encoder is loaded when it first sees a picture."""
    if config.references == _references.POCKET:
        return Adversarial(config, _references.PocketReferences())
    if files is None:
        raise RewardError(
            f"The reference pictures {config.references[:12]} cannot be looked up here; score "
            f"from a project, or take 'pocket'."
        )
    return Adversarial(config, _references.read(files(config.references)))


def _some(places_BLF: Floats, num: int, rng: np.random.Generator) -> Floats:
    """`num` random places of each picture, one may come twice, as rows (B · num, F)."""
    pick = rng.integers(places_BLF.shape[1], size=(len(places_BLF), num, 1))
    return np.take_along_axis(places_BLF, pick, axis=1).reshape(-1, places_BLF.shape[2])


def _scaled(rows: _encoders.Embeddings) -> Floats:
    """Rows of unit length at mean square 1, so that the learning rate fits any width."""
    return np.asarray(rows.astype(np.float64) * np.sqrt(rows.shape[-1]))
