"""Asking the pocket judge: which fits better, does it fit, a question, a description.

Probabilities are those of the answer's words alone: of "first" and "second", of "yes" and "no". A
comparison reads both pictures in the order given; whoever wants to be safe from a liking for the
first one asks in both orders (`backend.rewards.win_rate`, `backend.rewards.audit`). A picture that
meets several others is seen once and read as often as it is compared.
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
from backend.pocket.judge_losses import read, signal

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
        looks, which = self._seen(pictures)
        for at in range(0, len(asked), BATCH):
            text = torch.tensor([text_ids(question) for question in asked[at : at + BATCH]])
            parts.append(self._answers(text, looks[which[at : at + BATCH]]))
        return torch.cat(parts)

    def _seen(self, pictures: Pictures) -> tuple[torch.Tensor, torch.Tensor]:
        """Image tokens (D, 16, 192) of every distinct picture, and which of them each one is."""
        every = pictures.reshape(-1, *pictures.shape[2:])
        place: dict[bytes, int] = {}
        which = [place.setdefault(picture.tobytes(), len(place)) for picture in every]
        distinct = every[np.unique(which, return_index=True)[1]]
        looks = [torch.zeros(0, judge.NUM_PATCHES, self.model.config.text_config.hidden_size)]
        for at in range(0, len(distinct), BATCH):
            seen = self.model.model.get_image_features(
                pixel_values=signal(torch.from_numpy(distinct[at : at + BATCH])),
                vision_feature_layer=self.model.config.vision_feature_layer,
                vision_feature_select_strategy=self.model.config.vision_feature_select_strategy,
            )
            looks.append(torch.stack(list(seen.pooler_output)))
        return torch.cat(looks), torch.tensor(which).reshape(pictures.shape[:2])

    def _answers(self, text: torch.Tensor, looks: torch.Tensor) -> torch.Tensor:
        """Logits (B, V) of the word after `<judge>`; text (B, 20), image tokens (B, 1 or 2, 16, D).

        The same sum as `judge_losses.answer_logits`, of pictures that were seen before.
        """
        embed, known = self.model.model.get_input_embeddings(), judge.words()
        end = text.new_full((len(text), 1), known[judge.JUDGE])
        whole = torch.cat([embed(text), looks.flatten(1, 2), embed(end)], 1)
        mask = torch.ones(whole.shape[:2], dtype=torch.int64)
        mask[:, :TEXT] = text != 0
        states = self.model.model.language_model(
            inputs_embeds=whole,
            attention_mask=mask,
            position_ids=(mask.cumsum(1) - 1).clamp(min=0),
            use_cache=False,
        ).last_hidden_state
        logits: torch.Tensor = self.model.lm_head(states[:, -1])
        return logits.float()


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
