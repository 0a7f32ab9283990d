"""Who does not count in a study: excluded by a researcher, and restored as easily.

Nothing is deleted. What learns from labels, ranks, chooses or exports leaves the answers of
excluded people about that study out (`db.queries.is_trusted`, `Warm.barred`), and items that lack
them go out to others again (`services.settling`).
"""

from __future__ import annotations

from typing import Any

from backend.errors import InputError
from backend.services import audit, settling, studies, users
from backend.services.studio import Studio
from db import queries
from db.tables import Exclusion


def exclude(studio: Studio, who: dict[str, Any], study_id: int, user_id: int) -> dict[str, Any]:
    """Leave a person's answers about a study out from now on; done again it changes nothing."""
    return _set(studio, who, study_id, user_id, True)


def restore(studio: Studio, who: dict[str, Any], study_id: int, user_id: int) -> dict[str, Any]:
    """Count a person's answers about a study again; done again it changes nothing."""
    return _set(studio, who, study_id, user_id, False)


def _set(
    studio: Studio, who: dict[str, Any], study_id: int, user_id: int, excluded: bool
) -> dict[str, Any]:
    with studio.write() as session:
        study = studies.find(session, study_id, lock=True)
        person = users.find(session, user_id)
        if person.kind == "implicit":
            raise InputError("Clicks are nobody's answers; they never count in a study.")
        # After these nobody is in the middle of counting what this person says.
        studio.store.serialise(session, "import", study.project_id)
        studio.store.serialise(session, "count", user_id)
        row = session.get(Exclusion, (study_id, user_id))
        if excluded and row is None:
            session.add(Exclusion(study_id=study_id, user_id=user_id, made_by=who["name"]))
        elif row is not None and not excluded:
            session.delete(row)
        if excluded != (row is not None):
            session.flush()
            settling.settle_many(session, queries.pairs_of_judge(session, study_id, user_id))
            text = f"{'excluded' if excluded else 'restored'} {person.name} in '{study.name}'"
            audit.note(session, who, "study", text, study_id=study_id, user_id=user_id)
        return {"study_id": study_id, "user_id": user_id, "excluded": excluded}
