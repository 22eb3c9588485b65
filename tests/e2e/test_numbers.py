"""The numbers, from a served CRM through the installed command into the store, against the second computation."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator, Mapping
from copy import copy
from datetime import date, datetime, timedelta
from decimal import Decimal
from fractions import Fraction
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
from tests.oracle.acquisition import CHANNELS, Acquisition, Paid
from tests.oracle.agreements import kept
from tests.oracle.forecast import Forecasts
from tests.oracle.motion import Motion
from tests.oracle.quality import cleanliness, completeness
from tests.oracle.record import Truth, quarter_start, shift
from tests.oracle.revenue import Listed, Revenue, opening_list
from tests.oracle.sales import Sales

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
    """The same 36-month company read from one CRM, and the truth about it."""

    def __init__(self, store: Store, definitions: Definitions, world: Company, crm: str) -> None:
        self.store, self.definitions, self.world = store, definitions, world
        self.keeps_retired = crm == "salesforce"  # HubSpot does not list the stages that a layout had once
        self.facts = Facts.load(store, definitions, MONTHS, NOW)
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
        hubspot = ids["external_id"].str.len_chars().max() == 11
        keys = (record_key(each).key if hubspot else key_of(each)[1] for each in ids["external_id"])
        return dict(zip(keys, ids["external_id"], strict=True))


@pytest.fixture(scope="module", params=["salesforce", "hubspot"])
def synced(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Synced]:
    folder = tmp_path_factory.mktemp(request.param)
    with site(request.param, folder, accounts=300, deals=3000, months=36) as place:
        if request.param == "salesforce":  # so that contracts and subscriptions are read too
            place.configure(folder, arr={"source": "cpq"})
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        world = place.world
    settings = configuration.load(folder / "config.yaml")
    store = Store.open(settings.store.url)
    try:
        definitions = settings.companies["demo"].model_copy(update={"arr": ArrSettings()})
        yield Synced(store, definitions, world, request.param)
    finally:
        store.close()


@pytest.fixture(scope="module")
def truth(synced: Synced) -> Truth:
    return Truth(synced.world, NOW)


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


@pytest.mark.parametrize("name", SOURCES)
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
    if not synced.keeps_retired:  # HubSpot has neither; its configuration refuses them
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


def test_ratios_of_every_month(synced: Synced, truth: Truth) -> None:
    revenue, sales = Revenue(truth), Sales(truth)
    wrong = []
    for month in MONTHS:
        retention = revenue.retention(month)
        won, closed = sales.win_rate(month)
        won_value, closed_value = sales.win_rate_value(month)
        size, count = sales.deal_size(month)
        coverage = sales.coverage(month)
        expected = {
            "nrr": retention["nrr"],
            "grr": retention["grr"],
            "logo_churn": retention["logo_churn"],
            "arr_growth_mom": revenue.growth(month, 1),
            "arr_growth_yoy": revenue.growth(month, 12),
            "win_rate": won / closed if closed else None,
            "win_rate_value": won_value / closed_value if closed_value else None,
            "avg_deal_size": size / count if count else None,
            "pipeline_coverage": coverage[0] / coverage[1] if coverage and coverage[1] else None,
        }
        for kpi, want in expected.items():
            got = synced.value(kpi, month)
            if (got is None) != (want is None) or (
                got is not None and got != pytest.approx(want, abs=1e-9, rel=1e-9)
            ):
                wrong.append((month, kpi, got, want, synced.values[kpi, month].reasons))
    assert wrong == []


def test_acquisition_of_every_month(synced: Synced, truth: Truth) -> None:
    acquisition = Acquisition(truth)
    wrong = []
    for month in MONTHS:
        cohorts = {
            "lead_to_opportunity": acquisition.lead_to_opportunity(month),
            "mql_to_sql": acquisition.mql_to_sql(month),
        }
        money = {
            f"{channel}_sourced_{what}": compute_it(channel, month)
            for channel in CHANNELS
            for what, compute_it in (("pipeline", acquisition.pipeline), ("revenue", acquisition.revenue))
        }
        for kpi, (part, whole) in {**cohorts, **money}.items():
            got = synced.values[kpi, month]
            want = part if kpi in money else part / whole if whole else None
            if (got.value, got.numerator, got.denominator) != (want, part, whole):
                wrong.append((month, kpi, got, want))
    assert wrong == []
    for kpi in (*cohorts, *money):
        assert len({synced.value(kpi, month) for month in MONTHS}) > len(MONTHS) // 3, f"{kpi} says little"


def paid_every_month() -> list[Paid]:
    """Spend of every channel, and of none, in three currencies; nothing of it is the same twice."""
    months = [shift(MONTHS[0], n) for n in range(-12, len(MONTHS))]
    channels = ("inbound", "outbound", "partner", "self-serve", None)
    return [
        Paid(
            month, channel, kind, 1_000_003 + 7_919 * (n * 5 + c * 2 + k), ("USD", "EUR", "GBP")[(n + c) % 3]
        )
        for n, month in enumerate(months)
        for c, channel in enumerate(channels)
        for k, kind in enumerate(("people", "program"))
    ]


def test_what_leads_and_customers_cost_in_every_month(synced: Synced, truth: Truth, tmp_path: Path) -> None:
    rows = paid_every_month()
    quarters = sorted({quarter_start(row.month) for row in rows})
    margins = {first: Fraction(60 + n, 100) for n, first in enumerate(quarters)}
    lines = [
        f"{r.month},{r.channel or ''},{r.kind},{Decimal(r.amount).scaleb(-2)},{r.currency}" for r in rows
    ]
    spend, margin = tmp_path / "spend.csv", tmp_path / "margin.csv"
    spend.write_text("\n".join(["month,channel,kind,amount,currency", *lines]), encoding="utf-8")
    lines = [f"{first},subscription,{int(pct * 100)}%" for first, pct in margins.items()]
    margin.write_text("\n".join(["quarter,stream,pct", *lines]), encoding="utf-8")
    inputs = synced.definitions.inputs.model_copy(update={"spend": spend, "margin": margin})
    company = synced.definitions.model_copy(update={"inputs": inputs})
    facts = Facts.load(synced.store, company, MONTHS, NOW)
    kpis = ("cost_per_lead", "cac_payback_months")
    got = {
        (value.id, value.month, value.segment.get("motion")): value
        for value in compute(facts, kpis, (None, "motion"))
    }
    acquisition, revenue = Acquisition(truth), Revenue(truth)
    wrong, seen = [], 0
    for month in MONTHS:
        wanted: dict[str, Mapping[str | None, tuple[int, int | Fraction]]] = {
            "cost_per_lead": acquisition.cost_per_lead(rows, month)
        }
        if month >= shift(MONTHS[0], 9):  # before that the four quarters begin before the CRM's memory
            wanted["cac_payback_months"] = acquisition.payback(rows, margins, month, revenue)
        for kpi, channels in wanted.items():
            for channel, (top, bottom) in channels.items():
                value = got[kpi, month, channel]
                want = top / bottom if bottom else None
                seen += want is not None
                if (value.value is None) != (want is None) or (
                    want is not None and value.value != pytest.approx(float(want), rel=1e-9)
                ):
                    wrong.append((kpi, month, channel, value.value, want, value.reasons))
    assert wrong == []
    assert seen > 4 * len(MONTHS)
    early = got["cac_payback_months", MONTHS[0], None]
    assert early.value is None
    assert "the CRM holds nothing from before" in early.reasons[0]


def test_the_sales_motion_of_every_month(synced: Synced, truth: Truth) -> None:
    """Cohorts, cycles, velocity, stages and pilots: stage history, meetings and pilot dates of both CRMs."""
    motion = Motion(truth)
    wrong, known = [], set()
    for month in MONTHS:
        for kpi, want in motion.values(month).items():
            got = synced.value(kpi, month)
            if (got is None) != (want is None) or (
                got is not None and got != pytest.approx(want, abs=1e-9, rel=1e-9)
            ):
                wrong.append((month, kpi, got, want, synced.values[kpi, month].reasons))
            if want is not None:
                known.add(kpi)
    assert wrong == []
    assert known == set(motion.values(MONTHS[-1])), "a number that is never there proves nothing"


def test_forecasts_of_every_month(synced: Synced, truth: Truth) -> None:
    forecasts, sales = Forecasts(truth, keeps_retired=synced.keeps_retired), Sales(truth)
    wrong = []
    for month in MONTHS:
        weighted, coverage, judged = forecasts.weighted(month), sales.coverage(month), forecasts.error(month)
        quota = coverage[1] if coverage else 0
        expected = {
            "forecast_in_quarter": forecasts.in_quarter(month)[0],
            "pipeline_coverage_weighted": weighted / quota if weighted is not None and quota else None,
            "forecast_accuracy_error": _error(judged),
        }
        for kpi, want in expected.items():
            got = synced.value(kpi, month)
            if (got is None) != (want is None) or (got is not None and got != pytest.approx(want, rel=1e-12)):
                wrong.append((month, kpi, got, want, synced.values[kpi, month].reasons))
    assert wrong == []
    landings = to_go(synced.facts).select("month", "landing_p1", "landing_p2").rows()
    assert landings == [(month, *reversed(forecasts.in_quarter(month))) for month in MONTHS]
    assert any(by_crm != by_history for _, by_crm, by_history in landings), "own history was never used"


def _error(judged: tuple[int, int] | None) -> float | None:
    if judged is None or judged == (0, 0):
        return None
    said, won = judged
    return abs(said - won) / won if won else 1.0


def test_data_quality_of_every_month(synced: Synced, truth: Truth) -> None:
    wrong = []
    for month in MONTHS:
        have, want = completeness(truth, month)
        expected = {
            "field_completeness": have / want if want else None,
            "data_cleanliness": cleanliness(truth, month),
        }
        for kpi, number in expected.items():
            got = synced.value(kpi, month)
            if (got is None) != (number is None) or (
                got is not None and got != pytest.approx(number, rel=1e-9)
            ):
                wrong.append((month, kpi, got, number))
    assert wrong == []


@pytest.mark.parametrize("months_ago", [3, 14])
def test_the_past_as_it_was_known_then(synced: Synced, months_ago: int) -> None:
    """Stage, amount and close date are undone to the moment; so coverage and win rate are what they were."""
    month = shift(MONTHS[-1], -months_ago)
    known_at = NOW - timedelta(days=30 * months_ago)
    then = Truth(synced.world, known_at)
    month = min(month, f"{then.today:%Y-%m}")
    sales = Sales(then)
    facts = Facts.load(synced.store, synced.definitions, (month,), known_at)
    kpis = (
        *("win_rate", "cycle_days_median", "pipeline_coverage"),
        *("pipeline_coverage_weighted", "forecast_in_quarter"),
    )
    got = {value.id: value for value in compute(facts, kpis)}
    won, closed = sales.win_rate(month)
    coverage = sales.coverage(month)
    assert (got["win_rate"].numerator, got["win_rate"].denominator) == (won, closed)
    assert got["cycle_days_median"].value == Motion(then).values(month)["cycle_days_median"]
    if coverage is None:
        assert got["pipeline_coverage"].value is None
    else:
        assert (got["pipeline_coverage"].numerator, got["pipeline_coverage"].denominator) == coverage
    forecasts = Forecasts(then, keeps_retired=synced.keeps_retired)
    assert got["forecast_in_quarter"].value == forecasts.in_quarter(month)[0]
    assert got["pipeline_coverage_weighted"].numerator == forecasts.weighted(month)


@pytest.mark.parametrize("months_ago", [14, 20])
def test_lead_cohorts_as_they_were_known_then(synced: Synced, truth: Truth, months_ago: int) -> None:
    """At a day's end. Of leads that were deleted since, so long ago, no CRM shows a new reader anything."""
    known_at = NOW - timedelta(days=30 * months_ago, seconds=1)
    then = Truth(synced.world, known_at)
    month = shift(f"{then.today:%Y-%m}", -1)
    there = {lead.key for lead in truth.live("lead")}
    then.records["lead"] = {key: lead for key, lead in then.records["lead"].items() if key in there}
    acquisition = Acquisition(then)
    expected = {
        "lead_to_opportunity": acquisition.lead_to_opportunity(month),
        "mql_to_sql": acquisition.mql_to_sql(month),
    }
    facts = Facts.load(synced.store, synced.definitions, (month,), known_at)
    values = compute(facts, kpis=tuple(expected))
    assert {value.id: (value.numerator, value.denominator) for value in values} == expected
    assert all(reached and reached < n for reached, n in expected.values())
    immature = {value.id for value in values if any("immature" in reason for reason in value.reasons)}
    assert immature == set(expected)
