"""Draws a form from any Config, and reads it back.

A setting is declared once, in its Config. `form(Config)` turns that into plain JSON that
static/js/form.js draws: label, help, range, unit, choices and default of every field, nested
Configs as groups. `read(Config, values)` takes what the form sent and gives the Config;
`faults(Config, values)` says for each field what is wrong with it.
"""

from __future__ import annotations

from typing import Any, TypeVar

from pydantic import ValidationError
from pydantic_core import to_jsonable_python

from app.choices import labels
from backend.config import Config
from backend.errors import ConfigError

JsonDict = dict[str, Any]
AnyConfig = TypeVar("AnyConfig", bound=Config)

WORDS = {
    "lr": "learning rate",
    "kl": "KL",
    "ema": "EMA",
    "lora": "LoRA",
    "nfe": "NFE",
    "bf16": "bfloat16",
    "grad": "gradient",
    "num": "number of",
    "std": "standard deviation",
    "eta": "noise level η",
    "dtype": "number format",
}
"""How a part of a field's name is written when its Config gives no title."""

KINDS = {"integer": "int", "number": "number", "boolean": "bool", "string": "text"}


def form(config: type[Config], values: JsonDict | None = None) -> list[JsonDict]:
    """The fields of a Config in order; a nested Config becomes {label, help, fields}.

    `values` replaces defaults, nested like the Config itself.
    """
    drawn = fields(config.model_json_schema(), values)
    _fill(drawn, _defaults(config))
    return drawn


def fields(schema: JsonDict, values: JsonDict | None = None) -> list[JsonDict]:
    """The same from a JSON schema, as the API hands it out."""
    return _fields(schema, schema.get("$defs", {}), values or {}, prefix="")


def _defaults(config: type[Config]) -> JsonDict:
    """Every default as JSON; a schema leaves out those that a function makes."""
    made = {
        name: field.get_default(call_default_factory=True, validated_data={})
        for name, field in config.model_fields.items()
        if not field.is_required()
    }
    plain: JsonDict = to_jsonable_python(made)
    return plain


def _fill(drawn: list[JsonDict], defaults: JsonDict) -> None:
    """Write in the defaults that the schema did not name."""
    for field in drawn:
        default = defaults.get(field["path"].rsplit(".", 1)[-1])
        if "fields" in field:
            _fill(field["fields"], default or {})
        elif "default" not in field and default is not None:
            field["default"] = default
            field.setdefault("value", default)


def _fields(
    schema: JsonDict, definitions: JsonDict, values: JsonDict, prefix: str
) -> list[JsonDict]:
    required = set(schema.get("required", []))
    drawn = []
    for name, raw in schema.get("properties", {}).items():
        field, optional = _resolve(raw, definitions)
        path = f"{prefix}{name}"
        if field.get("type") == "object" and "properties" in field:
            inner = values.get(name) or field.get("default") or {}
            inside = _fields(field, definitions, inner, f"{path}.")
            help_text = _said(raw) or _said(field)
            drawn.append(
                {"path": path, "label": _label(name, raw), "help": help_text, "fields": inside}
            )
            continue
        drawn.append(_field(path, _label(name, raw), field, name in required, optional))
        if name in values:
            drawn[-1]["value"] = values[name]
    return drawn


def _field(path: str, label: str, field: JsonDict, required: bool, optional: bool) -> JsonDict:
    kind, choices = _kind(field)
    low, high = _limits(field)
    default = field.get("default")
    drawn = {
        "path": path,
        "label": label,
        "help": _said(field),
        "kind": kind,
        "default": default,
        "value": default,
        "required": required,
        "optional": optional,
        "unit": field.get("unit"),
        "lines": field.get("lines"),
        "choices": choices,
        "labels": labels(path.rsplit(".", 1)[-1], choices) or None if choices else None,
        "min": low,
        "max": high,
        "above": field.get("exclusiveMinimum"),
        "below": field.get("exclusiveMaximum"),
        "item": _kind(_inside(field) or {})[0] if kind in {"list", "map"} else None,
        "min_items": field.get("minItems"),
    }
    return {key: value for key, value in drawn.items() if value is not None}


def _resolve(raw: JsonDict, definitions: JsonDict) -> tuple[JsonDict, bool]:
    """Follow references and drop null from a choice of types; says whether null was allowed."""
    field, optional = dict(raw), False
    options = field.pop("anyOf", None)
    if options is not None:
        real = [option for option in options if option.get("type") != "null"]
        optional = len(real) < len(options)
        if len(real) == 1:
            field = {**real[0], **field}
    for key in ("allOf", "oneOf"):
        if len(field.get(key, [])) == 1:
            field = {**field[key][0], **{k: v for k, v in field.items() if k != key}}
    if "$ref" in field:
        target = definitions[field.pop("$ref").rsplit("/", 1)[1]]
        field = {**target, **field}
    return field, optional


def _kind(field: JsonDict) -> tuple[str, list[Any] | None]:
    """One of int, number, bool, text, choice, list, map, json; and the choices if there are any."""
    if "enum" in field:
        return "choice", list(field["enum"])
    if "const" in field:
        return "choice", [field["const"]]
    inside = _inside(field)
    if inside is not None and _kind(inside)[0] in {"int", "number", "text"}:
        return ("list" if field["type"] == "array" else "map"), None
    return KINDS.get(field.get("type", ""), "json"), None


def _inside(field: JsonDict) -> JsonDict | None:
    """The schema of a list's items, or of the values of a dict whose keys are free."""
    if field.get("type") == "array":
        return dict(field.get("items") or {})
    values = field.get("additionalProperties")
    return values if field.get("type") == "object" and isinstance(values, dict) else None


def _said(field: JsonDict) -> str:
    """The docstring under a field, in one line."""
    return " ".join(str(field.get("description", "")).split())


def _limits(field: JsonDict) -> tuple[float | None, float | None]:
    return field.get("minimum"), field.get("maximum")


def _label(name: str, field: JsonDict) -> str:
    """The title a Config gives, or its field's name as words."""
    title = field.get("title", "")
    if title and title != name.replace("_", " ").title():
        return str(title)
    words = " ".join(WORDS.get(part, part) for part in name.split("_"))
    return words[:1].upper() + words[1:]


def read(config: type[AnyConfig], values: JsonDict) -> AnyConfig:
    """The Config from what the form sent; the first fault as a `ConfigError` with its field."""
    return config.read(values)


def faults(config: type[Config], values: JsonDict) -> dict[str, str]:
    """What is wrong, one sentence for each field's path; empty when all is well."""
    try:
        config.model_validate(values)
    except ValidationError as error:
        return {
            ".".join(str(part) for part in fault["loc"]): _sentence(fault["msg"])
            for fault in error.errors()
        }
    except ConfigError as error:
        return {error.field or "": str(error)}
    return {}


def _sentence(message: str) -> str:
    text = message.removeprefix("Value error, ").strip()
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")
