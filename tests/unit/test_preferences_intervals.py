"""Intervals against published values and hand cases."""

from __future__ import annotations

import math

import numpy as np
import pytest

from backend.errors import InputError
from backend.preferences.intervals import mean_se, wilson, wilson_of, win_rate


def test_wilson_matches_reference_values() -> None:
    """Newcombe 1998, table I, the score method without continuity correction."""
    for k, n, low, high in (
        (81, 263, 0.2553, 0.3662),
        (15, 148, 0.0624, 0.1605),
        (0, 20, 0.0, 0.1611),
        (1, 29, 0.0061, 0.1718),
    ):
        share = wilson(k, n)
        assert (share.low, share.high) == pytest.approx((low, high), abs=5e-5)
        assert share.value == k / n


def test_nothing_counted_is_nothing_known() -> None:
    share = wilson(0, 0)
    assert math.isnan(share.value) and (share.low, share.high) == (0.0, 1.0)


def test_impossible_counts_are_refused() -> None:
    with pytest.raises(InputError, match="12 successes of 10"):
        wilson(12, 10)


def test_a_tie_counts_half_for_each_side() -> None:
    assert win_rate(6, 2, 2).value == 0.7
    one, other = win_rate(6, 2, 2), win_rate(2, 6, 2)
    assert one.low == pytest.approx(1 - other.high)


def test_a_paired_difference_by_hand() -> None:
    """Differences 1, 2, 3: mean 2, s = 1, se = 1/√3 = .57735, z = 3.4641."""
    change = mean_se(np.array([2, 4, 6]) - np.array([1, 2, 3]))
    assert (change.mean, change.num) == (2, 3)
    assert change.se == pytest.approx(0.57735, abs=1e-5) and change.z == pytest.approx(
        3.4641, abs=1e-4
    )


def test_pairs_with_a_missing_side_are_left_out() -> None:
    apart = mean_se([1.0, math.nan, 3.0])
    assert (apart.mean, apart.num) == (2, 2)


def test_a_mean_of_one_value_has_no_standard_error() -> None:
    assert mean_se([2.0]).mean == 2 and math.isnan(mean_se([2.0]).se)
    assert math.isnan(mean_se([]).mean)


def test_wilson_of_arrays_is_wilson_of_each() -> None:
    k, n = np.array([0.0, 8.0, 2.5, 0.0]), np.array([3.0, 10.0, 4.0, 0.0])
    share, low, high = wilson_of(k, n)
    for i in range(4):
        one = wilson(float(k[i]), float(n[i]))
        assert (low[i], high[i]) == pytest.approx((one.low, one.high), abs=1e-12)
        assert share[i] == pytest.approx(one.value, nan_ok=True)
