"""Studies on both kinds of store: what is asked is what may be answered, nobody is asked twice."""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa

from backend.errors import ConfigError, Conflict, Forbidden, InputError
from backend.preferences.studies import StudyConfig
from backend.services import exclusions, handing, labels, pairs, studies, users
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db.queries import Scope
from db.tables import Label, Pair, Sample
from tests import factory
from tests.factory import Made


def study(services: Studio, made: Made, kind: str = "images", **config: Any) -> int:
    wanted = NewStudy("A study", kind, StudyConfig.read(config), sample_ids=tuple(made.samples))
    return int(studies.create(services, made.project, wanted)["id"])


def ask(services: Studio, made: Made, user: int, study_id: int, n: int = 1) -> list[dict[str, Any]]:
    found = pairs.next_pairs(services, made.project, user, n, scope=Scope(study=study_id))
    return list(found["pairs"])


def answer(
    services: Studio, user: int, shown: dict[str, Any], choice: str = "left", **answers: Any
) -> dict[str, Any]:
    sent = factory.label(shown["pair_id"], choice, left=shown["shown_left"])
    return labels.store(services, user, replace(sent, answers=answers), veiled=True)


def test_a_study_hands_out_its_own_items_and_the_queue_keeps_its_own(services: Studio) -> None:
    made = factory.project(services, num_prompts=2, per_prompt=3)
    one = study(services, made)
    first = ask(services, made, made.user, one, 6)
    assert len(first) == 6, "every two of three pictures, for two prompts"
    queue = pairs.next_pairs(services, made.project, made.user, 3)
    assert not {p["pair_id"] for p in first} & {p["pair_id"] for p in queue["pairs"]}
    assert queue["total"] == len(made.pairs)
    done = answer(services, made.user, first[0])["done"]
    assert done == 1
    assert studies.get(services, one)["labels"] == 1
    assert len(list(labels.judged(services, made.project))) == 1, "a study of pictures trains"


@pytest.mark.parametrize(
    ("config", "choice", "answers", "fault"),
    [
        ({}, "ranked", {}, "not asked for"),
        ({"ties": False}, "tie", {}, "left, right, both_bad or skip"),
        ({"aspects": ["colour"]}, "left", {"aspects": {"shape": "left"}}, "it has colour"),
        (
            {},
            "left",
            {"regions": [_r := {"side": "left", "x": 0, "y": 0, "width": 1, "height": 1}]},
            "not marked",
        ),
        ({"regions": True}, "left", {"regions": [_r | {"x": 2}]}, "regions.0.x"),
    ],
)
def test_an_answer_that_is_not_asked_for_is_refused(
    services: Studio, config: dict[str, Any], choice: str, answers: dict[str, Any], fault: str
) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    one = study(services, made, **config)
    shown = ask(services, made, made.user, one)[0]
    with pytest.raises(InputError, match=fault):
        answer(services, made.user, shown, choice, **answers)
    with services.read() as session:
        assert session.scalar(sa.select(sa.func.count()).select_from(Label)) == 0


def test_what_was_said_beside_the_choice_is_kept(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    one = study(services, made, aspects=["colour", "place"], regions=True)
    shown = ask(services, made, made.user, one)[0]
    region = {"side": "right", "x": 0.1, "y": 0.2, "width": 0.3, "height": 0.4}
    answer(services, made.user, shown, aspects={"colour": "right"}, regions=[region])
    row = next(labels.judged(services, made.project, scope=Scope(study=one)))
    said = {"aspects": {"colour": "right"}, "regions": [region]}
    assert row.answers == said
    taken = labels.undo(services, made.project, made.user, "undo", Scope(study=one))
    assert taken["verdict"] == {"choice": "left", "reasons": [], "comment": "", "answers": said}
    assert row.chooser in ("uniform", "disagreement") and row.propensity == 1.0


def test_single_pictures_are_rated_and_fours_are_ranked_by_sample(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=4)
    rated = study(services, made, "single", checklist=["Is it red?"])
    shown = ask(services, made, made.user, rated)[0]
    answer(services, made.user, shown, "rated", rating=4, checklist={"Is it red?": True})
    ranked = study(services, made, "best_worst")
    four = ask(services, made, made.user, ranked)[0]
    assert four["slots"] == ask(services, made, made.user, ranked)[0]["slots"], "kept on reload"
    answer(services, made.user, four, "ranked", best="c", worst="a")
    with services.read() as session:
        pair = session.get_one(Pair, four["pair_id"])
        said = session.scalars(sa.select(Label).where(Label.choice == "ranked")).one().answers
        ids = dict(
            zip("abcd", [pair.sample_a_id, pair.sample_b_id, *pair.detail["more"]], strict=True)
        )
        media = {f"/media/{s.media}": i for i in ids.values() if (s := session.get(Sample, i))}
    assert ids[said["best"]] == media[four["slots"][2]["url"]]
    assert ids[said["worst"]] == media[four["slots"][0]["url"]]
    assert list(labels.judged(services, made.project)) == [], "neither trains as a pair"


def test_items_people_differ_on_are_asked_again_up_to_the_most(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    one = study(services, made, overlap=2, overlap_most=4, narrow=0.6)
    people = [made.user, *(users.create(services, f"p{n}")["id"] for n in range(4))]
    given = []
    for number, person in enumerate(people):
        shown = ask(services, made, person, one)
        if shown:
            left = shown[0]["left"]["url"] == f"/media/{_media(services, shown[0]['pair_id'])}"
            answer(services, person, shown[0], "left" if left == (number % 2 == 0) else "right")
            given.append(person)
    assert len(given) == 4
    agreed = study(services, made, overlap=2, overlap_most=4, narrow=0.7)
    for person in people[:2]:
        shown = ask(services, made, person, agreed)
        answer(services, person, shown[0], "tie")
    assert ask(services, made, people[2], agreed) == [], "two alike are narrow enough here"


def test_items_of_who_is_excluded_go_out_again_and_close_when_restored(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    one = study(services, made, overlap=2, overlap_most=3)
    ann, ben, cat, dan = (users.create(services, f"p{n}")["id"] for n in range(4))
    me = users.get(services, made.user)
    for person, side in ((ann, "a"), (ben, "b")):
        shown = ask(services, made, person, one)[0]
        first = shown["left"]["url"] == f"/media/{_media(services, shown['pair_id'])}"
        answer(services, person, shown, "left" if first == (side == "a") else "right")
    assert _counted(services, one) == (2, 3, False), "they differ, so a third is asked"
    exclusions.exclude(services, me, one, ben)
    assert _counted(services, one) == (1, 2, False), "without the other there is no difference"
    assert len(ask(services, made, ben, one)) == 0, "nobody judges an item twice"
    shown = ask(services, made, cat, one)
    assert len(shown) == 1 and ask(services, made, dan, one) == [], "one is wanted, not two"
    answer(services, cat, shown[0], "tie")
    before = _counted(services, one)
    assert before[0] == 2 and not before[2], "a tie and a win differ too"
    exclusions.restore(services, me, one, ben)
    assert _counted(services, one) == (3, 3, True)
    assert ask(services, made, dan, one) == []


def test_a_lease_of_who_is_excluded_keeps_an_item_from_nobody(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    one = study(services, made)
    other = users.create(services, "second")["id"]
    assert len(ask(services, made, other, one)) == 1
    assert ask(services, made, made.user, one) == []
    exclusions.exclude(services, users.get(services, made.user), one, other)
    assert len(ask(services, made, made.user, one)) == 1


def _counted(services: Studio, study_id: int) -> tuple[int, int, bool]:
    """Verdicts, people wanted and whether that is enough, of a study's one item."""
    with services.read() as session:
        pair = session.scalars(sa.select(Pair).where(Pair.study_id == study_id)).one()
        return pair.verdicts, pair.overlap, pair.settled


def _media(services: Studio, pair_id: int) -> str:
    with services.read() as session:
        return session.get_one(Sample, session.get_one(Pair, pair_id).sample_a_id).media


def test_changing_the_overlap_deletes_nothing_and_asks_again(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    one = study(services, made)
    other = users.create(services, "second")["id"]
    answer(services, made.user, ask(services, made, made.user, one)[0])
    assert ask(services, made, other, one) == []
    studies.change(services, one, config=StudyConfig(overlap=2))
    assert len(ask(services, made, other, one)) == 1
    assert studies.get(services, one)["labels"] == 1
    studies.change(services, one, config=StudyConfig(overlap=1))
    assert studies.get(services, one)["settled"] == 1


def test_a_closed_study_and_one_for_others_are_refused(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    other = users.create(services, "second")["id"]
    one = study(services, made, people=[other])
    with pytest.raises(Forbidden, match="other people"):
        ask(services, made, made.user, one)
    shown = ask(services, made, other, one)[0]
    studies.change(services, one, status="closed")
    with pytest.raises(Conflict, match="closed"):
        answer(services, other, shown)
    assert ask(services, made, users.create(services, "third")["id"], study(services, made))


def test_attention_checks_are_facts_and_never_taste(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    drawing = random.Random(0)  # a fifth of all items: of thirty, once in a thousand times none
    monkeypatch.setattr(handing, "random", SimpleNamespace(Random=lambda: drawing))
    made = factory.project(services, num_prompts=5, per_prompt=4)
    one = study(services, made, attention=0.2)
    kinds: Counter[str] = Counter()
    while shown := ask(services, made, made.user, one, 4):
        for item in shown:
            with services.read() as session:
                fact = session.get_one(Pair, item["pair_id"]).fact
            kinds[fact["kind"] if fact else ""] += 1
            answer(services, made.user, item)
    assert {"", "distant", "damaged", "repeat"} >= set(kinds) > {""}
    assert kinds[""] == 30 == len(list(labels.judged(services, made.project)))
    assert studies.get(services, one)["items"] == 30


def test_an_unknown_chooser_is_refused_with_the_nearest(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    with pytest.raises(ConfigError, match="random"):
        study(services, made, chooser="randon")
