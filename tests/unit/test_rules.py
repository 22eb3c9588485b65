"""Every data-quality rule on its cases (``tests/cases/rules``), and what all rules have in common."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from connectors.schema import TABLES, empty
from connectors.source import FieldState
from pipeline.company import Company
from pipeline.duplicates import surplus
from pipeline.records import SourceInfo
from pipeline.rule import FOUND, JUDGED, judge, rules
from tests.rows import frame

CASES = Path(__file__).parents[1] / "cases" / "rules"
COMPANY = Company(name="acme", timezone="America/New_York")
AS_OF = datetime(2026, 7, 1, 3, 30, tzinfo=UTC)
LAYOUT = frame(
    "stages",
    [
        {"pipeline": "default", "stage": "new", "label": "New", "is_closed": False, "active": True},
        {
            "pipeline": "default",
            "stage": "demo",
            "label": "Product demo",
            "is_closed": False,
            "active": False,
        },
        {
            "pipeline": "default",
            "stage": "won",
            "label": "Won",
            "is_closed": True,
            "is_won": True,
            "active": True,
        },
        {
            "pipeline": "default",
            "stage": "lost",
            "label": "Lost",
            "is_closed": True,
            "is_won": False,
            "active": True,
        },
    ],
)


def cases() -> list[Any]:
    return [
        pytest.param(path.stem, case, id=f"{path.stem}: {case['name']}")
        for path in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(path.read_text(encoding="utf-8"))
    ]


def frames_of(table: str, case: dict[str, Any]) -> dict[str, pl.DataFrame]:
    start = datetime(2024, 1, 1, tzinfo=UTC)
    defaults = {"pipeline": "default"} if table == "deals" else {}
    rows = [
        {"external_id": name, "created_at": start + timedelta(days=place), **defaults, **(given or {})}
        for place, (name, given) in enumerate(case[table].items())
    ]
    stages = empty("stages") if case.get("layout") == "none" else LAYOUT
    return {**{name: empty(name) for name in TABLES}, "stages": stages, table: frame(table, rows)}


@pytest.mark.parametrize(("rule", "case"), cases())
def test_case(rule: str, case: dict[str, Any]) -> None:
    one = rules()[rule]
    frames = frames_of(one.object, case)
    found = one.find({name: frames[name] for name in one.tables}, COMPANY, AS_OF)
    assert found.schema == FOUND
    said = [
        f"{external_id} = {other_id}: {message}" if other_id else f"{external_id}: {message}"
        for external_id, other_id, message in found.select("external_id", "other_id", "message").iter_rows()
    ]
    assert said == case["finds"]


@pytest.mark.parametrize("rule", list(rules()))
def test_every_rule_says_what_it_is(rule: str) -> None:
    one = rules()[rule]
    assert one.id == rule
    assert (CASES / f"{rule}.yaml").is_file(), "a rule comes with its cases"
    assert one.title
    assert one.remedy.endswith(".")
    assert one.object in one.tables
    assert all(column in TABLES[table] for table, column in one.needs)
    assert judge([one], {name: empty(name) for name in TABLES}, COMPANY, None, AS_OF).schema == JUDGED


def info(state: FieldState) -> SourceInfo:
    fields = {"contacts": {"last_activity_at": state}}
    return SourceInfo("acme", "fake", "USD", {}, fields, frozenset(), (), "", AS_OF)


def test_a_rule_that_cannot_see_its_field_finds_nothing() -> None:
    contacts = {
        "contacts": frame("contacts", [{"external_id": "a", "created_at": "2020-01-01", "owner_id": "o"}])
    }
    chosen = [rules()["outdated_contacts"]]
    seen = judge(chosen, contacts, COMPANY, info(FieldState("mapped", "LastActivityDate")), AS_OF)
    assert seen.select("rule", "object", "external_id", "owner_id", "severity").rows() == [
        ("outdated_contacts", "contacts", "a", "o", "warning")
    ]
    assert judge(chosen, contacts, COMPANY, info(FieldState("hidden")), AS_OF).is_empty()


def test_findings_do_not_depend_on_the_order_of_rows_or_on_the_ids() -> None:
    """Two CRMs number the same records differently; who stays is decided by what the records hold."""
    rows = [
        {"external_id": f"{n}", "name": "Acme", "created_at": f"2026-01-0{n}", "city": city}
        for n, city in enumerate(("Ulm", "Bonn", "Kiel"), start=1)
    ]
    find = rules()["duplicate_accounts"].find
    straight = find({"accounts": frame("accounts", rows)}, COMPANY, AS_OF)
    renumbered = [{**row, "external_id": f"{9 - int(row['external_id'])}"} for row in reversed(rows)]
    turned = find({"accounts": frame("accounts", renumbered)}, COMPANY, AS_OF)
    pairs = {(int(a), int(b)) for a, b in straight.select("external_id", "other_id").iter_rows()}
    assert pairs == {(2, 1), (3, 1)}
    assert {
        (9 - int(a), 9 - int(b)) for a, b in turned.select("external_id", "other_id").iter_rows()
    } == pairs


def plain_surplus(members: list[tuple[int, str]]) -> int:
    """Records less clusters, by joining sets until nothing joins any more."""
    clusters = [
        ({record}, {key for other, key in members if other == record}) for record in {r for r, _ in members}
    ]
    for _ in range(len(clusters)):
        for one, two in itertools.combinations(clusters, 2):
            if one[1] & two[1]:
                clusters = [c for c in clusters if c not in (one, two)] + [(one[0] | two[0], one[1] | two[1])]
                break
    return len({record for record, _ in members}) - len(clusters)


@given(st.lists(st.tuples(st.integers(0, 7), st.sampled_from("abcdefg")), max_size=14, unique=True))
def test_surplus_is_records_less_clusters(members: list[tuple[int, str]]) -> None:
    rows = [
        {"external_id": f"{r}", "record": f"{r}", "rank": r, "first": r, "key": k, "why": k}
        for r, k in members
    ]
    schema = {"external_id": pl.String, "record": pl.String, "rank": pl.UInt32, "first": pl.UInt32}
    found = surplus(pl.DataFrame(rows, schema={**schema, "key": pl.String, "why": pl.String}))
    assert found.height == plain_surplus(members)
    keys = {r: {k for one, k in members if one == r} for r, _ in members}
    for external_id, other_id, why in found.select("external_id", "other_id", "why").iter_rows():
        assert external_id != other_id
        assert why in keys[int(external_id)] & keys[int(other_id)], "the reason that is given is true"
    assert found["external_id"].n_unique() == found.height


def test_a_required_field_that_cannot_be_seen_is_nobodys_fault() -> None:
    row = {
        "external_id": "a",
        "stage": "new",
        "amount": 1,
        "owner_id": "o",
        "account_id": "x",
        "pipeline": "default",
    }
    frames = {"deals": frame("deals", [row]), "stages": LAYOUT}
    fields = {"deals": {"next_step": FieldState("hidden", "NextStep")}}
    seen = SourceInfo("acme", "fake", "USD", {}, fields, frozenset(), (), "", AS_OF)
    found = judge([rules()["blank_required_fields"]], frames, COMPANY, seen, AS_OF)
    assert found["message"].to_list() == ["the deal is open and blank in close date"]
