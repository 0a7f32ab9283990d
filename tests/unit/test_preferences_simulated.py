"""Simulated annotators: a written utility, people who differ, the same answers for a seed."""

from __future__ import annotations

import numpy as np
import pytest

from backend.errors import InputError
from backend.pocket import verifier, world
from backend.preferences import simulated
from backend.preferences.simulated import Annotator, annotators
from backend.rewards import _statistics

PROMPTS = world.draw(60, 3)
RIGHT = world.render_many(PROMPTS, 0)
WRONG = world.render_many(PROMPTS[1:] + PROMPTS[:1], 0)


def test_the_utility_is_the_one_written_down() -> None:
    align = verifier.score(RIGHT, PROMPTS)["total"]
    by_hand = 16 * align + 20 * _statistics.saturation(RIGHT) + 5 * _statistics.centring(RIGHT)
    assert simulated.utility(RIGHT, PROMPTS) == pytest.approx(by_hand, rel=1e-6)
    parts = simulated.scores(RIGHT, PROMPTS).parts
    assert sum(parts.values()) == pytest.approx(by_hand, rel=1e-6)


def test_different_seeds_are_different_people_and_the_same_seed_is_the_same() -> None:
    people = annotators(5, seed=0)
    assert len({person.alignment for person in people}) == 5
    assert len({person.side_bias for person in people}) == 5
    assert annotators(5, seed=0) == people != annotators(5, seed=1)
    assert all(0.01 <= person.lapse <= 0.05 for person in people)


def test_of_two_tastes_every_other_person_looks_more_at_colour_and_place() -> None:
    one, other, third = annotators(3, seed=0, tastes=2)
    plain = annotators(3, seed=0)
    assert (one, third) == (plain[0], plain[2])
    assert other.alignment == plain[1].alignment / 2
    assert other.saturation == plain[1].saturation * 6 and other.centring == plain[1].centring * 4
    assert other.name == f"{plain[1].name}-second"
    align = verifier.score(RIGHT, PROMPTS)["total"]
    saturated, centred = _statistics.saturation(RIGHT), _statistics.centring(RIGHT)
    both = simulated.scores(RIGHT, PROMPTS, ("first", "second")).values
    assert both == pytest.approx(12 * align + 70 * saturated + 12.5 * centred, rel=1e-6)


def test_the_same_key_repeats_an_answer_and_another_key_may_change_it() -> None:
    person = Annotator.from_seed(1)
    one = [person.judge(RIGHT[0], RIGHT[0], PROMPTS[0], key=7) for _ in range(2)]
    assert one[0] == one[1]
    answers = {person.judge(RIGHT[0], RIGHT[0], PROMPTS[0], key=k).choice for k in range(40)}
    assert {"left", "right"} <= answers


def test_people_mostly_prefer_the_picture_that_fits_whichever_side_it_stands_on() -> None:
    for person in annotators(4, seed=2):
        keys = range(len(PROMPTS))
        left = person.judge_many(RIGHT, WRONG, PROMPTS, keys)
        right = person.judge_many(WRONG, RIGHT, PROMPTS, keys)
        assert np.mean([j.choice == "left" for j in left]) > 0.85
        assert np.mean([j.choice == "right" for j in right]) > 0.85


def test_someone_who_leans_left_chooses_left_more_often_between_equals() -> None:
    person = Annotator(0, 10.0, 8.0, 4.0, 1.5, 1.0, 0.3, 0.0, 1.0)
    same = person.judge_many(RIGHT, RIGHT, PROMPTS, range(len(PROMPTS)))
    left, right = (sum(j.choice == side for j in same) for side in ("left", "right"))
    assert left > 2 * right


def test_two_bad_pictures_are_both_bad_rather_than_a_tie() -> None:
    person = Annotator(0, 10.0, 0.0, 0.0, 0.0, 1e-6, 5.0, 0.0, 1.0)
    bad = verifier.score(WRONG, PROMPTS)["total"] < simulated.BAD
    answers = person.judge_many(WRONG, WRONG, PROMPTS, range(len(PROMPTS)))
    assert bad.any()
    for answer, is_bad in zip(answers, bad, strict=True):
        assert answer.choice == ("both_bad" if is_bad else "tie")


def test_hard_pairs_take_longer() -> None:
    person = Annotator.from_seed(3)
    keys = range(len(PROMPTS))
    easy = np.mean([j.seconds for j in person.judge_many(RIGHT, WRONG, PROMPTS, keys)])
    hard = np.mean([j.seconds for j in person.judge_many(RIGHT, RIGHT, PROMPTS, keys)])
    assert 0.3 < easy < hard < 5


def test_pairs_that_do_not_match_are_refused() -> None:
    with pytest.raises(InputError, match="do not make pairs"):
        Annotator.from_seed(0).judge_many(RIGHT, WRONG[:2], PROMPTS, range(60))


def test_each_key_draws_the_side_and_the_answer_is_about_what_was_shown() -> None:
    person, keys = Annotator.from_seed(0), list(range(40))
    a, b, prompts = RIGHT[:40], WRONG[:40], PROMPTS[:40]
    shuffled = person.judge_shuffled(a, b, prompts, keys)
    assert {side for _, side in shuffled} == {"a", "b"}
    for i, (said, side) in enumerate(shuffled):
        left, right = (a[i], b[i]) if side == "a" else (b[i], a[i])
        assert said.choice == person.judge(left, right, prompts[i], key=i).choice
