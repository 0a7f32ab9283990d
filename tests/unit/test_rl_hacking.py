"""Signs that a reward is bought: planted looks are found and named, and nothing else is."""

from __future__ import annotations

import numpy as np
import pytest
from PIL import Image, ImageDraw

from backend.pocket import world
from backend.registry import rewards
from backend.rewards import _looks
from backend.rewards.interface import Scores, checked
from backend.rl import hacking, style
from backend.rl.alarms import Story
from backend.rl.alarms import look as look_at
from backend.rl.evaluate import diversity, thumbnails

PROMPTS = world.draw(12, 0)
RENDERED = world.render_many(PROMPTS, 0)
GROUPS = np.repeat(np.arange(20), 8)


def coloured(saturation: np.ndarray) -> np.ndarray:
    """Flat pictures of middling light with some grain; saturation is all that differs."""
    rng = np.random.default_rng(0)
    pictures = np.full((len(saturation), 16, 16, 3), 128.0)
    pictures[..., 0] += 100 * saturation[:, None, None]
    pictures += rng.normal(size=(len(saturation), 16, 16, 1)) * 8
    return pictures.clip(0, 255).astype(np.uint8)


def planted(share: float, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Advantages of which a `share` is saturation, the rest chance; groups sum to 0."""
    rng = np.random.default_rng(seed)
    look = rng.random(160)
    inside = look - np.repeat(look.reshape(20, 8).mean(axis=1), 8)
    other = rng.normal(size=160)
    other -= np.repeat(other.reshape(20, 8).mean(axis=1), 8)
    other -= inside * (other @ inside) / (inside @ inside)
    mixed = inside / np.linalg.norm(inside) * np.sqrt(share)
    return mixed + other / np.linalg.norm(other) * np.sqrt(1 - share), coloured(look)


@pytest.mark.parametrize("share", [0.38, 0.8])
def test_a_planted_look_is_named_with_its_share(share: float) -> None:
    advantage, pictures = planted(share)
    found = hacking.style_r2(advantage, pictures, GROUPS)
    assert found["style_r2/saturation"] == pytest.approx(share, abs=0.03)
    assert found["style_r2"] == pytest.approx(share, abs=0.06)
    assert found["style_r2"] > 3 * found["style_r2_null"]


def test_where_looks_do_not_matter_nothing_is_found() -> None:
    """Mean near 0 over seeds, and beyond the .95 quantile of chance in about one of twenty."""
    told = [hacking.style_r2(*planted(0.0, seed), GROUPS) for seed in range(20)]
    assert np.mean([found["style_r2"] for found in told]) < 0.03
    assert sum(found["style_r2"] > found["style_r2_null"] for found in told) <= 4


def failing(chance: np.ndarray, seed: int) -> dict[str, Scores]:
    """A reward that fails with these chances, and one that abstains where it does."""
    lost = np.random.default_rng(seed).random(len(chance)) < chance
    values = np.where(lost, np.nan, 1.0)
    return {
        name: Scores(values, [word if one else "ok" for one in lost])
        for name, word in (("judge", "timeout"), ("learned", "abstain"))
    }


def test_failures_that_follow_from_a_look_are_named_and_those_by_chance_are_not() -> None:
    """Eight updates in which the greyer half fails more often; then as many by chance alone."""
    look = planted(0.0)[1]
    grey = 1 - hacking.STYLES["saturation"](look) / hacking.STYLES["saturation"](look).max()
    all_ = np.arange(160)
    for chance, alarmed in ((0.4 * grey, {"judge/saturation"}), (np.full(160, 0.2), set())):
        found = Story(["judge"], [])
        for step in range(8):
            told = hacking.leans(failing(chance, step), all_, look, GROUPS)
            assert {name.split("/")[1] for name in told} == {"judge"}, "abstaining is an answer"
            found.update(step, told)
        leaning = [one for one in look_at(found) if one.rule == "leans"]
        assert alarmed <= {one.about for one in leaning} and bool(leaning) == bool(alarmed)
        assert all((one.value or 0) < 0 for one in leaning if one.about in alarmed)
    few = failing(np.full(160, 0.0), 0)
    assert hacking.leans(few, all_, look, GROUPS) == {}, "too few to say"


def test_looks_of_the_prompt_explain_nothing_for_siblings_share_them() -> None:
    """Groups differ in saturation as in advantage; inside a group neither differs with the other.
    Pictures without an advantage are left out."""
    rng = np.random.default_rng(3)
    pictures = coloured(np.repeat(np.linspace(0, 1, 20), 8))
    advantage = np.repeat(np.linspace(-2, 2, 20), 8) + 0.1 * rng.normal(size=160)
    advantage[::5] = np.nan
    found = hacking.style_r2(advantage, pictures, GROUPS)
    assert found["style_r2"] < 0.2
    assert hacking.style_r2(np.full(160, np.nan), pictures, GROUPS) == {}
    assert hacking.style_r2(np.zeros(160), pictures, GROUPS) == {}
    assert hacking.style_r2(advantage[:4], pictures[:4], GROUPS[:4]) == {}


def test_writing_is_seen_and_things_and_noise_are_not() -> None:
    page = Image.new("RGB", (64, 64), "white")
    for line in range(5):
        ImageDraw.Draw(page).text((1, 12 * line), "red circle on", fill="black")
    noise = np.random.default_rng(0).integers(0, 256, (1, 64, 64, 3)).astype(np.uint8)
    written = np.asarray(page)[None]
    blank = np.full((1, 64, 64, 3), 90, np.uint8)
    area = [float(_looks.text_area(p).max()) for p in (written, RENDERED, noise, blank)]
    assert area[0] > 0.3 and area[1] < style.WRITTEN and area[2] < style.WRITTEN and area[3] == 0
    told = style.figures(np.concatenate([written, RENDERED[:3]]))
    assert told["style/text"] == 0.25
    assert _looks.text_area(np.zeros((2, 8, 8, 3), np.uint8)).tolist() == [0, 0]


def test_a_picture_of_tiles_is_like_itself() -> None:
    one = RENDERED[0, ::2, ::2]
    tiles = np.tile(one, (2, 2, 1))[None]
    assert _looks.tiling(tiles)[0] > 0.85 > 0.7 > np.median(_looks.tiling(RENDERED))


def test_dark_share_and_entropy_by_hand() -> None:
    """Half black, half white: half is dark; two colours alike have ln 2 / ln 64 = 1/6."""
    picture = np.zeros((1, 16, 16, 3), np.uint8)
    picture[:, :8] = 255
    assert _looks.dark_share(picture)[0] == 0.5
    assert _looks.colour_entropy(picture)[0] == pytest.approx(1 / 6)
    assert _looks.colour_entropy(np.zeros((1, 16, 16, 3), np.uint8))[0] == 0.0


def test_a_reward_that_minds_the_prompt_depends_on_it() -> None:
    class Groupwise:
        shape = "groupwise"

        def score(self, images: np.ndarray, prompts: list[str], groups: object = None) -> Scores:
            raise AssertionError("not to be asked")

    def load(kind: str) -> object:
        module = rewards.get(kind)
        return checked(module.load(module.Config()), kind)

    asked = {kind: load(kind) for kind in ("pocket-verifier", "saturation")}
    asked["rank"] = checked(Groupwise(), "rank")
    said = {
        kind: asked[kind].score(RENDERED, PROMPTS).values  # type: ignore[attr-defined]
        for kind in ("pocket-verifier", "saturation")
    }
    found = hacking.dependence(asked, said, RENDERED, PROMPTS)  # type: ignore[arg-type]
    assert found["dependence/pocket-verifier"] > 0.2 and found["dependence/saturation"] == 0.0
    assert set(found) == {"dependence/pocket-verifier", "dependence/saturation"}


def test_the_distance_between_prompts_is_that_of_diversity() -> None:
    small = thumbnails(RENDERED)
    assert hacking.prompts_apart(small) == pytest.approx(diversity(RENDERED))
    assert hacking.prompts_apart(np.repeat(small[:1], 5, axis=0)) == pytest.approx(0, abs=1e-6)
    assert np.isnan(hacking.prompts_apart(small[:1]))


def test_a_reward_that_leaves_its_ground_says_so_and_a_plain_one_says_nothing() -> None:
    sure = Scores.of([1.0, 2.0, 3.0, np.nan], {"sd": [0.1, 0.3, 0.5, np.nan]})
    sure.status[3] = "abstain"
    told = hacking.doubts({"learned": sure, "plain": Scores.of([1.0, 2.0])})
    assert told == pytest.approx({"abstained/learned": 0.25, "unsure/learned": 0.3})
