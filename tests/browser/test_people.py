"""People in the browser: sign in, label, be refused, be let in; accounts, links and keys by hand.

The studio of this file is the app alone, with accounts: the one of the other tests asks nobody.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Page, expect

from backend.services import accounts, invites, labels, projects, users
from backend.services.studio import Studio, open_studio
from backend.settings import read_settings
from tests import factory
from tests.browser.conftest import (
    Opener,
    Visitor,
    draw_pairs,
    saved,
    serious,
)
from tests.conftest import ROOT, free_port
from tests.processes import wait_until

PASSWORD = "four odd words do"
FORBIDDEN = re.compile("status of 403")


@dataclass
class App:
    """The app as a process, on a store that the test has open too."""

    home: Path
    port: int

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self.port}"

    def open(self) -> Studio:
        """Its store and media."""
        return open_studio(read_settings(home=self.home))

    def answers(self) -> bool:
        """Whether pages are served."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2):
                return True
        except (OSError, urllib.error.URLError):
            return False


@pytest.fixture(scope="module")
def studio(tmp_path_factory: pytest.TempPathFactory, _migrated_sqlite: Path) -> Iterator[App]:
    """An app with the admin Ada and the annotator Bo, and pairs to judge."""
    found = App(tmp_path_factory.mktemp("people"), free_port())
    store = open_studio(read_settings(home=found.home), migrate=True)
    project = projects.current(store, users.local(store)["id"])["id"]
    drawn = draw_pairs(store, project, 6)
    ada = accounts.add(store, "Ada", "admin", PASSWORD)
    bo = accounts.add(store, "Bo", "annotator", PASSWORD, by=ada)
    labels.store(store, bo["id"], factory.label(drawn.pair_ids[0]))
    store.close()
    environment = {**os.environ, "PALATE_HOME": str(found.home), "PALATE_PORT": str(found.port)}
    process = subprocess.Popen([sys.executable, "-m", "app.main"], cwd=ROOT, env=environment)
    try:
        wait_until(600, found.answers, "the app answers")
        yield found
    finally:
        process.terminate()
        process.wait(20)


def sign_in(visitor: Visitor, name: str, path: str = "/") -> Page:
    """Ask for a page, be sent to sign in, sign in, and stand on that page."""
    page = visitor.go(path)
    expect(page).to_have_url(re.compile(r"/sign-in"))
    page.get_by_test_id("name").fill(name)
    page.get_by_test_id("password").fill(PASSWORD)
    page.keyboard.press("Enter")
    page.wait_for_url(visitor.url + path)
    visitor.ready()
    return page


def refused(visitor: Visitor) -> None:
    """The page was told 403 and said nothing else that is wrong."""
    until = time.monotonic() + 30
    while not visitor.complaints and time.monotonic() < until:
        visitor.page.wait_for_timeout(20)  # it is told of, not waited for
    assert visitor.complaints and all(FORBIDDEN.search(text) for text in visitor.complaints)
    visitor.complaints.clear()


def test_sign_in_label_be_refused_and_be_let_in(visit: Opener, store: Studio) -> None:
    bo, ada = visit(), visit()
    page = sign_in(bo, "Bo")
    rail = page.locator(".rail a[data-least] span")
    assert rail.all_text_contents() == ["Today", "Label", "You"]
    assert page.locator("[href*='/runs'], [href*='/rewards'], [href*='/workers']").count() == 0
    expect(page.get_by_test_id("continue-labelling")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page).to_have_url(bo.url + "/label")
    page.wait_for_selector("[data-testid=label]:not([data-pair=''])")
    page.keyboard.press("ArrowLeft")
    saved(page)
    assert bo.complaints == []
    bo.go("/runs")
    expect(page.get_by_test_id("empty")).to_contain_text("signed in as Bo, annotator")
    assert page.get_by_role("button").filter(has_text="New run").count() == 0
    refused(bo)

    people = sign_in(ada, "Ada", "/people")
    role = people.get_by_test_id("role-Bo")
    role.select_option("researcher")  # two clicks: the list and the role
    expect(people.get_by_test_id("audit").locator("li").first).to_contain_text("made Bo researcher")
    bo.go("/runs")
    expect(page.locator("h1")).to_have_text("Runs")
    assert "Runs" in page.locator(".rail a[data-least] span").all_text_contents()
    people.locator("h2").first.click()
    people.keyboard.press("z")
    expect(role).to_have_value("annotator")
    bo.go("/runs")
    refused(bo)

    bo.go("/you")
    expect(page.get_by_test_id("history").locator("li")).to_have_count(2)
    page.get_by_test_id("sign-out").click()
    page.wait_for_url(bo.url + "/sign-in")


def test_a_link_made_by_hand_lets_somebody_in_with_a_key(visit: Opener, store: Studio) -> None:
    ada, guest = visit(), visit()
    page = sign_in(ada, "Ada", "/people")
    page.get_by_test_id("invite").click()
    page.get_by_role("radio", name="researcher").click()
    page.get_by_test_id("invite-note").fill("Cy")
    page.get_by_test_id("make-link").click()
    link = page.get_by_test_id("secret").input_value()
    joining = guest.go(link.removeprefix(guest.url))
    expect(joining.get_by_text("You are invited as researcher")).to_be_visible()
    joining.get_by_test_id("name").fill("Cy")
    joining.get_by_test_id("password").fill("short")
    joining.get_by_test_id("enter").click()
    expect(joining.get_by_test_id("refused")).to_contain_text("10 to 500 characters")
    guest.complaints.clear()
    joining.get_by_test_id("password").fill(PASSWORD)
    joining.get_by_test_id("enter").click()
    joining.wait_for_url(guest.url + "/")
    guest.ready()
    guest.go("/you")
    joining.get_by_test_id("new-key").click()
    joining.get_by_test_id("key-name").fill("nightly")
    joining.get_by_test_id("make-key").click()
    secret = joining.get_by_test_id("secret").input_value()
    asked = urllib.request.Request(f"{guest.url}/api/v1/runs")
    asked.add_header("Authorization", f"Bearer {secret}")
    with urllib.request.urlopen(asked) as reply:
        assert reply.status == 200
    guest.go("/you")
    expect(joining.get_by_test_id("keys-list")).to_contain_text("nightly")
    assert secret not in joining.content(), "shown once"


@pytest.mark.parametrize("width", [1440, 390])
def test_the_pages_are_drawn_and_accessible(width: int, visit: Opener, store: Studio) -> None:
    secret = invites.make(store, None, invites.NewInvite(note="for pictures"))["secret"]
    visitor = visit(width=width, height=900 if width > 500 else 844)
    page = visitor.page

    def look(name: str) -> None:
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        for theme in ("light", "dark"):
            page.emulate_media(color_scheme=theme)
            page.reload()  # the pages outside follow the system when they are opened
            visitor.ready()
            visitor.shoot(f"{name}-{width}-{theme}")
            assert serious(page, colours=theme == "dark") == []
        page.emulate_media(color_scheme="light")

    visitor.go(f"/join/{secret}")
    look("join")
    visitor.go("/sign-in")
    look("sign-in")
    sign_in(visitor, "Ada", "/people")
    expect(page.get_by_test_id("audit").locator("li").first).to_be_visible()
    expect(page.get_by_test_id("storage")).to_contain_text("room left")
    look("people")
    visitor.go("/you")
    look("you")
