"""SOQL as text: what is read, and what is refused in Salesforce's words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from connectors.simulator.salesforce.compile import Compiled, Compiler
from connectors.simulator.salesforce.errors import ApiError
from connectors.simulator.salesforce.fields import CATALOGUE
from connectors.simulator.salesforce.ids import PREFIXES, checked, key_of, record_id, valid
from connectors.simulator.salesforce.soql import Comparison, Fields, Logic, Path, parse

NOW = 1_772_323_200


def compiled(soql: str, *, everything: bool = False) -> Compiled:
    return Compiler(CATALOGUE, NOW, everything=everything, style="rest").compile(parse(soql))


def test_a_query_is_read_with_all_its_parts() -> None:
    query = parse(
        "select Id, Product2.Family from OpportunityLineItem where Quantity > 1.5 and (Name like 'A%' or Name = null)"
        " order by Name desc nulls last, Id limit 10 offset 20"
    )

    assert [item.names for item in query.items if isinstance(item, Path)] == [("Id",), ("Product2", "Family")]
    assert query.entity == "OpportunityLineItem"
    assert (query.limit, query.offset) == (10, 20)
    assert [(s.path.names, s.descending, s.nulls_last) for s in query.order] == [
        (("Name",), True, True),
        (("Id",), False, False),
    ]
    where = query.where
    assert isinstance(where, Logic)
    assert where.word == "AND"
    first, second = where.parts
    assert isinstance(first, Comparison)
    assert (first.operator, first.values[0].text) == (">", "1.5")
    assert isinstance(second, Logic)
    assert second.word == "OR"


def test_count_and_fields_are_read() -> None:
    assert parse("SELECT COUNT() FROM Lead").items == ()
    fields = parse("SELECT FIELDS(STANDARD) FROM Lead").items[0]
    assert isinstance(fields, Fields)
    assert fields.which == "STANDARD"


@pytest.mark.parametrize(
    ("soql", "excerpt"),
    [
        ("SELECT Id, FROM Account", "unexpected token: 'FROM'"),
        ("SELECT Id", "<EOF>"),
        ("SELECT Id FROM Account WHERE", "<EOF>"),
        ("SELECT Id FROM Account WHERE Name IS NULL", "unexpected token: 'IS'"),
        ("SELECT * FROM Account", "unexpected token: '*'"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND Phone = 'b' OR Fax = 'c'", "unexpected token: 'OR'"),
        ("SELECT Id FROM Account WHERE NOT Name = 'a' AND Fax = 'c'", "unexpected token: 'AND'"),
        ("SELECT Id FROM Account WHERE Name = 'a' AND NOT Fax = 'c'", "unexpected token: 'NOT'"),
        ("SELECT Id FROM Account LIMIT -1", "unexpected token: '-1'"),
        ('SELECT Id FROM Account WHERE Name = "a"', "unexpected token: '\"'"),
        ("SELECT Id FROM Account WHERE Name = 'a", "mismatched character"),
        ("SELECT Id FROM Account WHERE CreatedDate > 2025-01-31T00:00:00", "unexpected token"),
        ("SELECT Name, COUNT(Id) FROM Account GROUP BY Name", "unexpected token"),
        ("SELECT Id FROM Account GROUP BY Name", "unexpected token: 'GROUP'"),
        ("UPDATE Account SET Name = 'a'", "unexpected token: 'UPDATE'"),
    ],
)
def test_bad_grammar_is_malformed(soql: str, excerpt: str) -> None:
    with pytest.raises(ApiError) as refused:
        parse(soql)
    assert refused.value.code == "MALFORMED_QUERY"
    assert excerpt in refused.value.message


def test_the_caret_stands_below_the_place() -> None:
    soql = "SELECT Id, Company, Email, LastName, SF_date__c, ConvertedContactId FROM Lead"
    with pytest.raises(ApiError) as refused:
        compiled(soql)

    _, excerpt, caret, place, text = refused.value.message.split("\n", 4)
    assert excerpt[caret.index("^") :].startswith("SF_date__c")
    assert place == f"ERROR at Row:1:Column:{soql.index('SF_date__c') + 1}"
    assert text.startswith("No such column 'SF_date__c' on entity 'Lead'. If you are attempting")


def test_the_caret_finds_the_row() -> None:
    with pytest.raises(ApiError) as refused:
        compiled("SELECT Id,\n  Nonsense__c\nFROM Account")
    assert "\nERROR at Row:2:Column:3\n" in refused.value.message


def test_text_limits() -> None:
    parse(f"SELECT Id FROM Account WHERE Name = '{'x' * 4000}'")
    with pytest.raises(ApiError, match="longer than 4000"):
        parse(f"SELECT Id FROM Account WHERE Name = '{'x' * 4001}'")
    names = ", ".join(["Name"] * 17_000)
    with pytest.raises(ApiError, match="cannot be longer than 100000"):
        parse(f"SELECT {names} FROM Account")


def test_values_are_bound_not_pasted() -> None:
    found = compiled(
        r"SELECT Id FROM Account WHERE Name = 'x\'; DROP TABLE Account --' AND NumberOfEmployees > 5"
    )
    assert found.parameters == ["x'; DROP TABLE Account --", 5]
    assert "DROP" not in found.keys


@pytest.mark.parametrize(
    ("literal", "bound"),
    [
        ("2025-01-31T00:00:00Z", 1_738_281_600),
        ("2025-01-31T00:00:00.999Z", 1_738_281_600),  # milliseconds are ignored
        ("2025-01-31T02:00:00+02:00", 1_738_281_600),
        ("2025-01-30T19:00:00-0500", 1_738_281_600),
    ],
)
def test_instants(literal: str, bound: int) -> None:
    assert compiled(f"SELECT Id FROM Account WHERE CreatedDate >= {literal}").parameters == [bound]


@pytest.mark.parametrize(
    ("written", "bound"),
    [
        (r"50\%", r"50\%"),
        (r"a\\b%", r"a\\b%"),
        (r"O\'Neil%", "O'Neil%"),
        (r"x\u00e5_", "xå_"),
    ],
)
def test_like_patterns_keep_their_escapes(written: str, bound: str) -> None:
    assert compiled(f"SELECT Id FROM Account WHERE Name LIKE '{written}'").parameters == [bound]


@given(st.sampled_from(sorted(PREFIXES)), st.integers(0, 62**10 - 1), st.integers(0, 62**10 - 1))
def test_ids_are_reversible_and_keep_the_order_of_keys(name: str, one: int, other: int) -> None:
    first, second = record_id(name, one), record_id(name, other)
    assert len(first) == 18
    assert valid(first)
    assert key_of(first)[1] == key_of(first[:15])[1] == one
    assert (first < second) == (one < other)


def test_ids_of_the_worlds_kinds() -> None:
    assert record_id("deal", 5) == record_id("Opportunity", 5)
    assert key_of(record_id("deal", 5)) == ("deal", 5)
    assert key_of(record_id("OpportunityHistory", 5)) == ("OpportunityHistory", 5)
    assert checked("0014S000007Ny26") == "0014S000007Ny26QAC"  # recorded from a live org
    with pytest.raises(ValueError, match="too large"):
        record_id("deal", 62**10)


@pytest.mark.parametrize("text", ["", "001", "0014S000007Ny26QAD", "0014S000007Ny2-", "0014S000007Ny26QAC"])
def test_what_is_not_an_id_of_this_org(text: str) -> None:
    with pytest.raises(ValueError, match="not an id"):
        key_of(text)
