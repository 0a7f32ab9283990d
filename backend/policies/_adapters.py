"""What trains in a network, and the named copies of it: the half of a policy no family differs in.

The trained weights are the parameters that `trainable` names: a peft LoRA's, or the network's own.
A copy ("old", "ema", "fast") is a set of tensors under the same names. `using` lends a copy's
tensors to those parameters for a while, so switching costs nothing, no second network is held, and
the optimiser's parameters stay the same objects, never without their gradient flag.

The reference is the frozen start: with a LoRA the same network with it switched off, which holds
nothing; with full fine-tuning one more copy of the weights.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from backend.errors import CheckpointError, PolicyError
from backend.rl.shards import like, whole
from backend.types import Training

if TYPE_CHECKING:
    import torch
    from torch import Tensor

CURRENT, REFERENCE = "current", "reference"
PREFIX = "transformer."
"""Before every name in an adapter file; the stock pipelines name their network so."""


class Adapted:
    """A network, what trains in it, and copies of that; the base of every policy."""

    FAMILY: ClassVar[str]
    """Written into adapter files, so that another family refuses them."""
    LORA_TARGETS: ClassVar[tuple[str, ...]]
    """Layers that get an adapter by default, as ends of layer names."""

    def __init__(self, network: Any) -> None:
        self.network = network.requires_grad_(False).eval()
        self._training: Training | None = None
        self._parameters: dict[str, torch.nn.Parameter] = {}
        self._precision: dict[str, torch.dtype] = {}
        self._copies: dict[str, dict[str, Tensor]] = {}
        self._active = CURRENT
        self._current: dict[str, Tensor] = {}
        self._folded = False

    # --- what trains -----------------------------------------------------------------------------

    def prepare(
        self,
        train: Training,
        rank: int,
        alpha: float,
        targets: Sequence[str] | None = None,
        seed: int = 0,
    ) -> int:
        """Make a fresh LoRA or the whole network trainable; returns how many numbers train."""
        return self.add_lora(rank, alpha, targets, seed) if train == "lora" else self.train_all()

    def add_lora(
        self, rank: int, alpha: float, targets: Sequence[str] | None = None, seed: int = 0
    ) -> int:
        """Replace what trains by a fresh LoRA that changes nothing; returns its size."""
        import torch
        from peft import LoraConfig

        wanted = self._targets(targets)
        self.drop_adapter()
        lora = LoraConfig(
            r=rank, lora_alpha=alpha, target_modules=wanted, init_lora_weights="gaussian"
        )
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.network.add_adapter(lora, adapter_name=CURRENT)
        return self._start_training("lora", f".{CURRENT}.weight")

    def train_all(self) -> int:
        """Make every parameter of the network trainable, in float32; returns how many numbers."""
        self.drop_adapter()
        num = self._start_training("full", "")
        now = self._weights(CURRENT)
        self._copies[REFERENCE] = {name: tensor.clone() for name, tensor in now.items()}
        return num

    def drop_adapter(self) -> None:
        """Back to the bare network as it was loaded; copies go too."""
        if self._training == "lora":
            self.network.unload_lora()
        for name, start in self._copies.get(REFERENCE, {}).items():
            self._parameters[name].data = start.to(self._precision[name])
        self.network.requires_grad_(False)
        self._training, self._parameters, self._copies, self._current = None, {}, {}, {}

    def trainable(self) -> dict[str, torch.nn.Parameter]:
        """What trains, by its name in the network, in the network's order."""
        return dict(self._parameters)

    def exchange_network(self, change: Callable[[Any], Any]) -> Any:
        """Go on with what `change` makes of the network: the same names, shards for weights."""
        self.network = change(self.network)
        named = dict(self.network.named_parameters())
        self._parameters = {name: named[name] for name in self._parameters}
        for weights in self._copies.values():
            for key, tensor in weights.items():
                weights[key] = like(tensor, self._parameters[key]).clone()
        return self.network

    # --- whose weights the network runs ----------------------------------------------------------

    def copies(self) -> tuple[str, ...]:
        """Names of the copies, in the order they were made."""
        return tuple(name for name in self._copies if name != REFERENCE)

    @contextmanager
    def using(self, name: str) -> Iterator[None]:
        """Run the weights of that name: "current", "reference" or a copy.

        Only the current weights learn: within any other no gradient is recorded. A backward pass
        belongs outside, where the weights are again those of its forward pass.
        """
        import torch

        if self._folded and name != self._active:
            raise PolicyError(
                f"The weights '{self._active}' are folded in, so '{name}' cannot be run; "
                "choose the weights first and fold them in within."
            )
        before = self._active
        self._switch(name)
        try:
            with torch.set_grad_enabled(torch.is_grad_enabled() and name == CURRENT):
                yield
        finally:
            self._switch(before)

    def reference(self) -> AbstractContextManager[None]:
        """The frozen start: `using("reference")`."""
        return self.using(REFERENCE)

    @contextmanager
    def merged(self) -> Iterator[None]:
        """The active adapter folded into the weights (W + α/r·BA), which saves its small products.

        The frozen weights are put back as they were, not computed back, so nothing drifts.
        """
        from peft.tuners.lora import Linear

        if self._training != "lora" or self._active == REFERENCE or self._folded:
            yield
            return
        layers = [module for module in self.network.modules() if isinstance(module, Linear)]
        frozen = [layer.get_base_layer().weight.data for layer in layers]
        self._folded = True
        try:
            for layer, weight in zip(layers, frozen, strict=True):
                delta = layer.get_delta_weight(CURRENT).detach()
                layer.get_base_layer().weight.data = (weight + delta).to(weight.dtype)
            self.network.disable_adapters()
            yield
        finally:
            self._folded = False
            self.network.enable_adapters()
            for layer, weight in zip(layers, frozen, strict=True):
                layer.get_base_layer().weight.data = weight

    def blend(self, name: str, decay: float) -> None:
        """copy ← decay·copy + (1 − decay)·current; a new name becomes equal to the current."""
        _check_name(name)
        now = self._weights(CURRENT)
        if name not in self._copies:
            self._copies[name] = {key: tensor.clone() for key, tensor in now.items()}
            return
        for key, tensor in self._copies[name].items():
            tensor.mul_(decay).add_(now[key], alpha=1 - decay)

    # --- files -----------------------------------------------------------------------------------

    def adapter_state(self, name: str = CURRENT) -> dict[str, Tensor]:
        """Weights of that name on the CPU, under the names that the stock pipeline loads.

        Of a LoRA: `pipe.load_lora_weights`; of the whole network: `transformer.load_state_dict`.
        """
        state = {self._stock(key): tensor for key, tensor in self._weights(name).items()}
        state |= self._constants()
        return {key: whole(tensor).detach().to("cpu", copy=True) for key, tensor in state.items()}

    def adapter_metadata(self) -> dict[str, str]:
        """The safetensors header: family and kind for us; rank, alpha, layers for the pipeline."""
        facts = {"family": self.FAMILY, "train": self._training}
        header = {"format": "pt", "palate": json.dumps(facts, sort_keys=True)}
        if self._training == "lora":
            lora = self.network.peft_config[CURRENT]
            targets = sorted(lora.target_modules)
            own = {"r": lora.r, "lora_alpha": lora.lora_alpha, "target_modules": targets}
            named = {PREFIX + key: value for key, value in own.items()}
            header["lora_adapter_metadata"] = json.dumps(named, sort_keys=True)
        return header

    def load_adapter(self, state: Mapping[str, Tensor], name: str = CURRENT) -> None:
        """Set the weights of that name, an unknown name becomes a copy; all fit or none is set."""
        mine = {self._stock(key): tensor for key, tensor in self._weights(CURRENT).items()}
        _check_fits(_shapes(mine | self._constants()), state)
        if name != CURRENT:
            _check_name(name)
            if name not in self._copies:
                self.blend(name, 0.0)
        for key, tensor in self._weights(name).items():
            tensor.copy_(like(state[self._stock(key)], tensor))

    def save_adapter(self, path: Path) -> None:
        """One safetensors file; `pipe.load_lora_weights(folder, weight_name=...)` reads a LoRA."""
        from safetensors.torch import save_file

        save_file(self.adapter_state(), path, metadata=self.adapter_metadata())

    def read_adapter(self, path: Path) -> None:
        """Put the weights of a file on the network, with the rank and layers it names."""
        state, facts = _read(path)
        family = facts.get("family", self.FAMILY)
        if family != self.FAMILY:
            raise CheckpointError(
                f"'{path}' was trained on the family '{family}' and this model is of "
                f"'{self.FAMILY}'; choose an adapter of the same family."
            )
        if facts["train"] == "full":
            _check_fits(_shapes(self._bare()), state)
            self.train_all()
        else:
            rank, alpha, targets = facts["r"], facts["lora_alpha"], facts["target_modules"]
            _check_fits(self._lora_shapes(rank, targets), state)
            self.add_lora(rank, alpha, targets)
        self.load_adapter(state)

    # --- helpers ---------------------------------------------------------------------------------

    def _start_training(self, training: Training, ending: str) -> int:
        self._training = training
        for name, parameter in self.network.named_parameters():
            if name.endswith(ending):
                self._precision[name] = parameter.dtype
                parameter.data = parameter.data.float()
                self._parameters[name] = parameter.requires_grad_(True)
        return sum(parameter.numel() for parameter in self._parameters.values())

    def _switch(self, name: str) -> None:
        weights = self._copies.get(name)
        if weights is None and name not in (CURRENT, REFERENCE):
            raise PolicyError(
                f"There is no copy '{name}' of the weights; there are: "
                f"{', '.join((CURRENT, REFERENCE, *self.copies()))}."
            )
        if self._training == "lora" and (name == REFERENCE) != (self._active == REFERENCE):
            if name == REFERENCE:
                self.network.disable_adapters()
            else:
                self.network.enable_adapters()
        if name == self._active:
            return
        lent = self._is_shared_out()
        if self._active == CURRENT:
            now = {key: parameter.data for key, parameter in self._parameters.items()}
            self._current = {key: t.clone() if lent else t for key, t in now.items()}
        for key, tensor in (self._current if name == CURRENT else weights or {}).items():
            if lent:  # a shard's place in memory is known to others
                self._parameters[key].data.copy_(tensor)
            else:
                self._parameters[key].data = tensor
        self._active = name

    def _is_shared_out(self) -> bool:
        return any(hasattr(parameter, "full_tensor") for parameter in self._parameters.values())

    def _weights(self, name: str) -> dict[str, Tensor]:
        """The tensors of that name, whoever is active."""
        if name == CURRENT and self._active == CURRENT:
            return {key: parameter.data for key, parameter in self._parameters.items()}
        if name != CURRENT and name not in self._copies:
            raise PolicyError(
                f"There are no stored weights '{name}'; there are: "
                f"{', '.join((CURRENT, *self.copies()))}."
            )
        return self._current if name == CURRENT else self._copies[name]

    def _stock(self, name: str) -> str:
        return PREFIX + name.replace(f".{CURRENT}.", ".") if self._training == "lora" else name

    def _constants(self) -> dict[str, Tensor]:
        """Tensors that belong to the whole network's file, though none of them trains."""
        if self._training != "full":
            return {}
        state = self.network.state_dict()
        return {name: state[name] for name in state if name not in self._parameters}

    def _bare(self) -> dict[str, Tensor]:
        """The network's own state, whether it wears a LoRA or not."""
        state = self.network.state_dict()
        return {
            name.replace(".base_layer.", "."): tensor
            for name, tensor in state.items()
            if ".lora_" not in name
        }

    def _linears(self) -> dict[str, torch.nn.Linear]:
        """The network's own linear layers by name, whether it wears a LoRA or not."""
        import torch

        return {
            name.removesuffix(".base_layer"): module
            for name, module in self.network.named_modules()
            if isinstance(module, torch.nn.Linear) and ".lora_" not in name
        }

    def _targets(self, targets: Sequence[str] | None) -> list[str]:
        """The targets wanted, checked; or the family's own list without layers it lacks here."""
        names = list(self._linears())
        if not targets:
            return [target for target in self.LORA_TARGETS if _matches(target, names)]
        for target in targets:
            if not _matches(target, names):
                raise PolicyError(
                    f"The adapter target '{target}' matches no linear layer of this network; "
                    f"use ends of layer names such as {', '.join(self.LORA_TARGETS[:4])}."
                )
        return list(targets)

    def _lora_shapes(self, rank: int, targets: Sequence[str]) -> dict[str, Sequence[int]]:
        shapes: dict[str, Sequence[int]] = {}
        for name, layer in self._linears().items():
            if any(_matches(target, [name]) for target in targets):
                shapes[f"{PREFIX}{name}.lora_A.weight"] = (rank, layer.in_features)
                shapes[f"{PREFIX}{name}.lora_B.weight"] = (layer.out_features, rank)
        return shapes


def _matches(target: str, names: Sequence[str]) -> bool:
    return any(name == target or name.endswith(f".{target}") for name in names)


def _check_name(name: str) -> None:
    if name in (CURRENT, REFERENCE):
        raise PolicyError(
            f"'{name}' is no copy and cannot be overwritten; call the copy 'old', 'ema' or 'fast'."
        )


def _shapes(tensors: Mapping[str, Tensor]) -> dict[str, Sequence[int]]:
    return {name: tensor.shape for name, tensor in tensors.items()}


def _check_fits(shapes: Mapping[str, Sequence[int]], state: Mapping[str, Tensor]) -> None:
    odd = sorted(shapes.keys() ^ state.keys()) or [
        name for name, shape in shapes.items() if tuple(shape) != tuple(state[name].shape)
    ]
    if odd:
        raise CheckpointError(
            f"The adapter does not fit this network and rank: '{odd[0]}' and "
            f"{len(odd) - 1} more differ; load it with the settings it was trained with."
        )


def _read(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Tensors and facts of an adapter file; older files name neither family nor kind."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="pt") as file:
            header = file.metadata() or {}
            state = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        facts: dict[str, Any] = {"train": "lora"} | json.loads(header.get("palate", "{}"))
        if facts["train"] == "lora":
            lora = json.loads(header["lora_adapter_metadata"])
            facts |= {key: lora[PREFIX + key] for key in ("r", "lora_alpha", "target_modules")}
    except (OSError, SafetensorError, ValueError, KeyError) as error:
        raise CheckpointError(
            f"'{path}' is not an adapter that Palate wrote ({error}); choose another file."
        ) from error
    return state, facts
