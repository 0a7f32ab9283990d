"""Takes the texts that people read out of static/js: strings and templates, as keys of a catalogue.

A tokenizer that knows strings, templates, regular expressions and comments; then a walk that knows
for every literal in which call, property or array it stands. A literal counts as a text unless it
stands where only the machine looks (a class, an address, a comparison). A lower-case word alone may
be a status as well as a text, so it counts only where it is certainly shown (a child of `el`, a
title). A template becomes one key for each way its `?:` can come out, `{0}`, `{1}` for the rest.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

TOKEN = re.compile(
    r"""(?P<space>\s+|//[^\n]*|/\*.*?\*/)
    |(?P<string>"(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*')
    |(?P<number>\d[\w.]*)
    |(?P<name>[A-Za-z_$][\w$]*)
    |(?P<mark>=>|\.\.\.|===|!==|==|!=|<=|>=|\?\?=|\?\?|\?\.|&&=?|\|\|=?|\+\+|--|\*\*|[+\-*/%]=|.)""",
    re.DOTALL | re.VERBOSE,
)
REGEX = re.compile(r"/(?![/*])(?:[^/\\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+/[a-z]*")
BEFORE_REGEX = re.compile(
    r"^(return|typeof|case|in|of|[=(,;:!&|?{}+\-*%<>]|=>|&&|\|\||\?\?|===|!==)$"
)
WORDS = {
    "if",
    "for",
    "while",
    "switch",
    "catch",
    "return",
    "of",
    "in",
    "await",
    "typeof",
    "function",
}
MOST = 24
"""Ways a template can come out before its alternatives are taken as holes."""

MACHINE_CALLS: dict[str, tuple[int, ...]] = {
    **dict.fromkeys(
        ("el", "svg", "createElement", "createElementNS", "api", "icon", "fetch"), (0,)
    ),
    **dict.fromkeys(
        ("setAttribute", "addEventListener", "removeEventListener", "get", "set"), (0,)
    ),
    **dict.fromkeys(("getItem", "setItem", "removeItem", "has", "delete", "append_"), (0,)),
    **dict.fromkeys(("jobPill", "hint", "kbd", "setProperty", "getPropertyValue"), (0, 1)),
    **dict.fromkeys(
        ("querySelector", "querySelectorAll", "getElementById", "closest", "matches", "go"),
        (0, 1, 2),
    ),
    **dict.fromkeys(("getAttribute", "hasAttribute", "removeAttribute", "CustomEvent"), (0,)),
    **dict.fromkeys(
        ("add", "remove", "toggle", "contains", "import", "matchMedia", "test"), (0, 1, 2)
    ),
    **dict.fromkeys(("startsWith", "endsWith", "includes", "split", "join", "indexOf"), (0, 1)),
    **dict.fromkeys(
        ("match", "matchAll", "RegExp", "EventSource", "warn", "error", "Blob"), (0, 1)
    ),
    **dict.fromkeys(
        ("pushState", "assign", "URL", "toLocaleTimeString", "toLocaleDateString"), (0, 1)
    ),
    **dict.fromkeys(("localeCompare", "getContext", "$", "encodeURIComponent", "byTestId"), (0, 1)),
}
"""Calls some of whose arguments nobody reads."""
COUNTERS = ("fmt.count", "times")
"""Calls that write a number and a noun in its number."""
SHOWN_CALLS: dict[str, int] = {
    "el": 2,
    "svg": 2,
    "fill": 1,
    "append": 0,
    "prepend": 0,
    "replaceChildren": 0,
    "button": 0,
    "note": 0,
    "toast": 0,
    "live": 0,
    "dialog": 0,
    "title": 0,
    "subtitle": 0,
    "status": 0,
    "field": 0,
}
"""Calls whose arguments from this one on are shown."""
SHOWN_KEYS = {
    *("title", "aria-label", "placeholder", "alt", "aria-valuetext", "label", "text", "danger"),
    *("safe", "action", "help", "unit", "word", "words"),
}
MACHINE_KEYS = re.compile(
    r"^(class|id|type|role|href|src|kind|size|icon|sign|tone|testid|data-.*|style|viewBox|d|fill|stroke.*"
    r"|method|key|keys|for|autocomplete|inputmode|spellcheck|loading|rel|target|dir|lang|translate"
    r"|transform|points|text-anchor|dominant-baseline|x|y|cx|cy|r|width|height|accept|download|cls|path"
    r"|aria-(?!label$|valuetext$|description$|roledescription$).*|on\w+|url|field|cursor|dash|colour|color"
    r"|testId|mode|format|preserveAspectRatio|font-.*|letter-spacing|opacity|clip-path|pattern|credentials|Accept)$"
)
COMPARES = {"===", "!==", "==", "!=", "case", "in", "instanceof"}
ADDRESS = re.compile(r"^(/|\?|#|\.|\{0\}/|https?:|[\w-]+/[\w{}/-]+|&)|^[\w/{}.-]+\?[\w=&{}%]+$")
CODE = re.compile(
    r"^(Arrow\w+|Shift\+.*|Content-Type|\w+(\.\w+)+\.?|\w+/|\w+:|[a-z]+[_-][a-z]+)$"
    r"|^background|^\{\"|var\(--|^[\w-]+: ?[^ ]+;?$|px\b.*px\b|^[MLHVCZmlhvcz][\d{ .-]|=\{\d+\}"
    r"|^[.#\[]|^translate\(|rgb\(|^calc\(|\bminmax\("
)
WORDY = re.compile(r"[A-Za-z]{2}")


@dataclass(frozen=True)
class Token:
    """One token; a template holds its strings and the tokens of its holes."""

    kind: str
    text: str
    strings: tuple[str, ...] = ()
    holes: tuple[tuple[Token, ...], ...] = ()


@dataclass
class Frame:
    """An open bracket: what it belongs to and where in it we are."""

    mark: str
    callee: str = ""
    is_object: bool = False
    is_index: bool = False
    at: int = 0
    key: str = ""
    seen: list[Token] = field(default_factory=list)


@dataclass
class Texts:
    """What a script says."""

    shown: dict[str, str] = field(default_factory=dict)
    """Texts that have to stand in a catalogue, each with the place where it stands."""
    any: set[str] = field(default_factory=set)
    """All literals, shown or not: what an entry of a catalogue may come from."""
    inlined: set[int] = field(default_factory=set)
    """Literals in the holes of a template that stand in its own ways already, by identity."""


def of_scripts(folder: Path) -> Texts:
    """The texts of all scripts of a folder."""
    texts = Texts()
    for path in sorted(folder.rglob("*.js")):
        read(path.read_text(), texts, path.name)
    return texts


def read(source: str, texts: Texts, place: str) -> None:
    """Add the texts of one script."""
    found = tokens(source)  # kept while `inlined` names its tokens
    texts.inlined.clear()
    _walk(found, [], texts, place)


MARKUP = re.compile(r'>([^<>$]+)<|\s(?:title|aria-label|alt|placeholder)="([^"$]+)"')


def of_markup(path: Path) -> Iterator[str]:
    """The texts of one of our own HTML templates."""
    plain = re.sub(r"<script>.*?</script>|<kbd.*?</kbd>", "", path.read_text(), flags=re.DOTALL)
    for found in MARKUP.finditer(plain):
        text = (found[1] or found[2]).strip()
        if WORDY.search(text):
            yield text


def tokens(source: str) -> tuple[Token, ...]:
    """The tokens of a script, without spaces and comments."""
    found, end = _tokens(source, 0, "")
    assert end == len(source), f"stopped at {source[end : end + 40]!r}"
    return found


def _tokens(source: str, at: int, until: str) -> tuple[tuple[Token, ...], int]:
    found: list[Token] = []
    depth = 0
    while at < len(source):
        if source[at] == "`":
            token, at = _template(source, at + 1)
            found.append(token)
            continue
        before = found[-1].text if found else "="
        regex = (
            REGEX.match(source, at) if source[at] == "/" and BEFORE_REGEX.match(before) else None
        )
        if regex and not source.startswith(("//", "/*"), at):
            found.append(Token("regex", regex[0]))
            at = regex.end()
            continue
        match = TOKEN.match(source, at)
        assert match, source[at : at + 40]
        kind, text = str(match.lastgroup), match[0]
        if text == until and not depth:
            return tuple(found), at
        depth += (text == "{") - (text == "}")
        at = match.end()
        if kind == "string":
            found.append(Token("string", _unescaped(text[1:-1])))
        elif kind != "space":
            found.append(Token(kind, text))
    return tuple(found), at


def _template(source: str, at: int) -> tuple[Token, int]:
    strings, holes, start = [], [], at
    while source[at] != "`":
        if source[at] == "\\":
            at += 2
        elif source.startswith("${", at):
            strings.append(_unescaped(source[start:at]))
            hole, at = _tokens(source, at + 2, "}")
            holes.append(hole)
            at = start = at + 1
        else:
            at += 1
    strings.append(_unescaped(source[start:at]))
    return Token("template", "`", tuple(strings), tuple(holes)), at + 1


def _unescaped(text: str) -> str:
    text = re.sub(r"\\u\{?([0-9A-Fa-f]{4,5})\}?", lambda code: chr(int(code[1], 16)), text)
    text = text.replace(r"\n", "\n").replace(r"\t", "\t")
    return re.sub(r"\\(.)", r"\1", text)


def ways(token: Token) -> list[str]:
    """Every way a literal can come out, holes numbered from the left."""
    return [_numbered(text) for text in _ways(token)]


HOLE = "\0"


def _numbered(text: str) -> str:
    count = itertools.count()
    return re.sub(HOLE, lambda _: f"{{{next(count)}}}", text)


def _ways(token: Token) -> list[str]:
    if token.kind == "string":
        return [token.text]
    options = [_expression(hole) for hole in token.holes]
    if _has_too_many(token):
        options = [[HOLE] for _ in options]
    found = []
    for chosen in itertools.product(*options):
        text = token.strings[0]
        for part, string in zip(chosen, token.strings[1:], strict=True):
            text += part + string
        found.append(text)
    return list(dict.fromkeys(found))


def _has_too_many(token: Token) -> bool:
    return math.prod(len(_expression(hole)) for hole in token.holes) > MOST


def _inlined(hole: tuple[Token, ...]) -> Iterator[int]:
    """The literals that `_expression` takes from a hole, by identity."""
    for option in _options(hole):
        if len(option) == 1 and option[0].kind in ("string", "template"):
            yield id(option[0])
            if not _has_too_many(option[0]):
                for inner in option[0].holes:
                    yield from _inlined(inner)


def _expression(hole: tuple[Token, ...]) -> list[str]:
    """What an expression in a template can be: its literals, or a hole."""
    found: list[str] = []
    for option in _options(hole):
        is_literal = len(option) == 1 and option[0].kind in ("string", "template")
        found += _ways(option[0]) if is_literal else [HOLE]
    return found


def _options(hole: tuple[Token, ...]) -> list[tuple[Token, ...]]:
    """The expressions of which one becomes the value: both sides of `?:`, `||` and `??`."""
    while len(hole) > 1 and hole[0].text == "(" and _closing(hole, 0) == len(hole) - 1:
        hole = hole[1:-1]
    asked = _top(hole, {"?"})
    other = None if asked is None else _otherwise(hole, asked)
    if asked is not None and other is not None:
        return _options(hole[asked + 1 : other]) + _options(hole[other + 1 :])
    either = _top(hole, {"||", "??"})
    if either is not None and len(hole) - either == 2 and hole[-1].kind in ("string", "template"):
        return [hole[:either], hole[either + 1 :]]
    return [hole]


def _closing(hole: tuple[Token, ...], at: int) -> int:
    depth = 0
    for i in range(at, len(hole)):
        depth += _steps(hole[i])
        if not depth:
            return i
    return -1


def _steps(token: Token) -> int:
    if token.kind != "mark":
        return 0
    return (token.text in "([{") - (token.text in ")]}")


def _top(hole: tuple[Token, ...], marks: set[str]) -> int | None:
    depth = 0
    for i, token in enumerate(hole):
        depth += _steps(token)
        if not depth and token.kind == "mark" and token.text in marks:
            return i
        if not depth and token.text == "=>":
            return None
    return None


def _otherwise(hole: tuple[Token, ...], asked: int) -> int | None:
    depth = nested = 0
    for i in range(asked + 1, len(hole)):
        depth += _steps(hole[i])
        if depth or hole[i].kind != "mark":
            continue
        if hole[i].text == "?":
            nested += 1
        elif hole[i].text == ":":
            if not nested:
                return i
            nested -= 1
    return None


def _walk(found: tuple[Token, ...], frames: list[Frame], texts: Texts, place: str) -> None:
    """Go through tokens with the brackets that are open around them."""
    frames = [*frames]
    statement = Frame("")
    for i, token in enumerate(found):
        frame = frames[-1] if frames else statement
        before, after = (
            (found[i - 1] if i else None),
            (found[i + 1] if i + 1 < len(found) else None),
        )
        if token.kind in ("string", "template"):
            _literal(token, before, after, frames, texts, place)
            if not _has_too_many(token):
                texts.inlined.update(inner for hole in token.holes for inner in _inlined(hole))
            for hole in token.holes:
                _walk(hole, [Frame("`")], texts, place)
        elif _steps(token) > 0:
            frames.append(_opened(found, i))
        elif _steps(token) < 0 and frames:
            closed = frames.pop()
            _counted(closed, texts, place)
        elif token.text == "," and token.kind == "mark":
            frame.at += 1
            frame.key = ""
        elif token.text == ":" and frame.is_object and before and not frame.key:
            earlier = found[i - 2].text if i > 1 else ""
            if earlier in ("{", ","):
                frame.key = before.text
        if frames and token.kind in ("string", "template"):
            frames[-1].seen.append(token)


def _opened(found: tuple[Token, ...], i: int) -> Frame:
    mark, before = found[i].text, (found[i - 1] if i else None)
    named = before is not None and (before.kind == "name" or before.text in (")", "]"))
    if mark == "(":
        callee = (
            before.text if before and before.kind == "name" and before.text not in WORDS else ""
        )
        if callee == "count" and i > 2 and found[i - 3].text == "fmt":
            callee = "fmt.count"
        return Frame(mark, callee)
    if mark == "[":
        return Frame(mark, is_index=named and before is not None and before.text not in WORDS)
    opens_value = before is not None and before.text in (
        "(",
        ",",
        ":",
        "[",
        "=",
        "return",
        "?",
        "||",
        "&&",
        "??",
        "...",
    )
    return Frame(mark, is_object=opens_value)


def _counted(frame: Frame, texts: Texts, place: str) -> None:
    """`fmt.count(n, "study", "studies")` says "1 study" or "5 studies"."""
    if frame.callee not in COUNTERS or not frame.seen or frame.seen[0].kind != "string":
        return
    words = [token.text for token in frame.seen if token.kind == "string"]
    many = words[1] if len(words) > 1 else f"{words[0]}s"
    for word in (words[0], many):
        texts.shown.setdefault(f"{{0}} {word}", place)
        texts.any.add(f"{{0}} {word}")


def _literal(
    token: Token,
    before: Token | None,
    after: Token | None,
    frames: list[Frame],
    texts: Texts,
    place: str,
) -> None:
    keys = ways(token)
    texts.any.update(keys)
    if _is_machine(before, after, frames) or id(token) in texts.inlined:
        return
    is_shown = _is_shown(before, frames)
    for key in keys:
        if is_text(key, is_shown):
            texts.shown.setdefault(key, place)


def _is_machine(before: Token | None, after: Token | None, frames: list[Frame]) -> bool:
    """Whether only the machine looks at a literal that stands there."""
    if (before and before.text in (*COMPARES, "from", "import")) or (
        after and after.text in COMPARES
    ):
        return True
    if not frames:
        return False
    frame = frames[-1]
    if frame.is_object and after and after.text == ":" and before and before.text in ("{", ","):
        return True
    if frame.is_index or frame.callee in COUNTERS:
        return True
    for outer in reversed(frames):
        if outer.is_object and outer.key:
            return bool(MACHINE_KEYS.match(outer.key))
        if outer.mark == "(":
            return outer.at in MACHINE_CALLS.get(outer.callee, ())
        if outer.mark != "[":
            return False
    return False


def _is_shown(before: Token | None, frames: list[Frame]) -> bool:
    """Whether a literal that stands there is shown for certain."""
    for outer in reversed(frames):
        if outer.is_object and outer.key:
            return outer.key in SHOWN_KEYS
        if outer.mark == "(" and outer.callee:
            return outer.callee in SHOWN_CALLS and outer.at >= SHOWN_CALLS[outer.callee]
        if outer.mark not in ("[", "("):
            return False
    return False


def is_text(key: str, is_shown: bool) -> bool:
    """Whether a literal has words for people."""
    plain = re.sub(r"\{\d+\}", "", key)
    if not WORDY.search(plain) or ADDRESS.search(key) or CODE.search(key):
        return False
    if is_shown:
        return True
    if re.search(r"[A-Za-z{}\d),:;%] [A-Za-z(]|[A-Za-z] \{", key):
        return True
    return bool(re.match(r"^\s*[A-Z][a-z]", key)) or bool(re.search(r"[a-z][.,:?]$", key))
