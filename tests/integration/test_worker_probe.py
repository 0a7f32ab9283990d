"""A probe from the request to the proposal, on a tiny random model."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backend.services import run_settings
from tests.integration.conftest import api_of
from tests.integration.test_api_routes import Client
from tests.tiny_sd3 import tiny_sd3  # noqa: F401
from tests.workshop import InProcess, Workshop, opened_for


@pytest.fixture(scope="module", params=["sqlite"])
def workshop(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    tiny_sd3: Path,  # noqa: F811
) -> Iterator[Workshop]:
    with opened_for(request, tmp_path_factory, tiny_sd3, kind=InProcess) as workshop:
        yield workshop


@pytest.fixture
def client(workshop: Workshop) -> Client:
    return Client(api_of(workshop.studio))


def asked(workshop: Workshop, kind: str, method: str = "one-fork", **more: Any) -> dict[str, Any]:
    config = {
        "method": {"name": method, "settings": {"group_size": 3}},
        "policy": {"config": {"weights": str(workshop.tiny)}},
        "rewards": [{"name": "light", "kind": "brightness"}],
        "sampling": {"num_steps": 3, "prompts_per_step": 2},
    }
    return {"project_id": workshop.project, "config": config | more, "kind": kind}


def test_a_probe_proposes_changes_that_a_run_accepts(workshop: Workshop, client: Client) -> None:
    body = asked(workshop, "spread")
    job = client.post("/runs/probe", body, 202)
    assert (job["kind"], job["queue"]) == ("probe", "train")
    ended = workshop.end_of(job["id"])
    found = client.get(f"/jobs/{job['id']}")["result"]
    assert ended["status"] == "done", ended["error"]
    assert (found["nfe"], found["pictures"]) == (job["args"]["nfe"], job["args"]["pictures"])
    assert len(found["rows"]) == 2 * 3, "two steps can fork, three levels of noise"
    assert set(found["rows"][0]) == {
        *("step", "eta", "spread", "spread_se", "share", "mean", "drop", "drop_se"),
    }
    assert found["independent"]["spread"] > 0 and found["proposal"]["text"]
    changes = found["proposal"]["changes"]
    assert set(changes) == {"method.settings.fork_steps", "method.settings.eta"}
    laid = body["config"] | {
        "method": {
            "name": "one-fork",
            "settings": {path.rsplit(".", 1)[1]: value for path, value in changes.items()},
        }
    }
    assert run_settings.resolve(workshop.studio, workshop.project, laid)


def test_noise_is_calibrated_by_a_job_too(workshop: Workshop, client: Client) -> None:
    job = client.post("/runs/probe", asked(workshop, "psi", "dense-grpo"), 202)
    ended = workshop.end_of(job["id"])
    assert ended["status"] == "done", ended["error"]
    found = ended["result"]
    assert [row["step"] for row in found["rows"]] == [0, 1] and found["independent"] is None
    assert found["proposal"]["changes"]["method.settings.kernel"] == "table-sde"
    assert found["nfe"] == job["args"]["nfe"]


def test_a_tried_step_measures_memory_and_time_and_the_preflight_says_so(
    workshop: Workshop, client: Client
) -> None:
    body = asked(workshop, "step", watch=[{"name": "vivid", "kind": "saturation"}])
    body["config"] |= {"evaluation": {"num_prompts": 4}, "num_steps": 50}
    settings = {"config": body["config"]}
    there = f"?project={workshop.project}"
    before = client.post(f"/runs/preflight{there}", settings)
    job = client.post("/runs/probe", body, 202)
    ended = workshop.end_of(job["id"])
    assert ended["status"] == "done", ended["error"]
    found = ended["result"]
    assert found["nfe_per_step"] == before["nfe_per_step"], "foretold and counted are equal"
    assert found["device"] == "cpu" and 50e6 < found["peak_bytes"] < found["total_bytes"]
    assert found["seconds_per_step"] > 0 and found["disk_bytes"] > 0
    after = client.post(f"/runs/preflight{there}", settings)
    memory = next(line for line in after["lines"] if line["name"] == "Memory")
    assert memory["reason"].startswith("Measured") and "fix" in memory and not memory["fix"]
    assert after["seconds_per_step"] == found["seconds_per_step"]


def test_what_cannot_be_probed_is_refused_before_a_worker_hears_of_it(
    workshop: Workshop, client: Client
) -> None:
    refused = client.post("/runs/probe", asked(workshop, "spread", rewards=[]), 422)
    assert "at least one reward" in refused["error"]
    assert client.post("/runs/probe", asked(workshop, "depth"), 422)["field"] == "kind"
    away = asked(workshop, "spread") | {"project_id": 999}
    assert "no project 999" in client.post("/runs/probe", away, 404)["error"]
