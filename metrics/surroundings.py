"""What has happened around deals since a number was published: to their parts and accounts, to leads, to the sales
process, to exchange rates and by the mere passing of time (see ``metrics.happenings``)."""

from __future__ import annotations

from typing import Final

import polars as pl

from connectors.schema import UTC
from metrics import agreements, opening
from metrics.facts import Facts
from metrics.happened import HAPPENED, Then, became, frame, later, log_since
from metrics.inputs import InputFault

PARTS: Final = {"line_items": "line items", "meetings": "meetings"}
CONTRACTS: Final = ("contracts", "subscriptions")  # of the CRM, where ARR is read from them


def parts(facts: Facts, then: Then, table: str, words: str) -> pl.DataFrame:
    """Line items or meetings of a deal that came, went or changed: they have no past of their own."""
    rows = later(facts.raw(table), then, table, "created_at", "modified_at", "deleted_at")
    touched = rows.filter("later", pl.col("deal_id").is_not_null()).with_columns(
        at=pl.max_horizontal("created_at", "modified_at", "deleted_at")
    )
    return frame(
        touched.filter((pl.col("at") <= facts.known_at).fill_null(value=True))
        .group_by("deal_id")
        .agg(pl.col("at").max()),
        object=pl.lit("deals"),
        external_id=pl.col("deal_id"),
        cause=pl.lit("changed"),
        field=pl.lit(words),
        at=pl.col("at"),
    )


def accounts(facts: Facts, then: Then) -> pl.DataFrame:
    """Changes of accounts; a new parent also changes who the customers are."""
    net = became(log_since(facts, then, "account_changes"), "account_id").filter(
        pl.col("field") != "deleted_at"
    )
    tops = facts.accounts.select("account_id", "customer")
    moved = net.filter(pl.col("field") == "parent_id")
    customers = pl.concat(
        [
            moved.join(tops, on="account_id").with_columns(account_id="customer").drop("customer"),
            moved.join(tops, left_on="old", right_on="account_id")
            .with_columns(account_id="customer")
            .drop("customer"),
        ]
    ).filter(pl.col("account_id").is_not_null())
    return frame(
        pl.concat([net, customers.select(net.columns)]).unique(maintain_order=True),
        object=pl.lit("accounts"),
        external_id=pl.col("account_id"),
        cause=pl.lit("changed"),
        field=pl.col("field"),
        old=pl.col("old"),
        new=pl.col("new"),
        at=pl.col("at"),
    )


def leads(facts: Facts, then: Then) -> pl.DataFrame:
    """Leads that were touched since. They have no past of their own: the last of their dates stands for the change."""
    rows = later(facts.live("leads"), then, "leads", "modified_at").filter("later")
    dates = ("converted_at", "sql_at", "mql_at")
    last = pl.max_horizontal(dates)
    return frame(
        rows,
        object=pl.lit("leads"),
        external_id=pl.col("external_id"),
        cause=pl.lit("changed"),
        field=pl.coalesce(pl.when(pl.col(name) == last).then(pl.lit(name)) for name in dates),
        new=last.cast(pl.String),
        at=pl.col("modified_at"),
    )


def contracts(facts: Facts, then: Then, table: str) -> pl.DataFrame:
    """Contracts of the CRM that were touched since: they have no past, so which field it was is not known."""
    return frame(
        later(facts.live(table), then, table, "modified_at").filter("later"),
        object=pl.lit(table),
        external_id=pl.col("external_id"),
        cause=pl.lit("changed"),
        at=pl.col("modified_at"),
    )


def of_contracts(facts: Facts, happened: pl.DataFrame, table: str) -> pl.DataFrame:
    """What happened to contracts of the CRM, as told of their customers."""
    homes = facts.accounts.select("account_id", "customer")
    owned = facts.raw(table).select("external_id", "account_id").join(homes, on="account_id")
    told = happened.filter(object=table).join(owned, on="external_id")
    mine = told.filter(pl.col("customer").is_not_null())
    return mine.with_columns(
        object=pl.lit("accounts"), through=pl.col("external_id"), external_id=pl.col("customer")
    ).select(HAPPENED.names())


def layout(facts: Facts, then: Then) -> pl.DataFrame:
    """Deals that stand in a stage of which the sales process says something else now."""
    moved = (
        log_since(facts, then, "stage_changes")
        .filter(pl.col("field").is_in(["is_closed", "is_won", "sort_order", "active", "probability"]))
        .group_by("pipeline", "stage")
        .agg(at=pl.col("changed_at").max())
    )
    deals = facts.deals.select("external_id", "pipeline", "stage").join(moved, on=["pipeline", "stage"])
    return frame(
        deals,
        object=pl.lit("deals"),
        external_id=pl.col("external_id"),
        cause=pl.lit("changed"),
        field=pl.lit("sales process"),
        at=pl.col("at"),
    )


def rates(facts: Facts, then: Then) -> pl.DataFrame:
    """Records in a currency of which a rate that was in force by the number's last day has changed: deals, and, where
    ARR is read from them, contracts of the CRM and rows of the opening list with their customers."""
    rows = later(facts.raw("exchange_rates"), then, "exchange_rates", "modified_at", "deleted_at")
    last = pl.col("start_date") <= max(then.day, facts.calendar.day(f"{then.day:%Y-%m}"))
    moved = (
        rows.filter("later", last)
        .with_columns(at=pl.max_horizontal("modified_at", "deleted_at"))
        .filter((pl.col("at") <= facts.known_at).fill_null(value=True))
        .group_by("currency")
        .agg(pl.col("at").max())
    )
    priced = _priced(facts).filter(pl.col("currency") != facts.currency)
    own = priced.join(moved, on="currency")
    report = moved.filter(
        pl.col("currency") == facts.currency
    )  # every other currency is converted through it
    hit = own if report.is_empty() else priced.with_columns(at=pl.lit(report["at"][0], UTC))
    return frame(
        hit,
        object=pl.col("object"),
        external_id=pl.col("external_id"),
        cause=pl.lit("fx"),
        field=pl.lit("exchange rate"),
        new=pl.col("currency"),
        at=pl.col("at"),
    )


def _priced(facts: Facts) -> pl.DataFrame:
    """object, external_id, currency of what numbers are converted from."""
    deals = facts.raw_deals.select("external_id", "currency", object=pl.lit("deals"))
    table = agreements.TABLE.get(facts.company.arr.source)
    kept = facts.agreements.select("external_id", "currency", object=pl.lit(table, dtype=pl.String))
    try:
        listed = facts.opening_list
    except InputFault:  # every number that needs it names the fault
        listed = opening.none()
    rows = listed.select(
        pl.format("line {}", "line").alias("external_id"), "currency", object=pl.lit("opening_arr")
    )
    theirs = listed.select(
        pl.col("customer").alias("external_id"), "currency", object=pl.lit("accounts")
    ).unique(maintain_order=True)
    return pl.concat([deals, kept, rows, theirs])


def lapsed(facts: Facts, then: Then) -> pl.DataFrame:
    """Contracts that had ended by then, whose time to be renewed ran out since."""
    try:
        contracts = facts.contracts
    except InputFault:  # every number that needs the list names the fault
        return pl.DataFrame(schema=HAPPENED)
    known = then.known_at.astimezone(facts.company.zone).date()
    until = pl.col("end").dt.offset_by(f"{facts.company.arr.grace_days}d")
    over = contracts.filter(
        pl.col("end") <= known, until > known, until <= facts.calendar.known_day, ~pl.col("unresolved")
    )
    return frame(
        over.filter(pl.col("deal_id").is_not_null()),
        object=pl.lit("deals"),
        external_id=pl.col("deal_id"),
        cause=pl.lit("lapsed"),
        field=pl.lit("end"),
        new=pl.col("end").cast(pl.String),
    )
