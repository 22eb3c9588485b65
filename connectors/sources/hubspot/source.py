"""An open connection to one HubSpot portal, as the pipeline sees it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cached_property
from typing import Final

import polars as pl

from connectors.errors import ConfigurationError
from connectors.source import Capabilities, Cursor, Page, Reference, Source, SourceSettings, Stream
from connectors.sources.hubspot import parse
from connectors.sources.hubspot.directory import Directory
from connectors.sources.hubspot.mapping import COLUMNS, ENTERED_LEAD, MERGED_IDS, OBJECTS, ObjectMap
from connectors.sources.hubspot.neighbours import Neighbours
from connectors.sources.hubspot.passes import Pass
from connectors.sources.hubspot.paths import Paths
from connectors.sources.hubspot.portal import Portal, granted
from connectors.sources.hubspot.reader import Reader
from connectors.sources.hubspot.rows import Rows
from connectors.sources.hubspot.session import Session
from connectors.sources.hubspot.settings import HubSpotSettings, check, reference

_STAMPS: Final = ("created_at", "modified_at")
_OBJECT_STREAMS: Final = {about.tables[0]: about for about in OBJECTS.values()}
STREAMS: Final = (
    Stream("owners", ("owners",)),
    Stream("stages", ("stages",)),
    Stream("exchange_rates", ("exchange_rates",), optional=True),
    *(Stream(name, about.tables, about.optional) for name, about in _OBJECT_STREAMS.items()),
)


class HubSpotSource:
    """Reads one portal. No request is sent before something is asked for."""

    name = "hubspot"

    def __init__(self, settings: HubSpotSettings) -> None:
        self._options = settings.options
        self.requests = 0
        self._session = Session(settings, sent=self._count)
        self._reader = Reader(self._session, settings)
        self._portal = Portal(self._session, self._reader, settings)
        self._directory = Directory(self._session, Paths(settings.options.api_version), self._portal)

    def _count(self) -> None:
        self.requests += 1

    def streams(self) -> tuple[Stream, ...]:
        return STREAMS

    def capabilities(self) -> Capabilities:
        return self._capabilities

    @cached_property
    def _capabilities(self) -> Capabilities:
        return self._portal.capabilities()

    def read(self, stream: Stream, cursor: Cursor | None, since: datetime | None = None) -> Iterator[Page]:
        """See ``Source.read``. ``since`` must be aware; owners, stages and rates are always read whole."""
        if since is not None and since.tzinfo is None:
            raise ConfigurationError(f"since: {since} has no time zone")
        whole: dict[str, Callable[[], Iterator[Page]]] = {
            "owners": self._directory.owners,
            "stages": self._directory.stages,
            "exchange_rates": self._directory.exchange_rates,
        }
        if stream.name in whole:
            return whole[stream.name]()
        return self._objects(_OBJECT_STREAMS[stream.name], cursor, since)

    def _objects(self, about: ObjectMap, cursor: Cursor | None, since: datetime | None) -> Iterator[Page]:
        reading = self._portal.reading
        known = self._portal.properties(about)
        mappings = {table: self._portal.mapping(table) for table in about.tables if table in COLUMNS}
        parents = [target for target in about.links if MERGED_IDS in self._portal.properties(OBJECTS[target])]
        rows = Rows(about, mappings, known, reading, self._reader)
        stamped = ("deals",) if ENTERED_LEAD in rows.want.properties else ()  # leads name their deal
        neighbours = Neighbours(about, self._reader, parents, stamped)
        total = self._portal.records.get(about.tables[0])
        one_pass = Pass(rows, neighbours, self._reader, self._session, self._options, total)
        with granted(about.name.replace("_", " "), about.scope, about.optional):
            yield from one_pass.pages(cursor, since)

    def close(self) -> None:
        self._session.close()


class HubSpot:
    """The constant ``SOURCE``."""

    name = "hubspot"
    title = "HubSpot"

    @property
    def reference(self) -> Reference:
        """What its settings take."""
        return reference()

    def open(self, settings: SourceSettings) -> Source:
        return HubSpotSource(check(settings))

    def parse(
        self, table: str, column: str, raw: pl.Series, currency: pl.Series, timezone: str
    ) -> pl.Series | None:
        """See ``SourceType.parse``. A day that depends on the kind of the property is left to HubSpot."""
        spec = COLUMNS.get(table, {}).get(column)
        if spec is None:
            return parse.column(raw, "instant", parse.Reading(timezone, "")) if column in _STAMPS else None
        reading = parse.Reading(timezone, "")
        typed = parse.column(raw, spec.kind, reading, currency)
        if spec.kind == "local_day" and not typed.equals(parse.column(raw, "day", reading)):
            return None
        return typed
