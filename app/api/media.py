"""/media/{hash}: pictures by their content's hash, cached for ever, never run as a page.

Researchers may see every picture; an annotator those whose sealed address they were given.
"""

from __future__ import annotations

import re

from fastapi import APIRouter, Request
from fastapi.responses import FileResponse, Response

from app import door
from app.api.deps import StudioDep
from backend.errors import NotFound
from backend.services import thumbnails

router = APIRouter(tags=["media"])
HASH = re.compile(r"[0-9a-f]{64}")
HEADERS = {
    "Cache-Control": "private, max-age=31536000, immutable",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "X-Content-Type-Options": "nosniff",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@router.get("/media/{name}", response_class=FileResponse)
def media(name: str, request: Request, studio: StudioDep, side: int | None = None) -> Response:
    """A file by the SHA-256 of its content; its name says nothing else. With `side` (128, 256 or
    512) a picture that is larger comes as a small copy."""
    door.may_see(studio, request, name)
    if not HASH.fullmatch(name):
        raise NotFound(f"'{name[:80]}' is not the name of a file; names are 64 hexadecimal digits.")
    tag = f'"{name}"' if side is None else f'"{name}-{side}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers={**HEADERS, "ETag": tag})
    headers = {**HEADERS, "ETag": tag}
    path = studio.media.local_path(name) if side is None else thumbnails.path(studio, name, side)
    small = path.suffix == ".webp"
    kind = "image/webp" if small else studio.media.content_type(name)
    return FileResponse(path, media_type=kind, headers=headers)
