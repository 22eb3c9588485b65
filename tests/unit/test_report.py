"""The board report built from small books: its numbers are those of the metrics core, and it says what is missing."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest

from connectors.errors import ConfigurationError
from connectors.source import FieldState
from metrics import compute
from metrics.board import BoardReport, Bridge
from metrics.facts import Facts
from metrics.period import shift
from metrics.playbook import load
from metrics.render import numbers
from metrics.report import EVIDENCE_SHOWN, MONTHS, build_report, report_of
from metrics.trust import read
from pipeline.company import ArrSettings, Company, RetentionSettings
from pipeline.records import SourceInfo
from pipeline.scores import Cleanliness, Completeness, FieldScore, Part
from pipeline.store import Store
from tests.unit.books import NOW, Books, frame

MONTH = "2026-11"
INFO = SourceInfo(
    company="acme",
    source="salesforce",
    home_currency="USD",
    links={"deals": "https://acme.my.salesforce.com/{id}", "accounts": "https://acme.my.salesforce.com/{id}"},
    fields={"deals": {"arr": FieldState("mapped", "ARR__c")}},
    history=frozenset({"stage", "amount", "close_date"}),
    notes=(),
    fingerprint="",
    refreshed_at=NOW,
)


def facts_of(books: Books, company: Company) -> Facts:
    months = [shift(MONTH, back) for back in range(1 - MONTHS, 1)]
    return Facts(company, months, NOW, {name: frame(name, rows) for name, rows in books.rows.items()}, INFO)


def reported(books: Books, info: SourceInfo | None = INFO, playbook: str = "supply_chain") -> BoardReport:
    company = Company(name="acme", playbook=playbook)
    return report_of(facts_of(books, company), MONTH, load(playbook), info)


def firm(customers: int = 40) -> Books:
    """Customers of three sizes with two-year contracts, some of which expand and end; wins, losses, open deals."""
    books = Books()
    for number in range(customers):
        account = books.account(f"acc{number}", employees=(50, 400, 5000)[number % 3])
        start = f"{2024 + number % 2}-{1 + number % 12:02d}-10"
        books.won(f"new{number}", account, start, 1000 * (5 + number), 24)
        if number % 4 == 0:
            books.won(f"more{number}", account, "2026-11-05", 700 + number, 12, type="Expansion")
    for number in range(60):
        last = "Won" if number % 4 == 0 else "Lost"
        books.deal(
            f"decided{number}",
            created="2026-08-01",
            history=[("2026-08-01", "Prospecting"), ("2026-09-10", "Discovery"), ("2026-10-20", last)],
            account_id=f"acc{number % customers}",
            close_date="2026-10-20",
            amount=100_000 + number,
            arr=100_000 + number,
            start_date="2026-10-20",
            term_months=12,
        )
        books.deal(
            f"open{number}",
            created="2026-08-01",
            history=[("2026-08-01", "Prospecting"), ("2026-09-10", "Discovery")],
            account_id=f"acc{number % customers}",
            close_date="2026-12-22",
            amount=250_000 + number,
        )
    return books


@pytest.fixture(scope="module")
def made() -> BoardReport:
    return reported(firm())


def test_every_value_is_the_cores(made: BoardReport) -> None:
    facts = facts_of(firm(), Company(name="acme", playbook="supply_chain"))
    values = {(value.id, value.month): value for value in compute.compute(facts)}
    assert [row.now.id for row in made.scorecard] == [
        name for name in load("supply_chain").scorecard if name in compute.registered()
    ]
    for row in made.scorecard:
        name = row.now.id
        assert row.now.value == values[name, MONTH].value
        assert row.last_month is not None
        assert row.year_ago is not None
        assert row.last_month.value == values[name, "2026-10"].value
        assert row.year_ago.value == values[name, "2025-11"].value
        assert [point.value for point in row.series] == [
            values[name, point.month].value for point in row.series
        ]
        assert [point.month for point in row.series] == [shift(MONTH, back) for back in range(-11, 1)]


def test_bridges_tie_and_meet_arr(made: BoardReport) -> None:
    month, year = made.bridge_month, made.bridge_year
    assert month is not None
    assert year is not None
    arr = {point.month: point.value for point in made.arr_trend}
    assert (month.opening, month.closing) == (arr["2026-10"], arr[MONTH])
    assert (year.opening, year.closing) == (arr["2025-11"], arr[MONTH])
    by_id = {step.id: step.amount for step in year.movements}
    assert by_id["arr_churn"] < 0 < by_id["arr_expansion_other"]


def test_the_points_of_nrr_are_the_cores_and_add_up(made: BoardReport) -> None:
    nrr = made.score("nrr")
    assert nrr is not None
    assert nrr.value is not None
    whole, *sizes = made.nrr_points
    assert (whole.segment, whole.customers) == (None, nrr.n)
    assert whole.total == round((nrr.value - 1) * 1000)
    assert dict(whole.parts)["churn"] < 0 < dict(whole.parts)["other"]
    assert {row.segment for row in sizes} == {"SMB", "Mid-market", "Enterprise"}
    assert sum(row.customers for row in sizes) == whole.customers


def test_nrr_over_the_renewal_base_has_no_points() -> None:
    company = Company(name="acme", playbook="supply_chain", retention=RetentionSettings(nrr="renewal_base"))
    made = report_of(facts_of(firm(), company), MONTH, load("supply_chain"), INFO)
    nrr = made.score("nrr")
    assert nrr is not None
    assert nrr.value is not None
    assert made.nrr_points == ()


def test_a_bridge_that_does_not_tie_is_never_shown() -> None:
    with pytest.raises(ValueError, match="off by 1 minor"):
        Bridge("x", 100, (), 99)


def test_pipeline_holds_all_deals(made: BoardReport) -> None:
    deals = firm().rows["deals"]
    assert sum(row.deals for row in made.pipeline) == len(deals)
    assert sum(row.amount for row in made.pipeline) == sum(deal.get("amount") or 0 for deal in deals)
    assert {row.label: row.open for row in made.pipeline} == {
        "Prospecting": True, "Discovery": True, "Proposal": True, "Won": False, "Lost": False,
    }  # fmt: skip


def test_segments_reconcile(made: BoardReport) -> None:
    total = made.score("win_rate")
    assert total is not None
    assert sum(value.n or 0 for value in made.win_rates) == total.n
    assert {value.segment["size"] for value in made.win_rates} == {
        "SMB",
        "Mid-market",
        "Enterprise",
        "unknown",
    }


def test_evidence_is_linked_and_states_its_total(made: BoardReport) -> None:
    arr = next(item for item in made.evidence if item.kpi == "arr")
    assert arr.total > len(arr.records) == EVIDENCE_SHOWN
    assert all((record.url or "").startswith("https://acme.my.salesforce.com/") for record in arr.records)
    value = made.score("win_rate")
    wins = next(item for item in made.evidence if item.kpi == "win_rate")
    assert value is not None
    assert wins.total == value.n


def test_definitions_are_the_kpis_own_words(made: BoardReport) -> None:
    texts = {item.id: item.text for item in made.definitions}
    assert {row.now.id for row in made.scorecard} <= set(texts)
    assert all("Formula" in text and "Source" in text for text in texts.values())
    assert not any("Elsewhere" in text for text in texts.values())
    elsewhere = {item.id: dict(item.elsewhere) for item in made.definitions}
    assert elsewhere["nrr"]["SMSB"].startswith("a flow formula")


def test_headline_names_what_is_there(made: BoardReport) -> None:
    assert len(made.headline) == 3
    assert made.headline[0].startswith("ARR was $")
    assert "60 open deals hold" in made.headline[2]
    assert "needs" in made.headline[2], "there is no quota, and the sentence says so"


def test_no_quota_is_a_caveat(made: BoardReport) -> None:
    titles = [item.title for item in made.caveats]
    assert titles[0] == "No quotas"
    quoted = firm()
    quoted.quota("2026-10-01", 1_000_000)
    # What else this small firm cannot tell is told with and without quotas.
    assert [item.title for item in reported(quoted).caveats] == titles[1:]
    assert not any("Pipeline coverage" in title for title in titles)


def test_an_export_without_terms_and_history_says_so() -> None:
    books = Books()
    books.account("a")
    for number in range(12):
        books.deal(f"won{number}", stage="Won", account_id="a", close_date="2026-10-20", amount=100_000)
        books.deal(f"odd{number}", stage="Won", account_id="a", close_date="2026-10-20", amount=5, type=None)
    books.rows["deal_changes"].clear()
    made = reported(books, replace(INFO, history=frozenset()))
    titles = [item.title for item in made.caveats]
    assert titles[:4] == ["No contract terms", "No history", "Deals of unknown type", "No quotas"]
    assert sum(row.deals for row in made.pipeline) == 24
    arr = made.score("arr")
    assert arr is not None
    assert arr.value is None, "one-time sales are no recurring revenue of nought"
    assert made.bridge_month is None
    assert made.headline[0].startswith("ARR is not computable: ")
    assert made.headline[1].startswith("The movements of November 2026 are not computable")


def test_deals_left_out_are_listed_largest_first() -> None:
    books = firm(4)
    books.won("lost1", None, "2026-01-01", 900, 12, name="No account, small")
    books.won("lost2", None, "2026-01-01", 9000, 12, name="No account, large")
    made = reported(books)
    assert [row.name for row in made.left_out[:2]] == ["No account, large", "No account, small"]
    assert made.left_out_total == len(made.left_out)
    assert "not in ARR" in made.left_out[0].reason
    assert made.left_out[0].url == "https://acme.my.salesforce.com/lost2"


def test_hostile_links_are_dropped() -> None:
    made = reported(firm(4), replace(INFO, links={"deals": "javascript:{id}", "accounts": "javascript:{id}"}))
    assert all(record.url is None for item in made.evidence for record in item.records)


def test_an_empty_crm() -> None:
    made = reported(Books())
    assert made.empty
    assert made.scorecard == ()
    assert made.headline == (
        "Salesforce holds no accounts and no deals that Boardline can see: there is nothing to report.",
    )
    assert [item.title for item in made.caveats] == ["No deals"]


def test_accounts_without_deals() -> None:
    books = Books()
    books.account("only")
    made = reported(books)
    assert not made.empty
    assert made.headline[2].startswith("No deal is open")
    nrr = made.score("nrr")
    assert nrr is not None
    assert nrr.value is None


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    with Store.open(f"sqlite:///{tmp_path / 'store.db'}") as opened:
        yield opened


def test_a_company_never_synced(store: Store) -> None:
    made = build_report(store, Company(name="acme"), "2026-05", datetime(2026, 6, 5, tzinfo=UTC))
    assert made.empty
    assert made.caveats[0].title == "Never synced"
    assert made.quality is None


@pytest.mark.parametrize(
    ("month", "words"), [("2026-13", "not of the form"), ("2026-07", "lies in the future")]
)
def test_bad_months(store: Store, month: str, words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        build_report(store, Company(name="acme"), month, datetime(2026, 6, 5, tzinfo=UTC))


def test_the_scores_are_read_whole() -> None:
    faults = pl.DataFrame(
        {"rule": ["duplicate_accounts"] * 3 + ["invalid_stage"], "owner_id": ["Ann", "Bob", "Ann", None]}
    )
    found = read(
        Completeness(45, 60, 0.75, (FieldScore("deals", "amount", 45, 60, 0.75),)),
        Cleanliness(
            None,
            (Part("outdated_contacts", "Outdated contacts", 20, 0, 0, None, "no contacts"),),
            "no contacts",
        ),
        faults,
        0.8,
    )
    assert (found.completeness, found.cleanliness, found.reasons) == (0.75, None, ("no contacts",))
    assert [(owner.owner, owner.findings) for owner in found.owners] == [("Ann", 2), ("Bob", 1)]
    assert found.fields[0].filled == 45
    assert found.parts[0].reason == "no contacts"
    assert {rule.rule: rule.findings for rule in found.rules if rule.findings} == {
        "duplicate_accounts": 3,
        "invalid_stage": 1,
    }


def test_contracted_arr_leads_where_the_company_says_so() -> None:
    company = Company(name="acme", playbook="supply_chain", arr=ArrSettings(headline="carr"))
    books = firm()
    books.won("ahead", "acc1", "2027-02-01", 50_000, close_date="2026-11-20")
    report = report_of(facts_of(books, company), MONTH, load("supply_chain"), INFO)
    assert [row.now.id for row in report.scorecard[:2]] == ["carr", "arr"]
    contracted, live = (numbers.money_short(row.now.value or 0, "USD") for row in report.scorecard[:2])
    assert report.headline[0].startswith(f"Contracted ARR was {contracted} and live ARR {live} on 30 Nov")
    assert contracted != live
    assert reported(firm()).headline[0].startswith("ARR was ")
