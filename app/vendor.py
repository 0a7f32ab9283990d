"""Scripts of others that the studio serves itself, so that no page asks a foreign host."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from fastapi import FastAPI
from starlette.responses import FileResponse, JSONResponse, Response

PLOTLY = "/vendor/plotly.min.js"
"""Where enlarged charts find Plotly (static/js/enlarge.js); 1.5 MB, loaded when one is opened."""


def mount_vendor(app: FastAPI) -> None:
    """Serve Plotly out of the installed package; its version is the package's."""

    @app.get(PLOTLY, include_in_schema=False)
    def plotly() -> Response:
        path = _packaged()
        if path is None:
            error = "The package plotly is not installed; run `make setup` to install it."
            return JSONResponse({"error": error, "field": None}, status_code=503)
        headers = {"Cache-Control": "public, max-age=86400"}
        return FileResponse(path, media_type="text/javascript", headers=headers)


def _packaged() -> Path | None:
    """The script inside the package, found without importing it."""
    spec = find_spec("plotly")
    if spec is None or spec.origin is None:
        return None
    path = Path(spec.origin).parent / "package_data" / "plotly.min.js"
    return path if path.exists() else None
