"""People: links that let somebody in, once."""

from __future__ import annotations

import time
from typing import Any

import pytest
from fastapi import FastAPI

from backend.errors import Conflict, NotFound
from backend.services import (
    accounts,
    audit,
    invites,
    sign_ins,
    users,
)
from backend.services import studies as studies_service
from backend.services.invites import NewInvite
from backend.services.studio import Studio
from db.tables import Invite, Study
from tests import factory
from tests.persons import PASSWORD, Person


def test_a_link_lets_one_person_in_once(
    app: FastAPI, services: Studio, ada: dict[str, Any]
) -> None:
    admin, guest = Person(app).sign_in("Ada"), Person(app)
    made = admin("POST", "people/invites", {"role": "researcher", "note": "Cy"}).json()
    assert made["secret"] not in str(admin.get("people")), "shown once"
    told = guest.get(f"join/{made['secret']}")
    assert told["role"] == "researcher" and told["name"] is None
    taken = guest("POST", f"join/{made['secret']}", {"name": "Ada", "password": PASSWORD})
    assert taken.status_code == 409, "nobody comes in under another's name"
    reply = guest("POST", f"join/{made['secret']}", {"name": "Cy", "password": PASSWORD})
    assert reply.status_code == 200
    assert guest.get("me")["role"] == "researcher"
    assert guest.get(f"join/{made['secret']}", 404)["error"] == invites.SPENT
    again = Person(app)("POST", f"join/{made['secret']}", {"name": "Di", "password": PASSWORD})
    assert again.status_code == 404
    said = [(row["who"], row["text"]) for row in audit.page(services)["items"][:2]]
    assert said == [
        ("Cy", "came in by a link as researcher"),
        ("Ada", "made a link for a new researcher"),
    ]


def test_links_run_out_and_are_taken_back(services: Studio, ada: dict[str, Any]) -> None:
    old, back = (invites.make(services, ada, NewInvite())["secret"] for _ in range(2))
    ids = [row["id"] for row in invites.rows(services)]
    invites.revoke(services, ada, ids[0])
    with services.write() as session:
        session.get_one(Invite, ids[1]).expires_at = time.time() - 1
    for secret in (old, back, "guess"):
        with pytest.raises(NotFound):
            invites.accept(services, secret, "Cy", PASSWORD)
    assert invites.rows(services) == []


def test_an_imported_annotators_name_cannot_be_taken_by_a_link(
    services: Studio, ada: dict[str, Any]
) -> None:
    users.create(services, "Old hand")
    secret = invites.make(services, ada, NewInvite())["secret"]
    with pytest.raises(Conflict):
        invites.accept(services, secret, "Old hand", PASSWORD)
    claimed = accounts.add(services, "Old hand", "annotator", PASSWORD, by=ada)
    assert [row["name"] for row in users.rows(services)].count("Old hand") == 1
    assert claimed["role"] == "annotator"


def test_a_link_sets_a_new_password_of_one_person(services: Studio, bo: dict[str, Any]) -> None:
    cookie = sign_ins.open_for(services, bo["id"]).cookie
    secret = invites.make(services, None, NewInvite(user_id=bo["id"]))["secret"]
    assert invites.look(services, secret)["name"] == "Bo"
    invites.accept(services, secret, "Mallory", "another four odd words")
    assert sign_ins.user_of(services, cookie) is None
    assert sign_ins.by_password(services, "Bo", "another four odd words").user["id"] == bo["id"]
    assert [row["name"] for row in users.rows(services)] == ["Ada", "Bo"]


def test_who_was_invited_to_a_study_judges_that_one_alone(
    app: FastAPI, services: Studio, ada: dict[str, Any]
) -> None:
    made = factory.project(services)
    wanted = studies_service.NewStudy(name="Boats", sample_ids=tuple(made.samples))
    mine = studies_service.create(services, made.project, wanted)["id"]
    other = studies_service.create(services, made.project, wanted)["id"]
    with services.write() as session:
        study = session.get_one(Study, mine)
        study.config = {**study.config, "people": [ada["id"]]}
    secret = invites.make(services, ada, NewInvite(studies=(mine,)))["secret"]
    guest = Person(app)
    assert guest.get(f"join/{secret}")["studies"] == 1, "their names may say which models"
    guest("POST", f"join/{secret}", {"name": "Cy", "password": PASSWORD})
    pair = guest.get(f"label/next?study_id={mine}&n=1")["pairs"][0]
    assert guest("GET", pair["left"]["url"]).status_code == 200
    assert guest.get(f"label/next?study_id={other}", 403)["error"].endswith("ask who leads it.")
    assert guest.get("label/next", 403)["error"].startswith("This queue is for other people")
    assert guest.get("today")["next_pair"] is None
    answer = {"client_id": "x", "pair_id": made.pairs[0], "choice": "left", "shown_left": "a"}
    judged = guest("POST", "label", {**answer, "t_shown": 1, "t_answer": 2})
    assert judged.status_code == 403, "nor by the number of a pair"
    with pytest.raises(NotFound):
        invites.make(services, ada, NewInvite(studies=(12345,)))
