"""The Label page and the same page driven by Gradio events, on one stopwatch in Chromium.

Both show the same JPEG pairs from a server in this process. The Gradio page does what such a page
would: a keyed button, an event without a queue, its answer the HTML of the next two pictures; it
stores nothing, which is to its advantage. From keydown to both pictures of the next pair being
decoded and two frames painted. That stopwatch runs on for up to two frames after the eye has seen
them; the Label page, which changes in the key's own event and whose pictures are painted in the
same frame (`decoding="sync"`), is timed by the browser itself besides: Event Timing, from the key
to the frame being presented, in steps of 8 ms. A page that changes later cannot be timed so.
"""

from __future__ import annotations

import io
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import gradio as gr
import numpy as np
import uvicorn
from fastapi import FastAPI
from fastapi.responses import FileResponse
from PIL import Image
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from app.main import create_app
from backend.services import pairs, policies, projects, prompts, samples, users
from backend.services.samples import NewSample
from backend.services.studio import Studio
from tests.conftest import free_port

SIDE = 1024
QUALITY = 88
PREFETCH = 3
LINE = 10e6 / 8
"""Bytes a second of a line of 10 Mbit/s."""
SETTLE_MS = 2000
"""Time for what a page loads behind its first pair."""
FLAGS = ("--no-sandbox", "--disable-gpu", "--no-first-run", "--disable-background-networking")
STOPWATCH = """
selector => {
  window.times = [];
  window.presented = [];
  new PerformanceObserver(list => {
    for (const entry of list.getEntries())
      if (entry.name === "keydown") window.presented.push(entry.duration);
  }).observe({type: "event", durationThreshold: 16});
  document.addEventListener("keydown", event => {
    if (event.key !== "ArrowLeft") return;
    const start = event.timeStamp;
    const shown = () => Array.from(document.querySelectorAll(selector));
    const before = shown().map(image => image.src).join();
    const look = () => {
      const images = shown();
      const follows = images.length === 2 && images.map(image => image.src).join() !== before;
      if (!follows || !images.every(image => image.complete && image.naturalWidth)) {
        setTimeout(look, 1);
        return;
      }
      Promise.all(images.map(image => image.decode())).then(() => requestAnimationFrame(() =>
        requestAnimationFrame(() => window.times.push(performance.now() - start))));
    };
    look();
  }, {capture: true});
}
"""
KEYED = """
<script>
document.addEventListener("keydown", event => {
  if (event.key === "ArrowLeft") document.querySelector("#left").click();
});
</script>
"""


@dataclass(frozen=True)
class Latency:
    """Milliseconds from a key to the next pair."""

    p50: float
    p95: float
    n: int
    presented_p50: float
    """By Event Timing; of use on the Label page only."""
    presented_p95: float

    @classmethod
    def of(cls, found: list[float], presented: list[float]) -> Latency:
        """Of what was measured."""
        return cls(*_of(found), len(found), *_of(presented))


def _of(found: list[float]) -> tuple[float, float]:
    """Median and 95th percentile."""
    p95 = statistics.quantiles(found, n=20)[18]
    return round(statistics.median(found), 1), round(p95, 1)


def measure(studio: Studio, presses: int = 50, slow_presses: int = 12) -> dict[str, object]:
    """p50 and p95 of both pages on loopback at 400 ms a judgement, and on a slow line at 3 s."""
    urls = _pairs(studio, presses + slow_presses + 12)
    found: dict[str, dict[str, Latency]] = {}
    with (
        _served(create_app(studio)) as ours,
        _served(_gradio(studio, urls)) as theirs,
        sync_playwright() as playwright,
    ):
        path = shutil.which("chromium")
        how = {"executable_path": path} if path else {"channel": "chrome"}
        browser = playwright.chromium.launch(args=list(FLAGS), **how)  # type: ignore[arg-type]
        for where, num, pause, line in (
            ("loopback", presses, 0.4, None),
            ("10 Mbit/s", slow_presses, 3.0, LINE),
        ):
            palate = _pressed(_label(browser, ours, line), ".frame img", num, pause)
            events = _pressed(_blocks(browser, theirs, line), "#pair img", num, pause)
            found[where] = {"palate": palate, "gradio": events}
        browser.close()
    return {
        where: {
            **{name: vars(latency) for name, latency in both.items()},
            "gradio_over_palate_p50": round(both["gradio"].p50 / both["palate"].p50, 1),
            "gradio_over_palate_p95": round(both["gradio"].p95 / both["palate"].p95, 1),
        }
        for where, both in found.items()
    }


def _pairs(studio: Studio, num: int) -> list[tuple[str, str]]:
    """Pairs of JPEG pictures in the queue; their addresses."""
    me = users.local(studio)["id"]
    project = projects.create(studio, "bench")["id"]
    projects.open_project(studio, me, project)
    policy = policies.create(studio, project, "bench", "sd3", {"weights": "pocket"})["id"]
    texts = "\n".join(f"prompt {number}" for number in range(num))
    made = prompts.import_text(studio, project, "bench", "train", texts)
    media = [studio.media.put(_jpeg(number)) for number in range(2 * num)]
    new = [
        NewSample(prompt_id, side, media[2 * number + side], SIDE, SIDE)
        for number, (prompt_id, _) in enumerate(prompts.texts(studio, made["id"]))
        for side in range(2)
    ]
    pairs.make(studio, project, samples.add(studio, project, policy, new))
    return [
        (samples.url(one), samples.url(two))
        for one, two in zip(media[::2], media[1::2], strict=True)
    ]


def _jpeg(number: int) -> bytes:
    """A picture with detail at all scales, some 300 kB."""
    rng = np.random.default_rng(number)
    layers = [
        np.asarray(
            Image.fromarray(rng.integers(0, 255, (size, size, 3), dtype=np.uint8)).resize(
                (SIDE, SIDE), Image.Resampling.BICUBIC
            ),
            dtype=np.float32,
        )
        for size in (8, 32, 128, 512)
    ]
    out = io.BytesIO()
    picture = np.clip(sum(layers) / len(layers), 0, 255).astype(np.uint8)
    Image.fromarray(picture).save(out, "JPEG", quality=QUALITY)
    return out.getvalue()


def _gradio(studio: Studio, urls: list[tuple[str, str]]) -> FastAPI:
    """The rival: a Blocks page whose keyed button asks for the next two pictures."""

    def html(at: int) -> str:
        both = (f'<img src="{url}" width="600" height="600">' for url in urls[at])
        return f'<div style="display:flex">{"".join(both)}</div>'

    app = FastAPI()

    @app.get("/media/{name}")
    def media(name: str) -> FileResponse:
        headers = {"Cache-Control": "private, max-age=31536000, immutable"}
        return FileResponse(studio.media.local_path(name), media_type="image/jpeg", headers=headers)

    with gr.Blocks(analytics_enabled=False) as demo:
        at = gr.State(0)
        pair = gr.HTML(html(0), elem_id="pair")
        left = gr.Button("Left", elem_id="left")
        left.click(lambda i: (i + 1, html(i + 1)), at, [at, pair], queue=False)
    gr.mount_gradio_app(app, demo, path="", ssr_mode=False, head=KEYED)
    return app


@contextmanager
def _served(app: FastAPI) -> Iterator[str]:
    port = free_port()
    server = uvicorn.Server(uvicorn.Config(app, port=port, log_level="warning"))
    thread = threading.Thread(target=server.run, daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    server.should_exit = True
    thread.join()


def _label(browser: Browser, url: str, line: float | None) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.route(
        "**/judge.js",
        lambda route: route.fulfill(
            body=_prefetch(route.fetch().text()), content_type="text/javascript"
        ),
    )
    page.goto(f"{url}/label")
    page.wait_for_selector("[data-testid=label]:not([data-pair=''])", timeout=120_000)
    return _slowed(page, line)


def _prefetch(script: str) -> str:
    """The page with as many pairs ahead as the target names."""
    changed = script.replace("const AHEAD = 5;", f"const AHEAD = {PREFETCH};")
    assert changed != script
    return changed


def _blocks(browser: Browser, url: str, line: float | None) -> Page:
    page = browser.new_page(viewport={"width": 1440, "height": 900})
    page.goto(url)
    page.wait_for_selector("#pair img", timeout=120_000)
    return _slowed(page, line)


def _slowed(page: Page, line: float | None) -> Page:
    page.wait_for_timeout(SETTLE_MS)
    if line is not None:
        session: CDPSession = page.context.new_cdp_session(page)
        session.send("Network.enable")
        session.send(
            "Network.emulateNetworkConditions",
            {"offline": False, "latency": 0, "downloadThroughput": line, "uploadThroughput": line},
        )
    return page


def _pressed(page: Page, selector: str, num: int, pause: float) -> Latency:
    """Press the key `num` times, each once the pair before has been painted."""
    page.evaluate(STOPWATCH, selector)
    for number in range(num):
        page.keyboard.press("ArrowLeft")
        page.wait_for_function("n => window.times.length > n", arg=number)
        page.wait_for_timeout(1000 * pause)
    times: list[float] = page.evaluate("window.times")
    presented: list[float] = page.evaluate("window.presented")
    page.close()
    return Latency.of(times, presented)
