"""Small sets of books for the tests of the metrics: canonical frames from a few words, and facts over them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import polars as pl

from connectors.schema import TABLES
from metrics.facts import Facts
from metrics.kpi import KpiValue
from pipeline.company import Company

Row = dict[str, Any]
NOW = datetime(2026, 12, 31, 12, tzinfo=UTC)
STAGES = (  # stage, order, closed, won, active
    ("Prospecting", 1, False, False, True),
    ("Discovery", 2, False, False, True),
    ("Survey", 3, False, False, False),
    ("Proposal", 4, False, False, True),
    ("Won", 5, True, True, True),
    ("Lost", 6, True, False, True),
)

DATES = ("close_date", "start_date", "first_meeting_at", "pilot_start", "pilot_end", "pilot_converted")


def frame(table: str, rows: Sequence[Mapping[str, Any]]) -> pl.DataFrame:
    """A canonical table; columns that a row does not name are null."""
    schema = TABLES[table]
    full = [{column: row.get(column) for column in schema} for row in rows]
    unknown = {key for row in rows for key in row} - set(schema)
    if unknown:
        raise KeyError(f"{table} has no column {', '.join(sorted(unknown))}")
    return pl.DataFrame(full, schema=schema)


def at(day: date | str, hour: int = 12) -> datetime:
    """An instant on a day, UTC."""
    parsed = date.fromisoformat(day) if isinstance(day, str) else day
    return datetime.combine(parsed, time(hour), tzinfo=UTC)


class Books:
    """Rows of canonical tables, added one by one."""

    def __init__(self) -> None:
        self.rows: dict[str, list[Row]] = {table: [] for table in TABLES}
        for stage, order, closed, won, active in STAGES:
            self.rows["stages"].append(
                {"pipeline": "default", "stage": stage, "label": stage, "sort_order": order, "is_closed": closed,
                 "is_won": won, "active": active, "probability": 0.5}
            )  # fmt: skip

    def account(self, key: str, **values: Any) -> str:
        """An account, created in 2020."""
        self.rows["accounts"].append(
            {"external_id": key, "name": key, "created_at": at("2020-01-01")} | values
        )
        return key

    def deal(
        self, key: str, created: str = "2020-01-02", history: Sequence[tuple[str, str]] = (), **values: Any
    ) -> str:
        """A deal in USD. ``history``: (day, stage) entries; without it the log knows only its present stage."""
        row: Row = {
            "external_id": key, "name": key, "created_at": at(created), "pipeline": "default", "currency": "USD",
            "type": "New Business",
        } | values  # fmt: skip
        for name, value in row.items():
            if name in DATES and value:
                row[name] = date.fromisoformat(value)
        if history:
            row["stage"] = history[-1][1]
        self.rows["deals"].append(row)
        entries = history or [(created, str(row["stage"]))]
        before = None
        for day, stage in entries:
            self.change(key, "stage", day, before, stage)
            before = stage
        return key

    def won(
        self, key: str, account: str | None, start: str, arr: int | None, term: int | None = 12, **values: Any
    ) -> str:
        """A won deal of that account; ARR in whole units; the close date is the start unless named."""
        return self.deal(
            key,
            **{"stage": "Won", "account_id": account, "close_date": start, "start_date": start, "term_months": term,
               "arr": None if arr is None else arr * 100} | values,
        )  # fmt: skip

    def change(self, deal: str, field: str, day: str | datetime, old: str | None, new: str | None) -> None:
        """One entry of the change log."""
        moment = day if isinstance(day, datetime) else at(day)
        self.rows["deal_changes"].append(
            {"deal_id": deal, "field": field, "changed_at": moment, "seq": len(self.rows["deal_changes"]),
             "old_value": old, "new_value": new, "origin": "crm_history"}
        )  # fmt: skip

    def line(
        self, deal: str, product: str, kind: str | None, quantity: float, amount: int, **values: Any
    ) -> None:
        """A line item; amount in whole units. ``start_date``: of the line itself, as text."""
        lines = self.rows["line_items"]
        if "start_date" in values:
            values = values | {"start_date": date.fromisoformat(values["start_date"])}
        lines.append(
            {"external_id": f"line{len(lines)}", "created_at": at("2020-01-02"), "deal_id": deal, "product_id": product,
             "product": product, "kind": kind, "quantity": quantity, "amount": amount * 100, "currency": "USD"} | values
        )  # fmt: skip

    def contract(
        self,
        key: str,
        account: str | None,
        start: str | None,
        end: str | None,
        amount: int | None,
        **values: Any,
    ) -> str:
        """A contract of the CRM's own, in force, signed on its start; ``end``: its last day; amount in whole units."""
        return self._agreement(
            "contracts",
            {"external_id": key, "account_id": account, "start_date": start, "end_date": end,
             "amount": None if amount is None else amount * 100, "status": "Activated", "signed_date": start} | values,
        )  # fmt: skip

    def subscription(
        self,
        key: str,
        contract: str | None,
        product: str,
        quantity: float | None,
        price: int | None,
        **values: Any,
    ) -> str:
        """A subscription to a product for its contract's time unless it says otherwise; net price in whole units."""
        return self._agreement(
            "subscriptions",
            {"external_id": key, "contract_id": contract, "product_id": product, "product": product,
             "quantity": quantity, "unit_price": None if price is None else price * 100} | values,
        )  # fmt: skip

    def _agreement(self, table: str, row: Row) -> str:
        row = {"name": row["external_id"], "created_at": at("2020-01-02"), "currency": "USD"} | row
        for name in ("start_date", "end_date", "signed_date", "terminated_date"):
            if row.get(name):
                row[name] = date.fromisoformat(row[name])
        if isinstance(row.get("created_at"), str):
            row["created_at"] = at(row["created_at"])
        self.rows[table].append(row)
        return str(row["external_id"])

    def meeting(
        self, deal: str | None, day: str, completed: bool | None = True, contact: str | None = None
    ) -> None:
        """An hour with a customer, from ten o'clock on; booked in 2020."""
        meetings = self.rows["meetings"]
        meetings.append(
            {"external_id": f"meeting{len(meetings)}", "created_at": at("2020-01-02"), "deal_id": deal,
             "contact_id": contact, "starts_at": at(day, 10), "ends_at": at(day, 11), "completed": completed}
        )  # fmt: skip

    def rate(self, currency: str, start: str, rate: str) -> None:
        """Home-currency units for one unit, from that day on."""
        self.rows["exchange_rates"].append(
            {"currency": currency, "start_date": date.fromisoformat(start), "rate": Decimal(rate)}
        )

    def lead(self, key: str, created: str, source: str | None = None, **values: Any) -> str:
        """A lead; its dates as text."""
        row: Row = {"external_id": key, "company": f"{key} Inc.", "created_at": at(created), "source": source}
        for name, value in values.items():
            dated = name in ("mql_at", "sql_at", "converted_at")
            row[name] = (
                date.fromisoformat(value) if dated and value else at(value) if name == "deleted_at" else value
            )
        self.rows["leads"].append(row)
        return key

    def contact(self, key: str, **values: Any) -> str:
        """A contact, created in 2020; its dates as text."""
        row: Row = {"external_id": key, "created_at": at("2020-01-01")} | values
        if row.get("last_activity_at"):
            row["last_activity_at"] = date.fromisoformat(row["last_activity_at"])
        self.rows["contacts"].append(row)
        return key

    def quota(self, start: str, amount: int, currency: str = "USD", owner: str | None = None) -> None:
        """A quota in whole units."""
        quotas = self.rows["quotas"]
        quotas.append(
            {"external_id": f"quota{len(quotas)}", "start_date": date.fromisoformat(start), "amount": amount * 100,
             "currency": currency, "owner_id": owner, "created_at": at("2020-01-01")}
        )  # fmt: skip

    def frames(self) -> dict[str, pl.DataFrame]:
        return {table: frame(table, rows) for table, rows in self.rows.items()}

    def facts(
        self, *months: str, now: datetime = NOW, company: Company | None = None, **settings: Any
    ) -> Facts:
        """Facts of those months as known at ``now``."""
        return Facts(company or Company(name="test", currency="USD", **settings), months, now, self.frames())


def only(values: Sequence[KpiValue], **where: Any) -> KpiValue:
    """The one value with these attributes."""
    found = [
        value for value in values if all(getattr(value, name) == wanted for name, wanted in where.items())
    ]
    assert len(found) == 1, f"{len(found)} values with {where}"
    return found[0]


def days_later(day: str, days: int) -> str:
    return (date.fromisoformat(day) + timedelta(days=days)).isoformat()
