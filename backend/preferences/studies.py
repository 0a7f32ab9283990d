"""What a study asks, typed: the settings of a study, and what an annotator may answer.

A study puts one question about items of one kind. `StudyConfig` is declared here, drawn into the
form from here, and checked here; `Answers` is everything a judgement may say beside its choice.

| kind | what stands there | choices |
|---|---|---|
| images | two pictures of one prompt | left, right, tie, both bad |
| texts | two texts about a prompt, and a picture if there is one | left, right, tie, both bad |
| single | one picture | a mark from 1 to 5, a checklist |
| best_worst | four pictures of one prompt | the best and the worst |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from backend.config import Config
from backend.errors import InputError
from backend.preferences.choosing import DEFAULT

KINDS: Final = ("images", "texts", "single", "best_worst")
Kind = Literal["images", "texts", "single", "best_worst"]
CHOICES: Final[dict[str, tuple[str, ...]]] = {
    "images": ("left", "right", "tie", "both_bad", "skip"),
    "texts": ("left", "right", "tie", "both_bad", "skip"),
    "single": ("rated", "skip"),
    "best_worst": ("ranked", "skip"),
}
"""What may be answered about an item of each kind."""
NUM_SAMPLES: Final = {"images": 2, "texts": 2, "single": 1, "best_worst": 4}
"""Samples of an item."""
MOST_ASPECTS: Final = 4
REASONS: Final = ("count", "colour", "place", "looks better", "artefact")
"""What is offered as a reason unless a study says otherwise."""

Line = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=200)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=40)]


class StudyConfig(Config):
    """What is asked, how it may be answered, and how often."""

    question: str = Field(
        "Which is better?", min_length=1, max_length=500, json_schema_extra={"lines": 2}
    )
    """Stands above every item."""
    guidelines: str = Field("", max_length=10_000, json_schema_extra={"lines": 3})
    """Shown on demand: what counts, with examples."""
    aspects: list[Word] = Field(
        default_factory=list, max_length=MOST_ASPECTS, json_schema_extra={"lines": 3}
    )
    """Further questions about the same two, one a line, one key each; none to four."""
    reasons: list[Word] = Field(
        default_factory=lambda: list(REASONS), max_length=10, json_schema_extra={"lines": 5}
    )
    """Offered as chips, one a line, one key each."""
    checklist: list[Line] = Field(
        default_factory=list, max_length=12, json_schema_extra={"lines": 4}
    )
    """Yes or no questions about one picture, one a line."""
    ties: bool = True
    """Whether neither may be better."""
    both_bad: bool = True
    """Whether both may be refused."""
    regions: bool = False
    """Whether places in a picture can be marked."""
    spans: bool = False
    """Whether places in a text can be marked."""
    overlap: int = Field(
        1, ge=1, le=100, title="People an item", json_schema_extra={"unit": "people"}
    )
    """By how many people each item is judged."""
    overlap_most: int = Field(
        1, ge=1, le=100, title="Where they differ, by up to", json_schema_extra={"unit": "people"}
    )
    """How far the overlap may grow for an item on which people differ."""
    narrow: float = Field(0.6, gt=0, le=1, title="Until the interval is")
    """An item on which people differ is asked again until the 95 % interval of its verdict is at
    most this wide, or `overlap_most` is reached."""
    attention: float = Field(0.0, ge=0, le=0.2, title="Attention checks")
    """Share of items that are attention checks: facts, never taste."""
    chooser: str = Field(DEFAULT, title="What comes next")
    """Which item comes next; a quarter is drawn uniformly whatever is chosen."""
    people: list[int] = Field(default_factory=list, max_length=1000)
    """Ids of those who are asked; empty asks everybody who may label."""

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        for field in ("aspects", "reasons", "checklist"):
            words = getattr(self, field)
            if len(set(words)) < len(words):
                raise ValueError(f"{field} names one thing twice; name each once")
        if self.overlap_most < self.overlap:
            # frozen models are validated after they are built: this is their way to be set
            object.__setattr__(self, "overlap_most", self.overlap)
        return self


@dataclass(frozen=True)
class Template:
    """A study as it is mostly asked, to begin from."""

    name: str
    title: str
    summary: str
    kind: Kind
    config: StudyConfig

    def plain(self) -> dict[str, Any]:
        """As JSON."""
        return {
            "name": self.name,
            "title": self.title,
            "summary": self.summary,
            "kind": self.kind,
            "config": self.config.plain(),
        }


TEMPLATES: Final = (
    Template(
        "better",
        "Which is better?",
        "Two pictures of one prompt, one key. The fastest, and enough to learn a reward.",
        "images",
        StudyConfig(attention=0.05),
    ),
    Template(
        "faithful",
        "Faithful to the prompt",
        "Two pictures; which follows the prompt, then count, colour and place, one key each. Three "
        "people, up to five where they differ.",
        "images",
        StudyConfig(
            question="Which follows the prompt better?",
            aspects=["count", "colour", "place"],
            reasons=["missing thing", "wrong thing", "unreadable words", "artefact"],
            overlap=3,
            overlap_most=5,
            attention=0.05,
        ),
    ),
    Template(
        "rate",
        "Rate 1 to 5, with a checklist",
        "One picture at a time: a mark, and yes or no to what can be checked.",
        "single",
        StudyConfig(
            question="How well does it follow the prompt?",
            checklist=[
                "Is everything there that the prompt names?",
                "Is each thing where the prompt says?",
                "Is it free of artefacts?",
            ],
            reasons=[],
            overlap=2,
        ),
    ),
    Template(
        "best-worst",
        "Best and worst of four",
        "Four pictures of one prompt, two keys, which settle five of the six pairs among them.",
        "best_worst",
        StudyConfig(question="Which is the best, which the worst?", reasons=[]),
    ),
    Template(
        "texts",
        "Which text fits better?",
        "Two texts about one prompt or picture, with marks on the words that are wrong.",
        "texts",
        StudyConfig(
            question="Which text fits better?", spans=True, reasons=["wrong", "missing", "wordy"]
        ),
    ),
)
"""What the page Studies offers to begin from; everything can be changed afterwards."""


class Region(Config):
    """A rectangle in a picture, in shares of its width and height."""

    side: Literal["left", "right"]
    """The picture it is in."""
    x: float = Field(ge=0, le=1)
    """Its left edge."""
    y: float = Field(ge=0, le=1)
    """Its upper edge."""
    width: float = Field(gt=0, le=1)
    """Of the picture's width."""
    height: float = Field(gt=0, le=1)
    """Of the picture's height."""
    reason: str = Field("", max_length=40)
    """What is there, if said."""


class Span(Config):
    """A stretch of a text, in characters from its beginning."""

    side: Literal["left", "right"]
    """The text it is in."""
    start: int = Field(ge=0)
    """Its first character."""
    end: int = Field(gt=0)
    """The first one that is no part of it any more."""
    reason: str = Field("", max_length=40)
    """What is there, if said."""


class Answers(Config):
    """All that a judgement says beside its choice. Sides are those that were seen."""

    aspects: dict[Word, Literal["left", "right", "tie"]] = Field(
        default_factory=dict, max_length=MOST_ASPECTS
    )
    """Which is better in each aspect that was answered."""
    regions: list[Region] = Field(default_factory=list, max_length=50)
    """Places that were marked in the pictures."""
    spans: list[Span] = Field(default_factory=list, max_length=200)
    """Places that were marked in the texts."""
    cause: str = Field("", max_length=200)
    """Why it was skipped."""
    rating: int | None = Field(None, ge=1, le=5)
    """The mark of a single picture, 5 the best."""
    checklist: dict[Line, bool] = Field(default_factory=dict, max_length=12)
    """What was answered of the study's checklist."""
    best: Literal["a", "b", "c", "d"] | None = None
    """Of four: sent as the place, stored as the sample."""
    worst: Literal["a", "b", "c", "d"] | None = None
    """Of four, like the best."""

    def said(self) -> dict[str, object]:
        """What is stored: only what was said."""
        return self.model_dump(mode="json", exclude_defaults=True)


def check(kind: str, config: StudyConfig, choice: str, answers: Answers) -> None:
    """Refuse an answer that the study does not ask for, with a sentence."""
    allowed = [
        name
        for name in CHOICES[kind]
        if (name != "tie" or config.ties) and (name != "both_bad" or config.both_bad)
    ]
    if choice not in allowed:
        raise InputError(f"Choice '{choice}' is not asked for here; it is {_either(allowed)}.")
    for said, known in ((answers.aspects, config.aspects), (answers.checklist, config.checklist)):
        for name in said:
            if name not in known:
                raise InputError(f"This study does not ask about '{name}'; {_has(known)}.")
    if answers.cause and choice != "skip":
        raise InputError("A cause is given for a skip alone; write a comment instead.")
    if answers.regions and not config.regions:
        raise InputError("Regions are not marked in this study; leave them out.")
    if answers.spans and not config.spans:
        raise InputError("Spans are not marked in this study; leave them out.")
    if choice == "rated" and answers.rating is None and not answers.checklist:
        raise InputError("A picture that is rated needs a mark from 1 to 5 or a checklist answer.")
    if choice == "ranked" and (answers.best is None or answers.worst is None):
        raise InputError("Name the best and the worst of the four.")
    if choice == "ranked" and answers.best == answers.worst:
        raise InputError("The best and the worst of the four cannot be the same picture.")


def _either(names: list[str]) -> str:
    return f"{', '.join(names[:-1])} or {names[-1]}" if len(names) > 1 else names[0]


def _has(names: list[str]) -> str:
    return f"it has {', '.join(names)}" if names else "it has none"
