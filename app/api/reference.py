"""/api/v1/docs: the API to read, drawn from its OpenAPI description. No script, no foreign host."""

from __future__ import annotations

import html
import re
from collections.abc import Iterator
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
STYLE = """
body { margin: 0; background: var(--bg); color: var(--text); font: var(--t-body); }
nav { position: fixed; inset: 0 auto 0 0; width: 200px; overflow: auto; padding: 16px; }
nav, header { box-sizing: border-box; border-right: 1px solid var(--line); }
nav a { display: block; padding: 2px 0; color: var(--muted); }
nav a:hover, a { color: var(--accent); text-decoration: none; }
main { margin-left: 200px; padding: 16px 24px 64px; max-width: 960px; }
h1 { font: var(--t-title); margin: 0 0 4px; }
h2 { font: var(--t-title); margin: 32px 0 8px; padding-bottom: 4px; }
h2, section { border-bottom: 1px solid var(--line); }
section { padding: 12px 0; }
h3 { font: 600 13px/20px var(--mono); margin: 0; overflow-wrap: anywhere; }
h3 b { display: inline-block; min-width: 56px; color: var(--muted); }
p { margin: 4px 0 0; }
table { border-collapse: collapse; width: 100%; margin-top: 8px; font: var(--t-meta); }
caption { text-align: left; color: var(--muted); padding: 4px 0; }
td { border-top: 1px solid var(--line); padding: 4px 12px 4px 0; vertical-align: top; }
td:first-child { width: 180px; overflow-wrap: anywhere; }
td:nth-child(2) { width: 190px; color: var(--muted); }
td:first-child, td:nth-child(2), code { font-family: var(--mono); }
:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
@media (max-width: 640px) {
  nav { position: static; width: auto; } main { margin: 0; } td { width: auto !important; }
}
"""
INTRODUCTION = """Requests and answers are JSON unless a route says otherwise. A refusal is
<code>{"error": a sentence, "field": a dotted path or null}</code>. An unknown key in a body is
refused. A program sends a key of its owner as <code>Authorization: Bearer</code>; while nobody
signs in, on this machine alone, it needs none. A browser's page must be one of the studio."""


@router.get("/docs", response_class=HTMLResponse)
def reference(request: Request) -> HTMLResponse:
    """Every route with what it takes."""
    api: Json = request.app.openapi()
    groups: dict[str, list[str]] = {}
    for path, methods in api["paths"].items():
        for method, route in methods.items():
            tag = (route.get("tags") or ["other"])[0]
            groups.setdefault(tag, []).append(_route(api, method, path, route))
    links = "".join(f'<a href="#{_id(tag)}">{html.escape(tag)}</a>' for tag in groups)
    parts = "".join(
        f'<h2 id="{_id(tag)}">{html.escape(tag)}</h2>{"".join(routes)}'
        for tag, routes in groups.items()
    )
    title = f"{api['info']['title']} API {api['info']['version']}"
    page = (
        f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{title}</title>'
        '<meta name="viewport" content="width=device-width"><meta name="color-scheme" '
        'content="light dark"><link rel="icon" href="/static/favicon.svg" type="image/svg+xml">'
        f'<link rel="stylesheet" href="/static/css/tokens.css"><style>{STYLE}</style></head><body>'
        f'<nav aria-label="Nouns"><a href="/">Palate</a>{links}</nav><main><h1>{title}</h1>'
        f'<p>{INTRODUCTION} <a href="openapi.json">openapi.json</a></p>{parts}</main></body></html>'
    )
    return HTMLResponse(page, headers={"Content-Security-Policy": "script-src 'none'"})


def _route(api: Json, method: str, path: str, route: Json) -> str:
    body = route.get("requestBody", {}).get("content", {}).get("application/json", {})
    tables = [_table("in the address", list(_parameters(api, route)))]
    if body:
        tables.append(_table("in the body", list(_properties(api, body["schema"]))))
    return (
        f"<section><h3><b>{method.upper()}</b> {html.escape(path)}</h3>"
        f"<p>{_prose(route.get('description') or route.get('summary', ''))}</p>"
        f"{''.join(tables)}</section>"
    )


def _parameters(api: Json, route: Json) -> Iterator[tuple[str, str, str]]:
    for given in route.get("parameters", ()):
        schema = given["schema"]
        told = given.get("description") or schema.get("description", "")
        yield given["name"], _kind(api, schema, bool(given.get("required"))), told


def _properties(api: Json, schema: Json) -> Iterator[tuple[str, str, str]]:
    found = _resolved(api, schema)
    needed = set(found.get("required", ()))
    for name, value in found.get("properties", {}).items():
        yield name, _kind(api, value, name in needed), value.get("description", "")


def _kind(api: Json, schema: Json, is_needed: bool) -> str:
    """A type in a few words, with its default or that it has to be given."""
    default = schema.get("default")
    words = _type(api, schema)
    if is_needed:
        return f"{words}, needed"
    return words if default in (None, "", [], {}) else f"{words} = {default}"


def _type(api: Json, schema: Json) -> str:
    found = _resolved(api, schema)
    if "enum" in found:
        return " | ".join(map(str, found["enum"]))
    if "anyOf" in found:
        kinds = [_type(api, one) for one in found["anyOf"]]
        return " | ".join(kind for kind in kinds if kind != "null")
    if found.get("type") == "array":
        return f"list of {_type(api, found.get('items', {}))}"
    return str(found.get("const", found.get("type", "anything")))


def _resolved(api: Json, schema: Json) -> Json:
    name = schema.get("$ref", "").rpartition("/")[2]
    found: Json = api["components"]["schemas"][name] if name else schema
    return found


def _table(caption: str, rows: list[tuple[str, str, str]]) -> str:
    if not rows:
        return ""
    cells = "".join(
        f"<tr><td>{html.escape(name)}</td><td>{html.escape(kind)}</td><td>{_prose(told)}</td></tr>"
        for name, kind, told in rows
    )
    return f"<table><caption>{caption}</caption>{cells}</table>"


def _prose(text: str) -> str:
    """Docstrings as HTML: `code` is the only markup they have."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", html.escape(text))


def _id(tag: str) -> str:
    return html.escape(tag.replace(" ", "-"))
