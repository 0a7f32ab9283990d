"""What travels between a trainer and a score worker arrives to the bit."""

from __future__ import annotations

import json
import struct

import numpy as np

from backend.rewards.interface import Scores
from workers.remote_scorer import as_json, from_json
from workers.sheets import parcel, unpacked


def bits(values: np.ndarray) -> list[bytes]:
    return [struct.pack(">d", value) for value in values]


def test_doubles_survive_json_to_the_bit() -> None:
    values = np.array([0.1, -0.0, 5e-324, 1.7976931348623157e308, np.nan, 2 / 3, 1e-7])
    said = Scores(
        values,
        ["ok"] * 4 + ["error"] + ["ok"] * 2,
        {"part": np.array([np.inf, -np.inf, np.nan, 1 / 3, 1.0, 2.0, 1e22])},
        ["", "", "", "", "too dark", "", ""],
    )
    back = from_json(json.loads(json.dumps(as_json(said), allow_nan=False)))
    assert bits(back.values) == bits(said.values)
    assert bits(back.parts["part"]) == bits(said.parts["part"])
    assert (back.status, back.reasons) == (said.status, said.reasons)
    assert back.values.dtype == np.float64


def test_pictures_survive_to_the_bit_and_no_parcel_is_equal_to_another() -> None:
    """Media are named by their content: a parcel that is removed must be nobody else's file."""
    pictures = np.random.default_rng(0).integers(0, 256, (5, 12, 7, 3), dtype=np.uint8)
    first, second = parcel(pictures), parcel(pictures)
    assert first != second
    assert np.array_equal(unpacked(first), pictures) and unpacked(second).dtype == np.uint8
    assert unpacked(parcel(pictures[:0])).shape == (0, 12, 7, 3)
