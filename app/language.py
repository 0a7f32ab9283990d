"""The language of whoever looks: their own choice (a cookie), else what their browser asks for.

A page in English is served as it is. In another language its document says so (`lang`), and loads
one more module, `/languages/<tag>.js`: the catalogue with the call that puts it to use
(static/js/language.js). It comes first in the head, so that it stands before anything is drawn; its
address changes with its contents, so that a browser keeps it.
"""

from __future__ import annotations

import functools
import hashlib
import json

from fastapi import APIRouter, Response
from starlette.requests import HTTPConnection

from backend.errors import NotFound
from backend.languages import ENGLISH, LANGUAGES, catalogue, preferred

router = APIRouter(include_in_schema=False)
COOKIE = "palate_language"
"""Written by static/js/languages.js; says nothing but the tag."""
ENGINE = "/static/js/language.js"


def language_of(request: HTTPConnection) -> str:
    """The language in which whoever asks wants to read."""
    chosen = request.cookies.get(COOKIE, "")
    return chosen if chosen in LANGUAGES else preferred(request.headers.get("accept-language", ""))


def head(language: str) -> str:
    """What stands first in the head of a page in that language."""
    if language == ENGLISH:
        return ""
    return f'<script type="module" src="{_address(language)}"></script>'


@router.get("/languages/{language}.js")
def language_module(language: str) -> Response:
    """The catalogue of a language as a module that puts it to use."""
    if language not in LANGUAGES or language == ENGLISH:
        raise NotFound(f"There is no catalogue for '{language}'.")
    return Response(
        _module(language),
        media_type="text/javascript",
        headers={"Cache-Control": "public, max-age=31536000, immutable"},
    )


@functools.cache
def _module(language: str) -> str:
    entries = json.dumps(dict(catalogue(language)), ensure_ascii=False, separators=(",", ":"))
    return f'import {{ begin }} from "{ENGINE}";\nbegin({entries});\n'


@functools.cache
def _address(language: str) -> str:
    found = hashlib.sha256(_module(language).encode()).hexdigest()[:12]
    return f"/languages/{language}.js?{found}"
