"""What the company has set out to reach: quotas where the CRM holds none, and targets of any number.

- period: a fiscal quarter `2026-Q2` (the fiscal year is the calendar year it ends in), a month `2026-04` or a day
  `2026-04-01`; a month or a day counts in the quarter it lies in, and quotas of one quarter add up
- segment: empty for the whole company, else `cut=name`, for example `size=Enterprise`
- metric: what the value is a target of; `quota` is the quota, in major units of the currency; the name of a KPI is the
  client's own target, which counts where the playbook draws no line; `stage_days:` and a stage, by its name or its
  label, is how many days a deal should spend in it; any other word is a fault
- value: a decimal number; of a KPI as `boardline kpis --json` writes it (0.25 for 25%, money in major units); a quota
  is not below 0, days in a stage are above 0
- currency: ISO code; the report's currency where it is empty

Key: period as it is written, segment and metric.
"""

from __future__ import annotations

from difflib import get_close_matches
from typing import Final

import polars as pl

from metrics.inputs import cells
from metrics.inputs.layout import Cell, Check, Column, Input, Reading
from metrics.kpi_ids import KPI_IDS
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


def _known() -> pl.Expr:
    metric = pl.col("metric")
    of_stage = metric.str.starts_with(STAGE_DAYS) & (metric != STAGE_DAYS)
    return metric.is_in(_METRICS) | of_stage


def _unknown(metric: str) -> str:
    """What is said of a metric that nothing reads: the nearest one that something does."""
    if metric.startswith(STAGE_DAYS):
        return f"metric '{metric}' names no stage; write for example {STAGE_DAYS}Proposal"
    word = "_".join(metric.lower().replace("-", " ").split())
    close = get_close_matches(word, _METRICS, n=1)
    hint = (
        f"did you mean {close[0]}?" if close else f"known are {QUOTA}, the KPIs, and {STAGE_DAYS} and a stage"
    )
    return f"metric '{metric[:40]}' is none that has a target; {hint}"


def _impossible() -> pl.Expr:
    days = pl.col("metric").str.starts_with(STAGE_DAYS) & (pl.col("value") <= 0)
    return days | ((pl.col("metric") == QUOTA) & (pl.col("value") < 0))


_WHY_IMPOSSIBLE: Final = pl.when(pl.col("metric") == QUOTA).then(
    pl.format("the quota {} is below 0; give what is to be sold", "value")
).otherwise(pl.format("{} days for a stage; give a number above 0", "value"))  # fmt: skip


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
        Column("metric", Cell(_metric, "is no text", QUOTA)),
        Column("value", cells.AMOUNT),
        *cells.ORIGIN,
        cells.CURRENCY_OF,
    ),
    key=("period", "segment", "metric"),
    schema=TARGETS,
    shape=shape,
    checks=(
        Check(~_known(), pl.col("metric").map_elements(_unknown, return_dtype=pl.String)),
        Check(_impossible(), _WHY_IMPOSSIBLE),
    ),
    example=("2026-Q2", "", "quota", "400000.00", "board plan", "2026-01-05", "USD"),
)
