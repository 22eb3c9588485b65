"""How a company defines its KPIs, and the ways it has not chosen: every choice is a setting, every setting a choice."""

from __future__ import annotations

from datetime import date
from typing import Any, Final, Literal, get_args, get_origin

import orjson
import pytest
from pydantic import BaseModel, ValidationError

from connectors.errors import ConfigurationError
from metrics import definitions
from metrics.alternatives import Alternative, setting
from metrics.compute import registered
from metrics.definitions import Defined, Way
from metrics.facts import Facts
from metrics.inputs import InputFault
from metrics.kpi_ids import KPI_IDS, UNITS
from metrics.unavailable import REASONS
from pipeline.company import (
    AcquisitionSettings,
    ArrSettings,
    Company,
    ForecastSettings,
    HealthSettings,
    QualitySettings,
    RetentionSettings,
    SalesSettings,
)
from tests.unit.books import Books, at
from tests.unit.test_kpi_cases import books_of, cases

# The product's KPIs, as its design names them.
IDS: Final = (
    "arr", "carr", "arr_new_logo", "arr_expansion_seat", "arr_expansion_module", "arr_expansion_other",
    "arr_reactivation", "arr_contraction", "arr_churn", "arr_growth_mom", "arr_growth_yoy", "nrr", "grr",
    "logo_churn", "win_rate", "win_rate_value", "win_rate_cohort", "avg_deal_size", "cycle_days_median",
    "cycle_days_weighted", "sales_velocity", "stage_days", "poc_days", "poc_conversion", "pipeline_coverage",
    "pipeline_coverage_weighted", "forecast_in_quarter", "forecast_accuracy_error", "cac_payback_months",
    "lead_to_opportunity", "mql_to_sql", "marketing_sourced_pipeline", "marketing_sourced_revenue",
    "partner_sourced_pipeline", "partner_sourced_revenue", "cost_per_lead", "health_score", "field_completeness",
    "data_cleanliness",
)  # fmt: skip
PARTS: Final[dict[str, type[BaseModel]]] = {
    "arr": ArrSettings, "retention": RetentionSettings, "sales": SalesSettings, "health": HealthSettings,
    "forecast": ForecastSettings, "acquisition": AcquisitionSettings, "quality": QualitySettings,
}  # fmt: skip
# Settings of those parts that choose what is printed, and not what a number is.
PRINTED: Final = {"retention.beside"}
ALL: Final = tuple(dict.fromkeys(way for kpi in registered().values() for way in kpi.alternatives))
CHOSEN: Final = tuple(way for way in ALL if way.value is not None)
NOW: Final = at("2026-01-15")


def company(**settings: Any) -> Company:
    return Company.model_validate({"name": "test", "currency": "USD", **settings})


def written(path: str, value: Any) -> dict[str, Any]:
    """``arr.basis`` and a value, as a configuration nests them."""
    first, _, rest = path.partition(".")
    return {first: written(rest, value) if rest else value}


def annotation(path: str) -> Any:
    """What may stand under a setting."""
    part, _, name = path.rpartition(".")
    return (PARTS[part] if part else Company).model_fields[name].annotation


def data_a() -> Books:
    """Data A of the definition book's worked examples."""
    found = [case.values[0] for case in cases()]
    return books_of(
        next(case for case in found if case["name"] == "data A, flows and events beside the default")
    )


def found(settings: dict[str, Any], facts: Facts | None = None, month: str = "2025-12") -> dict[str, Defined]:
    known_at = facts.known_at if facts else NOW
    kind = facts.company if facts else company(**settings)
    return {one.kpi.id: one for one in definitions.defined(kind, IDS, month, known_at, facts)}


def synced(settings: dict[str, Any]) -> dict[str, Defined]:
    return found(settings, data_a().facts("2025-12", now=NOW, company=company(**settings)))


def beside(one: Defined) -> dict[str, float | None]:
    return {
        f"{way.alternative.setting}: {way.alternative.value}": way.value for way in one.ways if way.beside
    }


def test_the_kpis_are_those_of_the_design() -> None:
    assert KPI_IDS == IDS
    assert {name: kpi.unit for name, kpi in registered().items()} == UNITS
    assert tuple(found({})) == IDS


@pytest.mark.parametrize("way", ALL, ids=lambda way: f"{way.setting}={way.value}")
def test_every_setting_that_is_named_is_there(way: Alternative) -> None:
    if way.setting.startswith("channels."):
        assert setting(Company(), way.setting)
        return
    assert annotation(way.setting) is not None
    setting(Company(), way.setting)


@pytest.mark.parametrize("way", CHOSEN, ids=lambda way: f"{way.setting}={way.value}")
def test_every_value_can_be_written_and_no_other(way: Alternative) -> None:
    assert setting(company(**written(way.setting, way.value)), way.setting) == way.value
    with pytest.raises(ValidationError):
        company(**written(way.setting, "no such way"))


def test_every_way_that_a_setting_offers_is_told() -> None:
    told = {
        path: {way.value for way in CHOSEN if way.setting == path} for path in {way.setting for way in CHOSEN}
    }
    refused: dict[str, set[str]] = {}
    for path, value in REASONS:
        refused.setdefault(path, set()).add(value)
        with pytest.raises(ConfigurationError, match=f"{path}: {value} is not available"):
            Books().facts("2026-01", now=NOW, company=company(**written(path, value)))
    for path, values in told.items():
        kind = annotation(path)
        offered = {True, False} if kind is bool else set(get_args(kind))
        assert kind is bool or get_origin(kind) is Literal, path
        assert values == offered - refused.get(path, set()), path


def test_every_setting_of_the_parts_is_somebodys_choice() -> None:
    told = {way.setting for way in ALL}
    there = {f"{part}.{name}" for part, model in PARTS.items() for name in model.model_fields}
    assert there - told == PRINTED


def test_a_setting_with_a_value_means_one_thing_and_its_default_comes_first() -> None:
    meanings: dict[tuple[str, Any], str] = {}
    for way in ALL:
        assert meanings.setdefault((way.setting, way.value), way.means) == way.means
        assert not way.means.endswith(".")
    for kpi in registered().values():
        first: dict[str, Alternative] = {}
        for way in kpi.alternatives:
            first.setdefault(way.setting, way)
        assert all(way.in_force(Company()) for way in first.values()), kpi.id
        assert len(set(kpi.alternatives)) == len(kpi.alternatives), kpi.id


def test_one_way_is_in_force_whatever_was_chosen() -> None:
    chosen = found({"retention": {"nrr": "flow", "window": "quarter"}, "sales": {"include_expansion": True}})
    for one in chosen.values():
        for path in one.settings:
            ways = [way for way in one.ways if way.alternative.setting == path]
            assert sum(way.in_force for way in ways) == 1, (one.kpi.id, path)
    in_force = [way.alternative.value for way in chosen["nrr"].ways if way.in_force][:2]
    assert in_force == ["flow", "quarter"]


def test_the_definition_is_the_one_in_force() -> None:
    usual = found({})
    assert usual["nrr"].definition == "nrr/1: trailing 12 months, cohort point to point, constant rate"
    assert usual["nrr"].covers == "2025-01..2025-12"
    assert usual["win_rate"].covers == "2025-Q4"
    other = found({"retention": {"nrr": "flow", "window": "quarter"}, "sales": {"cycle_start": "created"}})
    assert other["nrr"].kpi.definition.startswith("nrr/1 flow quarter: ")
    assert other["nrr"].covers == "2025-10..2025-12"
    assert other["nrr"].changed == ("retention.nrr", "retention.window")
    assert other["grr"].changed == ("retention.window",)
    # A setting that changes no formula's name is told beside it.
    assert other["cycle_days_median"].definition.endswith(
        "won in the quarter; with sales.cycle_start: created"
    )
    assert other["win_rate"].definition == usual["win_rate"].definition


def test_a_fiscal_year_is_the_companys() -> None:
    # From November to January is the last quarter of a year that begins in February, named after the year it ends in.
    assert found({"fiscal_year_start_month": 2}, month="2026-01")["win_rate"].covers == "2026-Q4"
    assert found({}, month="2026-01")["win_rate"].covers == "2026-Q1"


def test_what_the_company_wants_beside_has_its_value() -> None:
    """Example 1 and 2 of section 8: 85.0 and 76.7 and 95.0; 73.3 and 66.7; 20 and 40 %."""
    values = synced({"retention": {"beside": ["flow", "flow_with_reactivation", "event", "month"]}})
    assert values["nrr"].value is not None
    assert values["nrr"].value.value == pytest.approx(0.85)
    assert beside(values["nrr"]) == {
        "retention.nrr: flow": pytest.approx(230 / 300),
        "retention.nrr: flow_with_reactivation": pytest.approx(285 / 300),
        "retention.window: month": 1.0,
    }
    assert beside(values["grr"]) == {
        "retention.grr: flow": pytest.approx(200 / 300),
        "retention.window: month": 1.0,
    }
    assert beside(values["logo_churn"]) == {
        "retention.logo_churn: event": 0.4,
        "retention.window: month": 0.0,
    }
    assert not any(beside(values[name]) for name in IDS if name not in ("nrr", "grr", "logo_churn"))


def test_the_default_stands_beside_another_choice() -> None:
    values = synced({"retention": {"nrr": "flow_with_reactivation", "beside": ["cohort"]}})
    assert values["nrr"].value is not None
    assert values["nrr"].value.value == pytest.approx(0.95)
    assert beside(values["nrr"]) == {"retention.nrr: cohort": pytest.approx(0.85)}
    assert beside(values["grr"]) == {}


def test_nothing_is_beside_where_nothing_was_asked_for() -> None:
    assert not any(beside(one) for one in synced({}).values())


def test_what_is_undefined_beside_says_why() -> None:
    facts = Books().facts("2025-12", now=NOW, company=company(retention={"beside": ["flow"]}))
    way = next(way for way in found({}, facts)["nrr"].ways if way.beside)
    assert way.value is None
    assert way.reason


def test_a_faulty_list_leaves_the_number_to_say_so() -> None:
    settings = {"arr": {"source": "opening_arr"}, "retention": {"beside": ["flow"]}}
    facts = Books().facts(
        "2025-12", now=NOW, company=company(**settings, inputs={"opening_arr": "no-such.csv"})
    )
    with pytest.raises(InputFault):
        _ = facts.opening_list
    one = found({}, facts)["nrr"]
    assert one.value is not None
    assert "no-such.csv" in one.value.reasons[0]
    assert beside(one) == {}


def test_before_the_first_sync_there_are_definitions_without_values() -> None:
    one = found({"retention": {"beside": ["flow"]}})["nrr"]
    assert one.value is None
    assert beside(one) == {}
    document = definitions.as_json([one], "test", "2025-12", None)
    assert (document["known_at"], document["currency"]) == (None, None)
    assert document["kpis"][0]["value"] is None
    assert document["kpis"][0]["reasons"] == ["nothing was synced yet"]


def test_the_document_is_plain_data() -> None:
    settings = {"arr": {"deals_from": "2025-01-01"}, "inputs": {"opening_arr": "list.csv"}}
    values = found(settings)
    document = orjson.loads(orjson.dumps(definitions.as_json(list(values.values()), "test", "2025-12", None)))
    one = next(one for one in document["kpis"] if one["id"] == "arr")
    assert one["settings"]["arr.deals_from"] == "2025-01-01"
    assert one["changed"] == ["arr.deals_from"]
    assert one["covers"] == "month"
    assert {way["setting"] for way in one["alternatives"]} == set(one["settings"])
    assert one["elsewhere"]["Baremetrics"].startswith("MRR x 12")
    assert values["arr"].definition.endswith("; with arr.deals_from: 2025-01-01")


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "null"), (True, "true"), (50.0, "50"), (0.5, "0.5"), (("a", "b"), "[a, b]"), ((), "[]"),
     (date(2025, 1, 2), "2025-01-02"), ("cohort", "cohort"), (30, "30")],
)  # fmt: skip
def test_settings_read_as_they_are_written(value: Any, text: str) -> None:
    assert definitions.words(value) == text


def test_ways_are_grouped_by_their_setting() -> None:
    grouped = definitions.by_setting(registered()[name] for name in IDS)
    assert {kpi for kpis in grouped["retention.window"].values() for kpi in kpis} == {
        "nrr",
        "grr",
        "logo_churn",
    }
    assert [way.value for way in grouped["retention.nrr"]] == [
        "cohort",
        "flow",
        "flow_with_reactivation",
        "renewal_base",
    ]
    assert isinstance(found({})["nrr"].ways[0], Way)
