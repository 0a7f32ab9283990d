"""The child of `palate convert-weights`: reads one pickled checkpoint and writes its tensors.

    python -I unpickling.py SOURCE OUT MEMORY_BYTES SECONDS

The only place of the project where something pickled is opened, and by torch's reader that knows
tensors and plain containers alone (`weights_only`). Before it does, the process gives up what it
does not need: the network (a namespace of its own, with no way out; where the system forbids that,
sockets are refused in Python and the answer says so), new privileges, further processes, memory,
time and large files. Imports nothing of the project. Answers with one line of JSON.
"""

from __future__ import annotations

import ctypes
import json
import os
import resource
import socket
import sys
from pathlib import Path
from typing import Any

NEW_USER, NEW_NET = 0x10000000, 0x40000000
"""CLONE_NEWUSER and CLONE_NEWNET of Linux."""
NO_NEW_PRIVS = 38
WRAPPERS = ("state_dict", "model_state_dict", "model", "module", "ema_state_dict")
"""Under these names trainers keep the tensors, beside what they keep for themselves."""


def no_network() -> str:
    """Leave the network; "namespace" where the system took it away, "refused" where Python does.

    Has to come before the first thread: a process of several cannot leave alone.
    """
    try:
        libc = ctypes.CDLL(None, use_errno=True)
        libc.prctl(NO_NEW_PRIVS, 1, 0, 0, 0)
        if libc.unshare(NEW_NET) == 0 or libc.unshare(NEW_USER | NEW_NET) == 0:
            return "namespace"
    except (OSError, AttributeError):
        pass

    def refuse(*_args: object, **_kwargs: object) -> Any:
        raise OSError("weights are converted without a network")

    socket.socket = refuse  # type: ignore[assignment,misc]
    socket.create_connection = refuse
    return "refused"


def limits(memory: int, seconds: int, largest: int) -> None:
    """Bound what this process may use; memory counts addresses, of which torch takes many."""
    for what, most in (
        (resource.RLIMIT_CORE, 0),
        (resource.RLIMIT_AS, memory),
        (resource.RLIMIT_CPU, seconds),
        (resource.RLIMIT_FSIZE, largest),
        (resource.RLIMIT_NOFILE, 64),
    ):
        hard = resource.getrlimit(what)[1]
        most = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(what, (most, most))


def tensors_of(found: Any) -> tuple[dict[str, Any], int]:
    """All tensors by their dotted names, and how many other things were left out."""
    import torch

    while isinstance(found, dict):
        inner = [name for name in WRAPPERS if isinstance(found.get(name), dict)]
        if not inner:
            break
        found = found[inner[0]]
    held: dict[str, Any] = {}
    left = 0
    waiting: list[tuple[str, Any]] = [("", found)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, torch.Tensor):
            held[name or "tensor"] = value.detach().clone().contiguous()
        elif isinstance(value, dict):
            prefix = f"{name}." if name else ""
            waiting += [(f"{prefix}{key}", one) for key, one in value.items()]
        else:
            left += 1
    return held, left


def main() -> None:
    """Read, write, answer."""
    source, out, memory, seconds = Path(sys.argv[1]), Path(sys.argv[2]), *map(int, sys.argv[3:5])
    answer: dict[str, Any] = {"network": no_network()}
    limits(memory, seconds, 2 * source.stat().st_size + (16 << 20))
    try:
        import torch
        from safetensors.torch import save_file

        if os.geteuid() != 0:  # no further process or thread; root is not held to it
            resource.setrlimit(resource.RLIMIT_NPROC, (0, 0))
        loaded = torch.load(source, map_location="cpu", weights_only=True)
        held, answer["left_out"] = tensors_of(loaded)
        if held:
            save_file(held, out)
        answer["tensors"] = len(held)
    except MemoryError:
        answer["error"] = "it needs more memory than it may have"
    except Exception as error:  # noqa: BLE001  whatever a strange file does is one sentence
        said = str(error).strip().split("\n")[0][:300]
        answer["error"] = f"{type(error).__name__}: {said}"
    sys.stdout.write(json.dumps(answer) + "\n")


if __name__ == "__main__":
    main()
