"""Live runs: one task reads new events from the store and hands them to every open page.

Fifty pages must not mean fifty polls, so there is one poll per process, and none while nobody
listens.
"""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import AsyncIterator
from typing import Any

from starlette.concurrency import run_in_threadpool

from backend.services import events
from backend.services.events import Signal
from backend.services.studio import Studio

log = logging.getLogger(__name__)

POLL_S = 0.1
"""One look by an index, about a millisecond, however many pages listen."""
WAITING = 2000
"""Signals that may wait for one slow page before it is cut off; it then resumes by its last id."""
REMEMBERED = 20_000
LONGEST_S = 600.0
"""A stream ends after this; its page asks again where it was, and so is asked again who it is."""

Inbox = asyncio.Queue[Signal | None]


class Live:
    """Fans the store's events out to the pages that follow a run."""

    def __init__(self, studio: Studio, longest_s: float = LONGEST_S) -> None:
        self.studio, self.longest_s = studio, longest_s
        self._inboxes: dict[int, set[Inbox]] = {}
        self._task: asyncio.Task[None] | None = None
        self._started = asyncio.Event()

    async def stream(self, run_id: int, resume: int | None) -> AsyncIterator[dict[str, Any]]:
        """Messages for one page, for a while; with `resume`, first what came after that id."""
        inbox: Inbox = asyncio.Queue(WAITING)
        self._inboxes.setdefault(run_id, set()).add(inbox)
        try:
            await self._run()
            last = resume or 0
            told: set[int] = set()
            if resume is not None:
                for signal in await run_in_threadpool(events.of_run, self.studio, run_id, resume):
                    told.add(signal.id)
                    last = max(last, signal.id)
                    yield message(signal, last)
            until = asyncio.get_running_loop().time() + self.longest_s
            while (live := await _next(inbox, until)) is not None:
                if live.id not in told:
                    last = max(last, live.id)
                    yield message(live, last)
        finally:
            self._inboxes[run_id].discard(inbox)
            if not self._inboxes[run_id]:
                del self._inboxes[run_id]

    async def close(self) -> None:
        """End every stream and the task."""
        for inbox in [inbox for group in self._inboxes.values() for inbox in group]:
            _put(inbox, None)
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _run(self) -> None:
        """Start the task unless it runs; returns when it knows where the events end now."""
        if self._task is None or self._task.done():
            self._started = asyncio.Event()
            self._task = asyncio.create_task(self._tail())
        await self._started.wait()

    async def _tail(self) -> None:
        try:
            last = await run_in_threadpool(events.newest_id, self.studio)
            known = await run_in_threadpool(events.after, self.studio, last)
            seen = {signal.id for signal in known}
        finally:
            self._started.set()
        while self._inboxes:
            try:
                found = await run_in_threadpool(events.after, self.studio, last)
            except Exception as error:  # noqa: BLE001 - the store may be away for a moment
                log.warning("The live events could not be read: %s", error)
                await asyncio.sleep(4 * POLL_S)
                continue
            for signal in found:
                if signal.id not in seen:
                    seen.add(signal.id)
                    last = max(last, signal.id)
                    self._hand_out(signal)
            if len(seen) > REMEMBERED:
                seen = {known_id for known_id in seen if known_id > last - REMEMBERED // 2}
            if len(found) < events.PAGE:
                await asyncio.sleep(POLL_S)

    def _hand_out(self, signal: Signal) -> None:
        for inbox in self._inboxes.get(signal.run_id or 0, ()):
            _put(inbox, signal)


async def _next(inbox: Inbox, until: float) -> Signal | None:
    """What comes next, or None when the stream is over."""
    try:
        async with asyncio.timeout_at(until):
            return await inbox.get()
    except TimeoutError:
        return None


def message(signal: Signal, last: int) -> dict[str, Any]:
    """One server-sent event. `last` is the highest id sent, so that the ids never fall."""
    data = {
        "run_id": signal.run_id,
        "level": signal.level,
        "text": signal.text,
        "at": signal.at,
        **signal.data,
    }
    return {"event": signal.kind, "id": str(last), "data": json.dumps(data)}


def _put(inbox: Inbox, signal: Signal | None) -> None:
    """A page that does not keep up is cut off instead of holding everything in memory."""
    if inbox.full():
        while not inbox.empty():
            inbox.get_nowait()
        signal = None
    inbox.put_nowait(signal)
