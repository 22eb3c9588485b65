"""Brings what is stored of people into the configured mode, in the transaction that notes the mode.

Where the store holds all that the new mode needs (full -> hashed, anything -> none) rows, findings and quarantine are
rewritten in bulk. Where it does not (the details, or digests under another key, are wanted) the streams that fill
these tables are read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Final

import polars as pl
from sqlalchemy import delete, select
from sqlalchemy import update as sql_update

from connectors.source import Stream
from pipeline import bulk
from pipeline.bulk import Merge
from pipeline.privacy import PERSONAL, Privacy, change
from pipeline.reader import QUARANTINE
from pipeline.tables import table
from pipeline.transaction import Transaction, quarantine_rows

_REMOVED: Final = "what was said here named a person; privacy.contacts of the configuration withholds it"
_AT_ONCE: Final = 100_000  # rows that are rewritten in one go
_HELD: Final = Merge(("raw", "reason", "first_seen", "last_seen"))


def settle(
    tx: Transaction,
    company: str,
    source: str,
    streams: Sequence[Stream],
    privacy: Privacy,
    now: datetime,
    *,
    fresh: bool = False,
) -> tuple[bool, list[str]]:
    """Bring everything stored of a company into the mode. Returns (rewritten, streams to be read again).

    ``fresh``: nothing of this CRM is stored yet. Rows of a CRM that the company has left cannot be read again: they
    become stricter, never plainer.
    """
    rewritten, again = False, []
    sources = table("sources")
    query = select(sources.c.crm, sources.c.privacy).where(sources.c.company == company)
    for crm, before in tx.connection.execute(query).all():
        due = "nothing" if fresh and crm == source else change(before, privacy)
        if due == "rewrite":
            rewrite(tx, company, crm, privacy, now)
            rewritten = True
        if crm == source and due != "nothing":
            mine = [stream.name for stream in streams if PERSONAL.keys() & set(stream.tables)]
            if due == "reread" or (privacy.mode == "hashed" and _unread(tx, company, crm, mine)):
                again = mine
                _drop_nameless(tx, company, crm)
        if before != privacy.mark and (crm == source or due == "rewrite"):
            tx.note_privacy(company, crm, privacy.mark)
    return rewritten, again


def _unread(tx: Transaction, company: str, crm: str, streams: Sequence[str]) -> bool:
    """Whether an earlier change is still being carried out: digests of another time may lie among the rows."""
    cursors = tx.cursors(company, crm)
    return any(name not in cursors or not cursors[name].complete for name in streams)


def _drop_nameless(tx: Transaction, company: str, crm: str) -> None:
    """Quarantined records without an id are known by their text, which reads otherwise now; they come again."""
    quarantine = table("quarantine")
    mine = (quarantine.c.company == company, quarantine.c.crm == crm, quarantine.c.external_id == "")
    tx.connection.execute(delete(quarantine).where(*mine, quarantine.c.table.in_(list(PERSONAL))))


def rewrite(tx: Transaction, company: str, crm: str, privacy: Privacy, now: datetime) -> None:
    """Take out of rows, findings and quarantine what the mode does not keep."""
    for name, columns in PERSONAL.items():
        rows = tx.columns(name, company, crm, ["external_id", *columns, "custom"])
        for part in rows.iter_slices(_AT_ONCE):
            after = privacy.frame(name, part, again=True)
            differs = pl.any_horizontal(
                pl.col(column).ne_missing(part[column]) for column in (*columns, "custom")
            )
            tx.update(name, company, crm, after.filter(differs), now)
    findings = table("findings")
    tx.connection.execute(
        sql_update(findings)
        .where(findings.c.company == company, findings.c.crm == crm, findings.c.object.in_(list(PERSONAL)))
        .values(message=_REMOVED)
    )
    _quarantine(tx, company, crm, privacy)


def _quarantine(tx: Transaction, company: str, crm: str, privacy: Privacy) -> None:
    """Raw texts; rows without an id are told apart by them, so their keys are made anew."""
    quarantine = table("quarantine")
    whose = {"company": company, "crm": crm}
    held = bulk.read(tx.connection, quarantine, QUARANTINE, whose).filter(
        pl.col("table").is_in(list(PERSONAL))
    )
    tx.connection.execute(
        delete(quarantine).where(
            quarantine.c.company == company, quarantine.c.crm == crm, quarantine.c.table.in_(list(PERSONAL))
        )
    )
    rows = quarantine_rows(privacy.rejects(held))
    seen = held.group_by("table", "external_id", "field", "reason").agg(
        pl.col("first_seen").min(), pl.col("last_seen").max()
    )
    stamped = rows.join(seen, on=["table", "external_id", "field", "reason"], how="left")
    bulk.upsert(
        tx.connection,
        quarantine,
        stamped.select(
            pl.lit(company).alias("company"),
            pl.lit(crm).alias("crm"),
            *rows.columns,
            "first_seen",
            "last_seen",
        ),
        _HELD,
    )
