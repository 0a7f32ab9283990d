"""When people have said enough of an item: counted with every label, and anew when that changes.

`Pair.verdicts` and `Pair.settled` are kept so that neither handing out nor progress walks over all
labels. Verdicts of people who are excluded from the study do not count, so its items open again
when somebody is excluded and close when they are restored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import update
from sqlalchemy.orm import Session

from backend.preferences import intervals
from backend.preferences.studies import StudyConfig
from db import queries
from db.tables import Pair, Study

BATCH = 500
"""Pairs counted at a time."""


def settle(session: Session, pair: Pair) -> None:
    """Count the verdicts of one pair again; its row is locked."""
    said = queries.verdicts_by_sample(session, [pair.id]).get(pair.id, [])
    if pair.study_id is not None and pair.fact is None:
        pair.overlap = _overlap(_config(session, pair.study_id), said)
    pair.verdicts, pair.settled = len(said), len(said) >= pair.overlap


def settle_many(session: Session, pair_ids: Iterable[int]) -> None:
    """Count the verdicts of many pairs again, in a few statements for every 500."""
    ordered = sorted(set(pair_ids))
    configs: dict[int, StudyConfig] = {}
    for start in range(0, len(ordered), BATCH):
        some = ordered[start : start + BATCH]
        # Locked before they are counted: a verdict given meanwhile is seen, or counts by itself.
        found = queries.lock_pairs(session, some)
        said = queries.verdicts_by_sample(session, some)
        changed: list[dict[str, Any]] = []
        for pair in found:
            verdicts, overlap = said.get(pair.id, []), pair.overlap
            if pair.study is not None and not pair.is_fact:
                if pair.study not in configs:
                    configs[pair.study] = _config(session, pair.study)
                overlap = _overlap(configs[pair.study], verdicts)
            settled = len(verdicts) >= overlap
            if (len(verdicts), overlap, settled) != (pair.verdicts, pair.overlap, pair.settled):
                counted = {"verdicts": len(verdicts), "overlap": overlap, "settled": settled}
                changed.append({"id": pair.id, **counted})
        if changed:
            session.execute(update(Pair), changed)


def _config(session: Session, study_id: int) -> StudyConfig:
    return StudyConfig.read(session.get_one(Study, study_id).config)


def _overlap(config: StudyConfig, verdicts: Sequence[str]) -> int:
    """By how many people an item is judged: by more than the study asks where they differ."""
    overlap = config.overlap
    while overlap < config.overlap_most and len(verdicts) >= overlap:
        if _is_narrow(verdicts, config.narrow):
            break
        overlap += 1
    return overlap


def _is_narrow(verdicts: Sequence[str], narrow: float) -> bool:
    """Whether the 95 % interval of the leading verdict's share is at most that wide."""
    share = intervals.wilson(max(Counter(verdicts).values(), default=0), len(verdicts))
    return share.high - share.low <= narrow
