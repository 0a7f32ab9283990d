"""A run that cheats is ended, one that merely wavers is not."""

from __future__ import annotations

from backend.rl.early_stop import History
from backend.rl.recipe import EarlyStop, RewardTerm

PROXY = [RewardTerm(name="proxy", kind="saturation")]


def history(rows: list[tuple[float, float]], error: float = 0.01, **settings: object) -> History:
    found = History(EarlyStop(gold="gold", **settings), PROXY)  # type: ignore[arg-type]
    found.add(0, {})
    for step, (proxy, gold) in enumerate(rows, 1):
        found.add(step, {"gain/proxy": proxy, "gain/gold": gold, "gain_se/gold": error})
    return found


def test_rising_proxy_and_falling_gold_end_the_run() -> None:
    run = history([(0.1, 0.05), (0.2, 0.01), (0.3, -0.02)])
    assert "fell (+0.05 → -0.02" in run.verdict()
    assert run.best_step == 1


def test_one_bad_evaluation_is_not_enough_and_neither_is_a_fall_within_its_error() -> None:
    assert not history([(0.1, 0.05), (0.2, 0.06), (0.3, -0.02)]).verdict()
    assert not history([(0.1, 0.05), (0.2, 0.04), (0.3, 0.035)]).verdict()
    assert history([(0.1, 0.05), (0.2, -0.02)], patience=1).verdict()


def test_when_both_fall_the_run_is_bad_but_does_not_cheat() -> None:
    assert not history([(0.3, 0.05), (0.1, -0.02), (0.0, -0.05)]).verdict()


def test_without_a_watched_reward_nothing_ever_stops() -> None:
    run = History(EarlyStop(), PROXY)
    run.add(1, {"gain/proxy": 1.0})
    assert run.rows == [] and run.best_step is None and not run.verdict()


def test_a_reward_without_a_held_out_value_is_stopped_by_gold_alone() -> None:
    run = History(EarlyStop(gold="gold"), [RewardTerm(name="wins", kind="win-rate")])
    run.add(0, {})
    for step, gold in enumerate([0.05, -0.02, -0.03], 1):
        run.add(step, {"gain/gold": gold, "gain_se/gold": 0.01})
    assert "went on rising while" in run.verdict()
