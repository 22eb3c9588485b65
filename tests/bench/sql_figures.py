"""Figures of ``large_company`` a second time, as SQL for DuckDB over the same columns: what a data team would write.

Nothing here comes from ``metrics``; the definition book is read anew, as far as that company asks for it: months that
are over, its own deal types and lead sources, merges of one step, a home currency that is the report's, twelve-month
cycles from the qualified stage. Money is converted row by row in whole numbers and rounded half to even.

``FIGURES``: KPI -> a query of month, segment, value, for the whole company or, with ``{cut}`` filled in, by size.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import duckdb
import polars as pl

from tests.bench.large_company import MONTHS, NOW

TABLES: Final = (
    "accounts", "deal_changes", "deals", "exchange_rates", "leads", "line_items", "quotas", "stages",
)  # fmt: skip
_ZONE: Final = "America/New_York"
_MONTHS: Final = f"""
    CREATE TABLE months AS
    SELECT strftime(first, '%Y-%m') AS month, first, last_day(first) AS day,
           date_trunc('quarter', first)::DATE AS quarter_first
    FROM (SELECT unnest(generate_series(DATE '{MONTHS[0]}-01', DATE '{MONTHS[-1]}-01', INTERVAL 1 MONTH))::DATE
          AS first)
"""


def half_even(top: str, bottom: str) -> str:
    """A quotient of whole numbers, rounded half to even."""
    return (
        f"(CASE WHEN 2 * (({top}) - ({bottom}) * (({top}) // ({bottom}))) > ({bottom})"
        f" OR (2 * (({top}) - ({bottom}) * (({top}) // ({bottom}))) = ({bottom})"
        f" AND (({top}) // ({bottom})) % 2 = 1)"
        f" THEN ({top}) // ({bottom}) + 1 ELSE ({top}) // ({bottom}) END)"
    )


def converted(amount: str) -> str:
    """An amount at ``micro``, millionths of the home currency for one unit."""
    return f"{half_even(f'{amount}::HUGEINT * micro', '1000000')}::BIGINT"


def rated(rows: str, day: str) -> str:
    """The rows with the rate in force on a day of theirs, the first one before it; the home currency's is one."""
    return f"""
        SELECT r.*, CASE WHEN r.currency = 'USD' THEN 1000000 ELSE coalesce(x.micro, f.micro) END AS micro
        FROM ({rows}) r
        ASOF LEFT JOIN rates x ON x.currency = r.currency AND x.start_date <= r.{day}
        LEFT JOIN (SELECT currency, arg_min(micro, start_date) AS micro FROM rates GROUP BY currency) f
          ON f.currency = r.currency
    """


# Shared by the figures, as facts are by our KPIs: made once.
SHARED: Final = (
    """
    CREATE TABLE rates AS
    SELECT currency, start_date, (rate * 1000000)::BIGINT AS micro FROM exchange_rates WHERE deleted_at IS NULL
    """,
    """
    CREATE TABLE layout AS
    SELECT pipeline, stage, NOT is_closed AS is_open, is_won,
           NOT is_closed AND sort_order >= (
             SELECT list_sort(list(o.sort_order))[2] FROM stages o WHERE o.pipeline = s.pipeline AND NOT o.is_closed
           ) AS qualified
    FROM stages s
    """,
    f"""
    CREATE TABLE sizes AS
    SELECT a.external_id AS account_id,
           CASE WHEN l.employees >= 1000 THEN 'Enterprise' WHEN l.employees >= 200 THEN 'Mid-market'
                WHEN l.employees > 0 THEN 'SMB' END AS size
    FROM accounts a
    JOIN accounts l
      ON l.external_id = CASE WHEN a.deleted_at <= TIMESTAMPTZ '{NOW}' THEN a.merged_into ELSE a.external_id END
     AND l.deleted_at IS NULL
    """,
    f"""
    CREATE TABLE known AS
    WITH entries AS (
      SELECT c.deal_id, min(c.changed_at) AS at
      FROM deal_changes c
      JOIN deals d ON d.external_id = c.deal_id
      JOIN layout l ON l.pipeline = d.pipeline AND l.stage = c.new_value AND l.qualified
      WHERE c.field = 'stage' AND c.changed_at <= TIMESTAMPTZ '{NOW}'
      GROUP BY c.deal_id
    ),
    once AS (SELECT deal_id, sum(amount)::BIGINT AS amount FROM line_items WHERE kind = 'one_time' GROUP BY deal_id),
    staged AS (
      SELECT d.*, l.is_open, l.is_won AS won_stage,
             lower(trim(d.type)) AS kind,
             coalesce(d.segment, s.size) AS size,
             (d.created_at AT TIME ZONE '{_ZONE}')::DATE AS created_day,
             (e.at AT TIME ZONE '{_ZONE}')::DATE AS entered_day,
             coalesce(o.amount, 0) AS once,
             coalesce(d.pilot, false) AND coalesce(d.pilot_converted > DATE '{NOW.date()}', true) AS pending
      FROM deals d
      JOIN layout l ON l.pipeline = d.pipeline AND l.stage = d.stage
      LEFT JOIN entries e ON e.deal_id = d.external_id
      LEFT JOIN sizes s ON s.account_id = d.account_id
      LEFT JOIN once o ON o.deal_id = d.external_id
      WHERE d.created_at <= TIMESTAMPTZ '{NOW}' AND (d.deleted_at IS NULL OR d.deleted_at > TIMESTAMPTZ '{NOW}')
    ),
    judged AS (
      SELECT *, CASE WHEN is_open OR (won_stage AND pending) THEN 'open' WHEN won_stage THEN 'won' ELSE 'lost' END
             AS outcome
      FROM staged
    )
    SELECT external_id, created_at, created_day, pipeline, stage, kind, size, outcome, amount, currency, close_date,
           lead_source, pilot, pilot_converted,
           CASE WHEN outcome = 'won' AND pilot THEN pilot_converted WHEN outcome <> 'open' THEN close_date END
             AS outcome_day,
           coalesce(entered_day, CASE WHEN outcome = 'won' THEN created_day END) AS qualified_day,
           coalesce(arr, CASE WHEN term_months > 0
             THEN {half_even("(amount - once) * 12", "term_months")} END) AS arr
    FROM judged
    """,
    f"""
    CREATE TABLE closed AS
    SELECT m.month, c.size AS segment, c.outcome = 'won' AS won, c.arr, {converted("c.arr")} AS value,
           c.outcome_day - c.qualified_day AS days, c.outcome_day - c.created_day AS age
    FROM months m
    JOIN (
      {
        rated(
            "SELECT * FROM known WHERE kind = 'new business' AND outcome <> 'open' AND qualified_day IS NOT NULL",
            "outcome_day",
        )
    }
    ) c ON date_trunc('quarter', c.outcome_day)::DATE = m.quarter_first AND c.outcome_day <= m.day
    """,
)

# A value as it was at the end of a snapshot: that of the last change up to then, else what the first one found there,
# else the present one.
_THEN: Final = """
    CASE WHEN {name}.new_value IS NOT NULL THEN {name}.new_value
         WHEN first_{name}.deal_id IS NOT NULL THEN first_{name}.old_value
         ELSE d.{name}::VARCHAR END
"""


def _past(name: str) -> str:
    log = f"(SELECT deal_id, changed_at, new_value FROM deal_changes WHERE field = '{name}')"
    first = (
        "(SELECT deal_id, arg_min(old_value, changed_at) AS old_value FROM deal_changes "
        f"WHERE field = '{name}' GROUP BY deal_id)"
    )
    return (
        f"ASOF LEFT JOIN {log} {name} ON {name}.deal_id = d.external_id AND {name}.changed_at <= d.at "
        f"LEFT JOIN {first} first_{name} ON first_{name}.deal_id = d.external_id"
    )


_SNAPSHOT: Final = f"""
    WITH days AS (
      SELECT DISTINCT quarter_first, quarter_first + 20 AS day,
             ((quarter_first + 21)::TIMESTAMP AT TIME ZONE '{_ZONE}') - INTERVAL 1 MICROSECOND AS at
      FROM months
    ),
    standing AS (
      SELECT d.quarter_first, d.day, d.size, d.currency, d.pipeline, d.pilot, d.pilot_converted,
             {_THEN.format(name="stage")} AS stage,
             ({_THEN.format(name="close_date")})::DATE AS close_date,
             ({_THEN.format(name="amount")})::BIGINT AS amount
      FROM (
        SELECT k.*, s.* FROM known k JOIN days s ON k.created_at <= s.at
        WHERE k.kind IN ('new business', 'expansion')
      ) d
      {_past("stage")} {_past("close_date")} {_past("amount")}
    ),
    open AS (
      SELECT s.quarter_first, s.day, s.size, s.currency, coalesce(s.amount, 0) AS amount
      FROM standing s JOIN layout l ON l.pipeline = s.pipeline AND l.stage = s.stage
      WHERE (l.is_open OR (l.is_won AND coalesce(s.pilot, false) AND coalesce(s.pilot_converted > s.day, true)))
        AND s.close_date >= s.day AND s.close_date < s.quarter_first + INTERVAL 3 MONTH
    ),
    valued AS (
      SELECT quarter_first, sum({converted("amount")})::BIGINT AS value
      FROM ({rated("SELECT * FROM open", "day")}) GROUP BY quarter_first
    ),
    quota AS (
      SELECT quarter_first, sum({converted("amount")})::BIGINT AS value
      FROM ({
    rated(
        "SELECT date_trunc('quarter', start_date)::DATE AS quarter_first, amount, currency FROM quotas",
        "quarter_first",
    )
})
      GROUP BY quarter_first
    )
    SELECT m.month, NULL::VARCHAR AS segment, v.value / q.value::DOUBLE AS value
    FROM months m JOIN valued v USING (quarter_first) JOIN quota q USING (quarter_first)
"""

FIGURES: Final[Mapping[str, str]] = {
    "win_rate": "SELECT month, {cut}, sum(won::INT) / count(*)::DOUBLE FROM closed GROUP BY ALL",
    "win_rate_value": """
        SELECT month, {cut}, sum(CASE WHEN won THEN coalesce(value, 0) ELSE 0 END)::DOUBLE
               / nullif(sum(coalesce(value, 0))::DOUBLE, 0)
        FROM closed GROUP BY ALL
    """,
    "avg_deal_size": """
        SELECT month, {cut}, sum(value)::DOUBLE / count(*)::DOUBLE FROM closed WHERE won AND value <> 0 GROUP BY ALL
    """,
    "cycle_days_median": """
        SELECT month, {cut}, median(days)::DOUBLE FROM closed WHERE won AND age > 1 AND days >= 0 GROUP BY ALL
    """,
    "win_rate_cohort": """
        SELECT m.month, {cut}, sum((k.outcome = 'won')::INT) / count(*)::DOUBLE
        FROM (SELECT *, size AS segment FROM known) k JOIN months m
          ON date_trunc('quarter', k.created_day)::DATE = m.quarter_first AND k.created_day <= m.day
        WHERE k.kind = 'new business' AND k.qualified_day IS NOT NULL GROUP BY ALL
    """,
    "marketing_sourced_revenue": f"""
        SELECT m.month, {{cut}},
               sum(CASE WHEN lower(trim(lead_source)) IN ('web', 'webinar') THEN {
        converted("amount")
    } ELSE 0 END)::DOUBLE
        FROM (
          {
        rated(
            "SELECT * REPLACE (coalesce(amount, 0) AS amount), size AS segment FROM known "
            "WHERE kind IN ('new business', 'expansion') AND outcome = 'won'",
            "outcome_day",
        )
    }
        ) k JOIN months m
          ON date_trunc('quarter', k.outcome_day)::DATE = m.quarter_first AND k.outcome_day <= m.day
        GROUP BY ALL
    """,
    "lead_to_opportunity": f"""
        SELECT m.month, NULL::VARCHAR,
               sum(coalesce(
                 l.converted_at <= DATE '{NOW.date()}' AND l.converted_at - l.day BETWEEN 0 AND 90, false
               )::INT) / count(*)::DOUBLE
        FROM (
          SELECT *, (created_at AT TIME ZONE '{_ZONE}')::DATE AS day FROM leads
          WHERE created_at <= TIMESTAMPTZ '{NOW}' AND deleted_at IS NULL
        ) l JOIN months m ON l.day BETWEEN m.first AND m.day
        GROUP BY ALL
    """,
    "pipeline_coverage": _SNAPSHOT,
}


class _Stream:
    """A frame as the stream of Arrow batches that DuckDB reads."""

    def __init__(self, frame: pl.DataFrame) -> None:
        self._frame = frame

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        return self._frame.__arrow_c_stream__(requested_schema)


def opened(frames: Mapping[str, pl.DataFrame]) -> duckdb.DuckDBPyConnection:
    """A database in memory with the frames as tables of its own."""
    base = duckdb.connect()
    base.execute("SET TimeZone = 'UTC'")
    for name in TABLES:
        base.register("stream", _Stream(frames[name]))
        base.execute(f"CREATE TABLE {name} AS SELECT * FROM stream")
        base.unregister("stream")
    base.execute(_MONTHS)
    return base


def share(base: duckdb.DuckDBPyConnection) -> None:
    """Makes what the figures share."""
    for statement in SHARED:
        base.execute(statement)


def figure(
    base: duckdb.DuckDBPyConnection, kpi: str, cut: str | None = None
) -> dict[tuple[str, str | None], Any]:
    """Month and segment -> value."""
    segment = "NULL::VARCHAR AS segment" if cut is None else "coalesce(segment, 'unknown') AS segment"
    rows = base.execute(FIGURES[kpi].replace("{cut}", segment)).fetchall()
    return {(month, name): value for month, name, value in rows}
