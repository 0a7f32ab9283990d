"""Better without training: asked for with its price, told beside the runs that have to beat it."""

from __future__ import annotations

from typing import Any

from playwright.sync_api import expect

from backend.services import jobs, prompts, rewards, samples, untrained
from backend.services.samples import NewSample
from backend.services.studio import Studio
from backend.services.untrained import Wanted
from tests import factory, seed
from tests.browser.conftest import Opener, serious
from tests.browser.windows import WORK_MS

SETTINGS = {"way": "refine", "rounds": 3, "num_prompts": 256, "num_steps": seed.T}


def measured(store: Studio, made: seed.Seeded) -> int:
    """A measurement as workers leave it: best of 3 gains .02 by the verifier, other words less."""
    held = prompts.named(store, made.project, "heldout")["id"]
    critic = rewards.create(store, made.project, "critic", "pocket-judge", {})["id"]
    base, ids = made.policies["base"], []
    for number, (prompt_id, _text) in enumerate(prompts.texts(store, held)[:3]):
        media = [store.media.put(factory.png(100 * number + i, 64)) for i in range(3)]
        new = [NewSample(prompt_id, i, one, 64, 64, {}) for i, one in enumerate(media)]
        ids.append(samples.add(store, made.project, base, new))
    wanted = {"policy_id": base, "prompt_set_id": held, "picker_id": made.rewards["people"]}
    wanted |= {"gold_id": made.rewards["verifier"], "critic_id": critic, "settings": SETTINGS}
    rows: list[dict[str, Any]] = []
    for way, gains, calls in (
        ("best", (0.0, 0.015, 0.02), (1, 2, 3)),
        ("again", (0.0, 0.014, 0.018), (1, 1.93, 2.84)),
        ("refine", (0.0, 0.008, 0.011), (1, 1.93, 2.86)),
    ):
        for number, (gain, drawn) in enumerate(zip(gains, calls, strict=True)):
            told = {"gold": {"gain": gain, "se": 0.004 * bool(number), "num": 256}}
            told["picker"] = {"gain": 2 * gain, "se": 0.006 * bool(number), "num": 256}
            row = {"way": way, "rounds": number + 1, "calls": drawn, "rewritten": 1}
            rows.append({**row, "gains": told})
    shown = []
    for (_id, text), (first, best, other) in zip(prompts.texts(store, held), ids, strict=False):
        asked = {"best": (best, text), "again": (best, text), "refine": (other, f"two {text}")}
        kept = {way: {"sample": i, "request": request} for way, (i, request) in asked.items()}
        shown.append({"prompt": text, "first": first, "kept": kept})
    apart = {"gold": {"gain": -0.007, "se": 0.003, "num": 256}}
    result = {"prompts": 256, "drawn": 1200, "rows": rows, "apart": apart, "shown": shown}
    result |= {"questions": {"picker": 1200, "gold": 900, "critic": 768}}
    result |= {"unanswered": {"picker": 0, "gold": 5, "critic": 31}}
    args = {"project_id": made.project, **Wanted.of(wanted).plain()}
    with store.write() as session:  # not offered to the workers
        job = jobs.add(session, untrained.KIND, args)
        job.status, job.progress, job.result = "done", 1.0, result
        return job.id


def test_what_is_gained_without_training_stands_beside_runs(
    visit: Opener, store: Studio, project: int
) -> None:
    made = seed.project(store, steps=3)
    base, run = made.policies["base"], made.runs["g2rpo-pocket-02"]
    visitor = visit()
    page = visitor.go(f"/best-of-n?view=untrained&reward={made.rewards['brightness']}")
    expect(page.get_by_text("Nothing was measured yet")).to_be_visible()
    lines = page.get_by_test_id("untrained-lines")
    expect(lines.locator("[data-name='Pictures']")).to_contain_text("to draw")
    page.get_by_test_id("recipe-critique-rewrite").click()
    expect(lines.locator("[data-name='Critic']")).to_have_attribute("data-status", "fail")
    expect(page.get_by_test_id("untrained-start")).to_be_disabled()
    page.get_by_test_id("recipe-best-of-n").click()
    for name, value in (("rounds", "32"), ("num_steps", "1")):
        page.get_by_test_id(f"field-{name}").fill(value)
    expect(lines.locator("[data-name='Pictures']")).to_contain_text(
        "2,048 to draw, 2,048 evaluations"
    )
    page.get_by_test_id("untrained-start").click()
    job = page.get_by_test_id("untrained-job").get_by_test_id("job")
    job.get_by_role("button", name="Stop").click()
    expect(job).to_have_attribute("data-status", "stopped", timeout=WORK_MS)

    measured(store, made)
    page = visitor.go("/best-of-n?view=untrained")
    expect(page.get_by_test_id("untrained-told")).to_contain_text("+.020 ± .004")
    expect(page.get_by_text("'critic' failed on 31 of its pictures")).to_be_visible()
    expect(page.get_by_text("'verifier' gave no answer 5 times")).to_be_visible()
    best = page.locator("[data-way='best']")
    expect(best).to_contain_text("+.040 ± .006")
    expect(page.get_by_test_id("untrained-apart")).to_contain_text("−.007 ± .003")
    beside = page.locator(f"[data-run='{run}']")
    expect(beside).to_have_attribute("data-verdict", "level")
    told = page.get_by_test_id("untrained-runs").locator(".unt-verdict")
    expect(told).to_contain_text("'g2rpo-pocket-02' gains")
    expect(told).to_contain_text("as much, within the errors")
    assert serious(page) == []
    page.get_by_test_id("untrained-policy").select_option(f"run:{run}@50")
    expect(page.get_by_test_id("untrained-policy")).not_to_have_value(f"run:{run}@50")
    policy = page.get_by_test_id("untrained-policy").locator("option:checked")
    expect(policy).to_have_text("g2rpo-pocket-02, step 50")
    expect(lines.locator("[data-name='Beside runs']")).to_contain_text("began from this policy")
    page.get_by_test_id("view-curve").click()
    expect(page.get_by_test_id("bon-policy")).to_have_value(str(base))
    page = visitor.go(f"/runs/{run}?reward=verifier")
    expect(page.get_by_test_id("run-beside")).to_contain_text("best of 3 without training: +.020")
    page.get_by_test_id("run-beside").get_by_role("link").click()
    expect(page.get_by_test_id("untrained-ways")).to_be_visible()
