"""Runs on both kinds of store: checked before they start, recorded whole, resumed, cloned,
queried."""

from __future__ import annotations

import pytest
import sqlalchemy as sa

from backend.errors import ConfigError, Conflict
from backend.services import (
    alarms,
    events,
    jobs,
    preflight,
    prompts,
    records,
    rewards,
    rollouts,
    run_rows,
    runs,
    samples,
)
from backend.services.studio import Studio
from db.tables import RolloutNode
from tests import factory


def test_a_run_is_stored_with_every_default_and_a_job(services: Studio) -> None:
    made = factory.project(services)
    run = runs.create(services, made.project, "first", factory.config())
    assert run["status"] == "waiting" and run["code_version"]
    assert run["config"]["optim"]["lora_rank"] == 16
    assert run["config"]["method"]["settings"]["eta"] == 0.7
    assert [row["args"] for row in jobs.due(services)] == [{"run_id": run["id"]}]
    train, heldout = runs.prompts_of(services, run["id"])
    assert train[0] == "prompt 0" and heldout[0] == "held-out 0"


@pytest.mark.parametrize(
    ("changes", "field", "words"),
    [
        ({"rewards": [{"name": "r", "kind": "pocket-verifer"}]}, "reward", "did you mean"),
        ({"sampling": {"num_stps": 4}}, "sampling.num_stps", "did you mean 'num_steps'"),
        ({"prompt_set": "absent"}, "prompt_set", "no prompt set 'absent'"),
        ({"heldout_set": "train"}, "heldout_set", "share 4 prompts"),
        (
            {"rewards": [{"name": "r", "kind": "learned", "config": {}}]},
            "rewards.0.config.weights",
            "not been trained",
        ),
        (
            {"rewards": [{"name": "r", "kind": "learned", "config": {"weights": "0" * 64}}]},
            "rewards.0.config.weights",
            "not among the media",
        ),
        ({"method": {"name": "g3rpo"}}, "method", "did you mean"),
    ],
)
def test_a_config_that_cannot_run_is_refused_and_nothing_is_stored(
    services: Studio, changes: dict[str, object], field: str, words: str
) -> None:
    made = factory.project(services)
    with pytest.raises(ConfigError, match=words) as caught:
        runs.create(services, made.project, "bad", factory.config(**changes))
    assert caught.value.field == field
    assert run_rows.page(services, made.project)["total"] == 0 and jobs.due(services) == []


def test_a_run_follows_its_job(services: Studio) -> None:
    made = factory.project(services)
    run = runs.create(services, made.project, "first", factory.config())["id"]
    job = runs.get(services, run)["job_id"]
    jobs.claim(services, job, 1, "w")
    assert runs.get(services, run)["status"] == "running"
    assert runs.want(services, run, "pause")["wanted"] == "pause"
    assert jobs.wanted(services, job, 1) == "pause"
    jobs.end(services, job, 1, "paused")
    assert runs.get(services, run)["status"] == "paused"
    resumed = runs.want(services, run, "run")
    assert resumed["status"] == "waiting" and resumed["wanted"] == "run"
    again = resumed["job_id"]
    assert again != job
    jobs.claim(services, again, 1, "w")
    jobs.fail(services, again, 1, "The disk is full.")
    failed = runs.get(services, run)
    assert (failed["status"], failed["error"]) == ("failed", "The disk is full.")
    assert runs.want(services, run, "run")["error"] == ""
    assert runs.want(services, run, "stop")["status"] == "stopped"
    with pytest.raises(Conflict):
        runs.want(services, run, "pause")


def test_an_iteration_is_one_transaction_and_made_again_replaces_itself(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=3)
    record = factory.iteration(2, reward=0.9)
    records.iteration(services, run, record, factory.sheets(services, record))
    found = runs.metrics(services, run)
    assert found["steps"] == [1, 2, 3]
    assert found["series"]["reward/verifier"][1] == 0.9
    assert rollouts.page(services, run)["total"] == 6
    broken = factory.iteration(4)
    broken.groups[1].nodes.append(broken.groups[1].nodes[0])  # the same number twice
    with pytest.raises(sa.exc.IntegrityError):
        records.iteration(services, run, broken)
    assert runs.metrics(services, run)["steps"] == [1, 2, 3]
    assert rollouts.page(services, run)["total"] == 6


def test_going_back_to_a_checkpoint_forgets_what_came_after_it(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=3)
    for step in (2, 3):
        records.checkpoint(
            services, run, records.StoredCheckpoint(step, "a", "o", None, {"x": step})
        )
    last = records.latest_checkpoint(services, run)
    assert last is not None and last.step == 3 and last.state == {"x": 3}
    records.rewind(services, run, 2)
    assert runs.metrics(services, run)["steps"] == [1, 2]
    row = runs.get(services, run)
    assert row["step"] == 2 and row["checkpoints"] == [2]
    with services.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(RolloutNode)) == 2 * 2 * 4


def test_a_worker_that_lost_its_attempt_records_nothing(services: Studio) -> None:
    made = factory.project(services)
    run = runs.create(services, made.project, "first", factory.config())
    job = run["job_id"]
    jobs.claim(services, job, 1, "old")
    mine = records.Fence(job, 1)
    records.iteration(services, run["id"], factory.iteration(1), fence=mine)
    jobs.release(services, job, 1)
    with pytest.raises(Conflict, match="another worker"):
        records.iteration(services, run["id"], factory.iteration(2), fence=mine)
    assert runs.metrics(services, run["id"])["steps"] == [1]


def test_numbers_that_are_not_finite_are_stored_as_gaps_and_raise_an_alarm(
    services: Studio,
) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=1)
    record = factory.iteration(2)
    record.metrics["loss"] = float("nan")
    records.iteration(services, run, record)
    assert runs.metrics(services, run)["series"]["loss"] == [None, None]
    alarms.look(services, run, alarms.story_of(services, run))
    assert [alarm["title"] for alarm in runs.get(services, run)["alarms"]] == [
        "A figure is not a number"
    ]


def test_the_row_of_a_run_says_reward_gain_and_curve(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=3)
    row = run_rows.page(services, made.project)["items"][0]
    assert row["id"] == run and row["step"] == 3 and row["seconds_per_step"] == 2.0
    assert row["reward"] == {"verifier": 0.53}
    assert row["spark"] == [0.51, 0.52, 0.53]
    assert row["gain"] == {"name": "verifier", "value": 0.1, "se": 0.01}
    none = run_rows.page(services, made.project, run_rows.Wanted("done"))
    assert (none["total"], none["items"], none["counts"]) == (0, [], {"waiting": 1})
    assert records.nfe_of(services, run) == 3 * 100 + 2 * 40


def test_a_long_run_has_a_short_curve_that_ends_at_its_last_step(services: Studio) -> None:
    made = factory.project(services)
    run = runs.create(services, made.project, "long", factory.config(num_steps=200))["id"]
    for step in range(1, 151):
        records.iteration(services, run, factory.iteration(step, reward=float(step), groups=0))
    curve = runs.get(services, run)["spark"]
    assert 30 <= len(curve) <= 62 and curve[-1] == 150.0


def test_a_clone_differs_by_what_was_changed_alone(services: Studio) -> None:
    made = factory.project(services)
    first = runs.create(services, made.project, "first", factory.config())
    same = runs.clone(services, first["id"])
    assert same["config"] == first["config"] and same["diff"] == []
    changed = runs.clone(
        services, first["id"], {"optim": {"lr": 5e-5}, "sampling.guidance": 2, "name": "other"}
    )
    assert changed["name"] == "other" and changed["parent_id"] == first["id"]
    assert [line["key"] for line in changed["diff"]] == ["optim.lr", "sampling.guidance"]
    method = {"name": "flow-grpo", "settings": {}}
    assert runs.clone(services, first["id"], {"method": method})["method"] == "flow-grpo"


def test_preflight_says_cost_and_offers_what_helps(services: Studio) -> None:
    made = factory.project(services)
    answer = preflight.check(services, made.project, factory.config())
    assert answer["nfe_per_step"] > 0
    by_name = {line["name"]: line for line in answer["lines"]}
    assert by_name["Train and held-out overlap"]["status"] == "pass"
    assert by_name["Worker"]["status"] == "warn"
    bad = preflight.check(
        services,
        made.project,
        factory.config(prompt_set="x", rewards=[{"name": "people", "kind": "learned"}]),
    )
    by_name = {line["name"]: line for line in bad["lines"]}
    assert by_name["Prompts to train on"]["fix"]["changes"] == {"prompt_set": "train"}
    assert by_name["Reward people"]["status"] == "fail"


def test_a_tuned_policy_is_saved_once_and_can_be_trained_further(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made)
    adapter = services.media.put(b"adapter")
    policy = records.save_tuned_policy(services, run, adapter, 3)
    assert records.save_tuned_policy(services, run, adapter, 3) == policy
    row = runs.get(services, run)
    assert row["tuned_policy_id"] == policy
    more = runs.create(services, made.project, "more", factory.config(), policy_id=policy)
    assert more["policy_id"] == policy


def test_events_rise_and_tell_pages_what_is_new(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=2)
    told = events.of_run(services, run, 0)
    kinds = [signal.kind for signal in told]
    assert kinds.count("iteration") == 2 and kinds.count("evaluation") == 2
    ids = [signal.id for signal in told]
    assert ids == sorted(set(ids))
    assert [signal.id for signal in events.of_run(services, run, ids[-2])] == ids[-1:]
    assert events.newest_id(services) == ids[-1]


def test_rewards_have_versions_and_scores_are_replaced_not_doubled(services: Studio) -> None:
    made = factory.project(services)
    first = rewards.create(services, made.project, "light", "brightness", {})
    assert rewards.create(services, made.project, "light", "brightness", {})["id"] == first["id"]
    other = rewards.create(services, made.project, "light", "saturation", {})
    assert other["version"] == "2"
    said = [rewards.ScoreRow(sample, number / 10) for number, sample in enumerate(made.samples)]
    said[0] = rewards.ScoreRow(made.samples[0], None, "error", "It raised.")
    rewards.record_scores(services, first["id"], said)
    rewards.record_scores(services, first["id"], said[:2])
    assert rewards.score_counts(services, first["id"]) == {"ok": len(said) - 1, "error": 1}
    high = rewards.scored_samples(services, first["id"], limit=2)
    assert [row["sample"]["id"] for row in high] == made.samples[:-3:-1]
    low = rewards.scored_samples(services, first["id"], order="low", limit=1)
    assert low[0]["value"] == 0.1
    page = samples.page(services, made.project, limit=1)
    assert page["items"][0]["scores"] == {"light": said[-1].value}


def test_prompts_are_imported_whole_or_not_at_all(services: Studio) -> None:
    made = factory.project(services)
    before = prompts.rows(services, made.project)
    for text in ("", "\n \n", b"\xff\xfe", '{"prompt": "a"}\n{"prompt": \n'):
        with pytest.raises(prompts.InputError):
            prompts.import_text(services, made.project, "new", "train", text, "file.txt")
    with pytest.raises(Conflict):
        prompts.import_text(services, made.project, "train", "train", "a")
    assert prompts.rows(services, made.project) == before
    page = prompts.get(services, made.prompt_set, q="PROMPT 3")
    assert page["total"] == 1 and page["prompts"][0]["text"] == "prompt 3"
