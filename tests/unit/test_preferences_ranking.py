"""Rankings against a reference fit, their intervals against simulated votes."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy.optimize import minimize

from backend.errors import InputError
from backend.preferences import ranking, strengths
from backend.preferences.intervals import wilson, win_rate
from backend.preferences.ledger import BOTH_BAD, TIE, A, Answers, B, Labels, Ledger, Pairs
from backend.preferences.ranking import Tally, rank, win_matrix

Numbers = np.ndarray


def _answers(
    a: Numbers, b: Numbers, said: Numbers, *, pair: Numbers | None = None, chance: float = 1.0
) -> Answers:
    """Of judgements about models a and b; without `pair` each is of a pair of its own."""
    num = len(said)
    pair = np.arange(num) if pair is None else pair
    chances = np.broadcast_to(np.asarray(chance, dtype=float), num)
    _, first = np.unique(pair, return_index=True)
    none, zero, one = np.zeros(len(first), np.int64), np.zeros(num), np.arange(num) + 1
    ledger = Ledger()
    ledger.add_pairs(Pairs(pair[first] + 1, a[first], b[first], none, none, none - 1, none))
    who = np.arange(num) + 1  # everybody judges once, so that no answer replaces another
    codes = said.astype(np.int8)
    ledger.add(Labels(one, pair + 1, who, codes, codes * 0, zero, zero + 2, chances, 0 * one, {}))
    return ledger.answers()


def _votes(
    rng: np.random.Generator, theta: Numbers, num: int, tie: float = 0.0
) -> tuple[Numbers, Numbers, Numbers]:
    """Random couples of models 1 … K and Davidson's outcome with ν = `tie`."""
    a = rng.integers(len(theta), size=num)
    b = (a + rng.integers(1, len(theta), size=num)) % len(theta)
    apart = theta[a] - theta[b]
    odds = np.stack([np.exp(apart / 2), np.exp(-apart / 2), np.full(num, tie)], axis=1)
    edges = np.cumsum(odds / odds.sum(axis=1, keepdims=True), axis=1)
    said = np.array([A, B, TIE])[(rng.random((num, 1)) > edges).sum(axis=1).clip(0, 2)]
    return a + 1, b + 1, said


def _reference(a: Numbers, b: Numbers, said: Numbers, weight: Numbers, ties: bool) -> Numbers:
    """Strengths by a general optimiser on the likelihood as it is written in the papers."""
    size = int(max(a.max(), b.max()))

    def loss(x: Numbers) -> float:
        strong = np.exp(x[:size])
        one, other = strong[a - 1], strong[b - 1]
        even = math.exp(x[size]) * np.sqrt(one * other) if ties else 0.0
        whole = one + other + even
        half = 0.5 * np.log(one / whole) + 0.5 * np.log(other / whole)
        tied = np.log(even / whole) if ties else half
        chosen = np.log(np.where(said == A, one, other) / whole)
        return float(-(weight * np.where(said == TIE, tied, chosen)).sum() + (x[:size].sum()) ** 2)

    return np.asarray(minimize(loss, np.zeros(size + 1), method="BFGS", options={"gtol": 1e-7}).x)


# ---------------------------------------------------------------- strengths


@pytest.mark.parametrize("method", ["bradley-terry", "davidson"])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_strengths_equal_a_reference_fit(method: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    a, b, said = _votes(rng, np.linspace(-1, 1, 5), 400, tie=0.6)
    chance = rng.uniform(0.25, 2, len(a)) if seed else np.ones(len(a))
    board = rank(Tally.of(_answers(a, b, said, chance=chance)), method)  # type: ignore[arg-type]
    found = {one.model: one.strength for one in board.standings}
    reference = _reference(a, b, said, 1 / chance, method == "davidson")
    centred = reference[:5] - reference[:5].mean()
    assert [found[k + 1] for k in range(5)] == pytest.approx(centred, abs=1e-4)
    assert not board.anchored
    if board.tie is not None:
        assert board.tie == pytest.approx(math.exp(reference[5]), abs=1e-4)


def test_two_models_by_hand() -> None:
    """30 of 40: θ₁ − θ₂ = ln 3; its variance is 1/(n p q) = .1333, here times n/(n − 1)."""
    said = np.array([A] * 30 + [B] * 10)
    one = np.ones(40, dtype=np.int64)
    board = rank(Tally.of(_answers(one, 2 * one, said)))
    assert board.standings[0].strength == pytest.approx(math.log(3) / 2)
    variance = board.covariance[0, 0] + board.covariance[1, 1] - 2 * board.covariance[0, 1]
    assert variance == pytest.approx(1 / (40 * 0.75 * 0.25) * 40 / 39)
    assert board.separable[0, 1] and board.brackets == [] and board.standings[1].tops == 1
    assert board.standings[0].needed is None


def test_repeating_the_answers_about_the_same_pairs_makes_nothing_surer() -> None:
    rng = np.random.default_rng(3)
    a, b, said = _votes(rng, np.array([-0.4, 0.0, 0.4]), 300, tie=0.4)
    thrice = [np.repeat(x, 3) for x in (a, b, said)]
    for method in ranking.METHODS:
        once = rank(Tally.of(_answers(a, b, said)), method)
        again = rank(Tally.of(_answers(*thrice, pair=np.repeat(np.arange(300), 3))), method)
        assert np.allclose(once.covariance, again.covariance, rtol=1e-6)
        assert [s.strength for s in once.standings] == pytest.approx(
            [s.strength for s in again.standings]
        )


def test_intervals_cover_the_difference_even_with_three_answers_a_pair() -> None:
    """Pairs of pictures differ by N(0, 1) beyond their models: 200 studies, standard error 1.5 %.
    As if all answers were of different pairs the intervals would be too short."""
    rng, theta, num = np.random.default_rng(4), np.array([0.3, -0.3, 0.0]), 120

    def study(num: int) -> tuple[Numbers, Numbers, Numbers, Numbers]:
        a = rng.integers(3, size=num)
        b = (a + rng.integers(1, 3, size=num)) % 3
        pair = np.repeat(np.arange(num), 3)
        felt = (theta[a] - theta[b] + rng.normal(size=num))[pair] + rng.logistic(size=3 * num)
        said = np.where(np.abs(felt) < 0.3, TIE, np.where(felt > 0, A, B))
        return a[pair] + 1, b[pair] + 1, said, pair

    def apart(tally: Tally, method: ranking.Method) -> tuple[float, float]:
        board = rank(tally, method)
        place = {one.model: i for i, one in enumerate(board.standings)}
        i, j, c = place[1], place[2], board.covariance
        error = math.sqrt(c[i, i] + c[j, j] - 2 * c[i, j])
        return board.standings[i].strength - board.standings[j].strength, error

    methods: tuple[ranking.Method, ...] = ("bradley-terry", "davidson")
    *large, pair = study(40_000)
    whole = Tally.of(_answers(*large, pair=pair))
    truth = [apart(whole, method)[0] for method in methods]
    covered, naive, trials = np.zeros(2), 0, 200
    for _ in range(trials):
        *votes, pair = study(num)
        tally = Tally.of(_answers(*votes, pair=pair))
        for m, method in enumerate(methods):
            found, error = apart(tally, method)
            covered[m] += abs(found - truth[m]) <= 1.96 * error
        found, error = apart(Tally.of(_answers(*votes)), "bradley-terry")
        naive += abs(found - truth[0]) <= 1.96 * error
    assert (covered / trials >= 0.92).all() and (covered / trials <= 0.98).all()
    assert naive / trials < covered[0] / trials


def test_someone_who_never_lost_has_a_finite_strength_and_a_wide_interval() -> None:
    a, b = np.array([1, 1, 1, 2, 3, 2]), np.array([2, 3, 2, 3, 2, 3])
    said = np.array([A, A, A, A, A, B])
    for method in ("bradley-terry", "davidson"):
        board = rank(Tally.of(_answers(a, b, said)), method)  # type: ignore[arg-type]
        best = board.standings[0]
        assert board.anchored and best.model == 1 and 0.5 < best.strength < 4
        assert best.low < board.standings[1].strength
    apart = rank(Tally.of(_answers(np.array([1, 3]), np.array([2, 4]), np.array([TIE, TIE]))))
    assert apart.anchored and apart.brackets == [(0, 3)]


def test_conjugate_gradients_solve_what_the_direct_solver_does() -> None:
    rng = np.random.default_rng(0)
    root = rng.normal(size=(strengths.DIRECT + 50, strengths.DIRECT + 50)) / 25
    matrix, right = (
        root @ root.T + np.diag(rng.uniform(1, 30, len(root))),
        rng.normal(size=len(root)),
    )
    assert np.allclose(strengths._solve(matrix, right), np.linalg.solve(matrix, right), atol=1e-8)


# ---------------------------------------------------------------- what is not known


@pytest.mark.parametrize("method", ranking.METHODS)
def test_equal_models_are_bracketed_as_not_separable(method: ranking.Method) -> None:
    """Two, and four, of equal strength; 100 simulations each."""
    rng = np.random.default_rng(5)
    for size in (2, 4):
        whole = 0
        for _ in range(100):
            board = rank(Tally.of(_answers(*_votes(rng, np.zeros(size), 100 * size, 0.5))), method)
            whole += board.brackets == [(0, size - 1)]
        assert whole >= 90


def test_brackets_are_the_longest_runs_and_may_overlap() -> None:
    apart = np.zeros((4, 4), dtype=bool)
    apart[0, 2] = apart[2, 0] = apart[0, 3] = apart[3, 0] = True
    assert ranking._brackets(apart) == [(0, 1), (1, 3)]
    assert ranking._brackets(np.zeros((3, 3), dtype=bool)) == [(0, 2)]
    assert ranking._brackets(~np.eye(3, dtype=bool)) == []


def test_the_votes_needed_are_noethers_and_suffice_four_times_in_five() -> None:
    assert ranking.votes_needed(0.4, math.inf, 0.25, z=1.96) == 197  # (1.96 + .8416)² / .16 · 4
    p = 1 / (1 + math.exp(-0.4))
    noether = (1.96 + 0.8416) ** 2 / (4 * (p - 0.5) ** 2)
    assert ranking.votes_needed(0.4, math.inf, 0.25, z=1.96) == pytest.approx(noether, rel=0.03)
    assert ranking.votes_needed(0.4, 0.01, 0.25) is None
    assert ranking.votes_needed(0.0, 0.1, 0.25) == ranking.MANY

    rng, enough = np.random.default_rng(6), 0
    for _ in range(150):
        board = rank(Tally.of(_answers(*_votes(rng, np.array([0.2, -0.2]), 197))))
        enough += bool(board.separable[0, 1])
    assert enough / 150 == pytest.approx(0.8, abs=0.08)


def test_a_board_says_how_many_votes_are_missing_between_neighbours() -> None:
    rng = np.random.default_rng(7)
    a, b, said = _votes(rng, np.array([0.1, -0.1]), 200)
    for method in ranking.METHODS:
        board = rank(Tally.of(_answers(a, b, said)), method)
        assert board.brackets == [(0, 1)] and board.standings[1].needed is None
        needed = board.standings[0].needed
        assert needed is not None and needed > 100


# ---------------------------------------------------------------- votes


def test_both_bad_never_counts_as_a_win() -> None:
    rng = np.random.default_rng(8)
    a, b, said = _votes(rng, np.array([-0.5, 0.0, 0.5]), 300, tie=0.3)
    more = [np.append(x, y) for x, y in ((a, [1] * 90), (b, [2] * 90), (said, [BOTH_BAD] * 90))]
    for method in ranking.METHODS:
        without, with_ = (
            rank(Tally.of(_answers(a, b, said)), method),
            rank(Tally.of(_answers(*more)), method),
        )
        for one, other in zip(without.standings, with_.standings, strict=True):
            assert (one.model, one.votes, one.wins) == (other.model, other.votes, other.wins)
            assert (one.strength, one.low) == pytest.approx((other.strength, other.low))
        bad = {one.model: one.both_bad for one in with_.standings}
        assert bad[3] == 0 and bad[1] > 0.2


def test_a_cell_of_the_matrix_is_wilsons_interval_of_its_votes() -> None:
    said = np.array([A] * 8 + [B] * 2 + [A] * 5 + [TIE] * 2)
    a = np.array([1] * 10 + [3] * 5 + [2] * 2)
    b = np.array([2] * 10 + [1] * 5 + [3] * 2)
    cells = {(cell.model, cell.other): cell for cell in win_matrix(Tally.of(_answers(a, b, said)))}
    for cell, share in (
        (cells[1, 2], wilson(8, 10)),
        (cells[2, 1], wilson(2, 10)),
        (cells[3, 1], wilson(5, 5)),
        (cells[1, 3], wilson(0, 5)),
    ):
        assert (cell.share, cell.low, cell.high) == pytest.approx(
            (share.value, share.low, share.high)
        )
        assert cell.wins + cell.ties + cell.losses == cell.pairs == share.num
    assert (cells[2, 3].share, cells[2, 3].low) == pytest.approx((0.5, win_rate(0, 0, 2).low))


def test_votes_about_two_pictures_of_one_model_say_nothing() -> None:
    a, b, said = np.array([1, 1, 2, 1]), np.array([2, 1, 1, 2]), np.array([A, A, A, B])
    assert Tally.of(_answers(a, b, said)).votes.tolist() == [[1, 0, 2]]
    empty = Tally.of(_answers(a[1:2], b[1:2], said[1:2]))
    assert rank(empty).standings == [] and win_matrix(empty) == []
    with pytest.raises(InputError, match="no ranking 'elo'"):
        rank(empty, "elo")  # type: ignore[arg-type]


@pytest.mark.parametrize("method", ranking.METHODS)
def test_propensities_remove_the_bias_of_a_chosen_sample(method: ranking.Method) -> None:
    """Two kinds of prompts; model 1 is better on one and worse on the other, which is asked four
    times as often. Weighted, the balance of all prompts comes back to within the interval."""
    rng = np.random.default_rng(9)
    num = 3000
    is_kind = rng.random(num) < 0.8  # of the pairs asked; of all pairs it is half
    chance = np.where(is_kind, 1.6, 0.4)
    felt = np.where(is_kind, -1.0, 1.0) + rng.logistic(size=num)
    said = np.where(felt > 0, A, B)
    one = np.ones(num, dtype=np.int64)
    answers = _answers(one, 2 * one, said, chance=chance)  # type: ignore[arg-type]
    zero = 0.5 if method == "plain" else 0.0

    def first(tally: Tally) -> ranking.Standing:
        return next(s for s in rank(tally, method).standings if s.model == 1)

    biased, right = first(Tally.of(answers, weighted=False)), first(Tally.of(answers))
    assert biased.high < zero
    assert right.low <= zero <= right.high
    assert right.high - right.low > biased.high - biased.low
