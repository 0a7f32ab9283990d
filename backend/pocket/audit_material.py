"""What the audit of a judge is made of on the pocket world, where it is known what is better.

Held-out prompts only. Pairs are a render of the prompt and one with one to three facts changed; two
simulated people answer for people. Ladders have more and more wrong, or are more and more blurred.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageFilter

from backend.pocket import judge_lessons, world
from backend.pocket.judge_lessons import Pictures, changed, fit, written
from backend.preferences.simulated import Annotator
from backend.rewards._audit import Material

PEOPLE = (11, 12)
"""Seeds of the two simulated people."""
RUNGS = 5
GROUP = 6
BLURS = (0.0, 1.5, 2.5, 4.0, 6.0)


def material(num_pairs: int = 200, num_groups: int = 32, seed: int = 0) -> Material:
    """Everything the eight tests need; a quarter as many ladders as groups of either kind."""
    rng = np.random.default_rng([seed, 0xA0D17])
    prompts = world.draw(num_pairs, seed + 31, "heldout")
    scenes = [world.parse(prompt) for prompt in prompts]
    better = np.stack([_render(scene, rng) for scene in scenes])
    worse = np.stack([_render(_worse(scene, rng), rng) for scene in scenes])
    num = max(num_pairs // 8, 4)
    grounds = [world.BACKGROUNDS[scene.background] for scene in scenes[:num]]
    chosen = world.draw(num_groups, seed + 32, "heldout")
    some = chosen[: max(num_groups // 4, 2)]
    return Material(
        prompts=prompts,
        better=better,
        worse=worse,
        votes=[_answers(Annotator.from_seed(who), better, worse, prompts) for who in PEOPLE],
        keys={name: key(name, prompts[:num], grounds, rng) for name in judge_lessons.JUNK},
        ladders=[(prompt, _steps(prompt, rng)) for prompt in some]
        + [(prompt, _blurred(prompt, rng)) for prompt in some],
        groups=[(prompt, rng.permutation(_steps(prompt, rng, GROUP))) for prompt in chosen],
    )


def _render(scene: world.Scene, rng: np.random.Generator) -> Pictures:
    return world.render(scene, int(rng.integers(2**31)))


def _worse(scene: world.Scene, rng: np.random.Generator) -> world.Scene:
    while True:
        other = changed(scene, rng, int(rng.integers(1, 4)))
        if fit(scene, other) < 1 - judge_lessons.LEAST_GAP:
            return other


def _steps(prompt: str, rng: np.random.Generator, num: int = RUNGS) -> Pictures:
    """Renders that fit the prompt less and less, (num, 64, 64, 3)."""
    scene = world.parse(prompt)
    rungs, now = [scene], scene
    while len(rungs) < num:
        tried = changed(now, rng, 1)
        if fit(scene, tried) < fit(scene, now) - 1e-3:
            rungs.append(tried)
            now = tried
        elif rng.random() < 0.05:  # no way further down from here
            rungs, now = [scene], scene
    return np.stack([_render(rung, rng) for rung in rungs])


def _blurred(prompt: str, rng: np.random.Generator) -> Pictures:
    image = Image.fromarray(_render(world.parse(prompt), rng))
    return np.stack([np.asarray(image.filter(ImageFilter.GaussianBlur(b))) for b in BLURS])


def key(
    name: str, prompts: Sequence[str], grounds: Sequence[Any], rng: np.random.Generator
) -> Pictures:
    """Worthless pictures of a kind of `judge_lessons.JUNK`, each on its own ground (a colour)."""
    side = (world.SIDE, world.SIDE, 3)
    if name == "noise":
        return rng.integers(0, 256, (len(prompts), *side), dtype=np.uint8)
    blanks = [np.full(side, ground, np.uint8) for ground in grounds]
    if name == "blank":
        return np.stack(blanks)
    said = prompts if name == "caption" else ["Image 1 is better."] * len(prompts)
    return np.stack([written(blank, text, rng) for blank, text in zip(blanks, said, strict=True)])


def _answers(
    person: Annotator, better: Pictures, worse: Pictures, prompts: list[str]
) -> list[float]:
    said = person.judge_shuffled(better, worse, prompts, range(len(prompts)))
    return [_vote(one.choice, side) for one, side in said]


def _vote(choice: str, left: str) -> float:
    """1 for the better picture, which is a; 0 for the other; ½ for neither."""
    return float((choice == "left") == (left == "a")) if choice in ("left", "right") else 0.5
