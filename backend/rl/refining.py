"""Better pictures without training: critique, rewrite the request, draw again, keep the best.

A critic looks at each picture and says what to ask of the generator next, or that the picture is
good enough; a judge, who wrote none of the requests, values every picture by the *first* request.
The generator is called again only for pictures that were found wanting, at most `rounds` times
each. Two controls cost the same calls: `again` draws what was found wanting from new noise without
rewriting, which tells what the words bought; best-of-N draws always and keeps the judge's best.

Source: RationalRewards' critique, score, refine; at equal generator calls it is the baseline that
RL has to beat.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from backend.errors import InputError
from backend.types import Pictures

Floats = NDArray[np.float64]
Draw = Callable[[Sequence[str], Sequence[int], int], Pictures]
"""(requests, which of the prompts they are of, round) → pictures; other rounds have other noise."""
Judge = Callable[[Sequence[str], Pictures], Floats]
"""(prompts, pictures) → how well each picture does what its prompt asks, higher is better."""


class Critic(Protocol):
    """Who says what to ask next."""

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> list[str | None]:
        """A request for each picture; None where it already shows what its prompt asks."""


class Again:
    """Finds the same pictures wanting as `critic`, and asks for them in the same words."""

    def __init__(self, critic: Critic) -> None:
        self.critic = critic

    def next_requests(
        self, prompts: Sequence[str], requests: Sequence[str], pictures: Pictures
    ) -> list[str | None]:
        """The prompt itself where the critic asks for anything."""
        said = self.critic.next_requests(prompts, requests, pictures)
        return [None if one is None else prompt for one, prompt in zip(said, prompts, strict=True)]


@dataclass(frozen=True)
class Refined:
    """B prompts after some rounds."""

    kept: list[Pictures]
    """After each round, the picture (B, h, w, 3) of each prompt that the judge likes best."""
    calls: list[int]
    """After each round, pictures drawn so far."""
    rewritten: int
    """Requests that were not the prompt."""


def refine(
    draw: Draw, judge: Judge, critic: Critic, prompts: Sequence[str], rounds: int
) -> Refined:
    """Draw each prompt once, then up to `rounds − 1` times more what the critic finds wanting."""
    if rounds < 1 or not prompts:
        raise InputError(
            f"{rounds} rounds of {len(prompts)} prompts draw no picture; ask for one at least."
        )
    best = draw(prompts, range(len(prompts)), 0).copy()
    value = judge(prompts, best)
    wanting = _wanting(range(len(prompts)), critic.next_requests(prompts, prompts, best))
    kept, calls, rewritten = [best.copy()], [len(prompts)], 0
    for number in range(1, rounds):
        which, requests = list(wanting), list(wanting.values())
        if which:
            asked = [prompts[i] for i in which]
            new = draw(requests, which, number)
            said = judge(asked, new)
            for row, i in enumerate(which):
                if said[row] > value[i]:
                    best[i], value[i] = new[row], said[row]
            rewritten += sum(one != other for one, other in zip(requests, asked, strict=True))
            wanting = _wanting(which, critic.next_requests(asked, requests, new))
        kept.append(best.copy())
        calls.append(calls[-1] + len(which))
    return Refined(kept, calls, rewritten)


def _wanting(which: Sequence[int], said: Sequence[str | None]) -> dict[int, str]:
    """The next request of each prompt that has one."""
    return {i: one for i, one in zip(which, said, strict=True) if one is not None}
