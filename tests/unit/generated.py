"""A generated company as canonical frames, straight from its lives: what a perfect source would deliver."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import polars as pl

from connectors.simulator.agreements import with_agreements
from connectors.simulator.world import Life, World
from tests.unit.books import frame

_TABLE = {
    "user": "owners",
    "account": "accounts",
    "contact": "contacts",
    "lead": "leads",
    "deal": "deals",
    "line_item": "line_items",
    "contract": "contracts",
    "subscription": "subscriptions",
    "meeting": "meetings",
    "quota": "quotas",
    "rate": "exchange_rates",
}
_REFERENCES = {
    "account": "account_id",
    "contact": "contact_id",
    "owner": "owner_id",
    "deal": "deal_id",
    "parent": "parent_id",
    "product": "product_id",
    "manager": "manager_id",
    "first_meeting": "first_meeting_at",
    "last_activity": "last_activity_at",
    "contract": "contract_id",
    "revises": "revises_id",
    "value": "amount",
    "activated": "signed_date",
    "terminated": "terminated_date",
}
_OF_LEADS = {
    "account": "converted_account_id",
    "contact": "converted_contact_id",
    "deal": "converted_deal_id",
    "converted": "converted_at",
}
_DATES = (
    "close_date",
    "start_date",
    "end_date",
    "terminated_date",
    "first_meeting_at",
    "last_activity_at",
    "pilot_start",
    "pilot_end",
    "pilot_converted",
    "mql_at",
    "sql_at",
    "converted_at",
)
_UNKNOWN_HERE = {"user": ("first_name", "last_name"), "contact": ("lead",), "lead": ("phone", "title")}
_INSTANTS = ("starts_at", "ends_at")
_IDS = (
    "account_id",
    "contact_id",
    "owner_id",
    "deal_id",
    "parent_id",
    "product_id",
    "manager_id",
    "contract_id",
    "revises_id",
)
_CONVERTED = ("converted_account_id", "converted_contact_id", "converted_deal_id")
_LOGGED = ("stage", "amount", "close_date", "probability", "forecast_category")


def frames(world: World, clock: int) -> dict[str, pl.DataFrame]:
    """The canonical tables of the world with everything that happened up to ``clock`` (epoch seconds)."""
    rows: dict[str, list[dict[str, Any]]] = {table: [] for table in _TABLE.values()}
    changes: list[dict[str, Any]] = []
    products: dict[int, Mapping[str, Any]] = {}
    for life in with_agreements(world):
        if life.kind == "product":
            products[life.key] = life.events[0].values
        if life.kind not in _TABLE or life.events[0].at > clock:
            continue
        row = _row(life, clock, products, ZoneInfo(world.timezone))
        if row is None:
            continue
        rows[_TABLE[life.kind]].append(row)
        if life.kind == "deal":
            changes.extend(_changes(life, clock))
    tables = {table: frame(table, values) for table, values in rows.items()}
    return tables | {"deal_changes": frame("deal_changes", changes), "stages": _stages(world)}


def _row(
    life: Life, clock: int, products: Mapping[int, Mapping[str, Any]], zone: ZoneInfo
) -> dict[str, Any] | None:
    """The canonical row; None for a record that is gone without a trace."""
    happened = [event for event in life.events if event.at <= clock]
    if any(event.op == "purge" for event in happened):
        return None
    values: dict[str, Any] = {}
    for event in happened:
        if event.op in ("create", "set"):
            values |= event.values
    renamed = _REFERENCES | (_OF_LEADS if life.kind == "lead" else {})
    row = {renamed.get(name, name): _value(renamed.get(name, name), value) for name, value in values.items()}
    if life.kind == "rate":
        return row | {"rate": Decimal(row["rate"])}
    if life.kind == "line_item":
        product = products[values["product"]]
        row |= {"product": product["name"], "product_family": product["family"]}
    if life.kind == "subscription":
        row |= {"product": products[values["product"]]["name"]}
    if life.kind == "contract" and row["signed_date"] is not None:
        row |= {"signed_date": _instant(row["signed_date"]).astimezone(zone).date()}
    ends = [event for event in happened if event.op in ("delete", "merge", "restore")]
    last = ends[-1] if ends and ends[-1].op != "restore" else None
    row |= {"external_id": str(life.key), "deleted_at": None if last is None else _instant(last.at)}
    for name in _UNKNOWN_HERE.get(life.kind, ()):
        row.pop(name, None)
    if life.kind == "user":
        return row
    into = str(last.values["into"]) if last is not None and last.op == "merge" else None
    pipeline = {"pipeline": "default"} if life.kind == "deal" else {}
    return row | {"created_at": _instant(life.events[0].at), "merged_into": into} | pipeline


def _value(name: str, value: Any) -> Any:
    if value is not None and name in (*_IDS, *_CONVERTED):
        return str(value)
    if isinstance(value, str) and name in _DATES:
        return date.fromisoformat(value)
    return _instant(value) if name in _INSTANTS and value is not None else value


def _changes(life: Life, clock: int) -> list[dict[str, Any]]:
    found = []
    shown: dict[str, str | None] = {}
    for seq, event in enumerate(life.events):
        if event.at > clock or event.op not in ("create", "set"):
            continue
        for name in _LOGGED:
            if event.op == "set" and name not in event.values:
                continue
            value = event.values.get(name)
            text = None if value is None else str(value)
            if event.op == "create" or text != shown.get(name):
                found.append(
                    {"deal_id": str(life.key), "field": name, "changed_at": _instant(event.at), "seq": seq,
                     "old_value": shown.get(name), "new_value": text, "origin": "crm_history"}
                )  # fmt: skip
            shown[name] = text
    return found


def _stages(world: World) -> pl.DataFrame:
    return frame(
        "stages",
        [
            {"pipeline": "default", "stage": stage.name, "label": stage.name, "sort_order": stage.sort_order,
             "is_closed": stage.closed, "is_won": stage.won, "probability": stage.probability,
             "forecast_category": stage.forecast_category, "active": stage.active}
            for stage in world.stages
        ],
    )  # fmt: skip


def _instant(seconds: int) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
