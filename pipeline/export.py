"""Every table and view into a file of its own, for tools that read Parquet or CSV: one state, bounded memory, exact.

Values are those of the store: money in minor units as integers, rates as decimals, instants in UTC. Major units
(``amount`` beside ``amount_minor``) are floating point, as in the store; the minor units beside them are exact.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, date, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final, Literal, get_args

import orjson
import polars as pl
from polars.io.plugins import register_io_source
from sqlalchemy import Connection, func, select, text

from connectors.errors import ConfigurationError
from pipeline import backup, dictionary, migrate, partial, slices, views
from pipeline.failures import StoreError
from pipeline.store import Store
from pipeline.tables import METADATA, table

Format = Literal["parquet", "csv"]
OnProgress = Callable[[str, int, int | None], None]
BY_DAY: Final = "deals_as_of"  # days times deals: far too much to write whole
MANIFEST: Final = "manifest.json"
_INSTANT: Final = "%Y-%m-%dT%H:%M:%S%.6fZ"
NAMES: Final = (*sorted(METADATA.tables), *views.VIEWS)


@dataclass(frozen=True)
class Wanted:
    """What to write. ``names`` empty: every table and view but ``deals_as_of``, which needs ``days``."""

    names: tuple[str, ...] = ()
    companies: tuple[str, ...] = ()
    days: tuple[date, ...] = ()
    format: Format = "parquet"


def export(
    store: Store, folder: Path, wanted: Wanted, *, force: bool = False, on_progress: OnProgress | None = None
) -> dict[str, Any]:
    """Write the files and ``manifest.json`` into ``folder``; returns what the manifest says.

    ``force``: all files of an earlier export are taken away once the new ones are whole. Raises ``ConfigurationError``
    (unknown name or company, a day that the store does not tell of, folder that cannot be written, or that holds an
    export and not ``force``) and ``StoreError`` (no space: the earlier files are as they were). A folder that was made
    for an export that failed is gone again.
    """
    names = _names(wanted)
    if folder.exists() and not folder.is_dir():
        raise ConfigurationError(f"{folder}: this is a file; name a folder")
    try:
        with partial.making(folder):
            return _export(store, folder, wanted, names, force=force, on_progress=on_progress)
    except (OSError, pl.exceptions.ComputeError) as error:
        why = " ".join(str(getattr(error, "strerror", None) or error).split())
        raise StoreError(
            f"{folder}: the export cannot be written ({why}); check the disk and its space"
        ) from error


def _export(
    store: Store,
    folder: Path,
    wanted: Wanted,
    names: Sequence[str],
    *,
    force: bool,
    on_progress: OnProgress | None,
) -> dict[str, Any]:
    """The export into a folder that is there."""
    if not os.access(folder, os.W_OK):
        raise ConfigurationError(f"{folder}: it is not writable; name another folder")
    if not force:
        _refuse(folder)
    with partial.folder(folder, "export") as place:
        with store.reading() as reader:
            manifest = _write(reader.connection, store, place, wanted, names, on_progress)
        (place / MANIFEST).write_bytes(orjson.dumps(manifest, option=orjson.OPT_INDENT_2))
        _publish(place, folder, [entry["file"] for entry in manifest["files"]], force=force)
    return manifest


def _names(wanted: Wanted) -> tuple[str, ...]:
    for name in wanted.names:
        if name not in NAMES:
            raise ConfigurationError(f"there is no table or view {name!r}; known are {', '.join(NAMES)}")
    if BY_DAY in wanted.names and not wanted.days:
        raise ConfigurationError(
            f"{BY_DAY} holds every deal on every day; name the day with --day YYYY-MM-DD"
        )
    if wanted.days and BY_DAY not in wanted.names:
        raise ConfigurationError(f"--day is for {BY_DAY} alone; name it with --only {BY_DAY}")
    return tuple(dict.fromkeys(wanted.names)) or tuple(name for name in NAMES if name != BY_DAY)


def earlier(folder: Path) -> list[Path]:
    """The files of an export that are in a folder, whole or not: what its manifest names, and what has such a name."""
    known = {MANIFEST, *(f"{name}.{form}" for name in NAMES for form in get_args(Format))}
    manifest = folder / MANIFEST
    if manifest.is_file():
        try:
            said = orjson.loads(manifest.read_bytes())
            known |= {
                str(entry["file"])
                for entry in said["files"]
                if Path(str(entry["file"])).name == entry["file"]
            }
        except (orjson.JSONDecodeError, KeyError, TypeError):
            pass  # somebody else's manifest names no file of ours
    return [path for path in sorted(folder.glob("*")) if path.name in known]


def _refuse(folder: Path) -> None:
    """Two exports in one folder look like one: say what is there."""
    found = earlier(folder)
    if found:
        whole = "an export" if folder / MANIFEST in found else "files of an export that was not finished"
        raise ConfigurationError(
            f"{folder}: it holds {whole} already ({len(found)} files); name another folder, "
            "or replace all of them with --force"
        )


def _write(
    connection: Connection,
    store: Store,
    folder: Path,
    wanted: Wanted,
    names: Sequence[str],
    on_progress: OnProgress | None,
) -> dict[str, Any]:
    if not migrate.check(connection, store.place):
        raise ConfigurationError(
            f"{store.place}: its schema is older than this program's; run `boardline db upgrade`"
        )
    known_at = datetime.now(UTC)
    _check_companies(connection, wanted.companies)
    _check_days(connection, wanted)
    files = []
    for name in names:
        schema = schema_of(connection, name)
        chosen = wanted.companies if "company" in schema else ()  # all but what is about the files
        within: dict[str, Sequence[str]] = {"company": chosen} if chosen else {}
        if name == BY_DAY:
            within["day"] = [day.isoformat() for day in wanted.days]
        path = folder / f"{name}.{wanted.format}"
        rows = _one(connection, name, schema, within, path, on_progress)
        _check_space(folder)
        backup.sync_file(path)
        files.append(_entry(name, schema, path, rows))
    return {
        "program": version("boardline"),
        "revision": migrate.HEAD,
        "known_at": known_at.isoformat().replace("+00:00", "Z"),
        "format": wanted.format,
        "companies": list(wanted.companies) or _companies(connection),
        "days": [day.isoformat() for day in wanted.days],
        "files": files,
        "skipped": []
        if wanted.names
        else [{"name": BY_DAY, "reason": f"--only {BY_DAY} --day YYYY-MM-DD writes it"}],
    }


def _one(
    connection: Connection,
    name: str,
    schema: pl.Schema,
    within: Mapping[str, Sequence[str]],
    path: Path,
    on_progress: OnProgress | None,
) -> int:
    """One table or view into one file; returns how many rows."""
    rows = 0

    def reported(frames: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        nonlocal rows
        for frame in frames:
            rows += frame.height
            if on_progress is not None:
                on_progress(name, rows, None)
            yield frame

    with closing(slices.read(connection, name, schema, within)) as frames:
        if path.suffix == ".csv":
            with path.open("wb") as file:
                file.write(pl.DataFrame(schema=schema).write_csv().encode())
                for frame in reported(frames):
                    file.write(frame.write_csv(include_header=False, datetime_format=_INSTANT).encode())
        else:
            # Polars asks for the next slice when it has written the last: the whole table is never in memory.
            register_io_source(lambda *_: reported(frames), schema=schema).sink_parquet(path)
    return rows


def schema_of(connection: Connection, name: str) -> pl.Schema:
    """A table's or view's columns as polars types."""
    if name in METADATA.tables:
        return slices.schema_of(table(name))
    return pl.Schema(
        {
            column: dictionary.DTYPES[dictionary.kind(name, column)]
            for column in dictionary.view_columns(connection, name)
        }
    )


def _entry(name: str, schema: pl.Schema, path: Path, rows: int) -> dict[str, Any]:
    described = {column: dictionary.meaning(name, column) for column in schema}
    return {
        "name": name,
        "kind": "view" if name in views.VIEWS else "table",
        "file": path.name,
        "rows": rows,
        "bytes": path.stat().st_size,
        "columns": [
            {
                "name": column,
                "type": str(dtype),
                "unit": described[column].unit,
                "meaning": described[column].text,
            }
            for column, dtype in schema.items()
        ],
    }


def _companies(connection: Connection) -> list[str]:
    query = "SELECT company FROM sources UNION SELECT company FROM runs ORDER BY company"
    return [str(row[0]) for row in connection.execute(text(query))]


def _check_companies(connection: Connection, names: Sequence[str]) -> None:
    known = _companies(connection)
    for name in names:
        if name not in known:
            raise ConfigurationError(
                f"the store holds no company {name!r}; it holds {', '.join(known) or 'none'}"
            )


def _check_days(connection: Connection, wanted: Wanted) -> None:
    """The store tells of a day only where its calendar holds it, which ends about a year after the last sync.

    Before the first day of a company it had no deals, so that is a mistake only where no other had any either.
    """
    if not wanted.days:
        return
    calendar = table("calendar_days")
    query = select(calendar.c.company, func.min(calendar.c.day), func.max(calendar.c.day))
    if wanted.companies:
        query = query.where(calendar.c.company.in_(wanted.companies))
    spans = connection.execute(query.group_by(calendar.c.company).order_by(calendar.c.company)).all()
    if not spans:
        raise ConfigurationError(
            f"{BY_DAY}: the store knows no days yet; run `boardline sync --once`, which computes them"
        )
    begin = min(first for _, first, _ in spans)
    for day in wanted.days:
        outside = [
            f"{company}: {first} to {last}" for company, first, last in spans if day < begin or day > last
        ]
        if outside:
            raise ConfigurationError(
                f"--day {day} is outside the days that the store knows ({'; '.join(outside)}); "
                "name one of them, or sync first"
            )


def _check_space(folder: Path) -> None:
    if not shutil.disk_usage(folder).free:
        raise StoreError(
            f"{folder}: the disk is full, so nothing was exported; free some space, or name another folder"
        )


def _publish(made: Path, folder: Path, files: Sequence[str], *, force: bool) -> None:
    """The manifest goes first and comes last: a folder with a manifest holds the files it names, and no others."""
    if not force:
        _refuse(folder)
    old = earlier(folder)
    (folder / MANIFEST).unlink(missing_ok=True)
    backup.sync_folder(folder)
    for path in old:
        path.unlink(missing_ok=True)
    for name in files:
        (made / name).replace(folder / name)
    backup.sync_file(made / MANIFEST)
    backup.sync_folder(folder)
    (made / MANIFEST).replace(folder / MANIFEST)
    backup.sync_folder(folder)
