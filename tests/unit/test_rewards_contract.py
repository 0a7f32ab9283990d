"""What every reward is held to: reasons of failures, one version for one formula, the check before
a run."""

from __future__ import annotations

import numpy as np
import pytest

from backend.registry import rewards
from backend.rewards import _start, _version
from backend.rewards._start import start_check
from backend.rewards.interface import Checked, Scores, checked

IMAGES, PROMPTS = _start.pocket_anchors(8)


def load(kind: str, **config: object) -> Checked:
    module = rewards.get(kind)
    return checked(module.load(module.Config.read(config)), kind)  # type: ignore[no-any-return]


class Says:
    """A reward that computes what it is told to."""

    shape = "pointwise"

    def __init__(self, answer: object) -> None:
        self.answer = answer

    def score(self, images: np.ndarray, prompts: list[str]) -> Scores:
        return Scores.of(self.answer(images))  # type: ignore[operator]


def faults(reward: Checked, known: np.ndarray | None = None) -> set[str]:
    return {c.name for c in start_check(reward, IMAGES, PROMPTS, known) if not c.passed}


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (TimeoutError("too late"), "timeout"),
        (OutOfMemoryError("2 GiB"), "oom"),
        (MemoryError(), "oom"),
        (ValueError("odd"), "error"),
    ],
)
def test_a_failure_has_its_reason_and_no_value(error: Exception, status: str) -> None:
    def fails(images: np.ndarray) -> np.ndarray:
        raise error

    said = checked(Says(fails), "ill").score(IMAGES[:2], PROMPTS[:2])
    assert said.status == [status] * 2 and np.isnan(said.values).all()
    assert all(reason.startswith(type(error).__name__) for reason in said.reasons)
    assert said.num_missing == 2


# --- version ------------------------------------------------------------------------------------


def test_a_version_does_not_hang_on_time_limits_and_is_also_that_of_a_win_rates_judge() -> None:
    def of(kind: str, **config: object) -> str:
        return _version.version(kind, rewards.get(kind).Config.read(config))

    assert of("judge", timeout_s=3.0, price_in=1.0) == of("judge")
    assert of("judge", temperature=0.5) != of("judge") != of("judge", revision="b")
    wins = {"judge": "judge-pair"}
    assert of("win-rate", **wins, judge_config={"retries": 1}) == of("win-rate", **wins)
    assert of("win-rate", **wins, judge_config={"ask": "think"}) != of("win-rate", **wins)


def test_a_version_is_that_of_settings_and_code() -> None:
    module = rewards.get("brightness")
    light, dark = module.Config(), module.Config(prefer="dark")
    assert _version.version("brightness", light) == _version.version("brightness", light)
    assert _version.version("brightness", light) != _version.version("brightness", dark)
    saturated = rewards.get("saturation").Config()
    assert _version.version("saturation", saturated) != _version.version("brightness", light)


def test_code_counts_with_what_it_imports_and_without_its_comments(
    tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    texts = {
        "backend.rewards.one": "'''Idea.'''\nfrom backend.rewards import two\nx = two.f(1)  # a\n",
        "backend.rewards.two": "def f(a):\n    '''Help.'''\n    return a + 1\n",
    }

    def source(name: str) -> object:
        if name not in texts:
            return None
        path = tmp_path / f"{name}.py"  # type: ignore[operator]
        path.write_text(texts[name])
        return path

    def code() -> str:
        _version.code.cache_clear()
        return _version.code("backend.rewards.one")

    monkeypatch.setattr(_version, "_source", source)
    first = code()
    texts["backend.rewards.one"] = "from backend.rewards import two\n\nx = two.f(  1 )\n"
    texts["backend.rewards.two"] = "def f(a):\n    return a + 1\n"
    assert code() == first
    texts["backend.rewards.two"] = "def f(a):\n    return a + 2\n"
    assert code() != first
    _version.code.cache_clear()


# --- the check before a run -----------------------------------------------------------------------


def test_a_reward_that_reads_the_picture_passes() -> None:
    assert faults(load("pocket-verifier")) == set()
    assert faults(load("win-rate")) == set()


def test_each_fault_is_found() -> None:
    """Of a reward that loves noise, one that reads text, one that is constant, random or silent."""
    rng = np.random.default_rng(0)
    grainy = checked(Says(lambda i: np.diff(i.astype(float), axis=2).std(axis=(1, 2, 3))), "grain")
    assert "noise" in faults(grainy)
    assert "words" in faults(checked(Says(lambda i: i.mean(axis=(1, 2, 3))), "bright"))
    assert "blank" in faults(checked(Says(lambda i: -i.std(axis=(1, 2, 3))), "flat"))
    assert "anchors" in faults(checked(Says(lambda i: np.ones(len(i))), "constant"))
    assert "duplicate" in faults(checked(Says(lambda i: rng.normal(size=len(i))), "random"))
    assert "anchors" in faults(checked(Says(lambda i: np.full(len(i), np.nan)), "silent"))


def test_known_values_must_come_again() -> None:
    reward = load("pocket-verifier")
    known = reward.score(IMAGES, PROMPTS).values
    assert faults(reward, known) == set()
    assert faults(reward, known + 0.01) == {"known"}
    lost = known.copy()
    lost[0] = np.nan
    assert faults(reward, lost) == {"known"}


def test_the_words_are_on_the_picture() -> None:
    picture = _start.painted("a red circle on a white background", 64, 64)
    assert picture.shape == (64, 64, 3) and 0.02 < (picture < 100).mean() < 0.5
