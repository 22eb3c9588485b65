"""The subscription ledger: which ARR is live on which day, contract by contract.

Source: definition book, R3 to R8 and rulings 6 to 14. The exact reading:

1. A contract is a won deal of a mapped type with a live customer and an ARR value: ``[start, start + term)`` in
   calendar months. Start: ``start_date``, else the first start of its lines, else the deal's outcome day. ARR value:
   the ARR field when filled, else the amount by its basis (TCV: amount without lines that are no ARR x 12 / term,
   rounded half-even in the deal's currency); with ``arr.source: line_items`` the sum of its recurring line items by
   that basis, live on its first day, and nothing else. A blank term is twelve months where there is an ARR value (or
   the longest of its lines' own); for a total of line items without any term there is none.
2. What a contract is made of tells ``metrics.lines``; contracts from a list tells ``metrics.opening``, those that the
   CRM keeps itself ``metrics.agreements``.
3. How contracts end each other tells ``metrics.settlement``.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from connectors.errors import ConfigurationError
from metrics.currency import Rates
from metrics.period import Calendar
from metrics.settlement import Circumstances, settle
from pipeline.company import ArrSettings, Company

CONTRACTS: Final = (
    "contract", "made_of", "deal_id", "customer", "deal_type", "start", "end", "expires", "signed", "arr", "currency",
    "start_assumed", "term_assumed", "auto_renewed", "unresolved", "churned", "churn_deal", "leaves_signed", "due",
    "term",
)  # fmt: skip


def check_settings(company: Company) -> None:
    """Raise ``ConfigurationError`` for a list that ARR is to be read from and that is not given."""
    where = f"companies.{company.name or '<company>'}.arr"
    if company.arr.reads_list and company.inputs.opening_arr is None:
        key = "source: opening_arr" if company.arr.source == "opening_arr" else "deals_from"
        raise ConfigurationError(f"{where}: {key} needs a list; name its file under inputs: opening_arr")


def candidates(deals: pl.DataFrame, currencies: list[str], settings: ArrSettings) -> pl.DataFrame:
    """Every won deal that ARR may count, with ``problem``: why it cannot be a contract, null where it can.

    ``deals``: from ``metrics.deals.describe``; ``currencies``: those that convert.
    """
    of_lines = settings.source == "line_items"
    problem = (
        pl.when(pl.col("deal_type").is_null())
        .then(pl.lit("unmapped deal type"))
        .when(pl.col("customer").is_null())
        .then(pl.lit("no account"))
        .when("paid_pilot")
        .then(pl.lit("a paid pilot, not converted"))
        .when("dates_reversed")
        .then(pl.lit("dates reversed"))
        .when(pl.col("recurring_lines").eq(0) & of_lines)
        .then(pl.lit("no recurring line item with an amount"))
        .when(pl.col("lines_foreign") & of_lines)
        .then(pl.lit("a line item in another currency than the deal"))
        .when(pl.col("arr_value").is_null() & pl.col("amount").is_null() & (not of_lines))
        .then(pl.lit("no ARR and no amount"))
        .when(pl.col("arr_value").is_null())
        .then(pl.lit("one-time: no term" if of_lines else "one-time: no term and no ARR"))
        .when(~pl.col("currency").is_in(currencies))
        .then(pl.lit("currency without an exchange rate"))
        .when(pl.col("starts").is_null())
        .then(pl.lit("no start and no close date"))
    )
    return deals.filter((pl.col("outcome") == "won") & counts(settings)).with_columns(problem=problem)


def counts(settings: ArrSettings) -> pl.Expr:
    """Whether a won deal can bring ARR, given when it starts: not where a list or the CRM's own contracts count."""
    if not settings.of_deals:
        return pl.lit(value=False)
    if settings.deals_from is not None:
        return (pl.col("starts") >= pl.lit(settings.deals_from)).fill_null(value=True)
    return pl.lit(value=True)


def contracts(
    deals: pl.DataFrame,
    listed: pl.DataFrame,
    parts: pl.DataFrame,
    rates: Rates,
    settings: ArrSettings,
    known_day: date,
) -> pl.DataFrame:
    """The ledger: one row per contract with its final start and end.

    ``deals``: described; ``listed``: contracts that are not made from deals (the columns ``NATURAL``); ``parts``: what
    all of them are made of. Columns: contract (its identity), made_of (whose parts it has: its own, or those of the
    contract that goes on), deal_id (null: not of a deal), customer, deal_type, start, end (first day it is no longer
    live), expires (the end before grace), signed (outcome day), arr (signed minor units of ``currency``, on its first
    day), currency, start_assumed, term_assumed, auto_renewed, unresolved (expired with its renewal still open),
    churned (ended by a churn deal, or terminated), churn_deal (that deal), leaves_signed (outcome day of what ends it:
    from then on CARR is without it), due (when it was up for renewal, the first time where it renews by itself), term
    (months).
    """
    won = candidates(deals, rates.currencies, settings).filter(pl.col("problem").is_null())
    renewals = deals.filter((pl.col("deal_type") == "renewal") & pl.col("customer").is_not_null())
    natural = pl.concat([_natural(won, settings), listed.select(NATURAL)])
    around = Circumstances(
        settings,
        rates,
        known_day,
        parts,
        waiting=renewals.filter(pl.col("outcome") == "open")["customer"].unique(),
        lost=renewals.filter((pl.col("outcome") == "lost") & pl.col("outcome_day").is_not_null()).select(
            "customer", lost="outcome_day"
        ),
    )
    return settle(natural, around).select(CONTRACTS).sort("customer", "start", "contract")


NATURAL: Final = (
    "contract", "made_of", "deal_id", "customer", "deal_type", "currency", "start", "own_end", "term", "signed", "arr",
    "start_assumed", "term_assumed", "totals", "terminated",
)  # fmt: skip


def _natural(won: pl.DataFrame, settings: ArrSettings) -> pl.DataFrame:
    """Every contract by itself, before the contracts meet each other."""
    changes = pl.col("deal_type").is_in(["expansion", "contraction"]) & (settings.expansion == "total")
    # A negative amount takes away: it is never all that a customer has.
    states_all = changes & ((pl.col("deal_type") == "expansion") | (pl.col("arr_signed") >= 0))
    return won.select(
        "customer",
        "deal_type",
        "currency",
        "start_assumed",
        "term_assumed",
        contract="external_id",
        made_of="external_id",
        deal_id="external_id",
        start="starts",
        own_end="ends",
        term="term",
        signed="outcome_day",
        arr="arr_signed",
        totals=states_all.fill_null(value=False),
        terminated=pl.lit(value=False),
    ).select(NATURAL)


def unmeasurable(
    deals: pl.DataFrame,
    contracts: pl.DataFrame,
    problems: pl.DataFrame,
    periods: pl.DataFrame,
    calendar: Calendar,
    settings: ArrSettings,
    unknown: str | None = None,
) -> pl.DataFrame:
    """The months whose recurring revenue nobody can know, where 0 would be a lie: month, why.

    That is: the CRM holds no deals, deals were won but none of them makes a contract, no deal holds an ARR or a term to
    make one from, a list is empty, or the month lies before everything that is known. ``unknown``: why the CRM's own
    contracts tell of none, where they are the source.
    """
    why = unknown or _cannot_know(deals, contracts, problems, settings)
    months = periods["month"].to_list()
    if why is None:
        known = [contracts.select(pl.col("start").min()).item()]
        if not settings.reads_list:
            known.append(deals.select(calendar.local_day(pl.col("created_at")).min()).item())
        first: date = min((day for day in known if day is not None), default=date.min)
        whose = "the opening list" if settings.reads_list else "the CRM"
        why = f"{whose} holds nothing from before {first:%Y-%m-%d}"
        months = periods.filter(pl.col("day") < first)["month"].to_list()
    return pl.DataFrame(
        {"month": months, "why": [why] * len(months)}, schema={"month": pl.String, "why": pl.String}
    )


def _cannot_know(
    deals: pl.DataFrame, contracts: pl.DataFrame, problems: pl.DataFrame, settings: ArrSettings
) -> str | None:
    if settings.contracts or (settings.reads_list and not contracts.is_empty()):
        return None
    if settings.source == "opening_arr":
        return "the opening list (inputs.opening_arr) holds no contract"
    if deals.is_empty():
        return "the CRM holds no deals"
    if contracts.is_empty() and not problems.is_empty():
        main = (
            problems.group_by("problem").len().sort("len", "problem", descending=[True, False])["problem"][0]
        )
        return f"none of {problems.height} won deals makes a contract (most often: {main})"
    if settings.source == "line_items":
        return None if (deals["recurring_lines"] > 0).any() else "no deal has a recurring line item"
    if not deals["arr"].is_not_null().any() and not (deals["term_months"] > 0).any():
        return "no deal holds an ARR or a term"
    return None
