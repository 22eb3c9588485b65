"""Whether the tables for BI tools are whole: they are computed together, so they say the same thing several ways.

``db check`` tells what is missing or does not tie, and the next sync computes anew what is not whole.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from typing import Final

import polars as pl
from sqlalchemy import Connection, select

from pipeline import slices
from pipeline.tables import table

_MINOR: Final = pl.Int128  # sums that no stored number can overflow
_CLOSING: Final = "closing"


def faults(connection: Connection, company: str | None = None) -> Iterator[tuple[str, str]]:
    """(company, what is wrong), of one company or of all."""
    yield from _bridge(_read(connection, "arr_movements", _ARR, company), _whole_arr(connection, company))
    kpis = _read(connection, "kpi_monthly", _KPI, company)
    yield from _months(kpis, _read(connection, "quality_monthly", _QUALITY, company))
    yield from _days(_read(connection, "calendar_days", ("company", "day"), company))
    yield from _absent(connection, company)


_ARR: Final = ("company", "month", "customer", "product", "movement", "amount_minor")
_KPI: Final = ("company", "month", "kpi", "cut", "value_minor")
_QUALITY: Final = ("company", "month", "measure", "field")


def _read(connection: Connection, name: str, columns: tuple[str, ...], company: str | None) -> pl.DataFrame:
    schema = slices.schema_of(table(name), columns)
    within = {} if company is None else {"company": (company,)}
    with closing(slices.read(connection, name, schema, within)) as frames:
        return pl.concat([pl.DataFrame(schema=schema), *frames])


def _whole_arr(connection: Connection, company: str | None) -> pl.DataFrame:
    """company, month, arr: what the KPI says, where it could be computed."""
    kpis = _read(connection, "kpi_monthly", _KPI, company)
    return kpis.filter(
        pl.col("kpi") == "arr", pl.col("cut") == "", pl.col("value_minor").is_not_null()
    ).select("company", "month", arr=pl.col("value_minor").cast(_MINOR))


def _bridge(moved: pl.DataFrame, arr: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Every customer's bridge ties in every month, goes on where the month before ended, and adds up to ARR."""
    amount = pl.col("amount_minor").cast(_MINOR)
    closes = pl.col("movement") == _CLOSING
    lines = moved.group_by("company", "month", "customer", "product").agg(
        opening=amount.filter(pl.col("movement") == "opening").sum(),
        added=amount.filter(~closes).sum(),
        closing=amount.filter(closes).sum(),
    )
    broken = lines.filter(pl.col("added") != pl.col("closing"))
    yield from _counted(broken, "{n} lines of arr_movements do not add up to their closing")
    key = ["company", "customer", "product", "month"]
    told = pl.concat([each.select("company", "month") for each in (lines, arr)]).group_by("company")
    lines = lines.join(told.agg(first=pl.col("month").min(), last=pl.col("month").max()), on="company")
    ended = lines.filter(pl.col("month") < pl.col("last"), pl.col("closing") != 0).select(
        "company", "customer", "product", _after(pl.col("month")), was=pl.col("closing")
    )
    begun = lines.filter(pl.col("month") > pl.col("first"), pl.col("opening") != 0).select(
        *key, now="opening"
    )
    apart = ended.join(begun, on=key, how="full", coalesce=True).filter(
        pl.col("was").ne_missing(pl.col("now"))
    )
    yield from _counted(apart, "{n} lines of arr_movements do not open as the month before closed")
    sums = lines.group_by("company", "month").agg(pl.col("closing").sum())
    differs = arr.join(sums, on=["company", "month"], how="left").filter(
        pl.col("arr") != pl.col("closing").fill_null(0)
    )
    yield from _counted(differs, "arr_movements of {n} months do not add up to the ARR in kpi_monthly")


def _after(month: pl.Expr) -> pl.Expr:
    day = (month + "-01").str.to_date("%Y-%m-%d", strict=False)
    return day.dt.offset_by("1mo").dt.strftime("%Y-%m").alias("month")


def _months(kpis: pl.DataFrame, quality: pl.DataFrame) -> Iterator[tuple[str, str]]:
    """Every KPI of a company, and the quality of its data, has every month between the first and the last of all."""
    told = pl.concat(
        [
            kpis.filter(pl.col("cut") == "").select(
                "company", "month", name=pl.lit("kpi_monthly"), what="kpi"
            ),
            quality.filter(pl.col("field") == "").select(
                "company", "month", name=pl.lit("quality_monthly"), what="measure"
            ),
        ]
    )
    number = pl.col("month").str.slice(0, 4).cast(pl.Int64, strict=False) * 12 + pl.col("month").str.slice(
        5, 2
    ).cast(pl.Int64, strict=False)
    span = told.group_by("company").agg(span=number.max() - number.min() + 1)
    short = (
        told.group_by("company", "name", "what")
        .agg(pl.col("month").n_unique())
        .join(span, on="company")
        .filter(pl.col("month") < pl.col("span"))
    )
    for company, name, whose in (
        short.group_by("company", "name").agg(pl.col("what").sort()).sort("company", "name").iter_rows()
    ):
        yield company, f"{name} lacks months of {', '.join(whose)}"


def _days(days: pl.DataFrame) -> Iterator[tuple[str, str]]:
    spans = days.group_by("company").agg(
        missing=(pl.col("day").max() - pl.col("day").min()).dt.total_days() + 1 - pl.col("day").n_unique()
    )
    for company, missing in spans.filter(pl.col("missing") > 0).sort("company").iter_rows():
        yield company, f"calendar_days lacks {missing:,} days"


def _absent(connection: Connection, company: str | None) -> Iterator[tuple[str, str]]:
    """The tables that a company has nothing in although they were computed for it."""
    sources = table("sources")
    query = select(sources.c.company).where(sources.c.computed_for.is_not(None)).distinct()
    if company is not None:
        query = query.where(sources.c.company == company)
    for one in sorted(connection.execute(query).scalars()):
        for name in ("kpi_monthly", "quality_monthly", "calendar_days"):
            there = select(table(name).c.company).where(table(name).c.company == one).limit(1)
            if connection.execute(there).first() is None:
                yield one, f"{name} was computed and holds nothing"


def _counted(found: pl.DataFrame, words: str) -> Iterator[tuple[str, str]]:
    for company, n in found.group_by("company").len().sort("company").iter_rows():
        yield company, words.format(n=f"{n:,}")
