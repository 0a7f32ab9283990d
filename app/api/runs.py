"""Runs: recipes, preflight, probe, create, list, read, stop, pause, resume, clone, metrics, live
events."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter, Header, Query, Request
from pydantic import Field
from sse_starlette import EventSourceResponse
from starlette.concurrency import run_in_threadpool

from app import forms
from app.api.deps import Body, Limit, Offset, ProjectDep, StudioDep, UserDep
from app.api.live import Live
from backend import recipes
from backend.registry import methods, policies
from backend.rl.recipe import RewardTerm, RunConfig
from backend.services import glances, plans, preflight, probes, run_rows, run_shelf, run_texts, runs
from backend.services.preflight.mend import mend
from backend.services.run_rows import Wanted

router = APIRouter(tags=["runs"])


class Settings(Body):
    """A config to look at before it runs."""

    config: dict[str, Any]


class Plan(Settings):
    """A config whose tree is wanted."""

    update: int = Field(0, ge=0)
    """Of which update; many methods change their plan as they go."""


class NewProbe(Body):
    """A short sampling run that says how a run should explore."""

    project_id: int | None = None
    """Empty takes the open project."""
    config: dict[str, Any]
    """Settings of the run that is being written."""
    kind: Literal["spread", "psi", "step"] = "spread"
    """Where forks make the reward differ, how much noise each step bears, or what a step takes."""


class Mend(Body):
    """A fix of the preflight that makes something."""

    what: Literal["prompt_set", "heldout_set", "apart"]
    prompt_set: str = ""
    heldout_set: str = ""


class Text(Settings):
    """Settings to write down."""

    format: Literal["toml", "yaml", "json"] = "toml"


class Written(Body):
    """Settings as text."""

    text: str = Field(max_length=run_texts.LONGEST)


class Terms(Body):
    """Rewards to look at before they are trained on."""

    terms: list[dict[str, Any]] = Field(max_length=50)
    """As a run's config has them."""


class NewRun(Body):
    """A run to start."""

    name: str = ""
    """Empty takes the recipe's."""
    config: dict[str, Any]
    """Settings of a RunConfig; what is left out takes its default."""
    policy_id: int | None = None
    """Start from a policy that an earlier run has taught."""
    note: str = Field("", max_length=runs.NOTE)
    """Why it is made."""
    place: str = Field("", max_length=200)
    """The one place whose workers may do it; empty takes whichever is free."""


class Clone(Body):
    """The same run again, with changes."""

    changes: dict[str, Any] = Field(default_factory=dict)
    """Laid over the config, nested or by dotted path; `name` names the clone."""
    note: str = Field("", max_length=runs.NOTE)
    """Why it is made."""
    place: str = Field("", max_length=200)
    """The one place whose workers may do it; empty takes whichever is free."""


class Queue(Body):
    """Runs that wait, the next one first."""

    order: list[int] = Field(max_length=1000)


class Together(Body):
    """One thing to do to several runs."""

    ids: list[int] = Field(max_length=1000)
    action: Literal["stop", "tag", "untag", "hide", "show"]
    tag: str = ""
    """For tag and untag."""


class About(Body):
    """What people write on a run; what is left out stays."""

    tags: list[str] | None = None
    note: str | None = Field(None, max_length=runs.NOTE)


class Place(Body):
    """Where a waiting run is to be done."""

    place: str = Field("", max_length=200)
    """As the workers name it; empty takes whichever is free."""


@router.get("/recipes")
def list_recipes() -> list[dict[str, Any]]:
    """Recipes: a card each, where its method learns (tree, samples or labels), the price of an
    update, and its whole config."""
    return [
        {**recipes.card(name), **plans.facts(name), "config": recipes.load(name).plain()}
        for name in recipes.names()
    ]


@router.get("/run-schema")
def run_schema(method: str = "g2rpo", family: str = "sd3") -> dict[str, Any]:
    """JSON schema of a run's settings and of one method's; `fields` is the same as a form."""
    module = methods.get(method)
    return {
        "fields": {
            "run": forms.form(RunConfig),
            "method": forms.form(module.Config),
            "policy": forms.form(policies.get(family).Config),
            "reward": forms.form(RewardTerm),
        },
        "run": RunConfig.model_json_schema(),
        "method": module.Config.model_json_schema(),
        "methods": [_method(name) for name in methods.names()],
    }


@router.post("/runs/preflight")
def run_preflight(body: Settings, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """What a run would cost and what would fail, each line with the change that helps."""
    return preflight.check(studio, project, body.config)


@router.post("/runs/preflight/mend")
def mend_run(body: Mend, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Make what a fix of the preflight offers; answers with the changes of the config."""
    return mend(studio, project, body.what, body.prompt_set, body.heldout_set)


@router.post("/runs/text")
def write_run(body: Text) -> dict[str, Any]:
    """Settings as text; the same settings are the same bytes."""
    return {"text": run_texts.write(body.config, body.format)}


@router.post("/runs/text/read")
def read_run_text(body: Written) -> dict[str, Any]:
    """Settings from text, whichever of the formats it is in."""
    return {"config": run_texts.read(body.text)}


@router.post("/runs/glance")
def glance(body: Terms, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """What rewards say of the project's newest samples; workers are asked what is not known."""
    terms = [RewardTerm.read(term) for term in body.terms]
    return {name: seen.plain() for name, seen in glances.ask(studio, project, terms).items()}


@router.post("/runs/plan")
def plan_run(body: Plan) -> dict[str, Any]:
    """The tree that one prompt of a run will grow: nodes, what each step does, evaluations."""
    return plans.draw(body.config, body.update)


@router.post("/runs/probe", status_code=202)
def probe_run(body: NewProbe, studio: StudioDep, project: ProjectDep) -> dict[str, Any]:
    """Ask the workers where a run should explore; its job's result has a proposal."""
    asked = project if body.project_id is None else body.project_id
    return probes.probe(studio, asked, body.config, body.kind)


@router.post("/runs", status_code=201)
def create_run(
    body: NewRun, studio: StudioDep, project: ProjectDep, user: UserDep
) -> dict[str, Any]:
    """Start a run."""
    about = runs.About(body.note, user["id"], body.place)
    return runs.create(
        studio, project, body.name, body.config, policy_id=body.policy_id, about=about
    )


@router.get("/runs")
def list_runs(
    studio: StudioDep,
    project: ProjectDep,
    status: str = "",
    q: Annotated[str, Query(description="Words of the name, note, method or recipe.")] = "",
    tag: str = "",
    hidden: Annotated[bool, Query(description="Those that were put away.")] = False,
    offset: Offset = 0,
    limit: Limit = 50,
) -> dict[str, Any]:
    """What runs, then what waits in its order, then the others, newest first."""
    wanted = Wanted(status, q, tag, hidden)
    return run_rows.page(studio, project, wanted, offset=offset, limit=limit)


@router.post("/runs/queue")
def arrange_runs(body: Queue, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Let waiting runs go in this order; answers with all that wait."""
    return {"order": run_shelf.arrange(studio, body.order)}


@router.post("/runs/together")
def change_runs(body: Together, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Stop, tag or put away several runs; says which would not, and why."""
    return run_shelf.together(studio, body.ids, body.action, body.tag)


@router.get("/runs/{run_id}")
def read_run(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """One run with its config, its difference from its parent, checkpoints, alarms and log."""
    return runs.get(studio, run_id)


@router.patch("/runs/{run_id}")
def change_run(run_id: int, body: About, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Write a run's tags or note."""
    return run_shelf.change(studio, run_id, tags=body.tags, note=body.note)


@router.post("/runs/{run_id}/place")
def send_run(run_id: int, body: Place, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Let a waiting run be done at one place, or wherever a worker is free."""
    return run_shelf.send(studio, run_id, body.place)


@router.post("/runs/{run_id}/stop")
def stop_run(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Ask a run to stop after the update it is at, with a checkpoint."""
    return runs.want(studio, run_id, "stop")


@router.post("/runs/{run_id}/pause")
def pause_run(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Ask a run to pause after the update it is at, with a checkpoint."""
    return runs.want(studio, run_id, "pause")


@router.post("/runs/{run_id}/resume")
def resume_run(run_id: int, studio: StudioDep, _project: ProjectDep) -> dict[str, Any]:
    """Go on from the last checkpoint."""
    return runs.want(studio, run_id, "run")


@router.post("/runs/{run_id}/clone", status_code=201)
def clone_run(
    run_id: int, body: Clone, studio: StudioDep, _project: ProjectDep, user: UserDep
) -> dict[str, Any]:
    """Start the same run again, with changes."""
    return runs.clone(studio, run_id, body.changes, runs.About(body.note, user["id"], body.place))


@router.get("/runs/{run_id}/metrics")
def run_metrics(
    run_id: int, studio: StudioDep, _project: ProjectDep, since: int = -1
) -> dict[str, Any]:
    """Series of all iterations and evaluations after step `since`."""
    return runs.metrics(studio, run_id, since)


@router.get("/runs/{run_id}/events", response_class=EventSourceResponse)
async def run_events(
    run_id: int,
    request: Request,
    studio: StudioDep,
    last_event_id: Annotated[str | None, Header()] = None,
    last: Annotated[int | None, Query(ge=0, description="Resume after this event.")] = None,
) -> EventSourceResponse:
    """Server-sent events: iteration, evaluation, status, log; ids rise, Last-Event-ID resumes."""
    await run_in_threadpool(runs.get, studio, run_id)
    live: Live = request.app.state.live
    resume = int(last_event_id) if last_event_id and last_event_id.isdigit() else last
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return EventSourceResponse(live.stream(run_id, resume), ping=15, headers=headers)


def _method(name: str) -> dict[str, str]:
    module = methods.get(name)
    return {
        "name": name,
        "title": module.TITLE,
        "summary": module.SUMMARY,
        "source": module.SOURCE,
    }
