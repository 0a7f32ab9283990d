"""Bundles: a run as one ZIP that replays. Written piece by piece, so memory does not grow with it.

    bundle.json          what it is: run, seed, code version, packages, model, rewards, adapters
    config.json          the whole config, every default written out
    prompts/*.jsonl      the prompts it trains on and is evaluated on
    metrics.jsonl        one line an iteration; evaluations.jsonl, log.jsonl, orders.jsonl likewise
    adapters/*.safetensors   what it had learned at each checkpoint, and what it delivered
    samples/*            pictures of the fixed prompts, named in evaluations.jsonl
    pairs.jsonl          the judged pairs it learned from, if its method does
    media/*              weights and references that its rewards name, and those pairs' pictures

Media are named by the SHA-256 of their content, which is how a config names them too: a
replay needs no renaming. `backend/services/replays.py` reads it.
"""

from __future__ import annotations

import importlib.metadata
import io
import json
import re
import zipfile
from collections.abc import Iterable, Iterator
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from backend.errors import NotFound
from backend.rl.recipe import RunConfig, learns_from_pairs
from backend.services import labels, policies, runs
from backend.services.exports import SUFFIXES
from backend.services.media import sniff
from backend.services.studio import Studio
from db import queries
from db.tables import Checkpoint, Evaluation, Event, Iteration, Policy, Reward, Run, RunOrder

FORMAT, VERSION = "palate-run", 1
PACKAGES = ("palate", "torch", "diffusers", "transformers", "peft", "numpy", "safetensors")
"""Whose versions are written down."""
CHUNK = 1 << 20
PAGE = 500
"""Rows that are read at once."""
HASH = re.compile(r"[0-9a-f]{64}")
DELIVERED = "adapters/delivered.safetensors"
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The time of every file in the archive: the same run is the same bundle."""
README = """A run of Palate, as a bundle that replays.

    palate replay BUNDLE                 start the same run in a project of its own
    palate replay BUNDLE --against RUN   say whether that run went the same way, to the bit

The adapter loads in stock diffusers:

    pipeline = DiffusionPipeline.from_pretrained(MODEL)
    pipeline.load_lora_weights("adapters", weight_name="delivered.safetensors")
"""


def stream(studio: Studio, run_id: int) -> Iterator[bytes]:
    """The bundle of a run, piece by piece."""
    with studio.read() as session:
        run = runs.find(session, run_id)
        session.expunge(run)
        about = _about(session, run)
    there = [one for one in about["adapters"] if studio.media.exists(one["media"])]
    about["missing"] = [one["file"] for one in about["adapters"] if one not in there]
    about["adapters"] = there
    return _written(studio, run, about)


def filename(studio: Studio, run_id: int, suffix: str) -> str:
    """What a run's file is called: its name in plain letters, with its number."""
    with studio.read() as session:
        name = runs.find(session, run_id).name
    return named(name, run_id, suffix)


def named(name: str, run_id: int, suffix: str) -> str:
    """The same of a run whose name is known."""
    return f"{re.sub(r'[^A-Za-z0-9]+', '-', name).strip('-')[:80] or 'run'}-{run_id}{suffix}"


def delivered(studio: Studio, run_id: int) -> str:
    """The media hash of the adapter that a run delivered, or of its last checkpoint."""
    with studio.read() as session:
        run = runs.find(session, run_id)
        found = _adapters(session, run)
    if not found:
        raise NotFound(f"Run {run_id} has learned nothing that was kept yet; it has no checkpoint.")
    return str(found[-1]["media"])


def media_of(config: Any) -> list[str]:
    """The hashes that a config names, in the order in which they stand in it."""
    return list(dict.fromkeys(HASH.findall(json.dumps(config))))


def _about(session: Session, run: Run) -> dict[str, Any]:
    policy = policies.find(session, run.policy_id)
    sets = {
        split: {"name": run.config[key], "split": _split(session, run, key, split)}
        for split, key in (("train", "prompt_set"), ("heldout", "heldout_set"))
    }
    rewards = session.scalars(
        select(Reward).where(Reward.project_id == run.project_id).order_by(Reward.id)
    )
    used = {json.dumps([t["kind"], t["config"]]) for t in _terms(run.config)}
    return {
        "format": FORMAT,
        "version": VERSION,
        "run": {
            "name": run.name,
            "status": run.status,
            "seed": run.seed,
            "step": run.step,
            "num_steps": run.num_steps,
            "recipe": run.config.get("recipe", ""),
        },
        "code_version": run.code_version,
        "packages": {name: _version(name) for name in PACKAGES},
        "policy": {
            "name": policy.name,
            "family": policy.family,
            "config": policy.config,
            "adapter": policy.adapter,
        },
        "prompt_sets": sets,
        "rewards": [
            {"name": r.name, "kind": r.kind, "version": r.version, "config": r.config}
            for r in rewards
            if json.dumps([r.kind, r.config]) in used
        ],
        "adapters": _adapters(session, run),
        "learns_from_pairs": learns_from_pairs(RunConfig.read(run.config)),
    }


def _written(studio: Studio, run: Run, about: dict[str, Any]) -> Iterator[bytes]:
    pipe = _Pipe()
    with zipfile.ZipFile(pipe, "w", zipfile.ZIP_DEFLATED) as archive:
        yield from _text(archive, pipe, "bundle.json", [json.dumps(about, indent=1)])
        yield from _text(archive, pipe, "README.txt", [README])
        yield from _text(archive, pipe, "config.json", [json.dumps(run.config, indent=1)])
        for split, found in about["prompt_sets"].items():
            with studio.read() as session:
                texts = queries.prompt_texts_named(session, run.project_id, found["name"])
            lines = _lines({"prompt": text} for text in texts)
            yield from _text(archive, pipe, f"prompts/{split}.jsonl", lines)
        yield from _text(archive, pipe, "metrics.jsonl", _lines(_updates(studio, run.id)))
        shown: dict[str, str] = {}
        evaluations = _lines(_evaluations(studio, run.id, shown))
        yield from _text(archive, pipe, "evaluations.jsonl", evaluations)
        yield from _text(archive, pipe, "log.jsonl", _lines(_log(studio, run.id)))
        yield from _text(archive, pipe, "orders.jsonl", _lines(_orders(studio, run.id)))
        for one in about["adapters"]:
            yield from _media(archive, pipe, studio, one["media"], one["file"])
        for name, path in shown.items():
            yield from _media(archive, pipe, studio, name, path)
        wanted = media_of([run.config, about["policy"]["adapter"]])
        if about["learns_from_pairs"]:
            pictures: dict[str, None] = {}
            pairs = _lines(_pairs(studio, run, pictures))
            yield from _text(archive, pipe, "pairs.jsonl", pairs)
            wanted = list(dict.fromkeys([*wanted, *pictures]))
        for name in wanted:
            if studio.media.exists(name):
                yield from _media(archive, pipe, studio, name, f"media/{name}")
    yield pipe.taken()


class _Pipe(io.RawIOBase):
    """What the archive writes into, and what was written since it was last asked."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, data: Any, /) -> int:
        self.parts.append(bytes(data))
        return len(data)

    def taken(self) -> bytes:
        """All that was written since; forgotten with this."""
        found, self.parts = b"".join(self.parts), []
        return found


def _text(
    archive: zipfile.ZipFile, pipe: _Pipe, name: str, parts: Iterable[str]
) -> Iterator[bytes]:
    info = zipfile.ZipInfo(name, EPOCH)
    info.compress_type = zipfile.ZIP_DEFLATED
    with archive.open(info, "w", force_zip64=True) as file:
        for part in parts:
            file.write(part.encode())
            if sum(map(len, pipe.parts)) > CHUNK:
                yield pipe.taken()
    yield pipe.taken()


def _media(
    archive: zipfile.ZipFile, pipe: _Pipe, studio: Studio, name: str, path: str
) -> Iterator[bytes]:
    """Pictures and weights do not shrink: they are stored as they are."""
    info = zipfile.ZipInfo(path, EPOCH)
    with (
        studio.media.local_path(name).open("rb") as source,
        archive.open(info, "w", force_zip64=True) as file,
    ):
        while data := source.read(CHUNK):
            file.write(data)
            yield pipe.taken()
    yield pipe.taken()


def _lines(rows: Iterable[dict[str, Any]]) -> Iterator[str]:
    return (json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def iterations(studio: Studio, run_id: int) -> Iterator[Iteration]:
    """All updates of a run by step."""
    return _paged(studio, Iteration, Iteration.step, run_id)


def _paged(studio: Studio, table: Any, key: Any, run_id: int) -> Iterator[Any]:
    """A run's rows of a table by a growing key, a page in a transaction: memory stays small."""
    after = -1
    while True:
        mine = select(table).where(table.run_id == run_id, key > after).order_by(key).limit(PAGE)
        with studio.read() as session:
            page = list(session.scalars(mine))
        yield from page
        if len(page) < PAGE:
            return
        after = getattr(page[-1], key.key)


def _updates(studio: Studio, run_id: int) -> Iterator[dict[str, Any]]:
    for row in iterations(studio, run_id):
        metrics, seconds = row.metrics, row.seconds
        yield {"step": row.step, "nfe": row.nfe, "metrics": metrics, "seconds": seconds}


def _evaluations(studio: Studio, run_id: int, shown: dict[str, str]) -> Iterator[dict[str, Any]]:
    """Evaluations, each read by itself; `shown` collects their pictures: media → file."""
    with studio.read() as session:
        steps = list(
            session.scalars(
                select(Evaluation.step).where(Evaluation.run_id == run_id).order_by(Evaluation.step)
            )
        )
    for step in steps:
        with studio.read() as session:
            row = session.get_one(Evaluation, (run_id, step))
            samples = []
            for sample in row.samples:
                name = sample["media"]
                if name not in shown and studio.media.exists(name):
                    with studio.media.local_path(name).open("rb") as file:
                        shown[name] = f"samples/{name}{SUFFIXES.get(sniff(file.read(16)), '')}"
                samples.append({**sample, "file": shown.get(name)})
            yield {"step": step, "nfe": row.nfe, "metrics": row.metrics, "samples": samples}


def _log(studio: Studio, run_id: int) -> Iterator[dict[str, Any]]:
    for row in _paged(studio, Event, Event.id, run_id):
        when, data = row.created_at, row.data
        yield {"at": when, "kind": row.kind, "level": row.level, "text": row.text, "data": data}


def _orders(studio: Studio, run_id: int) -> Iterator[dict[str, Any]]:
    """What people had the run do while it went on: a replay goes another way from there."""
    with studio.read() as session:
        rows = session.scalars(
            select(RunOrder).where(RunOrder.run_id == run_id).order_by(RunOrder.id)
        )
        found = [{c.name: getattr(row, c.name) for c in RunOrder.__table__.columns} for row in rows]
    yield from found


def _pairs(studio: Studio, run: Run, pictures: dict[str, None]) -> Iterator[dict[str, Any]]:
    """The judged pairs that the run learns from, in its order; `pictures` collects their media."""
    simulated = {"people": False, "simulated": True, "both": None}[run.config["labels"]]
    for pair in labels.judged(studio, run.project_id, simulated=simulated):
        for name in (pair.left_media, pair.right_media):
            pictures[name] = None
        yield {
            "prompt": pair.prompt,
            "left": pair.left_media,
            "right": pair.right_media,
            "choice": pair.choice,
            "kind": pair.kind,
            "reasons": pair.reasons,
        }


def _adapters(session: Session, run: Run) -> list[dict[str, Any]]:
    """[{step, media, file}] of every checkpoint, the delivered one last. Of a run that keeps a
    moving average, that."""
    rows = session.execute(
        select(Checkpoint.step, Checkpoint.adapter, Checkpoint.ema)
        .where(Checkpoint.run_id == run.id)
        .order_by(Checkpoint.step)
    )
    found = [
        {"step": step, "media": ema or adapter, "file": f"adapters/step-{step:06d}.safetensors"}
        for step, adapter, ema in rows
    ]
    tuned = session.get(Policy, run.tuned_policy_id) if run.tuned_policy_id else None
    if tuned is not None and tuned.adapter:
        found.append({"step": tuned.step, "media": tuned.adapter, "file": DELIVERED})
    return found


def _terms(config: dict[str, Any]) -> list[dict[str, Any]]:
    return [*config.get("rewards", []), *config.get("watch", [])]


def _split(session: Session, run: Run, key: str, usual: str) -> str:
    found = queries.prompt_set_named(session, run.project_id, run.config[key])
    return found.split if found is not None else usual


def _version(package: str) -> str | None:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return None
