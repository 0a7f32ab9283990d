"""A real Chromium on a real running studio, and projects with pictures to look at.

Every page that a test opens is watched: an error in its console or a request to another host fails
the test that opened it. No host but this one can be reached.
"""

from __future__ import annotations

import io
import shutil
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, expect, sync_playwright

from backend.errors import Conflict
from backend.pocket import world
from backend.services import (
    comparisons,
    jobs,
    pairs,
    policies,
    projects,
    prompts,
    runs,
    samples,
    users,
)
from backend.services.samples import NewSample
from backend.services.studio import Studio
from tests import seed
from tests.browser.windows import PATIENCE_MS, Visitor, Windows
from tests.conftest import RunningStudio, free_port

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)
expect.set_options(timeout=PATIENCE_MS)
"""No test measures how busy the machine is."""


@pytest.fixture(scope="session")
def chromium() -> Iterator[Browser]:
    """One browser for the whole session."""
    path = shutil.which("chromium") or shutil.which("chromium-browser")
    with sync_playwright() as playwright:
        options: dict[str, Any] = {"executable_path": path} if path else {"channel": "chrome"}
        browser = playwright.chromium.launch(args=list(FLAGS), **options)
        yield browser
        browser.close()


@pytest.fixture(scope="session")
def studio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningStudio]:
    """A whole running studio, one a session; tests add projects of their own, never clear."""
    home = tmp_path_factory.mktemp("studio") / "home"
    running = RunningStudio(home, free_port(), {}, ("--no-demo",)).start()
    yield running
    running.stop()


@pytest.fixture(scope="session")
def windows(chromium: Browser) -> Windows:
    """Windows that tests use one after the other."""
    return Windows(chromium)


Opener = Callable[..., Visitor]


@pytest.fixture
def visit(windows: Windows, studio: RunningStudio) -> Iterator[Opener]:
    """Opens browser windows: `visit(width=390, height=844, theme="dark")`; `fresh=True` for one
    that no test had before or will have after this one."""
    visitors: list[Visitor] = []

    def opened(
        width: int = 1440,
        height: int = 900,
        theme: str = "light",
        *,
        fresh: bool = False,
        **more: Any,
    ) -> Visitor:
        page = windows.lend(width, height, theme, fresh, more)
        visitor = Visitor(studio.url, page.context, page)
        visitor.watch()
        visitors.append(visitor)
        return visitor

    yield opened
    complaints = [text for visitor in visitors for text in visitor.complaints]
    for visitor in visitors:
        visitor.hear_nothing_more()
        windows.take_back(visitor)
    assert not complaints


AXE = """async ([within, options]) => (await axe.run(within, options)).violations
  .filter(fault => ["serious", "critical"].includes(fault.impact))
  .map(fault => `${fault.id}: ${fault.nodes[0].html.slice(0, 160)}`)"""


def serious(page: Page, within: str = "html", *, colours: bool = False) -> list[str]:
    """What axe finds serious or critical, one line each; with `colours` contrast alone, for a page
    that was looked at in another theme."""
    if page.evaluate("typeof axe === 'undefined'"):
        page.evaluate(Axe().axe_script)
    options: dict[str, Any] = {"resultTypes": ["violations"], "preload": False}
    if colours:
        options["runOnly"] = ["color-contrast"]
    found: list[str] = page.evaluate(AXE, [within, options])
    return found


def in_both_themes(page: Page) -> Iterator[str]:
    """Light, then dark, on the page as it stands: colours are all that a theme changes."""
    for theme in ("light", "dark"):
        page.emulate_media(color_scheme=theme)
        page.wait_for_function(f"document.documentElement.dataset.theme === '{theme}'")
        yield theme


def saved(page: Page) -> None:
    """Wait until nothing waits to be sent and the page says that everything is saved."""
    page.wait_for_function(
        "!Object.keys(localStorage).some((key) => key.startsWith('palate.outbox/'))"
    )
    expect(page.get_by_test_id("saved-state")).to_have_attribute("data-state", "saved")


def stop_job(store: Studio, job_id: int) -> None:
    """Have a job stop; the studio's own workers may have ended it already."""
    with suppress(Conflict):
        jobs.want(store, job_id, "stop")


def stop_run(store: Studio, run_id: int) -> None:
    """Have a run stop; the studio's own workers may have ended it already."""
    with suppress(Conflict):
        runs.want(store, run_id, "stop")


@pytest.fixture(scope="session")
def _seeded_once(studio: RunningStudio) -> seed.Seeded:
    opened = studio.open()
    me = users.local(opened)["id"]
    projects.open_project(opened, me, projects.create(opened, "looked at")["id"])
    made = seed.project(opened)
    opened.close()
    return made


@pytest.fixture
def shown(store: Studio, _seeded_once: seed.Seeded) -> Iterator[seed.Seeded]:
    """The synthetic project, one for all tests that only look, open while the test runs."""
    with _open(store, _seeded_once.project):
        yield _seeded_once


@pytest.fixture
def seeded(store: Studio, project: int) -> seed.Seeded:
    """The synthetic project, for a test that changes it."""
    made = seed.project(store)
    assert made.project == project
    return made


@pytest.fixture
def store(studio: RunningStudio) -> Iterator[Studio]:
    """The running studio's own store and media."""
    opened = studio.open()
    yield opened
    opened.close()


@pytest.fixture
def project(store: Studio) -> Iterator[int]:
    """An empty project, open while the test runs."""
    made = int(projects.create(store, f"browser {uuid.uuid4().hex[:8]}")["id"])
    with _open(store, made):
        yield made


@contextmanager
def _open(store: Studio, project_id: int) -> Iterator[None]:
    me = users.local(store)["id"]
    before = projects.current(store, me)["id"]
    projects.open_project(store, me, project_id)
    yield
    projects.open_project(store, me, before)


@dataclass(frozen=True)
class Drawn:
    """What `draw_pairs` made."""

    policy_id: int
    prompt_set_id: int
    pair_ids: list[int]


def draw_pairs(store: Studio, project_id: int, num: int, *, size: int = 64, seed: int = 0) -> Drawn:
    """Pairs without a model: each prompt rendered rightly and wrongly, `size` pixels square."""
    policy = policies.create(store, project_id, f"pocket {seed}", "sd3", {"weights": "pocket"})
    texts = world.draw(num, seed=seed)
    made = prompts.import_text(store, project_id, f"set {seed}", "train", "\n".join(texts))
    listed = prompts.texts(store, made["id"])
    right = world.render_many([text for _, text in listed], seed)
    wrong = np.roll(right, 1, axis=0)
    media = [put_png(store, picture, size) for picture in (*right, *wrong)]
    new = [
        NewSample(listed[i % num][0], seed + i, name, size, size) for i, name in enumerate(media)
    ]
    ids = samples.add(store, project_id, policy["id"], new)
    rows = [
        {
            "project_id": project_id,
            "prompt_id": listed[i][0],
            "sample_a_id": ids[i],
            "sample_b_id": ids[num + i],
        }
        for i in range(num)
    ]
    with store.write() as session:
        pair_ids = pairs.add(session, rows)
    return Drawn(int(policy["id"]), int(made["id"]), pair_ids)


def put_png(store: Studio, picture: np.ndarray[Any, Any], size: int) -> str:
    """Store a picture, `size` pixels square; its hash."""
    image = Image.fromarray(picture)
    if size != image.width:
        image = image.resize((size, size), Image.Resampling.BICUBIC)
    buffer = io.BytesIO()
    image.save(buffer, "PNG", compress_level=1)
    return store.media.put(buffer.getvalue())


def draw_comparison(store: Studio, project_id: int, num: int) -> int:
    """A comparison that is ready to be judged, without a model and without a worker."""
    base = draw_pairs(store, project_id, num, seed=1)
    tuned = policies.create(store, project_id, "tuned", "sd3", {"weights": "pocket"})
    made = comparisons.create(
        store,
        project_id,
        base_policy_id=base.policy_id,
        tuned_policy_id=tuned["id"],
        prompt_set_id=base.prompt_set_id,
        num_prompts=num,
        seed=7,
    )
    texts = prompts.texts(store, base.prompt_set_id)
    rendered = world.render_many([text for _, text in texts], 9)
    drawn = []
    for (prompt_id, _), picture in zip(texts, rendered, strict=True):
        good, bad = put_png(store, picture, 64), put_png(store, picture[:, ::-1] // 2 + 60, 64)
        first = samples.add(
            store, project_id, base.policy_id, [NewSample(prompt_id, 7, bad, 64, 64)]
        )
        other = samples.add(store, project_id, tuned["id"], [NewSample(prompt_id, 7, good, 64, 64)])
        drawn.append(comparisons.DrawnPair(prompt_id, first[0], other[0]))
    comparisons.ready(store, int(made["id"]), drawn)
    return int(made["id"])
