"""Near misses: a prompt of the pocket language with one word changed to another of its kind."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from backend.errors import InputError
from backend.pocket import world


def one_word_changed(prompt: str) -> list[tuple[str, list[str]]]:
    """The prompts that differ from `prompt` in one word.

    For each word that can change, its kind and the changed prompts. Empty for a prompt out of the
    pocket language.
    """
    try:
        scene = world.parse(prompt)
    except InputError:
        return []
    found: list[tuple[str, list[str]]] = []
    for name, thing in zip(("first", "second"), scene.things, strict=False):
        for kind in ("count", "size", "colour", "shape"):
            words = (1, 2, 3) if kind == "count" else world.KINDS[kind]
            taken = {getattr(other, kind) for other in scene.things if kind == "colour"}
            taken.add(getattr(thing, kind))
            others = [_with(thing, kind, word) for word in words if word not in taken]
            found.append((kind, [_with(scene, name, other).prompt for other in others]))
    for kind in ("relation", "background"):
        now = getattr(scene, kind)
        if now is not None:
            changed = [_with(scene, kind, word) for word in world.KINDS[kind] if word != now]
            found.append((kind, [other.prompt for other in changed]))
    return found


def _with(record: Any, name: str, value: Any) -> Any:
    return replace(record, **{name: value})
