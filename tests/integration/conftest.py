"""What the tests of the API share: the API alone, without the pages."""

from __future__ import annotations

import functools

import pytest
from fastapi import FastAPI
from starlette.routing import BaseRoute

from app import api
from app.api import errors
from app.api.live import Live
from backend.services.studio import Studio

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
