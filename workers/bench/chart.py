"""Line charts with Pillow: every line is named where it ends, so no legend has to be read.

Colours are Okabe and Ito's, told apart by colour-blind people; when there are more lines than
colours, dashes tell them apart. Everything is drawn three times as large and scaled down, which
smooths the lines.
"""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.ImageDraw import ImageDraw

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#7F7F7F")
DASHES: tuple[tuple[int, ...], ...] = ((), (9, 4), (2, 3), (9, 3, 2, 3))
INK, FAINT, GRID = "#222222", "#6B6B6B", "#E4E4E4"
SCALE = 3
WIDTH, HEIGHT = 720, 400
"""Of a panel, in pixels of the picture."""
LEFT, RIGHT, TOP, BOTTOM = 64, 150, 40, 44
HEAD = 44
ROW = 12
"""Between the names of two lines, at least."""


@dataclass(frozen=True)
class Line:
    """A named curve, and the standard error of its last point."""

    name: str
    x: Sequence[float]
    y: Sequence[float]
    error: float = 0.0


@dataclass(frozen=True)
class Panel:
    """One pair of axes."""

    title: str
    x_label: str
    lines: Sequence[Line]
    from_zero: bool = True
    """Whether the upright axis shows 0 wherever the lines are."""


def write_chart(path: Path, title: str, panels: Sequence[Sequence[Panel]]) -> None:
    """Draw rows of panels under a title; a name keeps its colour in all of them."""
    from PIL import Image, ImageDraw

    columns = max(len(row) for row in panels)
    size = (columns * WIDTH, HEAD + len(panels) * HEIGHT)
    sheet = Image.new("RGB", (size[0] * SCALE, size[1] * SCALE), "white")
    pen = _Pen(ImageDraw.Draw(sheet))
    pen.text((16, 14), title, INK, 17)
    names = list(dict.fromkeys(line.name for row in panels for p in row for line in p.lines))
    styles = {
        name: (COLOURS[i % len(COLOURS)], DASHES[i // len(COLOURS) % len(DASHES)])
        for i, name in enumerate(names)
    }
    for down, row in enumerate(panels):
        for across, panel in enumerate(row):
            _Axes(pen, panel, across * WIDTH, HEAD + down * HEIGHT).draw(styles)
    out = io.BytesIO()
    sheet.resize(size, Image.Resampling.LANCZOS).save(out, "PNG")
    path.write_bytes(out.getvalue())


def ticks(low: float, high: float, num: int = 5) -> list[float]:
    """Round numbers from at most `low` to at least `high`, about `num` of them.

    Example: 0 to .19 → 0, .05, .1, .15, .2.
    """
    rough = max(high - low, 1e-9) / num
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(power * k for k in (1, 2, 2.5, 5, 10) if power * k >= rough * (1 - 1e-9))
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [round(step * i, 10) for i in range(first, last + 1)]


def spaced(places: Sequence[float], gap: float, bottom: float) -> list[float]:
    """The places, those that collide moved down until they stand `gap` apart, none under `bottom`.

    Example: 10, 11, 30 with gap 6 → 10, 16, 30; with bottom 20 → 8, 14, 20.
    """
    order = sorted(range(len(places)), key=lambda i: places[i])
    found = dict(enumerate(places))
    for above, below in pairwise(order):
        found[below] = max(found[below], found[above] + gap)
    limit = bottom
    for i in reversed(order):
        found[i] = min(found[i], limit)
        limit = found[i] - gap
    return [found[i] for i in range(len(places))]


class _Pen:
    """Draws in pixels of the finished picture."""

    def __init__(self, draw: ImageDraw) -> None:
        self._draw = draw

    def text(
        self, at: tuple[float, float], words: str, colour: str, size: int = 12, anchor: str = "la"
    ) -> None:
        from PIL import ImageFont

        font = ImageFont.load_default(size * SCALE)
        place = (at[0] * SCALE, at[1] * SCALE)
        self._draw.text(place, words, fill=colour, font=font, anchor=anchor)

    def line(
        self,
        points: Sequence[tuple[float, float]],
        colour: str,
        width: float,
        dash: tuple[int, ...] = (),
    ) -> None:
        for part in _dashed(points, dash) if dash else [points]:
            scaled = [(x * SCALE, y * SCALE) for x, y in part]
            self._draw.line(scaled, fill=colour, width=round(width * SCALE), joint="curve")


def _dashed(
    points: Sequence[tuple[float, float]], dash: tuple[int, ...]
) -> list[list[tuple[float, float]]]:
    """The strokes of a dashed polyline; `dash` is stroke, space, stroke, space ..."""
    parts: list[list[tuple[float, float]]] = []
    number, left = 0, float(dash[0])
    for start, end in pairwise(points):
        at, whole = 0.0, math.dist(start, end)
        while at < whole:
            step = min(left, whole - at)
            if number % 2 == 0:
                parts.append([_between(start, end, s / whole) for s in (at, at + step)])
            at, left = at + step, left - step
            if left <= 1e-9:
                number = (number + 1) % len(dash)
                left = float(dash[number])
    return parts


def _between(a: tuple[float, float], b: tuple[float, float], share: float) -> tuple[float, float]:
    return a[0] + (b[0] - a[0]) * share, a[1] + (b[1] - a[1]) * share


class _Axes:
    """One panel at its place in the picture."""

    def __init__(self, pen: _Pen, panel: Panel, left: int, top: int) -> None:
        self.pen, self.panel = pen, panel
        self.left, self.right = left + LEFT, left + WIDTH - RIGHT
        self.top, self.bottom = top + TOP, top + HEIGHT - BOTTOM
        lines = panel.lines
        ends = [line.y[-1] + s * line.error for line in lines for s in (-1, 1)]
        ys = [y for line in lines for y in line.y] + ends or [0.0, 1.0]
        self.x_ticks = ticks(0.0, max((x for line in lines for x in line.x), default=1.0) or 1.0)
        ys += [0.0] if panel.from_zero else []
        self.y_ticks = ticks(min(ys), max(ys) or 1.0)

    def draw(self, styles: dict[str, tuple[str, tuple[int, ...]]]) -> None:
        """Axes, lines, and the names at their ends."""
        pen = self.pen
        pen.text((self.left, self.top - 26), self.panel.title, INK, 13)
        for tick in self.y_ticks:
            y = self._y(tick)
            pen.line([(self.left, y), (self.right, y)], FAINT if tick == 0 else GRID, 1)
            pen.text((self.left - 8, y), _short(tick), FAINT, 11, "rm")
        for tick in self.x_ticks:
            pen.text((self._x(tick), self.bottom + 8), _short(tick), FAINT, 11, "ma")
        middle = (self.left + self.right) / 2
        pen.text((middle, self.bottom + 24), self.panel.x_label, FAINT, 11, "ma")
        ends = [self._y(line.y[-1]) for line in self.panel.lines]
        names = spaced(ends, ROW, self.bottom)
        for line, end, name in zip(self.panel.lines, ends, names, strict=True):
            colour, dash = styles[line.name]
            points = [(self._x(x), self._y(y)) for x, y in zip(line.x, line.y, strict=True)]
            pen.line(points, colour, 1.8, dash)
            x = points[-1][0]
            reach = [(x, self._y(line.y[-1] + s * line.error)) for s in (-1, 1)]
            pen.line(reach, colour, 1.2)
            pen.line([(x + 3, end), (self.right + 8, name)], GRID, 1)
            pen.line([(self.right + 10, name), (self.right + 34, name)], colour, 1.8, dash)
            pen.text((self.right + 40, name), line.name, INK, 11, "lm")

    def _x(self, value: float) -> float:
        return self.left + (self.right - self.left) * value / self.x_ticks[-1]

    def _y(self, value: float) -> float:
        low, high = self.y_ticks[0], self.y_ticks[-1]
        return self.bottom - (self.bottom - self.top) * (value - low) / (high - low)


def _short(value: float) -> str:
    """ "250 k" for large numbers."""
    return f"{value / 1000:g} k" if abs(value) >= 10_000 else f"{value:g}"
