"""Weights of others, by hub id or folder: safetensors only; are they here, and how to get them.

Nothing is fetched by itself: a run must not wait for gigabytes. `palate doctor` lists what is
present and prints the command for what is not.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from functools import lru_cache
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
QWEN2_VL: Final = "Qwen/Qwen2-VL-7B-Instruct"
QWEN3_VL: Final = "Qwen/Qwen3-VL-2B-Instruct"
HPS3: Final = "MizzenAI/HPSv3"
HPS3_FILE: Final = "HPSv3.safetensors"
OWL: Final = "google/owlv2-base-patch16-ensemble"
GOT: Final = "stepfun-ai/GOT-OCR-2.0-hf"
UNIFIED: Final = "CodeGoat24/UnifiedReward-2.0-qwen3vl-2b"

STOCK: Final[Mapping[str, tuple[tuple[str, str], ...]]] = {
    "clip-score": ((CLIP_L, "model.safetensors"),),
    "pick-score": ((PICKSCORE, "model.safetensors"), (CLIP_H, "tokenizer_config.json")),
    "hps-v2": ((HPS, "model.safetensors"), (CLIP_H, "tokenizer_config.json")),
    "laion-aesthetic": ((CLIP_L, "model.safetensors"), (LAION, "model.safetensors")),
    "dino": ((DINO, "model.safetensors"),),
    "image-reward": ((IMAGE_REWARD, "model.safetensors"), (BERT, "tokenizer_config.json")),
    "vqa-score": ((QWEN3_VL, "model.safetensors"),),
    "hps-v3": ((HPS3, HPS3_FILE), (QWEN2_VL, "tokenizer_config.json")),
    "unified-reward": ((UNIFIED, "model.safetensors"),),
    "gen-eval": ((OWL, "model.safetensors"), (CLIP_L, "model.safetensors")),
    "ocr": ((GOT, "model.safetensors"),),
}
"""Kind of reward → what it needs as it comes: (hub id, a file that must be there)."""


def fetch(name: str, file: str = "model.safetensors") -> str:
    """The command that fetches a repository's small files, with its weights if they are needed."""
    weights = " '*.safetensors'" if file.endswith(".safetensors") else ""
    return f"hf download {name} --include '*.json' '*.txt' '*.jinja'{weights}"


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
    return [(name, file) for name, file in STOCK[kind] if not weight_files(name, file)]


def weight_files(name: str, file: str = "model.safetensors") -> list[Path]:
    """The files behind `file`: itself, or the parts that its index names; none where one lacks."""
    whole = path(name, file)
    if whole is not None:
        return [whole]
    index = path(name, f"{file}.index.json")
    if index is None:
        return []
    said = json.loads(index.read_text(encoding="utf-8"))["weight_map"]
    parts = [path(name, part) for part in sorted(set(said.values()))]
    return [index, *(part for part in parts if part)] if all(parts) else []


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


def model(name: str, device: str, auto: str = "AutoModel") -> Any:
    """A model of transformers in float32, from safetensors, ready to be asked."""
    import torch

    made = load(auto, name, use_safetensors=True, dtype=torch.float32)
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
    found = weight_files(name, file)
    if not found:
        return name
    if Path(name).is_dir():
        told = [(str(one), one.stat().st_mtime_ns, one.stat().st_size) for one in found]
        return _content(tuple(told))
    return f"{name}@{found[0].parent.name}"


@lru_cache(maxsize=32)
def _content(files: tuple[tuple[str, int, int], ...]) -> str:
    """A hash of files by content; their times and sizes only say whether to read them again."""
    digest = hashlib.sha256()
    for name, _, _ in files:
        with Path(name).open("rb") as stream:
            hashlib.file_digest(stream, lambda: digest)
    return digest.hexdigest()


def device() -> str:
    """The GPU where there is one."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def dtype(where: str) -> Any:
    """What large models compute in: bfloat16 on a GPU, float32 on a CPU. Heads are float32."""
    import torch

    return torch.bfloat16 if where == "cuda" else torch.float32
