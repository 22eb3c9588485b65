"""Growth in its parts: new logos, expansion, and contraction with churn, over the twelve months or those that are
known.

Source: supply-chain document ("decomposed into new logo acquisition, expansion revenue, and contraction/churn");
dev-tools document (above 120 % NRR the focus shifts to new logos); definition book, section 2.
"""

from __future__ import annotations

import polars as pl

from metrics import compute
from metrics.bridge import LOSSES, MOVEMENTS
from metrics.case import Case, Cause, Diagnosis, count
from metrics.currency import in_words
from metrics.finding import CausePart
from metrics.period import shift

_GROUPS = (
    ("New logos", ("new_logo",)),
    ("Expansion", ("expansion_seat", "expansion_module", "expansion_other")),
    ("Reactivation", ("reactivation",)),
    ("Contraction", ("contraction",)),
    ("Churn", ("churn",)),
)


def find(case: Case) -> Cause | None:
    window = [month for back in range(-11, 1) if (month := shift(case.month, back)) in case.facts.months]
    table = compute.bridge(case.facts).filter(pl.col("month").is_in(window))
    sums = {label: sum(int(table[name].sum()) for name in names) for label, names in _GROUPS}
    if not any(sums.values()):
        return None
    gained = f"new logos brought {case.money(sums['New logos'])}, expansion {case.money(sums['Expansion'])}"
    if sums["Reactivation"]:
        gained += f", customers who came back {case.money(sums['Reactivation'])}"
    taken = f"contraction took {case.money(sums['Contraction'])} and churn {case.money(sums['Churn'])}"
    return Cause(
        words=f"in {count(len(window), 'month')} {gained}; {taken}",
        parts=tuple(
            CausePart(label, float(-value if names[0] in LOSSES else value), "currency")
            for (label, names), value in zip(_GROUPS, sums.values(), strict=True)
        ),
        records=_records(case, window),
        unit="currency",
    )


def _records(case: Case, window: list[str]) -> pl.DataFrame:
    gains = pl.sum_horizontal([name for name in MOVEMENTS if name not in LOSSES])
    by_customer = (
        case.facts.movements.filter(pl.col("month").is_in(window))
        .with_columns(net=gains - pl.sum_horizontal(LOSSES), new=pl.col("new_logo") > 0)
        .group_by("customer")
        .agg(pl.col("net").sum(), pl.col("new").any())
        .filter(pl.col("net") != 0)
        .join(case.facts.customers.select("customer", "name"), on="customer", how="left")
    )
    what = pl.when("new").then(pl.lit("new logo")).otherwise(pl.lit("existing customer"))
    return by_customer.select(
        object=pl.lit("accounts"),
        external_id="customer",
        name="name",
        contribution=pl.col("net").cast(pl.Float64),
        note=pl.format("{}: {}", what, in_words(pl.col("net"), case.facts.currency)),
    )


DIAGNOSIS = Diagnosis("growth_parts", "What growth is made of", find)
