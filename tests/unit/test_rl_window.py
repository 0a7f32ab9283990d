"""The moving window: where it stands in each update."""

from __future__ import annotations

import pytest

from backend.errors import ConfigError
from backend.rl.window import WindowSettings


def starts(config: WindowSettings, updates: int, num_steps: int = 10) -> list[int]:
    return [config.steps(num_steps, step).start for step in range(updates)]


def test_a_frozen_window_stays() -> None:
    assert starts(WindowSettings(width=3, first=2, move="frozen"), 40) == [2] * 40


def test_a_progressive_window_moves_on_and_begins_again() -> None:
    """Width 4 of 10 steps: places 0 to 5, as the last step is noiseless."""
    config = WindowSettings(width=4, dwell=2)
    assert starts(config, 14) == [0, 0, 1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 0, 0]


def test_a_decaying_window_hurries_after_step_13() -> None:
    """⌈25·exp(−.1·max(l − 13, 0))⌉: 25 up to 13, then 23, 21, 19, …"""
    config = WindowSettings(width=4, move="decaying")
    seen = starts(config, 25 * 14 + 23 + 21 + 19, num_steps=25)
    assert [seen.count(place) for place in (0, 13, 14, 15, 16)] == [25, 25, 23, 21, 19]


def test_a_random_window_is_a_function_of_the_update() -> None:
    config = WindowSettings(width=2, move="random", last=4)
    seen = starts(config, 200)
    assert seen == starts(config, 200)
    assert set(seen) == {0, 1, 2, 3, 4}


def test_a_window_wider_than_the_schedule_is_refused() -> None:
    with pytest.raises(ConfigError, match="does not fit"):
        WindowSettings(width=10).steps(10, 0)
