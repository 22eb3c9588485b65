"""Units are found by name: a module in the right folder holding the right constant is all it takes."""

from __future__ import annotations

import importlib
import pkgutil
from functools import cache
from typing import Any, cast

from connectors.destination import DestinationType
from connectors.errors import ConfigurationError
from connectors.source import SourceType


def names(package: str) -> list[str]:
    """The units below ``package``, without importing them."""
    root = importlib.import_module(package)
    return sorted(module.name for module in pkgutil.iter_modules(root.__path__))


@cache
def units(package: str, constant: str) -> dict[str, Any]:
    """Every unit below ``package``: module name -> its constant, in the order of the names."""
    return {name: getattr(importlib.import_module(f"{package}.{name}"), constant) for name in names(package)}


def source(name: str) -> SourceType:
    """The source of that name; ``ConfigurationError`` lists what there is."""
    return cast(SourceType, _find("connectors.sources", "SOURCE", name, "crm.type"))


def destination(name: str) -> DestinationType:
    """The destination of that name; ``ConfigurationError`` lists what there is."""
    return cast(DestinationType, _find("connectors.destinations", "DESTINATION", name, "destination type"))


def _find(package: str, constant: str, name: str, what: str) -> Any:
    known = names(package)
    if name not in known:
        raise ConfigurationError(f"{what}: there is no {name!r}; known are {', '.join(known)}")
    return getattr(importlib.import_module(f"{package}.{name}"), constant)
