"""What a CRM looks like to the pipeline: streams that yield pages of canonical frames.

A source is a module ``connectors.sources.<name>`` with one frozen constant ``SOURCE: SourceType``.
The pipeline opens it with ``SourceSettings``, asks what is visible, and reads stream by stream. A stream
is a unit of reading with one cursor; it may fill several tables (HubSpot's deals carry their history).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal, Protocol

import polars as pl

from connectors.retry import RetryPolicy
from connectors.schema import REJECTS, TOMBSTONES

Cursor = Mapping[str, Any]  # opaque to the pipeline, JSON-able, stored with the page it belongs to


@dataclass(frozen=True)
class SourceSettings:
    """How to reach one company's CRM, and how its fields map to ours.

    ``fields``: canonical table -> canonical column -> the CRM's field name (only what differs from the
    source's standard mapping). ``custom``: table -> our name -> the CRM's field, delivered in ``custom``.
    ``auth`` holds secrets already resolved; its repr is masked.
    """

    company: str
    url: str
    auth: Mapping[str, str] = field(repr=False)
    ca_bundle: str | None = None
    fields: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    custom: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    timezone: str = "UTC"
    home_currency: str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    contracts: Literal["contract", "cpq"] | None = None  # where ARR is read from these, they are read
    retry: RetryPolicy = field(default_factory=RetryPolicy)
    timeout: tuple[float, float] = (10.0, 120.0)  # connect, read, in seconds


@dataclass(frozen=True)
class FieldState:
    """Whether one canonical column can be measured in this CRM.

    ``mapped`` and visible; ``hidden``: configured or standard but not visible to us (absent or withheld by
    permissions); ``unmapped``: this company has named no field for it and the CRM has no standard one.
    """

    state: Literal["mapped", "hidden", "unmapped"]
    crm_field: str | None = None
    remedy: str | None = None


@dataclass(frozen=True)
class Capabilities:
    """What this CRM shows us, discovered at the start of every run."""

    home_currency: str
    fields: Mapping[str, Mapping[str, FieldState]]  # table -> column -> state
    links: Mapping[str, str]  # table -> URL with {id}
    history: frozenset[str]  # deal fields whose past the CRM keeps, e.g. {"stage", "amount"}
    notes: tuple[str, ...] = ()  # one line each, for `check`
    versions: int | None = None  # of a field of one deal that the CRM keeps, the newest; None: all of them
    records: Mapping[str, int] = field(default_factory=dict)  # stream -> records, where cheaply known


@dataclass(frozen=True)
class Stream:
    """One unit of reading: its name, the tables it fills, and whether a CRM may lack it."""

    name: str
    tables: tuple[str, ...]
    optional: bool = False


@dataclass(frozen=True)
class Page:
    """Some rows and the place to go on from.

    ``frames``: table -> frame in the canonical schema. ``live_ids``: given on the last page of a
    complete listing: table -> every id the CRM still has; stored rows that are missing are gone.
    ``deal_changes`` frames always hold the whole CRM history of each deal they name.
    ``stages`` and ``exchange_rates`` frames always hold the whole table: what they lack is gone.
    ``cursor`` is safe to store once the page is durable; ``last`` ends the pass.
    """

    frames: Mapping[str, pl.DataFrame]
    cursor: Cursor
    last: bool
    tombstones: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TOMBSTONES))
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTS))
    live_ids: Mapping[str, pl.Series] | None = None
    total: int | None = None  # records this pass will deliver in all, where known: for progress


class Source(Protocol):
    """An open connection to one CRM. Raises only errors of ``connectors.errors``."""

    name: str
    requests: int  # HTTP requests sent so far

    def streams(self) -> tuple[Stream, ...]:
        """In the order in which they must be read: owners and stages before deals."""
        ...

    def capabilities(self) -> Capabilities:
        """Discover what is visible (cached for this connection)."""
        ...

    def read(self, stream: Stream, cursor: Cursor | None, since: datetime | None = None) -> Iterator[Page]:
        """Pages from ``cursor`` on; ``None`` reads everything; ``since`` re-reads what changed from then on.

        A cursor from the middle of a pass resumes it; one from its end starts the next increment. At
        least one page comes, the last one marked ``last``. Raises ``StreamUnavailable`` for an optional
        object that is not there.
        """
        ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Reference:
    """What a CRM's ``auth`` and ``options`` take, for the documentation.

    ``flows``: sign-in flow -> its keys -> what they are. ``options``: option -> what it does, and its default.
    """

    flows: Mapping[str, Mapping[str, str]]
    options: Mapping[str, tuple[str, str]]


class SourceType(Protocol):
    """The constant ``SOURCE`` of a source module."""

    name: str
    title: str

    @property
    def reference(self) -> Reference:
        """The settings that this CRM takes."""
        ...

    def open(self, settings: SourceSettings) -> Source:
        """Validate the settings and build the connection; no network yet.

        Raises ``ConfigurationError`` naming the setting that is wrong.
        """
        ...

    def parse(
        self, table: str, column: str, raw: pl.Series, currency: pl.Series, timezone: str
    ) -> pl.Series | None:
        """Texts as the CRM wrote them for one canonical column, typed as a page would have them; null: unreadable.

        ``currency``: an ISO code for each (of amounts). None: only the CRM itself can tell how they are meant.
        """
        ...
