"""The command line: `palate up`, `worker`, `loop`, `probe`, `bench`, `import`, `export`, ..."""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from backend.errors import InputError
from backend.settings import Settings, read_settings, settings
from workers.bench.cli import bench_app
from workers.terminal import sentences

app = typer.Typer(
    name="palate",
    help="Teach an image model your taste: label pairs, learn a reward, run RL, compare blind.\n\n"
    "`palate up` starts the studio and prints its address. Settings come from PALATE_* variables "
    "and a .env file; `palate doctor` shows whether anything is missing.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
importing = typer.Typer(
    help="Bring prompts, labels or pairs into a project. A file is taken whole or not at all.",
    no_args_is_help=True,
)
users_app = typer.Typer(help="The people of a studio.", no_args_is_help=True)
app.add_typer(importing, name="import")
app.add_typer(users_app, name="user")
app.add_typer(bench_app, name="bench")

Home = Annotated[
    Path | None, typer.Option("--home", help="Data folder.", show_default="PALATE_HOME or .palate")
]
Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the pictures that the rows name.",
        show_default="where the file is, or the ZIP itself",
    ),
]
Project = Annotated[str, typer.Option(help="Name of the project.", show_default="the first one")]


@app.command()
def up(
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    home: Home = None,
    demo: Annotated[bool, typer.Option(help="Fill an empty studio with the demo project.")] = True,
) -> None:
    """Start the whole studio: app, Redis, workers. Ctrl-C stops everything."""
    from workers import up as studio_up

    with sentences():
        chosen = _settings(home, PALATE_HOST=host, PALATE_PORT=port)
        studio_up.run(chosen, say=typer.echo, demo=demo)


@app.command()
def worker(
    queues: Annotated[list[str], typer.Argument(help="generate, score or train; one or several.")],
    threads: Annotated[int, typer.Option(help="Threads of the model; 0: torch decides.")] = 0,
    home: Home = None,
) -> None:
    """Run one worker here, for a studio anywhere.

    This machine must reach the studio's store and Redis: PALATE_DATABASE_URL, PALATE_REDIS_URL and
    PALATE_MEDIA_URL say where they are.
    """
    from workers import main as worker_main
    from workers.queues import QUEUES

    with sentences():
        unknown = [name for name in queues if name not in QUEUES]
        if unknown:
            raise InputError(
                f"There is no queue '{unknown[0]}'; the queues are {', '.join(QUEUES)}."
            )
        chosen = _settings(home)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        raise typer.Exit(worker_main.serve(queues, threads or chosen.threads))


@app.command()
def loop(
    recipe: Annotated[str, typer.Option(help="How to train: a recipe's name.")] = "g2rpo",
    labels: Annotated[int, typer.Option(min=10, help="Pairs that are judged.")] = 400,
    minutes: Annotated[float, typer.Option(min=0.1, help="Budget for the RL runs.")] = 15.0,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    json: Annotated[Path, typer.Option(help="Where the figures are written.")] = Path("out.json"),
    rounds: Annotated[
        int, typer.Option(min=1, max=8, help="Label, learn, train: how many times round.")
    ] = 1,
    processes: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that train together, one a GPU.")
    ] = 1,
    home: Annotated[
        Path | None, typer.Option(help="Data folder to keep.", show_default="a temporary one")
    ] = None,
) -> None:
    """Go round the whole loop without a browser.

    Draws pictures, has simulated annotators judge them, learns a reward, trains on it, and
    compares blind; the figures of every phase go into one JSON file.
    """
    from workers import loop as whole_loop

    with sentences():
        plan = whole_loop.LoopPlan(recipe, labels, minutes, seed, json, rounds, processes)
        whole_loop.run(plan, home, say=typer.echo)


@app.command()
def probe(
    recipe: Annotated[str, typer.Option(help="The run to probe: a recipe's name.")] = "one-fork",
    kind: Annotated[
        Literal["spread", "psi"],
        typer.Option(help="Where forks make the reward differ, or how much noise each step bears."),
    ] = "spread",
    json: Annotated[
        Path | None, typer.Option(help="Where the figures are written too.", show_default="nowhere")
    ] = None,
) -> None:
    """Say how a recipe should explore on the pocket world, by a short sampling run."""
    from workers import probing

    with sentences():
        probing.run(recipe, kind, json, say=typer.echo)


@importing.command("prompts")
def import_prompts(
    file: Annotated[Path, typer.Argument(help="One prompt a line, or JSONL with a key 'prompt'.")],
    name: Annotated[str, typer.Option(help="Name of the set.", show_default="the file's")] = "",
    split: Annotated[str, typer.Option(help="train or heldout.")] = "train",
    project: Project = "",
    home: Home = None,
) -> None:
    """Import a file of prompts, whole or not at all."""
    from backend.services import prompts

    with sentences(), _studio(home) as studio:
        text = _read(file)
        title = name or file.stem
        found = prompts.import_text(
            studio, _project(studio, project), title, split, text, file.name
        )
        typer.echo(f"Imported {found['num_prompts']} prompts as '{name or file.stem}'.")


@importing.command("labels")
def import_labels(
    file: Annotated[Path, typer.Argument(help="JSON lines, or a ZIP of them and their pictures.")],
    form: Annotated[str, typer.Option("--format", help="jsonl, trl or pickapic.")] = "jsonl",
    pictures: Pictures = None,
    annotator: Annotated[
        str, typer.Option(help="Whose labels they are, where a row does not say.")
    ] = "imported",
    project: Project = "",
    home: Home = None,
) -> None:
    """Import judgements of pairs, with their pictures."""
    from backend.services import imports

    with sentences(), _studio(home) as studio, _rows(file, pictures) as (rows, source):
        found = imports.import_labels(
            studio,
            _project(studio, project),
            rows,
            form,
            pictures=source,
            filename=file.name,
            annotator=annotator,
        )
        typer.echo(_brought(found.labels, "label", found))


@importing.command("pairs")
def import_pairs(
    file: Annotated[
        Path,
        typer.Argument(
            help='JSON lines with "prompt", "image_a" and "image_b", or a ZIP of them and their '
            "pictures."
        ),
    ],
    pictures: Pictures = None,
    project: Project = "",
    home: Home = None,
) -> None:
    """Import pairs of pictures that wait to be judged."""
    from backend.services import imports

    with sentences(), _studio(home) as studio, _rows(file, pictures) as (rows, source):
        found = imports.import_pairs(
            studio, _project(studio, project), rows, pictures=source, filename=file.name
        )
        typer.echo(_brought(found.pairs, "pair", found))


@app.command()
def export(
    what: Annotated[str, typer.Argument(help="labels")] = "labels",
    out: Annotated[Path | None, typer.Option(help="File.", show_default="standard output")] = None,
    form: Annotated[str, typer.Option("--format", help="jsonl, trl or pickapic.")] = "jsonl",
    simulated: Annotated[bool, typer.Option(help="Simulated annotators' labels too.")] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder to copy the pictures to.", show_default="none")
    ] = None,
    project: Project = "",
    home: Home = None,
) -> None:
    """Write the labels of a project as lines of JSON."""
    from backend.services import labels

    with sentences(), _studio(home) as studio:
        if what != "labels":
            raise InputError(f"'{what}' cannot be exported; only 'labels' can.")
        project_id = _project(studio, project)
        lines = labels.export(studio, project_id, form, simulated=simulated)
        with _written(out) as file:
            count = sum(bool(file.write(line)) for line in lines)
        if pictures is not None:
            for name in labels.pictures(studio, project_id, simulated=simulated):
                with _written(pictures / f"{name}.png", "wb") as copy:
                    copy.write(studio.media.read(name))
        every = sum(
            1 for _ in labels.judged(studio, project_id, simulated=None if simulated else False)
        )
        said = f"Wrote {_counted(count, 'label')} to {out or 'standard output'}."
        if every > count:
            said += f" {every - count:,} left out, which this format cannot hold."
        typer.echo(said, err=out is None)


@users_app.command("list")
def list_users(home: Home = None) -> None:
    """Everybody who has labelled or may label."""
    from backend.services import users

    with sentences(), _studio(home) as studio:
        for row in users.rows(studio):
            typer.echo(f"{row['id']:>4}  {row['name']:<24} {row['kind']:<10} {row['role']}")


@users_app.command("create")
def create_user(
    name: Annotated[str, typer.Argument(help="Name, once in a studio.")],
    role: Annotated[str, typer.Option(help="annotator, researcher or admin.")] = "annotator",
    home: Home = None,
) -> None:
    """Add a person."""
    from backend.services import users

    with sentences(), _studio(home) as studio:
        row = users.create(studio, name, role)
        typer.echo(f"Added {row['name']} ({row['role']}).")


@app.command()
def doctor(home: Home = None) -> None:
    """Say what is there, what is missing, and how to get it."""
    from workers import doctor as examination

    signs = {"ok": "ok      ", "missing": "MISSING ", "optional": "optional"}
    with sentences():
        missing = 0
        for finding in examination.examine(_settings(home)):
            missing += finding.status == "missing"
            typer.echo(f"{signs[finding.status]}  {finding.name:<21} {finding.found}")
            if finding.remedy:
                typer.echo(f"          {'':<21} → {finding.remedy}")
        typer.echo("Nothing is missing." if not missing else f"{missing} missing.")
        raise typer.Exit(1 if missing else 0)


def main() -> None:
    """Entry point of the `palate` command."""
    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    # Waiting threads must not burn the cores that others compute on; read when torch is loaded.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    app()


def _settings(home: Path | None, **given: Any) -> Settings:
    """The settings of this process and of those it starts: options win over the environment."""
    if home is not None:
        os.environ["PALATE_HOME"] = str(home.expanduser().resolve())
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    settings.cache_clear()
    return read_settings()


@contextmanager
def _studio(home: Path | None) -> Iterator[Any]:
    from backend.services.studio import open_studio

    studio = open_studio(_settings(home), migrate=True)
    try:
        yield studio
    finally:
        studio.close()


def _project(studio: Any, name: str) -> int:
    from backend.services import projects, users

    if not name:
        return int(projects.current(studio, users.local(studio)["id"])["id"])
    for row in projects.rows(studio):
        if row["name"] == name:
            return int(row["id"])
    known = ", ".join(f"'{row['name']}'" for row in projects.rows(studio)) or "none"
    raise InputError(f"There is no project '{name}'; there are: {known}.")


@contextmanager
def _rows(file: Path, pictures: Path | None) -> Iterator[tuple[bytes, Any]]:
    """The rows of a file, and where the pictures lie that they name."""
    from backend.services import imports
    from backend.services.pictures import Folder, NoPictures

    if pictures is not None and not pictures.is_dir():
        raise InputError(f"There is no folder {pictures}; --pictures names the pictures' folder.")
    try:
        opened = file.open("rb")
    except OSError as error:
        raise InputError(f"The file {file} cannot be read: {error.strerror}.") from None
    with opened:
        rows, source = imports.unpacked(opened, file.name)
        if pictures is not None or isinstance(source, NoPictures):
            source = Folder(pictures or file.parent)
        yield rows, source


def _brought(count: int, noun: str, added: Any) -> str:
    """What an import did, in a sentence."""
    new = ((added.pictures, "new picture"), (added.prompts, "new prompt"))
    with_what = " and ".join(_counted(number, word) for number, word in new if number)
    said = f"Imported {_counted(count, noun)}{' with ' if with_what else ''}{with_what}."
    return f"{said} Already here: {added.already:,}." if added.already else said


def _counted(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def _read(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise InputError(f"The file {file} cannot be read: {error.strerror}.") from None


@contextmanager
def _written(path: Path | None, mode: str = "w") -> Iterator[Any]:
    """A file that appears whole or not at all; standard output when none is named."""
    if path is None:
        yield sys.stdout
        return
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open(mode, encoding=None if "b" in mode else "utf-8") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(f"The file {path} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)


if __name__ == "__main__":
    main()
