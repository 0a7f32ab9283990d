"""The commands `palate bench ...`; everything heavy is imported when one runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from workers.terminal import Home, sentences

bench_app = typer.Typer(
    help="Measure on the pocket world, without a studio. Figures are written to a folder.",
    no_args_is_help=True,
)

Minutes = Annotated[float, typer.Option(min=0.01, help="Training time of each run.")]
Out = Annotated[Path, typer.Option(help="Folder for the figures; finished runs are read back.")]
Prompts = Annotated[int, typer.Option(min=4, max=256, help="Held-out prompts of an evaluation.")]
Labels = Annotated[int, typer.Option(min=40, help="Simulated labels to learn from.")]
Updates = Annotated[
    int, typer.Option(min=0, help="So many updates instead of minutes, alike on any machine.")
]
Seed = Annotated[int, typer.Option(min=0, help="Everything random follows from it.")]


@bench_app.command("methods")
def methods(
    minutes: Minutes = 6.0,
    seeds: Annotated[int, typer.Option(min=1, help="Runs of each recipe.")] = 3,
    only: Annotated[
        str, typer.Option("--methods", help="Methods or recipes, by comma.", show_default="all")
    ] = "",
    trained: Annotated[
        Literal["verifier", "learned"],
        typer.Option(help="The reward trained on; the other one is watched as gold."),
    ] = "verifier",
    prompts: Prompts = 256,
    labels: Labels = 400,
    out: Out = Path("bench"),
) -> None:
    """Compare all methods: held-out gains against network evaluations and against seconds."""
    with sentences():
        from workers.bench import methods as benchmark

        chosen = tuple(name.strip() for name in only.split(",") if name.strip())
        plan = benchmark.MethodsPlan(minutes, seeds, chosen, trained)
        benchmark.choose(chosen)
        benchmark.bench(_lab(out, prompts, labels), plan)
        _wrote(out, "methods")


@bench_app.command("hacking")
def hacking(
    minutes: Minutes = 3.0,
    seed: Seed = 0,
    updates: Updates = 0,
    only: Annotated[str, typer.Option("--runs", help="Which, by comma.")] = "learned,cheat,wins",
    prompts: Prompts = 256,
    labels: Labels = 400,
    out: Out = Path("bench"),
) -> None:
    """Train on a reward that people taught and on one that can be cheated; who says which is it?"""
    with sentences():
        from workers.bench import hacking as benchmark

        chosen = tuple(name.strip() for name in only.split(",") if name.strip())
        plan = benchmark.HackingPlan(minutes, seed, updates, chosen)
        benchmark.bench(_lab(out, prompts, labels, tastes=2), plan)
        _wrote(out, "hacking")


@bench_app.command("judge")
def judge(
    minutes: Minutes = 8.0,
    seed: Seed = 0,
    weights: Annotated[
        Literal["judge", "biased"],
        typer.Option(help="The judge, or its twin that likes the first."),
    ] = "judge",
    updates: Updates = 0,
    prompts: Prompts = 256,
    out: Out = Path("bench"),
) -> None:
    """Train on who beats whom under the pocket judge; does the verifier, never trained on, rise?"""
    with sentences():
        from workers.bench import judged as benchmark

        plan = benchmark.JudgedPlan(minutes, seed, weights, updates)
        benchmark.bench(_lab(out, prompts, 400), plan)
        _wrote(out, "judge")


@bench_app.command("untrained")
def untrained(
    rounds: Annotated[int, typer.Option(min=1, max=16, help="Pictures a prompt at most.")] = 4,
    seed: Seed = 0,
    prompts: Prompts = 256,
    out: Out = Path("bench"),
) -> None:
    """Better pictures without training: best of N, drawn again, or asked for in other words."""
    with sentences():
        from workers.bench import untrained as benchmark

        benchmark.bench(_lab(out, prompts, 400), benchmark.UntrainedPlan(rounds, seed))
        _wrote(out, "untrained")


@bench_app.command("pairs")
def pairs(
    file: Annotated[Path, typer.Argument(help="Pairs whose better one is known.")],
    judge: Annotated[
        str, typer.Option("--judge", help="A kind of reward that judges, or a stored one.")
    ] = "pocket-judge",
    settings: Annotated[
        list[str] | None, typer.Option("--set", help="A setting of the judge, as key=value.")
    ] = None,
    pictures: Annotated[
        Path | None, typer.Option(help="Folder of the pictures.", show_default="beside the file")
    ] = None,
    limit: Annotated[int, typer.Option(min=0, help="The first so many pairs; 0: all.")] = 0,
    json: Annotated[
        Path | None, typer.Option(help="Where the figures are written too.", show_default="nowhere")
    ] = None,
    home: Home = None,
) -> None:
    """Ask a judge which of two is better: accuracy by category, flips, missing.

    Any label format with pictures, or the layout of VL-RewardBench, whose pairs are answers in
    words about a picture. Every pair is shown both ways round.
    """
    with sentences():
        from workers.bench import pairs as benchmark

        plan = benchmark.Plan(file, judge, tuple(settings or ()), pictures, limit, json, home)
        benchmark.run(plan, typer.echo)


@bench_app.command("alarms")
def alarms(
    updates: Annotated[int, typer.Option(min=6, help="Updates of each of the fifteen runs.")] = 24,
    every: Annotated[int, typer.Option(min=1, help="Updates between evaluations.")] = 4,
    long: Annotated[int, typer.Option(min=0, help="Updates of two more healthy runs.")] = 0,
    out: Out = Path("bench"),
) -> None:
    """Train runs that cheat and runs that do not; which alarms fire on which?"""
    with sentences():
        from workers.bench import alarms as benchmark

        plan = benchmark.AlarmsPlan(updates, every, long)
        benchmark.bench(_lab(out, 32, 400, tastes=2), plan)
        typer.echo((out / "alarms.md").read_text(encoding="utf-8"))


@bench_app.command("failures")
def failures(
    updates: Annotated[int, typer.Option(min=2, help="Updates of each run.")] = 16,
    seeds: Annotated[int, typer.Option(min=1, help="Pairs of runs, clean and failing.")] = 2,
    share: Annotated[float, typer.Option(min=0.0, max=0.9, help="Judgements that fail.")] = 0.2,
    depends: Annotated[
        Literal["chance", "dark", "bad"],
        typer.Option(help="What makes a failure likelier: nothing, a dark picture, a bad one."),
    ] = "chance",
    prompts: Prompts = 256,
    out: Out = Path("bench"),
) -> None:
    """Train while a share of the reward's judgements fails: does the result shift?"""
    with sentences():
        from workers.bench import failures as benchmark

        plan = benchmark.FailuresPlan(updates, seeds, share, depends)
        benchmark.bench(_lab(out, prompts, 400), plan)
        typer.echo((out / "failures.md").read_text(encoding="utf-8"))


@bench_app.command("dpo")
def dpo(
    minutes: Minutes = 3.0,
    seed: Seed = 0,
    prompts: Prompts = 256,
    labels: Labels = 400,
    out: Out = Path("bench"),
) -> None:
    """Train on stored pairs without a reward model, and compare blind with the base."""
    with sentences():
        from workers.bench import dpo as benchmark

        benchmark.bench(_lab(out, prompts, labels), benchmark.DpoPlan(minutes, seed))
        _wrote(out, "dpo")


@bench_app.command("choosing")
def choosing(
    seeds: Annotated[int, typer.Option(min=2, help="Worlds: prompts, people, noise.")] = 5,
    only: Annotated[
        str, typer.Option("--policies", help="Policies, by comma.", show_default="all")
    ] = "",
    out: Out = Path("bench"),
) -> None:
    """Compare what policies of which pair next need in labels for the same learned reward."""
    with sentences():
        from workers.bench import choosing as benchmark

        chosen = tuple(name.strip() for name in only.split(",") if name.strip())
        benchmark.bench(_lab(out, 256, 400), benchmark.ChoosingPlan(seeds, only=chosen))
        _wrote(out, "choosing")


@bench_app.command("annotators")
def annotators(
    seeds: Annotated[int, typer.Option(min=2, help="Worlds: people, pairs, noise.")] = 5,
    out: Out = Path("bench"),
) -> None:
    """Learn a reward from people of whom two are bad: what a model of the people buys."""
    with sentences():
        from workers.bench import annotators as benchmark

        benchmark.bench(out, benchmark.AnnotatorsPlan(seeds), typer.echo)
        typer.echo((out / "annotators.md").read_text(encoding="utf-8"))


@bench_app.command("rewards")
def rewards(
    seeds: Annotated[int, typer.Option(min=1, help="Worlds: prompts, people, noise.")] = 5,
    json: Annotated[Path, typer.Option(help="File for the figures.")] = Path("out.json"),
    out: Out = Path("bench"),
) -> None:
    """Learn a reward from people of two tastes: labels, calibration, whose answers count, cost."""
    with sentences():
        from workers.bench import rewards as benchmark
        from workers.report import refuse_unwritable

        refuse_unwritable(json)
        benchmark.bench(_lab(out, 256, 400), benchmark.RewardsPlan(seeds), json)
        typer.echo((out / "rewards.md").read_text(encoding="utf-8"))


def _lab(out: Path, prompts: int, labels: int, tastes: int = 1) -> Any:
    from workers.bench.lab import Lab

    return Lab(out, typer.echo, num_prompts=prompts, labels=labels, tastes=tastes)


def _wrote(out: Path, name: str) -> None:
    typer.echo((out / f"{name}.md").read_text(encoding="utf-8"))
    typer.echo(f"Wrote {name}.json, {name}.md and {name}.png to {out}.")
