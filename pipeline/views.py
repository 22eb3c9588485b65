"""Views for people and BI tools: deals with names beside their ids, today's pipeline, deals as of any day.

Views hold no data, so they are not migrated: every upgrade of the schema drops them and makes them anew. Their names
and columns are stable. What a view says is what Boardline's own reports say (a test compares them).

- ``current_sources``: the CRM each company was last synced from. Grain: one company.
- ``deals_as_of``: every deal as it stood at the end of a day, in the sales process as it was laid out then; a deal
  that was deleted or in the bin that day is not in it. Its probability is what the CRM said then, as ``metrics.odds``
  has it: its own where the log tells of it, or where it has neither changed nor left its stage since, else that of the
  stage. Grain: company, day and deal. Ask for one day:
  ``SELECT * FROM deals_as_of WHERE company = 'acme' AND day = '2026-06-30'``.
- ``pipeline_today``: the deals that were open when we last looked. Grain: one open deal.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from sqlalchemy import Connection, inspect, text

from connectors.schema import MINOR_UNITS

# Fields of deals that ``deals_as_of`` sets back, and what the text of a change is read as.
HISTORIC: Final[Mapping[str, str]] = {
    "pipeline": "TEXT",
    "stage": "TEXT",
    "amount": "BIGINT",
    "currency": "TEXT",
    "close_date": "DATE",
    "forecast_category": "TEXT",
    "owner_id": "TEXT",
    "account_id": "TEXT",
    "type": "TEXT",
    "arr": "BIGINT",
}
# The same of the stage that a deal stood in.
LAYOUT: Final[Mapping[str, str]] = {
    "label": "TEXT",
    "sort_order": "BIGINT",
    "is_closed": "BOOLEAN",
    "is_won": "BOOLEAN",
    "probability": "DOUBLE PRECISION",
}
_PROBABILITY: Final = "DOUBLE PRECISION"
_AS_IT_IS: Final = ("external_id", "name", "created_at", "pilot", "pilot_converted")
VIEWS: Final = ("current_sources", "deals_as_of", "pipeline_today")


def create(connection: Connection) -> None:
    """Make all views, in the order in which they stand on each other."""
    for name, query in definitions(connection.dialect.name).items():
        connection.execute(text(_statement(name, query).replace(":", "\\:")))


def drop(connection: Connection) -> None:
    """Take away the views that are there."""
    there = set(inspect(connection).get_view_names())
    for name in reversed(VIEWS):
        if name in there:
            connection.execute(text(f"DROP VIEW {name}"))


def different(connection: Connection) -> list[str]:
    """The views that are missing, or do not ask what this program asks.

    PostgreSQL keeps a view as it understood it: it is shown the same questions once more, as temporary views that are
    gone when this returns. That takes a transaction that may write; raises the driver's error where it may not.
    """
    if connection.dialect.name == "sqlite":
        listed = text("SELECT name, sql FROM sqlite_master WHERE type = 'view'")
        there = {str(name): str(sql) for name, sql in connection.execute(listed)}
        return [
            name
            for name, query in definitions("sqlite").items()
            if there.get(name) != _statement(name, query)
        ]
    there = _understood(connection)
    trial = connection.begin_nested()
    for name, query in definitions("postgresql").items():
        connection.execute(text(_statement(name, query).replace("VIEW", "TEMP VIEW", 1).replace(":", "\\:")))
    wanted = _understood(connection)
    trial.rollback()
    return [name for name in VIEWS if there.get(name) != wanted[name]]


def _understood(connection: Connection) -> dict[str, str]:
    """View -> its query in PostgreSQL's own words, for the views that are seen first."""
    query = (
        "SELECT relname, pg_get_viewdef(oid) FROM pg_class WHERE relkind = 'v' AND pg_table_is_visible(oid)"
    )
    return {str(name): str(words) for name, words in connection.execute(text(query))}


def _statement(name: str, query: str) -> str:
    return f"CREATE VIEW {name} AS {query.rstrip()}"


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
    fields = ",\n    ".join(
        f"{_DEALS.then(field, kind, 'y.ends_at', dialect)} AS {field}" for field, kind in HISTORIC.items()
    )
    own = _DEALS.then("probability", _PROBABILITY, "y.ends_at", dialect)
    told = _DEALS.exists("probability", "c.changed_at <= y.ends_at")
    told_later = _DEALS.exists("probability", "c.changed_at > y.ends_at")
    gone = _DEALS.then("deleted_at", "TIMESTAMP", "y.ends_at", dialect)
    moved = _DEALS.exists("stage", "c.changed_at > y.ends_at")
    moved_pipeline = _DEALS.exists("pipeline", "c.changed_at > y.ends_at")
    stage = {field: _STAGES.then(field, kind, "t.ends_at", dialect) for field, kind in LAYOUT.items()}
    return f"""
SELECT
    t.company, t.crm, t.day, t.external_id AS deal_id, t.name,
    t.account_id, a.name AS account, t.owner_id, o.name AS owner, t.type,
    t.pipeline, t.stage, COALESCE({stage["label"]}, t.stage) AS stage_label,
    {stage["sort_order"]} AS stage_order,
    {_open(dialect, stage["is_closed"], stage["is_won"])} AS is_open,
    {_major("t.amount", "t.currency")} AS amount, t.amount AS amount_minor, t.currency,
    {_major("t.arr", "t.currency")} AS arr, t.arr AS arr_minor,
    t.close_date, COALESCE(t.probability, {stage["probability"]}) AS probability, t.forecast_category, t.created_at
FROM (
    SELECT
    y.company, d.crm, y.day, y.ends_at, {kept},
    CASE WHEN {told} OR NOT ({told_later} OR {moved} OR {moved_pipeline}) THEN {own} END AS probability,
    CASE WHEN NOT {moved} AND NOT {moved_pipeline} THEN d.is_closed END AS is_closed,
    CASE WHEN NOT {moved} AND NOT {moved_pipeline} THEN d.is_won END AS is_won,
    {fields}
    FROM calendar_days y
    JOIN current_sources c0 ON c0.company = y.company
    JOIN deals d ON d.company = c0.company AND d.crm = c0.crm
    WHERE (d.created_at IS NULL OR d.created_at <= y.ends_at)
      AND COALESCE({gone} > y.ends_at, {_TRUE[dialect]})
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
WHERE {_open(dialect, "s.is_closed", "s.is_won")}
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


_TRUE: Final = {"sqlite": "1", "postgresql": "TRUE"}
_FALSE: Final = {"sqlite": "0", "postgresql": "FALSE"}


def _open(dialect: str, is_closed: str, is_won: str) -> str:
    """Open is what the layout, else the CRM, does not call closed, and a won pilot that is not converted yet."""
    true, false = _TRUE[dialect], _FALSE[dialect]
    return f"""(
        COALESCE({is_closed}, t.is_closed, {false}) = {false}
        OR (
            COALESCE({is_won}, t.is_won, {false}) = {true}
            AND COALESCE(t.pilot, {false}) = {true}
            AND (t.pilot_converted IS NULL OR t.pilot_converted > t.day)
        )
    )"""


@dataclass(frozen=True)
class _Log:
    """The changes of a table's records. ``rows`` is the table's alias, ``same`` finds a record's changes ``c``."""

    table: str
    rows: str
    log: str
    same: str

    def then(self, field: str, kind: str, ends: str, dialect: str) -> str:
        """A field at an instant: of now if it has not changed since, else as the last change up to then left it."""
        last = self._value("new_value", field, f"c.changed_at <= {ends}", "DESC")
        first = self._value("old_value", field, "", "ASC")
        if field == "stage":
            first = f"COALESCE({first}, {self._value('new_value', field, '', 'ASC')})"
        return f"""CASE
        WHEN NOT {self.exists(field, f"c.changed_at > {ends}")} THEN {self.rows}.{field}
        WHEN {self.exists(field, f"c.changed_at <= {ends}")} THEN {_cast(last, kind, dialect)}
        ELSE {_cast(first, kind, dialect)}
    END"""

    def exists(self, field: str, when: str) -> str:
        return f"EXISTS (SELECT 1 FROM {self.log} c WHERE {self._of(field)} AND {when})"

    def _value(self, column: str, field: str, when: str, order: str) -> str:
        condition = f"{self._of(field)} AND {when}" if when else self._of(field)
        return (
            f"(SELECT c.{column} FROM {self.log} c WHERE {condition} "
            f"ORDER BY c.changed_at {order}, c.seq {order} LIMIT 1)"
        )

    def _of(self, field: str) -> str:
        """What we noticed ourselves counts only under the mapping in force: a field read from elsewhere now has another
        past."""
        return f"""c.company = {self.rows}.company AND c.crm = {self.rows}.crm AND {self.same} AND c.field = '{field}'
        AND (c.origin <> 'comparison' OR EXISTS (
            SELECT 1 FROM history_coverage h
            WHERE h.company = c.company AND h.crm = c.crm AND h."table" = '{self.table}' AND h.field = c.field
              AND h.origin = 'comparison' AND c.recorded_at >= h.reliable_from
        ))"""


_DEALS: Final = _Log("deals", "d", "deal_changes", "c.deal_id = d.external_id")
_STAGES: Final = _Log("stages", "s", "stage_changes", "c.pipeline = s.pipeline AND c.stage = s.stage")


def _cast(value: str, kind: str, dialect: str) -> str:
    """The text of a change as a value."""
    given = f"NULLIF({value}, '')"
    if kind == "BOOLEAN":
        return f"({given} = 'true')"
    if kind == "TEXT" or (kind in ("DATE", "TIMESTAMP") and dialect == "sqlite"):
        return given
    return f"CAST({given} || '+00' AS TIMESTAMPTZ)" if kind == "TIMESTAMP" else f"CAST({given} AS {kind})"


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
