"""Every kind of reward: declares itself, keeps the contract, measures what it says."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from backend import registry
from backend.errors import ConfigError
from backend.pocket import verifier, world
from backend.rewards import _statistics
from backend.rewards.interface import checked

PROMPTS = world.draw(6, 0)
RENDERED = world.render_many(PROMPTS, 0)


def load(kind: str, **config: object):
    module = registry.rewards.get(kind)
    return checked(module.load(module.Config.read(config)), kind)


def flat(*colours: tuple[int, int, int]) -> np.ndarray:
    return np.stack([np.full((16, 16, 3), colour, dtype=np.uint8) for colour in colours])


def test_every_kind_declares_what_it_is() -> None:
    assert {"pocket-verifier", "brightness", "saturation", "file-size", "learned"} <= set(
        registry.rewards.names()
    )
    for name in registry.rewards.names():
        module = registry.rewards.get(name)
        assert module.TITLE and module.SUMMARY and module.SOURCE and len(module.RANGE) == 2
        said = module.TRAITS.row()
        assert said["licence"] and said["latency_text"], name
        if said["weights"] == "server":  # batching alone changes what a served model says
            assert not said["deterministic"], name
        schema = module.Config.model_json_schema()
        assert all("description" in field for field in schema.get("properties", {}).values()), name


def test_listing_the_rewards_needs_no_torch() -> None:
    code = (
        "import sys; from backend import registry; "
        "[registry.rewards.get(name) for name in registry.rewards.names()]; "
        "import backend.rewards.interface, backend.rewards.compose, backend.preferences.simulated; "
        "print('torch' in sys.modules, 'transformers' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.split() == ["False", "False"]


def test_brightness_of_white_grey_and_black() -> None:
    images = flat((255, 255, 255), (51, 51, 51), (0, 0, 0))
    assert load("brightness").score(images, list("abc")).values == pytest.approx([1, 0.2, 0])
    dark = load("brightness", prefer="dark").score(images, list("abc")).values
    assert dark == pytest.approx([-1, -0.2, 0])


def test_saturation_is_the_distance_from_grey() -> None:
    """Pure red: (255 − 0)/255 = 1. (153, 102, 102): 51/255 = .2. Grey: 0."""
    images = flat((255, 0, 0), (153, 102, 102), (90, 90, 90))
    assert load("saturation").score(images, list("abc")).values == pytest.approx([1, 0.2, 0])


def test_file_size_rewards_noise_when_large_is_preferred() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1, 16, 16, 3)).astype(np.uint8)
    images = np.concatenate([flat((90, 90, 90)), noise])
    large = load("file-size").score(images, ["a", "b"]).values
    small = load("file-size", prefer="small").score(images, ["a", "b"]).values
    assert large[1] > large[0] > 0 and small.tolist() == (-large).tolist()


def test_centring_sees_where_things_stand() -> None:
    images = np.full((3, 64, 64, 3), 200, dtype=np.uint8)
    images[0, 28:36, 28:36] = 0  # in the middle
    images[1, :8, :8] = 0  # in a corner; the third has nothing in it
    middle, corner, empty = _statistics.centring(images)
    assert middle > 0.98 and corner < 0.2 and empty == 0.5


def test_statistics_of_a_large_picture_stay_near_those_of_the_small_one() -> None:
    large = np.stack(
        [np.asarray(Image.fromarray(picture).resize((256, 256))) for picture in RENDERED]
    )
    assert np.abs(_statistics.table(large) - _statistics.table(RENDERED)).max() < 0.08


def test_the_pocket_verifier_reports_every_aspect_and_gives_the_chosen_one() -> None:
    wrong = world.render_many(PROMPTS[::-1], 0)
    images, prompts = np.concatenate([RENDERED, wrong]), PROMPTS + PROMPTS
    scores = load("pocket-verifier").score(images, prompts)
    assert set(scores.parts) == {"total", *verifier.ASPECTS}
    assert scores.values[:6].min() > 0.9 > scores.values[6:].mean()
    one = load("pocket-verifier", aspect="background").score(images, prompts)
    assert one.values.tolist() == scores.parts["background"].tolist()


def test_a_prompt_out_of_the_pocket_language_is_not_applicable() -> None:
    scores = load("pocket-verifier").score(RENDERED[:2], [PROMPTS[0], "a cat"])
    assert scores.status == ["ok", "n/a"] and np.isnan(scores.values[1])
    assert "a cat" in scores.reasons[1]


def test_an_unknown_kind_or_setting_names_its_nearest() -> None:
    with pytest.raises(ConfigError, match="did you mean 'brightness'"):
        registry.rewards.get("brightnes")
    with pytest.raises(ConfigError, match="did you mean 'prefer'"):
        load("brightness", prefr="dark")


def test_a_learned_reward_without_weights_says_what_to_do() -> None:
    with pytest.raises(ConfigError, match="learn one from labels first"):
        load("learned")


def test_simulated_taste_is_the_annotators_utility_without_noise() -> None:

    from backend.preferences import simulated

    prompts = world.draw(8, 3, "train")
    pictures = world.render_many(prompts, 0)
    module = registry.rewards.get("simulated-taste")
    scores = module.load(module.Config()).score(pictures, prompts)
    assert np.array_equal(scores.values, simulated.scores(pictures, prompts).values)
    swapped = module.load(module.Config()).score(pictures, prompts[1:] + prompts[:1])
    assert scores.values.mean() > swapped.values.mean()
    both = module.load(module.Config(taste="both")).score(pictures, prompts)
    second = module.load(module.Config(taste="second")).score(pictures, prompts)
    assert np.allclose(both.values, (scores.values + second.values) / 2)
