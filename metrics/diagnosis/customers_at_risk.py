"""Customers at risk: those whose health score is low, or fell by much since the end of the month before.

Low is below the option ``below`` (40), much is the option ``fell`` (15 points). Unknown health is never a risk that is
named. Records are these customers, the lowest score first. Source: supply-chain document ("if health scores drop below
a threshold, trigger a customer success intervention"); definition book, section 6.
"""

from __future__ import annotations

import polars as pl

from metrics import compute
from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.period import shift


def find(case: Case) -> Cause | None:
    below, fell = case.option("below"), case.option("fell")
    now, before = _scores(case, case.month), shift(case.month, -1)
    then = _scores(case, before) if before in case.facts.months else now.clear()
    both = now.join(then.select("external_id", then="contribution"), on="external_id", how="left")
    low = pl.col("contribution") < below
    drop = (pl.col("then") - pl.col("contribution") >= fell).fill_null(value=False)
    found = both.filter(low | drop).sort("contribution", "external_id")
    if found.is_empty():
        return None
    lows, drops = found.filter(low).height, found.filter(drop).height
    scored = count(now.height, "scored customer")
    return Cause(
        words=f"{lows:,} of {scored} below {below:g}, {drops:,} fell by {fell:g} points or more within the month",
        parts=(
            CausePart(f"Below {below:g}", float(lows), "count"),
            CausePart(f"Fell by {fell:g} or more", float(drops), "count"),
        ),
        records=found.drop("then"),
        unit="points",
        ordered=True,
    )


def _scores(case: Case, month: str) -> pl.DataFrame:
    kpi = compute.registered()[case.value.id]
    return compute.evidence(case.facts, kpi, month).filter(pl.col("contribution").is_not_null())


DIAGNOSIS = Diagnosis("customers_at_risk", "Customers at risk", find, {"below": 40, "fell": 15})
