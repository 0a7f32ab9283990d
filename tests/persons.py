"""Somebody who asks the app with a browser or a key, and the password of everybody in tests."""

from __future__ import annotations

import asyncio
from typing import Any

import httpx
import pytest
from fastapi import FastAPI

V1 = "/api/v1"
ONE_STORE = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
"""What hangs on no store is tried on one."""
PASSWORD = "four odd words do"


class Person:
    """A browser (or a program with a key) that asks the app and keeps its cookies."""

    def __init__(self, app: FastAPI, **headers: str) -> None:
        self.app, self.headers, self.cookies = app, headers, httpx.Cookies()

    def __call__(self, method: str, path: str, body: Any = None, **more: Any) -> httpx.Response:
        """One request; `path` is below /api/v1 unless it begins with a slash."""
        return asyncio.run(self._send(method, path, body, more))

    def get(self, path: str, status: int = 200) -> Any:
        """The JSON of a GET."""
        reply = self("GET", path)
        assert reply.status_code == status, reply.text
        return reply.json()

    def sign_in(self, name: str) -> Person:
        """Sign in with everybody's password."""
        reply = self("POST", "sign-in", {"name": name, "password": PASSWORD})
        assert reply.status_code == 200, reply.text
        return self

    async def _send(self, method: str, path: str, body: Any, more: Any) -> httpx.Response:
        url = path if path.startswith("/") else f"{V1}/{path}"
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(
            transport=transport,
            base_url="http://127.0.0.1:7860",
            cookies=self.cookies,
            headers={**self.headers, **more.pop("headers", {})},
        ) as http:
            reply = await http.request(method, url, json=body, **more)
            self.cookies = http.cookies
            return reply
