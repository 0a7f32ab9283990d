"""Composition against numbers worked by hand (REWARDS §5.1) and its invariants."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import ConfigError, RewardError
from backend.rewards.compose import Term, compose, floors, normalise

QUALITY = np.array([0.80, 0.82, 0.84, 0.86])
OCR = np.array([1.0, 0.0, 0.0, 1.0])
ONE_GROUP = np.zeros(4, dtype=np.int64)


def test_group_scale_matches_a_hand_case() -> None:
    """1, 3, 5: mean 3, s = √((4 + 0 + 4)/2) = 2, so −1, 0, 1."""
    z = normalise(np.array([1.0, 3.0, 5.0]), np.array([7, 7, 7]), scale="group")
    assert z.tolist() == [-1.0, 0.0, 1.0]


def test_batch_scale_divides_every_group_by_the_batchs_spread() -> None:
    """Values 0, 2 | 10, 10: means 1, 10; the batch's mean is 5.5 and its
    s = √((30.25 + 12.25 + 20.25 + 20.25)/3) = √27.667 = 5.2599."""
    z = normalise(np.array([0.0, 2.0, 10.0, 10.0]), np.array([0, 0, 1, 1]), scale="batch")
    assert z == pytest.approx([-0.19012, 0.19012, 0.0, 0.0], abs=1e-5)


def test_scale_none_keeps_the_rewards_unit() -> None:
    z = normalise(np.array([0.0, 2.0, 10.0, 13.0]), np.array([0, 0, 1, 1]), scale="none")
    assert z.tolist() == [-1.0, 1.0, -1.5, 1.5]


def test_the_floor_keeps_noise_small() -> None:
    """.500 and .502 spread .0014; with a floor of .1 they stay at ∓.01 instead of ∓.71."""
    value = np.array([0.500, 0.502])
    group = np.array([0, 0])
    assert normalise(value, group, scale="group", floor=0.1) == pytest.approx([-0.01, 0.01])
    assert normalise(value, group, scale="group") == pytest.approx([-0.7071, 0.7071], abs=1e-4)


def test_a_relative_reward_is_centred_and_never_divided() -> None:
    """Win rates 0, ½, 1 become −½, 0, ½ under every scale."""
    rates, group = np.array([0.0, 0.5, 1.0]), np.zeros(3, dtype=np.int64)
    for scale in ("group", "batch", "none"):
        assert normalise(rates, group, scale=scale, relative=True).tolist() == [-0.5, 0.0, 0.5]


def test_each_reward_is_normalised_before_the_sum() -> None:
    """Quality: s = .025820, z = −1.1619, −.3873, .3873, 1.1619. OCR: s = .57735, z = ±.8660.
    Their plain sums are −.2959, −1.2533, −.4787, 2.0279; equal weights halve them. Dividing by the
    sums' own spread (√2) gives −.2092, −.8862, −.3385, 1.4339 whatever the weights' size."""
    values = {"quality": QUALITY, "ocr": OCR}
    terms = [Term("quality"), Term("ocr")]
    plain = compose(values, ONE_GROUP, terms, scale="group")
    assert 2 * plain.total == pytest.approx([-0.2959, -1.2533, -0.4787, 2.0279], abs=1e-4)
    again = compose(values, ONE_GROUP, terms, scale="group", renormalise=True)
    assert again.total == pytest.approx([-0.2092, -0.8862, -0.3385, 1.4339], abs=1e-4)


def test_a_missing_value_is_not_a_zero() -> None:
    """Reward 1 is .8 for all four, reward 2 is .7 for three and missing on the last. Summing what
    is there would punish the last one (−1.5); nobody differs, so the group is skipped."""
    values = {"one": np.full(4, 0.8), "two": np.array([0.7, 0.7, 0.7, np.nan])}
    result = compose(values, ONE_GROUP, [Term("one"), Term("two")], scale="group")
    assert result.total.tolist() == [0, 0, 0, 0] and not result.used.any()
    assert "spread under the floor" in result.reasons[0]
    assert result.missing == {"one": 0.0, "two": 0.25}


def test_weights_are_renormalised_over_the_rewards_present() -> None:
    """Weights 3 and 1: .75 and .25 where both speak, 1 where the first is alone."""
    values = {"a": np.array([0.0, 1.0, 2.0]), "b": np.array([1.0, 0.0, np.nan])}
    result = compose(values, np.zeros(3), [Term("a", 3.0), Term("b", 1.0)], scale="group")
    assert result.stages["a"].weight.tolist() == [0.75, 0.75, 1.0]
    assert result.stages["b"].weight[:2].tolist() == [0.25, 0.25]
    assert np.isnan(result.stages["b"].weight[2]) and np.isnan(result.stages["b"].raw[2])


def test_a_sample_without_a_required_reward_leaves_its_group() -> None:
    """Without the third, a's mean is .5 and its z ∓.7071; b's are the same."""
    values = {"a": np.array([0.0, 1.0, 9.0]), "b": np.array([0.0, 1.0, np.nan])}
    terms = [Term("a"), Term("b", required=True)]
    result = compose(values, np.zeros(3), terms, scale="group")
    assert result.used.tolist() == [True, True, False]
    assert result.total == pytest.approx([-0.7071, 0.7071, 0.0], abs=1e-4)


def test_groups_with_fewer_than_two_values_are_skipped_with_a_reason() -> None:
    values = {"a": np.array([0.0, 1.0, 5.0, np.nan, np.nan])}
    result = compose(values, np.array([3, 3, 4, 4, 5]), [Term("a")], scale="group")
    assert result.kept_groups == [3]
    assert result.reasons[4].startswith("only 1 usable") and result.reasons[5].startswith("only 0")


def test_one_reward_above_its_floor_keeps_the_group() -> None:
    values = {"flat": np.array([0.5, 0.501]), "live": np.array([0.0, 1.0])}
    terms = [Term("flat"), Term("live")]
    kept = compose(values, np.zeros(2), terms, floor={"flat": 0.1, "live": 0.1})
    assert kept.kept_groups == [0]
    skipped = compose(values, np.zeros(2), terms, floor={"flat": 0.1, "live": 2.0})
    assert skipped.kept_groups == [] and not skipped.used.any()


def test_a_negative_weight_punishes() -> None:
    result = compose({"a": np.array([0.0, 1.0])}, np.zeros(2), [Term("a", -2.0)], scale="group")
    assert result.total == pytest.approx([0.7071, -0.7071], abs=1e-4)


def test_shares_add_up_to_the_advantage_and_groups_sum_to_zero() -> None:
    rng = np.random.default_rng(0)
    group = rng.integers(0, 9, 200)
    values = {
        name: rng.normal(size=200) * size for name, size in (("a", 1), ("b", 40), ("c", 0.01))
    }
    for value in values.values():
        value[rng.random(200) < 0.2] = np.nan
    terms = [Term("a", 1.0), Term("b", 0.5), Term("c", 2.0, transform="rank")]
    for scale in ("batch", "group", "none"):
        result = compose(values, group, terms, scale=scale, clip=1e9)
        shares = np.nansum([stage.share for stage in result.stages.values()], axis=0)
        assert shares[result.used] == pytest.approx(result.total[result.used], abs=1e-12)
        for g in result.kept_groups:
            assert result.total[group == g].sum() == pytest.approx(0, abs=1e-10)


def test_an_advantage_never_exceeds_the_clip() -> None:
    """One hit in forty: z = (1 − .025)/.15811 = 6.17, cut to 5."""
    value = np.zeros(40)
    value[3] = 1.0
    result = compose({"a": value}, np.zeros(40), [Term("a")], scale="group")
    assert result.total.max() == 5.0 and result.clipped == 1 / 40
    assert result.stages["a"].share[3] == pytest.approx(6.17, abs=0.01)


def test_infinities_are_missing_values() -> None:
    result = compose({"a": np.array([0.0, 1.0, np.inf])}, np.zeros(3), [Term("a")], scale="group")
    assert result.used.tolist() == [True, True, False]


def test_ranks_share_ties() -> None:
    """3, 1, 3, 0: the threes beat two of three others and tie one (2.5/3), 1 beats one, 0 none."""
    value = np.array([3.0, 1.0, 3.0, 0.0])
    result = compose({"a": value}, np.zeros(4), [Term("a", transform="rank")], scale="none")
    assert result.stages["a"].shaped == pytest.approx([2.5 / 3, 1 / 3, 2.5 / 3, 0.0])


def test_floors_are_half_the_median_spread_or_the_noise() -> None:
    """Group spreads √2, 2√2, 3√2: the median is 2.828, half of it 1.414."""
    value = np.array([0.0, 2.0, 0.0, 4.0, 0.0, 6.0])
    group = np.array([0, 0, 1, 1, 2, 2])
    assert floors({"a": value}, group)["a"] == pytest.approx(1.4142, abs=1e-4)
    assert floors({"a": value}, group, noise={"a": 3.0})["a"] == 3.0


def test_impossible_terms_are_refused_with_a_sentence() -> None:
    with pytest.raises(ConfigError, match="at least one reward"):
        compose({}, np.zeros(2), [])
    with pytest.raises(ConfigError, match="called 'a'"):
        compose({"a": np.zeros(2)}, np.zeros(2), [Term("a"), Term("a")])
    with pytest.raises(RewardError, match="3 values for 2 samples"):
        compose({"a": np.zeros(3)}, np.zeros(2), [Term("a")])
    with pytest.raises(RewardError, match="gave no values"):
        compose({}, np.zeros(2), [Term("a")])


def test_failures_at_random_shift_no_advantage_and_zeros_in_their_place_would() -> None:
    """A fifth of one reward's values fail, whatever they are: those samples stand neither higher
    nor lower than without failures, within three standard errors; counted as 0 they fall."""
    rng = np.random.default_rng(0)
    group = np.repeat(np.arange(300), 8)
    sound, shaky = rng.normal(size=len(group)), rng.normal(2.0, 1.0, len(group))
    failed = rng.random(len(group)) < 0.2
    terms = [Term("sound", 0.5), Term("shaky", 0.5)]

    def shift(values: np.ndarray) -> float:
        """Mean change of the failed samples' advantages, in its standard errors."""
        whole = compose({"sound": sound, "shaky": shaky}, group, terms).total
        change = (compose({"sound": sound, "shaky": values}, group, terms).total - whole)[failed]
        return float(change.mean() / change.std(ddof=1) * np.sqrt(len(change)))

    assert abs(shift(np.where(failed, np.nan, shaky))) < 3
    assert shift(np.where(failed, 0.0, shaky)) < -10
