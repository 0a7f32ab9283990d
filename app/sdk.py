"""Palate from Python: put pairs before people, wait, have their answers as a table.

    from app.sdk import Pair, Palate

    with Palate("http://127.0.0.1:7860", key="palate_...") as studio:
        study = studio.create_study(
            [Pair("a red cup", "old/1.png", "new/1.png", key="1")],
            name="New against old",
            question="Which fits the prompt better?",
            aspects=["colour", "place"],
        )
        study.wait(labels=1)
        print(study.labels())

Nothing but HTTP: it runs anywhere, and needs no part of the studio beside this file, httpx and
pandas. A refusal raises `Refused` with the studio's own sentence.
"""

from __future__ import annotations

import json
import tempfile
import time
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx
import pandas as pd

Image = str | Path | bytes
"""A picture: the path of its file, or the bytes of one (PNG, JPEG, WebP)."""
API = "/api/v1"
OVER = ("done", "failed", "stopped")
TRIES, WAIT_S = 5, 0.5
"""A request that may be sent twice is tried so often, waiting twice as long each time."""


class Refused(Exception):
    """The studio refused, or could not be reached; `str(error)` says why. `status` is HTTP's."""

    def __init__(self, sentence: str, status: int = 0) -> None:
        super().__init__(sentence)
        self.status = status


@dataclass(frozen=True)
class Pair:
    """Two pictures of one prompt to be judged."""

    prompt: str
    a: Image
    b: Image
    key: str = ""
    """Yours: it comes back in the column `key` of the labels."""


@dataclass(frozen=True)
class Progress:
    """How far a study is."""

    items: int
    settled: int
    """Items that have as many verdicts as were asked for."""
    labels: int
    status: str

    @property
    def share(self) -> float:
        """Of the items that are settled, 0 to 1."""
        return self.settled / self.items if self.items else 0.0


class Palate:
    """A studio at an address. `key` is made on its page *You*; on its own machine none is needed.

    `project` is the id of another project than the one that is open.
    """

    def __init__(
        self,
        url: str = "http://127.0.0.1:7860",
        key: str | None = None,
        *,
        project: int | None = None,
        timeout_s: float = 60.0,
    ) -> None:
        headers = {"Authorization": f"Bearer {key}"} if key else {}
        self._project = {} if project is None else {"project": project}
        self._http = httpx.Client(
            base_url=url.rstrip("/") + API, headers=headers, timeout=timeout_s
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the connections back."""
        self._http.close()

    def studies(self) -> list[Study]:
        """Every study of the project, newest first."""
        return [Study(self, row["id"], row["name"]) for row in self._ask("GET", "/studies")]

    def study(self, study_id: int) -> Study:
        """A study by its number."""
        row = self._ask("GET", f"/studies/{study_id}")
        return Study(self, row["id"], row["name"])

    def create_study(
        self,
        pairs: Iterable[Pair],
        *,
        name: str = "",
        wait_s: float = 3600.0,
        **config: Any,
    ) -> Study:
        """A study of these pairs, open to be judged; waits until the studio has them all.

        `config` is what the form of a study has: question, guidelines, aspects, reasons, ties,
        both_bad, regions, overlap, overlap_most, attention, chooser, people. Raises Refused with
        the faulty rows when a picture or a prompt cannot be taken; the study then holds the rest.
        """
        made = self._ask(
            "POST", "/studies", body={"name": name, "kind": "images", "config": config}
        )
        study = Study(self, made["id"], made["name"])
        study.add(pairs, wait_s=wait_s)
        return study

    # --- inside ----------------------------------------------------------------------------------

    def _ask(
        self,
        method: str,
        path: str,
        *,
        body: Any = None,
        file: IO[bytes] | None = None,
        **params: Any,
    ) -> Any:
        """The answer as plain data; what may be sent twice is, when the studio is busy or away."""
        is_safe = method == "GET"
        for number in range(TRIES if is_safe else 1):
            try:
                if file is not None:
                    file.seek(0)
                response = self._http.request(
                    method, path, params=self._project | params, json=body, content=file
                )
            except httpx.HTTPError as error:
                fault = Refused(f"The studio at {self._http.base_url} does not answer: {error}.")
            else:
                if response.status_code < 400:
                    return response.json()
                fault = Refused(_sentence(response), response.status_code)
                if response.status_code not in (429, 502, 503, 504):
                    raise fault
            if number + 1 < TRIES and is_safe:
                time.sleep(WAIT_S * 2**number)
        raise fault

    def _lines(self, path: str, **params: Any) -> Iterator[dict[str, Any]]:
        with self._http.stream("GET", path, params=self._project | params) as response:
            if response.status_code >= 400:
                response.read()
                raise Refused(_sentence(response), response.status_code)
            for line in response.iter_lines():
                if line.strip():
                    yield json.loads(line)

    def _wait_for(self, job_id: int, wait_s: float) -> dict[str, Any]:
        until, pause = time.monotonic() + wait_s, 0.1
        while True:
            job: dict[str, Any] = self._ask("GET", f"/jobs/{job_id}")
            if job["status"] in OVER:
                if job["status"] != "done":
                    raise Refused(job["error"] or f"Job {job_id} was {job['status']}.")
                return job
            if time.monotonic() > until:
                raise Refused(
                    f"Job {job_id} is still {job['status']} after {wait_s:g} s; is a worker "
                    "running? Wait longer with wait_s."
                )
            time.sleep(pause)
            pause = min(2 * pause, 5.0)


class Study:
    """A study of a studio."""

    def __init__(self, studio: Palate, study_id: int, name: str) -> None:
        self.studio, self.id, self.name = studio, study_id, name

    def __repr__(self) -> str:
        return f"Study({self.id}, {self.name!r})"

    @property
    def url(self) -> str:
        """Where people judge it."""
        return f"{self.studio._http.base_url}".removesuffix(API + "/") + f"/label/{self.id}"

    def add(self, pairs: Iterable[Pair], *, wait_s: float = 3600.0) -> dict[str, Any]:
        """Put pairs into the study; returns {pairs, pictures, already, broken, problems}.

        Pairs that it has already are not added again, so a call that was broken off can be
        repeated.
        """
        with tempfile.TemporaryFile() as file:
            _pack(file, pairs)
            job = self.studio._ask(
                "POST", "/imports", file=file, what="pairs", study_id=self.id, filename="pairs.zip"
            )
            report: dict[str, Any] = self.studio._wait_for(job["job_id"], wait_s)["result"]
        if report["broken"]:
            told = "; ".join(
                f"pair {p['line']}, {p['column']}: {p['reason']}" for p in report["problems"][:5]
            )
            raise Refused(f"{report['broken']} of the pairs could not be taken: {told}.")
        return report

    def progress(self) -> Progress:
        """How far it is now."""
        row = self.studio._ask("GET", f"/studies/{self.id}")
        return Progress(row["items"], row["settled"], row["labels"], row["status"])

    def wait(
        self, *, labels: int | None = None, wait_s: float | None = None, every_s: float = 5.0
    ) -> Progress:
        """Until every item is settled, or so many labels are there, or the time is over."""
        until = None if wait_s is None else time.monotonic() + wait_s
        while True:
            now = self.progress()
            is_done = now.settled >= now.items if labels is None else now.labels >= labels
            if is_done or (until is not None and time.monotonic() >= until):
                return now
            time.sleep(every_s)

    def labels(self, *, simulated: bool = False) -> pd.DataFrame:
        """One row a judgement that stands.

        Columns: key, prompt, image_a, image_b (hashes), preferred (a, b, tie, both_bad, skip),
        annotator, shown_left, t_shown, t_answer, reasons, comment, chooser, propensity, and one
        column `aspect/NAME` for each aspect, with a, b or tie.
        """
        rows = [
            _flat(row)
            for row in self.studio._lines(
                "/labels/export", format="jsonl", study_id=self.id, simulated=simulated
            )
        ]
        first = ["key", "prompt", "image_a", "image_b", "preferred", "annotator"]
        table = pd.DataFrame(rows)
        if table.empty:
            return pd.DataFrame(columns=first)
        return table[[*first, *(name for name in table.columns if name not in first)]]

    def close(self) -> None:
        """Ask nobody any more; what is there stays."""
        self.studio._ask("PATCH", f"/studies/{self.id}", body={"status": "closed"})

    def reopen(self) -> None:
        """Ask again."""
        self.studio._ask("PATCH", f"/studies/{self.id}", body={"status": "open"})


def _pack(file: IO[bytes], pairs: Iterable[Pair]) -> None:
    """A ZIP of rows and pictures; every picture once, stored as it is."""
    names: dict[str, str] = {}
    rows = []
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:

        def packed(image: Image) -> str:
            known = str(image) if isinstance(image, str | Path) else ""
            if known and known in names:
                return names[known]
            name = f"{len(archive.namelist()):07d}.img"
            if isinstance(image, bytes):
                archive.writestr(name, image)
            else:
                archive.write(image, name)
                names[known] = name
            return name

        for pair in pairs:
            row = {"prompt": pair.prompt, "image_a": packed(pair.a), "image_b": packed(pair.b)}
            rows.append(json.dumps(row | ({"key": pair.key} if pair.key else {})))
        archive.writestr("pairs.jsonl", "\n".join(rows))


def _flat(row: dict[str, Any]) -> dict[str, Any]:
    """Aspects as columns, by sample instead of by side."""
    answers = row.pop("answers", None) or {}
    row.pop("format", None)
    other = {"a": "b", "b": "a"}
    left = row.get("shown_left", "a")
    by_sample = {"left": left, "right": other[left], "tie": "tie"}
    row.setdefault("key", "")
    row |= {f"aspect/{name}": by_sample[said] for name, said in answers.get("aspects", {}).items()}
    return row


def _sentence(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"The studio answered {response.status_code} without a word of why."
