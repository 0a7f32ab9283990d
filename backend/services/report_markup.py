"""What a page that leaves the studio is made of: elements that escape all they are given, texts in
the reader's language, and the studio's own look, inside the file.

Only `el` makes markup. A plain string that becomes a child or an attribute is escaped, so nothing
that people or models wrote can turn into an element.
"""

from __future__ import annotations

import functools
import re
import time
from collections.abc import Sequence
from html import escape

from backend.languages import ENGLISH, translator
from backend.settings import ROOT

VOID = {"meta", "img"}
"""Elements without an end."""
POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
"""Nothing is asked of any host and nothing runs."""
STYLES = ("css/tokens.css", "report.css")
"""Style sheets that stand inside the page: the studio's tokens, and the page's own."""


class Html(str):
    """A string that is markup already."""

    __slots__ = ()


NOTHING = Html()


class Words:
    """Texts of the studio in one language, as markup; InputError for one that is not there."""

    def __init__(self, language: str = ENGLISH) -> None:
        self.language = language
        self.look_up = translator(language)

    def __call__(self, text: str) -> Html:
        """A text of the studio, translated."""
        return Html(escape(self.plain(text)))

    def plain(self, text: str) -> str:
        """The same for an attribute, which is escaped where it is put."""
        return self.look_up(text)


def el(tag: str, *children: str | None, **attributes: str | None) -> Html:
    """An element. `class_` is its class, `aria_label` stands for aria-label; None leaves out."""
    begins = opening(tag, **attributes)
    return begins if tag in VOID else Html(f"{begins}{joined(*children)}</{tag}>")


def opening(tag: str, **attributes: str | None) -> Html:
    """Only the start of an element, whose contents are sent one by one."""
    said = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(value)}"'
        for name, value in attributes.items()
        if value is not None
    )
    return Html(f"<{tag}{said}>")


def joined(*children: str | None) -> Html:
    """Children behind each other, plain strings escaped."""
    return Html(
        "".join(
            child if isinstance(child, Html) else escape(child)
            for child in children
            if child is not None
        )
    )


def named(text: str, tag: str = "span", **attributes: str | None) -> Html:
    """What a person or a file is called or wrote: never translated, here or by a browser."""
    return el(tag, text, translate="no", **attributes)


def section(words: Words, title: str, *parts: str | None, about: str = "") -> Html:
    """A part of the page under a heading, with a line that says what it shows."""
    said = el("p", words(about), class_="m") if about else NOTHING
    return el("section", el("h2", words(title)), said, *parts)


def table(heads: Sequence[str], rows: Sequence[Html]) -> Html:
    """A table that scrolls by itself on a narrow screen."""
    head = el("thead", row(*heads, tag="th"))
    return el("div", el("table", head, el("tbody", *rows)), class_="wide", tabindex="0")


def row(*cells: str | None, tag: str = "td") -> Html:
    """A row of a table."""
    return el("tr", *(el(tag, cell) for cell in cells))


def fact(word: str, *value: str | None) -> Html:
    """A line of a description list."""
    return el("div", el("dt", word), el("dd", *value))


def day(at: float) -> str:
    """A time as everybody reads it, wherever they are."""
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(at))


def begun(title: str, words: Words) -> str:
    """A page up to where its body begins."""
    head = el(
        "head",
        el("meta", charset="utf-8"),
        el("meta", **{"http-equiv": "Content-Security-Policy", "content": POLICY}),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("title", title),
        el("style", Html(_styles())),
    )
    return f'<!doctype html>\n<html lang="{words.language}">{head}<body>'


ENDED = "</body></html>\n"


@functools.cache
def _styles() -> str:
    """The style sheets without notes, and without typefaces, which would have to be fetched."""
    text = "\n".join((ROOT / "static" / name).read_text("utf-8") for name in STYLES)
    text = re.sub(r"/\*.*?\*/|@font-face\s*\{[^}]*\}", "", text, flags=re.DOTALL)
    return re.sub(r"\n\s*\n+", "\n", text).strip()
