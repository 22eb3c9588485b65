"""Every deal as it is known at one moment, with what the KPIs need to know about it in columns.

Definitions: definition book, R7 to R10 and rulings 3, 7, 16, 18, 21, 24.
"""

from __future__ import annotations

import re
from typing import Final

import polars as pl

from connectors.schema import UTC
from metrics import lines as line_items
from metrics import timeline
from metrics.basis import after, annualised, recurring, reducing
from metrics.period import Calendar
from metrics.words import stated
from pipeline import asof
from pipeline.company import ArrSettings, Company
from pipeline.states import paid

MONEY: Final = ("amount", "currency")  # an amount of another day is one in the currency of that day
_NO_LETTER: Final = r"[^\p{L}\p{N}]"


def in_some_currency(deals: pl.DataFrame, home: str) -> pl.DataFrame:
    """``deals`` with the home currency where they state none."""
    return deals.with_columns(stated(pl.col("currency")).fill_null(home))


def known(deals: pl.DataFrame, calendar: Calendar, home: str) -> pl.DataFrame:
    """The deals that exist at ``known_at``: created by then and not yet deleted. A blank currency is the home one."""
    gone = pl.col("deleted_at").is_not_null() & (pl.col("deleted_at") <= calendar.known_at)
    created = pl.col("created_at").is_null() | (pl.col("created_at") <= calendar.known_at)
    return in_some_currency(deals.filter(created & ~gone), home)


def describe(
    deals: pl.DataFrame,
    changes: pl.DataFrame,
    stages: pl.DataFrame,
    accounts: pl.DataFrame,
    lines: pl.DataFrame,
    company: Company,
    calendar: Calendar,
    entries: pl.DataFrame,
) -> pl.DataFrame:
    """``deals`` (from ``known``) as of ``known_at``, in their order, with derived columns added.

    ``stages``: from ``timeline.stage_table``; ``entries``: from ``timeline.stage_entries``; ``accounts``: from
    ``Facts.accounts``; ``lines``: live line items. Added columns:

    - deal_type: new | expansion | renewal | contraction | churn, null where the CRM's type is not mapped
    - outcome: open | won | lost; outcome_day: the close date (a pilot's conversion date), else the day the deal
      last entered its terminal stage (`sales.outcome_day: stage_entry`: that day first); entered_at: that entry, null
      where the history does not hold it
    - created_day: local; qualified_day: null where the deal never got to the qualified stage
    - account, customer: after merges, null where there is no live one
    - motion (as the source map spells it), size, industry: null where unknown
    - arr_value: ARR in minor units of ``currency`` (ruling 7), null where the deal has none; term: months;
      arr_signed: the same, negative where the deal takes ARR away; once: what of the amount is sold once
    - starts, ends: the contract by itself, [starts, ends), with start_assumed (it is the close date) and term_assumed
      (twelve months); dates_reversed, lines_foreign (a line in another currency), recurring_lines (how many)
    - stage_known, unlogged (no stage history at all), pilot_in_won_stage, paid_pilot (won as such, by
      `sales.paid_pilot`: a pilot that is not converted, so it has no ARR)
    """
    current = _at_known_moment(deals, changes, calendar)
    staged = timeline.with_stage(current, stages).rename({"outcome": "stage_outcome"})
    flagged = staged.with_columns(
        deal_type=pl.col("type").str.strip_chars().str.to_lowercase().replace_strict(
            company.deal_types.mapping(), default=None, return_dtype=pl.String
        ),
        stage_known=pl.col("stage_outcome").is_not_null(),
        stage_outcome=stage_outcome(),
        created_day=calendar.local_day(pl.col("created_at")),
    )  # fmt: skip
    day = pl.lit(calendar.known_day)
    ended = outcome(day, company)
    decided = flagged.with_columns(
        outcome=ended,
        pilot_in_won_stage=pl.col("pilot").fill_null(False)
        & (pl.col("stage_outcome") == "won")
        & (ended == "open"),
        paid_pilot=(ended == "won") & _unconverted(day),
    ).drop("label", "sort_order", "active", "qualified")
    dated = _with_dates(decided, entries, calendar, company.sales.outcome_day)
    priced = _with_segments(dated, accounts, company).join(
        _sold_once(lines, company.arr),
        left_on="external_id",
        right_on="deal_id",
        how="left",
        maintain_order="left",
    )
    return _with_money(priced, line_items.items(lines, priced, company.arr), company.arr)


def outcome(day: pl.Expr, company: Company) -> pl.Expr:
    """open | won | lost from the stage's outcome at a moment on ``day`` (definition book, R8, ruling 21).

    A pilot in a won stage is won once its conversion date has come, and open until then; where the company counts paid
    pilots as won (`sales.paid_pilot`), one with an amount, as it is known now, is won there and then.
    """
    waits = _unconverted(day)
    if company.sales.paid_pilot == "won":
        waits = waits & ~paid()
    return (
        pl.when((pl.col("stage_outcome") == "won") & waits)
        .then(pl.lit("open"))
        .otherwise(pl.col("stage_outcome"))
    )


def _unconverted(day: pl.Expr) -> pl.Expr:
    """Whether a deal is a pilot that has not been converted by a day."""
    converted = (pl.col("pilot_converted") <= day).fill_null(False)
    return pl.col("pilot").fill_null(False) & ~converted


def conversion(day: pl.Expr) -> pl.Expr:
    """The day on which a won pilot was converted, where that had come by ``day``."""
    return pl.when(pl.col("pilot") & (pl.col("pilot_converted") <= day)).then("pilot_converted")


def _at_known_moment(deals: pl.DataFrame, changes: pl.DataFrame, calendar: Calendar) -> pl.DataFrame:
    """What the CRM changed after ``known_at`` is undone, for the fields whose history is there."""
    if changes.filter(pl.col("changed_at") > calendar.known_at).is_empty():
        return deals
    rows = deals.with_columns(at=pl.lit(calendar.known_at, UTC))
    rows = asof.set_back(rows, changes, asof.FIELDS["deals"])
    undone = pl.col("deal_id").is_not_null() & (pl.col("field") == "stage")
    moved = changes.filter((pl.col("changed_at") > calendar.known_at) & undone).select(
        external_id="deal_id", _moved=pl.lit(True)
    )
    # The CRM's own flags speak of its present stage only.
    joined = rows.drop("at").join(moved.unique(), on="external_id", how="left", maintain_order="left")
    return joined.with_columns(
        pl.when(pl.col("_moved").is_null()).then(flag).alias(flag) for flag in ("is_closed", "is_won")
    ).drop("_moved")


def stage_outcome() -> pl.Expr:
    """The stage's outcome; a stage that no layout knows is read from the CRM's own flags, else it is open."""
    return (
        pl.when(pl.col("stage_outcome").is_not_null())
        .then("stage_outcome")
        .when(pl.col("is_won"))
        .then(pl.lit("won"))
        .when(pl.col("is_closed"))
        .then(pl.lit("lost"))
        .otherwise(pl.lit("open"))
    )


def _with_dates(
    deals: pl.DataFrame, entries: pl.DataFrame, calendar: Calendar, outcome_day: str
) -> pl.DataFrame:
    """Adds outcome_day, entered_at, qualified_day and unlogged. ``deals``: in the order of those of ``entries``;
    ``outcome_day``: which date of an outcome comes first (R9)."""
    before = pl.when(pl.col("deal") == pl.col("deal").shift(1)).then(pl.col("outcome").shift(1))
    ended = (pl.col("outcome") != "open") & (pl.col("outcome") != before.fill_null("open"))
    at = pl.col("entered_at")
    told = entries.group_by("deal").agg(
        entered_at=at.filter(ended & pl.col("known")).max(),
        _qualified_at=at.filter("qualified").min(),
        _logged=pl.col("known").any(),
    )
    rows = deals.with_row_index("deal").join(told, on="deal", how="left", maintain_order="left").drop("deal")
    entered = pl.when(pl.col("outcome") != "open").then("entered_at")
    converted = pl.when(pl.col("outcome") == "won").then(conversion(pl.lit(calendar.known_day)))
    dated = ("close_date", calendar.local_day(entered))
    decided = pl.coalesce(converted, *(dated if outcome_day == "close_date" else reversed(dated)))
    unlogged = ~pl.col("_logged").fill_null(False)
    on_creation = (pl.col("outcome") == "won") | ((pl.col("outcome") == "lost") & unlogged)
    return rows.with_columns(
        entered_at=entered,
        outcome_day=pl.when(pl.col("outcome") != "open").then(decided),
        qualified_day=pl.coalesce(
            calendar.local_day(pl.col("_qualified_at")),
            pl.when(on_creation).then(pl.coalesce("created_day", decided)),
        ),
        unlogged=unlogged,
    ).drop("_qualified_at", "_logged")


def _with_segments(deals: pl.DataFrame, accounts: pl.DataFrame, company: Company) -> pl.DataFrame:
    """Adds account, customer, motion, size and industry (rulings 16 and 24)."""
    sources = source_map(company)
    of_account = accounts.select(
        "account_id", account="live_id", customer="customer", _size="size", industry="industry"
    )
    rows = deals.join(of_account, on="account_id", how="left", maintain_order="left")
    # A picklist's "Self Serve" is the map's "self-serve": two spellings are not two motions.
    stated_one = stated(pl.col("motion"))
    names = {_letters(motion): motion for motion in company.source_map}
    key = stated_one.str.to_lowercase().str.replace_all(_NO_LETTER, "")
    own = key.replace_strict(names, default=stated_one, return_dtype=pl.String)
    source = stated(pl.col("lead_source"))
    mapped = source.str.to_lowercase().replace_strict(sources, default=None, return_dtype=pl.String)
    return rows.with_columns(
        motion=pl.coalesce(own, mapped),
        size=pl.coalesce(stated(pl.col("segment")), "_size"),
    ).drop("_size")


def _letters(text: str) -> str:
    return re.sub(r"[\W_]", "", text.lower())


def source_map(company: Company) -> dict[str, str]:
    """Lead source (lower case) -> motion; a motion's own name counts as a source of it."""
    own = {motion.strip().lower(): motion for motion in company.source_map}
    return own | {
        word.strip().lower(): motion for motion, words in company.source_map.items() for word in words
    }


def _with_money(deals: pl.DataFrame, lines: pl.DataFrame, settings: ArrSettings) -> pl.DataFrame:
    """Adds arr_value, term and what a contract needs (rulings 7 and 8).

    A blank or zero term is 12 months where there is an ARR value; a negative term is no term to trust.
    """
    told = lines.group_by("deal_id").agg(
        _begins=pl.col("begins").min(),
        _foreign=(pl.col("currency") != pl.col("deal_currency")).any(),
        _backwards=pl.col("backwards").any(),
        _lines=pl.len(),
    )
    rows = deals.join(
        told, left_on="external_id", right_on="deal_id", how="left", maintain_order="left"
    ).with_columns(
        starts=pl.coalesce("start_date", "_begins", "outcome_day"),
        start_assumed=pl.coalesce("start_date", "_begins").is_null(),
    )
    dated = lines.join(rows.select("starts", deal_id="external_id"), on="deal_id")
    own = after(pl.coalesce("begins", "starts"), pl.col("months"))
    until = dated.group_by("deal_id").agg(_until=own.max())
    for part in (line_items.first_step(dated, "starts"), until):
        rows = rows.join(part, left_on="external_id", right_on="deal_id", how="left", maintain_order="left")
    months = pl.col("term_months").fill_null(0)
    backwards = (months < 0) | pl.col("_backwards").fill_null(value=False)
    value = _value(settings)
    valued = rows.with_columns(arr_value=pl.when(~backwards & ~pl.col("paid_pilot")).then(value))
    there = pl.col("arr_value").is_not_null()
    term = pl.when(months != 0).then(months).when(there & pl.col("_until").is_null()).then(12)
    negated = pl.col("deal_type").is_in(reducing(settings)) & (pl.col("arr_value") > 0)
    return valued.with_columns(
        term=pl.when(months != 0).then(months).when(there).then(12),
        ends=pl.when(there).then(pl.coalesce(after(pl.col("starts"), term), "_until")),
        term_assumed=there & (months == 0) & pl.col("_until").is_null(),
        arr_signed=pl.when(negated).then(-pl.col("arr_value")).otherwise("arr_value"),
        lines_foreign=pl.col("_foreign").fill_null(value=False),
        dates_reversed=backwards,
        recurring_lines=pl.col("_lines").fill_null(0),
    ).drop("_begins", "_foreign", "_backwards", "_lines", "_until", "first")


def _value(settings: ArrSettings) -> pl.Expr:
    """A deal's ARR as its source has it; what is sold once is no part of a total contract value's ARR (R3)."""
    if settings.source == "line_items":
        return pl.col("first")
    left = pl.col("amount") - pl.col("once").fill_null(0)
    return pl.coalesce("arr", annualised(left, pl.col("term_months"), settings))


def _sold_once(lines: pl.DataFrame, settings: ArrSettings) -> pl.DataFrame:
    """deal_id, once: what the lines that are no ARR add to each deal's total amount."""
    if settings.basis != "tcv":
        lines = lines.clear()
    return lines.filter(~recurring(settings)).group_by("deal_id").agg(once=pl.col("amount").sum())
