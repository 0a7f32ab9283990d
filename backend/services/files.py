"""Files that people give: decoded, and refused whole with every faulty line named."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from backend.errors import InputError

MAX_BYTES = 50_000_000
"""Longest file of text that is taken."""


class BrokenFile(InputError):
    """A file that cannot be taken; `problems` lists every line that is at fault."""

    def __init__(self, message: str, problems: list[dict[str, Any]]) -> None:
        super().__init__(message)
        self.problems = problems


def quoted(filename: str, noun: str) -> str:
    """What a sentence calls a file: its name in quotes, or "The <noun> file"."""
    return f"'{filename}'" if filename else f"The {noun} file"


def text_of(data: str | bytes, name: str) -> str:
    """The text of a file in UTF-8, without a byte order mark."""
    if len(data) > MAX_BYTES:
        raise InputError(f"{name} is larger than {MAX_BYTES // 1_000_000} MB; split it.")
    if isinstance(data, str):
        return data.removeprefix("\ufeff")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        byte = f"byte 0x{data[error.start]:02x}"
        raise BrokenFile(
            f"{name}, line {line} is not UTF-8 text ({byte}); save the file as UTF-8 and send it "
            "again. Nothing was imported.",
            [{"line": line, "reason": f"{byte} is not UTF-8"}],
        ) from None


def refuse(problems: Sequence[dict[str, Any]], name: str) -> None:
    """Raise BrokenFile when there is any problem: the first in words, all of them as data."""
    if not problems:
        return
    first, more = problems[0], len({problem["line"] for problem in problems}) - 1
    said = f"{name}, line {first['line']}: {first['reason']}"
    raise BrokenFile(
        f"{said} ({more} more faulty {'line' if more == 1 else 'lines'}). Nothing was imported; "
        "correct it and send the file again."
        if more
        else f"{said}. Nothing was imported; correct it and send the file again.",
        list(problems),
    )
