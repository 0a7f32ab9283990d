"""What stands beside a study: what it can be made of, whom it can ask, its items and verdicts; and
how often an item of it is handed out by chance."""

from __future__ import annotations

import itertools
import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace

import pytest
import sqlalchemy as sa

from backend.errors import InputError
from backend.preferences.studies import TEMPLATES, StudyConfig
from backend.services import (
    handing,
    labels,
    pairs,
    policies,
    prompts,
    studies,
    study_views,
    today,
    users,
)
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db.queries import Scope
from db.tables import Lease, Pair, Sample, Study
from tests import factory
from tests.factory import Made


def study(services: Studio, made: Made, kind: str = "images", **config: object) -> int:
    wanted = NewStudy("A study", kind, StudyConfig.read(config), sample_ids=tuple(made.samples))
    return int(studies.create(services, made.project, wanted)["id"])


def say(services: Studio, project: int, study_id: int, user: int, verdicts: dict[int, str]) -> None:
    """Judge items by the sample that is better, whatever side it stands on."""
    scope = Scope(study=study_id)
    for shown in pairs.next_pairs(services, project, user, len(verdicts), scope=scope)["pairs"]:
        with services.read() as session:
            lease = session.get_one(Lease, (shown["pair_id"], user))
        wanted = verdicts[shown["pair_id"]]
        sides = {lease.shown_left: "left", "ba"["ab".index(lease.shown_left)]: "right"}
        given = factory.label(shown["pair_id"], sides.get(wanted, wanted), left=lease.shown_left)
        labels.store(services, user, given)


def test_items_are_added_of_what_there_is_and_none_of_them_twice(services: Studio) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=2)
    one = study(services, made)
    newer = policies.create(services, made.project, "newer", "sd3", {"weights": "n"})["id"]
    factory.draw(services, made.project, newer, made.prompt_ids, 1)
    both = [made.policy, newer]
    now = studies.add_samples(services, one, from_policies=both, by=users.local(services))
    assert now["items"] == 6, "every two of three pictures for two prompts, two were there"
    with pytest.raises(InputError, match="no item that the study does not have"):
        studies.add_samples(services, one, from_policies=both)
    held = {row["name"]: row["id"] for row in prompts.rows(services, made.project)}["heldout"]
    with pytest.raises(InputError, match="2 different samples of one prompt"):
        studies.add_samples(services, one, from_policies=both, prompt_set_id=held)
    fours = studies.create(services, made.project, NewStudy("Four", "best_worst"))["id"]
    factory.draw(services, made.project, newer, made.prompt_ids[:1], 2)
    first = studies.add_samples(services, fours, from_policies=both)["items"]
    assert first == 1, "five pictures of one prompt and three of the other: one four"
    factory.draw(services, made.project, newer, made.prompt_ids[:1], 2)
    with pytest.raises(InputError, match="needs 4"):
        studies.add_samples(services, fours, from_policies=both)


def test_texts_are_about_a_picture_that_was_given_to_them(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=3)
    with services.write() as session:
        session.execute(sa.update(Sample).values(text=sa.cast(Sample.seed, sa.Text)))
    one, me = study(services, made, "texts"), users.local(services)
    first, second, third = (item["pair_id"] for item in study_views.items(services, one)["items"])
    said = studies.set_subject(services, one, first, factory.png(9), by=me)
    assert said["items"] == 1 and said["subject"].startswith("/media/")
    assert [item["subject"] for item in study_views.items(services, one)["items"]] == [
        said["subject"],
        "",
        "",
    ]
    (shown,) = pairs.next_pairs(services, made.project, made.user, 1, scope=Scope(study=one))[
        "pairs"
    ]
    assert ("subject" in shown) is (shown["pair_id"] == first)
    assert studies.set_subject(services, one, second, factory.png(8), of_prompt=True)["items"] == 3
    assert studies.set_subject(services, one, third, None)["subject"] == ""
    left = [bool(item["subject"]) for item in study_views.items(services, one)["items"]]
    assert left == [True, True, False]
    with pytest.raises(InputError, match="is not a picture"):
        studies.set_subject(services, one, first, b"words")
    with services.write() as session:
        session.execute(sa.update(Sample).values(text=None))
    with pytest.raises(InputError, match="only texts"):
        studies.set_subject(services, study(services, made), first, factory.png(9))


def test_the_items_on_which_people_part_most_come_first(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=3)
    one = study(services, made, overlap=4)
    first, second, third = study_views.items(services, one)["items"]
    people = [made.user, *(users.create(services, f"p{n}")["id"] for n in range(3))]
    ids = [first["pair_id"], second["pair_id"], third["pair_id"]]
    for number, person in enumerate(people):
        said = ["a", "b" if number == 0 else "a", "b" if number % 2 else "tie"]
        say(services, made.project, one, person, dict(zip(ids, said, strict=True)))
    found = study_views.items(services, one, which="disputed")
    assert [item["pair_id"] for item in found["items"]] == [ids[2], ids[1]]
    assert [item["verdicts"] for item in found["items"]] == [{"b": 2, "tie": 2}, {"a": 3, "b": 1}]
    assert (found["total"], found["disputed"]) == (3, 2)
    every = study_views.items(services, one, limit=2)["items"]
    assert [item["pair_id"] for item in every] == ids[:2]
    assert every[0]["verdicts"] == {"a": 4} and every[0]["settled"]
    assert {sample["policy"] for sample in every[0]["samples"]} == {"pocket"}
    last = study_views.items(services, one, offset=2, limit=2)["items"]
    assert [item["pair_id"] for item in last] == ids[2:]
    with pytest.raises(InputError, match="'all' or 'disputed'"):
        study_views.items(services, one, which="best")


def test_today_names_the_studies_that_want_judgements_those_nearly_done_first(
    services: Studio,
) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=2)
    begun, other, done, closed = (study(services, made) for _ in range(4))
    studies.change(services, closed, status="closed")
    for one, num in ((begun, 1), (done, 2)):
        scope = Scope(study=one)
        shown = pairs.next_pairs(services, made.project, made.user, num, scope=scope)["pairs"]
        for pair in shown:
            labels.store(services, made.user, factory.label(pair["pair_id"], "tie"))
    named = today.summary(services, made.project, made.user)["studies"]
    assert [row["id"] for row in named] == [begun, other]


def test_marks_and_fours_are_counted_by_what_was_said(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=4)
    rated, ranked = study(services, made, "single"), study(services, made, "best_worst")
    shown = pairs.next_pairs(services, made.project, made.user, 1, scope=Scope(study=rated))
    given = factory.label(shown["pairs"][0]["pair_id"], "rated")
    labels.store(services, made.user, replace(given, answers={"rating": 4}))
    four = pairs.next_pairs(services, made.project, made.user, 1, scope=Scope(study=ranked))
    given = factory.label(four["pairs"][0]["pair_id"], "ranked")
    labels.store(services, made.user, replace(given, answers={"best": "a", "worst": "b"}))
    marked = study_views.items(services, rated)
    assert [len(item["samples"]) for item in marked["items"]] == [1] * 4
    assert [item["verdicts"] for item in marked["items"] if item["given"]] == [{"4": 1}]
    item = study_views.items(services, ranked)["items"][0]
    assert len(item["samples"]) == 4 and sum(item["verdicts"].values()) == 1


def test_a_study_can_be_made_of_what_was_brought_but_not_of_what_checks_are_made_of(
    services: Studio,
) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=2)
    with services.write() as session:
        brought = policies.imported(session, made.project).id
    assert [one["policy_id"] for one in study_views.sources(services, made.project)] == [
        made.policy
    ], "an import that brought nothing is no source"
    drawn = factory.draw(services, made.project, brought, made.prompt_ids[:1], 2)
    study(services, made, attention=0.2)
    found = study_views.sources(services, made.project)
    assert [(s["policy_id"], s["draws"], s["samples"], s["prompts"]) for s in found] == [
        (brought, False, 2, 1),
        (made.policy, True, 4, 2),
    ]
    wanted = NewStudy(from_policies=(brought,))
    one = studies.create(services, made.project, wanted)
    assert (one["name"], one["items"]) == ("imported pictures", 1)
    samples = study_views.items(services, one["id"])["items"][0]["samples"]
    assert {sample["id"] for sample in samples} == set(drawn)


def test_whoever_is_asked_must_be_there(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    other = users.create(services, "second")["id"]
    users.simulated(services, "robot")
    assert {one["name"] for one in study_views.people(services)} == {"you", "second"}
    one = study(services, made, people=[other])
    with pytest.raises(InputError, match="id 4711"):
        studies.change(services, one, config=StudyConfig(people=[other, 4711]))
    assert studies.get(services, one)["config"]["people"] == [other]


def test_every_template_makes_a_study(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=4)
    for template in TEMPLATES:
        wanted = NewStudy(
            template.title, template.kind, template.config, sample_ids=tuple(made.samples)
        )
        assert studies.create(services, made.project, wanted)["items"] > 0
    assert len({template.name for template in TEMPLATES}) == len(TEMPLATES)


def test_a_quarter_of_what_is_handed_out_is_chosen_by_chance(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services, num_prompts=8, per_prompt=3)
    one = study(services, made, chooser="bradley-terry")
    seeds = itertools.count()
    seeded = SimpleNamespace(Random=lambda: random.Random(next(seeds)))
    monkeypatch.setattr(handing, "random", seeded)
    chosen: Counter[str] = Counter()
    with services.write() as session:
        rows = session.scalars(sa.select(Pair).where(Pair.study_id == one).order_by(Pair.id))
        for number, pair in enumerate(rows):
            pair.utility, pair.shuffle = number % 7 - 3.0, number / 24
        session.flush()
        asked, user = session.get_one(Study, one), users.find(session, made.user)
        for _ in range(40):
            handed = handing.hand_out(session, asked, user, 10, set(), now=0.0)
            chosen.update(item.chooser for item in handed)
            assert min(item.propensity for item in handed) >= 0.25
    print(f"{chosen['uniform']} of {chosen.total()} by chance")
    assert chosen.total() == 400 and set(chosen) == {"uniform", "bradley-terry"}
    assert 0.20 <= chosen["uniform"] / 400 <= 0.30
