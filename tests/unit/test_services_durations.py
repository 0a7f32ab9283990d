"""How long something takes is said in one way."""

from __future__ import annotations

import pytest

from backend.services.durations import spell

SAID = {
    0: "0 s",
    0.25: ".25 s",
    0.994: ".99 s",
    0.996: "1.0 s",
    9.5: "9.5 s",
    9.96: "10 s",
    41.4: "41 s",
    59.6: "1 min",
    75: "1 min 15 s",
    388: "6 min 28 s",
    599.6: "10 min",
    2520: "42 min",
    3599: "1 h",
    6300: "1 h 45 min",
    7200: "2 h",
    90_000: "25 h",
    172_770: "2 d",
    604_800: "7 d",
}
"""Seconds → words."""


@pytest.mark.parametrize("seconds", SAID)
def test_a_duration_in_words(seconds: float) -> None:
    assert spell(seconds) == SAID[seconds]
