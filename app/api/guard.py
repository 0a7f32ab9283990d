"""Who may talk to the studio through a browser: pages of the studio itself, under its own name.

A foreign page may send requests to 127.0.0.1 from a person's browser (CSRF), and a foreign name
may be made to point there (DNS rebinding). So the Host must be one of ours, and a request that
writes must come from a page of that same host. Programs send no Origin and are let through.
"""

from __future__ import annotations

from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.errors import answer
from backend.settings import Settings

SAFE = ("GET", "HEAD", "OPTIONS")
LOOPBACK = ("localhost", "127.0.0.1", "[::1]")


class Guard:
    """ASGI middleware that refuses foreign hosts and foreign writes, and adds security headers."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self.hosts = allowed_hosts(settings)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse, or pass on with the headers added."""
        if scope["type"] not in ("http", "websocket"):
            await self.app(scope, receive, send)
            return
        reason = self._refusal(Headers(scope=scope), scope.get("method", "GET"), scope["type"])
        if reason:
            await answer(403, reason)(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                headers.setdefault("X-Content-Type-Options", "nosniff")
                headers.setdefault("Referrer-Policy", "same-origin")
                headers.setdefault("X-Frame-Options", "SAMEORIGIN")
            await send(message)

        await self.app(scope, receive, with_headers)

    def _refusal(self, headers: Headers, method: str, kind: str) -> str:
        host = headers.get("host", "")
        if self.hosts is not None and _name(host) not in self.hosts:
            return (
                f"The studio is not reached as '{host}'; open it as http://127.0.0.1, or name the "
                "host in PALATE_ALLOWED_HOSTS."
            )
        if kind == "http" and method in SAFE:
            return ""
        origin = headers.get("origin")
        foreign = origin is not None and urlsplit(origin).netloc.lower() != host.lower()
        if foreign or headers.get("sec-fetch-site") == "cross-site":
            return f"A page of '{origin}' may not change anything in this studio."
        return ""


def allowed_hosts(settings: Settings) -> set[str] | None:
    """Names under which the studio answers; None for any (behind a proxy that guards the door)."""
    named = {name.strip().lower() for name in settings.allowed_hosts.split(",") if name.strip()}
    if not settings.is_loopback() and not named:
        return None
    return {*LOOPBACK, settings.host.lower(), *named}


def _name(host: str) -> str:
    """The host without its port."""
    host = host.strip().lower()
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0]
