"""What the pocket encoder is taught and reads: flawed scenes with facts, pictures and prompts."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from backend.pocket import encoder, flawed, reading, train_encoder, world
from backend.pocket.near import one_word_changed

KINDS = list(reading.KINDS)


def test_facts_of_flawed_scenes_are_what_is_drawn() -> None:
    """Captions parse; where the picture shows its caption, counts and colours are the caption's."""
    scenes = flawed.Maker("cpu", 0).make(24)
    assert scenes.pictures.shape == (24, 64, 64, 3)
    assert scenes.pictures.min() >= 0 and scenes.pictures.max() <= 255
    words, facts = scenes.words, scenes.facts
    sizes = []
    for row in scenes.faithful.nonzero()[:, 0].tolist():
        things = range(1 if words.relation[row] == len(world.RELATIONS) else 2)
        for thing in things:
            colour = int(words.colour[row, thing])
            assert facts.count[row, colour] == words.count[row, thing]
            sizes.append((facts.large[row, colour] > 0.5) == (words.size[row, thing] == 0))
        assert facts.count[row].sum() == sum(int(words.count[row, thing]) for thing in things)
    assert len(sizes) > 8 and np.mean(sizes) > 0.8, "one large thing may hide another"
    again = flawed.Maker("cpu", 0).make(24)
    assert torch.equal(again.pictures, scenes.pictures), "the same seed draws the same"


def test_captions_are_the_words_of_the_language_and_near_misses_differ_in_one() -> None:
    captions, words = train_encoder.Captions("cpu"), flawed.Maker("cpu", 1).words(40)
    spelled = {encoder.word_id(word): word for word in " ".join(world.draw(400, 0, "any")).split()}
    ids = captions.of(words) - torch.arange(world.MAX_WORDS) * encoder.NUM_WORDS
    texts = [" ".join(spelled[i] for i in row if i) for row in ids.tolist()]
    assert [world.parse(text).prompt for text in texts] == texts
    assert torch.equal(encoder.word_ids(texts), captions.of(words))
    assert all((near != captions.of(words)).any(1).all() for near in captions.near(words, 3))


def test_renders_are_read_rightly_and_a_changed_word_is_noticed_in_its_kind() -> None:
    network, prompts = encoder.load(), world.draw(24, 3, "heldout")
    sight = network.sight(world.render_many(prompts, 3))
    own = reading.read(sight, prompts)
    assert own.shape == (24, len(KINDS)) and own.mean() > 0.9
    for kind in ("count", "colour", "shape", "background"):
        changed = [dict(one_word_changed(prompt))[kind][0] for prompt in prompts]
        lost = (own - reading.read(sight, changed)).mean(axis=0)
        assert lost[KINDS.index(kind)] > 0.25, kind
    assert (reading.likeness(own) > reading.likeness(reading.read(sight, changed))).mean() > 0.9
    assert reading.read(sight, ["a photo of a dog"] * 24) == pytest.approx(0.5)


def test_training_writes_what_can_be_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(train_encoder, "MEASURED", 8)
    path = tmp_path / "model.safetensors"
    figures = train_encoder.train(path, minutes=0.01, batch=4)
    assert figures["steps"] >= 1 and path.stat().st_size < 5e6
    seen = encoder.load(path).image(np.zeros((2, 64, 64, 3), np.uint8))
    assert seen.norm(dim=1).tolist() == pytest.approx([1, 1], abs=1e-4)
