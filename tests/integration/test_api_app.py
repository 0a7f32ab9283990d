"""The app as a process: no torch, no open door, a taken port is a sentence."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from backend.errors import ConfigError
from backend.settings import ROOT, read_settings, table


def _run(
    *words: str, input: str | None = None, **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *words],
        cwd=ROOT,
        input=input,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_app_starts_without_torch() -> None:
    done = _run("-c", "import sys, app.main; sys.exit('torch' in sys.modules)")
    assert done.returncode == 0, done.stderr


def test_a_port_in_use_is_a_sentence_and_exit_code_1(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = _run("-m", "app.main", PALATE_HOME=str(tmp_path), PALATE_PORT=port)
    assert done.returncode == 1
    assert f"Port {port}" in done.stderr and "PALATE_PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_host_that_others_can_reach_is_refused_unless_said_twice(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "studio.example"):
        with pytest.raises(ConfigError, match="PALATE_INSECURE_BIND"):
            read_settings(home=tmp_path, host=host).refuse_open_bind(False)
        read_settings(home=tmp_path, host=host).refuse_open_bind(True)
        read_settings(home=tmp_path, host=host, insecure_bind=True).refuse_open_bind(False)
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        read_settings(home=tmp_path, host=host).refuse_open_bind(False)


def test_the_app_opens_to_others_once_the_command_line_has_added_somebody(tmp_path: Path) -> None:
    wide = {"PALATE_HOME": str(tmp_path), "PALATE_HOST": "0.0.0.0"}
    code = "import app.main as m; m.create_app()"
    refused = _run("-c", code, **wide)
    assert refused.returncode == 1 and "palate user add NAME --role admin" in refused.stderr
    words = ("-m", "workers.cli", "user", "add", "Ada", "--role", "admin")
    weak = _run(*words, input="short\n", **wide)
    assert weak.returncode == 1 and "10 to 500 characters" in weak.stderr
    added = _run(*words, input="four odd words do\n", **wide)
    assert added.returncode == 0 and "Added Ada (admin)" in added.stdout
    link = _run(
        "-m", "workers.cli", "user", "invite", "--address", "https://studio.example", **wide
    )
    assert link.stdout.startswith("https://studio.example/join/")
    assert _run("-c", code, **wide).returncode == 0


def test_settings_follow_from_the_data_folder(tmp_path: Path) -> None:
    found = read_settings(home=tmp_path)
    assert found.database_url == f"sqlite:///{tmp_path}/palate.db"
    assert found.media_url == f"file://{tmp_path}/media" and found.redis_address == ""
    (tmp_path / "redis.url").write_text("unix:///tmp/x\n")
    assert found.redis_address == "unix:///tmp/x"
    assert read_settings(home="relative").home == ROOT / "relative"


def test_a_bad_setting_names_its_variable(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="PALATE_PORT"):
        read_settings(home=tmp_path, port=70000)


def test_a_variable_that_is_no_setting_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PALATE_PROT", "7861")
    with pytest.raises(ConfigError, match="no setting PALATE_PROT; did you mean PALATE_PORT"):
        read_settings(home=tmp_path)


def test_every_setting_is_documented() -> None:
    told = (ROOT / "docs" / "deploy.md").read_text()
    for name, _default, meaning in table():
        assert meaning and f"| `{name}` |" in told, name
