"""Rollouts as people meet them: filters in the address, bars, the tree, pairs, imported ones."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa
from PIL import Image
from playwright.sync_api import expect

from backend.services.studio import Studio
from db.tables import Pair, Prompt, PromptSet, RolloutGroup, RolloutNode, RolloutSeen, Sample
from tests import factory, seed
from tests.browser.conftest import Opener, serious
from tests.processes import wait_until

LIVE, CHAINS = "g2rpo-pocket-06", "flow-grpo-pocket-01"
READ_TILES = """all => all.slice(0, 48).map(tile => ({
    group: +tile.closest('.grp').dataset.group, leaf: +tile.dataset.leaf,
    advantage: +tile.dataset.advantage, total: +tile.dataset.total, verifier: tile.dataset.verifier,
    people: tile.dataset.people, brightness: tile.dataset.brightness,
    bars: [...tile.querySelectorAll('rect')].map(({dataset, attributes}) =>
        [dataset.reward, +dataset.share, +dataset.height, +attributes.height.value])}))"""
"""What each tile of the list says of itself."""
SCROLL = """list => new Promise(done => {
    list.scrollBy(0, 420);
    requestAnimationFrame(() => requestAnimationFrame(() => requestAnimationFrame(done)));
})"""
PICTURES = "document.querySelectorAll('.shot, .leaf image, img').length"
"""Pictures in the page, by whatever means they are drawn."""


def test_bars_are_the_stored_shares_and_add_up_and_advantages_are_the_trainers(
    visit: Opener, shown: seed.Seeded, store: Studio
) -> None:
    page = visit().go(f"/runs/{shown.runs[LIVE]}/rollouts")
    tiles = page.get_by_test_id("sample").evaluate_all(READ_TILES)
    assert len(tiles) == 48
    with store.read() as session:
        for tile in tiles:
            node = session.get(RolloutNode, (tile["group"], tile["leaf"]))
            assert node is not None and node.advantage is not None
            assert tile["advantage"] == pytest.approx(node.advantage, abs=1e-5)
            for name, part in node.rewards.items():
                if part["share"] is None:
                    assert tile[name] is None
                else:
                    assert float(tile[name]) == pytest.approx(part["share"], abs=1e-6)
            bars = tile["bars"]
            heights = sum(np.sign(share) * height for _name, share, height, _drawn in bars)
            assert heights == pytest.approx(tile["total"], abs=1e-6)
            assert tile["total"] == pytest.approx(node.advantage, abs=1e-6)
            drawn = [(height, pixels + 0.5) for _n, _s, height, pixels in bars if pixels > 1]
            for height, pixels in drawn[1:]:
                assert pixels / drawn[0][1] == pytest.approx(height / drawn[0][0], rel=0.1)


def test_a_missing_reward_is_a_dash_with_its_cause(visit: Opener, shown: seed.Seeded) -> None:
    page = visit().go(f"/runs/{shown.runs[CHAINS]}/rollouts?missing=1")
    dash = page.locator(".tile .u .faint", has_text="–").first
    assert "could not be read" in str(dash.get_attribute("title"))
    page.locator(".tile", has=page.locator(".u .faint", has_text="–")).first.click()
    row = page.get_by_test_id("advantage-table").locator("tr[data-reward=brightness]")
    expect(row.locator("td").nth(1)).to_have_text("–")


def test_filter_place_and_choice_live_in_the_address(visit: Opener, shown: seed.Seeded) -> None:
    visitor = visit()
    page = visitor.go(f"/runs/{shown.runs[LIVE]}/rollouts")
    expect(page.get_by_test_id("rollout-tree")).to_be_visible()
    whole = page.get_by_test_id("rollout-count").text_content()
    page.get_by_test_id("more-filters").click()
    page.get_by_test_id("filter-up").select_option("verifier")
    page.get_by_test_id("filter-down").select_option("brightness")
    page.wait_for_url(re.compile("down=brightness"))
    expect(page.get_by_test_id("rollout-count")).not_to_have_text(str(whole))
    page.get_by_test_id("sort").select_option("far")
    page.wait_for_url(re.compile("sort=far"))
    expect(page.get_by_test_id("group-list")).to_have_attribute("aria-busy", "false")
    page.locator("#main").click(position={"x": 5, "y": 400})
    page.keyboard.press("j")
    page.keyboard.press("l")
    page.keyboard.press("x")
    page.keyboard.press("l")
    page.keyboard.press("x")
    expect(page.get_by_test_id("selection")).to_contain_text("2 chosen")
    group = page.locator("#main").get_attribute("data-group")
    leaf = page.get_by_test_id("sample-detail").get_attribute("data-leaf")
    count = str(page.get_by_test_id("rollout-count").text_content())
    address = str(page.evaluate("location.href"))
    for again in (page, visit().page):
        again.goto(address)
        expect(again.locator(f"#main[data-group='{group}']")).to_be_attached()
        expect(again.locator(f"[data-testid=sample-detail][data-leaf='{leaf}']")).to_be_visible()
        expect(again.get_by_test_id("rollout-count")).to_have_text(count)
        expect(again.get_by_test_id("selection")).to_contain_text("2 chosen")
        assert again.locator(".tile .pick").all_text_contents() == ["+", "−"]
    assert serious(page) == []
    visitor.shoot("rollouts-filtered-light")
    page.get_by_test_id("clear-filter").click()
    expect(page.get_by_test_id("rollout-count")).to_have_text(str(whole))
    page.keyboard.press("[")
    page.wait_for_url(re.compile("step=59"))


def test_p_then_enter_asks_people_about_best_and_worst_with_the_pictures_shown(
    visit: Opener, seeded: seed.Seeded, store: Studio
) -> None:
    visitor = visit()
    page = visitor.go(f"/runs/{seeded.runs[LIVE]}/rollouts")
    expect(page.get_by_test_id("rollout-tree")).to_be_visible()
    page.keyboard.press("p")
    expect(page.get_by_test_id("pair-go")).to_be_focused()
    visitor.shoot("rollouts-pair-light")
    page.keyboard.press("Enter")
    page.wait_for_selector("#main[data-pair]")
    pair_id = int(str(page.locator("#main").get_attribute("data-pair")))
    group_id = int(str(page.locator("#main").get_attribute("data-group")))
    with store.read() as session:
        pair, group = session.get(Pair, pair_id), session.get(RolloutGroup, group_id)
        assert pair is not None and group is not None and group.sheet is not None
        assert pair.source == "rollouts" and pair.study_id is None
        leaves = [
            leaf
            for leaf in session.scalars(
                sa.select(RolloutNode).where(
                    RolloutNode.group_id == group_id, RolloutNode.kind == "leaf"
                )
            )
            if leaf.stride == 1
        ]
        leaves.sort(key=lambda leaf: -(leaf.advantage or 0.0))
        sheet = _pixels(store, group.sheet)
        for leaf, sample_id in ((leaves[0], pair.sample_a_id), (leaves[-1], pair.sample_b_id)):
            sample = session.get(Sample, sample_id)
            assert sample is not None and leaf.tile is not None
            tile = sheet[:, 64 * leaf.tile : 64 * (leaf.tile + 1)]
            assert _pixels(store, sample.media).tobytes() == tile.tobytes()
    page.wait_for_function("!document.querySelector('dialog[open]')")
    wait_until(60, lambda: _times_seen(store, group_id) == 1, "the group counts as looked at")
    page.keyboard.press("x")
    page.keyboard.press("j")
    page.keyboard.press("x")
    page.get_by_test_id("send-prompts").click()
    page.get_by_test_id("set-name").fill("odd ones")
    page.keyboard.press("Enter")
    expect(page.get_by_text("was made")).to_be_visible()
    with store.read() as session:
        chosen = sa.select(sa.func.count()).select_from(Prompt).join(PromptSet)
        named = chosen.where(PromptSet.name == "odd ones", PromptSet.project_id == seeded.project)
        assert session.scalar(named) in (1, 2)
    assert _times_seen(store, group_id) == 1


def _times_seen(store: Studio, group_id: int) -> int:
    seen = sa.select(sa.func.count()).where(RolloutSeen.group_id == group_id)
    with store.read() as session:
        return int(session.scalar(seen) or 0)


def _pixels(store: Studio, media: str) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(store.media.read(media))).convert("RGB"))


def test_the_tree_is_walked_by_keyboard_and_shows_what_a_node_had_become(
    visit: Opener, shown: seed.Seeded
) -> None:
    visitor = visit(theme="dark")
    page = visitor.go(f"/runs/{shown.runs[LIVE]}/rollouts")
    card = page.get_by_test_id("node-card")
    page.locator("[data-testid=tree-node][tabindex='0']").focus()
    expect(card).to_contain_text("as it was scored")
    page.keyboard.press("ArrowLeft")
    expect(card).to_contain_text("its latent was not kept")
    expect(card).to_contain_text("advantage of the edge")
    page.keyboard.press("ArrowLeft")
    expect(card).to_contain_text("the model foresaw here")
    assert card.locator(".shot").count() == 1
    visitor.shoot("rollouts-node-dark")
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowRight")
    expect(card).to_contain_text("Picture")
    before = page.get_by_test_id("sample-detail").get_attribute("data-leaf")
    page.keyboard.press("Enter")
    expect(page.get_by_test_id("sample-detail")).not_to_have_attribute("data-leaf", str(before))
    expect(page.get_by_test_id("granularity-table").locator("tbody tr")).to_have_count(2)
    assert serious(page) == []


def test_few_pictures_are_in_the_page_however_far_the_list_goes(
    visit: Opener, shown: seed.Seeded
) -> None:
    page = visit().go(f"/runs/{shown.runs[LIVE]}/rollouts")
    expect(page.get_by_test_id("rollout-tree")).to_be_visible()
    ids = "all => all.map(row => row.dataset.group)"
    rows, total = page.get_by_test_id("group-row"), len(seed.FORK_STEPS) * 16
    first, most = rows.first.get_attribute("data-group"), 0
    shown: set[str] = set()
    for _ in range(1_000):  # more come while it scrolls
        page.get_by_test_id("group-list").evaluate(SCROLL)
        most, shown = max(most, page.evaluate(PICTURES)), shown | {*rows.evaluate_all(ids)}
        if len(shown) >= total:
            break
    assert most <= 200 and len(shown) == total and first not in rows.evaluate_all(ids)
    page.keyboard.press("j")
    expect(page.locator(".grp.on")).to_be_visible()


def test_an_archive_of_another_trainer_is_looked_at_like_a_run(
    visit: Opener, project: int, tmp_path: Path
) -> None:
    packed = tmp_path / "their-run.zip"
    with zipfile.ZipFile(packed, "w") as archive:
        rows = []
        for i in range(8):
            archive.writestr(f"{i}.png", factory.png(i, 64))
            scores = {"ocr": i / 8, "pick": (i % 3) / 3}
            rows.append({"step": 3, "prompt": "a red fox", "image": f"{i}.png", "rewards": scores})
        rows.append({"step": 3, "prompt": "a red fox", "image": "gone.png", "reward": 1.0})
        archive.writestr("log.jsonl", "\n".join(map(json.dumps, rows)))
    visitor = visit()
    page = visitor.go("/runs/import")
    assert serious(page) == []
    page.get_by_test_id("import-file").set_input_files(packed)
    page.get_by_test_id("import-go").click()
    expect(page.get_by_test_id("open-rollouts")).to_be_visible()
    expect(page.get_by_test_id("import-problems")).to_contain_text("gone.png")
    visitor.shoot("import-rollouts-light")
    page.get_by_test_id("open-rollouts").click()
    expect(page.get_by_test_id("imported-group")).to_contain_text("worked out here")
    assert page.get_by_test_id("sample").count() == 8
    visitor.shoot("rollouts-imported-light")
    for path in ("/runs", page.url.removeprefix(visitor.url).split("/rollouts")[0]):
        visitor.go(path)
