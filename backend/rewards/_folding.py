"""Linear layers without an activation between them are one linear map: fold them to one vector.

The heads of LAION's predictor and of ImageReward are such; folded they are some kilobytes. Dropout
between the layers is off when they score. In float64.
"""

from __future__ import annotations

import re

import numpy as np

from backend.errors import RewardError
from backend.rewards.interface import Floats


def folded(layers: dict[str, Floats]) -> tuple[Floats, float]:
    """Linear layers "….<number>.weight" and ".bias", in rising order, as one vector and a number.

    A RewardError where they do not follow on each other down to one value.
    """
    found = [re.search(r"(\d+)\.weight$", name) for name in layers]
    order = sorted((int(m.group(1)), m.string) for m in found if m)
    if not order:
        raise RewardError("The head has no linear layers ('….0.weight'); give another file.")
    first = layers[order[0][1]]
    matrix, bias = np.eye(first.shape[1]), np.zeros(first.shape[1])
    for _, name in order:
        weight = layers[name]
        if weight.ndim != 2 or weight.shape[1] != len(bias):
            raise RewardError(f"The head's layer '{name}' does not fit the one before it.")
        matrix = weight @ matrix
        bias = weight @ bias + layers.get(f"{name.removesuffix('weight')}bias", 0.0)
    if matrix.shape[0] != 1:
        raise RewardError(f"The head ends in {matrix.shape[0]} values instead of one.")
    return np.asarray(matrix[0]), float(bias[0])
