"""What the quarter is going to bring, from what is won and what is open (definition book, section 4, ruling 30).

``landing`` holds the deals of it for the D of every month; ``measure`` makes the KPI of them. Beside it stand, as
frames that a report can print: ``weekly`` (the quarter week by week, rebuilt from history, also from before the CRM
was first read) and ``roll_up`` (the sellers' own categories, and what the CRO called).
"""

from __future__ import annotations

from dataclasses import replace
from datetime import date
from typing import Final

import polars as pl

from metrics import measures, odds, sales, standing
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.kpi import Kpi
from metrics.period import SNAPSHOT_DAY, Quarter
from metrics.words import when_any
from pipeline.company import Company

CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")
WEEK: Final = 7
# What a CRO calls, and the roll-up it is compared with. A call is what the quarter will bring, wins included.
CALLED: Final = {
    "closed": "won",
    "commit": "commit",
    "best_case": "best_case",
    "pipeline": "pipeline",
    "total": "landing",
}
# What the forecast is made of, as its definition says it.
_METHODS: Final = {
    "p1": "CRM probability x open in-quarter pipeline",
    "commit": "open in-quarter pipeline in commit",
    "best_case": "open in-quarter pipeline in commit and best case",
}
_ROLLED: Final = {"commit": ("commit",), "best_case": ("commit", "best_case")}
_KEY: Final = ("quarter_first", "at")
_DEAL: Final = (
    *("external_id", "name", "deal_type", "stage", "close_date", "value", "size", "industry", "motion"),
    *("owner_id", "pipeline"),
)
_NONE: Final = pl.lit(None, dtype=pl.String)


def configured(kpi: Kpi, company: Company) -> Kpi:
    """The forecast as the company's settings make it: another method is another definition."""
    method, day = company.forecast.method, company.forecast.snapshot_day
    if method == "p2":
        told = f"/1 day {day}" if day != SNAPSHOT_DAY else "/1"
        return replace(kpi, definition=kpi.definition.replace("/1", told, 1))
    return replace(
        kpi, definition=f"{kpi.id}/1 {method}: won to date + {_METHODS[method]}, as known on the day"
    )


def expected(company: Company) -> pl.Expr:
    """What the company's forecast expects of a row of ``positions`` (decimal; null in a currency without a rate)."""
    method = company.forecast.method
    if method not in _ROLLED:
        return pl.col(f"expected_{method}")
    own = pl.col("value").cast(pl.Decimal(38, 0)).cast(odds.ODDS)
    counts = (pl.col("part") == "won") | pl.col("category").is_in(_ROLLED[method])
    return pl.when(counts.fill_null(value=False)).then(own).when(own.is_not_null()).then(pl.lit(0, odds.ODDS))


def landing(facts: Facts) -> pl.DataFrame:
    """The deals of each month's forecast: those won in the quarter by D, and those open at D that should close in it.

    Columns: month, quarter_first, at, part (won | open), the deal's own, value, expected_p1 and expected_p2
    (decimals; of a win its value), category, basis, expected (by the company's own method).
    """
    return facts.once(_landing)


def _landing(facts: Facts) -> pl.DataFrame:
    days = standing.of_months(facts)
    rows = positions(odds.weighed(facts), standing.wins(facts), days)
    months = days.join(rows, on=_KEY).sort("month", "external_id")
    return months.with_columns(expected=expected(facts.company))


def positions(pipeline: pl.DataFrame, wins: pl.DataFrame, days: pl.DataFrame | None = None) -> pl.DataFrame:
    """Weighed pipeline (``odds.weigh``) and wins (``standing.won_at``) of the same days in one: see ``landing``.

    ``days``: those that are wanted (quarter_first, at), where not all are: of the others nothing is written.
    """
    if days is not None:
        wanted = days.select(_KEY).unique()
        pipeline, wins = (rows.join(wanted, on=_KEY, how="semi") for rows in (pipeline, wins))
    own = pl.col("value").cast(pl.Decimal(38, 0)).cast(odds.ODDS)
    columns = (*_KEY, "part", *_DEAL, "expected_p1", "expected_p2", "category", "basis")
    won = wins.with_columns(
        part=pl.lit("won"),
        close_date="outcome_day",
        expected_p1=own,
        expected_p2=own,
        category=pl.lit("closed"),
        basis=_NONE,
    )
    return pl.concat([pipeline.with_columns(part=pl.lit("open")).select(columns), won.select(columns)])


def sums() -> dict[str, pl.Expr]:
    """The sums of ``positions``: exact_p1 and exact_p2 (decimals) hold the wins and the weighed pipeline."""
    won, category = pl.col("part") == "won", pl.col("category")
    value = pl.col("value")
    return {
        "won": value.filter(won).sum(),
        "open": value.filter(~won).sum(),
        "commit": value.filter(won | (category == "commit")).sum(),
        "best_case": value.filter(won | category.is_in(["commit", "best_case"])).sum(),
        "exact_p1": pl.col("expected_p1").sum(),
        "exact_p2": pl.col("expected_p2").sum(),
        "deals": pl.len().cast(pl.Int64),
        "open_deals": (~won).sum().cast(pl.Int64),
        "by_p1": (pl.col("basis") == "p1").sum().cast(pl.Int64),
        "unconverted": value.is_null().sum().cast(pl.Int64),
    }


def totals(facts: Facts, cut: str | None, also: pl.LazyFrame | None = None) -> pl.LazyFrame:
    """month, segment, the columns of ``sums``, and landing (the forecast in whole minor units), landing_p1 and
    landing_p2.

    ``also``: segments that are listed without a deal, too.
    """
    rows = landing(facts).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    every = {**sums(), "exact": pl.col("expected").sum()}
    return measures.summed(facts.periods, rows, cut, also, **every).with_columns(
        landing=measures.whole(pl.col("exact")),
        landing_p1=measures.whole(pl.col("exact_p1")),
        landing_p2=measures.whole(pl.col("exact_p2")),
    )


def measure(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Won to D and what is expected of the open pipeline, by default weighed with own history; n: deals in it."""
    if cut == "product":
        return measures.nothing()
    first = facts.deals.filter(pl.col("deal_type").is_in(sales.PIPELINE_TYPES))["created_day"]
    begun = pl.lit(not first.is_empty()) & (pl.lit(first.min(), dtype=pl.Date) <= pl.col("day")).fill_null(
        value=True
    )
    dated = totals(facts, cut).join(
        facts.periods.lazy().select("month", "day"), on="month", maintain_order="left"
    )
    calls = _calls_told(facts) if cut is None else facts.periods.select("month", calls=_NONE)
    reason = pl.format("the CRM holds no new-business or expansion deal created by {}", "day")
    money = pl.col("landing").cast(pl.Float64)
    return measures.measure(
        dated.join(calls.lazy(), on="month", how="left").with_columns(
            value=pl.when(begun).then(money),
            numerator=pl.when(begun).then(money),
            denominator=pl.lit(None, dtype=pl.Float64),
            n=pl.when(begun).then("deals"),
            reason=pl.when(begun).then(_beside(facts)).otherwise(reason),
        )
    )


def _beside(facts: Facts) -> pl.Expr:
    """What is printed beside the forecast."""
    say, method = facts.currency, facts.company.forecast.method
    history = pl.format("by own history (p2) {}", in_words(pl.col("landing_p2"), say))
    stand_in = pl.format("{} of {} open deals weighed by p1 for want of own history", "by_p1", "open_deals")
    swap = pl.format("{} deals in a currency without a rate left out", "unconverted")
    return measures.notes(
        pl.format(
            "won {}, by CRM probability (p1) {}", in_words(pl.col("won"), say), in_words(pl.col("landing_p1"), say)
        ),
        pl.format(
            "roll-up: commit {}, with best case {}",
            in_words(pl.col("commit"), say),
            in_words(pl.col("best_case"), say),
        ),
        history if method != "p2" else _NONE,
        pl.col("calls"),
        when_any(pl.col("by_p1"), stand_in),
        when_any(pl.col("unconverted"), swap),
    )  # fmt: skip


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals of the forecast: month, external_id."""
    return landing(facts).select("month", "external_id")


def deals_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the wins at their value and the open deals at what is expected of them; they add up to the forecast."""
    rows = measures.of_deals(facts, landing(facts).filter(pl.col("month") == month), cut)
    won = pl.col("part") == "won"
    by = {"p2": "basis", "p1": None}.get(facts.company.forecast.method, "category")
    note = pl.when(won).then(pl.format("won {}", "close_date")).otherwise(weight_note("expected", by, facts))
    return measures.opened(
        rows.with_columns(object=pl.lit("deals"), contribution=measures.whole(pl.col("expected")), note=note),
        cut,
    )  # fmt: skip


def weight_note(expected: str, basis: str | None, facts: Facts) -> pl.Expr:
    """``Proposal, closing 2026-03-31: 25.0% of 100.00 USD (segment)``."""
    share = (pl.col(expected).cast(pl.Float64) / pl.col("value").cast(pl.Float64) * 100).round(1)
    percent = pl.when(pl.col("value") != 0).then(pl.format("{}% of ", share)).otherwise(pl.lit(""))
    told = pl.format(" (by {})", pl.col(basis).fill_null("no category")) if basis else pl.lit("")
    return pl.format(
        "{}, closing {}: {}{}{}",
        pl.col("stage").fill_null("no stage"),
        "close_date",
        percent,
        in_words(pl.col("value"), facts.currency).fill_null("no rate"),
        told,
    )


def weekly(facts: Facts) -> pl.DataFrame:
    """The quarters of the facts' months, week by week as each week's last day knew them.

    Every seventh day of the quarter (so day 21 is among them), and today. Columns: quarter, quarter_first, day,
    number (1 is the quarter's first day), won, open, commit, best_case, landing_p1, landing_p2 (minor units), deals.
    Rebuilt from the CRM's history: days before the first sync are no different.
    """
    return facts.once(_weekly)


def _weekly(facts: Facts) -> pl.DataFrame:
    days: list[tuple[Quarter, date]] = []
    for quarter in standing.quarters(facts):
        length = (quarter.last - quarter.first).days + 1
        days += [(quarter, quarter.nth(number)) for number in range(WEEK, length + 1, WEEK)]
        if quarter.first <= facts.calendar.known_day <= quarter.last:
            days.append((quarter, facts.calendar.known_day))
    moments = facts.calendar.moments(days)
    rows = positions(
        odds.weigh(facts, standing.open_at(facts, moments)), standing.won_at(facts, moments)
    ).drop("quarter_first")
    found = moments.join(rows.group_by("at").agg(**sums()), on="at", how="left").sort("at")
    money = ("won", "open", "commit", "best_case")
    return found.select(
        "quarter",
        "quarter_first",
        "day",
        number=(pl.col("day") - pl.col("quarter_first")).dt.total_days() + 1,
        **{name: pl.col(name).fill_null(0) for name in money},
        **{name: _rounded(exact) for name, exact in (("landing_p1", "exact_p1"), ("landing_p2", "exact_p2"))},
        deals=pl.col("deals").fill_null(0),
    )


def _rounded(exact: str) -> pl.Expr:
    return pl.col(exact).fill_null(0).round(0, mode="half_to_even").cast(pl.Int64)


def roll_up(facts: Facts) -> pl.DataFrame:
    """The sellers' categories rolled up at D of each month, beside what the CRO called (the input file ``calls``).

    The latest call of a category up to D counts, at the rate of its day. Columns: month, category, rolled (minor units,
    wins included: commit; best_case: commit and best case; pipeline: all that is open; total: the forecast by own
    history; closed: the wins; null for another category), called, called_on (null: no call). Raises ``InputFault``.
    """
    ours = totals(facts, None).with_columns(pipeline=pl.col("won") + pl.col("open")).collect()
    rolled = pl.concat(
        [
            ours.select("month", category=pl.lit(category), rolled=pl.col(column))
            for category, column in CALLED.items()
        ]
    )
    return rolled.join(_called(facts), on=["month", "category"], how="full", coalesce=True).sort(
        "month", "category"
    )


def _called(facts: Facts) -> pl.DataFrame:
    """month, category, called, called_on: the calls that hold at D."""
    valued = facts.rates.convert(facts.input("calls"), "amount", "day", "called")
    return (
        facts.periods.select("month", "quarter_first", last="day")
        .join(valued, on="quarter_first")
        .filter(pl.col("day") <= pl.col("last"))
        .sort("day", "line")
        .unique(["month", "category"], keep="last", maintain_order=True)
        .select("month", "category", "called", called_on="day")
    )


def _calls_told(facts: Facts) -> pl.DataFrame:
    """month, calls: the calls in words. A faulty file is said beside the forecast, which does not need it."""
    try:
        made = _called(facts).filter(pl.col("called").is_not_null()).sort("month", "category")
    except InputFault as fault:
        return facts.periods.select("month", calls=pl.lit(f"no calls: {fault.told}"))
    call = pl.format("{} {} on {}", "category", in_words(pl.col("called"), facts.currency), "called_on")
    return made.group_by("month", maintain_order=True).agg(calls=pl.format("called: {}", call.str.join(", ")))
