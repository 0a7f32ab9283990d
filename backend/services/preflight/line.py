"""One check of a preflight, and the changes that help it."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

Fix = dict[str, Any]
"""{text} and one of: changes {path: value} of the config, url, post {path, body} whose answer is
{changes}, or probe: the kind of probe that would tell."""


@dataclass(frozen=True)
class Line:
    """One check; `status` is pass, warn or fail, and a fail has a `fix` that makes it pass."""

    name: str
    value: str
    status: str = "pass"
    reason: str = ""
    fix: Fix | None = None

    def plain(self) -> dict[str, Any]:
        """As the API gives it."""
        return {
            "name": self.name,
            "value": self.value,
            "status": self.status,
            "reason": self.reason,
            "fix": self.fix,
        }


def changing(text: str, **changes: Any) -> Fix:
    """A fix that lays changes over the config; a dot in a path is written `__`."""
    return {"text": text, "changes": {path.replace("__", "."): v for path, v in changes.items()}}


def amount(num_bytes: float) -> str:
    """12.3 GB, 640 MB."""
    return f"{num_bytes / 1e9:.1f} GB" if num_bytes >= 1e9 else f"{num_bytes / 1e6:.0f} MB"


def between(low: float, high: float) -> str:
    """0.6–1.3 GB, 550–790 MB."""
    if high >= 1e9:
        return f"{low / 1e9:.1f}–{high / 1e9:.1f} GB"
    return f"{low / 1e6:.0f}–{high / 1e6:.0f} MB"


def listed(names: Iterable[str]) -> str:
    """'a', 'b' and 'c'."""
    quoted = [f"'{name}'" for name in names]
    return (
        " and ".join([", ".join(quoted[:-1]), quoted[-1]]) if len(quoted) > 1 else "".join(quoted)
    )
