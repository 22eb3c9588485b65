"""Records, histories, stages, owners and rates as HubSpot answers them become canonical frames."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from connectors.schema import REJECTS, TABLES
from connectors.sources.hubspot.directory import exchange_rates, owners, stages
from connectors.sources.hubspot.history import changes
from connectors.sources.hubspot.links import inline, pick
from connectors.sources.hubspot.mapping import COLUMNS, LINKED, OBJECTS, TableMap, business_columns
from connectors.sources.hubspot.parse import Reading, frame
from connectors.sources.hubspot.reader import Association
from connectors.sources.hubspot.rows import merged_at, merged_ids

READING = Reading("America/New_York", "USD")
PAYLOADS = Path(__file__).parents[2] / "../shared/data/payloads/hubspot"


def mapping(table: str, **named: str) -> TableMap:
    """The standard mapping with some columns named otherwise."""
    columns = {
        column: (named.get(column) or spec.standard or "", spec.kind)
        for column, spec in COLUMNS[table].items()
    }
    return TableMap(table, {name: spec for name, spec in columns.items() if spec[0]}, {})


def deal(properties: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {
        "id": "7",
        "properties": properties,
        "createdAt": "2026-01-01T10:00:00Z",
        "updatedAt": "2026-01-05T10:00:00Z",
        "archived": False,
        **more,
    }


def payload(name: str) -> dict[str, Any]:
    path = PAYLOADS / name
    if not path.exists():
        pytest.skip("the recorded payloads are not here")
    body: dict[str, Any] = json.loads(path.read_text())["response"]["body"]
    return body


def test_every_column_has_one_origin() -> None:
    for table, columns in COLUMNS.items():
        linked = LINKED.get(table, {})
        assert set(columns) | set(linked) == set(business_columns(table)), table
        assert not set(columns) & set(linked)


def test_a_deal_with_broken_values_is_kept_and_they_are_set_aside() -> None:
    rows, rejects = frame(
        [
            deal(
                {
                    "dealname": "Big one",
                    "amount": "1,250",
                    "deal_currency_code": "usd",
                    "closedate": "next week",
                    "hs_deal_stage_probability": "20",
                    "hs_manual_forecast_category": "HUNCH",
                    "contract_arr": "0.40000000000000002",
                    "term": "12.0",
                }
            )
        ],
        mapping("deals", arr="contract_arr", term_months="term"),
        OBJECTS["deals"],
        READING,
        {"account_id": {"7": "3"}},
    )
    assert rows.schema == TABLES["deals"]
    row = rows.row(0, named=True)
    assert (row["name"], row["amount"], row["currency"], row["arr"], row["term_months"]) == (
        "Big one",
        None,
        "USD",
        40,
        12,
    )
    assert (row["account_id"], row["custom"]) == ("3", "{}")
    assert row["modified_at"] == datetime(2026, 1, 5, 10, tzinfo=UTC)
    assert rejects.schema == REJECTS
    told = {each["field"]: each["raw"] for each in rejects.iter_rows(named=True)}
    assert told == {
        "amount": "1,250",
        "close_date": "next week",
        "probability": "20",
        "forecast_category": "HUNCH",
    }
    assert set(rejects["external_id"]) == {"7"}


def test_amounts_follow_each_deals_own_currency() -> None:
    rows, _ = frame(
        [
            deal({"amount": "1234.5", "deal_currency_code": code}, id=str(number))
            for number, code in enumerate(("JPY", "KWD", "EUR", None, ""))
        ],
        mapping("deals"),
        OBJECTS["deals"],
        Reading("UTC", "JPY"),
    )
    assert rows["amount"].to_list() == [1_234, 1_234_500, 123_450, 1_234, 1_234]
    assert rows["currency"].to_list() == ["JPY", "KWD", "EUR", None, None]


def test_an_archived_record_ends_when_it_was_archived() -> None:
    rows, _ = frame(
        [
            deal({}, archived=True, archivedAt="2026-02-01T00:00:00Z"),
            deal({}, id="8", archived=True),
            deal({}, id="9"),
        ],
        mapping("deals"),
        OBJECTS["deals"],
        READING,
    )
    assert rows["deleted_at"].to_list() == [
        datetime(2026, 2, 1, tzinfo=UTC),
        datetime(2026, 1, 5, 10, tzinfo=UTC),
        None,
    ]


def test_own_fields_are_delivered_as_they_are() -> None:
    own = TableMap("deals", {}, {"route": "procurement", "b": "other"})
    rows, _ = frame([deal({"procurement": "direct", "other": ""})], own, OBJECTS["deals"], READING)
    assert json.loads(rows["custom"].item()) == {"route": "direct", "b": None}


def test_recorded_meetings() -> None:
    records = payload("captaincontrat__meetings_v3_list_200_1.json")["results"]
    rows, rejects = frame(records, mapping("meetings"), OBJECTS["meetings"], READING)
    assert rejects.is_empty()
    first = rows.row(0, named=True)
    assert first["owner_id"] is None  # "" in HubSpot
    assert first["starts_at"] == datetime(2021, 4, 20, 15, 33, 48, 273_000, tzinfo=UTC)
    assert first["created_at"] == datetime(2021, 4, 20, 14, 33, 48, 507_000, tzinfo=UTC)
    assert rows["starts_at"].null_count() == 0


def test_recorded_owners_and_contacts() -> None:
    found, _ = owners(payload("captaincontrat__owners_v3_200_1.json")["results"])
    assert found.schema == TABLES["owners"]
    assert found["active"].all()
    records = payload("captaincontrat__objects_contacts_v3_200_1.json")["results"]
    rows, rejects = frame(records, mapping("contacts"), OBJECTS["contacts"], READING)
    assert rejects.is_empty()
    assert rows.height == len(records)
    assert rows["modified_at"].null_count() == 0


# ---- history


def version(value: Any, at: str) -> dict[str, Any]:
    return {"value": value, "timestamp": at, "sourceType": "CRM_UI"}


def told(record: dict[str, Any], field: str) -> list[tuple[Any, ...]]:
    found, _ = changes([record], mapping("deals"), READING)
    assert found.schema == TABLES["deal_changes"]
    rows = found.filter(pl.col("field") == field)
    return [
        (row["changed_at"].strftime("%dT%H"), row["seq"], row["old_value"], row["new_value"])
        for row in rows.iter_rows(named=True)
    ]


def test_history_is_turned_round_and_only_real_changes_remain() -> None:
    record = deal(
        {"deal_currency_code": "EUR"},
        propertiesWithHistory={
            "amount": [
                version("2000.00", "2026-01-04T10:00:00Z"),
                version("2000", "2026-01-03T10:00:00Z"),
                version("", "2026-01-02T10:00:00Z"),
                version("1000.005", "2026-01-01T10:00:00Z"),
            ],
            "closedate": [
                version("2026-03-31T00:00:00Z", "2026-01-02T10:00:00Z"),
                version("2026-03-31T01:00:00Z", "2026-01-01T10:00:00Z"),
            ],
            "hs_manual_forecast_category": [version("BEST_CASE", "2026-01-01T10:00:00Z")],
        },
    )
    assert told(record, "amount") == [
        ("01T10", 0, None, "100000"),
        ("02T10", 0, "100000", None),
        ("03T10", 0, None, "200000"),
    ]
    assert told(record, "close_date") == [
        ("01T10", 0, None, "2026-03-30"),
        ("02T10", 0, "2026-03-30", "2026-03-31"),
    ]
    assert told(record, "forecast_category") == [("01T10", 0, None, "best_case")]
    assert told(record, "stage") == []


def test_within_one_instant_the_first_listed_was_written_last() -> None:
    moment = "2026-01-01T10:00:00.000Z"
    record = deal(
        {},
        propertiesWithHistory={
            "dealstage": [version("c", moment), version("b", moment), version("a", moment)]
        },
    )
    assert told(record, "stage") == [
        ("01T10", 0, None, "a"),
        ("01T10", 1, "a", "b"),
        ("01T10", 2, "b", "c"),
    ]


def test_histories_of_several_deals_do_not_mix() -> None:
    records = [
        deal(
            {},
            id=str(number),
            propertiesWithHistory={"dealstage": [version("x", f"2026-01-0{number}T10:00:00Z")]},
        )
        for number in (1, 2)
    ]
    found, _ = changes(records, mapping("deals"), READING)
    assert found["old_value"].null_count() == 2
    assert found["deal_id"].to_list() == ["1", "2"]


def test_forgotten_and_unreadable_versions_are_told() -> None:
    many = [version(str(100 - number), f"2026-02-{28 - number:02}T10:00:00Z") for number in range(20)]
    short = [version("lots", "2026-01-02T10:00:00Z"), version("5", "2026-01-01T10:00:00Z")]
    _, rejects = changes(
        [
            deal({}, id="1", propertiesWithHistory={"amount": many}),
            deal({}, id="2", propertiesWithHistory={"amount": short}),
            deal({}, id="3", propertiesWithHistory={"amount": many}, createdAt="2026-02-09T10:00:00Z"),
        ],
        mapping("deals"),
        READING,
    )
    assert rejects.schema == REJECTS
    reasons = {row["external_id"]: row["reason"] for row in rejects.iter_rows(named=True)}
    assert reasons.keys() == {"1", "2"}  # of deal 3 the oldest version is from its creation
    assert "only the last 20 values" in reasons["1"]
    assert "former value" in reasons["2"]


# ---- merges and associations


def test_merges() -> None:
    survivor = {
        "propertiesWithHistory": {
            "hs_merged_object_ids": [
                version("1;2;5", "2026-03-01T00:00:00Z"),
                version("1;2", "2026-02-01T00:00:00Z"),
            ]
        }
    }
    assert merged_ids("1; 2;") == ["1", "2"]
    assert merged_at(survivor, "2") == datetime(2026, 2, 1, tzinfo=UTC)
    assert merged_at(survivor, "5") == datetime(2026, 3, 1, tzinfo=UTC)
    assert merged_at(survivor, "9") is None
    assert merged_at({}, "1") is None


def test_the_primary_company_wins_else_the_lowest_id() -> None:
    plain, primary = frozenset({341}), frozenset({5, 341})
    assert pick([Association("9", plain), Association("30", primary)], 5) == "30"
    assert pick([Association("30", plain), Association("9", plain)], 5) == "9"
    assert pick([Association("30", plain)], 5) == "30"
    assert pick([Association("30", primary), Association("9", plain)], None) == "9"


def test_a_company_listed_once_per_label_is_one_company() -> None:
    record = deal(
        {},
        associations={
            "companies": {
                "results": [
                    {"id": "3", "type": "deal_to_company"},
                    {"id": "3", "type": "deal_to_company_unlabeled"},
                ]
            }
        },
    )
    assert inline([record, deal({}, id="8")], "companies") == {"7": [Association("3", frozenset())], "8": []}


# ---- stages, owners, rates


@pytest.mark.parametrize(
    ("metadata", "closed", "won", "probability"),
    [
        ({"isClosed": "true", "probability": "1.0"}, True, True, 1.0),
        ({"isClosed": "true", "probability": "0.0"}, True, False, 0.0),
        ({"isClosed": "true", "probability": "0.5"}, True, False, 0.5),
        ({"isClosed": "false", "probability": "1.0"}, False, False, 1.0),
        ({"isClosed": "false", "probability": "0.2"}, False, False, 0.2),
        ({"probability": "1.0"}, True, True, 1.0),
        ({"probability": "0"}, True, False, 0.0),
        ({"probability": "0.4"}, False, False, 0.4),
        ({"isClosed": "true"}, True, False, None),
        ({}, False, False, None),
        (None, False, False, None),
    ],
)
def test_stages_are_won_lost_or_open(
    metadata: Any, closed: bool, won: bool, probability: float | None
) -> None:
    found, rejects = stages(
        [
            {
                "id": "p",
                "label": "Sales",
                "archived": False,
                "stages": [{"id": "closedwon", "metadata": metadata}],
            }
        ]
    )
    row = found.row(0, named=True)
    assert (row["is_closed"], row["is_won"], row["probability"]) == (closed, won, probability)
    assert row["active"]
    assert found.schema == TABLES["stages"]
    assert rejects.is_empty()


def test_a_stage_with_an_odd_probability_is_kept_and_told() -> None:
    found, rejects = stages([{"id": "p", "stages": [{"id": "s", "metadata": {"probability": "high"}}]}])
    assert found["probability"].item() is None
    assert rejects.row(0, named=True)["external_id"] == "p/s"


def test_no_pipelines_no_owners_no_rates() -> None:
    for read, table in (
        (stages([]), "stages"),
        (owners([]), "owners"),
        (exchange_rates([], "USD"), "exchange_rates"),
    ):
        assert read[0].is_empty()
        assert read[0].schema == TABLES[table]


def test_owners_who_left_keep_their_name() -> None:
    found, _ = owners(
        [
            {"id": 1, "firstName": "Ada", "lastName": "Long", "email": "ada@x.example", "archived": False},
            {"id": "2", "firstName": "", "lastName": None, "email": "bo@x.example", "archived": True},
            {"id": "1", "firstName": "Ada", "lastName": "Long", "email": "", "archived": True},
        ]
    )
    listed = {
        row["external_id"]: (row["name"], row["active"], row["deleted_at"])
        for row in found.iter_rows(named=True)
    }
    assert listed == {"1": ("Ada Long", True, None), "2": ("bo@x.example", False, None)}


def test_exchange_rates() -> None:
    def rate(code: str | None, value: Any, day: str, to: str = "USD") -> dict[str, Any]:
        return {"fromCurrencyCode": code, "toCurrencyCode": to, "conversionRate": value, "effectiveAt": day}

    found, rejects = exchange_rates(
        [
            rate("EUR", 1.1, "2026-01-01T00:00:00Z"),
            rate("EUR", 1.125, "2026-02-01T00:00:00Z"),
            rate("EUR", 1.13, "2026-02-01T09:00:00Z"),  # corrected on the same day
            rate("JPY", 6.5e-05, "2026-01-01T00:00:00Z"),
            rate("GBP", 1.3, "2026-01-01T00:00:00Z", to="EUR"),
            rate("CHF", 0, "2026-01-01T00:00:00Z"),
            rate(None, 1.2, "2026-01-01T00:00:00Z"),
        ],
        "USD",
    )
    assert found.schema == TABLES["exchange_rates"]
    assert [(row["currency"], row["start_date"], row["rate"]) for row in found.iter_rows(named=True)] == [
        ("EUR", date(2026, 1, 1), Decimal("1.1")),
        ("EUR", date(2026, 2, 1), Decimal("1.13")),
        ("JPY", date(2026, 1, 1), Decimal("0.000065")),
    ]
    assert rejects["external_id"].to_list() == ["CHF 2026-01-01", "? 2026-01-01"]
