"""The contract of rewards: what fails is missing with a reason; lengths are never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import pytest

from backend.errors import RewardError
from backend.rewards.interface import Scores, Verdicts, checked, routed

IMAGES = np.arange(4 * 8 * 8 * 3, dtype=np.uint8).reshape(4, 8, 8, 3)
PROMPTS = ["one", "two", "three", "four"]


class Given:
    """A reward that answers what it was given: a value per prompt, or raises for it."""

    shape = "pointwise"

    def __init__(self, answers: dict[str, float | Exception]) -> None:
        self.answers = answers

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        for prompt in prompts:
            if isinstance(self.answers[prompt], Exception):
                raise self.answers[prompt]
        values = [self.answers[prompt] for prompt in prompts]
        return Scores(np.array(values), ["ok"] * len(values), {"twice": 2 * np.array(values)})


class Short:
    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
        return Scores.of([1.0] * (len(prompts) - 1))


def test_a_good_batch_comes_back_in_order() -> None:
    scorer = checked(Given(dict(zip(PROMPTS, (4.0, 3.0, 2.0, 1.0), strict=True))), "given")
    scores = scorer.score(IMAGES, PROMPTS)
    assert scores.values.tolist() == [4, 3, 2, 1] and scores.status == ["ok"] * 4
    assert scores.parts["twice"].tolist() == [8, 6, 4, 2] and scorer.missing_share == 0


def test_nan_and_infinity_become_missing_and_are_counted() -> None:
    answers = dict(zip(PROMPTS, (1.0, np.nan, np.inf, 0.0), strict=True))
    scorer = checked(Given(answers), "given")
    scores = scorer.score(IMAGES, PROMPTS)
    assert np.isnan(scores.values).tolist() == [False, True, True, False]
    assert scores.status == ["ok", "error", "error", "ok"]
    assert scores.reasons[1] == "not a number" and scorer.missing_share == 0.5


def test_a_reward_that_raises_for_one_sample_loses_only_that_sample() -> None:
    answers = dict(zip(PROMPTS, (1.0, ValueError("no such word"), 3.0, 4.0), strict=True))
    scores = checked(Given(answers), "given").score(IMAGES, PROMPTS)
    assert scores.status == ["ok", "error", "ok", "ok"] and np.isnan(scores.values[1])
    assert scores.reasons[1] == "ValueError: no such word"
    assert np.isnan(scores.parts["twice"][1]) and scores.parts["twice"][2] == 6


def test_a_reward_that_always_raises_gives_only_missing_values() -> None:
    answers: dict[str, float | Exception] = {prompt: RuntimeError("down") for prompt in PROMPTS}
    scorer = checked(Given(answers), "given")
    scores = scorer.score(IMAGES, PROMPTS)
    assert np.isnan(scores.values).all() and scorer.missing_share == 1.0


def test_a_wrong_length_is_an_error_that_names_the_reward_and_both_counts() -> None:
    with pytest.raises(RewardError, match="'short' returned 3 scores for 4 samples"):
        checked(Short(), "short").score(IMAGES, PROMPTS)


def test_a_part_of_the_wrong_length_is_an_error_too() -> None:
    class Lopsided(Short):
        def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
            return Scores.of([0.0] * len(prompts), {"odd": [1.0]})

    with pytest.raises(RewardError, match="1 values of its part 'odd' for 4"):
        checked(Lopsided(), "lopsided").score(IMAGES, PROMPTS)


def test_a_value_beside_a_status_other_than_ok_is_dropped() -> None:
    class Shy(Short):
        def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
            return Scores(np.zeros(4), ["ok", "abstain", "n/a", "ok"], {}, ["", "too far", "", ""])

    scores = checked(Shy(), "shy").score(IMAGES, PROMPTS)
    assert scores.status == ["ok", "abstain", "n/a", "ok"]
    assert np.isnan(scores.values).tolist() == [False, True, True, False]
    assert scores.reasons[1] == "too far"


def test_pictures_and_prompts_must_match() -> None:
    scorer = checked(Given({}), "given")
    with pytest.raises(RewardError, match="4 pictures and 1 prompts"):
        scorer.score(IMAGES, ["one"])
    with pytest.raises(RewardError, match="uint8 of shape"):
        scorer.score(IMAGES.astype(np.float32), PROMPTS)


def test_an_empty_batch_is_an_empty_answer() -> None:
    assert len(checked(Given({}), "given").score(IMAGES[:0], [])) == 0


def test_verdicts_outside_zero_to_one_are_missing() -> None:
    class Judge:
        shape = "pairwise"

        def compare(self, a: np.ndarray, b: np.ndarray, prompts: Sequence[str]) -> Verdicts:
            return Verdicts(np.array([0.0, 0.5, 1.5, np.nan]), ["ok"] * 4)

    judge = checked(Judge(), "judge")
    verdicts = judge.compare(IMAGES, IMAGES, PROMPTS)
    assert verdicts.status == ["ok", "ok", "error", "error"] and judge.missing_share == 0.5


# ---------------------------------------------------------------- some samples only


def test_what_does_not_apply_is_no_failure() -> None:
    class Shy(Short):
        def score(self, images: np.ndarray, prompts: Sequence[str]) -> Scores:
            return Scores(np.array([1, np.nan, np.nan, np.nan]), ["ok", "n/a", "abstain", "error"])

    scorer = checked(Shy(), "shy")
    scores = scorer.score(IMAGES, PROMPTS)
    assert (scores.num_missing, scores.num_not_applicable) == (2, 1)
    assert (scorer.num_missing, scorer.num_not_applicable, scorer.num_judged) == (2, 1, 4)
    assert scorer.missing_share == pytest.approx(2 / 3)


def test_a_routed_reward_sees_only_what_it_is_asked_about() -> None:
    """ "two" would raise; nobody asks, so nothing fails and nothing is counted."""
    answers = dict(zip(PROMPTS, (1.0, ValueError("never asked"), np.nan, 4.0), strict=True))
    scorer = checked(Given(answers), "given")
    wanted = np.array([True, False, True, True])
    scores = routed(scorer, PROMPTS, IMAGES, [0, 0, 0, 0], wanted)
    assert scores.values[[0, 3]].tolist() == [1, 4] and np.isnan(scores.values[1:3]).all()
    assert scores.status == ["ok", "n/a", "error", "ok"] and scores.reasons[1] == "not asked"
    assert scores.parts["twice"][3] == 8 and np.isnan(scores.parts["twice"][1])
    assert scores.num_missing == scorer.num_missing == 1 and scorer.num_judged == 3


def test_a_routed_groupwise_reward_gets_the_groups_of_its_rows() -> None:
    class Echo:
        shape = "groupwise"

        def score(self, images: np.ndarray, prompts: Sequence[str], groups: np.ndarray) -> Scores:
            return Scores.of(groups)

    wanted = np.array([False, True, False, True])
    scores = routed(checked(Echo(), "echo"), PROMPTS, IMAGES, [5, 6, 7, 8], wanted)
    assert scores.values[wanted].tolist() == [6, 8]


def test_a_routed_reward_that_nobody_asks_says_nothing() -> None:
    scorer = checked(Given({}), "given")
    scores = routed(scorer, PROMPTS, IMAGES, np.zeros(4), np.zeros(4, dtype=bool))
    assert scores.status == ["n/a"] * 4 and scores.num_missing == scorer.num_judged == 0


# ---------------------------------------------------------------- rewards that learn


class Counter(Given):
    """Learns how many pictures it has seen."""

    seen = 0

    def observe(self, images: np.ndarray, prompts: Sequence[str], step: int) -> dict[str, float]:
        if "bad" in prompts:
            raise ValueError("no such word")
        self.seen += len(images)
        return {"seen": float(self.seen)}

    def state(self) -> dict[str, np.ndarray]:
        return {"seen": np.array(self.seen)}

    def load_state(self, state: Mapping[str, np.ndarray]) -> None:
        self.seen = int(state["seen"])


def test_a_reward_without_the_hooks_does_not_learn_and_keeps_nothing() -> None:
    scorer = checked(Given({}), "given")
    assert not scorer.learns and scorer.observe(IMAGES, PROMPTS, 1) == scorer.state() == {}
    scorer.load_state({})
    with pytest.raises(RewardError, match="'given' does not learn"):
        scorer.load_state({"seen": np.array(1)})


def test_a_reward_that_learns_is_passed_through() -> None:
    scorer, again = checked(Counter({}), "counter"), checked(Counter({}), "counter")
    assert scorer.learns and scorer.observe(IMAGES, PROMPTS, 1) == {"seen": 4.0}
    again.load_state(scorer.state())
    assert again.observe(IMAGES, PROMPTS, 2) == {"seen": 8.0}


def test_a_lesson_that_fails_stops_the_run_with_a_sentence() -> None:
    with pytest.raises(RewardError, match=r"could not learn from .* update 7 .*no such word"):
        checked(Counter({}), "counter").observe(IMAGES[:1], ["bad"], 7)
