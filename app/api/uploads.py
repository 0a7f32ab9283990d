"""Bodies that are files: received into a file under a name of ours, never held in memory."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from fastapi import Request
from starlette.concurrency import run_in_threadpool

from backend.errors import InputError

T = TypeVar("T")


async def uploaded(request: Request, take: Callable[[Path], T], at_most: int) -> T:
    """Receive the body of a request, at most so many bytes, and hand its file over, off the event
    loop."""
    with tempfile.NamedTemporaryFile(prefix="palate-upload-") as file:
        size = 0
        async for chunk in request.stream():
            size += len(chunk)
            if size > at_most:
                raise InputError(f"The upload is larger than {_told(at_most)}; send less at once.")
            await run_in_threadpool(file.write, chunk)
        await run_in_threadpool(file.flush)
        return await run_in_threadpool(take, Path(file.name))


def _told(size: int) -> str:
    return f"{size // 10**9} GB" if size >= 10**9 else f"{size // 10**6} MB"
