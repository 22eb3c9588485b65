"""How far forecasts were off (definition book, section 4, ruling 31).

F is what the forecast said at the end of a day of the quarter, as known then; A is what had been won in the quarter, as
known at the end of the fifth working day after it. The error is divided by A, or by F where the company says so
(`forecast.error_over`). ``curve`` holds both for the days 1, 21, 45 and 75 of each quarter, ``trailing`` the mean error
of four quarters and its lean to one side.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import forecast, measures, odds, sales, standing
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.period import SNAPSHOT_DAY, Quarter
from metrics.words import in_percent
from pipeline.company import Company

CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")
SETTLED: Final = 5  # working days after the quarter until which wins are still entered
_KEY: Final = ("quarter_first", "at")


def configured(kpi: Kpi, company: Company) -> Kpi:
    """The error as the company's settings make it: another day, method or denominator is another definition."""
    settings = company.forecast
    over = "forecast" if settings.error_over == "forecast" else "won in the quarter"
    words = [f"over {settings.error_over}"] if settings.error_over != "actual" else []
    words += [settings.method] if settings.method != "p2" else []
    words += [f"day {settings.snapshot_day}"] if settings.snapshot_day != SNAPSHOT_DAY else []
    formula = f"|forecast of day {settings.snapshot_day} - won in the quarter| / {over}"
    return replace(kpi, definition=f"{' '.join((f'{kpi.id}/1', *words))}: {formula}")


def finished(facts: Facts) -> pl.DataFrame:
    """The judged quarters that were over at ``known_at``, with the moment at which what they brought is read.

    Columns: those of ``Calendar.moments`` (day: the quarter's last; at: the reading), preliminary (read before the
    fifth working day was over).
    """
    rows = [
        (*_reading(facts, quarter),)
        for quarter in standing.judged(facts)
        if facts.calendar.end_of(quarter.last) <= facts.known_at
    ]
    return pl.DataFrame(
        rows,
        schema={
            "quarter": pl.String,
            "quarter_first": pl.Date,
            "quarter_last": pl.Date,
            "day": pl.Date,
            "at": pl.Datetime("us", "UTC"),
            "preliminary": pl.Boolean,
        },
        orient="row",
    )


def _reading(facts: Facts, quarter: Quarter) -> tuple[object, ...]:
    settled = facts.calendar.working_day_after(quarter.last, SETTLED)
    return (
        quarter.label,
        quarter.first,
        quarter.last,
        quarter.last,
        facts.calendar.moment(settled),
        facts.calendar.end_of(settled) > facts.known_at,
    )


def actuals(facts: Facts) -> pl.DataFrame:
    """What was won in each finished quarter, deal by deal: see ``standing.won_at``."""
    return facts.once(_actuals)


def _actuals(facts: Facts) -> pl.DataFrame:
    return standing.won_at(facts, finished(facts))


def curve(facts: Facts) -> pl.DataFrame:
    """Forecast and outcome of each judged quarter that is over, on each day of ``standing.curve``.

    Columns: quarter, quarter_first, number (the day of the quarter), forecast, actual (minor units), error (of what
    was won, or of the forecast; null where that is nothing and so is the other), signed ((A - F) / F: above 0 the
    quarter brought more than forecast; null without a forecast), preliminary.
    """
    return facts.once(_curve)


def _curve(facts: Facts) -> pl.DataFrame:
    rows = forecast.positions(odds.weighed(facts), standing.wins(facts))
    said = rows.group_by(_KEY).agg(exact=forecast.expected(facts.company).sum())
    brought = actuals(facts).group_by("quarter_first").agg(actual=pl.col("value").sum())
    over = finished(facts).select("quarter", "quarter_first", "preliminary")
    numbers = pl.DataFrame({"number": standing.curve(facts)}, schema={"number": pl.Int64})
    grid = over.join(numbers, how="cross").with_columns(
        day=pl.col("quarter_first") + pl.duration(days=pl.col("number") - 1)
    )
    days = standing.moments(facts).select("quarter_first", "day", "at")
    found = (
        grid.join(days, on=["quarter_first", "day"])
        .join(said, on=_KEY, how="left")
        .join(brought, on="quarter_first", how="left")
        .with_columns(
            forecast=pl.col("exact").fill_null(0).round(0, mode="half_to_even").cast(pl.Int64),
            actual=pl.col("actual").fill_null(0),
        )
    )
    return found.select(
        "quarter", "quarter_first", "number", "forecast", "actual", error=_error(facts), signed=_signed(),
        preliminary="preliminary",
    ).sort("quarter_first", "number")  # fmt: skip


def _error(facts: Facts) -> pl.Expr:
    """|F - A| / A; all of it where something was forecast and nothing won. Over F: undefined where that is nothing."""
    said, brought = pl.col("forecast").cast(pl.Float64), pl.col("actual").cast(pl.Float64)
    if facts.company.forecast.error_over == "forecast":
        return pl.when((said > 0) & (brought >= 0)).then((said - brought).abs() / said)
    return (
        pl.when(brought > 0)
        .then((said - brought).abs() / brought)
        .when((brought == 0) & (said > 0))
        .then(1.0)
    )


def _signed() -> pl.Expr:
    said, brought = pl.col("forecast").cast(pl.Float64), pl.col("actual").cast(pl.Float64)
    return pl.when(said > 0).then((brought - said) / said)


def trailing(facts: Facts) -> pl.DataFrame:
    """The error of the snapshot day's forecast over the quarter of each month and the three before.

    Columns: month, quarters (those that have an error), mean (of their errors), bias (mean of their signed errors:
    above 0 the quarters bring more than forecast). Null where no quarter has one.
    """
    judged = curve(facts).filter(pl.col("number") == facts.calendar.snapshot_day)
    months = facts.periods.select("month", last="quarter_first")
    return (
        months.join(judged, how="cross")
        .filter(
            pl.col("quarter_first") <= pl.col("last"),
            pl.col("quarter_first") > pl.col("last").dt.offset_by(f"-{3 * standing.TRAILING}mo"),
        )
        .group_by("month")
        .agg(
            quarters=pl.col("error").is_not_null().sum().cast(pl.Int64),
            mean=pl.col("error").mean(),
            bias=pl.col("signed").mean(),
        )
        .join(months.select("month"), on="month", how="right")
        .with_columns(pl.col("quarters").fill_null(0))
        .select("month", "quarters", "mean", "bias")
        .sort("month")
    )


def judgements(facts: Facts) -> pl.DataFrame:
    """The deals behind F of the snapshot day and behind A, for each month of a finished quarter.

    Columns: month, part (forecast | actual), the deal's own, expected (decimal, part of F), value (part of A),
    outcome_day.
    """
    return facts.once(_judgements)


def _judgements(facts: Facts) -> pl.DataFrame:
    months = facts.periods.select("month", "quarter_first", at="snapshot_at").join(
        finished(facts).select("quarter_first"), on="quarter_first", how="semi"
    )
    said = forecast.positions(odds.weighed(facts), standing.wins(facts), months).with_columns(
        part=pl.lit("forecast"),
        expected=forecast.expected(facts.company),
        value=pl.lit(None, dtype=pl.Int64),
        outcome_day=pl.lit(None, dtype=pl.Date),
    )
    brought = actuals(facts).with_columns(
        part=pl.lit("actual"), expected=pl.lit(None, dtype=odds.ODDS), deal_type="deal_type"
    )
    columns = (
        *("month", "part", "external_id", "name", "size", "industry", "motion", "owner_id", "pipeline"),
        *("expected", "value", "outcome_day"),
    )
    return pl.concat(
        [
            months.join(said, on=_KEY).select(columns),
            months.select("month", "quarter_first").join(brought, on="quarter_first").select(columns),
        ]
    ).sort("month", "part", "external_id")


def measure(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """|F - A| / A of the month's quarter, F as of the snapshot day; n: deals won in it."""
    if cut == "product":
        return measures.nothing()
    rows = judgements(facts).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    sums = measures.summed(
        facts.periods,
        rows,
        cut,
        exact=pl.col("expected").sum(),
        actual=pl.col("value").sum(),
        n=(pl.col("part") == "actual").sum().cast(pl.Int64),
    ).with_columns(forecast=measures.whole(pl.col("exact")))
    over = finished(facts).lazy().select("quarter_first", "preliminary")
    dated = sums.join(facts.periods.lazy().select("month", "quarter_first", "quarter"), on="month").join(
        over, on="quarter_first", how="left"
    )
    notes = _whole_company(facts).lazy() if cut is None else _nothing_more(facts).lazy()
    known = pl.col("preliminary").is_not_null()
    error, divisor = pl.when(known).then(_error(facts)), facts.company.forecast.error_over
    nothing = pl.when(pl.col("actual") < 0).then(
        pl.format("what was won in {} adds up to less than nothing", "quarter")
    )
    neither = " and nothing won" if divisor == "actual" else ""
    reason = (
        pl.when(~known)
        .then(pl.format("{} is not over yet", "quarter"))
        .otherwise(nothing.otherwise(pl.format(f"nothing was forecast for {{}}{neither}", "quarter")))
    )
    return measures.measure(
        dated.join(notes, on="month", how="left").with_columns(
            value=error,
            numerator=pl.when(known).then((pl.col("forecast") - pl.col("actual")).abs()),
            denominator=pl.when(known).then(divisor),
            n=pl.when(known).then("n"),
            reason=pl.when(error.is_null()).then(reason).otherwise(_beside(facts)),
        )
    )


def _beside(facts: Facts) -> pl.Expr:
    both = pl.format(
        "forecast {}, won {}",
        in_words(pl.col("forecast"), facts.currency),
        in_words(pl.col("actual"), facts.currency),
    )
    early = pl.when("preliminary").then(pl.lit(f"preliminary until working day {SETTLED} after the quarter"))
    signed = pl.format("signed {} of the forecast", _leaning(_signed()))
    return measures.notes(early, both, signed, pl.col("more"))


def _leaning(ratio: pl.Expr) -> pl.Expr:
    return pl.when(ratio > 0).then(pl.format("+{}", in_percent(ratio))).otherwise(in_percent(ratio))


def _whole_company(facts: Facts) -> pl.DataFrame:
    """month, more: the curve of the month's quarter, and the four quarters together."""
    points = (
        curve(facts)
        .filter(pl.col("error").is_not_null())
        .group_by("quarter_first", maintain_order=True)
        .agg(points=pl.format("day {} {}", "number", in_percent(pl.col("error"))).str.join(", "))
    )
    quarters = facts.periods.select("month", "quarter_first").join(points, on="quarter_first", how="left")
    together = pl.format(
        "last four quarters ({} with a forecast): mean {}, bias {}",
        "quarters",
        in_percent(pl.col("mean")),
        _leaning(pl.col("bias")),
    )
    joined = quarters.join(trailing(facts), on="month", how="left")
    return joined.select("month", more=measures.notes(pl.col("points"), together))


def _nothing_more(facts: Facts) -> pl.DataFrame:
    return facts.periods.select("month", more=pl.lit(None, dtype=pl.String))


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals behind F and A: month, external_id."""
    return judgements(facts).select("month", "external_id").unique(maintain_order=True)


def deals_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the deals that were forecast and those that were won.

    Contributions are what each adds to the error (negative: what takes from it); they add up to the numerator.
    """
    rows = measures.of_deals(facts, judgements(facts).filter(pl.col("month") == month), cut)
    parts = rows.with_columns(said=measures.whole(pl.col("expected")), there=pl.col("part") == "actual")
    keys = ["external_id", *([cut] if cut else [])]
    deals = parts.group_by(keys, maintain_order=True).agg(
        pl.col("name").first(),
        said=pl.col("said").sum(),
        brought=pl.col("value").sum(),
        won=pl.col("outcome_day").max(),
    )
    step = pl.col("said") - pl.col("brought")
    gap = step.sum().over(cut) if cut else step.sum()
    won = pl.format("won {} on {}", in_words(pl.col("brought"), facts.currency), "won")
    return measures.opened(
        deals.with_columns(
            object=pl.lit("deals"),
            contribution=pl.when(gap < 0).then(-step).otherwise(step),
            note=pl.format(
                "forecast {}, {}",
                in_words(pl.col("said"), facts.currency),
                pl.when(pl.col("won").is_null()).then(pl.lit("not won in the quarter")).otherwise(won),
            ),
        ),
        cut,
    )
