"""What the numbers of a large company cost: seconds and memory at several sizes, and beside DuckDB in the same run.

The company is that of ``large_company``. ``BOARDLINE_BENCH_SCALE`` sets the sizes, as deals (10000,100000,1000000).
Values are asserted, never a time.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.bench import computing

SIZES = tuple(
    int(size) for size in os.environ.get("BOARDLINE_BENCH_SCALE", "10000,100000,1000000").split(",")
)
FEW = 4_000
ROUNDS = 2  # of each the best counts


def alone(way: str, folder: Path, deals: int = 0) -> dict[str, Any]:
    """One step in a process of its own."""
    command = [sys.executable, "-m", "tests.bench.computing", way, str(folder), str(deals)]
    done = subprocess.run(command, capture_output=True, timeout=3600)
    assert done.returncode == 0, done.stderr.decode()[-3000:]
    result: dict[str, Any] = orjson.loads(done.stdout)
    return result


def best(way: str, folder: Path, by: str) -> dict[str, Any]:
    return min((alone(way, folder) for _ in range(ROUNDS)), key=lambda found: float(found[by]))


def test_the_figures_are_those_of_sql(tmp_path: Path) -> None:
    """A few thousand deals: eight KPIs, five of them by size too, are what another engine makes of the same columns."""
    computing.make(tmp_path, FEW)
    found = computing.beside_sql(tmp_path)
    assert len(found["figures"]) >= 5
    assert all(figure["compared"] >= 36 for figure in found["figures"].values())


@pytest.mark.bench
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("deals", SIZES)
def test_all_kpis_of_36_months(deals: int, tmp_path: Path) -> None:
    made = alone("make", tmp_path, deals)
    found = best("compute", tmp_path, "seconds")
    beside = best("sql", tmp_path, "ours")
    print(
        f"\n{deals:,} deals, {made['rows']['deal_changes']:,} changes ({made['size']:,.0f} MiB of frames): "
        f"{found['values']:,} values in {found['seconds']:.1f} s ({found['cpu']:.1f} s of processor time), "
        f"peak {found['peak']:,.0f} MiB, {found['before']:,.0f} of it before computing; "
        f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors"
    )
    print(
        f"  {len(beside['figures'])} KPIs beside SQL: {beside['ours']:.2f} s and {beside['sql']:.2f} s: "
        f"{beside['ours'] / beside['sql']:.2f} times as long (of it shared: {beside['described']:.2f} and "
        f"{beside['shared']:.2f}; DuckDB's loading of the columns, {beside['loading']:.2f} s, is not counted)"
    )
    for kpi, figure in beside["figures"].items():
        print(f"    {kpi:26}{figure['ours']:7.2f} s {figure['sql']:7.2f} s  {figure['compared']} values")
    assert found["values"] > 36 * 30


@pytest.mark.bench
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("deals", SIZES[:-1])
def test_reading_them_out_of_the_store(deals: int, tmp_path: Path) -> None:
    made = alone("make", tmp_path, deals)
    wrote = alone("write", tmp_path)
    found = best("read", tmp_path, "seconds")
    print(
        f"\n{found['rows']:,} rows of {deals:,} deals out of SQLite in {found['seconds']:.1f} s, peak "
        f"{found['peak']:,.0f} MiB; written in {wrote['seconds']:.1f} s"
    )
    assert found["rows"] == sum(made["rows"].values()) == wrote["rows"]
