"""Retention leak: what became of the ARR of a year ago.

Churn of small accounts, contraction of mid-market accounts, and customers who never expanded after landing, each in
points of the ARR a year before; seats and modules apart. Small and mid-market are the playbook's segments by size.
Compared are two days, a year before and now. The points beside NRR are the movements of every month between them, so
there a customer that left and came back is churn and reactivation, and here neither.
Source: dev-tools document ("diagnose the leak"); HR-tech document (seats and modules); definition book, section 2.
"""

from __future__ import annotations

import polars as pl

from metrics import recurring
from metrics.case import Case, Cause, Diagnosis, count, share
from metrics.currency import in_words
from metrics.finding import CausePart
from metrics.period import shift
from metrics.render import numbers

_EXPANSIONS = (("expansion_seat", "Seat expansion"), ("expansion_module", "Module expansion"))


def find(case: Case) -> Cause | None:
    cohort = customers(case)
    then = float(cohort["then"].sum())
    if not then:
        return None
    sums = _sums(case, cohort)
    kept = cohort.filter(pl.col("retained") > 0)
    flat = kept.filter(pl.col("retained") <= pl.col("then"))
    leaks = {name: sums[name] for name in ("churn of small accounts", "churn of larger accounts",
             "contraction of mid-market accounts", "contraction of other accounts")}  # fmt: skip
    parts = tuple(
        CausePart(name.capitalize(), value, "currency", f"{_points(value, then)} points")
        for name, value in {**leaks, "expansion": sums["expansion"]}.items()
    )
    return Cause(
        words=f"of the {count(cohort.height, 'customer')} live a year before, compared then and now, "
        + _words(case, then, leaks, sums["expansion"], kept.height, flat.height),
        parts=(
            *parts,
            CausePart(
                "Kept and never expanded",
                float(flat.height),
                "count",
                f"{count(flat.height, 'customer')} of {kept.height:,} kept, "
                f"{share(float(flat['then'].sum()), then)} of the ARR a year before",
            ),
            *_expansions(case, cohort),
        ),
        records=_records(case, cohort),
        unit="currency",
    )


def customers(case: Case) -> pl.DataFrame:
    """The month's cohort with names and sizes."""
    traits = case.facts.customers.select("customer", "name", "size")
    return case.of_month(recurring.named_cohort(case.facts)).join(traits, on="customer", how="left")


def _sums(case: Case, cohort: pl.DataFrame) -> dict[str, float]:
    lost = pl.col("lost") == 1
    shrunk = ~lost & (pl.col("kept") < pl.col("then"))
    small, middle = case.named_size("small"), case.named_size("mid_market")
    fall = pl.col("then") - pl.col("kept")
    row = cohort.select(
        fall.filter(lost & small).sum().alias("churn of small accounts"),
        fall.filter(lost & ~small).sum().alias("churn of larger accounts"),
        fall.filter(shrunk & middle).sum().alias("contraction of mid-market accounts"),
        fall.filter(shrunk & ~middle).sum().alias("contraction of other accounts"),
        (pl.col("retained") - pl.col("then"))
        .filter(pl.col("retained") > pl.col("then"))
        .sum()
        .alias("expansion"),
    )
    return row.row(0, named=True)


def _words(case: Case, then: float, leaks: dict[str, float], expansion: float, kept: int, flat: int) -> str:
    lost = sum(leaks.values())
    unexpanded = (
        f"{flat:,} of {count(kept, 'kept customer')} never expanded" if kept else "no customer was kept"
    )
    if not lost:
        return f"nothing was lost of {case.money(then)}, {_points(expansion, then)} points were gained; {unexpanded}"
    named = ", ".join(f"{name} {_points(value, then)}" for name, value in leaks.items() if value)
    worst = max(leaks, key=lambda name: leaks[name])
    return (
        f"{_points(lost, then)} points were lost: {named}; expansion gave back"
        f" {_points(expansion, then)}; {unexpanded}; the largest part is {worst}"
    )


def _points(value: float, then: float) -> str:
    return numbers.quantity(100 * value / then, "points", "")


def _expansions(case: Case, cohort: pl.DataFrame) -> list[CausePart]:
    """Seats and modules of the cohort over the twelve months, where the facts cover them."""
    window = [shift(case.month, back) for back in range(-11, 1)]
    if not set(window) <= set(case.facts.months):
        return []
    moved = case.facts.movements.filter(pl.col("month").is_in(window)).join(
        cohort.select("customer"), on="customer", how="semi"
    )
    return [
        CausePart(label, float(moved[name].sum()), "currency", "of these customers, in twelve months")
        for name, label in _EXPANSIONS
    ]


def _records(case: Case, cohort: pl.DataFrame) -> pl.DataFrame:
    currency = case.facts.currency
    words = [in_words(pl.col(name), currency) for name in ("then", "retained")]
    what = (
        pl.when(pl.col("lost") == 1)
        .then(pl.lit("churned"))
        .when(pl.col("retained") < pl.col("then"))
        .then(pl.lit("contracted"))
        .when(pl.col("retained") > pl.col("then"))
        .then(pl.lit("expanded"))
        .otherwise(pl.lit("never expanded"))
    )
    return cohort.select(
        object=pl.lit("accounts"),
        external_id="customer",
        name="name",
        contribution=(pl.col("retained") - pl.col("then")).cast(pl.Float64),
        note=pl.format(
            "{}, {}: {} a year before, {} now", pl.col("size").fill_null("size unknown"), what, *words
        ),
    )


DIAGNOSIS = Diagnosis("retention_leak", "Where retention leaks", find)
