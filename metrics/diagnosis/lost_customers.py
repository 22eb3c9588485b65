"""Lost customers: who left or shrank within a year, of which size, and how long they had been customers.

A customer lost by its first anniversary points at the implementation ("churn often spikes after the first year if the
implementation did not deliver the promised return"). Tenure runs from the first day with ARR to the last.
Source: supply-chain document; HR-tech document (GRR); definition book, section 2 (logo churn by tenure).
"""

from __future__ import annotations

import polars as pl

from metrics import bridge, recurring
from metrics.case import Case, Cause, Diagnosis, count, share
from metrics.currency import in_words
from metrics.finding import CausePart
from metrics.words import segment_name


def find(case: Case) -> Cause | None:
    cohort = _cohort(case)
    lost, shrunk = cohort.filter(pl.col("lost") == 1), cohort.filter(_shrunk())
    if cohort.is_empty() or (lost.is_empty() and shrunk.is_empty()):
        return None
    then = float(cohort["then"].sum())
    early = lost.filter("first_year")
    sizes = lost.group_by(pl.col("size").fill_null("unknown")).agg(n=pl.len(), arr=pl.col("then").sum()).sort(
        "arr", "size", descending=[True, False]
    )  # fmt: skip
    return Cause(
        words="; ".join(_sentences(case, cohort, lost, shrunk, early, sizes)),
        parts=(
            *(
                CausePart(
                    f"Lost, {segment_name('size', size)}",
                    float(arr),
                    "currency",
                    f"{count(n, 'customer')}, {share(arr, then)} of ARR",
                )
                for size, n, arr in sizes.iter_rows()
            ),
            CausePart("Lost within the first year", float(early.height), "count", f"of {lost.height:,} lost"),
            CausePart(
                "Contraction", float((shrunk["then"] - shrunk["kept"]).sum()), "currency",
                count(shrunk.height, "customer"),
            ),
        ),
        records=_records(case, pl.concat([lost, shrunk])),
        unit="currency",
    )  # fmt: skip


def _cohort(case: Case) -> pl.DataFrame:
    rows = case.facts.arr_rows
    first = bridge.first_live(rows, case.facts.rates)
    last = (
        rows.filter(pl.col("start") <= case.day)
        .group_by("customer")
        .agg(end=pl.min_horizontal(pl.col("end").max(), pl.lit(case.day)))
    )
    named = case.facts.customers.select("customer", "name", "size")
    cohort = case.of_month(recurring.named_cohort(case.facts)).join(named, on="customer", how="left")
    return (
        cohort.join(first, on="customer", how="left")
        .join(last, on="customer", how="left")
        .with_columns(
            first_year=(pl.col("end") <= pl.col("first").dt.offset_by("12mo")).fill_null(value=False)
        )
    )


def _shrunk() -> pl.Expr:
    return (pl.col("lost") == 0) & (pl.col("kept") < pl.col("then"))


def _sentences(
    case: Case,
    cohort: pl.DataFrame,
    lost: pl.DataFrame,
    shrunk: pl.DataFrame,
    early: pl.DataFrame,
    sizes: pl.DataFrame,
) -> list[str]:
    found = []
    if lost.height:
        most = (
            f", {segment_name('size', sizes['size'][0])} most ({sizes['n'][0]:,})" if sizes.height > 1 else ""
        )
        of = f"{lost.height:,} of the {count(cohort.height, 'customer')} live a year before"
        found.append(f"{of} left with {case.money(float(lost['then'].sum()))}{most}")
        found.append(f"{early.height:,} of them by their first anniversary")
    if shrunk.height:
        fall = case.money(float((shrunk["then"] - shrunk["kept"]).sum()))
        found.append(f"{count(shrunk.height, 'customer')} shrank by {fall}")
    return found


def _records(case: Case, rows: pl.DataFrame) -> pl.DataFrame:
    then, now = (in_words(pl.col(name), case.facts.currency) for name in ("then", "retained"))
    when = pl.format("; customer from {} to {}", "first", "end").fill_null("")
    text = pl.format("{} a year before, {} now", then, now)
    return rows.select(
        object=pl.lit("accounts"),
        external_id="customer",
        name="name",
        contribution=(pl.col("kept") - pl.col("then")).cast(pl.Float64),
        note=pl.when(pl.col("lost") == 1).then(text + when).otherwise(text),
    )


DIAGNOSIS = Diagnosis("lost_customers", "Who was lost", find)
