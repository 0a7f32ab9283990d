"""Alarms: each sign once, none without a reason, and nothing recorded that nobody looks at."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from backend.errors import ConfigError
from backend.hooks import check_address
from backend.pocket import world
from backend.rl import style
from backend.rl.alarms import KEPT, RULES, Story, look
from backend.rl.early_stop import History
from backend.rl.recipe import EarlyStop, RewardTerm, RunConfig
from backend.services.alarms import stopped
from workers.bench import alarms as benchmark

GOOD: dict[str, Any] = {
    "loss": 0.1,
    "groups_kept": 9.0,
    "groups_total": 10.0,
    "clip_share": 0.1,
    "grad_norm": 1.0,
    "bound/saturation": 0.0,
    "agreement/a|b": 0.4,
}
BASE: dict[str, Any] = {"diversity": 0.5, "style/saturation": 0.3, "style_sd/saturation": 0.1}


def story(*evaluations: dict[str, Any], last: dict[str, Any] | None = None, of: int = 12) -> Story:
    """A run that was well until its last update."""
    found = Story(["saturation"], ["verifier"])
    for step in range(1, of):
        found.update(step, GOOD)
    found.update(of, {**GOOD, **(last or {})})
    for number, metrics in enumerate((BASE, *evaluations)):
        found.evaluation(10 * number, metrics)
    return found


def gains(trained: float, watched: float) -> dict[str, Any]:
    """An evaluation."""
    errors = {"gain_se/saturation": 0.01, "gain_se/verifier": 0.01}
    return {**BASE, "gain/saturation": trained, "gain/verifier": watched, **errors}


def fired(found: Story) -> list[str]:
    return [finding.rule for finding in look(found)]


def test_a_good_run_raises_none() -> None:
    assert fired(Story([], [])) == []
    assert fired(story(gains(0.2, 0.1), gains(0.3, 0.2))) == []


@pytest.mark.parametrize(
    ("last", "rule", "about"),
    [
        ({"loss": None}, "not-a-number", "loss"),
        ({"loss": math.nan}, "not-a-number", "loss"),
        ({"missing/verifier": 0.5}, "missing", "verifier"),
        ({"clip_share": 0.8, "clip_share/3": 0.2}, "clipped", ""),
        ({"grad_norm": 9.0}, "spike", "grad_norm"),
    ],
)
def test_signs_of_one_update(last: dict[str, Any], rule: str, about: str) -> None:
    found = [finding for finding in look(story(last=last)) if finding.rule == rule]
    assert [(one.about, one.step) for one in found] == [(about, 12)]


@pytest.mark.parametrize(
    ("bad", "rule"),
    [
        ({"groups_kept": 1.0}, "no-spread"),
        ({"bound/saturation": 0.9}, "bound"),
        ({"agreement/a|b": -0.9}, "conflict"),
        ({"style_r2": 0.6}, "bought"),
    ],
)
def test_signs_that_must_last_fire_when_they_have_and_not_before(
    bad: dict[str, Any], rule: str
) -> None:
    found = story()
    for number in range(1, RULES[rule].window):
        found.update(12 + number, {**GOOD, **bad})
        assert rule not in fired(found), number
    found.update(40, {**GOOD, **bad})
    assert fired(found) == [rule]
    found.update(41, GOOD)
    assert fired(found) == []


def test_a_watched_reward_that_comes_down_while_the_trained_one_rises_is_cheating() -> None:
    up, over, far = gains(0.1, 0.10), gains(0.2, 0.05), gains(0.3, -0.02)
    assert fired(story(up, over)) == [], "once is no proof"
    assert fired(story(up, over, far)) == ["judge-split"]
    assert fired(story(up, gains(0.2, 0.09), gains(0.3, 0.085))) == [], "within the noise"
    assert fired(story(up, gains(0.05, 0.05), gains(0.04, -0.02))) == [], "both fall: no cheating"
    assert fired(story(gains(0.1, -0.1), gains(0.2, -0.2))) == ["judge-split"], "from the base on"
    groupwise = [{k: v for k, v in e.items() if "saturation" not in k} for e in (up, over, far)]
    assert fired(story(*groupwise)) == ["judge-split"], "no held-out value of its own"


def test_a_watched_reward_that_fails_on_held_out_pictures_is_missing() -> None:
    """From the base on; one that fails in training too is told once."""
    lost = {**BASE, "missing/verifier": 0.4, "missing/saturation": 0.0}
    found = look(Story([], [], evaluations=[(0, lost)]))
    assert [(one.rule, one.about, one.step) for one in found] == [("missing", "verifier", 0)]
    assert fired(story(lost, last={"missing/verifier": 0.9})) == ["missing"]
    assert fired(story({**BASE, "missing/verifier": 0.1})) == []


def test_looks_that_drift_and_pictures_that_become_alike_are_told() -> None:
    assert fired(story({**BASE, "diversity": 0.2})) == ["diversity"]
    met = {**BASE, "dependence/verifier": 0.4, "dependence/saturation": 0.0, "prompts_apart": 0.2}
    lost = {**met, "dependence/verifier": 0.1, "dependence/saturation": -0.1, "prompts_apart": 0.1}
    both = Story([], [], evaluations=[(0, met), (10, lost)])
    assert [(f.rule, f.about) for f in look(both)] == [
        ("prompts", ""),
        ("dependence", "verifier"),
    ]
    off = 1.5 * RULES["look"].limit * 0.1
    assert fired(story({**BASE, "style/saturation": 0.3 + off})) == ["look"]
    assert fired(story({**BASE, "style/saturation": 0.3 - off})) == ["look"]
    quiet = {**BASE, "style/text": 0.01}
    assert fired(story({**BASE, "style/text": 0.4})) == [], "nothing measured at the base"
    texts = Story([], [], evaluations=[(0, quiet), (10, {**BASE, "style/text": 0.4})])
    assert fired(texts) == ["text"]


def test_grids_levers_and_doubt_at_an_evaluation_are_told() -> None:
    def told(first: dict[str, float], last: dict[str, float]) -> list[tuple[str, str, float]]:
        evaluations = [(0, {**BASE, **first}), (10, {**BASE, **last})]
        found = look(Story([], [], evaluations=evaluations))
        return [(one.rule, one.about, round(one.value or 0.0, 3)) for one in found]

    assert told({"style/tiling": 0.2}, {"style/tiling": 0.5}) == [("grid", "", 2.5)]
    assert told({"style/tiling": 0.001}, {"style/tiling": 0.022}) == [], "nothing, and hardly more"
    lever = {"leverage/learned": 1.4, "leverage/learned/blur": 1.4}
    assert told({}, lever) == [("leverage", "learned", 1.4)], "told once, and not by the edit"
    assert told({}, {"leverage/learned": 0.9}) == []
    known = {"abstained/learned": 0.0, "unsure/learned": 0.5}
    lost = {"abstained/learned": 0.05, "unsure/learned": 1.6}
    assert told(known, lost) == [("unsure", "learned", 3.2)], "the larger of the two"
    assert told(known, {"abstained/learned": 0.03, "unsure/learned": 0.9}) == []


def test_a_story_forgets_what_no_rule_looks_at_and_pictures_alone_tell_nothing() -> None:
    found = story(of=3 * KEPT)
    assert len(found.updates) == KEPT >= max(rule.window for rule in RULES.values())
    found.evaluation(30, {})
    assert len(found.evaluations) == 1


def test_looks_are_measured_and_grain_is_texture() -> None:
    images = world.render_many(world.draw(6, seed=0), 0)
    grain = np.random.default_rng(0).integers(-40, 40, images.shape)
    grainy = np.clip(images.astype(int) + grain, 0, 255).astype(np.uint8)
    assert (style.texture(grainy) > style.texture(images) + 0.3).all()
    found = style.figures(images)
    assert set(found) == {f"{p}{n}" for p in ("style/", "style_sd/") for n in style.LOOKS}
    assert all(math.isfinite(value) for value in found.values())


def test_a_run_that_stopped_itself_leads_to_the_step_it_delivers() -> None:
    """Gold is highest at step 10; at 20 and 30 it is more than two standard errors lower."""
    settings = EarlyStop(gold="verifier", patience=2)
    terms = [RewardTerm(name="saturation", kind="saturation")]
    curve = [
        (step, {"gain/saturation": proxy, "gain/verifier": gold, "gain_se/verifier": 0.01})
        for step, proxy, gold in ((0, 0.0, 0.0), (10, 0.1, 0.05), (20, 0.2, 0.0), (30, 0.3, -0.1))
    ]
    (alarm,) = stopped(1, History(settings, terms), curve)
    assert alarm["url"] == "/runs/1?step=10" and alarm["step"] == 30
    assert "10" in alarm["action"] and "+0.05" in alarm["text"]
    assert stopped(1, History(settings, terms), curve[:3]) == []
    assert stopped(1, None, curve) == []


def test_what_an_alarm_may_do_is_checked_with_the_run() -> None:
    base: dict[str, Any] = {"rewards": [{"name": "saturation", "kind": "saturation"}]}
    config = RunConfig.read({**base, "alarms": {"stop_on": ["judge-split"]}})
    assert config.alarms.stop_on == ["judge-split"] and config.alarms.webhook == ""
    with pytest.raises(ConfigError, match="no alarm 'hacked'"):
        RunConfig.read({**base, "alarms": {"stop_on": ["hacked"]}})


@pytest.mark.parametrize(
    "address",
    [
        "",
        "https://example.org/hook?key=1",
        "http://127.0.0.1:9/hook",
        "http://localhost/x",
        "http://[::1]:9/",
    ],
)
def test_addresses_that_may_be_told(address: str) -> None:
    assert check_address(address, "alarms.webhook") == address


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("http://example.org/hook", "read on the way"),
        ("http://127.0.0.1.example.org/", "read on the way"),
        ("ftp://127.0.0.1/", "no http or https"),
        ("file:///etc/passwd", "no http or https"),
        ("https://me:secret@example.org/", "name or a password"),
        ("https://example.org/a b", "blanks"),
        ("https://example.org:port/", "no address"),
        ("https:///hook", "no http or https"),
    ],
)
def test_addresses_that_may_not(address: str, words: str) -> None:
    with pytest.raises(ConfigError, match=words):
        check_address(address, "alarms.webhook")


def test_hits_and_false_alarms_are_counted_from_the_figures_of_runs() -> None:
    config = {"rewards": [{"name": "saturation"}], "watch": []}
    rows: list[dict[str, Any]] = [
        {
            "kind": kind,
            "config": config,
            "updates": [(1, GOOD)],
            "evaluations": [(0, BASE), (4, end)],
        }
        for kind, end in (("wrong", {**BASE, "diversity": 0.2}), ("healthy", BASE))
    ]
    for row in rows:
        row["fired"] = benchmark.replay(row)
    assert [row["fired"] for row in rows] == [{"diversity": 4}, {}]
    found = {row["rule"]: row for row in benchmark.rates(rows)}
    assert found["diversity"]["fired"] == found["any"]["fired"] == {"wrong": 1, "healthy": 0}
    furthest = found["diversity"]["furthest"]
    assert furthest["wrong"] == [pytest.approx(0.4, abs=1e-3)]
    assert furthest["healthy"] == [pytest.approx(1.0, abs=1e-3)]
