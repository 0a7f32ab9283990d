"""The pocket world: a language of coloured shapes at 64×64, its grammar, renderer and splits.

A prompt names one or two things and a background: "two large red circles above a small blue square
on a gray background". Everything a prompt says can be seen in the picture, so a reward can be
checked from pixels alone (`backend.pocket.verifier`). The two things always differ in colour;
object colours and background colours are disjoint.

Pure numpy; nothing here imports torch.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import product
from typing import Any, Final, Literal

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError

Split = Literal["train", "heldout", "any"]
Rgb = tuple[int, int, int]

SIDE: Final = 64
"""Height and width of a picture in pixels."""

COUNTS: Final[tuple[str, ...]] = ("a", "two", "three")
SIZES: Final[dict[str, float]] = {"large": 9.0, "small": 5.2}
"""Radius of each size in pixels; every shape of radius r fits in a box of 2r + 1 pixels."""

COLOURS: Final[dict[str, Rgb]] = {
    "red": (222, 36, 40),
    "orange": (246, 130, 28),
    "yellow": (250, 215, 34),
    "green": (38, 160, 66),
    "cyan": (48, 198, 220),
    "blue": (44, 78, 232),
    "purple": (146, 50, 192),
}
BACKGROUNDS: Final[dict[str, Rgb]] = {
    "white": (248, 248, 248),
    "gray": (150, 150, 150),
    "black": (14, 14, 14),
    "pink": (252, 188, 204),
    "beige": (226, 208, 168),
    "navy": (22, 28, 88),
    "brown": (112, 72, 46),
}
SHAPES: Final[dict[str, str]] = {
    "circle": "circles",
    "square": "squares",
    "triangle": "triangles",
    "star": "stars",
    "cross": "crosses",
}
"""Singular → plural."""

RELATIONS: Final[dict[str, tuple[int, int]]] = {
    "above": (0, -1),
    "below": (0, 1),
    "left of": (-1, 0),
    "right of": (1, 0),
}
"""Where the first thing lies seen from the second, as (x, y) with y pointing down."""

MAX_WORDS: Final = 14
"""Longest prompt in words, so that with its two end marks it fits a 16-token tokenizer."""

KINDS: Final[dict[str, tuple[str, ...]]] = {
    "count": COUNTS,
    "size": tuple(SIZES),
    "colour": tuple(COLOURS),
    "shape": tuple(SHAPES),
    "relation": tuple(RELATIONS),
    "background": tuple(BACKGROUNDS),
}
"""The words of each kind, in the order used for indices everywhere."""


@dataclass(frozen=True, slots=True)
class Thing:
    """One to three alike objects."""

    count: int
    size: str
    colour: str
    shape: str

    @property
    def phrase(self) -> str:
        """The words that name the thing: "a small red star", "three large blue crosses"."""
        noun = self.shape if self.count == 1 else SHAPES[self.shape]
        return f"{COUNTS[self.count - 1]} {self.size} {self.colour} {noun}"


@dataclass(frozen=True)
class Scene:
    """What a prompt says. With one thing only, `relation` and `second` are None."""

    first: Thing
    relation: str | None
    second: Thing | None
    background: str

    @property
    def prompt(self) -> str:
        """The one sentence for this scene; `parse` is its inverse."""
        words = self.first.phrase
        if self.second is not None:
            words += f" {self.relation} {self.second.phrase}"
        return f"{words} on a {self.background} background"

    @property
    def things(self) -> tuple[Thing, ...]:
        """The one or two things, in the order of the sentence."""
        return (self.first,) if self.second is None else (self.first, self.second)

    @cached_property
    def triples(self) -> tuple[tuple[str, str, str | None], ...]:
        """The (colour, shape, relation) combinations that decide the split."""
        return tuple((thing.colour, thing.shape, self.relation) for thing in self.things)


# ---------------------------------------------------------------- language

_SINGULAR: Final = {form: one for one, many in SHAPES.items() for form in (one, many)}
_THING: Final = r"(?P<count{n}>\S+) (?P<size{n}>\S+) (?P<colour{n}>\S+) (?P<shape{n}>\S+)"
_GROUND: Final = r" on a (?P<background>\S+) background"
_ONE: Final = re.compile(_THING.format(n=1) + _GROUND)
_TWO: Final = re.compile(
    _THING.format(n=1)
    + r" (?P<relation>above|below|left of|right of) "
    + _THING.format(n=2)
    + _GROUND
)
_FORM: Final = "a large red circle above two small blue squares on a gray background"


def parse(prompt: str) -> Scene:
    """Read a prompt of the pocket language; spaces and capitals do not matter.

    Raises InputError with a sentence that names the words that could not be read.
    """
    text = " ".join(prompt.lower().strip().rstrip(".").split())
    found = _TWO.fullmatch(text) or _ONE.fullmatch(text)
    if found is None:
        raise InputError(
            f"The pocket model cannot read the prompt '{prompt}'; write one or two things and a "
            f"background, as in '{_FORM}'."
        )
    words = found.groupdict()
    second = _thing(prompt, words, 2) if "relation" in words else None
    background = _known(prompt, "background", words["background"], tuple(BACKGROUNDS))
    scene = Scene(_thing(prompt, words, 1), words.get("relation"), second, background)
    if second is not None and second.colour == scene.first.colour:
        raise InputError(
            f"In the prompt '{prompt}' both things are {second.colour}; the two things of a pocket "
            f"prompt must differ in colour."
        )
    return scene


def _thing(prompt: str, words: dict[str, str], n: int) -> Thing:
    count = _known(prompt, "count", words[f"count{n}"], COUNTS)
    size = _known(prompt, "size", words[f"size{n}"], tuple(SIZES))
    colour = _known(prompt, "colour", words[f"colour{n}"], tuple(COLOURS))
    number = COUNTS.index(count) + 1
    forms = tuple(SHAPES) if number == 1 else tuple(SHAPES.values())
    shape = _known(prompt, "shape", words[f"shape{n}"], forms)
    return Thing(number, size, colour, _SINGULAR[shape])


def _known(prompt: str, kind: str, word: str, words: tuple[str, ...]) -> str:
    if word not in words:
        raise InputError(
            f"The pocket model cannot read '{word}' as a {kind} in the prompt '{prompt}'; "
            f"it knows {', '.join(words)}."
        )
    return word


# ---------------------------------------------------------------- splits


def is_heldout_triple(colour: str, shape: str, relation: str | None) -> bool:
    """Whether a (colour, shape, relation) combination is kept from training.

    One shape in five for every colour and relation, in a Latin pattern, so that each colour, shape
    and relation by itself is seen in training.
    """
    place = len(RELATIONS) if relation is None else tuple(RELATIONS).index(relation)
    return (tuple(COLOURS).index(colour) + 2 * tuple(SHAPES).index(shape) + 3 * place) % 5 == 0


def split_of(scene: Scene) -> Literal["train", "heldout", "neither"]:
    """Held-out: all combinations of the scene are held out. Train: none is. Otherwise neither."""
    held = [is_heldout_triple(*triple) for triple in scene.triples]
    return "heldout" if all(held) else "neither" if any(held) else "train"


def scenes(split: Split = "any") -> Iterator[Scene]:
    """Every scene of the world in a fixed order; about 10⁶ of them for split="any"."""
    kinds = list(product((1, 2, 3), SIZES, COLOURS, SHAPES))
    things = [Thing(*kind) for kind in kinds]
    for background in BACKGROUNDS:
        for first in things:
            yield from _kept(Scene(first, None, None, background), split)
            for relation, second in product(RELATIONS, things):
                if second.colour != first.colour:
                    yield from _kept(Scene(first, relation, second, background), split)


def num_prompts() -> int:
    """How many distinct prompts the language has."""
    num_things = len(COUNTS) * len(SIZES) * len(COLOURS) * len(SHAPES)
    num_others = num_things // len(COLOURS) * (len(COLOURS) - 1)
    return len(BACKGROUNDS) * num_things * (1 + len(RELATIONS) * num_others)


def draw(n: int, seed: int, split: Split = "train", *, single: float = 0.12) -> list[str]:
    """`n` distinct prompts of a split; `single` is the share with one thing."""
    rng = np.random.default_rng([seed, 0x70A1])
    found: dict[str, None] = {}
    for _ in range(40 * n + 1000):
        if len(found) == n:
            break
        scene = random_scene(rng, split, single=single)
        if scene is not None:
            found[scene.prompt] = None
    if len(found) < n:
        raise InputError(f"The {split} split of the pocket world has too few prompts to draw {n}.")
    return list(found)


def random_scene(
    rng: np.random.Generator, split: Split = "any", *, single: float = 0.12
) -> Scene | None:
    """One scene drawn evenly over its words; None where the draw falls outside the split."""
    relation = None if rng.random() < single else tuple(RELATIONS)[rng.integers(len(RELATIONS))]
    first = _random_thing(rng, split, relation, None)
    second = None if relation is None else _random_thing(rng, split, relation, first.colour)
    scene = Scene(first, relation, second, tuple(BACKGROUNDS)[rng.integers(len(BACKGROUNDS))])
    return scene if split in ("any", split_of(scene)) else None


def _kept(scene: Scene, split: Split) -> Iterator[Scene]:
    if split in ("any", split_of(scene)):
        yield scene


def _random_thing(
    rng: np.random.Generator, split: Split, relation: str | None, other: str | None
) -> Thing:
    colours = [colour for colour in COLOURS if colour != other]
    while True:
        colour = colours[rng.integers(len(colours))]
        shape = tuple(SHAPES)[rng.integers(len(SHAPES))]
        if split == "any" or is_heldout_triple(colour, shape, relation) == (split == "heldout"):
            break
    return Thing(int(rng.integers(1, 4)), tuple(SIZES)[rng.integers(2)], colour, shape)


# ---------------------------------------------------------------- pictures


def render(scene: Scene, seed: int) -> NDArray[np.uint8]:
    """Draw a scene, crisp and antialiased, with jittered places and sizes. Shape (64, 64, 3)."""
    rng = np.random.default_rng([seed, 0x3C4E])
    ground = np.array(BACKGROUNDS[scene.background], dtype=np.float32)
    picture = np.broadcast_to(ground, (SIDE, SIDE, 3)).copy()
    way = RELATIONS[scene.relation] if scene.relation is not None else None
    for sign, thing in zip((1, -1), scene.things, strict=False):
        for x, y, radius in _places(thing, way, sign, rng):
            paint(picture, thing.shape, x, y, radius, COLOURS[thing.colour])
    return np.rint(picture).astype(np.uint8)


def paint(
    picture: NDArray[np.float32], shape: str, x: float, y: float, radius: float, colour: Rgb
) -> None:
    """Draw one object into `picture` (64, 64, 3) in place, its middle at (x, y) pixels."""
    top, left = max(int(y - radius - 2), 0), max(int(x - radius - 2), 0)
    bottom, right = min(int(y + radius + 3), SIDE), min(int(x + radius + 3), SIDE)
    rows = np.arange(top, bottom, dtype=np.float32)[:, None] + 0.5 - y
    columns = np.arange(left, right, dtype=np.float32)[None, :] + 0.5 - x
    cover = np.clip(0.5 - distance(shape, columns, rows, radius), 0, 1)[..., None]
    patch = picture[top:bottom, left:right]
    patch += cover * (np.array(colour, dtype=np.float32) - patch)


def render_many(prompts: list[str], seed: int) -> NDArray[np.uint8]:
    """Draw prompt i with seed `seed + i`. Shape (B, 64, 64, 3)."""
    return np.stack([render(parse(prompt), seed + i) for i, prompt in enumerate(prompts)])


def distance(shape: str, x: Any, y: Any, radius: float) -> Any:
    """Signed distance in pixels from a shape at the origin, negative inside; y points down."""
    across, down = np.abs(x), np.abs(y)
    if shape == "circle":
        return np.sqrt(x * x + y * y) - 0.95 * radius
    if shape == "square":
        return np.maximum(across, down) - 0.86 * radius
    if shape == "cross":
        arms = np.minimum(across, down) - 0.34 * radius
        return np.maximum(arms, np.maximum(across, down) - radius)
    if shape == "triangle":
        height, half = 1.8 * radius, radius
        slope = float(np.hypot(height, half))
        sides = (across * height - (y + 0.6 * height) * half) / slope
        return np.maximum(sides, y - 0.4 * height)
    sector = np.pi / 5  # star: fold the plane to one half of one point
    angle = np.abs((np.arctan2(x, -y) + sector) % (2 * sector) - sector)
    outer, inner = 1.08 * radius, 0.46 * radius
    reach = np.sqrt(x * x + y * y)
    dx, dy = inner * np.cos(sector) - outer, inner * np.sin(sector)
    cross = (reach * np.cos(angle) - outer) * dy - reach * np.sin(angle) * dx
    return (cross / np.hypot(dx, dy)).astype(np.float32)


def _places(
    thing: Thing, way: tuple[int, int] | None, sign: int, rng: np.random.Generator
) -> list[tuple[float, float, float]]:
    """Centre x, centre y and radius of each object of a thing, in pixels."""
    radius = SIZES[thing.size] * (1 + 0.03 * rng.uniform(-1, 1))
    reach = 1.04 * radius + 1.5  # keep this far from the edge
    row = way is None or way[0] == 0  # objects of one thing stand in a row, or in a column
    if way is None:
        centre = SIDE / 2 + rng.uniform(-6, 6)
    else:
        centre = SIDE / 2 + sign * (way[0] + way[1]) * 15.5 + rng.uniform(-2.5, 2.5)
    low, high = 2.1 * radius + 2.1, (SIDE - 2 * reach) / max(thing.count - 1, 1)
    gap = low if high < low else rng.uniform(low, min(high, low + 6))
    room = SIDE / 2 - reach - gap * (thing.count - 1) / 2
    middle = SIDE / 2 + rng.uniform(-1, 1) * min(max(room, 0.0), 8.0)
    wobble = 1.0 if thing.size == "large" else 2.0
    spots = []
    for i in range(thing.count):
        along = middle + (i - (thing.count - 1) / 2) * gap
        side = min(max(centre + rng.uniform(-wobble, wobble), reach), SIDE - reach)
        spots.append((along, side, radius) if row else (side, along, radius))
    return spots
