"""`palate convert-weights`: pickled weights of others as safetensors, read by a child alone.

    palate convert-weights ImageReward.pt --out weights/image-reward
    palate convert-weights HPS_v2.1_compressed.pt --out weights/hps --layout open-clip
    palate convert-weights pytorch_model.bin.index.json --out weights/clip-flant5    # in parts

A pickle can run what it likes when it is opened. So another process opens it, without a network and
within bounds (workers/unpickling.py), by a reader that knows tensors only; what comes back is a
safetensors file, whose hash is printed and kept beside it in `converted.json`, so that others can
say whether theirs is the same.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer

from backend.errors import EnvironmentProblem, InputError
from workers.terminal import sentences

CHILD: Final = Path(__file__).with_name("unpickling.py")
FILE: Final = "model.safetensors"
INDEX: Final = ".index.json"
"""What the file ends in that names the parts of a checkpoint, in both formats."""
ADDRESSES: Final = 12 << 30
"""Addresses that torch itself may take, beside several copies of the tensors."""
SECONDS: Final = 900
Layout = Literal["as-it-is", "open-clip"]


@dataclass(frozen=True)
class Converted:
    """What became of a file."""

    source: str
    source_sha256: str
    file: str
    sha256: str
    """Of the safetensors file; equal tensors under equal names give an equal hash."""
    tensors: int
    left_out: int
    """Things in the pickle that are no tensors."""
    layout: str
    network: str
    """"namespace": the child had none; "refused": its sockets were refused in Python only."""


def convert_weights(
    source: Annotated[
        Path,
        typer.Argument(help="A pickled checkpoint: .pt, .pth, .bin, .ckpt; or .bin.index.json."),
    ],
    out: Annotated[Path, typer.Option(help="Folder to write model.safetensors to.")],
    layout: Annotated[
        Layout, typer.Option(help="open-clip: rename to transformers' CLIP, with a config.json.")
    ] = "as-it-is",
) -> None:
    """Turn pickled weights into safetensors, in a process of its own without a network."""
    with sentences():
        whole = not source.name.endswith(INDEX)
        parts = [convert(source, out, layout)] if whole else convert_parts(source, out)
        for done in parts:
            typer.echo(
                f"{done.tensors} tensors in {out / done.file}, {done.left_out} other things left "
                "out"
            )
            typer.echo(f"sha256 of the source  {done.source_sha256}")
            typer.echo(f"sha256 of the result  {done.sha256}")
        if any(done.network == "refused" for done in parts):
            typer.echo(
                "This system gives a process no network of its own; its sockets were refused "
                "in Python instead."
            )


def convert(source: Path, out: Path, layout: Layout = "as-it-is") -> Converted:
    """Write `out`/model.safetensors and converted.json; InputError where the file cannot be."""
    done = _converted(source, out, FILE, layout)
    _note(out, asdict(done))
    return done


def convert_parts(source: Path, out: Path) -> list[Converted]:
    """Every part that an index names, beside it, as a safetensors file, with an index of these.

    InputError where the index cannot be read, names a file elsewhere, or a part cannot be read.
    """
    try:
        found: dict[str, str] = json.loads(source.read_text(encoding="utf-8"))["weight_map"]
        names = sorted(set(found.values()))
        if not names or any(Path(name).name != name for name in names):
            raise ValueError(f"the parts {names[:3]}")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise InputError(
            f"{source} is no index of a checkpoint's parts ({error}); name the file that ends in "
            f".bin{INDEX}, with its parts beside it."
        ) from error
    to = {n: f"model-{i:05}-of-{len(names):05}.safetensors" for i, n in enumerate(names, 1)}
    done = [_converted(source.parent / name, out, file, "as-it-is") for name, file in to.items()]
    told = {"metadata": {}, "weight_map": {tensor: to[name] for tensor, name in found.items()}}
    (out / f"{FILE}{INDEX}").write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    _note(out, [asdict(one) for one in done])
    return done


def _note(out: Path, told: Any) -> None:
    kept = json.dumps(told, indent=2) + "\n"
    (out / "converted.json").write_text(kept, encoding="utf-8")


def _converted(source: Path, out: Path, file: str, layout: Layout) -> Converted:
    """One pickled file as `out`/`file`."""
    if not source.is_file():
        raise InputError(f"There is no file {source}; name a pickled checkpoint.")
    if (out / file).exists():
        raise InputError(f"{out / file} is there already; name another folder, or move it away.")
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out) as name:
        part = Path(name) / FILE
        said = _ask(source, part)
        if layout == "open-clip":
            from workers.open_clip import as_transformers

            as_transformers(part, out)
        done = Converted(
            source=source.name,
            source_sha256=sha256(source),
            file=file,
            sha256=sha256(part),
            tensors=int(said["tensors"]),
            left_out=int(said["left_out"]),
            layout=layout,
            network=str(said["network"]),
        )
        part.replace(out / file)
    return done


def _ask(source: Path, part: Path) -> dict[str, Any]:
    """The child's answer; InputError in its words where it could not read the file."""
    memory = ADDRESSES + 4 * source.stat().st_size
    told = [sys.executable, "-I", str(CHILD), str(source.resolve()), str(part), str(memory)]
    try:
        ended = subprocess.run(
            [*told, str(SECONDS)],
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
            stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/bin:/bin", "OMP_NUM_THREADS": "1"},
            cwd=part.parent,
        )
    except subprocess.TimeoutExpired as error:
        raise InputError(f"{source.name} took longer than {SECONDS} s; nothing came of it.") from (
            error
        )
    try:
        said: dict[str, Any] = json.loads(ended.stdout.strip().split("\n")[-1])
    except ValueError as error:
        raise EnvironmentProblem(
            f"The process that reads {source.name} ended with code {ended.returncode} and said "
            "nothing; it may have met its bounds of memory or time."
        ) from error
    if "error" in said:
        raise InputError(
            f"{source.name} was not converted ({said['error']}); only tensors in plain containers "
            "are read."
        )
    if not said["tensors"]:
        raise InputError(f"{source.name} holds no tensors; nothing was written.")
    return said


def sha256(path: Path) -> str:
    """Of a file's content, read block by block."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
