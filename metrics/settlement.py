"""How the contracts of a customer end each other (definition book, R5, R7, rulings 9 to 14).

In this order:

1. A contract ending at most 3 days after a renewal of the customer starts ends at that start (ruling 10). One without
   an end (it comes from an opening list) runs until the first renewal of the customer that starts after it.
2. With ``auto_renew`` a new or renewal contract goes on after its end: see ``metrics.auto_renewal``.
3. Expansion, contraction and smaller churn deals end with the latest-ending new or renewal contract live on their
   start, else after their own term (ruling 9).
4. What depends on what is live is taken in order of its start; on one day renewals come first and churn last:

   - a churn deal whose size is at least the ARR live on its start ends everything live on that day and is no contract
     itself, otherwise it is a contraction (ruling 11; sizes at the rates of that day, unrounded);
   - with ``expansion: total`` an expansion, and a downgrade that is not negative, states all that the customer has from
     its start on: it ends everything live on that day, and itself ends with the latest of it;
   - with ``renewal: delta`` a renewal adds to what expires: the contracts that ended within the grace before its start
     (else those that ended last) go on beside it for its term, at their own ARR; not those that another deal ended,
     or that go on under another renewal already.
5. Where nothing of the customer is live on an end e and its next new or renewal contract starts at s <= e + grace,
   contracts ending on e end at s instead (ruling 12).
6. Where nothing follows, e <= known_at's day < e + grace and an open renewal deal of the customer exists, contracts
   that expired on e stay, marked ``unresolved`` (ruling 13; one that a churn deal ended, or that was terminated, has
   not expired).
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, timedelta
from typing import Final

import polars as pl

from metrics.auto_renewal import prolonged
from metrics.basis import BASE
from metrics.currency import Rates
from pipeline.company import ArrSettings

REPLACED_WITHIN_DAYS: Final = 3
OPEN_END: Final = date(9999, 12, 31)  # of a contract that nobody has ended


@dataclass(frozen=True)
class Circumstances:
    """What else decides about ends: ``parts`` from ``metrics.lines.parts``, the customers whose renewal is open, and
    the renewals that were lost (customer, lost: the day)."""

    settings: ArrSettings
    rates: Rates
    known_day: date
    parts: pl.DataFrame
    waiting: pl.Series
    lost: pl.DataFrame


def settle(natural: pl.DataFrame, around: Circumstances) -> pl.DataFrame:
    """The contracts with their final ends.

    ``natural``: contract, made_of, customer, deal_type, currency, start, own_end, term, signed, arr, totals (its
    amount is all that the customer has), terminated (its own end came early). Added: end, due (its end by itself, a
    delta's that of what it runs along with: when it was up for renewal), expires (the end before grace), unresolved,
    churned, churn_deal, leaves_signed (outcome day of what ends it), auto_renewed.
    """
    ledger = _replaced(
        natural.with_columns(
            natural_end="own_end",
            base=pl.col("deal_type").is_in(BASE),
            cut=pl.when("terminated").then("own_end"),
            churn_deal=pl.lit(None, dtype=pl.String),
            cut_signed=pl.lit(None, dtype=pl.Date),
            ends_all=pl.lit(value=False),
            auto_renewed=pl.lit(value=False),
            goes_on=pl.lit(value=False),
        )
    )
    due = _with_ends(ledger).select("contract", due="end")
    ledger = ledger.join(due, on="contract", how="left")
    if around.settings.auto_renew:
        ledger = prolonged(ledger, around.known_day, around.settings.grace_days, around.lost)
    ledger = _in_turn(_with_ends(ledger), around)
    ledger = ledger.filter(~pl.col("ends_all")).with_columns(
        churned=pl.col("churn_deal").is_not_null() | pl.col("terminated")
    )
    ledger = _bridged(ledger.with_columns(expires="end"), around.settings.grace_days)
    return _unresolved(_with_renewals(ledger), around)


def _replaced(ledger: pl.DataFrame) -> pl.DataFrame:
    """``own_end`` pulled back to a renewal's start that lies at most 3 days before it (ruling 10)."""
    starts = ledger.filter(pl.col("deal_type") == "renewal").select("customer", _renewed="start").unique()
    near = pl.col("own_end") <= pl.col("_renewed") + pl.duration(days=REPLACED_WITHIN_DAYS)
    nearest = (
        ledger.select("contract", "customer", "start", "own_end")
        .join(starts, on="customer")
        .filter(
            (pl.col("start") < pl.col("_renewed"))
            & (pl.col("_renewed") < pl.col("own_end"))
            & ((pl.col("own_end") == OPEN_END) | near)
        )
        .group_by("contract")
        .agg(pl.col("_renewed").min())
    )
    return (
        ledger.join(nearest, on="contract", how="left")
        .with_columns(own_end=pl.coalesce("_renewed", "own_end"))
        .drop("_renewed")
    )


def _with_ends(ledger: pl.DataFrame) -> pl.DataFrame:
    """Adds ``end``: a delta's is that of the latest-ending base contract live on its start (ruling 9)."""
    own = pl.min_horizontal("own_end", "cut")
    bases = ledger.filter("base").select("customer", _start="start", _end=own)
    shared = (
        ledger.filter(~pl.col("base"))
        .select("contract", "customer", "start")
        .join(bases, on="customer")
        .filter((pl.col("_start") <= pl.col("start")) & (pl.col("start") < pl.col("_end")))
        .group_by("contract")
        .agg(pl.col("_end").max())
    )
    return (
        ledger.drop("end", strict=False)
        .join(shared, on="contract", how="left")
        .with_columns(end=pl.min_horizontal(pl.coalesce("_end", "own_end"), "cut"))
        .drop("_end")
    )


def _turns(ledger: pl.DataFrame, settings: ArrSettings) -> pl.DataFrame:
    """What depends on what is live: contract, customer, day, kind, turn (its place among the customer's)."""
    kind = (
        pl.when(pl.col("deal_type") == "churn")
        .then(pl.lit("churn"))
        .when("totals")
        .then(pl.lit("total"))
        .when((pl.col("deal_type") == "renewal") & (settings.renewal == "delta"))
        .then(pl.lit("continuation"))
    )
    rank = pl.col("kind").replace_strict(
        {"continuation": 0, "total": 1, "churn": 2}, return_dtype=pl.Int8, default=None
    )
    return (
        ledger.select("contract", "customer", "signed", "own_end", day="start", kind=kind)
        .filter(pl.col("kind").is_not_null())
        .with_columns(_rank=rank)
        .sort("day", "_rank", "signed", "contract")
        .with_columns(turn=pl.int_range(pl.len()).over("customer"))
        .drop("_rank")
    )


def _in_turn(ledger: pl.DataFrame, around: Circumstances) -> pl.DataFrame:
    """Rule 4, customer by customer in step: the first of each, then the second of each."""
    turns = _turns(ledger, around.settings)
    for turn in range(turns["turn"].n_unique()):
        now = turns.filter(pl.col("turn") == turn)
        undecided = turns.filter(pl.col("turn") >= turn)["contract"]
        settled = ledger.filter(~pl.col("contract").is_in(undecided.implode()) & ~pl.col("ends_all"))
        live = now.rename({"contract": "by", "signed": "by_signed", "own_end": "by_end"}).join(
            settled, on="customer"
        )
        live = live.filter((pl.col("start") <= pl.col("day")) & (pl.col("day") < pl.col("end")))
        ledger = _with_ends(_cut(ledger, now, live, around))
        going_on = now.filter(pl.col("kind") == "continuation")
        if going_on.height:
            ledger = _with_ends(_continued(ledger, going_on, settled, around.settings.grace_days))
    return ledger


def _cut(ledger: pl.DataFrame, now: pl.DataFrame, live: pl.DataFrame, around: Circumstances) -> pl.DataFrame:
    """Ends what full churn deals and totals end."""
    full = _at_least_live(
        now.filter(pl.col("kind") == "churn"), live.filter(pl.col("kind") == "churn"), around
    )
    ending = (
        live.filter((pl.col("kind") == "total") | pl.col("by").is_in(full.implode()))
        .sort("day", "by")
        .unique("contract", keep="first", maintain_order=True)
        .select(
            "contract",
            _cut="day",
            _signed="by_signed",
            _by=pl.when(pl.col("kind") == "churn").then("by"),
        )
    )
    follows = (
        live.filter((pl.col("kind") == "total") & pl.col("base"))
        .group_by(contract="by")
        .agg(_until=pl.col("end").max())
    )
    totals = now.filter(pl.col("kind") == "total")["contract"]
    return (
        ledger.join(ending, on="contract", how="left")
        .join(follows, on="contract", how="left")
        .with_columns(
            cut=pl.min_horizontal("cut", "_cut"),
            cut_signed=pl.coalesce("_signed", "cut_signed"),
            churn_deal=pl.coalesce("_by", "churn_deal"),
            ends_all=pl.col("ends_all") | pl.col("contract").is_in(full.implode()),
            own_end=pl.coalesce("_until", "own_end"),
            base=pl.col("base") | pl.col("contract").is_in(totals.implode()),
        )
        .drop("_cut", "_signed", "_by", "_until")
    )


def _at_least_live(churns: pl.DataFrame, live: pl.DataFrame, around: Circumstances) -> pl.Series:
    """The churn deals whose size reaches the ARR that is live on their day, which may be none."""
    parts = around.parts.rename({"contract": "made_of"}).select("made_of", "begins", "ends", _part="arr")
    rows = (
        live.select("by", "day", "made_of", "currency")
        .join(parts, on="made_of")
        .filter(
            pl.col("begins").is_null() | (pl.col("begins") <= pl.col("day")),
            pl.col("ends").is_null() | (pl.col("day") < pl.col("ends")),
        )
    )
    sizes = churns.select(by="contract", day="day").join(
        around.parts.select(by="contract", of="currency", size=-pl.col("arr")), on="by"
    )
    at_stake = around.rates.exact(rows, "_part", "day", "_arr").group_by("by").agg(pl.col("_arr").sum())
    offered = (
        around.rates.exact(sizes, "size", "day", "_size", currency="of")
        .group_by("by")
        .agg(pl.col("_size").sum())
    )
    smaller = at_stake.join(offered, on="by").filter(pl.col("_size") < pl.col("_arr"))
    return churns.filter(~pl.col("contract").is_in(smaller["by"].implode()))["contract"]


def _continued(
    ledger: pl.DataFrame, renewals: pl.DataFrame, settled: pl.DataFrame, grace_days: int
) -> pl.DataFrame:
    """Adds the contracts that go on under renewals which state a change only."""
    was_ended = (pl.col("cut") == pl.col("end")).fill_null(value=False)
    ended = (
        renewals.select("customer", "day", by="contract", _until="own_end", _signed="signed")
        .join(settled.filter(pl.col("start") < pl.col("end")), on="customer")
        .filter((pl.col("start") < pl.col("day")) & (pl.col("end") <= pl.col("day")))
        .with_columns(_last=pl.col("end").max().over("by"))
        .filter(
            ~pl.col("goes_on") & ~was_ended,
            (pl.col("end") == pl.col("_last"))
            | (pl.col("end") >= pl.col("day") - timedelta(days=grace_days)),
        )
    )
    copies = ended.with_columns(
        contract=pl.format("{} under {}", "made_of", "by"),
        start="day",
        own_end="_until",
        natural_end="_until",
        due="_until",
        signed="_signed",
        deal_type=pl.lit("renewal"),
        base=pl.lit(value=True),
        cut=pl.lit(None, dtype=pl.Date),
        cut_signed=pl.lit(None, dtype=pl.Date),
        start_assumed=pl.lit(value=False),
        term_assumed=pl.lit(value=False),
        totals=pl.lit(value=False),
        terminated=pl.lit(value=False),
        auto_renewed=pl.lit(value=False),
    )
    before = ledger.with_columns(
        goes_on=pl.col("goes_on") | pl.col("contract").is_in(ended["contract"].implode())
    )
    return pl.concat([before, copies.select(ledger.columns)])


def _with_renewals(ledger: pl.DataFrame) -> pl.DataFrame:
    """Adds leaves_signed: when it became known that the contract leaves at its end (ruling 14)."""
    renewals = (
        ledger.filter(pl.col("deal_type") == "renewal")
        .group_by("customer", end="start")
        .agg(_renewal_signed=pl.col("signed").min())
    )
    return (
        ledger.join(renewals, on=["customer", "end"], how="left")
        .with_columns(leaves_signed=pl.min_horizontal("_renewal_signed", "cut_signed"))
        .drop("_renewal_signed", "cut_signed")
    )


def _bridged(ledger: pl.DataFrame, grace_days: int) -> pl.DataFrame:
    """A late renewal within the grace joins what it renews: e moves to s (ruling 12)."""
    ends = ledger.select("customer", gap="end").unique()
    covered = (
        ends.join(ledger.select("customer", "start", "end"), on="customer")
        .filter((pl.col("start") <= pl.col("gap")) & (pl.col("gap") < pl.col("end")))
        .select("customer", "gap")
        .unique()
    )
    starts = ledger.filter(pl.col("deal_type").is_in(BASE)).select("customer", _next="start")
    moved = (
        ends.join(covered, on=["customer", "gap"], how="anti")
        .join(starts, on="customer")
        .filter(
            (pl.col("_next") > pl.col("gap"))
            & (pl.col("_next") <= pl.col("gap") + timedelta(days=grace_days))
        )
        .group_by("customer", "gap")
        .agg(pl.col("_next").min())
    )
    return (
        ledger.join(moved, left_on=["customer", "end"], right_on=["customer", "gap"], how="left")
        .with_columns(end=pl.coalesce("_next", "end"))
        .drop("_next")
    )


def _unresolved(ledger: pl.DataFrame, around: Circumstances) -> pl.DataFrame:
    """Expired with an open renewal within the grace at ``known_day``: live until further notice (ruling 13)."""
    known = pl.lit(around.known_day)
    last = pl.col("end").max().over("customer")
    stays = (
        (pl.col("end") == last)
        & (last <= known)
        & (known < last + timedelta(days=around.settings.grace_days))
        & pl.col("customer").is_in(around.waiting.implode())
        & ~(pl.col("churned") & (pl.col("cut") == pl.col("end")))
    )
    return ledger.with_columns(
        unresolved=stays,
        end=pl.when(stays).then(known + timedelta(days=1)).otherwise("end"),
    )
