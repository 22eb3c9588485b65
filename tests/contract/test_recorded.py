"""What came into the store after a moment, by our own clock, on both databases."""

from __future__ import annotations

from datetime import timedelta

from connectors.source import Capabilities
from pipeline.recorded import STAMPED, recorded
from pipeline.store import Store
from tests.rows import NOW, frame

BEFORE, AFTER = NOW - timedelta(hours=1), NOW + timedelta(microseconds=1)
LONG_AGO = "2026-01-01"


def changes(deal: str, *days: str) -> list[dict[str, object]]:
    return [
        {
            "deal_id": deal,
            "field": "stage",
            "changed_at": day,
            "seq": 0,
            "new_value": day,
            "origin": "crm_history",
        }
        for day in days
    ]


def filled(store: Store) -> None:
    """Deal a was known before NOW and got a change after it; deal b was first heard of after it."""
    with store.transaction() as tx:
        tx.save_source("acme", "fake", Capabilities("USD", {}, {}, frozenset()), "f", NOW)
        for name in ("a", "b"):
            tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": name}]), BEFORE)
        tx.append_changes(
            "deal_changes", "acme", "fake", frame("deal_changes", changes("a", LONG_AGO)), BEFORE
        )
        late = frame("deal_changes", [*changes("a", "2026-01-02"), *changes("b", LONG_AGO)])
        tx.append_changes("deal_changes", "acme", "fake", late, AFTER)
        tx.append_changes("deal_changes", "other", "fake", late, AFTER)
        tx.upsert("deals", "acme", "fake", frame("deals", [{"external_id": "b", "amount": 5}]), AFTER)


def test_only_what_was_written_later_is_told(store: Store) -> None:
    filled(store)
    with store.reading() as reader:
        found = recorded(reader, "acme", "fake", NOW)
    assert found.of("deals").rows() == [("b", AFTER)]
    late = found.of("deal_changes").sort("deal_id")
    assert late["deal_id"].to_list() == ["a", "b"]
    assert [f"{moment:%Y-%m-%d}" for moment in late["changed_at"]] == ["2026-01-02", LONG_AGO]
    assert found.first_seen.rows() == [("b", AFTER)]
    assert {name for name in STAMPED if not found.of(name).is_empty()} == {"deals", "deal_changes"}


def test_after_the_last_write_there_is_nothing(store: Store) -> None:
    filled(store)
    with store.reading() as reader:
        found = recorded(reader, "acme", "fake", AFTER)
    assert all(found.of(name).is_empty() for name in STAMPED)
    assert found.first_seen.is_empty()
