"""Names stay as they were written, even where they are words of the Chinese catalogue."""

from __future__ import annotations

from playwright.sync_api import expect

from backend.languages import CHINESE, translator
from backend.services.studio import Studio
from db.tables import Policy, Run
from tests import seed
from tests.browser.conftest import Opener

LIVE = "g2rpo-pocket-06"
RUN, MODEL = "Keep running", "Leave it"


def test_a_name_that_is_a_word_of_the_catalogue_stays(
    visit: Opener, store: Studio, seeded: seed.Seeded
) -> None:
    rewards = ["verifier", "people", "brightness", "saturation"]
    in_chinese = translator(CHINESE)
    assert all(in_chinese(name) != name for name in (RUN, MODEL, *rewards[1:]))
    live, base = seeded.runs[LIVE], seeded.policies["base"]
    with store.write() as session:
        session.get_one(Run, live).name = RUN
        session.get_one(Policy, base).name = MODEL
    visitor = visit(locale="zh-CN")

    page = visitor.go("/runs")
    expect(page.locator(f"[data-id=open-{live}]")).to_have_text(RUN)
    expect(page.locator(f"[data-id=pick-{live}]")).to_have_attribute("aria-label", f"选择 {RUN}")
    page = visitor.go(f"/runs/{live}")
    expect(page.locator("h1")).to_have_text(RUN)
    expect(page).to_have_title(f"{RUN} · Palate")
    expect(page.get_by_test_id("hero-reward").locator("option")).to_have_text(rewards)
    drawn = page.locator("#chart-rewards svg text.lab")
    expect(drawn.filter(has_text="people")).to_have_count(1)

    page = visitor.go(f"/runs/{live}/rollouts")
    expect(page.locator("option[value='mean:people']")).to_have_text("people 最高优先")
    page = visitor.go(f"/compare?sources=policy:{base},policy:{seeded.policies['g2rpo-pocket-02']}")
    expect(page.locator(".bname").first).to_have_text(f"A {MODEL}")
    expect(page.get_by_label(f"移除 {MODEL}")).to_be_visible()
