"""A real org from files: what ``sf data export tree`` writes, or one CSV file per object.

JSON files are known by their contents (``{"records": [...]}``, each record with its ``attributes``), whatever
they are called; plan files are passed over. A CSV file's name is the object's. Nothing is invented: objects
without a file are empty, fields without a value are empty, and what an org always has (a creation date, the
stage's outcome) is filled in as an import into a fresh org would. ``notes`` says what was left out.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any, Final

from connectors.errors import ConfigurationError
from connectors.simulator.clock import parse_instant
from connectors.simulator.salesforce.export_files import PRICE_ENTRY, Record, from_csv, from_json, object_of
from connectors.simulator.salesforce.fields import CATALOGUE, Field, Table, make_field
from connectors.simulator.salesforce.ids import PREFIXES, checked, record_id, valid
from connectors.simulator.salesforce.mapping import Row, organization
from connectors.simulator.salesforce.store import Store

# Stages of a fresh org, in order: default probability, closed, won.
STOCK_STAGES: Final[dict[str, tuple[float, bool, bool]]] = {
    "Prospecting": (10, False, False),
    "Qualification": (10, False, False),
    "Needs Analysis": (20, False, False),
    "Value Proposition": (50, False, False),
    "Id. Decision Makers": (60, False, False),
    "Perception Analysis": (70, False, False),
    "Proposal/Price Quote": (75, False, False),
    "Negotiation/Review": (90, False, False),
    "Closed Won": (100, True, True),
    "Closed Lost": (0, True, False),
}
_CATEGORY_NAMES: Final = {"BestCase": "Best Case", "Forecast": "Commit"}
_CATEGORIES: Final = {name: category for category, name in _CATEGORY_NAMES.items()}
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d")
_DATETIME: Final = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d.*")
_NUMBER: Final = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?")
_TRUTH: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False, "": False}


@dataclass
class Export:
    """All records of an export, by object, and the objects and fields they make up."""

    name: str
    default_currency: str
    records: dict[str, list[Record]]
    tables: dict[str, Table]
    notes: list[str] = field(default_factory=list)
    # Default probability, closed, won and forecast category of every stage, in the order of the process.
    outcomes: dict[str, tuple[float, bool, bool, str]] = field(default_factory=dict)

    @classmethod
    def read(cls, directory: Path, default_currency: str = "USD") -> Export:
        """Read every file of a folder; ``ConfigurationError`` when one is broken or nothing is there."""
        if not directory.is_dir():
            raise ConfigurationError(f"{directory}: there is no such folder with an export")
        records: dict[str, list[Record]] = {}
        for path in sorted(directory.iterdir()):
            if path.suffix.lower() == ".json":
                found = from_json(path)
            elif path.suffix.lower() == ".csv":
                found = from_csv(path)
                records.setdefault(object_of(path), [])  # a header alone: an object without records
            else:
                continue
            for name, record in found:
                records.setdefault(name, []).append(record)
        unknown = sorted(set(records) - set(CATALOGUE) - {PRICE_ENTRY})
        notes = [
            f"{name}: {len(records.pop(name))} records were passed over, the object is not used"
            for name in unknown
        ]
        if not any(name in CATALOGUE for name in records):
            raise ConfigurationError(
                f"{directory}: holds no Salesforce export (no data-tree .json with records, no <Object>.csv)"
            )
        tables = {
            name: _extended(table, records.get(name, ()))
            for name, table in CATALOGUE.items()
            if name in records or not table.custom  # an object of a package is there where it has records
        }
        export = cls(directory.resolve().name, default_currency, records, tables, notes)
        export._identify()
        export.outcomes = export._outcomes()
        return export

    @property
    def multi_currency(self) -> bool:
        """Whether any record names its currency."""
        named = (record.values.get("CurrencyIsoCode") for found in self.records.values() for record in found)
        return "CurrencyType" in self.records or any(named)

    def advance(self, store: Store, now: int) -> None:
        """Nothing happens in an export."""

    def fill(self, store: Store, now: int) -> None:
        """Write all records, each as an import at ``now`` would leave it."""
        with store.transaction():
            for name, table in self.tables.items():
                store.insert(name, self._rows(name, table, now))
            stamps = _stamps(now)
            if not self.records.get("OpportunityStage"):
                store.insert("OpportunityStage", self._stages(stamps))
            if not self.records.get("Organization"):
                store.insert("Organization", [organization(self.name, self.default_currency, stamps)])
            store.execute(
                "UPDATE Opportunity SET HasOpportunityLineItem = Id IN (SELECT OpportunityId FROM OpportunityLineItem)"
            )
            store.index()

    # identities

    def _identify(self) -> None:
        """Give every record its id and put ids in the place of references."""
        references: dict[str, list[str]] = {}
        for name, found in self.records.items():
            taken: dict[str, str] = {}
            for key, record in enumerate(found, 1):
                own = str(record.values.pop("Id", "") or "")
                if own and not valid(own):
                    raise ConfigurationError(f"{record.where}: {own!r} is no Salesforce id")
                record.id = checked(own[:15]) if own else _fresh(name, key)
                if record.id in taken:
                    raise ConfigurationError(f"{record.where}: id {own} stands in {taken[record.id]} already")
                taken[record.id] = record.where
                if record.reference:
                    references.setdefault(record.reference, []).append(record.id)
        missing: Counter[str] = Counter()
        for found in self.records.values():
            for record in found:
                for name, value in record.values.items():
                    if isinstance(value, str) and value.startswith("@") and name.endswith(("Id", "__c")):
                        record.values[name] = self._resolved(record, value, references, missing)
        self.notes += [
            f"{file}: {count} references to records that are not in the export were left empty"
            for file, count in sorted(missing.items())
        ]

    def _resolved(
        self, record: Record, value: str, references: Mapping[str, list[str]], missing: Counter[str]
    ) -> str | None:
        targets = references.get(value[1:], [])
        if len(targets) > 1:
            raise ConfigurationError(f"{record.where}: {value} is the referenceId of {len(targets)} records")
        if not targets:
            missing[record.file] += 1
            return None
        return targets[0]

    # rows

    def _rows(self, name: str, table: Table, now: int) -> Iterator[Row]:
        stages = self.outcomes
        entries = {record.id: record.values for record in self.records.get(PRICE_ENTRY, [])}
        products = {record.id: record.values.get("Name") for record in self.records.get("Product2", [])}
        for key, record in enumerate(self.records.get(name, []), 1):
            row: Row = {"_key": key, "Id": record.id, "IsDeleted": 0, **_stamps(now)}
            given = {
                spec.name: _converted(spec, record.values[spec.name], record)
                for spec in table.fields.values()
                if spec.name in record.values
            }
            row.update({column: value for column, value in given.items() if value is not None})
            for spec in table.fields.values():
                if spec.type == "boolean":
                    row.setdefault(spec.name, 0)
            _stamp_order(row, given)
            if row.get("IsDeleted"):
                row["_deleted_at"] = row["SystemModstamp"]
            if "FirstName" in table.fields and not row.get("Name"):
                row["Name"] = " ".join(filter(None, (row.get("FirstName"), row.get("LastName")))) or None
            if name == "Opportunity":
                _complete_opportunity(row, given, stages)
            elif name == "OpportunityLineItem":
                _complete_line_item(row, entries, products)
            elif name == "Contract":
                row.setdefault("StatusCode", row.get("Status"))
            elif name == "User" and "IsActive" not in given:
                row["IsActive"] = 1
            yield row

    def _outcomes(self) -> dict[str, tuple[float, bool, bool, str]]:
        """Default probability, closed, won and forecast category of every stage of this org."""
        exported = self.records.get("OpportunityStage", [])
        if exported:
            return {
                str(r.values.get("ApiName") or r.values.get("MasterLabel")): (
                    float(r.values.get("DefaultProbability") or 0),
                    _truth(r.values.get("IsClosed")),
                    _truth(r.values.get("IsWon")),
                    str(r.values.get("ForecastCategory") or "Pipeline"),
                )
                for r in exported
            }
        outcomes: dict[str, tuple[float, bool, bool, str]] = {}
        for name in self._stage_names():
            probability, closed, won = self._outcome(name)
            category = "Closed" if won else "Omitted" if closed else "Pipeline"
            outcomes[name] = (probability, closed, won, category)
        return outcomes

    def _outcome(self, name: str) -> tuple[float, bool, bool]:
        deals = [r.values for r in self.records.get("Opportunity", []) if r.values.get("StageName") == name]
        stock = next((known for label, known in STOCK_STAGES.items() if label.lower() == name.lower()), None)
        told = [values for values in deals if values.get("IsClosed") not in (None, "")]
        if told:
            closed = any(_truth(values["IsClosed"]) for values in told)
            won = any(_truth(values.get("IsWon")) for values in told)
        elif stock:
            closed, won = stock[1], stock[2]
        else:
            closed = name.lower().startswith("closed")
            won = closed and "won" in name.lower()
            taken = "won" if won else "closed without a win" if closed else "open"
            self.notes.append(
                f"stage {name!r}: the export does not say what it means, it was taken as {taken}"
            )
        if stock:
            return stock[0], closed, won
        shares = Counter(float(v["Probability"]) for v in deals if v.get("Probability") not in (None, ""))
        return (shares.most_common(1)[0][0] if shares else 0.0), closed, won

    def _stage_names(self) -> list[str]:
        """The stages in their order: stock ones as a fresh org has them, own ones before the closed, as met."""
        met = list(
            dict.fromkeys(
                str(r.values["StageName"])
                for r in self.records.get("Opportunity", [])
                if r.values.get("StageName")
            )
        )
        rank = {label.lower(): index for index, label in enumerate(STOCK_STAGES)}
        own = len(STOCK_STAGES) - 2.5  # after the last open stock stage
        return sorted(met, key=lambda name: rank.get(name.lower(), own))

    def _stages(self, stamps: Row) -> Iterator[Row]:
        for key, (name, (probability, closed, won, category)) in enumerate(self.outcomes.items(), 1):
            yield {
                "_key": key,
                "Id": record_id("OpportunityStage", key),
                "MasterLabel": name,
                "ApiName": name,
                "IsActive": 1,
                "SortOrder": key,
                "IsClosed": int(closed),
                "IsWon": int(won),
                "ForecastCategory": category,
                "ForecastCategoryName": _CATEGORY_NAMES.get(category, category),
                "DefaultProbability": probability,
                **stamps,
            }


def _complete_opportunity(row: Row, given: Row, stages: Mapping[str, tuple[float, bool, bool, str]]) -> None:
    """Derived fields of a deal whose stage the org knows."""
    known = stages.get(row.get("StageName") or "")
    if known is not None:
        probability, closed, won, category = known
        if given.get("IsClosed") is None:
            row["IsClosed"], row["IsWon"] = int(closed), int(won)
        if given.get("Probability") is None:
            row["Probability"] = probability
        if given.get("ForecastCategoryName") is None and given.get("ForecastCategory") is None:
            row["ForecastCategory"] = category
    if row.get("ForecastCategoryName"):
        row["ForecastCategory"] = _CATEGORIES.get(row["ForecastCategoryName"], row["ForecastCategoryName"])
    elif row.get("ForecastCategory"):
        row["ForecastCategoryName"] = _CATEGORY_NAMES.get(row["ForecastCategory"], row["ForecastCategory"])
    if row.get("Amount") is not None and row.get("Probability") is not None:
        row.setdefault("ExpectedRevenue", round(row["Amount"] * row["Probability"] / 100, 2))


def _complete_line_item(row: Row, entries: Mapping[str, dict[str, Any]], products: Mapping[str, Any]) -> None:
    """The product comes from the price book entry; the total from quantity and price."""
    entry = entries.get(row.get("PricebookEntryId") or "")
    if entry and not row.get("Product2Id"):
        row["Product2Id"] = entry.get("Product2Id")
    row.setdefault("Name", products.get(row.get("Product2Id") or ""))
    quantity, price, total = row.get("Quantity"), row.get("UnitPrice"), row.get("TotalPrice")
    if total is None and quantity is not None and price is not None:
        discount = (row.get("Discount") or 0) / 100
        row["TotalPrice"] = round(quantity * price * (1 - discount), 2)
        row["Subtotal"] = round(quantity * price, 2)
    elif price is None and total is not None and quantity:
        row["UnitPrice"] = round(total / quantity, 2)


def _stamps(now: int) -> Row:
    return dict.fromkeys(("CreatedDate", "LastModifiedDate", "SystemModstamp"), now)


def _stamp_order(row: Row, given: Row) -> None:
    """A stamp that was not exported is that of the import; none lies before the creation."""
    if given.get("SystemModstamp") is None and given.get("LastModifiedDate") is not None:
        row["SystemModstamp"] = given["LastModifiedDate"]
    elif given.get("LastModifiedDate") is None and given.get("SystemModstamp") is not None:
        row["LastModifiedDate"] = given["SystemModstamp"]


def _fresh(name: str, key: int) -> str:
    return record_id(name, key) if name in PREFIXES else f"{name}{key}"


def _truth(value: Any) -> bool:
    return _TRUTH.get(str(value or "").strip().lower(), False)


def _extended(table: Table, records: Iterable[Record]) -> Table:
    """The object with the custom fields of this org, and no others, beside the standard ones."""
    values: dict[str, list[Any]] = {}
    exported: set[str] = set()
    for record in records:
        exported.update(record.values)
        for name, value in record.values.items():
            if name not in table.fields:
                values.setdefault(name, []).append(value)
    foreign = [name for name, spec in table.fields.items() if spec.custom and name not in exported]
    return table.without(foreign).extended(_guessed(name, found) for name, found in values.items())


def _guessed(name: str, values: list[Any]) -> Field:
    """A field of the type that all its values have; text when they do not agree."""
    filled = [value for value in values if value not in (None, "")]
    texts = [str(value) for value in filled]
    if filled and all(isinstance(value, bool) or str(value).lower() in ("true", "false") for value in filled):
        return make_field(name, "boolean")
    if filled and all(isinstance(value, (int, float)) or _NUMBER.fullmatch(str(value)) for value in filled):
        return make_field(name, "double", "2")
    if filled and all(_DATE.fullmatch(text) for text in texts):
        return make_field(name, "date")
    if filled and all(_DATETIME.fullmatch(text) for text in texts):
        return make_field(name, "datetime")
    return make_field(name, "string", "255")


# Field type -> how a value of it is written.
_WRITTEN: Final = {
    "boolean": "true or false",
    "int": "1200",
    "double": "1200.50",
    "currency": "1200.50",
    "percent": "12.5",
    "date": "2026-05-31",
    "datetime": "2026-05-31T08:00:00Z",
}
_THOUSANDS: Final = re.compile(r"-?\d{1,3}(,\d{3})+(\.\d+)?")


def _converted(spec: Field, value: Any, record: Record) -> Any:
    """A value as it is kept on disk; ``ConfigurationError`` when it is not of the field's type."""
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    text = str(value).strip()
    try:
        if spec.type == "boolean":
            return int(_TRUTH[text.lower()])
        if spec.type in ("int", "double", "currency", "percent") and _THOUSANDS.fullmatch(text):
            text = text.replace(",", "")  # as reports write numbers, and Data Loader does not
        if spec.type == "int":
            return int(float(text))
        if spec.type in ("double", "currency", "percent"):
            return float(text)
        if spec.type == "datetime":
            return (
                parse_instant(text.replace(" ", "T", 1))
                if len(text) > 10
                else parse_instant(f"{text}T00:00:00Z")
            )
        if spec.type == "date":
            return date.fromisoformat(text[:10]).isoformat()
    except (ValueError, KeyError) as error:
        raise ConfigurationError(
            f"{record.where}: {spec.name} is {text!r}, which is no {spec.type}; write it as {_WRITTEN[spec.type]}"
        ) from error
    if spec.type in ("id", "reference") and valid(text):
        return checked(text[:15])
    return str(value)
