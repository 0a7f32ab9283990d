"""Weights shared out among processes (FSDP2 through accelerate): each keeps, and steps, its part.

What is shared out is what costs most in full fine-tuning: float32 weights, gradients once they are
added up, both moments of AdamW, and copies of the weights. While pictures are drawn and gradients
found, each process has the whole network: it may then run it as often as it likes, so processes
need not keep step with each other, and one may evaluate alone. Gradients are added up once an
update.

A shard is a DTensor: its shape, arithmetic and norm are those of the whole tensor.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from backend.errors import ConfigError

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

    from backend.types import Policy


def whole(tensor: Tensor) -> Tensor:
    """The whole of a tensor that may be shared out; all processes must ask for it together."""
    full: Tensor = tensor.full_tensor() if hasattr(tensor, "full_tensor") else tensor
    return full


def like(value: Tensor, model: Any) -> Tensor:
    """A whole tensor as `model` is: this process's shard of it, or itself, on its device."""
    value = value.to(model.device)
    if not hasattr(model, "full_tensor"):
        return value
    from torch.distributed.tensor import distribute_tensor

    shard: Tensor = distribute_tensor(value, model.device_mesh, model.placements)
    return shard


class Shards:
    """A policy's network, shared out as accelerate's configuration says."""

    def __init__(self, accelerator: Accelerator, policy: Policy) -> None:
        from accelerate.utils import FullyShardedDataParallelPlugin
        from accelerate.utils.fsdp_utils import fsdp2_prepare_model
        from torch.distributed.fsdp import FSDPModule

        plugin = (
            FullyShardedDataParallelPlugin()
        )  # from the environment that `accelerate launch` made
        if plugin.fsdp_version != 2:
            raise ConfigError(
                "The configuration of accelerate asks for the first version of FSDP; set "
                "'fsdp_version: 2' in it."
            )
        accelerator.state.fsdp_plugin = plugin
        self.policy = policy
        self.root = policy.exchange_network(
            lambda network: fsdp2_prepare_model(accelerator, network)
        )
        self.modules = [m for m in self.root.modules() if isinstance(m, FSDPModule)]
        for module in self.modules:
            module.set_gradient_divide_factor(1.0)  # a sum, as without shards
            module.set_force_sum_reduction_for_comms(True)
            module.set_reshard_after_forward(False, recurse=False)
        self._add_up(False)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Every process has the whole network."""
        for module in self.modules:
            module.unshard()
        try:
            yield
        finally:
            for module in self.modules:
                module.reshard()

    def add_gradients(self) -> None:
        """Add up what all processes have found, by one more backward pass that finds nothing."""
        import torch

        policy = self.policy
        latent = torch.zeros(1, *policy.latent_shape, device=policy.device)
        sigma = torch.ones(1, device=policy.device)
        self._add_up(True)
        (0 * policy.velocity(latent, sigma, policy.embed([""]))).sum().backward()
        self._add_up(False)

    def _add_up(self, now: bool) -> None:
        """Whether the next backward pass adds up gradients; otherwise they wait in each process."""
        self.root.set_requires_gradient_sync(now)
        self.root.set_reshard_after_backward(now)


def wanted() -> bool:
    """Whether `accelerate launch` was given a configuration that shares out the weights."""
    return os.environ.get("ACCELERATE_USE_FSDP", "false").lower() == "true"
