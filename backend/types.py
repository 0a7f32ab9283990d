"""The nouns that cross a wall: policy, scorer, sink, control, and what a run records.

Nothing here imports torch, a store, a queue or a web framework, so every process may import it.
Letters in shapes: P prompts · N nodes · L leaves · E explored edges · B batch · C H W latent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from backend.rewards.interface import Scores

Pictures = NDArray[np.uint8]
"""Pictures as uint8 (B, h, w, 3), RGB."""

Wanted = Literal["run", "pause", "stop"]
HALT = "halt"
"""What a job's row wants when it is to end at once, in the middle of an update: a harder "stop"."""

Training = Literal["lora", "full"]
"""What of a network trains: a LoRA put on it, or all its own weights."""


# --- policies -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Cond:
    """What a policy knows of its prompts: named tensors, a row a prompt; opaque to all others."""

    tensors: Mapping[str, Tensor]

    def __len__(self) -> int:
        return len(next(iter(self.tensors.values())))

    def take(self, rows: Any) -> Cond:
        """The rows at `rows` (a list or an index tensor), in that order; rows may repeat."""
        return Cond({name: tensor[rows] for name, tensor in self.tensors.items()})

    @staticmethod
    def cat(parts: Sequence[Cond]) -> Cond:
        """Stack several conditions along the batch."""
        import torch

        names = parts[0].tensors
        return Cond({name: torch.cat([part.tensors[name] for part in parts]) for name in names})


class Policy(Protocol):
    """One image model: its network and its constants. Every loop lives in `backend.rl`."""

    latent_shape: tuple[int, int, int]
    """(C, H, W) of a latent."""

    side: int
    """Height and width of pictures, in pixels."""

    device: torch.device

    def schedule(self, num_steps: int) -> list[float]:
        """The `num_steps` + 1 sigmas of the stock pipeline, from (about) 1 down to 0."""
        ...

    def embed(self, prompts: Sequence[str]) -> Cond:
        """Embed prompts, one row each; refuses with an InputError a prompt that does not fit."""
        ...

    def velocity(self, latent: Tensor, sigma: Tensor, cond: Cond) -> Tensor:
        """v(x, sigma, c) ≈ noise − data, (B, C, H, W); one network evaluation for each row.

        Returned in the precision of `latent`, whatever the network runs in.
        """
        ...

    def decode(self, latents: Tensor) -> Pictures:
        """Latents (B, C, H, W) at sigma 0 as pictures."""
        ...

    def encode(self, images: Pictures) -> Tensor:
        """Pictures (B, h, w, 3) as latents (B, C, H, W) at sigma 0, the inverse of `decode`.

        Deterministic; refuses with an InputError pictures of another size than the model's.
        """
        ...

    def release_encoders(self, prompts: Sequence[str]) -> None:
        """Embed these prompts and the empty one once, then free the text encoders.

        `embed` refuses any other prompt from then on, with an InputError.
        """
        ...

    def enable_checkpointing(self, on: bool) -> None:
        """Trade time for memory: activations are computed again in the backward pass."""
        ...

    # What trains.

    def prepare(
        self,
        train: Training,
        rank: int,
        alpha: float,
        targets: Sequence[str] | None = None,
        seed: int = 0,
    ) -> int:
        """Make a fresh LoRA or the whole network trainable; returns how many numbers train.

        What trained before, and every copy, is gone. The whole network takes no rank, alpha,
        targets and seed.
        """
        ...

    def add_lora(
        self, rank: int, alpha: float, targets: Sequence[str] | None = None, seed: int = 0
    ) -> int:
        """Put on a fresh LoRA, the same for the same seed; returns its parameter count."""
        ...

    def drop_adapter(self) -> None:
        """Back to the bare network as it was loaded; copies go too."""
        ...

    def exchange_network(self, change: Callable[[Any], Any]) -> Any:
        """Replace the network by what `change` makes of it (the same names, shards for weights).

        Weights and copies of them are taken over; returns the new network.
        """
        ...

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """What trains ("current") by name, in a fixed order; the same objects whoever is active."""
        ...

    # Named weights: "current", "reference" (the frozen start), and copies such as "old" and "ema".

    def using(self, name: str) -> AbstractContextManager[None]:
        """Within it the network runs the weights of that name.

        Only the current weights learn: within any other, no gradient is recorded.
        """
        ...

    def reference(self) -> AbstractContextManager[None]:
        """`using("reference")`: the network is its frozen start."""
        ...

    def merged(self) -> AbstractContextManager[None]:
        """Within it the active weights are folded in: faster, and without gradient.

        `with policy.using("old"), policy.merged(): ...` runs a copy at full speed.
        """
        ...

    def blend(self, name: str, decay: float) -> None:
        """copy ← decay·copy + (1 − decay)·current; a new name becomes equal to the current."""
        ...

    def copies(self) -> tuple[str, ...]:
        """Names of the copies, in the order they were made."""
        ...

    # Files.

    def adapter_state(self, name: str = "current") -> dict[str, Tensor]:
        """A copy of those weights on the CPU, under the names that the stock pipeline loads."""
        ...

    def adapter_metadata(self) -> dict[str, str]:
        """The safetensors header that belongs to `adapter_state` (family, rank, alpha, targets)."""
        ...

    def load_adapter(self, state: Mapping[str, Tensor], name: str = "current") -> None:
        """Set the weights of that name, making the copy if it is new.

        Refuses with a CheckpointError, nothing changed, what does not match.
        """
        ...

    def save_adapter(self, path: Path) -> None:
        """Write the current weights as one safetensors file that the stock pipeline loads."""
        ...

    def read_adapter(self, path: Path) -> None:
        """Put the weights of such a file on the network, in place of what trained before."""
        ...


# --- rewards ------------------------------------------------------------------------------------


class Scorer(Protocol):
    """Judges pictures against their prompts. A failure is a missing value, never 0."""

    def score(self, images: Pictures, prompts: Sequence[str]) -> Scores:
        """One value for each picture, higher is better."""
        ...


# --- what a run records -------------------------------------------------------------------------


@dataclass
class NodeRecord:
    """One node of a rollout tree and the edge that led to it; the columns of `rollout_node`."""

    idx: int
    parent: int | None
    kind: str
    """trunk (shared by the group), child (end of an explored edge) or leaf (decoded and scored)."""
    step: int
    stride: int
    sigma: float
    eta: float | None = None
    log_prob: float | None = None
    """Mean over latent elements, under the policy that sampled."""
    ratio: float | None = None
    """New over old probability of the edge in the last pass of the update."""
    advantage: float | None = None
    rewards: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Of a leaf: {name: {raw, shaped, z, weight, share, status}}."""
    tile: int | None = None
    """Of a leaf: its row in the group's pictures."""
    seed: int | None = None
    """Seed of the noise on the edge, or of the root's noise."""


@dataclass
class GroupRecord:
    """Leaves that were compared with each other, the nodes that led to them, and their pictures."""

    tree: int
    prompt: str
    fork_step: int | None
    mean: float | None
    spread: float | None
    kept: bool
    reason: str
    nodes: list[NodeRecord]
    images: Pictures | None
    trunk: Pictures | None
    """Clean estimates x̂₀ along the trunk, decoded, in the order of the trunk nodes."""
    detail: dict[str, Any]
    latents: dict[int, NDArray[np.float16]] = field(default_factory=dict)
    """Latents (C, H, W) of nodes that are no leaves, by their number in `nodes`, as far as kept."""


@dataclass
class IterationRecord:
    """One iteration. `step` counts finished updates, so the first record has step 1."""

    step: int
    metrics: dict[str, float]
    nfe: int
    seconds: dict[str, float]
    groups: list[GroupRecord]


@dataclass
class EvaluationRecord:
    """Held-out rewards after `step` updates; step 0 is the base, later gains are paired with it."""

    step: int
    metrics: dict[str, float]
    samples: list[dict[str, Any]]
    """{prompt, seed, image: uint8 (h, w, 3), rewards: {name: float or None}}, fixed prompts."""
    nfe: int


@dataclass
class CheckpointState:
    """All that is needed to go on as if nothing had happened (`backend.rl.checkpoint`)."""

    step: int
    adapter: dict[str, Tensor]
    optimiser: dict[str, Tensor]
    copies: dict[str, dict[str, Tensor]]
    """Copies that follow the adapter, by name; "ema" is the one that is delivered."""
    state: dict[str, Any]
    """JSON: baseline of the evaluation, seconds spent, fingerprint of the config."""
    metadata: dict[str, str]
    """Header of the adapter file."""
    rewards: dict[str, dict[str, NDArray[Any]]] = field(default_factory=dict)
    """What rewards that learn along have learned, by reward."""


class Sink(Protocol):
    """Where the loop hands its records; it never learns what becomes of them."""

    def iteration(self, record: IterationRecord) -> None:
        """One update is done; a record of the same step replaces an earlier one."""
        ...

    def evaluation(self, record: EvaluationRecord) -> None:
        """One held-out evaluation is done."""
        ...

    def checkpoint(self, state: CheckpointState) -> None:
        """Keep this: the run can go on from here."""
        ...

    def log(self, level: str, text: str, data: dict[str, Any] | None = None) -> None:
        """Tell people something; `level` is info, warning or error."""
        ...


@dataclass(frozen=True)
class Orders:
    """What people have asked of a run besides its end, as it holds before the next update."""

    changes: tuple[tuple[str, Any], ...] = ()
    """(dotted setting, value) of every change that holds, in the order they were asked for."""
    sample: bool = False
    """Draw the fixed prompts now."""
    checkpoint: bool = False
    """Keep the whole state now."""


class Control(Protocol):
    """How people reach a running loop; asked before every update."""

    def wanted(self) -> Wanted:
        """What people want of the run now."""
        ...

    def orders(self, step: int) -> Orders:
        """What holds after `step` updates; the same for the same step, however often it runs."""
        ...

    def progress(self, done: int, total: int, message: str) -> None:
        """How far the run is, in updates."""
        ...


@dataclass(frozen=True)
class TrainResult:
    """How a call of the loop ended."""

    status: Literal["done", "paused", "stopped"]
    step: int
    nfe: int
    metrics: dict[str, float]
    """Of the last evaluation."""
    best_step: int | None = None
    """The step to deliver, where the run watched a reward and that is not the last one."""
    lacking: bool = False
    """Whether it paused by itself because a reward failed too often."""
