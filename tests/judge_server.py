"""A judge on a server that does everything wrong, as a process of its own.

    python -m tests.judge_server PORT LOG

The first word of a prompt says how a question about it goes. Every question and every answer is a
line of LOG, which outlives the process, so what was asked and answered twice is counted over
restarts too.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

HANGS_S = 3600.0
"""Longer than any test: who waits for it gives up, or is killed."""
CANARY = "canary"


def chat(text: str) -> dict[str, Any]:
    """An answer as OpenAI-compatible servers give it."""
    choice = {"message": {"content": text}, "finish_reason": "stop"}
    return {"choices": [choice], "usage": {"prompt_tokens": 90, "completion_tokens": 10}}


def verdict(word: str) -> dict[str, Any]:
    """A verdict in the form that was asked for."""
    return chat(json.dumps({"verdict": word}))


def answer(kind: str, times: int) -> tuple[int, bytes, float, int]:
    """Status, body, seconds to wait before it, and bytes that are promised and never come."""
    said = json.dumps(verdict("first")).encode()
    busy = {"busy": (429, 3), "ill": (503, 2)}.get(kind)
    if busy is not None and times < busy[1]:
        return busy[0], b"", 0.0, 0
    told: dict[str, tuple[int, bytes, float, int]] = {
        "stalls": (200, said, HANGS_S if times == 1 else 0.0, 0),
        "slow": (200, said, 0.15, 0),
        "hangs": (200, b"", HANGS_S, 0),
        "half": (200, said[:20], 0.0, 50),
        "html": (200, b"<html>welcome</html>", 0.0, 0),
        "list": (200, b"[1, 2]", 0.0, 0),
        "empty": (200, b'{"choices": []}', 0.0, 0),
        "free": (200, json.dumps(chat("I like the first one.")).encode(), 0.0, 0),
        "number": (200, json.dumps(chat('{"verdict": 0.5}')).encode(), 0.0, 0),
        "refused": (400, b"", 0.0, 0),
        CANARY: (200, json.dumps(verdict("north")).encode(), 0.0, 0),
    }
    return told.get(kind, (200, said, 0.0, 0))


def counted(log: Path) -> tuple[Counter[str], Counter[str]]:
    """How often each prompt was asked about, and answered with status 200."""
    lines = log.read_text().splitlines() if log.exists() else []
    asked = Counter(line[6:] for line in lines if line.startswith("asked "))
    return asked, Counter(line[9:] for line in lines if line.startswith("answered "))


def serve(port: int, log: Path) -> None:
    """Answer until killed."""

    def note(line: str) -> None:
        file = os.open(log, os.O_APPEND | os.O_CREAT | os.O_WRONLY)
        os.write(file, f"{line}\n".encode())
        os.close(file)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *args: Any) -> None:
            pass

        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-length", "0")
            self.end_headers()

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            text = body["messages"][0]["content"][0]["text"]
            prompt = text.split("Text: ")[1].split("\n")[0] if "Text: " in text else CANARY
            note(f"asked {prompt}")
            status, said, wait, lacking = answer(prompt.split()[0], counted(log)[0][prompt])
            time.sleep(wait)
            if status == 200 and said:
                note(f"answered {prompt}")
            try:
                self.send_response(status)
                self.send_header("content-length", str(len(said) + lacking))
                self.send_header("connection", "close")
                self.end_headers()
                self.wfile.write(said)
            except OSError:
                pass
            self.close_connection = True

    ThreadingHTTPServer(("127.0.0.1", port), Handler).serve_forever()


if __name__ == "__main__":
    serve(int(sys.argv[1]), Path(sys.argv[2]))
