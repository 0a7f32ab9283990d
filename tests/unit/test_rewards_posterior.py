"""The learned reward's fit: warm refits, left-out folds, temperature, support, what comes next."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.errors import InputError
from backend.rewards import _figures, _heads, _posterior
from backend.rewards._live import Live
from backend.rewards._posterior import CrossFit, Held, Labels
from backend.rewards._support import Support

FEATURES = 6
BLOCK = np.array([0, 1, 1, 2, 2, 2])
PRIOR = np.array([1.0, 0, 0, 0, 0, 0])
TASTE = np.array([1.0, 1.5, 0.0, 0.0, 0.0, -0.5])


def labels(num: int, seed: int = 0, *, curved: bool = False) -> Labels:
    """Three people's answers about pairs of 40 prompts; the third lapses two times in five."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=(2, num, FEATURES))
    side, who = rng.choice([-1.0, 1.0], num), np.arange(num) % 3
    value = [3 * np.abs(x[:, 1]) if curved else x @ TASTE for x in (a, b)]
    felt = value[0] - value[1] + 0.3 * side + rng.logistic(size=num)
    said = np.where(np.abs(felt) < 0.3, 0, np.sign(felt)).astype(np.int64)
    lapsed = (who == 2) & (rng.random(num) < 0.4)
    said = np.where(lapsed, rng.choice([-1, 1], num), said)
    return Labels(a - b, said, side, who, rng.integers(40, size=num), b)


def test_without_labels_enough_to_say_otherwise_it_is_the_stock_reward() -> None:
    few = _posterior.fit(labels(6), BLOCK, PRIOR)
    assert few.theta == pytest.approx(PRIOR, abs=0.35)
    many = _posterior.fit(labels(900), BLOCK, PRIOR)
    assert many.theta[1] == pytest.approx(TASTE[1], abs=0.35)
    assert many.crowd is not None and many.crowd.information.argmin() == 2


def test_a_refit_label_by_label_ends_where_a_fit_from_nothing_does() -> None:
    given, live = labels(300), Live(BLOCK, PRIOR)
    for num in range(270, 301):
        live.refit(given.take(np.arange(num)))
    afresh = _posterior.fit(given, BLOCK, PRIOR)
    assert live.posterior is not None and live.held is not None
    assert live.posterior.theta == pytest.approx(afresh.theta, abs=0.05)
    assert len(live.seconds) == 30 and live.p95_ms() is not None
    whole = CrossFit(BLOCK, PRIOR, seed=0).all(given)
    assert np.corrcoef(live.held.delta, whole.delta)[0, 1] > 0.99


def test_a_pair_is_predicted_by_fits_that_saw_no_pair_of_its_prompt() -> None:
    given = labels(200)
    before = CrossFit(BLOCK, PRIOR, seed=0).all(given)
    mine = given.prompt == given.prompt[0]
    turned = replace(given, outcome=np.where(mine, -given.outcome, given.outcome))
    after = CrossFit(BLOCK, PRIOR, seed=0).all(turned)
    assert after.delta[mine] == pytest.approx(before.delta[mine], abs=1e-12)
    assert not np.allclose(after.delta[~mine], before.delta[~mine], atol=1e-6)
    fold = CrossFit(BLOCK, PRIOR, seed=0).folds(np.arange(40))
    assert fold[:12].tolist() == CrossFit(BLOCK, PRIOR, seed=0).folds(np.arange(12)).tolist()


def test_the_temperature_makes_confidence_earned() -> None:
    rng = np.random.default_rng(1)
    delta = 2 * rng.normal(size=4000)
    won = rng.random(4000) < 1 / (1 + np.exp(-delta / 2))
    held = Held(delta, np.zeros(4000), np.zeros(4000))
    temperature = _posterior.temperature_of(held, won)
    assert temperature == pytest.approx(2, abs=0.15)
    assert _figures.calibration(_posterior.sureness(held, temperature), won)[1] < 0.03
    assert _figures.calibration(_posterior.sureness(held), won)[1] > 0.08


def test_one_in_a_hundred_of_the_same_pictures_is_off_and_every_other_kind() -> None:
    rng = np.random.default_rng(2)
    seen, more = rng.normal(size=(2, 2000, 8)) * np.arange(1, 9)
    support = Support.fit(seen)
    assert 0.003 < support.is_off(more).mean() < 0.025
    assert support.is_off(more + 8 * np.arange(1, 9)).all()
    assert 0.0 <= Support.fit(seen[:30]).is_off(more).mean() < 0.15, "few pictures, no panic"
    again = Support.of(support.arrays())
    assert (again.is_off(more) == support.is_off(more)).all()


def test_what_two_answers_agree_on_bounds_every_reward() -> None:
    """Eight of ten pairs answered twice agree: q = .8, c = (1 + √.6) / 2 = .887."""
    a, b = np.repeat(np.arange(10), 2), np.repeat(np.arange(10, 20), 2)
    outcome = np.ones(20, dtype=np.int64)
    outcome[[1, 3]] = -1
    flip = np.arange(20) % 4 >= 2  # the same pairs, named the other way round
    a, b, outcome = np.where(flip, b, a), np.where(flip, a, b), np.where(flip, -outcome, outcome)
    found = _figures.repeats(a, b, outcome)
    assert found is not None and found["accuracy"] == 0.8 and found["pairs"] == 10
    assert found["best"] == pytest.approx((1 + 0.6**0.5) / 2)
    assert _figures.repeats(a[::2], b[::2], outcome[::2]) is None


def test_the_next_step_is_told_in_labels() -> None:
    """d = .02 ± .04 at 100 labels: the interval must shrink to half, so four times the labels."""
    apart = {"value": 0.02, "low": -0.02, "high": 0.06}
    assert _figures.next_step(100, apart, []) == {"why": "better", "labels": 300}
    sure = {"value": 0.1, "low": 0.05, "high": 0.15}
    points = [(n, 0.8 - 1 / n**0.5) for n in (20, 40, 80)]
    rise = _figures.next_step(100, sure, points)
    assert rise["why"] == "rise"
    n = (100 + rise["labels"]) * 0.8
    assert 0.8 - 1 / n**0.5 == pytest.approx(0.8 - 1 / 80**0.5 + _figures.STEP, abs=1e-3)
    assert _figures.next_step(100, sure, [(n, 0.7) for n, _ in points])["why"] == "level"


def test_a_network_learns_what_is_not_linear_and_a_name_that_is_none_is_refused() -> None:
    given, fresh = labels(1500, curved=True), labels(1500, seed=5, curved=True)
    right = {}
    for head in _heads.HEADS:
        fitted = _heads.fit(head, given, BLOCK, PRIOR, seed=0)
        delta, variance = fitted.compare(fresh)
        decided = fresh.outcome != 0
        right[head] = ((delta > 0) == (fresh.outcome > 0))[decided].mean()
        assert (variance >= 0).all()
        again = _heads.of(head, fitted.arrays())
        assert again.say(fresh.x)[0].tobytes() == fitted.say(fresh.x)[0].tobytes()
    assert right["neural"] > right["bayes"] + 0.1
    with pytest.raises(InputError, match="choose bayes or neural"):
        _heads.fit("forest", given, BLOCK, PRIOR, seed=0)  # type: ignore[arg-type]
