"""Contracts that the CRM keeps itself: its contracts, or the subscriptions of its CPQ package.

With ``arr.source: contract`` each row of ``contracts`` is a contract of the ledger, with ``cpq`` each row of
``subscriptions``; deals bring no ARR then (an open renewal still keeps what has just expired, ruling 13).

- It counts when its status (a subscription's: that of its contract) is one of ``arr.in_force``, it had come into force
  by the day that is known, and it is recurring (``basis.recurring``). What is in force and cannot be a contract is
  listed with why.
- It is live from its start up to and including its last day; one that was terminated is over on that day. A
  subscription without dates has those of its contract, one without an end runs for its term, else until something ends
  it. A start that is missing is the day it came into force, and flagged. A subscription that was added to its contract
  later was signed on the day it was added.
- Its ARR is its amount (else quantity x unit price) by ``arr.basis``; a total (tcv) is that of its own term in months,
  else of the calendar months from its first to its last day, a day over counting 12/365 of a month, as Salesforce CPQ
  prorates. Each row is rounded half-even.
- What changes a subscription that was terminated ends with it: the change that took all of it away is no second loss.
- It is a renewal where its deal is one and it starts with that deal's first row, or where it names what it renews:
  something that it follows and outlasts. Every other one stands for itself, with an end of its own.

Neither object has a history: a row has today's values also in earlier months (ruling 3). Source: definition book, R3 to
R5, section 1, rulings 6 to 8, 10, 12 to 14.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Final

import polars as pl

from metrics import contract_rows
from metrics.basis import after, annualised, divided_half_even, kind, recurring
from metrics.contract_rows import contracts as contracts
from metrics.contract_rows import parts as parts
from metrics.period import Calendar
from metrics.settlement import OPEN_END, REPLACED_WITHIN_DAYS
from metrics.words import stated
from pipeline.company import ArrSettings, Company

TABLE: Final = {"contract": "contracts", "cpq": "subscriptions"}  # whose rows are the contracts
NOT_IN_FORCE: Final = "not in force"  # how the reason begins that is no fault
_CALLED: Final = {"contract": "contracts", "cpq": "subscriptions of a CPQ package"}
_LONGEST: Final = 64  # changes of changes; more are a circle
_DAYS: Final = 365  # of twelve months, for the days over
ROWS: Final = contract_rows.schema(
    external_id=pl.String,
    name=pl.String,
    amount=pl.Int64,
    in_force=pl.Boolean,
)


def none() -> pl.DataFrame:
    """No contracts of the CRM's own, or none that ARR is read from."""
    return pl.DataFrame(schema=ROWS)


def requires(settings: ArrSettings) -> tuple[tuple[str, str], ...]:
    """The columns that ARR stands on, in the place of the deals' own."""
    if settings.contracts is None:
        return ()
    worth = ("amount",) if settings.contracts == "contract" else ("quantity", "unit_price")
    table = TABLE[settings.contracts]
    own = tuple((table, column) for column in ("account_id", *worth, "start_date", "end_date"))
    return (*own, ("contracts", "status"))


def rows(
    contracts: pl.DataFrame,
    subscriptions: pl.DataFrame,
    deals: pl.DataFrame,
    accounts: pl.DataFrame,
    currencies: Sequence[str],
    home: str,
    settings: ArrSettings,
    calendar: Calendar,
) -> pl.DataFrame:
    """Every contract known by then that is recurring, with ``problem``: why it does not count, null where it does.

    ``contracts``, ``subscriptions``: live canonical rows; ``deals``: described; ``accounts``: ``Facts.accounts``.
    Columns: those of ``ROWS``; amount is as the CRM has it, in_force whether its status counts.
    """
    found = (
        _of_contracts(contracts)
        if settings.contracts == "contract"
        else _of_package(contracts, subscriptions, calendar)
    )
    dated = _dated(found.filter(recurring(settings)), deals, calendar)
    ended = _with_renewed(_ended(dated))
    customers = accounts.select("account_id", "customer")
    placed = ended.join(customers, on="account_id", how="left").with_columns(
        stated(pl.col("currency")).fill_null(home), deal_type=_deal_type()
    )
    counted = placed.with_columns(arr=_arr(settings), in_force=_in_force(settings))
    described = counted.filter((pl.col("signed") <= calendar.known_day).fill_null(value=True)).with_columns(
        contract="external_id",
        made_of="external_id",
        row="external_id",
        product=pl.coalesce("product_id", stated(pl.col("product"))),
        product_name=pl.coalesce(stated(pl.col("product")), "product_id"),
        kind=pl.when(kind().is_in(["seat", "module"])).then(kind()),
        amount="agreed",
        terminated=pl.col("terminated_date").is_not_null(),
        start="starts",
        own_end=pl.min_horizontal("ends", "terminated_date"),
        problem=_problem(currencies),
    )
    return contract_rows.shaped(described, ROWS).sort("external_id")


def _of_contracts(contracts: pl.DataFrame) -> pl.DataFrame:
    text = pl.lit(None, dtype=pl.String)
    return contracts.with_columns(product_id=text, revises_id=text, agreed=pl.col("amount"))


def _of_package(contracts: pl.DataFrame, subscriptions: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Subscriptions with what their contract says for them; what was added to it later was signed later."""
    added = calendar.local_day(pl.col("created_at"))
    theirs = contracts.select(
        "deal_id",
        "status",
        "signed_date",
        contract_id="external_id",
        _account="account_id",
        _start="start_date",
        _end="end_date",
        _term="term_months",
        _over="terminated_date",
    )
    product = (pl.col("quantity") * pl.col("unit_price")).round(0, mode="half_to_even").cast(pl.Int64)
    bare = pl.col("end_date").is_null() & pl.col("term_months").is_null()
    joined = subscriptions.join(theirs, on="contract_id", how="left").with_columns(
        account_id=pl.coalesce("account_id", "_account"),
        start_date=pl.coalesce("start_date", "_start"),
        end_date=pl.when(bare).then("_end").otherwise("end_date"),
        term_months=pl.when(bare & pl.col("_end").is_null()).then("_term").otherwise("term_months"),
        signed_date=pl.when(pl.col("signed_date").is_not_null()).then(
            pl.max_horizontal("signed_date", added)
        ),
        terminated_date=pl.min_horizontal("terminated_date", "_over"),
        agreed=pl.coalesce("amount", product),
    )
    return joined.drop("_account", "_start", "_end", "_term", "_over")


def _dated(found: pl.DataFrame, deals: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """Adds starts, ends (the first day after its last by itself), months (its own term), signed, _type (its deal's)."""
    known = deals.select("outcome_day", deal_id="external_id", _type="deal_type")
    signed = pl.coalesce("signed_date", "outcome_day", calendar.local_day(pl.col("created_at")))
    term = pl.col("term_months").fill_null(0)
    return (
        found.join(known, on="deal_id", how="left")
        .with_columns(
            signed=signed,
            months=pl.when(term > 0).then(term),
            backwards=term < 0,
            starts=pl.coalesce("start_date", signed),
            start_assumed=pl.col("start_date").is_null(),
        )
        .with_columns(
            ends=pl.coalesce(
                pl.col("end_date").dt.offset_by("1d"),
                after(pl.col("starts"), pl.col("months")),
                pl.lit(OPEN_END),
            )
        )
    )


def _ended(found: pl.DataFrame) -> pl.DataFrame:
    """``terminated_date`` handed on from each subscription to what changes it."""
    for _ in range(_LONGEST):
        over = found.filter(pl.col("terminated_date").is_not_null()).select(
            revises_id="external_id", _over="terminated_date", _ends="ends"
        )
        handed = pl.when(~_renews("_ends")).then("_over")
        after_it = found.join(over, on="revises_id", how="left", maintain_order="left").with_columns(
            terminated_date=pl.min_horizontal("terminated_date", handed)
        )
        same = after_it["terminated_date"].equals(found["terminated_date"])
        found = after_it.drop("_over", "_ends")
        if same:
            break
    return found


def _renews(ends: str) -> pl.Expr:
    """Whether a row follows and outlasts what it names, which ends by itself on that day."""
    follows = pl.col("starts") >= pl.col(ends).dt.offset_by(f"-{REPLACED_WITHIN_DAYS}d")
    return (follows & (pl.col("ends") > pl.col(ends))).fill_null(value=False)


def _with_renewed(found: pl.DataFrame) -> pl.DataFrame:
    """Adds ``renews``: whether a row names what it renews."""
    named = found.select(revises_id="external_id", _ends="ends")
    return (
        found.join(named, on="revises_id", how="left", maintain_order="left")
        .with_columns(renews=_renews("_ends"))
        .drop("_ends")
    )


def _deal_type() -> pl.Expr:
    of_renewal = (pl.col("_type") == "renewal") & (pl.col("starts") == pl.col("starts").min().over("deal_id"))
    renewal = of_renewal.fill_null(value=False) | pl.col("renews")
    return pl.when(renewal).then(pl.lit("renewal")).otherwise(pl.lit("new"))


def _arr(settings: ArrSettings) -> pl.Expr:
    """The amount by its basis; null: a total without an end or a term."""
    agreed, of_term = pl.col("agreed"), annualised(pl.col("agreed"), pl.col("months"), settings)
    if settings.basis != "tcv":
        return of_term
    starts, ends = pl.col("starts"), pl.col("ends")
    whole = (ends.dt.year() - starts.dt.year()) * 12 + (ends.dt.month().cast(pl.Int32) - starts.dt.month())
    whole = whole.cast(pl.Int64)
    whole = whole - (after(starts, whole) > ends).cast(pl.Int64)
    over = (ends - after(starts, whole)).dt.total_days()
    parts = _DAYS * whole + 12 * over
    exact = divided_half_even(agreed * 12 * _DAYS, parts)
    dated = (ends > starts) & (ends != OPEN_END)
    return pl.when(pl.col("months") > 0).then(of_term).when(dated).then(exact)


def _in_force(settings: ArrSettings) -> pl.Expr:
    words = [word.strip().lower() for word in settings.in_force]
    return pl.col("status").str.strip_chars().str.to_lowercase().is_in(words).fill_null(value=False)


def _problem(currencies: Sequence[str]) -> pl.Expr:
    return (
        pl.when(stated(pl.col("status")).is_null())
        .then(pl.lit("no status: whether it is in force cannot be told"))
        .when(~pl.col("in_force"))
        .then(pl.format(NOT_IN_FORCE + ": {}", "status"))
        .when(pl.col("customer").is_null())
        .then(pl.lit("no account"))
        .when(pl.col("backwards") | (pl.col("ends") <= pl.col("starts")))
        .then(pl.lit("dates reversed"))
        .when(pl.col("agreed").is_null())
        .then(pl.lit("no amount"))
        .when(pl.col("starts").is_null())
        .then(pl.lit("no start"))
        .when(pl.col("arr").is_null())
        .then(pl.lit("a total without an end or a term"))
        .when(~pl.col("currency").is_in(list(currencies)))
        .then(pl.lit("currency without an exchange rate"))
    )


def doubts(described: pl.DataFrame, periods: pl.DataFrame, company: Company) -> dict[str, tuple[str, ...]]:
    """Month -> what too few of the contracts in force by then hold."""
    held = {
        "account": pl.col("customer").is_not_null(),
        "amount": pl.col("amount").is_not_null(),
        "start": ~pl.col("start_assumed"),
    }
    days = periods["day"]
    # From the month in which it starts on, a contract is behind the number of every month.
    first = pl.lit(days).search_sorted(pl.col("start").fill_null(date.min), side="left").cast(pl.Int64)
    begun = (
        described.filter("in_force")
        .select(first.alias("number"), *(share.cast(pl.Int64).alias(name) for name, share in held.items()))
        .group_by("number")
        .agg(pl.len().cast(pl.Int64).alias("n"), *(pl.col(name).sum() for name in held))
    )
    by_then = (
        periods.select("month")
        .with_columns(number=pl.int_range(pl.len(), dtype=pl.Int64))
        .join(begun, on="number", how="left", maintain_order="left")
        .with_columns(pl.col("n", *held).fill_null(0).cum_sum())
        .filter(pl.col("n") > 0)
        .with_columns(pl.col(name) / pl.col("n") for name in held)
    )
    return {
        row["month"]: tuple(
            f"{name} is known of {row[name]:.0%} of the {row['n']} contracts behind this number, "
            f"less than {company.completeness_threshold:.0%}"
            for name in held
            if row[name] < company.completeness_threshold
        )
        for row in by_then.iter_rows(named=True)
    }


def unknown(described: pl.DataFrame, settings: ArrSettings, *, unread: bool) -> str | None:
    """Why there is no recurring revenue to tell of; None where there is a contract that counts."""
    if settings.contracts is None or described["problem"].is_null().any():
        return None
    called = _CALLED[settings.contracts]
    if unread:
        return f"the CRM's {called} have not been read yet: run `boardline sync --once`"
    if described.is_empty():
        return f"the CRM shows no {called}; `boardline check` tells what it shows"
    main = described.group_by("problem").len().sort("len", "problem", descending=[True, False])["problem"][0]
    return f"none of {described.height} {called} counts (most often: {main})"
