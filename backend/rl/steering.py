"""What people may change of a run while it goes on, and how a change reaches it.

A change holds from one update on. Which changes hold before update n + 1 follows from n and the
list of changes alone, so a run that is resumed meets each of them where it met it first, and ends
with the same weights. Everything else of a run is part of what its checkpoints mean and stays.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable
from typing import Any

from backend.errors import ConfigError
from backend.rl.recipe import RunConfig

SETTINGS = {
    "optim.lr": "Learning rate",
    "evaluation.every": "Updates between evaluations",
}
"""Settings that may change, by dotted path; besides, the weight of every trained reward."""


def changeable(config: RunConfig) -> dict[str, str]:
    """The settings of this run that may change while it goes on: {dotted path: what it is}.

    A reward is named, not numbered: `rewards.verifier.weight`.
    """
    weights = {f"rewards.{t.name}.weight": f"Weight of '{t.name}'" for t in config.rewards}
    return weights | SETTINGS


def value_of(config: RunConfig, key: str) -> Any:
    """The value of a changeable setting."""
    _refuse_unknown(config, key)
    inside, name = _place(config.plain(), key)
    return inside[name]


def changed(config: RunConfig, changes: Iterable[tuple[str, Any]]) -> RunConfig:
    """`config` with changes laid over it in their order, read anew.

    Raises ConfigError for a setting that has to stay and for a value that cannot be.
    """
    data = copy.deepcopy(config.plain())
    for key, value in changes:
        _refuse_unknown(config, key)
        inside, name = _place(data, key)
        inside[name] = value
    return RunConfig.read(data)


def _refuse_unknown(config: RunConfig, key: str) -> None:
    known = changeable(config)
    if key not in known:
        raise ConfigError(
            f"The setting '{key}' cannot change while a run goes on; these can: "
            f"{', '.join(known)}. For anything else, clone the run.",
            field=key,
        )


def _place(data: dict[str, Any], key: str) -> tuple[dict[str, Any], str]:
    """The dictionary that holds a setting, and its name there."""
    head, _, rest = key.partition(".")
    if head == "rewards":
        name, _, field = rest.rpartition(".")
        return next(term for term in data["rewards"] if term["name"] == name), field
    return data[head], rest
