"""The most memory that a process or its GPU has held between two moments."""

from __future__ import annotations

import gc
import os
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

STATUS, RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")
LOOK_S = 0.02


class Peak:
    """With it around some work: `device`, `bytes` at most held meanwhile, `total` there are.

    On a CPU the resident memory of the process: Linux keeps its peak and lets it be reset; where
    that is not allowed a thread looks 50 times a second. On a GPU what torch has reserved, which is
    what runs out.
    """

    def __init__(self, device: torch.device | str) -> None:
        self.kind = str(device).partition(":")[0]
        self.device, self.bytes, self.total = "cpu", 0, 0
        self._is_reset = False
        self._ended = threading.Event()
        self._seen = 0

    def __enter__(self) -> Peak:
        gc.collect()
        if self.kind == "cuda":
            import torch

            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
            self.device = torch.cuda.get_device_name()
            self.total = torch.cuda.get_device_properties(torch.cuda.current_device()).total_memory
            return self
        self.total = memory_of_machine()
        with suppress(OSError):
            RESET.write_text("5")
            self._is_reset = True
        if not self._is_reset:
            threading.Thread(target=self._watch, daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ended.set()
        if self.kind == "cuda":
            import torch

            self.bytes = torch.cuda.max_memory_reserved()
        else:
            self.bytes = _status("VmHWM") if self._is_reset else max(self._seen, resident())

    def _watch(self) -> None:
        while not self._ended.wait(LOOK_S):
            self._seen = max(self._seen, resident())


def resident() -> int:
    """Bytes this process holds now; 0 where the system does not say."""
    return _status("VmRSS")


def memory_of_machine() -> int:
    """Bytes this machine has, or that its container may use; 0 where nobody says."""
    found = 0
    with suppress(ValueError, OSError, AttributeError):
        found = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    with suppress(OSError, ValueError):
        limit = int(Path("/sys/fs/cgroup/memory.max").read_text())
        found = min(found, limit) if found else limit
    return found


def _status(name: str) -> int:
    try:
        lines = STATUS.read_text().splitlines()
    except OSError:
        return 0
    found = next((line for line in lines if line.startswith(f"{name}:")), "")
    return int(found.split()[1]) * 1024 if found else 0
