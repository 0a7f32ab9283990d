"""People: the way in, passwords, sign-ins and how they end."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from redis import Redis

from app import door
from app.api.live import Live
from backend.errors import ConfigError, Forbidden, InputError, TooMany
from backend.services import (
    accounts,
    seals,
    sign_ins,
    throttle,
    users,
)
from backend.services.studio import Studio
from backend.settings import read_settings
from db.tables import Account, SignIn
from tests.persons import ONE_STORE, PASSWORD, V1, Person
from workers.redis_server import RedisServer


@ONE_STORE
def test_this_machine_is_one_person_until_there_is_an_account(
    app: FastAPI, services: Studio
) -> None:
    anybody = Person(app)
    assert anybody.get("me")["name"] == users.LOCAL and anybody.get("sign-in")["is_needed"] is False
    assert "no admin could" in anybody("POST", "people/invites", {}).json()["error"]
    reply = anybody("POST", "me/password", {"new": PASSWORD})
    assert reply.status_code == 200
    assert anybody.get("me")["signs_in"] is True, "whoever set it is still in"
    stranger = Person(app)
    refused = stranger("GET", "runs")
    assert refused.status_code == 401 and refused.headers["www-authenticate"] == "Bearer"
    assert stranger.sign_in(users.LOCAL).get("runs")["items"] == []


@ONE_STORE
def test_a_cookie_is_out_of_reach_and_ends_when_it_is_said(
    app: FastAPI, services: Studio, ada: dict[str, Any]
) -> None:
    browser = Person(app)
    reply = browser("POST", "sign-in", {"name": " Ada ", "password": PASSWORD})
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie and "samesite=lax" in cookie and "secure" not in cookie
    with services.read() as session:
        kept = session.scalars(sa.select(SignIn.digest)).one()
    assert kept not in cookie, "the store keeps no cookie that somebody could use"
    copied = Person(app)
    copied.cookies = httpx.Cookies(browser.cookies)
    assert copied.get("me")["name"] == "Ada"
    assert browser("POST", "sign-out").status_code == 200
    assert copied("GET", "me").status_code == 401, "a copy of the cookie ends too"
    reply = asyncio.run(_over_https(app, {"name": "Ada", "password": PASSWORD}))
    assert "secure" in reply.headers["set-cookie"].lower()


async def _over_https(app: FastAPI, login: dict[str, str]) -> httpx.Response:
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="https://127.0.0.1") as http:
        return await http.post(f"{V1}/sign-in", json=login)


@ONE_STORE
def test_a_wrong_name_and_a_wrong_password_say_the_same(
    services: Studio, ada: dict[str, Any], bo: dict[str, Any]
) -> None:
    said = set()
    for name, password in (("Ada", "wrong"), ("Nobody", PASSWORD), ("Ada", "x" * 10_000)):
        with pytest.raises(Forbidden) as refused:
            sign_ins.by_password(services, name, password)
        said.add(str(refused.value))
    assert said == {sign_ins.WRONG}
    accounts.change(services, ada, bo["id"], disabled=True)
    with pytest.raises(Forbidden, match="closed"):
        sign_ins.by_password(services, "Bo", PASSWORD)


def test_a_forged_or_old_cookie_is_nobody(services: Studio, ada: dict[str, Any]) -> None:
    cookie = sign_ins.open_for(services, ada["id"]).cookie
    number, random, sealed = cookie.split(".")
    assert sign_ins.sealed_user(services, cookie) == ada["id"]
    for forged in (f"9{cookie}", f"{number}.{random}x.{sealed}", "", ".", "1..", f"²{cookie}"):
        assert sign_ins.user_of(services, forged) is None, forged
    with services.write() as session:
        session.execute(sa.update(SignIn).values(expires_at=time.time() - 1))
    assert sign_ins.user_of(services, cookie) is None


def test_a_sign_in_that_is_used_lasts(services: Studio, ada: dict[str, Any]) -> None:
    cookie = sign_ins.open_for(services, ada["id"]).cookie
    with services.write() as session:
        session.execute(sa.update(SignIn).values(expires_at=time.time() + 60))
    assert sign_ins.user_of(services, cookie) is not None
    with services.read() as session:
        assert session.scalars(sa.select(SignIn.expires_at)).one() > time.time() + 86400


def test_passwords_are_kept_as_argon2id_and_weak_ones_refused(
    services: Studio, ada: dict[str, Any]
) -> None:
    with services.read() as session:
        kept = session.scalars(sa.select(Account.password)).one()
    assert kept is not None and kept.startswith("$argon2id$") and "m=1024" in kept
    for weak in ("short", "Ada and more", "aaaaaaaaaaaaaaa", "x" * 501):
        with pytest.raises(InputError):
            accounts.set_password(services, ada["id"], weak)
    with services.write() as session:
        account = session.get_one(Account, ada["id"])
        account.password = kept.replace("m=1024", "m=2048")  # another cost: does not fit, renewed
    with pytest.raises(Forbidden):
        sign_ins.by_password(services, "Ada", PASSWORD)


@ONE_STORE
def test_a_new_password_ends_every_other_sign_in(
    app: FastAPI, services: Studio, ada: dict[str, Any]
) -> None:
    here, there = Person(app).sign_in("Ada"), Person(app).sign_in("Ada")
    wrong = here("POST", "me/password", {"old": "not it", "new": "another four odd words"})
    assert wrong.status_code == 403
    right = here("POST", "me/password", {"old": PASSWORD, "new": "another four odd words"})
    assert right.status_code == 200
    assert here("GET", "me").status_code == 200 and there("GET", "me").status_code == 401


@pytest.mark.parametrize("where", ["memory", "redis"])
def test_guessing_is_slowed_down_per_name_and_address(
    where: str, redis_server: RedisServer, redis: Redis
) -> None:
    throttle._in_memory.cache_clear()
    tries = throttle.at(redis_server.url if where == "redis" else "")
    for _ in range(10):
        tries.take("Ada", "10.0.0.1")
    with pytest.raises(TooMany, match="wait"):
        tries.take("Ada", "10.0.0.1")
    tries.take("Ada", "10.0.0.2")
    tries.take("Bo", "10.0.0.1")
    tries.forget("Ada", "10.0.0.1")
    tries.take("Ada", "10.0.0.1")
    with pytest.raises(TooMany):
        for number in range(60):
            tries.take(f"somebody {number}", "10.0.0.1")
    assert bool(redis.keys("*sign-in*")) == (where == "redis"), "processes count together"
    throttle._in_memory.cache_clear()


@ONE_STORE
def test_too_many_tries_are_429(app: FastAPI, ada: dict[str, Any]) -> None:
    throttle._in_memory.cache_clear()
    guesser = Person(app)
    said = [guesser("POST", "sign-in", {"name": "Ada", "password": "x"}) for _ in range(11)]
    assert [reply.status_code for reply in said] == [403] * 10 + [429]
    throttle._in_memory.cache_clear()


@ONE_STORE
def test_a_host_that_others_reach_needs_somebody_who_can_sign_in(services: Studio) -> None:
    wide = read_settings(home=services.settings.home, host="0.0.0.0")
    with pytest.raises(ConfigError, match="palate user add"):
        wide.refuse_open_bind(sign_ins.has_accounts(services))
    accounts.add(services, "Ada", "admin", PASSWORD)
    wide.refuse_open_bind(sign_ins.has_accounts(services))
    never = read_settings(home=services.settings.home, host="0.0.0.0", sign_in="never")
    with pytest.raises(ConfigError, match="PALATE_SIGN_IN"):
        never.refuse_open_bind(True)


@ONE_STORE
def test_a_setting_decides_whether_people_sign_in(services: Studio) -> None:
    def studio(mode: str) -> Studio:
        chosen = services.settings.model_copy(update={"sign_in": mode})
        return Studio(chosen, services.store, services.media)

    assert sign_ins.anonymous(studio("always")) is None
    accounts.add(services, "Ada", "admin", PASSWORD)
    assert sign_ins.anonymous(services) is None
    local = sign_ins.anonymous(studio("never"))
    assert local is not None and local["name"] == users.LOCAL


@ONE_STORE
def test_own_sign_ins_are_listed_and_ended(app: FastAPI, ada: dict[str, Any]) -> None:
    here, there = Person(app).sign_in("Ada"), Person(app).sign_in("Ada")
    listed = here.get("me")["sign_ins"]
    assert sorted(row["is_this"] for row in listed) == [False, True]
    other = next(row for row in listed if not row["is_this"])
    assert here("DELETE", f"me/sign-ins/{other['id']}").status_code == 200
    assert there("GET", "me").status_code == 401 and here("GET", "me").status_code == 200
    assert here("DELETE", "me/sign-ins/%25").status_code == 404, "no pattern"
    left = here.get("me")["sign_ins"][0]["id"]
    assert here("DELETE", f"me/sign-ins/{left[0]}").status_code == 404, "not a beginning of one"


def test_the_secret_is_made_once(services: Studio) -> None:
    first = seals.key_of(services)
    seals._keys.clear()
    assert seals.key_of(services) == first and len(first) == 32
    assert door.cookie_name(services).startswith("palate_")


@ONE_STORE
def test_a_stream_ends_so_that_it_is_asked_again_who_listens(services: Studio) -> None:
    async def listen() -> list[Any]:
        live = Live(services, longest_s=0.05)
        got = [message async for message in live.stream(1, None)]
        await live.close()
        return got

    assert asyncio.run(asyncio.wait_for(listen(), 20)) == []
