"""Reference pictures, which an adversarial reward holds the policy's pictures against.

Either the pocket world's own renders, true to the prompt by construction, or a stored file of
pictures with their prompts. What is drawn depends on the prompts, the seed and the step alone.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, Protocol

import numpy as np

from backend.errors import RewardError
from backend.rewards import _weights
from backend.rewards.interface import Images

FORMAT: Final = "palate-references-1"
POCKET: Final = "pocket"


OfPrompt = Callable[[str], Images | None]
"""The one reference picture of a prompt, (H, W, 3); None where there is none."""


class References(Protocol):
    """Where references come from."""

    def draw(self, prompts: Sequence[str], num: int, seed: Sequence[int]) -> Images:
        """Up to `num` references of each different prompt, (R, H, W, 3)."""
        ...


class PocketReferences:
    """Renders of the prompts, in other places and sizes for every seed."""

    def draw(self, prompts: Sequence[str], num: int, seed: Sequence[int]) -> Images:
        """`num` renders of each different prompt; InputError for one out of the pocket language."""
        from backend.pocket import world

        wanted = [prompt for prompt in dict.fromkeys(prompts) for _ in range(num)]
        return world.render_many(wanted, int(np.random.default_rng(seed).integers(2**31)))


class StoredReferences:
    """Pictures with their prompts."""

    def __init__(self, pictures: Images, prompts: Sequence[str]) -> None:
        self.pictures, self.prompts = pictures, np.array(prompts, dtype=object)

    def draw(self, prompts: Sequence[str], num: int, seed: Sequence[int]) -> Images:
        """Those of the prompt, where there are any, else any of them."""
        rng = np.random.default_rng(seed)
        rows = []
        for prompt in dict.fromkeys(prompts):
            own = np.flatnonzero(self.prompts == prompt)
            some = own if len(own) else np.arange(len(self.prompts))
            rows.append(rng.permutation(some)[:num])
        return np.asarray(self.pictures[np.concatenate(rows)])

    def of_prompt(self, prompt: str) -> Images | None:
        """The first picture of exactly this prompt, (H, W, 3)."""
        own = np.flatnonzero(self.prompts == prompt)
        return np.asarray(self.pictures[own[0]]) if len(own) else None


def pack(pictures: Images, prompts: Sequence[str]) -> bytes:
    """Pictures and prompts as the file that `read` takes."""
    return _weights.pack({"pictures": pictures}, {"format": FORMAT, "prompts": list(prompts)})


def read(path: Path) -> StoredReferences:
    """The references in a file; a RewardError says what is wrong with it."""
    instead = "store the references again."
    data = _weights.read(path, "The reference pictures", instead)
    otherwise = f"The file holds no reference pictures of this version of Palate; {instead}"
    arrays, about = _weights.unpack(data, FORMAT, otherwise)
    pictures, prompts = arrays.get("pictures"), about.get("prompts", [])
    if pictures is None or pictures.ndim != 4 or not 0 < len(pictures) == len(prompts):
        raise RewardError(otherwise)
    return StoredReferences(pictures, prompts)
