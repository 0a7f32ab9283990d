"""Every route of the API once with what it is for, and once with what it refuses."""

from __future__ import annotations

import asyncio
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import httpx
import pyarrow.parquet as pq
import pytest
from fastapi import FastAPI

from app.api.guard import Guard
from app.api.live import Live
from backend.rewards import brightness
from backend.services import jobs, labels, records, runs
from backend.services.studio import Studio
from tests import factory

V1 = "/api/v1"


class Client:
    """Requests to an app without a server; one event loop a request."""

    def __init__(self, app: FastAPI) -> None:
        self.app = app
        self.called: set[tuple[str, str]] = set()

    def __call__(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Send one request."""
        return asyncio.run(self._send(method, path, options))

    def get(self, path: str, status: int = 200, **options: Any) -> Any:
        """The JSON of a GET that is answered with `status`."""
        reply = self("GET", V1 + path, **options)
        assert reply.status_code == status, reply.text
        return reply.json()

    def post(self, path: str, body: Any = None, status: int = 200, **options: Any) -> Any:
        """The JSON of a POST that is answered with `status`."""
        reply = self("POST", V1 + path, json=body, **options)
        assert reply.status_code == status, reply.text
        return reply.json()

    async def _send(self, method: str, path: str, options: dict[str, Any]) -> httpx.Response:
        transport = httpx.ASGITransport(self.app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:7860") as http:
            return await http.request(method, path, **options)


@pytest.fixture
def client(services: Studio, api_app: FastAPI) -> Client:
    """The API on an empty studio, without the pages."""

    @api_app.get(f"{V1}/broken")
    def broken() -> None:
        raise ZeroDivisionError("secret detail")

    api_app.add_middleware(Guard, settings=services.settings)
    return Client(api_app)


@pytest.fixture
def made(services: Studio, client: Client) -> factory.Made:
    """A small project, open."""
    found = factory.project(services)
    client.post(f"/projects/{found.project}/open")
    return found


def test_projects_are_listed_made_and_opened(client: Client) -> None:
    assert client.get("/project")["is_empty"] is True
    second = client.post("/projects", {"name": "Second"}, 201)
    assert client.get("/project")["id"] == second["id"]
    assert [row["name"] for row in client.get("/projects")] == ["First project", "Second"]
    assert "already" in client.post("/projects", {"name": "Second"}, 409)["error"]
    assert client.get("/today")["labels"]["total"] == 0
    assert client.get("/project?project=99", 404)["error"]


def test_the_demo_fills_an_empty_studio(client: Client) -> None:
    assert client.post("/demo")["ok"] is True
    sets = client.get("/prompt-sets")
    assert [(row["name"], row["split"]) for row in sets] == [
        ("pocket-train", "train"),
        ("pocket-heldout", "heldout"),
    ]
    assert client.get("/jobs")[0]["kind"] == "generate"
    assert len(client.get("/policies")) == 1 and len(client.get("/rewards")) == 4


def test_prompts_come_as_text_or_as_a_file(client: Client, made: factory.Made) -> None:
    body = {"name": "new", "split": "train", "text": "a\nb\na\n"}
    answer = client.post("/prompt-sets", body, 201)
    assert (answer["num_prompts"], answer["duplicates"], answer["problems"]) == (2, 1, [])
    found = client.get(f"/prompt-sets/{answer['id']}?q=b&limit=10")
    assert (found["total"], found["prompts"][0]["text"]) == (1, "b")
    lines = b'{"prompt": "x"}\nbroken\n'
    where = f"{V1}/prompt-sets/upload?name=file&filename=p.jsonl"
    bad = client("POST", where, content=lines)
    assert bad.status_code == 422 and "'p.jsonl', line 2" in bad.json()["error"]
    assert bad.json()["problems"][0]["line"] == 2
    good = client("POST", where, content=b'{"prompt": "x"}\n')
    assert good.status_code == 201 and good.json()["num_prompts"] == 1
    assert client.get("/prompt-sets/999", 404)["error"] == "There is no prompt set 999."


def test_samples_are_asked_for_and_paged(client: Client, made: factory.Made) -> None:
    body = {"prompt_set_id": made.prompt_set, "policy_id": made.policy, "num_prompts": 2}
    job = client.post("/generate", body, 202)["job_id"]
    assert client.get(f"/jobs/{job}")["args"]["samples_per_prompt"] == 4
    assert client.post(f"/jobs/{job}/stop")["status"] == "stopped"
    first = client.get("/samples?limit=10")
    second = client.get(f"/samples?limit=10&after={first['next']}")
    assert len(first["items"]) == 10 and len(second["items"]) == 6 and second["next"] is None
    assert client.post("/generate", {**body, "num_prompts": 0}, 422)["field"] == "num_prompts"


def test_labelling_never_says_where_a_picture_came_from(client: Client, made: factory.Made) -> None:
    answer = client.get("/label/next?n=2")
    pair = answer["pairs"][0]
    assert set(pair) == {"pair_id", "prompt", "left", "right", "shown_left", "lease_until"}
    assert set(pair["left"]) == {"url", "width", "height"}
    assert len(pair["left"]["url"]) == len("/media/") + 64
    held = f"{pair['pair_id']},{answer['pairs'][1]['pair_id']}"
    more = client.get(f"/label/next?n=2&after={held}")["pairs"]
    assert not {row["pair_id"] for row in more} & {row["pair_id"] for row in answer["pairs"]}
    body = {
        "client_id": "c1",
        "pair_id": pair["pair_id"],
        "choice": "left",
        "shown_left": pair["shown_left"],
        "t_shown": 1.0,
        "t_answer": 2.5,
        "reasons": ["colour"],
    }
    first = client.post("/label", body)
    again = client.post("/label", body)
    assert first == {"label_id": first["label_id"], "repeated": False, "done": 1}
    assert again == {"label_id": first["label_id"], "repeated": True, "done": 1}
    assert client.get("/label/next")["median_s"] == 1.5
    row = json.loads(client("GET", f"{V1}/labels/export").text)
    assert row["reasons"] == ["colour"] and row["annotator"] == "you"
    assert client("GET", f"{V1}/labels/export?format=trl").text.count("\n") == 1
    kinds = {row["name"]: row for row in client.get("/labels/formats")}
    assert kinds["jsonl"]["loses"] == [] and "ties" in kinds["trl"]["loses"]
    assert not kinds["hpd-flat"]["writes"]
    said = client.get("/labels/export/summary?format=trl")
    assert said["written"] == 1 and "annotators (1)" in said["sentence"]
    table = client("GET", f"{V1}/labels/export?format=parquet&inside=1").content
    assert pq.read_table(io.BytesIO(table)).column("bytes_a").to_pylist()[0][:4] == b"\x89PNG"
    assert client("GET", f"{V1}/labels/export?format=datasets").status_code == 422
    undone = client.post("/label/undo", {"client_id": "u1"})
    assert undone["label_id"] == first["label_id"] and undone["pair"]["left"] == pair["left"]
    assert client.post("/label/undo", {"client_id": "u2"}, 404)["error"]
    assert client.post("/label", {**body, "choice": "best"}, 422)["field"] == "choice"
    assert client.get("/label/next?after=x", 422)["error"]
    job = client.post("/simulate", {"annotators": 2, "labels": 5, "seed": 1}, 202)["job_id"]
    assert client.get(f"/jobs/{job}")["args"]["project_id"] == made.project


def test_pairs_are_listed_and_made_of_samples(client: Client, made: factory.Made) -> None:
    found = client.get("/pairs?limit=5")
    assert len(found["items"]) == 5 and found["items"][0]["id"] == made.pairs[-1]
    rest = client.get(f"/pairs?limit=100&after={found['next']}")
    assert len(rest["items"]) == len(made.pairs) - 5 and rest["next"] is None
    labels.store(client.app.state.studio, made.user, factory.label(made.pairs[-1]))
    newest = client.get("/pairs?limit=1")["items"][0]
    assert (newest["verdicts"], newest["settled"], newest["source"]) == (1, True, "generate")
    ids = [newest["a"]["sample_id"], newest["b"]["sample_id"]]
    again = client.post("/pairs", {"sample_ids": ids, "overlap": 2}, 201)["pair_ids"]
    assert client.get("/pairs?limit=1")["items"][0]["id"] == again[0]
    lonely = client.post("/pairs", {"sample_ids": [ids[0], ids[0]]}, 422)
    assert "no pair among them" in lonely["error"]


def test_labels_and_pairs_are_imported_with_their_pictures(client: Client) -> None:
    row = {"prompt": "a cat", "image_a": "x", "image_b": "y"}
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("rows.jsonl", json.dumps(row))
        archive.writestr("x.png", factory.png(71))
        archive.writestr("y.png", factory.png(72))
    pairs = f"{V1}/pairs/import?filename=cats.zip"
    first = client("POST", pairs, content=packed.getvalue())
    assert first.status_code == 201 and first.json()["pairs"] == 1
    assert client("POST", pairs, content=packed.getvalue()).json()["already"] == 1
    shown = client.get("/label/next?n=1")["pairs"][0]
    known = [shown[side]["url"].removeprefix("/media/") for side in ("left", "right")]
    judged = {"prompt": "a cat", "chosen": known[1], "rejected": known[0]}
    labels = f"{V1}/labels/import?format=trl&annotator=Ada"
    answer = client("POST", labels, content=json.dumps(judged).encode())
    assert answer.status_code == 201 and answer.json()["labels"] == 1, answer.text
    assert '"annotator": "Ada"' in client("GET", f"{V1}/labels/export").text
    bad = client("POST", f"{labels}&filename=b.jsonl", content=b'{"prompt": "a cat"}')
    assert bad.status_code == 422 and "b.jsonl, line 1, chosen: is missing" in bad.json()["error"]
    assert bad.json()["problems"][0]["line"] == 1


def test_rewards_are_described_made_learned_and_scored_with(
    client: Client, made: factory.Made
) -> None:
    kinds = {row["kind"]: row for row in client.get("/reward-kinds")}
    assert kinds["brightness"]["title"] == brightness.TITLE and kinds["learned"]["schema"]
    body = {"name": "light", "kind": "brightness", "config": {}}
    row = client.post("/rewards", body, 201)
    assert client.get(f"/rewards/{row['id']}")["scored"] == {}
    job = client.post("/rewards/learn", {"name": "people"}, 202)["job_id"]
    assert client.get(f"/jobs/{job}")["queue"] == jobs.QUEUES["learn"]
    assert client.post(f"/rewards/{row['id']}/score", {"limit": 5}, 202)["job_id"] > job
    assert client.get(f"/rewards/{row['id']}/samples?order=low") == []
    judge = client.post("/rewards", {"name": "j", "kind": "pocket-judge", "config": {}}, 201)
    assert client.get(f"/rewards/{judge['id']}")["audit"] == "unaudited"
    assert client.post(f"/rewards/{judge['id']}/audit", {}, 202)["job_id"] > job
    assert "no judge" in client.post(f"/rewards/{row['id']}/audit", {}, 422)["error"]
    refused = client.post("/rewards", {**body, "kind": "brightnes"}, 422)
    assert "did you mean 'brightness'" in refused["error"]
    refused = client.post("/rewards", {**body, "config": {"x": 1}}, 422)
    assert refused["field"] == "config.x"


def test_a_run_is_checked_started_stopped_resumed_and_cloned(
    client: Client, made: factory.Made
) -> None:
    recipe = client.get("/recipes")[0]
    assert recipe["config"]["rewards"] and recipe["source"]
    schema = client.get("/run-schema?method=g2rpo")
    assert "fork_steps" in schema["method"]["properties"] and schema["run"]["properties"]
    config = factory.config()
    assert client.post("/runs/preflight", {"config": config})["nfe_per_step"] > 0
    bad = client.post("/runs", {"name": "x", "config": {**config, "sed": 1}}, 422)
    assert bad["field"] == "sed" and "did you mean 'seed'" in bad["error"]
    run = client.post("/runs", {"name": "first", "config": config}, 201)
    assert client.get("/runs?status=waiting")["items"][0]["id"] == run["id"]
    assert client.post(f"/runs/{run['id']}/stop")["status"] == "stopped"
    assert client.post(f"/runs/{run['id']}/pause", status=409)["error"]
    assert client.post(f"/runs/{run['id']}/resume")["status"] == "waiting"
    clone = client.post(f"/runs/{run['id']}/clone", {"changes": {"seed": 3}}, 201)
    assert clone["diff"] == [{"key": "seed", "parent": 0, "mine": 3}]
    assert client.get("/runs/999", 404)["error"] == "There is no run 999."


def test_what_a_run_recorded_is_served(
    client: Client, services: Studio, made: factory.Made
) -> None:
    run = factory.trained_run(services, made)
    found = client.get(f"/runs/{run}/metrics?since=1")
    assert found["steps"] == [2, 3] and found["seconds"]["total"] == [2.0, 2.0]
    sample = client.get(f"/runs/{run}/metrics")["evaluations"][0]["samples"][0]
    assert client("GET", sample["url"]).headers["content-type"] == "image/png"
    page = client.get(f"/runs/{run}/rollouts?kept=1&limit=2&sort=spread")
    assert page["total"] == 3 and len(page["groups"]) == 2
    group = page["groups"][0]
    assert len(client.get(f"/rollouts/{group['id']}")["nodes"]) == 4
    assert "kept" in client.post(f"/rollouts/{group['id']}/latents", status=404)["error"]
    pair = client.post(f"/rollouts/{group['id']}/pair", {}, 201)["pair_id"]
    assert client.get("/label/next?n=1")["pairs"][0]["pair_id"] == pair
    assert client.get(f"/runs/{run}/rollouts?after=nonsense", 422)["error"]


def test_a_comparison_is_made_and_shown(
    client: Client, services: Studio, made: factory.Made
) -> None:
    run = factory.trained_run(services, made)
    tuned = records.save_tuned_policy(services, run, services.media.put(b"x"), 3)
    body = {
        "base_policy_id": made.policy,
        "tuned_policy_id": tuned,
        "prompt_set_id": made.prompt_set,
        "num_prompts": 4,
        "seed": 0,
    }
    row = client.post("/comparisons", body, 201)
    assert client.get("/comparisons")[0]["id"] == row["id"]
    assert client.get(f"/comparisons/{row['id']}?reveal=1")["cells"] == []
    assert client.post("/comparisons", {**body, "tuned_policy_id": made.policy}, 422)["error"]


def test_a_board_is_read_drawn_and_chosen_from(
    client: Client, services: Studio, made: factory.Made
) -> None:
    base = f"policy:{made.policy}"
    listed = client.get("/boards/sources")
    assert [row["id"] for row in listed["policies"]] == [made.policy]
    board = client.get(f"/boards/cells?source={base}&prompt={made.prompt_ids[0]}&steps=7&seed=3")
    cell = board["cells"][0]
    assert cell["can_draw"] and cell["picture"] is None
    wanted = [cell[name] for name in ("source", "prompt_id", "seed", "steps", "guidance")]
    assert client.post("/boards/draw", {"cells": [wanted]}, 202)["missing"] == 1
    assert client.post("/boards/draw", {"cells": [["what", *wanted[1:]]]}, 422)["error"]
    assert client.post("/boards/policy", {"source": base})["id"] == made.policy
    assert client.get("/boards/cells?source=x&prompt=1", 422)["error"]

    reward = client.post("/rewards", {"name": "light", "kind": "brightness", "config": {}}, 201)
    asked = f"policy_id={made.policy}&prompt_set_id={made.prompt_set}&reward_id={reward['id']}"
    assert client.get(f"/best-of-n?{asked}")["unscored"] == len(made.samples)


def test_a_run_is_sent_as_a_bundle_as_a_page_and_as_its_adapter(
    client: Client, services: Studio, made: factory.Made
) -> None:
    import io
    import zipfile

    run = factory.trained_run(services, made)
    reply = client("GET", f"{V1}/runs/{run}/bundle")
    assert reply.headers["content-disposition"].endswith(f'filename="small-{run}.zip"')
    assert "metrics.jsonl" in zipfile.ZipFile(io.BytesIO(reply.content)).namelist()
    page = client("GET", f"{V1}/runs/{run}/report")
    assert page.headers["content-type"].startswith("text/html")
    assert page.content.endswith(b"</html>\n")
    assert client("GET", f"{V1}/runs/{run}/adapter").status_code == 404
    data = services.media.put(b"weights")
    records.checkpoint(services, run, records.StoredCheckpoint(3, data, data, None, {}))
    assert client("GET", f"{V1}/runs/{run}/adapter").content == b"weights"
    assert client("GET", f"{V1}/runs/999/bundle").status_code == 404
    again = client("POST", f"{V1}/runs/replay", content=reply.content)
    assert again.status_code == 201, again.text
    started = again.json()
    assert started["status"] == "waiting" and started["project_id"] != made.project
    assert client.get("/project")["id"] == started["project_id"], "the new project is open"
    bad = client("POST", f"{V1}/runs/replay?filename=one.zip", content=b"no archive")
    assert bad.status_code == 422 and bad.json()["error"].startswith("The bundle one.zip cannot be")


def test_what_has_a_name_is_found_by_it(
    client: Client, services: Studio, made: factory.Made
) -> None:
    run = factory.trained_run(services, made)
    found = client.get("/find?q=%20SMALL")
    assert found == [{"kind": "run", "name": "small", "url": f"/runs/{run}"}]
    kinds = {row["kind"] for row in client.get("/find")}
    assert kinds == {"run", "prompt set", "model"}
    assert client.get("/find?q=g2rpo")[0]["url"].startswith("/runs/new?recipe=")
    assert client.get("/find?q=%25") == [] and client.get("/find?q=" + "x" * 5000) == []


def test_a_large_picture_has_small_copies(client: Client, services: Studio) -> None:
    import io

    from PIL import Image

    large, small = (services.media.put(factory.png(1, side)) for side in (600, 64))
    reply = client("GET", f"/media/{large}?side=256")
    assert reply.headers["content-type"] == "image/webp"
    assert Image.open(io.BytesIO(reply.content)).size == (256, 256)
    assert len(reply.content) < len(services.media.read(large)) / 4
    again = client(
        "GET", f"/media/{large}?side=256", headers={"If-None-Match": reply.headers["etag"]}
    )
    assert again.status_code == 304
    assert client("GET", f"/media/{small}?side=256").content == services.media.read(small)
    assert client("GET", f"/media/{large}?side=250").status_code == 422
    text = services.media.put(b"no picture")
    assert client("GET", f"/media/{text}?side=128").status_code == 404


def test_media_are_cached_for_ever_and_never_run(
    client: Client, services: Studio, made: factory.Made
) -> None:
    name = services.media.put(factory.png(1))
    reply = client("GET", f"/media/{name}")
    assert reply.headers["content-type"] == "image/png"
    assert "immutable" in reply.headers["cache-control"]
    assert reply.headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert reply.headers["x-content-type-options"] == "nosniff"
    again = client("GET", f"/media/{name}", headers={"If-None-Match": reply.headers["etag"]})
    assert again.status_code == 304
    script = services.media.put(b"<script>alert(1)</script>")
    assert client("GET", f"/media/{script}").headers["content-type"] == "application/octet-stream"
    for bad in ("0" * 64, "x", "..%2f..%2fetc%2fpasswd"):
        assert client("GET", f"/media/{bad}").status_code == 404


def test_every_refusal_is_a_sentence_in_one_shape(client: Client) -> None:
    unknown = client.get("/nothing", 404)
    assert unknown == {"error": "There is nothing at /api/v1/nothing.", "field": None}
    wrong = client.post("/prompt-sets", {"name": "x", "txt": "a"}, 422)
    assert "'text' is missing." in wrong["error"] and "'txt' is not a key" in wrong["error"]
    broken = client(
        "POST", f"{V1}/label", content=b"{", headers={"content-type": "application/json"}
    )
    assert broken.json()["error"] == "The body of the request is not valid JSON."
    crash = client.get("/broken", 500)
    assert "secret" not in crash["error"] and crash["error"].endswith("was saved.")


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({}, 201),
        ({"origin": "http://127.0.0.1:7860"}, 201),
        ({"origin": "http://evil.example"}, 403),
        ({"origin": "null"}, 403),
        ({"sec-fetch-site": "cross-site"}, 403),
        ({"host": "evil.example"}, 403),
        ({"host": "localhost:7860"}, 201),
        ({"host": "[::1]:7860"}, 201),
    ],
)
def test_a_foreign_page_cannot_change_anything(
    client: Client, headers: dict[str, str], status: int
) -> None:
    client.post("/projects", {"name": "new"}, status, headers=headers)


def test_a_foreign_name_reads_nothing(client: Client) -> None:
    assert "evil.example" in client.get("/projects", 403, headers={"host": "evil.example"})["error"]


def test_health_and_readiness(client: Client, services: Studio) -> None:
    assert client("GET", "/healthz").json() == {"status": "ok"}
    ready = client("GET", "/readyz")
    assert ready.status_code == 503
    assert ready.json()["database"] is True and "Redis" in ready.json()["problems"][0]


def test_openapi_documents_every_route(client: Client) -> None:
    paths = client.get("/openapi.json")["paths"]
    assert {f"{V1}/label/next", f"{V1}/runs/{{run_id}}/events", "/media/{name}"} <= set(paths)
    silent = [
        f"{method} {path}"
        for path, methods in paths.items()
        for method, route in methods.items()
        if not route.get("description") and "broken" not in path
    ]
    assert silent == []
    page = client("GET", f"{V1}/docs")
    assert page.status_code == 200 and "<script" not in page.text
    assert "http://" not in page.text and "https://" not in page.text.replace("https://stab", "")
    for path in paths:
        assert path in page.text, path


def test_live_events_come_in_order_and_resume_without_a_gap(
    services: Studio, made: factory.Made
) -> None:
    run = int(runs.create(services, made.project, "live", factory.config())["id"])
    other = int(runs.create(services, made.project, "other", factory.config())["id"])

    async def follow() -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
        live = Live(services)
        stream = live.stream(run, None)
        first = asyncio.create_task(anext(stream))
        while live._task is None or not live._started.is_set():  # until it knows where now is
            await asyncio.sleep(0.01)
        for step in (1, 2):
            await asyncio.to_thread(records.iteration, services, other, factory.iteration(step))
            await asyncio.to_thread(records.iteration, services, run, factory.iteration(step))
        got = [await asyncio.wait_for(first, 300), await asyncio.wait_for(anext(stream), 300)]
        await stream.aclose()
        missed = live.stream(run, int(got[0]["id"]))
        again = [await asyncio.wait_for(anext(missed), 300)]
        await missed.aclose()
        await live.close()
        return got, again

    got, again = asyncio.run(follow())
    assert [message["event"] for message in got] == ["iteration", "iteration"]
    assert [json.loads(message["data"])["step"] for message in got] == [1, 2]
    assert int(got[0]["id"]) < int(got[1]["id"])
    assert again == [got[1]]


def test_the_database_going_away_is_a_sentence(client: Client, services: Studio) -> None:
    client.get("/projects")
    if services.store.dialect == "postgresql":
        pytest.skip("A file is taken away; PostgreSQL has none.")
    services.store.dispose()
    path = Path(str(services.store.url.database))
    path.rename(path.with_suffix(".away"))
    path.mkdir()
    answer = client.get("/projects", 503)
    assert "database" in answer["error"]


def test_jobs_and_workers_are_listed(client: Client, services: Studio) -> None:
    job = jobs.create(services, "generate", {})
    assert [row["id"] for row in client.get("/jobs?limit=5")] == [job]
    assert client.get("/workers") == []
    assert client.get("/jobs?limit=0", 422)["field"] == "limit"
