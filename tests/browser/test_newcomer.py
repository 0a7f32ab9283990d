"""A newcomer's path from an empty studio to a blind comparison, with clicks alone.

The clicks are a newcomer's; what the studio is asked to draw is made small on its way there.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Route

from backend.preferences import intervals
from backend.services import comparisons, labels, projects, rewards, run_rows, users
from backend.services.studio import Studio
from tests import newcomer
from tests.browser.conftest import Opener

CLICKS = 49
"""What it takes: 30 answers, 4 votes, and 15 clicks from page to page."""
PLAN = newcomer.Plan(pairs=30, updates=1, votes=4)


def small(change: Callable[[dict[str, Any]], None]) -> Callable[[Route], None]:
    """A route that sends on what was asked for, changed."""

    def send(route: Route) -> None:
        if route.request.method != "POST":
            route.continue_()
            return
        body = json.loads(route.request.post_data or "{}")
        change(body)
        route.continue_(post_data=json.dumps(body))

    return send


def _run(body: dict[str, Any]) -> None:
    body["config"]["evaluation"]["num_prompts"] = 16
    body["config"]["sampling"]["prompts_per_step"] = 8


def _comparison(body: dict[str, Any]) -> None:
    body["num_prompts"] = 8


@pytest.mark.timeout(900)
def test_a_newcomer_goes_from_an_empty_studio_to_a_blind_comparison_by_clicks_alone(
    visit: Opener, store: Studio, project: int, capsys: pytest.CaptureFixture[str]
) -> None:
    visitor = visit(fresh=True)
    page = visitor.page
    page.route("**/api/v1/runs", small(_run))
    page.route("**/api/v1/comparisons", small(_comparison))
    found = newcomer.walk(
        page,
        visitor.url,
        PLAN,
        lambda part: visitor.shoot(f"newcomer-{part.replace(' ', '-')}"),
    )
    with capsys.disabled():
        parts = [f"{name} {part['clicks']}" for name, part in found.parts.items()]
        waited, seconds = found.total["waited_s"], found.total["seconds"]
        told = f"{found.total['clicks']:.0f} clicks, {seconds:.0f} s, {waited:.0f} of them waiting"
        print(f"\nA newcomer's path: {told}. Clicks: {', '.join(parts)}.")
    assert found.keys == 0 and found.total["clicks"] <= CLICKS
    # A page that is drawn anew in the very moment of a click sees a second try of it.
    assert found.clicks >= found.total["clicks"]

    me = users.local(store)["id"]
    demo = projects.current(store, me)["id"]
    assert demo != project and len(list(labels.judged(store, demo))) == PLAN.pairs
    learned = [row for row in rewards.rows(store, demo) if row["kind"] == "learned"]
    assert [row["name"] for row in learned] == found.rewards == [newcomer.LEARNED]
    run = run_rows.page(store, demo, run_rows.Wanted())["items"][0]
    assert run["status"] == "stopped" and run["step"] >= PLAN.updates and run["tuned_policy_id"]
    votes = comparisons.rows(store, demo)[0]["by"]["people"]["votes"]
    assert sum(votes.values()) == PLAN.votes
    share = intervals.win_rate(votes["tuned"], votes["base"], votes["tie"])
    shown = [int(number) for number in re.findall(r"(\d+) %", found.result)]
    for value in (share.value, share.low, share.high):
        assert round(100 * value) in shown, found.result
