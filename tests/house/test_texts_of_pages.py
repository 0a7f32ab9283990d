"""Pages are complete in Chinese: every text of the scripts is in the catalogue, and no other."""

from __future__ import annotations

import json
import re
from collections import Counter
from functools import cache
from pathlib import Path

import pytest

import app.main  # noqa: F401  # pages and the API import each other; the app comes first
from app import access, shell
from app.entrance import TITLES
from backend.languages import CHINESE, LANGUAGES, files
from tests.house import js_texts
from tests.house.test_texts_of_python import FILES as OF_PYTHON
from tests.house.test_texts_of_python import shown as shown_by_python

ROOT = Path(__file__).parents[2]
STATIC = ROOT / "static"
MARKUP = ("frame.html", "entrance.html")
NO_LANGUAGE = {
    **dict.fromkeys(("Palate", "English", "Bradley–Terry", "Davidson"), "a name"),
    **dict.fromkeys(("Edge", "Firefox", "Chrome", "Safari"), "a browser"),
    **dict.fromkeys(("Android", "Windows", "Mac OS", "Linux"), "a system"),
    **dict.fromkeys(("Esc", "Del", "Shift", "Control", "Alt", "Meta", "Tab"), "printed on a key"),
    **dict.fromkeys(
        (
            "palate import rollouts FOLDER",
            "palate replay BUNDLE --against RUN",
            "Authorization: Bearer …",
        ),
        "typed so",
    ),
    **dict.fromkeys(("{0} MB", "{0} px", "NFE {0}", "LoRA {0}", "{0} · NFE {1}"), "a unit"),
    **dict.fromkeys(("x unified", "play", "decimal", "stop", "halt", "ABCD"), "a code"),
    **dict.fromkeys(("strong {0}", "strong muted"), "a class"),
}
"""What reads like a text of a script and is none, or is the same in every language."""
HOLE = re.compile(r"\{\d+\}")


@cache
def scripts() -> js_texts.Texts:
    """The texts of all scripts of pages."""
    return js_texts.of_scripts(STATIC / "js")


@cache
def frame() -> frozenset[str]:
    """What the frame and the pages before the door say, and what pages are called."""
    said = {text for name in MARKUP for text in js_texts.of_markup(STATIC / name)}
    titles = {word for entry in shell.entries() for word in (entry.title, *_module_titles(entry))}
    roles = {access.ANNOTATOR, access.RESEARCHER, access.ADMIN}
    return frozenset(said | titles | set(TITLES.values()) | roles)


def _module_titles(entry: shell.Entry) -> list[str]:
    return re.findall(r'\(\("([^"]+)", "/', (ROOT / f"app/pages/{entry.name}.py").read_text())


@cache
def entries() -> dict[str, str]:
    """The whole catalogue, raw: engine and tests read the same files."""
    merged: dict[str, str] = {}
    for path in files(CHINESE):
        merged.update(json.loads(path.read_text(encoding="utf-8")))
    return merged


def test_every_text_of_pages_is_in_the_catalogue() -> None:
    missing = [
        f"{place}: {text!r}"
        for text, place in (*scripts().shown.items(), *((word, "frame") for word in frame()))
        if not {text, text.strip()} & {*entries(), *NO_LANGUAGE}
    ]
    assert not missing, "not in static/locales/zh-CN:\n" + "\n".join(missing)


def test_the_catalogue_holds_only_what_pages_say() -> None:
    said = {text.strip() for text in (*scripts().any, *frame())} | set(shown_by_python())
    capital = {text[:1].swapcase() + text[1:] for text in said}
    dead = [
        f"{path.name}: {key!r}"
        for path in files(CHINESE)
        if path.stem not in OF_PYTHON
        for key in json.loads(path.read_text(encoding="utf-8"))
        if key.strip() not in said | capital
    ]
    assert not dead, "nothing says this any more:\n" + "\n".join(dead)


def test_no_text_is_translated_in_two_files() -> None:
    keys = Counter(key for path in files(CHINESE) for key in json.loads(path.read_text("utf-8")))
    assert not [key for key, count in keys.items() if count > 1]


@pytest.mark.parametrize("path", files(CHINESE), ids=lambda path: path.stem)
def test_a_translation_fills_in_what_the_text_does_and_is_written_in_chinese(path: Path) -> None:
    for key, value in json.loads(path.read_text(encoding="utf-8")).items():
        assert sorted(HOLE.findall(key)) == sorted(HOLE.findall(value)), key
        assert not re.search("[\u3400-\u9fff][,;:?!](?:\\s|$)", value), f"half-width mark: {value}"
        assert not re.search("[\u3400-\u9fff][A-Za-z0-9]|[A-Za-z0-9][\u3400-\u9fff]", value), (
            f"a space is missing between Chinese and Latin: {value}"
        )


def test_what_counts_as_no_language_is_still_said() -> None:
    assert not {text for text in NO_LANGUAGE if text not in {*scripts().any, *frame()}}


def test_pages_and_server_know_the_same_languages() -> None:
    source = (STATIC / "js" / "languages.js").read_text(encoding="utf-8")
    known = re.findall(r'\["([\w-]+)", "([^"]+)"\]', source)
    assert dict(known) == LANGUAGES


def test_the_extractor_knows_what_is_shown() -> None:
    source = """
      import { el } from "/static/js/lib.js"; // "Not a text"
      const word = isOpen ? "open now" : `${n} left${late ? ", late" : ""}`;
      el("p", { class: "meta muted", title: "How far" }, "done", fmt.count(n, "study", "studies"));
      if (kind === "Some kind") api("runs/list", { body: `a "quoted" ${/re"gex/.test(x)} text` });
    """
    texts = js_texts.Texts()
    js_texts.read(source, texts, "example.js")
    assert set(texts.shown) == {
        "open now",
        "{0} left",
        "{0} left, late",
        "How far",
        "done",
        "{0} study",
        "{0} studies",
        'a "quoted" {0} text',
    }
