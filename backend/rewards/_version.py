"""Which reward exactly: a hash of its code, its weights and its settings.

Two values may be compared, and one may stand for the other in a cache, only if their rewards have
the same version. Code counts without comments, docstrings, layout and declarations: the module of
the kind and all modules of this project that it imports, but for the plumbing that every reward
shares. Weights count by content: a setting that is the hash of a stored file, or what the kind's
own `fingerprint(config)` says of files elsewhere.
"""

from __future__ import annotations

import ast
import hashlib
import importlib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Final

from backend.config import Config
from backend.registry import rewards

PLUMBING: Final = frozenset(
    {
        "backend.config",
        "backend.errors",
        "backend.registry",
        "backend.rewards._contract",
        "backend.rewards._traits",
        "backend.rewards._version",
        "backend.rewards.interface",
    }
)
"""Modules that hand values on and make none."""
DECLARED: Final = frozenset({"TITLE", "SUMMARY", "SOURCE", "RANGE", "TRAITS"})
"""What a kind says of itself: a word put better there is no other reward."""


def version(kind: str, config: Config) -> str:
    """The version of a kind of reward under these settings, 16 hexadecimal digits."""
    module = rewards.get(kind)
    weights = getattr(module, "fingerprint", lambda _config: "")(config)
    handling: frozenset[str] = getattr(config, "HANDLING", frozenset())
    plain = {name: value for name, value in config.plain().items() if name not in handling}
    judge = plain.get("judge")
    if judge in rewards.names() and "judge_config" in plain:
        settings = rewards.get(judge).Config.read(plain.pop("judge_config"))
        weights += version(judge, settings)
    said = [code(module.__name__), json.dumps(plain, sort_keys=True), weights]
    return hashlib.sha256("\n".join(said).encode()).hexdigest()[:16]


@lru_cache
def code(module: str) -> str:
    """A hash of what a module and all it imports of this project do."""
    found: dict[str, str] = {}
    waiting = [module]
    while waiting:
        name = waiting.pop()
        path = _source(name)
        if name in found or name in PLUMBING or path is None:
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        waiting += [other for other in _imported(tree) if other.startswith("backend.")]
        found[name] = ast.dump(_bare(tree))
    whole = "\n".join(f"{name} {found[name]}" for name in sorted(found))
    return hashlib.sha256(whole.encode()).hexdigest()


def _source(name: str) -> Path | None:
    """The file of a module; None for what is no module, as a function's name."""
    try:
        spec = importlib.util.find_spec(name)
    except ModuleNotFoundError:
        return None
    return Path(spec.origin) if spec and spec.origin else None


def _imported(tree: ast.Module) -> list[str]:
    """Everything that is imported anywhere in a module; "from a import b" may mean a.b."""
    names: list[str] = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    return names


def _bare(tree: ast.Module) -> ast.Module:
    """The tree without docstrings and declarations: strings that stand alone do nothing."""
    tree.body = [line for line in tree.body if not _declares(line)]
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            node.body = [line for line in body if not _is_text(line)]  # type: ignore[attr-defined]
    return tree


def _declares(line: ast.stmt) -> bool:
    named = line.targets if isinstance(line, ast.Assign) else []
    return bool(named) and all(isinstance(n, ast.Name) and n.id in DECLARED for n in named)


def _is_text(line: ast.stmt) -> bool:
    alone = isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)
    return alone and isinstance(line.value.value, str)  # type: ignore[attr-defined]
