"""The warm ledger follows the store; people who are excluded count nowhere, until restored."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest
import sqlalchemy as sa

from backend.errors import InputError, NotFound
from backend.preferences.ledger import TIE, A, B
from backend.preferences.ranking import rank
from backend.preferences.strengths import Tally
from backend.preferences.studies import StudyConfig
from backend.services import (
    exclusions,
    exports,
    labels,
    leaderboard,
    ledgers,
    pair_views,
    pairs,
    policies,
    quality,
    rewards,
    studies,
    users,
)
from backend.services.leaderboard import Votes
from backend.services.rewards import ScoreRow
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db import choosing, queries
from db.queries import Scope
from db.tables import Audit, Label, Pair, Prompt
from tests import factory


class Panel:
    """A study of two policies on some prompts, and people who answer as they are told."""

    def __init__(self, services: Studio, prompts: int = 8, people: int = 3, **config: object):
        self.services = services
        made = factory.project(services, num_prompts=prompts, per_prompt=1, pairs_per_prompt=0)
        self.project = made.project
        better = policies.create(services, made.project, "better", "sd3", {"weights": "b"})["id"]
        other = factory.draw(services, made.project, better, made.prompt_ids, 1)
        self.policies = {"worse": made.policy, "better": better}
        asked = StudyConfig.read({"overlap": people, "aspects": ["count"], **config})
        wanted = NewStudy("Panel", "images", asked, sample_ids=(*made.samples, *other))
        self.study = int(studies.create(services, made.project, wanted)["id"])
        self.people = [users.create(services, f"p{n}")["id"] for n in range(people)]
        self.me = users.local(services)
        with services.read() as session:
            self.pairs = list(
                session.scalars(
                    sa.select(Pair.id)
                    .where(Pair.study_id == self.study, queries.is_no_fact())
                    .order_by(Pair.id)
                )
            )

    def say(self, person: int, said: str, pair: int, left: str = "a", **more: object) -> int:
        """Store a verdict by sample; returns the label's id."""
        side = {"a": "left", "b": "right"}.get(said, said)
        if left == "b":
            side = {"left": "right", "right": "left"}.get(side, side)
        row = Label(
            pair_id=pair,
            user_id=person,
            client_id=f"c{random.random()}",
            choice=side,
            shown_left=left,
            t_shown=1_700_000_000.0,
            t_answer=1_700_000_003.0,
            **more,
        )
        with self.services.write() as session:
            session.add(row)
            session.flush()
            return row.id

    def answers(self) -> list[tuple[int, int, int]]:
        """(label, annotator, choice) of the warm ledger."""
        with ledgers.opened(self.services, self.project) as warm:
            found = warm.ledger.answers(groups=[self.study], barred=warm.barred)
        who = found.annotator_ids[found.annotator]
        return sorted(zip(found.label.tolist(), who.tolist(), found.choice.tolist(), strict=True))


def test_the_ledger_follows_new_labels_retractions_and_ids_that_come_late(
    services: Studio,
) -> None:
    panel = Panel(services)
    ann, ben, _ = panel.people
    assert panel.answers() == []
    first = panel.say(ann, "a", panel.pairs[0])
    second = panel.say(ben, "tie", panel.pairs[0], left="b")
    assert panel.answers() == [(first, ann, A), (second, ben, TIE)]
    third = panel.say(ben, "b", panel.pairs[1], left="b", id=second + 100)
    assert panel.answers()[-1] == (third, ben, B)
    late = panel.say(ann, "b", panel.pairs[2], id=second + 50)  # committed after a greater id
    assert (late, ann, B) in panel.answers()
    panel.say(ann, "retract", panel.pairs[0], id=second + 40, retracts=first)
    assert panel.answers() == [(second, ben, TIE), (late, ann, B), (third, ben, B)]
    with ledgers.opened(services, panel.project) as warm:
        version = warm.ledger.version
    panel.answers()
    with ledgers.opened(services, panel.project) as warm:
        assert warm.ledger.version == version, "nothing new, nothing worked out anew"


def test_who_is_excluded_counts_nowhere_until_restored(services: Studio) -> None:
    panel = Panel(services)
    good, fine, contrary = panel.people
    for pair in panel.pairs:
        for person, said in ((good, "b"), (fine, "b"), (contrary, "a")):
            panel.say(person, said, pair, answers={"aspects": {"count": "left"}})
    panel.say(contrary, "b", panel.pairs[0])

    def told() -> tuple[float, float, int, int, int]:
        board = leaderboard.board(services, panel.project, Votes(), method="plain")
        exported = list(exports.rows(services, panel.project, scope=Scope(study=panel.study)))
        with services.read() as session:
            chosen = choosing.verdicts_of_study(session, panel.study)
        found = quality.figures(services, panel.study)
        taught = list(labels.judged(services, panel.project))
        return (
            found["aspects"][0]["alpha"],
            board["models"][0]["strength"],
            len(exported),
            len(taught),
            len(chosen),
        )

    before = told()
    assert before[0] < 0 and before[1] < 0.75
    everything = before[2]
    for _again in range(2):
        said = exclusions.exclude(services, panel.me, panel.study, contrary)
    assert said["excluded"]
    alpha, strength, *numbers = told()
    assert alpha is None and strength == 1, "the other two always agree"
    assert set(numbers) == {2 * len(panel.pairs)}
    whole = exports.rows(services, panel.project, scope=Scope(study=panel.study), excluded=True)
    assert len(list(whole)) == everything
    row = next(p for p in quality.figures(services, panel.study)["people"] if p["excluded"])
    assert (row["id"], row["excluded"]["by"]) == (contrary, "you")
    assert row["agreement"]["value"] < 0.2 and row["answers"] == len(panel.pairs)
    assert [a["excluded"] for a in pair_views.answers(services, panel.pairs[1])["answers"]] == [
        False,
        False,
        True,
    ]
    exclusions.restore(services, panel.me, panel.study, contrary)
    assert told() == before
    with services.read() as session:
        audit = session.scalars(sa.select(Audit.text).where(Audit.action == "study")).all()
    assert audit[1:] == ["excluded p2 in 'Panel'", "restored p2 in 'Panel'"]
    with pytest.raises(NotFound):
        exclusions.exclude(services, panel.me, panel.study, 4711)


def test_figures_are_those_of_the_answers_and_say_what_is_not_known(services: Studio) -> None:
    panel = Panel(services, attention=0.2)
    empty = quality.figures(services, panel.study)
    assert empty["aspects"][0]["alpha"] is None and empty["people"] == []
    ann, ben, cat = panel.people
    for number, pair in enumerate(panel.pairs):
        panel.say(ann, "ab"[number % 2], pair, left="ab"[number % 2])
        panel.say(ben, "ab"[number % 2], pair, left="b")
    panel.say(cat, "a", panel.pairs[1])
    with services.read() as session:
        check = session.scalar(
            sa.select(Pair.id).where(
                Pair.study_id == panel.study, Pair.fact["expected"].as_string() == "a"
            )
        )
    panel.say(ann, "a", check)
    panel.say(cat, "b", check)
    found = quality.figures(services, panel.study)
    by_name = {row["name"]: row for row in found["people"]}
    assert found["answers"] == 17 and found["pairs"] == 8
    assert (found["checks"]["value"], found["checks"]["num"]) == (0.5, 2)
    assert by_name["p0"]["left"]["value"] == 1 and by_name["p1"]["left"]["value"] == 0.5
    assert by_name["p2"]["agreement"]["value"] == 0
    assert [one["disputed"] for one in found["aspects"]] == [1, 0]
    parted = quality.disputed(services, panel.study)
    assert [item["pair_id"] for item in parted["items"]] == [panel.pairs[1]]
    assert parted["items"][0]["verdicts"] == {"a": 1, "b": 2} and parted["total"] == 1
    with pytest.raises(InputError, match="count"):
        quality.disputed(services, panel.study, aspect="place")
    robot = users.simulated(services, "robot")["id"]
    panel.say(robot, "a", panel.pairs[0])
    assert quality.figures(services, panel.study)["answers"] == 17
    assert quality.figures(services, panel.study, simulated=True)["answers"] == 1


def test_figures_that_follow_the_labels_are_those_of_all_labels(services: Studio) -> None:
    panel = Panel(services, prompts=10, people=5)
    rng, said = random.Random(3), list[int]()
    for turn in range(6):
        for _ in range(12):
            person, pair = rng.choice(panel.people), rng.choice(panel.pairs)
            aspects = {"aspects": {"count": rng.choice(["left", "tie"])}} if turn % 2 else {}
            choice = rng.choice(["a", "b", "b", "tie", "both_bad", "skip"])
            said.append(panel.say(person, choice, pair, rng.choice("ab"), answers=aspects))
        for old in rng.sample(said, 2):
            with services.read() as session:
                label = session.get_one(Label, old)
            panel.say(label.user_id, "retract", label.pair_id, retracts=old)
        if turn == 2:
            exclusions.exclude(services, panel.me, panel.study, panel.people[0])
        if turn == 4:
            exclusions.restore(services, panel.me, panel.study, panel.people[0])
        followed, kept = quality.figures(services, panel.study), ledgers._warm.pop(services.store)
        assert quality.figures(services, panel.study) == followed, turn
        ledgers._warm[services.store] = kept


def test_marks_and_the_best_of_four_have_an_agreement_of_their_own(services: Studio) -> None:
    made = factory.project(services, num_prompts=3, per_prompt=4)
    people = [users.create(services, f"p{n}")["id"] for n in range(3)]

    def ask(kind: str, **config: object) -> tuple[int, list[int]]:
        asked = StudyConfig.read({"overlap": 3, **config})
        wanted = NewStudy(kind, kind, asked, sample_ids=tuple(made.samples))
        study = int(studies.create(services, made.project, wanted)["id"])
        with services.read() as session:
            items = session.scalars(
                sa.select(Pair.id).where(Pair.study_id == study).order_by(Pair.id)
            )
            return study, list(items)

    def say(person: int, item: int, choice: str, **answers: object) -> None:
        given = replace(factory.label(item, choice), answers=answers)
        labels.store(services, person, given)

    single, items = ask("single", checklist=["Sharp?"])
    for number, item in enumerate(items):
        for person, mark in zip(people, (1 + number % 5, 1 + number % 5, 5), strict=True):
            say(person, item, "rated", rating=mark, checklist={"Sharp?": mark > 2})
    found = quality.figures(services, single)
    assert [row["level"] for row in found["aspects"]] == ["ordinal", "nominal"]
    assert found["aspects"][1]["aspect"] == "Sharp?" and found["answers"] == 36
    question = found["aspects"][0]
    assert question["low"] < question["alpha"] < question["high"] < 0.9
    assert question["disputed"] == sum(number % 5 != 4 for number in range(12))
    exclusions.exclude(services, users.local(services), single, people[2])
    alike = quality.figures(services, single)
    assert alike["aspects"][0]["alpha"] == 1 and alike["answers"] == 24
    assert [row["id"] for row in alike["people"] if row["excluded"]] == [people[2]]

    four, items = ask("best_worst")
    for item in items:
        for person in people[:2]:
            order = pairs.slots(item, person, 4)
            best, worst = ("abcd"[order.index(sample)] for sample in (0, 3))
            say(person, item, "ranked", best=best, worst=worst)
    (row,) = quality.figures(services, four)["aspects"]
    assert (row["alpha"], row["pairs"], row["level"]) == (1, 3, "pairs implied")


def test_the_board_is_that_of_the_votes_meant_and_leads_to_their_pairs(services: Studio) -> None:
    panel = Panel(services)
    ann, ben, _ = panel.people
    for number, pair in enumerate(panel.pairs):
        panel.say(ann, "b" if number < 6 else "a", pair, propensity=0.5 if number else 1.0)
        panel.say(ben, "b" if number < 5 else "both_bad", pair, answers={"aspects": {}})
    found = leaderboard.board(services, panel.project, Votes(study_id=panel.study))
    assert [row["name"] for row in found["models"]] == ["better", "pocket"]
    with ledgers.opened(services, panel.project) as warm:
        tally = Tally.of(warm.ledger.answers(groups=[panel.study]))
    assert found["models"][0]["strength"] == rank(tally).standings[0].strength
    cell = next(c for c in found["cells"] if c["model"] == panel.policies["better"])
    assert (cell["wins"], cell["losses"], cell["pairs"]) == (11, 2, 8)
    alike = leaderboard.board(services, panel.project, Votes(), weighted=False, method="plain")
    assert alike["models"][0]["strength"] == pytest.approx(11 / 13)
    none = leaderboard.board(services, panel.project, Votes(until=1_600_000_000.0))
    assert none["models"] == [] and none["votes"] == 0
    behind = leaderboard.behind(
        services, panel.project, Votes(), panel.policies["worse"], panel.policies["better"], limit=3
    )
    assert behind["total"] == 8 and [i["pair_id"] for i in behind["items"]] == panel.pairs[:4:-1]
    assert behind["items"][0]["verdicts"] == {"a": 1, "both_bad": 1}
    mine = leaderboard.board(services, panel.project, Votes(annotators=(ann,)))
    (won,) = (c for c in mine["cells"] if c["model"] == panel.policies["better"])
    assert (won["wins"], won["losses"], mine["votes"]) == (6, 2, 8)
    offered = leaderboard.choices(services, panel.project)
    assert [(one["id"], one["votes"]) for one in offered["annotators"]["people"]] == [
        (ann, 8),
        (ben, 8),
    ]
    assert offered["annotators"]["simulated"] == []
    red = panel.pairs[:2]
    with services.write() as session:
        of_pairs = sa.select(Pair.prompt_id).where(Pair.id.in_(red)).order_by(Pair.id)
        for number, prompt in enumerate(session.scalars(of_pairs).all()):
            session.get_one(Prompt, prompt).text = f"{number} red boats"
    votes = Votes(prompt_kind="colour")
    assert leaderboard.board(services, panel.project, votes)["pairs"] == 2
    panel.say(panel.people[2], "a", red[0])
    seen = leaderboard.behind(services, panel.project, votes, panel.policies["worse"])
    assert {one["pair_id"] for one in seen["items"]} == set(red)
    for wrong in (Votes(study_id=1, comparison_id=1), Votes(prompt_kind="sad")):
        with pytest.raises(InputError, match=r"not both|kind of prompt 'sad'"):
            leaderboard.board(services, panel.project, wrong)


def test_a_reward_votes_apart_on_every_pair_it_has_scored(services: Studio) -> None:
    panel = Panel(services)
    reward = rewards.create(services, panel.project, "glare", "saturation", {})["id"]
    with services.read() as session:
        of = {
            p.id: (p.sample_a_id, p.sample_b_id)
            for p in session.scalars(sa.select(Pair).where(Pair.id.in_(panel.pairs)))
        }

    def score(values: dict[int, float]) -> None:
        rows = [ScoreRow(sample, value) for sample, value in values.items()]
        rewards.record_scores(services, reward, rows)

    values = {s: float(n) for pair in panel.pairs[:5] for n, s in enumerate(of[pair])}
    score(values)
    votes = Votes(by="reward", reward_id=reward)
    found = leaderboard.board(services, panel.project, votes, method="plain")
    assert found["votes"] == 5 and found["models"][0]["name"] == "better"
    assert found["models"][0]["strength"] == 1
    score(dict.fromkeys(of[panel.pairs[0]], 0.5))
    again = leaderboard.board(services, panel.project, votes, method="plain")
    assert again["models"][0]["strength"] == pytest.approx(4.5 / 5), "equal values are a tie"
    assert leaderboard.board(services, panel.project, Votes())["models"] == []
    assert leaderboard.choices(services, panel.project)["rewards"][0]["id"] == reward
    with pytest.raises(InputError, match="no aspects"):
        leaderboard.board(services, panel.project, Votes("reward", reward, aspect="count"))
