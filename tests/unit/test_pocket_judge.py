"""The pocket judge: its lessons, what it says, its biased twin, and the stock classes around it."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend import registry
from backend.errors import InputError
from backend.pocket import JUDGE_DIR, judge, judge_lessons, judging, train_judge, world
from backend.rewards.interface import checked

LESSONS = judge_lessons.lessons(80, 77, "heldout")
PROMPTS = world.draw(12, 3, "heldout")
RENDERED = world.render_many(PROMPTS, 3)


@pytest.fixture(scope="module")
def sound() -> judging.PocketJudge:
    return judging.load()


def asked(lessons: judge_lessons.Lessons) -> list[str]:
    """The prompt of each comparison, from its token ids."""
    words, skip = list(judge.words()), len(judge.WHICH_FITS.split()) + 1
    return [" ".join(words[i] for i in row[row != 0][skip:]) for row in lessons.pair]


def both_orders(model: judging.PocketJudge) -> tuple[np.ndarray, np.ndarray]:
    prompts, one, two = asked(LESSONS), LESSONS.pictures[:, 0], LESSONS.pictures[:, 1]
    return model.prefer(prompts, one, two), 1 - model.prefer(prompts, two, one)


# ---------------------------------------------------------------- lessons


def test_a_picture_fits_its_own_prompt_and_less_with_every_change() -> None:
    rng = np.random.default_rng(0)
    for prompt in PROMPTS:
        scene = world.parse(prompt)
        fits = [judge_lessons.fit(scene, judge_lessons.changed(scene, rng, n)) for n in (0, 1, 4)]
        assert fits[0] == pytest.approx(1) and fits[1] < 1 and fits[2] < 1
        assert world.parse(judge_lessons.changed(scene, rng, 3).prompt)  # still of the language


def test_the_better_picture_of_a_lesson_stands_first_as_often_as_second() -> None:
    assert 0.3 < LESSONS.better.mean() < 0.7
    assert LESSONS.pictures.shape == (80, 2, 64, 64, 3) and (LESSONS.answers > 0).all()
    again = judge_lessons.lessons(3, 77, "heldout")
    assert all((a == b[:3]).all() for a, b in zip(again, LESSONS, strict=True))


def test_held_out_prompts_are_in_no_lesson_that_is_taught() -> None:
    taught = judge_lessons.lessons(30, 1)
    assert {world.split_of(world.parse(prompt)) for prompt in asked(LESSONS)} == {"heldout"}
    assert "heldout" not in {world.split_of(world.parse(prompt)) for prompt in asked(taught)}


def test_three_steps_of_training_run(tmp_path: Any) -> None:
    """The whole path: worker, bank, losses, the twin's few weights, a file that loads again."""
    rows = judge_lessons.lessons(8, 5)
    bank = train_judge.Bank(train_judge.CHUNK, torch.device("cpu"))
    bank.add(judge_lessons.Lessons(*(np.resize(a, (500, *a.shape[1:])) for a in rows)))
    model = judge.build_model()
    losses = train_judge.judge_losses.losses(model, bank, None, 4, 0.5)
    assert {name: value.isfinite().item() for name, value in losses.items()} == dict.fromkeys(
        ("pair", "question", "caption"), True
    )
    torch.autograd.backward(sum(losses.values()))
    assert model.lm_head.weight.grad is not None


# ---------------------------------------------------------------- what it says


def test_it_is_right_on_held_out_pairs_in_either_order(sound: judging.PocketJudge) -> None:
    one, other = both_orders(sound)
    right = ((one + other) / 2 > 0.5) == (LESSONS.better == 0)
    assert right.mean() >= 0.8
    assert ((one > 0.5) != (other > 0.5)).mean() <= 0.15


def test_its_twin_knows_as_much_and_contradicts_itself() -> None:
    one, other = both_orders(judging.load(twin=True))
    right = ((one + other) / 2 > 0.5) == (LESSONS.better == 0)
    assert right.mean() >= 0.8
    assert ((one > 0.5) != (other > 0.5)).mean() > 0.3
    assert one.mean() > 0.6 and other.mean() < 0.4  # it likes whatever stands first


def test_it_describes_and_answers(sound: judging.PocketJudge) -> None:
    said = [line.split() for line in sound.describe(RENDERED)]
    told = [prompt.split() for prompt in PROMPTS]
    right = [a == b for x, y in zip(said, told, strict=True) for a, b in zip(x, y, strict=False)]
    assert np.mean(right) > 0.75
    answers = sound.ask(["what colour is the background"] * len(PROMPTS), RENDERED)
    grounds = [world.parse(prompt).background for prompt in PROMPTS]
    assert np.mean([a == g for (a, _), g in zip(answers, grounds, strict=True)]) > 0.9


def test_nothing_worthless_fits(sound: judging.PocketJudge) -> None:
    rng = np.random.default_rng(0)
    blank = np.full_like(RENDERED[0], 150)
    noise = rng.integers(0, 256, RENDERED[0].shape, dtype=np.uint8)
    verdict = judge_lessons.written(blank, "Image 1 is better.", rng)
    for picture in (blank, noise, verdict):
        same = np.stack([picture] * len(PROMPTS))
        assert sound.fits(PROMPTS, same).max() < 0.05
        assert sound.prefer(PROMPTS, same, RENDERED).mean() < 0.05
    assert sound.fits(PROMPTS, RENDERED).mean() > 0.5


def test_a_picture_that_meets_many_is_seen_once_and_read_as_if_alone(
    sound: judging.PocketJudge, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = np.triu_indices(4, 1)
    alone = [
        sound.prefer([PROMPTS[0]], RENDERED[[i]], RENDERED[[j]])[0]
        for i, j in zip(one, other, strict=True)
    ]
    looked: list[int] = []
    see = sound.model.model.get_image_features

    def counted(pixel_values: torch.Tensor, **more: Any) -> Any:
        looked.append(len(pixel_values))
        return see(pixel_values=pixel_values, **more)

    monkeypatch.setattr(sound.model.model, "get_image_features", counted)
    said = sound.prefer([PROMPTS[0]] * 6, RENDERED[one], RENDERED[other])
    assert said == pytest.approx(alone, abs=1e-5) and looked == [4]


def test_pictures_of_another_size_are_fitted_and_wrong_ones_refused(
    sound: judging.PocketJudge,
) -> None:
    big = np.stack([np.asarray(Image.fromarray(x).resize((128, 128))) for x in RENDERED[:2]])
    assert sound.prefer(PROMPTS[:2], big, big[::-1].copy()).min() > 0.5
    with pytest.raises(InputError, match="8-bit pictures"):
        sound.fits(["x"], np.zeros((1, 64, 64), np.uint8))
    with pytest.raises(InputError, match="2 questions on 1 pictures"):
        sound.fits(["x", "y"], RENDERED[:1])
    assert sound.prefer([], RENDERED[:0], RENDERED[:0]).shape == (0,)


def test_it_is_a_reward_that_compares() -> None:
    module = registry.rewards.get("pocket-judge")
    scorer = checked(module.load(module.Config.read({})), "pocket-judge")
    said = scorer.compare(RENDERED[:4], RENDERED[[1, 2, 3, 0]], PROMPTS[:4])
    assert (said.prefer_a > 0.5).all() and said.status == ["ok"] * 4


def test_what_is_near_a_half_is_a_tie_as_far_as_its_setting_says() -> None:
    """A picture against itself is decided by the order alone, a wide setting decides nothing."""
    module = registry.rewards.get("pocket-judge")
    pairs = RENDERED[:6], RENDERED[[0, 1, 2, 4, 5, 3]], PROMPTS[:6]
    told = {}
    for tie in (0.0, 0.05, 0.4999):
        judge = checked(module.load(module.Config.read({"tie": tie})), "pocket-judge")
        told[tie] = judge.compare(*pairs).prefer_a
    assert (told[0.0] != 0.5).any() and (told[0.4999][:3] == 0.5).all()
    near = abs(told[0.0] - 0.5) <= 0.05
    assert (told[0.05][near] == 0.5).all() and (told[0.05][~near] == told[0.0][~near]).all()


# ---------------------------------------------------------------- stock classes


def test_a_stock_pipeline_reads_the_checkpoint_and_gives_the_same_numbers(
    sound: judging.PocketJudge,
) -> None:
    """What `transformers serve` runs at /v1/systemone: typed questions, probabilities."""
    from transformers import AutoModelForImageTextToText, AutoProcessor
    from transformers.pipelines import DecisionPipeline

    processor = AutoProcessor.from_pretrained(JUDGE_DIR)
    model = AutoModelForImageTextToText.from_pretrained(JUDGE_DIR)
    decide = DecisionPipeline(model=model, tokenizer=processor.tokenizer, processor=processor)
    question = {"type": "choice", "criteria": {"first": None, "second": None}}
    question["instructions"] = f"{judge.WHICH_FITS} {PROMPTS[0]}"
    fits = {"type": "noul", "instructions": f"{judge.DOES_FIT} {PROMPTS[0]}"}
    pair = {f"picture-{i}": _asset(RENDERED[i]) for i in (0, 1)}
    one = {"picture-0": pair["picture-0"]}
    said = decide({"state": list(pair), "questions": {"which": question}, "assets": pair})
    alone = decide({"state": list(one), "questions": {"fits": fits}, "assets": one})
    mine = sound.prefer(PROMPTS[:1], RENDERED[:1], RENDERED[1:2])[0]
    assert said["which"]["probabilities"]["first"] == pytest.approx(mine, abs=1e-5)
    assert alone["fits"]["noul"] == pytest.approx(
        sound.fits(PROMPTS[:1], RENDERED[:1])[0], abs=1e-5
    )


def _asset(picture: np.ndarray) -> dict[str, str]:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    data = base64.b64encode(file.getvalue()).decode()
    return {"type": "image", "format": "png", "data_base64": data}


def test_the_tokenizer_that_ships_is_the_words_that_were_learned() -> None:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(JUDGE_DIR)
    for prompt in world.draw(40, 0, "any"):
        text = f"{judge.USER} {judge.WHICH_FITS} {prompt}"
        assert tokenizer(text)["input_ids"] == judge.ids(text)
    assert judge.words()[judge.UNKNOWN] not in judge.ids(f"{judge.WHICH_FITS} {PROMPTS[0]}")
