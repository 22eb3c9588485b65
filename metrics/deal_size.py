"""How large the deals are that are won: of the quarter or of four, by ARR or ACV, mean or median.

Definition book, section 3 (average deal size), rulings 2, 5, 6, 20 and 21. The annual contract value of a deal is its
amount a year by `arr.basis`: of a total contract value amount x 12 / term in months, rounded half-even in the deal's
currency, and without a term (above nothing) the amount as it stands; what is sold once is part of it, as it is no part
of ARR.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.basis import annualised
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import when_any
from pipeline.company import Company

_ASKED: Final = (*sales.ASKED, "term_months", "paid_pilot")


def configured(kpi: Kpi, company: Company) -> Kpi:
    """The deal size as the company's settings make it: each choice is another definition; a median is no quotient."""
    own, formula, told = company.sales, kpi.definition.removeprefix(f"{kpi.id}/1: "), []
    if own.deal_size == "median":
        told.append("median")
        formula = formula.replace("mean", "median")
        kpi = replace(kpi, parts=(None, None))
    if own.deal_size_window == "four_quarters":
        told.append("four quarters")
        formula = formula.replace("the quarter to date", "four quarters")
        kpi = replace(kpi, period="trailing_quarters")
    if own.deal_size_value == "acv":
        told.append("ACV")
        formula = formula.replace("ARR", "annual contract value")
        fields = tuple((table, "amount" if field == "arr" else field) for table, field in kpi.requires)
        kpi = replace(kpi, requires=fields)
    return replace(kpi, definition=f"{kpi.id}/1 {' '.join(told)}: {formula}") if told else kpi


def won(facts: Facts) -> pl.DataFrame:
    """The qualified deals of a value won in each month's trailing four quarters up to D (kept by ``Facts.once``).

    Columns: those of ``sales.ASKED``, month, value (in the report's currency, at the rate of the outcome day),
    of_quarter (won in the quarter to date).
    """
    deals = facts.deals.filter(_is_won(facts)).select(_ASKED)
    valued = facts.rates.convert(
        deals.with_columns(worth=_worth(facts.company)), "worth", "outcome_day", "value"
    ).filter(pl.col("value") != 0)
    day, quarter = pl.col("outcome_day"), facts.periods.lazy().select("month", "quarter_first")
    rows = sales.trailing(valued.lazy(), day, facts.periods, facts.calendar).join(quarter, on="month")
    return (
        rows.with_columns(of_quarter=day >= pl.col("quarter_first"))
        .drop("quarter_first", "term_months", "paid_pilot", "worth")
        .sort("month", "outcome_day", "external_id")
        .collect()
    )


def _is_won(facts: Facts) -> pl.Expr:
    mine = pl.col("deal_type").is_in(facts.company.sales.types) & (pl.col("outcome") == "won")
    return mine & pl.col("qualified_day").is_not_null()


def _worth(company: Company) -> pl.Expr:
    """What a deal is worth a year; null where nobody knows."""
    if company.sales.deal_size_value == "arr":
        return pl.col("arr_value")
    amount, term = pl.col("amount"), pl.col("term_months")
    a_year = pl.when((term > 0) | (company.arr.basis != "tcv")).then(annualised(amount, term, company.arr))
    # What is paid for a pilot is no year of a contract.
    return pl.when(~pl.col("paid_pilot")).then(pl.coalesce(a_year, amount))


def measure(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Mean or median of the deals won, in minor units and not rounded; the other one, and the same of the other window,
    beside it."""
    if cut == "product":
        return measures.nothing()
    own = facts.company.sales
    rows = facts.once(won).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    value, recent = pl.col("value"), pl.col("of_quarter")
    spans = {"quarter": recent, "four_quarters": recent.is_not_null()}
    counted = rows.filter(spans.pop(own.deal_size_window))
    elsewhere, there = spans.popitem()
    totals = measures.gathered(
        facts.periods, counted, cut, value=value.sum(), n=pl.len().cast(pl.Int64), median=value.median()
    ).with_columns(pl.col("value", "n").fill_null(0))
    middle = value.mean() if own.deal_size == "mean" else value.median()
    others = measures.gathered(
        facts.periods, rows.filter(there), cut, other=middle, others=pl.len().cast(pl.Int64)
    )
    totals = totals.join(others, on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left")
    when = {"quarter": "the quarter", "four_quarters": "four quarters"}
    none = f"no new-business deal with a value was won in {when[own.deal_size_window]}"
    means = measures.ratios(totals, "value", "n", "n", none)
    mean = pl.when(pl.col("n") > 0).then(value / pl.col("n"))
    beside = {"mean": ("median", pl.col("median")), "median": ("mean", mean)}
    word, other = beside[own.deal_size]
    note = measures.notes(
        pl.format(f"{word} {{}}", _printed(other, facts)),
        when_any(
            pl.col("others"),
            pl.format(f"{when[elsewhere]} {{}} (n={{}})", _printed(pl.col("other"), facts), "others"),
        ),
    )
    sizes = means if word == "median" else _medians(means, totals)
    return measures.explained(sizes, totals.select("month", "segment", note=note))


def _printed(exact: pl.Expr, facts: Facts) -> pl.Expr:
    return in_words(exact.round(0, mode="half_to_even"), facts.currency)


def _medians(means: pl.LazyFrame, totals: pl.LazyFrame) -> pl.LazyFrame:
    """The measure with the median for its value, which is no quotient."""
    none = pl.lit(None, dtype=pl.Float64)
    keys = ["month", "segment"]
    middle = totals.select(*keys, "median")
    joined = means.join(middle, on=keys, how="left", nulls_equal=True, maintain_order="left")
    return joined.with_columns(value="median", numerator=none, denominator=none).drop("median")


def _counted(facts: Facts) -> pl.DataFrame:
    rows = facts.once(won)
    return rows if facts.company.sales.deal_size_window == "four_quarters" else rows.filter("of_quarter")


def behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the deals whose values are averaged."""
    rows = _counted(facts).filter(pl.col("month") == month)
    note = pl.format("won {}", "outcome_day")
    told = rows.with_columns(object=pl.lit("deals"), contribution="value", note=note)
    return measures.opened(measures.of_deals(facts, told, cut), cut)


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals won, whether or not they have a value: month, external_id."""
    if facts.company.sales.deal_size_window == "quarter":
        return facts.closed.filter("won").select("month", "external_id")
    deals = facts.deals.lazy().filter(_is_won(facts))
    rows = sales.trailing(
        deals.select("external_id", "outcome_day"), pl.col("outcome_day"), facts.periods, facts.calendar
    )
    return rows.select("month", "external_id").collect()
