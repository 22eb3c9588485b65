"""What decides what a company's numbers mean, its input files included."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from pipeline.company import Company


def settings_of(company: Company) -> dict[str, Any]:
    """All settings that decide what a company's numbers mean; of an input file a digest of what it holds."""
    files = {name: path for name, path in company.inputs if path is not None}
    return company.definitions() | {f"inputs: {name}": _held(path) for name, path in files.items()}


def _held(path: Path) -> str:
    """A digest; a file that cannot be read holds nothing, and says so where it is needed."""
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except FileNotFoundError:
        return "missing"
    except OSError:
        return "unreadable"
