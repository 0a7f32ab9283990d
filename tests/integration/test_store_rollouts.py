"""Groups of rollouts on both kinds of store: found by their facts, paged, sent to people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, cast

import numpy as np
import pytest
import sqlalchemy as sa

from backend.errors import Conflict, InputError, NotFound
from backend.services import (
    jobs,
    prompts,
    records,
    rollout_facts,
    rollout_judging,
    rollout_pairs,
    rollouts,
    runs,
    samples,
    studies,
    users,
)
from backend.services.rollout_filter import Filter
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from backend.types import GroupRecord, IterationRecord, NodeRecord
from db.tables import Pair, Reward, RolloutFact, RolloutGroup, RolloutSeen, Sample
from tests import factory
from workers import models
from workers.frame import JobFrame
from workers.jobs import judge_rollouts

Raw = dict[str, list[float | None]]
A_UP: Raw = {"a": [1.0, 0.0, 0.0, -1.0], "b": [-1.0, 0.0, 0.0, 1.0]}
"""The best by a is the worst by b."""
ALIKE: Raw = {"a": [0.9, 0.3, 0.1, -0.4], "b": [0.8, 0.2, 0.1, -0.3]}
FLAT: Raw = {"a": [0.5] * 4, "b": [0.5] * 4}
GONE: Raw = {"a": [0.4, 0.2, 0.1, 0.0], "b": [0.3, None, 0.1, 0.0]}


def leaves(raw: Raw, z: float, judge: list[float] | None) -> list[NodeRecord]:
    """Leaves of one group; a weighs twice as much as b."""
    found = []
    for i in range(len(raw["a"])):
        parts: dict[str, dict[str, Any]] = {}
        for name, weight in (("a", 2 / 3), ("b", 1 / 3)):
            value = raw[name][i]
            share = None if value is None else weight * value
            status = "ok" if value is not None else "error"
            parts[name] = {"raw": value, "shaped": value, "z": value, "weight": weight}
            parts[name] |= {"share": share, "status": status}
        parts["a"]["z"] = z if i == 0 else parts["a"]["z"]
        if judge:
            parts["judge"] = {"raw": judge[i], "weight": None, "status": "ok"}
        total = sum(part["share"] or 0.0 for part in parts.values() if "share" in part)
        found.append(
            NodeRecord(i, None, "leaf", 4, 1, 0.0, advantage=total, rewards=parts, tile=i, seed=i)
        )
    return found


def group(
    number: int, raw: Raw, *, z: float = 1.0, judge: list[float] | None = None
) -> GroupRecord:
    """A group of four samples without a tree."""
    values = [value for value in raw["a"] if value is not None]
    spread = float(np.std(values))
    nodes = leaves(raw, z, judge)
    return GroupRecord(
        number, f"prompt {number}", None, float(np.mean(values)), spread, True, "", nodes, None,
        None, {},
    )  # fmt: skip


@pytest.fixture
def run(services: Studio) -> int:
    """Two steps: what each of their groups is found by stands in the names above."""
    made = factory.project(services, num_prompts=5, per_prompt=0)
    terms = [{"name": name, "kind": "saturation"} for name in ("a", "b")]
    run_id = int(runs.create(services, made.project, "found", factory.config(rewards=terms))["id"])
    steps = {
        1: [group(0, A_UP, judge=[0.0, 1.0, 2.0, 3.0]), group(1, ALIKE, judge=[3.0, 2.0, 1.0, 0])],
        2: [group(2, FLAT), group(3, GONE, z=3.5), group(4, ALIKE)],
    }
    for step, groups in steps.items():
        record = IterationRecord(step, {}, 1, {}, groups)
        strips = [
            records.Sheets(services.media.put(factory._strip(10 * step + i)), None)
            for i in range(len(groups))
        ]
        records.iteration(services, run_id, record, strips)
    return run_id


def found(studio: Studio, run: int, **wanted: Any) -> list[str]:
    """Prompts of the groups that match, in order."""
    page = rollouts.page(studio, run, Filter(**wanted))
    assert page["total"] == len(page["groups"]) and page["samples"] == 4 * page["total"]
    return [row["prompt"].removeprefix("prompt ") for row in page["groups"]]


def test_every_filter_finds_its_groups_and_no_others(services: Studio, run: int) -> None:
    assert found(services, run) == ["2", "3", "4", "0", "1"]
    assert found(services, run, sort="oldest") == ["0", "1", "2", "3", "4"]
    assert found(services, run, step_min=2) == ["2", "3", "4"]
    assert found(services, run, step_max=1, prompt="PROMPT 1") == ["1"]
    assert found(services, run, far=3.0) == ["3"] and found(services, run, far=3.6) == []
    assert found(services, run, flat=True) == ["2"]
    assert found(services, run, missing=True) == ["3"]
    assert found(services, run, up="a", down="b") == ["0"]
    assert found(services, run, up="b", down="a") == ["0"]
    assert found(services, run, judge="") == found(services, run, judge="judge") == ["0"]
    assert found(services, run, low=0.4) == ["2"]
    assert found(services, run, reward="b", high=0.15) == ["3", "0"]
    assert found(services, run, reward="b", low=0.15, high=0.3) == ["4", "1"]
    assert found(services, run, sort="apart")[0] == "0"
    assert found(services, run, sort="far")[0] == "3"
    assert found(services, run, sort="mean:b")[0] == "2"
    assert found(services, run, sort="judge") == ["0", "1"]
    for bad in ({"up": "a"}, {"up": "a", "down": "a"}, {"sort": "colour"}, {"sort": "mean:"}):
        with pytest.raises(InputError):
            found(services, run, **bad)


@pytest.mark.parametrize("sort", ["newest", "oldest", "spread", "mean", "apart", "mean:b", "far"])
def test_pages_of_every_order_hold_each_group_once(services: Studio, run: int, sort: str) -> None:
    whole = [row["id"] for row in rollouts.page(services, run, Filter(sort=sort))["groups"]]
    paged, after = [], None
    while True:
        page = rollouts.page(services, run, Filter(sort=sort), after=after, limit=2)
        paged += [row["id"] for row in page["groups"]]
        after = page["next"]
        if after is None:
            break
    assert paged == whole and len(whole) >= 4


def test_facts_are_those_of_a_plain_count(services: Studio, run: int) -> None:
    rows = rollouts.page(services, run, Filter(step_max=1))["groups"]
    with services.read() as session:
        facts = rollout_facts.of_groups(session, [rows[0]["id"]])[rows[0]["id"]]
    a = np.array(A_UP["a"], dtype=float)
    z = a / a.std(ddof=1)
    assert facts["split/a/b"] == pytest.approx(z.max()) and facts["apart"] == pytest.approx(-1.0)
    assert facts["judge"] == -1.0 and facts["missing"] == 0 and facts["mean/b"] == 0.0
    assert facts["sd/a"] == pytest.approx(a.std(ddof=1))


def test_groups_of_an_older_palate_are_summed_up_when_they_are_asked_for(
    services: Studio, run: int
) -> None:
    before = found(services, run, up="a", down="b")
    with services.write() as session:
        session.execute(sa.delete(RolloutFact))
        session.execute(sa.update(RolloutGroup).values(num_leaves=None))
    assert found(services, run, up="a", down="b") == before == ["0"]


def test_what_somebody_has_looked_at_is_theirs_and_goes_with_the_group(
    services: Studio, run: int
) -> None:
    me = users.local(services)["id"]
    first = rollouts.page(services, run)["groups"][0]["id"]
    for _twice in range(2):
        rollouts.look(services, first, me)
    assert "2" not in found(services, run, seen=False, user_id=me)
    assert found(services, run, seen=True, user_id=me) == ["2"]
    assert found(services, run, seen=True, user_id=me + 1) == []
    records.rewind(services, run, 1)
    with services.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(RolloutSeen)) == 0
    assert found(services, run) == ["0", "1"]


def test_the_neighbours_of_a_group_are_its_prompt_at_other_steps(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=3)
    middle = rollouts.page(services, run, Filter(step_min=2, step_max=2))["groups"][0]
    around = rollouts.neighbours(services, middle["id"])
    assert [one["step"] for one in around] == [1, 2, 3]
    assert around[1]["id"] == middle["id"] and (around[1]["best"], around[1]["worst"]) == (2, 0)


def test_one_group_is_shown_in_full_and_its_best_and_worst_become_a_pair(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=1)
    group = rollouts.page(services, run)["groups"][0]
    assert [leaf["advantage"] for leaf in group["leaves"]] == [1.0, 0.0, -1.0]
    full = rollouts.get(services, group["id"])
    assert len(full["nodes"]) == 4 and full["nodes"][0]["seed"] == str(2**60)
    assert full["detail"]["eta"] == 0.7 and full["detail"]["odd"] is None
    assert len(full["groups_of_tree"]) == 2
    pair = rollout_pairs.make_pair(services, group["id"])
    assert rollout_pairs.make_pair(services, group["id"]) == pair
    drawn = samples.page(services, made.project, limit=2)["items"]
    assert {(item["width"], item["height"]) for item in drawn} == {(8, 8)}
    with pytest.raises(NotFound):
        rollout_pairs.make_pair(services, group["id"], best=99)
    with services.read() as session:
        stored = session.get(Pair, pair)
        assert stored is not None and stored.study_id is None
        sample = session.get(Sample, stored.sample_a_id)
        assert sample is not None and sample.settings["leaf"] == group["leaves"][0]["idx"]
    wanted = NewStudy("Which?", sample_ids=tuple(made.samples))
    study = studies.create(services, made.project, wanted)["id"]
    inside = rollout_pairs.make_pair(services, group["id"], study_id=study)
    assert inside != pair
    with services.read() as session:
        stored = session.get(Pair, inside)
        assert stored is not None and stored.study_id == study and stored.priority == -1
    with pytest.raises(NotFound):
        rollout_pairs.make_pair(services, group["id"], study_id=study + 99)


def test_chosen_rollouts_become_pairs_of_their_prompt_or_a_prompt_set(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=1)
    one, other = rollouts.page(services, run)["groups"]
    chosen = [(one["id"], leaf["idx"]) for leaf in one["leaves"]] + [(other["id"], 1)]
    sent = rollout_pairs.send_pairs(services, run, chosen)
    assert len(sent["pairs"]) == 2 and sent["alone"] == 1
    assert rollout_pairs.send_pairs(services, run, chosen)["pairs"] == sent["pairs"]
    made_set = rollout_pairs.send_prompts(services, run, chosen, "odd ones")
    assert [text for _id, text in prompts.texts(services, made_set["id"])] == [
        one["prompt"],
        other["prompt"],
    ]
    with pytest.raises(Conflict):
        rollout_pairs.send_prompts(services, run, chosen, "odd ones")
    with pytest.raises(InputError):
        rollout_pairs.send_pairs(services, run, [(one["id"], 1)])
    with pytest.raises(NotFound):
        rollout_pairs.send_pairs(services, run, [(one["id"], 1), (one["id"], 99)])


def test_chosen_rollouts_open_a_board_of_the_nearest_checkpoints(services: Studio) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=3)
    rows = rollouts.page(services, run)["groups"]
    chosen = [(rows[0]["id"], 1), (rows[-1]["id"], 2)]
    with pytest.raises(Conflict, match="checkpoint"):
        rollout_pairs.board_of(services, run, chosen)
    for step in (1, 2):
        records.checkpoint(services, run, records.StoredCheckpoint(step, "a", "o", None, {}))
    address = rollout_pairs.board_of(services, run, chosen)
    sources = f"sources=policy:{made.policy},run:{run}@2,run:{run}@1"
    assert address == f"/compare?{sources}&set={made.prompt_set}&prompt=0"


@dataclass
class Frame:
    """What a job sees of its frame."""

    studio: Studio
    args: dict[str, Any]
    done: int = 0

    def step(self, done: int, _total: int, _said: str) -> None:
        """Count."""
        self.done = done


def test_a_judge_that_was_not_trained_on_finds_the_groups_it_disagrees_with(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services)
    run = factory.trained_run(services, made, steps=2)
    with pytest.raises(NotFound):
        rollout_judging.order(services, run, "nobody")
    with pytest.raises(Conflict):
        rollout_judging.order(services, run, "verifier", _reward(services, made.project))
    job = rollout_judging.order(services, run, "saturation", limit=3)
    args = jobs.get(services, job)["args"]
    monkeypatch.setattr(models, "studio", lambda: services)
    frames = [Frame(services, args) for _ in range(3)]
    judged = [judge_rollouts.work(cast(JobFrame, frame))["groups"] for frame in frames]
    assert judged == [3, 1, 0] == [frame.done for frame in frames]
    rows = rollouts.page(services, run)["groups"]
    against = []
    for row in rows:
        said = [leaf["rewards"]["saturation"]["raw"] for leaf in row["leaves"]]
        assert len(set(said)) == 3 and all(0 <= value <= 1 for value in said)
        pairs = [said[i] - said[j] for i in range(3) for j in range(i + 1, 3)]
        against += [row["id"]] if sum(np.sign(pairs)) < 0 else []
    found = rollouts.page(services, run, Filter(judge="saturation"))["groups"]
    assert {row["id"] for row in found} == set(against)
    assert rows[0]["leaves"][0]["rewards"]["verifier"]["weight"] == 1.0


def _reward(studio: Studio, project: int) -> int:
    with studio.write() as session:
        row = Reward(project_id=project, name="mine", kind="saturation", version="1", config={})
        session.add(row)
        session.flush()
        return row.id
