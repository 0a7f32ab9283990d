"""Jobs done by real workers on a real Redis over SQLite, and in this process over PostgreSQL."""

from __future__ import annotations

import io
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from redis import Redis

from backend.errors import ConfigError
from backend.pocket import world
from backend.rl.composing import RewardTerm
from backend.services import (
    boards,
    events,
    glances,
    jobs,
    labels,
    pairs,
    prompts,
    rewards,
    samples,
    users,
)
from backend.services.boards import Board, Cell
from backend.services.samples import NewSample
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from tests.workshop import InProcess, Workshop, opened_for
from workers import reconciler
from workers.sheets import png


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def running(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_sd3: Path,  # noqa: F811
) -> Iterator[Workshop]:
    kind = Workshop if request.param == "sqlite" else InProcess
    with opened_for(request, tmp_path_factory, tiny_sd3, "generate", kind=kind) as workshop:
        yield workshop


@pytest.fixture
def workshop(running: Workshop) -> Workshop:
    """The same running workers, an empty project."""
    running.new_project()
    return running


PROCESSES = pytest.mark.parametrize("running", ["sqlite"], indirect=True)
"""What happens to workers and to Redis, not to the store."""


def generate(workshop: Workshop, **changes: object) -> dict[str, object]:
    args = {
        "prompt_set_id": workshop.prompt_set_id,
        "policy_id": workshop.policy_id,
        "num_prompts": 6,
        "samples_per_prompt": 2,
        "num_steps": 3,
        "seed": 7,
        "make_pairs": True,
    }
    return {**args, **changes}


def test_pictures_are_drawn_paired_and_scored(workshop: Workshop) -> None:
    studio, project = workshop.studio, workshop.project
    assert workshop.done("generate", generate(workshop)) == {"samples": 12, "pairs": 6, "nfe": 36}
    drawn = samples.page(studio, project)["items"]
    assert len({row["seed"] for row in drawn}) == 12
    media = drawn[0]["url"].removeprefix("/media/")
    with Image.open(io.BytesIO(studio.media.read(media))) as picture:
        assert picture.size == (drawn[0]["width"], drawn[0]["height"])

    term = RewardTerm(name="light", kind="brightness")
    asked = glances.ask(studio, project, [term])["light"]
    assert asked.state == "asked" and asked.job_id is not None
    workshop.end_of(asked.job_id)
    seen = glances.known(studio, project, [term])["light"]
    assert seen.state == "ready" and len(seen.values) == 12 and None not in seen.values
    assert "words painted on a blank scores above" in seen.cheated, "white paper is light"

    reward = rewards.create(studio, project, "light", "brightness", {})
    scoring = {"reward_id": reward["id"], "project_id": project, "policy_id": None, "limit": None}
    assert workshop.done("score", scoring) == {"samples": 12, "missing": 0}
    best = rewards.scored_samples(studio, reward["id"], order="high", limit=1)[0]
    scores = {row["id"]: row["scores"]["light"] for row in samples.page(studio, project)["items"]}
    assert seen.values == [scores[row["id"]] for row in drawn], "a glance says what scoring says"
    light = [_light(studio.media.read(row["url"].removeprefix("/media/"))) for row in drawn]
    assert best["sample"]["id"] == drawn[int(np.argmax(light))]["id"]


def test_missing_cells_of_a_board_are_drawn_as_any_other_job_would(workshop: Workshop) -> None:
    studio, project = workshop.studio, workshop.project
    workshop.done("generate", generate(workshop, samples_per_prompt=1, make_pairs=False, seed=0))
    ids = [prompt_id for prompt_id, _text in prompts.texts(studio, workshop.prompt_set_id)]
    source = f"policy:{workshop.policy_id}"
    board = Board(sources=[source], prompt_ids=ids[:2], seeds=["0", "0.1"], steps=[3, 2])
    found = boards.cells(studio, project, board)["cells"]
    missing = [Cell(*(c[name] for name in Cell._fields)) for c in found if not c["picture"]]
    assert len(missing) == 6, "what generate drew is the seed 0, step 3 of the board"
    asked = boards.draw(studio, project, missing)
    assert workshop.end_of(asked["job_id"])["result"] == {"samples": 6, "nfe": 14}
    again = boards.cells(studio, project, board)["cells"]
    assert all(cell["picture"] for cell in again)
    assert len({cell["picture"]["url"] for cell in again}) == 8


def test_simulated_annotators_judge_pairs_that_people_are_still_asked_about(
    workshop: Workshop,
) -> None:
    studio, project = workshop.studio, workshop.project
    drawn = []
    for prompt_id, text in prompts.texts(studio, workshop.prompt_set_id):
        for seed in range(2):
            media = studio.media.put(png(world.render(world.parse(text), seed)))
            drawn.append(NewSample(prompt_id, seed, media, world.SIDE, world.SIDE))
    ids = samples.add(studio, project, workshop.policy_id, drawn)
    assert len(pairs.make(studio, project, ids)) == 6
    judging = {"project_id": project, "annotators": 2, "labels": 5, "seed": 0}
    assert workshop.done("simulate", judging) == {"labels": 5, "annotators": 2}
    rows = list(labels.judged(studio, project, simulated=True))
    assert len(rows) == 5 and {row.kind for row in rows} == {"simulated"}
    assert not list(labels.judged(studio, project)), "simulated labels are not people's"
    me = users.local(studio)["id"]
    assert pairs.counts(studio, project, me)["open"] == 6, "people are still asked"


def test_a_direction_of_taste_and_references_are_kept_for_a_run(workshop: Workshop) -> None:
    """Truth against another prompt's truth, always preferred; then samples as references."""
    studio, project = workshop.studio, workshop.project
    drawn, texts = [], world.draw(60, 0, "train")
    found = prompts.import_text(studio, project, "wide", "train", "\n".join(texts))
    rows = prompts.texts(studio, found["id"])
    for (prompt_id, text), (_, other) in zip(rows, [*rows[1:], rows[0]], strict=True):
        for shown in (text, other):
            media = studio.media.put(png(world.render(world.parse(shown), 0)))
            drawn.append(NewSample(prompt_id, len(drawn), media, world.SIDE, world.SIDE))
    ids = samples.add(studio, project, workshop.policy_id, drawn)
    pairs.make(studio, project, ids)
    workshop.done("simulate", {"project_id": project, "annotators": 2, "labels": 60, "seed": 0})
    learned = rewards.learn(
        studio, project, "bent", include_simulated=True, seed=0, kind="directional"
    )
    row = rewards.get(studio, workshop.end_of(learned)["result"]["reward_id"])
    assert row["kind"] == "directional" and row["figures"]["accuracy"] > 0.5
    assert studio.media.exists(row["config"]["weights"])

    kept = rewards.store_references(studio, project, policy_id=None, limit=20)
    result = workshop.end_of(kept)["result"]
    assert result["samples"] == 20
    settings = {"references": result["references"]}
    critic = rewards.create(studio, project, "critic", "adversarial", settings)
    assert rewards.load(studio, critic["id"]).score is not None
    with pytest.raises(ConfigError, match="not among the media"):
        rewards.create(studio, project, "lost", "adversarial", {"references": "f" * 64})


def test_drawing_again_finds_the_same_pictures_and_adds_none(workshop: Workshop) -> None:
    first = workshop.done("generate", generate(workshop, make_pairs=False))
    again = workshop.done("generate", generate(workshop, make_pairs=False))
    assert (first["nfe"], again["nfe"]) == (36, 0)
    assert len(samples.page(workshop.studio, workshop.project)["items"]) == 12


def test_bad_jobs_end_with_a_sentence_and_the_worker_goes_on(workshop: Workshop) -> None:
    judging = {"project_id": workshop.project, "annotators": 2, "labels": 5, "seed": 0}
    ended = workshop.job("simulate", judging)
    assert ended["status"] == "failed" and "generate pairs first" in ended["error"]
    learning = {"project_id": workshop.project, "name": "r", "include_simulated": True, "seed": 0}
    ended = workshop.job("learn", learning)
    assert ended["status"] == "failed" and "no labels to learn from" in ended["error"]
    ended = workshop.job("generate", generate(workshop, policy_id=999))
    assert ended["status"] == "failed" and "There is no policy 999" in ended["error"]
    ended = workshop.job("generate", generate(workshop))
    assert ended["status"] == "done"


@PROCESSES
def test_a_job_survives_an_emptied_redis_and_a_killed_one(workshop: Workshop) -> None:
    studio, server = workshop.studio, workshop.supervisor.redis
    assert server is not None
    many = {"num_prompts": 6, "samples_per_prompt": 40, "num_steps": 20, "make_pairs": False}
    running = jobs.create(studio, "generate", generate(workshop, **many))
    waiting = jobs.create(studio, "generate", generate(workshop, seed=8))
    workshop.until(lambda: jobs.get(studio, running)["status"] != "due")
    Redis.from_url(server.url).flushall()
    assert workshop.end_of(running)["status"] == "done"
    assert workshop.end_of(waiting)["status"] == "done", workshop.last_words()
    assert [jobs.get(studio, one)["attempt"] for one in (running, waiting)] == [1, 1]

    assert server.process is not None
    server.process.kill()
    after = jobs.create(studio, "generate", generate(workshop, seed=9))
    assert workshop.end_of(after)["status"] == "done", workshop.last_words()


@PROCESSES
def test_a_killed_worker_is_noticed_within_thirty_seconds(workshop: Workshop) -> None:
    """In the reconciler's own time: so many looks, five seconds apart. When the next worker has
    loaded its models depends on the machine."""
    studio = workshop.studio
    many = {"num_prompts": 6, "samples_per_prompt": 60, "num_steps": 40, "make_pairs": False}

    def begin() -> int:
        workshop.new_project()
        return jobs.create(studio, "generate", generate(workshop, **many))

    def kill(job: int) -> bool:
        workshop.until(lambda: jobs.get(studio, job)["progress"] > 0.1)
        workshop.kill_worker("generate")
        return jobs.get(studio, job)["status"] != "done"

    job = workshop.in_mid(begin, kill)
    assert workshop.looks_until_released(job, 1) * reconciler.ROUND_S < 30
    done = workshop.end_of(job)
    assert done["attempt"] == 2
    assert done["status"] == "done" and done["result"]["samples"] == 360
    assert done["result"]["nfe"] < 360 * 40, "what was drawn before is not drawn again"
    assert len(samples.page(studio, workshop.project, limit=500)["items"]) == 360
    assert any("worker of attempt 1 was lost" in signal.text for signal in events.after(studio, 0))


@PROCESSES
def test_a_stopped_job_ends_as_stopped(workshop: Workshop) -> None:
    studio = workshop.studio
    many = {"num_prompts": 6, "samples_per_prompt": 1000, "num_steps": 40, "make_pairs": False}
    job = jobs.create(studio, "generate", generate(workshop, **many))
    workshop.until(lambda: jobs.get(studio, job)["progress"] > 0)
    jobs.want(studio, job, "stop")
    ended = workshop.end_of(job)
    assert ended["status"] == "stopped" and 0 < ended["progress"] < 1


def _light(data: bytes) -> float:
    with Image.open(io.BytesIO(data)) as picture:
        return float(np.asarray(picture.convert("RGB")).mean())
