"""The commands `palate bundle` and `palate replay`: a run as a file, and the file as a run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from backend.languages import ENGLISH
from workers.exchange import written
from workers.terminal import Home, opened, sentences


def bundle(
    run: Annotated[int, typer.Argument(help="Number of the run.")],
    out: Annotated[
        Path | None, typer.Option(help="File to write.", show_default="the run's name")
    ] = None,
    report: Annotated[bool, typer.Option(help="One HTML page to send instead.")] = False,
    language: Annotated[str, typer.Option(help="Of that page: en or zh-CN.")] = ENGLISH,
    home: Home = None,
) -> None:
    """Write a run as a ZIP that replays: config, code version, seeds, metrics, adapters, samples,
    prompts."""
    from backend.services import bundles, reports

    with sentences(), opened(home) as studio:
        page = reports.stream(studio, run, language) if report else None
        parts = page or bundles.stream(studio, run)
        path = out or Path(bundles.filename(studio, run, ".html" if report else ".zip"))
        with written(path) as file:
            for part in parts:
                file.write(part)
        typer.echo(f"Wrote {path}, {path.stat().st_size:,} bytes.")


def replay(
    bundle: Annotated[Path, typer.Argument(help="A ZIP that `palate bundle` wrote.")],
    against: Annotated[
        int | None, typer.Option(help="Compare this run with the bundle instead.")
    ] = None,
    project: Annotated[
        str, typer.Option(help="Name of the new project.", show_default="after the run")
    ] = "",
    home: Home = None,
) -> None:
    """Start the run of a bundle again, with the same settings, prompts and seeds.

    With `--against` a run that is there is compared with the bundle, step by step; ends with code 2
    when they differ.
    """
    from backend.services import replays

    with sentences(), opened(home) as studio:
        if against is not None:
            found = replays.verdict(studio, against, bundle)
            typer.echo(found.sentence())
            raise typer.Exit(2 if found.first else 0)
        row = replays.bring(studio, bundle, project)
        typer.echo(
            f"Run {row['id']} waits for a worker; `palate up` starts one. Then compare: "
            f"palate replay {bundle} --against {row['id']}"
        )
