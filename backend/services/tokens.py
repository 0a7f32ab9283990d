"""Keys for programs: a random secret that is shown once, kept as its SHA-256, with scopes.

A key does what its scopes allow and its owner's role allows, whichever is less, at the moment it is
used: a person who becomes an annotator takes their keys along.
"""

from __future__ import annotations

import secrets
import time
from typing import Any

from sqlalchemy import or_, select, update

from backend.errors import InputError, NotFound
from backend.services import audit, seals, users
from backend.services.studio import Studio
from db.tables import Account, Token, User

SCOPES = {"read": "annotator", "label": "annotator", "write": "researcher", "admin": "admin"}
"""Scope → least role of whoever may have it."""
HOLDS = {
    "read": {"read"},
    "label": {"label"},
    "write": {"read", "write"},
    "admin": {"read", "label", "write", "admin"},
}
"""Scope → scopes it stands for."""
PREFIX = "palate_"
USED_EVERY_S = 600.0
"""When a key was last used is written down no finer than this."""


def make(
    studio: Studio, user: dict[str, Any], name: str, scopes: list[str], days: float | None = None
) -> dict[str, Any]:
    """A key for a user's own programs; `secret` is in the answer and never again."""
    clean = name.strip()
    if not 1 <= len(clean) <= 100 or not clean.isprintable():
        raise InputError("A key needs a name of 1 to 100 printable characters.")
    if not scopes:
        raise InputError(f"A key without a scope opens nothing; name some of {', '.join(SCOPES)}.")
    for scope in scopes:
        if scope not in SCOPES:
            raise InputError(f"Scope '{scope}' is unknown; it is one of {', '.join(SCOPES)}.")
        if not users.may(user, SCOPES[scope]):
            raise InputError(
                f"A key of the role {user['role']} cannot have the scope '{scope}', which is for "
                f"the role {SCOPES[scope]}; leave it out."
            )
    secret = PREFIX + secrets.token_urlsafe(32)
    ordered = [scope for scope in SCOPES if scope in scopes]
    with studio.write() as session:
        token = Token(
            user_id=user["id"],
            name=clean,
            digest=seals.digest(secret),
            scopes=ordered,
            expires_at=time.time() + days * 86400 if days else None,
        )
        session.add(token)
        text = f"made the key '{clean}' ({', '.join(ordered)})"
        audit.note(session, user, "key", text)
        session.flush()
        return {**_row(token, user["name"]), "secret": secret}


def user_of(studio: Studio, secret: str) -> tuple[dict[str, Any], set[str]] | None:
    """Whose key this is, with all it may; None when it holds no longer.

    In a studio where nobody signs in, keys hold for the person at this machine too.
    """
    now = time.time()
    query = (
        select(Token, User)
        .join(User, User.id == Token.user_id)
        .outerjoin(Account, Account.user_id == User.id)
        .where(
            Token.digest == seals.digest(secret),
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > now),
            Account.disabled_at.is_(None),
        )
    )
    with studio.read() as session:
        found = session.execute(query).one_or_none()
        if found is None:
            return None
        token, user = found
        answer = users.row(user), set().union(*(HOLDS[scope] for scope in token.scopes))
        token_id, used_at = token.id, token.used_at
    if used_at is None or now - used_at > USED_EVERY_S:
        with studio.write() as session:
            session.execute(update(Token).where(Token.id == token_id).values(used_at=now))
    return answer


def revoke(studio: Studio, by: dict[str, Any], token_id: int) -> None:
    """End a key; an admin may end anybody's."""
    with studio.write() as session:
        token = session.get(Token, token_id)
        if token is None or (token.user_id != by["id"] and not users.may(by, "admin")):
            raise NotFound(f"You have no key {token_id}.")
        if token.revoked_at is None:
            token.revoked_at = time.time()
            owner = session.get_one(User, token.user_id).name
            audit.note(session, by, "key", f"ended the key '{token.name}' of {owner}")


def rows(studio: Studio, user_id: int | None = None) -> list[dict[str, Any]]:
    """Keys that hold, newest first; of one user, or of everybody."""
    query = (
        select(Token, User.name)
        .join(User, User.id == Token.user_id)
        .where(
            Token.revoked_at.is_(None),
            or_(Token.expires_at.is_(None), Token.expires_at > time.time()),
        )
        .order_by(Token.id.desc())
    )
    if user_id is not None:
        query = query.where(Token.user_id == user_id)
    with studio.read() as session:
        return [_row(token, name) for token, name in session.execute(query)]


def _row(token: Token, owner: str) -> dict[str, Any]:
    return {
        "id": token.id,
        "name": token.name,
        "owner": owner,
        "scopes": list(token.scopes),
        "created_at": token.created_at,
        "expires_at": token.expires_at,
        "used_at": token.used_at,
    }
