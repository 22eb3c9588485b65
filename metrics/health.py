"""Customer health: usage, tickets and NPS of every paying customer as one score from 0 to 100, and ARR by its bands.

Source: definition book, section 6, rulings 1, 16. The exact reading:

1. Who is scored: customers (ultimate parents) with ARR above zero at D. Rows of any of its accounts count for it.
2. Usage: active / licensed seats, both summed over the last four weeks (Monday to Sunday) that had ended by the day,
   capped at 100. No seats, no part.
3. Tickets: 100 - 10 for each ticket that is open on the day and severe, or older than ``old_ticket_days``; at least 0.
   With a tickets file a customer without tickets has 100; before the file's first ticket nobody has the part.
4. NPS: (score + 100) / 2 of the latest survey of each account that is at most 180 days old, the mean over accounts.
5. Score: the mean of the parts that are there, by their weights; with less than half of the weight it is unknown, which
   is no band. Red below 40, green from 70, else amber. It fell when it is 15 or more below that of 30 days before.
"""

from __future__ import annotations

from datetime import date
from typing import Final

import polars as pl

from metrics import measures, recurring
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.words import UNKNOWN

CUTS: Final = recurring.CUSTOMER_CUTS
PARTS: Final = ("usage", "tickets", "nps")
BANDS: Final = ("red", "amber", "green", UNKNOWN)
_BEFORE_DAYS: Final = 30
_NPS_DAYS: Final = 180
_WEEKS: Final = 4
_PER_TICKET: Final = 10
_ENOUGH: Final = 0.5  # share of the weight below which a score would be a guess
_DIGITS: Final = 9  # what floating point adds beyond these is nothing


def scores(facts: Facts) -> pl.DataFrame:
    """Every paying customer of each month at D.

    Columns: month, customer, name, size, industry, motion, owner, pipeline, arr (minor units), usage, tickets, nps
    (the parts, 0..100, null where missing), score (null: unknown), band (red | amber | green | unknown), before (the
    score of 30 days earlier), fell (Boolean).
    """
    paying = (
        recurring.named_stocks(facts)
        .rename({"now": "arr"})
        .filter(pl.col("arr") > 0)
        .join(facts.periods.select("month", "day"), on="month")
    )
    earlier = pl.col("day") - pl.duration(days=_BEFORE_DAYS)
    days = paying.select("customer", at="day")
    parts = _scored(facts, pl.concat([days, paying.select("customer", at=earlier)]).unique())
    before = parts.select("customer", before_day="at", before="score")
    return (
        paying.join(parts, left_on=["customer", "day"], right_on=["customer", "at"])
        .with_columns(before_day=earlier)
        .join(before, on=["customer", "before_day"])
        .with_columns(band=_band(facts), fell=_fell(facts))
        .join(facts.customers, on="customer", how="left")
        .select(
            "month", "customer", "name", *CUTS, "arr", *PARTS, "score", "band", "before", "fell",
        )
        .sort("month", "customer")
    )  # fmt: skip


def health(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """The mean score of the customers that have one; n: these customers."""
    if cut == "product":
        return measures.nothing()
    fed = _unfed(facts).is_empty()
    rows = facts.once(scores if fed else _unscored)
    totals = measures.summed(
        facts.periods,
        rows if fed else recurring.of_customers(facts, rows.lazy(), cut),
        cut,
        # As decimals: a sum of floats differs in its last digits with the order in which threads add them up.
        points=pl.col("score").cast(pl.Decimal(38, 12)).sum().cast(pl.Float64),
        n=pl.col("score").count().cast(pl.Int64),
        **{f"arr_{band}": pl.col("arr").filter(pl.col("band") == band).sum() for band in BANDS},
    )
    none = (
        "no customer has ARR"
        if rows.is_empty()
        else "unknown: no customer has parts that make half of the score"
    )
    bands = pl.concat_str(
        pl.lit("ARR by health: "),
        pl.concat_str(
            [pl.format(f"{band} {{}}", in_words(pl.col(f"arr_{band}"), facts.currency)) for band in BANDS],
            separator=", ",
        ),
    )
    paying = pl.sum_horizontal(f"arr_{band}" for band in BANDS) > 0
    measure = measures.ratios(totals, "points", "n", "n", none)
    told = totals.select("month", "segment", bands=pl.when(paying).then(bands))
    joined = measure.join(told, on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left")
    reason = pl.concat_str("reason", "bands", separator="; ", ignore_nulls=True)
    with_bands = joined.with_columns(reason=reason).drop("bands")
    noted = measures.explained(with_bands, _notes(facts, rows), by=("month",))
    return measures.unknown(measures.unknown(noted, _unfed(facts).lazy()), _unmeasurable(facts))


def _unscored(facts: Facts) -> pl.DataFrame:
    """The paying customers of each month, in numbers, where there are not files enough to score anybody."""
    paying = facts.once(recurring.by_customer).filter(pl.col("now") > 0)
    return paying.select(
        "month",
        "customer",
        arr="now",
        score=pl.lit(None, pl.Float64),
        band=pl.lit(UNKNOWN),
        fell=pl.lit(value=False),
    )


def customers_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: every paying customer with its score, its parts and what they lack."""
    rows = facts.once(scores).filter(pl.col("month") == month)
    labels = {"usage": "usage", "tickets": "tickets", "nps": "NPS"}
    parts = [
        pl.when(pl.col(part).is_null())
        .then(pl.lit(f"no {label}"))
        .otherwise(pl.format(f"{label} {{}}", pl.col(part).round(1)))
        for part, label in labels.items()
    ]
    note = pl.concat_str(
        pl.format("{}: {}", "band", pl.concat_str(parts, separator=", ")),
        pl.format("ARR {}", in_words(pl.col("arr"), facts.currency)),
        pl.when("fell").then(pl.format("fell from {} in 30 days", pl.col("before").round(1))),
        separator="; ",
        ignore_nulls=True,
    )
    return measures.opened(
        rows.with_columns(object=pl.lit("accounts"), external_id="customer", contribution="score", note=note),
        cut,
    )


def _scored(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """``days`` (customer, at) with the parts and the score."""
    weights = facts.company.health
    rows = days
    for part, found in zip(PARTS, (_usage, _tickets, _nps), strict=True):
        of_day = found(facts, days.select("at").unique())
        rows = rows.join(of_day, on=["customer", "at"], how="left")
        if part == "tickets":
            rows = _without_tickets(facts, rows)
    there = pl.sum_horizontal(
        pl.when(pl.col(part).is_not_null()).then(pl.lit(float(getattr(weights, part)))) for part in PARTS
    )
    points = pl.sum_horizontal(pl.col(part) * float(getattr(weights, part)) for part in PARTS)
    enough = (there > 0) & (there >= _ENOUGH * sum(getattr(weights, part) for part in PARTS))
    return rows.with_columns(score=pl.when(enough).then(points / there))


def _of_customers(facts: Facts, kind: str) -> pl.DataFrame:
    """The rows of an input file whose customer is an account, with ``customer``."""
    ends = facts.accounts.select("account_id", "customer").unique("account_id")
    return facts.input(kind).join(ends, on="account_id").filter(pl.col("customer").is_not_null())


def _usage(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """customer, at, usage."""
    last = (pl.col("at") - pl.duration(days=6)).dt.truncate("1w")
    weeks = pl.concat(
        days.select("at").unique().select("at", week=last - pl.duration(weeks=back)) for back in range(_WEEKS)
    )
    share = pl.col("active").sum() * 100 / pl.col("licensed").sum()
    return (
        weeks.join(_of_customers(facts, "usage"), on="week")
        .group_by("customer", "at")
        .agg(usage=pl.when(pl.col("licensed").sum() > 0).then(share.clip(0, 100)))
    )


def _tickets(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """customer, at, tickets: of customers that have open ones that count."""
    settings = facts.company.health
    severe = pl.col("severity").is_in([word.strip().lower() for word in settings.severe]).fill_null(False)
    aged = pl.col("opened") + pl.duration(days=settings.old_ticket_days + 1)
    counted = _of_customers(facts, "tickets").select(
        "customer",
        since=pl.when(severe).then("opened").otherwise(aged),
        until=pl.col("closed").fill_null(date.max),
    )
    return (
        _on(days, counted)
        .group_by("customer", "at")
        .agg(tickets=(100.0 - _PER_TICKET * pl.len().cast(pl.Float64)).clip(lower_bound=0.0))
    )


def _without_tickets(facts: Facts, rows: pl.DataFrame) -> pl.DataFrame:
    """Who has no ticket that counts has full marks, from the file's first ticket on."""
    first = facts.input("tickets")["opened"].min()
    if first is None:
        return rows
    return rows.with_columns(
        tickets=pl.when(pl.col("at") >= pl.lit(first)).then(pl.col("tickets").fill_null(100.0))
    )


def _nps(facts: Facts, days: pl.DataFrame) -> pl.DataFrame:
    """customer, at, nps."""
    surveys = (
        _of_customers(facts, "nps")
        .group_by("customer", "account_id", since="date")
        .agg(pl.col("score").mean())
        .sort("since")
        .with_columns(
            until=pl.min_horizontal(
                pl.col("since") + pl.duration(days=_NPS_DAYS + 1),
                pl.col("since").shift(-1).over("account_id"),
            )
        )
    )
    return _on(days, surveys).group_by("customer", "at").agg(nps=(pl.col("score").mean() + 100) / 2)


def _on(days: pl.DataFrame, rows: pl.DataFrame) -> pl.DataFrame:
    """One row per row and day ``at`` with since <= at < until: only what counts on a day is ever written out."""
    ordered = days.select("at").sort("at").with_row_index("_at")
    first = pl.lit(ordered["at"]).search_sorted(pl.col("since"), side="left").cast(pl.Int64)
    after = pl.lit(ordered["at"]).search_sorted(pl.col("until"), side="left").cast(pl.Int64)
    return (
        rows.with_columns(_at=pl.int_ranges(first, pl.max_horizontal(first, after)))
        .filter(pl.col("_at").list.len() > 0)
        .explode("_at")
        .join(ordered.with_columns(pl.col("_at").cast(pl.Int64)), on="_at")
        .drop("_at")
    )


def _band(facts: Facts) -> pl.Expr:
    settings, score = facts.company.health, pl.col("score").round(_DIGITS)
    return (
        pl.when(score < settings.red_below)
        .then(pl.lit("red"))
        .when(score < settings.green_from)
        .then(pl.lit("amber"))
        .when(score >= settings.green_from)
        .then(pl.lit("green"))
        .otherwise(pl.lit(UNKNOWN))
    )


def _fell(facts: Facts) -> pl.Expr:
    drop = (pl.col("before") - pl.col("score")).round(_DIGITS)
    return (drop >= facts.company.health.drop).fill_null(False)


def _notes(facts: Facts, rows: pl.DataFrame) -> pl.LazyFrame:
    """month, note: customers that fell, and those of the files that no account is known for."""
    fallen = rows.lazy().filter("fell").group_by(pl.col("month").cast(pl.String)).agg(n=pl.len())
    drop = f"{facts.company.health.drop:g}"
    notes = [
        fallen.select("month", note=pl.format(f"{{}} fell by {drop} or more in {_BEFORE_DAYS} days", "n"))
    ]
    lost = [told for part in PARTS if (told := facts.unmatched(part)) is not None]
    months = facts.periods.lazy()
    return measures.joined([*notes, *(months.select("month", note=pl.lit(told)) for told in lost)])


def _unfed(facts: Facts) -> pl.DataFrame:
    """month, why: there are not files enough to score anybody."""
    weights = {part: getattr(facts.company.health, part) for part in PARTS}
    there = [part for part in PARTS if facts.has_input(part)]
    if sum(weights[part] for part in there) >= _ENOUGH * sum(weights.values()):
        return pl.DataFrame(schema={"month": pl.String, "why": pl.String})
    held = (
        f"{' and '.join(there)} alone {'are' if len(there) > 1 else 'is'} not half of the score: "
        if there
        else ""
    )
    why = f"{held}needs files of usage, tickets and nps that make half of it, named under inputs:"
    return facts.periods.select("month", why=pl.lit(why))


def _unmeasurable(facts: Facts) -> pl.LazyFrame:
    """month, why: nobody knows who had ARR."""
    return facts.unmeasurable.lazy()
