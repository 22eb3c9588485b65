"""What the generator never writes, put into its record and into the tables alike.

Deals unlike their account, unlike their source, and beyond every map; partners that deals name from their beginning,
later, or no longer; lines of usage and of services; renewals whose seats cost more; lost renewals of no type we know.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import polars as pl

from tests.oracle.record import Truth
from tests.unit.books import frame

SIZES = ("Enterprise", "SMB", "Government", "tbd")
MOTIONS = ("partner", "Self-Serve", "events", "n/a")
SOURCES = ("Webinar", "Referral", None, " cold call")
PARTNERS = ("Acme Brokers", "Beta PEO", "tbd")
KINDS = ("usage", "Committed Usage", "Services")


def with_odd_records(tables: dict[str, pl.DataFrame], truth: Truth) -> dict[str, pl.DataFrame]:
    """The tables with odd deals and lines; the truth holds them then, too."""
    deals = sorted(deal.key for deal in truth.live("deal"))
    odd: dict[str, dict[int, Any]] = {
        "segment": {key: SIZES[n % 4] for n, key in enumerate(deals[::5])},
        "motion": {key: MOTIONS[n % 4] for n, key in enumerate(deals[1::6])},
        "lead_source": {key: SOURCES[n % 4] for n, key in enumerate(deals[2::7])},
    }
    partners = _partners(truth, deals[::4])
    odd["partner"] = {key: past[-1][1] for key, past in partners.items()}
    renewals = [deal for deal in truth.live("deal") if truth.type_of(deal) == "renewal"]
    lost = sorted(deal.key for deal in renewals if truth.outcome(deal)[0] == "lost")
    odd["type"] = dict.fromkeys(lost[::2], "Audit")
    for field, found in odd.items():
        for key, text in found.items():
            truth.records["deal"][key].values[field] = text
    for key, past in partners.items():
        truth.records["deal"][key].values["partners"] = past
    lines = {
        line.key: KINDS[n % 3]
        for n, line in enumerate(sorted(truth.live("line_item"), key=lambda r: r.key)[::6])
    }
    for key, kind in lines.items():
        truth.records["line_item"][key].values["kind"] = kind
    again = {deal.key for deal in renewals}
    dearer = {
        line.key: line["amount"] * 11 // 10
        for line in truth.live("line_item")
        if line["deal"] in again and line["amount"]
    }
    for key, amount in dearer.items():
        truth.records["line_item"][key].values["amount"] = amount
    changed = tables["deals"]
    for field, found in odd.items():
        changed = _set(changed, field, found)
    log = pl.concat([tables["deal_changes"], frame("deal_changes", _log(partners, truth))])
    return {
        **tables,
        "deals": changed,
        "deal_changes": log,
        "line_items": _set(_set(tables["line_items"], "kind", lines), "amount", dearer),
    }


def _partners(truth: Truth, keys: list[int]) -> dict[int, list[tuple[int, str | None]]]:
    """Deal -> (instant, partner from then on): named at once, two months later, or at first and then no more."""
    known, found = int(truth.known_at.timestamp()), {}
    for n, key in enumerate(keys):
        born = truth.records["deal"][key].created
        later = born + int(timedelta(days=60).total_seconds())
        name = PARTNERS[n // 3 % 3]
        pasts: list[list[tuple[int, str | None]]] = [
            [(born, name)],
            [(born, None), (later, name)],
            [(born, name), (later, None)],
        ]
        found[key] = [entry for entry in pasts[n % 3] if entry[0] <= known]
    return found


def _log(partners: dict[int, list[tuple[int, str | None]]], truth: Truth) -> list[dict[str, Any]]:
    rows = []
    for key, past in partners.items():
        before = None
        for seq, (at, name) in enumerate(past):
            # What stood there at the creation, the CRM's log need not tell.
            if seq or key % 2:
                rows.append(
                    {"deal_id": str(key), "field": "partner", "changed_at": datetime.fromtimestamp(at, UTC),
                     "seq": seq, "old_value": before, "new_value": name, "origin": "crm_history"}
                )  # fmt: skip
            before = name
    return rows


def _set(table: pl.DataFrame, field: str, found: dict[int, Any]) -> pl.DataFrame:
    """The table with other values of a field in some rows."""
    rows = {"external_id": [str(key) for key in found], "_odd": [*found.values()]}
    odd = pl.DataFrame(rows, schema={"external_id": pl.String, "_odd": table.schema[field]})
    there = pl.col("external_id").is_in(odd["external_id"].implode())
    joined = table.join(odd, on="external_id", how="left", maintain_order="left")
    return joined.with_columns(pl.when(there).then("_odd").otherwise(field).alias(field)).drop("_odd")
