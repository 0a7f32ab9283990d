"""How the app starts: no open door, a taken port is a sentence, every setting is told."""

from __future__ import annotations

import socket
from contextlib import closing
from pathlib import Path

import pytest

from app import main as app_main
from app.main import create_app
from backend.errors import ConfigError
from backend.services.studio import open_studio
from backend.settings import ROOT, read_settings, settings, table
from tests.terminal import palate


def test_a_port_in_use_is_a_sentence_and_exit_code_1(
    home: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        monkeypatch.setenv("PALATE_PORT", port)
        settings.cache_clear()
        assert app_main.serve() == 1
    settings.cache_clear()
    said = capsys.readouterr().err
    assert f"Port {port}" in said and "PALATE_PORT" in said and "Traceback" not in said


def test_a_host_that_others_can_reach_is_refused_unless_said_twice(tmp_path: Path) -> None:
    for host in ("0.0.0.0", "192.168.1.5", "studio.example"):
        with pytest.raises(ConfigError, match="PALATE_INSECURE_BIND"):
            read_settings(home=tmp_path, host=host).refuse_open_bind(False)
        read_settings(home=tmp_path, host=host).refuse_open_bind(True)
        read_settings(home=tmp_path, host=host, insecure_bind=True).refuse_open_bind(False)
    for host in ("127.0.0.1", "localhost", "::1", "127.0.0.2"):
        read_settings(home=tmp_path, host=host).refuse_open_bind(False)


def test_the_app_opens_to_others_once_the_command_line_has_added_somebody(home: Path) -> None:
    wide = {"PALATE_HOST": "0.0.0.0"}
    reached = read_settings(home=home, host="0.0.0.0")
    with closing(open_studio(reached, migrate=True)) as studio:
        with pytest.raises(ConfigError, match="palate user add NAME --role admin"):
            create_app(studio)
        words = ("user", "add", "Ada", "--role", "admin")
        weak = palate(*words, given="short\n", home=home, **wide)
        assert weak.code == 1 and "10 to 500 characters" in weak.stderr
        added = palate(*words, given="four odd words do\n", home=home, **wide)
        assert added.code == 0 and "Added Ada (admin)" in added.stdout
        asked = ("user", "invite", "--address", "https://studio.example")
        link = palate(*asked, home=home, **wide)
        assert link.stdout.startswith("https://studio.example/join/")
        assert create_app(studio).title == "Palate"


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
