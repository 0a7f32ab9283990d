"""All settings of the studio as a machine runs it: environment variables and a `.env` file.

`python -m backend.settings` prints them as one table. Settings of a run live in its config, not
here.
"""

from __future__ import annotations

import difflib
import functools
import ipaddress
import os
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from dotenv import dotenv_values
from pydantic import Field, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from backend.errors import ConfigError

ROOT = Path(__file__).resolve().parent.parent
"""The folder that holds app, backend, workers, db and static."""
PREFIX = "PALATE_"
OTHERS = ("PALATE_SUPERVISOR", "PALATE_PYTHON", "PALATE_CHROMIUM", "PALATE_TEST_DATABASE_URL")
"""Variables that are no settings: the supervisor's own mark, and those of scripts and tests."""


class Settings(BaseSettings):
    """Read from `PALATE_*` in the environment, then from `.env` in the root folder."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX,
        env_file=ROOT / ".env",
        env_file_encoding="utf-8",
        env_ignore_empty=True,
        extra="ignore",
        frozen=True,
        use_attribute_docstrings=True,
    )

    home: Path = Path(".palate")
    """The data folder: database, media, Redis' address, logs. Relative means under the root
    folder."""
    host: str = "127.0.0.1"
    """The address the app listens on. Anything but loopback is refused while nobody can sign
    in."""
    port: int = Field(7860, ge=1, le=65535)
    """The port the app listens on."""
    database_url: str = ""
    """Where the store is: sqlite:////folder/file.db or postgresql://user:password@host/database.
    Empty: palate.db in the data folder."""
    redis_url: str = ""
    """Redis for the queues: redis://, rediss:// or unix:///path. Empty: the studio starts its
    own."""
    media_url: str = ""
    """Where pictures and weights are kept, an fsspec URL: file:///folder or s3://bucket/prefix.
    Empty: the folder media in the data folder."""
    threads: int = Field(0, ge=0)
    """Threads of each model worker. 0: shared out among the workers by the number of cores."""
    accelerate_config: str = ""
    """A file that 'accelerate config' wrote: 'accelerate launch' then starts the processes of a run
    as it says. Empty: one process a GPU, or several on the CPU."""
    insecure_bind: bool = False
    """1 allows a host that is not loopback although nobody can sign in: only for a container whose
    authenticating proxy is the one way to reach it."""
    allowed_hosts: str = ""
    """Further names, comma-separated, under which the studio may be reached (behind a proxy)."""
    trusted_proxies: str = "127.0.0.1"
    """Addresses, comma-separated, whose X-Forwarded-For and X-Forwarded-Proto are believed."""
    sign_in: Literal["auto", "always", "never"] = "auto"
    """Whether people must sign in. auto: as soon as there is an account; never: only on
    loopback."""
    password_mb: int = Field(64, ge=1, le=1024)
    """Memory in MB that checking one password takes (Argon2id)."""
    oidc_issuer: str = ""
    """The OpenID Connect provider people may sign in with, such as https://id.example/realm."""
    oidc_client_id: str = ""
    """The studio's name at that provider."""
    oidc_client_secret: str = Field("", repr=False)
    """The studio's secret at that provider."""
    oidc_role: Literal["", "annotator", "researcher"] = ""
    """Role of whom the provider knows and nobody invited. Empty: only who is invited comes in."""
    judge_key: str = Field("", repr=False)
    """The key with which judges on a server are asked; empty: without one."""

    @model_validator(mode="before")
    @classmethod
    def _fill(cls, data: dict[str, object]) -> dict[str, object]:
        """Write out the defaults that follow from the data folder."""
        home = Path(str(data.get("home") or ".palate")).expanduser()
        home = home if home.is_absolute() else ROOT / home
        filled = {**data, "home": home}
        filled["database_url"] = data.get("database_url") or f"sqlite:///{home / 'palate.db'}"
        filled["media_url"] = data.get("media_url") or f"file://{home / 'media'}"
        return filled

    @property
    def redis_address(self) -> str:
        """The URL of Redis: the one set, else the one the supervisor wrote down; empty if
        neither."""
        if self.redis_url:
            return self.redis_url
        try:
            return (self.home / "redis.url").read_text(encoding="utf-8").strip()
        except OSError:
            return ""

    def is_loopback(self) -> bool:
        """Whether `host` can be reached from this machine only."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def asks_provider(self) -> bool:
        """Whether people may sign in with an OpenID Connect provider."""
        return bool(self.oidc_issuer and self.oidc_client_id)

    def refuse_open_bind(self, has_accounts: bool) -> None:
        """Raise unless the studio stays on this machine, people sign in, or somebody else guards
        the door."""
        self._refuse_half_a_provider()
        if self.is_loopback() or self.insecure_bind:
            return
        if self.sign_in == "never":
            raise ConfigError(
                f"PALATE_HOST is '{self.host}', which other machines can reach, and PALATE_SIGN_IN "
                "is 'never'; set PALATE_SIGN_IN=auto, or PALATE_HOST=127.0.0.1.",
                field="sign_in",
            )
        if not has_accounts:
            raise ConfigError(
                f"PALATE_HOST is '{self.host}', which other machines can reach, but nobody can "
                "sign in yet; add the first person with 'palate user add NAME --role admin', or "
                "set PALATE_HOST=127.0.0.1 (PALATE_INSECURE_BIND=1 if an authenticating proxy is "
                "the only way to the studio).",
                field="host",
            )

    def _refuse_half_a_provider(self) -> None:
        issuer = urlsplit(self.oidc_issuer)
        if bool(self.oidc_issuer) != bool(self.oidc_client_id):
            raise ConfigError(
                "PALATE_OIDC_ISSUER and PALATE_OIDC_CLIENT_ID belong together, but only one of "
                "them is set; set both or neither.",
                field="oidc_issuer",
            )
        loopback = issuer.hostname in ("localhost", "127.0.0.1", "::1")
        if self.oidc_issuer and issuer.scheme != "https" and not loopback:
            raise ConfigError(
                f"PALATE_OIDC_ISSUER is '{self.oidc_issuer}'; a provider is asked by https alone.",
                field="oidc_issuer",
            )


@functools.cache
def settings() -> Settings:
    """The settings of this process, read once."""
    return read_settings()


def read_settings(**given: object) -> Settings:
    """Settings from the environment with `given` on top; a fault is a `ConfigError` that names
    it."""
    _refuse_unknown()
    try:
        return Settings(**given)  # type: ignore[arg-type]
    except ValidationError as error:
        faults = [
            f"PALATE_{str(fault['loc'][0]).upper()} was given {fault.get('input')!r}: "
            f"{fault['msg'].lower()}."
            for fault in error.errors()
        ]
        raise ConfigError(" ".join(faults)) from None


def _refuse_unknown() -> None:
    """Raise for a variable that looks like a setting and is none: a typing error is not silence."""
    known = [f"{PREFIX}{name.upper()}" for name in Settings.model_fields]
    for name in (*os.environ, *dotenv_values(ROOT / ".env")):
        if name.upper().startswith(PREFIX) and name.upper() not in (*known, *OTHERS):
            near = difflib.get_close_matches(name.upper(), known, 1)
            hint = f"did you mean {near[0]}?" if near else "docs/deploy.md lists those there are."
            raise ConfigError(f"There is no setting {name}; {hint}")


def table() -> list[tuple[str, str, str]]:
    """Every setting as (variable, default, meaning), in the order of the class."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.default
        shown = str(int(default)) if isinstance(default, bool) else str(default)
        rows.append((f"PALATE_{name.upper()}", shown, " ".join((field.description or "").split())))
    return rows


if __name__ == "__main__":
    for variable, default, meaning in table():
        print(f"{variable:26} {default or '(empty)':12} {meaning}")  # noqa: T201
