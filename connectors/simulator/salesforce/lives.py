"""Fills the org's disk from the lives of a world, and lets later events happen as the clock moves."""
# ruff: noqa: S608  # statements are put together from the catalogue's names; values are bound

from __future__ import annotations

from datetime import timedelta
from typing import Final

from connectors.simulator.agreements import with_agreements
from connectors.simulator.clock import moment
from connectors.simulator.salesforce.ids import OBJECTS, record_id
from connectors.simulator.salesforce.mapping import (
    FORECAST,
    Row,
    Translator,
    field_history,
    history,
    organization,
)
from connectors.simulator.salesforce.store import Store
from connectors.simulator.world import Event, Life, World

_BATCH: Final = 2_000
_PARENTS: Final = frozenset(("account", "contact", "deal"))


class Lives:
    """Fills a store from a world and keeps it in step with the clock."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.multi_currency = True
        self.notes: list[str] = []
        self._translator = Translator.of(world)
        self._users: dict[str, str] = {}
        self._cascades: list[tuple[str, str, Event]] = []

    def fill(self, store: Store, now: int) -> None:
        """Everything that happened up to ``now``; the rest is kept for ``advance``."""
        self._setup(store)
        batches: dict[str, list[Row]] = {}
        with store.transaction():
            for life in with_agreements(self.world):
                self._load(store, life, now, batches)
            for name, rows in batches.items():
                store.insert(name, rows)
        with store.transaction():
            store.index()
            for name, identifier, event in sorted(self._cascades, key=lambda item: item[2].at):
                if event.op == "purge":
                    store.purge(name, identifier)
                else:
                    store.cascade(name, identifier, event)
            self._cascades.clear()
            self._finish(store, now)

    def advance(self, store: Store, now: int) -> None:
        """Let the events up to ``now`` happen."""
        with store.transaction():
            for kind, key, number, event in store.due(now):
                self._apply(store, kind, key, number, event)
            self._finish(store, now)

    def _load(self, store: Store, life: Life, now: int, batches: dict[str, list[Row]]) -> None:
        kind, key = life.kind, life.key
        row: Row | None = None
        entries: list[Row] = []
        fields: list[Row] = []
        for number, event in enumerate(life.events):
            if event.at > now:
                store.postpone((kind, key, n, e) for n, e in enumerate(life.events) if n >= number)
                break
            if event.op == "purge":
                row = None
                entries.clear()
                fields.clear()
                if kind in _PARENTS:
                    self._cascades.append((OBJECTS[kind], record_id(kind, key), event))
                continue
            before = row if row is None or kind != "deal" else dict(row)
            if row is None:
                row = self._translator.create(kind, key, event)
                row["_key"] = key
            else:
                self._translator.change(kind, row, event)
            if kind == "deal":
                self._remember(before, row, event, number, entries, fields)
            if kind in _PARENTS and event.op in ("delete", "restore"):
                self._cascades.append((OBJECTS[kind], row["Id"], event))
        if row is None:
            return
        if kind == "user":
            self._users[row["Id"]] = row.get("Name") or ""
        self._add(store, batches, OBJECTS[kind], [row])
        if kind == "deal":
            self._add(store, batches, "OpportunityHistory", entries)
            self._add(store, batches, "OpportunityFieldHistory", fields)

    def _add(self, store: Store, batches: dict[str, list[Row]], name: str, rows: list[Row]) -> None:
        waiting = batches.setdefault(name, [])
        waiting += rows
        if len(waiting) >= _BATCH:
            store.insert(name, waiting)
            waiting.clear()

    def _remember(
        self, before: Row | None, row: Row, event: Event, number: int, entries: list[Row], fields: list[Row]
    ) -> None:
        entry = history(before, row, event.at, row["_key"], number)
        if entry is not None:
            if entries:
                entries[-1]["SystemModstamp"] = event.at
            entries.append(entry)
        fields.extend(field_history(before, row, event.at, row["_key"], number, self._users))

    def _apply(self, store: Store, kind: str, key: int, number: int, event: Event) -> None:
        name = OBJECTS[kind]
        if event.op == "purge":
            store.purge(name, record_id(kind, key))
            return
        row = store.read(name, key)
        before = dict(row) if row is not None else None
        if row is None:
            row = self._translator.create(kind, key, event)
            row["_key"] = key
        else:
            self._translator.change(kind, row, event)
        store.insert(name, [row])
        if kind == "user":
            self._users[row["Id"]] = row.get("Name") or ""
        if kind == "deal":
            entry = history(before, row, event.at, key, number)
            if entry is not None:
                store.supersede(row["Id"], event.at)
                store.insert("OpportunityHistory", [entry])
            store.insert(
                "OpportunityFieldHistory", field_history(before, row, event.at, key, number, self._users)
            )
        if kind in _PARENTS and event.op in ("delete", "restore"):
            store.cascade(name, row["Id"], event)

    def _setup(self, store: Store) -> None:
        """What exists before anything happens: the organization and its sales process."""
        start = int((moment(0) + (self.world.start - moment(0).date())).timestamp())
        stamps: Row = {
            "CreatedDate": start,
            "LastModifiedDate": start,
            "SystemModstamp": start,
            "CreatedById": record_id("user", 1),
            "LastModifiedById": record_id("user", 1),
        }
        store.insert(
            "Organization",
            [organization(self.world.name, self.world.home_currency, stamps, self.world.timezone)],
        )
        stages = []
        for key, stage in enumerate(self.world.stages, 1):
            category, label = FORECAST.get(stage.forecast_category, (None, None))
            stages.append(
                {
                    "_key": key,
                    "Id": record_id("OpportunityStage", key),
                    "MasterLabel": stage.name,
                    "ApiName": stage.name,
                    "IsActive": int(stage.active),
                    "SortOrder": stage.sort_order,
                    "IsClosed": int(stage.closed),
                    "IsWon": int(stage.won),
                    "ForecastCategory": category,
                    "ForecastCategoryName": label,
                    "DefaultProbability": round(stage.probability * 100, 6),
                    **stamps,
                }
            )
        store.insert("OpportunityStage", stages)

    def _finish(self, store: Store, now: int) -> None:
        """What follows from other rows: line items present, the end of a rate's validity, the currencies."""
        store.execute(
            "UPDATE Opportunity SET HasOpportunityLineItem = NOT HasOpportunityLineItem"
            " WHERE HasOpportunityLineItem IS NOT (Id IN"
            " (SELECT OpportunityId FROM OpportunityLineItem WHERE IsDeleted = 0))"
        )
        following = (
            "SELECT {} FROM DatedConversionRate n WHERE n.IsoCode = DatedConversionRate.IsoCode"
            " AND n.StartDate > DatedConversionRate.StartDate ORDER BY n.StartDate LIMIT 1"
        )
        store.execute(
            f"UPDATE DatedConversionRate SET NextStartDate = coalesce(({following.format('n.StartDate')}),"
            f" '9999-12-31'), SystemModstamp = max(SystemModstamp,"
            f" coalesce(({following.format('n.CreatedDate')}), 0))"
        )
        store.insert("CurrencyType", self._currencies(store, now))

    def _currencies(self, store: Store, now: int) -> list[Row]:
        today = moment(now).date().isoformat()
        latest = store.rows(
            "SELECT IsoCode, ConversionRate, CreatedDate, max(StartDate) FROM DatedConversionRate"
            " WHERE StartDate <= ? AND IsoCode <> ? GROUP BY IsoCode ORDER BY IsoCode",
            (today, self.world.home_currency),
        )
        start = int(timedelta(days=(self.world.start - moment(0).date()).days).total_seconds())
        found = [(self.world.home_currency, 1.0, start, ""), *latest]
        return [
            {
                "_key": key,
                "Id": record_id("CurrencyType", key),
                "IsoCode": code,
                "ConversionRate": rate,
                "DecimalPlaces": 2,
                "IsActive": 1,
                "IsCorporate": int(code == self.world.home_currency),
                "CreatedDate": start,
                "LastModifiedDate": stamp,
                "SystemModstamp": stamp,
                "CreatedById": record_id("user", 1),
                "LastModifiedById": record_id("user", 1),
            }
            for key, (code, rate, stamp, _) in ((int.from_bytes(row[0].encode()), row) for row in found)
        ]
