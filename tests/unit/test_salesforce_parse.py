"""Records become typed columns by declared kind, to the last digit; what does not convert is kept aside."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from connectors.schema import TABLES, exponent
from connectors.sources.salesforce.catalogue import Field, Selection
from connectors.sources.salesforce.mapping import ACCOUNTS, DEALS, Column, Kind, Table
from connectors.sources.salesforce.parse import Context, conform, money, parse

PAYLOADS = Path(__file__).parents[2] / "../shared/data/payloads/salesforce"
CONTEXT = Context("USD", "America/New_York", {})


def _one(kind: Kind, value: Any, sf_type: str = "string", **others: Any) -> tuple[Any, list[dict[str, Any]]]:
    table = Table(
        "deals", "Opportunity", (Column("amount", "X__c", kind),), fixed=(Column("external_id", "Id"),)
    )
    columns = {"external_id": Field("Id", "id"), "amount": Field("X__c", sf_type)}
    columns |= {"currency": Field("CurrencyIsoCode", "picklist")} if others else {}
    if others:
        table = Table(
            table.name, table.object, table.columns, (*table.fixed, Column("currency", "CurrencyIsoCode"))
        )
    parsed = parse(table, Selection(columns, {}, ()), [{"Id": "006A", "X__c": value, **others}], CONTEXT)
    return parsed.frame["amount"].to_list()[0], parsed.rejects.to_dicts()


@pytest.mark.parametrize(
    ("kind", "sf_type", "value", "expected"),
    [
        ("text", "string", "NA", "NA"),
        ("text", "string", "", ""),
        ("text", "string", "00420", "00420"),
        ("text", "string", None, None),
        ("text", "double", "12.50", "12.50"),
        ("text", "boolean", True, "true"),
        ("boolean", "boolean", False, False),
        ("boolean", "picklist", "Yes", True),
        ("filled", "datetime", "2025-01-31T00:00:00.000+0000", True),
        ("filled", "datetime", None, False),
        ("filled", "boolean", False, False),
        ("date", "date", "2025-01-31", date(2025, 1, 31)),
        ("date", "datetime", "2025-02-01T03:00:00.000+0000", date(2025, 1, 31)),
        ("instant", "datetime", "2025-02-01T03:00:00.000+0000", datetime(2025, 2, 1, 3, tzinfo=UTC)),
        ("instant", "datetime", "2025-02-01T03:00:00.123Z", datetime(2025, 2, 1, 3, 0, 0, 123000, UTC)),
        ("integer", "double", "12.0", 12),
        ("integer", "int", 350, 350),
        ("number", "double", "2.5", 2.5),
        ("percent", "percent", 35, 0.35),
        ("percent", "percent", "12.5", 0.125),
        ("money", "currency", "1234.5", 123450),
        ("money", "currency", "0.125", 12),
        ("money", "currency", "0.135", 14),
        ("money", "currency", "1.39E8", 13900000000),
        ("money", "currency", -7, -700),
        ("money", "string", " ", None),
        ("forecast", "picklist", "BestCase", "best_case"),
        ("forecast", "picklist", "Best Case", "best_case"),
        ("forecast", "picklist", "Forecast", "commit"),
        ("deal", "reference", "006000000000001AAA", "006000000000001AAA"),
        ("deal", "reference", "001000000000001AAA", None),
    ],
)
def test_kinds(kind: Kind, sf_type: str, value: Any, expected: Any) -> None:
    found, rejects = _one(kind, value, sf_type)
    assert found == expected
    assert rejects == []


@pytest.mark.parametrize(
    ("kind", "sf_type", "value", "raw"),
    [
        ("date", "string", "31/01/2025", "31/01/2025"),
        ("date", "date", "2025-02-30", "2025-02-30"),
        ("instant", "datetime", "yesterday", "yesterday"),
        ("integer", "double", "12.5", "12.5"),
        ("money", "string", "12k", "12k"),
        ("money", "currency", "9999999999999999999", "9999999999999999999"),
        ("boolean", "string", "perhaps", "perhaps"),
        ("forecast", "picklist", "Hopeful", "Hopeful"),
        ("number", "string", {"a": 1}, '{"a":1}'),
    ],
)
def test_rejects_keep_the_raw_text(kind: Kind, sf_type: str, value: Any, raw: str) -> None:
    found, rejects = _one(kind, value, sf_type)
    assert found is None
    assert [(r["table"], r["external_id"], r["field"], r["raw"]) for r in rejects] == [
        ("deals", "006A", "amount", raw)
    ]
    assert rejects[0]["reason"]


@pytest.mark.parametrize(
    ("currency", "value", "minor"),
    [("JPY", "1500", 1500), ("KWD", "1.2345", 1234), ("EUR", 2, 200), (None, 2, 200)],
)
def test_money_knows_its_currency(currency: str | None, value: Any, minor: int) -> None:
    assert _one("money", value, "currency", CurrencyIsoCode=currency)[0] == minor


@settings(max_examples=200, deadline=None)
@given(
    amount=st.decimals(min_value=-(10**13), max_value=10**13, places=6),
    currency=st.sampled_from(["USD", "JPY", "KWD"]),
)
def test_money_is_exact_and_half_even(amount: Decimal, currency: str) -> None:
    frame = pl.DataFrame({"raw": [format(amount, "f")], "currency": [currency]})
    found = frame.select(money(pl.col("raw"), pl.col("currency"))).item()
    assert found == int(amount.scaleb(exponent(currency)).quantize(Decimal(1), ROUND_HALF_EVEN))


def test_a_record_without_an_id_is_a_reject() -> None:
    selection = Selection({"external_id": Field("Id", "id"), "name": Field("Name", "string")}, {}, ())
    parsed = parse(
        ACCOUNTS, selection, [{"Id": None, "Name": "Ghost"}, {"Id": "001", "Name": "Acme"}], CONTEXT
    )
    assert parsed.frame["external_id"].to_list() == ["001"]
    assert json.loads(parsed.rejects["raw"][0])["Name"] == "Ghost"


def test_tombstones_lookups_custom_fields_and_stage_labels() -> None:
    selection = Selection(
        {
            "external_id": Field("Id", "id"),
            "stage": Field("StageName", "picklist"),
            "name": Field("Owner.Name", "string"),
        },
        {"route": Field("Route__c", "picklist"), "seats": Field("Seats__c", "double")},
        ("SystemModstamp", "IsDeleted", "MasterRecordId"),
    )
    stamp = "2025-03-01T10:00:00.000+0000"
    records: list[dict[str, Any]] = [
        {
            "Id": "1",
            "StageName": "Signed",
            "Owner": {"Name": "Ann"},
            "Route__c": 'a"b',
            "Seats__c": "3.0",
            "SystemModstamp": stamp,
            "IsDeleted": True,
            "MasterRecordId": "2",
        },
        {
            "Id": "2",
            "StageName": "Lost",
            "Owner": None,
            "Route__c": None,
            "Seats__c": None,
            "SystemModstamp": stamp,
            "IsDeleted": False,
            "MasterRecordId": None,
        },
    ]
    context = Context("USD", "UTC", {"Signed": "Closed Won"})
    frame = conform("deals", parse(DEALS, selection, records, context).frame)
    assert frame.schema == TABLES["deals"]
    gone, alive = frame.to_dicts()
    assert gone["deleted_at"] == datetime(2025, 3, 1, 10, tzinfo=UTC)
    assert (gone["merged_into"], gone["stage"], gone["name"], gone["currency"]) == (
        "2",
        "Closed Won",
        "Ann",
        "USD",
    )
    assert json.loads(gone["custom"]) == {"route": 'a"b', "seats": "3.0"}
    assert (alive["deleted_at"], alive["merged_into"], alive["name"]) == (None, None, None)


def test_a_recorded_page_of_accounts() -> None:
    if not PAYLOADS.exists():
        pytest.skip("the recorded payloads are not here")
    body = json.loads((PAYLOADS / "grouparoo__get_account_200.json").read_text(), parse_float=str)[
        "response"
    ]["body"]
    columns = {
        column.name: Field(column.field, "string")
        for column in ACCOUNTS.all_columns()
        if column.field and column.field in body
    }
    columns["created_at"] = Field("CreatedDate", "datetime")
    parsed = parse(ACCOUNTS, Selection(columns, {}, ("SystemModstamp", "IsDeleted")), [body], CONTEXT)
    row = conform("accounts", parsed.frame).to_dicts()[0]
    assert parsed.rejects.is_empty()
    assert len(row["external_id"]) == 18
    assert row["name"] == body["Name"]
    assert row["created_at"].isoformat()[:19] == body["CreatedDate"][:19]
