"""The records behind every number, cut in every way it can be: they add up to each segment as they do to the whole."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path
from typing import Final

import polars as pl
import pytest

from connectors.errors import ConfigurationError
from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import compute
from metrics.facts import Facts
from metrics.kpi import EVIDENCE, KpiValue
from metrics.period import months_between
from pipeline.company import Company, Inputs
from tests.unit.books import Books
from tests.unit.generated import frames

MONTHS: Final = months_between("2024-07", "2026-05")
CUTS: Final = [(name, cut) for name, kpi in compute.registered().items() for cut in kpi.cuts]
# Each segment has a bottleneck, a stage, of its own: its deals are not those of the company's.
OF_THEIR_OWN: Final = ("stage_days",)
# An average of medians within cells: by any other cut the cells lie inside the segment.
BY_CELL: Final = ("sales_velocity",)
# A customer that took one product and gave up another for as much has not changed as a whole.
EVENS_OUT: Final = ("arr_growth_mom", "arr_growth_yoy")
CHANNELS: Final = ("Inbound", "Outbound", "Partner", None)


@pytest.fixture(scope="module")
def facts(tmp_path_factory: pytest.TempPathFactory) -> Facts:
    """A generated company in two currencies and several products, with leads and every file that a number asks for."""
    world = World(Parameters(vertical="hr_tech", end=date(2026, 6, 1), accounts=120, deals=1000, months=30))
    now = datetime.fromtimestamp(world.as_of, UTC)
    tables = frames(world, world.as_of)
    folder = tmp_path_factory.mktemp("inputs")
    company = Company(name="generated", timezone=world.timezone, inputs=_files(folder, tables["accounts"]))
    owners = tables["owners"]["external_id"].to_list()
    books = Books()
    for number in range(24):
        converted = {"sql_at": "2026-05-20", "converted_at": "2026-05-25"} if number % 3 == 0 else {}
        day, owner = f"2026-05-{number % 20 + 1:02d}", owners[number % 3] if number % 5 else None
        books.lead(f"lead{number}", day, CHANNELS[number % 4], mql_at=day, owner_id=owner, **converted)
    leads = {"leads": books.frames()["leads"]}
    return Facts(company, MONTHS, now, {**tables, **leads})


def _files(folder: Path, accounts: pl.DataFrame) -> Inputs:
    keys = accounts.filter(pl.col("deleted_at").is_null())["external_id"].to_list()
    months = [f"{2024 + n // 12}-{n % 12 + 1:02d}" for n in range(29)]
    spend = [
        f"{month},{channel},{kind},{1000 + 7 * number}.37"
        for number, month in enumerate(months)
        for channel in ("inbound", "outbound", "partner", "")
        for kind in ("people", "program")
    ]
    quarters = [f"{year}-Q{quarter}" for year in (2024, 2025, 2026) for quarter in (1, 2, 3, 4)]
    texts = {
        "spend": ["month,channel,kind,amount", *spend],
        "margin": ["quarter,stream,pct", *(f"{quarter},subscription,0.75" for quarter in quarters)],
        "usage": ["customer_key,week,active,licensed", *(f"{key},2026-05-18,{n % 9},10" for n, key in enumerate(keys))],
        "nps": ["customer_key,date,score", *(f"{key},2026-05-11,{n % 60}" for n, key in enumerate(keys))],
        "targets": [
            "period,segment,metric,value",
            "2026-Q2,,quota,900000",
            *(f"2026-Q2,size={size},quota,300000" for size in ("SMB", "Mid-Market", "Enterprise")),
        ],
    }  # fmt: skip
    for name, lines in texts.items():
        (folder / f"{name}.csv").write_text("\n".join(lines) + "\n")
    return Inputs(**{name: folder / f"{name}.csv" for name in texts})


def values(facts: Facts, name: str, cut: str | None) -> list[KpiValue]:
    month = month_of(facts, name)
    return [value for value in compute.compute(facts, [name], (cut,)) if value.month == month]


def month_of(facts: Facts, name: str) -> str:
    """The latest month that has more than one record behind the number, and a value."""
    kpi, whole = compute.registered()[name], compute.compute(facts, [name])
    known = [value.month for value in whole if value.value is not None]
    return next(month for month in reversed(known) if compute.evidence(facts, kpi, month).height > 1)


def records_of(facts: Facts, name: str, cut: str | None) -> pl.DataFrame:
    return compute.evidence(facts, compute.registered()[name], month_of(facts, name), cut)


def made_of(value: KpiValue) -> float | None:
    """What the contributions of a number make where they add up: its numerator, else itself."""
    return value.numerator if value.numerator is not None else value.value


@pytest.mark.parametrize(("name", "cut"), CUTS)
def test_the_records_of_the_segments_are_those_of_the_whole(facts: Facts, name: str, cut: str) -> None:
    whole, parts = (records_of(facts, name, by) for by in (None, cut))
    assert whole.schema == EVIDENCE
    assert parts.schema == {**EVIDENCE, "segment": pl.String}
    segments = [value.segment[cut] for value in values(facts, name, cut)]
    without = parts.filter(~pl.col("segment").is_in(segments))
    assert (without["contribution"] == 0).all(), "only what a number leaves out stands behind no segment's"
    if name in OF_THEIR_OWN:
        return
    key = ["object", "external_id"]
    added, once = (
        rows.group_by(key).agg(pl.col("contribution").sum().alias(side))
        for rows, side in ((parts, "parts"), (whole, "whole"))
    )
    both = added.join(once, on=key, how="full", coalesce=True, nulls_equal=True)
    assert both.filter(pl.col("parts").is_null()).is_empty(), "every record belongs to a segment"
    extra = both.filter(pl.col("whole").is_null())
    if name in EVENS_OUT and cut == "product":
        assert (extra["parts"] == 0).all()
    else:
        assert extra.is_empty()
    if name in BY_CELL:
        return
    if name == "forecast_accuracy_error":  # each segment errs in a direction of its own
        both = both.with_columns(pl.col("parts", "whole").abs())
    gap = (pl.col("parts") - pl.col("whole")).abs()
    assert both.filter(gap > 1).is_empty(), "but for the last unit of what is rounded"


@pytest.mark.parametrize(("name", "cut"), CUTS)
def test_the_records_of_a_segment_add_up_as_those_of_the_whole_do(facts: Facts, name: str, cut: str) -> None:
    (total,) = values(facts, name, None)
    whole = records_of(facts, name, None)["contribution"].sum()
    wanted = made_of(total)
    if wanted is None or whole != pytest.approx(wanted, rel=1e-9, abs=0.01):
        assert name in ("cac_payback_months", "cycle_days_median", "poc_days", "stage_days"), (whole, wanted)
        return
    records = records_of(facts, name, cut)
    checked = 0
    for value in values(facts, name, cut):
        mine = records.filter(segment=value.segment[cut])["contribution"].sum()
        wanted = made_of(value)
        if wanted is not None:
            assert mine == pytest.approx(wanted, rel=1e-9, abs=0.01), value.segment
            checked += bool(mine)
    assert checked or not whole


def test_a_way_it_cannot_be_cut_is_named(facts: Facts) -> None:
    with pytest.raises(
        ConfigurationError, match="cost_per_lead cannot be cut by 'size'; it can be cut by motion"
    ):
        compute.evidence(facts, compute.registered()["cost_per_lead"], MONTHS[-1], "size")


def test_by_product_a_contract_stands_behind_each_of_its_products() -> None:
    made = Books()
    made.account("acme")
    made.won("deal", "acme", "2026-01-01", 100)
    made.line("deal", "Core", "seat", 1, 70)
    made.line("deal", "More", "module", 1, 30)
    found = made.facts("2026-02")
    rows = compute.evidence(found, compute.registered()["arr"], "2026-02", "product")
    assert rows.select("external_id", "segment", "contribution").sort("segment").rows() == [
        ("deal", "Core", 7000.0),
        ("deal", "More", 3000.0),
    ]
