"""Finding the plugins: one module each, ending in one constant."""

import importlib
import pkgutil
from types import ModuleType
from typing import Any


def load(package: ModuleType, module: str, constant: str) -> Any:
    """The plugin that `module` of `package` is: its `constant`."""
    return getattr(importlib.import_module(f"{package.__name__}.{module}"), constant)


def names(package: ModuleType) -> tuple[str, ...]:
    """The modules of `package` in order, not imported; those that begin with an underscore are helpers and left out."""
    found = (info.name for info in pkgutil.iter_modules(package.__path__))
    return tuple(sorted(name for name in found if not name.startswith("_")))


def collect(package: ModuleType, constant: str) -> tuple[Any, ...]:
    """All plugins of `package`, ordered by module name: the `constant` of every module that has it.

    A module whose name begins with an underscore is a helper of its neighbours and is not looked at.
    """
    modules = [importlib.import_module(f"{package.__name__}.{name}") for name in names(package)]
    return tuple(getattr(module, constant) for module in modules if hasattr(module, constant))
