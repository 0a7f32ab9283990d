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
from backend.rl.refining import Again, refine
from backend.types import Pictures
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


def test_only_what_is_found_wanting_is_drawn_again_and_the_best_is_kept() -> None:
    """Pictures are one pixel whose value is how good it is: prompt "4" wants 4."""
    drawn: list[tuple[list[str], list[int], int]] = []

    def draw(requests: Sequence[str], which: Sequence[int], number: int) -> Pictures:
        drawn.append((list(requests), list(which), number))
        shade = [[0, 4, 2], [3, 4, 1], [2, 4, 4]][number]
        return np.array([shade[i] for i in which], np.uint8).reshape(-1, 1, 1, 1)

    def judge(prompts: Sequence[str], pictures: Pictures) -> np.ndarray:
        return pictures.reshape(-1).astype(np.float64)

    class Demanding:
        def next_requests(
            self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
        ) -> list[str | None]:
            good = pictures.reshape(-1) == 4
            return [None if ok else one + "!" for ok, one in zip(good, requests, strict=True)]

    found = refine(draw, judge, Demanding(), ["a", "b", "c"], 3)
    assert drawn == [
        (["a", "b", "c"], [0, 1, 2], 0),
        (["a!", "c!"], [0, 2], 1),
        (["a!!", "c!!"], [0, 2], 2),
    ]
    assert [kept.reshape(-1).tolist() for kept in found.kept] == [[0, 4, 2], [3, 4, 2], [3, 4, 4]]
    assert found.calls == [3, 5, 7]
    assert found.rewritten == 4
    drawn.clear()
    again = refine(draw, judge, Again(Demanding()), ["a", "b", "c"], 3)
    assert again.rewritten == 0
    assert again.calls == [3, 5, 7]
    assert drawn[1] == (["a", "c"], [0, 2], 1)
    with pytest.raises(InputError, match="0 rounds of 1 prompts draw no picture"):
        refine(draw, judge, Demanding(), ["a"], 0)


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
