"""The commands `palate import ...` and `palate export`: prompts, labels, pairs in, labels out."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.errors import InputError
from workers.terminal import Home, opened, sentences

importing = typer.Typer(
    help="Bring prompts, labels or pairs into a project. What can be read comes in, the rest is "
    "told by its line; the same file again adds nothing.",
    no_args_is_help=True,
)
TOLD = 20
"""Faults that are told one by one."""
Pictures = Annotated[
    Path | None,
    typer.Option(
        help="Folder of the pictures that the rows name.",
        show_default="where the file is, or the ZIP itself",
    ),
]
Project = Annotated[str, typer.Option(help="Name of the project.", show_default="the first one")]


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

    with sentences(), opened(home) as studio:
        try:
            text = file.read_bytes()
        except OSError as error:
            raise InputError(f"The file {file} cannot be read: {error.strerror}.") from None
        title = name or file.stem
        found = prompts.import_text(
            studio, _project(studio, project), title, split, text, file.name
        )
        typer.echo(f"Imported {found['num_prompts']} prompts as '{title}'.")


@importing.command("labels")
def import_labels(
    file: Annotated[
        Path, typer.Argument(help="A file, a folder of Hugging Face datasets, or a ZIP.")
    ],
    form: Annotated[
        str, typer.Option("--format", help="auto, or a name of docs/exchange.md.")
    ] = "auto",
    pictures: Pictures = None,
    annotator: Annotated[
        str, typer.Option(help="Whose labels they are, where a row does not say.")
    ] = "imported",
    study: Annotated[
        int | None, typer.Option(help="Into that study; marks need one that asks for them.")
    ] = None,
    project: Project = "",
    home: Home = None,
) -> None:
    """Import judgements of pairs, or clicks and likes as weak ones, with their pictures.

    Ends with code 2 when some rows could not be read.
    """
    _bring(home, project, file, pictures, "labels", form, annotator, study)


@importing.command("pairs")
def import_pairs(
    file: Annotated[
        Path,
        typer.Argument(
            help='Rows with "prompt", "image_a" and "image_b", or a ZIP of them and their pictures.'
        ),
    ],
    pictures: Pictures = None,
    study: Annotated[
        int | None, typer.Option(help="Into that study; other kinds of items need one.")
    ] = None,
    project: Project = "",
    home: Home = None,
) -> None:
    """Import items that wait to be judged: pairs of pictures, or what a study shows.

    Ends with code 2 when some rows could not be read.
    """
    _bring(home, project, file, pictures, "pairs", study=study)


@importing.command("rollouts")
def import_rollouts(
    folder: Annotated[
        Path, typer.Argument(help="A folder of rows and pictures, a file of rows, or a ZIP.")
    ],
    name: Annotated[
        str, typer.Option(help="Name of the run they become.", show_default="the folder's")
    ] = "",
    pictures: Pictures = None,
    project: Project = "",
    home: Home = None,
) -> None:
    """Import rollouts that another trainer logged (flow_grpo, TRL's completions), as a run.

    Ends with code 2 when some rows could not be read.
    """
    from backend.services import rollout_imports, sources

    with sentences(), opened(home) as studio:
        title = name or folder.resolve().stem
        with sources.opened(folder, pictures=pictures, beside=True) as parts:
            done = rollout_imports.bring(studio, _project(studio, project), title, parts)
        _told(done)


def _bring(
    home: Path | None,
    project: str,
    file: Path,
    pictures: Path | None,
    what: str,
    form: str = "auto",
    annotator: str = "",
    study: int | None = None,
) -> None:
    from backend.services import imports, sources
    from backend.services.imports import How, Report

    def say(report: Report, share: float) -> None:
        if sys.stderr.isatty():
            typer.echo(f"\r{share:4.0%}  {report.sentence()}", err=True, nl=False)

    with sentences(), opened(home) as studio:
        project_id = _project(studio, project)
        if study is not None:
            imports.refuse_study(studio, project_id, study)
        with sources.opened(file, pictures=pictures, beside=True) as parts:
            how = How(what, form, annotator, study)
            done = imports.bring(studio, project_id, parts, how, say=say)
        if sys.stderr.isatty():
            typer.echo("", err=True)
        _told(done)


def _told(done: Any) -> None:
    """Say what came in and what could not be read."""
    for problem in done.problems[:TOLD]:
        typer.echo("{file}, line {line}, {column}: {reason}.".format(**problem), err=True)
    if done.broken > TOLD:
        typer.echo(f"... and {done.broken - TOLD:,} more.", err=True)
    typer.echo(done.sentence())
    if done.broken:
        raise typer.Exit(2)


def export(  # noqa: PLR0913 - every argument is an option of the command
    what: Annotated[str, typer.Argument(help="labels")] = "labels",
    out: Annotated[
        Path | None,
        typer.Option(help="File, or folder of 'datasets'.", show_default="standard output"),
    ] = None,
    form: Annotated[str, typer.Option("--format", help="A name of docs/exchange.md.")] = "jsonl",
    simulated: Annotated[bool, typer.Option(help="Simulated annotators' labels too.")] = False,
    implicit: Annotated[bool, typer.Option(help="Weak ones, drawn from clicks, too.")] = False,
    study: Annotated[int | None, typer.Option(help="Those of a study alone.")] = None,
    inside: Annotated[
        bool, typer.Option(help="Pictures inside the file: parquet, pickapic, datasets.")
    ] = False,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder to copy the pictures to.", show_default="none")
    ] = None,
    project: Project = "",
    home: Home = None,
) -> None:
    """Write the labels of a project in a format, and say what has no place in it."""
    from backend.preferences.formats import Losses
    from backend.services import audit, exports, studies

    with sentences(), opened(home) as studio:
        if what != "labels":
            raise InputError(f"'{what}' cannot be exported; only 'labels' can.")
        project_id, losses = _project(studio, project), Losses()
        which: dict[str, Any] = {"simulated": simulated, "implicit": implicit, "inside": inside}
        which["scope"] = studies.scope_of(study, None) if study is not None else None
        audit.note_alone(studio, None, "export", f"exported labels as {form}", project=project_id)
        if form == exports.FOLDER:
            if out is None:
                raise InputError("'datasets' is a folder; name it with --out.")
            exports.save_folder(studio, project_id, out, losses=losses, **which)
        else:
            file = "parquet" if inside and form == "pickapic" else ""
            parts = exports.stream(studio, project_id, form, container=file, losses=losses, **which)
            with written(out) as target:
                for part in parts:
                    target.write(part)
        if pictures is not None:
            which.pop("inside")
            exports.save_pictures(studio, project_id, pictures, **which)
        number = f"{losses.written:,} label{'' if losses.written == 1 else 's'}"
        said = f"Wrote {number} to {out or 'standard output'}. {losses.sentence()}"
        typer.echo(said.strip(), err=out is None)


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
def written(path: Path | None) -> Iterator[Any]:
    """A file that appears whole or not at all; standard output when none is named."""
    if path is None:
        yield sys.stdout.buffer
        return
    partial = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            yield file
        partial.replace(path)
    except OSError as error:
        raise InputError(f"The file {path} cannot be written: {error.strerror}.") from None
    finally:
        partial.unlink(missing_ok=True)
