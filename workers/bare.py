"""A recipe without a studio: its model, rewards and prompts in this process, nothing stored."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from backend import registry
from backend.errors import InputError
from backend.rl.recipe import PolicyChoice, RewardTerm

if TYPE_CHECKING:
    from backend.types import Policy


POCKET = PolicyChoice(family="sd3", config={"weights": "pocket"})


def device() -> str:
    """Where models of this process run: its GPU if there is one, which of several torch knows."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def policy(choice: PolicyChoice) -> Policy:
    """A base model, freshly loaded: training changes it. On the GPU if there is one."""
    family = registry.policies.get(choice.family)
    return cast("Policy", family.load(family.Config.read(choice.config), device()))


def scorers(terms: Sequence[RewardTerm], folder: Path | None = None) -> dict[str, Any]:
    """The rewards by name; files they need are those of that name in `folder`."""
    found = {}
    for term in terms:
        kind = registry.rewards.get(term.kind)
        files = folder.joinpath if folder else None
        found[term.name] = kind.load(kind.Config.read(term.config), files)
    return found


def lines(path: Path) -> list[str]:
    """The prompts of a file, one a line."""
    try:
        return [line for line in path.read_text(encoding="utf-8").splitlines() if line]
    except OSError as error:
        raise InputError(f"The prompts {path} cannot be read: {error.strerror}.") from None
