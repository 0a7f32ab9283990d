"""HPSv3: human preference score, a Qwen2-VL with a head that gives μ and a spread; the score is μ.

    μ = head(h)[0]        h the state at <|Reward|>, head 3,584 → 1,024 → 16 → 2 with ReLU

Every picture is made as large as 256 patches of 28 × 28. The second number of the head is not an
uncertainty: its loss only ever shrinks it. The words it was trained to be asked with belong to its
authors; without them its values mean little, so they have to be given (docs/stock.md says where
they are), or our own asked for by name.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Final

from pydantic import Field

from backend.config import Config as Settings
from backend.errors import RewardError
from backend.rewards import _hub, _qwen, _templates
from backend.rewards._recall import recalled
from backend.rewards._traits import Traits
from backend.rewards.interface import Files, Images, Scores, Shape

TITLE = "HPSv3"
SUMMARY = "What people prefer, by a vision-language model with a head. Compare inside one prompt."
SOURCE = "Ma et al. 2025, HPSv3 (arXiv 2508.03789)"
RANGE = (None, None)
TRAITS = Traits(
    latency=3,
    comparable=False,
    reads_text=True,
    licence="not stated with the weights; Qwen2-VL is Apache-2.0",
    weights="safetensors",
)

MARK: Final = "<|Reward|>"
PIXELS: Final = 256 * 28 * 28
LAYERS: Final = (0, 3, 5)
"""Of the head, the linear layers; between them are ReLU and, in training, dropout."""
OURS: Final = (
    "Rate the picture from 0 to 10: how good it looks, and how far it shows what the text asks "
    "for.\nText: {prompt}\nThe rating is: <|Reward|>\n"
)


class Config(Settings):
    """Which weights, and with which words they are asked."""

    model: str = Field(default=_hub.HPS3, title="Model")
    """The checkpoint with its head: a hub id that has been fetched, or a folder."""
    file: str = Field(default=_hub.HPS3_FILE, title="File")
    """Its safetensors file."""
    base: str = Field(default=_hub.QWEN2_VL, title="Base")
    """The Qwen2-VL whose configuration and tokeniser it has; its weights are not needed."""
    template: str = Field(default="", title="Words")
    """A text file with {prompt} and <|Reward|> in it, beside the weights if empty; "ours": our own
    words, whose values are not those of the paper."""


class HpsV3:
    """One value per picture, usually 0 to 15."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config) -> None:
        found = _templates.found(config.template, config.model)
        if found is None and config.template != _templates.OURS:
            raise RewardError(
                "HPSv3 needs the words it was trained with, and there is no template.txt beside "
                "its weights; docs/stock.md says where its authors keep them. Or set template to "
                "'ours' for our own words, whose values are others."
            )
        self.words = _templates.read(found, ("{prompt}", MARK)) if found else OURS
        self.judge = share(config.model, config.file, config.base)

    @recalled
    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """μ of every picture."""
        asked = [self.words.replace("{prompt}", _qwen.plain(prompt)) for prompt in prompts]
        pairs = zip(images, asked, strict=True)
        return Scores.of([self.judge.mean(image, text) for image, text in pairs])


class Judge:
    """The network without its words, the chat around it, and the head."""

    def __init__(self, model: str, file: str, base: str, device: str) -> None:
        import torch

        self.device = device
        self.chat = _qwen.Chat(base, PIXELS, PIXELS, extra=MARK)
        self.mark = int(self.chat.tokenizer.convert_tokens_to_ids(MARK))
        held = {renamed(name): tensor for name, tensor in _hub.tensors(model, file).items()}
        try:
            self.head = [
                (held.pop(f"rm_head.{at}.weight").float(), held.pop(f"rm_head.{at}.bias").float())
                for at in LAYERS
            ]
            words = held["language_model.embed_tokens.weight"].shape[0]
        except KeyError as error:
            raise RewardError(f"{file} has no {error}; it is not HPSv3.") from error
        self.head = [(w.to(device), b.to(device)) for w, b in self.head]
        self.network: Any = _network(base, held, words, device)
        if self.mark >= words:
            raise RewardError(
                f"{MARK} is token {self.mark} with the tokeniser of '{base}', and {file} knows "
                f"{words}; give the Qwen2-VL it was trained from."
            )
        self.relu = torch.nn.functional.relu

    def mean(self, image: _qwen.Picture, text: str) -> float:
        """μ at the mark; the first of the head's two numbers."""
        import torch

        ready = self.chat.ready([image], text, self.device)
        with torch.inference_mode():
            states = self.network(**ready, use_cache=False).last_hidden_state
            row = states[ready["input_ids"] == self.mark][-1].float()
            for at, (weight, bias) in enumerate(self.head):
                row = torch.nn.functional.linear(self.relu(row) if at else row, weight, bias)
        return float(row[0])


def renamed(name: str) -> str:
    """A tensor's name in transformers today, from either layout the checkpoint may have."""
    inner = name.removeprefix("model.")
    if inner.startswith(("visual.", "language_model.", "rm_head.", "lm_head.")):
        return inner
    return f"language_model.{inner}"


def _network(base: str, held: dict[str, Any], words: int, device: str) -> Any:
    """The Qwen2-VL of the base's configuration with these tensors; its own words are not needed."""
    from transformers import Qwen2VLModel

    config = _hub.load("AutoConfig", base)
    if config.model_type != "qwen2_vl":
        raise RewardError(f"'{base}' is a {config.model_type}; HPSv3 is a Qwen2-VL.")
    config.text_config.vocab_size = words
    held = {name: tensor for name, tensor in held.items() if not name.startswith("lm_head.")}
    model, said = Qwen2VLModel.from_pretrained(
        None,
        config=config,
        state_dict=held,
        dtype=_hub.dtype(device),
        output_loading_info=True,
    )
    if said["missing_keys"]:
        raise RewardError(
            f"The checkpoint has no {min(said['missing_keys'])}; give the one that '{base}' fits."
        )
    return model.eval().requires_grad_(False).to(device)


@lru_cache(maxsize=1)
def share(model: str, file: str, base: str) -> Judge:
    """The judge of a checkpoint, loaded once in a process."""
    return Judge(model, file, base, _hub.device())


def fingerprint(config: Config) -> str:
    """Which weights, whose tokens, and which words."""
    return (
        _hub.fingerprint(config.model, config.file)
        + _hub.fingerprint(config.base, "tokenizer.json")
        + _templates.fingerprint(config.template, config.model)
    )


def load(config: Config, files: Files | None = None) -> HpsV3:
    """The judge, shared with others that ask it."""
    return HpsV3(config)
