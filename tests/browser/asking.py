"""Studies of every kind with real pictures and texts, made without a model."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np
from sqlalchemy import select, update

from backend.pocket import world
from backend.preferences.studies import StudyConfig
from backend.services import policies, prompts, samples, studies
from backend.services.samples import NewSample
from backend.services.studies import NewStudy
from backend.services.studio import Studio
from db.tables import Pair, Sample
from tests.browser.conftest import put_png

POLICY = "secretive-model step 40"
"""Made the samples; nobody who judges may read it."""
TEXTS = (
    "⛵️ A small red boat lies under a stone bridge. The water is still, and the sky is dark.",
    "Two boats, red and blue, float in a harbour at noon; people are waving from the bridge.",
)


def draw_study(
    store: Studio,
    project_id: int,
    kind: str = "images",
    *,
    num: int = 4,
    size: int = 64,
    name: str = "Bridges",
    about: bool = False,
    **config: Any,
) -> int:
    """A study with `num` items; `about` puts a picture between two texts."""
    drawn_by = policies.create(store, project_id, POLICY, "sd3", {"weights": "pocket"})["id"]
    made = prompts.import_text(
        store, project_id, f"set {drawn_by}", "train", "\n".join(world.draw(num, seed=drawn_by))
    )
    listed = prompts.texts(store, made["id"])
    each = {"images": 2, "texts": 2, "single": 1, "best_worst": 4}[kind]
    right = world.render_many([text for _, text in listed], drawn_by)
    pictures = [np.roll(right, shift, axis=0) for shift in range(each)]
    if kind == "texts":
        ids = _texts(store, project_id, drawn_by, [prompt_id for prompt_id, _ in listed])
    else:
        new = [
            NewSample(prompt_id, 100 * shift + i, put_png(store, rolled[i], size), size, size)
            for shift, rolled in enumerate(pictures)
            for i, (prompt_id, _) in enumerate(listed)
        ]
        ids = samples.add(store, project_id, drawn_by, new)
    wanted = NewStudy(name, kind, StudyConfig.read(config), sample_ids=tuple(ids))
    study_id = int(studies.create(store, project_id, wanted)["id"])
    if about:
        subject = put_png(store, right[0], size)
        with store.write() as session:
            session.execute(
                update(Pair).where(Pair.study_id == study_id).values(detail={"subject": subject})
            )
    return study_id


def items(store: Studio, study_id: int) -> list[int]:
    """Ids of the items of a study."""
    with store.read() as session:
        return list(session.scalars(select(Pair.id).where(Pair.study_id == study_id)))


def _texts(store: Studio, project_id: int, policy_id: int, prompt_ids: list[int]) -> list[int]:
    rows = [
        Sample(
            project_id=project_id,
            prompt_id=prompt_id,
            policy_id=policy_id,
            seed=number,
            media=hashlib.sha256(text.encode()).hexdigest(),
            width=0,
            height=0,
            text=text,
        )
        for prompt_id in prompt_ids
        for number, text in enumerate(TEXTS)
    ]
    with store.write() as session:
        session.add_all(rows)
        session.flush()
        return [row.id for row in rows]
