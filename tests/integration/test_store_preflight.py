"""The preflight's lines: what each finds, and that its fix is the change which helps."""

from __future__ import annotations

from typing import Any

import pytest

from backend import recipes
from backend.errors import ConfigError
from backend.rl.cost import predict
from backend.rl.recipe import RunConfig
from backend.services import labels, preflight, runs
from backend.services.studio import Studio
from tests import factory

OFFLINE = {
    "rewards": [],
    "method": {"name": "flow-dpo", "settings": {}},
    "watch": [{"name": "verifier", "kind": "pocket-verifier"}],
}


def _lines(studio: Studio, project: int, config: dict[str, Any]) -> dict[str, dict[str, Any]]:
    answer = preflight.check(studio, project, config)
    return {line["name"]: line for line in answer["lines"]}


def _fixed(config: dict[str, Any], line: dict[str, Any]) -> dict[str, Any]:
    """The config as the page makes it when somebody takes a line's fix."""
    changed = RunConfig.read(config).plain()
    for path, value in line["fix"]["changes"].items():
        *above, last = path.split(".")
        at = changed
        for key in above:
            at = at[key]
        at[last] = value
    return changed


def test_every_recipe_is_priced_as_the_trainer_counts_it(services: Studio) -> None:
    made = factory.project(services)
    for name in recipes.names():
        config = recipes.load(name)
        answer = preflight.check(services, made.project, config.plain())
        cost = predict(config)
        assert answer["nfe_per_step"] == cost.nfe, name
        parts = {part["letter"]: part["value"] for part in answer["cost"]}
        assert sum(parts.get(letter, 0) for letter in "SUR") == cost.nfe, name
        assert parts.get("K", 0) == cost.pictures and parts.get("J", 0) == cost.judge_calls
        assert all(part["value"] > 0 for part in answer["cost"]), "what is not done is left out"


def test_guidance_doubles_what_is_asked_of_the_network_and_no_picture(services: Studio) -> None:
    made = factory.project(services)
    plain, guided = (
        preflight.check(services, made.project, factory.config(sampling={"guidance": scale}))
        for scale in (1.0, 3.0)
    )
    assert guided["nfe_per_step"] == 2 * plain["nfe_per_step"]
    pictures = [{p["letter"]: p["value"] for p in a["cost"]}["K"] for a in (plain, guided)]
    assert pictures[0] == pictures[1]


def test_a_method_of_stored_pairs_fails_without_pairs_and_leads_to_labelling(
    services: Studio,
) -> None:
    made = factory.project(services)
    config = factory.config(**OFFLINE)
    line = _lines(services, made.project, config)["Judged pairs"]
    assert line["status"] == "fail" and line["value"] == "0 from people"
    assert line["fix"]["url"] == "/label"
    with pytest.raises(ConfigError, match="learns from judged pairs alone"):
        runs.create(services, made.project, "", config)
    given = [factory.label(pair) for pair in made.pairs[:6]]
    labels.store_many(services, made.user, given)
    line = _lines(services, made.project, config)["Judged pairs"]
    assert line["status"] in ("pass", "warn") and line["value"] == "6 from people"
    other = _lines(services, made.project, config | {"labels": "simulated"})["Judged pairs"]
    assert other["status"] == "fail"
    mended = _fixed(config | {"labels": "simulated"}, other)
    assert _lines(services, made.project, mended)["Judged pairs"]["status"] != "fail"


def test_a_method_that_samples_says_nothing_of_stored_pairs(services: Studio) -> None:
    made = factory.project(services)
    assert "Judged pairs" not in _lines(services, made.project, factory.config())


def test_a_watched_judge_without_an_early_stop_is_a_warning_with_its_fix(
    services: Studio,
) -> None:
    made = factory.project(services)
    hackable = [{"name": "saturation", "kind": "saturation"}]
    watch = [{"name": "verifier", "kind": "pocket-verifier"}]
    config = factory.config(rewards=hackable, watch=watch)
    line = _lines(services, made.project, config)["Early stop"]
    assert line["status"] == "warn"
    mended = _lines(services, made.project, _fixed(config, line))["Early stop"]
    assert mended["status"] == "pass" and "'verifier'" in mended["value"]


def test_a_watched_statistic_is_no_reason_to_stop(services: Studio) -> None:
    made = factory.project(services)
    config = factory.config(watch=[{"name": "saturation", "kind": "saturation"}])
    assert "Early stop" not in _lines(services, made.project, config)


def test_pref_grpo_without_a_win_rate_is_told_who_could_judge(services: Studio) -> None:
    made = factory.project(services)
    config = recipes.load("pref-grpo").plain()
    assert "Who wins" not in _lines(services, made.project, config)
    config["rewards"] = [{"name": "verifier", "kind": "pocket-verifier"}]
    config["watch"] = []
    line = _lines(services, made.project, config)["Who wins"]
    assert line["status"] == "warn"
    assert "Who wins" not in _lines(services, made.project, _fixed(config, line))


def test_prompts_that_do_not_divide_by_the_processes_are_pointed_out(services: Studio) -> None:
    made = factory.project(services)
    config = factory.config(processes=2, sampling={"prompts_per_step": 3})
    line = _lines(services, made.project, config)["Processes"]
    assert line["status"] == "warn"
    assert _lines(services, made.project, _fixed(config, line))["Processes"]["status"] == "pass"
