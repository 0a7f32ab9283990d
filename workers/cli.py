"""The command line: `palate up`, `worker`, `loop`, `probe`, `bench`, `import`, `export`, ..."""

from __future__ import annotations

import logging
import os
import signal
from pathlib import Path
from typing import Annotated, Literal

import typer

from backend.errors import InputError
from workers.bench.cli import bench_app
from workers.bundling import bundle, replay
from workers.converting import convert_weights
from workers.exchange import export, importing
from workers.people import users_app
from workers.terminal import Home, chosen, sentences

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
app.add_typer(importing, name="import")
app.add_typer(users_app, name="user")
app.add_typer(bench_app, name="bench")
app.command()(export)
app.command()(bundle)
app.command()(replay)
app.command()(convert_weights)


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
        settings = chosen(home, PALATE_HOST=host, PALATE_PORT=port)
        studio_up.run(settings, say=typer.echo, demo=demo)


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
        settings = chosen(home)
        logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
        raise typer.Exit(worker_main.serve(queues, threads or settings.threads))


@app.command()
def loop(  # noqa: PLR0913 - one for each option
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
    tastes: Annotated[
        int, typer.Option(min=1, max=2, help="Tastes among the simulated annotators.")
    ] = 1,
    heldout: Annotated[
        int, typer.Option(min=16, max=512, help="Prompts on which the result is measured.")
    ] = 512,
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
        plan = whole_loop.LoopPlan(
            recipe, labels, minutes, seed, json, rounds, processes, tastes, heldout
        )
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


@app.command()
def audit(
    name: Annotated[str, typer.Argument(help="A kind of reward that judges, or a stored one.")],
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the judge, as key=value.")
    ] = None,
    pairs: Annotated[int, typer.Option(min=20, help="Pairs whose better picture is known.")] = 200,
    groups: Annotated[int, typer.Option(min=4, help="Groups whose spread is measured.")] = 32,
    seed: Annotated[int, typer.Option(min=0, help="Everything random follows from it.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Where the figures are written too.", show_default="nowhere")
    ] = None,
    on: Annotated[
        Literal["pocket", "people", "everybody"],
        typer.Option(help="Pairs of the pocket world, or those that a project's people decided."),
    ] = "pocket",
    home: Home = None,
) -> None:
    """Put a judge through the tests of its audit, on the pocket world or on a project's own pairs.

    The exit code is 0 when it passes all of them.
    """
    from workers import auditing

    with sentences():
        given = tuple(settings or ())
        own, simulated = on != "pocket", on == "everybody"
        plan = auditing.Plan(name, given, pairs, groups, seed, json, home, own, simulated)
        raise typer.Exit(0 if auditing.run(plan, say=typer.echo) else 1)


@app.command()
def doctor(home: Home = None) -> None:
    """Say what is there, what is missing, and how to get it."""
    from workers import doctor as examination

    signs = {"ok": "ok      ", "missing": "MISSING ", "optional": "optional"}
    with sentences():
        missing = 0
        for finding in examination.examine(chosen(home)):
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


if __name__ == "__main__":
    main()
