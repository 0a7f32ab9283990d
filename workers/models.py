"""What a worker process keeps between jobs: the store's door, and models with their weights."""

from __future__ import annotations

import functools
import json
import logging
from collections import OrderedDict
from typing import TYPE_CHECKING, Any

from backend.registry import policies
from backend.rewards import _judge_price
from backend.services import rewards
from backend.services.studio import Studio, open_studio
from workers.bare import device

if TYPE_CHECKING:
    from backend.types import Policy

log = logging.getLogger(__name__)

MOST = 2
"""Base models held at once; the one unused for longest leaves first."""

MOST_REWARDS = 4

_warm: OrderedDict[str, tuple[Any, str | None]] = OrderedDict()
_rewards: OrderedDict[str, Any] = OrderedDict()


@functools.cache
def studio() -> Studio:
    """Store and media of this process, opened once."""
    return open_studio()


def policy(family: str, config: dict[str, Any], adapter: str | None = None) -> Policy:
    """The model ready to draw, with the adapter of that media hash on it or none at all.

    Base weights are loaded once for each family and config; adapters are exchanged on them, so a
    comparison of base and tuned holds one network. Valid until the next call.
    """
    key = f"{family} {json.dumps(config, sort_keys=True)}"
    if key in _warm:
        model, worn = _warm.pop(key)
    else:
        while len(_warm) >= MOST:
            _warm.popitem(last=False)
        module = policies.get(family)
        model, worn = module.load(module.Config.read(config), device()), None
        log.info("Loaded %s.", key)
    if adapter != worn:
        if adapter is None:
            model.drop_adapter()
        else:
            model.read_adapter(studio().media.local_path(adapter))
    _warm[key] = (model, adapter)
    return model  # type: ignore[no-any-return]


def reward(kind: str, config: dict[str, Any], run_id: int | None = None) -> Any:
    """A scorer with its weights, kept between jobs; a judge that is paid has the run's budget."""
    payer = run_id if _judge_price.asked(kind, config) else None
    key = f"{kind} {payer} {json.dumps(config, sort_keys=True)}"
    scorer = _rewards.pop(key, None) or rewards.load_term(studio(), kind, config, payer)
    _rewards[key] = scorer
    while len(_rewards) > MOST_REWARDS:
        _rewards.popitem(last=False)
    return scorer


def fresh(family: str, config: dict[str, Any], adapter: str | None = None) -> Policy:
    """The model for a run, no longer among the warm ones: training changes it."""
    model = policy(family, config, adapter)
    _warm.popitem()
    return model
