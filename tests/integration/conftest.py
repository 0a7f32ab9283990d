"""What the tests of the API share: the API without the pages, alone or behind its door."""

from __future__ import annotations

import functools
from typing import Any

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from app import api
from app.api import errors
from app.api.guard import Guard
from app.api.live import Live
from app.door import Door
from backend.services import accounts
from backend.services.studio import Studio
from tests.persons import PASSWORD

SCHEMA = "/api/v1/openapi.json"


@functools.cache
def _routes() -> list[BaseRoute]:
    """Made once: that takes longer than most tests of the API."""
    app = FastAPI(openapi_url=None)
    api.install(app)
    return list(app.routes)


def api_of(studio: Studio) -> FastAPI:
    """Every route of the API on a studio, with its description."""
    app = FastAPI(openapi_url=SCHEMA, docs_url=None)
    app.state.studio, app.state.live = studio, Live(studio)
    app.router.routes.extend(_routes())
    errors.install(app)
    return app


@pytest.fixture
def api_app(services: Studio) -> FastAPI:
    """The API on a studio that is empty."""
    return api_of(services)


@pytest.fixture
def app(services: Studio) -> FastAPI:
    """The API behind its door and guard, without the pages."""
    made = api_of(services)
    made.add_middleware(Door, studio=services)
    made.add_middleware(Guard, settings=services.settings)
    return made


@pytest.fixture
def ada(services: Studio) -> dict[str, Any]:
    """An admin; from now on people sign in."""
    return accounts.add(services, "Ada", "admin", PASSWORD)


@pytest.fixture
def bo(services: Studio, ada: dict[str, Any]) -> dict[str, Any]:
    """An annotator."""
    return accounts.add(services, "Bo", "annotator", PASSWORD, by=ada)
