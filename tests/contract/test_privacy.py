"""What the store holds of people, mode by mode, on both databases."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import polars as pl
import pytest
from pydantic import SecretStr
from sqlalchemy import text

from connectors.schema import REJECTS
from connectors.source import FieldState, Page, Stream
from pipeline.company import Company, PrivacySettings
from pipeline.quality import report
from pipeline.store import Store
from pipeline.sync import sync_company
from tests.contract.fake_source import ACCOUNTS, CAPABILITIES, CONTACTS, DEALS, FakeSource, page
from tests.rows import NOW, frame

LEADS, MEETINGS = Stream("leads", ("leads",)), Stream("meetings", ("meetings",))
KEYS = {"one": "a-secret-of-the-client-1", "two": "a-secret-of-the-client-2"}
READABLE = ("Jane", "Doe", "jane@", "+49 555", "blue eyes", "Lunch")
PEOPLE: list[dict[str, Any]] = [
    {"external_id": "c1", "first_name": "Jane", "last_name": "Doe", "email": "jane@acme.example", "phone": "+49 555 1",
     "role": "champion", "created_at": "2026-01-01", "modified_at": "2026-01-01", "custom": '{"note":"blue eyes"}'},
    {"external_id": "c2", "first_name": "JANE", "last_name": "Doe", "email": " Jane@Acme.example", "phone": "TBD",
     "created_at": "2026-02-01", "modified_at": "2026-02-01"},
    {"external_id": "c3", "first_name": "n/a", "last_name": "", "email": None, "created_at": "2026-11-01"},
]  # fmt: skip


def company(mode: str, key: str | None = None, name: str = "acme") -> Company:
    secret = SecretStr(KEYS[key]) if key else None
    return Company(name=name, privacy=PrivacySettings(contacts=mode, key=secret))


def source(**options: Any) -> FakeSource:
    rejects = pl.DataFrame(
        {
            "table": ["contacts", "contacts", "deals"],
            "external_id": ["c1", None, "d1"],
            "field": ["last_activity_at", "external_id", "amount"],
            "raw": ["ask Jane", '{"Email":"jane@acme.example"}', "12 apples"],
            "reason": ["not a date", "record without an id", "not an amount"],
        },
        schema=REJECTS,
    )
    script: dict[Stream, list[Page]] = {
        ACCOUNTS: [page(accounts=frame("accounts", [{"external_id": "a1", "name": "Acme"}]))],
        CONTACTS: [replace(page(contacts=frame("contacts", PEOPLE)),
                           rejects=rejects.filter(pl.col("table") != "deals"))],
        LEADS: [page(leads=frame("leads", [{"external_id": "l1", "last_name": "Doe", "email": "jane@acme.example",
                                            "company": "Acme", "converted_contact_id": "c1"}]))],
        DEALS: [replace(page(deals=frame("deals", [{"external_id": "d1", "created_at": "2026-01-01"}])),
                        rejects=rejects.filter(pl.col("table") == "deals"))],
        MEETINGS: [page(meetings=frame("meetings", [{"external_id": "m1", "contact_id": "c1",
                                                      "subject": "Lunch with Jane"}]))],
    }  # fmt: skip
    shown = replace(
        CAPABILITIES,
        fields={
            **CAPABILITIES.fields,
            "contacts": {
                name: FieldState("mapped", name) for name in ("email", "phone", "last_name", "first_name")
            },
        },
    )
    return FakeSource(script, **{"shown": shown, **options})


def sync(store: Store, mode: str, key: str | None = None, **options: Any) -> FakeSource:
    one = source(**options)
    summary = sync_company(store, one, company(mode, key), clock=lambda: NOW)
    assert summary.status == "ok", summary.error
    return one


def everything(store: Store, name: str = "acme") -> dict[str, list[tuple[Any, ...]]]:
    """Every row of a company that tells of its people."""
    tables = ("contacts", "leads", "meetings", "findings", "quarantine", "accounts", "deals")
    with store.reading() as reader:
        return {
            table: sorted(
                (tuple(row) for row in reader.connection.execute(
                    text(f"SELECT * FROM {table} WHERE company = :name"), {"name": name})),
                key=repr,
            )
            for table in tables
        }  # fmt: skip


def told(rows: Mapping[str, Any], words: tuple[str, ...] = READABLE) -> set[str]:
    return {word for word in words if word.lower() in repr(rows).lower()}


def test_in_full_everything_is_kept(store: Store) -> None:
    sync(store, "full")
    assert told(everything(store)) == set(READABLE)


@pytest.mark.parametrize(("mode", "key"), [("hashed", "one"), ("none", None)])
def test_a_mode_leaves_nothing_readable(store: Store, mode: str, key: str | None) -> None:
    sync(store, mode, key)
    rows = everything(store)
    assert told(rows) == set()
    assert "12 apples" in repr(rows["quarantine"])  # of a deal
    contacts = store.frame("acme", "contacts")
    assert contacts["role"].to_list() == ["champion", None, None]
    assert contacts["external_id"].to_list() == ["c1", "c2", "c3"]


def test_digests_still_match_and_blanks_stay_blank(store: Store) -> None:
    sync(store, "full")
    found = store.findings("acme").select("rule", "external_id", "other_id")
    sync(store, "hashed", "one")
    assert store.findings("acme").select("rule", "external_id", "other_id").equals(found)
    assert "duplicate_contacts" in found["rule"]
    contacts = store.frame("acme", "contacts")
    assert contacts["email"][0] == contacts["email"][1]
    assert contacts["email"][0].endswith("@acme.example")
    assert contacts["email"][2] is None
    assert (contacts["first_name"][2], contacts["last_name"][2], contacts["phone"][1]) == ("n/a", "", "TBD")
    assert store.frame("acme", "leads")["email"][0] == contacts["email"][0]


def test_two_companies_with_one_key_do_not_match(store: Store) -> None:
    for name in ("acme", "globex"):
        sync_company(store, source(), company("hashed", "one", name), clock=lambda: NOW)
    pair = [store.frame(name, "contacts")["email"][0] for name in ("acme", "globex")]
    assert pair[0] != pair[1]


@pytest.mark.parametrize(("mode", "key"), [("hashed", "one"), ("none", None)])
def test_a_stricter_mode_rewrites_what_is_stored_and_asks_the_crm_for_nothing(
    store: Store, mode: str, key: str | None
) -> None:
    sync(store, "full")
    again = sync(store, mode, key)
    assert told(everything(store)) == set()
    assert [cursor for _, cursor in again.asked if cursor is None] == []
    changed = everything(store)
    with Store.open(store.url.render_as_string(hide_password=False)) as other:
        third = sync(other, mode, key)
    assert [cursor for _, cursor in third.asked if cursor is None] == []
    assert everything(store) == changed


@pytest.mark.parametrize(("before", "after"), [
    (("hashed", "one"), ("full", None)), (("none", None), ("full", None)),
    (("none", None), ("hashed", "one")), (("hashed", "one"), ("hashed", "two")),
])  # fmt: skip
def test_a_plainer_mode_or_another_key_reads_people_again_and_nothing_else(
    store: Store, before: tuple[str, str | None], after: tuple[str, str | None]
) -> None:
    sync(store, *before)
    again = sync(store, *after)
    assert [name for name, cursor in again.asked if cursor is None] == ["contacts", "leads", "meetings"]
    rows = everything(store)
    with store.transaction() as tx:
        for table in ("contacts", "leads", "meetings", "findings", "quarantine", "sources", "cursors"):
            tx.connection.execute(text(f"DELETE FROM {table}"))
    sync(store, *after)
    assert everything(store) == rows  # as if it had always been so


def test_an_unfinished_return_to_full_does_not_leave_old_digests(store: Store) -> None:
    sync(store, "hashed", "two")
    sync_company(store, source(), company("full"), only=["accounts"], clock=lambda: NOW)
    again = sync(store, "hashed", "one")
    assert [name for name, cursor in again.asked if cursor is None] == ["contacts", "leads", "meetings"]
    assert told(everything(store)) == set()
    rows = everything(store)
    sync(store, "hashed", "one")
    assert everything(store) == rows


def test_a_company_that_moved_to_another_crm_is_rewritten_there_too(store: Store) -> None:
    sync(store, "full", name="old")
    sync(store, "none", name="new")
    assert told(everything(store)) == set()


def test_what_none_withholds_is_unmeasurable_and_not_empty(store: Store) -> None:
    sync(store, "none")
    info = store.source_info("acme")
    assert info is not None
    state = info.fields["contacts"]["email"]
    assert (state.state, state.crm_field) == ("hidden", "email")
    assert "privacy.contacts: none" in (state.remedy or "")
    assert not info.measurable("contacts", "custom.anything")
    document = report(store, company("none"), NOW).as_json()
    assert document["score"] is None
    assert any("privacy.contacts: none" in reason for reason in document["reasons"])
    assert [rule["findings"] for rule in document["rules"] if rule["id"] == "duplicate_contacts"] == [0]
    sync(store, "full")
    assert store.source_info("acme").fields["contacts"]["email"].state == "mapped"  # type: ignore[union-attr]


@pytest.mark.parametrize("secret", ["short", "${BOARDLINE_UNRESOLVED_KEY}"])
def test_a_key_that_is_none_stops_before_anything_is_read(store: Store, secret: str) -> None:
    from connectors.errors import ConfigurationError

    one = source()
    bad = Company(name="acme", privacy=PrivacySettings(contacts="hashed", key=SecretStr(secret)))
    with pytest.raises(ConfigurationError, match="16 characters"):
        sync_company(store, one, bad)
    assert one.requests == 0
