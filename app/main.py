"""Puts the studio's web side together: API, media, static files, pages. No logic lives here.

`python -m app.main` serves it as the settings say; `create_app()` is the ASGI app for anything
else.
"""

from __future__ import annotations

import logging
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import FastAPI
from fastapi.staticfiles import StaticFiles
from starlette.responses import Response

from app import api, entrance, language
from app.api.guard import Guard
from app.api.live import Live
from app.door import Door
from app.shell import mount_pages
from app.vendor import mount_vendor
from backend.errors import EnvironmentProblem, PalateError
from backend.services import sign_ins
from backend.services.studio import Studio, open_studio
from backend.settings import ROOT, Settings, settings

log = logging.getLogger(__name__)

STATIC_CACHE_S = 3600
GRACE_S = 3
"""Open streams are given this long when the app is stopped."""


class Static(StaticFiles):
    """Static files that a browser may keep, but asks about again after an hour."""

    def file_response(self, *args: object, **options: object) -> Response:
        """As Starlette's, with caching."""
        response = super().file_response(*args, **options)  # type: ignore[arg-type]
        response.headers.setdefault("Cache-Control", f"public, max-age={STATIC_CACHE_S}")
        return response


def create_app(studio: Studio | None = None) -> FastAPI:
    """The whole web side on one studio; opens (and migrates) the one of the settings by default."""
    chosen = settings() if studio is None else studio.settings
    opened = studio or open_studio(chosen, migrate=True)
    chosen.refuse_open_bind(sign_ins.has_accounts(opened))

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        yield
        await app.state.live.close()
        if studio is None:
            opened.close()

    app = FastAPI(
        title="Palate",
        version=_version(),
        summary="Preference data and RL runs on image models.",
        docs_url=None,  # Swagger's page comes from a foreign host; app/api/reference.py is ours
        openapi_url=f"{api.PREFIX}/openapi.json",
        redoc_url=None,
        lifespan=lifespan,
    )
    app.state.studio = opened
    app.state.live = Live(opened)
    api.install(app)
    app.mount("/static", Static(directory=ROOT / "static"), name="static")
    mount_vendor(app)
    app.include_router(language.router)
    app.include_router(entrance.router)
    mount_pages(app)
    app.add_middleware(Door, studio=opened)
    app.add_middleware(Guard, settings=chosen)
    return app


def serve() -> int:
    """Serve until a signal asks for the end; returns the exit code."""
    import uvicorn

    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        chosen = settings()
        _refuse_taken_port(chosen)
        app = create_app()
    except PalateError as error:
        sys.stderr.write(f"palate: {error}\n")
        return 1
    uvicorn.run(
        app,
        host=chosen.host,
        port=chosen.port,
        log_level="warning",
        timeout_graceful_shutdown=GRACE_S,
        server_header=False,
        forwarded_allow_ips=chosen.trusted_proxies,
    )
    return 0


def _refuse_taken_port(chosen: Settings) -> None:
    """Raise while it is still cheap if the address cannot be listened on."""
    family = socket.AF_INET6 if ":" in chosen.host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((chosen.host, chosen.port))
        except OSError as error:
            raise EnvironmentProblem(
                f"Port {chosen.port} of {chosen.host} cannot be used ({error.strerror}); stop what "
                "listens there, or choose another with PALATE_PORT."
            ) from None


def _version() -> str:
    try:
        return version("palate")
    except PackageNotFoundError:
        return "0"


if __name__ == "__main__":
    sys.exit(serve())
