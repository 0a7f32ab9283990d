"""People: the way in, roles over every route, pictures of others, keys, links, the audit trail."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
import sqlalchemy as sa
from fastapi import FastAPI
from redis import Redis

from app import access, door
from app.api.guard import Guard
from app.api.live import Live
from app.door import Door
from backend.errors import ConfigError, Conflict, Forbidden, InputError, NotFound, TooMany
from backend.services import (
    accounts,
    addresses,
    audit,
    invites,
    seals,
    sign_ins,
    throttle,
    tokens,
    users,
)
from backend.services import studies as studies_service
from backend.services.invites import NewInvite
from backend.services.studio import Studio
from backend.settings import read_settings
from db.tables import Account, Invite, SignIn, Study
from tests import factory
from tests.integration.conftest import api_of
from workers.redis_server import RedisServer

V1 = "/api/v1"
ONE_STORE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What hangs on no store is tried on one."""
PASSWORD = "four odd words do"


class Person:
    """A browser (or a program with a key) that asks the app and keeps its cookies."""

    def __init__(self, app: FastAPI, **headers: str) -> None:
        self.app, self.headers, self.cookies = app, headers, httpx.Cookies()

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """One request; `path` is below /api/v1 unless it begins with a slash."""
        return asyncio.run(self._send(method, path, body, more))

    def get(self, path: str, status: int = 200) -> Any:
        """The JSON of a GET."""
        reply = self("GET", path)
        assert reply.status_code == status, reply.text
        return reply.json()

    def sign_in(self, name: str) -> Person:
        """Sign in with everybody's password."""
        reply = self("POST", "sign-in", {"name": name, "password": PASSWORD})
        assert reply.status_code == 200, reply.text
        return self

    async def _send(self, method: str, path: str, body: Any, more: Any) -> httpx.Response:
        url = path if path.startswith("/") else f"{V1}/{path}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1:7860",
            cookies=self.cookies,
            headers={**self.headers, **more.pop("headers", {})},
        ) as http:
            reply = await http.request(method, url, json=body, **more)
            self.cookies = http.cookies
            return reply


@pytest.fixture
def app(services: Studio) -> FastAPI:
    """The API behind its door and guard, without the pages."""
    made = api_of(services)
    made.add_middleware(Door, studio=services)
    made.add_middleware(Guard, settings=services.settings)
    return made


@pytest.fixture
def ada(services: Studio) -> dict[str, Any]:
    """An admin; from now on people sign in."""
    return accounts.add(services, "Ada", "admin", PASSWORD)


@pytest.fixture
def bo(services: Studio, ada: dict[str, Any]) -> dict[str, Any]:
    """An annotator."""
    return accounts.add(services, "Bo", "annotator", PASSWORD, by=ada)


# --- the way in -----------------------------------------------------------------------------------


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


# --- roles ----------------------------------------------------------------------------------------


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


# --- pictures -------------------------------------------------------------------------------------


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


# --- links ----------------------------------------------------------------------------------------


def test_a_link_lets_one_person_in_once(
    app: FastAPI, services: Studio, ada: dict[str, Any]
) -> None:
    admin, guest = Person(app).sign_in("Ada"), Person(app)
    made = admin("POST", "people/invites", {"role": "researcher", "note": "Cy"}).json()
    assert made["secret"] not in str(admin.get("people")), "shown once"
    told = guest.get(f"join/{made['secret']}")
    assert told["role"] == "researcher" and told["name"] is None
    taken = guest("POST", f"join/{made['secret']}", {"name": "Ada", "password": PASSWORD})
    assert taken.status_code == 409, "nobody comes in under another's name"
    reply = guest("POST", f"join/{made['secret']}", {"name": "Cy", "password": PASSWORD})
    assert reply.status_code == 200
    assert guest.get("me")["role"] == "researcher"
    assert guest.get(f"join/{made['secret']}", 404)["error"] == invites.SPENT
    again = Person(app)("POST", f"join/{made['secret']}", {"name": "Di", "password": PASSWORD})
    assert again.status_code == 404
    said = [(row["who"], row["text"]) for row in audit.page(services)["items"][:2]]
    assert said == [
        ("Cy", "came in by a link as researcher"),
        ("Ada", "made a link for a new researcher"),
    ]


def test_links_run_out_and_are_taken_back(services: Studio, ada: dict[str, Any]) -> None:
    old, back = (invites.make(services, ada, NewInvite())["secret"] for _ in range(2))
    ids = [row["id"] for row in invites.rows(services)]
    invites.revoke(services, ada, ids[0])
    with services.write() as session:
        session.get_one(Invite, ids[1]).expires_at = time.time() - 1
    for secret in (old, back, "guess"):
        with pytest.raises(NotFound):
            invites.accept(services, secret, "Cy", PASSWORD)
    assert invites.rows(services) == []


def test_an_imported_annotators_name_cannot_be_taken_by_a_link(
    services: Studio, ada: dict[str, Any]
) -> None:
    users.create(services, "Old hand")
    secret = invites.make(services, ada, NewInvite())["secret"]
    with pytest.raises(Conflict):
        invites.accept(services, secret, "Old hand", PASSWORD)
    claimed = accounts.add(services, "Old hand", "annotator", PASSWORD, by=ada)
    assert [row["name"] for row in users.rows(services)].count("Old hand") == 1
    assert claimed["role"] == "annotator"


def test_a_link_sets_a_new_password_of_one_person(services: Studio, bo: dict[str, Any]) -> None:
    cookie = sign_ins.open_for(services, bo["id"]).cookie
    secret = invites.make(services, None, NewInvite(user_id=bo["id"]))["secret"]
    assert invites.look(services, secret)["name"] == "Bo"
    invites.accept(services, secret, "Mallory", "another four odd words")
    assert sign_ins.user_of(services, cookie) is None
    assert sign_ins.by_password(services, "Bo", "another four odd words").user["id"] == bo["id"]
    assert [row["name"] for row in users.rows(services)] == ["Ada", "Bo"]


def test_who_was_invited_to_a_study_judges_that_one_alone(
    app: FastAPI, services: Studio, ada: dict[str, Any]
) -> None:
    made = factory.project(services)
    wanted = studies_service.NewStudy(name="Boats", sample_ids=tuple(made.samples))
    mine = studies_service.create(services, made.project, wanted)["id"]
    other = studies_service.create(services, made.project, wanted)["id"]
    with services.write() as session:
        study = session.get_one(Study, mine)
        study.config = {**study.config, "people": [ada["id"]]}
    secret = invites.make(services, ada, NewInvite(studies=(mine,)))["secret"]
    guest = Person(app)
    assert guest.get(f"join/{secret}")["studies"] == 1, "their names may say which models"
    guest("POST", f"join/{secret}", {"name": "Cy", "password": PASSWORD})
    pair = guest.get(f"label/next?study_id={mine}&n=1")["pairs"][0]
    assert guest("GET", pair["left"]["url"]).status_code == 200
    assert guest.get(f"label/next?study_id={other}", 403)["error"].endswith("ask who leads it.")
    assert guest.get("label/next", 403)["error"].startswith("This queue is for other people")
    assert guest.get("today")["next_pair"] is None
    answer = {"client_id": "x", "pair_id": made.pairs[0], "choice": "left", "shown_left": "a"}
    judged = guest("POST", "label", {**answer, "t_shown": 1, "t_answer": 2})
    assert judged.status_code == 403, "nor by the number of a pair"
    with pytest.raises(NotFound):
        invites.make(services, ada, NewInvite(studies=(12345,)))


# --- keys -----------------------------------------------------------------------------------------


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
