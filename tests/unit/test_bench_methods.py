"""Benchmarks with seconds instead of minutes: what is written, read back, and said of failures."""

from __future__ import annotations

import io
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from backend.errors import ConfigError, InputError
from backend.rl.recipe import RunConfig
from workers.bench import chart, dpo, hacking, judged, methods, summary, trial
from workers.bench.lab import LEARNED, VERIFIER, Lab
from workers.bench.methods import MethodsPlan

QUICK = 0.002
"""Minutes: a few updates at most."""
SMALL = {"sampling": {"num_steps": 5, "prompts_per_step": 2, "bf16": False}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the learned reward is kept, so that it is learned once."""
    torch.set_num_threads(1)
    return tmp_path_factory.mktemp("bench")


def lab(folder: Path, **more: Any) -> Lab:
    return Lab(folder, num_prompts=5, labels=48, num_steps=4, **{"changes": SMALL, **more})


@pytest.mark.slow
def test_figures_are_written_and_a_finished_run_is_read_back(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = MethodsPlan(QUICK, seeds=1, only=("flow-grpo", "g2rpo"))
    found = methods.bench(lab(folder), plan)
    kept = json.loads((folder / "methods.json").read_text())
    assert kept == json.loads(json.dumps(found))
    assert {row["method"] for row in kept["methods"]} == {"flow-grpo", "g2rpo"}
    assert kept["versions"]["torch"] and kept["cores"] and kept["learned"]["pairs"] > 20
    for run in kept["runs"]:
        first, last = run["curve"][0], run["curve"][-1]
        assert (first["step"], first["seconds"], first["nfe"], first["trained"]) == (0, 0.0, 0, 0.0)
        assert last["nfe"] == sum(run["nfe"].values()) > 0 and last == run["final"]
        assert {"gold", "gold_se", "diversity", "saturation", "trained_se"} <= last.keys()
        assert run["config"]["rewards"][0]["kind"] == "pocket-verifier"
        assert {term["name"] for term in run["config"]["watch"]} == {"learned", "saturation"}
    page = (folder / "methods.md").read_text()
    assert "| recipe | verifier gain |" in page and "pocket-g2rpo" in page
    with Image.open(folder / "methods.png") as picture:
        assert picture.size == (2 * chart.WIDTH, chart.HEAD + 2 * chart.HEIGHT)

    def never(*_: Any) -> None:
        raise AssertionError("a finished run was trained again")

    monkeypatch.setattr(trial.Trial, "run", never)
    again = methods.bench(lab(folder), plan)
    assert again["runs"] == kept["runs"] and again["methods"] == kept["methods"]
    with pytest.raises(AssertionError, match="trained again"):  # other minutes are another run
        methods.bench(lab(folder), MethodsPlan(2 * QUICK, seeds=1, only=("g2rpo",)))


def test_a_method_that_fails_is_a_row_with_its_sentence(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """g2rpo forks at step 3, which 3 steps do not have; dance-grpo meets an error of its own."""
    for kept in folder.glob("learned-*"):
        (tmp_path / kept.name).write_bytes(kept.read_bytes())
    here = lab(tmp_path, changes={"sampling": {**SMALL["sampling"], "num_steps": 3}})
    train = trial.Trial._train

    def broken(self: trial.Trial, *more: Any) -> Any:
        if self.config.method.name == "dance-grpo":
            raise ZeroDivisionError("no luck")
        return train(self, *more)

    monkeypatch.setattr(trial.Trial, "_train", broken)
    plan = MethodsPlan(QUICK, seeds=1, only=("g2rpo", "dance-grpo", "flow-grpo"))
    rows = {row["method"]: row for row in methods.bench(here, plan)["methods"]}
    assert rows["flow-grpo"]["gain"] is not None
    assert "cannot be explored" in rows["g2rpo"]["errors"][0]
    assert "ZeroDivisionError: no luck" in rows["dance-grpo"]["errors"][0]
    page = (tmp_path / "methods.md").read_text()
    assert "Failed:" in page and "no luck" in page
    assert len(list((tmp_path / "runs").iterdir())) == 1, "a failed run is tried again next time"


def test_recipes_are_chosen_by_their_name_or_their_methods() -> None:
    assert "pocket-one-fork" in methods.choose(())
    assert "pocket-pref-grpo-judge" not in methods.choose(()), "its judge would be replaced"
    assert methods.choose(["pocket-g2rpo", "one-fork"]) == ["pocket-g2rpo", "pocket-one-fork"]
    with pytest.raises(ConfigError, match="did you mean 'g2rpo'"):
        methods.choose(["g2rp"])


def test_a_win_rate_goes_on_comparing_with_the_trained_reward_as_judge(folder: Path) -> None:
    config = methods.configure(lab(folder), "pocket-pref-grpo", LEARNED, 3)
    trained = next(term for term in config.rewards if term.kind == "win-rate")
    assert trained.config["judge"] == "learned"
    assert {"verifier", "learned"} <= {term.name for term in config.watch}
    assert config.seed == 3 and isinstance(config, RunConfig)


def test_stored_pairs_are_the_decided_labels_winners_first(folder: Path) -> None:
    here = lab(folder)
    labelled = here.labelled
    decided = [answer for answer in labelled.answers if answer.choice in ("left", "right")]
    pairs = labelled.pairs
    assert len(pairs) == len(decided) > 20
    one = decided[0]
    winner = one.a if (one.choice == "left") == (one.shown_left == "a") else one.b
    assert (pairs.winners[0] == labelled.images[winner]).all()
    assert pairs.prompts[0] == labelled.prompts[winner]


def test_dpo_from_labels_is_compared_blind_with_the_base(folder: Path) -> None:
    found = dpo.bench(lab(folder), dpo.DpoPlan(QUICK))
    blind = found["blind"]
    assert blind["wins"] + blind["losses"] + blind["ties"] == 5
    assert blind["low"] < blind["win_rate"] < blind["high"]
    assert not found["run"]["config"]["rewards"]
    assert "| blind, on held-out prompts |" in (folder / "dpo.md").read_text()
    assert Image.open(io.BytesIO((folder / "dpo.png").read_bytes())).size[0] > 256


def test_hacking_shows_what_alarms_say_beside_gold(folder: Path) -> None:
    """One update of the run that cheats; brightness, which pays for a look, is all look."""
    here = lab(folder)
    found = hacking.bench(here, hacking.HackingPlan(updates=1, only=("cheat",)))
    run = found["runs"][0]
    assert run["config"]["rewards"][0]["kind"] == "brightness"
    assert run["config"]["early_stop"]["gold"] == VERIFIER
    assert not run["error"] and run["curve"][-1]["gold"] is not None
    gold = run["gold"]["taste"]
    assert gold["z"] == pytest.approx(gold["gain"] / gold["se"])
    assert "updates" not in run, "figures of every update are not written"
    assert 0.5 < run["style_r2"] <= 1
    assert run["leverage"] > 0, "a picture that is made brighter is brighter"
    page = (folder / "hacking.md").read_text()
    assert "did not fire" in page and "| taste |" in page
    assert (folder / "hacking.png").stat().st_size > 1000
    people, wins = hacking.trials(here, hacking.HackingPlan(only=("learned", "wins")))
    assert people.config.rewards[0].kind == "learned" and people.updates == 0
    assert wins.config.rewards[0].config["judge"] == "learned"
    assert {"verifier", "taste"} <= {term.name for term in wins.config.watch}
    with pytest.raises(InputError, match="no run 'luck'"):
        hacking.trials(here, hacking.HackingPlan(only=("luck",)))


def test_a_judge_teaches_and_the_verifier_only_watches(tmp_path: Path) -> None:
    """Two groups of four: each picture meets three others, that is all six pairs."""
    small = SMALL | {"method": {"settings": {"group_size": 4}}}
    here = Lab(tmp_path, num_prompts=4, num_steps=4, changes=small)
    found = judged.bench(here, judged.JudgedPlan(judge="biased", groups=2, updates=1))
    assert found["bouts"] == 2 * 6
    assert found["run"]["config"]["rewards"][0]["config"]["judge_config"] == {
        "weights_of": "biased"
    }
    assert 0 < found["signal"]["spread"] < 0.6 and abs(found["signal"]["correlation"]) <= 1
    last = found["run"]["final"]
    assert found["gain"]["value"] == last["gold"] and found["raised"] is False
    assert "the verifier is only watched" in (tmp_path / "judge.md").read_text()
    assert (tmp_path / "judge.png").stat().st_size > 1000


# ---------------------------------------------------------------- what is said of runs


def run(recipe: str, seed: int, *gains: float, se: float = 0.01) -> dict[str, Any]:
    """A run whose gain is measured every 100 seconds and 1,000 evaluations."""
    curve = [
        {
            "step": 10 * i,
            "seconds": 100.0 * i,
            "nfe": 1000 * i,
            "trained": gain,
            "trained_se": se if i else 0.0,
            "gold": gain / 2,
            "gold_se": se,
            "diversity": 0.2,
            "saturation": 0.3,
        }
        for i, gain in enumerate((0.0, *gains))
    ]
    return {
        "recipe": f"pocket-{recipe}",
        "method": recipe,
        "offline": False,
        "seed": seed,
        "error": "",
        "curve": curve,
        "final": curve[-1],
        "wall_seconds": 500.0,
    }


def test_a_gain_is_reached_between_two_evaluations() -> None:
    curve = run("one-fork", 0, 0.2, 0.1, 0.3)["curve"]
    assert summary.reached(curve, 0.15) == pytest.approx(75)
    assert summary.reached(curve, 0.3) == pytest.approx(300)
    assert summary.reached(curve, 0.4) is None


def test_a_method_is_measured_against_the_yardstick_seed_by_seed() -> None:
    """one-fork reaches .10, .12 and .14 at 50, 60 and 70 s; .06 apart with se √2·.01: z = 4.2."""
    runs = [
        *(run("flow-grpo", s, 0.05, 0.10 + 0.02 * s) for s in range(3)),
        *(run("one-fork", s, 0.20, 0.16 + 0.02 * s) for s in range(3)),
        *(run("awm", s, 0.01, 0.02) for s in range(3)),
    ]
    best, yard, last = summary.of(runs)
    assert [row["method"] for row in (best, yard, last)] == ["one-fork", "flow-grpo", "awm"]
    assert best["reach"]["seconds"] == pytest.approx([50, 60, 70])
    assert best["reach"]["half"] == pytest.approx(4.303 * 10 / math.sqrt(3), rel=1e-3)
    assert (best["beats"], best["difference_z"]) == ("yes", pytest.approx(0.06 / 0.0141421, 1e-3))
    assert yard["beats"] == "" and yard["reach"]["mean"] == pytest.approx(200)
    assert last["beats"] == "no, it is behind" and last["reach"]["reached"] == 0
    assert best["z_least"] == pytest.approx(16)
    assert best["gain_se"] == pytest.approx(0.01)


def test_curves_are_averaged_as_far_as_the_shortest_run() -> None:
    runs = [run("awm", 0, 0.1, 0.2), run("awm", 1, 0.3)]
    found = summary.mean_curve(runs, "pocket-awm", "seconds", "trained")
    assert found is not None
    assert found[0] == [0, 100] and found[1] == pytest.approx([0, 0.2])
    assert summary.mean_curve(runs, "pocket-g2rpo", "seconds", "trained") is None


def test_half_an_interval_by_hand() -> None:
    assert summary.half_width([1.0, 2.0, 3.0]) == pytest.approx(2.484, abs=1e-3)
    assert summary.half_width([1.0]) is None


# ---------------------------------------------------------------- the chart


def test_ticks_are_round_and_names_do_not_collide() -> None:
    assert chart.ticks(0, 0.19) == pytest.approx([0, 0.05, 0.1, 0.15, 0.2])
    assert chart.ticks(-0.04, 0.11)[0] <= -0.04 and chart.ticks(0, 360)[-1] >= 360
    assert chart.spaced([10, 11, 30], 6, 100) == [10, 16, 30]
    assert chart.spaced([30, 10, 11], 6, 20) == [20, 8, 14]
    assert chart.spaced([], 6, 20) == []


def test_a_chart_of_many_lines_is_drawn(tmp_path: Path) -> None:
    lines = [
        chart.Line(f"method-{i}", [0, 50, 100], [0, 0.01 * i, 0.005 * i - 0.02], 0.01)
        for i in range(18)
    ]
    chart.write_chart(tmp_path / "c.png", "Gain", [[chart.Panel("a", "seconds", lines)]])
    with Image.open(tmp_path / "c.png") as picture:
        assert len(np.unique(np.asarray(picture).reshape(-1, 3), axis=0)) > 100
