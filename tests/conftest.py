"""What the tests stand on: real stores (SQLite and PostgreSQL), a real Redis, a whole running
studio.
"""

from __future__ import annotations

import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from redis import Redis
from sqlalchemy.engine import make_url

import db
from backend.services.studio import Studio, open_studio
from backend.settings import Settings, read_settings
from tests import postgres
from workers.redis_server import RedisServer

# Waiting threads must not burn the cores that others compute on; read when torch is loaded.
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")

ROOT = Path(__file__).resolve().parent.parent

# Some hundred processes are started, and each would compile all it imports anew.
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
for name in [name for name in os.environ if name.startswith("PALATE_")]:
    if name != postgres.GIVEN_URL:  # a developer's own settings must not leak into the tests
        del os.environ[name]
os.environ.update(
    PALATE_HOME=str(Path(tempfile.gettempdir()) / f"palate-tests-{os.getpid()}" / "home"),
    PALATE_PASSWORD_MB="1",
    HF_HUB_OFFLINE="1",
    GRADIO_ANALYTICS_ENABLED="False",
)


# --- stores ---------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def postgres_url() -> Iterator[str]:
    """A real PostgreSQL server for the whole session; SQLAlchemy's URL of its first database."""
    given = os.environ.get(postgres.GIVEN_URL)
    if given:
        yield given
        return
    binaries = postgres.find_binaries()
    if binaries is None:
        if os.environ.get("CI"):
            pytest.fail(postgres.NOT_FOUND)
        pytest.skip(postgres.NOT_FOUND)
    server = postgres.start(binaries)
    yield server.url()
    server.stop()


@pytest.fixture(scope="session")
def _migrated_postgres(postgres_url: str) -> str:
    """The name of a migrated database that every test's own database is a copy of."""
    name = f"palate_template_{uuid.uuid4().hex[:8]}"
    postgres.create_database(postgres_url, name)
    db.migrate(_named(postgres_url, name))
    return name


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("template") / "palate.db"
    db.migrate(f"sqlite:///{path}")
    return path


@pytest.fixture(scope="session")
def _spare_postgres() -> list[str]:
    """Databases that tests have done with, emptied."""
    return []


@pytest.fixture(params=["sqlite", "postgresql"])
def database_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """The URL of an empty, migrated database; the test runs once for each kind of store."""
    if request.param == "sqlite" or os.environ.get(postgres.GIVEN_URL):
        with empty_database(request, tmp_path) as url:
            yield url
        return
    # On a server of our own we may do all that emptying a database takes.
    spare: list[str] = request.getfixturevalue("_spare_postgres")
    url = spare.pop() if spare else _new_postgres(request)
    yield url
    postgres.wipe(url)
    spare.append(url)


@contextmanager
def empty_database(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    """An empty, migrated database of the kind that the fixture's parameter names."""
    if request.param == "sqlite":
        path = folder / "palate.db"
        shutil.copy(request.getfixturevalue("_migrated_sqlite"), path)
        yield f"sqlite:///{path}"
        return
    url = _new_postgres(request)
    yield url
    postgres.drop_database(request.getfixturevalue("postgres_url"), make_url(url).database or "")


def _new_postgres(request: pytest.FixtureRequest) -> str:
    """The URL of a new database like the migrated one."""
    server = request.getfixturevalue("postgres_url")
    name = f"palate_{uuid.uuid4().hex[:12]}"
    template = request.getfixturevalue("_migrated_postgres")
    postgres.create_database(server, name, template=template)
    return _named(server, name)


@pytest.fixture
def store(database_url: str) -> Iterator[db.Store]:
    """An empty store with every table, on SQLite and on PostgreSQL."""
    opened = db.Store(database_url)
    yield opened
    opened.dispose()


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty data folder that `PALATE_HOME` names."""
    folder = tmp_path / "home"
    folder.mkdir()
    monkeypatch.setenv("PALATE_HOME", str(folder))
    return folder


@pytest.fixture
def services(database_url: str, home: Path) -> Iterator[Studio]:
    """What the services take: settings, an empty store (both kinds) and an empty media folder."""
    opened = open_studio(read_settings(home=home, database_url=database_url))
    yield opened
    opened.close()


def _named(url: str, database: str) -> str:
    """The same server's URL with another database."""
    changed = make_url(url).set(database=database)
    return changed.render_as_string(hide_password=False)


# --- Redis ----------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A real server on a Unix socket, one for the session."""
    server = RedisServer(tmp_path_factory.mktemp("redis"))
    server.start()
    yield server
    server.stop()


@pytest.fixture
def redis(redis_server: RedisServer) -> Iterator[Redis]:
    """An empty Redis."""
    connection = Redis.from_url(redis_server.url)
    connection.flushall()
    yield connection
    connection.close()


# --- a whole studio -------------------------------------------------------------------------------


@dataclass
class RunningStudio:
    """`palate up` as a process of its own: app, Redis, workers and reconciler."""

    home: Path
    port: int
    environment: dict[str, str] = field(default_factory=dict)
    arguments: tuple[str, ...] = ()
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Where a browser finds it."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def settings(self) -> Settings:
        """The settings it runs with."""
        given = {"home": self.home, "port": self.port}
        if "PALATE_DATABASE_URL" in self.environment:
            given["database_url"] = self.environment["PALATE_DATABASE_URL"]
        return read_settings(**given)

    def open(self) -> Studio:
        """Its store and media, opened from the test's process."""
        return open_studio(self.settings)

    def start(self, seconds: float = 600.0) -> RunningStudio:
        """Start it and wait until a page is served."""
        environment = {**os.environ, **self.environment, "PALATE_HOME": str(self.home)}
        command = [sys.executable, "-m", "workers.cli", "up", "--port", str(self.port)]
        with (self.home.parent / f"{self.home.name}.log").open("ab") as output:
            self.process = subprocess.Popen(
                [*command, *self.arguments], cwd=ROOT, env=environment, stdout=output, stderr=output
            )
        until = time.monotonic() + seconds
        while not self.answers():
            if self.process.poll() is not None or time.monotonic() > until:
                self.stop()
                raise RuntimeError(f"The studio did not start:\n{self.log()[-3000:]}")
            time.sleep(0.1)
        return self

    def answers(self) -> bool:
        """Whether `/healthz` answers."""
        try:
            with urllib.request.urlopen(f"{self.url}/healthz", timeout=2) as response:
                return bool(response.status == 200)
        except (OSError, urllib.error.URLError):
            return False

    def log(self) -> str:
        """Everything it has said."""
        return (self.home.parent / f"{self.home.name}.log").read_text(errors="replace")

    def stop(self) -> None:
        """As Ctrl-C does."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(60)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


PORTS = range(20_000, 30_000)
"""Below those that a system gives to whoever asks for any: 32768 and more, on macOS 49152."""
_taken: list[socket.socket] = []


def free_port() -> int:
    """A port that nobody listens on, and that no other test is given while this process lives.

    Between choosing a port and listening on it lies the start of a program. UDP and TCP number
    their ports apart, so a UDP socket on the same number says that it is taken.
    """
    for port in random.SystemRandom().sample(PORTS, 200):
        mark = socket.socket(type=socket.SOCK_DGRAM)
        try:
            mark.bind(("127.0.0.1", port))
            with socket.socket() as probe:
                probe.bind(("127.0.0.1", port))
        except OSError:
            mark.close()
            continue
        _taken.append(mark)
        return port
    raise RuntimeError("Of 200 ports none was free.")


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup() -> None:
    """What is drawn without a seed of its own is the same in every run, whatever ran before it in
    this process: which files that are depends on who was faster."""
    random.seed(0)
    if "numpy" in sys.modules:
        sys.modules["numpy"].random.seed(0)
    if "torch" in sys.modules:
        sys.modules["torch"].manual_seed(0)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Browser tests go last: Playwright's loop stays in the main thread once it has started. Of
    them the newcomer's goes first, who finds the studio empty."""
    items.sort(
        key=lambda item: ("browser" in item.path.parts, item.path.name != "test_newcomer.py")
    )
