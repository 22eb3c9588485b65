"""Texts with characters that a database, a file or a terminal minds come in, come out and leave, on both databases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import orjson
import polars as pl
import pytest

from connectors.errors import SourceError
from connectors.schema import REJECTS, TOMBSTONES
from connectors.source import FieldState
from pipeline import backup, quarantine, restore
from pipeline.export import Wanted, export
from pipeline.inspection import inspect_store
from pipeline.store import Store
from pipeline.sync import sync_company
from tests.contract.fake_source import CAPABILITIES, CONTACTS, DEALS, FakeSource, page
from tests.contract.test_privacy import company
from tests.rows import NOW, frame

ODD = "a\x00b\x01\x1b[31m\x7f\x85\u2028\ufeff\U0010ffff\r\n\t'\"\\N\\."
KEPT = ODD.replace("\x00", "")


def source() -> FakeSource:
    deals = frame(
        "deals",
        [
            {
                "external_id": "d\x001",
                "name": ODD,
                "stage": ODD,
                "account_id": "a\x00",
                "created_at": "2026-01-01",
                "custom": orjson.dumps({"note": ODD}).decode(),
            },
            {"external_id": "d2", "name": "\x00", "created_at": "2026-01-01"},
        ],
    )
    changes = frame(
        "deal_changes",
        [
            {
                "deal_id": "d\x001",
                "field": "stage",
                "changed_at": NOW,
                "seq": 0,
                "old_value": "\x00",
                "new_value": ODD,
            }
        ],
    )
    rejects = pl.DataFrame(
        [
            ("deals", "d\x001", "close_date", ODD, "no date\x00"),
            ("deals", None, "", ODD, "no\x00 id"),
            ("deals", "d2", "amount", "\x00", "no amount"),
        ],
        schema=REJECTS,
        orient="row",
    )
    gone = pl.DataFrame(
        [("deals", "d\x009", NOW, None), ("deals", "d2", NOW, "d\x001")], schema=TOMBSTONES, orient="row"
    )
    people = frame(
        "contacts",
        [
            {"external_id": "c1", "first_name": ODD, "last_name": "Doe", "email": "jane\x00@acme.example"},
            {"external_id": "c2", "first_name": ODD, "last_name": "Doe", "email": "jane@acme.example"},
        ],
    )
    shown = replace(
        CAPABILITIES,
        fields={"deals": {"amount": FieldState("mapped", KEPT)}},
        links={"deals": f"https://crm.example/{KEPT}/{{id}}"},
        notes=(ODD,),
    )
    first = replace(page(deals=deals, deal_changes=changes), rejects=rejects, tombstones=gone)
    return FakeSource({DEALS: [first], CONTACTS: [page(contacts=people)]}, shown=shown)


def sync(store: Store, mode: str) -> None:
    key = "one" if mode == "hashed" else None
    summary = sync_company(store, source(), company(mode, key), clock=lambda: NOW)
    assert [str(run.error) for run in summary.runs if run.error] == []


@pytest.mark.parametrize("mode", ["full", "hashed", "none"])
def test_odd_texts_are_kept_as_far_as_a_database_can(store: Store, mode: str, tmp_path: Path) -> None:
    sync(store, mode)
    deals = store.frame("acme", "deals")
    assert deals["external_id"].to_list() == ["d1", "d2"]
    assert deals["name"].to_list() == [KEPT.strip(), ""]
    assert deals["merged_into"].to_list() == [None, "d1"]
    assert orjson.loads(deals["custom"][0])["note"].replace("\x00", "") == KEPT
    assert store.frame("acme", "deal_changes").select("deal_id", "old_value", "new_value").rows() == [
        ("d1", "", KEPT.strip())
    ]
    held = store.quarantine("acme")
    assert set(held["external_id"]) == {"", "d1", "d2"}
    assert KEPT in held["raw"].to_list()
    assert not [text for text in held["raw"].to_list() + held["reason"].to_list() if text and "\x00" in text]
    before = {name: store.frame("acme", name) for name in ("deals", "contacts", "deal_changes")}
    sync(store, mode)
    assert {name: store.frame("acme", name).equals(rows) for name, rows in before.items()} == dict.fromkeys(
        before, True
    )
    assert store.quarantine("acme").height == held.height
    found = inspect_store(store)
    assert found.faults == []
    info = store.source_info("acme")
    assert info is not None
    assert info.fields["deals"]["amount"].crm_field == KEPT
    with store.reading() as reader:
        assert quarantine.entries(reader, "acme").height == held.height
    backup.backup(store, tmp_path / "copy.db")
    with Store.open(f"sqlite:///{tmp_path / 'again.db'}") as other:
        restore.restore(other, tmp_path / "copy.db")
        assert other.frame("acme", "deals").equals(deals)
        assert other.quarantine("acme").equals(held)
    for form in ("csv", "parquet"):
        export(store, tmp_path / form, Wanted(format="csv" if form == "csv" else "parquet"))
    assert pl.read_parquet(tmp_path / "parquet" / "deals.parquet").sort("external_id")["name"].to_list() == (
        deals["name"].to_list()
    )


def test_an_error_with_odd_characters_is_noted(store: Store) -> None:
    one = source()
    one.faults[("deals", 0)] = SourceError(f"the CRM said {ODD}; ask it")
    summary = sync_company(store, one, company("full"), clock=lambda: NOW)
    assert summary.error is not None
    (run,) = [run for run in store.runs("acme") if run.stream == "deals"]
    assert run.status == "failed"
    assert "the CRM said a" in str(run.error)
