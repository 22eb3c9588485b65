"""How long a sale takes: from the qualified stage, or the first meeting, to the outcome.

Definition book, section 3 (cycle length, weighted cycle), rulings 2, 4, 5, 18, 20 to 22.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import measures, sales
from metrics.currency import in_words
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import in_days, in_percent, when_any
from pipeline.company import Company

RETRO: Final = "entered when it was already closed"  # at most a day between creation and close
NEGATIVE: Final = "closed before it starts"


READS: Final = ("meetings", "leads")  # what a first meeting is told by


def configured(kpi: Kpi, company: Company) -> Kpi:
    """A number of cycles as the company measures them: from the first meeting, it stands on the meetings too."""
    return replace(kpi, reads=(*READS, *kpi.reads)) if company.sales.cycle_start == "first_meeting" else kpi


# The field that weighs the weighted cycle, and how it is called.
_WEIGHTS: Final = {"arr": ("arr_value", "ARR", "an ARR"), "amount": ("amount", "amount", "an amount")}


def weighed(kpi: Kpi, company: Company) -> Kpi:
    """The weighted cycle as the company's settings make it: another weight is another definition."""
    if company.sales.cycle_weight == "arr":
        return kpi
    formula = kpi.definition.removeprefix(f"{kpi.id}/1: ").replace("ARR", "amount")
    fields = tuple((table, "amount" if field == "arr" else field) for table, field in kpi.requires)
    return replace(kpi, definition=f"{kpi.id}/1 amount: {formula}", requires=fields)


def starts(facts: Facts) -> pl.DataFrame:
    """When the sale of every qualified deal began (a fact to be kept by ``Facts.once``).

    Columns: external_id, start (of its cycle, as the company measures it), met (local day of the first meeting, null
    where none is known), first_met (the same, else the qualified day), self_serve.
    """
    met = _first_meetings(facts)
    deals = (
        facts.deals.lazy()
        .filter(pl.col("qualified_day").is_not_null())
        .select("external_id", "outcome_day", "created_day", "qualified_day", "first_meeting_at", "motion")
        .collect()
    )
    # A kick-off after the signature is no first meeting of the sale.
    held = (
        deals.select("external_id", "outcome_day")
        .join(met, left_on="external_id", right_on="deal_id")
        .filter(pl.col("outcome_day").is_null() | (pl.col("held") <= pl.col("outcome_day")))
        .group_by("external_id")
        .agg(pl.col("held").min())
    )
    known = deals.join(held, on="external_id", how="left").with_columns(
        met=pl.coalesce("first_meeting_at", "held")
    )
    start = {
        "qualified": pl.col("qualified_day"),
        "created": pl.coalesce("created_day", "qualified_day"),
        "first_meeting": pl.coalesce("met", "qualified_day"),
    }[facts.company.sales.cycle_start]
    named = pl.col("motion").str.to_lowercase().str.replace_all("[^a-z]", "")
    return known.select(
        "external_id",
        "met",
        start=start,
        first_met=pl.coalesce("met", "qualified_day"),
        self_serve=(named == "selfserve").fill_null(value=False),
    )


def _first_meetings(facts: Facts) -> pl.DataFrame:
    """deal_id, held: the local days of the meetings held for a deal.

    A meeting belongs to the deal it names; one that names none, to the deals of its contact: those that other meetings
    of the contact name, and the one that the contact's lead became. Without an outcome, past means held.
    """
    ended = pl.coalesce("ends_at", "starts_at")
    meetings = facts.live("meetings")
    past = meetings.filter(
        pl.col("completed").fill_null(value=True) & (ended <= facts.known_at)
    ).with_columns(held=facts.calendar.local_day(pl.coalesce("starts_at", "ends_at")))
    people = pl.concat(
        [
            meetings.select("deal_id", "contact_id"),
            facts.live("leads").select(deal_id="converted_deal_id", contact_id="converted_contact_id"),
        ]
    )
    of_deals = people.drop_nulls().unique()
    alone = past.filter(pl.col("deal_id").is_null()).drop("deal_id").join(of_deals, on="contact_id")
    named = past.filter(pl.col("deal_id").is_not_null())
    return pl.concat([frame.select("deal_id", "held") for frame in (named, alone)])


def timed(rows: pl.LazyFrame, start: pl.Expr) -> pl.LazyFrame:
    """Decided deals with ``days`` from ``start`` to the outcome and ``left_out``: why that is no cycle, else null."""
    days = (pl.col("outcome_day") - start).dt.total_days()
    since_creation = (pl.col("outcome_day") - pl.col("created_day")).dt.total_days()
    return rows.with_columns(
        days=days,
        left_out=pl.when(pl.coalesce(since_creation, days) <= 1)
        .then(pl.lit(RETRO))
        .when(days < 0)
        .then(pl.lit(NEGATIVE)),
    )


def closed(facts: Facts) -> pl.DataFrame:
    """The deals closed in each month's quarter to date (``Facts.closed``) with days, left_out and self_serve."""
    rows = facts.closed.lazy().join(facts.once(starts).lazy(), on="external_id")
    return timed(rows, pl.col("start")).collect()


def median(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Median days of the deals won; the mean, the cycle of lost deals and what is left out in the note."""
    if cut == "product":
        return measures.nothing()
    rows = facts.once(closed).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    measured, won = pl.col("left_out").is_null(), pl.col("won")
    totals = measures.gathered(
        facts.periods,
        rows,
        cut,
        value=pl.col("days").filter(won & measured).median(),
        mean=pl.col("days").filter(won & measured).mean(),
        n=(won & measured).sum().cast(pl.Int64),
        wins=won.sum(),
        retro=(won & (pl.col("left_out") == RETRO)).sum(),
        negative=(won & (pl.col("left_out") == NEGATIVE)).sum(),
        unlogged=(won & measured & pl.col("unlogged")).sum(),
        lost_days=pl.col("days").filter(~won & measured).median(),
        lost=(~won & measured).sum(),
    )
    none = pl.lit("no qualified new-business deal was won in the quarter")
    note = measures.notes(
        pl.when(pl.col("wins").fill_null(0) == 0).then(none),
        pl.format("mean {}", in_days(pl.col("mean"))),
        when_any(
            pl.col("lost"),
            pl.format("lost deals took {} (median of {})", in_days(pl.col("lost_days")), "lost"),
        ),
        _left_out(),
        when_any(
            pl.col("unlogged"), pl.format("{} without stage history run from their creation", "unlogged")
        ),
    )
    return _of_days(totals.with_columns(reason=note))


def _left_out() -> pl.Expr:
    """What ruling 22 takes away, counted."""
    parts = measures.notes(
        when_any(pl.col("retro"), pl.format("{} {}", "retro", pl.lit(RETRO))),
        when_any(pl.col("negative"), pl.format("{} {}", "negative", pl.lit(NEGATIVE))),
    )
    return pl.format("left out: {}", parts)


def _of_days(totals: pl.LazyFrame) -> pl.LazyFrame:
    """A measure without numerator and denominator: value, n and reason are there."""
    empty = pl.lit(None, dtype=pl.Float64)
    counted = pl.col("n").fill_null(0)
    return measures.measure(totals.with_columns(numerator=empty, denominator=empty, n=counted))


def norms(facts: Facts) -> pl.DataFrame:
    """month, norm: the median cycle of the whole company, null where no cycle was measured in the quarter."""
    return median(facts, None).select("month", norm="value").collect()


def trailing_wins(facts: Facts) -> pl.DataFrame:
    """Deals won in each month's trailing four quarters, to D (a fact to be kept by ``Facts.once``).

    Columns: those of ``sales.ASKED``, month, value (ARR, or the amount, at the rate of the outcome day), met,
    self_serve, days (from the first meeting, else the qualified day; self-serve from the creation) and left_out.
    """
    mine = pl.col("deal_type").is_in(facts.company.sales.types) & (pl.col("outcome") == "won")
    won = facts.deals.filter(mine & pl.col("qualified_day").is_not_null()).select(sales.ASKED)
    weight = _WEIGHTS[facts.company.sales.cycle_weight][0]
    valued = facts.rates.convert(won, weight, "outcome_day", "value").lazy()
    rows = valued.join(facts.once(starts).lazy(), on="external_id")
    start = pl.when("self_serve").then(pl.coalesce("created_day", "qualified_day")).otherwise("first_met")
    return (
        sales.trailing(timed(rows, start), pl.col("outcome_day"), facts.periods, facts.calendar)
        .sort("month", "outcome_day", "external_id")
        .collect()
    )


def _weighs() -> pl.Expr:
    """Whether a deal has a cycle and a value to weigh it with (rulings 20 and 22)."""
    return pl.col("left_out").is_null() & (pl.col("value") != 0).fill_null(value=False)


def weighted(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Days from the first meeting to the win, weighted by ARR (or amount); self-serve apart, in the note."""
    if cut == "product":
        return measures.nothing()
    rows = facts.once(trailing_wins).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    sold = ~pl.col("self_serve")
    weighs, alone = _weighs() & sold, _weighs() & ~sold
    product = pl.col("days") * pl.col("value")
    totals = measures.summed(
        facts.periods,
        rows,
        cut,
        top=product.filter(weighs).sum(),
        arr=pl.col("value").filter(weighs).sum(),
        n=weighs.sum().cast(pl.Int64),
        substituted=(weighs & pl.col("met").is_null()).sum(),
        retro=(sold & (pl.col("left_out") == RETRO)).sum(),
        negative=(sold & (pl.col("left_out") == NEGATIVE)).sum(),
        worthless=(sold & pl.col("left_out").is_null() & ~_weighs()).sum(),
        alone_top=product.filter(alone).sum(),
        alone_arr=pl.col("value").filter(alone).sum(),
        alone=alone.sum(),
    )
    what, some = _WEIGHTS[facts.company.sales.cycle_weight][1:]
    measure = measures.ratios(
        totals, "top", "arr", "n", f"no new-business deal with {some} and a cycle was won in four quarters"
    )
    share = pl.col("substituted") / pl.col("n")
    apart = pl.col("alone_top").cast(pl.Float64) / pl.col("alone_arr")
    note = measures.notes(
        when_any(
            pl.col("n"),
            pl.format("{} of the deals without a meeting, from the qualified stage", in_percent(share)),
        ),
        when_any(
            pl.col("alone_arr"),
            pl.format("self-serve apart: {} from sign-up (n={})", in_days(apart), "alone"),
        ),
        _left_out(),
        when_any(pl.col("worthless"), pl.format(f"{{}} without {what}", "worthless")),
    )
    return measures.explained(measure, totals.select("month", "segment", note=note))


def wins_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence of the median: every deal won in the quarter to date, the longest first; those left out count 0."""
    rows = facts.once(closed).filter((pl.col("month") == month) & pl.col("won"))
    kept = pl.col("left_out").is_null()
    note = pl.format(
        "{} to {}{}",
        "start",
        "outcome_day",
        pl.when(kept).then(pl.lit("")).otherwise(pl.format(", left out: {}", "left_out")),
    )
    contribution = pl.when(kept).then("days").otherwise(0)
    told = rows.with_columns(object=pl.lit("deals"), contribution=contribution, note=note)
    return measures.opened(measures.of_deals(facts, told, cut), cut)


def weights_behind(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    """Evidence of the weighted cycle: days times ARR of every deal in it."""
    rows = facts.once(trailing_wins).filter((pl.col("month") == month) & _weighs() & ~pl.col("self_serve"))
    origin = (
        pl.when(pl.col("met").is_not_null())
        .then(pl.lit("first meeting"))
        .otherwise(pl.lit("qualified stage"))
    )
    note = pl.format("{} days from {} x {}", "days", origin, in_words(pl.col("value"), facts.currency))
    told = rows.with_columns(object=pl.lit("deals"), contribution=pl.col("days") * pl.col("value"), note=note)
    return measures.opened(measures.of_deals(facts, told, cut), cut)


def trailing_stands_on(facts: Facts) -> pl.DataFrame:
    """The deals won in the trailing four quarters: month, external_id."""
    return facts.once(trailing_wins).filter(~pl.col("self_serve")).select("month", "external_id")
