"""The door: who asks, and whether they may. Every request passes it, whoever answers it.

Who asks is told by a key (`Authorization: Bearer`), by the cookie of a sign-in, or, in a studio
where nobody signs in, by being on this machine. What they may stands in app/access.py. A person's
browser is sent to the sign-in page or shown a page that says why; a program gets 401 or 403.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.concurrency import run_in_threadpool
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse
from starlette.types import ASGIApp, Receive, Scope, Send

from app import access
from app.api.errors import answer
from backend.errors import Forbidden, PalateError, SignInNeeded
from backend.services import addresses, seals, sign_ins, tokens, users
from backend.services.studio import Studio

IDENTITY = "palate.identity"
"""Where the door leaves an `Identity` in the scope of a request."""
CLOSED = "palate.closed"
"""Set in the scope when a page must say that it is not for whoever asks."""
PROGRAMS = ("/api/", "/media/", "/static/", "/vendor/", "/gradio_api/")
"""Addresses whose refusals are read by programs."""
WHOSE = {"researcher": "researchers and admins", "admin": "admins"}


@dataclass(frozen=True)
class Identity:
    """Who asks: the user; the scopes of the key they came with; the cookie they came with."""

    user: dict[str, Any]
    scopes: frozenset[str] | None = None
    """None: a person in a browser, who may all that the role may."""
    cookie: str = ""


def cookie_name(studio: Studio) -> str:
    """The cookie of this studio. Browsers share cookies between ports, so each has its own name."""
    return f"palate_{seals.seal(seals.key_of(studio), 'cookie')[:8]}"


def identify(studio: Studio, request: HTTPConnection) -> Identity:
    """Who asks, or `SignInNeeded`."""
    kind, _, secret = request.headers.get("authorization", "").partition(" ")
    if kind.lower() == "bearer":
        found = tokens.user_of(studio, secret.strip())
        if found is None:
            raise SignInNeeded("This key does not hold, or no longer; make a new one on You.")
        return Identity(found[0], frozenset(found[1]))
    cookie = request.cookies.get(cookie_name(studio), "")
    user = sign_ins.user_of(studio, cookie) if cookie else None
    if user is None:
        cookie, user = "", sign_ins.anonymous(studio)
    if user is None:
        raise SignInNeeded("Nobody is signed in; open /sign-in, or send a key of yours.")
    return Identity(user, cookie=cookie)


def refusal(found: Identity, method: str, path: str) -> str:
    """Why this address is not for whoever asks; empty when it is."""
    least = access.least(method, path) or access.ADMIN
    if not users.may(found.user, least):
        return (
            f"This is for {WHOSE[least]}; you are signed in as {found.user['name']}, "
            f"{found.user['role']}."
        )
    needed = access.scope(method, path)
    if found.scopes is not None and needed not in found.scopes:
        return f"This key may not do that: it lacks the scope '{needed}'."
    return ""


class Door:
    """ASGI middleware before everything that is not open to all."""

    def __init__(self, app: ASGIApp, studio: Studio) -> None:
        self.app, self.studio = app, studio

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let in, or say why not."""
        if scope["type"] not in ("http", "websocket"):
            return await self.app(scope, receive, send)
        path, method = scope["path"], scope.get("method", "GET")
        if access.least(method, path) in (access.OPEN, access.ITSELF):
            return await self.app(scope, receive, send)
        request = HTTPConnection(scope)
        try:
            found = await run_in_threadpool(identify, self.studio, request)
        except SignInNeeded as error:
            return await self._unknown(request, str(error))(scope, receive, send)
        except PalateError as error:
            return await answer(error.status, str(error))(scope, receive, send)
        scope[IDENTITY] = found
        reason = refusal(found, method, path)
        if reason and not _wants_page(request):
            return await answer(403, reason)(scope, receive, send)
        if reason:
            scope[CLOSED] = reason
        sealed: Any = nullcontext()
        if not users.may(found.user, access.RESEARCHER):
            sealed = addresses.sealed_for(found.user["id"], seals.key_of(self.studio))
        with sealed:
            return await self.app(scope, receive, send)

    def _unknown(self, request: HTTPConnection, sentence: str) -> ASGIApp:
        if _wants_page(request):
            here = request.url.path + (f"?{request.url.query}" if request.url.query else "")
            then = "" if here == "/" else f"?next={quote(here, safe='/')}"
            return RedirectResponse(f"/sign-in{then}", status_code=303)
        reply = answer(401, sentence)
        reply.headers["WWW-Authenticate"] = "Bearer"
        return reply


def may_see(studio: Studio, request: HTTPConnection, media: str) -> None:
    """Refuse a picture to whom it was not shown; a sealed address is checked without the store."""
    key, query = seals.key_of(studio), request.query_params
    user_id = sign_ins.sealed_user(studio, request.cookies.get(cookie_name(studio), ""))
    if user_id is not None and addresses.allows(key, media, query, user_id):
        return
    found = identify(studio, request)
    if found.scopes is not None and not found.scopes & {"read", "label"}:
        raise Forbidden("This key may not do that: it lacks the scope 'read'.")
    is_theirs = addresses.allows(key, media, query, found.user["id"])
    if not is_theirs and not users.may(found.user, access.RESEARCHER):
        raise Forbidden("This picture is not of a pair that was handed to you; load Label again.")


def _wants_page(request: HTTPConnection) -> bool:
    """Whether a person's browser asks for something to look at."""
    return (
        request.scope.get("method") == "GET"
        and not request.url.path.startswith(PROGRAMS)
        and "text/html" in request.headers.get("accept", "")
    )
