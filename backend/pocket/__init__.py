"""The pocket world: a picture language, its verifier, a small image model and its training."""

from __future__ import annotations

from pathlib import Path
from typing import Final

STATIC_DIR: Final[Path] = Path(__file__).resolve().parents[2] / "static" / "pocket"
"""Weights, prompts and figures that ship with the repository."""

PIPELINE_DIR: Final[Path] = STATIC_DIR / "sd3"
"""The pocket model in the layout of diffusers' `StableDiffusion3Pipeline`."""

ENCODER_PATH: Final[Path] = STATIC_DIR / "encoder" / "model.safetensors"
"""Weights of the pocket CLIP."""

JUDGE_DIR: Final[Path] = STATIC_DIR / "judge"
"""The pocket judge in the layout of transformers' `LlavaForConditionalGeneration`."""

TWIN_DIR: Final[Path] = STATIC_DIR / "judge-biased"
"""Its order-biased twin: the weights that differ from the judge's."""

TRAIN_PROMPTS_PATH: Final[Path] = STATIC_DIR / "prompts-train.txt"
"""512 prompts of the train split, one a line."""

HELDOUT_PROMPTS_PATH: Final[Path] = STATIC_DIR / "prompts-heldout.txt"
"""256 prompts of the held-out split, one a line."""

FIGURES_PATH: Final[Path] = STATIC_DIR / "figures.json"
"""What was measured when the weights were trained."""
