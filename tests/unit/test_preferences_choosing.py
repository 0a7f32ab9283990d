"""Which pair next: propensities are the chances they claim, and a policy wants what it says."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from backend.errors import ConfigError, InputError
from backend.preferences import choosing
from backend.preferences.choosing import Known
from backend.registry import choosers
from backend.rewards import _bradley_terry as bt
from backend.rewards import learn

UTILITIES = np.array([0.2, 0.0, -0.1, 0.05, 0.1])


def known(seed: int = 0, **more: Any) -> Known:
    """Twelve samples of three checkpoints, two a prompt: six open pairs, eight labels."""
    rng = np.random.default_rng(seed)
    fields: dict[str, Any] = {
        "a": np.arange(0, 12, 2),
        "b": np.arange(1, 12, 2),
        "label_a": np.array([0, 2, 4, 6, 8, 10, 0, 2]),
        "label_b": np.array([1, 3, 5, 7, 9, 11, 1, 3]),
        "outcome": np.array([1, -1, 1, 0, 1, -1, 1, 1]),
        "side": np.array([1.0, -1, 1, -1, 1, -1, 1, -1]),
        "weight": np.ones(8),
        "features": rng.standard_normal((12, 4)),
        "block": np.array([3, 0, 0, 2]),
        "source": np.array([0, 0, 0, 1, 0, 1, 1, 1, 1, 2, 2, 2]),
        "age": np.array([2.0, 2, 2, 1, 2, 1, 1, 1, 1, 0, 0, 0]),
    }
    return Known(**{**fields, **more})


def utility(name: str, given: Known) -> Any:
    return choosers.get(name).utility(given)


# --- drawing --------------------------------------------------------------------------------------


def test_a_propensity_is_the_chance_of_the_draw_relative_to_a_uniform_one() -> None:
    rng, num = np.random.default_rng(0), 20_000
    counted: Counter[int] = Counter()
    propensity = {}
    for _ in range(num):
        (one,) = choosing.draw(UTILITIES, 1, rng)
        counted[one.index] += 1
        propensity[one.index] = one.propensity
    soft = np.exp(UTILITIES / choosing.TEMPERATURE)
    for i, value in propensity.items():
        assert value == pytest.approx(0.25 + 0.75 * 5 * soft[i] / soft.sum())
        error = np.sqrt(value / 5 * (1 - value / 5) / num)
        assert counted[i] / num == pytest.approx(value / 5, abs=4 * error)
    assert sum(propensity.values()) == pytest.approx(5)


def test_weights_give_the_mean_over_what_was_left_at_every_draw() -> None:
    """A value per pair that goes with the utility: unweighted it comes out far too high."""
    rng, value = np.random.default_rng(1), UTILITIES * 25
    weighted, plain, left = [], [], []
    for _ in range(20_000):
        first, second = choosing.draw(UTILITIES, 2, rng)
        weighted.append(
            (value[first.index] / first.propensity, value[second.index] / second.propensity)
        )
        plain.append(value[first.index])
        left.append((value.sum() - value[first.index]) / 4)
    means, errors = np.mean(weighted, axis=0), np.std(weighted, axis=0) / np.sqrt(20_000)
    assert means[0] == pytest.approx(value.mean(), abs=4 * errors[0])
    assert means[1] == pytest.approx(np.mean(left), abs=4 * errors[1])
    assert np.mean(plain) > value.mean() + 1


def test_a_quarter_is_uniform_and_no_weight_is_above_four() -> None:
    rng = np.random.default_rng(2)
    utilities = choosing.standardised(rng.standard_normal(256))
    drawn = [one for _ in range(100) for one in choosing.draw(utilities, 4, rng, name="some")]
    share = np.mean([one.chooser == choosing.UNIFORM for one in drawn])
    assert 0.20 <= share <= 0.30  # of 400
    assert {one.chooser for one in drawn} == {"uniform", "some"}
    assert min(one.propensity for one in drawn) >= 0.25


def test_draws_do_not_repeat_and_end_with_the_candidates() -> None:
    drawn = choosing.draw(UTILITIES, 9, np.random.default_rng(3))
    assert sorted(one.index for one in drawn) == [0, 1, 2, 3, 4]
    assert drawn[-1].propensity == pytest.approx(1)  # the only one left
    assert choosing.draw([], 3, np.random.default_rng(3)) == []


def test_equal_utilities_are_a_uniform_draw() -> None:
    drawn = choosing.draw(np.zeros(40), 40, np.random.default_rng(4))
    assert [one.propensity for one in drawn] == pytest.approx([1.0] * 40)


def test_huge_utilities_stay_finite() -> None:
    drawn = choosing.draw([1e6, -1e6, 0.0], 3, np.random.default_rng(5))
    assert all(np.isfinite(one.propensity) for one in drawn)


def test_what_cannot_be_drawn_is_refused() -> None:
    rng = np.random.default_rng(6)
    with pytest.raises(InputError, match="finite"):
        choosing.draw([0.0, np.nan], 1, rng)
    with pytest.raises(InputError, match="share"):
        choosing.draw([0.0], 1, rng, 0.0)


def test_standardised_utilities_have_one_scale() -> None:
    values = choosing.standardised(np.array([1.0, 2, 3]) * 1e-9)
    assert values.mean() == pytest.approx(0) and values.std() == pytest.approx(1)
    assert not choosing.standardised(np.full(3, 0.1)).any()
    assert choosing.standardised(np.array([])).shape == (0,)
    with pytest.raises(InputError, match="finite"):
        choosing.standardised(np.array([1.0, np.inf]))


# --- policies -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", choosers.names())
def test_every_policy_says_what_it_is_and_values_every_open_pair(name: str) -> None:
    module = choosers.get(name)
    assert name == module.NAME and module.TITLE and module.SUMMARY.endswith(".")
    values = module.utility(known())
    assert values.shape == (6,) and np.isfinite(values).all()
    without = replace(known(), a=np.array([], dtype=int), b=np.array([], dtype=int))
    assert module.utility(without).shape == (0,)


def test_an_unknown_policy_is_refused_with_the_nearest() -> None:
    with pytest.raises(ConfigError, match="'bradley-terry'"):
        choosers.get("bradly-terry")


def test_random_prefers_nothing() -> None:
    assert not utility("random", known()).any()


def test_frontier_takes_the_newest_first_and_older_ones_less_and_less() -> None:
    values = utility("frontier", known())
    # checkpoints of the pairs: 0-0, 0-1, 0-1, 1-1, 1-2, 2-2
    assert values == pytest.approx([0.25, 0.375, 0.375, 0.5, 0.75, 1.0])


def test_bradley_terry_takes_pairs_between_sources_whose_order_is_least_sure() -> None:
    """40 answers about 0 against 1, all even; none about 2."""
    many = np.arange(40)
    given = known(
        label_a=np.full(40, 2),
        label_b=np.full(40, 3),
        outcome=np.where(many % 2, 1, -1),
        side=np.where(many % 4 < 2, 1.0, -1.0),
        weight=np.ones(40),
    )
    same_0, known_1, known_2, same_1, unknown, same_2 = utility("bradley-terry", given)
    assert same_0 == same_1 == same_2 == pytest.approx(0)
    assert unknown > 3 * known_1 > 0 and known_1 == pytest.approx(known_2)


def test_bradley_terry_counts_an_answer_by_its_weight() -> None:
    """An answer of weight 4 is four answers."""
    once = known(weight=np.full(8, 4.0))
    labels = {
        name: np.repeat(getattr(once, name), 4)
        for name in ("label_a", "label_b", "outcome", "side")
    }
    four = replace(once, weight=np.ones(32), **labels)
    assert utility("bradley-terry", once) == pytest.approx(utility("bradley-terry", four))
    assert utility("bradley-terry", once) != pytest.approx(utility("bradley-terry", known()))


def test_disagreement_takes_what_is_unknown_and_neither_what_is_sure_nor_what_is_a_toss_up() -> (
    None
):
    """Labels about the first two features only: the first decides, the second never matters."""
    rng = np.random.default_rng(0)
    x = np.zeros((200, 4))
    x[:, :2] = rng.standard_normal((200, 2))
    pairs = np.arange(200)
    open_ = np.array([[3.0, 0, 0, 0], [0, 0.3, 0, 0], [0, 0, 3, 0]])  # sure, toss-up, unknown
    given = known(
        features=np.concatenate([x, np.zeros((200, 4)), open_, np.zeros((3, 4))]),
        block=np.array([3, 0, 2, 2]),
        label_a=pairs,
        label_b=pairs + 200,
        outcome=np.where(2 * x[:, 0] + rng.logistic(size=200) > 0, 1, -1),
        side=np.where(rng.random(200) < 0.5, 1.0, -1.0),
        weight=np.ones(200),
        a=np.array([400, 401, 402]),
        b=np.array([403, 404, 405]),
    )
    sure, toss_up, unknown = utility("disagreement", given)
    assert unknown > 5 * max(sure, toss_up) and min(sure, toss_up) > 0


def test_disagreement_is_the_variance_over_rewards_that_the_labels_allow() -> None:
    given = known()
    block, prior = learn.prior_of(given.block)
    asked = learn.differences(given.features, given.label_a, given.label_b, given.side)
    said = bt.fit(asked, given.outcome, block, mean_D=prior, before=bt.CAREFUL)
    rewards = np.random.default_rng(0).multivariate_normal(said.theta, said.covariance, 40_000)
    delta = (given.features[given.a] - given.features[given.b]) @ rewards[:, :-1].T
    sampled = (1 / (1 + np.exp(-delta))).var(axis=1)
    assert utility("disagreement", given) == pytest.approx(sampled, rel=0.05)
