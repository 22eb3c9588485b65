"""Pipeline against quota (definition book, section 4, rulings 26 to 28, 30).

``coverage`` and ``weighted`` make the KPIs of day 21. Beside them stand, as frames that a report can print: ``to_go``
(what is still missing on D and what is open for it, with the expected landing), ``ahead`` (the two quarters after) and
``overdue`` (open deals that no coverage counts, because their close date has passed).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import forecast, measures, odds, sales, standing
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.period import SNAPSHOT_DAY
from metrics.words import in_times, when_any
from pipeline.company import Company

CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")
BREAK_EVEN: Final = 1.0  # weighted coverage at which the quarter is expected to bring its quota
_AHEAD: Final = 2
_WORDS: Final = {"p1": "CRM probability", "p2": "own-history share"}
_TO_GO: Final = "open in-quarter pipeline at D / (quota - won to D)"
_OTHER: Final = {"p1": "p2", "p2": "p1"}
_KEY: Final = ("quarter_first", "at")
_NONE: Final = pl.lit(None, dtype=pl.String)


def configured(kpi: Kpi, company: Company) -> Kpi:
    """A coverage as the company's settings make it: another day, base or odds is another definition."""
    day, chosen = company.forecast.snapshot_day, company.forecast.coverage_odds
    other = f" {chosen}" if chosen != "p1" and _WORDS["p1"] in kpi.definition else ""
    version = f"{kpi.id}/1{other}{f' day {day}' if day != SNAPSHOT_DAY else ''}"
    formula = kpi.definition.removeprefix(f"{kpi.id}/1")
    if company.forecast.coverage_base == "to_go":
        weight = f"{_WORDS[chosen]} x " if _WORDS["p1"] in formula else ""
        return replace(kpi, definition=f"{version} to go: {weight}{_TO_GO}")
    told = formula.replace(f"day {SNAPSHOT_DAY}", f"day {day}").replace(_WORDS["p1"], _WORDS[chosen])
    return replace(kpi, definition=f"{version}{told}")


def snapshot(facts: Facts) -> pl.DataFrame:
    """The pipeline of day 21 of each month's quarter, weighed (see ``odds.weigh``), with the month."""
    return facts.once(_snapshot)


def _snapshot(facts: Facts) -> pl.DataFrame:
    days = standing.snapshots_of_months(facts)
    return days.join(odds.weighed(facts), on=_KEY).sort("month", "external_id")


def coverage(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Snapshot value over quota; n: deals in the snapshot. Or what is open over what is to go (`coverage_base`)."""
    if cut == "product":
        return measures.nothing()
    if facts.company.forecast.coverage_base == "to_go":
        return _still_to_go(facts, cut, "open")
    sums = _sums(facts, cut, top=pl.col("value").sum())
    return _quotient(facts, sums, cut, _beside(facts, cut))


def weighted(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Snapshot value times p1 (or p2, `forecast.coverage_odds`) over quota; n: deals in the snapshot."""
    if cut == "product":
        return measures.nothing()
    chosen = facts.company.forecast.coverage_odds
    if facts.company.forecast.coverage_base == "to_go":
        return _still_to_go(facts, cut, f"weighted_{chosen}")
    sums = _sums(
        facts,
        cut,
        exact=pl.col(f"expected_{chosen}").sum(),
        exact_beside=pl.col(f"expected_{_OTHER[chosen]}").sum(),
        by_p1=(pl.col("basis") == "p1").sum().cast(pl.Int64),
    ).with_columns(
        top=measures.whole(pl.col("exact")),
        top_beside=measures.whole(pl.col("exact_beside")),
        odds_beside=pl.lit(_OTHER[chosen]),
    )
    return _quotient(facts, sums, cut, _beside_weighted(facts, cut))


def _still_to_go(facts: Facts, cut: str | None, top: str) -> pl.LazyFrame:
    """What is open at D, plain or weighed, over what is missing then; n: the deals open. The quota's own coverage, on
    the snapshot day, beside it."""
    chosen = facts.company.forecast.coverage_odds
    of_day = pl.col("value").sum() if top == "open" else pl.col(f"expected_{chosen}").sum()
    early = with_quota(facts, _sums(facts, cut, early=of_day), cut).select(
        "month", "segment", early=_over("early", "quota")
    )
    days = facts.periods.lazy().select("month", "snapshot_known", "snapshot_day")
    told = (
        _to_go(facts, cut)
        .join(days, on="month", maintain_order="left")
        .join(early, on=["month", "segment"], how="left", nulls_equal=True, maintain_order="left")
    )
    met = pl.col("missing") <= 0
    left_out = facts.once(_overdue_on_day).lazy().group_by("month").agg(late=pl.len())
    landing = pl.format("expected landing {}", in_words(pl.col(f"landing_{chosen}"), facts.currency))
    note = measures.notes(
        pl.when("snapshot_known").then(
            pl.format("on {} {} of the quota", "snapshot_day", in_times(pl.col("early")))
        ),
        _NONE if top == "open" else landing,
    )
    measure = measures.measure(
        told.with_columns(
            n="open_deals",
            numerator=pl.col(top),
            denominator=pl.col("missing"),
            value=pl.when(~met).then(_over(top, "missing")),
            reason=pl.when(pl.col("reason").is_null()).then(note).otherwise("reason"),
        )
    )
    if cut is not None:
        return measure
    late = pl.format("{} overdue deals left out", "late")
    return measures.explained(measure, left_out.select("month", note=late), by=("month",))


def _overdue_on_day(facts: Facts) -> pl.DataFrame:
    """``overdue`` on D of each month."""
    return _overdue(facts, standing.of_months(facts))


def _sums(facts: Facts, cut: str | None, **sums: pl.Expr) -> pl.LazyFrame:
    """month, segment, n, unlogged and the sums over the snapshot."""
    rows = snapshot(facts).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    return measures.summed(
        facts.periods,
        rows,
        cut,
        _planned(facts, cut),
        n=pl.len().cast(pl.Int64),
        unlogged=pl.col("unlogged").sum().cast(pl.Int64),
        **sums,
    )


def _planned(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """segment: those with a quota in a quarter of the months, whether or not anything is open for it."""
    mine = facts.quotas.lazy().filter(pl.col("cut").eq_missing(pl.lit(cut, dtype=pl.String)))
    return mine.join(facts.periods.lazy(), on="quarter_first", how="semi").select("segment")


def _quotient(facts: Facts, sums: pl.LazyFrame, cut: str | None, beside: pl.LazyFrame) -> pl.LazyFrame:
    """``sums`` with the column ``top`` over the quota; ``beside``: see ``_beside``."""
    days = facts.periods.lazy().select("month", "quarter", "snapshot_known", "snapshot_day")
    given = with_quota(facts, sums, cut).join(days, on="month")
    reason = (
        pl.when(~pl.col("snapshot_known"))
        .then(pl.format("the snapshot of {} lies in the future", "snapshot_day"))
        .otherwise("no_quota")
    )
    told = given.join(beside, on=["month", "segment"], how="left", nulls_equal=True)
    unlogged = pl.format("{} deals of the snapshot have no stage history: not reconstructed", "unlogged")
    notes = measures.notes(when_any(pl.col("unlogged"), unlogged), _variant(told), pl.col("beside"))
    return measures.measure(
        told.with_columns(
            n=pl.when("snapshot_known").then("n"),
            numerator=pl.when("snapshot_known").then("top"),
            denominator=pl.col("quota"),
            value=pl.when(reason.is_null()).then(_over("top", "quota")),
            reason=pl.when(reason.is_null()).then(notes).otherwise(reason),
        )
    )


def _variant(told: pl.LazyFrame) -> pl.Expr:
    """The weighted coverage by the other odds, where it is weighted at all."""
    if "top_beside" not in told.collect_schema():
        return pl.lit(None, dtype=pl.String)
    history = pl.col("odds_beside") == "p2"
    stand_in = when_any(
        pl.col("by_p1"),
        pl.when(history)
        .then(pl.format(" ({} of {} deals by p1 for want of it)", "by_p1", "n"))
        .otherwise(pl.format(" ({} of {} deals by p1 for want of own history)", "by_p1", "n")),
    )
    return pl.format(
        "{} {}{}; {} breaks even",
        pl.when(history).then(pl.lit("by own history (p2)")).otherwise(pl.lit("by CRM probability (p1)")),
        in_times(_over("top_beside", "quota")),
        stand_in.fill_null(""),
        in_times(pl.lit(BREAK_EVEN)),
    )


def with_quota(facts: Facts, sums: pl.LazyFrame, cut: str | None, key: str = "quarter_first") -> pl.LazyFrame:
    """``sums`` (month, segment, ...) with quota (null: none above nought) and no_quota: why there is none.

    ``key``: the column of ``facts.periods``, or of ``sums``, with the first day of the quarter it is the quota of.
    """
    of_quarter = facts.quotas.lazy().filter(pl.col("cut").eq_missing(pl.lit(cut, dtype=pl.String)))
    named = facts.periods.lazy().select("month", "quarter_first", "quarter")
    joined = sums if key in sums.collect_schema() else sums.join(named, on="month", maintain_order="left")
    quotas = of_quarter.select(
        "segment",
        "lacking",
        pl.col("quarter_first").alias(key),
        quota="value",
        _known=pl.lit(value=True),
    )
    found = joined.join(quotas, on=[key, "segment"], how="left", nulls_equal=True, maintain_order="left")
    by = "" if cut is None else f" by {cut}"
    given = pl.when(pl.col("quota") != 0).then("quota")
    no_quota = (
        pl.when(pl.col("lacking").is_not_null())
        .then(pl.format("needs {} rate, for a quota of {}", "lacking", "quarter"))
        .when(pl.col("_known") & given.is_null())
        .then(pl.format("a quota of {} is zero", "quarter"))
        .when(given.is_null())
        .then(pl.format("needs a quota{} of {}: in the CRM or in the targets file", pl.lit(by), "quarter"))
    )
    keep = sums.collect_schema().names()
    return found.with_columns(no_quota=no_quota, quota=given).select(*keep, "quota", "no_quota")  # fmt: skip


def _over(top: str, bottom: str) -> pl.Expr:
    return pl.col(top).cast(pl.Float64) / pl.col(bottom).cast(pl.Float64)


def to_go(facts: Facts, cut: str | None = None) -> pl.DataFrame:
    """What is still missing on the D of each month, and what is open for it.

    Columns: month, segment, day, quota, won, open, open_deals (how many), missing (quota less won), weighted_p1,
    weighted_p2 (what is expected of what is open), landing_p1, landing_p2 (with the wins), in minor units; to_go,
    to_go_p1, to_go_p2 (multiples of what is missing), and reason: why there is none (``target met`` where nothing is
    missing).
    """
    return _to_go(facts, cut).collect()


def _to_go(facts: Facts, cut: str | None) -> pl.LazyFrame:
    given = with_quota(facts, forecast.totals(facts, cut, _planned(facts, cut)), cut).join(
        facts.periods.lazy().select("month", "day"), on="month", maintain_order="left"
    )
    missing = pl.col("quota") - pl.col("won")
    names = {"to_go": "open", "to_go_p1": "weighted_p1", "to_go_p2": "weighted_p2"}
    return (
        given.with_columns(
            missing=missing,
            weighted_p1=pl.col("landing_p1") - pl.col("won"),
            weighted_p2=pl.col("landing_p2") - pl.col("won"),
            reason=pl.when(missing <= 0).then(pl.lit("target met")).otherwise("no_quota"),
        )
        .with_columns(
            pl.when(pl.col("missing") > 0).then(_over(top, "missing")).alias(name) for name, top in names.items()
        )
        .select(
            "month", "segment", "day", "quota", "won", "open", "open_deals", "missing", "weighted_p1", "weighted_p2",
            "landing_p1", "landing_p2", "to_go", "to_go_p1", "to_go_p2", "reason",
        )
    )  # fmt: skip


def ahead(facts: Facts, cut: str | None = None) -> pl.DataFrame:
    """The pipeline of the next quarter and the one after, as it stands on the D of each month.

    Columns: month, segment, quarters (1: the next), quarter, quota, open (minor units, at the rate of D), deals,
    coverage, reason (why there is no coverage).
    """
    return _ahead(facts, cut).collect()


def _ahead(facts: Facts, cut: str | None) -> pl.LazyFrame:
    rows = facts.once(_coming).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    periods = facts.periods.lazy().select("month", "quarter_first")
    parts = []
    for quarters in range(1, _AHEAD + 1):
        sums = measures.summed(
            facts.periods,
            rows.filter(pl.col("ahead") == quarters),
            cut,
            open=pl.col("value").sum(),
            deals=pl.len().cast(pl.Int64),
        )
        first = pl.col("quarter_first").dt.offset_by(f"{3 * quarters}mo")
        named = periods.select("month", coming_first=first, quarter=facts.calendar.quarter_label(first))
        dated = sums.join(named, on="month", maintain_order="left").with_columns(
            quarters=pl.lit(quarters, pl.Int64)
        )
        parts.append(with_quota(facts, dated, cut, "coming_first"))
    return pl.concat(parts).select(
        "month", "segment", "quarters", "quarter", "quota", "open", "deals",
        coverage=_over("open", "quota"), reason="no_quota",
    ).sort("month", "segment", "quarters", nulls_last=False)  # fmt: skip


def _coming(facts: Facts) -> pl.DataFrame:
    """The deals open at D that should close in one of the two quarters after it, with the month."""
    days = standing.of_months(facts)
    wanted = standing.moments(facts).join(days, on=_KEY, how="semi")
    rows = standing.open_at(facts, wanted, _AHEAD).filter(pl.col("ahead") > 0)
    return days.join(rows, on=_KEY)


def overdue(facts: Facts) -> pl.DataFrame:
    """Open deals that are in no coverage or forecast, because their close date has passed.

    Columns: month, read (``snapshot``: on day 21, ``day``: on D), external_id, name, stage, close_date, value (minor
    units at the rate of that day) and the cuts.
    """
    on_day = _overdue(facts, standing.of_months(facts)).with_columns(read=pl.lit("day"))
    on_snapshot = facts.once(_overdue_on_snapshot).with_columns(read=pl.lit("snapshot"))
    columns = ("month", "read", *on_day.columns[1:-1])
    return pl.concat([on_day.select(columns), on_snapshot.select(columns)]).sort(
        "month", "read", "external_id"
    )


def _overdue_on_snapshot(facts: Facts) -> pl.DataFrame:
    """``overdue`` on day 21 of each month's quarter."""
    return _overdue(facts, standing.snapshots_of_months(facts))


def _overdue(facts: Facts, reads: pl.DataFrame) -> pl.DataFrame:
    days = standing.moments(facts).join(reads, on=_KEY, how="semi")
    return (
        reads.join(standing.overdue_at(facts, days), on=_KEY)
        .select(
            "month", "external_id", "name", "stage", "close_date", "value", "size", "industry", "motion", "owner_id",
            "pipeline",
        )
        .sort("month", "external_id")
    )  # fmt: skip


def _beside(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """month, segment, beside: the coverage of D and of later quarters, and what is overdue."""
    late = facts.once(_overdue_on_snapshot).lazy()
    if cut is not None:
        late = sales.named(late, facts.owner_names, facts.pipelines, cut)
    left = measures.summed(facts.periods, late, cut, late=pl.len().cast(pl.Int64), due=pl.col("value").sum())
    coming = _ahead(facts, cut).filter(pl.col("coverage").is_not_null())
    later = coming.group_by("month", "segment", maintain_order=True).agg(
        later=pl.format("{} {}", "quarter", in_times(pl.col("coverage"))).str.join(", ")
    )
    keys = ["month", "segment"]
    joined = (
        _to_go(facts, cut)
        .join(left, on=keys, how="left", nulls_equal=True)
        .join(later, on=keys, how="left", nulls_equal=True)
    )
    overdue_ones = pl.format(
        "{} overdue deals ({}) left out", "late", in_words(pl.col("due"), facts.currency)
    )
    return joined.select(
        *keys,
        beside=measures.notes(
            _gone(in_times(pl.col("to_go"))),
            pl.format("then {}", "later"),
            when_any(pl.col("late"), overdue_ones),
        ),
    )


def _beside_weighted(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """month, segment, beside: the weighted coverage of D, and where the quarter is expected to land."""
    expected = pl.format(
        "expected landing {} (p1), {} (p2)",
        in_words(pl.col("landing_p1"), facts.currency),
        in_words(pl.col("landing_p2"), facts.currency),
    )
    both = pl.format("{} (p1), {} (p2)", in_times(pl.col("to_go_p1")), in_times(pl.col("to_go_p2")))
    return _to_go(facts, cut).select("month", "segment", beside=measures.notes(_gone(both), expected))


def _gone(coverage: pl.Expr) -> pl.Expr:
    """To go on D, or that nothing is."""
    met = pl.col("missing") <= 0
    return (
        pl.when(met)
        .then(pl.format("target met on {}", "day"))
        .when(pl.col("missing") > 0)
        .then(pl.format("to go on {}: {}", "day", coverage))
    )


def stands_on(facts: Facts) -> pl.DataFrame:
    """The deals of the snapshot, or those open at D: month, external_id."""
    return _counted(facts).select("month", "external_id")


def _counted(facts: Facts) -> pl.DataFrame:
    """The deals that a coverage counts, with what is expected of them."""
    if facts.company.forecast.coverage_base == "to_go":
        return forecast.landing(facts).filter(part="open")
    return snapshot(facts)


def deals_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the deals of the snapshot with their state on that day, and the overdue ones left out of it."""
    rows = _counted(facts).filter(pl.col("month") == month)
    note = pl.format("{}, closing {}", pl.col("stage").fill_null("no stage"), "close_date")
    return _opened(facts, month, rows.with_columns(contribution="value", note=note), cut)


def weighed_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence: the same deals at what the chosen odds expect of them; they add up to the numerator."""
    rows = measures.of_deals(facts, _counted(facts).filter(pl.col("month") == month), cut)
    chosen = facts.company.forecast.coverage_odds
    expected = f"expected_{chosen}"
    weighed = rows.with_columns(
        contribution=measures.whole(pl.col(expected)),
        note=forecast.weight_note(expected, "basis" if chosen == "p2" else None, facts),
    )
    return _opened(facts, month, weighed, cut, named=True)


def _opened(
    facts: Facts, month: str, rows: pl.DataFrame, cut: str | None, named: bool = False
) -> pl.DataFrame:
    """``named``: the rows have the column that they are cut by already."""
    to_go = facts.company.forecast.coverage_base == "to_go"
    late = facts.once(_overdue_on_day if to_go else _overdue_on_snapshot).filter(pl.col("month") == month)
    columns = ("external_id", "name", "contribution", "note", *([cut] if cut else []))
    left_out = late.with_columns(
        contribution=pl.lit(0, pl.Int64),
        note=pl.format(
            "left out: overdue since {}, {}",
            "close_date",
            in_words(pl.col("value"), facts.currency).fill_null("no rate"),
        ),
    )
    mine = rows if named else measures.of_deals(facts, rows, cut)
    both = pl.concat([mine.select(columns), measures.of_deals(facts, left_out, cut).select(columns)])
    return measures.opened(both.with_columns(object=pl.lit("deals")), cut)
