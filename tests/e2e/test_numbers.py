"""The numbers, from a served CRM through the installed command into the store, against the second computation."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.simulator.company import Company
from connectors.simulator.hubspot.ids import record_key
from connectors.simulator.salesforce.ids import key_of
from metrics.compute import compute
from metrics.coverage import to_go
from metrics.facts import Facts
from metrics.kpi import KpiValue
from metrics.retention import variants
from pipeline.company import ArrSettings
from pipeline.company import Company as Definitions
from pipeline.records import SourceInfo
from pipeline.store import Store
from scheduler import config as configuration
from tests.e2e.process import NOW, site
from tests.equal_numbers import compared
from tests.input_files import files, write
from tests.oracle.agreements import kept
from tests.oracle.forecast import Forecasts
from tests.oracle.health import Health
from tests.oracle.kpis import Crm, numbers
from tests.oracle.ledger import Listed, opening_list
from tests.oracle.record import FirstLook, Truth, shift
from tests.oracle.revenue import Revenue
from tests.oracle.segments import CUTS, Segments

MONTHS = tuple(f"{2023 + n // 12}-{n % 12 + 1:02d}" for n in range(6, 42))  # 36 months up to June 2026
BRIDGE = (
    "new_logo",
    "expansion_seat",
    "expansion_module",
    "expansion_other",
    "reactivation",
    "contraction",
    "churn",
)
LOSSES = ("contraction", "churn")  # printed as positive amounts
COVERAGE = ("pipeline_coverage", "pipeline_coverage_weighted")
CRMS = {
    "salesforce": Crm(),
    # It does not list the stages that a layout had once, has no place for quotas, and one record for a lead and the
    # contact that it became.
    "hubspot": Crm(
        keeps_retired=False,
        has_quotas=False,
        bin=timedelta(days=90),
        pipeline="Sales Pipeline",
        one_person=True,
    ),
}
COMPANIES = [
    pytest.param(
        (crm, vertical), id=f"{crm}-{vertical}", marks=[] if vertical == "hr_tech" else pytest.mark.slow
    )
    for vertical in ("hr_tech", "supply_chain", "dev_tools")
    for crm in CRMS
]


class WithoutValues:
    """A store whose deals have lost their amounts and ARR: what line items say has to come from them."""

    def __init__(self, store: Store) -> None:
        self.store = store

    def frame(self, company: str, table: str, /) -> pl.DataFrame:
        rows = self.store.frame(company, table)
        if table != "deals":
            return rows
        nothing = pl.lit(None, dtype=pl.Int64)
        return rows.with_columns(amount=nothing, arr=nothing)

    def source_info(self, company: str, /) -> SourceInfo | None:
        return self.store.source_info(company)

    def rewritten(self, company: str, at: datetime, /) -> frozenset[str]:
        return self.store.rewritten(company, at)


class Synced:
    """The same 36-month company read from one CRM, with input files beside it, and the truth about it."""

    def __init__(
        self, store: Store, definitions: Definitions, world: Company, crm: str, folder: Path
    ) -> None:
        self.store, self.world, self.crm = store, world, CRMS[crm]
        self.truth = Truth(world, NOW)
        self.files = files(self.truth, Segments(self.truth, self.crm.pipeline), MONTHS)
        self.definitions = definitions
        written = write(folder, self.files, self.account_ids())
        inputs = definitions.inputs.model_copy(update=written)
        self.definitions = definitions.model_copy(update={"inputs": inputs})
        self.facts = Facts.load(store, self.definitions, MONTHS, NOW)
        self.second = numbers(self.truth, self.files, self.crm)
        self.values: dict[tuple[str, str], KpiValue] = {}
        for value in compute(self.facts):
            assert not value.segment
            self.values[value.id, value.month] = value

    def value(self, kpi: str, month: str) -> float | None:
        return self.values[kpi, month].value

    def facts_with(self, settings: Mapping[str, Any]) -> Facts:
        """The same store under other settings."""
        plain = {**self.definitions.model_dump(), **settings}
        company = Definitions.model_validate({key: plain[key] for key in Definitions.model_fields})
        store: Store | WithoutValues = self.store
        if company.arr.source == "line_items":
            store = WithoutValues(self.store)
        return Facts.load(store, company, MONTHS, NOW)

    def otherwise(self, settings: Mapping[str, Any], kpis: Iterable[str]) -> Synced:
        found = copy(self)
        found.facts = self.facts_with(settings)
        found.values = {(value.id, value.month): value for value in compute(found.facts, kpis)}
        return found

    def account_ids(self) -> dict[int, str]:
        """The generator's key -> the CRM's id of every live account."""
        ids = self.store.frame(self.definitions.name, "accounts").filter(pl.col("deleted_at").is_null())
        return dict(zip(self.keys(ids), ids["external_id"], strict=True))

    def keys(self, rows: pl.DataFrame) -> list[int]:
        """The generator's keys of records of the CRM."""
        hubspot = rows["external_id"].str.len_chars().max() == 11
        return [record_key(each).key if hubspot else key_of(each)[1] for each in rows["external_id"]]

    def known_at(self, moment: datetime) -> Truth:
        """What a store that first looked now can know of an earlier moment: no more, and no less."""
        then = Truth(self.world, moment, FirstLook(NOW, self.crm.bin))
        deals = self.store.frame(self.definitions.name, "deals").filter(pl.col("created_at") <= moment)
        assert then.records["deal"].keys() == set(self.keys(deals))
        return then


@pytest.fixture(scope="module", params=COMPANIES)
def synced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    crm, vertical = request.param
    folder = tmp_path_factory.mktemp(crm)
    with site(crm, folder, playbook=vertical, accounts=300, deals=3000, months=36) as place:
        if crm == "salesforce":  # so that contracts and subscriptions are read too
            place.configure(folder, arr={"source": "cpq"})
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        world = place.world
    settings = configuration.load(folder / "config.yaml")
    store = Store.open(settings.store.url)
    try:
        definitions = settings.companies["demo"].model_copy(update={"arr": ArrSettings()})
        yield Synced(store, definitions, world, crm, folder)
    finally:
        store.close()


@pytest.fixture(scope="module")
def truth(synced: Synced) -> Truth:
    return synced.truth


def test_recurring_revenue_of_every_month(synced: Synced, truth: Truth) -> None:
    same_bridge(synced, Revenue(truth))
    for name in BRIDGE:
        assert any(synced.value(f"arr_{name}", month) for month in MONTHS), f"{name} never happened"


def same_bridge(synced: Synced, revenue: Revenue, since: date = date.min) -> None:
    """``since``: nobody can know what was before."""
    wrong = []
    for month in MONTHS:
        bridge = revenue.bridge(month)
        assert bridge["opening"] + bridge["fx"] + sum(bridge[name] for name in BRIDGE) == bridge["closing"]
        if revenue.truth.day_of(month) < since:
            assert all(synced.value(name, month) is None for name in ("arr", "carr", "arr_new_logo"))
            continue
        expected: dict[str, float | None] = {
            "arr": revenue.arr(month),
            "carr": revenue.carr(month),
            **{f"arr_{name}": abs(bridge[name]) if name in LOSSES else bridge[name] for name in BRIDGE},
        }
        wrong += [
            (month, kpi, synced.value(kpi, month), want)
            for kpi, want in expected.items()
            if synced.value(kpi, month) != want
        ]
    assert wrong == []
    assert synced.value("arr", MONTHS[-1]), "a company without revenue proves nothing"


OF_THE_LEDGER = ("arr", "carr", "nrr", "grr", "logo_churn", *(f"arr_{name}" for name in BRIDGE))
TAKES_OVER = date(2024, 10, 15)
SOURCES: dict[str, dict[str, Any]] = {
    "line_items": {"source": "line_items"},
    "opening_arr": {"source": "opening_arr"},
    "field after a list": {"deals_from": TAKES_OVER},
    "line_items after a list": {"source": "line_items", "deals_from": TAKES_OVER},
}


@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.slow] if name.startswith("line_items after") else [])
        for name in SOURCES
    ],
)
def test_the_same_company_from_another_source(
    synced: Synced, truth: Truth, tmp_path: Path, name: str
) -> None:
    arr = SOURCES[name]
    rows = opening_list(truth, arr.get("deals_from")) if name != "line_items" else []
    path = tmp_path / "opening_arr.csv"
    write_list(path, rows, synced.account_ids())
    settings = {"arr": arr, "inputs": {"opening_arr": path}}
    other = synced.otherwise(settings, OF_THE_LEDGER)
    revenue = Revenue(truth, arr.get("source", "field"), rows, arr.get("deals_from"))
    same_bridge(other, revenue, min((row.start for row in rows), default=date.min))
    same_retention(other, revenue)
    if rows:  # by line items it is the same company: its lines add up
        assert [other.value("arr", month) for month in MONTHS] != [
            synced.value("arr", month) for month in MONTHS
        ]


def same_retention(synced: Synced, revenue: Revenue) -> None:
    for month in MONTHS:
        wanted = revenue.retention(month)
        for kpi in ("nrr", "grr", "logo_churn"):
            got = synced.value(kpi, month)
            assert got == wanted[kpi] or got == pytest.approx(wanted[kpi]), (month, kpi)


@pytest.mark.parametrize("source", ["contract", "cpq"])
def test_the_same_company_by_the_crms_own_contracts(synced: Synced, truth: Truth, source: str) -> None:
    other = synced.otherwise({"arr": {"source": source}}, OF_THE_LEDGER)
    if not synced.crm.keeps_retired:  # HubSpot has neither; its configuration refuses them
        assert {other.value(kpi, month) for kpi in OF_THE_LEDGER for month in MONTHS} == {None}
        assert "have not been read" in other.values["arr", MONTHS[-1]].reasons[0]
        return
    revenue = Revenue(truth, source)
    same_bridge(other, revenue)
    same_retention(other, revenue)
    assert any(one.terminated for one in kept(truth, source)), "nothing was ever terminated"
    differ = [name for name in BRIDGE if any(other.value(f"arr_{name}", month) for month in MONTHS)]
    by_product = {"expansion_seat", "expansion_module"} if source == "contract" else set()
    assert set(BRIDGE) - set(differ) == by_product


def test_contracts_and_deals_tell_of_the_same_company(synced: Synced, truth: Truth) -> None:
    """What was sold is what is under contract, but for what nobody activated or priced, and for rounding."""
    sold, agreed = Revenue(truth), Revenue(truth, "cpq")
    on = truth.day_of(MONTHS[-1])
    by_deals, by_contracts = sold.by_customer(on, on), agreed.by_customer(on, on)
    same = [c for c in by_deals if abs(by_deals[c] - by_contracts.get(c, 0)) <= by_deals[c] // 1000]
    assert len(same) > 0.8 * len(by_deals)


def write_list(path: Path, rows: Iterable[Listed], ids: Mapping[int, str]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        lines = csv.writer(file)
        lines.writerow(["customer_key", "product", "arr", "currency", "start", "end"])
        for row in rows:
            cents = f"{row.arr // 100}.{row.arr % 100:02d}"
            lines.writerow([ids[row.customer], row.product, cents, row.currency, row.start, row.end or ""])


def test_retention_the_other_ways(synced: Synced, truth: Truth) -> None:
    """Flows, events and shorter windows; what follows is what the second computation calls them."""
    revenue = Revenue(truth)
    names = {"flow_with_reactivation": "back", ("grr", "flow"): "gross"}
    wanted = ["year", "quarter", "month", "flow", "flow_with_reactivation", "event"]
    for window, months in (("year", 12), ("quarter", 3), ("month", 1)):
        settings = {"retention": {"window": window, "beside": wanted}}
        found = variants(synced.facts_with(settings)).filter(window=window)
        assert found.height == 7 * len(MONTHS)
        second = {month: revenue.retention_otherwise(month, months) for month in MONTHS}
        for month, kpi, how, value in found.select("month", "kpi", "how", "value").iter_rows():
            name = names.get((kpi, how), names.get(how, how))
            expected = second[month][name]
            assert (value is None) == (expected is None)
            assert value is None or value == pytest.approx(expected, abs=1e-9), (month, kpi, how)


@pytest.mark.parametrize("cut", [None, *CUTS])
def test_every_number(synced: Synced, cut: str | None) -> None:
    """Every KPI, month and segment: which are printed, and what each says."""
    done = compared(compute(synced.facts, cuts=(cut,)), synced.second, MONTHS, cut)
    assert done.wrong == []
    # A CRM with quotas has them by seller alone.
    unplanned = synced.crm.has_quotas and cut in ("size", "industry", "motion", "pipeline")
    assert done.silent == (set(COVERAGE) if unplanned else set()), "what is never there proves nothing"


def test_months_before_the_memory_of_the_crm_have_no_payback(synced: Synced) -> None:
    early = next(value for value in compute(synced.facts, ["cac_payback_months"]) if value.month == MONTHS[0])
    assert early.value is None
    assert "the CRM holds nothing from before" in early.reasons[0]


def test_arr_by_health_of_every_month(synced: Synced) -> None:
    health = Health(synced.truth, synced.files.lives, Revenue(synced.truth))
    seen = set()
    for month in MONTHS:
        bands = health.bands(month)
        named = ", ".join(f"{band} ${arr // 100:,}.{arr % 100:02d}" for band, arr in bands.items())
        told = "; ".join(synced.values["health_score", month].reasons)
        assert ("ARR by health" in told) == any(bands.values())
        assert not any(bands.values()) or f"ARR by health: {named}" in told
        seen |= {band for band, arr in bands.items() if arr}
    assert seen == {"red", "amber", "green", "unknown"}
    assert synced.value("health_score", MONTHS[3]) is None, "surveys are a quarter of the weight: not enough"


def test_where_every_quarter_is_expected_to_land(synced: Synced) -> None:
    forecasts = Forecasts(synced.truth, keeps_retired=synced.crm.keeps_retired)
    landings = to_go(synced.facts).select("month", "landing_p1", "landing_p2").rows()
    assert landings == [(month, *reversed(forecasts.in_quarter(month))) for month in MONTHS]
    assert any(by_crm != by_history for _, by_crm, by_history in landings), "own history was never used"


@pytest.mark.parametrize("months_ago", [3, 14])
def test_the_past_as_it_was_known_then(synced: Synced, months_ago: int) -> None:
    """Stage, amount and close date are undone to the moment; so coverage and win rate are what they were."""
    known_at = NOW - timedelta(days=30 * months_ago)
    then = synced.known_at(known_at)
    month = min(shift(MONTHS[-1], -months_ago), f"{then.today:%Y-%m}")
    facts = Facts.load(synced.store, synced.definitions, (month,), known_at)
    kpis = ("win_rate", "cycle_days_median", "forecast_in_quarter", *COVERAGE)
    second = numbers(then, synced.files, synced.crm)
    wanted = {kpi: second[kpi] for kpi in kpis}
    assert compared(compute(facts, kpis), wanted, (month,), None).wrong == []


@pytest.mark.parametrize("months_ago", [14, 20])
def test_lead_cohorts_as_they_were_known_then(synced: Synced, months_ago: int) -> None:
    """At a day's end."""
    known_at = NOW - timedelta(days=30 * months_ago, seconds=1)
    then = synced.known_at(known_at)
    month = shift(f"{then.today:%Y-%m}", -1)
    kpis = ("lead_to_opportunity", "mql_to_sql")
    facts = Facts.load(synced.store, synced.definitions, (month,), known_at)
    values = compute(facts, kpis)
    second = {kpi: number for kpi, number in numbers(then).items() if kpi in kpis}
    assert compared(values, second, (month,), None).wrong == []
    assert all(value.numerator and value.n and value.numerator < value.n for value in values)
    immature = {value.id for value in values if any("immature" in reason for reason in value.reasons)}
    assert immature == set(kpis)
