"""Settings of a run as text and back, byte for byte: JSON, TOML or YAML.

Keys keep the order of the settings. TOML has no word for an empty value, so those are left out and
read back as the empty defaults that they are.
"""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

import yaml  # type: ignore[import-untyped]

from backend.errors import ConfigError, InputError
from backend.rl.recipe import RunConfig

FORMATS = ("toml", "yaml", "json")
BARE = re.compile(r"[A-Za-z0-9_-]+")
LONGEST = 1_000_000
"""Characters of a text that are read."""


def write(config: dict[str, Any], form: str) -> str:
    """The whole settings as text, every default written out; raises ConfigError on a bad one."""
    data = RunConfig.read(config).plain()
    if form == "json":
        return json.dumps(data, indent=2, ensure_ascii=False) + "\n"
    if form == "yaml":
        return str(yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=100))
    if form == "toml":
        return "\n".join(_table(data, "")).strip() + "\n"
    raise InputError(f"Settings are written as {', '.join(FORMATS)}, not as '{form}'.")


def read(text: str) -> dict[str, Any]:
    """The settings that a text holds, in whichever of the formats it is written."""
    if len(text) > LONGEST:
        raise InputError("This text is longer than any settings are; choose the right file.")
    errors = []
    for form, parse in (("JSON", json.loads), ("TOML", tomllib.loads), ("YAML", yaml.safe_load)):
        try:
            data = parse(text)
        except (ValueError, yaml.YAMLError) as error:
            errors.append(f"{form}: {' '.join(str(error).split())[:160]}")
            continue
        if isinstance(data, dict):
            return RunConfig.read(data).plain()
        errors.append(f"{form}: not a table of settings")
    raise ConfigError(f"This is neither JSON, TOML nor YAML. {'; '.join(errors)}.", field="text")


def _table(data: dict[str, Any], path: str) -> list[str]:
    """Plain values first, then tables and lists of tables, as TOML wants it."""
    plain, below = [], []
    for key, value in data.items():
        name = key if BARE.fullmatch(key) else json.dumps(key, ensure_ascii=False)
        full = f"{path}.{name}" if path else name
        if isinstance(value, dict):
            below += ["", f"[{full}]", *_table(value, full)]
        elif isinstance(value, list) and value and all(isinstance(one, dict) for one in value):
            for one in value:
                below += ["", f"[[{full}]]", *_table(one, full)]
        elif value is not None:
            plain.append(f"{name} = {_value(value)}")
    return [*plain, *below]


def _value(value: Any) -> str:
    """As JSON writes it, which TOML reads too, but for a deletion sign."""
    if isinstance(value, dict):
        inside = ", ".join(f"{json.dumps(k)} = {_value(v)}" for k, v in value.items())
        return f"{{{inside}}}"
    if isinstance(value, list):
        return f"[{', '.join(_value(one) for one in value if one is not None)}]"
    if isinstance(value, bool) or not isinstance(value, float):
        return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
    return repr(value)
