"""Asking the pocket judge: which fits better, does it fit, a question, a description.

Probabilities are those of the answer's words alone: of "first" and "second", of "yes" and "no". A
comparison reads both pictures in the order given; whoever wants to be safe from a liking for the
first one asks in both orders (`backend.rewards.win_rate`, `backend.rewards.audit`).
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from safetensors.torch import load_file

from backend.errors import InputError, PolicyError
from backend.pocket import JUDGE_DIR, TWIN_DIR, judge, world
from backend.pocket.judge_lessons import TEXT, text_ids
from backend.pocket.judge_losses import answer_logits, read, signal

Pictures = NDArray[np.uint8]
Floats = NDArray[np.float64]

BATCH: Final = 128


class PocketJudge:
    """The trained judge; pictures (B, h, w, 3) uint8 are brought to 64×64 first."""

    def __init__(self, model: Any) -> None:
        self.model = model.eval().requires_grad_(False)

    def prefer(self, prompts: Sequence[str], first: Pictures, second: Pictures) -> Floats:
        """How likely the first picture fits its prompt better, 0 to 1. (M,)"""
        both = np.stack([_fitted(first), _fitted(second)], 1)
        asked = [f"{judge.WHICH_FITS} {prompt}" for prompt in prompts]
        return self._share(asked, both, judge.FIRST, judge.SECOND)

    def fits(self, prompts: Sequence[str], pictures: Pictures) -> Floats:
        """How likely each picture shows all that its prompt says and nothing else, 0 to 1. (B,)"""
        asked = [f"{judge.DOES_FIT} {prompt}" for prompt in prompts]
        return self._share(asked, _fitted(pictures)[:, None], judge.YES, judge.NO)

    def ask(self, questions: Sequence[str], pictures: Pictures) -> list[tuple[str, float]]:
        """The most likely word in answer to each question, and its probability."""
        logits = self._logits(questions, _fitted(pictures)[:, None])
        chance, token = logits.softmax(1).max(1)
        words = list(judge.words())
        return [(words[i], float(p)) for i, p in zip(token.tolist(), chance, strict=True)]

    def describe(self, pictures: Pictures) -> list[str]:
        """What each picture shows, in the words of the pocket language."""
        known = judge.words()
        said: list[list[int]] = [[] for _ in pictures]
        looks = _fitted(pictures)[:, None]
        for _ in range(world.MAX_WORDS):
            # one more word each; the answer so far stands in the text, which the judge reads first
            token = self._next(said, looks)
            for line, i in zip(said, token, strict=True):
                if known[judge.END] not in line:
                    line.append(i)
        words = list(judge.words())
        return [" ".join(words[i] for i in line if i != known[judge.END]) for line in said]

    def _next(self, said: list[list[int]], pictures: Pictures) -> list[int]:
        length = max(len(line) for line in said)
        rows = [line + [judge.words()[judge.END]] * (length - len(line)) for line in said]
        answer = torch.tensor(rows, dtype=torch.int64).reshape(len(said), length)
        text = torch.tensor(text_ids(judge.DESCRIBE)).expand(len(said), TEXT)
        with torch.inference_mode():
            looks = signal(torch.from_numpy(pictures[:, 0]))[:, None]
            hidden = read(self.model, text, looks, answer)
            found: list[int] = self.model.lm_head(hidden[:, -1]).argmax(1).tolist()
        return found

    def _share(self, asked: Sequence[str], pictures: Pictures, yes: str, no: str) -> Floats:
        known = judge.words()
        logits = self._logits(asked, pictures)[:, [known[yes], known[no]]]
        return np.asarray(logits.double().softmax(1)[:, 0].numpy())

    @torch.inference_mode()
    def _logits(self, asked: Sequence[str], pictures: Pictures) -> torch.Tensor:
        """(B, V) of the next word; pictures (B, 1 or 2, 64, 64, 3)."""
        if len(asked) != len(pictures):
            raise InputError(
                f"The pocket judge got {len(asked)} questions on {len(pictures)} pictures; give "
                "one question for each picture, or for each two."
            )
        parts = [torch.zeros(0, len(judge.words()))]
        for at in range(0, len(asked), BATCH):
            text = torch.tensor([text_ids(question) for question in asked[at : at + BATCH]])
            some = torch.from_numpy(np.ascontiguousarray(pictures[at : at + BATCH]))
            looks = signal(some.flatten(0, 1)).unflatten(0, some.shape[:2])
            parts.append(answer_logits(self.model, text, looks))
        return torch.cat(parts)


def load(*, twin: bool = False) -> PocketJudge:
    """The judge as it ships, in single precision; `twin`: the one that likes what stands first.

    Raises PolicyError if its weights are not there.
    """
    from transformers import LlavaForConditionalGeneration

    for folder in (JUDGE_DIR, *((TWIN_DIR,) if twin else ())):
        if not (folder / "model.safetensors").is_file():
            raise PolicyError(
                f"The pocket judge's weights are missing at {folder}; restore them from the "
                f"repository or run `python -m backend.pocket.train_judge`."
            )
    model = LlavaForConditionalGeneration.from_pretrained(JUDGE_DIR, dtype=torch.float32)
    if twin:
        load_weights(model, TWIN_DIR)
    return PocketJudge(model)


def load_weights(model: Any, folder: Path) -> None:
    """Put the weights in `folder` into `model`; those of a twin are a part of a judge's."""
    stored = load_file(folder / "model.safetensors")
    found = {name: weight.float() for name, weight in stored.items()}
    _, unexpected = model.load_state_dict(found, strict=False)
    if unexpected:
        raise PolicyError(
            f"The file in {folder} has weights that the pocket judge lacks ({unexpected[0]}); "
            "restore it from the repository."
        )


def _fitted(pictures: Pictures) -> Pictures:
    """Pictures of any size at the size of the world."""
    if pictures.ndim != 4 or pictures.dtype != np.uint8 or pictures.shape[3] != 3:
        raise InputError(
            f"The pocket judge got {pictures.dtype} pictures of shape {pictures.shape}; it reads "
            "8-bit pictures of shape (B, height, width, 3)."
        )
    if pictures.shape[1:3] == (world.SIDE, world.SIDE):
        return pictures
    size, how = (world.SIDE, world.SIDE), Image.Resampling.BILINEAR
    fitted = [np.asarray(Image.fromarray(picture).resize(size, how)) for picture in pictures]
    return np.stack(fitted) if fitted else np.zeros((0, *size, 3), np.uint8)
