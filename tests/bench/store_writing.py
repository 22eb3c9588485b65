"""One way of writing 100,000 deals with 1,000,000 changes, in a process of its own: what it takes, as JSON.

``python -m tests.bench.store_writing WAY URL FOLDER``; the folder holds the rows of ``made`` as Arrow files. Ways:
``driver`` (executemany of tuples; COPY of ready text, into tables that ``Store.open`` made) and, through the store,
``whole``, ``pages``, ``again`` (pages of rows that are there already) and ``few`` (one row of a hundred has another
value).
"""

from __future__ import annotations

import resource
import sqlite3
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import orjson
import polars as pl
import psycopg

from connectors.schema import TABLES
from pipeline import bulk, database
from pipeline.store import Store
from pipeline.transaction import owned

BORN = datetime(2023, 7, 1, tzinfo=UTC)
NOW = datetime(2026, 7, 1, tzinfo=UTC)
CHANGES = 10  # of each deal
PAGE = 10_000  # rows
STAGES = ("discovery", "qualified", "proposal", "contract", "won")
TRACKED = ("stage", "amount", "close_date", "probability", "owner_id")


def made(deals: int) -> dict[str, pl.DataFrame]:
    """A company of that many deals, each with two changes of five fields, in order of their keys."""
    number = pl.int_range(deals, eager=True, dtype=pl.Int64).alias("number")
    born = pl.lit(BORN) + pl.duration(minutes=pl.col("number") % 1_000_000)
    stage = pl.col("number") % len(STAGES)
    rows = number.to_frame().select(
        external_id=_id(pl.col("number")),
        created_at=born,
        modified_at=born + pl.duration(days=90),
        name=pl.format("Deal {} – “renewal”, 3 years", "number"),
        account_id=pl.format("0018d0000{}AAA", (pl.col("number") // 10).cast(pl.String).str.zfill(6)),
        owner_id=_owner(pl.col("number")),
        pipeline=pl.lit("default"),
        stage=stage.replace_strict(dict(enumerate(STAGES)), return_dtype=pl.String),
        is_closed=stage == len(STAGES) - 1,
        is_won=stage == len(STAGES) - 1,
        amount=pl.col("number") * 137 % 25_000_000,
        currency=pl.lit("USD"),
        close_date=(born + pl.duration(days=100)).dt.date(),
        probability=(pl.col("number") % 11) / 10,
        forecast_category=pl.lit("best_case"),
        type=pl.lit("New Business"),
        lead_source=pl.lit("Partner referral"),
        next_step=pl.lit("call the CFO"),
        arr=pl.col("number") * 91 % 9_000_000,
        term_months=pl.lit(12),
        custom=pl.lit('{"Region__c":"EMEA"}'),
    )
    empty = [
        pl.lit(None, dtype).alias(name) for name, dtype in TABLES["deals"].items() if name not in rows.columns
    ]
    return {"deals": rows.with_columns(empty).select(list(TABLES["deals"])), "deal_changes": _changes(number)}


def _changes(number: pl.Series) -> pl.DataFrame:
    """The life of each deal: each field set at creation and changed later, spread over two years."""
    field = pl.DataFrame({"field": sorted(TRACKED)})
    turn = pl.DataFrame({"turn": range(CHANGES // len(TRACKED))}, schema={"turn": pl.Int64})
    lives = (
        number.to_frame()
        .join(field, how="cross", maintain_order="left")
        .join(turn, how="cross", maintain_order="left")
    )
    mixed = (pl.col("number") * 7919 + pl.col("turn") * 104_729) % 1_000_000
    return lives.select(
        deal_id=_id(pl.col("number")),
        field="field",
        changed_at=pl.lit(BORN)
        + pl.duration(minutes=pl.col("number") % 1_000_000 + pl.col("turn") * (1 + mixed)),
        seq=pl.lit(0, pl.Int64),
        old_value=pl.when(pl.col("turn") > 0).then(_value(pl.col("turn") - 1)),
        new_value=_value(pl.col("turn")),
        origin=pl.lit("crm_history"),
    )


def _value(turn: pl.Expr) -> pl.Expr:
    number = pl.col("number") + turn
    return (
        pl.when(pl.col("field") == "stage")
        .then((number % len(STAGES)).replace_strict(dict(enumerate(STAGES)), return_dtype=pl.String))
        .when(pl.col("field") == "amount")
        .then((number * 137 % 25_000_000).cast(pl.String))
        .when(pl.col("field") == "close_date")
        .then((pl.lit(BORN) + pl.duration(days=number % 1000)).dt.strftime("%Y-%m-%d"))
        .when(pl.col("field") == "probability")
        .then((number % 11 / 10).cast(pl.String))
        .otherwise(_owner(number))
    )


def _id(number: pl.Expr) -> pl.Expr:
    return pl.format("0068d0000{}AAA", number.cast(pl.String).str.zfill(6))


def _owner(number: pl.Expr) -> pl.Expr:
    return pl.format("0058d00000000{}AAA", (number % 40).cast(pl.String).str.zfill(2))


def pages(frames: dict[str, pl.DataFrame], size: int) -> Iterator[tuple[str, pl.DataFrame]]:
    """The rows in frames of at most ``size``, table by table."""
    for name, frame in frames.items():
        for part in frame.iter_slices(size):
            yield name, part


def through_the_store(url: str, frames: dict[str, pl.DataFrame], size: int) -> int:
    """Write page by page, each in a transaction of its own; returns how many rows were new or changed."""
    changed = 0
    with Store.open(url) as store:
        for name, part in pages(frames, size):
            with store.transaction() as tx:
                changed += tx.upsert(name, "acme", "fake", part, NOW)
    return changed


def as_the_driver_likes_it(url: str, frames: dict[str, pl.DataFrame]) -> float:
    """Write everything by the driver's own fastest way, in one transaction; returns the seconds without preparation."""
    rows = {name: owned(frame, "acme", "fake", recorded_at=NOW) for name, frame in frames.items()}
    if url.startswith("sqlite"):
        return _executemany(
            url, {name: (frame.columns, bulk.for_sqlite(frame).rows()) for name, frame in rows.items()}
        )
    return _copy(
        url,
        {
            name: (frame.columns, frame.write_csv(include_header=False).encode())
            for name, frame in rows.items()
        },
    )


def _executemany(url: str, rows: dict[str, tuple[list[str], list[tuple[object, ...]]]]) -> float:
    connection = sqlite3.connect(database.parse(url).database or "", isolation_level=None)
    database.configure_sqlite(connection, None)
    begun = time.perf_counter()
    connection.execute("BEGIN IMMEDIATE")
    for name, (columns, tuples) in rows.items():
        marks = ", ".join("?" for _ in columns)
        connection.executemany(f"INSERT INTO {name} ({', '.join(columns)}) VALUES ({marks})", tuples)
    connection.execute("COMMIT")
    seconds = time.perf_counter() - begun
    connection.close()
    return seconds


def _copy(url: str, texts: dict[str, tuple[list[str], bytes]]) -> float:
    with psycopg.connect(url, options="-c timezone=UTC") as connection:
        begun = time.perf_counter()
        for name, (columns, text) in texts.items():
            with connection.cursor().copy(
                f"COPY {name} ({', '.join(columns)}) FROM STDIN (FORMAT csv)"
            ) as stream:
                for start in range(0, len(text), 1 << 20):
                    stream.write(text[start : start + (1 << 20)])
        connection.commit()
        return time.perf_counter() - begun


def altered(frames: dict[str, pl.DataFrame]) -> dict[str, pl.DataFrame]:
    """One row of a hundred with another value."""
    one = pl.int_range(pl.len()) % 100 == 50
    return {
        "deals": frames["deals"].with_columns(
            amount=pl.when(one).then(pl.col("amount") + 1).otherwise("amount")
        ),
        "deal_changes": frames["deal_changes"].with_columns(
            new_value=pl.when(one).then(pl.col("new_value") + "x").otherwise("new_value")
        ),
    }


def main(way: str, url: str, folder: Path) -> dict[str, float]:
    """Do it and say what it took: seconds, rows, changed, MiB with the rows in memory and at the peak."""
    names = ("deals", "deal_changes")
    frames = {name: pl.read_ipc((folder / f"{name}.arrow").read_bytes()) for name in names}
    if way == "few":
        frames = altered(frames)
    rows = sum(frame.height for frame in frames.values())
    Store.open(url).close()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    begun = time.perf_counter()
    if way == "driver":
        seconds, changed = as_the_driver_likes_it(url, frames), rows
    else:
        changed = through_the_store(url, frames, rows if way == "whole" else PAGE)
        seconds = time.perf_counter() - begun
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "rows": rows,
        "changed": changed,
        "before": before / 1024,
        "peak": peak / 1024,
    }


if __name__ == "__main__":
    print(orjson.dumps(main(sys.argv[1], sys.argv[2], Path(sys.argv[3]))).decode())
