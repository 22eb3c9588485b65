"""What the modes keep of a page: nothing that reads, everything that matches."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr

from connectors.schema import REJECTS
from connectors.source import Capabilities, FieldState, Page
from pipeline.company import Company, PrivacySettings
from pipeline.emptiness import PLACEHOLDERS, filled
from pipeline.normalise import normalise
from pipeline.privacy import PERSONAL, WITHHELD, Privacy, change, hashed
from pipeline.rules.duplicate_contacts import find
from tests.rows import NOW, frame


def privacy(mode: str, key: str = "a-secret-of-16-or-more", name: str = "acme") -> Privacy:
    secret = SecretStr(key) if mode == "hashed" else None
    return Privacy.of(Company(name=name, privacy=PrivacySettings(contacts=mode, key=secret)))


HASHED, NONE, FULL = privacy("hashed"), privacy("none"), privacy("full")
words = st.sampled_from(
    ["Jane", "JANE ", "Doe", "Müller", "  ", "", "TBD", "n/a", "李", "h1:abc", "O'Neil\nJr"]
)
phones = st.sampled_from(
    ["+49 30 1", "0049-30-1", "(49) 301", "call office", "ask Jane", "0", "-", "", "٣٤", "1"]
)
mails = st.sampled_from(
    ["jane@acme.example", "JANE@acme.example", "jane", "a@b@acme.example", "x@localhost", "?", " "]
)
people = st.lists(
    st.fixed_dictionaries(
        {
            "first_name": st.none() | words,
            "last_name": st.none() | words,
            "email": st.none() | mails,
            "phone": st.none() | phones,
        }
    ),
    max_size=8,
)


def contacts(rows: list[dict[str, Any]]) -> pl.DataFrame:
    """As they come out of normalising; created on different days, so that no tie is broken by a name."""
    start = datetime(2026, 1, 1, tzinfo=UTC)
    numbered = [
        {"external_id": f"c{n}", "created_at": start + timedelta(days=n), **row} for n, row in enumerate(rows)
    ]
    clean, _ = normalise("contacts", frame("contacts", numbered), "EUR")
    return clean


@settings(max_examples=150, deadline=None)
@given(people)
def test_digests_find_the_same_duplicates(rows: list[dict[str, Any]]) -> None:
    before = contacts(rows)
    after = HASHED.frame("contacts", before)
    keys = ["external_id", "other_id"]
    company = Company(name="acme")
    assert (
        find({"contacts": after}, company, NOW)
        .select(keys)
        .equals(find({"contacts": before}, company, NOW).select(keys))
    )


@settings(max_examples=150, deadline=None)
@given(people)
def test_a_cell_is_as_filled_as_it_was_and_nothing_is_readable(rows: list[dict[str, Any]]) -> None:
    before = contacts(rows)
    after = HASHED.frame("contacts", before)
    for column in PERSONAL["contacts"]:
        was, now = (part.select(filled(pl.col(column), pl.String())).to_series() for part in (before, after))
        assert was.equals(now)
        kept = after.filter(~was)[column]
        assert kept.equals(before.filter(~was)[column])  # blanks and placeholders as they were
        assert after.filter(was).select(hashed(pl.col(column))).to_series().all()
    assert after.drop(PERSONAL["contacts"], "custom").equals(before.drop(PERSONAL["contacts"], "custom"))
    assert HASHED.frame("contacts", after, again=True).equals(after)


def test_equal_values_match_and_others_do_not() -> None:
    one = HASHED.frame("contacts", contacts([
        {"first_name": "Jane", "last_name": "Jane", "email": "jane@acme.example", "phone": "+49 30 1"},
        {"first_name": " JANE", "last_name": "Doe", "email": "Jane@acme.example", "phone": "49301"},
        {"first_name": "Jan", "last_name": "Doe", "email": "jan@acme.example", "phone": "49302"},
    ]))  # fmt: skip
    for column in ("first_name", "email", "phone"):
        first, second, third = one[column]
        assert first == second != third
    assert one["email"].str.ends_with("@acme.example").all()
    lead = HASHED.frame(
        "leads", frame("leads", [{"external_id": "l", "email": "jane@acme.example", "last_name": "Doe"}])
    )
    assert (lead["email"][0], lead["last_name"][0]) == (one["email"][0], one["last_name"][1])


@pytest.mark.parametrize(
    "other", [privacy("hashed", "another-secret-of-16"), privacy("hashed", name="globex")]
)
def test_another_key_or_company_has_other_digests(other: Privacy) -> None:
    rows = contacts([{"first_name": "Jane", "email": "jane@acme.example", "phone": "1"}])
    mine, theirs = HASHED.frame("contacts", rows), other.frame("contacts", rows)
    for column in ("first_name", "email", "phone"):
        assert mine[column][0] != theirs[column][0]
    assert other.mark != HASHED.mark


def test_the_key_is_nowhere_to_be_seen() -> None:
    assert "secret" not in repr(HASHED) + HASHED.mark
    assert str(HASHED.key) not in repr(HASHED)


@pytest.mark.parametrize(
    "custom", ['{"a":"Jane","b":null,"c":"TBD","d":7,"e":true,"f":{"g":"Jane"}}', "Jane", '["Jane"]']
)
def test_custom_fields_say_nothing(custom: str) -> None:
    row = frame("contacts", [{"external_id": "c", "custom": custom}])
    told = HASHED.frame("contacts", row)["custom"][0]
    assert "Jane" not in told
    if custom.startswith("{"):
        values = orjson.loads(told)
        assert (values["b"], values["c"]) == (None, "TBD")
        assert all(str(values[name]).startswith("h1:") for name in "adef")
    assert NONE.frame("contacts", row)["custom"][0] == "{}"


def test_none_drops_and_full_keeps() -> None:
    rows = contacts([{"first_name": "Jane", "last_name": "", "email": "TBD", "phone": "1", "title": "CEO"}])
    assert FULL.frame("contacts", rows).equals(rows)
    bare = NONE.frame("contacts", rows)
    assert bare.select(PERSONAL["contacts"]).row(0) == (None, None, None, None)
    assert bare["title"].to_list() == ["CEO"]
    deals = frame("deals", [{"external_id": "d", "next_step": "Call Jane"}])
    assert NONE.frame("deals", deals).equals(deals)


@pytest.mark.parametrize("mode", [HASHED, NONE])
def test_rejected_texts_of_people_are_withheld_and_others_kept(mode: Privacy) -> None:
    cells = [("contacts", "c", "bounced", "Jane"), ("meetings", "m", "starts_at", "Jane"), ("leads", None, "", "Jane"),
             ("deals", "d", "amount", "12 apples"), ("contacts", "c", "last_activity_at", None)]  # fmt: skip
    rejects = pl.DataFrame([(*cell, "why") for cell in cells], schema=REJECTS, orient="row")
    page = mode.protect(Page({}, {}, last=True, rejects=rejects))
    assert "Jane" not in repr(page.rejects.rows())
    assert page.rejects.height == 5
    assert page.rejects["raw"][3] == "12 apples"
    assert page.rejects.drop("raw").equals(rejects.drop("raw"))


def test_only_none_makes_fields_unmeasurable() -> None:
    states = {"email": "Email", "title": "Title", "custom.x": "X__c"}
    mapped = {column: FieldState("mapped", name) for column, name in states.items()}
    shown = Capabilities("EUR", {"contacts": mapped}, {}, frozenset())
    assert HASHED.shown(shown) == shown == FULL.shown(shown)
    fields = NONE.shown(shown).fields["contacts"]
    assert fields["email"] == FieldState("hidden", "Email", WITHHELD)
    assert fields["custom.x"].state == "hidden"
    assert fields["title"].state == "mapped"
    assert shown.fields["contacts"]["email"].state == "mapped"


@pytest.mark.parametrize(("before", "after", "due"), [
    (None, FULL, "nothing"), ("full", FULL, "nothing"), (None, HASHED, "rewrite"), ("full", NONE, "rewrite"),
    (HASHED.mark, HASHED, "nothing"), (HASHED.mark, NONE, "rewrite"), ("none", NONE, "nothing"),
    ("none", FULL, "reread"), ("none", HASHED, "reread"), (HASHED.mark, FULL, "reread"),
    (HASHED.mark, privacy("hashed", "another-secret-of-16"), "reread"),
])  # fmt: skip
def test_what_a_change_asks_for(before: str | None, after: Privacy, due: str) -> None:
    assert change(before, after) == due


def test_placeholders_are_the_ones_that_quality_knows() -> None:
    rows = contacts([{"first_name": word.upper()} for word in sorted(PLACEHOLDERS)])
    assert HASHED.frame("contacts", rows)["first_name"].equals(rows["first_name"])
