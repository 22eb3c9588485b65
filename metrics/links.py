"""Evidence as it is handed on: each record with the address at which the CRM shows it."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from metrics.evidence import Record
from metrics.render.safe import record_url


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
