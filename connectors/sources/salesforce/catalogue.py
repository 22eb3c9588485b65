"""What this org shows us: its objects and fields as described now, matched with what we would read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import structlog

from connectors.errors import ConfigurationError, CredentialError, StreamUnavailable
from connectors.schema import TABLES as CANONICAL
from connectors.source import FieldState, SourceSettings
from connectors.sources.salesforce.client import SalesforceClient
from connectors.sources.salesforce.faults import MissingObjectError
from connectors.sources.salesforce.mapping import TABLES, Column, Table
from connectors.sources.salesforce.settings import guessed

log = structlog.get_logger(__name__)
# Fields made of other fields; a query gets them as objects.
_COMPOUND: Final = frozenset({"address", "location", "complexvalue"})


@dataclass(frozen=True)
class Field:
    """One visible field: its name as Salesforce spells it, its type, and where a lookup leads."""

    name: str
    type: str
    relationship: str | None = None
    targets: tuple[str, ...] = ()


@dataclass(frozen=True)
class Description:
    """One visible object. ``fields`` by lower-case name; ``tracked``: ``/updated`` works for it."""

    name: str
    fields: Mapping[str, Field]
    tracked: bool

    def has(self, name: str) -> bool:
        return name.lower() in self.fields


@dataclass(frozen=True)
class Selection:
    """What a query asks for: column -> visible field (its path in a record, and its type)."""

    columns: Mapping[str, Field]
    custom: Mapping[str, Field]
    extra: tuple[str, ...]  # asked for besides, by Salesforce name

    def paths(self) -> tuple[str, ...]:
        """Every path once, in a fixed order."""
        found = [f.name for f in (*self.columns.values(), *self.custom.values())]
        return tuple(dict.fromkeys([*found, *self.extra]))


def check_fields(settings: SourceSettings) -> None:
    """Raises ``ConfigurationError`` for a mapped table or column that does not exist, naming the nearest."""
    for where, mapped in (("fields", settings.fields), ("fields.custom", settings.custom)):
        for table, columns in mapped.items():
            if table not in TABLES or not TABLES[table].columns:
                known = [name for name, spec in TABLES.items() if spec.columns]
                raise ConfigurationError(f"{where}.{table} is unknown{_known(table, known)}")
            if where == "fields":
                names = [column.name for column in TABLES[table].columns]
                for column in columns:
                    if column not in names:
                        raise ConfigurationError(f"fields.{table}.{column} is unknown{_known(column, names)}")


def _known(name: str, names: list[str]) -> str:
    return guessed(name, names) or f"; known are {', '.join(names)}"


class Catalogue:
    """Descriptions, fetched once each; ``forget`` makes the next question ask Salesforce again."""

    def __init__(self, client: SalesforceClient, settings: SourceSettings) -> None:
        self._client = client
        self._settings = settings
        self._known: dict[str, Description | None] = {}
        self._home: str | None = None

    def describe(self, name: str) -> Description | None:
        """The object, or None when this org or this user has none of that name."""
        if name not in self._known:
            self._known[name] = self._fetch(name)
        return self._known[name]

    def forget(self, name: str) -> None:
        self._known.pop(name, None)

    def require(self, table: Table) -> Description:
        """The table's object. Raises ``StreamUnavailable`` when optional, else ``CredentialError``."""
        found = self.describe(table.object)
        if found is not None and found.has("Id"):
            return found
        message = f"{table.object} is not visible in this Salesforce org"
        if table.optional:
            raise StreamUnavailable(f"{table.name}: {message}; it is left out")
        raise CredentialError(f"{table.name}: {message}; give the user read access to it")

    def select(self, table: Table) -> Selection:
        """Every column of ``table`` that is visible, and the fields that reading needs."""
        description = self.require(table)
        columns: dict[str, Field] = {}
        for column in table.all_columns():
            field = self._resolve(description, self._path(table, column))
            if field is not None:
                columns[column.name] = field
        custom = {
            name: field
            for name, path in self._settings.custom.get(table.name, {}).items()
            if (field := self._resolve(description, path)) is not None
        }
        wanted = ("SystemModstamp", "IsDeleted", "MasterRecordId", *table.only)
        extra = tuple(description.fields[w.lower()].name for w in wanted if description.has(w))
        return Selection(columns, custom, extra)

    def states(self, table: Table) -> dict[str, FieldState]:
        """How each mapped column, and each custom one (``custom.NAME``), can be measured."""
        description = self.describe(table.object)
        states = {
            column.name: self._state(table, description, column.name, self._path(table, column))
            for column in table.all_columns()
            if column.name in CANONICAL[table.name]
        }
        states |= {name: FieldState("mapped") for name, _ in table.constant}
        if "currency" in states:  # where records carry none, they are in the org's only currency
            states["currency"] = FieldState("mapped", states["currency"].crm_field)
        for name, path in self._settings.custom.get(table.name, {}).items():
            states[f"custom.{name}"] = self._state(table, description, f"custom.{name}", path)
        return states

    def home_currency(self) -> str:
        """The org's own currency: the corporate one, else the organisation's default."""
        if self._home is None:
            self._home = self._find_home()
        return self._home

    def _find_home(self) -> str:
        currencies = self.describe("CurrencyType")
        if currencies is not None and currencies.has("IsCorporate"):
            found = self._client.query("SELECT IsoCode FROM CurrencyType WHERE IsCorporate = true").records
            if found:
                return str(found[0]["IsoCode"])
        organisation = self.describe("Organization")
        if organisation is not None and organisation.has("DefaultCurrencyIsoCode"):
            found = self._client.query("SELECT DefaultCurrencyIsoCode FROM Organization").records
            if found and found[0]["DefaultCurrencyIsoCode"]:
                return str(found[0]["DefaultCurrencyIsoCode"])
        if self._settings.home_currency:
            return self._settings.home_currency
        raise ConfigurationError(
            f"currency: this org does not say which currency it keeps; name it for {self._settings.company}"
        )

    def _fetch(self, name: str) -> Description | None:
        try:
            content = self._client.describe(name)
        except MissingObjectError:
            return None
        fields = {
            str(field["name"]).lower(): Field(
                field["name"],
                field["type"],
                field.get("relationshipName"),
                tuple(field.get("referenceTo") or ()),
            )
            for field in content["fields"]
            if field["type"] not in _COMPOUND
        }
        return Description(name, fields, bool(content.get("replicateable")))

    def _path(self, table: Table, column: Column) -> str | None:
        return self._settings.fields.get(table.name, {}).get(column.name, column.field)

    def _resolve(self, description: Description, path: str | None) -> Field | None:
        """The visible field at the end of ``path``, named by its whole path; None when it is hidden."""
        if not path:
            return None
        head, _, rest = path.partition(".")
        if not rest:
            return description.fields.get(head.lower())
        lookup = next(
            (f for f in description.fields.values() if (f.relationship or "").lower() == head.lower()), None
        )
        for target in lookup.targets if lookup else ():
            other = self.describe(target)
            found = self._resolve(other, rest) if other else None
            if found is not None and lookup is not None:
                return Field(f"{lookup.relationship}.{found.name}", found.type)
        return None

    def _state(self, table: Table, seen: Description | None, column: str, path: str | None) -> FieldState:
        where = f"fields.{column}" if column.startswith("custom.") else f"fields.{table.name}.{column}"
        if column.startswith("custom."):
            where = f"fields.custom.{table.name}.{column.removeprefix('custom.')}"
        if path is None:
            return FieldState(
                "unmapped", None, f"name this company's own field of {table.object} under {where}"
            )
        if seen is None:
            return FieldState("hidden", path, f"give the user read access to the object {table.object}")
        if self._resolve(seen, path) is not None:
            return FieldState("mapped", path)
        guess = guessed(path, [field.name for field in seen.fields.values()])
        return FieldState(
            "hidden",
            path,
            f"let the user see {table.object}.{path} (field-level security), or correct {where}{guess}",
        )
