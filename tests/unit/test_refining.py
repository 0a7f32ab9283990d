"""Better without training: the loop's calls and picks, and the critic of the pocket world."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InputError
from backend.pocket import judging, world
from backend.pocket.critic import PocketCritic, rewrite
from backend.rl import refining
from backend.rl.refining import refine
from workers.bench import untrained
from workers.bench.lab import Lab

RED = "two large red stars above a small blue cross on a white background"


@pytest.mark.parametrize(
    ("request_", "seen", "following"),
    [
        (RED, RED, None),
        (RED, "a small blue cross below two large red stars on a white background", None),
        (
            RED,
            "a large red star above a small blue cross on a white background",
            "three large red stars above a small blue cross on a white background",
        ),
        (
            RED,
            "two large red stars left of a small blue cross on a white background",
            "a small blue cross below two large red stars on a white background",
        ),
        (
            "a small blue cross below two large red stars on a white background",
            "three large red stars above a small blue cross on a white background",
            "a large red star above a small blue cross on a white background",
        ),
        (RED, "red red red", RED),
    ],
)
def test_a_request_leans_against_what_was_drawn(
    request_: str, seen: str, following: str | None
) -> None:
    assert rewrite(RED, request_, seen) == following


SHADES = [[0, 4, 2], [3, 4, 1], [2, 4, 4]]
"""How good the picture of each prompt is that is drawn in a round."""


class Studio:
    """Pictures whose number says round and prompt; another's request makes one of its own."""

    def __init__(self) -> None:
        self.drawn: list[tuple[list[str], list[int], int]] = []

    def draw(self, requests: Sequence[str], which: Sequence[int], number: int) -> list[int]:
        self.drawn.append((list(requests), list(which), number))
        return [10 * number + i for i in which]


def shade(prompts: Sequence[str], pictures: Sequence[int]) -> np.ndarray:
    return np.array([SHADES[one // 10][one % 10] for one in pictures], float)


def demanding(
    prompts: Sequence[str], requests: Sequence[str], pictures: Sequence[int]
) -> list[str | None]:
    good = shade(prompts, pictures) == 4
    return [None if ok else one + "!" for ok, one in zip(good, requests, strict=True)]


def test_only_what_is_found_wanting_is_drawn_again_and_the_best_is_kept() -> None:
    studio, judge, prompts = Studio(), refining.ByValue(shade), ["a", "b", "c"]
    found = refine(studio.draw, judge, {"refine": demanding}, prompts, 3)["refine"]
    assert studio.drawn == [
        (["a", "b", "c"], [0, 1, 2], 0),
        (["a!", "c!"], [0, 2], 1),
        (["a!!", "c!!"], [0, 2], 2),
    ]
    values = [shade(prompts, kept).tolist() for kept in found.kept]
    assert values == [[0, 4, 2], [3, 4, 2], [3, 4, 4]]
    assert found.calls == [3, 5, 7]
    assert found.rewritten == 4
    ways = {"again": refining.in_same_words(demanding), "best": refining.always}
    both = refine(studio.draw, judge, ways, prompts, 3)
    assert both["again"].rewritten == 0 and both["again"].calls == [3, 5, 7]
    assert both["best"].calls == [3, 6, 9]
    rows = refining.rows({"refine": found, **both}, {"shade": judge}, prompts)
    last = next(row for row in rows if row["way"] == "refine" and row["rounds"] == 3)
    assert last["gains"]["shade"] == {
        "gain": pytest.approx(5 / 3),
        "se": pytest.approx(np.std([3, 0, 2], ddof=1) / np.sqrt(3)),
        "num": 3,
        "value": pytest.approx(11 / 3),
    }
    assert last["calls"] == pytest.approx(7 / 3)
    assert refining.apart(found, both["again"], judge, prompts).mean == 0
    with pytest.raises(InputError, match="0 rounds of 1 prompts draw no picture"):
        refine(studio.draw, judge, {"best": refining.always}, ["a"], 0)


def test_a_value_that_is_missing_neither_wins_nor_counts_as_a_gain() -> None:
    known = {0: np.nan, 1: 2.0, 2: np.nan}
    judge = refining.ByValue(lambda _prompts, which: np.array([known[one] for one in which]))
    words = ["a"] * 3
    assert judge.better(words, [0, 1, 2], [1, 2, 2]).tolist() == [True, False, False]
    assert np.isnan(judge.gain(["a"], [0], [1]))[0]


def test_a_judge_of_pairs_is_asked_both_ways_and_its_liking_for_the_first_is_taken_off() -> None:
    def prefer(
        prompts: Sequence[str], one: Sequence[int], other: Sequence[int]
    ) -> np.ndarray:  # likes what is shown first by .3, and higher numbers by .2
        return np.array([0.5 + 0.3 + 0.2 * np.sign(a - b) for a, b in zip(one, other, strict=True)])

    judge = refining.ByPairs(prefer)
    assert judge.better(["a", "a"], [1, 2], [2, 1]).tolist() == [True, False]
    assert judge.bouts == 4
    assert judge.gain(["a", "a"], [1, 1], [1, 2]).tolist() == pytest.approx([0.0, 0.2])
    alone = refining.ByPairs(prefer, both_ways=False)
    assert alone.better(["a"], [2], [1]).tolist() == [True] and alone.bouts == 1


def test_the_judge_s_description_finds_a_missing_thing() -> None:
    critic = PocketCritic(judging.load())
    wanted = "three small red circles on a white background"
    shown = "a small red circle on a white background"
    said = critic.next_requests([wanted] * 2, [wanted] * 2, world.render_many([wanted, shown], 3))
    assert said == [None, wanted]  # three is already the most that can be asked for


def test_the_benchmark_compares_three_ways_call_for_call(tmp_path: Path) -> None:
    lab = Lab(tmp_path, num_prompts=4, num_steps=2)
    found = untrained.bench(lab, untrained.UntrainedPlan(rounds=2))
    assert json.loads((tmp_path / "untrained.json").read_text())["rows"] == found["rows"]
    first = {row["verifier"] for row in found["rows"][::2]}
    assert len(first) == 1, "all start from the same pictures"
    best, again, refined = found["rows"][1::2]
    assert best["calls"] == 2
    assert again["calls"] == refined["calls"] <= 2
    assert "| best of N |" in (tmp_path / "untrained.md").read_text()
    assert (tmp_path / "untrained.png").stat().st_size > 1000
