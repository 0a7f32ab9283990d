"""Browser windows that tests use one after the other.

A page in a renderer that has drawn pages of the studio before costs a third of the processor's time
of one in a new renderer, whose scripts must be fetched and compiled first. So a window is emptied
after a test (what it kept, its cookies, its routes and listeners) and lent to the next that asks
for one like it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from playwright.sync_api import Browser, BrowserContext, Error, Page

SCREENSHOTS = Path(__file__).parent / "screenshots"
READY_MS = 60_000
PATIENCE_MS = 60_000
"""Of whatever a test waits for; a machine may do much else meanwhile."""
WORK_MS = 240_000
"""Of what the studio's own workers are asked for: they may have something else to do first."""
HARMLESS = ("Connection errored out", "net::ERR_INTERNET_DISCONNECTED", "net::ERR_FAILED")
"""What a page may say when the test itself took the network away or left in mid-load."""
BLANK = "/healthz"
"""An address of the studio without a script; another origin would get another renderer."""

Kind = tuple[Any, ...]


@dataclass
class Visitor:
    """One person's browser window on the studio."""

    url: str
    context: BrowserContext
    page: Page
    complaints: list[str] = field(default_factory=list)
    _heard: list[tuple[Page, str, Callable[..., None]]] = field(default_factory=list)

    def go(self, path: str) -> Page:
        """Open a page and wait until its module has drawn it."""
        self.page.goto(self.url + path)
        self.ready()
        return self.page

    def ready(self) -> None:
        """Wait until the module of the page has drawn it."""
        self.page.wait_for_function("document.documentElement.dataset.ready", timeout=READY_MS)

    def shoot(self, name: str) -> Path:
        """A screenshot of what is seen now, its pictures being there."""
        SCREENSHOTS.mkdir(exist_ok=True)
        path = SCREENSHOTS / f"{name}.png"
        self.page.wait_for_function(
            "Array.from(document.images).every(i => i.complete || i.loading == 'lazy'"
            " && i.getBoundingClientRect().top > innerHeight)"
        )
        self.page.screenshot(path=path)
        return path

    def hear(self, event: str, handler: Callable[..., None]) -> None:
        """Listen to the page until the test is over."""
        self.page.on(event, handler)  # type: ignore[call-overload]
        self._heard.append((self.page, event, handler))

    def watch(self) -> None:
        """Write down errors in the console and requests to another host."""
        self.hear("console", lambda message: self._listen(message.type, message.text))
        self.hear("pageerror", lambda error: self.complaints.append(str(error)))
        self.hear("request", lambda request: self._stay_here(request.url))

    def hear_nothing_more(self) -> None:
        """Take every listener off."""
        for page, event, handler in self._heard:
            page.remove_listener(event, handler)
        self._heard.clear()

    def _listen(self, kind: str, text: str) -> None:
        if kind == "error" and not any(part in text for part in HARMLESS):
            self.complaints.append(text)

    def _stay_here(self, url: str) -> None:
        if not url.startswith((self.url, "data:", "blob:")):
            self.complaints.append(f"asked a foreign host: {url}")


class Windows:
    """Windows that are lent and taken back, by what cannot be changed while they are open."""

    def __init__(self, browser: Browser) -> None:
        self._browser = browser
        self._free: dict[Kind, list[Page]] = {}
        self._kinds: dict[Page, Kind | None] = {}

    def lend(self, width: int, height: int, theme: str, fresh: bool, more: dict[str, Any]) -> Page:
        """A page of this size and theme that has nothing of another test; `fresh` for a test that
        leaves what cannot be taken off, like a script of every page."""
        is_phone = width < 500
        kind = (is_phone, *((width, height) if is_phone else ()), *sorted(more.items()))
        free = self._free.get(kind, [])
        if free and not fresh:
            page = free.pop()
        else:
            size = {"width": width, "height": height}
            page = self._browser.new_context(
                viewport=size,  # type: ignore[arg-type]
                has_touch=is_phone,
                is_mobile=is_phone,
                **more,
            ).new_page()
            page.context.set_default_timeout(PATIENCE_MS)
            self._kinds[page] = None if fresh else kind
        if not is_phone:
            page.set_viewport_size({"width": width, "height": height})
        page.emulate_media(color_scheme="dark" if theme == "dark" else "light")
        return page

    def take_back(self, visitor: Visitor) -> None:
        """Empty a window for the next test, or close it if it cannot be emptied."""
        page = visitor.page
        kind = self._kinds.get(page)
        try:
            if kind is None or visitor.context.pages != [page]:
                raise Error("not a window to lend again")
            page.unroute_all(behavior="ignoreErrors")
            page.goto(visitor.url + BLANK)
            page.evaluate("localStorage.clear(); sessionStorage.clear()")
            page.mouse.move(0, 0)
            visitor.context.clear_cookies()
        except Error:
            self._kinds.pop(page, None)
            visitor.context.close()
            return
        self._free.setdefault(kind, []).append(page)
