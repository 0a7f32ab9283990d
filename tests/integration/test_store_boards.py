"""Boards on both kinds of store: which cells are drawn, and that exactly the missing ones are
asked for."""

from __future__ import annotations

import pytest

from backend.errors import Conflict, InputError, NotFound
from backend.services import board_sources, boards, jobs, policies, records, samples
from backend.services.boards import Board, Cell
from backend.services.records import StoredCheckpoint
from backend.services.samples import NewSample, picture_seed
from backend.services.studio import Studio
from tests import factory

SETTINGS = {"num_steps": 10, "guidance": 1.0}


def _drawn(studio: Studio, made: factory.Made, policy: int, prompts: list[int], seed: str) -> None:
    """Pictures as `generate` or `cells` would have left them."""
    rows = []
    for prompt_id in prompts:
        text = f"prompt {made.prompt_ids.index(prompt_id)}"
        media = studio.media.put(factory.png(policy * 1000 + prompt_id))
        noise = boards.noise_seed(seed, text)
        rows.append(NewSample(prompt_id, noise, media, 8, 8, SETTINGS))
    samples.add(studio, made.project, policy, rows)


def _checkpoint(studio: Studio, run: int, step: int) -> str:
    adapter = studio.media.put(f"adapter {step}".encode())
    records.checkpoint(studio, run, StoredCheckpoint(step, adapter, adapter, None, {}))
    return adapter


def test_a_board_knows_its_cells_and_asks_for_exactly_those_that_are_missing(
    services: Studio,
) -> None:
    made = factory.project(services, per_prompt=0)
    run = factory.trained_run(services, made)
    adapter = _checkpoint(services, run, 2)
    _drawn(services, made, made.policy, made.prompt_ids[:3], "0")
    base, tuned = f"policy:{made.policy}", f"run:{run}@2"
    board = Board(sources=[base, tuned], prompt_ids=made.prompt_ids)
    shown = boards.cells(services, made.project, board)
    assert (shown["steps"], shown["guidances"], shown["seeds"]) == ([10], [1.0], ["0"])
    assert [one["name"] for one in shown["sources"]] == ["pocket", "small @ 2"]
    assert shown["sources"][1]["can_draw"] and shown["sources"][1]["policy_id"] is None
    there = [cell["picture"] is not None for cell in shown["cells"]]
    assert there == [True] * 3 + [False] * 5

    wanted = [Cell(*(c[name] for name in Cell._fields)) for c in shown["cells"]]
    asked = boards.draw(services, made.project, wanted)
    assert asked["missing"] == 5
    job = jobs.get(services, asked["job_id"])
    learned = policies.rows(services, made.project)[-1]
    assert (learned["run_id"], learned["step"], learned["name"]) == (run, 2, "small, step 2")
    assert policies.spec(services, learned["id"]).adapter == adapter
    assert job["queue"] == "generate" and job["args"]["cells"] == [
        [made.policy, made.prompt_ids[3], "0", 10, 1.0],
        *([learned["id"], prompt, "0", 10, 1.0] for prompt in made.prompt_ids),
    ]
    _drawn(services, made, made.policy, made.prompt_ids[3:], "0")
    _drawn(services, made, learned["id"], made.prompt_ids, "0")
    again = boards.cells(services, made.project, board)
    assert all(cell["picture"] for cell in again["cells"])
    seeds = [cell["picture"]["seed"] for cell in again["cells"]]
    assert seeds[:4] == seeds[4:] == [picture_seed(0, f"prompt {n}", 0) for n in range(4)]
    with pytest.raises(Conflict, match="drawn already"):
        boards.draw(services, made.project, wanted)
    assert boards.policy_of(services, made.project, tuned)["id"] == learned["id"]


def test_axes_of_settings_and_seeds_are_cells_of_their_own(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    _drawn(services, made, made.policy, made.prompt_ids[:1], "0.2")
    board = Board(
        sources=[f"policy:{made.policy}"],
        prompt_ids=made.prompt_ids[:1],
        seeds=["0", "0.2"],
        steps=[4, 10],
        guidances=[1.0, 3.0],
    )
    cells = boards.cells(services, made.project, board)["cells"]
    there = [(c["seed"], c["steps"], c["guidance"]) for c in cells if c["picture"]]
    assert len(cells) == 8 and there == [("0.2", 10, 1.0)]


def test_what_a_run_drew_of_its_fixed_prompts_needs_no_drawing(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    run = factory.trained_run(services, made)
    from backend.services import prompts

    held = prompts.named(services, made.project, "heldout")["id"]
    ids = [prompt_id for prompt_id, _text in prompts.texts(services, held)]
    keys = [f"run:{run}@0", f"run:{run}@3"]
    shown = boards.cells(services, made.project, Board(sources=keys, prompt_ids=ids, seeds=["run"]))
    assert [c["picture"] is not None for c in shown["cells"]] == ([True] + [False] * 3) * 2
    assert not any(c["can_draw"] for c in shown["cells"])
    listed = board_sources.sources(services, made.project)
    assert listed["runs"][0] == {
        "id": run,
        "name": "small",
        "checkpoints": [],
        "evaluations": [0, 3],
    }
    assert listed["imported"] is False


def test_a_board_that_cannot_be_says_why(services: Studio) -> None:
    made = factory.project(services, per_prompt=0)
    base = f"policy:{made.policy}"

    def shown(**changes: object) -> None:
        given = {"sources": [base], "prompt_ids": made.prompt_ids[:1], **changes}
        boards.cells(services, made.project, Board.read(given))

    for changes, problem, said in (
        ({"sources": ["model 3"]}, InputError, "no source"),
        ({"sources": ["policy:999"]}, NotFound, "no policy 999"),
        ({"sources": ["run:999@1"]}, NotFound, "no run 999"),
        ({"prompt_ids": [10**6]}, NotFound, "no prompt"),
        ({"seeds": ["x"]}, InputError, "no seed"),
        ({"steps": [0]}, InputError, "denoising steps"),
        ({"guidances": [-1]}, InputError, "Guidance"),
        (
            {"prompt_ids": made.prompt_ids * 100, "seeds": [str(i) for i in range(64)]},
            InputError,
            "cells",
        ),
    ):
        with pytest.raises(problem, match=said):
            shown(**changes)
    with pytest.raises(Conflict):
        boards.draw(services, made.project, [Cell("imported", made.prompt_ids[0], "0", 1, 1.0)])
    with pytest.raises(InputError, match="come from outside"):
        boards.policy_of(services, made.project, "imported")
