"""Rewards: what the answers are worth now, refitted as they come, and what a trained one says."""

from __future__ import annotations

import re

from backend.services import labels, live_reward, users
from backend.services.studio import Studio
from tests import factory
from tests.browser.conftest import Opener, draw_pairs
from tests.browser.windows import WORK_MS


def test_the_page_shows_what_the_answers_are_worth_as_they_come(
    visit: Opener, store: Studio, project: int
) -> None:
    drawn = draw_pairs(store, project, 30)
    me = users.local(store)["id"]
    said = [("left", "right")[i % 5 == 0] for i in range(30)]
    given = [
        factory.label(pair, one, left="a") if i % 2 else factory.label(pair, _turned(one), left="b")
        for i, (pair, one) in enumerate(zip(drawn.pair_ids, said, strict=True))
    ]
    labels.store_many(store, me, given[:29])
    visitor = visit()
    page = visitor.go("/rewards")
    page.get_by_text("looking at the pictures").wait_for()
    accuracy = page.get_by_test_id("live-accuracy")
    accuracy.wait_for(timeout=WORK_MS)
    assert re.fullmatch(r"\d+\.\d %", accuracy.inner_text())
    assert "more answer" in page.get_by_test_id("next-step").inner_text().lower()
    labels.store_many(store, me, given[29:])
    page.get_by_text("of 30 decided answers").wait_for(timeout=WORK_MS)
    assert live_reward.state(store, project)["figures"]["pairs"] == 30
    visitor.shoot("rewards-live")

    page.get_by_test_id("train-reward").click()
    page.get_by_test_id("learned-figures").wait_for(timeout=WORK_MS)
    assert page.get_by_test_id("learned-figures").get_by_text("stock reward").count() >= 1
    visitor.shoot("rewards-learned")


def _turned(choice: str) -> str:
    return {"left": "right", "right": "left"}[choice]
