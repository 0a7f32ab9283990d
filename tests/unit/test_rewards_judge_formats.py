"""How judges' answers are read, format by format: the value of a whole answer, and that no damaged
one becomes a number."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest

from backend.rewards import _judge_pairs as pairs
from backend.rewards import _judge_points as points
from backend.rewards._judge_formats import Format, Said, chat
from backend.rewards._judge_looks import Looks, go_on
from backend.rewards._judge_server import Server

ITEMS = ["!a circle", "3 * two of them", "red"]
WORDS = {
    "words": [{"word": "red", "error": 8}, {"word": "circle", "error": 0}],
    "alignment": 2,
    "coherence": 5,
    "style": 3.5,
}
CRITIQUE = (
    "## Faithfulness\nThe circle is blue, not red.\nScore: 2.5\n\n"
    "## Physics\nWhole and at rest.\nScore: 4\n\n"
    "## Text\nNone was asked for.\nScore: N/A\n\n"
    "## Refined request\nA circle, bright red, nothing else.\n"
)
RUBRIC = {
    "answers": [
        {"evidence": "a round shape on the left", "holds": True},
        {"evidence": "", "holds": False},
        {"evidence": "its hue", "holds": True},
    ]
}
ERRORS = {
    "errors": [
        {"category": "colour", "severity": 2, "where": "left"},
        {"category": "missing", "severity": 3, "where": "right"},
    ]
}
SHARES = {"alignment": [0.8, 0.2], "coherence": [0.5, 0.5], "style": [0.2, 0.8]}
THOUGHT = (
    "- colour: 8 vs 4\n- number: 7 vs 7\n- **place**: 9 vs 3\nTotals: 24 vs 14\n"
    "<answer>Image 1 is better</answer>"
)
CATEGORIES = {
    "categories": [
        {"name": "colour", "reason": "redder", "winner": "second"},
        {"name": "number", "reason": "both two", "winner": "tie"},
    ],
    "overall": "second",
}


def answered(text: Any) -> dict[str, Any]:
    said = text if isinstance(text, str) else json.dumps(text)
    return {"choices": [{"message": {"content": said}, "finish_reason": "stop"}]}


def read(asked: Format, text: Any) -> Said:
    return asked.read(answered(text))


WHOLE: list[tuple[Format, Any, float]] = [
    (points.format_of("words"), WORDS, (0.25 + 1 + 0.625) / 3),
    (points.format_of("rational"), CRITIQUE, (0.5 + 1) / 2),
    (points.format_of("rubric", ITEMS), RUBRIC, 2 / 5),
    (points.format_of("errors", worst=10), ERRORS, 0.5),
    (points.format_of("errors", worst=10), {"errors": []}, 1.0),
    (pairs.format_of("scores"), SHARES, 0.5),
    (pairs.format_of("think"), THOUGHT, 1.0),
    (pairs.format_of("flex"), CATEGORIES, 0.0),
    (pairs.format_of("criterion", "the colour"), {"verdict": "tie"}, 0.5),
]


@pytest.mark.parametrize(("asked", "text", "value"), WHOLE)
def test_a_whole_answer_has_its_value(asked: Format, text: Any, value: float) -> None:
    said = read(asked, text)
    assert said.value == pytest.approx(value) and not said.reason


@pytest.mark.parametrize(("asked", "text", "value"), WHOLE)
def test_no_damaged_answer_becomes_a_number(asked: Format, text: Any, value: float) -> None:
    whole = text if isinstance(text, str) else json.dumps(text)
    end = whole.index("A circle, bright") if text == CRITIQUE else len(whole) - 1
    damaged = [whole[:cut] for cut in range(0, end, 7)]
    damaged += [":", "Solution", "Thought process:", "<html></html>", "null", "[]", "{}", "7"]
    damaged += [f"{whole}\n{whole}"] if not whole.startswith("#") else [whole + whole]
    if isinstance(text, dict):
        damaged += [json.dumps({k: v for k, v in text.items() if k != key}) for key in text]
        for strange in (None, "a", -1, 99, True, {}, [3]):
            damaged += [json.dumps({**text, key: strange}) for key in text]
    for wrong in damaged:
        said = read(asked, wrong)
        if whole == THOUGHT and wrong.count(THOUGHT) == 2:
            continue  # said twice, and the same both times
        assert said.value is None and said.reason, wrong


FAULTS: list[tuple[Format, Any]] = [
    (points.format_of("words"), {**WORDS, "style": 6}),
    (points.format_of("words"), {**WORDS, "words": [{"word": "red", "error": 11}]}),
    (points.format_of("words"), {**WORDS, "words": [{"word": "red", "error": True}]}),
    (points.format_of("rational"), CRITIQUE.replace("2.5", "7")),
    (points.format_of("rational"), CRITIQUE.replace("Score: 4", "Score: 4\nScore: 1")),
    (points.format_of("rational"), CRITIQUE.replace("## Physics", "## Physical")),
    (points.format_of("rubric", ITEMS), {"answers": RUBRIC["answers"][:2]}),
    (
        points.format_of("rubric", ITEMS),
        {"answers": [{"evidence": " ", "holds": True}] * 3},
    ),
    (points.format_of("errors"), {"errors": [{"category": "colour", "severity": 4, "where": ""}]}),
    (points.format_of("errors"), {"errors": [{"category": "mood", "severity": 1, "where": ""}]}),
    (pairs.format_of("scores"), {**SHARES, "style": [0.9, 0.9]}),
    (pairs.format_of("scores"), {**SHARES, "style": [1.0]}),
    (pairs.format_of("think"), THOUGHT.replace("8 vs 4", "80 vs 4")),
    (pairs.format_of("think"), THOUGHT.replace("- colour: 8 vs 4\n", "")),
    (pairs.format_of("think"), THOUGHT + "<answer>Image 2 is better</answer>"),
    (pairs.format_of("flex"), {**CATEGORIES, "categories": CATEGORIES["categories"] * 2}),
    (pairs.format_of("flex"), {**CATEGORIES, "overall": "both"}),
]


@pytest.mark.parametrize(("asked", "text"), FAULTS)
def test_what_contradicts_the_form_is_no_answer(asked: Format, text: Any) -> None:
    said = read(asked, text)
    assert said.value is None and said.reason


def test_parts_say_what_lies_behind_a_value() -> None:
    assert read(WHOLE[0][0], WORDS).parts == pytest.approx(
        {"alignment": 0.25, "coherence": 1.0, "style": 0.625, "worst word": 8}
    )
    assert read(WHOLE[1][0], CRITIQUE).parts == {"faithfulness": 0.5, "physics": 1.0}
    assert points.section(CRITIQUE, points.REFINED) == "A circle, bright red, nothing else."
    assert points.words_of(WORDS) == [("red", 8.0), ("circle", 0.0)]
    nothing = CRITIQUE.replace("2.5", "N/A").replace("Score: 4", "Score: n/a")
    assert read(WHOLE[1][0], nothing).abstains
    essential = {"answers": [{"evidence": "", "holds": False}, *RUBRIC["answers"][1:]]}
    assert read(WHOLE[2][0], essential).value == 0.0
    margin = (4 + 0 + 6) / 27
    assert read(WHOLE[6][0], THOUGHT).parts == pytest.approx({"margin": margin, "contradicts": 0})
    against = THOUGHT.replace("Image 1", "Image 2")
    assert read(WHOLE[6][0], against).parts["contradicts"] == 1
    assert read(WHOLE[7][0], CATEGORIES).parts == {"categories": 0.25}
    cannot = {**CATEGORIES, "overall": "cannot_judge"}
    assert read(WHOLE[7][0], cannot).abstains


def test_swapping_the_pictures_mirrors_the_value() -> None:
    swapped = {respect: shares[::-1] for respect, shares in SHARES.items()}
    share = {**SHARES, "style": [0.5, 0.5]}
    back = {respect: shares[::-1] for respect, shares in share.items()}
    asked = pairs.format_of("scores")
    assert read(asked, SHARES).value == pytest.approx(1 - (read(asked, swapped).value or 0))
    assert read(asked, share).value == pytest.approx(1 - (read(asked, back).value or 0))
    turned = "\n".join(
        f"- {name}: {b} vs {a}" for name, a, b in (("c", 8, 4), ("n", 7, 7), ("p", 9, 3))
    )
    said = read(pairs.format_of("think"), f"{turned}\n<answer>Image 2 is better</answer>")
    assert said.value == 0.0 and said.parts["margin"] == pytest.approx(-10 / 27)


@pytest.mark.parametrize("ask", ["words", "rubric", "checklist", "errors"])
def test_what_is_asked_in_a_form_is_constrained_and_reasons_are_not(ask: str) -> None:
    server = Server(server="openai")
    call = points.format_of(ask, ITEMS).call(server, "a {red} circle", [])
    assert call.body["response_format"]["json_schema"]["strict"]
    assert "a {red} circle" in call.body["messages"][0]["content"][0]["text"]
    for free in (points.format_of("rational"), pairs.format_of("think")):
        assert "response_format" not in free.call(server, "p", []).body


def test_items_say_their_weight_and_whether_they_are_essential() -> None:
    item = points.Item
    assert item.of("! a circle") == item("a circle", 1.0, True)
    assert item.of("2.5 × red") == item("red", 2.5)
    assert item.of("!3*{x}") == item("{x}", 3.0, True)
    assert item.of("3 circles") == item("3 circles")
    text = points.format_of("rubric", ["!3*{x}"]).text.format(prompt="p")
    assert "1. {x}" in text


# ---------------------------------------------------------------- closer looks


def ramp(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.arange(width, dtype=np.uint8)[None, :, None], (height, width, 3))


def test_a_part_and_a_frame_are_cut_out_and_what_is_not_there_is_refused() -> None:
    looks, strip = Looks(2, frames=4), np.ascontiguousarray(ramp(8, 32))
    seen = looks.seen("Look: picture 1, 0.5 0 1 0.5", [strip])
    assert isinstance(seen, np.ndarray) and seen.shape == (8, 32, 3)
    assert seen[:, 4:-4].min() >= 16
    frame = looks.seen(" frame: picture 1, 3. ", [strip])
    assert isinstance(frame, np.ndarray) and np.array_equal(frame, strip[:, 16:24])
    refused: list[str] = [
        "Look: picture 2, 0 0 1 1",
        "Look: picture 1, 0.5 0.5 0.4 0.6",
        "Look: picture 1, 0 0 2 2",
        "Look: there",
        "Frame: picture 1, 5",
    ]
    for text in refused:
        assert isinstance(looks.seen(text, [strip]), str), text
    assert looks.seen("The look is fine. Final Score: 3", [strip]) is None


def test_a_conversation_goes_on_with_what_was_said_and_seen() -> None:
    looks = Looks(1)
    call = looks.offered(chat(Server(), "Judge.", []))
    assert "1 times" in call.body["messages"][0]["content"][0]["text"]
    more = go_on(call, "Look: picture 1, 0 0 1 1", np.zeros((4, 4, 3), np.uint8))
    assert [one["role"] for one in more.body["messages"]] == ["user", "assistant", "user"]
    assert more.question(Server()).key != call.question(Server()).key
    assert Looks(0).offered(call) is call
