"""`palate loop` on the pocket model, in small: the figures it writes, and nothing left running."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from PIL import Image

from backend.rl.recipe import RunConfig
from tests.conftest import ROOT
from tests.processes import descendants, is_alive, wait_until
from tests.terminal import palate, refused

COMMAND = [sys.executable, "-m", "workers.cli", "loop", "--recipe", "g2rpo"]
PHASES = ["prepare", "generate", "label", "learn", "train", "evaluate", "blind"]


@pytest.mark.slow
def test_the_loop_goes_round_and_writes_its_figures(tmp_path: Path) -> None:
    out = tmp_path / "out.json"
    small = [
        "--labels",
        "60",
        "--minutes",
        "0.1",
        "--seed",
        "3",
        "--tastes",
        "2",
        "--heldout",
        "288",
        "--json",
        str(out),
    ]
    done = subprocess.run(
        [*COMMAND, *small], cwd=ROOT, capture_output=True, text=True, timeout=1500, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found = json.loads(out.read_text())
    assert [phase["name"] for phase in found["phases"]] == PHASES
    for phase in found["phases"]:
        assert phase["seconds"] >= 0 and (phase["nfe"] > 0) == (
            phase["name"] in ("generate", "train", "evaluate")
        )
    assert found["labels"] == 60 and found["seed"] == 3
    learned = found["reward_model"]
    assert learned["low"] <= learned["accuracy"] <= learned["high"] and learned["pairs"] <= 60
    for name in ("verifier", "taste", "reward"):
        measured = found["heldout"][name]
        assert measured["prompts"] >= 256
        assert measured["se_before"] > 0 and measured["se_after"] > 0 and measured["gain_se"] > 0
        assert measured["gain"] == pytest.approx(measured["after"] - measured["before"])
    blind = found["blind"]
    assert 0 <= blind["low"] <= blind["win_rate"] <= blind["high"] <= 1 and blind["pairs"] > 200
    assert found["diversity"]["before"] > 0 and found["diversity"]["after"] > 0
    with Image.open(out.parent / found["grid"]) as grid:
        assert grid.width > 256 and grid.height > 256
    config = RunConfig.read(found["config"])
    assert [term.kind for term in config.rewards] == ["learned"]
    assert [term.kind for term in config.watch] == ["pocket-verifier", "simulated-taste"]
    assert config.watch[1].config == {"taste": "both"}
    assert "  taste: " in done.stdout


def test_the_loop_refuses_what_it_could_not_finish(tmp_path: Path) -> None:
    for options, words in (
        (["--recipe", "g2rop"], "did you mean 'pocket-g2rpo'"),
        (["--json", str(tmp_path / "no" / "out.json")], "choose another file with --json"),
    ):
        refused(palate("loop", "--recipe", "g2rpo", *options, home=tmp_path / "home"), words)


@pytest.mark.slow
def test_a_loop_that_is_interrupted_leaves_nothing_running(tmp_path: Path) -> None:
    options = ["--labels", "60", "--minutes", "5", "--json", str(tmp_path / "out.json")]
    loop = subprocess.Popen(
        [*COMMAND, *options], cwd=ROOT, env={**os.environ, "TMPDIR": str(tmp_path)}
    )
    wait_until(600, lambda: len(descendants(loop.pid)) >= 6, "the workers to start")
    everything = descendants(loop.pid)
    loop.send_signal(signal.SIGINT)
    assert loop.wait(600) == 1
    wait_until(600, lambda: not any(map(is_alive, everything)), "all to be gone")
    assert not (tmp_path / "out.json").exists()
    assert not list(tmp_path.glob("palate-*")), "temporary folders are removed"
