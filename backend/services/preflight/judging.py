"""Judges of a run that have not been audited, or did not pass."""

from __future__ import annotations

from collections.abc import Iterator

from backend.rl.recipe import RunConfig
from backend.services import judge_audits
from backend.services.preflight.line import Line
from backend.services.studio import Studio


def audit_lines(studio: Studio, project_id: int, config: RunConfig) -> Iterator[Line]:
    """A warning for each judge whose audit is missing or was not passed."""
    for term in [*config.rewards, *config.watch]:
        with studio.read() as session:
            said = judge_audits.standing(session, project_id, term.kind, term.config)
        if said == judge_audits.UNAUDITED:
            reason = "Nobody has tested this judge: audit it on the Rewards page before it teaches."
            yield Line(f"Judge of {term.name}", "unaudited", "warn", reason)
        elif said.startswith("failed"):
            reason = "It did not pass its audit; what it likes may be its own habit."
            yield Line(f"Judge of {term.name}", said, "warn", reason)
        elif said:
            yield Line(f"Judge of {term.name}", "audited and passed")
