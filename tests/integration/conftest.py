"""What the tests of the API share: the API alone, without the pages."""

from __future__ import annotations

import pytest
from fastapi import FastAPI

from app import api
from app.api.live import Live
from backend.services.studio import Studio

SCHEMA = "/api/v1/openapi.json"


@pytest.fixture
def api_app(services: Studio) -> FastAPI:
    """Every route of the API on a studio that is empty, with its description."""
    app = FastAPI(openapi_url=SCHEMA, docs_url=None)
    app.state.studio, app.state.live = services, Live(services)
    api.install(app)
    return app
