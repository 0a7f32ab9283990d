"""Agreement against published numbers and the library; flags against simulated people."""

from __future__ import annotations

import math
from collections.abc import Sequence

import krippendorff
import numpy as np
import pytest

from backend.preferences import agreement, flags
from backend.preferences.agreement import alpha
from backend.preferences.ledger import BOTH_BAD, TIE, A, Answers, B, Ints, Labels, Ledger, Pairs
from backend.preferences.tallies import Tallies

# Krippendorff 2011, "Computing Krippendorff's Alpha-Reliability", examples A, B and C; 0: missing.
BINARY = ([1, 2, 1, 1, 1, 1, 1, 1, 2, 1], [2, 2, 2, 1, 1, 2, 1, 1, 1, 1])
NOMINAL = ([1, 1, 2, 2, 4, 3, 3, 3, 5, 4, 4, 1], [2, 1, 2, 2, 2, 3, 3, 3, 5, 4, 4, 4])
MISSING = (
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
)


def _counts(coders: Sequence[Sequence[int]]) -> Ints:
    table = np.array(coders)
    return np.stack([(table == v).sum(axis=0) for v in range(1, table.max() + 1)], axis=1)


def _said(rng: np.random.Generator, pairs: int, overlap: int) -> Ints:
    """Counts of pairs that differ by N(0, 2²), one answer in five missing."""
    x = rng.normal(0, 2, (pairs, 1)) + rng.logistic(size=(pairs, overlap))
    bad = np.where(rng.random(x.shape) < 0.3, BOTH_BAD, TIE)
    said = np.where(np.abs(x) < 0.4, bad, np.where(x > 0, A, B))
    kept = rng.random(x.shape) > 0.2
    return np.stack([((said == v) & kept).sum(axis=1) for v in range(4)], axis=1)


def _team(seed: int, kinds: Sequence[str], each: int, *, overlap: int = 3) -> Ledger:
    """People on pairs that differ by N(0, 2.1²), `each` judgements a person, one in twenty a check.

    good: logistic noise and a tie under .35; fast: the same in .6 s; left: always the left one;
    random: left or right by a coin.
    """
    rng, size = np.random.default_rng(seed), len(kinds)
    checks, taste = each // 20 * size, (each - each // 20) * size // overlap
    apart = np.append(rng.normal(0, 2.1, taste), rng.choice([-6.0, 6.0], checks))
    pair = np.append(np.repeat(np.arange(taste), overlap), taste + np.arange(checks))
    who = np.argsort(rng.random((taste, size)), axis=1)[:, :overlap].ravel()
    who = np.append(who, np.arange(checks) % size)
    left = rng.integers(0, 2, len(who))
    felt = apart[pair] + rng.logistic(size=len(who))
    said = np.where(np.abs(felt) < 0.35, TIE, np.where(felt > 0, A, B))
    for kind, choice in (("left", left), ("random", rng.integers(0, 2, len(who)))):
        is_kind = np.array([k == kind for k in kinds])[who]
        said[is_kind] = choice[is_kind]
    pace = np.array([0.6 if kind == "fast" else 3.0 for kind in kinds])[who]
    pace = pace * np.exp(0.1 * rng.standard_normal(len(who)))
    order = rng.permutation(len(who))
    ids, one, t = np.arange(len(apart)) + 1, np.arange(len(who)) + 1, np.arange(len(who)) * 60.0
    right = np.where(ids > taste, np.where(apart > 0, A, B), -1)
    ledger = Ledger()
    ledger.add_pairs(Pairs(ids, ids, ids, 0 * ids, ids, right, 0 * ids))
    ledger.add(
        Labels(
            id=one,
            pair=pair[order] + 1,
            annotator=who[order] + 1,
            choice=said[order].astype(np.int8),
            left=left[order].astype(np.int8),
            t_shown=t,
            t_answer=t + pace[order],
            propensity=np.ones(len(who)),
            retracts=0 * one,
            aspects={},
        )
    )
    return ledger


def _flags(ledger: Ledger) -> list[flags.Flag]:
    checks = ledger.answers(facts=True)
    return flags.of(ledger.answers(), checks, ledger.expected(checks))


def _answers(*rows: tuple[int, int, str]) -> Answers:
    """Of (pair, annotator, choice), a always on the left."""
    ledger = Ledger()
    ledger.add_pairs(Pairs.of((i, i, i, 0, 0) for i in range(1, 10)))
    ledger.add(
        Labels.of(
            (n + 1, pair, who, choice, "a", 0.0, 2.0 + n, 1.0, None, None)
            for n, (pair, who, choice) in enumerate(rows)
        )
    )
    return ledger.answers()


# ---------------------------------------------------------------- alpha


@pytest.mark.parametrize(
    ("coders", "value"),
    [(BINARY, 2 / 21), (NOMINAL, 155 / 224), (MISSING, 0.7434211)],
    ids=["binary", "nominal", "missing"],
)
def test_alpha_equals_the_published_numbers_and_the_library(
    coders: Sequence[Sequence[int]], value: float
) -> None:
    counts = _counts(coders)
    found = alpha(counts)
    assert found.value == pytest.approx(value, abs=1e-6)
    patterns, times = agreement._patterns(counts)
    own = agreement._alphas(agreement._coincidences(patterns), times[None], "nominal")[0]
    library = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    assert own == pytest.approx(library, abs=1e-12)
    assert found.low < found.value < found.high


def test_many_pairs_give_the_number_that_the_library_gives() -> None:
    counts = _said(np.random.default_rng(0), agreement.LIBRARY_PAIRS + 5_000, 4)
    assert (counts.sum(axis=1) >= 2).sum() > agreement.LIBRARY_PAIRS
    library = krippendorff.alpha(value_counts=counts, level_of_measurement="nominal")
    assert alpha(counts, resamples=2).value == pytest.approx(library, abs=1e-10)


def test_alpha_is_unknown_without_differences_and_never_an_error() -> None:
    nothing = alpha(np.zeros((0, 4), dtype=np.int64))
    same = alpha(np.array([[2, 0, 0, 0], [3, 0, 0, 0], [1, 0, 0, 0]]))
    assert math.isnan(nothing.value) and math.isnan(same.value) and math.isnan(same.low)
    assert (nothing.pairs, same.pairs, same.answers) == (0, 2, 5)
    one = alpha(np.array([[1, 1, 0, 0]]))
    assert math.isfinite(one.value) and math.isnan(one.low)
    few = alpha(np.array([[2, 0, 0, 0], [0, 2, 0, 0]]))  # half the resamples hold one value only
    assert (few.value, few.low, few.high) == (1, 1, 1)


def test_the_interval_of_alpha_covers_the_true_value_as_often_as_it_says() -> None:
    """500 data sets of 200 pairs: the standard error of the share is 1 %."""
    rng = np.random.default_rng(1)
    truth = alpha(_said(np.random.default_rng(9), 500_000, 2), resamples=1).value
    found = [alpha(_said(rng, 200, 2), seed=i, resamples=400) for i in range(500)]
    assert 0.93 <= np.mean([each.low <= truth <= each.high for each in found]) <= 0.97


ORDINAL = (  # Krippendorff 2011, example with four coders: α = .815 of ordinal values
    [1, 2, 3, 3, 2, 1, 4, 1, 2, 0, 0, 0],
    [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, 0, 3],
    [0, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, 0],
    [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, 0],
)


def test_marks_are_ordinal_and_near_misses_weigh_less(monkeypatch: pytest.MonkeyPatch) -> None:
    counts = _counts(ORDINAL)
    found = alpha(counts, level="ordinal")
    assert found.value == pytest.approx(0.815, abs=5e-4) and found.value > alpha(counts).value
    assert found.low < found.value < found.high
    monkeypatch.setattr(agreement, "LIBRARY_PAIRS", 0)
    assert alpha(counts, level="ordinal").value == pytest.approx(found.value, abs=1e-12)
    near = alpha(np.array([[0, 1, 1, 0, 0], [0, 0, 0, 1, 1]] * 20), level="ordinal")
    far = alpha(np.array([[1, 0, 0, 0, 1], [1, 0, 0, 0, 1]] * 20), level="ordinal")
    assert near.value > 0.5 > 0 > far.value


def test_best_and_worst_of_four_agree_by_the_pairs_they_imply() -> None:
    alike = agreement.alpha_of_fours([[(0, 3), (0, 3)], [(1, 2), (1, 2)]])
    assert (alike.value, alike.pairs, alike.answers) == (1, 2, 4)
    against = agreement.alpha_of_fours([[(0, 3), (3, 0)]] * 30)
    assert against.value < -0.9 and against.low == pytest.approx(against.value)
    rng = np.random.default_rng(0)
    by_chance = [[tuple(rng.permutation(4)[:2].tolist()) for _ in "ab"] for _ in range(400)]
    found = agreement.alpha_of_fours(by_chance)
    assert found.low < 0 < found.high, "whole items are drawn, whose pairs hang together"
    counts = np.array([agreement._implied(item) for item in by_chance]).reshape(-1, 2)
    assert found.value == pytest.approx(alpha(counts).value, abs=1e-12)
    lone = agreement.alpha_of_fours([[(0, 1)], []])
    assert math.isnan(lone.value) and lone.pairs == 0


# ---------------------------------------------------------------- people


def test_agreement_of_two_people_is_counted_on_the_pairs_both_judged() -> None:
    rows = [(1, 7, "left"), (1, 8, "left"), (2, 7, "tie"), (2, 8, "both_bad"), (3, 7, "left")]
    found = Tallies.of(_answers(*rows, (3, 9, "left"), (4, 9, "tie"))).matrix()
    assert found.annotators == [7, 8, 9]
    assert found.num.tolist() == [[0, 2, 1], [2, 0, 0], [1, 0, 0]]
    assert found.share[0, 1] == 0.5 and found.share[0, 2] == 1 and math.isnan(found.share[1, 2])
    assert (found.low[1, 2], found.high[1, 2]) == (0, 1)


def test_a_person_is_held_against_the_majority_of_the_others_only() -> None:
    rows = [(1, 7, "left"), (1, 8, "left"), (1, 9, "right"), (2, 7, "left"), (2, 8, "right")]
    found = {row.annotator: row for row in Tallies.of(_answers(*rows)).people()}
    assert (found[9].agreement.value, found[9].agreement.num) == (0, 1)
    assert (found[7].agreement.value, found[7].agreement.num) == (0, 1)  # pair 1: the others tie
    assert found[7].left.value == 1 and found[8].left.value == 0.5 and found[7].answers == 2
    assert found[7].median_s == 3.5  # shown at 0, answered after 2 and 5


def test_disputes_come_with_the_greatest_disagreement_first() -> None:
    one = [(1, w, c) for w, c in ((7, "left"), (8, "left"), (9, "right"))]
    two = [(2, w, c) for w, c in ((7, "left"), (8, "tie"), (9, "right"))]
    found = agreement.disputed(_answers(*one, *two, (3, 7, "tie"), (4, 7, "tie"), (4, 8, "tie")))
    assert [dispute.pair for dispute in found] == [2, 1]
    assert found[0].counts == (1, 1, 1, 0) and found[0].disagreement == pytest.approx(2 / 3)
    assert found[1].disagreement == pytest.approx(4 / 9)


def test_bands_of_speed_and_days_hold_every_answer_once() -> None:
    answers = _team(3, ["good"] * 4 + ["fast"], 600).answers()
    tallies = Tallies.of(answers)
    by_speed, by_day = tallies.by_speed(), tallies.by_day()
    assert sum(band.answers for band in by_speed) == sum(b.answers for b in by_day) == len(answers)
    assert by_speed[0].median_s < 0.7 and len(by_speed) == 6 and len(by_day) == 3
    assert by_day[1].start == 86_400 and by_day[1].end == 172_800
    assert all(0.6 < band.agreement.value < 0.95 for band in by_speed + by_day)
    nothing = Tallies.of(answers.where(answers.pair < 0))
    assert nothing.by_day() == nothing.by_speed() == nothing.people() == []


# ---------------------------------------------------------------- flags


def test_someone_who_always_chooses_left_is_flagged_within_forty_judgements() -> None:
    team = ["left", *["good"] * 5]
    for seed in range(20):
        found = [f.kind for f in _flags(_team(seed, team, 40)) if f.annotator == 1]
        assert "always-left" in found and "random" not in found
    assert flags.side_evidence(14, 14) == pytest.approx(math.log(2**14 / 15))


def test_a_random_clicker_is_flagged_within_a_hundred_judgements_and_good_people_are_not() -> None:
    """100 teams, looked at as they go: 95 in 100 clickers found, 1 in 100 good people accused."""
    team = ["random", "fast", *["good"] * 4]
    caught, accused, trials = 0, 0, 100
    for seed in range(trials):
        ledger = _team(seed, team, 100)
        checks = ledger.answers(facts=True)
        answers, right, seen = ledger.answers(), ledger.expected(checks), set()
        for label in (len(ledger) * np.array([0.4, 0.55, 0.7, 0.85, 1.0])).astype(int):
            now = checks.label <= label
            found = flags.of(answers.where(answers.label <= label), checks.where(now), right[now])
            seen |= {flag.annotator for flag in found}
        caught += 1 in seen
        accused += len(seen - {1})
    assert caught / trials >= 0.95
    assert accused / (5 * trials) <= 0.02


def test_a_fast_but_good_annotator_is_never_flagged_over_a_long_day() -> None:
    for seed in range(5):
        ledger = _team(seed, ["fast", *["good"] * 4], 1000)
        assert _flags(ledger) == []
        row = Tallies.of(ledger.answers()).people()[0]
        assert row.median_s == pytest.approx(0.6, rel=0.05) and row.agreement.low > 0.6


def test_a_drift_is_told_of_honest_people_as_seldom_as_is_said() -> None:
    """800 honest people, each looked at after every 50 of 1,000 answers."""
    rng, told = np.random.default_rng(5), 0
    for _person in range(800):
        agrees = np.cumsum(rng.random(1_000) < rng.uniform(0.6, 0.95))
        for end in range(200, 1_001, 50):
            before = int(agrees[end - 101])
            now = int(agrees[end - 1]) - before
            look = (end - 200) // 50 + 1
            told += any(flags._drift(1, look, now, end - 100, before))
    assert told <= 800 * flags.DRIFT_ALPHA + 3 * math.sqrt(800 * flags.DRIFT_ALPHA)
    by_hand = math.comb(300, 100)
    tail = sum(math.comb(240, k) * math.comb(60, 100 - k) for k in range(40, 61))
    assert flags.falls_by_chance(60, 180, 200) == pytest.approx(tail / by_hand)


def test_tallies_kept_while_answers_come_and_go_are_those_of_all_answers() -> None:
    whole = _team(4, ["good", "left", "random", "good"], 300).answers()
    kept, gone = Tallies(silent=[3], out=[4]), whole.pair % 7 == 0
    kept.change(whole, +1)
    kept.change(whole.where(gone), -1)
    kept.change(whole.where(whole.pair % 14 == 0), +1)
    left = whole.where(~gone | (whole.pair % 14 == 0))
    fresh = Tallies(silent=[3], out=[4])
    fresh.change(left, +1)
    assert kept.people() == fresh.people() and len(kept.people()) == 3
    assert kept.by_speed() == fresh.by_speed() and kept.by_day() == fresh.by_day()
    assert kept.pairs == fresh.pairs and kept.newest(0, 20, 10) == fresh.newest(0, 20, 10)
    assert np.array_equal(kept.matrix().num, fresh.matrix().num)
    assert np.array_equal(kept.matrix().share, fresh.matrix().share, equal_nan=True)
    kept.change(left, -1)
    assert kept.people() == [] and kept.pairs == 0


def test_failed_checks_a_lean_and_a_drift_are_told_with_their_numbers() -> None:
    ledger = _team(0, ["left", "random", *["good"] * 4], 400)
    found = {(flag.annotator, flag.kind): flag.text for flag in _flags(ledger)}
    assert (1, "always-left") in found and (2, "random") in found and (2, "fails-checks") in found
    assert "attention checks" in found[2, "fails-checks"]
    rates = flags.pass_rates(*(c := ledger.answers(facts=True), ledger.expected(c)))
    assert rates[3][1] == 20 and rates[3][0] >= 18 and rates[1][0] < 17

    answers = _team(1, ["good"] * 4, 500).answers()
    tired = (answers.annotator == answers.annotator.max()) & (answers.label > 1400)
    answers.choice[tired] = answers.left[tired]  # left to the end
    kinds = {f.kind for f in flags.of(answers) if f.annotator == answers.annotator_ids[-1]}
    assert "drifts" in kinds and "always-left" not in kinds
