"""The store's schema: which revision it is at, and how it comes to this program's.

Revisions lie in ``pipeline/migrations/versions``; Alembic runs them in process, in one transaction, under a lock,
so that two programs starting together upgrade once.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Final

from sqlalchemy import Connection, inspect, text

from connectors.errors import ConfigurationError
from pipeline import dictionary, guards, views

HEAD: Final = "0006"  # the newest revision this program knows; a test compares it with the files
FOLDER: Final = Path(__file__).parent / "migrations"
_LOCK: Final = 5_027_731_904_223_117  # any number that only Boardline uses


def revision(connection: Connection) -> str | None:
    """The revision the database is at; None: it has no tables of ours."""
    if not inspect(connection).has_table("alembic_version"):
        return None
    value = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return None if value is None else str(value)


def check(connection: Connection, place: str) -> bool:
    """Whether the schema is this program's; False: it is older or not there yet.

    Raises ``ConfigurationError`` for a store that a newer Boardline wrote, for a foreign database, and where no schema
    of PostgreSQL's search path is there.
    """
    found = revision(connection)
    if found == HEAD:
        return True
    if found is None:
        _require_schema(connection, place)
        foreign = set(inspect(connection).get_table_names()) & {"deals", "accounts", "runs"}
        if foreign:
            raise ConfigurationError(
                f"{place}: it holds tables of something else ({', '.join(sorted(foreign))}); name an empty database"
            )
        return False
    if found not in _known():
        raise ConfigurationError(
            f"{place}: a newer Boardline wrote it (schema {found}, this program knows {HEAD}); upgrade Boardline"
        )
    return False


def _require_schema(connection: Connection, place: str) -> None:
    """PostgreSQL passes over the schemas of a search path that are not there; with none left nothing can be made."""
    if (
        connection.dialect.name != "postgresql"
        or connection.execute(text("SELECT current_schema()")).scalar()
    ):
        return
    searched = connection.execute(text("SHOW search_path")).scalar()
    raise ConfigurationError(
        f"{place}: no schema of the search path ({searched}) is there for this user; create it "
        "(CREATE SCHEMA name AUTHORIZATION user), or correct search_path in store.url"
    )


def require(connection: Connection, place: str) -> str:
    """The revision of a store that this program knows, older ones included.

    Raises ``ConfigurationError`` for a newer one, a foreign database, and where there is no store.
    """
    check(connection, place)
    found = revision(connection)
    if found is None:
        raise ConfigurationError(f"{place}: there is no store in it yet; run `boardline sync --once` first")
    return found


def upgrade(connection: Connection, place: str, to: str = HEAD) -> tuple[str | None, str]:
    """Bring the schema to ``HEAD`` inside the connection's transaction; returns from which to which.

    ``to``: an older revision, for the copy of a store that is at it. There is no way back: an older program refuses
    the store, and the way back is the backup made before.
    """
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    before = revision(connection)
    if check(connection, place):
        return before, HEAD
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.attributes["connection"] = connection
    views.drop(connection)
    command.upgrade(config, to)
    if to == HEAD:
        guards.create(connection)
        views.create(connection)
        dictionary.comment(connection)
    return before, to


def mend(connection: Connection) -> list[str]:
    """Make anew the guards and views of a store at ``HEAD`` that are missing or not what this program makes; returns
    their names. They hold no data."""
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": _LOCK})
    broken_guards, broken_views = guards.different(connection), views.different(connection)
    if broken_guards:
        guards.create(connection)
    if broken_views:
        views.drop(connection)
        views.create(connection)
        dictionary.comment(connection)
    return [*broken_guards, *broken_views]


@cache
def _known() -> frozenset[str]:
    """Every revision this program has a script for."""
    return frozenset(path.name.split("_")[0] for path in (FOLDER / "versions").glob("[0-9]*.py"))
