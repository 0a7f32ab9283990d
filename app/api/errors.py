"""Every refusal in one shape: {"error": a sentence, "field": a dotted path or null}."""

from __future__ import annotations

import logging
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from starlette.exceptions import HTTPException

from backend.errors import PalateError

log = logging.getLogger(__name__)

OURS = ("/api/", "/media/", "/healthz", "/readyz")
PLACES = ("body", "query", "path", "header")


def install(app: FastAPI) -> None:
    """Answer errors of our own routes with sentences."""
    app.add_exception_handler(PalateError, _refused)
    app.add_exception_handler(RequestValidationError, _invalid)
    app.add_exception_handler(HTTPException, _http)
    app.add_exception_handler(Exception, _unexpected)


def answer(status: int, sentence: str, field: str | None = None, **more: Any) -> JSONResponse:
    """The one shape of a refusal."""
    return JSONResponse({"error": sentence, "field": field, **more}, status)


async def _refused(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, PalateError)
    more = {}
    problems = getattr(error, "problems", None)
    if problems is not None:
        more["problems"] = problems
    return answer(error.status, str(error), getattr(error, "field", None), **more)


async def _invalid(_request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)
    faults = error.errors()
    sentences = []
    for fault in faults[:5]:
        path = _path(fault["loc"])
        if fault["type"] == "json_invalid":
            sentences.append("The body of the request is not valid JSON.")
        elif fault["type"] == "missing":
            sentences.append(f"'{path or 'the body'}' is missing.")
        elif fault["type"] == "extra_forbidden":
            sentences.append(f"'{path}' is not a key of this request.")
        else:
            given = repr(fault.get("input"))
            given = given if len(given) < 60 else given[:57] + "..."
            sentences.append(f"'{path}' was given {given}: {str(fault['msg']).lower()}.")
    return answer(422, " ".join(sentences), _path(faults[0]["loc"]) or None)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)
    path = request.url.path
    sentence = str(error.detail)
    if error.status_code == 404:
        sentence = f"There is nothing at {path}."
    elif error.status_code == 405:
        sentence = f"{path} does not take {request.method} requests."
    reply = answer(error.status_code, sentence)
    reply.headers.update(error.headers or {})
    return reply


async def _unexpected(request: Request, error: Exception) -> JSONResponse:
    log.error("%s %s failed.", request.method, request.url.path, exc_info=error)
    return answer(
        500,
        f"Something went wrong inside the studio ({type(error).__name__}); it is in the log of the "
        "app. Nothing of this request was saved.",
    )


def _path(loc: tuple[int | str, ...]) -> str:
    parts = loc[1:] if loc and loc[0] in PLACES else loc
    return ".".join(str(part) for part in parts if not (isinstance(part, int) and len(parts) == 1))
