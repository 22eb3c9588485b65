"""Deals as they are known at a moment, and everything derived from one deal."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import polars as pl
import pytest
from pydantic import ValidationError

from connectors.errors import ConfigurationError
from metrics.facts import Facts
from pipeline.company import ArrSettings
from pipeline.tables import SCHEMAS
from tests.unit.books import Books, at


def deal(facts: Facts, key: str = "d") -> dict[str, Any]:
    return facts.deals.filter(external_id=key).row(0, named=True)


def test_what_changed_after_the_moment_is_undone() -> None:
    books = Books()
    books.account("A")
    books.deal("d", "2026-01-05", history=(("2026-01-05", "Discovery"), ("2026-03-05", "Won")), account_id="A",
               amount=200, close_date="2026-03-05", owner_id="late", is_closed=True, is_won=True)  # fmt: skip
    books.change("d", "amount", "2026-01-05", None, "100")
    books.change("d", "amount", "2026-03-05", "100", "200")
    books.change("d", "owner_id", "2026-02-01", "early", "late")
    before = deal(books.facts("2026-02", now=at("2026-02-15")))
    assert [before[name] for name in ("stage", "amount", "outcome", "owner_id")] == [
        "Discovery",
        100,
        "open",
        "late",
    ]
    after = deal(books.facts("2026-03", now=at("2026-03-15")))
    assert (after["stage"], after["amount"], after["outcome"]) == ("Won", 200, "won")
    assert deal(books.facts("2026-01", now=at("2026-01-15")))["owner_id"] == "early"


def test_unknown_stages_are_read_from_the_flags_of_the_crm_only_where_it_is_still_in_them() -> None:
    books = Books()
    books.deal(
        "d",
        "2026-01-05",
        history=(("2026-01-05", "Elsewhere"), ("2026-03-05", "Gone")),
        is_closed=True,
        is_won=True,
    )
    assert deal(books.facts("2026-03", now=at("2026-03-15")))["outcome"] == "won"
    assert deal(books.facts("2026-02", now=at("2026-02-15")))["outcome"] == "open"


def test_not_yet_created_or_already_deleted_deals_are_unknown() -> None:
    books = Books()
    books.deal("early", "2026-01-05", stage="Discovery", deleted_at=at("2026-02-10"))
    books.deal("late", "2026-02-20", stage="Discovery")
    assert books.facts("2026-01", now=at("2026-01-31")).deals["external_id"].to_list() == ["early"]
    assert books.facts("2026-02", now=at("2026-02-10")).deals["external_id"].to_list() == []
    assert books.facts("2026-02", now=at("2026-02-21")).deals["external_id"].to_list() == ["late"]


@pytest.mark.parametrize(
    ("kind", "wanted"),
    [
        ("New Business", "new"),
        ("NEW", "new"),
        (" upsell ", "expansion"),
        ("Renewal", "renewal"),
        ("Downgrade", "contraction"),
        ("Churn", "churn"),
        ("Services", None),
        ("", None),
        (None, None),
    ],
)
def test_types_are_mapped_without_case(kind: str | None, wanted: str | None) -> None:
    books = Books()
    books.deal("d", stage="Won", type=kind)
    assert deal(books.facts("2026-01"))["deal_type"] == wanted


@pytest.mark.parametrize(
    ("values", "wanted"),
    [
        ({"motion": "Inbound", "lead_source": "Cold Call"}, "inbound"),
        ({"motion": "Self Serve"}, "self-serve"),
        ({"motion": "Field Sales", "lead_source": "Cold Call"}, "Field Sales"),
        ({"motion": " ", "lead_source": "cold call"}, "outbound"),
        ({"lead_source": "Partner Referral"}, "partner"),
        ({"lead_source": "Self-Serve"}, "self-serve"),
        ({"lead_source": "A friend"}, None),
        ({}, None),
    ],
)
def test_motion_is_the_field_or_the_source(values: dict[str, Any], wanted: str | None) -> None:
    books = Books()
    books.deal("d", stage="Won", **values)
    assert deal(books.facts("2026-01"))["motion"] == wanted


@pytest.mark.parametrize(
    ("own", "account", "wanted"),
    [
        ("Enterprise", {"segment": "SMB"}, "Enterprise"),
        (None, {"segment": "SMB", "employees": 9000}, "SMB"),
        ("n/a", {"employees": 1000}, "Enterprise"),
        (None, {"employees": 999}, "Mid-market"),
        (None, {"employees": 1}, "SMB"),
        (None, {"employees": 0}, None),
        (None, {}, None),
    ],
)
def test_size_is_the_deals_segment_or_the_accounts(
    own: str | None, account: dict[str, Any], wanted: str | None
) -> None:
    books = Books()
    books.account("A", **account)
    books.deal("d", stage="Won", account_id="A", segment=own)
    assert deal(books.facts("2026-01"))["size"] == wanted


@pytest.mark.parametrize(
    ("values", "basis", "wanted", "term"),
    [
        ({"arr": 500, "amount": 1, "term_months": 24}, "tcv", 500, 24),
        ({"arr": 0, "amount": 1200, "term_months": 12}, "tcv", 0, 12),
        ({"amount": 1200, "term_months": 24}, "tcv", 600, 24),
        ({"amount": 5, "term_months": 24}, "tcv", 2, 24),  # 2.5, half-even
        ({"amount": 7, "term_months": 24}, "tcv", 4, 24),  # 3.5, half-even
        ({"amount": -5, "term_months": 24}, "tcv", -2, 24),
        ({"amount": 100, "term_months": 24}, "mrr", 1200, 24),
        ({"amount": 100, "term_months": None}, "arr", 100, 12),
        ({"amount": 100, "term_months": 0}, "acv", 100, 12),
        ({"amount": 1200}, "tcv", None, None),
        ({"arr": 500}, "tcv", 500, 12),
        ({"arr": 500, "term_months": -12}, "tcv", None, -12),
        ({}, "tcv", None, None),
    ],
)
def test_the_arr_of_a_deal(values: dict[str, Any], basis: str, wanted: int | None, term: int | None) -> None:
    books = Books()
    books.deal("d", stage="Won", **values)
    found = deal(books.facts("2026-01", arr={"basis": basis}))
    assert (found["arr_value"], found["term"]) == (wanted, term)


def test_outcome_day_and_entry() -> None:
    books = Books()
    path = (
        ("2026-01-05", "Discovery"),
        ("2026-02-01", "Won"),
        ("2026-02-05", "Proposal"),
        ("2026-04-02", "Won"),
    )
    books.deal("d", "2026-01-05", close_date="2026-03-31", history=path)
    books.deal("undated", "2026-01-05", history=(("2026-01-05", "Discovery"), ("2026-02-01", "Lost")))
    facts = books.facts("2026-05", now=at("2026-05-31"))
    assert deal(facts)["outcome_day"] == date(2026, 3, 31)
    assert deal(facts)["entered_at"] == at("2026-04-02")
    assert deal(facts)["qualified_day"] == date(2026, 1, 5)
    assert deal(facts, "undated")["outcome_day"] == date(2026, 2, 1)


def test_local_days_are_those_of_the_companys_zone() -> None:
    books = Books()
    books.deal("d", stage="Won")
    books.rows["deals"][0]["created_at"] = at("2026-01-31", 23)
    books.rows["deal_changes"][0]["changed_at"] = at("2026-01-31", 23)
    assert deal(books.facts("2026-02", timezone="Europe/Berlin"))["created_day"] == date(2026, 2, 1)
    assert deal(books.facts("2026-02", timezone="America/New_York"))["created_day"] == date(2026, 1, 31)


def test_a_blank_currency_is_the_home_one() -> None:
    books = Books()
    books.deal("d", stage="Won", currency=None)
    books.deal("e", stage="Won", currency=" ")
    assert books.facts("2026-01").deals["currency"].to_list() == ["USD", "USD"]


def test_lost_deals_without_history_count_as_qualified_and_say_so() -> None:
    books = Books()
    books.deal("d", "2026-01-05", stage="Lost", close_date="2026-02-01")
    books.rows["deal_changes"].clear()
    facts = books.facts("2026-02", now=at("2026-02-28"))
    assert deal(facts)["unlogged"]
    assert facts.closed["external_id"].to_list() == ["d"]


@pytest.mark.parametrize(
    ("setting", "sentence"),
    [
        ({"source": "opening_arr"}, r"companies\.test\.arr: source: opening_arr needs a list"),
        ({"deals_from": "2025-01-01"}, r"companies\.test\.arr: deals_from needs a list"),
    ],
)
def test_sources_of_arr_that_are_not_there_are_refused_with_what_to_do(
    setting: dict[str, str], sentence: str
) -> None:
    with pytest.raises(ConfigurationError, match=sentence):
        Books().facts("2026-01", arr=setting)


def test_a_list_alone_and_deals_that_take_over_contradict_each_other() -> None:
    with pytest.raises(ValidationError, match="no deal ever counts"):
        ArrSettings.model_validate({"source": "opening_arr", "deals_from": "2025-01-01"})


def test_naive_moments_are_refused() -> None:
    with pytest.raises(ValueError, match="time zone"):
        Books().facts("2026-01", now=at("2026-01-31").replace(tzinfo=None))


def customers(accounts: list[dict[str, Any]], now: str = "2026-06-01") -> dict[str, str | None]:
    books = Books()
    for account in accounts:
        books.account(account.pop("key"), **account)
    table = books.facts("2026-01", now=at(now)).accounts
    rows: list[tuple[str, str | None]] = table.select("account_id", "customer").rows()
    return dict(rows)


def test_the_customer_is_the_ultimate_live_parent_after_merges() -> None:
    gone = at("2026-02-01")
    accounts: list[dict[str, Any]] = [
        {"key": "top"},
        {"key": "middle", "parent_id": "top"},
        {"key": "leaf", "parent_id": "old middle"},
        {"key": "old middle", "parent_id": "elsewhere", "deleted_at": gone, "merged_into": "middle"},
        {"key": "older", "deleted_at": gone, "merged_into": "old middle"},
        {"key": "orphan", "parent_id": "deleted"},
        {"key": "deleted", "parent_id": "top", "deleted_at": gone},
        {"key": "own parent", "parent_id": "own parent"},
        {"key": "lost parent", "parent_id": "never seen"},
    ]
    assert customers([dict(account) for account in accounts]) == {
        "top": "top", "middle": "top", "leaf": "top", "old middle": "top", "older": "top", "orphan": "orphan",
        "deleted": None, "own parent": "own parent", "lost parent": "lost parent",
    }  # fmt: skip
    before = customers([dict(account) for account in accounts], now="2026-01-15")
    assert before["deleted"] == "top"
    assert before["orphan"] == "top"
    assert before["older"] == "older"


def test_hierarchies_that_go_in_circles_are_one_customer() -> None:
    circle = [
        {"key": key, "parent_id": parent} for key, parent in (("b", "c"), ("c", "d"), ("d", "b"), ("e", "c"))
    ]
    assert customers(circle) == dict.fromkeys("bcde", "b")
    merged = [
        {"key": key, "merged_into": into, "deleted_at": at("2026-01-01")}
        for key, into in (("x", "y"), ("y", "x"))
    ]
    assert customers(merged) == {"x": None, "y": None}


def test_customers_have_one_value_per_cut() -> None:
    books = Books()
    books.rows["owners"] = [{"external_id": "1", "name": "Ann Lee"}, {"external_id": "2", "name": "Ann Lee"}]
    books.account("top", industry="Retail", employees=50, owner_id="1")
    books.account("sub", parent_id="top", industry="Energy", employees=5000, owner_id="2")
    books.won("second", "top", "2025-06-01", 10, motion="outbound")
    books.won("first", "sub", "2025-01-01", 10, motion="partner")
    books.won("expansion", "sub", "2024-01-01", 10, motion="inbound", type="Expansion")
    row = books.facts("2025-06").customers.row(0, named=True)
    assert row == {
        "customer": "top", "name": "top", "size": "SMB", "industry": "Retail", "owner_id": "1", "motion": "partner",
        "pipeline": "default", "owner": "Ann Lee (1)",
    }  # fmt: skip


def test_a_store_is_read_once_and_whole() -> None:
    books = Books()
    books.deal("d", stage="Won")
    frames = books.frames()

    class Shelf:
        def frame(self, company: str, table: str, /) -> pl.DataFrame:
            assert company == "test"
            return frames.get(table, pl.DataFrame(schema=SCHEMAS[table]))

        def source_info(self, company: str, /) -> None:
            return None

        def rewritten(self, company: str, at: datetime, /) -> frozenset[str]:
            return frozenset()

    facts = Facts.load(Shelf(), books.facts("2026-01").company, ["2026-01"], at("2026-02-01"))
    assert facts.deals["external_id"].to_list() == ["d"]
    assert facts.currency == "USD"
