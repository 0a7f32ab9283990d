"""Other languages than English: catalogues in static/locales, and texts looked up in them.

The studio writes English everywhere. A catalogue maps an English text to its translation, `{0}` and
`{1}` standing for what was filled in; static/js/language.js puts it on pages as they are shown,
`Translator` here into what leaves the studio by other ways (a report). Both look a text up in the
same order: as it stands; by the patterns that share a word with it, most literal letters first,
what a pattern caught translated in its turn unless quotation marks stand around it; with its first
letter small or large; in parts; without its full stop. What is found nowhere stays English.
"""

from __future__ import annotations

import functools
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path

from backend.errors import InputError

LOCALES = Path(__file__).resolve().parent.parent / "static" / "locales"
ENGLISH = "en"
CHINESE = "zh-CN"
LANGUAGES = {ENGLISH: "English", CHINESE: "简体中文"}
"""Languages by their tag, each called what it calls itself."""
TRADITIONAL = re.compile(r"hant|tw|hk|mo", re.IGNORECASE)
"""Parts of a tag that ask for traditional characters, which no catalogue has."""

REMEMBERED = 4000
"""Texts whose translation is kept."""
HOLE = re.compile(r"\{(\d+)\}")
HOLE_ALONE = re.compile(r"\{\d+\}")
"""The same, that a text can be split by it."""
WORD = re.compile(r"[A-Za-z]+")
FREE = re.compile(r"(?<![A-Za-z\0])[A-Za-z]+(?![A-Za-z\0])")
STRONG = 4
"""A pattern with so many words of its own fits by no chance."""
PROSE = re.compile(r"[A-Za-z]{2,},? [a-z]{2,}")
LETTERS = re.compile(r"[A-Za-z]{2}")
NUMBERED = re.compile(r"[A-Za-z]\S*\d\S*$")
FIGURE = re.compile(r"[\d–−+±.<>≤≥≈~]")
HAN = re.compile(r"[\u3400-\u9fff]")
LATIN = re.compile(r"[A-Za-z\d%.+−±≈≤≥<>~σηψα]")
QUOTES = "'\"“‘`«"
SENTENCE = re.compile(r"(?<=[.!?]) (?=[A-Z\d\"'“])")


def preferred(accept: str) -> str:
    """The language that an Accept-Language header asks for first among those there are."""
    wanted: list[tuple[float, int, str]] = []
    for place, part in enumerate(accept.split(",")):
        tag, _, rest = part.strip().partition(";")
        found = re.search(r"q=([\d.]+)", rest)
        wanted.append((-float(found[1]) if found else -1.0, place, tag.strip().lower()))
    for _, _, tag in sorted(wanted):
        main, _, rest = tag.partition("-")
        if main == "en":
            return ENGLISH
        if main == "zh" and not TRADITIONAL.search(rest):
            return CHINESE
    return ENGLISH


@functools.cache
def catalogue(language: str) -> Mapping[str, str]:
    """All files of a language as one; English has none, so that its texts stay as they are."""
    if language not in LANGUAGES:
        raise InputError(f"There is no language '{language}'; there are {', '.join(LANGUAGES)}.")
    merged: dict[str, str] = {}
    for path in files(language):
        merged.update(json.loads(path.read_text(encoding="utf-8")))
    return merged


def files(language: str) -> list[Path]:
    """The files of a language's catalogue."""
    return sorted((LOCALES / language).glob("*.json"))


@functools.cache
def translator(language: str) -> Translator:
    """The one translator of a language."""
    return Translator(catalogue(language))


class Translator:
    """Looks texts up in one catalogue."""

    def __init__(self, entries: Mapping[str, str]) -> None:
        self.exact = dict(entries)
        keys = sorted(
            (key for key in entries if HOLE.search(key)),
            key=lambda key: (-len(HOLE.sub("", key)), key),
        )
        often = Counter(word for key in keys for word in set(_words(key)))
        self.by_word: dict[str, list[int]] = {}
        for rank, key in enumerate(keys):
            rarest = min(_words(key), key=lambda word: often[word], default="")
            self.by_word.setdefault(rarest, []).append(rank)
        self.keys = keys
        self.known: dict[str, str] = {}

    def __call__(self, text: str) -> str:
        """The translation, or the text itself."""
        if not WORD.search(text):
            return text
        told = self.known.get(text)
        if told is None:
            told = self._found(text)
            if len(self.known) >= REMEMBERED:
                self.known.clear()
            self.known[text] = told
        return told

    def _found(self, text: str) -> str:
        if text in self.exact:
            return self.exact[text]
        body = text.strip()
        if body != text:
            told = self(body)
            return text if told == body else text.replace(body, told, 1)
        told_by = self._by_pattern(text) or self._turned(text)
        for mark, between in ((" · ", " · "), (SENTENCE, " "), ("; ", "；"), (" × ", " × ")):
            told_by = told_by or self._by_parts(text, mark, between)
        told_by = told_by or self._by_list(text) or self._by_parts(text, ": ", "：")
        ended = text[:-1] if text.endswith(".") and not text.endswith("..") else ""
        if not told_by and ended and self(ended) != ended:
            return self(ended) + "。"
        return told_by or text

    def _turned(self, text: str) -> str | None:
        """Found with its first letter small instead of large, or the other way about."""
        other = text[0].swapcase() + text[1:]
        return None if other == text else self.exact.get(other) or self._by_pattern(other)

    def _by_pattern(self, text: str) -> str | None:
        near = set(self.by_word.get("", []))
        for word in set(WORD.findall(text)):
            near.update(self.by_word.get(word, []))
        for rank in sorted(near):
            caught = _compiled(self.keys[rank]).fullmatch(text)
            if caught and self._is_likely(self.keys[rank], caught.groups()):
                return self._filled(self.keys[rank], caught.groups())
        return None

    def _filled(self, key: str, caught: Sequence[str]) -> str:
        values = {
            hole[1]: part if key[: hole.start()].endswith(tuple(QUOTES)) else self(part)
            for hole, part in zip(HOLE.finditer(key), caught, strict=True)
        }
        shown = self.exact[key]

        def put(hole: re.Match[str]) -> str:
            value = values.get(hole[1], "")
            before, after = shown[: hole.start()][-1:], shown[hole.end() : hole.end() + 1]
            return _gap(before, value[:1]) + value + _gap(value[-1:], after)

        return HOLE.sub(put, shown)

    def _is_likely(self, key: str, caught: Sequence[str]) -> bool:
        """Whether what a pattern caught can be what it stands for.

        Nothing goes across " · " or "; ". In a pattern of few words English prose says that it fits
        by chance, but for the end of a text that the pattern begins itself, where a name may stand.
        A pattern of a single word that begins with a hole takes figures, numbered names and texts
        of the studio alone: "{0} runs" is no "She runs".
        """
        if any(re.search("; | · ", part) for part in caught):
            return False
        own, is_open = _strength(key), key.startswith("{")
        last = len(caught) - (not is_open and key.endswith("}"))
        return own >= STRONG or all(
            before.endswith(tuple(QUOTES))
            or (self._is_name(key, part) if place == last else self._is_filling(part, is_open, own))
            for place, (part, before) in enumerate(zip(caught, HOLE_ALONE.split(key), strict=False))
        )

    def _is_name(self, key: str, part: str) -> bool:
        """Whether the end of a text is a name rather than prose that goes on."""
        if SENTENCE.search(part):
            return False
        goes_on = re.search(r"[A-Za-z] \{\d+\}$", key) and re.match(r"[a-z]+ ", part)
        return _strength(key) > 1 or not goes_on or not LETTERS.search(self(part))

    def _is_filling(self, part: str, is_open: bool, own: int) -> bool:
        told = self(part)
        if SENTENCE.search(part):
            return False
        if not is_open or own > 1:
            return not PROSE.search(told)
        is_figure = FIGURE.match(part) and not re.search("[a-z]{3}", told)
        return bool(not LETTERS.search(told) or NUMBERED.match(part) or is_figure)

    def _by_parts(self, text: str, mark: str | re.Pattern[str], between: str) -> str | None:
        parts = text.split(mark) if isinstance(mark, str) else mark.split(text)
        told = [self(part) for part in parts] if len(parts) > 1 else parts
        if told == parts:
            return None
        return re.sub("([。！？；：，]) ", r"\1", between.join(told))

    def _by_list(self, text: str) -> str | None:
        """ "3 running, 1 failed": a list whose every part is known."""
        parts = text.split(", ")
        if len(parts) < 2:
            return None
        told = [self(part) for part in parts]
        is_known = all(t != p or not WORD.search(p) for t, p in zip(told, parts, strict=True))
        return "，".join(told) if is_known else None


def _words(key: str) -> list[str]:
    """Words of a pattern that stand free of its holes."""
    return FREE.findall(HOLE.sub("\0", key))


@functools.lru_cache(maxsize=4096)
def _compiled(key: str) -> re.Pattern[str]:
    """A pattern as an expression."""
    return re.compile("(.+?)".join(re.escape(part) for part in HOLE_ALONE.split(key)), re.S)


def _strength(key: str) -> int:
    """How many words a pattern has of its own."""
    return len(WORD.findall(HOLE.sub(" ", key)))


def _gap(one: str, other: str) -> str:
    """Chinese and Latin letters or figures stand apart."""
    is_mixed = (HAN.match(one) and LATIN.match(other)) or (LATIN.match(one) and HAN.match(other))
    return " " if is_mixed else ""
