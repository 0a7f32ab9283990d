"""Win rates: who meets whom, what the bouts say, what they cost; silence is never a tie."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from backend import registry
from backend.errors import ConfigError
from backend.pocket import world
from backend.rewards import _pairings as pairings
from backend.rewards import win_rate
from backend.rewards.interface import Checked, Verdicts, calls_made, checked, judge_calls

PROMPTS = world.draw(6, 0)
RENDERED = world.render_many(PROMPTS, 0)


class Judge:
    """Sees how bright two pictures are and answers by a rule; remembers which pairs it saw."""

    shape = "pairwise"

    def __init__(self, rule: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> None:
        self.rule = rule
        self.seen: list[tuple[int, int]] = []

    def compare(self, a: np.ndarray, b: np.ndarray, prompts: Sequence[str]) -> Verdicts:
        light_a, light_b = a[:, 0, 0, 0].astype(float), b[:, 0, 0, 0].astype(float)
        self.seen += zip(light_a.astype(int).tolist(), light_b.astype(int).tolist(), strict=True)
        return Verdicts(self.rule(light_a, light_b), ["ok"] * len(prompts))


def brighter(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.where(a > b, 1.0, np.where(a < b, 0.0, 0.5))


def first_seen(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return np.ones(len(a))


def shades(*values: int) -> np.ndarray:
    """One flat picture for each shade."""
    return np.array(values, dtype=np.uint8)[:, None, None, None] * np.ones((1, 4, 4, 3), np.uint8)


def rate_by(judge: Judge, **config: object) -> Checked:
    rated = win_rate.WinRate(win_rate.Config.read(config), checked(judge, "judge"))
    return checked(rated, "win-rate")


def pointwise(**config: object) -> Checked:
    module = registry.rewards.get("win-rate")
    return checked(module.load(module.Config.read(config)), "win-rate")


# ---------------------------------------------------------------- who meets whom


@pytest.mark.parametrize("num", [1, 2, 3, 4, 7, 8, 12, 13])
def test_all_rounds_are_all_pairs_each_once(num: int) -> None:
    first, second = pairings.schedule(num, 0)
    met = {frozenset(pair) for pair in zip(first.tolist(), second.tolist(), strict=True)}
    assert len(met) == len(first) == num * (num - 1) // 2


@pytest.mark.parametrize("num", [4, 7, 8, 12, 13])
@pytest.mark.parametrize("rounds", [1, 2, 3])
def test_in_each_round_everybody_has_one_bout_and_of_an_odd_group_one_rests(
    num: int, rounds: int
) -> None:
    first, second = pairings.schedule(num, rounds)
    bouts = np.bincount(np.concatenate([first, second]), minlength=num)
    assert bouts.max() == rounds and (rounds - bouts).sum() == (rounds if num % 2 else 0)
    assert len(first) == pairings.num_bouts(np.array([num]), rounds)[0]


@pytest.mark.parametrize("num", [5, 8, 12, 13, 24])
def test_two_rounds_join_everybody_by_some_chain_of_bouts(num: int) -> None:
    first, second = pairings.schedule(num, 2)
    reached = {0}
    for _ in range(num):
        for pair in zip(first.tolist(), second.tolist(), strict=True):
            reached |= set(pair) if reached & set(pair) else set()
    assert reached == set(range(num))


def test_four_seats_by_hand() -> None:
    first, second = pairings.schedule(4, 2)
    assert list(zip(first.tolist(), second.tolist(), strict=True)) == [
        (0, 3), (1, 2), (1, 3), (2, 0),
    ]  # fmt: skip


# ---------------------------------------------------------------- what the bouts say


def test_strengths_by_hand() -> None:
    """One bout, won: σ(−2θ) = λθ with λ = ¼, so θ = .7408 and w = σ(1.4815) = .8148."""
    theta = pairings.strengths(np.array([0]), np.array([1]), np.array([1.0]), 2)
    assert theta == pytest.approx([0.7408, -0.7408], abs=1e-4)
    first, second = pairings.schedule(4, 1)
    rate, _ = pairings.rates(first, second, np.array([1.0, 0.5]), 4)
    assert rate[0] == pytest.approx((0.8148 + 2 * 0.6772) / 3, abs=1e-4)  # σ(.7408) = .6772


def test_unbeaten_and_winless_pictures_keep_finite_strengths() -> None:
    first, second = pairings.schedule(12, 11)
    theta = pairings.strengths(first, second, (first < second).astype(float), 12)
    assert np.isfinite(theta).all() and np.abs(theta).max() < 10


def test_strengths_after_all_pairs_stand_in_the_order_of_the_wins() -> None:
    rng = np.random.default_rng(0)
    first, second = pairings.schedule(9, 0)
    for _ in range(20):
        beats = rng.choice([0.0, 0.5, 1.0], len(first))
        wins = np.bincount(first, beats, 9) + np.bincount(second, 1 - beats, 9)
        theta = pairings.strengths(first, second, beats, 9)
        apart = wins[:, None] - wins[None, :]
        assert (np.sign((theta[:, None] - theta[None, :]).round(6)) == np.sign(apart)).all()


def test_turning_every_verdict_round_mirrors_the_rates() -> None:
    rng = np.random.default_rng(1)
    first, second = pairings.schedule(10, 4)
    beats = rng.random(len(first))
    rate, _ = pairings.rates(first, second, beats, 10)
    mirrored, _ = pairings.rates(first, second, 1 - beats, 10)
    swapped, _ = pairings.rates(second, first, 1 - beats, 10)
    assert mirrored == pytest.approx(1 - rate) and swapped == pytest.approx(rate)
    assert rate.mean() == pytest.approx(0.5)


def test_winning_a_bout_never_costs() -> None:
    first, second = pairings.schedule(8, 3)
    beats = np.random.default_rng(2).random(len(first))
    for bout in range(len(first)):
        better = beats.copy()
        better[bout] = 1.0
        before, after = (
            pairings.rates(first, second, b, 8)[0][first[bout]] for b in (beats, better)
        )
        assert after >= before


def test_nothing_but_ties_is_one_half_for_all() -> None:
    first, second = pairings.schedule(8, 3)
    assert pairings.rates(first, second, np.full(12, 0.5), 8)[0] == pytest.approx([0.5] * 8)


def test_a_few_rounds_under_a_sure_judge_rank_as_all_pairs_do() -> None:
    """12 pictures, 4 rounds: 24 of 66 pairs, and the rates still agree."""
    agreement, light = [], np.arange(12) * 20
    for seed in range(20):
        few = rate_by(Judge(brighter), rounds=4, seed=seed).score(shades(*light), ["p"] * 12)
        agreement.append(np.corrcoef(few.values, light)[0, 1])
    assert np.mean(agreement) > 0.9 and min(agreement) > 0.75


# ---------------------------------------------------------------- the reward


def test_win_rates_of_a_group_average_one_half_and_follow_the_judge() -> None:
    prompts = [PROMPTS[0]] * 3 + [PROMPTS[1]] * 2
    images = np.stack([RENDERED[i] for i in (0, 1, 2, 1, 0)])
    scores = pointwise(temperature=0.05).score(images, prompts)
    assert scores.values[:3].mean() == pytest.approx(0.5)
    assert scores.values[3:].mean() == pytest.approx(0.5)
    assert scores.values[0] > 0.95 and scores.values[3] > 0.9


def test_an_only_child_has_no_win_rate_and_is_no_failure() -> None:
    scorer = pointwise()
    scores = scorer.score(RENDERED[:3], PROMPTS[:3])
    assert scores.status == ["n/a"] * 3 and "no sibling" in scores.reasons[0]
    assert scorer.num_missing == calls_made(scorer) == judge_calls(scorer, [0, 1, 2]) == 0


@pytest.mark.parametrize("rounds", [0, 4])
def test_a_judge_who_prefers_what_it_sees_first_does_not_reward_by_index(rounds: int) -> None:
    """With a fixed order sample 1 would beat all: correlation −1. Random order leaves noise, both
    orders leave nothing."""
    images = shades(*range(24))
    rates = [
        rate_by(Judge(first_seen), rounds=rounds, seed=seed, coin_gate="never")
        .score(images, ["p"] * 24)
        .values
        for seed in range(8)
    ]
    assert rates[0].mean() == pytest.approx(0.5)
    assert abs(np.corrcoef(np.mean(rates, axis=0), np.arange(24))[0, 1]) < 0.5
    gated = rate_by(Judge(first_seen), rounds=0).score(images, ["p"] * 24)
    assert gated.status == ["n/a"] * 24 and "a coin's" in gated.reasons[0]
    open_ = rate_by(Judge(first_seen), rounds=rounds, order="both", coin_gate="never")
    both = open_.score(images, ["p"] * 24)
    assert both.values == pytest.approx([0.5] * 24)


def test_both_orders_show_each_pair_both_ways() -> None:
    judge = Judge(brighter)
    rate_by(judge, order="both").score(shades(1, 2, 3), ["p"] * 3)
    assert set(judge.seen) == {(a, b) for a in (1, 2, 3) for b in (1, 2, 3) if a != b}


def test_a_tie_counts_half_and_a_verdict_that_failed_counts_nothing() -> None:
    """Shades 1, 1, 9: the ones tie and lose to 9. If nobody can say how 1 compares with 5, both of
    them keep the one verdict they have."""
    rates = rate_by(Judge(brighter)).score(shades(1, 1, 9), ["p"] * 3).values
    assert rates.tolist() == [0.25, 0.25, 1.0]

    def mute(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(a + b == 6, np.nan, brighter(a, b))

    scorer = rate_by(Judge(mute))
    scores = scorer.score(shades(1, 5, 9), ["p"] * 3)
    assert scores.values.tolist() == [0.0, 0.0, 1.0] and scores.parts["bouts"].tolist() == [1, 1, 2]
    assert rate_by(Judge(mute), order="both").score(shades(1, 5, 9), ["p"] * 3).values[1] == 0.0


def test_a_dead_judge_is_missing_everywhere_and_says_so() -> None:
    """Pref-GRPO's code would make ties of them: equal rewards, no gradient, no error."""

    def dead(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        raise ConnectionError("the judge is down")

    scorer = rate_by(Judge(dead), rounds=1)
    scores = scorer.score(shades(1, 2, 3, 4), ["p"] * 4)
    assert scores.status == ["error"] * 4 and scorer.missing_share == 1.0


@pytest.mark.parametrize("order", ["random", "both"])
@pytest.mark.parametrize("rounds", [0, 1, 3, 99])
def test_the_calls_made_are_the_calls_foretold(order: str, rounds: int) -> None:
    """Groups of 5, 4 and 1. All pairs: 10 + 6 + 0 = 16, twice that in both orders."""
    judge, groups = Judge(brighter), [0] * 5 + [1] * 4 + [2]
    scorer = rate_by(judge, order=order, rounds=rounds)
    foretold = judge_calls(scorer, groups)
    for again in (1, 2):
        scorer.score(shades(*range(10)), ["p"] * 10, groups)
        assert calls_made(scorer) == len(judge.seen) == again * foretold
    once = {0: 16, 1: 4, 3: 12, 99: 16}[rounds]
    assert foretold == once * (2 if order == "both" else 1)


def test_a_pointwise_judge_costs_one_call_a_picture_and_a_plain_reward_none() -> None:
    scorer, prompts = pointwise(rounds=1, order="both"), [PROMPTS[0]] * 5 + [PROMPTS[1]]
    assert judge_calls(scorer, [0, 0, 0, 0, 0, 1]) == 5
    scores = scorer.score(RENDERED, prompts)
    assert calls_made(scorer) == 5 and scores.parts["bouts"].tolist() == [4] * 5 + [0]
    module = registry.rewards.get("saturation")
    plain = checked(module.load(module.Config()), "saturation")
    assert judge_calls(plain, [0, 0]) == calls_made(plain) == 0


def test_a_group_has_the_same_rates_in_any_company_and_another_seed_has_other_bouts() -> None:
    noisy, config = Judge(lambda a, b: (a * 7 + b * 3) % 5 / 4), {"rounds": 2, "seed": 3}
    images, groups = shades(*range(16)), [0] * 8 + [1] * 8
    together = rate_by(noisy, **config).score(images, ["p"] * 16, groups).values
    alone = rate_by(noisy, **config).score(images[8:], ["p"] * 8).values
    assert together[8:].tobytes() == alone.tobytes()
    other = rate_by(noisy, **{**config, "seed": 4}).score(images[8:], ["p"] * 8).values
    assert other.tobytes() != alone.tobytes()


def test_a_win_rate_cannot_judge_a_win_rate() -> None:
    with pytest.raises(ConfigError, match="its own judge"):
        pointwise(judge="win-rate")


# ---------------------------------------------------------------- what a coin could say


def test_a_coins_verdicts_have_no_value_and_a_perfect_orders_have() -> None:
    rng = np.random.default_rng(3)
    pictures, prompts = shades(*range(0, 240, 20)), ["p"] * 12

    def coin(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return rng.integers(0, 2, len(a)).astype(float)

    for rounds, gate in ((0, "complete"), (4, "always")):
        said = [rate_by(Judge(coin), rounds=rounds, coin_gate=gate) for _ in range(30)]
        left_out = [one.score(pictures, prompts).status == ["n/a"] * 12 for one in said]
        assert sum(left_out) >= 20, rounds
        told = rate_by(Judge(brighter), rounds=rounds, coin_gate=gate).score(pictures, prompts)
        assert told.num_not_applicable == 0
    assert rate_by(Judge(coin), rounds=4).score(pictures, prompts).num_not_applicable == 0
    assert rate_by(Judge(coin), coin_gate="never").score(pictures, prompts).num_missing == 0


def test_the_mark_is_that_of_the_formula_over_all_pairs() -> None:
    assert pairings.coin_mark(8, 0) == pytest.approx(1.3 * np.sqrt(0.25 / 7))
    assert pairings.coin_mark(8, 7) == pairings.coin_mark(8, 0)
    assert 0.19 < pairings.coin_mark(12, 4) < 0.235


def test_bouts_name_who_met_whom_and_survive_being_sent() -> None:
    from workers.remote_scorer import as_json, from_json

    said = rate_by(Judge(brighter), rounds=2).score(shades(0, 50, 100, 150), ["p"] * 4)
    assert len(said.bouts) == 4
    assert all(value == float(one > other) for one, other, value in said.bouts)
    assert from_json(as_json(said)).bouts == said.bouts
