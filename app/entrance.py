"""The two pages before the door, /sign-in and /join/{secret}, and the way by a provider and back.

They stand outside Gradio, which is for who is in: a document of ours (static/entrance.html) in the
same look, with one module (static/js/entrance.js) and nothing that tells about the studio.
"""

from __future__ import annotations

import html
from string import Template
from urllib.parse import quote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from app.api import sign_in
from app.api.deps import StudioDep
from app.language import head, language_of
from app.shell import STATIC, stylesheet_address
from backend.errors import PalateError
from backend.services import oidc, sign_ins

router = APIRouter(include_in_schema=False)
TITLES = {"sign_in": "Sign in", "join": "Come in"}
TRIP = "palate_oidc"
"""The cookie that waits in the browser while somebody is at the provider."""
HEADERS = {"Cache-Control": "no-store", "Referrer-Policy": "no-referrer"}
"""The address of an invitation is a secret: nobody is told of it."""


@router.get("/sign-in", response_class=HTMLResponse)
def sign_in_page(request: Request) -> HTMLResponse:
    """Name and password, or the provider."""
    return _document("sign_in", language_of(request))


@router.get("/join/{secret}", response_class=HTMLResponse)
def join_page(secret: str, request: Request) -> HTMLResponse:
    """Where an invitation leads; the module asks the API what it is for."""
    return _document("join", language_of(request))


@router.get("/sign-in/provider")
def to_provider(studio: StudioDep, request: Request, next: str = "/", invite: str = "") -> Response:
    """Send the browser to the provider."""
    try:
        address, cookie = oidc.begin(studio, _callback(request), safe_path(next), invite)
    except PalateError as error:
        return _sent_back(str(error))
    response = RedirectResponse(address, status_code=303, headers=HEADERS)
    response.set_cookie(
        TRIP,
        cookie,
        max_age=oidc.LASTS_S,
        httponly=True,
        samesite="lax",
        secure=request.url.scheme == "https",
        path="/sign-in",
    )
    return response


@router.get("/sign-in/callback")
def from_provider(
    studio: StudioDep, request: Request, state: str = "", code: str = "", error: str = ""
) -> Response:
    """The browser is back: let in whom the provider names, or say why not."""
    try:
        if error:
            return _sent_back(f"The provider did not let you in ({error[:80]}).")
        cookie = request.cookies.get(TRIP, "")
        user, then = oidc.finish(studio, _callback(request), cookie, state, code)
    except PalateError as problem:
        return _sent_back(str(problem))
    response = RedirectResponse(safe_path(then), status_code=303, headers=HEADERS)
    response.delete_cookie(TRIP, path="/sign-in")
    opened = sign_ins.open_for(studio, user["id"], **sign_in.about(request))
    sign_in.let_in(studio, request, response, opened)
    return response


def safe_path(address: str) -> str:
    """The address if it is one of this studio, else the start page."""
    is_ours = address.startswith("/") and not address.startswith(("//", "/\\"))
    return address if is_ours and address.isprintable() and "\\" not in address else "/"


def _callback(request: Request) -> str:
    return str(request.url_for("from_provider"))


def _sent_back(sentence: str) -> Response:
    address = f"/sign-in?error={quote(sentence)}"
    response = RedirectResponse(address, status_code=303, headers=HEADERS)
    response.delete_cookie(TRIP, path="/sign-in")
    return response


def _document(kind: str, language: str) -> HTMLResponse:
    text = Template((STATIC / "entrance.html").read_text()).substitute(
        title=html.escape(TITLES[kind]),
        kind=kind,
        language=language,
        first=head(language),
        head=Template((STATIC / "head.html").read_text()).substitute(
            stylesheet=stylesheet_address(), module="/static/js/entrance.js"
        ),
    )
    return HTMLResponse(text, headers=HEADERS)
