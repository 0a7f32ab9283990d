"""The frame around every page, and how the pages are put on the web.

A page is one file in `app/pages` with `TITLE`, `PATH` and `build()`; `ORDER` and `ICON` put it on
the rail (the tens of ORDER are its group; 90 and up stand at the foot). `build()` calls
`page(...)`, which draws the frame (static/frame.html) with an empty `<main id="main">` and names
the ES module that fills it: `static/js/<module>.js` exports `mount(main, {params, query, ...})`.

All pages are routes of one `gr.Blocks`. Gradio has no routes with parameters, so `Documents` maps
an address to the route of its page on the way in; on the way out it puts our head
(static/head.html) into the HTML: theme before the first paint, one style sheet, no foreign address.
Who asks (app/door.py) is written into the frame there too, and links to pages that are not for them
are taken out.
"""

from __future__ import annotations

import hashlib
import html
import importlib
import json
import os
import pkgutil
import re
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from string import Template
from types import ModuleType
from typing import Any

from fastapi import FastAPI
from starlette.datastructures import Headers, MutableHeaders
from starlette.requests import HTTPConnection
from starlette.responses import RedirectResponse, Response
from starlette.routing import compile_path
from starlette.types import ASGIApp, Message, Receive, Scope, Send

os.environ.setdefault("GRADIO_ANALYTICS_ENABLED", "False")
os.environ.setdefault("HF_HUB_OFFLINE", "1")

import gradio as gr

from app import access, door, language
from app.theme import theme
from backend.services import users

STATIC = Path(__file__).resolve().parent.parent / "static"
RAIL_FOOT = 90
NOWHERE = "/nowhere"
"""The page for addresses that nobody has."""
FORBIDDEN = "/closed"
"""The page for pages that are not for whoever asks."""
WHO = "palate-who"
"""Stands in the frame for who asks until a page is sent."""
NOBODY = {"name": "", "role": "annotator"}
"""Who asks where no door stands before the pages: whoever may least."""
NO_PAGES = ("/api/", "/media/", "/static/", "/gradio_api/", "/healthz", "/readyz")
"""Addresses whose refusals are read by programs."""
FOREIGN = re.compile(
    r'\s*<(?:meta (?:property|name)="(?:og|twitter):[^>]*|link rel="manifest"[^>]*)>'
    r"|<script>\s*\(\(\) => \{\s*const root = .*?</script>",
    re.DOTALL,
)
"""Gradio's preview tags (they name foreign hosts), its manifest, and the script for frames."""
LINK = re.compile(r'<a [^>]*data-least="(\w+)"[^>]*>.*?</a>', re.DOTALL)
"""A link of the frame with the least role of its page."""
LONE = re.compile(r'(?:<hr>)+(?=<hr>|<span class="end">)')
"""Lines of the rail between groups of which none is left."""
CONFIG = re.compile(r"window\.gradio_config = (.*?);</script>", re.DOTALL)
HTML = re.compile(r'(<html\b[^>]*\blang=)"[^"]*"')
"""The language that Gradio says a page is in."""


@dataclass(frozen=True)
class Entry:
    """One page as the frame knows it."""

    name: str
    title: str
    path: str
    order: int | None
    icon: str
    build: Callable[[], None]

    @property
    def slug(self) -> str:
        """Where Gradio serves it; the start page has to be Gradio's root."""
        return "" if self.path == "/" else "page-" + self.name.replace("_", "-")


def entries() -> list[Entry]:
    """Every page of `app/pages`, fixed addresses before those with parameters."""
    package = importlib.import_module("app.pages")
    found = [
        _entry(m.name, importlib.import_module(f"app.pages.{m.name}"))
        for m in pkgutil.iter_modules(package.__path__)
    ]
    return sorted(found, key=lambda entry: ("{" in entry.path, entry.path))


def _entry(name: str, module: ModuleType) -> Entry:
    order = getattr(module, "ORDER", None)
    return Entry(
        name, module.TITLE, module.PATH, order, getattr(module, "ICON", "info"), module.build
    )


def page(
    title: str,
    path: str,
    module: str,
    *,
    crumbs: Iterable[tuple[str, str]] = (),
    body: str = "",
    props: Mapping[str, Any] | None = None,
) -> None:
    """Draw the frame of one page into the current Blocks.

    `crumbs` are (text, address) pairs before the heading; `body` is trusted HTML to stand in
    `<main>` until the module fills it; `props` is JSON handed to the module.
    """
    drawn = _template("frame.html").substitute(
        title=html.escape(title),
        path=html.escape(path),
        module=html.escape(module),
        trail=_trail(crumbs),
        rail=_rail(path),
        props=html.escape(json.dumps(dict(props or {}), separators=(",", ":"))),
        body=body,
        who=WHO,
        keys_icon=icon("keys"),
        theme_icon=icon("theme"),
    )
    gr.HTML(drawn, apply_default_css=False, padding=False, container=False, js_on_load=None)


def icon(name: str) -> str:
    """A sign from static/icons.svg, hidden from screen readers: the word beside it speaks."""
    use = f'<use href="/static/icons.svg#i-{name}"/>'
    return f'<svg class="i" viewBox="0 0 16 16" aria-hidden="true">{use}</svg>'


def _template(name: str) -> Template:
    return Template((STATIC / name).read_text())


def _trail(crumbs: Iterable[tuple[str, str]]) -> str:
    return "".join(
        f'<a href="{html.escape(address)}">{html.escape(text)}</a><span class="sep">/</span>'
        for text, address in crumbs
    )


def _rail(path: str) -> str:
    """The links of the rail, a line between groups; `path` is where we are."""
    shown = sorted((e for e in entries() if e.order is not None), key=lambda e: e.order or 0)
    current = max((e.path for e in shown if _within(path, e.path)), key=len, default="")
    parts: list[str] = []
    group = 0
    for entry in shown:
        order = entry.order or 0
        if group and order // 10 != group:
            parts.append('<span class="end"></span>' if order >= RAIL_FOOT else "<hr>")
        group = order // 10
        mark = ' aria-current="page"' if entry.path == current else ""
        words = f"{icon(entry.icon)}<span>{html.escape(entry.title)}</span>"
        least = access.least("GET", entry.path) or access.ADMIN
        parts.append(f'<a href="{entry.path}"{mark} data-least="{least}">{words}</a>')
    return "".join(parts)


def _within(path: str, parent: str) -> bool:
    return path == parent or (parent != "/" and path.startswith(parent + "/"))


def stylesheet() -> str:
    """All of static/css as one sheet.

    Everything but tokens.css and gradio.css is nested in `#palate`, whose weight as an id beats
    Gradio's reset whatever the order in which its own sheets arrive.
    """
    plain = {name: (STATIC / "css" / name).read_text() for name in ("tokens.css", "gradio.css")}
    first = ["components.css", "frame.css"]
    rest = sorted(p.name for p in (STATIC / "css").glob("*.css") if p.name not in {*plain, *first})
    nested = "\n".join((STATIC / "css" / name).read_text() for name in first + rest)
    return f"{plain['tokens.css']}\n#palate {{\n{nested}\n}}\n{plain['gradio.css']}"


def stylesheet_address() -> str:
    """Where `stylesheet` is served; another one when it has changed."""
    return f"/palate.css?{hashlib.sha256(stylesheet().encode()).hexdigest()[:12]}"


def mount_pages(app: FastAPI) -> FastAPI:
    """Put every page on `app`. Call it last: Gradio takes all addresses nobody else has."""
    pages = entries()
    css = stylesheet()

    @app.get("/palate.css", include_in_schema=False)
    def styles() -> Response:
        return Response(
            css,
            media_type="text/css",
            headers={"Cache-Control": "public, max-age=31536000, immutable"},
        )

    with warnings.catch_warnings():  # it warns that it switches off what we switch off
        warnings.filterwarnings("ignore", message="SSR mode is not supported")
        gr.mount_gradio_app(
            app,
            _blocks(pages),
            path="",
            ssr_mode=False,
            footer_links=[],
            run_history=False,
            theme=theme(),
        )
    head = _template("head.html").substitute(
        stylesheet=stylesheet_address(), module="/static/js/shell.js"
    )
    app.add_middleware(Documents, pages=pages, head=head)
    return app


def _blocks(pages: list[Entry]) -> gr.Blocks:
    start = next(entry for entry in pages if entry.path == "/")
    with gr.Blocks(
        title="Palate", fill_width=True, fill_height=True, analytics_enabled=False
    ) as demo:
        start.build()
    for entry in pages:
        if entry is not start:
            with demo.route(entry.title, f"/{entry.slug}", show_in_navbar=False):
                entry.build()
    return demo


def _one_page(config: str, who: dict[str, Any]) -> str:
    """Gradio's settings with this page as their only one, drawn for whoever asks.

    Gradio's script looks its page up by the address, which is ours and which it does not know.
    """
    data = json.loads(config)
    shown = html.escape(json.dumps(who, separators=(",", ":")))
    for part in data["components"]:
        value = part["props"].get("value")
        if isinstance(value, str):
            value = LINK.sub(lambda link: link[0] if users.may(who, link[1]) else "", value)
            part["props"]["value"] = LONE.sub("", value).replace(WHO, shown)
    data["page"] = {"": data["page"][data["current_page"]]}
    data.update(pages=[["", "Palate", False]], current_page="")
    return json.dumps(data, separators=(",", ":")).replace("<", "\\u003c")


class Documents:
    """Serves page addresses from Gradio's routes and puts the head into the HTML."""

    def __init__(self, app: ASGIApp, *, pages: list[Entry], head: str) -> None:
        self.app, self.head = app, head
        self.routes = [(compile_path(entry.path)[0], entry) for entry in pages]
        self.nowhere = next(entry for entry in pages if entry.path == NOWHERE)
        self.closed = next(entry for entry in pages if entry.path == FORBIDDEN)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass everything through; rewrite requests for pages, and their answers."""
        entry = self._entry(scope["path"]) if scope["type"] == "http" else None
        if scope.get(door.CLOSED):
            return await self._serve(self.closed, scope, receive, send)
        if entry is None:
            if not _wants_page(scope):
                return await self.app(scope, receive, _with_headers(scope, send))
            found = _Found(_with_headers(scope, send))
            await self.app(scope, receive, found)
            if found.is_missing:
                await self._serve(self.nowhere, scope, receive, send)
            return None
        if len(scope["path"]) > 1 and scope["path"].endswith("/"):
            query = scope["query_string"].decode("latin-1")
            address = scope["path"].rstrip("/") + (f"?{query}" if query else "")
            return await RedirectResponse(address, status_code=308)(scope, receive, send)
        return await self._serve(entry, scope, receive, send)

    async def _serve(self, entry: Entry, scope: Scope, receive: Receive, send: Send) -> None:
        inner = dict(scope, path=f"/{entry.slug}", raw_path=f"/{entry.slug}".encode())
        inner["headers"] = [h for h in scope["headers"] if h[0] != b"accept-encoding"]
        status = {NOWHERE: 404, FORBIDDEN: 403}.get(entry.path)
        found = scope.get(door.IDENTITY)
        who = {"name": found.user["name"], "role": found.user["role"]} if found else NOBODY
        shown_in = language.language_of(HTTPConnection(scope))
        await self.app(inner, receive, _Rewrite(send, self.head, who, shown_in, status))

    def _entry(self, path: str) -> Entry | None:
        if path.startswith("//"):  # would leave this host if sent back as a redirect
            return None
        trimmed = path.rstrip("/") or "/"
        return next((entry for pattern, entry in self.routes if pattern.match(trimmed)), None)


def _with_headers(scope: Scope, send: Send) -> Send:
    """Scripts and styles of ours are asked for again after an update; nothing is sniffed."""
    if scope["type"] != "http":
        return send

    async def sender(message: Message) -> None:
        if message["type"] == "http.response.start":
            headers = MutableHeaders(scope=message)
            headers.setdefault("X-Content-Type-Options", "nosniff")
            if scope["path"].startswith("/static/js/"):
                headers["Cache-Control"] = "no-cache"
        await send(message)

    return sender


def _wants_page(scope: Scope) -> bool:
    """Whether a person's browser asks for something to look at."""
    if scope["type"] != "http" or scope["method"] != "GET" or scope["path"].startswith(NO_PAGES):
        return False
    return "text/html" in Headers(scope=scope).get("accept", "")


class _Found:
    """Passes an answer on unless it is a 404, which it keeps to itself."""

    def __init__(self, send: Send) -> None:
        self.send, self.is_missing = send, False

    async def __call__(self, message: Message) -> None:
        """One ASGI message of the answer."""
        if message["type"] == "http.response.start":
            self.is_missing = message["status"] == 404
        if not self.is_missing:
            await self.send(message)


class _Rewrite:
    """Collects an HTML answer and sends it on with our head in place of Gradio's preview tags."""

    def __init__(
        self, send: Send, head: str, who: dict[str, Any], shown_in: str, status: int | None = None
    ) -> None:
        self.send, self.head, self.who, self.status = send, head, who, status
        self.shown_in = shown_in
        self.start: Message | None = None
        self.body = b""

    async def __call__(self, message: Message) -> None:
        """One ASGI message of the answer."""
        if message["type"] == "http.response.start":
            self.start = {**message, "status": self.status or message["status"]}
            return
        self.body += message.get("body", b"")
        if message.get("more_body") or self.start is None:
            return
        if "text/html" in Headers(raw=self.start["headers"]).get("content-type", ""):
            self.body = self._page(self.body.decode()).encode()
        headers = MutableHeaders(scope=self.start)
        headers["Content-Length"] = str(len(self.body))
        headers["Cache-Control"] = "no-store"
        headers["X-Content-Type-Options"] = "nosniff"
        headers["Referrer-Policy"] = "same-origin"
        await self.send(self.start)
        await self.send({"type": "http.response.body", "body": self.body})

    def _page(self, text: str) -> str:
        text = CONFIG.sub(
            lambda found: f"window.gradio_config = {_one_page(found[1], self.who)};</script>", text
        )
        text = FOREIGN.sub("", text).replace('<base href="./" />', '<base href="/" />', 1)
        text = HTML.sub(rf'\1"{self.shown_in}"', text, count=1)
        text = text.replace("<head>", "<head>" + language.head(self.shown_in), 1)
        return text.replace("</head>", self.head + "</head>", 1)
