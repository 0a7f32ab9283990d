"""Curves of a report as SVG: a line with its 95 % band, in the colours the studio gives rewards."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from backend.services.report_markup import NOTHING, Html, Words, el, joined

WIDTH, HEIGHT, LEFT, RIGHT, TOP, BOTTOM = 340, 172, 46, 8, 10, 22
COLOURS = 6
"""Reward colours of the studio (`--r1` … `--r6`); more begin again."""
FLAT = 1e-12

Point = tuple[int, float, float]
"""(step, value, half of its 95 % interval, 0 without one)."""


@dataclass(frozen=True)
class Curve:
    """What one chart shows."""

    title: Html
    """A reward's name, or a text that is translated already."""
    label: str
    """The same for who listens to the page."""
    points: Sequence[Point]
    colour: int = 0
    """0 is ink; 1 … are the colours of rewards."""
    signed: bool = False
    """A change: zero is drawn, and values carry their sign."""


def charts(words: Words, curves: Sequence[Curve]) -> Html:
    """Those of the curves that have two points, side by side."""
    drawn = [chart(words, curve) for curve in curves if len(curve.points) > 1]
    return el("div", *drawn, class_="charts") if drawn else NOTHING


def chart(words: Words, curve: Curve) -> Html:
    """One curve with its caption: what it is, and its last value."""
    said = told(*curve.points[-1][1:], signed=curve.signed)
    caption = el("figcaption", el("b", curve.title), el("span", said, class_="m"))
    return el("figure", caption, _drawn(words, curve, said), class_="chart")


def told(value: float, half: float, *, signed: bool = False) -> str:
    """A value with its 95 % interval, as people read it."""
    return number(value, signed=signed) + (f" ± {half:.3f}" if half else "")


def number(value: float, *, signed: bool = False) -> str:
    """Three places, two figures of what is smaller, none of whole numbers; a minus, no hyphen."""
    small = value != 0 and abs(value) < 1e-3
    form = ".2g" if small else ",.0f" if _is_whole(value) or abs(value) >= 100 else ".3f"
    return format(value, f"{'+' if signed else ''}{form}").replace("-", "−")


def _is_whole(value: float) -> bool:
    """A count, or a change by a count."""
    return abs(value) >= 2 and value == round(value)


def _drawn(words: Words, curve: Curve, said: str) -> Html:
    points = curve.points
    low = min(value - half for _, value, half in points)
    high = max(value + half for _, value, half in points)
    if curve.signed:
        low, high = min(low, 0.0), max(high, 0.0)
    if high - low < FLAT:
        low, high = low - 0.5, high + 0.5
    first, last = points[0][0], points[-1][0]

    def x(step: float) -> float:
        return LEFT + (step - first) / max(last - first, 1) * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return HEIGHT - BOTTOM - (value - low) / (high - low) * (HEIGHT - BOTTOM - TOP)

    line = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value, _ in points)
    edge = [(s, v + h) for s, v, h in points] + [(s, v - h) for s, v, h in reversed(points)]
    band = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in edge)
    marks = {low, high, 0.0} if low < 0 < high else {low, (low + high) / 2, high}
    if low < 0 < high:
        marks -= {one for one in (low, high) if abs(one) < (high - low) / 6}
    grid = [_mark(y(at), at, curve.signed) for at in sorted(marks)]
    dots = [
        el("circle", cx=f"{x(step):.1f}", cy=f"{y(value):.1f}", r="2.5", class_="dot")
        for step, value, _ in points
        if len(points) <= 30
    ]
    has_band = any(half for _, _, half in points)
    colour = f"color:var(--r{(curve.colour - 1) % COLOURS + 1})" if curve.colour else None
    return el(
        "svg",
        *grid,
        el(
            "g",
            el("polygon", points=band, class_="band") if has_band else NOTHING,
            el("polyline", points=line, class_="line"),
            *dots,
            style=colour,
        ),
        el("text", str(first), x=str(LEFT), y=str(HEIGHT - 5)),
        el(
            "text",
            words(f"step {last}"),
            x=str(WIDTH - RIGHT),
            y=str(HEIGHT - 5),
            **{"text-anchor": "end"},
        ),
        viewBox=f"0 0 {WIDTH} {HEIGHT}",
        role="img",
        aria_label=f"{curve.label}: {said}",
    )


def _mark(at_y: float, value: float, signed: bool) -> Html:
    """A line across at a value; zero of a change is drawn stronger."""
    strong = "zero" if signed and value == 0 else "grid"
    return joined(
        el("path", d=f"M{LEFT} {at_y:.1f}H{WIDTH - RIGHT}", class_=strong),
        el(
            "text",
            "0" if value == 0 else number(value, signed=signed),
            x=str(LEFT - 6),
            y=f"{at_y + 4:.1f}",
            **{"text-anchor": "end"},
        ),
    )
