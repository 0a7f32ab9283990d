"""The words a model was trained to be asked with, which belong to their authors.

They are read from a text file of yours, or from `template.txt` beside the weights; where there is
neither, our own words stand in for them, if the kind allows it.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

from backend.errors import ConfigError
from backend.rewards import _hub

OURS = "ours"
"""The setting that asks for our own words."""


def found(setting: str, model: str) -> Path | None:
    """The file of the words: the setting's, or the one beside the weights; None if there is none.

    Raises ConfigError where a file that was named does not exist.
    """
    if setting == OURS:
        return None
    if not setting:
        return _hub.path(model, "template.txt")
    if not Path(setting).is_file():
        raise ConfigError(
            f"There is no file {setting}; name a text file, or '{OURS}' for our own words.",
            field="template",
        )
    return Path(setting)


def read(path: Path, needs: tuple[str, ...]) -> str:
    """The words of a file; a ConfigError where one of the marks it `needs` does not stand once."""
    text = path.read_text(encoding="utf-8")
    wrong = [mark for mark in needs if text.count(mark) != 1]
    if wrong:
        raise ConfigError(
            f"The words in {path.name} have {text.count(wrong[0])} times {wrong[0]} in them, and "
            "it must stand there once.",
            field="template",
        )
    return text


def fingerprint(setting: str, model: str) -> str:
    """What stands for the words in a reward's version."""
    path = found(setting, model)
    return hashlib.sha256(path.read_bytes()).hexdigest() if path else OURS
