"""What a plain prompt asks to be seen, and whether the things that were found are it.

    wanted = read("a photo of a red car left of two dogs")
    wanted.things      # [Thing(1, "car", colour="red"), Thing(2, "dogs" as "dog")]
    checks(wanted, found)

The language is that of GenEval's six kinds of prompt: things with a number and a colour, joined by
"and", a comma or a place ("left of", "right of", "above", "below"). Every other prompt is None:
what cannot be read cannot be checked. The rules are GenEval's: a number beyond one is exact; a
colour must be that of as many things as are asked for; for places, centres count, less a tenth of
both sizes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from backend.rewards.interface import Floats

COLOURS: Final = (
    "red",
    "orange",
    "yellow",
    "green",
    "blue",
    "purple",
    "pink",
    "brown",
    "black",
    "white",
)
NUMBERS: Final = {
    "a": 1,
    "an": 1,
    "one": 1,
    "two": 2,
    "three": 3,
    "four": 4,
    "five": 5,
    "six": 6,
    "seven": 7,
    "eight": 8,
    "nine": 9,
    "ten": 10,
}
PLACES: Final = {"left": (-1, 0), "right": (1, 0), "above": (0, -1), "below": (0, 1)}
"""Where a thing is from the other, in a picture whose rows run down."""
ODD: Final = {
    "people": "person",
    "men": "man",
    "women": "woman",
    "mice": "mouse",
    "sheep": "sheep",
    "buses": "bus",
}
NEAR: Final = 0.1
"""Of both sizes: centres that are nearer than this are at no side."""
SLANT: Final = 0.5
"""Cosine with a direction beyond which a thing is on that side."""
_OPENING: Final = re.compile(r"^(?:an? )?(?:photo|picture|image) of ")
_JOINT: Final = re.compile(
    r",? (?:to the )?(left|right) of |,? (above|below|under|beneath) | and |, (?:and )?"
)
_SAME: Final = {"under": "below", "beneath": "below"}


@dataclass(frozen=True)
class Thing:
    """Something that is asked for."""

    number: int
    name: str
    """As it is called alone: "dog" of "two dogs"."""
    colour: str = ""


@dataclass(frozen=True)
class Place:
    """That one thing is at a side of the next."""

    which: int
    side: str
    of: int


@dataclass(frozen=True)
class Wanted:
    """What a prompt asks for."""

    things: tuple[Thing, ...]
    places: tuple[Place, ...] = ()


@dataclass(frozen=True)
class Box:
    """Something that was found, in pixels."""

    left: float
    top: float
    right: float
    bottom: float
    score: float = 1.0
    colour: str = ""


def read(prompt: str) -> Wanted | None:
    """What a prompt asks for; None where it is not of this language."""
    text = " ".join(prompt.lower().strip().rstrip(".").split())
    text = _OPENING.sub("", text)
    things: list[Thing] = []
    places: list[Place] = []
    at = 0
    for joint in [*_JOINT.finditer(text), None]:
        thing = _thing(text[at : joint.start() if joint else len(text)])
        if thing is None:
            return None
        things.append(thing)
        if joint is None:
            break
        side = joint.group(1) or joint.group(2)
        if side:
            num = len(things)
            places.append(Place(num - 1, _SAME.get(side, side), num))
        at = joint.end()
    return Wanted(tuple(things), tuple(places))


def _thing(text: str) -> Thing | None:
    """One thing of a prompt: a number, perhaps a colour, a name of at most three words."""
    words = text.split()
    if len(words) < 2 or (words[0] not in NUMBERS and words[0] not in COLOURS):
        return None
    number = NUMBERS.get(words[0], 1)
    words = words[words[0] in NUMBERS :]
    colour = words[0] if words[0] in COLOURS and len(words) > 1 else ""
    name = words[bool(colour) :]
    if not 1 <= len(name) <= 3 or not all(re.fullmatch(r"[a-z][a-z'-]*", word) for word in name):
        return None
    if number > 1:
        name[-1] = single(name[-1])
    return Thing(number, " ".join(name), colour)


def single(word: str) -> str:
    """An English plural as one: "dogs", "benches", "knives", "people"."""
    if word in ODD:
        return ODD[word]
    for ending, instead in (("ives", "ife"), ("ies", "y"), ("ches", "ch"), ("shes", "sh")):
        if word.endswith(ending) and len(word) > len(ending) + 1:
            return word.removesuffix(ending) + instead
    for ending in ("sses", "xes"):
        if word.endswith(ending):
            return word.removesuffix("es")
    return word.removesuffix("s") if not word.endswith("ss") else word


def checks(wanted: Wanted, found: Mapping[str, Sequence[Box]]) -> dict[str, list[bool]]:
    """Whether each thing asked for holds: lists under presence, count, colour and place.

    `found` has the boxes of every name, their colours told where one was asked for.
    """
    held: dict[str, list[bool]] = {"presence": [], "count": [], "colour": [], "place": []}
    kept: list[list[Box]] = []
    for thing in wanted.things:
        boxes = sorted(found.get(thing.name, ()), key=lambda box: -box.score)
        if thing.number == 1:
            held["presence"].append(bool(boxes))
        else:
            held["count"].append(len(boxes) == _asked(wanted, thing.name))
        if thing.colour:
            boxes = [box for box in boxes if box.colour == thing.colour]
            held["colour"].append(len(boxes) >= thing.number)
        kept.append(boxes[: thing.number])
    for place in wanted.places:
        mine, other = kept[place.which], kept[place.of]
        pairs = [(a, b) for a in mine for b in other]
        held["place"].append(bool(pairs) and all(side(a, b, place.side) for a, b in pairs))
    return {name: list_ for name, list_ in held.items() if list_}


def _asked(wanted: Wanted, name: str) -> int:
    """How many of a name are asked for in all: two red cups and a blue cup are three cups."""
    return sum(thing.number for thing in wanted.things if thing.name == name)


def side(a: Box, b: Box, where: str) -> bool:
    """Whether `a` is at a side of `b`."""
    mine, other = (np.array([[one.left, one.top], [one.right, one.bottom]]) for one in (a, b))
    away = mine.mean(axis=0) - other.mean(axis=0)
    sizes = (mine[1] - mine[0]) + (other[1] - other[0])
    away = np.maximum(np.abs(away) - NEAR * sizes, 0) * np.sign(away)
    length = float(np.linalg.norm(away))
    if length < 1e-3:
        return False
    return bool(away @ np.array(PLACES[where]) / length > SLANT)


def apart(boxes: Sequence[Box], overlap: float) -> list[Box]:
    """The boxes that overlap no better one by more than `overlap`, intersection over union."""
    kept: list[Box] = []
    for box in sorted(boxes, key=lambda box: -box.score):
        if all(_overlap(box, other) <= overlap for other in kept):
            kept.append(box)
    return kept


def _overlap(a: Box, b: Box) -> float:
    wide = max(0.0, min(a.right, b.right) - max(a.left, b.left))
    high = max(0.0, min(a.bottom, b.bottom) - max(a.top, b.top))
    both = (a.right - a.left) * (a.bottom - a.top) + (b.right - b.left) * (b.bottom - b.top)
    return wide * high / max(both - wide * high, 1e-9)


def table(held: Sequence[Mapping[str, Sequence[bool]] | None]) -> dict[str, Floats]:
    """Share of what holds, in all (`share`) and by kind, (B,); NaN where it was not asked."""
    names = ("share", "presence", "count", "colour", "place")
    found = {name: np.full(len(held), np.nan) for name in names}
    for row, said in enumerate(held):
        every = [one for kind in (said or {}).values() for one in kind]
        for name, answers in {**(said or {}), "share": every}.items():
            if answers:
                found[name][row] = float(np.mean(answers))
    return found
