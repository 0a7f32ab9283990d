"""One process, or several that share the prompts of every update.

Each process grows the trees of its own prompts; values of all leaves are gathered, so credit is the
same everywhere; each trains on its own trees, and gradients are added up. A loss is divided by the
counts of the whole update, so the sum is the gradient that one process would have found.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NoReturn, Protocol, TypeVar

from backend.errors import EnvironmentProblem
from backend.rl import shards
from backend.rl.shards import Shards

if TYPE_CHECKING:
    from torch import Tensor

    from backend.types import Policy

T = TypeVar("T")

PATIENCE = timedelta(hours=6)
"""The longest wait for the others: the first process evaluates and saves alone. That they still
live is watched by whoever started them."""
BUCKET = 2**26
"""Numbers in one sum of gradients, so that a whole network's are never laid out twice."""


class Team(Protocol):
    """The processes of a run."""

    rank: int
    size: int
    shares_out: bool
    """Whether each process is to keep only a part of the trained weights."""

    def gather(self, mine: T) -> list[T]:
        """What every process has, in the order of their ranks; the same on all of them."""
        ...

    def agree(self, value: T) -> T:
        """The first process's value, on all of them."""
        ...

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Replace each parameter's gradient by the sum over all processes."""
        ...

    def share_out(self, policy: Policy) -> None:
        """Let each process keep a part of the trained weights."""
        ...

    def whole(self) -> AbstractContextManager[None]:
        """Within it every process can run the network, however the weights are kept."""
        ...


class Alone:
    """One process: nothing to exchange."""

    rank, size, shares_out = 0, 1, False

    def gather(self, mine: T) -> list[T]:
        """Only its own."""
        return [mine]

    def agree(self, value: T) -> T:
        """Its own."""
        return value

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Nothing to add."""

    def share_out(self, policy: Policy) -> None:
        """One process keeps everything."""

    def whole(self) -> AbstractContextManager[None]:
        """It always is."""
        return nullcontext()


class Accelerated:
    """Processes that were started together and are joined by accelerate.

    One GPU each, whose gradients are added up by nccl; or one machine's CPUs, by gloo. Everything
    else is said over gloo, which waits without burning a core and needs no GPU memory.
    """

    def __init__(self) -> None:
        import torch
        from accelerate import Accelerator
        from accelerate.utils import InitProcessGroupKwargs
        from torch import distributed

        _refuse_too_few_gpus()
        self.accelerator = Accelerator(
            cpu=not torch.cuda.is_available(),
            kwargs_handlers=[InitProcessGroupKwargs(timeout=PATIENCE)],
        )
        if not distributed.is_initialized():
            raise EnvironmentProblem(
                "This process was started alone, so there is no team to join; start the run with "
                "several processes, or without a team."
            )
        self.rank = int(self.accelerator.process_index)
        self.size = int(self.accelerator.num_processes)
        self._talk = distributed.new_group(backend="gloo", timeout=PATIENCE)
        self.shares_out = shards.wanted()
        self._shards: Shards | None = None

    def gather(self, mine: T) -> list[T]:
        """By pickle over the processes' own group: they are one program that started together."""
        from torch import distributed

        found: list[Any] = [None] * self.size
        distributed.all_gather_object(found, mine, group=self._talk)
        return found

    def agree(self, value: T) -> T:
        """The first process's value."""
        from torch import distributed

        box: list[Any] = [value]
        distributed.broadcast_object_list(box, src=0, group=self._talk)
        return box[0]  # type: ignore[no-any-return]

    def add_gradients(self, parameters: Iterable[Tensor]) -> None:
        """Sums over parameters laid end to end; a missing gradient counts as 0."""
        import torch
        from torch import distributed

        if self._shards is not None:
            self._shards.add_gradients()
            return
        for owned in _buckets(list(parameters)):
            gradients = [p.grad if p.grad is not None else torch.zeros_like(p) for p in owned]
            flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
            distributed.all_reduce(flat)
            for parameter, total in zip(owned, flat.split([p.numel() for p in owned]), strict=True):
                parameter.grad = total.view_as(parameter)

    def share_out(self, policy: Policy) -> None:
        """As accelerate's configuration says (FSDP)."""
        self._shards = Shards(self.accelerator, policy)

    def whole(self) -> AbstractContextManager[None]:
        """Gathers the weights, where they are shared out."""
        return nullcontext() if self._shards is None else self._shards.whole()

    def close(self) -> None:
        """Wait for the others and part: nobody leaves while one may still be spoken to."""
        self.gather(None)
        self.accelerator.end_training()


def leave(code: int) -> NoReturn:
    """End this process, one of several, at once.

    An orderly end would wait for a partner that is gone, and would abort where one of gloo's
    threads lets go of a tensor only when Python no longer runs (pytorch #179291).
    """
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


def _buckets(parameters: Sequence[Tensor]) -> Iterator[list[Tensor]]:
    """The parameters in order, in runs of at most `BUCKET` numbers; a larger one stands alone."""
    run: list[Tensor] = []
    for parameter in parameters:
        if run and sum(p.numel() for p in run) + parameter.numel() > BUCKET:
            yield run
            run = []
        run.append(parameter)
    if run:
        yield run


def _refuse_too_few_gpus() -> None:
    import torch

    wanted, there = int(os.environ.get("LOCAL_WORLD_SIZE", "1")), torch.cuda.device_count()
    if 0 < there < wanted:
        raise EnvironmentProblem(
            f"The run was given {wanted} processes and this machine has {there} "
            f"GPU{'' if there == 1 else 's'}; each process takes one, so lower 'processes'."
        )
