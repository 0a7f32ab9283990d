"""A run as one page for a colleague: it asks nothing of any host, says whether the run is better,
and comes in the reader's language whole."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from backend.errors import InputError
from backend.languages import CHINESE, ENGLISH
from backend.services import policies, records, reports, runs
from backend.services.report_charts import number
from backend.services.studio import Studio
from backend.types import EvaluationRecord
from db.tables import RunAlarm
from tests import factory

KEPT = {"code", "pre", "style", "title"}
"""Elements whose text no language changes; the title is the run's name."""
PROSE = re.compile(r"[A-Za-z]{2,},? [a-z]{2,}")
"""Two words of English that follow each other."""
VERSION = re.compile(r"Palate \w+")
"""The code's, which may begin with letters."""
EVIL = '<script>alert("x")</script><img src=http://elsewhere.example/x onerror=alert(1)>'


@pytest.fixture(params=["sqlite"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Any:
    """One kind of store is enough here: what is read is tested on both elsewhere."""
    from tests.conftest import empty_database

    with empty_database(request, tmp_path) as url:
        yield url


class Page(HTMLParser):
    """What a page would ask for, which elements it has, and what it says in the studio's words."""

    def __init__(self, data: bytes) -> None:
        super().__init__()
        self.whole = data.decode()
        self.asked: list[str] = []
        self.tags: list[str] = []
        self.said: list[str] = []
        self.names: list[str] = []
        self.kept: list[bool] = []
        self.feed(self.whole)
        assert not self.kept, "every element ends"

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        names = ("src", "href", "srcset", "data", "action", "poster")
        self.asked += [value or "" for name, value in attrs if name in names]
        assert not any(name.startswith("on") for name, _ in attrs)
        if tag not in ("meta", "img"):
            around = bool(self.kept) and self.kept[-1]
            self.kept.append(around or tag in KEPT or ("translate", "no") in attrs)

    def handle_endtag(self, tag: str) -> None:
        self.kept.pop()

    def handle_data(self, data: str) -> None:
        (self.names if self.kept and self.kept[-1] else self.said).append(data.strip())


def page_of(studio: Studio, run_id: int, language: str = ENGLISH) -> Page:
    return Page(b"".join(reports.stream(studio, run_id, language)))


def evaluated(studio: Studio, run_id: int, *, name: str, gains: dict[int, float]) -> None:
    """Evaluations with a picture each, of a reward that begins at one half."""
    picture = studio.media.put(factory.png(3, 64))
    for step, gain in gains.items():
        metrics = {
            f"heldout/{name}": 0.5 + gain,
            f"heldout_se/{name}": 0.1,
            f"gain/{name}": gain,
            f"gain_se/{name}": 0.1 if step else 0.0,
        }
        sample = {"prompt": EVIL, "seed": 1, "media": picture, "rewards": {name: 0.5 + gain}}
        record = EvaluationRecord(step=step, metrics=metrics, samples=[], nfe=1)
        records.evaluation(studio, run_id, record, [sample])


def test_a_report_is_one_page_that_asks_for_nothing_and_escapes_all(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    run = factory.trained_run(services, made)
    runs_name = runs.clone(services, run, {"name": EVIL[:150]})["id"]
    evaluated(services, runs_name, name="verifier", gains={0: 0.0, 2: 2.0})
    with services.write() as session:
        runs.find(session, runs_name).note = EVIL
    page = page_of(services, runs_name)
    assert "script" not in page.tags and page.tags.count("img") == 2
    assert page.tags.count("svg") == 1 and all(one.startswith("data:") for one in page.asked)
    assert not re.search(r"url\(|@import", page.whole)
    assert "default-src &#x27;none&#x27;" in page.whole
    assert "&lt;script&gt;" in page.whole and EVIL in page.names
    assert page_of(services, run).tags.count("svg") >= 2


def test_its_headline_is_of_what_the_run_delivered(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    run = int(runs.create(services, made.project, "small", factory.config())["id"])
    evaluated(services, run, name="verifier", gains={0: 0.0, 2: 0.4, 4: -0.1})
    assert "no change shown" in page_of(services, run).said
    with services.write() as session:
        row = runs.find(session, run)
        row.tuned_policy_id = policies.taught(session, row, services.media.put(b"x"), 2).id
    page = page_of(services, run)
    figures = ("+0.400", "+0.204 to +0.596", "0.500 → 0.900", "above the base", "trained on")
    assert {*figures} <= {*page.said}
    assert "Step 2, which it delivered, against" in page.whole
    assert "no change shown" not in page.said


def test_a_report_is_written_in_the_language_that_is_asked_for(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    first = factory.trained_run(services, made)
    run = runs.clone(services, first, {"name": "Under each picture", "optim.lr": 5e-5})["id"]
    evaluated(services, run, name="verifier", gains={0: 0.0, 3: 0.4})
    with services.write() as session:
        session.add(_alarm(run, "missing", "'verifier' gave no value for 40% of the pictures."))
    chinese = page_of(services, run, CHINESE)
    assert 'lang="zh-CN"' in chinese.whole and "在留出提示词上的增益" in chinese.said
    assert "“verifier”在 40% 的图片上没有给出数值。" in chinese.said
    said = [VERSION.sub("", text) for text in chinese.said if "diffusers" not in text]
    left = [text for text in said if PROSE.search(text)]
    assert not left, left
    assert "Under each picture" in chinese.names, "a name stays, even if it is a text of ours"
    english = page_of(services, run)
    assert not [text for text in english.said if re.search("[\u3400-\u9fff]", text)]
    assert len(english.tags) == len(chinese.tags)
    with pytest.raises(InputError, match="no language 'tlh'"):
        reports.stream(services, run, "tlh")


def _alarm(run: int, rule: str, text: str) -> RunAlarm:
    found = {"rule": rule, "about": "verifier", "level": "error", "text": text}
    return RunAlarm(run_id=run, step=3, last_step=3, told={}, **found)


def test_figures_keep_a_minus_sign_and_no_more_places_than_they_need() -> None:
    assert [number(value) for value in (-0.5, 20.0, 0.00031, 1234.5, 1.0, 0.0)] == [
        "−0.500",
        "20",
        "0.00031",
        "1,234",
        "1.000",
        "0.000",
    ]
    assert number(0.25, signed=True) == "+0.250"
