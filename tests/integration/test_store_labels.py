"""Labels and pairs on both kinds of store: stored once, undone by rows, never handed out twice."""

from __future__ import annotations

import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest
import sqlalchemy as sa

from backend.errors import Conflict, InputError, NotFound
from backend.services import exports, labels, pairs, storage, users
from backend.services.studio import Studio
from db.tables import Label, Lease
from tests import factory


def test_a_label_sent_by_five_threads_at_once_is_stored_once(services: Studio) -> None:
    made = factory.project(services)
    label = factory.label(made.pairs[0], client_id="same")
    with ThreadPoolExecutor(5) as pool:
        answers = list(pool.map(lambda _n: labels.store(services, made.user, label), range(5)))
    assert len({answer["label_id"] for answer in answers}) == 1
    assert sorted(answer["repeated"] for answer in answers) == [False, True, True, True, True]
    assert len(list(labels.judged(services, made.project))) == 1


def test_a_client_id_cannot_name_two_judgements(services: Studio) -> None:
    made = factory.project(services)
    labels.store(services, made.user, factory.label(made.pairs[0], client_id="one"))
    with pytest.raises(Conflict, match="one"):
        labels.store(services, made.user, factory.label(made.pairs[1], client_id="one"))


def test_undo_walks_back_through_twenty_judgements_and_deletes_none(services: Studio) -> None:
    made = factory.project(services, num_prompts=10)
    for number, pair_id in enumerate(made.pairs[:20]):
        labels.store(services, made.user, factory.label(pair_id, client_id=f"c{number}"))
    for number in range(20):
        taken = labels.undo(services, made.project, made.user, f"u{number}")
        again = labels.undo(services, made.project, made.user, f"u{number}")
        assert taken["pair"]["pair_id"] == made.pairs[19 - number]
        assert again["label_id"] == taken["label_id"]
        assert taken["done"] == again["done"] == 19 - number
    with pytest.raises(NotFound):
        labels.undo(services, made.project, made.user, "u20")
    assert list(labels.judged(services, made.project)) == []
    with services.read() as session:
        counts = Counter(session.scalars(sa.select(Label.choice)))
    assert counts == {"left": 20, "retract": 20}


def test_an_undone_pair_comes_back_with_the_sides_it_had(services: Studio) -> None:
    made = factory.project(services)
    shown = pairs.next_pairs(services, made.project, made.user, 1)["pairs"][0]
    sent = factory.label(shown["pair_id"], left=shown["shown_left"])
    labels.store(services, made.user, sent, veiled=True)
    back = labels.undo(services, made.project, made.user, "undo")["pair"]
    assert (back["left"], back["shown_left"]) == (shown["left"], shown["shown_left"])
    after = pairs.next_pairs(services, made.project, made.user, 1)["pairs"][0]
    assert (after["pair_id"], after["left"]) == (shown["pair_id"], shown["left"])


def test_the_stored_side_is_that_of_the_picture_shown_on_the_left(services: Studio) -> None:
    made = factory.project(services, num_prompts=12)
    seen = {}
    for _ in range(12):
        shown = pairs.next_pairs(services, made.project, made.user, 1)["pairs"][0]
        seen[shown["pair_id"]] = (shown["left"]["url"], shown["right"]["url"])
        with services.write() as session:  # as if the lease had been lost before the answer came
            session.execute(sa.delete(Lease))
        sent = factory.label(shown["pair_id"], left=shown["shown_left"])
        labels.store(services, made.user, sent, veiled=True)
    for row in labels.judged(services, made.project):
        assert seen[row.pair_id] == (f"/media/{row.left_media}", f"/media/{row.right_media}")


def test_judged_again_in_another_window_the_later_judgement_stands(services: Studio) -> None:
    made = factory.project(services)
    labels.store(services, made.user, factory.label(made.pairs[0], "left"))
    labels.store(services, made.user, factory.label(made.pairs[0], "tie"))
    assert [row.choice for row in labels.judged(services, made.project)] == ["tie"]


def test_two_people_never_get_the_same_pair_at_overlap_one(services: Studio) -> None:
    made = factory.project(services, num_prompts=15)
    other = users.create(services, "second")["id"]
    got: dict[int, list[int]] = {made.user: [], other: []}
    start = threading.Barrier(2)

    def work(user: int) -> None:
        start.wait()
        while True:
            shown = pairs.next_pairs(services, made.project, user, 2)["pairs"]
            if not shown:
                return
            for pair in shown:
                got[user].append(pair["pair_id"])
                labels.store(services, user, factory.label(pair["pair_id"]))

    threads = [threading.Thread(target=work, args=(user,)) for user in got]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(300)
    everything = got[made.user] + got[other]
    assert sorted(everything) == sorted(made.pairs)
    assert len(set(everything)) == len(everything)


def test_a_reload_shows_the_same_pairs_with_the_same_sides(services: Studio) -> None:
    made = factory.project(services)
    first = pairs.next_pairs(services, made.project, made.user, 3)["pairs"]
    again = pairs.next_pairs(services, made.project, made.user, 3)["pairs"]
    strip = [{**pair, "lease_until": 0} for pair in first]
    assert strip == [{**pair, "lease_until": 0} for pair in again]
    held = [pair["pair_id"] for pair in first]
    beyond = pairs.next_pairs(services, made.project, made.user, 3, held)["pairs"]
    assert not {pair["pair_id"] for pair in beyond} & set(held)


def test_a_pair_is_handed_out_again_when_its_lease_has_ended(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    other = users.create(services, "second")["id"]
    shown = pairs.next_pairs(services, made.project, made.user, 1)["pairs"]
    assert pairs.next_pairs(services, made.project, other, 1)["pairs"] == []
    with services.write() as session:
        session.execute(sa.update(Lease).values(until=time.time() - 1))
    taken = pairs.next_pairs(services, made.project, other, 1)["pairs"]
    assert taken[0]["pair_id"] == shown[0]["pair_id"]
    assert pairs.next_pairs(services, made.project, made.user, 1)["pairs"] == []


def test_the_first_sample_stands_on_the_left_about_half_of_the_time(services: Studio) -> None:
    made = factory.project(services, num_prompts=50, per_prompt=4, pairs_per_prompt=4)
    for _ in range(13):
        for pair in pairs.next_pairs(services, made.project, made.user, 16)["pairs"]:
            labels.store(services, made.user, factory.label(pair["pair_id"]))
    sides = Counter(row.left for row in labels.judged(services, made.project))
    assert sides.total() == 200
    assert 55 <= sides["a"] <= 145, "by chance once in a thousand million"


def test_a_pair_is_settled_by_as_many_people_as_it_asks_for(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=0)
    ids = factory.draw(services, made.project, made.policy, made.prompt_ids, 2)
    pair_id = pairs.make(services, made.project, ids, overlap=2)[0]
    people = [made.user, *(users.create(services, name)["id"] for name in ("second", "third"))]
    for user in people[:2]:
        assert len(pairs.next_pairs(services, made.project, user, 1)["pairs"]) == 1
        labels.store(services, user, factory.label(pair_id))
    assert pairs.next_pairs(services, made.project, people[2], 1)["pairs"] == []
    labels.undo(services, made.project, people[0], "undo")
    with services.write() as session:
        session.execute(sa.delete(Lease))
    assert len(pairs.next_pairs(services, made.project, people[2], 1)["pairs"]) == 1


def test_a_skip_settles_nothing_but_is_not_asked_twice(services: Studio) -> None:
    made = factory.project(services, num_prompts=1, per_prompt=2)
    other = users.create(services, "second")["id"]
    labels.store(services, made.user, factory.label(made.pairs[0], "skip"))
    assert pairs.next_pairs(services, made.project, made.user, 1)["pairs"] == []
    assert len(pairs.next_pairs(services, made.project, other, 1)["pairs"]) == 1


def test_simulated_labels_are_kept_apart_from_people(services: Studio) -> None:
    made = factory.project(services)
    robot = users.simulated(services, "simulated 0")["id"]
    given = [factory.label(pair_id) for pair_id in made.pairs[:3]]
    assert labels.store_many(services, robot, given) == 3
    assert labels.store_many(services, robot, given) == 0
    labels.store(services, made.user, factory.label(made.pairs[0], "tie"))
    assert [row.kind for row in labels.judged(services, made.project)] == ["person"]
    assert len(list(labels.judged(services, made.project, simulated=True))) == 3
    assert len(list(labels.judged(services, made.project, simulated=None))) == 4
    counts = labels.counts(services, made.project, 0)
    assert (counts["people"], counts["simulated"], counts["ties"]) == (1, 3, 1)
    # What simulated annotators have judged still waits for people.
    assert len(pairs.unlabelled(services, made.project, made.user, 100)) == len(made.pairs) - 1
    with pytest.raises(Conflict):
        users.simulated(services, users.LOCAL)


def test_an_export_says_which_sample_was_preferred_not_which_side(services: Studio) -> None:
    made = factory.project(services)
    labels.store(services, made.user, factory.label(made.pairs[0], "left", left="b"))
    labels.store(services, made.user, factory.label(made.pairs[1], "both_bad"))
    own = list(exports.stream(services, made.project))
    assert b'"preferred": "b"' in own[0] and b'"preferred": "both_bad"' in own[1]
    assert len(list(exports.stream(services, made.project, "trl"))) == 1
    with pytest.raises(InputError):
        list(exports.stream(services, made.project, "xml"))


@pytest.mark.parametrize(
    "changes",
    [
        {"choice": "maybe"},
        {"client_id": ""},
        {"shown_left": "c"},
        {"t_answer": 5.0},
        {"comment": "\0"},
    ],
)
def test_a_label_that_cannot_be_is_refused(services: Studio, changes: dict[str, object]) -> None:
    made = factory.project(services)
    good = factory.label(made.pairs[0])
    bad = type(good)(**{**vars(good), **changes})
    with pytest.raises(InputError):
        labels.store(services, made.user, bad)
    assert list(labels.judged(services, made.project)) == []


def test_what_the_studio_takes_up_is_counted(
    services: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = factory.project(services)
    labels.store(services, made.user, factory.label(made.pairs[0]))
    before = storage.facts(services)
    services.media.put(b"twelve bytes")
    found = storage.facts(services)
    assert (found["files"], found["bytes"]) == (before["files"] + 1, before["bytes"] + 12)
    assert found["is_all"] and found["free"] > 0 and found["folder"]
    assert found["database"] == services.store.dialect and found["database_bytes"] > 8_000
    assert (found["samples"], found["pairs"], found["labels"]) == (
        len(made.samples),
        len(made.pairs),
        1,
    )
    monkeypatch.setattr(storage, "MOST_FILES", 1)
    assert storage.facts(services)["files"] == 1 and not storage.facts(services)["is_all"]
