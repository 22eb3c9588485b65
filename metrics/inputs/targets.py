"""What the company has set out to reach: quotas where the CRM holds none, and targets of any number.

- period: a fiscal quarter `2026-Q2` (the fiscal year is the calendar year it ends in), a month `2026-04` or a day
  `2026-04-01`; a month or a day counts in the quarter it lies in, and quotas of one quarter add up
- segment: empty for the whole company, else `cut=name`, for example `size=Enterprise`
- metric: what the value is a target of; `quota` is the quota, in major units of the currency; the name of a KPI is the
  client's own target, which counts where the playbook draws no line; `stage_days:` and a stage, by its name or its
  label, is how many days a deal should spend in it
- value: a decimal number; of a KPI as `boardline kpis --json` writes it (0.25 for 25%, money in major units)
- currency: ISO code; the report's currency where it is empty

Key: period as it is written, segment and metric.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Cell, Column, Input, Reading
from metrics.words import CUTS

# cut and segment null: the whole company. ``number`` is the value as written; ``amount`` the same in minor units.
TARGETS: Final = pl.Schema(
    {
        "quarter_first": pl.Date,  # first day of the fiscal quarter
        "cut": pl.String,
        "segment": pl.String,
        "metric": pl.String,
        "number": pl.String,
        "amount": pl.Int64,
        "currency": pl.String,
        "source": pl.String,
        "as_of": pl.Date,
        "line": pl.Int64,
    }
)
_PART: Final = rf"^({'|'.join(CUTS)})\s*=\s*(\S.*)$"


def _period(text: pl.Expr, reading: Reading) -> pl.Expr:
    return pl.when(cells.quarter(text, reading).is_not_null()).then(text)


def _segment(text: pl.Expr, _: Reading) -> pl.Expr:
    return pl.format("{}={}", text.str.extract(_PART, 1), text.str.extract(_PART, 2))


def shape(values: pl.DataFrame, reading: Reading) -> pl.DataFrame:
    return values.with_columns(
        quarter_first=cells.quarter(pl.col("period"), reading),
        cut=pl.col("segment").str.extract(_PART, 1),
        segment=pl.col("segment").str.extract(_PART, 2),
    ).with_columns(
        number=pl.col("value").cast(pl.String).str.strip_chars_end("0").str.strip_chars_end("."),
        amount=cells.minor(pl.col("value"), pl.col("currency")),
    )


INPUT: Final = Input(
    kind="targets",
    title="Targets and quotas",
    columns=(
        Column("period", Cell(_period, cells.QUARTER.fault, cells.QUARTER.example)),
        Column(
            "segment",
            Cell(_segment, f"is not of the form cut=name (cuts: {', '.join(CUTS)})", "size=Enterprise"),
            needed=False,
        ),
        Column("metric", cells.text_like("quota")),
        Column("value", cells.AMOUNT),
        *cells.ORIGIN,
        cells.CURRENCY_OF,
    ),
    key=("period", "segment", "metric"),
    schema=TARGETS,
    shape=shape,
    example=("2026-Q2", "", "quota", "400000.00", "board plan", "2026-01-05", "USD"),
)
