"""What the store tells about itself: plain data, one class per administrative table."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

import polars as pl

from connectors.source import FieldState
from pipeline.asof import FIELDS

# Tables of which neither the CRM nor we keep a past, though what they say changes.
_WITHOUT_PAST = ("contracts", "subscriptions")
RunStatus = Literal["running", "ok", "failed", "skipped", "stopped"]
DeliveryStatus = Literal["pending", "posted", "unknown", "failed"]


@dataclass(frozen=True)
class SourceInfo:
    """What the company's CRM showed us at ``refreshed_at``.

    ``links``: table -> URL with {id}. ``fields``: table -> column -> state. ``history``: deal fields whose past the
    CRM keeps. ``fingerprint`` stands for how the stored rows were read (``pipeline.mapping.marks``). ``compared``:
    table -> fields whose changes we notice ourselves -> since when. ``computed_for`` stands for the rows and
    definitions that the tables for BI tools were computed from; None: they are older than the rows.
    """

    company: str
    source: str
    home_currency: str
    links: Mapping[str, str]
    fields: Mapping[str, Mapping[str, FieldState]]
    history: frozenset[str]
    notes: tuple[str, ...]
    fingerprint: str
    refreshed_at: datetime
    incomplete: bool = (
        False  # no pass has read every stream to its end yet: the store holds a part of the CRM
    )
    compared: Mapping[str, Mapping[str, datetime]] = field(default_factory=dict)
    computed_for: str | None = None
    complete_at: datetime | None = None  # when a pass last read every stream to its end

    def known(self, as_of: datetime) -> datetime:
        """The last moment up to ``as_of`` that the store can tell of: when the last pass that read everything began.

        What changed while it read it has seen of some records and not of others. Of a pass before the latest one we
        know only when it ended.
        """
        return as_of if self.complete_at is None else min(as_of, self.complete_at, self.refreshed_at)

    def reconstructed(self, table: str, column: str, at: datetime) -> bool:
        """Whether the value of a column at a moment can be told; false where today's has to stand for it."""
        if at >= self.refreshed_at or not self.measurable(table, column):
            return True
        if table not in FIELDS:
            return table not in _WITHOUT_PAST
        if column not in FIELDS[table] or (table == "deals" and column in self.history):
            return True
        since = self.compared.get(table, {}).get(column)
        return since is not None and since <= at

    def measurable(self, table: str, column: str) -> bool:
        """Whether a column can be judged: false where the CRM hides it or the company has no field for it."""
        state = self.state(table, column)
        return state is None or state.state == "mapped"

    def state(self, table: str, column: str) -> FieldState | None:
        """What the CRM, or our own configuration, shows of a column; ``custom`` stands for ``custom.NAME``."""
        states = self.fields.get(table, {})
        return states.get(column) or (states.get("custom") if column.startswith("custom.") else None)

    def link(self, table: str, external_id: str | None) -> str | None:
        """The record's address in the CRM, where the CRM has one; None for what is no record."""
        pattern = self.links.get(table)
        return None if pattern is None or external_id is None else pattern.replace("{id}", external_id)


@dataclass(frozen=True)
class CursorState:
    """Where reading one stream goes on; ``complete``: its last pass came to its end."""

    source: str
    stream: str
    cursor: Mapping[str, Any]
    complete: bool
    updated_at: datetime


@dataclass(frozen=True)
class RunRecord:
    """One stream in one pass. ``seconds`` is null while it runs."""

    id: int
    company: str
    source: str
    stream: str
    started_at: datetime
    finished_at: datetime | None
    status: str
    rows: int
    changed: int
    deleted: int
    quarantined: int
    requests: int
    seconds: float | None
    error: str | None
    remedy: str | None


@dataclass(frozen=True)
class DeliveryRecord:
    """One version of one month's summary for one destination."""

    company: str
    month: str
    destination: str
    version: int
    key: str
    status: str
    content_hash: str
    location: str | None
    created_at: datetime
    posted_at: datetime | None
    error: str | None
    snapshot: str | None = None  # the digest of the numbers handed over


@dataclass(frozen=True)
class KeptSnapshot:
    """A month's numbers that were frozen, whether or not they were posted. ``values`` as in ``metrics.snapshot``."""

    month: str
    digest: str
    known_at: datetime
    taken_at: datetime
    currency: str
    values: pl.DataFrame = field(repr=False)


@dataclass(frozen=True)
class Published:
    """The numbers of a month that were posted last, as they were then. Frames as in ``metrics.snapshot``.

    ``taken_at``: when they were computed, from all that the store had heard by then.
    """

    month: str
    digest: str
    known_at: datetime
    taken_at: datetime
    posted_at: datetime
    currency: str
    definitions: Mapping[str, Any]
    values: pl.DataFrame = field(repr=False)
    evidence: pl.DataFrame = field(repr=False)
