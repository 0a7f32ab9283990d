"""Requests nobody would write, drawn from the API's own description: none makes the server fail.

A few for every operation, from the same seed each time. `FUZZ_SECONDS=600` goes on for ten
minutes with new ones.
"""

from __future__ import annotations

import itertools
import os
import time
from typing import Any

import pytest
import schemathesis
from fastapi import FastAPI
from hypothesis import HealthCheck, Phase, given, seed, settings

from backend.services.studio import Studio
from tests import factory
from tests.integration.conftest import SCHEMA

SECONDS = float(os.environ.get("FUZZ_SECONDS", "0"))
FEW = 3
"""Requests for an operation and round."""
STREAMS = ("/events", "/stream")
"""Ends of addresses that never end."""


@pytest.fixture
def app(services: Studio, api_app: FastAPI) -> FastAPI:
    """The API alone, on a project with something of everything in it."""
    made = factory.project(services)
    assert made.pairs
    return api_app


@pytest.mark.timeout(1800 + SECONDS)
@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_no_request_makes_the_server_fail(app: FastAPI) -> None:
    schema = schemathesis.openapi.from_asgi(SCHEMA, app)
    operations = [found.ok() for found in schema.get_all_operations()]
    asked = [
        one
        for one in operations
        if one.path.startswith("/api/v1/") and not one.path.endswith(STREAMS)
    ]
    assert len(asked) > 80
    until = time.monotonic() + SECONDS
    sent = 0
    for number in itertools.count():
        for operation in asked:
            sent += _fuzz(operation, number)
        if time.monotonic() >= until:
            break
    print(f"{sent} requests to {len(asked)} operations")


def _fuzz(operation: Any, number: int) -> int:
    sent = 0

    @seed(number)
    @settings(
        max_examples=FEW,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def run(case: Any) -> None:
        nonlocal sent
        sent += 1
        answer = case.call()
        assert answer.status_code < 500, (
            f"{case.method} {case.formatted_path} {case.query} {case.body!r:.500}: "
            f"{answer.status_code} {answer.text[:300]}"
        )

    run()
    return sent
