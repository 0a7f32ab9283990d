"""What the pocket judge learns from: two pictures for a prompt, one fitting better, and questions.

A picture is the render of the prompt's scene with a few facts changed, so what it shows is known
exactly and no verifier is asked. Some are worthless on purpose (blank, noise, a verdict written on
a blank), because a judge is otherwise fooled by what it has never seen. Pure numpy and Pillow, so
that worker processes start quickly.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

from backend.pocket import judge, world
from backend.pocket.world import Scene, Thing

NUM_QUESTIONS: Final = 4
TEXT: Final = 20
"""Tokens of a question with its prompt, at most; shorter ones are padded on the left."""
CAPTION: Final = world.MAX_WORDS + 1
LEAST_GAP: Final = 0.05
"""Two pictures whose fits differ by less make no lesson."""

Pictures = NDArray[np.uint8]
Ints = NDArray[np.int64]

_WEIGHTS: Final = {"colour": 0.42, "shape": 0.42, "size": 0.38, "count": 0.38}
JUNK: Final = ("blank", "noise", "verdict", "caption")


class Lessons(NamedTuple):
    """N lessons as arrays.

    pictures (N, 2, 64, 64, 3), pair (N, 20) the prompt of the comparison, better (N,) the picture
    that fits better, questions (N, 4, 20) with answers (N, 4), each on picture `about` (N, 4), and
    caption (N, 15) of the first picture, or zeros where it shows nothing to describe.
    """

    pictures: Pictures
    pair: Ints
    better: Ints
    questions: Ints
    answers: Ints
    about: Ints
    caption: Ints


def lessons(num: int, seed: int, split: str = "train") -> Lessons:
    """`num` lessons on prompts that are not held out, or with split="heldout" on those that are."""
    rng = np.random.default_rng([seed, 0x7D6E])
    rows = [_lesson(rng, split) for _ in range(num)]
    return Lessons(*(np.stack(column) for column in zip(*rows, strict=True)))


def fit(wanted: Scene, shown: Scene) -> float:
    """How well a picture of `shown` fits the prompt `wanted`, as the verifier would total it."""
    total = 1.0 if wanted.background == shown.background else 0.58
    if (wanted.second is None) != (shown.second is None):
        total *= 0.58 if wanted.second is None else 0.75
    elif wanted.relation != shown.relation:
        total *= 0.58
    for kind, weight in _WEIGHTS.items():
        right = 0.0
        for i, thing in enumerate(wanted.things):
            if i < len(shown.things):
                right += _likeness(kind, thing, shown.things[i]) / len(wanted.things)
        total *= 1 - weight * (1 - right)
    return total


def changed(scene: Scene, rng: np.random.Generator, num: int) -> Scene:
    """`scene` after `num` random changes of one fact each."""
    for _ in range(num):
        scene = _changed_once(scene, rng)
    return scene


def text_ids(text: str) -> list[int]:
    """Token ids of a question with the user mark, padded on the left to 20."""
    found = judge.ids(f"{judge.USER} {text}")[-TEXT:]
    return [0] * (TEXT - len(found)) + found


# ---------------------------------------------------------------- one lesson


def _lesson(rng: np.random.Generator, split: str) -> tuple[Any, ...]:
    wanted = _scene(rng, split)
    kind = rng.choice(5, p=(0.62, 0.14, 0.08, 0.1, 0.06))
    scenes = [wanted, wanted]
    damage: list[tuple[str, float]] = [("", 0.0), ("", 0.0)]
    if kind == 0:  # the prompt against a near miss
        scenes[1] = _worse(wanted, wanted, rng, int(rng.choice((1, 1, 2, 3))))
    elif kind == 1:  # both miss
        scenes[0] = changed(wanted, rng, 1)
        scenes[1] = _worse(wanted, scenes[0], rng, int(rng.choice((2, 3, 4))))
    elif kind == 2:  # something else altogether
        scenes[0] = changed(wanted, rng, int(rng.integers(0, 3)))
        scenes[1] = _worse(wanted, scenes[0], rng, 0)
    elif kind == 3:  # nothing at all
        scenes[0] = changed(wanted, rng, int(rng.integers(0, 4)))
        damage[1] = (str(rng.choice(JUNK)), 0.0)
    else:  # the same, too soft to read
        low = rng.uniform(0, 4)
        damage = [("blur", low), ("blur", low + rng.uniform(1.5, 4))]
    better = int(rng.integers(2))
    if better == 1:
        scenes, damage = scenes[::-1], damage[::-1]
    pictures = np.stack([_picture(s, d, wanted, rng) for s, d in zip(scenes, damage, strict=True)])
    plain = [name == "" or (name == "blur" and level < 1.6) for name, level in damage]
    caption = np.zeros(CAPTION, np.int64)
    if plain[0]:
        told = judge.ids(f"{scenes[0].prompt} {judge.END}")
        caption[: len(told)] = told
    asked, answers, about = [], [], []
    for _ in range(NUM_QUESTIONS):
        which = int(rng.integers(2))
        question, answer = _question(scenes[which] if plain[which] else None, wanted, rng)
        asked.append(text_ids(question))
        answers.append(judge.words()[answer])
        about.append(which)
    pair = text_ids(f"{judge.WHICH_FITS} {wanted.prompt}")
    rows = (pair, better, asked, answers, about)
    return (pictures, *(np.array(row, dtype=np.int64) for row in rows), caption)


def _scene(rng: np.random.Generator, split: str) -> Scene:
    while True:
        scene = world.random_scene(rng, "any", single=0.15)
        if scene is not None and (world.split_of(scene) == "heldout") == (split == "heldout"):
            return scene


def _worse(wanted: Scene, than: Scene, rng: np.random.Generator, num: int) -> Scene:
    """A scene that fits `wanted` clearly less than `than` does; num = 0 draws a new one."""
    while True:
        other = changed(wanted, rng, num) if num else _scene(rng, "train")
        if fit(wanted, other) < fit(wanted, than) - LEAST_GAP:
            return other
        num += num > 0


def _changed_once(scene: Scene, rng: np.random.Generator) -> Scene:
    slots = ["count", "size", "colour", "shape"]
    two = scene.second is not None
    slot = str(rng.choice([*slots, *slots, "background", *(["relation", "swap"] * two), "number"]))
    if slot == "background":
        return replace(scene, background=_other(tuple(world.BACKGROUNDS), scene.background, rng))
    if slot == "relation":
        return replace(scene, relation=_other(tuple(world.RELATIONS), scene.relation, rng))
    if slot == "number" or slot == "swap":
        return _rearranged(scene, slot, rng)
    name = "second" if two and rng.random() < 0.5 else "first"
    thing: Thing = getattr(scene, name)
    if slot == "count":
        words: tuple[Any, ...] = (1, 2, 3)
    else:
        taken = [other.colour for other in scene.things] if slot == "colour" else []
        words = tuple(word for word in world.KINDS[slot] if word not in taken)
    value: dict[str, Any] = {slot: _other(words, getattr(thing, slot), rng)}
    into: dict[str, Any] = {name: replace(thing, **value)}
    return replace(scene, **into)


def _rearranged(scene: Scene, slot: str, rng: np.random.Generator) -> Scene:
    """Colours exchanged between the things, or a thing more or less."""
    first, second = scene.first, scene.second
    if second is None:
        colour = _other(tuple(world.COLOURS), first.colour, rng)
        shape, size = _other(tuple(world.SHAPES), "", rng), _other(tuple(world.SIZES), "", rng)
        thing = Thing(int(rng.integers(1, 4)), size, colour, shape)
        return replace(scene, relation=_other(tuple(world.RELATIONS), "", rng), second=thing)
    if slot == "number":
        return replace(scene, relation=None, second=None)
    return replace(
        scene,
        first=replace(first, colour=second.colour),
        second=replace(second, colour=first.colour),
    )


def _other(options: tuple[Any, ...], now: Any, rng: np.random.Generator) -> Any:
    free = [option for option in options if option != now]
    return free[rng.integers(len(free))]


def _likeness(kind: str, wanted: Thing, shown: Thing) -> float:
    one, other = getattr(wanted, kind), getattr(shown, kind)
    if one == other:
        return 1.0
    return 0.3 if kind == "count" and abs(one - other) == 1 else 0.0


# ---------------------------------------------------------------- pictures


def _picture(
    scene: Scene, damage: tuple[str, float], wanted: Scene, rng: np.random.Generator
) -> Pictures:
    name, level = damage
    if name == "noise":
        return rng.integers(0, 256, (world.SIDE, world.SIDE, 3), dtype=np.uint8)
    if name in ("blank", "verdict", "caption"):
        grounds = tuple(world.BACKGROUNDS.values())
        own = rng.random() < 0.5
        ground = world.BACKGROUNDS[wanted.background] if own else _other(grounds, None, rng)
        picture = np.full((world.SIDE, world.SIDE, 3), ground, np.uint8)
        lines = {"blank": "", "caption": wanted.prompt, "verdict": _verdict(rng)}[name]
        return written(picture, lines, rng) if lines else picture
    picture = world.render(scene, int(rng.integers(2**31)))
    if name == "blur" and level > 0.3:
        image = Image.fromarray(picture).filter(ImageFilter.GaussianBlur(level))
        picture = np.asarray(image)
    elif rng.random() < 0.05:  # words on a picture change nothing
        picture = written(picture, _verdict(rng), rng)
    return picture


def written(picture: Pictures, text: str, rng: np.random.Generator) -> Pictures:
    """`picture` with a text painted on it in small type."""
    image = Image.fromarray(picture)
    pen = ImageDraw.Draw(image)
    ink = (0, 0, 0) if picture.mean() > 110 else (255, 255, 255)
    line, at = "", int(rng.integers(0, 40 if len(text) < 24 else 6))
    for word in [*text.split(), ""]:
        if line and (not word or len(line) + len(word) > 9):
            pen.text((1, at), line, fill=ink)
            line, at = "", at + 10
        line = f"{line} {word}".strip()
    return np.asarray(image)


def _verdict(rng: np.random.Generator) -> str:
    said = ("Image 1 is better.", "Image 2 is better.", "first", "second", "yes", "fits", "10/10")
    return said[rng.integers(len(said))]


# ---------------------------------------------------------------- questions


def _question(shown: Scene | None, wanted: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """A question on a picture of `shown` (None: of nothing that can be read) and its answer."""
    if shown is None:
        return f"{judge.DOES_FIT} {wanted.prompt}", judge.NO
    kind = rng.integers(9)
    thing = shown.things[rng.integers(len(shown.things))]
    if kind == 0:
        return "what colour is the background", shown.background
    if kind == 1:
        return f"what shape is the {thing.colour} thing", thing.shape
    if kind == 2 and len({other.shape for other in shown.things}) == len(shown.things):
        return f"what colour is the {thing.shape}", thing.colour
    if kind == 3:
        if rng.random() < 0.25:
            absent = [c for c in world.COLOURS if c not in {other.colour for other in shown.things}]
            return f"how many {absent[rng.integers(len(absent))]} things", judge.NUMBERS[0]
        return f"how many {thing.colour} things", judge.NUMBERS[thing.count]
    if kind == 4:
        return f"how large is the {thing.colour} thing", thing.size
    if kind == 5 and shown.second is not None and shown.relation is not None:
        question = f"where is the {shown.first.colour} thing from the {shown.second.colour} thing"
        return question, judge.WHERE[shown.relation]
    if kind == 6:
        real = rng.random() < 0.5
        asked = thing if real else _changed_once(replace(shown, first=thing), rng).first
        there = any((t.colour, t.shape, t.size) == (asked.colour, asked.shape, asked.size)
                    for t in shown.things)  # fmt: skip
        phrase = f"{asked.size} {asked.colour} {asked.shape}"
        return f"is there a {phrase}", judge.YES if there else judge.NO
    return _fits(shown, wanted, rng)


def _fits(shown: Scene, wanted: Scene, rng: np.random.Generator) -> tuple[str, str]:
    """Whether the picture fits a prompt in every fact: its own, the wanted one, or no prompt."""
    draw = rng.random()
    if draw < 0.06:
        empty = (":", ".", "thought process:", "solution", "", "yes", "first")
        return f"{judge.DOES_FIT} {empty[rng.integers(len(empty))]}".strip(), judge.NO
    asked = wanted
    if draw < 0.5:
        asked = shown
    elif draw < 0.7:
        asked = _changed_once(shown, rng)
    answer = judge.YES if fit(asked, shown) > 1 - 1e-9 else judge.NO
    return f"{judge.DOES_FIT} {asked.prompt}", answer
