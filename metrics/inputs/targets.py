"""What the company has set out to reach: quotas where the CRM holds none, and targets of any number.

- period: a fiscal quarter `2026-Q2` (the fiscal year is the calendar year it ends in), a month `2026-04` or a day
  `2026-04-01`; a month or a day counts in the quarter it lies in, and quotas of one quarter add up
- segment: empty for the whole company, else `cut=name`, for example `size=Enterprise`
- metric: what the value is a target of; `quota` is the quota, in major units of the currency; the name of a KPI is the
  client's own target, which counts where the playbook draws no line; `stage_days:` and a stage, by its name or its
  label, is how many days a deal should spend in it; any other word is a fault
- value: a decimal number; of a KPI as `boardline kpis --json` writes it, money in major units; a share as `105%` or
  `1.05` (a bare 105 is refused, for it could be either); a quota is not below 0, days in a stage are above 0
- currency: ISO code; the report's currency where it is empty

Key: period as it is written, segment and metric.

What can only be told with the CRM's records is no fault of the file, but `boardline check` and the report name it with
its line: a segment or a stage that nothing lies in, a KPI that cannot be cut that way, a currency without a rate.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Final

import polars as pl

from connectors.spelling import nearest
from metrics.inputs import cells
from metrics.inputs.layout import Cell, Check, Column, Input, Reading
from metrics.kpi_ids import KPI_IDS, UNITS
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
QUOTA: Final = "quota"
STAGE_DAYS: Final = "stage_days:"  # followed by the stage
_METRICS: Final = (QUOTA, *KPI_IDS)
_SHARES: Final = tuple(name for name, unit in UNITS.items() if unit == "ratio")
_PERCENT: Final = r"^([+-]?[\d.]+)\s*%$"
_PART: Final = rf"^({'|'.join(CUTS)})\s*=\s*(\S.*)$"


def _period(text: pl.Expr, reading: Reading) -> pl.Expr:
    return pl.when(cells.quarter(text, reading).is_not_null()).then(text)


def _segment(text: pl.Expr, _: Reading) -> pl.Expr:
    return pl.format("{}={}", text.str.extract(_PART, 1), text.str.extract(_PART, 2))


def _metric(text: pl.Expr, _: Reading) -> pl.Expr:
    """A known name however it is spelt (``Win rate`` is win_rate); any other word stays, for ``_unknown`` to refuse."""
    word = text.str.to_lowercase().str.replace_all(r"[\s_-]+", "_")
    stage = pl.format(f"{STAGE_DAYS}{{}}", cells.words(text.str.extract(r"^[^:]*:\s*(.*)$", 1)))
    return (
        pl.when(word.is_in(_METRICS))
        .then(word)
        .when(word.str.starts_with(STAGE_DAYS))
        .then(stage)
        .otherwise(cells.words(text))
    )


def _value(text: pl.Expr, _: Reading) -> pl.Expr:
    """The text, where it is a number or a percentage: which of them it must be, the metric says."""
    return pl.when(
        pl.coalesce(cells.exact(text.str.extract(_PERCENT, 1)), cells.exact(text)).is_not_null()
    ).then(text)


def _exact() -> pl.Expr:
    """The value as a number: 105% is 1.05."""
    text = pl.col("value")
    hundredth = cells.exact(text.str.extract(_PERCENT, 1)) * pl.lit(Decimal("0.01"))
    return pl.coalesce(hundredth, cells.exact(text))


def _ambiguous() -> pl.Expr:
    """A share that can be meant as a percentage, or a percentage that looks like a share; and one of what is none."""
    text = pl.col("value")
    percent, size = text.str.contains("%"), _exact().abs()
    slip = percent & (size > 0) & (size < pl.lit(Decimal("0.01")))
    return pl.when(pl.col("metric").is_in(_SHARES)).then(slip | (~percent & (size >= 2))).otherwise(percent)


_WHY_AMBIGUOUS: Final = (
    pl.when(~pl.col("metric").is_in(_SHARES))
    .then(
        pl.format("value '{}': {} is no share; write a plain number, for example 12000.00", "value", "metric")
    )
    .when(pl.col("value").str.contains("%"))
    .then(
        pl.format(
            "value '{}' of {} can be a percentage or a share; write for example 75% or 0.75",
            "value",
            "metric",
        )
    )
    .otherwise(
        pl.format(
            "value '{}' of {} can be a percentage or a share; write {}% or, where it is a share, {}%",
            "value",
            "metric",
            "value",
            (_exact() * pl.lit(Decimal(100)))
            .cast(pl.String)
            .str.strip_chars_end("0")
            .str.strip_chars_end("."),
        )
    )
)


def _known() -> pl.Expr:
    metric = pl.col("metric")
    of_stage = metric.str.starts_with(STAGE_DAYS) & (metric != STAGE_DAYS)
    return metric.is_in(_METRICS) | of_stage


def _unknown(metric: str) -> str:
    """What is said of a metric that nothing reads: the nearest one that something does."""
    if metric.startswith(STAGE_DAYS):
        return f"metric '{metric}' names no stage; write for example {STAGE_DAYS}Proposal"
    word = "_".join(metric.lower().replace("-", " ").split())
    close = nearest(word, _METRICS)
    hint = f"did you mean {close}?" if close else f"known are {QUOTA}, the KPIs, and {STAGE_DAYS} and a stage"
    return f"metric '{metric[:40]}' is none that has a target; {hint}"


def _impossible() -> pl.Expr:
    days = pl.col("metric").str.starts_with(STAGE_DAYS) & (_exact() <= 0)
    return days | ((pl.col("metric") == QUOTA) & (_exact() < 0))


_WHY_IMPOSSIBLE: Final = pl.when(pl.col("metric") == QUOTA).then(
    pl.format("the quota {} is below 0; give what is to be sold", "value")
).otherwise(pl.format("{} days for a stage; give a number above 0", "value"))  # fmt: skip


def shape(values: pl.DataFrame, reading: Reading) -> pl.DataFrame:
    return values.with_columns(
        quarter_first=cells.quarter(pl.col("period"), reading),
        cut=pl.col("segment").str.extract(_PART, 1),
        segment=pl.col("segment").str.extract(_PART, 2),
    ).with_columns(
        number=_exact().cast(pl.String).str.strip_chars_end("0").str.strip_chars_end("."),
        amount=cells.minor(_exact(), pl.col("currency")),
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
        Column("metric", Cell(_metric, "is no text", QUOTA)),
        Column("value", Cell(_value, cells.AMOUNT.fault, cells.AMOUNT.example, cells.AMOUNT.hints)),
        *cells.ORIGIN,
        cells.CURRENCY_OF,
    ),
    key=("period", "segment", "metric"),
    schema=TARGETS,
    shape=shape,
    checks=(
        Check(~_known(), pl.col("metric").map_elements(_unknown, return_dtype=pl.String)),
        Check(_ambiguous(), _WHY_AMBIGUOUS),
        Check(_impossible(), _WHY_IMPOSSIBLE),
    ),
    example=("2026-Q2", "", "quota", "400000.00", "board plan", "2026-01-05", "USD"),
)
