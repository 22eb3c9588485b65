"""A record behind a number or a sentence, as plain data with its link."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Record:
    """One record. ``contribution`` in the unit of what it stands behind; ``url``: where the CRM shows it."""

    object: str
    external_id: str
    name: str
    contribution: float | None
    note: str
    url: str | None = None
