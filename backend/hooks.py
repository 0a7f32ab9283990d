"""Telling another program: which addresses may be told, and one small JSON by POST.

Only https, or http on this machine, so that nothing about a run travels in the open. Redirects are
not followed: an address is what somebody wrote down, not where it may lead. The answer is not read.
"""

from __future__ import annotations

import ipaddress
from typing import Any
from urllib.parse import urlsplit

from backend.errors import ConfigError, EnvironmentProblem

TIMEOUT_S = 10.0
LONGEST = 2000


def check_address(address: str, field: str, what: str = "Alarms cannot be sent to") -> str:
    """The address, if it may be told; ConfigError with the reason otherwise. Empty tells nobody."""
    if not address:
        return ""
    why = _fault(address)
    if why:
        raise ConfigError(
            f"{what} '{address[:120]}': {why}; give an https address, or http on "
            "this machine, such as https://example.org/hook or http://127.0.0.1:9000/hook.",
            field=field,
        )
    return address


def post(address: str, told: dict[str, Any]) -> int:
    """Send `told` as JSON; the status of the answer.

    Raises EnvironmentProblem with a sentence when nobody answered, or not with a 2xx.
    """
    import httpx

    host = urlsplit(address).hostname
    try:
        with httpx.Client(follow_redirects=False, timeout=TIMEOUT_S, trust_env=False) as client:
            status = client.post(address, json=told).status_code
    except (httpx.HTTPError, OSError) as error:
        raise EnvironmentProblem(f"{host} did not answer ({type(error).__name__}).") from error
    if 300 <= status < 400:
        raise EnvironmentProblem(f"{host} wants to send us elsewhere ({status}); not followed.")
    if not 200 <= status < 300:
        raise EnvironmentProblem(f"{host} answered with status {status}.")
    return status


def _fault(address: str) -> str:
    if len(address) > LONGEST or not address.isprintable() or " " in address:
        return "it is too long, or holds blanks or control characters"
    try:
        parts = urlsplit(address)
        host, _port = parts.hostname, parts.port
    except ValueError:
        return "it is no address"
    if parts.scheme not in ("http", "https") or not host:
        return "it is no http or https address"
    if parts.username or parts.password:
        return "it holds a name or a password"
    if parts.scheme == "http" and not _is_here(host):
        return "http to another machine can be read on the way"
    return ""


def _is_here(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
