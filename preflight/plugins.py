"""Finding the plugins: one module each, ending in one constant."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def load(package: ModuleType, module: str, constant: str) -> Any:
    """The plugin that `module` of `package` is: its `constant`."""
    return getattr(importlib.import_module(f"{package.__name__}.{module}"), constant)


def collect(package: ModuleType, constant: str) -> tuple[Any, ...]:
    """All plugins of `package`, ordered by module name: the `constant` of every module that has it.

    A module whose name begins with an underscore is a helper of its neighbours and is not looked at.
    """
    found = []
    for info in sorted(pkgutil.iter_modules(package.__path__), key=lambda info: info.name):
        if not info.name.startswith("_"):
            module = importlib.import_module(f"{package.__name__}.{info.name}")
            if hasattr(module, constant):
                found.append(getattr(module, constant))
    return tuple(found)
