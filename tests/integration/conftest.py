"""What the tests of the API share: the API alone, without the pages."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from app import api
from app.api.live import Live
from backend.services.studio import Studio

SCHEMA = "/api/v1/openapi.json"


def api_of(studio: Studio) -> FastAPI:
    """Every route of the API on a studio, with its description."""
    app = FastAPI(openapi_url=SCHEMA, docs_url=None)
    app.state.studio, app.state.live = studio, Live(studio)
    api.install(app)
    return app


@pytest.fixture
def api_app(services: Studio) -> FastAPI:
    """The API on a studio that is empty."""
    return api_of(services)
