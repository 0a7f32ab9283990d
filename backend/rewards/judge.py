"""A vision-language model on a server that judges one picture at a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from typing import Literal

import numpy as np
from pydantic import Field

from backend.errors import ConfigError
from backend.rewards import _judge_asking as asking
from backend.rewards import _judge_formats as formats
from backend.rewards import _judge_points as points
from backend.rewards import _references
from backend.rewards._judge_asking import Asked
from backend.rewards._judge_client import picture
from backend.rewards._judge_formats import Said
from backend.rewards._judge_server import Server
from backend.rewards._traits import Traits
from backend.rewards.interface import Failure, Files, Images, Ints, Scores, Shape

TITLE = "Judge on a server"
SUMMARY = (
    "A vision-language model that scores pictures: yes against no, 1 to 5, by words, by aspects, "
    "by your checklist, or by what differs from a reference."
)
SOURCE = "any OpenAI-compatible server, or `transformers serve`; formats in docs/judges.md"
RANGE = (-6.0, 6.0)
TRAITS = Traits(
    latency=4,
    deterministic=False,
    reads_text=True,
    licence="of the model",
    weights="server",
)
SHAPE: Shape = "pointwise"
JUDGE = True
GOOD = (3 - 1) / 3
"""What faithfulness and physics must be of a picture that is not to be drawn again: 3 of 1 to 4, as
RationalRewards has it."""


class Config(Server):
    """Where the judge is and what it is asked."""

    ask: Literal["point", "yes", "checklist", "rubric", "words", "rational", "errors"] = Field(
        default="yes", title="Question"
    )
    """yes: log odds of yes against no, ±6; point: a reason and 1 to 5; words: how wrong each word
    is drawn, and three scores; rational: a critique in three aspects, 1 to 4; checklist: your
    items; rubric: your items with evidence; errors: differences from a reference. All but the
    first give 0 to 1."""
    items: list[str] = Field(default_factory=list, title="Items")
    """Of a checklist or rubric, what can hold of a picture. One that begins with '!' is essential;
    '3 * two circles' weighs three times as much."""
    references: str = Field(default="", title="Reference pictures")
    """For 'yes' and 'errors': the hash of pictures with their prompts, such as the base policy's,
    or "pocket" for renders of the pocket world. With one, 'yes' asks whether a picture is better
    than it, both ways round, and 0 is as good."""
    worst: float = Field(default=50.0, gt=0, title="Worth nothing at")
    """For 'errors': the sum of severities, 1 to 3 each, at which a picture is worth nothing."""


class Judge:
    """One call a picture and vote; two with a reference picture."""

    shape: Shape = "pointwise"

    def __init__(self, config: Config, files: Files | None = None) -> None:
        self.config = config
        self.asking = asking.Asking(config, "judge", files)
        self.format = points.format_of(config.ask, config.items, config.worst, bool(self._where))
        self._references = _read_references(self._where, files)

    @property
    def _where(self) -> str:
        return self.config.references if self.config.ask in ("yes", "errors") else ""

    @property
    def calls(self) -> int:
        """Calls made so far, retries and the start check too."""
        return self.asking.client.spent.calls

    def judge_calls(self, group_sizes: Ints) -> int:
        """What scoring groups of these sizes asks, if nothing has to be asked again."""
        return judge_calls(self.config, group_sizes)

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        """One value a picture; what the judge did not say is missing, with the reason."""
        shown = [self._shown(image, prompt) for image, prompt in zip(images, prompts, strict=True)]
        asked = [
            [self._asked(prompt, one, vote) for vote in range(self.config.votes) for one in ways]
            for prompt, ways in zip(prompts, shown, strict=True)
        ]
        there = [row for row in asked if row]
        told = iter(self.asking.answers(there, self._reader()))
        said = [self._votes(next(told), len(ways)) if ways else [_ALONE] for ways in shown]
        scores = asking.scores_of(_even(said))
        status = [one if ways else "n/a" for ways, one in zip(shown, scores.status, strict=True)]
        return replace(scores, status=status)

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Images
    ) -> list[str | Failure | None]:
        """See `backend.rl.refining.Critic`."""
        asked = [
            [self._asked(prompt, [picture], 0)]
            for prompt, picture in zip(prompts, pictures, strict=True)
        ]
        said = [votes[0] for votes in self.asking.answers(asked, self._reader())]
        return [_next(one) for one in said]

    def _shown(self, image: Images, prompt: str) -> list[list[Images]]:
        """The pictures of each question about one picture; none where its reference is missing."""
        if not self._where:
            return [[image]]
        wanted = self._references(prompt)
        if wanted is None:
            return []
        first = [wanted, image]
        return [first] if self.config.ask == "errors" else [first, [image, wanted]]

    def _asked(self, prompt: str, shown: Sequence[Images], vote: int) -> Asked:
        config, pictures = self.config, [picture(one) for one in shown]
        if config.server == "systemone":
            question = {"type": "noul", "instructions": f"does it fit : {prompt}"}
            return Asked(formats.typed(config, question, prompt, pictures), shown)
        return Asked(self.format.call(config, prompt, pictures, vote), shown)

    def _votes(self, said: list[Said], ways: int) -> list[Said]:
        """What each vote says; asked both ways round, half of the one less the other."""
        if ways == 1:
            return said
        return [_both(one, other) for one, other in zip(said[::2], said[1::2], strict=True)]

    def _reader(self) -> formats.Reader:
        if self.config.server == "systemone":
            return partial(formats.read_typed, kind="noul")
        return self.format.read


def _next(said: Said) -> str | Failure | None:
    """What a critique asks for: nothing where both main aspects are right, or why it is none."""
    if not said.request:
        return Failure("abstain" if said.abstains else "error", said.reason)
    main = [said.parts.get(name, 1.0) for name in ("faithfulness", "physics")]
    return None if min(main) >= GOOD - 1e-9 else " ".join(said.request.split())


def critiques(config: Config) -> bool:
    """Whether this judge says what to ask of the generator next."""
    return config.ask == "rational"


_ALONE = Said(None, "there is no reference picture of this prompt")


def _both(one: Said, other: Said) -> Said:
    """Better than the reference as the second, and not worse than it as the first."""
    if one.value is None or other.value is None:
        return one if one.value is None else other
    return formats.yes_of((one.value - other.value) / 2)


def _even(said: Sequence[list[Said]]) -> list[list[Said]]:
    """Rows of equal length: one vote of nothing stands for all."""
    most = max((len(row) for row in said), default=0)
    return [row if len(row) == most else row * most for row in said]


def _read_references(where: str, files: Files | None) -> _references.OfPrompt:
    if not where:
        return lambda _prompt: None
    if where == _references.POCKET:
        pocket = _references.PocketReferences()
        return lambda prompt: np.asarray(pocket.draw([prompt], 1, [0])[0])
    if files is None:
        raise ConfigError("Stored references are read inside a studio.", field="references")
    return _references.read(files(where)).of_prompt


def judge_calls(config: Config, group_sizes: Ints) -> int:
    """As `Judge.judge_calls`, before anything is loaded."""
    ways = 2 if config.references and config.ask == "yes" else 1
    return int(group_sizes.sum()) * config.votes * ways


def load(config: Config, files: Files | None = None) -> Judge:
    """Nothing is asked before the first picture; ConfigError on questions that do not fit."""
    if config.ask in ("checklist", "rubric") and not config.items:
        raise ConfigError(f"A {config.ask} needs items; write some, or ask 'yes'.", field="items")
    if config.ask == "errors" and not config.references:
        raise ConfigError(
            "Differences are from a reference picture; set references, or ask 'point'.",
            field="references",
        )
    if config.server == "systemone" and (config.ask != "yes" or config.references):
        raise ConfigError(
            "`transformers serve` answers yes or no here; set ask to 'yes', without references.",
            field="ask",
        )
    asking.refuse(config, config.ask)
    return Judge(config, files)
