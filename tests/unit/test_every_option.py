"""Every choice that the book leaves to a company, against the second computation made by the same choice.

One generated company, its tables and its record of what happened are shared by all choices. A setting that no choice
here touches fails, and so does a number that a choice changes without naming it.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any, Final

import polars as pl
import pytest

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import health, nrr_points, pilots, playbook, scope, stage_table
from metrics.alternatives import setting
from metrics.compute import compute, registered
from metrics.facts import Facts
from metrics.period import months_between
from metrics.recurring import Window
from pipeline.company import Company, Inputs
from tests.equal_numbers import compared
from tests.input_files import files, write, written_list
from tests.oracle.health import Health
from tests.oracle.kpis import Files, numbers
from tests.oracle.ledger import Listed, opening_list
from tests.oracle.motion import Motion
from tests.oracle.number import Number
from tests.oracle.record import Truth
from tests.oracle.recurring import WINDOWS
from tests.oracle.revenue import Revenue
from tests.oracle.segments import Segments
from tests.oracle.ways import DEFAULTS, Ways
from tests.unit.generated import frames
from tests.unit.odd_records import with_odd_records
from tests.unit.test_definitions import company as company_of

MONTHS: Final = ("2025-12", "2026-06")
ALL: Final = tuple(dict.fromkeys(way for kpi in registered().values() for way in kpi.alternatives))
THE_ONE: Final = "hr_tech"  # in whose company every choice matters
VERTICALS: Final = (
    THE_ONE,
    pytest.param("supply_chain", marks=pytest.mark.slow),
    pytest.param("dev_tools", marks=pytest.mark.slow),
)
LIST_UNTIL: Final = date(2025, 4, 10)
BANDS: Final = ((500, "Large"), (50, "Medium"), (0, "Small"))


@dataclass(frozen=True)
class Choice:
    """A setting, what is written there, and what else has to be so that it matters."""

    path: str
    value: Any
    beside: tuple[tuple[str, Any], ...] = ()

    @property
    def ways(self) -> dict[str, Any]:
        return {**dict(self.beside), self.path: self.value}

    def __str__(self) -> str:
        return f"{self.path}={self.value}"


# What the settings of a free value are tried with.
FREE: Final[Mapping[str, tuple[Any, ...]]] = {
    "qualified_stage": ("open stage 3",),
    "required_deal_fields": (("amount", "stage", "next_step", "loss_reason", "segment"),),
    "channels.marketing": (("outbound", "Webinar"),),
    "channels.partner": (("partner", "Referral"),),
    "arr.in_force": (("Draft", "Activated"),),
    "arr.deals_from": (LIST_UNTIL,),
    "arr.grace_days": (0, 77),
    "sales.no_decision": (("Price", "Competitor"),),
    "sales.poc_stages": (("open stage 2", "open stage 4"),),
    "sales.poc_limit_days": (12,),
    "sales.stage_deals": (1, 40),
    "sales.stage_quarters": (1, 7),
    "sales.stage_old": (3.0,),
    "forecast.snapshot_day": (5, 60),
    "acquisition.lead_days": (20,),
    "acquisition.sql_days": (7,),
    "health.usage": (10,),
    "health.tickets": (80,),
    "health.nps": (0,),
    "health.red_below": (55,),
    "health.green_from": (90,),
    "health.drop": (5,),
    "health.old_ticket_days": (3,),
    "health.severe": (("low",),),
    "quality.field_weights": ({"amount": 3, "next_step": 0.5, "owner_id": 0},),
    "quality.required_from": ({"next_step": "open stage 3", "amount": "open stage 4"},),
    "quality.completeness": (45,),
    "quality.duplicates": (15,),
    "quality.stages": (40,),
    "quality.contacts": (0,),
    "quality.outdated_months": (5,),
    # Of the company as a whole, which no KPI names: R1 and R15.
    "timezone": ("Asia/Tokyo",),
    "fiscal_year_start_month": (2, 12),
    "size_bands": (BANDS,),
}
OF_THE_COMPANY: Final = ("timezone", "fiscal_year_start_month", "size_bands")
# What else has to be so that a choice matters.
BESIDE: Final[Mapping[str, tuple[tuple[str, Any], ...]]] = {
    "arr.in_force": (("arr.source", "contract"),),
    "arr.basis": (("arr.source", "line_items"),),
    "arr.committed_usage": (("arr.source", "line_items"),),
    "arr.price": (("arr.source", "line_items"),),
    "sales.no_decision": (("sales.win_rate", "narrow"),),
    "acquisition.cac_lag": (("sales.cycle_start", "created"),),
    "quality.completeness": (("quality.contacts", 10),),
    "quality.duplicates": (("quality.contacts", 30),),
    "quality.stages": (("quality.contacts", 0),),
    "quality.contacts": (("quality.stages", 40),),
}
# They change what stands beside a number, or what leads a report, and no number: see the tests below.
NO_NUMBER: Final = {
    "arr.headline", "sales.poc_limit_days", "sales.stage_old", "health.red_below", "health.green_from", "health.drop",
}  # fmt: skip


def choices() -> list[Choice]:
    found = [(way.setting, way.value) for way in ALL if way.value is not None]
    found += [(path, value) for path, values in FREE.items() for value in values]
    return [Choice(path, value, BESIDE.get(path, ())) for path, value in found if value != DEFAULTS.get(path)]


@dataclass
class Shared:
    """One company: what happened in it, and its tables and files."""

    world: str
    truth: Truth
    tables: dict[str, pl.DataFrame]
    given: Files
    inputs: Inputs
    listed: list[Listed]
    seeded: list[Listed]
    folder: Path
    known: dict[tuple[tuple[str, Any], ...], Mapping[str, Number]] = field(default_factory=dict)

    def named(self, choice: Choice) -> dict[str, Any]:
        """What is chosen, ``open stage 3`` by its name in this company."""
        stages = sorted(
            (s for s in self.truth.world.stages if s.active and not s.closed), key=lambda s: s.sort_order
        )
        names = {f"open stage {n}": stage.name for n, stage in enumerate(stages, 1)}

        def real(value: Any) -> Any:
            if isinstance(value, tuple):
                return tuple(map(real, value))
            if isinstance(value, dict):
                return {name: real(each) for name, each in value.items()}
            return names.get(value, value) if isinstance(value, str) else value

        return {path: real(value) for path, value in choice.ways.items()}

    def company(self, ways: Mapping[str, Any]) -> Company:
        settings: dict[str, Any] = {"channels": {"marketing": ["inbound"], "partner": ["partner"]}}
        for path, value in ways.items():
            part, _, name = path.rpartition(".")
            (settings.setdefault(part, {}) if part else settings)[name] = value
        if "size_bands" in settings:
            bands = [
                {"name": name, "employees_from": least} for least, name in reversed(settings["size_bands"])
            ]
            settings["size_bands"] = bands
        inputs = self.inputs
        if ways.get("arr.source") == "opening_arr" or "arr.deals_from" in ways:
            name = "seeded.csv" if "arr.deals_from" in ways else "listed.csv"
            inputs = inputs.model_copy(update={"opening_arr": self.folder / name})
        zone = {"timezone": self.truth.world.timezone}
        return company_of(**{**zone, **settings}).model_copy(update={"inputs": inputs})

    def facts(self, ways: Mapping[str, Any]) -> Facts:
        return Facts(self.company(ways), MONTHS, self.truth.known_at, self.tables)

    def second(self, ways: Mapping[str, Any], kpis: Collection[str] | None) -> Mapping[str, Number]:
        """The second computation of some numbers, or of all of them."""
        listed = self.listed if ways.get("arr.source") == "opening_arr" else ()
        if "arr.deals_from" in ways:
            listed = self.seeded
        return numbers(self.truth.under(Ways(ways)), self.given, listed=listed, wanted=kpis)

    def before(self, choice: Choice) -> Mapping[str, Number]:
        """The second computation of all numbers without the choice, made once."""
        if choice.beside not in self.known:
            self.known[choice.beside] = self.second(dict(choice.beside), None)
        return self.known[choice.beside]


@pytest.fixture(scope="module", params=VERTICALS)
def shared(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Shared:
    world = World(
        Parameters(vertical=request.param, end=date(2026, 7, 1), accounts=120, deals=1200, months=30)
    )
    truth = Truth(world, datetime.fromtimestamp(world.as_of, UTC))
    tables = with_odd_records(frames(world, world.as_of), truth)
    folder = tmp_path_factory.mktemp(request.param)
    given = files(truth, Segments(truth), months_between("2024-01", "2026-06"))
    ids = {account.key: str(account.key) for account in truth.live("account")}
    inputs = Inputs.model_validate(write(folder, given, ids))
    listed, seeded = opening_list(truth), opening_list(truth, LIST_UNTIL)
    for name, rows in (("listed", listed), ("seeded", seeded)):
        written_list(folder / f"{name}.csv", rows, ids)
    return Shared(request.param, truth, tables, given, inputs, listed, seeded, folder)


def naming(path: str) -> list[str]:
    """The KPIs of which a setting makes another number."""
    if path in OF_THE_COMPANY:
        return list(registered())
    return [kpi.id for kpi in registered().values() if any(way.setting == path for way in kpi.alternatives)]


def test_every_setting_has_its_second_computation() -> None:
    told = {way.setting for way in ALL}
    assert told == set(DEFAULTS) - set(OF_THE_COMPANY)
    tried = {choice.path for choice in choices()}
    untried = (told | set(OF_THE_COMPANY)) - tried
    assert untried == {"arr.rates", "acquisition.sourced_by"}, (
        "of these there is one way alone: metrics.unavailable"
    )
    assert {choice.path for choice in choices()} >= set(FREE)
    assert {way.setting for way in ALL if way.value is None} <= set(FREE)


def test_the_defaults_are_the_books() -> None:
    company = Company()
    for path, wanted in DEFAULTS.items():
        if path not in ("timezone", "size_bands", "sales.poc_limit_days"):
            assert setting(company, path) == wanted, path
    bands = tuple((band.employees_from, band.name) for band in reversed(company.size_bands))
    assert bands == DEFAULTS["size_bands"]


@pytest.mark.parametrize("choice", choices(), ids=str)
def test_every_choice(shared: Shared, choice: Choice) -> None:
    kpis, ways = naming(choice.path), shared.named(choice)
    facts, second = shared.facts(ways), shared.second(ways, kpis)
    cuts = (None,) if choice.path in OF_THE_COMPANY and choice.path != "size_bands" else (None, "size")
    chosen = {kpi: second[kpi] for kpi in kpis}
    wrong = []
    for cut in cuts:
        wrong += compared(compute(facts, kpis, (cut,)), chosen, MONTHS, cut).wrong
    assert wrong == []
    before = shared.before(choice)
    moved = any(
        chosen[kpi].table(MONTHS, cut) != before[kpi].table(MONTHS, cut)
        for kpi in kpis
        for cut in cuts
        if cut is None or cut in chosen[kpi].cuts
    )
    if choice.path in NO_NUMBER:
        assert not moved
    elif shared.world == THE_ONE:
        assert moved, "a choice that changes nothing proves nothing"


def test_what_leads_the_report(shared: Shared) -> None:
    book = playbook.load("hr_tech")
    leading = {
        headline: scope.scorecard(shared.facts({"arr.headline": headline}), MONTHS[-1], book)[0]
        for headline in ("arr", "carr")
    }
    assert leading["carr"][:2] == ["carr", "arr"]
    assert leading["arr"] == [*book.scorecard]


@pytest.mark.parametrize("days", [30, 12])
def test_pilots_beyond_the_limit(shared: Shared, days: int) -> None:
    ways = {"sales.poc_limit_days": days}
    motion = Motion(shared.truth.under(Ways(ways)))
    table = pilots.table(shared.facts(ways)).collect()
    for row in table.iter_rows(named=True):
        ended = [one.days for one in motion.pilots(row["month"]) if one.days is not None]
        assert row["beyond"] == sum(took > days for took in ended)
        assert row["open_beyond"] == sum(age > days for age in motion.running(row["month"]))
    assert (table["beyond"] > 0).any()


@pytest.mark.parametrize(
    "ways",
    [
        {"sales.stage_old": 1.1},
        {"sales.stage_old": 3.0},
        {"sales.stage_quarters": 2, "sales.stage_deals": 12},
    ],
    ids=str,
)
def test_the_stages_side_by_side(shared: Shared, ways: Mapping[str, Any]) -> None:
    motion = Motion(shared.truth.under(Ways(ways)))
    table = stage_table.table(shared.facts(ways))
    for row in table.iter_rows(named=True):
        month, stage = row["month"], row["stage"]
        assert row["n"] == len(motion.stage_days(month)[stage])
        assert (row["went_on"], row["left"]) == motion.went_on(month, stage)
        assert (row["skips"], row["back_moves"]) == motion.moves(month, stage)
        if row["target_days"] is None:
            assert (row["older"], row["older_value"]) == motion.older(month, stage)
    assert (table["older"] > 0).any()


@pytest.mark.parametrize(
    "ways", [{}, {"health.red_below": 55}, {"health.green_from": 90}, {"health.drop": 5}], ids=str
)
def test_bands_of_health_and_falls(shared: Shared, ways: Mapping[str, Any]) -> None:
    truth = shared.truth.under(Ways(ways))
    second = Health(truth, shared.given.lives, Revenue(truth))
    rows = shared.facts(ways).once(health.scores)
    for month in MONTHS:
        mine = rows.filter(month=month)
        sums = dict(mine.group_by("band").agg(pl.col("arr").sum()).iter_rows())
        assert sums == {band: arr for band, arr in second.bands(month).items() if arr}
        assert mine["fell"].sum() == second.fallen(month)
    assert rows["fell"].any()


@pytest.mark.parametrize("window", WINDOWS)
@pytest.mark.parametrize("how", nrr_points.WAYS)
def test_the_points_of_nrr(shared: Shared, how: str, window: Window) -> None:
    """The movements of the window, month by month, over the opening; with a cohort those of its customers alone."""
    ways = {"retention.nrr": how, "retention.window": window}
    revenue = Revenue(shared.truth.under(Ways(ways)))
    found = nrr_points.points(shared.facts(ways), how, window).collect()
    for row in found.iter_rows(named=True):
        opening, points = revenue.points(row["month"], WINDOWS[window], how)
        assert row["opening"] == opening
        assert {part: row[part] for part in points} == pytest.approx(points, abs=1e-9)
    assert found.height == len(MONTHS)


def same(one: float | None, other: float | None) -> bool:
    """Sums of floats differ in their last digits with their order."""
    return one == other if one is None or other is None else one == pytest.approx(other, rel=1e-12)


@pytest.mark.slow
def test_no_choice_changes_a_number_that_does_not_name_it(shared: Shared) -> None:
    usual = {(one.id, one.month): one.value for one in compute(shared.facts({}))}
    wrong = []
    for choice in choices():
        others = sorted(set(registered()) - set(naming(choice.path)))
        if others and not choice.beside:
            found = compute(shared.facts(shared.named(choice)), others)
            wrong += [f"{choice}: {one.id}" for one in found if not same(usual[one.id, one.month], one.value)]
    assert wrong == []
