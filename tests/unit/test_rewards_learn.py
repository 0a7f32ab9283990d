"""The learned reward: its likelihood by hand, a known taste recovered, the same bits loaded."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from backend.errors import InputError, RewardError
from backend.rewards import _bradley_terry as bt
from backend.rewards import _figures, learn, learned
from backend.rewards._encoders import Clip
from backend.rewards.interface import checked
from backend.rewards.learn import Answer, PairData

SIDE = 32


# ---------------------------------------------------------------- the likelihood


def test_the_three_outcomes_have_probabilities_that_sum_to_one() -> None:
    """Δ = 0, k = 2 (l = ln 2): σ(−ln 2) = 1/3 each for a and b, (4 − 1)/9 = 1/3 for the tie."""
    a, tie, b = bt.probabilities(np.array([0.0]), np.log(2))
    assert (a[0], tie[0], b[0]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))
    delta = np.linspace(-4, 4, 9)
    for outcome, chance in zip((bt.A, bt.TIE, bt.B), bt.probabilities(delta, 0.7), strict=True):
        ll = bt.log_likelihood(delta, np.full(9, outcome), 0.7)
        assert np.exp(ll) == pytest.approx(chance)


def test_tied_votes_give_no_gradient_toward_either_side() -> None:
    tie = np.array([bt.TIE, bt.TIE, bt.TIE])
    slope = bt.gradient(np.array([0.0, 1.5, -1.5]), tie, 0.7)
    assert slope[0] == 0.0 and slope[1] < 0 < slope[2] and slope[1] == -slope[2]


def test_the_gradient_is_the_slope_of_the_likelihood() -> None:
    rng = np.random.default_rng(0)
    delta, outcome, h = rng.normal(size=60), rng.integers(-1, 2, 60), 1e-6
    up, down = (bt.log_likelihood(delta + s, outcome, 0.5) for s in (h, -h))
    assert bt.gradient(delta, outcome, 0.5) == pytest.approx((up - down) / (2 * h), abs=1e-7)


def test_the_fit_finds_planted_weights_ties_and_side_bias() -> None:
    rng = np.random.default_rng(1)
    truth = np.array([1.2, -0.8, 0.0, 0.0, 0.0, 0.0, 0.5])
    x = rng.normal(size=(3000, 7))
    x[:, -1] = rng.choice([-1.0, 1.0], 3000)
    felt = x @ truth + rng.logistic(size=3000)
    outcome = np.where(felt > 0.6, 1, np.where(felt < -0.6, -1, 0))
    found = bt.fit(x, outcome, np.array([0, 0, 1, 1, 1, 1, 2]))
    assert found.theta == pytest.approx(truth, abs=0.15) and found.tie == pytest.approx(
        0.6, abs=0.06
    )
    assert found.precision[2] > 20 * found.precision[0]  # the idle block is pressed to nothing


def test_separable_pairs_do_not_diverge() -> None:
    x = np.concatenate([np.ones((30, 1)), np.full((30, 1), -1.0)])
    outcome = np.array([1] * 30 + [-1] * 30)
    found = bt.fit(x, outcome, np.array([0]))
    assert np.isfinite(found.theta).all() and 1 < found.theta[0] < 30


# ---------------------------------------------------------------- a small real CLIP


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A random CLIP of the stock layout in a folder, made without a network."""
    from transformers import (
        CLIPConfig,
        CLIPImageProcessor,
        CLIPModel,
        CLIPProcessor,
        CLIPTextConfig,
        CLIPVisionConfig,
    )

    from backend.pocket.models import build_tokenizer

    torch.manual_seed(0)
    tokenizer = build_tokenizer()
    small = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    text = CLIPTextConfig(
        vocab_size=len(tokenizer),
        max_position_embeddings=16,
        num_attention_heads=2,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        **small,
    )
    vision = CLIPVisionConfig(image_size=SIDE, patch_size=16, num_attention_heads=2, **small)
    config = CLIPConfig(
        text_config=text.to_dict(), vision_config=vision.to_dict(), projection_dim=16
    )
    folder = tmp_path_factory.mktemp("clip")
    CLIPModel(config).save_pretrained(folder, safe_serialization=True)
    square = {"height": SIDE, "width": SIDE}
    images = CLIPImageProcessor(size={"shortest_edge": SIDE}, crop_size=square)
    CLIPProcessor(images, tokenizer).save_pretrained(folder)
    return str(folder)


PROMPTS = [
    f"a large {colour} {shape} on a gray background"
    for colour in ("red", "blue", "green", "purple", "cyan")
    for shape in ("circle", "square", "star", "cross")
]


def coloured(seed: int, per_prompt: int = 6) -> tuple[np.ndarray, list[str]]:
    """Flat pictures of random colour with a little noise, `per_prompt` for each prompt."""
    rng = np.random.default_rng(seed)
    prompts = [prompt for prompt in PROMPTS for _ in range(per_prompt)]
    flat = rng.integers(20, 236, (len(prompts), 1, 1, 3))
    noise = rng.integers(-12, 13, (len(prompts), SIDE, SIDE, 3))
    return np.clip(flat + noise, 0, 255).astype(np.uint8), prompts


def brightness(images: np.ndarray) -> np.ndarray:
    return images.mean(axis=(1, 2, 3)) / 12  # spreads about 3 units of choice noise


def judged(seed: int, pairs: int, *, bias: float = 0.4, tie: float = 0.4) -> PairData:
    """Noisy answers of someone who likes bright pictures and leans to the left."""
    images, prompts = coloured(seed)
    rng = np.random.default_rng([seed, 1])
    taste, answers = brightness(images), []
    for _ in range(pairs):
        first = int(rng.integers(len(PROMPTS))) * 6
        a, b = (first + rng.choice(6, 2, replace=False)).tolist()
        side = "a" if rng.random() < 0.5 else "b"
        lean = bias if side == "a" else -bias
        felt = taste[a] - taste[b] + lean + rng.logistic()
        seen = "left" if (felt > 0) == (side == "a") else "right"
        answers.append(Answer(a, b, "tie" if abs(felt) < tie else seen, side))
    return PairData.of(images, prompts, answers)


@pytest.fixture(scope="module")
def fitted(clip: str) -> tuple[learn.LearnedReward, learn.Figures]:
    return learn.fit(judged(0, 300), seed=0, encoder=clip)


def test_a_known_taste_is_recovered_above_chance_by_its_interval(
    fitted: tuple[learn.LearnedReward, learn.Figures],
) -> None:
    reward, figures = fitted
    assert figures.usable and figures.low > 0.7
    assert figures.low < figures.accuracy < figures.high and figures.pairs > 250
    assert figures.side_bias == pytest.approx(0.4, abs=0.35)
    assert figures.log_loss < figures.log_loss_guessing
    images, prompts = coloured(9)
    value = reward.score(images, prompts).values
    assert np.corrcoef(value, brightness(images))[0, 1] > 0.85


def test_the_reward_has_mean_zero_and_spread_one_on_its_samples(
    fitted: tuple[learn.LearnedReward, learn.Figures],
) -> None:
    scores = fitted[0].score(*coloured(0))
    assert scores.parts["mean"].mean() == pytest.approx(0, abs=1e-9)
    assert scores.parts["mean"].std() == pytest.approx(1, abs=1e-9)
    assert scores.values.mean() == pytest.approx(0, abs=1e-9)
    assert (scores.parts["sd"] >= 0).all() and {"likeness", "picture", "style"} <= set(scores.parts)


def test_predictions_are_calibrated(fitted: tuple[learn.LearnedReward, learn.Figures]) -> None:
    figures = fitted[1]
    assert len(figures.calibration) == 5 and figures.ece < 0.12
    assert sum(row["num"] for row in figures.calibration) == figures.pairs
    for row in figures.calibration:
        if row["num"] >= 20:
            assert row["low"] - 0.05 <= row["predicted"] <= row["high"] + 0.05


def test_more_pairs_teach_more(fitted: tuple[learn.LearnedReward, learn.Figures]) -> None:
    curve = fitted[1].curve
    assert [point["pairs"] for point in curve] == pytest.approx([30, 60, 120, 240], abs=15)
    assert curve[-1]["accuracy"] > curve[0]["accuracy"] - 0.02
    assert curve[-1]["accuracy"] == fitted[1].accuracy


def test_saved_and_loaded_it_gives_the_same_bits(
    fitted: tuple[learn.LearnedReward, learn.Figures], tmp_path: Path
) -> None:
    reward, path = fitted[0], tmp_path / "reward.safetensors"
    reward.save(path)
    images, prompts = coloured(4, 2)
    config = learned.Config.read({"weights": "hash"})
    again = learned.load(config, lambda name: {"hash": path}[name])
    assert (
        again.score(images, prompts).values.tobytes()
        == reward.score(images, prompts).values.tobytes()
    )
    assert again.to_bytes() == reward.to_bytes()


def test_answers_of_someone_absent_spoil_less_where_people_are_told_apart(clip: str) -> None:
    data = judged(2, 160)
    rng = np.random.default_rng(2)
    absent = np.arange(160) % 2 == 1
    guessed = np.where(absent, rng.choice([-1, 1], len(data.a)), data.outcome)
    said = replace(data, outcome=guessed, annotator=absent.astype(np.int64))
    images, prompts = coloured(9)
    found = {
        weigh: learn.fit(said, seed=0, encoder=clip, weigh=weigh) for weigh in ("people", "alike")
    }
    follows = {
        weigh: np.corrcoef(reward.score(images, prompts).parts["mean"], brightness(images))[0, 1]
        for weigh, (reward, _) in found.items()
    }
    assert follows["people"] > follows["alike"]
    alone = replace(said, annotator=np.zeros(len(said.a), dtype=np.int64))
    alike = found["alike"][0].to_bytes()
    assert learn.fit(alone, seed=0, encoder=clip)[0].to_bytes() == alike, "one person is no crowd"


def test_the_same_seed_gives_the_same_reward(clip: str) -> None:
    for head in ("bayes", "neural"):
        one, two = (
            learn.fit(judged(0, 60), seed=3, encoder=clip, head=head)[0].to_bytes()
            for _ in range(2)
        )
        assert one == two


def test_caution_pays_less_where_it_is_unsure(
    fitted: tuple[learn.LearnedReward, learn.Figures], tmp_path: Path
) -> None:
    path = tmp_path / "reward.safetensors"
    fitted[0].save(path)
    images, prompts = coloured(5, 2)
    bold, careful = (
        learned.load(learned.Config(weights="w", caution=k), lambda _: path).score(images, prompts)
        for k in (0.0, 2.0)
    )
    lost = bold.values - careful.values
    assert np.corrcoef(lost, careful.parts["sd"])[0, 1] > 0.999


def test_skipped_pairs_are_left_out_and_both_bad_is_a_tie() -> None:
    images, prompts = coloured(0)
    answers = [
        Answer(0, 1, "left", "b"),
        Answer(1, 2, "skip", "a"),
        Answer(2, 3, "both_bad", "a"),
        Answer(3, 4, "right", "b"),
    ]
    data = PairData.of(images, prompts, answers)
    assert data.outcome.tolist() == [-1, 0, 1] and data.side.tolist() == [-1, 1, -1]


@pytest.mark.parametrize(
    ("choices", "sentence"),
    [
        (["left", "right"] * 4, "8 decided pairs are too few"),
        (["tie"] * 50, "All 50 answers are ties"),
        (["left"] * 50, "chose the left picture"),
    ],
)
def test_pairs_that_cannot_teach_are_refused_with_a_sentence(
    choices: list[learn.Choice], sentence: str, clip: str
) -> None:
    images, prompts = coloured(0)
    answers = [
        Answer(6 * (i % 20), 6 * (i % 20) + 1, choice, "a" if i % 3 else "b")
        for i, choice in enumerate(choices)
    ]
    with pytest.raises(InputError, match=sentence):
        learn.fit(PairData.of(images, prompts, answers), seed=0, encoder=clip)


def test_pairs_of_too_few_prompts_are_refused(clip: str) -> None:
    images, prompts = coloured(0)
    answers = [Answer(0, 1 + i % 4, ("left", "right")[i % 2], "a") for i in range(40)]
    with pytest.raises(InputError, match=r"come from 1 prompt"):
        learn.fit(PairData.of(images, prompts, answers), seed=0, encoder=clip)


def test_a_file_that_is_no_learned_reward_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.safetensors"
    path.write_bytes(b"not safetensors at all")
    with pytest.raises(RewardError, match="not a learned reward"):
        learn.load(path)
    with pytest.raises(RewardError, match="cannot be read"):
        learn.load(tmp_path / "absent.safetensors")


def test_an_encoder_that_is_not_there_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(RewardError, match="could not be loaded"):
        Clip(str(tmp_path / "nowhere"))


def test_a_prompts_embedding_does_not_depend_on_its_company(clip: str) -> None:
    alone, together = Clip(clip), Clip(clip)
    rows = together.text(PROMPTS)
    assert alone.text(PROMPTS[3:4]).tobytes() == rows[3:4].tobytes()
    assert np.linalg.norm(rows, axis=1) == pytest.approx(1, abs=1e-6)


def test_a_clips_patches_are_the_places_of_its_grid(clip: str) -> None:
    """32 pixels a side, patches of 16: 2 × 2 places of its 32 hidden features."""
    images, _ = coloured(0, 1)
    patches = Clip(clip).patches(images[:3])
    assert patches.shape == (3, 4, 32)
    assert np.linalg.norm(patches, axis=-1) == pytest.approx(1, abs=1e-6)


def test_agreement_counts_a_draw_as_half() -> None:
    share = _figures.agreement(np.array([1.0, -1.0, 0.0]), np.array([True, True, False]))
    assert share.value == pytest.approx(0.5)


def test_a_pair_seldom_asked_about_stands_for_more() -> None:
    """Weights 4, 1, 1: four sixths right, sure as two pairs would make it (36 / 18)."""
    weight = np.array([4.0, 1.0, 1.0])
    share = _figures.agreement(np.ones(3), np.array([True, False, False]), weight)
    alike = _figures.agreement(np.ones(3), np.array([True, True, False]))
    assert share.value == pytest.approx(4 / 6) and share.num == 2
    assert share.high - share.low > alike.high - alike.low
    bins, ece = _figures.calibration(np.full(3, 0.95), np.array([True, False, False]), weight)
    assert bins[4]["observed"] == pytest.approx(4 / 6) and ece == pytest.approx(0.95 - 4 / 6)


def test_calibration_bins_by_hand() -> None:
    """Sure .95 and right, .95 and wrong: one bin, predicted .95, observed .5, error .45."""
    bins, ece = _figures.calibration(np.array([0.95, 0.95]), np.array([True, False]))
    assert bins[4]["observed"] == 0.5 and bins[4]["num"] == 2 and ece == pytest.approx(0.45)


def test_a_learned_reward_keeps_the_contract(
    fitted: tuple[learn.LearnedReward, learn.Figures],
) -> None:
    images, prompts = coloured(6, 1)
    scores = checked(fitted[0], "learned").score(images, prompts)
    assert scores.status == ["ok"] * len(prompts)
