"""Forms drawn from Configs: everything a field declares reaches the form, and comes back."""

from __future__ import annotations

from typing import Any, Literal

import pytest
from pydantic import Field

from app import forms
from backend.config import Config
from backend.errors import ConfigError


class Inner(Config):
    """How the noise is drawn."""

    eta: float = Field(0.7, ge=0, le=2)
    """Noise of a fork."""


class Settings(Config):
    """A Config with every kind of field."""

    num_steps: int = Field(10, ge=1, le=50, json_schema_extra={"unit": "steps"})
    """Steps of the schedule."""
    lr: float = Field(1e-4, gt=0)
    """Size of an update."""
    kernel: Literal["flow-sde", "ode"] = "flow-sde"
    """How a fork draws its noise."""
    strides: list[int] = Field(default_factory=lambda: [1, 2], min_length=1)
    """Granularities."""
    minutes: float | None = None
    """Budget."""
    keep: bool = Field(True, title="Keep the average weights")
    """Uses the moving average."""
    extra: dict[str, Any] = Field(default_factory=dict)
    """Anything else."""
    factors: dict[str, float] = Field(default_factory=dict)
    """Names of one's own, a number each."""
    inner: Inner = Inner()
    """The noise."""


def by_path(spec: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    flat: dict[str, dict[str, Any]] = {}
    for field in spec:
        flat[field["path"]] = field
        flat |= by_path(field.get("fields", []))
    return flat


def test_every_declared_field_is_drawn_with_label_help_range_unit_and_default() -> None:
    drawn = by_path(forms.form(Settings))
    assert set(drawn) == set(Settings.model_fields) | {"inner.eta"}
    steps = drawn["num_steps"]
    assert (steps["label"], steps["help"]) == ("Number of steps", "Steps of the schedule.")
    assert (steps["kind"], steps["default"], steps["unit"]) == ("int", 10, "steps")
    assert (steps["min"], steps["max"]) == (1, 50)
    assert drawn["lr"]["label"] == "Learning rate" and drawn["lr"]["above"] == 0
    assert drawn["kernel"]["choices"] == ["flow-sde", "ode"]
    assert drawn["strides"]["kind"] == "list" and drawn["strides"]["item"] == "int"
    assert drawn["factors"]["kind"] == "map" and drawn["factors"]["item"] == "number"
    assert drawn["extra"]["kind"] == "json"
    assert drawn["strides"]["min_items"] == 1 and drawn["strides"]["value"] == [1, 2]
    assert drawn["minutes"]["optional"] is True and "default" not in drawn["minutes"]
    assert drawn["keep"]["label"] == "Keep the average weights"
    assert drawn["extra"]["kind"] == "json"


def test_a_nested_config_is_a_group_with_its_own_fields() -> None:
    group = next(field for field in forms.form(Settings) if field["path"] == "inner")
    assert (group["label"], group["help"]) == ("Inner", "The noise.")
    assert [field["path"] for field in group["fields"]] == ["inner.eta"]
    assert group["fields"][0]["max"] == 2


def test_given_values_stand_in_the_form_in_place_of_the_defaults() -> None:
    drawn = by_path(forms.form(Settings, {"num_steps": 12, "inner": {"eta": 0.3}}))
    assert drawn["num_steps"]["value"] == 12 and drawn["num_steps"]["default"] == 10
    assert drawn["inner.eta"]["value"] == 0.3
    assert drawn["lr"]["value"] == 1e-4


def test_what_the_form_sends_becomes_the_config_again() -> None:
    sent = {"num_steps": 12, "strides": [1, 3], "inner": {"eta": 0.3}, "minutes": None}
    config = forms.read(Settings, sent)
    assert config.num_steps == 12 and config.inner.eta == 0.3
    assert forms.read(Settings, config.plain()) == config


def test_each_fault_names_its_field_in_one_sentence() -> None:
    found = forms.faults(Settings, {"num_steps": 0, "inner": {"eta": 9}, "strides": []})
    assert set(found) == {"num_steps", "inner.eta", "strides"}
    assert all(text[0].isupper() and text.endswith(".") for text in found.values())
    assert forms.faults(Settings, {}) == {}


def test_an_unknown_setting_is_refused_with_its_nearest_name() -> None:
    with pytest.raises(ConfigError, match="did you mean 'num_steps'"):
        forms.read(Settings, {"num_step": 3})


@pytest.mark.parametrize("name", ["g2rpo", "flow-grpo"])
def test_the_form_of_a_method_has_a_help_line_for_every_field(name: str) -> None:
    from backend.registry import methods

    for path, field in by_path(forms.form(methods.get(name).Config)).items():
        assert field["help"], f"{name}: {path} has no help"
        assert field["label"]
