"""Records of one object type -> the rows of its tables, with what only further requests can tell.

Those are the associations (which of several companies is the primary one), the deal a lead became, the time
of a merge, and a deal's history.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import polars as pl

from connectors.schema import REJECTS, TABLES, TOMBSTONES
from connectors.sources.hubspot import history, parse, values
from connectors.sources.hubspot.links import Ends, Links, inline
from connectors.sources.hubspot.mapping import (
    COLUMNS,
    ENTERED_LEAD,
    MERGED_IDS,
    PRIMARY_PROPERTY,
    ObjectMap,
    TableMap,
)
from connectors.sources.hubspot.parse import Reading, Record
from connectors.sources.hubspot.reader import Reader, Want

_LINK_COLUMN: Final = {
    ("contacts", "companies"): "account_id",
    ("deals", "companies"): "account_id",
    ("line_items", "deals"): "deal_id",
    ("meetings", "companies"): "account_id",
    ("meetings", "deals"): "deal_id",
    ("meetings", "contacts"): "contact_id",
}


@dataclass
class Batch:
    """What some records come to. Frames of the same table are in the canonical schema."""

    frames: dict[str, pl.DataFrame] = field(default_factory=dict)
    tombstones: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=TOMBSTONES))
    rejects: pl.DataFrame = field(default_factory=lambda: pl.DataFrame(schema=REJECTS))


class Rows:
    """Turns records of ``about`` into rows.

    ``mappings``: one per table with columns. ``known``: the properties that are visible.
    """

    def __init__(
        self,
        about: ObjectMap,
        mappings: Mapping[str, TableMap],
        known: Iterable[str],
        reading: Reading,
        reader: Reader,
    ) -> None:
        self.about = about
        self._mappings = mappings
        self._reading = reading
        self._reader = reader
        self._links = Links(about, reader)
        visible = set(known)
        own = {
            about.created,
            about.modified,
            MERGED_IDS,
            ENTERED_LEAD,
            *PRIMARY_PROPERTY.get(about.name, {}).values(),
        }
        properties = set().union(own & visible, *(each.properties() for each in mappings.values()))
        tracked = history.tracked(mappings["deals"]) if about.name == "deals" else {}
        merges = {MERGED_IDS} & visible if tracked else set()
        self.want = Want(
            about.name,
            tuple(sorted(properties)),
            tuple(sorted({name for name, _ in tracked.values()} | merges)),
            about.links,
        )

    @property
    def slim(self) -> Want:
        """What tells into which tables a record belongs, and no more."""
        if self.about.name != "contacts":
            return Want(self.about.name, ("hs_object_id",))
        lead = tuple(name for name in (ENTERED_LEAD,) if name in self.want.properties)
        return Want(self.about.name, ("hs_object_id", *lead), links=("companies",))

    def live_ids(self, records: Sequence[Record]) -> dict[str, list[str]]:
        """Table -> ids of the records that belong into it."""
        if self.about.name != "contacts":
            return {self.about.tables[0]: parse.ids(records)}
        linked = inline(records, "companies")
        contacts, leads = _people(records, {each for each, ends in linked.items() if ends})
        return {"contacts": parse.ids(contacts), "leads": parse.ids(leads)}

    def build(self, records: Sequence[Record]) -> Batch:
        """The rows of live records, and tombstones of what was merged into them."""
        if not records:
            return Batch()
        ends = {target: self._links.ends(records, target) for target in self.about.links}
        batch = self._tables(records, ends)
        batch.tombstones = pl.concat([batch.tombstones, self._merged(records)])
        return batch

    def build_archived(self, records: Sequence[Record], stored_to: str | None) -> Batch:
        """The rows of deleted records, with ``deleted_at``.

        HubSpot forgets what a deleted record was associated with. One that an earlier pass has read (created
        before ``stored_to``) is therefore known by a tombstone alone, so that the stored associations stay.
        """
        if not records:
            return Batch()
        lost = [record for record in records if self._known_only_by_id(record, stored_to)]
        batch = self._tables(
            _others(records, lost), {target: inline(records, target) for target in self.about.links}
        )
        batch.tombstones = pl.concat([batch.tombstones, self._gone(lost, self._row_tables)])
        if self.about.name == "deals":
            changes, _ = history.changes(records, self._mappings["deals"], self._reading)
            batch.frames["deal_changes"] = changes
        return batch

    def _known_only_by_id(self, record: Record, stored_to: str | None) -> bool:
        created = _instant(record.get("createdAt"))
        stored = stored_to is not None and created is not None and created < _instant(stored_to)
        return stored and self._links.lost(record)

    @property
    def _row_tables(self) -> tuple[str, ...]:
        return tuple(table for table in self.about.tables if table in COLUMNS)

    @staticmethod
    def _gone(records: Sequence[Record], tables: Sequence[str]) -> pl.DataFrame:
        return parse.tombstones(
            [
                (
                    table,
                    str(record["id"]),
                    _instant(record.get("archivedAt") or record.get("updatedAt")),
                    None,
                )
                for table in tables
                for record in records
            ]
        )

    # ---- tables

    def _tables(self, records: Sequence[Record], ends: Mapping[str, Ends]) -> Batch:
        name = self.about.name
        chosen = {target: self._links.chosen(records, target, found) for target, found in ends.items()}
        if name == "contacts":
            return self._contacts(records, ends, chosen["companies"])
        links = {_LINK_COLUMN[name, target]: linked for target, linked in chosen.items()}
        batch = Batch()
        table = self.about.tables[0]
        batch.frames[table], batch.rejects = self._frame(table, records, links)
        if name == "deals":
            changes, lost = history.changes(records, self._mappings["deals"], self._reading)
            batch.frames["deal_changes"] = changes
            batch.rejects = pl.concat([batch.rejects, lost])
        return batch

    def _contacts(
        self, records: Sequence[Record], ends: Mapping[str, Ends], companies: Mapping[str, str]
    ) -> Batch:
        """Contacts fill two tables; an archived one is gone from both."""
        contacts, leads = _people(records, set(companies))
        deals = self._links.earliest_deal(leads, ends["deals"])
        own = {each: each for each in parse.ids(contacts)}
        people, lost = self._frame("contacts", contacts, {"account_id": companies})
        entered, also_lost = self._frame(
            "leads",
            leads,
            {
                "converted_account_id": companies,
                "converted_contact_id": {each: own[each] for each in companies if each in own},
                "converted_deal_id": deals,
            },
        )
        archived = [record for record in records if record.get("archived")]
        gone = pl.concat(
            self._gone(_others(archived, listed), (table,))
            for table, listed in (("contacts", contacts), ("leads", leads))
        )
        return Batch({"contacts": people, "leads": entered}, gone, pl.concat([lost, also_lost]))

    def _frame(
        self, table: str, records: Sequence[Record], links: Mapping[str, Mapping[str, str]]
    ) -> tuple[pl.DataFrame, pl.DataFrame]:
        if not records:
            return pl.DataFrame(schema=TABLES[table]), parse.empty_rejects()
        return parse.frame(records, self._mappings[table], self.about, self._reading, links)

    # ---- merges

    def _merged(self, records: Sequence[Record]) -> pl.DataFrame:
        """Tombstones of the records merged into these. The time of a merge is in the survivor's history."""
        survivors = [record for record in records if record["properties"].get(MERGED_IDS)]
        if not survivors:
            return parse.tombstones([])
        told = {str(record["id"]): record for record in survivors if MERGED_IDS in _versions(record)}
        untold = [each for each in parse.ids(survivors) if each not in told]
        want = Want(self.about.name, (MERGED_IDS,), (MERGED_IDS,))
        told |= {str(record["id"]): record for record in self._reader.batch(want, untold)}
        rows = [
            (
                table,
                old,
                merged_at(told.get(survivor, record), old) or _instant(record.get("updatedAt")),
                survivor,
            )
            for record in survivors
            for survivor in (str(record["id"]),)
            for old in merged_ids(record["properties"][MERGED_IDS])
            if old != survivor
            for table in self._row_tables
        ]
        return parse.tombstones(rows)


def merged_ids(text: str) -> list[str]:
    """The ids in a `hs_merged_object_ids`."""
    return [each.strip() for each in text.split(";") if each.strip()]


def merged_at(survivor: Record, old: str) -> Any:
    """When ``old`` was merged into ``survivor``: the oldest version of the list that names it; else None."""
    naming = [
        _instant(version.get("timestamp"))
        for version in _versions(survivor).get(MERGED_IDS) or ()
        if old in merged_ids(str(version.get("value") or ""))
    ]
    return min((moment for moment in naming if moment is not None), default=None)


def _versions(record: Record) -> Mapping[str, Sequence[Mapping[str, Any]]]:
    found: Mapping[str, Sequence[Mapping[str, Any]]] = record.get("propertiesWithHistory") or {}
    return found


def _people(records: Sequence[Record], with_company: set[str]) -> tuple[list[Record], list[Record]]:
    """Contacts (in a company, or never a lead) and leads (ever in the lead stage); a record may be both."""
    leads = [record for record in records if record["properties"].get(ENTERED_LEAD)]
    contacts = [
        record
        for record in records
        if str(record["id"]) in with_company or not record["properties"].get(ENTERED_LEAD)
    ]
    return contacts, leads


def _others(records: Sequence[Record], listed: Sequence[Record]) -> list[Record]:
    among = set(parse.ids(listed))
    return [record for record in records if str(record["id"]) not in among]


def _instant(text: Any) -> Any:
    return values.instants(pl.Series([None if text is None else str(text)], dtype=pl.String)).item()
