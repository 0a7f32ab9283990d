"""What a kind of reward declares of itself beside its range; pages show it, tests hold it to it.

    TRAITS = Traits(latency=1, comparable=False, licence="MIT", weights="safetensors")

Pure data: nothing here changes a value, so none of it is part of a reward's version.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Final, Literal

LATENCY: Final = (
    "a rule, under a millisecond",
    "an encoder, 5 to 30 ms on a GPU",
    "a detector or reader of text, 50 to 300 ms on a GPU",
    "a vision-language model with a head, 50 to 400 ms on a GPU",
    "a vision-language model's first word, 100 to 600 ms on a GPU",
    "a vision-language model that reasons, 2 to 20 s",
    "people, hours",
)
"""What a class of latency means, for one picture. Classes 0 and 1 may be asked inline; the others
belong on score workers or on a server."""


@dataclass(frozen=True, slots=True)
class Traits:
    """Declared properties of a kind of reward."""

    latency: Literal[0, 1, 2, 3, 4, 5, 6] = 0
    """Class of latency, an index into `LATENCY`."""
    deterministic: bool = True
    """The same picture and prompt give the same value, whatever comes with them."""
    differentiable: bool = False
    """Gradients flow from the value to the pixels. Pictures are resized by PIL here, so they stop
    there; a differentiable twin would be another version."""
    comparable: bool = True
    """Values of different prompts may be compared."""
    reads_text: bool = False
    """Reads writing in the picture, so that words painted into it may buy it."""
    licence: str = "Apache-2.0"
    """Of the weights as they come by default; of our own code where there are none."""
    weights: Literal["none", "safetensors", "server"] = "none"
    """Where the numbers come from: code alone, a safetensors file, or a model on a server."""

    def row(self) -> dict[str, Any]:
        """As JSON, the class of latency in words beside its number."""
        return asdict(self) | {"latency_text": LATENCY[self.latency]}
