"""The English that Python hands to pages, read from Configs, registries and the source itself.

Of a module's source every string counts that reads like English: f-strings with `{0}`, `{1}` for
what is filled in, strings that stand beside each other as one, both ways of "a if x else b". What
is filled in may be a text of its own ("did you mean '{0}'?"); the engine looks it up by itself.
"""

from __future__ import annotations

import ast
import importlib
import itertools
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from app import main as _app  # noqa: F401  # pages and the API import each other; the app comes first
from app.forms import form
from app.pages import best_of_n, compare, prompts
from backend import recipes
from backend.config import Config
from backend.preferences import formats
from backend.preferences.studies import TEMPLATES, StudyConfig
from backend.recipes import untrained
from backend.recipes.untrained import UntrainedConfig
from backend.registry import choosers, methods, policies, rewards
from backend.rewards._audit import MARKS
from backend.rewards._prompt_kinds import KINDS
from backend.rl.alarms import RULES
from backend.rl.recipe import RewardTerm, RunConfig
from backend.rl.steering import SETTINGS

HOLE = "\0"
MOST_WAYS = 16
COUNTERS = {"counted"}
"""Functions that write a number and a noun in its number."""
TITLED = {"Line", "Alarm", "Card", "words", "section"}
"""What is built with names of a single word, or asked for by one."""
STATUSES = {"pass", "warn", "fail"}
UNSEEN = {"debug", "info", "warning", "exception", "getLogger", "add_argument", "Query", "compile"}
"""Calls whose strings no page shows: logs, the command line, the API's reference."""
UNSEEN_KEYWORDS = {"description", "help", "media_type", "scope"}
CITATION = re.compile(r"^(?:[^;]*\barXiv[: ]?\d{4}\.\d{4,5}[^;]*(?:; )?)+$")


# --- what can be asked for while it is loaded ----------------------------------------------------


def configs() -> list[type[Config]]:
    """Every Config that a page draws a form from."""
    entries = [r.get(name).Config for r in (methods, policies, rewards) for name in r.names()]
    drawn = [compare.Comparing, best_of_n.Drawing, prompts.Drawing, prompts.Simulation]
    return [RunConfig, RewardTerm, UntrainedConfig, *entries, *drawn, StudyConfig]


def of_forms() -> Iterator[str]:
    """Labels, helps, units and the words of the choices of all forms."""
    for config in configs():
        yield from _of_fields(form(config))


def _of_fields(fields: list[dict[str, Any]]) -> Iterator[str]:
    for field in fields:
        yield from (field.get("label", ""), field.get("help", ""), field.get("unit", ""))
        yield from field.get("labels", {}).values()
        yield from _of_fields(field.get("fields", []))


def choices() -> set[tuple[str, str]]:
    """(name of the setting, choice) of all forms, where a choice is a word."""

    def inside(fields: list[dict[str, Any]]) -> Iterator[tuple[str, str]]:
        for field in fields:
            name = field["path"].rsplit(".", 1)[-1]
            yield from ((name, one) for one in field.get("choices", []) if isinstance(one, str))
            yield from inside(field.get("fields", []))

    return {choice for config in configs() for choice in inside(form(config))}


def of_registries() -> Iterator[str]:
    """What cards and tables say of methods, models, rewards, recipes, formats and studies."""
    for registry in (methods, policies, rewards, choosers):
        for name in registry.names():
            module = registry.get(name)
            for word in ("TITLE", "SUMMARY", "AVOID", "SOURCE"):
                yield str(getattr(module, word, ""))
    for name in recipes.names():
        card = recipes.card(name)
        yield from (card["title"], card["source"], card["hardware"], card["cost"], card["reward"])
    for one in untrained.cards():
        yield from (one["title"], one["summary"], one["source"])
    for name in formats.REGISTRY.names():
        module = formats.REGISTRY.get(name)
        yield from (module.TITLE, module.SUMMARY)
    for template in TEMPLATES:
        yield from (template.title, template.summary, template.config.question)
        yield from (*template.config.aspects, *template.config.reasons, *template.config.checklist)
    yield from MARKS
    yield from KINDS
    yield from SETTINGS.values()


def of_alarms() -> Iterator[str]:
    """What a rule is called, when it fires and what it tells."""
    for rule in RULES.values():
        yield from (rule.title, numbered(rule.looks), numbered(rule.says))


REFUSED: tuple[tuple[Any, Any], ...] = (
    (Annotated[int, Field(ge=1)], 0),
    (Annotated[int, Field(le=5)], 9),
    (Annotated[float, Field(gt=0)], 0),
    (Annotated[float, Field(lt=1)], 1),
    (int, "x"),
    (int, 1.5),
    (int, []),
    (int, "9" * 5000),
    (float, "x"),
    (float, []),
    (Annotated[float, Field(allow_inf_nan=False)], float("inf")),
    (bool, "x"),
    (bool, []),
    (str, 3),
    (Annotated[str, Field(max_length=7)], "12345678"),
    (Annotated[str, Field(min_length=2)], "1"),
    (Annotated[str, Field(min_length=1)], ""),
    (list[int], 3),
    (Annotated[list[int], Field(max_length=2)], [1, 2, 3]),
    (Annotated[list[int], Field(max_length=1)], [1, 2]),
    (Annotated[list[int], Field(min_length=2)], [1]),
    (Annotated[list[int], Field(min_length=1)], []),
    (dict[str, float], 3),
    (Literal["a", "b"], "c"),
)
"""(type, value that it refuses)."""


def of_validation() -> Iterator[str]:
    """What Pydantic says of a setting that cannot be, as `Config.read` and the API hand it on."""
    for kind, value in REFUSED:
        try:
            TypeAdapter(kind).validate_python(value)
        except ValidationError as error:
            said = error.errors()[0]["msg"].lower()
            yield numbered(re.sub(r"\d+|'a' or 'b'", HOLE, said))
    yield "'{0}' or '{1}'"


# --- what is read from the source ----------------------------------------------------------------


def of_source(path: Path) -> Iterator[tuple[int, str]]:
    """(line, text) of every string of a module that reads like English."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    notes = {
        id(node.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
    }
    yield from _texts(tree, notes)


def _texts(node: ast.AST, notes: set[int]) -> Iterator[tuple[int, str]]:
    if id(node) in notes or (isinstance(node, ast.Call) and _name(node.func) in UNSEEN):
        return
    if isinstance(node, ast.keyword) and node.arg in UNSEEN_KEYWORDS:
        return
    if isinstance(node, ast.expr) and _is_text(node):
        for way in _ways(node):
            if _reads_like_english(way):
                yield node.lineno, numbered(way)
        for inner in _filled_in(node):
            yield from _texts(inner, notes)
        return
    if isinstance(node, ast.Call):
        yield from _of_call(node)
    if isinstance(node, ast.Assign):
        yield from _of_assign(node)
    for child in ast.iter_child_nodes(node):
        yield from _texts(child, notes)


def _of_call(node: ast.Call) -> Iterator[tuple[int, str]]:
    words = [a.value for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str)]
    if _name(node.func) in COUNTERS:
        for noun in words:
            yield from ((node.lineno, f"{{0}} {noun}"), (node.lineno, f"{{0}} {noun}s"))
    if _name(node.func) in TITLED:
        yield from ((node.lineno, word) for word in words if word and word not in STATUSES)


def _of_assign(node: ast.Assign) -> Iterator[tuple[int, str]]:
    """`title, asked = "Memory", ...`: a name of a single word."""
    if not re.search(r"\btitle\b", ast.unparse(node.targets[0])):
        return
    values = node.value.elts if isinstance(node.value, ast.Tuple) else [node.value]
    for value in values:
        if isinstance(value, ast.Constant) and isinstance(value.value, str):
            yield node.lineno, value.value


def _name(node: ast.expr) -> str:
    return str(getattr(node, "attr", getattr(node, "id", "")))


def _is_text(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return isinstance(node.value, str)
    if isinstance(node, ast.IfExp):
        return _is_text(node.body) and _is_text(node.orelse)
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Add):
        return _is_text(node.left) or _is_text(node.right)
    return isinstance(node, ast.JoinedStr)


def _ways(node: ast.expr) -> list[str]:
    """Every text that an expression may be, what is filled in as HOLE."""
    if isinstance(node, ast.FormattedValue):
        plain = _is_text(node.value) and node.format_spec is None
        return _ways(node.value) if plain else [HOLE]
    if not _is_text(node):
        return [HOLE]
    if isinstance(node, ast.Constant):
        return [str(node.value)]
    if isinstance(node, ast.IfExp):
        return [*_ways(node.body), *_ways(node.orelse)]
    parts = node.values if isinstance(node, ast.JoinedStr) else _sides(node)
    ways = itertools.product(*(_ways(part) for part in parts))
    return ["".join(way) for way in itertools.islice(ways, MOST_WAYS)]


def _filled_in(node: ast.expr) -> Iterator[ast.expr]:
    """Expressions that are filled in."""
    if isinstance(node, ast.FormattedValue):
        plain = _is_text(node.value) and node.format_spec is None
        yield from _filled_in(node.value) if plain else (node.value,)
    elif isinstance(node, ast.IfExp) and _is_text(node):
        yield node.test
        for side in (node.body, node.orelse):
            yield from _filled_in(side)
    elif isinstance(node, ast.JoinedStr):
        for part in node.values:
            yield from _filled_in(part)
    elif isinstance(node, ast.BinOp) and _is_text(node):
        for side in _sides(node):
            yield from _filled_in(side)
    elif not isinstance(node, ast.Constant):
        yield node


def _sides(node: ast.expr) -> tuple[ast.expr, ast.expr]:
    assert isinstance(node, ast.BinOp)
    return node.left, node.right


def numbered(text: str) -> str:
    """`{name:.2f}` of a format, or HOLE, as {0}, {1} in order; white space as one blank."""
    number = itertools.count()
    held = text if HOLE in text else re.sub(r"\{[a-z_]+(?:[:!][^}]*)?\}", HOLE, text)
    return " ".join(re.sub(HOLE, lambda _: f"{{{next(number)}}}", held).split())


def _reads_like_english(text: str) -> bool:
    shown = text.replace(HOLE, "\N{WHITE SQUARE}").strip()
    free = re.search(r"(?<![A-Za-z0-9_./'-])[A-Za-z]?[a-z]+(?![A-Za-z0-9_/=(])", shown)
    return " " in shown and free is not None


def plain(texts: Iterator[str]) -> set[str]:
    """Texts with a word in them, white space as one blank; citations stay as they are."""
    seen = {" ".join(text.split()) for text in texts}
    return {text for text in seen if re.search("[A-Za-z]{2}", text) and not CITATION.match(text)}


def module_of(path: Path) -> Any:
    """The module at a path below the root, loaded."""
    return importlib.import_module(".".join(path.with_suffix("").parts))
