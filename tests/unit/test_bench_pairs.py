"""The bench of judges: any pair file and VL-RewardBench's layout, and the figures by category."""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from backend.errors import InputError
from backend.rewards import _pair_bench
from backend.rewards.interface import Verdicts, checked
from workers.bench import pairs
from workers.bench.pair_file import read


def png(shade: int, size: tuple[int, int] = (8, 8)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (shade, shade, shade)).save(file, "PNG")
    return file.getvalue()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pairs of flat pictures in two sizes; brightness is right about three of four."""
    for name, shade in (("dark", 20), ("light", 200), ("grey", 120)):
        (tmp_path / f"{name}.png").write_bytes(png(shade))
    (tmp_path / "wide.png").write_bytes(png(250, (16, 8)))
    rows = [
        ("light", "dark", "a", "counting"),
        ("dark", "light", "b", "counting"),
        ("dark", "grey", "a", "colour"),
        ("wide", "grey", "a", "colour"),
        ("dark", "grey", "tie", "colour"),
    ]
    lines = [
        {"prompt": "p", "image_a": a, "image_b": b, "preferred": said, "query_source": category}
        for a, b, said, category in rows
    ]
    (tmp_path / "pairs.jsonl").write_text("\n".join(json.dumps(line) for line in lines))
    return tmp_path


def test_a_judge_gets_its_exact_score_on_pictures(folder: Path) -> None:
    out, said = folder / "out.json", list[str]()
    plan = pairs.Plan(folder / "pairs.jsonl", "brightness", json=out)
    pairs.run(plan, said.append)
    found = json.loads(out.read_text())
    assert found["all"] | {"low": 0, "high": 0} == {
        "name": "all",
        "pairs": 4,
        "missing": 0,
        "accuracy": 0.75,
        "low": 0,
        "high": 0,
        "flips": 0.0,
        "ties": 0,
    }
    assert found["all"]["low"] == pytest.approx(0.3006, abs=1e-3)  # Wilson, 3 of 4
    assert found["all"]["high"] == pytest.approx(0.9544, abs=1e-3)
    assert [(row["name"], row["accuracy"]) for row in found["categories"]] == [
        ("colour", 0.5),
        ("counting", 1.0),
    ]
    assert found["macro"] == 0.75 and found["left_out"] == 1
    assert any("counting" in line and "100.0%" in line for line in said)
    pairs.run(pairs.Plan(folder / "pairs.jsonl", "brightness", limit=2, json=out), said.append)
    assert json.loads(out.read_text())["all"]["pairs"] == 2


class Words:
    """Prefers the answer with the word 'right'; a liking for the first where neither has it."""

    shape = "pairwise"

    def __init__(self, mute: Callable[[str], bool] = lambda _prompt: False) -> None:
        self.mute, self.seen = mute, list[Any]()

    def compare(self, a: np.ndarray, b: np.ndarray, prompts: Sequence[str]) -> Verdicts:
        raise AssertionError("answers are in words")

    def compare_texts(
        self, shown: Sequence[Any], one: Sequence[str], other: Sequence[str], prompts: Sequence[str]
    ) -> Verdicts:
        self.seen += [picture.shape for picture in shown]
        value = [
            np.nan if self.mute(prompt) else float("right" in a or "right" not in b)
            for prompt, a, b in zip(prompts, one, other, strict=True)
        ]
        return Verdicts(np.array(value), ["ok"] * len(value))


def vl(tmp_path: Path) -> Path:
    """The layout of VL-RewardBench, its pictures inside a Parquet file, as `datasets` does."""
    rows: list[dict[str, Any]] = [
        {"id": "RLAIF-V-1", "response": ["right", "wrong"], "human_ranking": [0, 1]},
        {"id": "RLHF-V-2", "response": ["wrong", "right"], "human_ranking": [1, 0]},
        {"id": "mathverse_3", "response": ["right", "wrong"], "human_ranking": [1, 0]},
        {"id": "mmmu_pro_4", "response": ["dim", "vague"], "human_ranking": [0, 1]},
        {"id": "wildvision-5", "response": ["right", "wrong"], "human_ranking": [0, 1]},
    ]
    for row in rows:
        row |= {"query": f"what of {row['id']}?", "image": {"bytes": png(9), "path": "a.png"}}
    path = tmp_path / "vl.parquet"
    pq.write_table(pa.Table.from_pylist(rows), path)
    return path


def test_answers_in_words_are_judged_both_ways_round_by_category(tmp_path: Path) -> None:
    file, judge = read(vl(tmp_path)), Words(lambda prompt: "wildvision" in prompt)
    one, other = pairs.ask(checked(judge, "words"), file.pairs)
    found = _pair_bench.figures([pair.category for pair in file.pairs], one, other)
    told = {row["name"]: row for row in [*found["categories"], found["all"]]}
    assert told["hallucination"]["accuracy"] == 1.0
    assert told["reasoning"]["accuracy"] == 0.25  # wrong once, a tie that says the first twice
    assert told["reasoning"]["flips"] == 0.5
    assert told["general"]["accuracy"] is None and told["general"]["missing"] == 1
    assert told["all"]["pairs"] == 5 and told["all"]["missing"] == 1
    assert found["macro"] == pytest.approx(0.625)
    assert set(judge.seen) == {(8, 8, 3)}


def test_what_cannot_be_benched_is_refused_with_its_line(tmp_path: Path, folder: Path) -> None:
    with pytest.raises(InputError, match="answers in words"):
        pairs.run(pairs.Plan(vl(tmp_path), "pocket-judge"), print)
    broken = tmp_path / "broken.jsonl"
    good = {"query": "q", "response": ["a", "b"], "human_ranking": [0, 1], "image": "dark"}
    for fault in ({"response": ["a"]}, {"human_ranking": ["x", 1]}, {"image": 7}, {"query": " "}):
        broken.write_text(f"{json.dumps(good)}\n{json.dumps(good | fault)}\n")
        with pytest.raises(InputError, match=r"broken.jsonl, line 2"):
            read(broken, folder)
    broken.write_text(json.dumps(good | {"human_ranking": [0, 0]}))
    with pytest.raises(InputError, match="no pair"):
        read(broken, folder)
    (folder / "dark.png").unlink()
    with pytest.raises(InputError, match="no picture 'dark'"):
        read(folder / "pairs.jsonl")
