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

from typing import Final

import polars as pl

from connectors.schema import UTC
from metrics import surroundings, timeline
from metrics.facts import Facts
from metrics.happened import HAPPENED, Then, became, frame, later, log_since
from pipeline import asof

_KEPT: Final = (
    "deals",
    "accounts",
    "leads",
    *surroundings.CONTRACTS,
)  # tables whose records stand behind numbers
_LEDGER: Final = ("renewal", "contraction", "churn")  # types of deals that end contracts, won or lost


def since(facts: Facts, then: Then) -> pl.DataFrame:
    """Everything that happened between ``then`` and the facts' ``known_at``, in schema ``HAPPENED``."""
    of_deals = pl.concat(
        [
            *(_gone(facts, then, table) for table in _KEPT),
            *(_late(facts, then, table) for table in _KEPT),
            _deal_changes(facts, then),
            *(surroundings.parts(facts, then, table, words) for table, words in surroundings.PARTS.items()),
            surroundings.accounts(facts, then),
            surroundings.leads(facts, then),
            *(surroundings.contracts(facts, then, table) for table in surroundings.CONTRACTS),
            surroundings.layout(facts, then),
            surroundings.rates(facts, then),
            surroundings.lapsed(facts, then),
        ]
    )
    kept = [surroundings.of_contracts(facts, of_deals, table) for table in surroundings.CONTRACTS]
    return pl.concat([of_deals, _to_customers(facts, then, of_deals), *kept])


def _seen(then: Then, table: str) -> pl.Expr:
    return pl.col("external_id").is_in(then.seen.filter(object=table)["external_id"].implode())


def _gone(facts: Facts, then: Then, table: str) -> pl.DataFrame:
    """Tombstones that the number did not know: deleted, or merged away; and the records that took those in."""
    rows = later(facts.raw(table), then, table, "deleted_at")
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
            frame(
                gone, object=name, external_id=pl.col("external_id"), cause=lost, new=pl.col("merged_into"), at=at
            ),
            frame(
                merged, object=name, external_id=taken, cause=pl.lit("merged"), old=pl.col("external_id"), at=at
            ),
        ]
    )  # fmt: skip


def _late(facts: Facts, then: Then, table: str) -> pl.DataFrame:
    """Live records that were created since, or of which nothing had been heard."""
    rows = facts.live(table)
    first = then.recorded.first_seen.filter(pl.col("first_seen") > then.taken_at)
    heard = rows.join(first, left_on="external_id", right_on="deal_id", how="left").with_columns(
        first_seen=pl.col("first_seen") if table == "deals" else pl.lit(None, UTC)
    )
    new = (pl.col("created_at") > then.known_at).fill_null(value=False) | pl.col("first_seen").is_not_null()
    return frame(
        heard.filter(new, ~_seen(then, table)),
        object=pl.lit(table),
        external_id=pl.col("external_id"),
        cause=pl.lit("late"),
        at=pl.col("created_at"),
    )


def _deal_changes(facts: Facts, then: Then) -> pl.DataFrame:
    log = log_since(facts, then, "deal_changes")
    changes = log.filter(pl.col("field").is_in(asof.FIELDS["deals"]))
    back = changes.filter(pl.col("field") == "deleted_at", pl.col("new_value").is_null())
    of = {"object": pl.lit("deals"), "external_id": pl.col("deal_id"), "field": pl.col("field")}
    values = {"old": pl.col("old"), "new": pl.col("new"), "at": pl.col("at")}
    net = became(changes.filter(pl.col("field") != "deleted_at"), "deal_id")
    return pl.concat(
        [
            frame(net, cause=pl.lit("changed"), **of, **values),
            frame(
                back, object=of["object"], external_id=of["external_id"], cause=pl.lit("restored"),
                at=pl.col("changed_at"),
            ),
            frame(_reopened(facts, changes), cause=pl.lit("reopened"), **of, **values),
            frame(_back_dated(facts, then, changes, net), cause=pl.lit("back_dated"), **of, **values),
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
