"""The segments of every cut make the whole, for every KPI of the registry; and what the report's currency changes.

A number that can be cut must be the sum of its parts: money and counts add up, a ratio's numerator and denominator do,
and the ratio is their quotient (definition book, R15). What is not so by the book stands in ``APART`` with its reason;
a KPI or a cut that is new is held to the rule from its first day on.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, date, datetime
from functools import cache
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics.compute import compute, registered
from metrics.facts import Facts
from metrics.kpi import CUTS, Kpi, KpiValue
from metrics.period import months_between
from metrics.words import UNKNOWN
from pipeline.company import Company
from pipeline.records import SourceInfo
from tests.unit.books import Books
from tests.unit.filed import filed
from tests.unit.generated import frames

MONTHS = months_between("2024-10", "2026-06")
VERTICALS = ("supply_chain", "hr_tech", "dev_tools")
PARTS: Final = ("value", "numerator", "denominator", "n")
QUOTA: Final = "ruling 27: a quota is not cut by segment unless given by segment"
MEDIAN: Final = "a median is no sum of its parts' medians"
OWNED: Final = "a customer may own several products: it counts once in the whole and once for each of them"
MOVEMENTS: Final = tuple(kpi for kpi in registered() if kpi.startswith("arr_") and "growth" not in kpi)

# (KPI, cut) -> what of it does not add up, and why that is so by the book. "*": every cut of the KPI.
APART: Final[Mapping[tuple[str, str], tuple[tuple[str, ...], str]]] = {
    ("cycle_days_median", "*"): (("value",), MEDIAN),
    ("poc_days", "*"): (("value",), MEDIAN),
    ("stage_days", "*"): (("value", "n"), "every segment has a bottleneck of its own, and a median of it"),
    ("pipeline_coverage", "*"): (("denominator",), QUOTA),
    ("pipeline_coverage_weighted", "*"): (("denominator",), QUOTA),
    ("forecast_accuracy_error", "*"): (
        ("numerator",),
        "errors of segments cancel out: |F - A| is not their sum",
    ),
    ("sales_velocity", "industry"): (("value", "n"), "ruling 23: the cells lie inside the segment"),
    ("sales_velocity", "owner"): (("value", "n"), "ruling 23: the cells lie inside the segment"),
    ("sales_velocity", "pipeline"): (("value", "n"), "ruling 23: the cells lie inside the segment"),
    **{(kpi, "product"): (("n",), OWNED) for kpi in ("arr", "carr", *MOVEMENTS)},
    **{(f"arr_growth_{window}", "product"): (("n",), OWNED) for window in ("mom", "yoy")},
}
# Money that has a denominator beside it, for the share that the note tells: the value is the money.
SHARES: Final = tuple(kpi for kpi in registered() if "_sourced_" in kpi)
CONSTANT: Final = {"EUR": "1.1", "GBP": "1.27", "JPY": "0.0067"}


@cache
def company(vertical: str) -> tuple[World, Mapping[str, pl.DataFrame], datetime]:
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    now = datetime.fromtimestamp(world.as_of, UTC)
    return world, frames(world, world.as_of), now


def facts_of(vertical: str, folder: Path, rates: pl.DataFrame | None = None, currency: str = "USD") -> Facts:
    """A generated company with all the files that no CRM knows; ``rates``: instead of its own."""
    world, tables, now = company(vertical)
    tops = tables["accounts"].filter(pl.col("parent_id").is_null() & pl.col("deleted_at").is_null())
    inputs = filed(folder, MONTHS, tops["external_id"].sort().head(60).to_list(), "USD")
    made = Company(name="generated", timezone=world.timezone, inputs=inputs, currency=currency)
    info = SourceInfo("generated", "salesforce", "USD", {}, {}, frozenset(), (), "", now)
    return Facts(made, MONTHS, now, {**tables, **({} if rates is None else {"exchange_rates": rates})}, info)


OTHERS = [pytest.param(vertical, marks=pytest.mark.slow) for vertical in VERTICALS if vertical != "hr_tech"]


@pytest.fixture(scope="module", params=["hr_tech", *OTHERS])
def facts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Facts:
    return facts_of(request.param, tmp_path_factory.mktemp("filed"))


def apart(kpi: str, cut: str) -> tuple[str, ...]:
    """What of this number need not add up."""
    return APART.get((kpi, cut), APART.get((kpi, "*"), ((), "")))[0]


def is_quotient(kpi: Kpi) -> bool:
    """Whether the value is numerator over denominator, so that its parts say all of it."""
    return kpi.parts[1] is not None and kpi.id not in SHARES


def whole_of(facts: Facts) -> dict[tuple[str, str], KpiValue]:
    return {(value.id, value.month): value for value in compute(facts)}


def wrong_sums(facts: Facts, cut: str) -> list[str]:
    """Every part of every KPI whose segments do not make the whole."""
    whole, found = whole_of(facts), []
    known = registered()
    segments: dict[tuple[str, str], list[KpiValue]] = {}
    for value in compute(facts, cuts=(cut,)):
        segments.setdefault((value.id, value.month), []).append(value)
    for (kpi, month), values in segments.items():
        if UNKNOWN not in {value.segment[cut] for value in values}:
            found.append(f"{kpi} by {cut} in {month}: no bucket unknown")
        for part in PARTS:
            if part in apart(kpi, cut) or (part == "value" and is_quotient(known[kpi])):
                continue
            parts = [number for value in values if (number := getattr(value, part)) is not None]
            total = getattr(whole[kpi, month], part)
            if total is None and part == "value":
                continue  # there is nothing to make
            if not _same(total or 0, sum(parts)):
                found.append(f"{kpi} by {cut} in {month}: {part} {total} of {parts}")
    return found


def _same(total: float, parts: float) -> bool:
    """Counts and money to the last unit; of what is no whole number, all that floating point can tell."""
    if isinstance(total, int) and isinstance(parts, int):
        return total == parts
    return bool(total == pytest.approx(parts, rel=1e-9, abs=1e-9))


def wrong_quotients(values: list[KpiValue]) -> list[str]:
    known = registered()
    return [
        f"{value.id} in {value.month} of {value.segment}: {value.value}"
        for value in values
        if is_quotient(known[value.id]) and value.value is not None
        if value.value != pytest.approx(_quotient(value), rel=1e-12)
    ]


def _quotient(value: KpiValue) -> float | None:
    if value.numerator is None or not value.denominator:
        # All of it where something was forecast and nothing won.
        return 1.0 if value.id == "forecast_accuracy_error" and value.numerator else None
    return value.numerator / value.denominator


@pytest.mark.parametrize("cut", CUTS)
def test_the_segments_of_every_number_make_the_whole(facts: Facts, cut: str) -> None:
    assert wrong_sums(facts, cut) == []
    assert wrong_quotients(compute(facts, cuts=(None, cut))) == []


def test_every_number_says_something_here(facts: Facts) -> None:
    """A sum of nothing would always be right."""
    known, silent = registered(), []
    for kpi in known.values():
        for cut in (None, *kpi.cuts):
            values = compute(facts, [kpi.id], cuts=(cut,))
            named = {value.segment.get(cut or "") for value in values if value.value is not None}
            wanted = 0 if cut and "denominator" in apart(kpi.id, cut) else 1 if cut is None else 2
            if cut == "pipeline":  # a generated company has one
                wanted = min(wanted, 1)
            if len(named) < wanted:
                silent.append((kpi.id, cut, named))
    assert silent == []


def test_the_exceptions_are_those_of_numbers_that_are_there() -> None:
    known = registered()
    for (kpi, cut), (parts, reason) in APART.items():
        assert kpi in known
        assert cut == "*" or cut in known[kpi].cuts
        assert set(parts) <= set(PARTS)
        assert reason


@pytest.mark.parametrize("report", ["EUR", "JPY"])
def test_the_currency_of_the_report_changes_no_ratio_but_by_rounding(report: str, tmp_path: Path) -> None:
    """At constant rates, every number that is no money: ratios, days, multiples, months, points, and their n."""
    books = Books()
    for currency, rate in CONSTANT.items():
        books.rate(currency, "2020-01-01", rate)
    rates = books.frames()["exchange_rates"]
    ratios = [kpi.id for kpi in registered().values() if kpi.unit != "currency"]
    home, abroad = (
        compute(facts_of("hr_tech", tmp_path, rates, currency), ratios, cuts=(None, "size"))
        for currency in ("USD", report)
    )
    told: set[str] = set()
    for one, other in zip(home, abroad, strict=True):
        where = (one.id, one.month, one.segment)
        assert (other.id, other.month, other.segment, other.n) == (*where, one.n)
        assert (one.value is None) == (other.value is None), where
        if one.value is not None and other.value is not None:
            assert one.value == pytest.approx(other.value, rel=1e-5, abs=1e-5), where
            told |= {one.id} if one.value not in (0, 1) else set()
    assert told == set(ratios)
