"""Who may what: every address of the studio with the least role that may use it.

The one table, read by the door (app/door.py) for pages, API and Gradio's own addresses alike. A row
of `LEAST` speaks for its address and all below it; the nearest row wins, one with a method before
one without. A row of `ONLY` speaks for one address, its numbers written `{}`, and wins over all.
What stands nowhere is closed to everybody but an admin; a house test fails for a route that stands
nowhere.
"""

from __future__ import annotations

import re

OPEN = "open"
"""For everybody, known or not."""
ITSELF = "itself"
"""The route checks by itself: pictures, whose sealed addresses need no look into the store."""
ANNOTATOR, RESEARCHER, ADMIN = "annotator", "researcher", "admin"

API = "/api/v1"

LEAST: dict[str, str] = {
    # probes, files of our own and of Gradio's frontend, the way in
    "/healthz": OPEN,
    "/readyz": OPEN,
    "/static": OPEN,
    "/vendor": OPEN,
    "/palate.css": OPEN,
    "/languages": OPEN,
    "/assets": OPEN,
    "/svelte": OPEN,
    "/theme.css": OPEN,
    "/favicon.ico": OPEN,
    "/robots.txt": OPEN,
    "/sign-in": OPEN,
    "/join": OPEN,
    f"{API}/sign-in": OPEN,
    f"{API}/sign-out": OPEN,
    f"{API}/join": OPEN,
    "/media": ITSELF,
    # pages
    "/label": ANNOTATOR,
    "/you": ANNOTATOR,
    "/nowhere": ANNOTATOR,
    "/closed": ANNOTATOR,
    "/people": ADMIN,
    **dict.fromkeys(
        ("/compare", "/prompts", "/rewards", "/runs", "/workers", "/studies", "/quality"),
        RESEARCHER,
    ),
    **dict.fromkeys(("/leaderboard", "/import", "/bench", "/judges", "/best-of-n"), RESEARCHER),
    # labelling
    f"{API}/me": ANNOTATOR,
    f"{API}/label": ANNOTATOR,
    # everything else that is studied and trained
    **dict.fromkeys(
        (
            f"{API}/openapi.json",
            f"{API}/docs",
            f"{API}/projects",
            f"{API}/policies",
            f"{API}/demo",
            f"{API}/find",
            f"{API}/prompt-sets",
            f"{API}/generate",
            f"{API}/samples",
            f"{API}/pairs",
            f"{API}/labels",
            f"{API}/imports",
            f"{API}/simulate",
            f"{API}/rewards",
            f"{API}/reward-kinds",
            f"{API}/recipes",
            f"{API}/run-schema",
            f"{API}/runs",
            f"{API}/alarm-rules",
            f"{API}/rollouts",
            f"{API}/comparisons",
            f"{API}/boards",
            f"{API}/best-of-n",
            f"{API}/studies",
            f"{API}/quality",
            f"{API}/leaderboard",
            f"{API}/jobs",
            f"{API}/workers",
        ),
        RESEARCHER,
    ),
    f"{API}/people": ADMIN,
    # what Gradio's frontend asks for on every page
    "/gradio_api/heartbeat": ANNOTATOR,
    "/gradio_api/startup-events": ANNOTATOR,
    "/gradio_api/app_id": ANNOTATOR,
    "/gradio_api/queue/data": ANNOTATOR,
}

ONLY: dict[str, str] = {
    "/": ANNOTATOR,
    f"GET {API}/today": ANNOTATOR,
    f"GET {API}/project": ANNOTATOR,
    f"GET {API}/studies": ANNOTATOR,
    f"GET {API}/studies/{{}}/asked": ANNOTATOR,
}

SCOPES: dict[str, str] = {f"{API}/label": "label"}
"""Addresses whose scope is not `read` for GET, `write` for the rest, or `admin` for admins."""
NUMBER = re.compile(r"(?<=/)\d+(?=/|$)")
SAFE = ("GET", "HEAD", "OPTIONS")


def least(method: str, path: str) -> str | None:
    """The least role that may use an address; None when it stands nowhere."""
    method = "GET" if method == "HEAD" else method
    numbered = NUMBER.sub("{}", path)
    for key in (f"{method} {numbered}", numbered):
        if key in ONLY:
            return ONLY[key]
    return _nearest(LEAST, method, path)


def scope(method: str, path: str) -> str:
    """The scope that a key needs for an address."""
    special = _nearest(SCOPES, method, path)
    if special is not None:
        return special
    if least(method, path) in (ADMIN, None):
        return "admin"
    return "read" if method in SAFE else "write"


def _nearest(table: dict[str, str], method: str, path: str) -> str | None:
    """What a table says of an address or of the nearest above it."""
    while path:
        for key in (f"{method} {path}", path):
            if key in table:
                return table[key]
        path = path.rpartition("/")[0]
    return None
