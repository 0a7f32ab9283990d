"""How the processes of a run are started, and what is said when they end."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from backend.errors import EnvironmentProblem
from workers import watchdog
from workers.launch import Crew, Notes


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[tuple[list[str], dict[str, str]]]:
    """(command, environment) of what would be started."""
    found: list[tuple[list[str], dict[str, str]]] = []

    def spawn(command: Sequence[str], *, env: dict[str, str], cwd: Path) -> subprocess.Popen[bytes]:
        found.append((list(command), env))
        return subprocess.Popen([sys.executable, "-I", "-S", "-c", ""])

    monkeypatch.setattr(watchdog, "spawn", spawn)
    return found


def test_each_process_knows_its_rank_and_where_to_meet(started: list[Any]) -> None:
    crew = Crew(["python", "-m", "program"], 3)
    environments = [environment for _, environment in started]
    assert [e["RANK"] for e in environments] == [e["LOCAL_RANK"] for e in environments]
    assert [e["RANK"] for e in environments] == ["0", "1", "2"]
    assert {e["WORLD_SIZE"] for e in environments} == {"3"}
    assert {e["MASTER_ADDR"] for e in environments} == {"127.0.0.1"}
    (port,) = {e["MASTER_PORT"] for e in environments}
    assert 0 < int(port) < 65536
    crew.kill()
    assert not crew.is_running()


def test_a_configuration_of_accelerate_is_handed_on(started: list[Any], tmp_path: Path) -> None:
    config = tmp_path / "fsdp.yaml"
    config.write_text("distributed_type: FSDP\n")
    Crew.through_accelerate(["python", "-m", "workers.member", "7", "1", "folder"], 4, config)
    ((command, environment),) = started
    assert command[1:3] == ["-m", "accelerate.commands.launch"]
    assert command[command.index("--config_file") + 1] == str(config)
    assert command[command.index("--num_processes") + 1] == "4"
    assert command[-5:] == ["-m", "workers.member", "7", "1", "folder"]
    assert "RANK" not in environment
    with pytest.raises(EnvironmentProblem, match="there is no such file"):
        Crew.through_accelerate(["python"], 2, tmp_path / "none.yaml")


def test_the_first_process_speaks_for_the_run(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    assert notes.result() is None
    notes.end(1, {})
    notes.end(0, {"ended": "done", "step": 3})
    assert notes.result() == {"ended": "done", "step": 3}


def test_a_sentence_of_ours_counts_for_more_than_what_followed_from_it(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.fail(0, "The work failed unexpectedly (connection reset).", foreseen=False)
    assert notes.problem([1, 1]).startswith("Process 2 of the run's 2 ended with 1")
    assert notes.problem([1, 137]).startswith("Process 2 of the run's 2 was killed by signal 9")
    notes.fail(1, "The loss became nan.", foreseen=True)
    assert notes.problem([1, 1]) == "The loss became nan."
    assert notes.result() is None
