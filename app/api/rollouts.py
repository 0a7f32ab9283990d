"""Rollouts: groups of siblings as GRPO compares them, one in full, and from there to people."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query
from pydantic import Field

from app.api.deps import Body, Limit, ProjectDep, StudioDep, UserDep
from backend.services import (
    latents,
    rollout_judging,
    rollout_pairs,
    rollout_ranking,
    rollouts,
)
from backend.services.rollout_filter import Filter

router = APIRouter(tags=["rollouts"])
Reward = Annotated[str, Query(max_length=200)]


class PairOf(Body):
    """Two leaves of a group, by their number in it; left out, the best and the worst."""

    best: int | None = None
    worst: int | None = None
    study_id: int | None = None
    """Into that study; empty: into the queue."""


class Chosen(Body):
    """Rollouts of a run."""

    rollouts: list[tuple[int, int]] = Field(min_length=1, max_length=rollout_pairs.MOST)
    """(group, leaf) each."""


class ToPeople(Chosen):
    """Rollouts that people shall judge."""

    study_id: int | None = None
    """Into that study; empty: into the queue."""


class ToPrompts(Chosen):
    """Rollouts whose prompts become a set."""

    name: str
    """Of the new prompt set."""


class Judge(Body):
    """A reward that shall say what it thinks of recorded rollouts."""

    name: str = ""
    """Of a reward that the run watches, or what it is called beside the others."""
    reward_id: int | None = None
    """A reward of the project."""
    limit: int = Field(rollout_judging.NUM_GROUPS, ge=1, le=5_000)
    """Newest groups that it is asked about."""


def wanted(  # noqa: PLR0913 - one for each filter
    user: UserDep,
    step_min: int | None = None,
    step_max: int | None = None,
    prompt: Annotated[str, Query(max_length=1_000)] = "",
    kept: bool | None = None,
    reward: Annotated[Reward, Query(description="Whose mean is bounded; empty: the total.")] = "",
    low: float | None = None,
    high: float | None = None,
    far: Annotated[float | None, Query(description="Some |z| above this.")] = None,
    flat: Annotated[bool, Query(description="Groups without spread alone.")] = False,
    up: Annotated[Reward, Query(description="Up by this reward and down by `down`.")] = "",
    down: Reward = "",
    judge: Annotated[
        str | None, Query(description="A watched reward that disagrees; empty: any.")
    ] = None,
    missing: Annotated[bool, Query(description="Some reward gave no value.")] = False,
    seen: Annotated[bool | None, Query(description="Whether I have looked at it.")] = None,
    sort: Annotated[
        str,
        Query(
            description="newest, oldest, spread, mean, far, apart, judge, missing, mean:R or sd:R."
        ),
    ] = "newest",
) -> Filter:
    """The filter that a request's query says."""
    return Filter(
        step_min=step_min,
        step_max=step_max,
        prompt=prompt,
        kept=kept,
        reward=reward,
        low=low,
        high=high,
        far=far,
        flat=flat,
        up=up,
        down=down,
        judge=judge,
        missing=missing,
        seen=seen,
        user_id=user["id"],
        sort=sort,
    )


@router.get("/runs/{run_id}/rollouts")
def list_groups(
    run_id: int,
    studio: StudioDep,
    _project: ProjectDep,
    asked: Annotated[Filter, Depends(wanted)],
    after: str | None = None,
    limit: Limit = 20,
) -> dict[str, Any]:
    """Groups that match, with their leaves by falling advantage."""
    return rollouts.page(studio, run_id, asked, after=after, limit=limit)


@router.get("/rollouts/{group_id}")
def read_group(group_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """One group with all its nodes."""
    return rollouts.get(studio, group_id)


@router.post("/rollouts/{group_id}/latents")
def decode_latents(
    group_id: int,
    studio: StudioDep,
    _project: ProjectDep,
    again: Annotated[bool, Query(description="Try once more what has failed.")] = False,
) -> dict[str, Any]:
    """What the nodes of a group had become: {nodes, url}; without `url` a worker decodes them."""
    return latents.ask(studio, group_id, again=again)


@router.get("/rollouts/{group_id}/neighbours")
def read_neighbours(group_id: int, studio: StudioDep, _project: ProjectDep) -> list[dict[str, Any]]:
    """Groups of the same prompt at the steps around it."""
    return rollouts.neighbours(studio, group_id)


@router.get("/rollouts/{group_id}/ranking")
def ranking(group_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Who is better in a group: the judge's verdicts and people's votes in one fit."""
    return rollout_ranking.of_group(studio, group_id)


@router.get("/runs/{run_id}/win-rates")
def win_rates(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Win rates of a run by the place of a sample in its group, which should not matter."""
    return rollout_ranking.by_index(studio, run_id)


@router.post("/rollouts/{group_id}/seen", status_code=204)
def look_at(group_id: int, studio: StudioDep, user: UserDep, _project: ProjectDep) -> None:
    """Remember that I have looked at a group."""
    rollouts.look(studio, group_id, user["id"])


@router.post("/rollouts/{group_id}/pair", status_code=201)
def make_pair(
    group_id: int, body: PairOf, studio: StudioDep, _project: ProjectDep
) -> dict[str, int]:
    """Queue two rollouts for people to judge, or put them into a study."""
    pair = rollout_pairs.make_pair(studio, group_id, body.best, body.worst, body.study_id)
    return {"pair_id": pair}


@router.post("/runs/{run_id}/rollouts/pairs", status_code=201)
def send_to_people(
    run_id: int, body: ToPeople, studio: StudioDep, _project: ProjectDep
) -> dict[str, Any]:
    """Queue chosen rollouts: of each prompt, by their reward, every one against the next."""
    return rollout_pairs.send_pairs(studio, run_id, body.rollouts, body.study_id)


@router.post("/runs/{run_id}/rollouts/prompts", status_code=201)
def send_to_prompts(
    run_id: int, body: ToPrompts, studio: StudioDep, _project: ProjectDep
) -> dict[str, Any]:
    """A new prompt set of the chosen rollouts' prompts."""
    return rollout_pairs.send_prompts(studio, run_id, body.rollouts, body.name)


@router.post("/runs/{run_id}/rollouts/board")
def open_board(
    run_id: int, body: Chosen, studio: StudioDep, _project: ProjectDep
) -> dict[str, str]:
    """Where Compare shows the run at the steps of chosen rollouts, on their prompt: {address}."""
    return {"address": rollout_pairs.board_of(studio, run_id, body.rollouts)}


@router.post("/runs/{run_id}/rollouts/judge", status_code=202)
def ask_judge(run_id: int, body: Judge, studio: StudioDep, _project: ProjectDep) -> dict[str, int]:
    """Have a reward that was not trained on judge the recorded rollouts: {job_id}."""
    job = rollout_judging.order(studio, run_id, body.name, body.reward_id, body.limit)
    return {"job_id": job}
