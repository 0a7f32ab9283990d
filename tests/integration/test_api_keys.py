"""People: keys for programs, their scopes and their end."""

from __future__ import annotations

from typing import Any

import pytest
from fastapi import FastAPI

from backend.errors import InputError, NotFound
from backend.services import (
    accounts,
    tokens,
)
from backend.services.studio import Studio
from tests import factory
from tests.persons import PASSWORD, Person


def test_a_key_may_what_its_scopes_and_its_owner_may(
    app: FastAPI, services: Studio, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    factory.project(services)

    def program(user: dict[str, Any], *scopes: str, days: float | None = None) -> Person:
        secret = tokens.make(services, user, "nightly", list(scopes), days)["secret"]
        return Person(app, Authorization=f"Bearer {secret}")

    def may(who: Person) -> list[int]:
        asked = (
            ("GET", "projects"),
            ("POST", "projects"),
            ("GET", "label/next"),
            ("GET", "people"),
        )
        return [
            who(method, path, {} if method == "POST" else None).status_code
            for method, path in asked
        ]

    assert may(program(ada, "read")) == [200, 403, 403, 403]
    assert may(program(ada, "label")) == [403, 403, 200, 403]
    assert may(program(ada, "write")) == [200, 422, 403, 403]
    assert may(program(ada, "admin")) == [200, 422, 200, 200]
    assert may(program(bo, "read", "label")) == [403, 403, 200, 403]
    with pytest.raises(InputError, match="researcher"):
        tokens.make(services, bo, "sly", ["write"])
    with pytest.raises(InputError):
        tokens.make(services, bo, "empty", [])
    reader = program(ada, "read")
    assert "scope 'read'" not in reader("GET", f"/media/{services.media.put(factory.png(5))}").text
    assert reader("POST", "me/tokens", {"name": "more", "scopes": ["read"]}).status_code == 403
    writer = program(ada, "admin")
    assert writer("POST", "me/password", {"old": PASSWORD, "new": PASSWORD}).status_code == 403
    assert writer("POST", "me/tokens", {"name": "more", "scopes": ["read"]}).status_code == 403


def test_a_key_is_shown_once_and_ends(
    app: FastAPI, services: Studio, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    browser = Person(app).sign_in("Ada")
    made = browser("POST", "me/tokens", {"name": "n", "scopes": ["read"], "days": 1}).json()
    program = Person(app, Authorization=f"Bearer {made['secret']}")
    assert program.get("me")["name"] == "Ada"
    shown = browser.get("me")["tokens"][0]
    assert "secret" not in shown and shown["used_at"] and shown["expires_at"]
    with pytest.raises(NotFound):
        tokens.revoke(services, bo, made["id"])
    assert browser("DELETE", f"people/tokens/{made['id']}").status_code == 200
    assert program("GET", "me").status_code == 401
    last = tokens.make(services, bo, "n", ["label"])["secret"]
    accounts.change(services, ada, bo["id"], disabled=True)
    assert tokens.user_of(services, last) is None
