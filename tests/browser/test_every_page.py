"""Pages that no other test looks at with axe, and what holds of every page on a narrow screen."""

from __future__ import annotations

from playwright.sync_api import expect

from tests import seed
from tests.browser.conftest import Opener, serious

LIVE, FAILED = "g2rpo-pocket-06", "g2rpo-pocket-04"
UNSEEN = (
    "/prompts?generate=1",
    "/runs/{failed}",
    "/studies?new=1",
    "/you",
    "/sign-in",
    "/there-is-no-such-page",
)
NARROW = ("/compare", "/workers", "/runs", "/runs/{live}", "/runs/{live}/rollouts")
CROWDED = """() => {
  const parts = [...document.querySelectorAll('#trail > *, .top h1, #pulse, #find, #you')]
    .map(node => node.getBoundingClientRect()).filter(box => box.width > 1);
  return parts.filter((box, i) => i && box.left < parts[i - 1].right - 1).length;
}"""
"""How many parts of the bar lie on the one before them."""
CUT = "node => node.scrollWidth > node.clientWidth + 1"


def paths(templates: tuple[str, ...], seeded: seed.Seeded) -> list[str]:
    """Addresses in the synthetic project."""
    runs = {"live": seeded.runs[LIVE], "failed": seeded.runs[FAILED]}
    return [template.format(**runs) for template in templates]


def test_pages_without_a_test_of_their_own_are_accessible_in_both_themes(
    visit: Opener, seeded: seed.Seeded
) -> None:
    visitor = visit()
    for path in paths(UNSEEN, seeded):
        page = visitor.go(path)
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
            assert serious(page) == [], f"{path}, {theme}"
    visitor.complaints[:] = [text for text in visitor.complaints if "404" not in text]


def test_narrow_screens_keep_the_heading_every_button_and_the_tree(
    visit: Opener, seeded: seed.Seeded
) -> None:
    visitor = visit(width=390, height=844)
    for path in paths(NARROW, seeded):
        page = visitor.go(path)
        assert page.locator("#main").evaluate("node => node.scrollWidth") <= 390, path
        assert not page.locator(".top h1").evaluate(CUT), path
        assert page.evaluate(CROWDED) == 0, path
    visitor = visit(width=1024, height=768)
    page = visitor.go(f"/runs/{seeded.runs[LIVE]}")
    assert not page.locator(".run-bar").evaluate(CUT)
    page = visitor.go(f"/runs/{seeded.runs[LIVE]}/rollouts")
    expect(page.get_by_test_id("rollout-tree")).to_be_visible()
