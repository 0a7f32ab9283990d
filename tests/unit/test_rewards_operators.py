"""Operators of composition: each against its formula worked by hand, and what may not stand
together (REWARDS §5)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from backend.errors import ConfigError, RewardError
from backend.rewards import _operators as ops
from backend.rewards.compose import Manner, Term, compose, refuse

QUALITY = np.array([0.80, 0.82, 0.84, 0.86])
OCR = np.array([1.0, 0.0, 0.0, 1.0])
BOTH = {"quality": QUALITY, "ocr": OCR}
ONE_GROUP = np.zeros(4, dtype=np.int64)
SUM = Manner(combine="sum")
PARETO = Manner(combine="pareto")


def total(values: dict[str, np.ndarray], terms: list[Term], **settings: Any) -> np.ndarray:
    group = np.zeros(len(next(iter(values.values()))), dtype=np.int64)
    return compose(values, group, terms, **{"scale": "group", **settings}).total


# --- before or after the sum ----------------------------------------------------------------------


def test_before_and_after_the_sum_to_two_decimals() -> None:
    """The three rows of §5.1. Equal weights of size 1 are ½ each, so the middle row is doubled."""
    terms = [Term("quality"), Term("ocr")]
    after = total(BOTH, terms, manner=SUM)
    before = 2 * total(BOTH, terms)
    again = total(BOTH, terms, renormalise=True)
    assert after.round(2).tolist() == [0.81, -0.88, -0.85, 0.92]
    assert before.round(2).tolist() == [-0.30, -1.25, -0.48, 2.03]
    assert again.round(2).tolist() == [-0.21, -0.89, -0.34, 1.43]


def test_a_weight_is_not_an_influence() -> None:
    """Spreads .02582 and .57735 at equal weights: 4 % and 96 % of a sum, half each when normalised
    first."""
    terms = [Term("quality"), Term("ocr")]

    def said(**settings: Any) -> dict[str, float]:
        stages = compose(BOTH, ONE_GROUP, terms, scale="group", **settings).stages
        return ops.influence({name: stage.share for name, stage in stages.items()})

    assert said(manner=SUM) == pytest.approx({"quality": 0.0428, "ocr": 0.9572}, abs=1e-4)
    assert said() == pytest.approx({"quality": 0.5, "ocr": 0.5})
    assert ops.influence({"a": np.zeros(3), "b": np.full(3, np.nan)}) == {"a": 0.0, "b": 0.0}


def test_sums_that_differ_in_how_much_was_solved_become_alike_unless_each_is_normalised() -> None:
    """(0, 1) and (0, 2) both become ∓.71 when the sum is normalised: two goals count as one."""
    one = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 0.0])}
    two = {"a": np.array([0.0, 1.0]), "b": np.array([0.0, 1.0])}
    terms = [Term("a"), Term("b")]
    assert total(one, terms, manner=SUM) == pytest.approx([-0.7071, 0.7071], abs=1e-4)
    assert total(two, terms, manner=SUM) == pytest.approx([-0.7071, 0.7071], abs=1e-4)
    assert total(two, terms)[1] == pytest.approx(2 * total(one, terms)[1])


def test_a_sum_in_which_a_value_is_missing_punishes_nobody() -> None:
    """.8 for all four and .7 for three: nobody differs, so there is nothing to learn."""
    values = {"one": np.full(4, 0.8), "two": np.array([0.7, 0.7, 0.7, np.nan])}
    result = compose(values, ONE_GROUP, [Term("one"), Term("two")], scale="group", manner=SUM)
    assert result.total.tolist() == [0, 0, 0, 0] and not result.used.any()


def test_a_sum_over_the_batch_is_divided_by_the_spread_of_the_sums() -> None:
    """Sums ∓1 and ∓3: their spread is √(20/3) = 2.582."""
    value = np.array([0.0, 2.0, 10.0, 16.0])
    group = np.array([0, 0, 1, 1])
    result = compose({"a": value}, group, [Term("a")], scale="batch", manner=SUM)
    assert result.total == pytest.approx([-0.3873, 0.3873, -1.1619, 1.1619], abs=1e-4)


def test_the_floor_quietens_a_reward_whose_spread_is_noise() -> None:
    """With quality's floor at its repeat noise of .2, OCR decides: s1 is no longer punished."""
    terms = [Term("quality"), Term("ocr")]
    value = total(BOTH, terms, floor={"quality": 0.2, "ocr": 1e-6})
    assert value[0] > 0.3 and value[3] > 0.3 and value[1] < -0.3


# --- transforms ---------------------------------------------------------------------------------


def test_the_slope_of_the_log_sigmoid() -> None:
    at, step = np.array([-4.0, 0.0, 2.0, 4.0]), 1e-6
    slope = (ops.log_sigmoid(at + step, 0, 1) - ops.log_sigmoid(at - step, 0, 1)) / (2 * step)
    assert slope.round(2).tolist() == [0.98, 0.5, 0.12, 0.02]
    stretched = ops.log_sigmoid(np.array([3.0]), 1.0, 2.0)
    assert stretched[0] == pytest.approx(math.log(1 / (1 + math.exp(-1))))


def test_log_sigmoids_add_up_to_the_log_of_all_being_good() -> None:
    a, b = np.array([0.3, -2.0, 5.0]), np.array([1.0, 0.5, -9.0])
    product = 1 / (1 + np.exp(-a)) * (1 / (1 + np.exp(-b)))
    added = ops.log_sigmoid(a, 0, 1) + ops.log_sigmoid(b, 0, 1)
    assert added == pytest.approx(np.log(product))


def test_a_log_sigmoid_is_centred_on_a_quantile_of_the_base() -> None:
    """Base 0 … 4: the median is 2, the .75 quantile 3; T is the base's deviation, √2.5."""
    base = (0.0, 1.0, 2.0, 3.0, 4.0)
    term = Term("a", transform="log-sigmoid", base=base)
    values, group = {"a": np.array([2.0, 4.0])}, np.zeros(2)
    shaped = compose(values, group, [term], scale="none").stages["a"].shaped
    assert shaped[0] == pytest.approx(math.log(0.5))
    assert shaped[1] == pytest.approx(-math.log1p(math.exp(-2 / math.sqrt(2.5))))
    higher = Term("a", transform="log-sigmoid", base=base, quantile=0.75, temperature=1.0)
    shaped = compose(values, group, [higher], scale="none").stages["a"].shaped
    assert shaped[1] == pytest.approx(-math.log1p(math.exp(-1.0)))


def test_a_threshold_pays_partial_credit_from_there_on_and_rises() -> None:
    term = Term("iou", transform="threshold", threshold=0.5)
    values = {"iou": np.array([0.4, 0.5, 0.9, np.nan])}
    shaped = compose(values, ONE_GROUP, [term], scale="none").stages["iou"].shaped
    assert shaped[:3].tolist() == [0.0, 0.5, 0.9] and np.isnan(shaped[3])
    at = [ops.rising([0.5, 0.75, 0.9], share) for share in (0.0, 0.33, 0.34, 0.7, 1.0)]
    assert at == [0.5, 0.5, 0.75, 0.9, 0.9]


# --- the frozen scale -----------------------------------------------------------------------------


def test_a_frozen_scale_is_that_of_the_base_and_does_not_mind_units() -> None:
    """Base 1, 3: m = 2, t = √2. Values 2, 5 have z = 0, 2.1213; in another unit they are the
    same."""
    base, values = (1.0, 3.0), np.array([2.0, 5.0])

    def z(value: np.ndarray, of: tuple[float, ...]) -> np.ndarray:
        term = Term("a", scale="frozen", base=of)
        return compose({"a": value}, np.zeros(2), [term]).stages["a"].z

    assert z(values, base) == pytest.approx([0.0, 2.1213], abs=1e-4)
    assert z(10 * values - 7, (3.0, 23.0)) == pytest.approx(z(values, base))
    assert z(np.array([2.0, 99.0]), base)[1] == ops.FROZEN_CLIP


def test_the_frozen_scale_has_a_floor_and_shares_are_still_centred() -> None:
    term = Term("a", scale="frozen", base=(1.0, 1.0))
    result = compose({"a": np.array([1.0, 2.0])}, np.zeros(2), [term], floor=0.5)
    assert result.stages["a"].z.tolist() == [0.0, 2.0] and result.total.tolist() == [-1.0, 1.0]


def test_without_the_base_there_is_no_frozen_scale() -> None:
    with pytest.raises(RewardError, match="evaluate the base first"):
        compose({"a": np.zeros(2)}, np.zeros(2), [Term("a", scale="frozen")])


# --- fronts -------------------------------------------------------------------------------------


def test_fronts_are_peeled_one_after_the_other() -> None:
    """(2, 0), (0, 2) and (1, 1) are beaten by nobody; (0, 1) by two of them; (0, 0) by that too."""
    value = np.array([[2.0, 0.0, 1.0, 0.0, 0.0], [0.0, 2.0, 1.0, 1.0, 0.0]])
    assert ops.fronts(value, np.zeros(2)).tolist() == [0, 0, 0, 1, 2]


def test_a_difference_within_the_tolerance_beats_nobody() -> None:
    value = np.array([[1.0, 0.9], [0.0, 0.0]])
    assert ops.fronts(value, np.zeros(2)).tolist() == [0, 1]
    assert ops.fronts(value, np.array([0.2, 0.2])).tolist() == [0, 0]


def test_beating_in_a_circle_ends() -> None:
    """With a tolerance of 1 each of these beats the next one, and the last the first."""
    value = np.array([[0.0, 1.0, 2.0], [1.0, 2.0, 0.0], [2.0, 0.0, 1.0]])
    assert ops.fronts(value, np.ones(3)).tolist() == [0, 0, 0]


def test_among_equals_who_stands_apart_gets_a_little_more() -> None:
    """On one front 0 and 4 are its ends; 1 has neighbours 0 and 2 apart, 2 has 1 and 4."""
    value = np.array([[0.0, 1.0, 2.0, 4.0], [4.0, 3.0, 2.0, 0.0]])
    found = ops.pareto(value, ONE_GROUP, np.zeros(2))
    assert found[0] == found[3] > found[2] > found[1] and found.max() <= 0.5


def test_pareto_asks_for_no_exchange_rate() -> None:
    """A thousand times more of one reward changes nothing, and the beaten one is below all."""
    values = {"a": np.array([2.0, 0.0, 1.0, -1.0]), "b": np.array([0.0, 2.0, 1.0, -1.0])}
    terms = [Term("a"), Term("b")]
    found = total(values, terms, manner=PARETO)
    assert found.argmin() == 3 and found[3] < -0.7 and found.sum() == pytest.approx(0)
    more = {"a": 1000 * values["a"], "b": values["b"]}
    assert total(more, terms, manner=PARETO).tolist() == found.tolist()
    turned, less = {"a": -values["a"], "b": values["b"]}, [Term("a", -1.0), Term("b")]
    penalty = total(turned, less, manner=PARETO)
    assert penalty.tolist() == found.tolist()


def test_shares_of_every_manner_add_up_and_sum_to_zero() -> None:
    rng = np.random.default_rng(1)
    group = rng.integers(0, 12, 160)
    values = {name: rng.normal(size=160) * size for name, size in (("a", 1), ("b", 9), ("g", 1))}
    for value in values.values():
        value[rng.random(160) < 0.15] = np.nan
    base = tuple(rng.normal(size=40))
    terms = [
        Term("a", transform="log-sigmoid", base=base),
        Term("b", 2.0),
        Term("g", role="gate", threshold=-0.8),
    ]
    for manner in (
        Manner(),
        Manner(combine="sum"),
        Manner(combine="pareto"),
        Manner(difficulty="peak", doubt={"b": np.abs(rng.normal(size=160))}),
    ):
        result = compose(values, group, terms, scale="batch", clip=1e9, manner=manner)
        shares = np.nansum([stage.share for stage in result.stages.values()], axis=0)
        assert shares[result.used] == pytest.approx(result.total[result.used], abs=1e-9)
        assert result.used.any() and not result.used.all()
        for g in result.kept_groups:
            assert result.total[group == g].sum() == pytest.approx(0, abs=1e-9)


# --- gates, confidence, difficulty --------------------------------------------------------------


def test_a_shut_gate_leaves_a_sample_out_and_scores_nobody() -> None:
    """The third fails the check. It is no 0: the others are compared among themselves, and their
    advantages are those of their own difference (z = −1.16, −.39, 1.16, centred over the three)."""
    values = {"quality": QUALITY, "check": np.array([1.0, 1.0, 0.0, 1.0])}
    terms = [Term("quality"), Term("check", role="gate", threshold=0.5)]
    result = compose(values, ONE_GROUP, terms, scale="group")
    assert result.used.tolist() == [True, True, False, True]
    assert result.gated is not None and result.gated.tolist() == [False, False, True, False]
    assert result.total == pytest.approx([-1.0328, -0.2582, 0.0, 1.2910], abs=1e-4)
    assert np.isnan(result.stages["check"].share).all()
    assert np.isnan(result.stages["quality"].share[2])


def test_a_gate_never_becomes_the_reward() -> None:
    """Nothing but the gate tells these apart, so nothing is learned."""
    values = {"same": np.full(4, 0.7), "check": np.array([1.0, 0.0, 0.0, 1.0])}
    result = compose(values, ONE_GROUP, [Term("same"), Term("check", role="gate", threshold=0.5)])
    assert not result.used.any() and (result.total == 0).all()


def test_a_gate_that_one_passes_or_that_could_not_be_asked_keeps_nobody_to_compare() -> None:
    terms = [Term("quality"), Term("check", role="gate", threshold=0.5)]
    alone = {"quality": QUALITY, "check": np.array([1.0, 0.0, 0.0, 0.0])}
    result = compose(alone, ONE_GROUP, terms)
    assert result.kept_groups == [] and "pass the gates" in result.reasons[0]
    silent = {"quality": QUALITY, "check": np.array([1.0, np.nan, np.nan, 1.0])}
    assert compose(silent, ONE_GROUP, terms).used.tolist() == [True, False, False, True]


def test_a_soft_gate_weighs_by_its_sigmoid() -> None:
    """σ((g − .5)/.1) is .9933 at 1, ½ at .5."""
    values = {"a": np.array([-1.0, 1.0]), "g": np.array([1.0, 0.5])}
    gate = Term("g", role="soft-gate", threshold=0.5, temperature=0.1)
    result = compose(values, np.zeros(2), [Term("a"), gate], scale="none")
    factor = result.stages["a"].factor
    assert factor == pytest.approx([0.9933, 0.5], abs=1e-4)
    assert result.total == pytest.approx([-0.74665, 0.74665], abs=1e-4)


def test_doubt_shrinks_a_share() -> None:
    """u = 1, 1, 2, 0: ū² = 1.5, so 1/(1 + u²/ū²) = .6, .6, .2727, 1; unknown doubt is ½."""
    assert ops.confidence(np.array([1.0, 1.0, 2.0, 0.0])) == pytest.approx([0.6, 0.6, 3 / 11, 1.0])
    assert ops.confidence(np.array([1.0, np.nan])) == pytest.approx([0.5, 0.5])
    assert ops.confidence(np.zeros(2)).tolist() == [1.0, 1.0]
    values, group = {"a": np.array([-3.0, 3.0, 0.0])}, np.zeros(3)
    sure = compose(values, group, [Term("a")], scale="none").total
    manner = Manner(doubt={"a": np.array([0.0, 3.0, 0.0])})
    unsure = compose(values, group, [Term("a")], scale="none", manner=manner).total
    assert 0 < unsure[1] < sure[1]


def test_prompts_neither_solved_nor_hopeless_teach_most() -> None:
    """Two of four solved: 4·½·½ = 1; one of four: .75; all: the explored 5 %."""
    value = np.array([1.0, 1, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1])
    group = np.repeat([0, 1, 2], 4)
    assert ops.difficulty(value, group, 1.0)[[0, 4, 8]] == pytest.approx([1.0, 0.75, 0.05])
    assert ops.difficulty(value, group, 1.0, band=True)[[0, 4, 8]] == pytest.approx([1, 1, 0.05])
    plain = compose({"a": value}, group, [Term("a")], scale="none").total
    peak = compose({"a": value}, group, [Term("a")], scale="none", manner=Manner(difficulty="peak"))
    assert peak.total[4] == pytest.approx(0.75 * plain[4]) and peak.total[0] == plain[0]


def test_failures_are_compared_with_failures_only() -> None:
    """Failed samples' process values average 0 in their group; an unknown outcome stays out."""
    process = np.array([0.9, 0.7, 0.2, 0.8, 0.5])
    success = np.array([0.0, 0.0, 1.0, 0.0, np.nan])
    found = ops.process_outcome(process, success, np.array([0, 0, 0, 1, 1]))
    assert found[:2] == pytest.approx([0.1, -0.1]) and found[2] == 0.2
    assert found[3] == 0.0 and np.isnan(found[4])


def test_a_process_says_who_failed_better_and_nothing_against_a_success() -> None:
    """Outcome 1, 0, 0, 0 and a process that likes the failures: plain, the third failure beats the
    success in it; as a process, failures average 0 before the group is centred."""
    values = {"right": np.array([1.0, 0.0, 0.0, 0.0]), "fluent": np.array([0.3, 0.9, 0.9, 0.6])}
    group = np.zeros(4, dtype=int)
    plain = compose(values, group, [Term("right"), Term("fluent")], scale="none")
    assert plain.stages["fluent"].z.argmin() == 0
    terms = [Term("right"), Term("fluent", process=True)]
    found = compose(values, group, terms, scale="none")
    assert found.stages["fluent"].shaped == pytest.approx([0.3, 0.1, 0.1, -0.2])
    assert found.stages["fluent"].z == pytest.approx([0.225, 0.025, 0.025, -0.275])
    assert found.total[0] > found.total[1] > found.total[3]
    with pytest.raises(ConfigError, match="put the reward of the outcome before it"):
        compose(values, group, list(reversed(terms)), scale="none")


# --- weights ------------------------------------------------------------------------------------


def test_routed_rewards_leave_the_weights_of_others_untouched() -> None:
    """What is not asked about is missing: its weight goes to those that are, sample by sample."""
    values = {"all": np.array([0.0, 1.0, 0.0, 1.0]), "text": np.array([1.0, 0.0, np.nan, np.nan])}
    result = compose(values, np.array([0, 0, 1, 1]), [Term("all", 3.0), Term("text", 1.0)])
    assert result.stages["all"].weight.tolist() == [0.75, 0.75, 1.0, 1.0]
    alone = compose({"all": values["all"]}, np.array([0, 0, 1, 1]), [Term("all", 3.0)])
    assert result.total[2:].tolist() == alone.total[2:].tolist()


def test_a_reward_of_a_later_stage_is_recorded_and_counts_for_nothing() -> None:
    early = compose({"ocr": OCR}, ONE_GROUP, [Term("ocr")])
    both = compose(BOTH, ONE_GROUP, [Term("ocr"), Term("quality", active=False)])
    assert both.total.tolist() == early.total.tolist()
    assert both.stages["quality"].raw.tolist() == QUALITY.tolist()
    assert np.isnan(both.stages["quality"].share).all()


def test_adaptive_weights_follow_what_is_missing_slowly_and_within_bounds() -> None:
    """Half short of the target by two spreads: wanted 2, so 1 → 1 + .1·(2 − 1) = 1.1."""
    base, target = {"a": 1.0, "b": 1.0}, {"a": 1.0, "b": 0.5}
    step = ops.adapted(base, base, target, {"a": 0.0, "b": 0.9}, {"a": 0.5, "b": 1.0}, {})
    assert step == pytest.approx({"a": 1.1, "b": 0.9})
    silent = ops.adapted(base, base, {"a": 1.0}, {"a": 0.0}, {"a": 0.5}, {"a": 0.8})
    assert silent["a"] == pytest.approx(1 + 0.1 * (0.4 - 1))
    weight = dict(base)
    for _ in range(200):
        before = dict(weight)
        weight = ops.adapted(weight, base, target, {"a": -99.0, "b": 9.0}, {"a": 0.5, "b": 1.0}, {})
        assert all(abs(weight[n] / before[n] - 1) <= 0.1 + 1e-12 for n in weight)
    assert weight == pytest.approx({"a": 4.0, "b": 0.25})
    for _ in range(200):
        weight = ops.adapted(weight, base, target, {"a": 2.0, "b": 2.0}, {"a": 0.5, "b": 1.0}, {})
    assert weight == pytest.approx(base, abs=1e-3)


# --- what cannot stand together -----------------------------------------------------------------


@pytest.mark.parametrize(
    ("terms", "scale", "settings", "why"),
    [
        ([Term("a", transform="log-sigmoid")], "group", {}, "divides that saturation away"),
        (
            [Term("a", transform="log-sigmoid", scale="group")],
            "batch",
            {},
            "divides that saturation away",
        ),
        ([Term("a", relative=True, scale="frozen")], "batch", {}, "no reference"),
        ([Term("a", relative=True, transform="log-sigmoid")], "batch", {}, "no reference"),
        ([Term("a", transform="rank", scale="frozen")], "batch", {}, "ranks of the base"),
        ([Term("a", scale="none")], "batch", {"combine": "sum"}, "scale of its own"),
        ([Term("a")], "batch", {"combine": "pareto"}, "1 reward in the sum"),
        (
            [Term("a"), Term("b")],
            "batch",
            {"combine": "pareto", "renormalise": True},
            "tie-break would count",
        ),
        ([Term("a", role="gate")], "batch", {}, "gates or have weight 0"),
    ],
)
def test_impossible_orders_are_refused_with_the_reason(
    terms: list[Term], scale: Any, settings: dict[str, Any], why: str
) -> None:
    with pytest.raises(ConfigError, match=why):
        refuse(terms, scale, **{"combine": "each", **settings})
    refuse([Term("a"), Term("b")], scale, "each")
