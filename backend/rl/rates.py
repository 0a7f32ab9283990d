"""Learning rates of parts: a factor for every trained parameter, by a part of its name."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

from backend.errors import ConfigError

FIELD = "optim.lr_groups"


def check(groups: Mapping[str, float]) -> None:
    """Raise ConfigError for a factor with which the optimiser would climb, or go nowhere known."""
    for part, factor in groups.items():
        if not (math.isfinite(factor) and factor >= 0):
            raise ConfigError(
                f"The learning rate of '{part}' cannot be {factor:g} times that of the rest; give "
                "a factor of 0 or more.",
                field=FIELD,
            )


def factors(groups: Mapping[str, float], names: Sequence[str]) -> list[float]:
    """The factor of each parameter: that of the first part its name contains, else 1.

    Raises ConfigError for a part that is the first of no name, for its factor would do nothing.
    """
    parts = [next((part for part in groups if part in name), None) for name in names]
    idle = [part for part in groups if part not in parts]
    if idle:
        raise ConfigError(
            f"The learning rate of '{idle[0]}' would change nothing: no trained parameter has that "
            f"in its name, or a part before it has them all. Names are such as '{names[0]}'.",
            field=FIELD,
        )
    return [1.0 if part is None else groups[part] for part in parts]
