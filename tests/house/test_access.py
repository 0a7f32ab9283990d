"""Every route of the studio says who may use it, in the one table of app/access.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from starlette.routing import Mount

from app import access
from app.main import create_app
from app.shell import entries
from backend.services.studio import open_studio
from backend.settings import read_settings


@pytest.fixture(scope="module")
def routes(tmp_path_factory: pytest.TempPathFactory) -> list[tuple[str, str, bool]]:
    """(method, path, is it Gradio's own) of every route of the whole app."""
    home: Path = tmp_path_factory.mktemp("access")
    studio = open_studio(read_settings(home=home), migrate=True)
    found = list(_walk(create_app(studio).routes))
    studio.close()
    return found


def _walk(routes: list[Any], prefix: str = "", gradio: bool = False) -> Iterator[Any]:
    for route in routes:
        if hasattr(route, "effective_route_contexts"):
            yield from _walk(list(route.effective_route_contexts()), prefix, gradio)
        elif isinstance(route, Mount):
            if route.path:
                yield "GET", prefix + route.path, gradio
            else:
                yield from _walk(route.routes, prefix, True)
        else:
            for method in getattr(route, "methods", None) or ["GET"]:
                yield method, prefix + route.path, gradio


def test_every_route_of_ours_stands_in_the_table(routes: list[tuple[str, str, bool]]) -> None:
    ours = [(method, path) for method, path, gradio in routes if not gradio]
    assert ("POST", "/api/v1/label") in ours and ("GET", "/media/{name}") in ours
    numbered = [(method, path.replace("{study_id}", "7")) for method, path in ours]
    silent = [f"{m} {p}" for m, p in numbered if access.least(m, p) is None]
    assert silent == []
    pages = [entry.path for entry in entries() if access.least("GET", entry.path) is None]
    assert pages == []


def test_gradios_own_routes_are_closed_but_for_what_its_pages_need(
    routes: list[tuple[str, str, bool]],
) -> None:
    own = {path for _, path, gradio in routes if gradio}
    assert "/config" in own and any(path.startswith("/gradio_api/queue") for path in own)
    opened = {
        path.split("{")[0].rstrip("/") or "/"
        for path in own
        if access.least("GET", path) is not None
    }
    files = {"/svelte", "/static", "/assets", "/favicon.ico", "/theme.css", "/robots.txt"}
    assert opened - files <= {"/", *(key for key in access.LEAST if key.startswith("/gradio_api"))}


@pytest.mark.parametrize(
    ("method", "path", "least"),
    [
        ("GET", "/", "annotator"),
        ("GET", "/anything", None),
        ("GET", "/runs/7/rollouts", "researcher"),
        ("GET", "/runsheet", None),
        ("GET", "/label", "annotator"),
        ("GET", "/api/v1/labels/export", "researcher"),
        ("HEAD", "/api/v1/today", "annotator"),
        ("POST", "/api/v1/today", None),
        ("GET", "/api/v1/studies", "annotator"),
        ("POST", "/api/v1/studies", "researcher"),
        ("GET", "/api/v1/studies/7", "researcher"),
        ("GET", "/api/v1/studies/7/asked", "annotator"),
        ("GET", "/api/v1/studies/x/asked", "researcher"),
        ("PATCH", "/api/v1/people/7", "admin"),
        ("GET", "/page-run", None),
    ],
)
def test_the_nearest_row_speaks_for_an_address(method: str, path: str, least: str | None) -> None:
    assert access.least(method, path) == least
