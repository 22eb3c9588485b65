"""What NRR is made of: the points that seats, modules and other expansion, reactivation, contraction and churn add.

They are the bridge's movements of every month of the window, at the rate of D, over the ARR of the opening; with the
default NRR those of the customers of the opening, with a flow those of all customers. They sum to NRR - 1, in the text
to its tenths of a point. NRR over the renewal base has none: what was not up for renewal moves as well.

Source: definition book, section 2 (NRR: "Print seat/module/churn/contraction points that sum to NRR - 100").
"""

from __future__ import annotations

from functools import partial
from itertools import pairwise
from typing import Final, Literal

import polars as pl

from metrics import measures
from metrics.facts import Facts
from metrics.flows import FLOWS
from metrics.recurring import MONTHS, Window, cohort, of_customers

WAYS: Final = ("cohort", "flow", "flow_with_reactivation")
_SIGNED: Final = {
    "seat": pl.col("expansion_seat"),
    "module": pl.col("expansion_module"),
    "other": pl.col("expansion_other"),
    "reactivation": pl.col("reactivation"),
    "contraction": -pl.col("contraction"),
    "churn": -pl.col("churn"),
}
PARTS: Final = tuple(_SIGNED)


def customers(facts: Facts, how: str, window: Window) -> pl.DataFrame:
    """Per month (a category) and customer (a number): then (ARR at the opening, 0 for who had none), and signed amounts
    named as ``PARTS``."""
    there = facts.once(_COHORTS[window]).select("month", "customer", "then")
    flows = facts.once(FLOWS[window])
    kept: Literal["left", "full"] = "left" if how == "cohort" else "full"
    joined = there.join(flows, on=["month", "customer"], how=kept, coalesce=True)
    filled = joined.with_columns(pl.exclude("month", "customer").fill_null(0))
    # Who had ARR at the opening cannot be new: had it by an exchange rate alone, it came back.
    back = pl.col("reactivation") + (pl.col("new_logo") if how == "cohort" else 0)
    counted = pl.lit(0, pl.Int64) if how == "flow" else back
    return filled.with_columns(reactivation=counted).select("month", "customer", "then", **_SIGNED)


def points(facts: Facts, how: str, window: Window, cut: str | None = None) -> pl.LazyFrame:
    """month, segment, opening (minor units), n (customers of the opening) and each of ``PARTS`` as a share of the
    opening; only where there was an opening. ``how``: one of ``WAYS``."""
    named = of_customers(facts, facts.once(_CUSTOMERS[how, window]).lazy(), cut)
    rows = named.with_columns(segment=measures.segment_of(cut, named))
    sums = (
        rows.group_by("month", "segment")
        .agg(
            pl.col("then").clip(lower_bound=0).sum().alias("opening"),
            (pl.col("then") > 0).sum().cast(pl.Int64).alias("n"),
            *(pl.col(part).sum() for part in PARTS),
        )
        .with_columns(pl.col("month", "segment").cast(pl.String))
    )
    share = (pl.col(part).cast(pl.Float64) / pl.col("opening") for part in PARTS)
    return sums.filter(pl.col("opening") > 0).with_columns(share).sort("month", "segment", nulls_last=False)


def tenths(parts: tuple[str, ...] = PARTS) -> list[pl.Expr]:
    """The points of ``points`` in tenths, rounded so that they add up to the rounded total."""
    sums = [(pl.sum_horizontal(parts[: count + 1]) * 1000).round(0) for count in range(len(parts))]
    steps = [sums[0], *(after - before for before, after in pairwise(sums))]
    return [step.cast(pl.Int64).alias(part) for part, step in zip(parts, steps, strict=True)]


def told(found: pl.LazyFrame) -> pl.LazyFrame:
    """month, segment, note: ``points: seat +6.7, module +3.3, other 0, ... churn -26.7``."""
    words = [pl.format(f"{part} {{}}", _in_words(pl.col(part))) for part in PARTS]
    rounded = found.select("month", "segment", *tenths())
    return rounded.select(
        "month", "segment", note=pl.format("points: {}", pl.concat_str(words, separator=", "))
    )


def _in_words(tenth: pl.Expr) -> pl.Expr:
    size = tenth.abs()
    sign = pl.when(tenth < 0).then(pl.lit("-")).otherwise(pl.lit("+"))
    number = pl.format("{}{}.{}", sign, size // 10, size % 10)
    return pl.when(tenth == 0).then(pl.lit("0")).otherwise(number)


_COHORTS: Final = {window: partial(cohort, window=window) for window in MONTHS}
_CUSTOMERS: Final = {
    (how, window): partial(customers, how=how, window=window) for how in WAYS for window in MONTHS
}
