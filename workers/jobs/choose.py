"""Works out which pairs of a study would tell most; pictures are looked at once and remembered."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from backend.rewards import _encoders, _features, learn
from backend.rewards._features import Seen
from backend.rewards.interface import Floats, Images, Ints
from backend.services import choosing
from workers.frame import JobFrame, run_job
from workers.sheets import stack

BATCH: Final = 64
SIDE: Final = 64
"""Pictures are looked at in the size that the encoder knows."""
PARTS: Final = ("picture", "text", "words", "likeness", "style")

Rows = dict[str, tuple[Any, ...]]
"""What is seen of a picture, by its media hash and prompt."""


def run(job_id: int, attempt: int) -> None:
    """Args: study_id."""
    run_job(job_id, attempt, work)


def work(frame: JobFrame) -> dict[str, Any]:
    """Write the utilities of the study's open pairs."""
    study_id = frame.args["study_id"]
    kept = frame.studio.settings.home / "cache" / f"seen-{study_id}.npz"

    def features(pictures: Sequence[tuple[str, str]]) -> tuple[Floats, Ints]:
        seen = look(frame, kept, pictures)
        recipe, found, _ = _features.fit_seen(
            seen, [prompt for _, prompt in pictures], learn.COMPONENTS
        )
        return found, recipe.block

    return choosing.refresh(frame.studio, study_id, features)


def look(frame: JobFrame, kept: Path, pictures: Sequence[tuple[str, str]]) -> Seen:
    """What the encoder sees of each (media hash, prompt); only new ones are encoded."""
    version = _encoders.version(_encoders.POCKET)
    named = [f"{version} {media} {prompt}" for media, prompt in pictures]
    keys = [hashlib.sha256(name.encode()).hexdigest() for name in named]
    rows = _read(kept)
    fresh = [i for i, key in enumerate(keys) if key not in rows]
    if fresh:
        _add(frame, rows, keys, pictures, fresh)
        _write(kept, {key: rows[key] for key in keys})
    return Seen(*(np.stack([rows[key][part] for key in keys]) for part in range(len(PARTS))))


def _add(
    frame: JobFrame,
    rows: Rows,
    keys: Sequence[str],
    pictures: Sequence[tuple[str, str]],
    fresh: Sequence[int],
) -> None:
    """Encode the pictures `fresh` and add their rows."""
    encoder = _encoders.load(_encoders.POCKET)
    for start in range(0, len(fresh), BATCH):
        part = fresh[start : start + BATCH]
        images = _sized([frame.studio.media.read(pictures[i][0]) for i in part])
        seen = _features.see(encoder, images, [pictures[i][1] for i in part])
        rows |= {keys[i]: tuple(getattr(seen, n)[at] for n in PARTS) for at, i in enumerate(part)}
        frame.step(start + len(part), len(fresh), f"{start + len(part)} pictures looked at")


def _sized(files: Sequence[bytes]) -> Images:
    """(B, SIDE, SIDE, 3)"""
    from PIL import Image

    found = []
    for picture in (stack([data])[0] for data in files):
        if picture.shape[:2] != (SIDE, SIDE):
            small = Image.fromarray(picture).resize((SIDE, SIDE), Image.Resampling.LANCZOS)
            picture = np.asarray(small)
        found.append(picture)
    return np.stack(found)


def _read(kept: Path) -> Rows:
    """Rows by key; a file that cannot be read is as good as none."""
    try:
        with np.load(kept, allow_pickle=False) as file:
            parts = [file[name] for name in PARTS]
            return dict(zip(file["keys"].tolist(), zip(*parts, strict=True), strict=True))
    except (OSError, ValueError, KeyError, EOFError):
        return {}


def _write(kept: Path, rows: Rows) -> None:
    kept.parent.mkdir(parents=True, exist_ok=True)
    columns: dict[str, Any] = {
        name: np.stack([row[at] for row in rows.values()]) for at, name in enumerate(PARTS)
    }
    partial = kept.with_name(f".{kept.stem}.part.npz")
    np.savez(partial, **columns | {"keys": np.array(list(rows))})
    partial.replace(kept)
