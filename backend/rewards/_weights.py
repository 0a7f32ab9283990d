"""Arrays and a note of plain data in one safetensors file: how rewards keep what they learned."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from backend.errors import RewardError

Arrays = dict[str, NDArray[Any]]


def pack(arrays: Mapping[str, NDArray[Any]], about: Mapping[str, Any]) -> bytes:
    """The file's bytes; the note must be JSON-ready, and equal content gives equal bytes."""
    from safetensors.numpy import save

    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    return bytes(save(contiguous, metadata={"palate": json.dumps(about, sort_keys=True)}))


def unpack(data: bytes, form: str, otherwise: str) -> tuple[Arrays, dict[str, Any]]:
    """Arrays and note of a file whose note says it is of the format `form`.

    Raises RewardError with the sentence `otherwise` for any other file.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        arrays: Arrays = load(data)
        header = json.loads(data[8 : 8 + int.from_bytes(data[:8], "little")])
        about: dict[str, Any] = json.loads(header["__metadata__"]["palate"])
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise RewardError(otherwise) from error
    if about.pop("format", None) != form:
        raise RewardError(otherwise)
    return arrays, about


def read(path: Path, what: str, instead: str) -> bytes:
    """The file's bytes; a RewardError names `what` cannot be read and what to do `instead`."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise RewardError(
            f"{what} cannot be read at {path} ({error.strerror}); {instead}"
        ) from error
