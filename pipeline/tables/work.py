"""What syncing knows of itself: sources, cursors, runs, findings, quarantine, and what must not come back."""

from __future__ import annotations

from typing import Annotated

from sqlalchemy import Index, Integer
from sqlmodel import Field, SQLModel

from pipeline.columns import Count, Key, Moment, Real, Reference, SomeFlag, SomeMoment, SomeText, Words
from pipeline.tables.base import Row


class SourceState(Row, table=True):
    """What a CRM showed us at the start of the last sync. Grain: company and CRM. JSON: ``links`` table -> URL with
    {id}; ``fields`` table -> column -> state; ``history`` deal fields whose past it keeps; ``notes`` lines."""

    __tablename__ = "sources"
    home_currency: SomeText
    links: SomeText
    fields: SomeText
    history: SomeText
    notes: SomeText
    fingerprint: SomeText
    refreshed_at: SomeMoment
    complete_at: Moment  # when a pass last read every stream to its end; null: never under this mapping
    computed_for: Words  # what the tables for BI tools were computed from; null: they are older than the rows
    privacy: Words  # how the stored people are kept: full, none, or hashed:<digest of the key>; null: full


class StreamCursor(Row, table=True):
    """Where reading goes on. Grain: one stream. Written with the page it belongs to; ``complete``: the pass ended."""

    __tablename__ = "cursors"
    stream: Key
    cursor: SomeText
    complete: SomeFlag
    updated_at: SomeMoment


class Run(SQLModel, table=True):
    """What each sync did. Grain: one stream in one pass. ``status``: running, ok, failed, skipped, stopped."""

    __tablename__ = "runs"
    __table_args__ = (Index("runs_by_company", "company", "id"),)
    id: Annotated[int | None, Field(default=None, primary_key=True, sa_type=Integer)]
    company: SomeText
    crm: SomeText
    stream: SomeText
    started_at: SomeMoment
    finished_at: Moment
    status: SomeText
    rows: Count
    changed: Count
    deleted: Count
    quarantined: Count
    requests: Count
    seconds: Real
    error: Words
    remedy: Words


class Finding(Row, table=True):
    """Faults the rules found. Grain: one rule on one record (and its partner, ``''`` for none). Open until
    ``resolved_at``; ``first_seen`` and ``last_seen`` are our clock."""

    __tablename__ = "findings"
    rule: Key
    object: Key
    external_id: Key
    other_id: Key
    owner_id: Reference
    severity: SomeText
    message: SomeText
    first_seen: SomeMoment
    last_seen: SomeMoment
    resolved_at: Moment


class Quarantined(Row, table=True):
    """Values and records set aside because they do not parse. Grain: one cell; a record without an id is told
    apart by ``digest`` (of its raw text). A later clean delivery of the record removes the row."""

    __tablename__ = "quarantine"
    table: Key
    external_id: Key
    field: Key
    digest: Key
    raw: Words
    reason: Words
    first_seen: SomeMoment
    last_seen: SomeMoment


class Forgotten(Row, table=True):
    """Records that must not come back. Grain: one record of one table; the CRM may still hold it, we do not."""

    __tablename__ = "forgotten"
    table: Key
    external_id: Key
    forgotten_at: SomeMoment


class Erasure(SQLModel, table=True):
    """Tables from which rows were removed whose bytes the database's files still hold. Grain: one table. Written with
    the removal; the next sync or ``boardline forget`` takes the bytes out and the row with them."""

    __tablename__ = "erasures"
    table: Key
    due_since: SomeMoment
