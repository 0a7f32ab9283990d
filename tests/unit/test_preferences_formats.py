"""Labels out and in again; every fault has a place and a reason."""

from __future__ import annotations

import json

import pytest

from backend.errors import InputError
from backend.preferences.formats import PairRow, Row, read, read_pairs, write

ROWS = [
    Row("a cat", "h1", "h2", "a", "b", "ann", False, 10.0, 11.5, ["sharper"], "nice", "c-1"),
    Row("a “dog”\nrunning", "h3", "h4", "b", "a", "bo", True, 12.0, 13.0, [], "", "c-2"),
    Row("a cat", "h1", "h3", "tie", "a", "ann", False, 14.0, 15.0, [], "", "c-3"),
    Row("a cat", "h1", "h5", "both_bad", "a", "ann", False, 16.0, 17.0, [], "", "c-4"),
    Row("a cat", "h2", "h5", "skip", "a", "ann", False, 18.0, 19.0, [], "", "c-5"),
]


def lines(*records: object) -> str:
    return "\n".join(json.dumps(record) for record in records)


def test_our_own_format_comes_back_row_for_row() -> None:
    text = "".join(write(ROWS, "jsonl"))
    assert len(text.splitlines()) == len(ROWS)
    assert read(text, "jsonl").rows == ROWS and read(text, "jsonl").problems == []


def test_trl_rows_hold_decided_labels_and_come_back_as_chosen_over_rejected() -> None:
    text = "".join(write(ROWS, "trl"))
    records = [json.loads(line) for line in text.splitlines()]
    assert [set(record) for record in records] == [{"prompt", "chosen", "rejected"}] * 2
    assert (records[1]["chosen"], records[1]["rejected"]) == ("h4", "h3")
    back = read(text, "trl").rows
    assert [(row.image_a, row.image_b, row.preferred) for row in back] == [
        ("h1", "h2", "a"),
        ("h4", "h3", "a"),
    ]
    assert "".join(write(back, "trl")) == text


def test_pick_a_pic_columns_count_ties_as_halves_and_leave_skips_out() -> None:
    records = [json.loads(line) for line in write(ROWS, "pickapic")]
    assert [(r["label_0"], r["label_1"]) for r in records] == [
        (1, 0),
        (0, 1),
        (0.5, 0.5),
        (0.5, 0.5),
    ]
    assert [r["best_image_uid"] for r in records[:3]] == ["h1", "h4", "tie"]
    assert records[0]["created_at"] == "1970-01-01T00:00:11.500000+00:00"


def test_every_fault_is_reported_with_its_line_and_column() -> None:
    good = {"prompt": "p", "image_a": "x", "image_b": "y", "preferred": "a"}
    text = "\n".join(
        [
            json.dumps(good),
            '{"prompt": "p", ',
            json.dumps({**good, "preferred": "c"}),
            "",
            json.dumps({key: value for key, value in good.items() if key != "image_b"}),
            json.dumps({**good, "promt": "p"}),
            json.dumps({**good, "t_answer": "late"}),
            json.dumps({**good, "prompt": " "}),
            "[1, 2]",
        ]
    )
    reading = read(text, "jsonl", "mine.jsonl")
    assert len(reading.rows) == 1
    assert [(problem.line, problem.column) for problem in reading.problems] == [
        (2, "character 17"),
        (3, "preferred"),
        (5, "image_b"),
        (6, "promt"),
        (7, "t_answer"),
        (8, "prompt"),
        (9, "line"),
    ]
    assert str(reading.problems[1]).startswith("mine.jsonl, line 3, preferred: is 'c'; choose a, b")


def test_an_empty_file_is_a_problem() -> None:
    assert read("\n\n", "jsonl").problems[0].reason == "the file holds no labels"


def test_a_conversation_is_refused_with_a_reason() -> None:
    text = lines({"prompt": [{"role": "user", "content": "x"}], "chosen": "a", "rejected": "b"})
    assert "conversation" in read(text, "trl").problems[0].reason


def test_unknown_formats_are_refused() -> None:
    with pytest.raises(InputError, match=r"choose argilla, .*, trl"):
        list(write(ROWS, "csv"))
    with pytest.raises(InputError, match=r"choose argilla, .*, trl"):
        read("", "csv")


def test_pick_a_pic_rows_come_back_but_for_what_they_cannot_say() -> None:
    back = read("".join(write(ROWS, "pickapic")), "pickapic")
    assert back.problems == []
    assert [(row.image_a, row.preferred, row.id) for row in back.rows] == [
        ("h1", "a", "c-1"),
        ("h3", "b", "c-2"),
        ("h1", "tie", "c-3"),
        ("h1", "both_bad", "c-4"),  # by our own column; others read a tie
    ]
    assert (back.rows[0].annotator, back.rows[0].t_answer) == ("ann", 11.5)
    odd = {"caption": "p", "image_0_uid": "x", "image_1_uid": "y", "label_0": 1, "label_1": 1}
    assert "neither 1 and 0" in str(read(lines(odd), "pickapic").problems[0])
    undated = {**odd, "label_1": 0, "created_at": "yesterday"}
    assert read(lines(undated), "pickapic").problems[0].column == "created_at"
    unjudged = {**odd, "has_label": False}
    assert read(lines(unjudged), "pickapic").problems[0].column == "has_label"


def test_pairs_have_a_prompt_and_two_pictures_and_nothing_else() -> None:
    good = {"prompt": "p", "image_a": "x.png", "image_b": "y.png"}
    found = read_pairs(lines(good, {**good, "preferred": "a"}, {**good, "image_b": 3}))
    assert (found.rows, found.lines) == ([PairRow("p", "x.png", "y.png")], [1])
    assert [problem.column for problem in found.problems] == ["preferred", "image_b"]
    assert read_pairs("").problems[0].reason == "the file holds no pairs"


def test_items_are_one_picture_four_or_two_texts_too() -> None:
    words = {"prompt": "p", "text_a": "one", "text_b": "two", "subject": "x.png"}
    four = {"prompt": "p", "images": ["1", "2", "3", "4"]}
    found = read_pairs(lines({"prompt": "p", "image": "x.png", "key": "k"}, four, words))
    assert found.problems == []
    one, of_four, two = found.rows
    assert (one.is_single, one.key, of_four.more) == (True, "k", ["3", "4"])
    assert (two.is_text, two.is_single, two.subject) == (True, False, "x.png")
    bad = ({**four, "images": ["1"]}, {**words, "text_b": " "}, {**words, "image_a": "y.png"})
    assert [one.column for one in read_pairs(lines(*bad)).problems] == [
        "images",
        "text_b",
        "image_a",
    ]


def test_separators_inside_a_text_do_not_end_its_line() -> None:
    text = "".join(write([Row("a\u2028b\x85c", "h1", "h2", "a")], "jsonl"))
    assert [row.prompt for row in read(text, "jsonl").rows] == ["a\u2028b\x85c"]


@pytest.mark.parametrize("times", [(float("nan"), 1), (2, 1), (-1, 1), (0, 1e12)])
def test_times_that_cannot_be_are_faults(times: tuple[float, float]) -> None:
    row = {"prompt": "p", "image_a": "x", "image_b": "y", "preferred": "a"}
    bad = {**row, "t_shown": times[0], "t_answer": times[1]}
    assert read(lines(bad), "jsonl").problems[0].column in ("t_shown", "t_answer")
