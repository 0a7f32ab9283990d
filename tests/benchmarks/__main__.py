"""Run every benchmark: `python -m tests.benchmarks`, or some by name.

Each `bench_*.py` has a `main()` that measures against something in the same run and prints a ratio.
"""

from __future__ import annotations

import importlib
import pkgutil
import sys

import tests.benchmarks as folder


def main(chosen: list[str]) -> None:
    known = sorted(
        module.name.removeprefix("bench_")
        for module in pkgutil.iter_modules(folder.__path__)
        if module.name.startswith("bench_")
    )
    unknown = [name for name in chosen if name not in known]
    if unknown:
        sys.exit(f"There is no benchmark '{unknown[0]}'; there are: {', '.join(known)}.")
    sys.argv = sys.argv[:1]
    for name in chosen or known:
        print(f"== {name}")
        importlib.import_module(f"tests.benchmarks.bench_{name}").main()


if __name__ == "__main__":
    main(sys.argv[1:])
