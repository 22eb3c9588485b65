"""Views for people and BI tools: deals with names beside their ids, today's pipeline, deals as of any day.

Views hold no data, so they are not migrated: every upgrade of the schema drops them and makes them anew. Their names
and columns are stable. What a view says is what Boardline's own reports say (a test compares them).

- ``current_sources``: the CRM each company was last synced from. Grain: one company.
- ``deals_as_of``: every deal as it stood at the end of a day. Grain: company, day and deal. Ask for one day:
  ``SELECT * FROM deals_as_of WHERE company = 'acme' AND day = '2026-06-30'``.
- ``pipeline_today``: the deals that were open when we last looked. Grain: one open deal.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, inspect, text

from connectors.schema import MINOR_UNITS

# Fields that ``deals_as_of`` sets back, and what the text of a change is read as.
HISTORIC: Final[Mapping[str, str]] = {
    "pipeline": "TEXT",
    "stage": "TEXT",
    "amount": "BIGINT",
    "close_date": "DATE",
    "probability": "DOUBLE PRECISION",
    "forecast_category": "TEXT",
    "owner_id": "TEXT",
    "account_id": "TEXT",
    "type": "TEXT",
    "arr": "BIGINT",
}
_AS_IT_IS: Final = ("external_id", "name", "currency", "created_at", "pilot", "pilot_converted")
VIEWS: Final = ("current_sources", "deals_as_of", "pipeline_today")


def create(connection: Connection) -> None:
    """Make all views, in the order in which they stand on each other."""
    for name, query in definitions(connection.dialect.name).items():
        connection.execute(text(f"CREATE VIEW {name} AS {query}".replace(":", "\\:")))


def drop(connection: Connection) -> None:
    """Take away the views that are there."""
    there = set(inspect(connection).get_view_names())
    for name in reversed(VIEWS):
        if name in there:
            connection.execute(text(f"DROP VIEW {name}"))


def definitions(dialect: str) -> dict[str, str]:
    """View -> its query on that database."""
    found = {
        "current_sources": _CURRENT,
        "deals_as_of": _deals_as_of(dialect),
        "pipeline_today": _pipeline_today(dialect),
    }
    return {name: found[name] for name in VIEWS}


_CURRENT: Final = """
SELECT company, crm, home_currency, refreshed_at, complete_at, links
FROM (
    SELECT s.*, ROW_NUMBER() OVER (PARTITION BY company ORDER BY refreshed_at DESC, crm) AS latest
    FROM sources s
) ranked
WHERE latest = 1
"""


def _deals_as_of(dialect: str) -> str:
    kept = ", ".join(f"d.{column}" for column in _AS_IT_IS)
    # A stage is never blank at creation: where the log does not know the one before, its first one counts.
    fields = ",\n    ".join(f"{_then(field, dialect)} AS {field}" for field in HISTORIC)
    moved = _exists("stage", "c.changed_at > y.ends_at")
    moved_pipeline = _exists("pipeline", "c.changed_at > y.ends_at")
    return f"""
SELECT
    t.company, t.crm, t.day, t.external_id AS deal_id, t.name,
    t.account_id, a.name AS account, t.owner_id, o.name AS owner, t.type,
    t.pipeline, t.stage, COALESCE(s.label, t.stage) AS stage_label, s.sort_order AS stage_order,
    {_open(dialect)} AS is_open,
    {_major("t.amount", "t.currency")} AS amount, t.amount AS amount_minor, t.currency,
    {_major("t.arr", "t.currency")} AS arr, t.arr AS arr_minor,
    t.close_date, t.probability, t.forecast_category, t.created_at
FROM (
    SELECT
    y.company, d.crm, y.day, {kept},
    CASE WHEN NOT {moved} AND NOT {moved_pipeline} THEN d.is_closed END AS is_closed,
    CASE WHEN NOT {moved} AND NOT {moved_pipeline} THEN d.is_won END AS is_won,
    {fields}
    FROM calendar_days y
    JOIN current_sources c0 ON c0.company = y.company
    JOIN deals d ON d.company = c0.company AND d.crm = c0.crm
    WHERE (d.created_at IS NULL OR d.created_at <= y.ends_at)
      AND (d.deleted_at IS NULL OR d.deleted_at > y.ends_at)
) t
LEFT JOIN accounts a ON a.company = t.company AND a.crm = t.crm AND a.external_id = t.account_id
LEFT JOIN owners o ON o.company = t.company AND o.crm = t.crm AND o.external_id = t.owner_id
{_layout("t")}
"""


def _pipeline_today(dialect: str) -> str:
    url = "json_extract(c0.links, '$.deals')" if dialect == "sqlite" else "(c0.links::json ->> 'deals')"
    return f"""
SELECT
    t.company, t.crm, t.external_id AS deal_id, t.name, REPLACE({url}, '{{id}}', t.external_id) AS url,
    t.account_id, a.name AS account, t.owner_id, o.name AS owner, t.type,
    t.pipeline, COALESCE(s.pipeline_label, t.pipeline) AS pipeline_label,
    t.stage, COALESCE(s.label, t.stage) AS stage_label, s.sort_order AS stage_order,
    {_major("t.amount", "t.currency")} AS amount, t.amount AS amount_minor, t.currency,
    t.close_date, t.probability, t.forecast_category, t.next_step, t.created_at, t.modified_at,
    c0.refreshed_at AS as_of
FROM current_sources c0
JOIN (
    SELECT d.*, {_today(dialect)} AS day FROM deals d
) t ON t.company = c0.company AND t.crm = c0.crm AND t.deleted_at IS NULL
LEFT JOIN accounts a ON a.company = t.company AND a.crm = t.crm AND a.external_id = t.account_id
LEFT JOIN owners o ON o.company = t.company AND o.crm = t.crm AND o.external_id = t.owner_id
{_layout("t")}
WHERE {_open(dialect)}
"""


def _today(dialect: str) -> str:
    """The last day that has begun in the company's time zone."""
    now = "STRFTIME('%Y-%m-%d %H:%M:%f', 'now')" if dialect == "sqlite" else "CURRENT_TIMESTAMP"
    return f"""(
        SELECT MIN(y.day) FROM calendar_days y
        WHERE y.company = d.company AND y.ends_at >= {now}
    )"""


def _layout(rows: str) -> str:
    """The stage of a deal: that of its own pipeline, else the one of that name where there is only one."""
    return f"""
LEFT JOIN stages s ON s.company = {rows}.company AND s.crm = {rows}.crm AND s.stage = {rows}.stage AND (
    s.pipeline = {rows}.pipeline
    OR (
        NOT EXISTS (
            SELECT 1 FROM stages own
            WHERE own.company = {rows}.company AND own.crm = {rows}.crm
              AND own.stage = {rows}.stage AND own.pipeline = {rows}.pipeline
        )
        AND (
            SELECT COUNT(*) FROM stages other
            WHERE other.company = {rows}.company AND other.crm = {rows}.crm AND other.stage = {rows}.stage
        ) = 1
    )
)"""


def _open(dialect: str) -> str:
    """Open is what the layout, else the CRM, does not call closed, and a won pilot that is not converted yet."""
    true, false = ("1", "0") if dialect == "sqlite" else ("TRUE", "FALSE")
    return f"""(
        COALESCE(s.is_closed, t.is_closed, {false}) = {false}
        OR (
            COALESCE(s.is_won, t.is_won, {false}) = {true}
            AND COALESCE(t.pilot, {false}) = {true}
            AND (t.pilot_converted IS NULL OR t.pilot_converted > t.day)
        )
    )"""


def _then(field: str, dialect: str) -> str:
    """A field at the end of the day: of now if it has not changed since, else as the last change up to then left it."""
    last = _value("new_value", field, "c.changed_at <= y.ends_at", "DESC")
    first = _value("old_value", field, "", "ASC")
    if field == "stage":
        first = f"COALESCE({first}, {_value('new_value', field, '', 'ASC')})"
    return f"""CASE
        WHEN NOT {_exists(field, "c.changed_at > y.ends_at")} THEN d.{field}
        WHEN {_exists(field, "c.changed_at <= y.ends_at")} THEN {_cast(last, field, dialect)}
        ELSE {_cast(first, field, dialect)}
    END"""


def _cast(value: str, field: str, dialect: str) -> str:
    kind = HISTORIC[field]
    stays_text = kind == "TEXT" or (kind == "DATE" and dialect == "sqlite")
    return f"NULLIF({value}, '')" if stays_text else f"CAST(NULLIF({value}, '') AS {kind})"


def _of(field: str) -> str:
    return (
        "c.company = d.company AND c.crm = d.crm AND c.deal_id = d.external_id "
        f"AND c.field = '{field}' AND {_COUNTS}"
    )


def _exists(field: str, when: str) -> str:
    return f"EXISTS (SELECT 1 FROM deal_changes c WHERE {_of(field)} AND {when})"


def _value(column: str, field: str, when: str, order: str) -> str:
    condition = f"{_of(field)} AND {when}" if when else _of(field)
    return (
        f"(SELECT c.{column} FROM deal_changes c WHERE {condition} "
        f"ORDER BY c.changed_at {order}, c.seq {order} LIMIT 1)"
    )


# What we noticed ourselves counts only under the mapping in force: a field read from elsewhere now has another past.
_COUNTS: Final = """(c.origin <> 'comparison' OR EXISTS (
    SELECT 1 FROM history_coverage h
    WHERE h.company = c.company AND h.crm = c.crm AND h."table" = 'deals' AND h.field = c.field
      AND h.origin = 'comparison' AND c.recorded_at >= h.reliable_from
))"""


def _major(amount: str, currency: str) -> str:
    """Minor units as major ones."""
    by_digits: dict[int, list[str]] = {}
    for code, digits in MINOR_UNITS.items():
        by_digits.setdefault(digits, []).append(f"'{code}'")
    cases = " ".join(
        f"WHEN {currency} IN ({', '.join(codes)}) THEN {float(10**digits)}"
        for digits, codes in sorted(by_digits.items())
    )
    return f"({amount} / CASE {cases} ELSE 100.0 END)"
