"""Slow stages: in which stage and in which segment the sales cycle is lost.

Median days in each active open stage of the new-business deals that left it in the trailing four quarters, beside the
four quarters before; the stage with the longest median is named, and the one that grew most. The slowest size segment
is that with the longest median cycle of the deals won in the trailing four quarters. Fewer than five deals name
nothing. Records are the deals of the slowest stage, the longest first. Source: the three documents (demo, technical
validation, procurement, proof of concept, security review, legal); definition book, section 3.
"""

from __future__ import annotations

from datetime import date

import polars as pl

from metrics import stalls
from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.period import month_first, month_of, shift
from metrics.render import numbers
from metrics.words import segment_name


def find(case: Case) -> Cause | None:
    first = case.period["trailing_first"]
    before = month_first(shift(month_of(first), -12))
    times = stalls.stage_times(case.facts, first, case.day).filter(case.in_segment())
    now = stalls.medians(times).filter(pl.col("n") >= case.facts.company.sales.stage_deals)
    if now.is_empty():
        return None
    then = stalls.medians(
        stalls.stage_times(case.facts, before, _day_before(first)).filter(case.in_segment())
    )
    both = now.join(
        then.filter(pl.col("n") >= case.facts.company.sales.stage_deals).select("stage", then="days"),
        on="stage",
        how="left",
        maintain_order="left",
    )
    slowest = both.sort("days", descending=True, maintain_order=True).row(0, named=True)
    return Cause(
        words="; ".join([_slowest(slowest), *_grown(both, slowest["stage"]), *_segment(case, first)]),
        parts=tuple(
            CausePart(
                f"Median days in {row['label']}",
                row["days"],
                "days",
                f"n={row['n']:,}" + (f", {_days(row['then'])} before" if row["then"] is not None else ""),
            )
            for row in both.iter_rows(named=True)
        ),
        records=_records(times.filter(pl.col("stage") == slowest["stage"])),
        unit="days",
    )


def _day_before(day: date) -> date:
    return date.fromordinal(day.toordinal() - 1)


def _slowest(row: dict[str, object]) -> str:
    before = f", {_days(row['then'])} in the four quarters before" if row["then"] is not None else ""
    return f"deals stay longest in {row['label']} (median {_days(row['days'])}, n={row['n']:,}{before})"


def _grown(both: pl.DataFrame, named: str) -> list[str]:
    grown = both.filter(pl.col("days") > pl.col("then")).sort(
        pl.col("days") - pl.col("then"), descending=True
    )
    if grown.is_empty() or grown["stage"][0] == named:
        return []
    row = grown.row(0, named=True)
    return [f"{row['label']} grew most, from {_days(row['then'])} to {_days(row['days'])}"]


def _segment(case: Case, first: date) -> list[str]:
    if case.value.segment:
        return []
    found = (
        stalls.cycles(case.facts, first, case.day)
        .group_by(pl.col("size").fill_null("unknown"))
        .agg(pl.col("days").median(), n=pl.len())
        .filter(pl.col("n") >= case.facts.company.sales.stage_deals)
        .sort("days", "size", descending=[True, False])
    )
    if found.height < 2:
        return []
    row = found.row(0, named=True)
    name = segment_name("size", row["size"])
    return [f"{name} takes longest (median {_days(row['days'])}, {count(row['n'], 'deal')})"]


def _days(value: object) -> str:
    return numbers.quantity(float(str(value)), "days", "")


def _records(times: pl.DataFrame) -> pl.DataFrame:
    return times.select(
        object=pl.lit("deals"),
        external_id="external_id",
        name="name",
        contribution=pl.col("days").cast(pl.Float64),
        note=pl.format("{}, left {}", pl.col("size").fill_null("size unknown"), "left"),
    )


DIAGNOSIS = Diagnosis("slow_stages", "Where deals stall", find)
