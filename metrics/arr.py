"""The subscription ledger: which ARR is live on which day, contract by contract and row by row.

Source: definition book, R3 to R8 and rulings 6 to 14. The exact reading:

1. A contract is a won deal of a mapped type with a live customer and an ARR value: ``[start, start + term)`` in
   calendar months, start = ``start_date``, else the deal's outcome day. ARR value: the ARR field when filled, else
   the amount by its basis (TCV: amount without one-time lines x 12 / term, rounded half-even in the deal's currency).
2. Rows of a contract. Each line item of the deal that is live, not ``one_time``, in the deal's currency and has an
   amount is a row: its amount (net total, in the same basis as the deal's amount) annualised like the deal's, rounded
   half-even per row. What is left between the deal's ARR value and the sum of these rows is one more row, the
   remainder (without product). A deal without such lines is one row.
3. Contraction and churn deals take ARR away whatever sign the CRM holds: where their ARR value is positive it is
   negated, and where their line items add up to more than zero, so are these (amounts and quantities).
4. Ends, in this order: (a) a contract ending at most 3 days after a renewal of the customer starts ends at that start;
   (b) expansion, contraction and smaller churn deals end with the latest-ending new or renewal contract live on
   their start, else after their own term; (c) a churn deal whose size is at least the ARR live on its start ends
   everything live on that day and is no contract itself; otherwise it is a contraction. Sizes are compared at the
   rates of that day, unrounded, and churn deals are taken in order of their start; (d) where nothing of the customer
   is live on an end e and its next new or renewal contract starts at s <= e + grace, contracts ending on e end
   at s instead; (e) where nothing follows, e <= known_at's day < e + grace and an open renewal deal of the customer
   exists, contracts that expired on e stay, marked ``unresolved`` (one that a churn deal ended has not expired).
"""

from __future__ import annotations

from datetime import date, timedelta
from typing import Final

import polars as pl

from connectors.errors import ConfigurationError
from metrics.currency import Rates
from metrics.period import Calendar
from pipeline.company import Company

REPLACED_WITHIN_DAYS: Final = 3
BASE: Final = ("new", "renewal")
REDUCING: Final = ("contraction", "churn")


def check_settings(company: Company) -> None:
    """Raise ``ConfigurationError`` for a way of reading ARR that this version does not have."""
    where = f"companies.{company.name or '<company>'}.arr"
    if company.arr.source != "field":
        raise ConfigurationError(
            f"{where}.source: {company.arr.source} is not available in this version; use source: field"
        )
    if company.arr.expansion != "delta":
        raise ConfigurationError(
            f"{where}.expansion: {company.arr.expansion} is not available in this version; use expansion: delta"
        )
    if company.arr.renewal != "total":
        raise ConfigurationError(
            f"{where}.renewal: {company.arr.renewal} is not available in this version; use renewal: total"
        )


def candidates(deals: pl.DataFrame, currencies: list[str]) -> pl.DataFrame:
    """Every won deal with ``problem``: why it cannot be a contract, null where it can.

    ``deals``: from ``metrics.deals.describe``; ``currencies``: those that convert.
    """
    problem = (
        pl.when(pl.col("deal_type").is_null())
        .then(pl.lit("unmapped deal type"))
        .when(pl.col("customer").is_null())
        .then(pl.lit("no account"))
        .when(pl.col("term_months") < 0)
        .then(pl.lit("dates reversed"))
        .when(pl.col("arr_value").is_null() & pl.col("amount").is_null())
        .then(pl.lit("no ARR and no amount"))
        .when(pl.col("arr_value").is_null())
        .then(pl.lit("one-time: no term and no ARR"))
        .when(~pl.col("currency").is_in(currencies))
        .then(pl.lit("currency without an exchange rate"))
        .when(pl.coalesce("start_date", "outcome_day").is_null())
        .then(pl.lit("no start and no close date"))
    )
    return deals.filter(pl.col("outcome") == "won").with_columns(problem=problem)


def contracts(deals: pl.DataFrame, rates: Rates, company: Company, known_day: date) -> pl.DataFrame:
    """The ledger: one row per contract with its final start and end.

    Columns: deal_id, customer, deal_type, start, end (first day it is no longer live), expires (the end before
    grace), signed (outcome day), arr (signed minor units of ``currency``), currency, start_assumed, unresolved (expired
    with its renewal still open), churned (ended by a churn deal), churn_deal (that deal), leaves_signed (outcome day of
    the renewal or churn deal that ends it: from then on CARR is without it).
    """
    check_settings(company)
    ledger = _natural(candidates(deals, rates.currencies).filter(pl.col("problem").is_null()))
    ledger = _with_ends(_replaced(ledger))
    ledger = _churned(ledger, rates)
    ledger = _with_announcements(ledger)
    waiting = deals.filter((pl.col("deal_type") == "renewal") & (pl.col("outcome") == "open"))["customer"]
    ledger = _bridged(ledger.with_columns(expires="end"), company.arr.grace_days)
    ledger = _with_renewals(ledger)
    ledger = _unresolved(ledger, waiting.drop_nulls().unique(), company.arr.grace_days, known_day)
    return ledger.select(CONTRACTS).sort("customer", "start", "deal_id")


CONTRACTS: Final = (
    "deal_id", "customer", "deal_type", "start", "end", "expires", "signed", "arr", "currency",
    "start_assumed", "unresolved", "churned", "churn_deal", "leaves_signed",
)  # fmt: skip


def _natural(won: pl.DataFrame) -> pl.DataFrame:
    """Start, own end and signed amount of every contract, before the contracts meet each other."""
    reducing = pl.col("deal_type").is_in(REDUCING) & (pl.col("arr_value") > 0)
    return won.select(
        "customer",
        "deal_type",
        "currency",
        "term",
        deal_id="external_id",
        start=pl.coalesce("start_date", "outcome_day"),
        start_assumed=pl.col("start_date").is_null(),
        signed="outcome_day",
        arr=pl.when(reducing).then(-pl.col("arr_value")).otherwise("arr_value"),
    ).with_columns(
        own_end=pl.col("start").dt.offset_by(pl.col("term").cast(pl.String) + "mo"),
        cut=pl.lit(None, dtype=pl.Date),
        churn_deal=pl.lit(None, dtype=pl.String),
        _ends_all=pl.lit(False),
    )


def _replaced(ledger: pl.DataFrame) -> pl.DataFrame:
    """``own_end`` pulled back to a renewal's start that lies at most 3 days before it (ruling 10)."""
    starts = ledger.filter(pl.col("deal_type") == "renewal").select("customer", _renewed="start").unique()
    nearest = (
        ledger.select("deal_id", "customer", "start", "own_end")
        .join(starts, on="customer")
        .filter(
            (pl.col("start") < pl.col("_renewed"))
            & (pl.col("_renewed") < pl.col("own_end"))
            & (pl.col("own_end") <= pl.col("_renewed") + pl.duration(days=REPLACED_WITHIN_DAYS))
        )
        .group_by("deal_id")
        .agg(pl.col("_renewed").min())
    )
    return (
        ledger.join(nearest, on="deal_id", how="left")
        .with_columns(own_end=pl.coalesce("_renewed", "own_end"))
        .drop("_renewed")
    )


def _with_ends(ledger: pl.DataFrame) -> pl.DataFrame:
    """Adds ``end``: a delta's is that of the latest-ending base contract live on its start (ruling 9)."""
    own = pl.min_horizontal("own_end", "cut")
    bases = ledger.filter(pl.col("deal_type").is_in(BASE)).select("customer", _start="start", _end=own)
    shared = (
        ledger.filter(~pl.col("deal_type").is_in(BASE))
        .select("deal_id", "customer", "start")
        .join(bases, on="customer")
        .filter((pl.col("_start") <= pl.col("start")) & (pl.col("start") < pl.col("_end")))
        .group_by("deal_id")
        .agg(pl.col("_end").max())
    )
    return (
        ledger.drop("end", strict=False)
        .join(shared, on="deal_id", how="left")
        .with_columns(end=pl.min_horizontal(pl.coalesce("_end", "own_end"), "cut"))
        .drop("_end")
    )


def _churned(ledger: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """Takes the churn deals of each customer in order of their start: full ones cut what is live (ruling 11)."""
    churns = (
        ledger.filter(pl.col("deal_type") == "churn")
        .sort("start", "signed", "deal_id")
        .with_columns(_turn=pl.int_range(pl.len()).over("customer"))
        .select(
            churn="deal_id",
            customer="customer",
            day="start",
            size=-pl.col("arr"),
            of="currency",
            turn="_turn",
        )
    )
    undecided = churns["churn"]
    for turn in range(churns["turn"].n_unique()):
        live = (
            churns.filter(pl.col("turn") == turn)
            .join(ledger, on="customer")
            .filter(
                (pl.col("start") <= pl.col("day")) & (pl.col("day") < pl.col("end")) & ~pl.col("_ends_all")
            )
            .filter(~pl.col("deal_id").is_in(undecided.implode()))
        )
        full = _at_least_live(churns.filter(pl.col("turn") == turn), live, rates)
        cut = (
            live.join(full, on="churn")
            .group_by("deal_id")
            .agg(_cut=pl.col("day").min(), _by=pl.col("churn").first())
        )
        ledger = _with_ends(
            ledger.join(cut, on="deal_id", how="left")
            .with_columns(
                cut=pl.min_horizontal("cut", "_cut"),
                churn_deal=pl.coalesce("_by", "churn_deal"),
                _ends_all=pl.col("_ends_all") | pl.col("deal_id").is_in(full["churn"].implode()),
            )
            .drop("_cut", "_by")
        )
        undecided = churns.filter(pl.col("turn") > turn)["churn"]
    return ledger.with_columns(churned=pl.col("churn_deal").is_not_null())


def _with_announcements(ledger: pl.DataFrame) -> pl.DataFrame:
    """Contracts only, each with the day on which the churn deal that ends it was signed (churn_signed)."""
    signed = ledger.filter("_ends_all").select(churn_deal="deal_id", churn_signed="signed")
    return ledger.filter(~pl.col("_ends_all")).join(signed, on="churn_deal", how="left")


def _with_renewals(ledger: pl.DataFrame) -> pl.DataFrame:
    """Adds leaves_signed: when it became known that the contract leaves at its end (ruling 14)."""
    renewals = (
        ledger.filter(pl.col("deal_type") == "renewal")
        .group_by("customer", end="start")
        .agg(_renewal_signed=pl.col("signed").min())
    )
    return (
        ledger.join(renewals, on=["customer", "end"], how="left")
        .with_columns(leaves_signed=pl.min_horizontal("_renewal_signed", "churn_signed"))
        .drop("_renewal_signed", "churn_signed")
    )


def _at_least_live(churns: pl.DataFrame, live: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """The churn deals (column churn) whose size reaches the ARR that is live on their day, which may be none."""
    priced = rates.exact(rates.exact(live, "arr", "day", "_arr"), "size", "day", "_size", currency="of")
    smaller = (
        priced.group_by("churn")
        .agg(pl.col("_arr").sum(), pl.col("_size").first())
        .filter(pl.col("_size") < pl.col("_arr"))
    )
    return churns.select("churn").join(smaller, on="churn", how="anti")


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


def _unresolved(ledger: pl.DataFrame, waiting: pl.Series, grace_days: int, known_day: date) -> pl.DataFrame:
    """Expired with an open renewal within the grace at ``known_day``: live until further notice (ruling 13)."""
    last = pl.col("end").max().over("customer")
    stays = (
        (pl.col("end") == last)
        & (last <= known_day)
        & (pl.lit(known_day) < last + timedelta(days=grace_days))
        & pl.col("customer").is_in(waiting.implode())
        & ~(pl.col("churned") & (pl.col("cut") == pl.col("end")))
    )
    return ledger.with_columns(
        unresolved=stays,
        end=pl.when(stays).then(pl.lit(known_day + timedelta(days=1))).otherwise("end"),
    )


def unmeasurable(
    deals: pl.DataFrame,
    contracts: pl.DataFrame,
    problems: pl.DataFrame,
    periods: pl.DataFrame,
    calendar: Calendar,
) -> pl.DataFrame:
    """The months whose recurring revenue the CRM cannot know, where 0 would be a lie: month, why.

    That is: it holds no deals, deals were won but none of them makes a contract, no deal holds an ARR or a term to make
    one from, or the month lies before everything it holds.
    """
    why, months = _cannot_know(deals, contracts, problems), periods["month"].to_list()
    if why is None:
        known = [
            deals.select(calendar.local_day(pl.col("created_at")).min()).item(),
            contracts.select(pl.col("start").min()).item(),
        ]
        first: date = min((day for day in known if day is not None), default=date.min)
        why = f"the CRM holds nothing from before {first:%Y-%m-%d}"
        months = periods.filter(pl.col("day") < first)["month"].to_list()
    return pl.DataFrame(
        {"month": months, "why": [why] * len(months)}, schema={"month": pl.String, "why": pl.String}
    )


def _cannot_know(deals: pl.DataFrame, contracts: pl.DataFrame, problems: pl.DataFrame) -> str | None:
    if deals.is_empty():
        return "the CRM holds no deals"
    if contracts.is_empty() and not problems.is_empty():
        main = (
            problems.group_by("problem").len().sort("len", "problem", descending=[True, False])["problem"][0]
        )
        return f"none of {problems.height} won deals makes a contract (most often: {main})"
    if not deals["arr"].is_not_null().any() and not (deals["term_months"] > 0).any():
        return "no deal holds an ARR or a term"
    return None
