"""The pocket verifier: right on truth, low on the unrelated, and one aspect at a time."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import ndimage

from backend.errors import InputError
from backend.pocket import verifier, world
from backend.pocket.world import KINDS, Scene

PROMPTS = world.draw(200, 11, "train") + world.draw(100, 11, "heldout")
SCENES = [scene for scene in map(world.parse, PROMPTS) if scene.second is not None][:150]


@pytest.fixture(scope="module")
def truth() -> np.ndarray:
    return world.render_many(PROMPTS, 0)


def test_rendered_truth_is_right(truth: np.ndarray) -> None:
    rewards = verifier.score(truth, PROMPTS)
    assert set(rewards) == {"total", *verifier.ASPECTS}
    for name in rewards:
        assert rewards[name].shape == (len(PROMPTS),)
        assert rewards[name].mean() >= (0.99 if name == "total" else 0.98), name
    assert rewards["total"].min() > 0.85


def test_an_unrelated_picture_is_wrong(truth: np.ndarray) -> None:
    rewards = verifier.score(truth, PROMPTS[100:] + PROMPTS[:100])
    assert rewards["total"].mean() < 0.2
    noise = np.random.default_rng(0).integers(0, 256, truth.shape).astype(np.uint8)
    assert verifier.score(noise, PROMPTS)["total"].max() < 0.2
    assert verifier.score(np.full_like(truth, 150), PROMPTS)["total"].max() < 0.2


def test_soft_edges_and_noise_cost_little(truth: np.ndarray) -> None:
    soft = ndimage.gaussian_filter(truth.astype(np.float32), (0, 1, 1, 0))
    assert verifier.score(soft.round().astype(np.uint8), PROMPTS)["total"].mean() >= 0.9
    noisy = truth + np.random.default_rng(0).normal(0, 10, truth.shape)
    noisy = noisy.clip(0, 255).astype(np.uint8)
    assert verifier.score(noisy, PROMPTS)["total"].mean() >= 0.97


def changed(scene: Scene, aspect: str) -> Scene:
    """The scene with exactly one aspect of its first thing, relation or ground changed."""
    first, second = scene.first, scene.second
    assert second is not None
    if aspect == "present":
        return replace(scene, second=None, relation=None)
    if aspect == "count":
        return replace(scene, first=replace(first, count=first.count % 3 + 1))
    owner = scene if aspect in ("relation", "background") else first
    taken = {getattr(owner, aspect), second.colour}
    word = next(word for word in KINDS[aspect] if word not in taken)
    if aspect in ("relation", "background"):
        return replace(scene, **{aspect: word})
    return replace(scene, first=replace(first, **{aspect: word}))


@pytest.mark.parametrize("aspect", [a for a in verifier.ASPECTS if a != "nothing_extra"])
def test_changing_one_aspect_lowers_that_aspect_alone(aspect: str) -> None:
    prompts = [scene.prompt for scene in SCENES]
    pictures = np.stack([world.render(changed(s, aspect), i) for i, s in enumerate(SCENES)])
    rewards = {name: values.mean() for name, values in verifier.score(pictures, prompts).items()}
    assert rewards[aspect] < 0.65
    assert rewards["total"] < 0.87
    if aspect == "present":  # a thing that is not there has no colour either
        return
    others = [name for name in verifier.ASPECTS if name != aspect]
    assert min(rewards[name] for name in others) > 0.95, rewards


def test_a_thing_nobody_asked_for_lowers_nothing_extra_alone() -> None:
    prompts = [changed(scene, "present").prompt for scene in SCENES]
    pictures = np.stack([world.render(scene, i) for i, scene in enumerate(SCENES)])
    rewards = {name: values.mean() for name, values in verifier.score(pictures, prompts).items()}
    assert rewards["nothing_extra"] < 0.3
    assert min(rewards[name] for name in verifier.ASPECTS if name != "nothing_extra") > 0.97


def test_bad_input_is_refused_with_a_sentence(truth: np.ndarray) -> None:
    with pytest.raises(InputError, match="8-bit pictures"):
        verifier.score(truth[..., :2], PROMPTS)
    with pytest.raises(InputError, match="8-bit pictures"):
        verifier.score(truth.astype(np.float32), PROMPTS)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="299 prompts"):
        verifier.score(truth, PROMPTS[1:])
    with pytest.raises(InputError, match="dog"):
        verifier.score(truth[:1], ["a photo of a dog"])


def test_no_pictures_give_no_rewards() -> None:
    rewards = verifier.score(np.zeros((0, 64, 64, 3), np.uint8), [])
    assert all(values.shape == (0,) for values in rewards.values())


def test_a_picture_of_twice_the_size_is_read_at_the_size_of_the_world(truth: np.ndarray) -> None:
    doubled = truth[:64].repeat(2, axis=1).repeat(2, axis=2)
    assert verifier.score(doubled, PROMPTS[:64])["total"].mean() > 0.97
