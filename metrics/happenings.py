"""What has happened to a company's records since a number was published, as the store tells it.

A happening counts as later than the number where the CRM dates it later, or where we heard of it later (see
``pipeline.recorded``). Each has a cause in the field's words:

- deleted, merged (both the record that went and the one that took it in), restored from the bin
- late: created since, or seen by us for the first time since
- reopened: it left a won or lost stage (definition book, R10)
- back_dated: it was won or lost since, with a close, start or conversion date that lies in what was published (R9)
- changed: a field of it, its line items or meetings, or the sales process it stands in
- fx: a rate of its currency was entered or corrected
- lapsed: its contract had expired with the renewal open, and the time for that is up (ruling 13)

What happens to a deal that recurring revenue may count also happens to its customer, ``through`` that deal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

import polars as pl

from connectors.schema import UTC
from metrics import timeline
from metrics.facts import Facts
from metrics.inputs import InputFault
from pipeline import asof
from pipeline.recorded import Recorded
from pipeline.tables import KEYS

_COLUMNS: Final[dict[str, pl.DataType | type[pl.DataType]]] = {
    "object": pl.String,
    "external_id": pl.String,
    "cause": pl.String,
    "field": pl.String,  # of ``changed`` and of what a stage or a date says; null where none is kept
    "old": pl.String,  # as in the logs (``pipeline.asof.as_text``)
    "new": pl.String,
    "at": UTC,  # when on the CRM's clock; null where nobody keeps it
    "through": pl.String,  # the deal that it happened to, where the record is its customer
    "bears": pl.Boolean,  # false: that deal begins after all that the number is about
}
HAPPENED: Final = pl.Schema(_COLUMNS)
_KEPT: Final = ("deals", "accounts", "leads")  # tables whose records stand behind numbers
_PARTS: Final = {"line_items": "line items", "meetings": "meetings"}
_LEDGER: Final = ("renewal", "contraction", "churn")  # types of deals that end contracts, won or lost


@dataclass(frozen=True)
class Then:
    """What a published number knew.

    ``day``: the last day it is about (D); ``seen``: object and external_id of all records behind the numbers published
    with it.
    """

    known_at: datetime
    day: date
    seen: pl.DataFrame
    recorded: Recorded = field(default_factory=Recorded)


def since(facts: Facts, then: Then) -> pl.DataFrame:
    """Everything that happened between ``then`` and the facts' ``known_at``, in schema ``HAPPENED``."""
    of_deals = pl.concat(
        [
            *(_gone(facts, then, table) for table in _KEPT),
            *(_late(facts, then, table) for table in _KEPT),
            _deal_changes(facts, then),
            *(_parts(facts, then, table, words) for table, words in _PARTS.items()),
            _account_changes(facts, then),
            _lead_changes(facts, then),
            _layout(facts, then),
            _rates(facts, then),
            _lapsed(facts, then),
        ]
    )
    return pl.concat([of_deals, _to_customers(facts, then, of_deals)])


def _frame(rows: pl.DataFrame, **columns: pl.Expr) -> pl.DataFrame:
    """Happenings from rows, by the expressions for their columns; the rest is null."""
    return rows.select(
        columns.get(name, pl.lit(None)).cast(dtype).alias(name) for name, dtype in HAPPENED.items()
    )


def _later(rows: pl.DataFrame, then: Then, table: str, *stamps: str) -> pl.DataFrame:
    """``rows`` with the column ``later``: dated after ``then`` by one of the stamps, or heard of after it."""
    keys = list(KEYS[table])
    heard = then.recorded.of(table).filter(pl.col("recorded_at") > then.known_at).select(*keys, later_=True)
    dated = pl.any_horizontal(pl.col(stamp) > then.known_at for stamp in stamps).fill_null(value=False)
    joined = rows.join(heard, on=keys, how="left", maintain_order="left")
    return joined.with_columns(later=dated | pl.col("later_").is_not_null()).drop("later_")


def _seen(then: Then, table: str) -> pl.Expr:
    return pl.col("external_id").is_in(then.seen.filter(object=table)["external_id"].implode())


def _gone(facts: Facts, then: Then, table: str) -> pl.DataFrame:
    """Tombstones that the number did not know: deleted, or merged away; and the records that took those in."""
    rows = _later(facts.raw(table), then, table, "deleted_at")
    gone = rows.filter(pl.col("deleted_at") <= facts.known_at, pl.col("later") | _seen(then, table))
    merged = gone.filter(pl.col("merged_into").is_not_null())
    lost = pl.when(pl.col("merged_into").is_not_null()).then(pl.lit("merged")).otherwise(pl.lit("deleted"))
    taken = pl.col("merged_into")
    if table == "accounts":  # a customer is the top of what the survivor belongs to
        tops = facts.accounts.select("customer", merged_into="account_id")
        merged = merged.join(tops, on="merged_into", how="left")
        taken = pl.coalesce("customer", "merged_into")
    name, at = pl.lit(table), pl.col("deleted_at")
    return pl.concat(
        [
            _frame(
                gone, object=name, external_id=pl.col("external_id"), cause=lost, new=pl.col("merged_into"), at=at
            ),
            _frame(
                merged, object=name, external_id=taken, cause=pl.lit("merged"), old=pl.col("external_id"), at=at
            ),
        ]
    )  # fmt: skip


def _late(facts: Facts, then: Then, table: str) -> pl.DataFrame:
    """Live records that were created since, or of which nothing had been heard."""
    rows = facts.live(table)
    first = then.recorded.first_seen.filter(pl.col("first_seen") > then.known_at)
    heard = rows.join(first, left_on="external_id", right_on="deal_id", how="left").with_columns(
        first_seen=pl.col("first_seen") if table == "deals" else pl.lit(None, UTC)
    )
    new = (pl.col("created_at") > then.known_at).fill_null(value=False) | pl.col("first_seen").is_not_null()
    return _frame(
        heard.filter(new, ~_seen(then, table)),
        object=pl.lit(table),
        external_id=pl.col("external_id"),
        cause=pl.lit("late"),
        at=pl.col("created_at"),
    )


def _log_since(facts: Facts, then: Then, log: str) -> pl.DataFrame:
    rows = _later(facts.raw(log), then, log, "changed_at")
    return rows.filter("later", pl.col("changed_at") <= facts.known_at).sort("changed_at", "seq")


def _net(changes: pl.DataFrame, *keys: str) -> pl.DataFrame:
    """What became of each field: first old, last new value, and when it last changed."""
    net = changes.group_by(*keys, "field", maintain_order=True).agg(
        old=pl.col("old_value").first(), new=pl.col("new_value").last(), at=pl.col("changed_at").last()
    )
    return net.filter(pl.col("old").ne_missing(pl.col("new")))


def _deal_changes(facts: Facts, then: Then) -> pl.DataFrame:
    log = _log_since(facts, then, "deal_changes")
    changes = log.filter(pl.col("field").is_in(asof.FIELDS["deals"]))
    back = changes.filter(pl.col("field") == "deleted_at", pl.col("new_value").is_null())
    of = {"object": pl.lit("deals"), "external_id": pl.col("deal_id"), "field": pl.col("field")}
    values = {"old": pl.col("old"), "new": pl.col("new"), "at": pl.col("at")}
    net = _net(changes.filter(pl.col("field") != "deleted_at"), "deal_id")
    return pl.concat(
        [
            _frame(net, cause=pl.lit("changed"), **of, **values),
            _frame(
                back, object=of["object"], external_id=of["external_id"], cause=pl.lit("restored"),
                at=pl.col("changed_at"),
            ),
            _frame(_reopened(facts, changes), cause=pl.lit("reopened"), **of, **values),
            _frame(_back_dated(facts, then, changes, net), cause=pl.lit("back_dated"), **of, **values),
        ]
    )  # fmt: skip


def _stage_moves(facts: Facts, changes: pl.DataFrame) -> pl.DataFrame:
    """Changes of stage with the outcome of the stage before and after: deal_id, field, old, new, at, was, became."""
    deals = facts.raw("deals").select("pipeline", deal_id="external_id")
    moves = (
        changes.filter(pl.col("field") == "stage")
        .select("deal_id", "field", old="old_value", new="new_value", at="changed_at")
        .join(deals, on="deal_id", how="left", maintain_order="left")
    )
    for side, outcome in (("old", "was"), ("new", "became")):
        placed = timeline.with_stage(moves.rename({side: "stage"}), facts.stages)
        moves = (
            placed.rename({"stage": side, "outcome": outcome})
            .drop("label", "sort_order", "active", "qualified")
            .sort("at")
        )
    return moves


def _reopened(facts: Facts, changes: pl.DataFrame) -> pl.DataFrame:
    """The last time that each deal left a won or lost stage for an open one."""
    moves = _stage_moves(facts, changes)
    left = moves.filter(pl.col("was").is_in(["won", "lost"]), pl.col("became") == "open")
    return left.unique("deal_id", keep="last", maintain_order=True)


def _back_dated(facts: Facts, then: Then, changes: pl.DataFrame, net: pl.DataFrame) -> pl.DataFrame:
    """Deals that were won or lost since, and say that it was on a day which the number is about."""
    deals = facts.deals.select("outcome", "outcome_day", "starts", deal_id="external_id")
    early = (pl.col("outcome_day") <= then.day) | (
        (pl.col("outcome") == "won") & (pl.col("starts") <= then.day)
    )
    moves = _stage_moves(facts, changes)
    entered = moves.filter(pl.col("became").is_in(["won", "lost"]), pl.col("was").ne_missing(pl.lit("won")))
    entered = entered.filter(pl.col("was").ne_missing(pl.col("became"))).unique(
        "deal_id", keep="last", maintain_order=True
    )
    converted = net.filter(pl.col("field") == "pilot_converted", pl.col("new").is_not_null())
    both = pl.concat([entered.select("deal_id", "field", "old", "new", "at"), converted.select(
        "deal_id", "field", "old", "new", "at"
    )])  # fmt: skip
    return both.join(deals, on="deal_id").filter(pl.col("outcome") != "open", early.fill_null(value=False))


def _parts(facts: Facts, then: Then, table: str, words: str) -> pl.DataFrame:
    """Line items or meetings of a deal that came, went or changed: they have no past of their own."""
    rows = _later(facts.raw(table), then, table, "created_at", "modified_at", "deleted_at")
    touched = rows.filter("later", pl.col("deal_id").is_not_null()).with_columns(
        at=pl.max_horizontal("created_at", "modified_at", "deleted_at")
    )
    return _frame(
        touched.filter((pl.col("at") <= facts.known_at).fill_null(value=True))
        .group_by("deal_id")
        .agg(pl.col("at").max()),
        object=pl.lit("deals"),
        external_id=pl.col("deal_id"),
        cause=pl.lit("changed"),
        field=pl.lit(words),
        at=pl.col("at"),
    )


def _account_changes(facts: Facts, then: Then) -> pl.DataFrame:
    """Changes of accounts; a new parent also changes who the customers are."""
    net = _net(_log_since(facts, then, "account_changes"), "account_id").filter(
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
    return _frame(
        pl.concat([net, customers.select(net.columns)]).unique(maintain_order=True),
        object=pl.lit("accounts"),
        external_id=pl.col("account_id"),
        cause=pl.lit("changed"),
        field=pl.col("field"),
        old=pl.col("old"),
        new=pl.col("new"),
        at=pl.col("at"),
    )


def _lead_changes(facts: Facts, then: Then) -> pl.DataFrame:
    """Leads that were touched since. They have no past of their own: the last of their dates stands for the change."""
    rows = _later(facts.live("leads"), then, "leads", "modified_at").filter("later")
    dates = ("converted_at", "sql_at", "mql_at")
    last = pl.max_horizontal(dates)
    return _frame(
        rows,
        object=pl.lit("leads"),
        external_id=pl.col("external_id"),
        cause=pl.lit("changed"),
        field=pl.coalesce(pl.when(pl.col(name) == last).then(pl.lit(name)) for name in dates),
        new=last.cast(pl.String),
        at=pl.col("modified_at"),
    )


def _layout(facts: Facts, then: Then) -> pl.DataFrame:
    """Deals that stand in a stage of which the sales process says something else now."""
    moved = (
        _log_since(facts, then, "stage_changes")
        .filter(pl.col("field").is_in(["is_closed", "is_won", "sort_order", "active", "probability"]))
        .group_by("pipeline", "stage")
        .agg(at=pl.col("changed_at").max())
    )
    deals = facts.deals.select("external_id", "pipeline", "stage").join(moved, on=["pipeline", "stage"])
    return _frame(
        deals,
        object=pl.lit("deals"),
        external_id=pl.col("external_id"),
        cause=pl.lit("changed"),
        field=pl.lit("sales process"),
        at=pl.col("at"),
    )


def _rates(facts: Facts, then: Then) -> pl.DataFrame:
    """Deals in a currency of which a rate that was in force by the number's last day has changed."""
    rows = _later(facts.raw("exchange_rates"), then, "exchange_rates", "modified_at", "deleted_at")
    last = pl.col("start_date") <= max(then.day, facts.calendar.day(f"{then.day:%Y-%m}"))
    moved = (
        rows.filter("later", last)
        .with_columns(at=pl.max_horizontal("modified_at", "deleted_at"))
        .filter((pl.col("at") <= facts.known_at).fill_null(value=True))
        .group_by("currency")
        .agg(pl.col("at").max())
    )
    deals = facts.raw_deals.select("external_id", "currency").filter(pl.col("currency") != facts.currency)
    own = deals.join(moved, on="currency")
    report = moved.filter(
        pl.col("currency") == facts.currency
    )  # every other currency is converted through it
    hit = own if report.is_empty() else deals.with_columns(at=pl.lit(report["at"][0], UTC))
    return _frame(
        hit.select("external_id", "currency", "at"),
        object=pl.lit("deals"),
        external_id=pl.col("external_id"),
        cause=pl.lit("fx"),
        field=pl.lit("exchange rate"),
        new=pl.col("currency"),
        at=pl.col("at"),
    )


def _lapsed(facts: Facts, then: Then) -> pl.DataFrame:
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
    return _frame(
        over.filter(pl.col("deal_id").is_not_null()),
        object=pl.lit("deals"),
        external_id=pl.col("deal_id"),
        cause=pl.lit("lapsed"),
        field=pl.lit("end"),
        new=pl.col("end").cast(pl.String),
    )


def _to_customers(facts: Facts, then: Then, happened: pl.DataFrame) -> pl.DataFrame:
    """What happened to deals that recurring revenue counts, counted, or is ended by, as told of their customers."""
    homes = facts.accounts.select("account_id", "customer")
    placed = facts.raw("deals").select("external_id", "account_id", "pipeline", "stage", "is_won")
    everyone = timeline.with_stage(placed, facts.stages).rename({"outcome": "stands"})  # also what is gone
    early = pl.min_horizontal("starts", "outcome_day") <= then.day
    described = facts.deals.select("external_id", "outcome", "deal_type", bears=early)
    deals = everyone.join(described, on="external_id", how="left").join(homes, on="account_id", how="left")
    won = pl.coalesce("outcome", "stands") == "won"
    counted = won | pl.col("deal_type").is_in(_LEDGER) | pl.col("is_won")
    left = happened.filter(cause="reopened")["external_id"].implode()
    mine = deals.filter(counted.fill_null(value=False) | pl.col("external_id").is_in(left))
    of_deals = happened.filter(object="deals")
    of_deals = of_deals.drop("bears").join(mine.select("external_id", "bears"), on="external_id")
    now = of_deals.join(mine.select("external_id", "customer"), on="external_id")
    moved = of_deals.filter(pl.col("field") == "account_id").join(
        homes, left_on="old", right_on="account_id"
    )  # the account it belonged to has lost it
    told = pl.concat([now, moved.select(now.columns)]).filter(pl.col("customer").is_not_null())
    return told.select(
        pl.lit("accounts").alias("object"),
        pl.col("customer").alias("external_id"),
        *(pl.col(name) for name in HAPPENED if name not in ("object", "external_id", "through", "bears")),
        pl.col("external_id").alias("through"),
        pl.col("bears").fill_null(value=True),
    )
