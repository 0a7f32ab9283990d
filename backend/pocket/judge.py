"""The pocket judge: a vision-language model that describes, answers and compares pocket pictures.

Stock classes throughout: `LlavaForConditionalGeneration` with a CLIP vision tower (64×64 in patches
of 16: 16 image tokens) and a Llama of six layers, width 192; a word-level tokenizer. Text stands
before the pictures, so a comparison reads each picture knowing what it looks for:

    <user> which fits : a large red circle on a gray background <image> <image> <judge> first

Every answer is one word, so its probability is read from the next-token logits of the words that
may stand there; only a description has more. torch and transformers are imported inside.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from backend.pocket import world
from backend.pocket.models import vocabulary

if TYPE_CHECKING:
    from transformers import LlavaConfig, LlavaForConditionalGeneration, PreTrainedTokenizerFast

NUM_PATCHES: Final = 16
"""Image tokens of one picture."""

PAD, UNKNOWN, END, USER, JUDGE, IMAGE = "<pad>", "<unk>", "</s>", "<user>", "<judge>", "<image>"

WHICH_FITS: Final = "which fits :"
DOES_FIT: Final = "does it fit :"
DESCRIBE: Final = "describe"
FIRST, SECOND, YES, NO = "first", "second", "yes", "no"

NUMBERS: Final = ("none", "one", "two", "three")
"""Answers to "how many", by the number."""

WHERE: Final = {"above": "above", "below": "below", "left of": "left", "right of": "right"}
"""Answers to "where is", by the relation."""

CHAT_TEMPLATE: Final = (
    "{%- for message in messages -%}"
    "{{ '<user>' if message['role'] == 'user' else '<judge>' }}"
    "{%- if message['content'] is string -%}{{ ' ' + message['content'] }}"
    "{%- else -%}{%- for part in message['content'] -%}"
    "{{ ' <image>' if part['type'] == 'image' else ' ' + part['text'] }}"
    "{%- endfor -%}{%- endif -%}{{ ' ' if not loop.last else '' }}"
    "{%- endfor -%}{{ ' <judge>' if add_generation_prompt else '' }}"
)

DECISION_TEMPLATE: Final = (
    "{{ '<user> ' ~ question.instructions }}"
    "{%- for picture in state -%}{{ ' <image>' }}{%- endfor -%}{{ ' <judge>' }}\n"
)
"""How `transformers serve` asks at /v1/systemone; `state` is the list of pictures."""


@cache
def words() -> dict[str, int]:
    """Every token and its id: the specials, the words of the world, the words of questions."""
    extra = "which fits does it fit : describe what colour is the background shape how many things "
    extra += "large thing where from there first second yes no none one two three ? , ."
    specials = [PAD, UNKNOWN, END, USER, JUDGE, IMAGE]
    return {
        word: i for i, word in enumerate(dict.fromkeys([*specials, *vocabulary(), *extra.split()]))
    }


def ids(text: str) -> list[int]:
    """The token ids of a text; unknown words become `<unk>`, as the tokenizer does it."""
    known = words()
    return [known.get(word, known[UNKNOWN]) for word in text.split()]


def build_config() -> LlavaConfig:
    """About 4 million parameters."""
    from transformers import CLIPVisionConfig, LlamaConfig, LlavaConfig

    known = words()
    vision = CLIPVisionConfig(
        image_size=world.SIDE, patch_size=16, hidden_size=160, intermediate_size=640,
        num_hidden_layers=4, num_attention_heads=5, projection_dim=160,
    )  # fmt: skip
    text = LlamaConfig(
        vocab_size=len(known), hidden_size=192, intermediate_size=512, num_hidden_layers=6,
        num_attention_heads=4, num_key_value_heads=4, max_position_embeddings=256,
        pad_token_id=known[PAD], bos_token_id=known[USER], eos_token_id=known[END],
        tie_word_embeddings=False,
    )  # fmt: skip
    return LlavaConfig(
        vision_config=vision,
        text_config=text,
        image_token_index=known[IMAGE],
        image_seq_length=NUM_PATCHES,
        vision_feature_layer=-1,
        tie_word_embeddings=False,
    )


def build_model() -> LlavaForConditionalGeneration:
    """An untrained judge."""
    from transformers import LlavaForConditionalGeneration

    return LlavaForConditionalGeneration(build_config())


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token a word, left padded."""
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.normalizers import Lowercase
    from tokenizers.pre_tokenizers import WhitespaceSplit
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordLevel(words(), unk_token=UNKNOWN))
    tokenizer.normalizer = Lowercase()
    tokenizer.pre_tokenizer = WhitespaceSplit()
    options: dict[str, Any] = {"pad_token": PAD, "unk_token": UNKNOWN, "eos_token": END}
    options |= {"additional_special_tokens": [USER, JUDGE, IMAGE], "padding_side": "left"}
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, chat_template=CHAT_TEMPLATE, model_max_length=256, **options
    )


def build_processor() -> Any:
    """Pictures of 64×64 to [−1, 1], text by `build_tokenizer`, 16 image tokens for each picture."""
    from transformers import CLIPImageProcessorPil, LlavaProcessor

    size = {"height": world.SIDE, "width": world.SIDE}
    half = [0.5, 0.5, 0.5]
    pictures = CLIPImageProcessorPil(
        size=size, do_center_crop=False, crop_size=size, image_mean=half, image_std=half, resample=2
    )
    return LlavaProcessor(
        image_processor=pictures,
        tokenizer=build_tokenizer(),
        patch_size=16,
        vision_feature_select_strategy="default",
        num_additional_image_tokens=1,
        image_token=IMAGE,
        chat_template=CHAT_TEMPLATE,
    )


def save(model: LlavaForConditionalGeneration, folder: Path) -> None:
    """Write a judge as a stock checkpoint that `from_pretrained` and `transformers serve` read."""
    model.half().save_pretrained(folder)
    settings = json.loads((folder / "config.json").read_text("utf-8"))
    for part in (settings, settings["text_config"], settings["vision_config"]):
        part["dtype"] = "float32"  # stored by halves, computed in single precision
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", "utf-8")
    build_processor().save_pretrained(folder)
    labels = {"choice": [FIRST, SECOND], "noul": [YES, NO]}
    decision = {"labels": labels, "noul_options": ["true", "false"]}
    (folder / "decision.json").write_text(json.dumps(decision, indent=2) + "\n", "utf-8")
    (folder / "decision_template.jinja").write_text(DECISION_TEMPLATE, "utf-8")
