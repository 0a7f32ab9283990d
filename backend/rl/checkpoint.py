"""Checkpoints: adapter, optimiser and EMA as safetensors, the rest as JSON. Resuming is exact.

Nothing random is stored, because every random number is a function of (seed, step, purpose). The
adapter's file is also the delivered product: the stock pipeline loads it as it is.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor
from torch.optim import AdamW

from backend.errors import CheckpointError
from backend.rl.shards import like, whole
from backend.types import CheckpointState

_MOMENTS = ("step", "exp_avg", "exp_avg_sq")


_COPY, _REWARD = "copy", "reward"
EMA = "ema"
"""The copy that is delivered: it has a file of its own."""


def pack(state: CheckpointState) -> dict[str, bytes]:
    """The files of a checkpoint by part: adapter, optimiser and, if there is one, ema.

    Other copies and what rewards have learned travel with the optimiser: "copy:<name>/<tensor>",
    "reward:<name>/<array>".
    """
    travels = dict(state.optimiser)
    for name, weights in state.copies.items():
        if name != EMA:
            travels |= {f"{_COPY}:{name}/{key}": tensor for key, tensor in weights.items()}
    for name, arrays in state.rewards.items():
        travels |= {f"{_REWARD}:{name}/{k}": torch.as_tensor(a) for k, a in arrays.items()}
    files = {
        "adapter": _ordered(save(state.adapter, metadata=state.metadata)),
        "optimiser": _ordered(save(travels)),
    }
    if EMA in state.copies:
        files["ema"] = _ordered(save(state.copies[EMA], metadata=state.metadata))
    return files


def _ordered(file: bytes) -> bytes:
    """The same safetensors file with its header sorted: equal weights are equal bytes.

    The library writes the header's metadata in an order that changes from call to call, and files
    are named by their content.
    """
    start = 8 + int.from_bytes(file[:8], "little")
    header = json.dumps(json.loads(file[8:start]), sort_keys=True, separators=(",", ":")).encode()
    header += b" " * (-len(header) % 8)  # tensors stay aligned
    return len(header).to_bytes(8, "little") + header + file[start:]


def unpack(step: int, files: Mapping[str, bytes], state: dict[str, Any]) -> CheckpointState:
    """The inverse of `pack`; raises CheckpointError if a part is missing or damaged."""
    missing = [part for part in ("adapter", "optimiser") if not files.get(part)]
    if missing:
        raise CheckpointError(
            f"The checkpoint of step {step} has no {missing[0]}; resume from an earlier one."
        )
    try:
        parts = {name: load(content) for name, content in files.items() if content}
    except SafetensorError as error:
        raise CheckpointError(
            f"The checkpoint of step {step} is damaged ({error}); resume from an earlier one."
        ) from error
    copies = {EMA: parts["ema"]} if "ema" in parts else {}
    optimiser: dict[str, Tensor] = {}
    rewards: dict[str, dict[str, Any]] = {}
    for key, tensor in parts["optimiser"].items():
        kind, _, rest = key.partition(":")
        name, _, inner = rest.partition("/")
        if kind == _COPY:
            copies.setdefault(name, {})[inner] = tensor
        elif kind == _REWARD:
            rewards.setdefault(name, {})[inner] = tensor.numpy()
        else:
            optimiser[key] = tensor
    return CheckpointState(step, parts["adapter"], optimiser, copies, state, {}, rewards)


def optimiser_state(optimiser: AdamW, names: Mapping[str, torch.nn.Parameter]) -> dict[str, Tensor]:
    """AdamW's moments as flat tensors "<parameter>/<moment>"; empty before the first update."""
    return {
        f"{name}/{moment}": whole(torch.as_tensor(optimiser.state[parameter][moment])).cpu().clone()
        for name, parameter in names.items()
        if parameter in optimiser.state
        for moment in _MOMENTS
    }


def load_optimiser(
    optimiser: AdamW, names: Mapping[str, torch.nn.Parameter], flat: Mapping[str, Tensor]
) -> None:
    """Put such moments back; raises CheckpointError if they belong to other parameters."""
    wanted = {f"{name}/{moment}" for name in names for moment in _MOMENTS}
    known = {name for name in names if f"{name}/{_MOMENTS[0]}" in flat}
    there = {f"{name}/{moment}" for name in known for moment in _MOMENTS}
    if set(flat) - wanted or there - set(flat):
        odd = sorted(set(flat) - wanted or there - set(flat))[0]
        raise CheckpointError(
            f"The optimiser of the checkpoint does not fit the adapter ('{odd}' differs); resume "
            "with the settings the run was started with."
        )
    for name, parameter in names.items():
        if name not in known:
            continue  # it never had a gradient, so it has no moments
        moments = {m: flat[f"{name}/{m}"].clone() for m in _MOMENTS}
        on_device = {m: t if m == "step" else like(t, parameter.data) for m, t in moments.items()}
        optimiser.state[parameter] = on_device


def fingerprint(settings: Mapping[str, Any]) -> str:
    """A hash of plain settings: a checkpoint goes on only under the settings it was made with."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()[:16]
