"""Settings of a run as text and back: the same settings are the same bytes in every format."""

from __future__ import annotations

import pytest

from backend import recipes
from backend.errors import ConfigError, InputError
from backend.rl.recipe import RunConfig
from backend.services import run_texts

ODD = {
    "rewards": [
        {
            "name": 'a "quoted"\nname \x7f 好',
            "kind": "win-rate",
            "only": "red",
            "config": {"judge_config": {}, "rounds": 4},
        }
    ],
    "optim": {"lr": 1e-7, "lr_groups": {"lora_B": 4.0, "a.b c": 0.5}, "lora_targets": ["x", "y"]},
    "minutes": 2.0,
}


@pytest.mark.parametrize("form", run_texts.FORMATS)
@pytest.mark.parametrize("name", ["pocket-g2rpo", "pocket-flow-dpo", "pocket-pref-grpo", "odd"])
def test_exported_settings_read_back_are_the_same_bytes(name: str, form: str) -> None:
    config = RunConfig.read(ODD) if name == "odd" else recipes.load(name)
    text = run_texts.write(config.plain(), form)
    assert run_texts.read(text) == config.plain()
    assert run_texts.write(run_texts.read(text), form) == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1, 2", "neither JSON, TOML nor YAML"),
        ("just words", "not a table"),
        ("x" * 1_000_001, "longer than"),
    ],
)
def test_a_text_that_is_no_settings_is_refused_with_a_sentence(text: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        run_texts.read(text)


def test_a_setting_nobody_knows_is_named() -> None:
    with pytest.raises(ConfigError, match="did you mean 'seed'"):
        run_texts.read("sed = 3\n")
