"""Bad annotators weigh least, and a reward learned with that in mind is no worse."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.errors import InputError
from backend.preferences import annotators
from backend.preferences.annotators import label_weights
from backend.rewards import _bradley_terry as bt
from workers.bench import annotators as bench
from workers.bench.annotators import ABSENT, FEATURES, LEFT, ORDINARY, World

BLOCK = np.zeros(FEATURES, dtype=np.int64)


def _crowd(world: World) -> annotators.Crowd:
    return annotators.fit(world.x, world.outcome, world.side, world.who, BLOCK)


def test_bad_annotators_weigh_least_and_held_out_accuracy_gains() -> None:
    """One lapses two times in five, one always chooses left; four worlds of 900 labels."""
    gains, told = [], []
    for seed in range(100, 104):
        world = World.of(seed, 900, bad=True)
        crowd = _crowd(world)
        weight = crowd.label_weights(world.who)
        assert weight.mean() == pytest.approx(1)
        assert crowd.information[LEFT] < 0.2 < 0.5 < crowd.information[:ORDINARY].min()
        assert crowd.side[LEFT] > 1.5 and np.abs(crowd.side[:ORDINARY]).max() < 1.2
        told.append([weight[world.who == k].mean() for k in range(6)])
        uniform = world.accuracy(world.fitted().theta[:-1])
        weighted = world.accuracy(world.fitted(weight=weight).theta[:-1])
        gains.append((world.accuracy(crowd.theta) - uniform, weighted - uniform))
    of_person = np.mean(told, axis=0)
    assert of_person[LEFT] < of_person[ABSENT] < of_person[:ORDINARY].min()
    assert (np.mean(gains, axis=0) > 0.005).all()


def test_among_ordinary_people_nothing_is_lost() -> None:
    gains = []
    for seed in range(110, 114):
        world = World.of(seed, 600, bad=False)
        crowd = _crowd(world)
        gains.append(world.accuracy(crowd.theta) - world.accuracy(world.fitted().theta[:-1]))
        assert crowd.lapse.max() < 0.25 and np.median(crowd.sharpness) == pytest.approx(1)
    assert np.mean(gains) > -0.005


def test_a_lapse_is_suspected_where_an_answer_contradicts_the_rest_and_never_of_a_tie() -> None:
    world = World.of(101, 900, bad=True)
    crowd = _crowd(world)
    decided = world.outcome != bt.TIE
    against = decided & (np.sign(world.x @ crowd.theta) != world.outcome)
    assert crowd.lapsed[world.outcome == bt.TIE].max() == 0
    absent = world.who == ABSENT
    assert crowd.lapsed[against & absent].mean() > 2 * crowd.lapsed[decided & ~against].mean()
    assert ((crowd.lapsed >= 0) & (crowd.lapsed <= 1)).all()


def test_ids_of_people_may_be_any_numbers_and_one_person_is_enough() -> None:
    world = World.of(102, 200, bad=False)
    renamed = annotators.fit(world.x, world.outcome, world.side, 1000 - 7 * world.who, BLOCK)
    assert renamed.annotators.tolist() == [979, 986, 993, 1000]
    assert renamed.theta == pytest.approx(_crowd(world).theta, abs=1e-2)
    alone = annotators.fit(world.x, world.outcome, world.side, 0 * world.who, BLOCK)
    assert alone.information.shape == (1,) and world.accuracy(alone.theta) > 0.8
    with pytest.raises(InputError, match="199 sides"):
        annotators.fit(world.x, world.outcome, world.side[1:], world.who, BLOCK)


def test_a_label_weighs_by_the_losses_before_it() -> None:
    """Losses .4 and .6 by turns: mean .5; the 101st label sees a deviation of .1005."""
    before = np.tile([0.4, 0.6], 50)
    spread = float(before.std(ddof=1))
    for loss, weight in (
        (0.6, 1.0),
        (0.5 + 2 * spread, math.exp(-1)),
        (0.5 + 4 * spread, math.exp(-3)),
    ):
        found = label_weights(np.append(before, loss))
        assert found[:100].tolist() == [1.0] * 100
        assert found[100] == pytest.approx(weight)
    assert label_weights(np.zeros(0)).tolist() == []
    assert label_weights(np.full(300, 0.7)).tolist() == [1.0] * 300


def test_running_statistics_are_those_of_the_same_annotator_in_order() -> None:
    """Against Welford's recursion as it is written."""
    rng = np.random.default_rng(0)
    who, loss = rng.integers(5, 9, 900), rng.exponential(size=900)
    expected, state = np.ones(900), {}
    for i, (person, value) in enumerate(zip(who, loss, strict=True)):
        num, mean, square = state.get(person, (0, 0.0, 0.0))
        if num >= 30:
            spread = math.sqrt(square / (num - 1))
            expected[i] = math.exp(-max((value - mean - spread) / spread, 0.0))
        step = value - mean
        mean += step / (num + 1)
        state[person] = (num + 1, mean, square + step * (value - mean))
    assert label_weights(loss, who, warm_up=30) == pytest.approx(expected, abs=1e-9)


def test_the_benchmark_measures_every_way_in_one_world() -> None:
    found = bench.measure(World.of(0, 200, bad=True))
    assert set(found["accuracy"]) == set(bench.WAYS)
    assert all(0.6 < value < 1 for value in found["accuracy"].values())
    assert len(found["information"]) == len(found["by_loss"]) == 6
