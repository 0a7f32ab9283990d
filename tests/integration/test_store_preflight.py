"""The preflight's lines: what each finds, and that its fix is the change which helps."""

from __future__ import annotations

from typing import Any

import pytest

from backend import recipes
from backend.errors import ConfigError
from backend.rl.cost import predict
from backend.rl.recipe import RunConfig
from backend.rl.trial import UPDATES
from backend.services import glances, jobs, labels, policies, preflight, probes, prompts, runs
from backend.services.preflight import machine
from backend.services.preflight.mend import mend
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


def _fixed(config: dict[str, Any], line: dict[str, Any], **made: Any) -> dict[str, Any]:
    """The config as the page makes it when somebody takes a line's fix; `made` are the changes that
    the studio answered with, where the fix asks it to make something."""
    changed = RunConfig.read(config).plain()
    for path, value in (made or line["fix"]["changes"]).items():
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
    mended = _lines(services, made.project, _fixed(config, line))
    assert not [line for line in mended.values() if line["status"] == "fail"], "it samples instead"
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


def _mended(studio: Studio, project: int, config: dict[str, Any], title: str) -> dict[str, Any]:
    """The line of that title after its fix was taken, which must have failed before."""
    line = _lines(studio, project, config)[title]
    assert line["status"] == "fail", line
    post = line["fix"].get("post")
    made = mend(studio, project, **post["body"])["changes"] if post else {}
    return _lines(studio, project, _fixed(config, line, **made))[title]


def test_every_failing_line_has_a_fix_that_makes_it_pass(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services)
    for title, changes in (
        ("Prompts to train on", {"prompt_set": "absent"}),
        ("Model", {"policy": {"config": {"weights": "/nowhere/model"}}}),
        ("Train and held-out overlap", {"heldout_set": "train"}),
    ):
        line = _mended(services, made.project, factory.config(**changes), title)
        assert line["status"] == "pass", line
    untrained = [{"name": "people", "kind": "learned"}]
    config = factory.config(rewards=untrained)
    fixed = _fixed(config, _lines(services, made.project, config)["Reward people"])
    assert [term["name"] for term in fixed["rewards"]] == ["saturation"], "a watched one stands in"
    assert "Reward people" not in _lines(services, made.project, fixed)
    monkeypatch.setattr(machine, "memory_of_machine", lambda: 650e6)
    monkeypatch.setattr(type(services.media), "free_bytes", lambda _media: 60_000_000)
    heavy = factory.config(
        sampling={"num_steps": 4, "prompts_per_step": 2, "update_batch_size": 4096},
        num_steps=400,
        checkpoint_every=1,
    )
    for title in ("Memory", "Disk"):
        assert _mended(services, made.project, heavy, title)["status"] != "fail", title


def test_prompts_that_a_project_lacks_are_made_by_the_fix(services: Studio) -> None:
    made = factory.project(services, num_prompts=3)
    lonely = policies.create(services, made.project, "p", "sd3", {"weights": "pocket"})
    assert lonely
    shared = "prompt 0\nprompt 1\nnew 1\nnew 2"
    prompts.import_text(services, made.project, "mixed", "heldout", shared)
    line = _lines(services, made.project, factory.config(heldout_set="mixed"))
    overlap = line["Train and held-out overlap"]
    assert overlap["value"] == "2 shared" and overlap["fix"]["changes"] == {
        "heldout_set": "heldout"
    }
    apart = mend(services, made.project, "apart", "train", "mixed")["changes"]["heldout_set"]
    own = prompts.named(services, made.project, apart)
    assert [text for _id, text in prompts.texts(services, own["id"])] == ["new 1", "new 2"]
    warned = _lines(services, made.project, factory.config())["Train and held-out overlap"]
    assert warned["status"] == "warn" and "'mixed'" in warned["reason"], "another held-out set"
    assert mend(services, made.project, "prompt_set") == {"changes": {"prompt_set": "pocket train"}}
    again = mend(services, made.project, "prompt_set")["changes"]["prompt_set"]
    assert again == "pocket train 2", "a set that is there is not touched"


def test_memory_and_time_are_estimates_until_a_step_was_measured(services: Studio) -> None:
    made = factory.project(services)
    config = factory.config()
    lines = _lines(services, made.project, config)
    assert lines["Memory"]["reason"].startswith("Estimated")
    assert lines["Memory"]["fix"]["probe"] == "step"
    assert lines["Time"]["value"] == "unknown before a probe"
    job = probes.probe(services, made.project, config, "step")
    cost = predict(RunConfig.read(config))
    assert job["args"]["pictures"] == UPDATES * cost.pictures
    jobs.claim(services, job["id"], 1, "w")
    found = {
        "device": "cpu",
        "peak_bytes": 2_000_000_000,
        "total_bytes": 8_000_000_000,
        "seconds_per_step": 3.0,
        "seconds_evaluation": 2.0,
        "nfe_per_step": float(cost.nfe),
        "judge_calls": 0.0,
        "disk_bytes": 1_000_000,
    }
    jobs.finish(services, job["id"], 1, found)
    answer = preflight.check(services, made.project, {**config, "seed": 3, "num_steps": 10})
    lines = {line["name"]: line for line in answer["lines"]}
    assert lines["Memory"]["value"] == "2.0 GB of 8.0 GB"
    assert lines["Memory"]["reason"].startswith("Measured")
    assert answer["seconds_per_step"] == 3.0
    assert answer["total_seconds"] == 10 * 3.0 + 6 * 2.0, "evaluated at 0, 2, ... 10"
    other = _lines(services, made.project, {**config, "optim": {"lora_rank": 64}})["Memory"]
    assert other["value"].endswith("of 8.0 GB"), "of other settings only the device is known"
    assert other["reason"].startswith("Estimated")
    found["peak_bytes"] = 7_900_000_000
    again = probes.probe(services, made.project, config, "step")["id"]
    jobs.claim(services, again, 1, "w")
    jobs.finish(services, again, 1, found)
    full = _lines(services, made.project, config)["Memory"]
    assert full["status"] == "fail" and full["fix"]["changes"]["sampling.update_batch_size"] < 32
    with pytest.raises(ConfigError, match="learns from judged pairs"):
        probes.probe(services, made.project, factory.config(**OFFLINE), "step")


def test_rewards_are_tried_on_samples_once_and_what_they_said_is_in_their_line(
    services: Studio,
) -> None:
    made = factory.project(services)
    config = factory.config()
    terms = RunConfig.read(config).rewards
    line = _lines(services, made.project, config)["Reward verifier"]
    assert line["status"] == "warn" and "not tried yet" in line["value"]
    asked = glances.ask(services, made.project, terms)["verifier"]
    assert asked.state == "asked"
    assert glances.ask(services, made.project, terms)["verifier"].job_id == asked.job_id
    assert asked.job_id is not None
    jobs.claim(services, asked.job_id, 1, "w")
    said = {"values": [0.5, None, 0.25], "reason": "It could not be read.", "compares": False}
    jobs.finish(services, asked.job_id, 1, said)
    assert glances.ask(services, made.project, terms)["verifier"].values == [0.5, None, 0.25]
    line = _lines(services, made.project, config)["Reward verifier"]
    assert line["status"] == "warn" and line["value"].endswith("a number for 2 of 3 samples")
    factory.draw(services, made.project, made.policy, made.prompt_ids[:1], 1)
    assert glances.known(services, made.project, terms)["verifier"].state == "unknown", "new ones"
    lost = glances.ask(services, made.project, terms)["verifier"].job_id
    assert lost is not None
    jobs.claim(services, lost, 1, "w")
    jobs.fail(services, lost, 1, "Its weights are gone.")
    fault = _mended_away(services, made.project, config, "Reward verifier")
    assert "verifier" not in fault


def test_a_reward_that_likes_noise_is_named_before_it_teaches(services: Studio) -> None:
    made, config = factory.project(services), factory.config()
    asked = glances.ask(services, made.project, RunConfig.read(config).rewards)["verifier"]
    assert asked.job_id is not None
    jobs.claim(services, asked.job_id, 1, "w")
    cheated = "A picture of noise scores above the real picture on 90% of the prompts."
    said = {"values": [0.5] * 3, "reason": "", "compares": False, "cheated": cheated}
    jobs.finish(services, asked.job_id, 1, said)
    line = _lines(services, made.project, config)["Reward verifier"]
    assert line["status"] == "warn" and line["reason"].startswith(cheated)


def _mended_away(studio: Studio, project: int, config: dict[str, Any], title: str) -> list[str]:
    """Names of the trained rewards after the fix of a line that fails."""
    line = _lines(studio, project, config)[title]
    assert line["status"] == "fail" and line["reason"], line
    return [term["name"] for term in _fixed(config, line)["rewards"]]
