"""Replays: the run of a bundle started again, and whether a run went the same way to the bit."""

from __future__ import annotations

import hashlib
import json
import tempfile
import time
import uuid
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby, zip_longest
from pathlib import Path
from typing import Any

from sqlalchemy import select

from backend.errors import InputError
from backend.rl.recipe import RunConfig
from backend.services import (
    bundles,
    labels,
    pairs,
    placing,
    policies,
    projects,
    prompts,
    runs,
    samples,
)
from backend.services import users as people
from backend.services.labels import NewLabel
from backend.services.media import checked_picture
from backend.services.runs import About
from backend.services.samples import NewSample
from backend.services.studio import Studio
from db.tables import Checkpoint, Policy, Reward

MOST_BYTES = 64 << 20
"""Longest file of JSON that is read whole."""
MOST_IN_ALL = 64 << 30
"""What all files of a bundle come to at most."""
BATCH = 500


@dataclass(frozen=True)
class Verdict:
    """How far a run went the way of a bundle."""

    steps: int
    """Iterations that are equal in every metric."""
    adapters: int
    """Checkpoints whose weights are equal in every byte."""
    first: str
    """The first thing that differs, as a sentence; empty when nothing does."""

    def sentence(self) -> str:
        """What is said of it."""
        same = (
            f"{self.steps:,} iteration{'' if self.steps == 1 else 's'} and {self.adapters:,} "
            f"adapter{'' if self.adapters == 1 else 's'} are the same to the bit."
        )
        return f"{same} {self.first}".strip()


def bring(
    studio: Studio,
    path: Path,
    project: str = "",
    *,
    title: str = "",
    about_run: About | None = None,
) -> dict[str, Any]:
    """Start the run of a bundle again, in a new project; returns the run's row.

    `project` names it; otherwise it is called after the run. `title` is what sentences call the
    file. Everything is read and checked before the project is made, so that a faulty bundle leaves
    nothing behind but files under their hashes.
    """
    with _opened(path, title) as archive, _told(title or str(path)):
        about, config = _json(archive, "bundle.json"), _json(archive, "config.json")
        _check(about, title or str(path))
        name = str(about["run"]["name"])
        RunConfig.read(config)
        texts = {
            (str(found["name"]), str(found["split"])): _read(archive, f"prompts/{split}.jsonl")
            for split, found in about["prompt_sets"].items()
        }
        begun = {key: about["policy"][key] for key in ("name", "adapter")}
        for member in archive.namelist():
            if member.startswith("media/"):
                _store(studio, archive, member)
        project_id = int(projects.create(studio, project or _free(studio, name))["id"])
        for (set_name, split), text in texts.items():
            prompts.import_text(studio, project_id, set_name, split, text)
        policy_id = _policy(studio, project_id, begun, config)
        _rewards(studio, project_id, about["rewards"])
        if about["learns_from_pairs"]:
            _pairs(studio, project_id, archive)
        return runs.create(studio, project_id, name, config, policy_id=policy_id, about=about_run)


def verdict(studio: Studio, run_id: int, path: Path) -> Verdict:
    """Compare a run's iterations and checkpoints with those of a bundle, in the order of the
    steps."""
    with _opened(path) as archive, _told(str(path)):
        about = _json(archive, "bundle.json")
        _check(about, str(path))
        steps, first = _same_steps(studio, run_id, _rows(archive, "metrics.jsonl"))
        kept = {one["step"]: one["media"] for one in about["adapters"]}
    with studio.read() as session:
        runs.find(session, run_id)
        mine = {
            step: ema or adapter
            for step, adapter, ema in session.execute(
                select(Checkpoint.step, Checkpoint.adapter, Checkpoint.ema).where(
                    Checkpoint.run_id == run_id
                )
            )
        }
    both = sorted(kept.keys() & mine.keys())
    different = [step for step in both if kept[step] != mine[step]]
    if different and not first:
        first = f"The weights of the checkpoint at step {different[0]} differ."
    return Verdict(steps, len(both) - len(different), first)


def _same_steps(studio: Studio, run_id: int, theirs: Iterator[dict[str, Any]]) -> tuple[int, str]:
    """(equal iterations from the first one on, what differs then)."""
    steps = 0
    for was, now in zip_longest(theirs, bundles.iterations(studio, run_id)):
        if was is None or now is None:
            which = "The run" if now is None else "The bundle"
            return steps, f"{which} ends there; what there is of it is the same."
        if was["step"] != now.step:
            return steps, f"Step {was['step']} of the bundle stands beside {now.step}."
        for name in sorted({*was["metrics"], *now.metrics}):
            a, b = was["metrics"].get(name), now.metrics.get(name)
            if a != b:
                return steps, f"At step {was['step']} {name} was {a!r} and is {b!r}."
        steps += 1
    return steps, ""


def _policy(studio: Studio, project_id: int, given: dict[str, Any], config: dict[str, Any]) -> int:
    """The policy that the run began from, with the adapter that it had."""
    with studio.write() as session:
        settings = config["policy"]
        row = policies.same_or_new(
            session, project_id, settings["family"], settings["config"], given["name"]
        )
        if given["adapter"]:
            row = Policy(
                project_id=project_id,
                name=given["name"],
                family=row.family,
                config=row.config,
                adapter=given["adapter"],
            )
            session.add(row)
            session.flush()
        return row.id


def _rewards(studio: Studio, project_id: int, given: list[dict[str, Any]]) -> None:
    with studio.write() as session:
        session.add_all(Reward(project_id=project_id, **one) for one in given)


def _pairs(studio: Studio, project_id: int, archive: zipfile.ZipFile) -> None:
    """The judged pairs in their order: a run that learns from them takes them as they stand."""
    with studio.write() as session:
        by_kind = {
            kind: people.annotator(session, f"replayed, {kind}", kind)
            for kind in ("person", "simulated")
        }
        drawn_by = policies.imported(session, project_id).id
    rows: list[dict[str, Any]] = []
    for row in _rows(archive, "pairs.jsonl"):
        rows.append(row)
        if len(rows) == BATCH:
            _place(studio, project_id, drawn_by, by_kind, rows)
            rows = []
    _place(studio, project_id, drawn_by, by_kind, rows)


def _place(
    studio: Studio,
    project_id: int,
    drawn_by: int,
    by_kind: dict[str, int],
    rows: list[dict[str, Any]],
) -> None:
    if not rows:
        return
    known = _prompt_ids(studio, project_id, [row["prompt"] for row in rows])
    new = []
    for row in rows:
        for side in ("left", "right"):
            _data, width, height = checked_picture(studio.media.read(row[side]), row[side])
            new.append(NewSample(known[row["prompt"]], 0, row[side], width, height))
    ids = samples.add(studio, project_id, drawn_by, new)
    with studio.write() as session:
        made = pairs.add(
            session,
            [
                {
                    "project_id": project_id,
                    "prompt_id": known[row["prompt"]],
                    "sample_a_id": ids[2 * i],
                    "sample_b_id": ids[2 * i + 1],
                    "source": "import",
                }
                for i, row in enumerate(rows)
            ],
        )
    now = time.time()
    both = zip(made, rows, strict=True)
    # In turns of one kind: the order of the labels is the order in which the run takes them.
    for kind, some in groupby(both, key=lambda one: str(one[1]["kind"])):
        said = [
            NewLabel(uuid.uuid4().hex, pair_id, row["choice"], "a", now, now, row["reasons"])
            for pair_id, row in some
        ]
        labels.store_many(studio, by_kind[kind], said)


def _prompt_ids(studio: Studio, project_id: int, texts: list[str]) -> dict[str, int]:
    """Ids of prompts by their text; those that no set has go into a set of their own."""
    with studio.write() as session:
        return placing.prompt_ids(session, project_id, texts, placing.Added())


# what lies in the archive -------------------------------------------------------------------------


@contextmanager
def _opened(path: Path, title: str = "") -> Iterator[zipfile.ZipFile]:
    named = title or path
    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MOST_IN_ALL:
                raise InputError(f"{named} unpacks to more than 64 GB, which no run's bundle does.")
            yield archive
    except zipfile.BadZipFile as error:
        raise InputError(f"The bundle {named} cannot be read: {error}.") from None
    except OSError as error:
        raise InputError(f"The bundle {named} cannot be read: {error.strerror}.") from None


@contextmanager
def _told(named: str) -> Iterator[None]:
    """What does not stand in a bundle as `palate bundle` writes it is said, whatever it is."""
    try:
        yield
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{named} does not hold what a bundle does ({type(error).__name__}: {error}); export "
            "the run again."
        ) from None


def _check(about: Any, path: str) -> None:
    if not isinstance(about, dict) or about.get("format") != bundles.FORMAT:
        raise InputError(f"{path} is no bundle of a run; `palate bundle` writes one.")
    if about.get("version") != bundles.VERSION:
        raise InputError(
            f"{path} is a bundle of version {about.get('version')}, and this is "
            f"{bundles.VERSION}; use the code version it names: {about.get('code_version')}."
        )


def _read(archive: zipfile.ZipFile, name: str) -> bytes:
    try:
        info = archive.getinfo(name)
    except KeyError:
        raise InputError(f"There is no {name} in this archive, so it is no bundle.") from None
    if info.file_size > MOST_BYTES:
        raise InputError(f"{name} has {info.file_size:,} bytes; a bundle's has at most 64 MiB.")
    return archive.read(info)


def _json(archive: zipfile.ZipFile, name: str) -> Any:
    try:
        return json.loads(_read(archive, name))
    except ValueError:
        raise InputError(f"{name} of this bundle is no JSON; export the run again.") from None


def _rows(archive: zipfile.ZipFile, name: str) -> Iterator[dict[str, Any]]:
    """JSONL, line by line, none of them longer than `MOST_BYTES`."""
    with archive.open(name) as file:
        while line := file.readline(MOST_BYTES):
            yield json.loads(line)


def _store(studio: Studio, archive: zipfile.ZipFile, member: str) -> None:
    """A file into the media, refused when its content is not what its name says."""
    wanted = member.removeprefix("media/")
    digest = hashlib.sha256()
    with archive.open(member) as source, tempfile.NamedTemporaryFile(suffix=".part") as target:
        while data := source.read(bundles.CHUNK):
            digest.update(data)
            target.write(data)
        target.flush()
        if digest.hexdigest() != wanted:
            raise InputError(f"{member[:80]} of this bundle is damaged; export the run again.")
        studio.media.put_file(Path(target.name))


def _free(studio: Studio, name: str) -> str:
    """A name that no project has."""
    known = {row["name"] for row in projects.rows(studio)}
    wanted = f"Replay of {name}"[:180]
    number = 2
    while (title := wanted if number == 2 else f"{wanted} ({number - 1})") in known:
        number += 1
    return title
