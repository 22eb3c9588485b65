"""Growth against retention: ARR grows faster than a quarter before while NRR falls.

The records are the customers that shrank or left since then: what became of growth that was bought. Source: dev-tools
document ("the trap is optimising for ARR growth at the expense of NRR").
"""

from __future__ import annotations

import polars as pl

from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.period import shift
from metrics.render import numbers

_MONTHS = 3


def find(case: Case) -> Cause | None:
    now, before = case.number("arr_growth_yoy"), case.number("arr_growth_yoy", _MONTHS)
    then = case.number("nrr", _MONTHS)
    if now is None or before is None or then is None:
        return None
    window = [shift(case.month, back) for back in range(1 - _MONTHS, 1)]
    lost = (
        case.facts.movements.filter(pl.col("month").is_in(window))
        .group_by("customer")
        .agg(pl.col("contraction").sum(), pl.col("churn").sum())
        .with_columns(loss=pl.col("contraction") + pl.col("churn"))
        .filter(pl.col("loss") > 0)
        .join(case.facts.customers.select("customer", "name", "size"), on="customer", how="left")
    )
    total = int(lost["loss"].sum())
    return Cause(
        words=(
            f"NRR was {numbers.percent(then)} a quarter before, while ARR growth over a year rose from"
            f" {numbers.percent(before)} to {numbers.percent(now)}; {count(lost.height, 'customer')}"
            f" took away {case.money(total)} since"
        ),
        parts=(
            CausePart("ARR growth a quarter before", before, "ratio"),
            CausePart("ARR growth now", now, "ratio"),
            CausePart("NRR a quarter before", then, "ratio"),
            CausePart("Contraction and churn since", float(-total), "currency"),
        ),
        records=lost.select(
            object=pl.lit("accounts"),
            external_id="customer",
            name="name",
            contribution=-pl.col("loss").cast(pl.Float64),
            note=pl.format(
                "{}, {}",
                pl.col("size").fill_null("size unknown"),
                pl.when(pl.col("churn") > 0).then(pl.lit("churned")).otherwise(pl.lit("contracted")),
            ),
        ),
        unit="currency",
    )


DIAGNOSIS = Diagnosis("growth_quality", "Growth against retention", find)
