"""What decides what a company's numbers mean, its input files included."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from pipeline.company import Company, Settings
from pipeline.records import SourceInfo

_FIELDS: Final = "fields: "


def settings_of(company: Company, info: SourceInfo | None = None) -> dict[str, Any]:
    """All settings that decide what a company's numbers mean.

    Of an input file a digest of what it holds; with ``info`` also the CRM field that each stored column was read from
    (``fields: deals.arr``: ``ARR__c``).
    """
    files = {name: path for name, path in company.inputs if path is not None}
    read = info.fields if info is not None else {}
    return (
        company.definitions()
        | {f"inputs: {name}": _held(path) for name, path in files.items()}
        | {
            f"{_FIELDS}{table}.{column}": state.crm_field
            for table, columns in sorted(read.items())
            for column, state in sorted(columns.items())
            if state.state == "mapped" and state.crm_field is not None
        }
    )


def other_settings(then: Mapping[str, Any], now: Mapping[str, Any]) -> tuple[str, ...]:
    """The settings of two ``settings_of`` that differ.

    A setting that did not exist then was what its default is now; CRM fields count only where both tell of them.
    """
    before = dict(then)
    for key, default in Company().definitions().items():
        own = then.get(key, default)
        parts = isinstance(getattr(Company(), key), Settings) and isinstance(own, dict)
        before[key] = {**default, **own} if parts else own
    told = all(any(key.startswith(_FIELDS) for key in one) for one in (then, now))
    keys = (key for key in sorted({*before, *now}) if told or not key.startswith(_FIELDS))
    return tuple(key for key in keys if before.get(key) != now.get(key))


def _held(path: Path) -> str:
    """A digest; a file that cannot be read holds nothing, and says so where it is needed."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
