"""Statuses, the JSON document, and the frames a report is drawn from."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.errors import ConfigurationError
from metrics.compute import as_json, bridge, bridge_detail, compute, pipeline_by_stage, registered
from metrics.facts import Facts
from metrics.judge import Asked, Verdict
from metrics.kpi import CUTS, EVIDENCE, MEASURE
from metrics.left_out import left_out
from pipeline.company import Company
from pipeline.records import SourceInfo
from tests.unit.books import Books, at, only

KPIS = sorted(path.stem for path in (Path(__file__).parents[2] / "metrics" / "kpis").glob("[a-z]*.py"))


def small() -> Books:
    """Two customers, one of them with a renewal, a lost and an open deal."""
    books = Books()
    books.account("A", segment="SMB", industry="Retail")
    books.account("B")
    books.won("a", "A", "2025-01-01", 100, amount=10_000)
    books.won("a2", "A", "2026-01-01", 120, type="Renewal", amount=12_000)
    books.won("b", "B", "2025-06-01", 50, currency="EUR", amount=5_000)
    books.deal("lost", "2026-01-02", history=(("2026-01-02", "Discovery"), ("2026-02-03", "Lost")), account_id="A",
               close_date="2026-02-03", arr=9_900, amount=9_900)  # fmt: skip
    books.deal("open", "2026-01-02", stage="Proposal", account_id="B", close_date="2026-03-01", amount=7_700)
    books.rate("EUR", "2025-01-01", "1.25")
    books.quota("2026-01-01", 154)
    return books


def facts(*months: str) -> Facts:
    return small().facts(*(months or ("2026-01", "2026-02")), now=at("2026-02-28"))


@pytest.mark.parametrize("name", KPIS)
def test_every_kpi_gives_rows_evidence_and_documentation(name: str) -> None:
    kpi = registered()[name]
    found = facts()
    for cut in (None, *CUTS):
        rows = kpi.compute(found, cut).collect()
        assert rows.schema == MEASURE
        if cut is not None and cut not in kpi.cuts:
            continue
        keys = rows.select("month", "segment")
        assert keys.is_unique().all()
        assert set(keys["month"]) == {"2026-01", "2026-02"}
        assert rows.filter(pl.col("value").is_null() & pl.col("reason").is_null()).is_empty()
        if cut is None:
            assert keys["segment"].to_list() == [None, None]
        else:
            assert "unknown" in keys["segment"].to_list()
            assert None not in keys["segment"].to_list()
    assert kpi.evidence(found, "2026-02").schema == EVIDENCE
    assert kpi.id == name
    assert kpi.definition.startswith(f"{name}/")


@pytest.mark.parametrize(
    "name",
    [
        "arr",
        "carr",
        "arr_expansion_other",
        "arr_churn",
        "nrr",
        "grr",
        "win_rate",
        "avg_deal_size",
        "pipeline_coverage",
        "pipeline_coverage_weighted",
        "forecast_in_quarter",
    ],
)
def test_evidence_adds_up_to_the_numerator(name: str) -> None:
    found = facts()
    value = only(compute(found, [name]), month="2026-02")
    assert registered()[name].evidence(found, "2026-02")["contribution"].sum() == (value.numerator or 0)


@pytest.mark.parametrize("name", KPIS)
def test_an_empty_crm_has_no_numbers_and_says_why(name: str) -> None:
    empty = Books().facts("2026-02", now=at("2026-02-28"))
    value = only(compute(empty, [name]))
    assert (value.value, value.status) == (None, "not_computable")
    assert value.reasons[0]
    assert registered()[name].evidence(empty, "2026-02").filter(pl.col("object") == "deals").height in (0, 6)


def test_parts_reconcile_to_the_total() -> None:
    found = facts()
    totals = {(value.id, value.month): value for value in compute(found)}
    for cut in CUTS:
        sums: dict[tuple[str, str], list[float]] = {}
        for value in compute(found, cuts=(cut,)):
            sums.setdefault((value.id, value.month), []).append(value.numerator or 0)
        assert sums, cut
        for key, parts in sums.items():
            assert sum(parts) == (totals[key].numerator or 0), (cut, key)


def test_unknown_names_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="there is no KPI 'arrr'; known are arr, "):
        compute(facts(), ["arrr"])
    with pytest.raises(ConfigurationError, match="cannot be cut by 'shoe'"):
        compute(facts(), ["arr"], cuts=("shoe",))
    with pytest.raises(ConfigurationError, match="2026-03 lies in the future"):
        facts("2026-03")


def test_small_samples_are_marked_and_counted() -> None:
    value = only(compute(facts(), ["win_rate"]), month="2026-02")
    assert (value.value, value.n, value.status) == (0.0, 1, "low_sample")
    # Of the four quarters from April 2025 on: one won in June, one lost in February.
    assert value.reasons == ("low sample: 1, fewer than 10", "four quarters 50% of 2")


def test_fields_filled_too_rarely_make_a_number_unreliable() -> None:
    books = small()
    for row in books.rows["deals"][:2]:
        row["start_date"] = None
    value = only(compute(books.facts("2026-02", now=at("2026-02-28")), ["arr"]))
    assert value.status == "unreliable"
    assert value.reasons == ("start_date is filled on 33% of the 3 deals behind this number, less than 80%",)
    third = only(compute(books.facts("2026-02", now=at("2026-02-28"), completeness_threshold=0.33), ["arr"]))
    assert third.status == "no_target"


def test_exactly_at_the_threshold_is_reliable() -> None:
    books = Books()
    books.account("A")
    for number in range(5):
        books.won(str(number), "A", "2025-01-01", 1, 36)
    books.rows["deals"][0]["term_months"] = None
    assert only(compute(books.facts("2026-02", now=at("2026-02-28")), ["arr"])).status == "no_target"


def test_a_judge_speaks_last() -> None:
    def judge(asked: Asked) -> Verdict:
        return Verdict("off_target", "> 0", f"{asked.title} is off")

    values = compute(facts(), ["arr", "win_rate"], judge=judge)
    assert only(values, id="arr", month="2026-02").status == "off_target"
    assert only(values, id="win_rate", month="2026-02").status == "low_sample"
    assert {value.target for value in values} == {"> 0"}
    assert only(values, id="arr", month="2026-02").verdict == "ARR is off"
    assert only(values, id="win_rate", month="2026-02").verdict is None, (
        "what cannot be trusted is not judged"
    )
    assert only(values, id="win_rate", month="2026-01").status == "not_computable"


def test_arr_is_not_zero_but_undefined_where_no_win_makes_a_contract() -> None:
    books = Books()
    books.account("A")
    books.deal("d", stage="Won", account_id="A", amount=500, close_date="2025-01-01")
    values = compute(books.facts("2026-02", now=at("2026-02-28")), ["arr", "nrr", "arr_churn"])
    assert {value.reasons for value in values} == {
        ("none of 1 won deals makes a contract (most often: one-time: no term and no ARR)",)
    }


def test_arr_is_undefined_where_nothing_could_make_a_contract() -> None:
    books = Books()
    books.account("a")
    books.deal("open", stage="Qualified", account_id="a", amount=5000)
    value = compute(books.facts("2026-02", now=at("2026-02-28")), ["arr"])[0]
    assert (value.value, value.reasons) == (None, ("no deal holds an ARR or a term",))


def test_arr_is_undefined_before_everything_the_crm_holds() -> None:
    books = Books()
    books.won("first", books.account("a"), "2025-03-10", 1200, 12, created="2025-02-03")
    facts = books.facts("2025-01", "2025-02", "2025-03", now=at("2026-02-28"))
    before, open_still, live = compute(facts, ["arr"])
    assert (before.value, before.reasons) == (None, ("the CRM holds nothing from before 2025-02-03",))
    assert (open_still.value, live.value) == (0, 120_000)


def test_lost_deals_without_history_are_named() -> None:
    books = small()
    books.rows["deal_changes"].clear()
    found = books.facts("2026-02", now=at("2026-02-28"))
    reasons = {value.id: value.reasons for value in compute(found, ["win_rate", "pipeline_coverage"])}
    assert (
        "1 lost deals without stage history count as qualified; four quarters 50% of 2" in reasons["win_rate"]
    )
    assert reasons["pipeline_coverage"] == (
        "1 deals of the snapshot have no stage history: not reconstructed; to go on 2026-02-28: 0.50×",
    )


def test_the_json_document() -> None:
    found = facts()
    document = as_json(compute(found, ["arr", "nrr", "win_rate"]), "acme", found.known_at, found.currency)
    assert {name: document[name] for name in document if name != "kpis"} == {
        "company": "acme", "period": "2026-01..2026-02", "known_at": "2026-02-28T12:00:00Z", "currency": "USD",
    }  # fmt: skip
    arr, nrr, rate = (next(row for row in document["kpis"] if row["id"] == name and row["month"] == "2026-02")
                      for name in ("arr", "nrr", "win_rate"))  # fmt: skip
    assert arr == {
        "id": "arr", "period": "2026-02", "month": "2026-02", "value": "182.50", "unit": "currency",
        "numerator": "182.50", "denominator": None, "n": 2, "segment": {},
        "status": "no_target", "target": None, "verdict": None, "reasons": [],
        "definition": "arr/1: live contracts at month-end, rate of that day",
    }  # fmt: skip
    assert (nrr["value"], nrr["numerator"], nrr["denominator"]) == (1.2, "120.00", "100.00")
    assert nrr["period"] == "2025-03..2026-02"
    assert (rate["value"], rate["numerator"], rate["denominator"], rate["period"]) == (0.0, 0, 1, "2026-Q1")


@pytest.mark.parametrize(
    ("currency", "minor", "text"),
    [
        ("USD", -5, "-0.05"),
        ("USD", 100, "1.00"),
        ("JPY", 1200, "1200"),
        ("KWD", 1, "0.001"),
        ("USD", 12.5, "0.12"),
        ("USD", 13.5, "0.14"),
    ],
)
def test_money_is_text_in_major_units(currency: str, minor: float, text: str) -> None:
    value = replace(only(compute(facts("2026-02"), ["arr"])), value=minor, currency=currency)
    assert as_json([value], "acme", datetime(2026, 1, 1, tzinfo=UTC), currency)["kpis"][0]["value"] == text


def test_no_values_make_an_empty_document() -> None:
    document = as_json([], "acme", datetime(2026, 1, 1, tzinfo=UTC), "USD")
    assert (document["period"], document["kpis"]) == (None, [])


def test_the_bridge_chains_and_its_details_add_up() -> None:
    found = facts("2025-12", "2026-01", "2026-02")
    table = bridge(found)
    assert table["opening"].to_list()[1:] == table["closing"].to_list()[:-1]
    assert table.row(1, named=True) | {
        "opening": 16_250,
        "expansion_other": 2_000,
        "closing": 18_250,
    } == table.row(1, named=True)
    detail = bridge_detail(found)
    for name in ("new_logo", "expansion_other", "churn", "fx"):
        by_month = dict(detail.group_by("month").agg(pl.col(name).sum()).rows())
        assert [by_month.get(month, 0) for month in table["month"]] == table[name].to_list()


def test_all_live_deals_by_stage() -> None:
    books = small()
    books.deal("swiss", stage="Proposal", currency="CHF", amount=1)
    books.deal("odd", stage="Nowhere", amount=100)
    books.deal("blank", stage="Proposal", amount=None)
    books.deal("gone", stage="Proposal", amount=1, deleted_at=at("2026-01-09"))
    table = pipeline_by_stage(books.facts("2026-02", now=at("2026-02-28")))
    assert table.select("label", "deals", "amount", "unconverted").rows() == [
        ("Prospecting", 0, 0, 0),
        ("Discovery", 0, 0, 0),
        ("Proposal", 3, 7_700, 1),
        ("Won", 3, 28_250, 0),
        ("Lost", 1, 9_900, 0),
        ("Nowhere", 1, 100, 0),
    ]


def test_what_is_left_out_is_listed_with_its_value() -> None:
    books = small()
    books.won("reversed", "A", "2025-01-01", 7, -12)
    books.won("orphan", None, "2025-01-01", 6)
    books.won("services", "A", "2025-01-01", 5, type="Services")
    books.won("swiss", "A", "2025-01-01", 4, currency="CHF")
    books.won("once", "A", "2025-01-01", None, None, amount=300)
    books.won("nothing", "A", "2025-01-01", None, None)
    books.won("zero", "A", "2025-01-01", 0)
    books.won("pilot", "A", "2025-01-01", 2, pilot=True)
    books.deal("lost services", stage="Lost", type=None, close_date="2025-01-01", amount=100)
    books.deal("open swiss", stage="Proposal", currency="CHF", amount=100)
    table = left_out(books.facts("2026-02", now=at("2026-02-28")))
    found = {
        row["external_id"]: (row["kpis"], row["reason"], row["value"]) for row in table.iter_rows(named=True)
    }
    assert found == {
        "reversed": ("ARR", "dates reversed", 700),
        "orphan": ("ARR", "no account", 600),
        "services": ("ARR", "unmapped deal type", 500),
        "swiss": ("ARR", "currency without an exchange rate", None),
        "once": ("ARR", "one-time: no term and no ARR", 300),
        "nothing": ("ARR", "no ARR and no amount", None),
        "zero": ("average deal size", "won with a value of zero", 0),
        "pilot": ("ARR, win rate", "pilot in a won stage, not converted", 200),
        "lost services": ("win rate", "unmapped deal type", 100),
        "open swiss": ("pipeline", "currency without an exchange rate", None),
    }


def test_without_a_sales_process_the_flags_of_the_crm_count() -> None:
    books = Books()
    books.rows["stages"].clear()
    books.account("A")
    books.won("won", "A", "2026-01-10", 100, is_closed=True, is_won=True, amount=10_000)
    books.deal("lost", "2026-01-02", stage="Lost", close_date="2026-01-10", is_closed=True, is_won=False)
    books.deal("open", "2026-01-02", stage="Thinking", amount=500)
    books.rows["deal_changes"].clear()
    found = books.facts("2026-02", now=at("2026-02-28"))
    values = {value.id: value.value for value in compute(found, ["arr", "win_rate"])}
    assert values == {"arr": 10_000, "win_rate": 0.5}
    assert pipeline_by_stage(found).select("label", "deals", "amount", "outcome").sort("label").rows() == [
        ("Lost", 1, 0, None),
        ("Thinking", 1, 500, None),
        ("Won", 1, 10_000, None),
    ]


def test_a_report_currency_that_is_not_the_home_currency() -> None:
    found = small().facts("2026-02", now=at("2026-02-28"), company=Company(name="test", currency="EUR"))
    assert found.home_currency == "EUR"  # never synced: the only currency there is to believe in
    info = SourceInfo("test", "salesforce", "USD", {}, {}, frozenset(), (), "", at("2026-02-28"))
    books = small()
    known = Facts(Company(name="test", currency="EUR"), ["2026-02"], at("2026-02-28"), books.frames(), info)
    assert only(compute(known, ["arr"])).value == 9_600 + 5_000
    assert known.currency == "EUR"


def test_what_was_not_read_is_not_called_empty() -> None:
    """A store in the middle of its first pass: accounts are there, deals are still to come."""
    info = SourceInfo(
        "test", "salesforce", "USD", {}, {}, frozenset(), (), "", at("2026-02-28"), incomplete=True
    )
    books = Books()
    books.account("A")
    found = Facts(Company(name="test"), ["2026-02"], at("2026-02-28"), books.frames(), info)
    values = compute(found)
    assert {value.id for value in values} == set(registered())
    for value in values:
        assert value.value is None or value.status == "unreliable"
        assert "has not been read to its end yet" in value.reasons[0], value
        assert not any("no deals" in reason for reason in value.reasons), value
