"""Measures of recurring revenue, shared by the KPIs: stocks, movements, growth and their evidence.

A customer belongs to one size, industry, motion, owner and pipeline; by product a number is cut row by row, so
retention, which compares customers, has no cut by product.
"""

from __future__ import annotations

from functools import partial
from typing import Final, Literal

import polars as pl

from metrics import agreements, arr, bridge, measures
from metrics.coded import categories, months
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import CUTS, Kpi
from metrics.period import month_last, shift
from metrics.settlement import OPEN_END
from metrics.words import UNKNOWN, in_percent, stated

REQUIRES: Final = (
    ("deals", "account_id"),
    ("deals", "type"),
    ("deals", "arr"),
    ("deals", "term_months"),
    ("deals", "start_date"),
)
READS: Final = ("line_items", "exchange_rates")
CUSTOMER_CUTS: Final = tuple(cut for cut in CUTS if cut != "product")
Window = Literal["year", "quarter", "month"]
MONTHS: Final[dict[Window, int]] = {"year": 12, "quarter": 3, "month": 1}


def by_customer(facts: Facts) -> pl.DataFrame:
    """The bridge per month and customer (a number, as in ``Facts.coded``), kept by ``Facts.once``.

    Columns: month (a category), customer, now, prev, year (ARR at the three month-ends, at the rate of D), each
    movement of the bridge, and ``touched NAME``: whether any product of the customer made that movement.
    """
    return _added_up(facts.moves, "customer")


def _added_up(moved: pl.DataFrame, *by: str) -> pl.DataFrame:
    sums = pl.col("now", "prev", "year", *bridge.MOVEMENTS).sum()
    touched = ((pl.col(name) != 0).any().alias(f"touched {name}") for name in bridge.MOVEMENTS)
    return moved.lazy().group_by("month", *by).agg(sums, *touched).collect()


def named_stocks(facts: Facts) -> pl.DataFrame:
    """month, customer, now: ARR at D of each customer (a text) that has any rows of it then."""
    rows = facts.once(by_customer).select("month", "customer", "now")
    customers = facts.coded.customers.gather(rows["customer"])
    return rows.with_columns(pl.col("month").cast(pl.String), customer=customers)


def _totals(facts: Facts, cut: str | None) -> pl.DataFrame:
    """What the bridge adds up to by month and segment: all that its KPIs are made of, summed once.

    Columns: month, segment; each movement and ``n NAME`` (customers it touched); now and n_now, prev and n_prev, year
    and n_year (customers with ARR at that end), change_prev and change_year.
    """
    if cut == "product":
        names = _product_names(facts)
        moved = facts.moves.with_columns(product=names.gather(facts.moves["product_name"]))
        rows = _added_up(moved, "customer", "product")
    else:
        rows = of_customers(facts, facts.once(by_customer).lazy(), cut).collect()
    points = ("now", "prev", "year")
    return measures.summed(
        facts.periods,
        rows,
        cut,
        **{name: pl.col(name).sum() for name in (*points, *bridge.MOVEMENTS)},
        **{f"n {name}": pl.col(f"touched {name}").sum().cast(pl.Int64) for name in bridge.MOVEMENTS},
        **{f"n_{name}": (pl.col(name) > 0).sum().cast(pl.Int64) for name in points},
        **{f"change_{name}": (pl.col("now") - pl.col(name)).sum() for name in ("prev", "year")},
    ).collect()


_TOTALS: Final = {cut: partial(_totals, cut=cut) for cut in (None, *CUTS)}


def _product_names(facts: Facts) -> pl.Series:
    """What products are called, by number, as categories."""
    return categories(facts.coded.product_names, UNKNOWN)


def stock(facts: Facts, cut: str | None, contracted: bool = False) -> pl.LazyFrame:
    """ARR at D, or CARR; n: customers with ARR above zero."""
    if cut != "product" and not contracted:
        return measurable(facts, measures.amounts(facts.once(_TOTALS[cut]).lazy(), "now", "n_now"))
    added = facts.once(_STOCKS[cut == "product", contracted]).lazy()
    totals = measures.summed(
        facts.periods,
        of_customers(facts, added, cut),
        cut,
        value=pl.col("value").sum(),
        n=(pl.col("value") > 0).sum().cast(pl.Int64),
    )
    return measurable(facts, measures.amounts(totals, "value", "n"))


def _stocks(facts: Facts, by_product: bool, contracted: bool) -> pl.DataFrame:
    """month, customer, with ``by_product`` product_name, and value: ARR at D, or CARR, in numbers."""
    keys = ["month", "customer"]
    rows = facts.once(by_customer).select(*keys, value="now")
    if by_product:
        # A row of ARR goes by its own name of the product, whatever the customer's others call it.
        keys.append("product_name")
        rows = facts.once(_stock_rows).select(*keys, "value")
    if contracted:
        rows = pl.concat([rows, facts.once(_pending).select(rows.columns)])
    return rows.group_by(keys).agg(pl.col("value").sum())


_STOCKS: Final = {
    (by_product, contracted): partial(_stocks, by_product=by_product, contracted=contracted)
    for by_product in (False, True)
    for contracted in (False, True)
}


def _stock_rows(facts: Facts) -> pl.DataFrame:
    """month, customer, product_name, value: the rows of ARR live at D, in numbers."""
    placed = bridge.positions(facts.coded.rows, months(facts.periods, facts.months), facts.rates, ("now",))
    return placed.group_by("month", "customer", "product_name").agg(pl.col("value").sum()).collect()


def _pending(facts: Facts) -> pl.DataFrame:
    """The same of what CARR adds to ARR: see ``metrics.bridge.pending``."""
    coming = bridge.pending(facts.coded.rows, months(facts.periods, facts.months), facts.rates)
    return coming.select("month", "customer", "product_name", "value")


def movement(facts: Facts, name: str, cut: str | None) -> pl.LazyFrame:
    """One movement of the bridge; n: customers it touched."""
    return measurable(facts, measures.amounts(facts.once(_TOTALS[cut]).lazy(), name, f"n {name}"))


def escalators(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Other expansion with the part of it that was contracted before as a note (R13)."""
    sums = (
        facts.moves.lazy()
        .group_by(pl.col("month").cast(pl.String))
        .agg(pl.col("escalator").sum())
        .filter(pl.col("escalator") > 0)
    )
    amount = in_words(pl.col("escalator"), facts.currency)
    return measures.noted(
        measure, sums.select("month", note=pl.format("of it contracted before (escalator): {}", amount))
    )


def growth(facts: Facts, point: str, cut: str | None) -> pl.LazyFrame:
    """(now - then) / then at the rate of D; n: customers with ARR then."""
    totals = facts.once(_TOTALS[cut]).lazy()
    what = "at the end of the month before" if point == "prev" else "a year before"
    names = (f"change_{point}", point, f"n_{point}", f"there was no ARR {what}")
    return measurable(facts, measures.ratios(totals, *names))


def with_quarter(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Growth over a year with that over the three months to D, at the rate of D, as a note."""
    ends = facts.once(_quarter_ends).lazy()
    sums = ends.group_by(pl.col("month").cast(pl.String)).agg(
        then=pl.col("then").sum(), now=pl.col("retained").sum()
    )
    rate = in_percent((pl.col("now") - pl.col("then")) / pl.col("then"))
    there = sums.filter(pl.col("then") > 0)
    told = there.select("month", note=pl.format("over three months {}", rate))
    defined = measure.filter(pl.col("value").is_not_null()).select("month")
    return measures.explained(measure, told.join(defined, on="month", how="semi"), by=("month",))


def ends_of(facts: Facts, window: Window) -> pl.DataFrame:
    """The rows of ARR at both ends of the window: as ``bridge.positions`` has them, with the points then and now."""
    placed, point = facts.positions.lazy(), "prev" if window == "month" else "year"
    if window == "quarter":
        opening = [month_last(shift(month, -MONTHS[window])) for month in facts.months]
        periods = facts.periods.with_columns(year_day=pl.Series(opening, dtype=pl.Date))
        placed = bridge.positions(facts.arr_rows, periods, facts.rates, ("now", "year"))
    words = placed.with_columns(pl.col("month", "point").cast(pl.String))
    ends = words.filter(pl.col("point").is_in(["now", point]))
    then = pl.when(pl.col("point") == "now").then("point").otherwise(pl.lit("then"))
    return ends.with_columns(point=then).collect()


def _quarter_ends(facts: Facts) -> pl.DataFrame:
    """month (a category), customer (a number), then (ARR three months before D), retained (at D); at the rate of D."""
    opening = [month_last(shift(month, -MONTHS["quarter"])) for month in facts.months]
    periods = facts.periods.with_columns(year_day=pl.Series(opening, dtype=pl.Date))
    placed = bridge.positions(facts.coded.rows, months(periods, facts.months), facts.rates, ("now", "year"))
    at = {point: pl.when(pl.col("point") == point).then("value") for point in ("year", "now")}
    split = placed.select("month", "customer", then=at["year"], retained=at["now"])
    return split.group_by("month", "customer").agg(pl.col("then", "retained").sum()).collect()


def cohort(facts: Facts, window: Window = "year") -> pl.DataFrame:
    """Customers with ARR at the opening of the window, per month; everything at the rate of D.

    Columns: month (a category), customer (a number, as in ``Facts.coded``), then, retained (ARR at D), kept (the lesser
    of the two), lost (1 where none is left).
    """
    if window == "quarter":
        ends = facts.once(_quarter_ends)
    else:
        point = "prev" if window == "month" else "year"
        ends = facts.once(by_customer).select("month", "customer", then=point, retained="now")
    return ends.filter(pl.col("then") > 0).with_columns(
        kept=pl.min_horizontal("retained", "then"), lost=(pl.col("retained") <= 0).cast(pl.Int64)
    )


def named_cohort(facts: Facts, window: Window = "year") -> pl.DataFrame:
    """``cohort`` with months and customers as texts again."""
    rows = cohort(facts, window)
    names = facts.coded.customers.gather(rows["customer"])
    return rows.with_columns(pl.col("month").cast(pl.String), customer=names)


def of_ledger(kpi: Kpi) -> bool:
    """Whether a KPI is made of the subscription ledger, so that it stands on whatever the contracts come from."""
    return set(REQUIRES) <= set(kpi.requires)


def stands_on(facts: Facts) -> pl.DataFrame:
    """The won deals by D of a mapped type, or of none at all, that ARR may count: deal, first, last.

    As ``metrics.runs`` has it: from the month of its outcome on, a deal is behind the number of every month.
    """
    recurring = pl.col("deal_type").is_not_null() | stated(pl.col("type")).is_null()
    counted = (pl.col("outcome") == "won") & recurring & arr.counts(facts.company.arr)
    days = facts.periods["day"]
    return (
        facts.deals.lazy()
        .with_row_index("deal")
        .filter(counted & pl.col("outcome_day").is_not_null())
        .select(
            "deal",
            first=pl.lit(days).search_sorted(pl.col("outcome_day"), side="left").cast(pl.Int64),
            last=pl.lit(days.len() - 1, pl.Int64),
        )
        .collect()
    )


def contracts_behind(facts: Facts, rows: pl.DataFrame, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the contracts behind rows of ARR, each with its term and what is special about it."""
    deals = facts.deals.select(deal_id="external_id", _deal="name")
    listed = facts.opening_list.select("contract", "line", "customer_key")
    kept = facts.agreements.select("contract", _kept="name")
    named = (
        facts.contracts.join(deals, on="deal_id", how="left")
        .join(listed, left_on="made_of", right_on="contract", how="left")
        .join(kept, on="contract", how="left")
    )
    until = (
        pl.when(pl.col("expires") == OPEN_END)
        .then(pl.lit("open"))
        .otherwise(pl.col("expires").cast(pl.String))
    )
    flags = {
        "start_assumed": "start assumed: "
        + ("close date" if facts.company.arr.of_deals else "day it was signed"),
        "term_assumed": "term assumed: 12 months",
        "auto_renewed": "renewed by itself",
        "goes_on": "goes on under its renewal",
        "unresolved": "expired, unresolved",
    }
    table = agreements.TABLE.get(facts.company.arr.source)
    note = pl.concat_str(
        [pl.format("{} to {}", "start", until)]
        + [pl.when(flag).then(pl.lit(words)) for flag, words in flags.items()],
        separator="; ",
        ignore_nulls=True,
    )
    of_list = pl.col("line").is_not_null()
    own = pl.lit("deals") if table is None else pl.lit(table)
    identity = pl.col("deal_id") if table is None else pl.col("contract")
    return measures.opened(
        of_customers(facts, rows.lazy(), cut)
        .collect()
        .group_by("contract", *([cut] if cut else []))
        .agg(contribution=pl.col("value").sum())
        .join(named, on="contract")
        .with_columns(goes_on=pl.col("contract") != pl.col("made_of"))
        .with_columns(
            object=pl.when(of_list).then(pl.lit("opening_arr")).otherwise(own),
            external_id=pl.coalesce(pl.format("line {}", "line"), identity),
            name=pl.coalesce("_kept", "_deal", "customer_key"),
            note=note,
        ),
        cut,
    )


def customers_behind(facts: Facts, name: str, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the customers and products behind one movement."""
    moved = facts.movements.filter((pl.col("month") == month) & (pl.col(name) != 0))
    rows = of_customers(facts, moved.lazy(), cut).collect()
    product = pl.col("product_name").fill_null("no product")
    note = pl.format("{}: {} -> {}", product, *both_in_words(facts, "prev", "now"))
    return accounts_behind(facts, rows.with_columns(contribution=name, note=note), cut)


def change_behind(facts: Facts, point: str, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: every customer whose ARR changed since."""
    rows = (
        of_customers(facts, facts.movements.filter(pl.col("month") == month).lazy(), cut)
        .collect()
        .group_by("customer", *([cut] if cut else []))
        .agg(pl.col("now").sum(), then=pl.col(point).sum())
        .with_columns(contribution=pl.col("now") - pl.col("then"))
        .filter(pl.col("contribution") != 0)
    )
    return accounts_behind(
        facts, rows.with_columns(note=pl.format("{} -> {}", *both_in_words(facts, "then", "now"))), cut
    )


def both_in_words(facts: Facts, *columns: str) -> list[pl.Expr]:
    """Columns of money as text."""
    return [in_words(pl.col(column), facts.currency) for column in columns]


def accounts_behind(facts: Facts, rows: pl.DataFrame, cut: str | None = None) -> pl.DataFrame:
    """Evidence: rows with customer, contribution and note as the accounts behind them."""
    placed = rows if cut is None or cut in rows.columns else of_customers(facts, rows.lazy(), cut).collect()
    named = placed.join(facts.customers.select("customer", "name"), on="customer", how="left")
    return measures.opened(named.with_columns(object=pl.lit("accounts"), external_id="customer"), cut)


def of_customers(facts: Facts, rows: pl.LazyFrame, cut: str | None) -> pl.LazyFrame:
    """The rows of the bridge with the column that they are cut by, as a category where they are in numbers."""
    if cut is None:
        return rows
    in_numbers = rows.collect_schema()["customer"] != pl.String
    if cut == "product":
        if not in_numbers:
            return rows.with_columns(product="product_name")
        return rows.with_columns(product=pl.lit(_product_names(facts)).gather(pl.col("product_name")))
    if not in_numbers:
        return rows.join(facts.customers.lazy().select("customer", cut), on="customer", how="left")
    return rows.with_columns(pl.lit(facts.once(_SEGMENTS[cut])).gather(pl.col("customer")).alias(cut))


def _segments(facts: Facts, cut: str) -> pl.Series:
    """The segment of every customer, by its number, as a category."""
    customers = facts.coded.customers.alias("customer").to_frame()
    of = facts.customers.select("customer", cut)
    return categories(customers.join(of, on="customer", how="left", maintain_order="left")[cut], UNKNOWN)


_SEGMENTS: Final = {cut: partial(_segments, cut=cut) for cut in CUSTOMER_CUTS}


def measurable(facts: Facts, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Undefined where the CRM cannot know."""
    joined = measure.join(facts.unmeasurable.lazy(), on="month", how="left", maintain_order="left")
    return measures.undefined(joined, pl.col("why").is_not_null(), pl.col("why")).drop("why")
