"""Pipeline and revenue by where they came from: what marketing and what partners sourced.

Source: definition book, section 5, rulings 2, 3, 5, 6, 19 to 21, 33. The exact reading:

1. A deal's source is its lead source as it stood first: sellers' later edits do not move it (they are counted). The
   change log tells what stood there before; where it tells nothing, the value known at ``known_at``.
2. The deal belongs to a channel when the channel's list names that source, or the motion that the source map gives it.
   A deal without any source is judged by its motion field. A deal whose partner field is filled is the partners' too,
   as it stood at the end of the day of its creation: who names a partner later was influenced, not sourced (counted).
   `acquisition.partner_rule` takes the one or the other alone.
3. Pipeline: new and expansion deals created in the quarter up to D, in any stage, at their amount known at
   ``known_at`` and the rate of D. Revenue: new and expansion deals won by outcome date in the quarter up to D, at the
   rate of that date. A blank amount counts 0. Each deal is converted once, rounded half-even.

Influenced deals are another number, which this is not.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date
from typing import Final, Literal

import polars as pl

from metrics import measures, sales
from metrics.currency import in_words
from metrics.deals import source_map
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import stated
from pipeline.company import Company

Channel = Literal["marketing", "partner"]
CHANNELS: Final[tuple[Channel, ...]] = ("marketing", "partner")
CUTS: Final = ("size", "industry", "motion", "owner", "pipeline")
_PARTNER: Final = ("deals", "partner")
REQUIRES: Final = (("deals", "amount"), ("deals", "lead_source"), ("deals", "type"))
_NAMED: Final = 3  # unmapped sources that are named


def deals(facts: Facts) -> pl.DataFrame:
    """New and expansion deals, and those without a type, with where they came from.

    Columns: those of ``sales.ASKED``, source (as it stood first), edited (it was changed later), strange (neither the
    source map nor a channel knows it), named (the partner it named on the day of its creation), later (it names one
    that it did not name then), marketing and partner (Boolean).
    """
    log = facts.changes.filter(
        (pl.col("field") == "lead_source") & (pl.col("changed_at") <= facts.known_at)
    ).sort("changed_at", "seq")
    old, new = stated(pl.col("old_value")), stated(pl.col("new_value"))
    first = log.group_by("deal_id").agg(
        _first=pl.coalesce(old, new).drop_nulls().first(),
        edited=(old.is_not_null() & old.ne_missing(new)).any(),
    )
    wanted = pl.col("deal_type").is_in(sales.PIPELINE_TYPES) | stated(pl.col("type")).is_null()
    rows = (
        facts.deals.filter(wanted)
        .select(*sales.ASKED, "lead_source", now=stated(pl.col("partner")))
        .join(first, left_on="external_id", right_on="deal_id", how="left")
        .join(_partners_at_first(facts), left_on="external_id", right_on="deal_id", how="left")
        .with_columns(
            source=pl.coalesce("_first", stated(pl.col("lead_source"))),
            edited=pl.col("edited").fill_null(False),
            named=pl.when("told").then("named").otherwise("now"),
        )
        .with_columns(later=pl.col("named").is_null() & pl.col("now").is_not_null())
        .drop("told", "now")
    )
    own = pl.col("source").str.to_lowercase()
    mapped = own.replace_strict(source_map(facts.company), default=None, return_dtype=pl.String)
    by_motion = pl.when(own.is_null()).then(pl.col("motion")).otherwise(mapped).str.to_lowercase()
    lists = {
        channel: [word.strip().lower() for word in words] for channel, words in facts.company.channels.items()
    }
    known = mapped.is_not_null() | own.is_in([word for words in lists.values() for word in words])
    by_source = {
        channel: (own.is_in(lists.get(channel, [])) | by_motion.is_in(lists.get(channel, []))).fill_null(
            False
        )
        for channel in CHANNELS
    }
    named = pl.col("named").is_not_null()
    rules = {"either": by_source["partner"] | named, "source": by_source["partner"], "field": named}
    return rows.with_columns(
        strange=(own.is_not_null() & ~known).fill_null(False),
        marketing=by_source["marketing"],
        partner=rules[facts.company.acquisition.partner_rule],
    ).drop("_first", "lead_source")


def configured(kpi: Kpi, company: Company) -> Kpi:
    """What partners sourced as the company's settings make it: one of the two ways alone is another definition."""
    rule = company.acquisition.partner_rule
    if rule == "either":
        return kpi
    fields = (field for field in kpi.requires if field != ("deals", "lead_source"))
    asked = (*fields, _PARTNER) if rule == "field" else kpi.requires
    formula = kpi.definition.removeprefix(f"{kpi.id}/1: ")
    return replace(kpi, definition=f"{kpi.id}/1 by {rule}: {formula}", requires=asked)


def _partners_at_first(facts: Facts) -> pl.DataFrame:
    """deal_id, told (the log tells it), named: the partner at the end of the day of the deal's creation.

    That of the last change up to then, else what stood there before the first one after it.
    """
    born = facts.deals.select("created_day", deal_id="external_id")
    log = facts.changes.filter(
        (pl.col("field") == "partner") & (pl.col("changed_at") <= facts.known_at)
    ).sort("changed_at", "seq")
    early = facts.calendar.local_day(pl.col("changed_at")) <= pl.col("created_day")
    found = log.join(born, on="deal_id").with_columns(early=early.fill_null(value=False))
    there = pl.col("early").any()
    return (
        found.group_by("deal_id", maintain_order=True)
        .agg(
            told=pl.lit(value=True),
            named=pl.when(there)
            .then(pl.col("new_value").filter("early").last())
            .otherwise(pl.col("old_value").first()),
        )
        .with_columns(named=stated(pl.col("named")))
    )


def created(facts: Facts) -> pl.DataFrame:
    """Deals created in each month's quarter up to D: the columns of ``deals``, month, value (at the rate of D)."""
    return facts.rates.convert(_of_quarter(facts, "created_day"), "amount", "day", "value")


def won(facts: Facts) -> pl.DataFrame:
    """Deals won in each month's quarter up to D: the columns of ``deals``, month, value (at the outcome day's rate)."""
    rows = _of_quarter(facts, "outcome_day").filter(pl.col("outcome") == "won")
    return facts.rates.convert(rows, "amount", "outcome_day", "value")


Step = Callable[[Facts], pl.DataFrame]  # ``created`` or ``won``


def sourced(facts: Facts, step: Step, channel: Channel, cut: str | None) -> pl.LazyFrame:
    """What the channel sourced: value and numerator its money, denominator that of all deals; n: deals it sourced."""
    if cut == "product":
        return measures.nothing()
    rows = _typed(facts, step).lazy()
    if cut is not None:
        rows = sales.named(rows, facts.owner_names, facts.pipelines, cut)
    totals = measures.summed(
        facts.periods,
        rows,
        cut,
        sourced=pl.col("value").filter(channel).sum(),
        every=pl.col("value").sum(),
        n=pl.col(channel).sum().cast(pl.Int64),
    )
    share = (pl.col("sourced") * 100 / pl.col("every")).round(1)
    what = "created" if step is created else "won"
    beside = (
        pl.when(pl.col("every") > 0)
        .then(pl.format(f"{{}}% of the {{}} {what}", share, in_words(pl.col("every"), facts.currency)))
        .otherwise(pl.lit(f"nothing of value was {what} in the quarter: no share"))
    )
    money = pl.col("sourced").cast(pl.Float64)
    measure = measures.measure(
        totals.with_columns(
            value=money, numerator=money, denominator=pl.col("every").cast(pl.Float64), reason=beside
        )
    )
    return _undefined(
        facts, channel, measures.explained(measure, _notes(facts, step, channel), by=("month",))
    )


def stands_on(facts: Facts, step: Step) -> pl.DataFrame:
    """The deals of the quarter, and those that would be among them if they had a type: month, external_id."""
    return facts.once(step).select("month", "external_id")


def deals_behind(
    facts: Facts, step: Step, channel: Channel, month: str, cut: str | None = None
) -> pl.DataFrame:
    """Evidence: the deals the channel sourced, with their source and the day they count on."""
    rows = _typed(facts, step).filter((pl.col("month") == month) & pl.col(channel))
    day = "created_day" if step is created else "outcome_day"
    note = pl.concat_str(
        pl.format(f"{'created' if step is created else 'won'} {{}}", day),
        pl.coalesce("source", pl.format("motion {}", "motion")),
        pl.when("edited").then(pl.lit("source edited later")),
        pl.format("partner {}", "named") if channel == "partner" else pl.lit(None, dtype=pl.String),
        pl.when(pl.col("value").is_null()).then(pl.lit("its currency has no exchange rate")),
        separator="; ",
        ignore_nulls=True,
    )
    told = rows.with_columns(object=pl.lit("deals"), contribution="value", note=note)
    return measures.opened(measures.of_deals(facts, told, cut), cut)


def _typed(facts: Facts, step: Step) -> pl.DataFrame:
    return facts.once(step).filter(pl.col("deal_type").is_in(sales.PIPELINE_TYPES))


def _of_quarter(facts: Facts, day: str) -> pl.DataFrame:
    """``deals`` whose ``day`` lies in each month's quarter up to D, a blank amount 0; with ``month`` and ``day``."""
    months = facts.periods.select("month", "day", "quarter_first")
    return (
        facts.once(deals)
        .with_columns(pl.col("amount").fill_null(0), quarter_first=facts.calendar.quarter_first(pl.col(day)))
        .join(months, on="quarter_first")
        .filter(pl.col(day) <= pl.col("day"))
        .drop("quarter_first")
        .sort("month", day, "external_id")
    )


def _notes(facts: Facts, step: Step, channel: Channel) -> pl.LazyFrame:
    """month, note: what is uncertain about where the deals of the quarter came from."""
    rows = _typed(facts, step).lazy()
    by_field = channel == "partner" and facts.company.acquisition.partner_rule != "source"
    later = rows.filter(pl.col("later") & ~pl.col("partner") & by_field)
    edited = rows.filter("edited").group_by("month").agg(n=pl.len())
    unrated = rows.filter(pl.col("value").is_null()).group_by("month").agg(n=pl.len())
    names = (
        rows.filter("strange")
        .group_by("month", "source")
        .agg(n=pl.len())
        .sort("n", "source", descending=[True, False])
        .group_by("month", maintain_order=True)
        .agg(n=pl.col("n").sum(), names=pl.col("source").head(_NAMED).str.join(", "))
    )
    return measures.joined(
        (
            edited.select(
                "month", note=pl.format("{} had their source edited later: the first one counts", "n")
            ),
            names.select(
                "month",
                note=pl.format(
                    "{} come from a source that neither source_map nor channels knows ({})", "n", "names"
                ),
            ),
            later.group_by("month")
            .agg(n=pl.len())
            .select(
                "month",
                note=pl.format("{} named a partner only after their creation: influenced, not sourced", "n"),
            ),
            unrated.select(
                "month", note=pl.format("{} in a currency without an exchange rate are left out", "n")
            ),
        )
    )


def _undefined(facts: Facts, channel: Channel, measure: pl.LazyFrame) -> pl.LazyFrame:
    """Undefined without a list of the channel's sources (or partners to go by), and where the CRM cannot know."""
    by_field = channel == "partner" and facts.company.acquisition.partner_rule == "field"
    if by_field and not facts.once(deals)["named"].is_not_null().any():
        why = "needs the partners of deals: no deal names one (fields: deals: partner)"
        return measures.undefined(measure, pl.lit(value=True), pl.lit(why))
    if not by_field and not facts.company.channels.get(channel):
        why = f"needs the {channel} sources: name them under channels: {channel}: in the configuration"
        return measures.undefined(measure, pl.lit(value=True), pl.lit(why))
    first = facts.deals["created_day"].min()
    if not isinstance(first, date):
        return measures.undefined(measure, pl.lit(value=True), pl.lit("the CRM holds no deals"))
    early = facts.periods.filter(pl.col("day") < first)["month"].to_list()
    why = f"the CRM holds nothing from before {first:%Y-%m-%d}"
    return measures.undefined(measure, pl.col("month").is_in(early), pl.lit(why))
