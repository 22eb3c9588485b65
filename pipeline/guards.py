"""What the database itself refuses, so that no hand and no tool changes what is kept for good.

- ``snapshots``, ``snapshot_values``, ``snapshot_evidence``: numbers that were handed over are never updated, and never
  replaced (SQLite's INSERT OR REPLACE deletes the row that is there without asking any other guard);
- ``account_changes``, ``stage_changes``: what we noticed is never updated;
- ``deal_changes``: which change a row is, is never updated, nor what we noticed ourselves. What a CRM says of its own
  history may be corrected by the CRM, so loading may write it anew.

Rows may be deleted: a company can be forgotten. Guards hold no data, so they are not migrated: every upgrade of the
schema makes them anew.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from sqlalchemy import Connection, text

from pipeline.tables import CHANGES, METADATA

PUBLISHED: Final = ("snapshots", "snapshot_values", "snapshot_evidence")
_FROZEN: Final = "published numbers are frozen: add a new snapshot instead"
_ONLY_ADDED: Final = "what happened is only ever added to: this change is not one of the CRM''s own history"

# What a guard of a table does, where it says no: PostgreSQL's function of that name.
_FUNCTIONS: Final[Mapping[str, str]] = {
    "boardline_frozen": f" BEGIN RAISE EXCEPTION '{_FROZEN}'; END ",
    "boardline_only_added": f"""
BEGIN
    IF TG_TABLE_NAME = 'deal_changes' THEN
        IF NOT (OLD.origin IS NOT DISTINCT FROM 'comparison' AND NEW.origin IS NOT DISTINCT FROM 'comparison')
            AND (OLD.company, OLD.crm, OLD.deal_id, OLD.field, OLD.changed_at, OLD.seq)
              = (NEW.company, NEW.crm, NEW.deal_id, NEW.field, NEW.changed_at, NEW.seq)
        THEN RETURN NEW; END IF;
    END IF;
    RAISE EXCEPTION '{_ONLY_ADDED}';
END
""",
}


def names(dialect: str) -> dict[str, str]:
    """Guard -> the table it stands on, on that database."""
    found = {f"{name}_frozen": name for name in PUBLISHED}
    if dialect == "sqlite":  # PostgreSQL has no way to replace a row without updating or deleting it
        found |= {f"{name}_not_replaced": name for name in PUBLISHED}
    return found | {f"{name}_only_added": name for name in CHANGES}


def create(connection: Connection) -> None:
    """Make all guards, in the place of those that are there."""
    if connection.dialect.name == "sqlite":
        for name, statement in _sqlite().items():
            connection.exec_driver_sql(f"DROP TRIGGER IF EXISTS {name}")
            connection.exec_driver_sql(statement)
        return
    for function, body in _FUNCTIONS.items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE FUNCTION {function}() RETURNS trigger LANGUAGE plpgsql AS $${body}$$"
        )
    for name, table in names("postgresql").items():
        connection.exec_driver_sql(
            f"CREATE OR REPLACE TRIGGER {name} BEFORE UPDATE ON {table} "
            f"FOR EACH ROW EXECUTE FUNCTION {_function(name)}()"
        )


def different(connection: Connection) -> list[str]:
    """The guards that are missing, switched off, or not what this program makes."""
    wanted = names(connection.dialect.name)
    if connection.dialect.name == "sqlite":
        query = "SELECT name, sql FROM sqlite_master WHERE type = 'trigger'"
        there = {str(name): str(sql) for name, sql in connection.execute(text(query))}
        made = _sqlite()
        return [name for name in wanted if there.get(name) != made[name]]
    rows = connection.execute(text(_POSTGRES), {"names": list(wanted)})
    sound = {str(name) for name, table, body in rows if (table, body) == (wanted[name], _body(name))}
    return [name for name in wanted if name not in sound]


# Triggers BEFORE UPDATE, FOR EACH ROW (their type is 1 + 2 + 16), of all columns, under no condition, switched on.
_POSTGRES: Final = """
SELECT t.tgname, t.tgrelid::regclass::text, p.prosrc
FROM pg_trigger t JOIN pg_proc p ON p.oid = t.tgfoid JOIN pg_language l ON l.oid = p.prolang
WHERE t.tgname = ANY(:names) AND t.tgenabled IN ('O', 'A') AND t.tgtype = 19 AND t.tgqual IS NULL
  AND t.tgattr = '' AND l.lanname = 'plpgsql' AND pg_table_is_visible(t.tgrelid)
"""


def _function(guard: str) -> str:
    return "boardline_frozen" if guard.endswith("_frozen") else "boardline_only_added"


def _body(guard: str) -> str:
    return _FUNCTIONS[_function(guard)]


def _sqlite() -> dict[str, str]:
    """Guard -> the statement that makes it."""
    made = {}
    for name in PUBLISHED:
        refused = f"BEGIN SELECT RAISE(ABORT, '{_FROZEN}'); END"
        key = " AND ".join(
            f"there.{column.name} = NEW.{column.name}" for column in METADATA.tables[name].primary_key
        )
        made[f"{name}_frozen"] = f"CREATE TRIGGER {name}_frozen BEFORE UPDATE ON {name} {refused}"
        made[f"{name}_not_replaced"] = (
            f"CREATE TRIGGER {name}_not_replaced BEFORE INSERT ON {name} WHEN EXISTS "  # noqa: S608
            f"(SELECT 1 FROM {name} there WHERE ({key}) OR there.rowid = NEW.rowid) {refused}"
        )
    for name in CHANGES:
        same = " AND ".join(
            f"OLD.{column.name} IS NEW.{column.name}" for column in METADATA.tables[name].primary_key
        )
        ours = "OLD.origin IS 'comparison' AND NEW.origin IS 'comparison'"
        when = f"WHEN ({ours}) OR NOT ({same}) " if name == "deal_changes" else ""
        made[f"{name}_only_added"] = (
            f"CREATE TRIGGER {name}_only_added BEFORE UPDATE ON {name} {when}"
            f"BEGIN SELECT RAISE(ABORT, '{_ONLY_ADDED}'); END"
        )
    return made
