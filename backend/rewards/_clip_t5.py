"""CLIP-FlanT5 as its authors load it: a T5 whose encoder reads pictures between its words.

    asked = share("weights/clip-flant5-xl", "", "")
    asked.chance(image, "USER: <image>\\n… ASSISTANT: ", "Yes")

Layout, from the authors' code (github.com/linzhiqiu/CLIP-FlanT5, llava/model/language_model/
clip_t5.py, and t2v_metrics): tensors of transformers' T5ForConditionalGeneration, beside them
`mm_projector.*`, two linear layers with GELU between; `config.json` is a T5's with
`mm_vision_tower` (a CLIP, frozen in training, so its own weights are taken), `mm_projector_type`,
`mm_vision_select_layer` and `mm_vision_select_feature`. A picture is put on a square of the mean
colour, resized, and seen as the tower's patches of that layer. The words before and after <image>
are tokenised apart, each with its end mark.

    chance = exp(mean log p(token) over the answer's tokens and its end mark)

over the tokeniser's words alone, as the authors cut the rest of the vocabulary off.
"""

from __future__ import annotations

import json
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards import _hub, _sight

if TYPE_CHECKING:
    from torch import Tensor

IMAGE: Final = "<image>"
MODEL_TYPE: Final = "clip_t5"
TOKENS: Final = "google/flan-t5-xl"
"""All sizes of Flan-T5 have the same tokeniser."""
BEFORE, AFTER = f"USER: {IMAGE}\n", " ASSISTANT: "
"""What the authors put around a question, without their sentence before it."""


def described(name: str) -> dict[str, Any] | None:
    """The configuration of a checkpoint in this layout; None where it is none, or is not here."""
    found = _hub.path(name, "config.json")
    config: dict[str, Any] = json.loads(found.read_text(encoding="utf-8")) if found else {}
    return config if config.get("model_type") == MODEL_TYPE else None


def framed(question: str) -> str:
    """A question with its place for the picture; one that names the place itself stays as it is."""
    return question if IMAGE in question else "".join((BEFORE, question, AFTER))


def plain(prompt: str) -> str:
    """A prompt that cannot show a picture or end the text: its marks are broken up."""
    return re.sub(r"<(?=/?\w+>)", "< ", prompt)


class ClipT5:
    """One checkpoint with its tower and tokeniser."""

    def __init__(self, name: str, tower: str, tokenizer: str, device: str) -> None:
        config = described(name)
        if config is None:
            raise RewardError(f"'{name}' has no config.json of a CLIP-FlanT5; give its folder.")
        self.device, self.dtype = device, _hub.dtype(device)
        seen = tower or str(config["mm_vision_tower"])
        self.tower: Any = _hub.model(seen, device, "CLIPVisionModel")
        self.sight = _sight.of(seen, int(self.tower.config.image_size), "square")
        self.layer = int(config.get("mm_vision_select_layer", -2))
        self.first = 1 if config.get("mm_vision_select_feature", "patch") == "patch" else 0
        own = tokenizer or (name if _hub.path(name, "tokenizer_config.json") else TOKENS)
        self.tokenizer: Any = _hub.load("AutoTokenizer", own)
        held = _tensors(name)
        self.projector = _projector(held, device)
        self.model: Any = _t5(config, held, self.dtype, device)

    def chance(self, image: NDArray[np.uint8], text: str, answers: tuple[str, ...]) -> list[float]:
        """How likely each answer is said, and nothing after it, 0 to 1; one look for all."""
        import torch
        from transformers.modeling_outputs import BaseModelOutput

        with torch.inference_mode():
            embeds = torch.cat(
                [self._words(part) if part is not None else self._picture(image) for part in
                 _parts(text)]
            )[None]  # fmt: skip
            mask = torch.ones(embeds.shape[:2], dtype=torch.long, device=self.device)
            read = self.model.encoder(inputs_embeds=embeds, attention_mask=mask).last_hidden_state
            found = []
            for answer in answers:
                ids = self._ids(answer)
                start = ids.new_full((1,), int(self.model.config.decoder_start_token_id))
                logits = self.model(
                    encoder_outputs=BaseModelOutput(last_hidden_state=read),
                    attention_mask=mask,
                    decoder_input_ids=torch.cat([start, ids[:-1]])[None],
                ).logits[0, :, : len(self.tokenizer)]
                log = torch.log_softmax(logits.float(), dim=-1)
                found.append(float(log.gather(1, ids[:, None]).mean().exp()))
        return found

    def _ids(self, text: str) -> Tensor:
        """Tokens and the end mark, (L,)."""
        import torch

        return torch.tensor(self.tokenizer(text)["input_ids"], device=self.device)

    def _words(self, text: str) -> Tensor:
        embeds: Tensor = self.model.shared(self._ids(text))
        return embeds

    def _picture(self, image: NDArray[np.uint8]) -> Tensor:
        """The patches in the space of the words, (L, D)."""
        import torch
        from torch.nn.functional import gelu, linear

        pixels = torch.from_numpy(self.sight(image[None])).to(self.device)
        seen = self.tower(pixel_values=pixels, output_hidden_states=True)
        rows = seen.hidden_states[self.layer][0, self.first :].float()
        for at, (weight, bias) in enumerate(self.projector):
            rows = linear(gelu(rows) if at else rows, weight, bias)
        found: Tensor = rows.to(self.dtype)
        return found


@lru_cache(maxsize=1)
def share(name: str, tower: str, tokenizer: str) -> ClipT5:
    """The model of a checkpoint, loaded once in a process."""
    return ClipT5(name, tower, tokenizer, _hub.device())


def fingerprint(name: str, tower: str, tokenizer: str) -> str:
    """Which weights, of the T5 and of its tower, and whose tokens; empty for another layout."""
    config = described(name)
    if config is None:
        return ""
    own = tokenizer or (name if _hub.path(name, "tokenizer_config.json") else TOKENS)
    seen = tower or str(config.get("mm_vision_tower", ""))
    return _hub.fingerprint(seen) + _hub.fingerprint(own, "tokenizer.json")


def _parts(text: str) -> list[str | None]:
    """The words before the picture, None for the picture itself, and the words after it."""
    before, after = text.split(IMAGE)
    return [before, None, after]


def _tensors(name: str) -> dict[str, Tensor]:
    """All tensors of the checkpoint, in one file or in parts; those of a tower were frozen."""
    found: dict[str, Tensor] = {}
    files = [one.name for one in _hub.weight_files(name) if one.suffix == ".safetensors"]
    for file in files or ["model.safetensors"]:
        found |= _hub.tensors(name, file)
    return {key: held for key, held in found.items() if not key.startswith("vision_tower.")}


def _projector(held: dict[str, Tensor], device: str) -> list[tuple[Tensor, Tensor]]:
    """Its linear layers in order, taken out of what is held; a RewardError where there is none."""
    names = [name for name in held if re.fullmatch(r"mm_projector\.(\d+\.)?weight", name)]
    if not names:
        raise RewardError("The checkpoint has no mm_projector; give a CLIP-FlanT5 of stage two.")
    layers = []
    for name in sorted(names, key=lambda one: int((re.findall(r"\d+", one) or [0])[0])):
        weight, bias = held.pop(name), held.pop(name.removesuffix("weight") + "bias")
        layers.append((weight.float().to(device), bias.float().to(device)))
    return layers


def _t5(config: dict[str, Any], held: dict[str, Tensor], dtype: Any, device: str) -> Any:
    """The T5 with these tensors; a RewardError names one that is missing."""
    from transformers import T5Config, T5ForConditionalGeneration

    own = {k: v for k, v in config.items() if k not in ("model_type", "architectures", "dtype")}
    held = {name: tensor for name, tensor in held.items() if name != "embed_tokens.weight"}
    model, said = T5ForConditionalGeneration.from_pretrained(
        None,
        config=T5Config(**own),
        state_dict=held,
        dtype=dtype,
        output_loading_info=True,
    )
    if said["missing_keys"]:
        raise RewardError(
            f"The checkpoint has no {min(said['missing_keys'])}; it is no whole CLIP-FlanT5."
        )
    return model.eval().requires_grad_(False).to(device)
