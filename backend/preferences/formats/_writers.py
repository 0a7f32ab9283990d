"""Records into files, batch by batch, as bytes that can be sent while the rest is read."""

from __future__ import annotations

import io
import json
from collections.abc import Iterable, Iterator
from typing import Any, Final

from backend.errors import InputError

BATCH: Final = 2_000
MAX_BATCH_BYTES: Final = 64_000_000
"""A batch of rows with pictures inside ends here."""
SUFFIXES: Final = {"lines": "jsonl", "array": "json", "parquet": "parquet", "arrow": "arrow"}
MIME: Final = {
    "lines": "application/x-ndjson",
    "array": "application/json",
    "parquet": "application/vnd.apache.parquet",
    "arrow": "application/vnd.apache.arrow.stream",
}


def written(
    records: Iterable[dict[str, Any]], container: str, columns: dict[str, str] | None
) -> Iterator[bytes]:
    """The file that holds these records; `columns` are those of a table, with their types."""
    if container == "lines":
        return _lines(records)
    if container == "array":
        return _array(records)
    if container not in SUFFIXES:
        raise InputError(f"There is no kind of file '{container}'; choose {', '.join(SUFFIXES)}.")
    if columns is None:
        raise InputError("This format holds lists in lists and is no table; write it as JSON.")
    return _table(records, columns, container)


def _plain(record: dict[str, Any]) -> str:
    kept = {name: value for name, value in record.items() if not _size(value)}
    return json.dumps(kept, ensure_ascii=False)


def _lines(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    for record in records:
        yield f"{_plain(record)}\n".encode()


def _array(records: Iterable[dict[str, Any]]) -> Iterator[bytes]:
    before = "[\n"
    for record in records:
        yield f"{before}{_plain(record)}".encode()
        before = ",\n"
    yield b"\n]\n" if before == ",\n" else b"[]\n"


def schema(columns: dict[str, str]) -> Any:
    """The columns as Arrow knows them; JSON is kept as text."""
    import pyarrow as pa

    types = {
        "string": pa.string(),
        "json": pa.string(),
        "bool": pa.bool_(),
        "double": pa.float64(),
        "int64": pa.int64(),
        "binary": pa.binary(),
        "list<string>": pa.list_(pa.string()),
        "list<int64>": pa.list_(pa.int64()),
        "list<binary>": pa.list_(pa.binary()),
    }
    return pa.schema([(name, types[kind]) for name, kind in columns.items()])


def _table(
    records: Iterable[dict[str, Any]], columns: dict[str, str], container: str
) -> Iterator[bytes]:
    import pyarrow as pa
    import pyarrow.parquet as pq

    pipe, kinds = _Pipe(), schema(columns)
    if container == "parquet":
        writer = pq.ParquetWriter(pa.PythonFile(pipe, mode="w"), kinds, compression="zstd")
    else:
        writer = pa.ipc.new_stream(pa.PythonFile(pipe, mode="w"), kinds)
    with writer:
        for some in _batches(records):
            table = {
                name: [_cell(row.get(name), columns[name]) for row in some] for name in columns
            }
            writer.write_batch(pa.RecordBatch.from_pydict(table, kinds))
            yield pipe.taken()
    yield pipe.taken()


def _cell(value: Any, kind: str) -> Any:
    return json.dumps(value or {}, ensure_ascii=False) if kind == "json" else value


def _batches(records: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    batch: list[dict[str, Any]] = []
    size = 0
    for record in records:
        batch.append(record)
        size += sum(_size(value) for value in record.values())
        if len(batch) >= BATCH or size > MAX_BATCH_BYTES:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _size(value: Any) -> int:
    """Bytes of a picture, or of a list of them; 0 of anything else."""
    if isinstance(value, bytes):
        return len(value)
    return sum(map(_size, value)) if isinstance(value, list) else 0


class _Pipe(io.RawIOBase):
    """Where a writer writes to and the sender takes from."""

    def __init__(self) -> None:
        self.parts: list[bytes] = []
        self.length = 0

    def writable(self) -> bool:
        """It is."""
        return True

    def write(self, data: Any) -> int:
        """Keep the bytes until they are taken."""
        self.parts.append(bytes(data))
        self.length += len(self.parts[-1])
        return len(self.parts[-1])

    def tell(self) -> int:
        """How much was written so far."""
        return self.length

    def taken(self) -> bytes:
        """All that was written since the last time."""
        parts, self.parts = self.parts, []
        return b"".join(parts)
