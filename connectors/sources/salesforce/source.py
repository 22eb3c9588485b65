"""The connection to one Salesforce org: what it shows, and its streams page by page."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import polars as pl

from connectors.errors import CredentialError, SourceError, StreamUnavailable
from connectors.source import (
    Capabilities,
    Cursor,
    FieldState,
    Page,
    Reference,
    Source,
    SourceSettings,
    Stream,
)
from connectors.sources.salesforce import soql
from connectors.sources.salesforce.catalogue import Catalogue, check_fields
from connectors.sources.salesforce.client import SalesforceClient
from connectors.sources.salesforce.faults import (
    ExpiredSessionError,
    LostLocatorError,
    MissingFieldError,
    MissingObjectError,
)
from connectors.sources.salesforce.history import HistoryReader
from connectors.sources.salesforce.mapping import (
    ACCOUNTS,
    AGREEMENTS,
    ALWAYS,
    CONTACTS,
    DEALS,
    HISTORY,
    HISTORY_FIELDS,
    LEADS,
    LINE_ITEMS,
    MEETINGS,
    OWNERS,
    QUOTAS,
    STAGES,
    TABLES,
    Table,
)
from connectors.sources.salesforce.parse import Context, parse_column
from connectors.sources.salesforce.records import RecordReader, begin, visible_until
from connectors.sources.salesforce.reference import Stages, quotas_page, rates_page, read_stages, stages_page
from connectors.sources.salesforce.session import SalesforceSession
from connectors.sources.salesforce.settings import Options, read_auth, read_options, read_url, reference

_FIRST: Final = (
    Stream("owners", ("owners",)),
    Stream("stages", ("stages",)),
    Stream("exchange_rates", ("exchange_rates",), optional=True),
)
_RECORDS: Final = {t.name: t for t in (OWNERS, ACCOUNTS, CONTACTS, LEADS, DEALS, LINE_ITEMS, MEETINGS)}
_COUNTED: Final = (ACCOUNTS, CONTACTS, LEADS, DEALS)


class SalesforceSource:
    """A ``connectors.source.Source``. Nothing is sent before the first question."""

    name = "salesforce"

    def __init__(self, settings: SourceSettings) -> None:
        self.requests = 0
        self._settings = settings
        self._options: Options = read_options(settings.options)
        auth = read_auth(settings.auth)
        self._url = read_url(settings.url)
        check_fields(settings)
        session = SalesforceSession(self._url, settings.timeout, settings.ca_bundle, self._count)
        self._client = SalesforceClient(session, self._url, auth, self._options, settings.retry)
        self._catalogue = Catalogue(self._client, settings)
        agreements = AGREEMENTS[settings.contracts]
        self._records = {table.name: table for table in (*_RECORDS.values(), *agreements)}
        self._tables = (*ALWAYS, *agreements)
        read = (ACCOUNTS, CONTACTS, LEADS, DEALS, HISTORY, LINE_ITEMS, *agreements, MEETINGS, QUOTAS)
        self._streams = (*_FIRST, *(Stream(t.name, (t.name,), optional=t.optional) for t in read))
        self._capabilities: Capabilities | None = None
        self._stages: Stages | None = None

    def streams(self) -> tuple[Stream, ...]:
        return self._streams

    def capabilities(self) -> Capabilities:
        """Describe every object and count the large ones; asked once for each connection."""
        if self._capabilities is None:
            with _ours("discovery", optional=False):
                self._capabilities = self._discover()
        return self._capabilities

    def read(self, stream: Stream, cursor: Cursor | None, since: datetime | None = None) -> Iterator[Page]:
        with _ours(stream.name, stream.optional):
            yield from self._read(stream.name, cursor, since)

    def close(self) -> None:
        self._client.close()

    def _count(self) -> None:
        self.requests += 1

    def _read(self, name: str, cursor: Cursor | None, since: datetime | None) -> Iterator[Page]:
        if name == "stages":
            yield stages_page(self._stage_list())
        elif name == "exchange_rates":
            yield rates_page(self._client, self._catalogue)
        elif name == "quotas":
            self._catalogue.require(QUOTAS)
            yield quotas_page(self._client, self._catalogue, self._context(), self._options.forecasting_type)
        else:
            table = HISTORY if name == HISTORY.name else self._records[name]
            overlap = timedelta(seconds=self._options.overlap_seconds)
            state = begin(
                cursor, since, visible_until(self._client, self._catalogue, table, overlap), overlap
            )
            if table is HISTORY:
                yield from HistoryReader(self._client, self._catalogue, self._context()).read(state)
            else:
                yield from RecordReader(self._client, self._catalogue, self._context(), table).read(state)

    def _context(self) -> Context:
        home, zone = self._catalogue.home_currency(), self._settings.timezone
        return Context(home, zone, self._stage_list().by_label)

    def _stage_list(self) -> Stages:
        if self._stages is None:
            self._stages = read_stages(self._client, self._catalogue)
        return self._stages

    def _discover(self) -> Capabilities:
        home = self._catalogue.home_currency()
        fields = {t.name: self._catalogue.states(t) for t in self._tables if t is not HISTORY}
        counts = {
            table.name: self._client.count(soql.count(table.object))
            for table in _COUNTED
            if self._catalogue.describe(table.object) is not None
        }
        history = self._history()
        return Capabilities(
            home_currency=home,
            fields=fields,
            links={
                table.name: f"{self._url}/{{id}}" for table in self._tables if table not in (STAGES, HISTORY)
            },
            history=history,
            notes=tuple(self._notes(home, fields, history)),
            records=counts,
        )

    def _history(self) -> frozenset[str]:
        if self._catalogue.describe(HISTORY.object) is None:
            return frozenset()
        return frozenset(self._catalogue.select(HISTORY).columns) & frozenset(HISTORY_FIELDS)

    def _notes(
        self, home: str, fields: dict[str, dict[str, FieldState]], history: frozenset[str]
    ) -> Iterator[str]:
        several = self._catalogue.describe("CurrencyType") is not None
        yield f"{'several currencies, reported in' if several else 'a single currency,'} {home}"
        for table in self._tables:
            if self._catalogue.describe(table.object) is None:
                yield _absence(table)
            else:
                hidden = [
                    name for name, state in fields.get(table.name, {}).items() if state.state == "hidden"
                ]
                if hidden:
                    yield f"{table.name}: not visible to this user: {', '.join(hidden)}"
        if not history:
            yield "no history of deals is visible: the past begins with the first sync"
        if self._client.session.usage:
            yield f"API calls today: {self._client.session.usage.removeprefix('api-usage=')}"


def _absence(table: Table) -> str:
    what = "left out" if table.optional else "required: give the user read access"
    return f"{table.name}: the object {table.object} is not visible; {what}"


@contextmanager
def _ours(what: str, optional: bool) -> Iterator[None]:
    """Whatever our own signals leave unhandled becomes an error that the pipeline knows."""
    try:
        yield
    except MissingObjectError as error:
        raise (StreamUnavailable if optional else CredentialError)(f"{what}: {error}") from error
    except ExpiredSessionError as error:
        raise CredentialError(f"{what}: {error}") from error
    except (MissingFieldError, LostLocatorError) as error:
        raise SourceError(f"{what}: {error}") from error


@dataclass(frozen=True)
class Salesforce:
    """The constant ``SOURCE`` of this package."""

    name: str = "salesforce"
    title: str = "Salesforce"

    @property
    def reference(self) -> Reference:
        """What its settings take."""
        return reference()

    def open(self, settings: SourceSettings) -> Source:
        """Check the settings and build the connection; nothing is sent yet."""
        return SalesforceSource(settings)

    def parse(
        self, table: str, column: str, raw: pl.Series, currency: pl.Series, timezone: str
    ) -> pl.Series | None:
        """See ``SourceType.parse``."""
        spec = next((each for each in TABLES[table].all_columns() if each.name == column), None)
        return None if spec is None else parse_column(spec.kind, raw, currency, timezone)


SOURCE: Final = Salesforce()
