"""The audit of judges: each bad judge fails the test that is about its fault, and no other."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest

from backend.pocket import verifier
from backend.pocket.audit_material import material
from backend.rewards import _edits
from backend.rewards._audit import MARKS, audit
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
