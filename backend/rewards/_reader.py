"""Models of transformers that read what is written in a picture.

    reader = share("stepfun-ai/GOT-OCR-2.0-hf")
    reader.read(image)               # "HELLO WORLD"

    got_ocr2                 reads a whole picture
    vision-encoder-decoder   TrOCR: reads a picture as one line

The picture is squashed to the square the model sees, by PIL on every machine; its own processor
puts the words around it. It always takes its likeliest word.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError
from backend.rewards import _hub

MOST_TOKENS: Final = 256
END: Final = "<|im_end|>"
"""Where GOT's answer ends."""


class Reader:
    """One checkpoint."""

    def __init__(self, name: str, device: str) -> None:
        self.device = device
        self.model = _hub.load(
            "AutoModelForImageTextToText", name, use_safetensors=True, dtype=_hub.dtype(device)
        )
        self.model.eval().requires_grad_(False).to(device)
        kind = self.model.config.model_type
        if kind not in ("got_ocr2", "vision-encoder-decoder"):
            raise RewardError(
                f"'{name}' is a {kind}; take a GOT-OCR 2 or a TrOCR, or ask a judge to read."
            )
        self.page = kind == "got_ocr2"
        self.processor = _hub.load("AutoProcessor", name)
        size = self.processor.image_processor.size
        self.size = (int(size["width"]), int(size["height"]))

    def read(self, image: NDArray[np.uint8]) -> str:
        """Everything it reads."""
        import torch
        from PIL import Image
        from transformers import GenerationConfig

        drawn = Image.fromarray(image).resize(self.size, Image.Resampling.BICUBIC)
        ready = self.processor(images=drawn, return_tensors="pt").to(self.device)
        ready["pixel_values"] = ready["pixel_values"].to(self.model.dtype)
        tokenizer = self.processor.tokenizer
        own = self.model.generation_config
        plan = GenerationConfig(
            do_sample=False,
            max_new_tokens=MOST_TOKENS,
            eos_token_id=tokenizer.convert_tokens_to_ids(END) if self.page else own.eos_token_id,
            pad_token_id=tokenizer.pad_token_id,
            decoder_start_token_id=own.decoder_start_token_id,
        )
        with torch.inference_mode():
            said = self.model.generate(**ready, generation_config=plan)[0]
        new = said[ready["input_ids"].shape[1] :] if self.page else said
        return str(tokenizer.decode(new, skip_special_tokens=True))


@lru_cache(maxsize=1)
def share(name: str) -> Reader:
    """The reader of a checkpoint, loaded once in a process."""
    return Reader(name, _hub.device())
