"""Leads by cohort: how many that came in became an opportunity, how many MQLs became SQLs.

Source: definition book, section 5, rulings 2, 3, 24, 32. The exact reading:

1. A lead is every lead that exists at ``known_at``: created by then, not deleted and not merged into another one. Its
   dates have no history; one that lies after the local day of ``known_at`` was not known then and counts as blank.
2. A cohort is a month: by the local day of creation, or by the MQL date; an MQL date that is missing where there is an
   SQL date is the SQL date. Both up to D.
3. Days are counted between local dates, both ends included: a lead of 1 March that was converted on 30 May (day 90) is
   in, on 31 May it is not; how many days there are is the company's choice (`acquisition.lead_days`, `sql_days`). A
   date before the cohort's own is a fault of the records: not reached, and counted.
4. A cohort is mature on the day after the last of its windows: before that its value is computed and marked.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

import polars as pl

from metrics import measures
from metrics.deals import source_map
from metrics.facts import Facts
from metrics.kpi import Kpi
from metrics.words import stated
from pipeline.company import AcquisitionSettings, Company

CUTS: Final = ("motion", "owner")


def known(facts: Facts) -> pl.DataFrame:
    """Every lead that exists at ``known_at``.

    Columns: external_id, name (the company it names, never the person), owner_id, motion (of its source through the
    source map, null where that knows none), created_day (local), mql_day, sql_day, converted_day (null where not
    reached by then).
    """
    today = facts.calendar.known_day
    source = stated(pl.col("source")).str.to_lowercase()
    return facts.live("leads").select(
        "external_id",
        "owner_id",
        name=stated(pl.col("company")),
        motion=source.replace_strict(source_map(facts.company), default=None, return_dtype=pl.String),
        created_day=facts.calendar.local_day(pl.col("created_at")),
        **{
            f"{step}_day": pl.when(pl.col(f"{step}_at") <= today).then(f"{step}_at")
            for step in ("mql", "sql", "converted")
        },
    )


def created(facts: Facts) -> pl.DataFrame:
    """Leads created in each month up to D: those of ``known``, month, entered, reached_on, span, reached.

    ``reached``: converted within the 90 days; ``span``: days from creation to conversion, null without one.
    """
    rows = facts.once(known).with_columns(entered="created_day", reached_on="converted_day")
    return _cohorts(facts, rows, facts.company.acquisition.lead_days)


def qualified(facts: Facts) -> pl.DataFrame:
    """MQLs of each month up to D: those of ``known``, month, entered, reached_on, span, reached, imputed.

    ``reached``: an SQL within the 60 days; ``imputed``: it had no MQL date, and the SQL date stands for it.
    """
    rows = facts.once(known).with_columns(
        entered=pl.coalesce("mql_day", "sql_day"), reached_on="sql_day", imputed=pl.col("mql_day").is_null()
    )
    return _cohorts(facts, rows, facts.company.acquisition.sql_days)


def lead_to_opportunity(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """Leads converted within 90 days over the leads created; n: leads created."""
    rows = facts.once(created)
    none = "no lead was created in the month"
    if facts.once(known).is_empty():
        none = "the CRM shows us no leads"
    early = rows.lazy().filter(pl.col("span") < 0).group_by("month").agg(n=pl.len())
    notes = (
        _immature(facts, facts.company.acquisition.lead_days),
        early.select("month", note=pl.format("{} converted before they were created: not counted", "n")),
    )
    return _rates(facts, rows, cut, none, notes)


def mql_to_sql(facts: Facts, cut: str | None) -> pl.LazyFrame:
    """MQLs that became SQLs within 60 days over the MQLs; n: MQLs."""
    rows = facts.once(qualified)
    leads = facts.once(known)
    none = "no lead became an MQL in the month"
    if leads.is_empty():
        none = "the CRM shows us no leads"
    elif leads["mql_day"].is_null().all() and leads["sql_day"].is_null().all():
        none = "needs MQL and SQL dates: no lead holds any; name their fields under fields: leads: mql_at, sql_at"
    by_month = rows.lazy().group_by("month")
    imputed = by_month.agg(n=pl.col("imputed").sum(), of=pl.len()).filter(pl.col("n") > 0)
    early = by_month.agg(n=(pl.col("span") < 0).sum()).filter(pl.col("n") > 0)
    notes = (
        _immature(facts, facts.company.acquisition.sql_days),
        imputed.select(
            "month",
            note=pl.format("{} of {} skipped the MQL stage: MQLs on the day they became SQLs", "n", "of"),
        ),
        early.select("month", note=pl.format("{} were SQLs before they were MQLs: not counted", "n")),
    )
    return _rates(facts, rows, cut, none, notes)


def configured(kpi: Kpi, company: Company) -> Kpi:
    """A conversion as the company's settings make it: another window is another definition."""
    usual, own = AcquisitionSettings(), company.acquisition
    was, now = (
        (usual.lead_days, own.lead_days)
        if kpi.id == "lead_to_opportunity"
        else (usual.sql_days, own.sql_days)
    )
    if was == now:
        return kpi
    formula = kpi.definition.removeprefix(f"{kpi.id}/1: ").replace(str(was), str(now))
    return replace(kpi, definition=f"{kpi.id}/1 {now} days: {formula}")


def leads_behind(
    facts: Facts, rows: pl.DataFrame, month: str, since: str, reached: str, cut: str | None = None
) -> pl.DataFrame:
    """Evidence: the leads of a cohort (a frame of ``created`` or ``qualified``), 1 for each that got there in time."""
    note = pl.concat_str(
        pl.format(f"{since} {{}}", "entered"),
        pl.format(f"{reached} {{}} (day {{}})", "reached_on", "span"),
        separator=", ",
        ignore_nulls=True,
    )
    mine = named(facts, rows.filter(pl.col("month") == month).lazy()).collect()
    return measures.opened(
        mine.with_columns(object=pl.lit("leads"), contribution=pl.col("reached").cast(pl.Float64), note=note),
        cut,
    )


def named(facts: Facts, rows: pl.LazyFrame) -> pl.LazyFrame:
    """``rows`` with ``owner`` as it is printed."""
    return rows.join(facts.owner_names.lazy(), on="owner_id", how="left").with_columns(
        owner=pl.coalesce("owner", "owner_id")
    )


def _cohorts(facts: Facts, rows: pl.DataFrame, within: int) -> pl.DataFrame:
    """``rows`` (entered, reached_on) by the month they entered, with ``span`` and ``reached``."""
    months = facts.periods.select("month", "day")
    span = (pl.col("reached_on") - pl.col("entered")).dt.total_days()
    return (
        rows.with_columns(month=pl.col("entered").dt.strftime("%Y-%m"), span=span)
        .join(months, on="month")
        .filter(pl.col("entered") <= pl.col("day"))
        .with_columns(reached=pl.col("span").is_between(0, within).fill_null(False))
        .drop("day")
        .sort("month", "entered", "external_id")
    )


def _rates(
    facts: Facts, rows: pl.DataFrame, cut: str | None, none: str, notes: tuple[pl.LazyFrame, ...]
) -> pl.LazyFrame:
    if cut is not None and cut not in CUTS:
        return measures.nothing()
    totals = measures.summed(
        facts.periods,
        named(facts, rows.lazy()),
        cut,
        reached=pl.col("reached").sum().cast(pl.Int64),
        n=pl.len().cast(pl.Int64),
    )
    measure = measures.ratios(totals, "reached", "n", "n", none)
    return measures.noted(measure, measures.joined(notes))


def _immature(facts: Facts, within: int) -> pl.LazyFrame:
    """month, note: cohorts of which some lead has not had all its days yet."""
    last = pl.format("{}-01", "month").str.to_date().dt.month_end() + pl.duration(days=within)
    return (
        facts.periods.lazy()
        .select("month", mature=last + pl.duration(days=1))
        .filter(pl.col("mature") > facts.calendar.known_day)
        .select(
            "month",
            note=pl.format(
                "immature until {}: not all of its leads have had {} days", "mature", pl.lit(within)
            ),
        )
    )
