"""What one portal is and shows us: its account, its properties, and so what can be measured in it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from connectors.errors import ConfigurationError, CredentialError, SourceError, StreamUnavailable
from connectors.schema import TABLES
from connectors.source import Capabilities, FieldState
from connectors.sources.hubspot.faults import MissingScopeError
from connectors.sources.hubspot.history import tracked
from connectors.sources.hubspot.mapping import (
    COLUMNS,
    ENTERED_LEAD,
    HISTORY_KEPT,
    LINKED,
    OBJECTS,
    TABLE_OBJECT,
    Kind,
    ObjectMap,
    TableMap,
    business_columns,
)
from connectors.sources.hubspot.parse import Reading
from connectors.sources.hubspot.paths import Paths
from connectors.sources.hubspot.reader import Reader
from connectors.sources.hubspot.session import Session
from connectors.sources.hubspot.settings import HubSpotSettings

OWNERS_SCOPE: Final = "crm.objects.owners.read"
RATES_SCOPE: Final = "settings.currencies.read"
_LINK_TABLES: Final = {"accounts": "0-2", "contacts": "0-1", "leads": "0-1", "deals": "0-3"}
_NO_RECORDS: Final = ("owners", "stages", "exchange_rates")


@dataclass(frozen=True)
class Account:
    """The portal's own details."""

    portal_id: str
    timezone: str
    currency: str | None
    ui_domain: str


class NotGrantedError(CredentialError):
    """A scope is missing that a stream cannot do without."""


@contextmanager
def granted(what: str, scope: str, optional: bool) -> Iterator[None]:
    """Turns a missing scope into what it means for a stream: not available, or not permitted."""
    try:
        yield
    except MissingScopeError as error:
        hint = [each for each in error.scopes if each != scope]
        also = f" (HubSpot names {', '.join(hint)})" if hint else ""
        message = f"HubSpot does not show us {what}: add the scope {scope} to the token{also}"
        raise (StreamUnavailable if optional else NotGrantedError)(message) from None


class Portal:
    """Discovers what is there, each thing once per connection."""

    def __init__(self, session: Session, reader: Reader, settings: HubSpotSettings) -> None:
        self._session = session
        self._reader = reader
        self._settings = settings
        self._paths = Paths(settings.options.api_version)
        self._properties: dict[str, Mapping[str, Mapping[str, Any]]] = {}
        self.records: dict[str, int] = {}

    @cached_property
    def account(self) -> Account:
        """Asked for first, so an address that is not HubSpot's shows here."""
        try:
            details = self._session.get(self._paths.account())
        except SourceError as error:
            raise ConfigurationError(
                f"{self._settings.company}: crm.url: {self._settings.url} does not answer like HubSpot; "
                f"correct the address ({error})"
            ) from error
        if "portalId" not in details:
            raise ConfigurationError(
                f"{self._settings.company}: crm.url: {self._settings.url} answers, but not like HubSpot; "
                "correct the address"
            )
        account = Account(
            portal_id=str(details["portalId"]),
            timezone=str(details.get("timeZone") or "UTC"),
            currency=details.get("companyCurrency") or None,
            ui_domain=str(details.get("uiDomain") or "app.hubspot.com"),
        )
        if _is_zone(account.timezone):
            self._session.zone = account.timezone
        return account

    @property
    def home_currency(self) -> str:
        """The currency of amounts that name none: the portal's; the configured one where it names none."""
        currency = self.account.currency or self._settings.source.home_currency
        if not currency:
            raise ConfigurationError(
                f"{self._settings.company}: currency: HubSpot names no company currency; set it here"
            )
        return currency

    @property
    def reading(self) -> Reading:
        return Reading(self._settings.source.timezone, self.home_currency)

    def properties(self, about: ObjectMap) -> Mapping[str, Mapping[str, Any]]:
        """The definitions of an object's properties that we may see, by name."""
        if about.name not in self._properties:
            with granted(about.name.replace("_", " "), about.scope, about.optional):
                listed = self._session.get(self._paths.properties(about.name)).get("results") or []
            self._properties[about.name] = {each["name"]: each for each in listed if not each.get("archived")}
        return self._properties[about.name]

    def mapping(self, table: str) -> TableMap:
        """A table's mapping as far as its properties are visible."""
        about = OBJECTS[TABLE_OBJECT[table]]
        known = self.properties(about)
        named = {
            column: (name, self._kind(known[name], COLUMNS[table][column].kind))
            for column, name in self._names(table).items()
            if name in known
        }
        custom = {
            name: source
            for name, source in self._settings.source.custom.get(table, {}).items()
            if source in known
        }
        return TableMap(table, named, custom)

    def _names(self, table: str) -> dict[str, str]:
        """Column -> property, configured or HubSpot's own, whether visible or not."""
        own = self._settings.source.fields.get(table, {})
        names = {column: own.get(column) or spec.standard for column, spec in COLUMNS[table].items()}
        return {column: name for column, name in names.items() if name}

    @staticmethod
    def _kind(definition: Mapping[str, Any], kind: Kind) -> Kind:
        """A property of type `date` holds days, whatever the column expects of a time."""
        return "day" if kind == "local_day" and definition.get("type") == "date" else kind

    # ---- capabilities

    def capabilities(self) -> Capabilities:
        """What this portal shows us; a missing scope hides its tables and is noted, not raised."""
        home = self.home_currency
        notes = self._notes()
        fields: dict[str, dict[str, FieldState]] = {
            table: {column: FieldState("mapped") for column in _columns(table)} for table in _NO_RECORDS
        }
        fields["owners"]["manager_id"] = FieldState("unmapped", remedy="HubSpot keeps no managers of owners")
        fields["stages"]["forecast_category"] = FieldState(
            "unmapped", remedy="HubSpot's stages have no forecast category; deals have"
        )
        fields["quotas"] = {
            column: FieldState("unmapped", remedy="give targets in inputs.targets")
            for column in business_columns("quotas")
        }
        history: frozenset[str] = frozenset()
        for about in OBJECTS.values():
            try:
                for table in filter(COLUMNS.__contains__, about.tables):
                    fields[table] = self._states(table)
                    notes += self._hidden_custom(table)
                if about.name == "deals":
                    history = frozenset(tracked(self.mapping("deals")))
                self.records[about.tables[0]] = self._reader.count(about.name)
            except (NotGrantedError, StreamUnavailable) as error:
                notes.append(str(error))
                for table in filter(COLUMNS.__contains__, about.tables):
                    fields[table] = {
                        column: FieldState("hidden", remedy=str(error)) for column in _columns(table)
                    }
        return Capabilities(
            home_currency=home,
            fields=fields,
            links={table: self._link(type_id) for table, type_id in _LINK_TABLES.items()},
            history=history,
            notes=tuple(notes),
            versions=HISTORY_KEPT,
            records=dict(self.records),
        )

    def _states(self, table: str) -> dict[str, FieldState]:
        known = self.properties(OBJECTS[TABLE_OBJECT[table]])
        names = self._names(table)
        states: dict[str, FieldState] = {}
        for column in _columns(table):
            name = names.get(column)
            if column in LINKED.get(table, {}):
                states[column] = FieldState("mapped", LINKED[table][column])
            elif name is None:
                states[column] = FieldState(
                    "unmapped", remedy=f"name the HubSpot property in fields.{table}.{column}"
                )
            elif name in known:
                states[column] = FieldState("mapped", name)
            else:
                states[column] = FieldState("hidden", name, self._absent(table, column, name))
        for name, source in self._settings.source.custom.get(table, {}).items():
            visible = source in known
            remedy = None if visible else self._custom_absent(table, name, source)
            states[f"custom.{name}"] = FieldState("mapped" if visible else "hidden", source, remedy)
        return states

    def _absent(self, table: str, column: str, name: str) -> str:
        return (
            f"HubSpot shows us no property {name!r} of {TABLE_OBJECT[table].replace('_', ' ')}: let the token "
            f"see it, or name another in fields.{table}.{column}"
        )

    def _hidden_custom(self, table: str) -> list[str]:
        known = self.properties(OBJECTS[TABLE_OBJECT[table]])
        custom = self._settings.source.custom.get(table, {})
        return [
            self._custom_absent(table, name, source) for name, source in custom.items() if source not in known
        ]

    def _custom_absent(self, table: str, name: str, source: str) -> str:
        return self._absent(table, name, source).replace(f"fields.{table}.", f"fields.custom.{table}.")

    def _notes(self) -> list[str]:
        account, source = self.account, self._settings.source
        notes = [
            f"HubSpot portal {account.portal_id}, time zone {account.timezone}, currency {account.currency}"
        ]
        if source.home_currency and account.currency and source.home_currency != account.currency:
            notes.append(
                f"currency: amounts without a currency are in HubSpot's {account.currency}, "
                f"not in {source.home_currency}"
            )
        try:
            if ENTERED_LEAD not in self.properties(OBJECTS["contacts"]):
                notes.append(
                    f"leads: HubSpot has no {ENTERED_LEAD} here (it comes with higher plans), so no contact "
                    "is known to have been a lead"
                )
        except NotGrantedError:
            return notes  # said once, with the contacts themselves
        return notes

    def _link(self, type_id: str) -> str:
        return f"https://{self.account.ui_domain}/contacts/{self.account.portal_id}/record/{type_id}/{{id}}"


def _columns(table: str) -> tuple[str, ...]:
    if table in _NO_RECORDS:
        own = {"external_id", "modified_at", "deleted_at"}
        return tuple(column for column in TABLES[table] if column not in own)
    return business_columns(table)


def _is_zone(name: str) -> bool:
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError):
        return False
    return True
