"""A reward that fails on purpose, what the comparison says of it, and rewards built to cheat."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from backend.pocket import world
from backend.rewards import _statistics
from backend.rewards._edits import captioned
from backend.rewards.interface import Images, Scores, checked
from workers.bench import alarms, cheats, failures
from workers.bench.failing import Failing
from workers.bench.failures import FailuresPlan
from workers.bench.lab import VERIFIER, Lab
from workers.bench.trial import Trial

PROMPTS = world.draw(60, seed=1)
PICTURES = world.render_many(PROMPTS, 1)


class Counting:
    """Says 0, 1, 2 … of a batch."""

    shape = "pointwise"

    def score(self, images: Images, prompts: Sequence[str]) -> Scores:
        return Scores.of(np.arange(len(images), dtype=np.float64))


def test_a_failure_is_missing_with_its_reason_and_comes_again() -> None:
    said_ = np.arange(60.0)
    chance = failures.odds("chance", 0.2, PICTURES, said_)
    reward = checked(Failing(Counting(), chance, seed=0), "judged")
    said = reward.score(PICTURES, PROMPTS)
    lost = np.isnan(said.values)
    assert 0.05 < lost.mean() < 0.4 and reward.missing_share == lost.mean()
    assert {said.status[i] for i in np.flatnonzero(lost)} == {"error"}
    assert all("on purpose" in said.reasons[i] for i in np.flatnonzero(lost))
    assert {said.status[i] for i in np.flatnonzero(~lost)} == {"ok"}
    back = reward.score(PICTURES[::-1], PROMPTS[::-1])
    assert (np.isnan(back.values)[::-1] == lost).all(), "by content, whatever the order"
    other = checked(Failing(Counting(), chance, seed=1), "judged").score(PICTURES, PROMPTS)
    assert (np.isnan(other.values) != lost).any()
    never = failures.odds("chance", 0.0, PICTURES, said_)
    sound = checked(Failing(Counting(), never, seed=0), "judged").score(PICTURES, PROMPTS)
    assert not sound.num_missing and (sound.values == np.arange(60)).all(), "asked in one batch"


def test_failures_may_hang_on_the_picture_or_on_its_worth() -> None:
    """As many in all, but of the dark half, or of the worse half, three times as many."""
    light, worth = _statistics.luminance(PICTURES), np.linspace(0.0, 1.0, 60)
    sound = Scores.of(worth)
    both: list[tuple[failures.Depends, Any]] = [("dark", light), ("bad", worth)]
    for depends, sorted_by in both:
        likely = failures.odds(depends, 0.2, PICTURES, worth)(PICTURES, sound)
        assert likely.mean() == pytest.approx(0.2) and likely.max() <= 0.4
        under = sorted_by < np.median(sorted_by)
        assert likely[under].mean() == pytest.approx(3 * likely[~under].mean(), rel=0.1)
        most = failures.odds(depends, 0.9, PICTURES, worth)(PICTURES, sound)
        assert most.max() == 1.0, "no more than always"


def test_two_ends_are_compared_prompt_by_prompt() -> None:
    """A shift of .1 on every prompt is beyond its interval, noise about 0 is not."""
    base = np.linspace(0.2, 0.8, 40)
    noise = np.random.default_rng(0).normal(0, 0.02, (3, 40))

    def rows(shift: float) -> list[dict[str, Any]]:
        ends = {"clean": base + 0.05 + noise[:2], "failing": base + 0.05 + shift + noise[1:]}
        return [
            {"kind": kind, "values": values.tolist()} for kind, of in ends.items() for values in of
        ]

    told = failures.compared(rows(-0.1), base)
    assert told["shifted"] and told["difference"]["high"] < 0
    assert told["gain"]["clean"]["mean"] == pytest.approx(0.05, abs=0.01)
    assert len(told["differences"]) == 2 and len(told["by_seed"]) == 1
    still = failures.compared(rows(0.0), base)
    assert not still["shifted"] and still["difference"]["low"] < 0 < still["difference"]["high"]


def test_the_page_says_what_was_found_and_a_finished_run_is_read_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The runs are stood in for; what they are given is looked at."""
    seen: list[tuple[str, float, bool]] = []

    def run(trial: Trial, lab: Lab) -> tuple[dict[str, Any], Any]:
        fails = failures.TRAINED in lab.instead
        seen.append((trial.name, trial.config.compose.missing, fails))
        stops = fails and trial.config.compose.missing < 0.2
        said = {"missing/judged": 0.21 if fails else 0.0, "groups_kept": 3.0, "groups_total": 4.0}
        row: dict[str, Any] = {
            "error": "",
            "status": "paused" if stops else "done",
            "warnings": ["Paused after update 3: mend it."] if stops else [],
            "config": trial.config.plain(),
            "updates": [(1, said), (2, said)],
            "evaluations": [],
            "seed": trial.config.seed,
            "seconds": 1.0,
            "nfe": {"sample": 10},
        }
        return row, object()

    def heldout(lab: Lab, settings: Any, policy: Any) -> Any:
        values = np.linspace(0.0, 1.0, 5) + (policy is not None) * 0.1 * np.arange(5)
        return PICTURES[:5], values

    monkeypatch.setattr(Trial, "run", run)
    monkeypatch.setattr(failures, "_heldout", heldout)
    lab = Lab(tmp_path, num_prompts=5)
    found = failures.bench(lab, FailuresPlan(updates=2, seeds=2))
    assert seen[0] == ("by its own setting", 0.05, True)
    assert seen[1:] == [("clean", 1.0, False), ("failing", 1.0, True)] * 2
    assert found["pause"]["status"] == "paused" and not found["shifted"]
    assert [run["missing"] for run in found["runs"]] == pytest.approx([0.0, 0.21] * 2)
    assert [list(run["fired"]) for run in found["runs"]] == [[], ["missing"]] * 2
    page = (tmp_path / "failures.md").read_text(encoding="utf-8")
    assert "21.0%" in page and "Paused after update 3" in page and "not beyond" in page
    kept = json.loads((tmp_path / "failures.json").read_text(encoding="utf-8"))
    assert kept == json.loads(json.dumps(found))
    failures.bench(lab, FailuresPlan(updates=2, seeds=2))
    assert len(seen) == 6, "only the pause is looked at anew"
    failures.bench(lab, FailuresPlan(updates=2, seeds=2, depends="dark"))
    assert [name for name, *_ in seen[6:]] == ["by its own setting", "failing", "failing"]
    page = (tmp_path / "failures.md").read_text(encoding="utf-8")
    assert "the darker a picture" in page and "(dark)" in page


def test_the_sound_verifier_is_only_watched(tmp_path: Path) -> None:
    config = failures.config(Lab(tmp_path, num_prompts=5), FailuresPlan(), 3, missing=1.0)
    assert [term.name for term in config.rewards] == [failures.TRAINED]
    assert [term.name for term in config.watch] == [VERIFIER]
    assert config.seed == 3 and config.compose.missing == 1.0
    assert config.optim.lr == failures.LR and config.sampling.num_steps == 6


def test_each_cheat_pays_for_its_look_alone() -> None:
    some = PICTURES[:6]
    written = np.stack([captioned(p, "what it says") for p in some])
    tiled = np.tile(some[:, ::2, ::2], (1, 2, 2, 1))
    said = {n: checked(cheats.Cheat(n), n).score(some, PROMPTS[:6]).values for n in cheats.LOOKS}
    assert (cheats.writing(written) > said["writing"]).all()
    assert (cheats.LOOKS["tiles"](tiled) > said["tiles"]).all()
    itself = world.render_many([cheats.PICTURE], 0)
    assert cheats.one_picture(itself)[0] == 0.0 and (said["one-picture"] < 0).all()


def test_a_run_that_cheats_is_given_its_own_reward() -> None:
    """The term of a cheat only holds its place."""
    for look in cheats.LOOKS:
        config = alarms.config(alarms.AlarmsPlan(), "one-fork", look, alarms.FAST, 0)
        assert config.rewards[0].name == look
        assert isinstance(alarms.instead()[look](Counting()), cheats.Cheat)
    trained = {row[2] for row in alarms.WRONG}
    assert trained >= set(cheats.LOOKS), "every one of them has a run"
