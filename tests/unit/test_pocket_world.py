"""The pocket language, its splits and its pictures."""

from __future__ import annotations

import subprocess
import sys
from itertools import takewhile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend.errors import InputError
from backend.pocket import world
from backend.pocket.world import Scene, Thing

things = st.builds(
    Thing,
    st.integers(1, 3),
    st.sampled_from(list(world.SIZES)),
    st.sampled_from(list(world.COLOURS)),
    st.sampled_from(list(world.SHAPES)),
)
grounds = st.sampled_from(list(world.BACKGROUNDS))
singles = st.builds(lambda thing, ground: Scene(thing, None, None, ground), things, grounds)
pairs = st.builds(Scene, things, st.sampled_from(list(world.RELATIONS)), things, grounds).filter(
    lambda scene: scene.second is not None and scene.first.colour != scene.second.colour
)


@settings(max_examples=200, deadline=None)
@given(st.one_of(singles, pairs))
def test_every_scene_reads_back_from_its_prompt(scene: Scene) -> None:
    assert world.parse(scene.prompt) == scene
    assert world.parse(f"  {scene.prompt.upper()}. ") == scene
    assert len(scene.prompt.split()) <= world.MAX_WORDS


@pytest.mark.parametrize(
    ("prompt", "word"),
    [
        ("", "cannot read the prompt"),
        ("a nice photo of a dog", "cannot read the prompt"),
        ("a large red hexagon on a gray background", "hexagon"),
        ("two large red circle on a gray background", "'circle' as a shape"),
        ("a huge red circle on a gray background", "huge"),
        ("a large mauve circle on a gray background", "mauve"),
        ("four large red circles on a gray background", "four"),
        ("a large red circle on a plaid background", "plaid"),
        ("a large red circle above a small red star on a gray background", "differ in colour"),
    ],
)
def test_a_prompt_out_of_the_language_says_which_word(prompt: str, word: str) -> None:
    with pytest.raises(InputError, match=word):
        world.parse(prompt)


def test_there_are_about_a_million_prompts() -> None:
    white = list(takewhile(lambda scene: scene.background == "white", world.scenes()))
    assert white[0].prompt == "a large red circle on a white background"
    assert len(white) == len(set(white)) == 151_410
    assert world.num_prompts() == len(world.BACKGROUNDS) * len(white) == 1_059_870


def test_the_splits_share_no_combination() -> None:
    seen: dict[str, set[tuple[str, str, str | None]]] = {}
    for split in ("train", "heldout"):
        prompts = world.draw(2_000, 0, split)  # type: ignore[arg-type]
        assert len(set(prompts)) == 2_000
        seen[split] = {triple for prompt in prompts for triple in world.parse(prompt).triples}
    assert not seen["train"] & seen["heldout"]
    assert len(seen["heldout"]) == 35  # one shape in five for 7 colours, 4 relations and none


def test_drawing_is_repeatable_and_seeds_differ() -> None:
    assert world.draw(20, 3) == world.draw(20, 3)
    assert world.draw(20, 3) != world.draw(20, 4)
    scene = world.parse(world.draw(1, 0)[0])
    assert np.array_equal(world.render(scene, 5), world.render(scene, 5))
    assert not np.array_equal(world.render(scene, 5), world.render(scene, 6))


def test_a_split_that_is_used_up_says_so() -> None:
    with pytest.raises(InputError, match="too few prompts"):
        world.draw(300, 0, "heldout", single=1.0)


def test_world_and_verifier_import_no_torch() -> None:
    code = (
        "import sys, backend.pocket.world, backend.pocket.verifier, backend.pocket.models;"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
