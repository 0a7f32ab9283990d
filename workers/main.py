"""A worker process: `python -m workers.main train --threads 2`. It only imports and calls."""

from __future__ import annotations

import argparse
import importlib
import logging
import os
import sys
from collections.abc import Sequence

from backend.errors import PalateError
from backend.settings import settings
from workers.queues import QUEUES, connect
from workers.watchdog import CANNOT_RUN_HERE

NO_TORCH = (
    "The model stack (torch, diffusers) is not installed, so nothing can be drawn or trained here; "
    "run 'make setup'. Pages and labelling work without it."
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Take work from the named queues until asked to end."""
    parser = argparse.ArgumentParser(prog="python -m workers.main", description=__doc__)
    parser.add_argument("queues", nargs="+", choices=QUEUES)
    parser.add_argument("--threads", type=int, default=0, help="0 leaves the choice to torch")
    parser.add_argument("--nice", type=int, default=0, help="give way to others by this much")
    chosen = parser.parse_args(arguments)
    logging.basicConfig(
        level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s"
    )
    try:
        return serve(chosen.queues, chosen.threads, chosen.nice)
    except PalateError as error:
        sys.stderr.write(f"{error}\n")
        return 1


def serve(queues: Sequence[str], threads: int, nice: int = 0) -> int:
    """Import the model stack once, then work; returns the exit code."""
    if nice:
        os.nice(nice)
    try:
        torch = importlib.import_module("torch")
    except ImportError:
        sys.stderr.write(NO_TORCH + "\n")
        return CANNOT_RUN_HERE
    if threads:
        torch.set_num_threads(threads)
    from workers import studio_worker

    studio_worker.work(list(queues), connect(settings().redis_address))
    return 0


if __name__ == "__main__":
    sys.exit(main())
