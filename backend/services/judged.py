"""A judgement that stands, as exports, rewards and reports read it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from db import queries


@dataclass(frozen=True)
class JudgedPair:
    """A current label with its two pictures in the order in which they were seen."""

    label_id: int
    pair_id: int
    comparison_id: int | None
    prompt_id: int
    prompt: str
    left_media: str
    right_media: str
    left: str
    """Which sample of the pair was on the left, a or b."""
    choice: str
    user_id: int
    user: str
    kind: str
    """person or simulated."""
    t_shown: float
    t_answer: float
    reasons: list[str]
    comment: str
    source: str
    chooser: str
    propensity: float
    client_id: str
    study_id: int | None = None
    answers: dict[str, Any] = field(default_factory=dict)
    key: str = ""
    """What the sender of the pair calls it."""
    more: tuple[str, ...] = ()
    """The third and the fourth picture of four."""
    left_text: str = ""
    right_text: str = ""
    subject: str = ""
    """The picture that two texts are about."""

    @property
    def seconds(self) -> float:
        """How long the annotator looked."""
        return self.t_answer - self.t_shown


def of(row: queries.Judgement, more: Mapping[int, str]) -> JudgedPair:
    """A row of the store; `more` has the media of the further samples that its pair names."""
    on_left = row.shown_left == "a"
    return JudgedPair(
        label_id=row.label_id,
        pair_id=row.pair_id,
        comparison_id=row.comparison_id,
        prompt_id=row.prompt_id,
        prompt=row.prompt,
        left_media=row.media_a if on_left else row.media_b,
        right_media=row.media_b if on_left else row.media_a,
        left=row.shown_left,
        choice=row.choice,
        user_id=row.user_id,
        user=row.user,
        kind=row.kind,
        t_shown=row.t_shown,
        t_answer=row.t_answer,
        reasons=row.reasons,
        comment=row.comment,
        source=row.source,
        chooser=row.chooser,
        propensity=row.propensity,
        client_id=row.client_id,
        study_id=row.study_id,
        answers=row.answers,
        key=row.detail.get("key", ""),
        more=tuple(more[sample] for sample in row.detail.get("more", [])),
        left_text=(row.text_a if on_left else row.text_b) or "",
        right_text=(row.text_b if on_left else row.text_a) or "",
        subject=row.detail.get("subject", ""),
    )
