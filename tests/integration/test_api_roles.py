"""People: roles over every route, pictures that were handed to others, what one judged."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
import sqlalchemy as sa
from fastapi import FastAPI

from app import access
from backend.errors import Conflict
from backend.services import (
    accounts,
    addresses,
)
from backend.services.studio import Studio
from tests import factory
from tests.persons import ONE_STORE, PASSWORD, V1, Person


@ONE_STORE
def test_an_annotator_is_refused_every_route_that_is_not_theirs(
    app: FastAPI, services: Studio, bo: dict[str, Any]
) -> None:
    factory.project(services)
    annotator, refused, let_in = Person(app).sign_in("Bo"), 0, 0
    for path, methods in app.openapi()["paths"].items():
        real = path.replace("{secret}", "x").replace("{name}", "0" * 64)
        real = "/".join("1" if part.startswith("{") else part for part in real.split("/"))
        for method in methods:
            least = access.least(method.upper(), real)
            if least in (access.RESEARCHER, access.ADMIN):
                reply = annotator(method.upper(), real)
                assert reply.status_code == 403, f"{method} {real}: {reply.status_code}"
                assert "you are signed in as Bo, annotator" in reply.json()["error"]
                refused += 1
            elif least == access.ANNOTATOR:
                assert annotator(method.upper(), real).status_code != 403, real
                let_in += 1
    assert refused > 40 and let_in >= 8
    for path in ("runs", "people", "label/next", "me", "labels/export"):
        assert Person(app)("GET", path).status_code == 401
    assert annotator("GET", f"{V1}/openapi.json").status_code == 403
    assert annotator("GET", "labels/export").status_code == 403


@ONE_STORE
def test_today_tells_an_annotator_nothing_of_runs(
    app: FastAPI, services: Studio, bo: dict[str, Any]
) -> None:
    made = factory.project(services)
    factory.trained_run(services, made)
    annotator = Person(app).sign_in("Bo")
    found = annotator.get("today")
    assert found["next_pair"] and not {"runs", "rewards", "workers", "alarms"} & set(found)
    assert annotator.get("me/history")["items"] == []


def test_a_change_of_role_holds_from_the_next_request_and_can_be_taken_back(
    app: FastAPI, services: Studio, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    admin, other = Person(app).sign_in("Ada"), Person(app).sign_in("Bo")
    assert other("GET", "runs").status_code == 403
    before = admin("PATCH", f"people/{bo['id']}", {"role": "researcher"}).json()
    assert other("GET", "runs").status_code == 200 and other("GET", "people").status_code == 403
    admin("PATCH", f"people/{bo['id']}", before)
    assert other("GET", "runs").status_code == 403
    admin("PATCH", f"people/{bo['id']}", {"disabled": True})
    assert other("GET", "me").status_code == 401
    texts = [row["text"] for row in admin.get("people/audit")["items"]]
    assert texts[:3] == ["closed the account of Bo", "made Bo annotator", "made Bo researcher"]
    assert admin("GET", "labels/export?format=trl").status_code == 200
    assert admin.get("people/audit")["items"][0]["text"] == "exported labels as trl"
    kinds = {row["action"] for row in admin.get("people/audit?action=role")["items"]}
    assert kinds == {"role"}
    first = admin.get("people/audit?limit=2")
    rest = admin.get(f"people/audit?limit=2&after={first['next']}")
    assert first["items"][1]["id"] > rest["items"][0]["id"]


def test_the_last_admin_stays(services: Studio, ada: dict[str, Any], bo: dict[str, Any]) -> None:
    for change in ({"role": "researcher"}, {"disabled": True}):
        with pytest.raises(Conflict, match="only admin"):
            accounts.change(services, ada, ada["id"], **change)
    accounts.change(services, ada, bo["id"], role="admin")
    accounts.change(services, ada, ada["id"], role="annotator")
    with pytest.raises(Conflict, match="only admin"):
        accounts.change(services, None, bo["id"], disabled=True)


@ONE_STORE
def test_a_foreign_page_changes_nothing_with_a_persons_cookie(
    app: FastAPI, ada: dict[str, Any]
) -> None:
    browser = Person(app).sign_in("Ada")
    for headers in (
        {"Origin": "http://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Origin": "http://127.0.0.1:9999", "Sec-Fetch-Site": "same-site"},
    ):
        for path in ("sign-out", "me/tokens", "sign-in", "/gradio_api/queue/join"):
            assert browser("POST", path, {}, headers=headers).status_code == 403, (path, headers)
    assert browser.get("me")["name"] == "Ada"
    assert browser("POST", "sign-out", headers={"Origin": "http://127.0.0.1:7860"}).is_success


@pytest.fixture
def statements(services: Studio) -> Iterator[list[str]]:
    """Every statement that the store runs while the test does."""
    said: list[str] = []

    def listen(_c: Any, _cursor: Any, statement: str, *_: Any) -> None:
        said.append(statement)

    sa.event.listen(services.store.engine, "before_cursor_execute", listen)
    yield said
    sa.event.remove(services.store.engine, "before_cursor_execute", listen)


@ONE_STORE
def test_an_annotator_sees_the_pictures_handed_to_them_and_no_other(
    app: FastAPI,
    services: Studio,
    ada: dict[str, Any],
    bo: dict[str, Any],
    statements: list[str],
) -> None:
    made = factory.project(services)
    accounts.add(services, "Cy", "annotator", PASSWORD, by=ada)
    annotator, other, admin = (Person(app).sign_in(name) for name in ("Bo", "Cy", "Ada"))
    pair = annotator.get("label/next?n=1")["pairs"][0]
    url = pair["left"]["url"]
    plain = url.split("?")[0]
    statements.clear()
    seen = annotator("GET", url)
    assert seen.status_code == 200 and seen.headers["content-type"] == "image/png"
    assert statements == [], "a sealed address is checked without the store"
    assert annotator("GET", plain).status_code == 403
    assert other("GET", url).status_code == 403, "an address is for one person"
    assert Person(app)("GET", url).status_code == 401
    assert admin("GET", plain).status_code == 200
    elsewhere = services.media.put(factory.png(999))
    assert annotator("GET", url.replace(plain[-64:], elsewhere)).status_code == 403
    later = url.replace("&e=", "&e=9")
    assert annotator("GET", later).status_code == 403, "nobody prolongs an address"
    assert annotator.get("today")["next_pair"]["left_url"].count("&s=") == 1
    assert "?" not in admin.get(f"pairs?project={made.project}")["items"][0]["a"]["url"]


def test_a_sealed_address_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    key, name = b"k" * 32, "0" * 64
    with addresses.sealed_for(7, key):
        address = addresses.of(name)
    query = dict(part.split("=", 1) for part in address.partition("?")[2].split("&"))
    assert addresses.allows(key, name, query, 7)
    assert not addresses.allows(b"x" * 32, name, query, 7)
    assert not addresses.allows(key, name, query, 8)
    assert not addresses.allows(key, name, {**query, "e": "soon"}, 7)
    assert addresses.of(name) == f"/media/{name}"
    end = time.time() + addresses.HOLDS_S
    monkeypatch.setattr(time, "time", lambda: end)
    assert not addresses.allows(key, name, query, 7)


@ONE_STORE
def test_what_one_judged_is_shown_to_oneself(
    app: FastAPI, services: Studio, bo: dict[str, Any]
) -> None:
    factory.project(services)
    annotator = Person(app).sign_in("Bo")
    pair = annotator.get("label/next?n=1")["pairs"][0]
    body = {"client_id": "c", "pair_id": pair["pair_id"], "choice": "left"}
    times = {"shown_left": pair["shown_left"], "t_shown": 10.0, "t_answer": 12.5}
    assert annotator("POST", "label", {**body, **times}).status_code == 200
    found = annotator.get("me/history")
    assert found["total"] == 1 and found["items"][0]["seconds"] == 2.5
    assert found["items"][0]["left_url"] == pair["left"]["url"]
    assert annotator("GET", found["items"][0]["right_url"]).status_code == 200
    annotator("POST", "label/undo", {"client_id": "u"})
    found = annotator.get("me/history")
    assert found["total"] == 0 and found["items"][0]["is_undone"] is True
