"""One process, or several that share the prompts of every update.

Each process grows the trees of its own prompts; values of all leaves are gathered, so credit is the
same everywhere; each trains on its own trees, and gradients are added up. A loss is divided by the
counts of the whole update, so the sum is the gradient that one process would have found.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

if TYPE_CHECKING:
    from accelerate import Accelerator
    from torch import Tensor

T = TypeVar("T")


class Team(Protocol):
    """The processes of a run."""

    rank: int
    size: int

    def gather(self, mine: T) -> list[T]:
        """What every process has, in the order of their ranks; the same on all of them."""
        ...

    def agree(self, value: T) -> T:
        """The first process's value, on all of them."""
        ...

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each parameter's gradient by the sum over all processes."""
        ...


class Alone:
    """One process: nothing to exchange."""

    rank, size = 0, 1

    def gather(self, mine: T) -> list[T]:
        """Only its own."""
        return [mine]

    def agree(self, value: T) -> T:
        """Its own."""
        return value

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Nothing to add."""


class Accelerated:
    """The processes that `accelerate launch` started: one a GPU, or several on a CPU (gloo)."""

    def __init__(self, accelerator: Accelerator | None = None) -> None:
        from accelerate import Accelerator

        self.accelerator = accelerator or Accelerator()
        self.rank = int(self.accelerator.process_index)
        self.size = int(self.accelerator.num_processes)

    def gather(self, mine: T) -> list[T]:
        """By pickle over the processes' own group: they are one program that started together."""
        from accelerate.utils import gather_object

        return list(gather_object([mine]))

    def agree(self, value: T) -> T:
        """The first process's value."""
        from accelerate.utils import broadcast_object_list

        box: list[Any] = [value]
        broadcast_object_list(box)
        return box[0]  # type: ignore[no-any-return]

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """One sum over all parameters, laid end to end; a missing gradient counts as 0."""
        import torch

        owned = list(parameters)
        flat = torch.cat(
            [(p.grad if p.grad is not None else torch.zeros_like(p)).reshape(-1) for p in owned]
        )
        total: Tensor = self.accelerator.reduce(flat, reduction="sum")
        start = 0
        for parameter in owned:
            end = start + parameter.numel()
            parameter.grad = total[start:end].reshape(parameter.shape).clone()
            start = end
