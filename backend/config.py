"""Typed settings: each is declared once, and drawn into the form from there.

A `Config` is frozen; an unknown key is an error that names its nearest neighbour; the docstring
under a field is its help text. `Field(..., title=, ge=, le=, json_schema_extra={"unit": "steps"})`
says the rest: label, range and unit.
"""

from __future__ import annotations

import difflib
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from backend.errors import ConfigError


class Config(BaseModel):
    """Base of every settings object: frozen, strict about its keys, help from docstrings."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    @classmethod
    def read(cls, data: dict[str, Any] | None) -> Self:
        """Build from plain data; every fault becomes one sentence in a `ConfigError`."""
        try:
            return cls.model_validate(data or {})
        except ValidationError as error:
            raise ConfigError(_sentence(cls, error), field=_first_field(error)) from None

    def plain(self) -> dict[str, Any]:
        """The settings as JSON-ready data, every default written out."""
        return self.model_dump(mode="json")


def _first_field(error: ValidationError) -> str:
    return ".".join(str(part) for part in error.errors()[0]["loc"])


def _sentence(cls: type[BaseModel], error: ValidationError) -> str:
    parts = []
    for fault in error.errors():
        path = ".".join(str(part) for part in fault["loc"])
        if fault["type"] == "extra_forbidden":
            known = _fields_at(cls, fault["loc"][:-1])
            near = difflib.get_close_matches(str(fault["loc"][-1]), known, n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known keys: {', '.join(known)}."
            parts.append(f"Unknown setting '{path}'; {hint}")
        else:
            given = repr(fault.get("input"))
            given = given if len(given) < 80 else given[:77] + "..."
            parts.append(f"Setting '{path}' was given {given}: {fault['msg'].lower()}.")
    return " ".join(parts)


def _fields_at(cls: type[BaseModel], loc: tuple[int | str, ...]) -> list[str]:
    """Names of the fields of the model that `loc` leads to (best effort for nested models)."""
    model: Any = cls
    for part in loc:
        field = getattr(model, "model_fields", {}).get(part)
        inner = getattr(field, "annotation", None)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            model = inner
    return list(model.model_fields)
