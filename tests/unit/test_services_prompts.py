"""Prompt files: every fault by its line."""

from __future__ import annotations

import pytest

from backend.errors import InputError
from backend.services.files import BrokenFile
from backend.services.prompts import MAX_CHARACTERS, checked, read


def test_one_prompt_a_line_without_blanks_or_repeats() -> None:
    found = read("\ufeffa cat\r\n\n  a dog \na cat\n")
    assert (found.texts, found.duplicates, found.problems) == (["a cat", "a dog"], 1, [])


def test_jsonl_with_other_keys_beside_the_prompt() -> None:
    found = read('{"prompt": "a\u2028b", "id": 3}\n\n{"id": 4, "prompt": "c"}\n')
    assert found.texts == ["a\u2028b", "c"]


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ('{"prompt": "a"', "not valid JSON"),
        ('{"text": "a"}', 'no key "prompt"'),
        ("[1]", 'no key "prompt"'),
        ('{"prompt": 3}', "is int"),
        ('{"prompt": "  "}', "empty"),
        ('{"prompt": "a\\u0000b"}', "control character"),
        ('{"prompt": "\\ud800"}', "half a character"),
        ('{"prompt": "' + "x" * (MAX_CHARACTERS + 1) + '"}', "characters"),
        ('{"a":' * 100_000, "not valid JSON"),
    ],
)
def test_a_broken_line_is_told_by_its_number(line: str, reason: str) -> None:
    found = read('{"prompt": "good"}\n' + line + "\n", "p.jsonl")
    assert [problem["line"] for problem in found.problems] == [2]
    assert reason in found.problems[0]["reason"]
    with pytest.raises(BrokenFile, match=r"'p.jsonl', line 2: .*Nothing was imported"):
        checked('{"prompt": "good"}\n' + line + "\n", "p.jsonl")


def test_text_that_is_not_utf_8_is_told_by_its_line() -> None:
    with pytest.raises(BrokenFile, match="line 2 is not UTF-8"):
        read("fine\ncaf\xe9\n".encode("latin-1"), "p.txt")


@pytest.mark.parametrize("text", ["", " \n\n", b""])
def test_an_empty_file_is_refused(text: str | bytes) -> None:
    with pytest.raises(InputError, match="no prompts"):
        checked(text, "p.txt")
