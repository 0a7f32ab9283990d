"""The ledger of labels: grows by what is new, keeps what stands, stays small."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from backend.errors import InputError
from backend.preferences.ledger import BOTH_BAD, NONE, TIE, A, B, Labels, Ledger, Pairs, code


def _label(id_: int, pair: int, user: int, choice: str, left: str = "a", **more: Any) -> tuple:
    known = {"t": 1000.0 + id_, "seconds": 2.0, "propensity": 1.0, "retracts": None, "aspects": {}}
    said = known | more
    t = said["t"]
    tail = (said["propensity"], said["retracts"], said["aspects"])
    return (id_, pair, user, choice, left, t - said["seconds"], t, *tail)


def _ledger(*labels: tuple, pairs: int = 4) -> Ledger:
    ledger = Ledger()
    ledger.add_pairs(Pairs.of([(i, 10, 20 + i % 2, 7, 100 + i) for i in range(1, pairs + 1)]))
    ledger.add(Labels.of(labels))
    return ledger


def test_a_choice_is_kept_in_the_terms_of_the_candidates() -> None:
    assert [code("left", "a"), code("right", "a")] == [A, B]
    assert [code("left", "b"), code("right", "b")] == [B, A]
    assert [code("tie", "b"), code("both_bad", "a"), code("rated", "a")] == [TIE, BOTH_BAD, NONE]
    found = _ledger(_label(1, 1, 5, "left", "b"), _label(2, 2, 5, "right", "b")).answers()
    assert found.choice.tolist() == [B, A] and found.on_left.tolist() == [True, False]


def test_adding_in_parts_equals_adding_at_once_and_repeats_change_nothing() -> None:
    rows = [_label(i, 1 + i % 4, 5 + i % 3, ("left", "tie", "right")[i % 3]) for i in range(1, 30)]
    whole, parts = _ledger(*rows), _ledger()
    for start in range(0, 29, 5):
        parts.add(Labels.of(rows[max(start - 3, 0) : start + 5]))
    one, other = whole.answers(), parts.answers()
    assert len(parts) == 29
    for name in ("label", "pair", "annotator", "choice", "seconds", "t_answer"):
        assert np.array_equal(getattr(one, name), getattr(other, name)), name
    version = parts.version
    parts.add(Labels.of([]))
    assert parts.version == version


def test_a_retraction_takes_back_even_when_it_comes_first() -> None:
    ledger = _ledger(_label(1, 1, 5, "left"), _label(4, 1, 5, "retract", retracts=3))
    assert len(ledger.answers()) == 1
    ledger.add(Labels.of([_label(3, 2, 5, "left"), _label(2, 3, 5, "right")]))
    assert ledger.answers().label.tolist() == [1, 2]
    ledger.add(Labels.of([_label(5, 1, 5, "retract", retracts=1)]))
    assert ledger.answers().label.tolist() == [2]


def test_the_newest_answer_of_a_person_counts_even_if_it_came_late() -> None:
    ledger = _ledger(_label(9, 1, 5, "left"), _label(3, 2, 5, "left"))
    ledger.add(Labels.of([_label(4, 1, 5, "right"), _label(10, 2, 5, "tie")]))
    assert ledger.answers().choice.tolist() == [A, TIE]


def test_skips_attention_checks_and_excluded_people_are_left_out() -> None:
    ledger = _ledger(_label(1, 1, 5, "skip"), _label(2, 1, 6, "tie"), _label(3, 2, 6, "left"))
    ledger.add_pairs(Pairs.of([(8, 10, 20, 7, 1, B), (9, 10, 20, 3, 1, NONE, 2)]))
    ledger.add(Labels.of([_label(4, 8, 6, "left"), _label(5, 9, 6, "right", "b")]))
    assert ledger.answers().label.tolist() == [2, 3]
    assert len(ledger.answers(without=[6])) == 0
    assert ledger.answers(annotators=[6], pairs=[2]).label.tolist() == [3]
    assert ledger.answers(groups=[3], facts=True).label.tolist() == [5]
    assert ledger.answers(between=(1003.0, 1004.0)).label.tolist() == [3]
    checks = ledger.answers(facts=True)
    assert ledger.expected(checks).tolist() == [B, A]
    assert (checks.choice == ledger.expected(checks)).tolist() == [False, True]


def test_aspects_are_answers_of_their_own_and_propensity_is_a_weight() -> None:
    ledger = _ledger(_label(1, 1, 5, "left"))
    ledger.add(Labels.of([_label(2, 2, 5, "tie", "b", aspects={"looks": "left"}, propensity=0.5)]))
    found = ledger.answers("looks")
    assert (found.label.tolist(), found.choice.tolist(), found.weight.tolist()) == ([2], [B], [2.0])
    assert ledger.aspects == ["looks"] and len(ledger.answers()) == 2
    with pytest.raises(InputError, match="No label speaks of 'colour'; known are looks"):
        ledger.answers("colour")


def test_a_label_of_an_unknown_pair_is_refused_and_the_ledger_stays_as_it_was() -> None:
    ledger = _ledger(_label(1, 1, 5, "left"))
    assert ledger.unknown_pairs([1, 77, 77]).tolist() == [77]
    with pytest.raises(InputError, match="pair 77"):
        ledger.add(Labels.of([_label(2, 77, 5, "left")]))
    assert len(ledger) == 1 and len(ledger.answers()) == 1


def test_a_label_takes_about_forty_bytes() -> None:
    rng, many = np.random.default_rng(0), 20_000
    ledger = Ledger()
    ids = np.arange(1, many + 1)
    ledger.add_pairs(Pairs.of((i, i, i, i, i) for i in range(1, 101)))
    for part in np.split(ids, 40):
        zero = np.zeros(len(part))
        codes = rng.integers(0, 2, len(part)).astype(np.int8)
        pair = rng.integers(1, 101, len(part))
        ledger.add(
            Labels(part, pair, pair, codes, codes, zero, zero + 2, zero + 1, 0 * part, {"x": codes})
        )
    assert len(ledger) == many and ledger.nbytes / many < 60
