"""Critique and rewriting in the pocket language: what a picture shows, and how to ask again.

The pocket judge describes the picture. Where the description is not what the prompt asks, the next
request leans against the fault: a thing drawn too few times is asked for once more often than last
time, one drawn too often once less; with any other fault the two things change places in the
sentence ("above" becomes "below"), which says the same in an order that the model may draw better.
A picture of one thing with another fault, or one whose description no prompt has, is asked for
again in the words of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from backend.errors import InputError
from backend.pocket import world
from backend.pocket.judging import PocketJudge
from backend.pocket.world import Scene, Thing
from backend.types import Pictures

_OTHER_WAY = {"above": "below", "below": "above", "left of": "right of", "right of": "left of"}


class PocketCritic:
    """Describes by a judge; see `backend.rl.refining.Critic`."""

    def __init__(self, judge: PocketJudge) -> None:
        self.judge = judge

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> list[str | None]:
        """What to ask of the generator next; None for a picture that is described as asked."""
        seen = self.judge.describe(pictures)
        return [rewrite(*texts) for texts in zip(prompts, requests, seen, strict=True)]


def rewrite(prompt: str, request: str, seen: str) -> str | None:
    """The next request for a picture that was wanted as `prompt`, asked for as `request` and is
    described as `seen`; None if that is the prompt.

    Example: wanted "two large red stars on a white background", described "a large red star on a
    white background" → "three large red stars on a white background".
    """
    wanted = world.parse(prompt)
    try:
        shown = world.parse(seen)
    except InputError:
        return prompt
    if _alike(shown, wanted):
        return None
    asked = world.parse(request)
    if asked.first.colour != wanted.first.colour:
        asked = _turned(asked)
    leaned = _leaned(asked, wanted, shown)
    if leaned != asked:
        return leaned.prompt
    return wanted.prompt if wanted.second is None else _turned(asked).prompt


def _alike(one: Scene, other: Scene) -> bool:
    """Whether two scenes say the same, in whichever order."""
    return one == other or (one.second is not None and _turned(one) == other)


def _turned(scene: Scene) -> Scene:
    """The same scene told from its second thing."""
    if scene.second is None or scene.relation is None:
        return scene
    return Scene(scene.second, _OTHER_WAY[scene.relation], scene.first, scene.background)


def _leaned(asked: Scene, wanted: Scene, shown: Scene) -> Scene:
    """`asked` with the numbers of things moved against what was drawn too few or too often."""

    def moved(thing: Thing, goal: Thing) -> Thing:
        drawn = next((one for one in shown.things if one.colour == goal.colour), None)
        if drawn is None or drawn.count == goal.count:
            return thing
        step = 1 if drawn.count < goal.count else -1
        return replace(thing, count=min(max(thing.count + step, 1), len(world.COUNTS)))

    first = moved(asked.first, wanted.first)
    second = asked.second and wanted.second and moved(asked.second, wanted.second)
    return replace(asked, first=first, second=second or None)
