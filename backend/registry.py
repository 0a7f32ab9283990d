"""A folder is a registry: the file name is the key in forms, recipes, tables and help.

`methods.get("flow-grpo")` imports `backend/methods/flow_grpo.py`. Files that begin with an
underscore and the names in `hidden` are helpers, not entries.
"""

from __future__ import annotations

import difflib
import importlib
import pkgutil
from types import ModuleType

from backend.errors import ConfigError


class Registry:
    """The modules of one package, looked up by their dashed file name."""

    def __init__(self, package: str, noun: str, hidden: frozenset[str] = frozenset()) -> None:
        self.package, self.noun, self.hidden = package, noun, hidden

    def names(self) -> list[str]:
        """All keys, sorted; imports the package but none of its entries."""
        path = importlib.import_module(self.package).__path__
        found = (module.name for module in pkgutil.iter_modules(path) if not module.ispkg)
        return sorted(
            name.replace("_", "-")
            for name in found
            if not name.startswith("_") and name not in self.hidden
        )

    def get(self, name: str) -> ModuleType:
        """The module behind `name`; raises ConfigError with the nearest name if there is none."""
        if name not in self.names():
            near = difflib.get_close_matches(name, self.names(), n=1)
            hint = f"did you mean '{near[0]}'?" if near else f"known: {', '.join(self.names())}."
            raise ConfigError(f"There is no {self.noun} '{name}'; {hint}", field=self.noun)
        return importlib.import_module(f"{self.package}.{name.replace('-', '_')}")


methods = Registry("backend.methods", "method")
policies = Registry("backend.policies", "policy")
rewards = Registry("backend.rewards", "reward", hidden=frozenset({"compose", "learn", "interface"}))
choosers = Registry("backend.preferences.choosers", "chooser")
