"""Pairs imported a second, against merely hashing and writing the same pictures.

The import reads rows and files, decodes every picture once, drops its metadata, hashes and writes
it, and lays prompts, samples, pairs and labels into the store. `over_bare` is its time over that of
a loop which reads, hashes and writes the same files with the same care (a new name, fsync, rename).
Run with another number of pairs or side: PAIRS=10000 SIDE=256 KIND=JPEG.
"""

from __future__ import annotations

import io
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from backend.services import imports, projects, sources
from backend.services.media import Media
from backend.services.studio import open_studio
from backend.settings import read_settings

PAIRS = int(os.environ.get("PAIRS", "2000"))
SIDE = int(os.environ.get("SIDE", "256"))
KIND = os.environ.get("KIND", "JPEG")


def main() -> None:
    """Measure on a fresh SQLite store, and bring the same file in once more."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = _made(folder / "set")
        bare = _bare(folder / "set", Media(str(folder / "bare")))
        studio = open_studio(read_settings(home=folder / "home", database_url=""), migrate=True)
        project = int(projects.named(studio, "Bench")["id"])
        seconds, worked = [], []
        for _turn in range(2):
            start, cpu = time.perf_counter(), time.process_time()
            with sources.opened(rows, beside=True) as parts:
                found = imports.bring(studio, project, parts)
            seconds.append(time.perf_counter() - start)
            worked.append(time.process_time() - cpu)
        studio.close()
        assert found.already == PAIRS and found.broken == 0, found
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        figures = {
            "pairs": PAIRS,
            "pictures": f"{2 * PAIRS} {KIND} of {SIDE}²",
            "seconds": round(seconds[0], 2),
            "cpu_s": round(worked[0], 2),
            "pairs_per_s": round(PAIRS / seconds[0]),
            "over_bare": round(seconds[0] / bare, 2),
            "again_seconds": round(seconds[1], 2),
            "peak_mb": round(peak),
        }
        print(json.dumps(figures, indent=1))


def _made(folder: Path) -> Path:
    """Pictures and the rows that name them."""
    folder.mkdir()
    rng, rows = np.random.default_rng(0), []
    for number in range(PAIRS):
        for letter in "ab":
            pixels = rng.integers(0, 255, (SIDE // 8, SIDE // 8, 3), dtype=np.uint8)
            out = io.BytesIO()
            Image.fromarray(pixels).resize((SIDE, SIDE), Image.Resampling.BICUBIC).save(out, KIND)
            (folder / f"{number}-{letter}").write_bytes(out.getvalue())
        row = {"prompt": f"prompt {number}", "image_a": f"{number}-a", "image_b": f"{number}-b"}
        rows.append(json.dumps({**row, "preferred": "ab"[number % 2], "id": f"row-{number}"}))
    path = folder / "rows.jsonl"
    path.write_text("\n".join(rows))
    return path


def _bare(folder: Path, media: Media) -> float:
    """Seconds to read, hash and write every picture, one after the other."""
    paths = [path for path in sorted(folder.iterdir()) if path.suffix != ".jsonl"]
    start = time.perf_counter()
    for path in paths:
        media.put(path.read_bytes())
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
