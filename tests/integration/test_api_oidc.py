"""Signing in with a provider: a real one over HTTP on loopback, and everything that must fail."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from joserfc.jwk import ECKey

from app import entrance
from app.door import Door
from backend.errors import ConfigError
from backend.services import accounts, invites, oidc, users
from backend.services.studio import Studio
from backend.settings import read_settings
from tests.integration.conftest import api_of
from tests.oidc_provider import CLIENT, SECRET, Provider, running

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
BO = {"sub": "42", "preferred_username": "Bo", "email": "bo@example.org", "email_verified": True}


@pytest.fixture
def provider() -> Iterator[Provider]:
    """A provider at which Bo is signed in."""
    with running() as found:
        found.person = dict(BO)
        yield found


@pytest.fixture
def studio(services: Studio, provider: Provider, monkeypatch: pytest.MonkeyPatch) -> Studio:
    """A studio that asks this provider, and gives it time."""
    monkeypatch.setattr(oidc, "TIMEOUT_S", 300.0)
    asks = {
        "oidc_issuer": provider.issuer,
        "oidc_client_id": CLIENT,
        "oidc_client_secret": SECRET,
    }
    return Studio(services.settings.model_copy(update=asks), services.store, services.media)


def trip(studio: Studio, start: str = "", spoil: Any = None) -> tuple[str, dict[str, Any]]:
    """A browser's way to the provider and back: (where it ends, what /me says then).

    `spoil` changes the address with which the browser comes back.
    """
    app = api_of(studio)
    app.include_router(entrance.router)
    app.add_middleware(Door, studio=studio)

    async def go() -> tuple[str, dict[str, Any]]:
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1") as browser:
            begun = await browser.get(f"/sign-in/provider?next=/label{start}")
            assert begun.status_code == 303
            if not begun.headers["location"].startswith("http"):
                return begun.headers["location"], {}
            there = await asyncio.to_thread(httpx.get, begun.headers["location"])
            back = there.headers["location"]
            ended = await browser.get(spoil(back) if spoil else back)
            me = await browser.get("/api/v1/me")
            return ended.headers["location"], me.json()

    return asyncio.run(go())


def test_whom_nobody_invited_stays_out(studio: Studio) -> None:
    where, me = trip(studio)
    assert where.startswith("/sign-in?error=Bo%20has%20no%20account") and "error" in me
    assert users.rows(studio) == []


def test_an_account_with_the_verified_address_is_theirs_from_then_on(
    studio: Studio, provider: Provider
) -> None:
    accounts.add(studio, "Bo Berg", "admin", "", email="bo@example.org")
    where, me = trip(studio)
    assert (where, me["name"], me["role"]) == ("/label", "Bo Berg", "admin")
    provider.person |= {"email": "new@example.org"}
    assert trip(studio)[1]["name"] == "Bo Berg", "the subject is known now"
    provider.person = {**BO, "sub": "43"}
    assert trip(studio)[0].startswith("/sign-in?error="), "another person with that address"
    assert [row["name"] for row in users.rows(studio)] == ["Bo Berg"]


def test_an_address_that_is_not_verified_proves_nothing(studio: Studio, provider: Provider) -> None:
    accounts.add(studio, "Bo Berg", "admin", "", email="bo@example.org")
    for said in (False, None, "true"):
        provider.person = {**BO, "email_verified": said}
        assert trip(studio)[0].startswith("/sign-in?error="), said


def test_an_invitation_lets_in_whom_the_provider_names(studio: Studio) -> None:
    accounts.add(studio, "Ada", "admin", "four odd words do")
    users.create(studio, "Bo")
    secret = invites.make(studio, None, invites.NewInvite("researcher"))["secret"]
    where, me = trip(studio, f"&invite={secret}")
    assert (where, me["name"], me["role"]) == ("/label", "Bo 2", "researcher")
    assert trip(studio)[1]["name"] == "Bo 2"


def test_a_setting_lets_everybody_in_whom_the_provider_knows(studio: Studio) -> None:
    chosen = studio.settings.model_copy(update={"oidc_role": "annotator"})
    assert trip(Studio(chosen, studio.store, studio.media))[1]["role"] == "annotator"
    accounts.change(studio, None, users.rows(studio)[0]["id"], disabled=True)
    assert "closed" in trip(studio)[0]


@pytest.mark.parametrize(
    "spoiled",
    [{"aud": "another"}, {"iss": "http://evil.example"}, {"exp": 1}, {"nonce": "old"}],
    ids=lambda spoiled: next(iter(spoiled)),
)
def test_an_id_token_that_does_not_fit_lets_nobody_in(
    spoiled: dict[str, Any], studio: Studio, provider: Provider
) -> None:
    accounts.add(studio, "Bo", "admin", "", email="bo@example.org")
    provider.changes = spoiled
    where, me = trip(studio)
    assert "did%20not%20confirm" in where and "error" in me


def test_a_token_signed_with_another_key_lets_nobody_in(studio: Studio, provider: Provider) -> None:
    accounts.add(studio, "Bo", "admin", "", email="bo@example.org")
    provider.signing_key = ECKey.generate_key("P-256", {"kid": "1"})
    assert "did%20not%20confirm" in trip(studio)[0]


def test_a_browser_that_did_not_begin_is_sent_back(studio: Studio) -> None:
    accounts.add(studio, "Bo", "admin", "", email="bo@example.org")
    where, _ = trip(studio, spoil=lambda back: back.replace("state=", "state=x"))
    assert "another%20try" in where
    where, _ = trip(studio, spoil=lambda back: back.replace("code=", "code=x"))
    assert "did%20not%20confirm" in where


def test_a_provider_that_is_away_is_a_sentence(studio: Studio) -> None:
    chosen = studio.settings.model_copy(update={"oidc_issuer": "http://127.0.0.1:1"})
    where, _ = trip(Studio(chosen, studio.store, studio.media))
    assert "does%20not%20answer" in where


def test_half_a_provider_is_refused(services: Studio) -> None:
    home = services.settings.home
    with pytest.raises(ConfigError, match="belong together"):
        read_settings(home=home, oidc_issuer="https://id.example").refuse_open_bind(True)
    plain = {"oidc_issuer": "http://id.example", "oidc_client_id": "x"}
    with pytest.raises(ConfigError, match="https"):
        read_settings(home=home, **plain).refuse_open_bind(True)
