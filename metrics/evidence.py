"""The records behind a number or a sentence, as plain data with their links."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from metrics.render.safe import record_url


@dataclass(frozen=True)
class Record:
    """One record. ``contribution`` in the unit of what it stands behind; ``url``: where the CRM shows it."""

    object: str
    external_id: str
    name: str
    contribution: float | None
    note: str
    url: str | None = None


def records(rows: pl.DataFrame, links: Mapping[str, str], shown: int) -> tuple[Record, ...]:
    """The first rows of a frame in schema ``EVIDENCE``. ``links``: table -> address of its records with {id}."""
    return tuple(
        Record(
            object=row["object"] or "",
            external_id=row["external_id"] or "",
            name=row["name"] or "",
            contribution=row["contribution"],
            note=row["note"] or "",
            url=record_url(links.get(row["object"] or ""), row["external_id"] or ""),
        )
        for row in rows.head(shown).iter_rows(named=True)
    )
