"""The audit of judges: each bad judge fails the test that is about its fault, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from backend.pocket import verifier
from backend.pocket.audit_material import material
from backend.preferences.intervals import wilson
from backend.rewards import _audit, _edits, _own_material
from backend.rewards._audit import MARKS, Material, audit
from backend.rewards.interface import Verdicts, checked

MATERIAL = material(num_pairs=40, num_groups=8)
Rule = Callable[[np.ndarray, np.ndarray], np.ndarray]


class Judge:
    """Knows the verifier's total of both pictures and answers by a rule."""

    shape = "pairwise"

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def compare(self, a: np.ndarray, b: np.ndarray, prompts: Sequence[str]) -> Verdicts:
        of_a, of_b = (verifier.score(x, list(prompts))["total"].astype(float) for x in (a, b))
        return Verdicts(self.rule(of_a, of_b), ["ok"] * len(prompts))


def knows(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-(a - b) / 0.02))


def likes_the_first(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-((a - b) / 0.05 + 8)))


def moody() -> Rule:
    rng = np.random.default_rng(0)
    return lambda a, b: np.where(rng.random(len(a)) < 0.3, rng.random(len(a)), knows(a, b))


def report(rule: Rule) -> dict:
    return audit(checked(Judge(rule), "judge"), MATERIAL)


def test_whoever_knows_passes_every_test() -> None:
    found = report(knows)
    assert [test["name"] for test in found["tests"]] == list(MARKS)
    assert found["failed"] == [] and found["passed"], found["tests"]
    assert found["flips"] <= 0.02 and found["accuracy"]["value"] > 0.95
    assert found["accuracy"]["low"] < found["accuracy"]["value"] <= found["accuracy"]["high"]
    assert found["accuracy"]["pairs"] == 40


def test_a_liking_for_what_stands_first_fails_on_order_flips_alone() -> None:
    found = report(likes_the_first)
    assert found["failed"] == ["order flips"] and found["flips"] > 0.15
    assert found["accuracy"]["value"] > 0.9  # both orders together still know


def test_a_judge_of_moods_is_inconsistent() -> None:
    assert "consistency" in report(moody())["failed"]


def test_a_coin_agrees_with_nobody_and_spreads_like_a_coin() -> None:
    rng = np.random.default_rng(1)
    failed = report(lambda a, b: rng.random(len(a)))["failed"]
    assert {"order flips", "consistency", "agreement", "ladder", "spread"} <= set(failed)


def test_a_judge_who_likes_what_is_worthless_is_opened_by_master_keys() -> None:
    found = report(lambda a, b: knows(np.where(a < 0.2, 2.0, a), np.where(b < 0.2, 2.0, b)))
    assert "master keys" in found["failed"]


class Saturation:
    """Pointwise, and blind to the prompt."""

    shape = "pointwise"

    def score(self, images: np.ndarray, prompts: Sequence[str]):
        from backend.rewards.interface import Scores

        spread = images.max(axis=3).astype(float) - images.min(axis=3)
        return Scores.of(spread.mean(axis=(1, 2)))


def test_a_pointwise_reward_can_be_audited_and_saturation_is_blind_and_levered() -> None:
    found = audit(checked(Saturation(), "saturation"), MATERIAL)
    assert found["flips"] == 0.0
    assert {"blindness", "cheap edits"} <= set(found["failed"])
    edits = next(test for test in found["tests"] if test["name"] == "cheap edits")
    assert "saturation" in edits["detail"]


def test_a_dead_judge_passes_nothing_and_nothing_is_made_up() -> None:
    def dead(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        raise ConnectionError("down")

    found = report(dead)
    assert found["failed"] == list(MARKS) and found["missing"] == 1.0
    assert all(test["value"] is None for test in found["tests"])
    assert found["flips"] is None and found["accuracy"]["pairs"] == 0


@pytest.mark.parametrize("name", list(_edits.CHEAP))
def test_edits_change_the_looks_and_only_tiling_what_is_shown(name: str) -> None:
    pictures = MATERIAL.better[:8]
    edited = np.stack([_edits.CHEAP[name](picture) for picture in pictures])
    assert edited.shape == pictures.shape and edited.dtype == np.uint8
    assert (edited != pictures).any()
    prompts = MATERIAL.prompts[:8]
    before, after = (verifier.score(x, prompts)["total"].mean() for x in (pictures, edited))
    assert (after < 0.6 * before) == (name == "tiling")


# ---------------------------------------------------------------- a project's own pairs

OWN = ("order flips", "consistency", "agreement", "ties", "master keys", "blindness")
NUM = len(MATERIAL.prompts)
SAID = np.stack([np.ones(NUM), np.ones(NUM), np.full(NUM, np.nan)])
SAID[1, :4], SAID[2, :10], SAID[2, 3] = 0, 1, 0.5
"""Three people: the second takes the other picture of four pairs, the third answers ten."""


def own(votes: np.ndarray = SAID, side: int = 64) -> Material:
    """The same pairs, of which only answers are known; 4 of 80 answers were ties."""
    grown = (side // 64, side // 64, 1)
    better, worse = (
        np.kron(x, np.ones((1, *grown), np.uint8)) for x in (MATERIAL.better, MATERIAL.worse)
    )
    ties = wilson(4, 80)
    return _own_material.material(MATERIAL.prompts, better, worse, votes.tolist(), ties)


def of(found: dict, name: str) -> dict:
    return next(test for test in found["tests"] if test["name"] == name)


def test_own_pairs_are_tested_by_what_people_answered_and_nothing_else() -> None:
    found = audit(checked(Judge(knows), "judge"), own())
    assert [test["name"] for test in found["tests"]] == list(OWN)
    assert found["passed"], found["tests"]
    # two of three decided alike: 36 of 40, 9 of 9, and 6 of 9 where the first four were turned
    among = wilson(36 + 9 + 6, 40 + 9 + 9)
    agreement = of(found, "agreement")
    assert agreement["threshold"] == round(among.low, 4)
    assert f"people with one another {among.value:.0%}" in agreement["detail"]


def test_a_judge_that_cannot_decide_fails_on_ties() -> None:
    totals = [
        verifier.score(x, MATERIAL.prompts)["total"] for x in (MATERIAL.better, MATERIAL.worse)
    ]
    near = float(np.quantile(abs(totals[0] - totals[1]), 0.4))

    def unsure(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return np.where(abs(a - b) <= near, 0.5, knows(a, b))

    found = audit(checked(Judge(unsure), "judge"), own())
    ties = of(found, "ties")
    assert ties["value"] == pytest.approx((abs(totals[0] - totals[1]) <= near).mean(), abs=1e-4)
    assert not ties["pass"] and ties["threshold"] == round(max(0.1, wilson(4, 80).high), 4)
    assert "order flips" not in found["failed"]


def test_one_persons_answers_stand_beside_guessing() -> None:
    found = audit(checked(Judge(knows), "judge"), own(SAID[:1]))
    agreement = of(found, "agreement")
    assert agreement["pass"] and agreement["threshold"] == 0.5
    rng = np.random.default_rng(2)
    guessing = audit(checked(Judge(lambda a, b: rng.random(len(a))), "judge"), own(SAID[:1]))
    assert "agreement" in guessing["failed"]


def test_keys_are_of_the_pictures_own_size() -> None:
    made = own(side=128)
    assert {keys.shape[1:] for keys in made.keys.values()} == {(128, 128, 3)}
    blank, caption = made.keys["blank"][0], made.keys["caption"][0]
    assert len(np.unique(blank.reshape(-1, 3), axis=0)) == 1
    assert len(np.unique(caption.reshape(-1, 3), axis=0)) > 1


def test_a_tie_one_way_and_a_decision_the_other_is_no_contradiction() -> None:
    """Whichever way it goes: neither toward the first nor toward the second."""
    one = np.array([0.5, 0.5, 1.0, 0.9, np.nan, 0.51])
    other = np.array([1.0, 0.0, 1.0, 0.1, 0.1, 0.49])
    assert _audit.flips(one, other).tolist() == [False, False, False, True]
