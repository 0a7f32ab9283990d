"""How far labels can be trusted, and which policy they say is better."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Depends, Query

from app.api.deps import Limit, Offset, ProjectDep, StudioDep, UserDep
from backend.preferences.ranking import Method
from backend.services import exclusions, judgements, leaderboard, pair_views, quality
from backend.services.leaderboard import Votes

router = APIRouter(tags=["quality"])
StudyId = Annotated[int, Query(description="The study.")]
Simulated = Annotated[bool, Query(description="Of its simulated annotators instead of people.")]
Seconds = Annotated[
    float | None, Query(ge=0, le=1e11, description="Seconds since 1970; answered from or before.")
]


@router.get("/quality")
def read_quality(
    study_id: StudyId, studio: StudioDep, simulated: Simulated = False
) -> dict[str, Any]:
    """Agreement per aspect with intervals, people with what bends them, agreement of each two of
    them, and speed and drift."""
    return quality.figures(studio, study_id, simulated=simulated)


@router.get("/quality/disputed")
def list_disputed(
    study_id: StudyId,
    studio: StudioDep,
    aspect: Annotated[str, Query(max_length=40, description="Left out: the question itself.")] = "",
    simulated: Simulated = False,
    offset: Offset = 0,
    limit: Limit = 24,
) -> dict[str, Any]:
    """Pairs on which people part, the most disputed first: {items, total}."""
    return quality.disputed(
        studio, study_id, aspect=aspect, simulated=simulated, offset=offset, limit=limit
    )


@router.get("/pairs/{pair_id}/answers")
def list_answers(pair_id: int, studio: StudioDep) -> dict[str, Any]:
    """One pair with every judgement of it that stands, and those of judges on servers."""
    found = pair_views.answers(studio, pair_id)
    return {**found, "judges": judgements.of_pair(studio, pair_id)}


@router.put("/studies/{study_id}/excluded/{user_id}")
def exclude(study_id: int, user_id: int, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Leave a person's answers about a study out of agreement, leaderboard, rewards and exports."""
    return exclusions.exclude(studio, user, study_id, user_id)


@router.delete("/studies/{study_id}/excluded/{user_id}")
def restore(study_id: int, user_id: int, studio: StudioDep, user: UserDep) -> dict[str, Any]:
    """Count a person's answers about a study again."""
    return exclusions.restore(studio, user, study_id, user_id)


@dataclass
class Asked:
    """Which votes are meant."""

    by: Annotated[
        Literal["people", "simulated", "reward"], Query(description="Whose votes count.")
    ] = "people"
    reward_id: Annotated[int | None, Query(description="Which reward, where it votes.")] = None
    study_id: Annotated[int | None, Query(description="Votes in one study alone.")] = None
    comparison_id: Annotated[int | None, Query(description="Or in one comparison.")] = None
    aspect: Annotated[str, Query(max_length=40, description="Left out: the question itself.")] = ""
    prompt_set_id: Annotated[int | None, Query(description="Pairs of its prompts alone.")] = None
    prompt_kind: Annotated[
        str, Query(max_length=40, description="Pairs of prompts of this kind alone.")
    ] = ""
    annotator: Annotated[
        list[int] | None, Query(max_length=200, description="Votes of these alone; may repeat.")
    ] = None
    since: Seconds = None
    until: Seconds = None


def _votes(asked: Annotated[Asked, Depends()]) -> Votes:
    given = vars(asked).copy()
    return Votes(annotators=tuple(given.pop("annotator") or ()), **given)


VotesDep = Annotated[Votes, Depends(_votes)]


@router.get("/leaderboard")
def read_board(
    studio: StudioDep,
    project: ProjectDep,
    votes: VotesDep,
    method: Method = "bradley-terry",
    weighted: Annotated[
        bool, Query(description="Each vote 1 / propensity, so that chosen pairs count no more.")
    ] = True,
) -> dict[str, Any]:
    """The policies by strength, with intervals, those that cannot be told apart, votes that are
    missing, and how often each beats each."""
    return leaderboard.board(studio, project, votes, method=method, weighted=weighted)


@router.get("/leaderboard/choices")
def list_choices(studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """What the leaderboard can be asked for."""
    return leaderboard.choices(studio, project)


@router.get("/leaderboard/pairs")
def list_pairs_behind(
    studio: StudioDep,
    project: ProjectDep,
    votes: VotesDep,
    model: Annotated[int, Query(description="A policy's id.")],
    other: Annotated[int | None, Query(description="Only its pairs with this one.")] = None,
    offset: Offset = 0,
    limit: Limit = 24,
) -> dict[str, Any]:
    """The pairs behind a rank, or behind a cell of the win matrix: {items, total}."""
    return leaderboard.behind(studio, project, votes, model, other, offset=offset, limit=limit)
