"""How long something takes, as people say it: the one way in which sentences of the studio do.

The pages say it alike (`fmt.span` of static/js/lib.js).
"""

from __future__ import annotations

import math


def spell(seconds: float) -> str:
    """.25 s, 9.5 s, 41 s, 6 min 28 s, 42 min, 2 h 5 min, 3 d."""
    if seconds < 0.995:
        return "0 s" if seconds < 0.005 else f"{seconds:.2f} s".removeprefix("0")
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole, minutes = _near(seconds), _near(seconds / 60)
    if whole < 60:
        return f"{whole} s"
    if whole < 600 and whole % 60:
        return f"{whole // 60} min {whole % 60} s"
    if minutes < 60:
        return f"{minutes} min"
    if minutes >= 2880:
        return f"{_near(seconds / 86400)} d"
    return f"{minutes // 60} h {minutes % 60} min" if minutes % 60 else f"{minutes // 60} h"


def _near(number: float) -> int:
    """To the nearest whole number, a half upwards, as the pages round."""
    return math.floor(number + 0.5)
