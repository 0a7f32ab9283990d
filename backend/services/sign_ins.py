"""Who has signed in: what a cookie holds, and whether anybody must sign in at all.

A cookie is `<user>.<random>.<seal>`. The store keeps the SHA-256 of the random part, so that a
sign-in can be ended; the seal tells the user without the store where that is enough (pictures).
"""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import delete, exists, func, select, update

from backend.errors import Forbidden, NotFound
from backend.services import passwords, seals, throttle, users
from backend.services.studio import Studio
from db.tables import Account, SignIn, User

LASTS_S = 14 * 86400
"""A sign-in that is not used ends after this; one that is used is prolonged."""
SHOWN = 16
"""Letters of a sign-in's digest that name it to its owner."""
WRONG = "Name and password do not fit together; try again, or ask an admin for a new link."


@dataclass(frozen=True)
class Opened:
    """A sign-in that was just made; `cookie` is shown to the browser alone."""

    user: dict[str, Any]
    cookie: str


def by_password(
    studio: Studio, name: str, password: str, *, address: str = "", browser: str = ""
) -> Opened:
    """Sign in; a wrong name and a wrong password take as long and say the same."""
    clean = name.strip()[:200]
    tries = throttle.at(studio.settings.redis_address)
    tries.take(clean, address)
    with studio.read() as session:
        found = session.execute(
            select(User.id, Account.password, Account.disabled_at)
            .join(Account, Account.user_id == User.id)
            .where(User.name == clean)
        ).one_or_none()
    kept = found.password if found is not None else None
    if not passwords.fits(studio.settings, kept, password) or found is None:
        raise Forbidden(WRONG)
    if found.disabled_at is not None:
        raise Forbidden(f"The account '{clean}' is closed; ask an admin to open it again.")
    tries.forget(clean, address)
    if passwords.is_outdated(studio.settings, str(kept)):
        renewed = passwords.kept(studio.settings, password)
        with studio.write() as session:
            session.get_one(Account, found.id).password = renewed
    return open_for(studio, found.id, address=address, browser=browser)


def open_for(studio: Studio, user_id: int, *, address: str = "", browser: str = "") -> Opened:
    """Sign a user in whose right was proven elsewhere: by an invitation or a provider."""
    random, now = secrets.token_urlsafe(32), time.time()
    sealed = seals.seal(seals.key_of(studio), "sign-in", user_id, random)
    with studio.write() as session:
        session.execute(delete(SignIn).where(SignIn.expires_at < now))
        session.add(
            SignIn(
                digest=seals.digest(random),
                user_id=user_id,
                address=address,
                browser=browser[:300],
                expires_at=now + LASTS_S,
            )
        )
        user = users.row(users.find(session, user_id))
    return Opened(user, f"{user_id}.{random}.{sealed}")


def user_of(studio: Studio, cookie: str) -> dict[str, Any] | None:
    """Who has this cookie, or None when it holds no longer."""
    if sealed_user(studio, cookie) is None:
        return None
    now, kept = time.time(), _digest(cookie)
    query = (
        select(User, SignIn.expires_at)
        .join(SignIn, SignIn.user_id == User.id)
        .join(Account, Account.user_id == User.id)
        .where(SignIn.digest == kept, SignIn.expires_at > now, Account.disabled_at.is_(None))
    )
    with studio.read() as session:
        found = session.execute(query).one_or_none()
        user = users.row(found[0]) if found is not None else None
    if found is not None and found[1] - now < LASTS_S / 2:
        with studio.write() as session:
            session.execute(
                update(SignIn).where(SignIn.digest == kept).values(expires_at=now + LASTS_S)
            )
    return user


def sealed_user(studio: Studio, cookie: str) -> int | None:
    """Id of the user for whom this studio made the cookie; it may have been ended since."""
    number, _, rest = cookie.partition(".")
    random, _, sealed = rest.partition(".")
    if not (number.isascii() and number.isdigit() and len(number) < 19 and sealed):
        return None
    is_ours = seals.holds(seals.key_of(studio), sealed, "sign-in", int(number), random)
    return int(number) if is_ours else None


def close(studio: Studio, cookie: str) -> None:
    """Sign out; a cookie that holds no longer is no matter."""
    with studio.write() as session:
        session.execute(delete(SignIn).where(SignIn.digest == _digest(cookie)))


def close_one(studio: Studio, user_id: int, short: str) -> None:
    """End one of a user's own sign-ins, by the beginning that `rows` shows."""
    with studio.write() as session:
        ended = session.scalars(
            delete(SignIn)
            .where(SignIn.user_id == user_id, func.substr(SignIn.digest, 1, SHOWN) == short)
            .returning(SignIn.digest)
        ).all()
    if not ended:
        raise NotFound("This sign-in has ended already.")


def rows(studio: Studio, user_id: int, cookie: str = "") -> list[dict[str, Any]]:
    """A user's sign-ins, newest first; `is_this` marks the one that asks."""
    query = (
        select(SignIn)
        .where(SignIn.user_id == user_id, SignIn.expires_at > time.time())
        .order_by(SignIn.created_at.desc())
    )
    with studio.read() as session:
        return [
            {
                "id": row.digest[:SHOWN],
                "address": row.address,
                "browser": row.browser,
                "created_at": row.created_at,
                "is_this": bool(cookie) and row.digest == _digest(cookie),
            }
            for row in session.scalars(query)
        ]


def has_accounts(studio: Studio) -> bool:
    """Whether there is anybody who can sign in."""
    with studio.read() as session:
        return bool(session.scalar(select(exists(select(Account.user_id)))))


def is_needed(studio: Studio) -> bool:
    """Whether people must sign in: said so by a setting, or there is an account."""
    wanted = studio.settings.sign_in
    if wanted == "auto":
        return studio.settings.asks_provider() or has_accounts(studio)
    return wanted == "always"


def anonymous(studio: Studio) -> dict[str, Any] | None:
    """Whom a request without cookie and key comes from: the person at this machine, or nobody."""
    return None if is_needed(studio) else users.local(studio)


def _digest(cookie: str) -> str:
    return seals.digest(cookie.partition(".")[2].partition(".")[0])
