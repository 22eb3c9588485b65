"""One step of the bench of computing, in a process of its own, so that its peak memory is its own: as JSON.

``python -m tests.bench.computing WAY FOLDER [DEALS]``. Ways: ``make`` (a company of so many deals, as Arrow files in
the folder), and with these files ``compute`` (all KPIs, whole and by every cut, over 36 months), ``sql`` (some KPIs
beside the same figures as SQL, equal or it fails), ``write`` (into a new SQLite store) and ``read`` (out of it).
"""

from __future__ import annotations

import math
import resource
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import orjson
import polars as pl

from connectors.source import Capabilities
from metrics.compute import compute
from metrics.facts import Facts
from metrics.kpi import CUTS, KpiValue
from pipeline.store import Store
from tests.bench import large_company, sql_figures

T = TypeVar("T")
BY_SIZE = ("win_rate", "win_rate_value", "avg_deal_size", "cycle_days_median", "win_rate_cohort")
EQUAL = (
    1e-12  # of a value: sums of whole numbers are the same, a quotient of floats may differ in its last digit
)


def timed(work: Callable[[], T]) -> tuple[float, T]:
    begun = time.perf_counter()
    result = work()
    return time.perf_counter() - begun, result


def peak() -> float:
    """MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def read(folder: Path) -> dict[str, pl.DataFrame]:
    return {file.stem: pl.read_ipc(file.read_bytes()) for file in sorted(folder.glob("*.arrow"))}


def facts_of(folder: Path, frames: Mapping[str, pl.DataFrame]) -> Facts:
    company = large_company.company(folder)
    return Facts(company, large_company.MONTHS, large_company.NOW, frames, large_company.info())


def make(folder: Path, deals: int) -> dict[str, Any]:
    seconds, frames = timed(lambda: large_company.made(deals))
    for name, frame in frames.items():
        frame.write_ipc(folder / f"{name}.arrow")
    size = sum(frame.estimated_size() for frame in frames.values()) / 2**20
    return {"seconds": seconds, "size": size, "rows": {name: frame.height for name, frame in frames.items()}}


def compute_all(folder: Path) -> dict[str, Any]:
    """Facts and every KPI, whole and by every cut."""
    frames = read(folder)
    before, cpu = peak(), time.process_time()
    seconds, values = timed(lambda: compute(facts_of(folder, frames), cuts=(None, *CUTS)))
    spent = time.process_time() - cpu
    return {"seconds": seconds, "cpu": spent, "values": len(values), "before": before, "peak": peak()}


def beside_sql(folder: Path) -> dict[str, Any]:
    """Each of ``sql_figures.FIGURES`` both ways, from the frames; the parts that figures share count for both."""
    frames = read(folder)
    loading, base = timed(lambda: sql_figures.opened(frames))
    shared, _ = timed(lambda: sql_figures.share(base))
    theirs = {}
    for kpi in sql_figures.FIGURES:
        seconds, whole = timed(lambda: sql_figures.figure(base, kpi))  # noqa: B023
        theirs[kpi] = seconds, whole | (sql_figures.figure(base, kpi, "size") if kpi in BY_SIZE else {})
    facts = facts_of(folder, frames)
    described, _ = timed(lambda: facts.deals)
    figures = {}
    for kpi, (seconds, values) in theirs.items():
        own, computed = timed(lambda: compute(facts, [kpi]))  # noqa: B023
        by_size = compute(facts, [kpi], ["size"]) if kpi in BY_SIZE else []
        compare(kpi, [*computed, *by_size], values)
        figures[kpi] = {"ours": own, "sql": seconds, "compared": len(computed) + len(by_size)}
    ours = described + sum(figure["ours"] for figure in figures.values())
    sql = shared + sum(figure["sql"] for figure in figures.values())
    return {
        "loading": loading,
        "shared": shared,
        "described": described,
        "ours": ours,
        "sql": sql,
        "figures": figures,
    }


def compare(kpi: str, ours: list[KpiValue], theirs: Mapping[tuple[str, str | None], Any]) -> None:
    """Raises ``AssertionError`` where a value is another one, or where only one side has it."""
    values = {(value.month, value.segment.get("size")): value.value for value in ours}
    known = {key: value for key, value in theirs.items() if value is not None}
    given = {key: value for key, value in values.items() if value is not None and (value or key in known)}
    assert given, kpi
    assert given.keys() == known.keys(), (kpi, sorted(map(str, given.keys() ^ known.keys()))[:5])
    other = {
        key: (value, known[key])
        for key, value in given.items()
        if not math.isclose(value, known[key], rel_tol=EQUAL, abs_tol=0)
    }
    assert not other, (kpi, dict(list(other.items())[:5]))


def write(folder: Path) -> dict[str, Any]:
    frames = read(folder)
    with Store.open(_url(folder)) as store:

        def fill() -> int:
            changed = 0
            with store.transaction() as tx:
                tx.save_source(
                    large_company.NAME,
                    "fake",
                    Capabilities("USD", {}, {}, frozenset()),
                    "-",
                    large_company.NOW,
                )
                for name, frame in frames.items():
                    changed += tx.upsert(name, large_company.NAME, "fake", frame, large_company.NOW)
            return changed

        seconds, rows = timed(fill)
    return {"seconds": seconds, "rows": rows}


def read_back(folder: Path) -> dict[str, Any]:
    """Every table out of the store, as ``Facts.load`` asks for them."""
    names = [file.stem for file in sorted(folder.glob("*.arrow"))]
    before = peak()
    with Store.open(_url(folder)) as store:
        each = {name: timed(lambda: store.frame(large_company.NAME, name)) for name in names}  # noqa: B023
    return {
        "seconds": sum(seconds for seconds, _ in each.values()),
        "tables": {name: seconds for name, (seconds, _) in each.items()},
        "rows": sum(frame.height for _, frame in each.values()),
        "before": before,
        "peak": peak(),
    }


def _url(folder: Path) -> str:
    return f"sqlite:///{folder / 'store.db'}"


def main(way: str, folder: Path, deals: int) -> dict[str, Any]:
    """Do it and say what it took: seconds, MiB."""
    if way == "make":
        return make(folder, deals)
    ways = {"compute": compute_all, "sql": beside_sql, "write": write, "read": read_back}
    return ways[way](folder)


if __name__ == "__main__":
    print(
        orjson.dumps(
            main(sys.argv[1], Path(sys.argv[2]), int(sys.argv[3]) if len(sys.argv) > 3 else 0)
        ).decode()
    )
