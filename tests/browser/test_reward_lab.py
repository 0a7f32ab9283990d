"""The Reward lab in a browser: what flips is what brute force finds, a mix arrives as sent."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from playwright.sync_api import Locator, Page, expect
from sqlalchemy import select

from backend.rewards import _operators
from backend.rewards._edits import PROBES
from backend.rewards.compose import compose
from backend.rl.composing import RewardTerm, as_term
from backend.services import judge_audits, labels, reward_edits, reward_sets, rewards, users
from backend.services.rewards import ScoreRow
from backend.services.studio import Studio
from db.tables import Pair, Sample, Study
from tests import factory
from tests.browser.conftest import Drawn, Opener, draw_pairs, serious
from tests.browser.windows import WORK_MS

PROMPTS, EACH = 12, 2


def scored(store: Studio, project: int, drawn: Drawn) -> tuple[dict[str, int], dict[str, Any]]:
    """Two rewards with known values on every picture; the second fails on one."""
    with store.read() as session:
        ids = list(session.scalars(select(Sample.id).where(Sample.project_id == project)))
    rng = np.random.default_rng(3)
    values = {"facts": rng.random(len(ids)), "colour": rng.random(len(ids))}
    made = {}
    for name, kind in (("facts", "brightness"), ("colour", "saturation")):
        made[name] = int(rewards.create(store, project, name, kind, {})["id"])
        rows = [ScoreRow(i, float(v)) for i, v in zip(ids, values[name], strict=True)]
        if name == "colour":
            rows[0] = ScoreRow(ids[0], None, "error", "ValueError: it is too grey for me")
            values[name][0] = np.nan
        rewards.record_scores(store, made[name], rows)
    return made, {"ids": ids, **values}


def brute_force(
    data: dict[str, Any], before: list[float], after: list[float]
) -> set[frozenset[int]]:
    """Pairs of one prompt whose weighted sum of normalised values changes its sign."""
    num = len(data["ids"])
    known = np.isfinite(data["colour"])
    prompt = np.arange(num) % PROMPTS
    z = []
    for name in ("facts", "colour"):
        value = np.where(known, data[name], np.nan)
        alone = np.array([(known & (prompt == p)).sum() < 2 for p in prompt])
        value[alone] = np.nan
        mean = np.array(
            [
                np.nanmean(value[prompt == p]) if not alone[i] else np.nan
                for i, p in enumerate(prompt)
            ]
        )
        z.append((value - mean) / np.nanstd(value, ddof=1))
    found = set()
    for i, j in itertools.combinations(range(num), 2):
        if prompt[i] == prompt[j]:
            apart = [z[k][i] - z[k][j] for k in (0, 1)]
            was, now = (
                sum(w * a for w, a in zip(ws, apart, strict=True)) for ws in (before, after)
            )
            if was * now < 0:
                found.add(frozenset((data["ids"][i], data["ids"][j])))
    return found


def test_the_lab_shows_where_rewards_part_what_flips_and_sends_the_mix_on(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, PROMPTS)
    made, data = scored(store, project, drawn)
    me = users.local(store)["id"]
    labels.store_many(store, me, [factory.label(pair) for pair in drawn.pair_ids])
    picture = {"id": data["ids"][1], "prompt": "a red circle", "width": 64}
    media = store.media.put(factory.png(5, 64))
    lever = {
        "mean": 0.2, "low": 0.1, "high": 0.3, "raised": 0.9, "raised_low": 0.7, "raised_high": 1.0,
        "leverage": 0.8, "known": 24,
        "worst": [{**picture, "original": media, "media": media, "before": 0.1, "change": 0.4}],
    }  # fmt: skip
    levers = [
        {**lever, "edit": edit, "leverage": 0.8 if edit == "text" else -0.2} for edit in PROBES
    ]
    reward_edits.record(store, made["facts"], {"levers": levers, "pictures": 24, "spread": 0.25})

    visitor = visit()
    mix = f"{made['facts']}:1:1,{made['colour']}:0.2:1"
    page = visitor.go(f"/rewards/lab?set=policy:{drawn.policy_id}&mix={mix}")

    # a picture that a reward failed on is shown with its reason, and the rest is there
    faults = page.get_by_test_id("lab-faults")
    assert faults.get_attribute("data-reward") == "colour" and "too grey" in faults.inner_text()
    scatter = page.get_by_test_id("scatter")
    assert scatter.get_attribute("data-points") == str(2 * PROMPTS - 1)

    # brushing: by keys, and by the pointer over everything
    scatter.press("ArrowRight")
    for _ in range(5):
        scatter.press("Shift+ArrowRight")
        scatter.press("Shift+ArrowUp")
    assert int(scatter.get_attribute("data-selected") or 0) > 0
    box = scatter.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 2, box["y"] + 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + box["height"] - 2, steps=3)
    page.mouse.up()
    assert scatter.get_attribute("data-selected") == str(2 * PROMPTS - 1)
    assert page.get_by_test_id("brushed").locator("img").count() == 2 * PROMPTS - 1

    # to people in two clicks: every two of a prompt, the one without a value beside its sibling
    page.get_by_test_id("ask-people").click()
    assert page.get_by_test_id("ask-dialog").get_attribute("data-pairs") == str(PROMPTS)
    page.get_by_test_id("ask-go").click()
    page.get_by_test_id("ask-dialog").wait_for(state="detached")
    with store.read() as session:
        (study,) = session.scalars(select(Study).where(Study.project_id == project))
        asked = session.execute(
            select(Pair.sample_a_id, Pair.sample_b_id).where(Pair.study_id == study.id)
        )
        both = {frozenset(pair) for pair in asked}
    assert study.name == "facts × colour" and study.status == "open"
    assert both == {frozenset(data["ids"][i::PROMPTS]) for i in range(PROMPTS)}
    scatter.press("Escape")
    assert scatter.get_attribute("data-selected") == "0"

    # one weight moves: the pairs that flip are those of brute force
    slider = page.get_by_test_id("lab-slider-colour")
    slider.press("ArrowRight")
    flips = page.get_by_test_id("flips")
    number = page.get_by_test_id("lab-weight-colour")
    assert number.input_value() == "0.25"
    few = brute_force(data, [1.0, 0.2], [1.0, 0.25])
    page.locator(f"[data-testid=flips][data-flipped='{len(few)}']").wait_for()
    number.fill("1.2")
    number.press("Enter")
    expected = brute_force(data, [1.0, 0.2], [1.0, 1.2])
    assert len(expected) != len(few)
    page.locator(f"[data-testid=flips][data-flipped='{len(expected)}']").wait_for()
    assert flips.get_attribute("data-pairs") == str(PROMPTS - 1)
    told = page.get_by_test_id("flip")
    shown = {
        frozenset(int(told.nth(i).get_attribute(f"data-{way}") or 0) for way in ("up", "down"))
        for i in range(told.count())
    }
    assert shown == expected
    tenth = float(page.get_by_test_id("tenth").get_attribute("data-more") or "nan")
    more = brute_force(data, [1.0, 0.2], [1.0, 0.22])
    assert tenth == len(more) / (PROMPTS - 1)

    # people, edits, stages
    ceiling = page.get_by_test_id("people-row").first
    right = data["facts"][:PROMPTS] > data["facts"][PROMPTS:]
    assert float(ceiling.get_attribute("data-value") or "nan") == float(right.mean())
    assert "0.8" in (page.get_by_test_id("edit-text").get_attribute("data-leverage") or "")
    assert page.get_by_test_id("levers").count() == 1
    page.get_by_test_id("lab-way-facts").select_option("log-sigmoid")
    page.get_by_test_id("stage-shaped").wait_for()
    page.get_by_test_id("lab-number-facts").wait_for()
    assert serious(page) == []
    visitor.shoot("reward-lab")

    # to a new run in one click, as it is
    use = page.get_by_test_id("lab-use")
    expect(use).to_have_attribute("href", re.compile("log-sigmoid"))
    href = use.get_attribute("href") or ""
    sent = json.loads(parse_qs(urlsplit(href).query)["rewards"][0])
    assert [(term["name"], term["kind"], term["weight"]) for term in sent] == [
        ("facts", "brightness", 1),
        ("colour", "saturation", 1.2),
    ]
    assert (sent[0]["transform"], sent[0]["quantile"]) == ("log-sigmoid", 0.5)
    page.get_by_test_id("lab-use").click()
    page.get_by_test_id("reward-mix").wait_for()
    assert page.get_by_test_id("weight-facts").input_value() == "1"
    assert page.get_by_test_id("weight-colour").input_value() == "1.2"
    rows = page.get_by_test_id("mix-row")
    trained = [rows.nth(i).get_attribute("data-reward") for i in range(2)]
    assert trained == ["facts", "colour"]


def test_thresholds_rise_and_prompts_count_as_the_library_says(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, PROMPTS)
    made, data = scored(store, project, drawn)
    visitor = visit()
    page = visitor.go(f"/rewards/lab?set=policy:{drawn.policy_id}&mix={made['facts']}:1:1")
    quarters = sorted(data["facts"])
    thresholds = [float(f"{quarters[int(q * len(quarters))]:.3g}") for q in (0.25, 0.5, 0.75)]
    page.get_by_test_id("lab-way-facts").select_option("rising")
    rising = page.get_by_test_id("rising")
    rising.wait_for()
    assert numbers(rising, "data-thresholds") == thresholds
    reach = [float((data["facts"] >= one).mean()) for one in thresholds]
    assert numbers(rising, "data-reach") == pytest.approx(reach, abs=1e-6)
    page.get_by_test_id("lab-done").press("End")
    page.wait_for_url("**done=1**")

    # half of the pictures succeed at the middle value, so no prompt is known beforehand
    page.get_by_test_id("lab-difficulty").select_option("peak")
    drawn_so = page.get_by_test_id("difficulty")
    drawn_so.wait_for()
    success = float(page.get_by_test_id("lab-success").input_value())
    weights = _operators.difficulty(data["facts"], np.arange(len(data["ids"])) % PROMPTS, success)
    (mean,) = numbers(drawn_so, "data-mean")
    assert mean == pytest.approx(weights.mean(), abs=1e-6)
    visitor.shoot("reward-lab-rising")

    # every curve and transform of the page is the library's
    shares, dones = [i / 10 for i in range(11)], [0, 0.2, 0.4, 0.7, 1]
    for kind in ("peak", "band"):
        hits = np.array([float(i < 10 * p) for p in shares for i in range(10)])
        known = _operators.difficulty(hits, np.repeat(np.arange(11), 10), 1.0, band=kind == "band")
        told = ask(page, "reward_shapes", "difficultyWeight", [[kind, p] for p in shares])
        assert told == pytest.approx(known[::10].tolist(), abs=1e-6)
    told = ask(page, "reward_shapes", "thresholdAt", [[thresholds, done] for done in dones])
    assert told == [_operators.rising(thresholds, done) for done in dones]
    values = {"r": data["facts"] - 0.3}
    for term in (
        {"transform": "log"},
        {"transform": "sign"},
        {"transform": "rank"},
        {"transform": "threshold", "thresholds": [0.4]},
        {"transform": "log-sigmoid", "quantile": 0.7, "scale": "frozen", "temperature": 0.2},
    ):
        here = as_term(RewardTerm(name="r", kind="brightness", **term))
        here = replace(here, base=tuple(values["r"].tolist()))
        whole = compose(values, np.zeros(len(values["r"]), dtype=np.int64), [here], floor=0.0)
        (shaped,) = ask(page, "new_run_glances", "transformed", [[values["r"].tolist(), term]])
        assert shaped == pytest.approx(whole.stages["r"].shaped.tolist(), abs=1e-6)

    # a link says it all, and so does the new run
    page.reload()
    rising.wait_for()
    assert page.get_by_test_id("lab-difficulty").input_value() == "peak"
    assert page.get_by_test_id("lab-done").input_value() == "1"
    page.get_by_test_id("lab-use").click()
    shapes = page.get_by_test_id("mix-shapes")
    shapes.get_by_test_id("difficulty").wait_for()
    assert numbers(shapes.get_by_test_id("rising"), "data-thresholds") == thresholds
    shapes.scroll_into_view_if_needed()
    visitor.shoot("new-run-rising")


def numbers(node: Locator, name: str) -> list[float]:
    """What an attribute lists."""
    return [float(part) for part in (node.get_attribute(name) or "").split()]


def ask(page: Page, module: str, name: str, calls: list[list[Any]]) -> Any:
    """What a function of a page's scripts returns for each list of arguments."""
    script = """async ([module, name, calls]) => {
        const found = await import(module);
        return calls.map((given) => found[name](...given));
    }"""
    return page.evaluate(script, [f"/static/js/{module}.js", name, calls])


def test_a_click_has_the_workers_score_the_set_and_try_edits_and_shows_what_is_stored(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 3)
    light = int(rewards.create(store, project, "light", "brightness", {})["id"])
    wins = {"judge": "saturation"}
    among = int(rewards.create(store, project, "wins", "win-rate", wins)["id"])
    key = f"policy:{drawn.policy_id}"
    visitor = visit()
    page = visitor.go(f"/rewards/lab?set={key}&mix={light}:1:1,{among}:1:1")
    assert "12 values" in page.get_by_test_id("unasked").inner_text()
    page.get_by_test_id("lab-score").click()
    scatter = page.get_by_test_id("scatter")
    scatter.wait_for(timeout=WORK_MS)  # a score worker has been there
    assert page.get_by_test_id("unasked").count() == 0
    shown = reward_sets.resolve(store, project, key)
    ids = [one.id for one in shown]
    said = {
        name: reward_sets.values(store, i, ids) for name, i in (("light", light), ("wins", among))
    }
    assert set(said["light"].status) == set(said["wins"].status) == {"ok"}
    for prompt in {one.prompt_id for one in shown}:  # two siblings share one win
        mine = [one.prompt_id == prompt for one in shown]
        assert said["wins"].values[mine].sum() == pytest.approx(1)
    scatter.press("ArrowRight")
    for _ in range(12):
        scatter.press("Shift+ArrowRight")
        scatter.press("Shift+ArrowUp")
    page.get_by_test_id("brushed").locator(".lab-thumb").first.click()
    told = [float(text) for text in page.locator("dialog dd").all_inner_texts()]
    rows = zip(said["light"].values.tolist(), said["wins"].values.tolist(), strict=True)
    assert tuple(told) in {(round(a, 4), round(b, 4)) for a, b in rows}
    page.keyboard.press("Escape")

    page.get_by_test_id("try-edits").click()
    cell = page.locator("[data-testid=edit-brightness][data-reward=light]")
    cell.wait_for(timeout=WORK_MS)
    report = reward_edits.report(store, project, light)
    assert report is not None and report["pictures"] == 6
    lever = next(one for one in report["levers"] if one["edit"] == "brightness")
    assert float(cell.get_attribute("data-leverage") or "nan") == pytest.approx(lever["leverage"])
    # what compares siblings has no value of its own for an edited picture, and says so
    page.get_by_text("compares pictures with one another").first.wait_for(timeout=WORK_MS)
    cell.click()
    assert page.get_by_test_id("worst").locator("img").count() == 2 * len(lever["worst"])


def test_a_phone_and_the_dark_see_the_lab_and_a_rewards_audit_and_versions(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 4)
    made, _data = scored(store, project, drawn)
    judge = rewards.create(store, project, "judge", "pocket-judge", {})
    tests = [
        _test("order flips", 0.3, 0.15, False, "said 'the first' in 80% of its verdicts"),
        _test("agreement", 0.8, 0.7, True, "72% to 86% on 200 pairs; people with one another 75%"),
    ]
    accuracy = {"value": 0.9, "low": 0.85, "high": 0.94, "pairs": 200}
    report = {"tests": tests, "accuracy": accuracy, "passed": False, "failed": ["order flips"]}
    judge_audits.record(store, judge["id"], report)
    phone = visit(width=390, height=844, theme="dark")
    page = phone.go(f"/rewards/lab?set=policy:{drawn.policy_id}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    phone.shoot("reward-lab-phone-dark")
    page = phone.go(f"/rewards?reward={judge['id']}")
    audit = page.get_by_test_id("audit")
    assert audit.locator("[data-pass=false]").count() == 1
    page.get_by_test_id("versions").wait_for()
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    audit.scroll_into_view_if_needed()
    phone.shoot("reward-audit-phone-dark")
    wide = visit()
    page = wide.go(f"/rewards?reward={judge['id']}")
    page.get_by_test_id("version-row").wait_for()
    assert page.get_by_test_id("audit-mark").first.is_visible()
    wide.shoot("reward-audit")
    assert made


def _test(name: str, value: float, mark: float, passed: bool, detail: str) -> dict[str, Any]:
    return {"name": name, "value": value, "threshold": mark, "pass": passed, "detail": detail}
