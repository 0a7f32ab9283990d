"""Weights of others, by hub id or folder: safetensors only; are they here, and how to get them.

Nothing is fetched by itself: a run must not wait for gigabytes. `palate doctor` lists what is
present and prints the command for what is not.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backend.errors import RewardError

if TYPE_CHECKING:
    from torch import Tensor

CLIP_L: Final = "openai/clip-vit-large-patch14"
CLIP_H: Final = "laion/CLIP-ViT-H-14-laion2B-s32B-b79K"
PICKSCORE: Final = "yuvalkirstain/PickScore_v1"
HPS: Final = "RE-N-Y/hpsv21"
LAION: Final = "RE-N-Y/laion-aesthetic"
DINO: Final = "facebook/dinov2-base"
IMAGE_REWARD: Final = "RE-N-Y/ImageReward"
BERT: Final = "google-bert/bert-base-uncased"

STOCK: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "clip-score": ((CLIP_L, "model.safetensors"),),
    "pick-score": ((PICKSCORE, "model.safetensors"), (CLIP_H, "tokenizer_config.json")),
    "hps-v2": ((HPS, "model.safetensors"), (CLIP_H, "tokenizer_config.json")),
    "laion-aesthetic": ((CLIP_L, "model.safetensors"), (LAION, "model.safetensors")),
    "dino": ((DINO, "model.safetensors"),),
    "image-reward": ((IMAGE_REWARD, "model.safetensors"), (BERT, "tokenizer_config.json")),
}
"""Kind of reward → what it needs as it comes: (hub id, a file that must be there)."""


def fetch(name: str, file: str = "model.safetensors") -> str:
    """The command that fetches a repository's small files, with its weights if they are needed."""
    weights = " '*.safetensors'" if file.endswith(".safetensors") else ""
    return f"hf download {name} --include '*.json' '*.txt'{weights}"


def path(name: str, file: str) -> Path | None:
    """Where a file of a folder or of a fetched repository lies; None where it does not."""
    folder = Path(name)
    if folder.is_dir():
        return folder / file if (folder / file).is_file() else None
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import HFValidationError

    try:
        found = try_to_load_from_cache(name, file)
    except HFValidationError:
        return None
    return Path(found) if isinstance(found, str) else None


def absent(kind: str) -> list[tuple[str, str]]:
    """(repository, file) that a stock reward needs and that is not here."""
    return [(name, file) for name, file in STOCK[kind] if path(name, file) is None]


def load(auto: str, name: str, **options: Any) -> Any:
    """`auto` of transformers (AutoModel, AutoTokenizer …) from a folder or a fetched repository.

    A RewardError says what is missing and how to get it.
    """
    import transformers

    try:
        return getattr(transformers, auto).from_pretrained(name, local_files_only=True, **options)
    except (OSError, ValueError) as error:
        said = str(error).strip().split("\n")[0][:200]
        raise RewardError(
            f"'{name}' could not be loaded ({said}); fetch it with \"{fetch(name)}\", or give a "
            "folder that has its safetensors."
        ) from error


def model(name: str, device: str) -> Any:
    """A model of transformers in float32, from safetensors, ready to be asked."""
    import torch

    made = load("AutoModel", name, use_safetensors=True, dtype=torch.float32)
    return made.eval().requires_grad_(False).to(device)


def tensors(name: str, file: str = "model.safetensors") -> dict[str, Tensor]:
    """All tensors of a safetensors file; a RewardError where there is none."""
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    found = path(name, file)
    if found is None:
        raise RewardError(
            f"'{name}' has no {file} here; fetch it with \"{fetch(name)}\", or give a folder."
        )
    try:
        return dict(load_file(found))
    except SafetensorError as error:
        raise RewardError(f"{file} of '{name}' is damaged ({error}); fetch it again.") from error


def fingerprint(name: str, file: str = "model.safetensors") -> str:
    """What stands for the weights in a reward's version: the repository's commit, or the content of
    a folder's file; the name alone where nothing is here yet."""
    found = path(name, file)
    if found is None:
        return name
    if Path(name).is_dir():
        return hashlib.sha256(found.read_bytes()).hexdigest()
    return f"{name}@{found.parent.name}"


def device() -> str:
    """The GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"
