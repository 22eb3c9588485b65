"""Completeness, cleanliness and the report, on frames written by hand (definition book, section 6, ruling 35 on)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import polars as pl
import pytest

from connectors.source import FieldState
from pipeline.company import Company
from pipeline.emptiness import filled
from pipeline.quality import (
    build_report,
    cleanliness,
    cleanliness_over,
    completeness,
    completeness_over,
    faults,
    opened_at,
    standing_faults,
)
from pipeline.records import SourceInfo
from pipeline.states import deals_at
from pipeline.store import FINDINGS
from pipeline.tables import SCHEMAS
from tests.rows import NOW, frame

COMPANY = Company(name="acme", timezone="Europe/Berlin")
FULL = {
    "created_at": "2026-01-10",
    "stage": "new",
    "pipeline": "default",
    "amount": 100,
    "close_date": "2026-12-24",
    "owner_id": "o1",
    "account_id": "a1",
    "next_step": "call",
}
STAGES = [
    {"pipeline": "default", "stage": "new", "label": "New", "is_closed": False, "active": True},
    {"pipeline": "default", "stage": "late", "label": "Late", "is_closed": False, "active": True},
    {
        "pipeline": "default",
        "stage": "won",
        "label": "Won",
        "is_closed": True,
        "is_won": True,
        "active": True,
    },
]


def frames(**tables: list[dict[str, Any]]) -> dict[str, pl.DataFrame]:
    return {
        **{name: pl.DataFrame(schema=schema) for name, schema in SCHEMAS.items()},
        "stages": frame("stages", STAGES),
        **{name: frame(name, rows) for name, rows in tables.items()},
    }


def deals(*changes: dict[str, Any]) -> list[dict[str, Any]]:
    return [{"external_id": f"d{n}", **FULL, **change} for n, change in enumerate(changes)]


def info(
    fields: dict[str, dict[str, FieldState]] | None = None, links: dict[str, str] | None = None
) -> SourceInfo:
    return SourceInfo("acme", "fake", "EUR", links or {}, fields or {}, frozenset({"stage"}), (), "", NOW)


def changes(deal: str, field: str, *steps: tuple[str, str | None, str | None]) -> list[dict[str, Any]]:
    return [
        {"deal_id": deal, "field": field, "changed_at": at, "seq": 0, "old_value": old, "new_value": new}
        for at, old, new in steps
    ]


# -- completeness


@pytest.mark.parametrize(
    "word",
    [
        "",
        "  ",
        "tbd",
        "TBA",
        " N/A ",
        "na",
        "None",
        "(none)",
        "-",
        "?",
        "Unknown",
        "NULL",
        "test",
        "blank",
        "0",
    ],
)
def test_placeholders_are_empty(word: str) -> None:
    have = completeness(frames(deals=deals({"next_step": word})), COMPANY, None, NOW)
    assert (have.filled, have.required) == (5, 6)


@pytest.mark.parametrize("word", ["call", "test call", "none of it", "n", "--", "00"])
def test_other_words_are_not(word: str) -> None:
    assert completeness(frames(deals=deals({"next_step": word})), COMPANY, None, NOW).ratio == 1.0


@pytest.mark.parametrize(
    ("cell", "dtype", "expected"),
    [
        (0, pl.Int64(), False),
        (-1, pl.Int64(), True),
        (0.0, pl.Float64(), False),
        (False, pl.Boolean(), True),
        (None, pl.Date(), False),
    ],
)
def test_numbers_flags_and_dates(cell: Any, dtype: pl.DataType, expected: bool) -> None:
    assert (
        pl.DataFrame({"x": [cell]}, schema={"x": dtype}).select(filled(pl.col("x"), dtype)).item() is expected
    )


def test_the_ratio_counts_cells_of_open_deals_of_every_type() -> None:
    rows = deals(
        {},
        {"amount": 0, "owner_id": None, "type": "Renewal"},
        {"stage": "Nurture", "account_id": None},
        {"stage": "won", "amount": None},
        {"deleted_at": "2026-05-01", "amount": None},
        {"created_at": "2027-01-01", "amount": None},
    )
    have = completeness(frames(deals=rows), COMPANY, None, NOW)
    assert (have.filled, have.required) == (15, 18)
    assert have.ratio == pytest.approx(15 / 18)
    by_field = {score.field: (score.filled, score.required) for score in have.fields}
    assert by_field == {
        "amount": (2, 3),
        "close_date": (3, 3),
        "stage": (3, 3),
        "owner_id": (2, 3),
        "account_id": (2, 3),
        "next_step": (3, 3),
    }


def test_without_open_deals_it_is_undefined_not_nought() -> None:
    have = completeness(frames(deals=deals({"stage": "won"})), COMPANY, None, NOW)
    assert (have.ratio, have.required, have.reason) == (None, 0, "no deal was open on 2026-11-22")


def test_hidden_and_unmapped_fields_do_not_count() -> None:
    fields = {
        "deals": {
            "next_step": FieldState("hidden"),
            "amount": FieldState("unmapped"),
            "stage": FieldState("mapped"),
        }
    }
    have = completeness(frames(deals=deals({"next_step": None, "amount": None})), COMPANY, info(fields), NOW)
    assert (have.filled, have.required, have.ratio) == (4, 4, 1.0)
    scores = {score.field: score for score in have.fields}
    assert (scores["next_step"].measurable, scores["next_step"].ratio) == (False, None)
    everything = {"deals": dict.fromkeys(COMPANY.required_deal_fields, FieldState("hidden"))}
    blind = completeness(frames(deals=deals({})), COMPANY, info(everything), NOW)
    assert (blind.ratio, blind.reason) == (None, "none of the required fields can be seen")


def test_a_companys_own_field_is_read_from_custom() -> None:
    company = COMPANY.model_copy(update={"required_deal_fields": ("route", "amount")})
    rows = deals(
        {"custom": '{"route": "direct"}'},
        {"custom": '{"route": "TBD"}'},
        {"custom": "{}"},
        {"custom": '{"route": null}'},
    )
    scores = {
        score.field: score.filled for score in completeness(frames(deals=rows), company, None, NOW).fields
    }
    assert scores == {"route": 1, "amount": 4}
    hidden = info({"deals": {"custom.route": FieldState("hidden")}})
    assert completeness(frames(deals=rows), company, hidden, NOW).required == 4


def test_stage_amount_and_close_date_are_those_of_the_moment() -> None:
    """In March the deal was open in "late" without an amount; today it is won. Owner and next step are of today."""
    rows = deals({"stage": "won", "owner_id": None})
    log = [
        *changes(
            "d0",
            "stage",
            ("2026-01-10", None, "new"),
            ("2026-02-01", "new", "late"),
            ("2026-05-01", "late", "won"),
        ),
        *changes("d0", "amount", ("2026-01-10", None, None), ("2026-04-01", None, "100")),
    ]
    known = frames(deals=rows, deal_changes=log)
    assert completeness(known, COMPANY, None, NOW).required == 0
    march = completeness(known, COMPANY, None, datetime(2026, 3, 31, tzinfo=UTC), known_at=NOW)
    assert (march.filled, march.required) == (4, 6)
    assert completeness(known, COMPANY, None, datetime(2026, 1, 9, tzinfo=UTC), known_at=NOW).required == 0


def test_a_default_close_date_is_empty_until_it_was_ever_another_one() -> None:
    rows = deals(
        *[{"created_at": "2026-11-05", "close_date": "2026-11-30"}] * 4, {"close_date": "2026-01-30"}
    )
    log = [
        *changes("d0", "close_date", ("2026-11-05", None, "2026-11-30")),
        *changes(
            "d1", "close_date", ("2026-11-05", None, "2026-12-15"), ("2026-11-10", "2026-12-15", "2026-11-30")
        ),
        *changes("d2", "close_date", ("2026-11-05", None, None), ("2026-11-10", None, "2026-11-30")),
        *changes("d3", "close_date", ("2026-11-10", "2026-12-15", "2026-11-30")),
    ]
    have = completeness(frames(deals=rows, deal_changes=log), COMPANY, None, NOW)
    assert {score.field: score.filled for score in have.fields}["close_date"] == 4
    earlier = datetime(2026, 11, 7, tzinfo=UTC)
    then = completeness(frames(deals=rows, deal_changes=log), COMPANY, None, earlier, known_at=NOW)
    assert {score.field: score.filled for score in then.fields}["close_date"] == 3  # d1, d3, d4


def test_the_month_of_creation_is_the_local_one() -> None:
    rows = deals({"created_at": "2026-10-31T23:30:00", "close_date": "2026-11-30"})  # 1 November in Berlin
    assert {s.field: s.filled for s in completeness(frames(deals=rows), COMPANY, None, NOW).fields}[
        "close_date"
    ] == 0


def test_by_owner_and_by_segment() -> None:
    rows = deals(
        {"segment": "SMB"}, {"owner_id": "o2", "next_step": None}, {"owner_id": None, "segment": " "}
    )
    known = frames(
        deals=rows, owners=[{"external_id": "o1", "name": "Ada"}, {"external_id": "o2", "name": ""}]
    )
    owners = {
        g.group: (g.filled, g.required) for g in completeness(known, COMPANY, None, NOW, "owner").groups
    }
    assert owners == {"Ada": (6, 6), "o2": (5, 6), "unknown": (5, 6)}
    segments = {
        g.group: (g.filled, g.required) for g in completeness(known, COMPANY, None, NOW, "segment").groups
    }
    assert segments == {"SMB": (6, 6), "unknown": (10, 12)}


# -- state at a moment


def test_the_state_of_a_moment() -> None:
    rows = frame("deals", deals({"stage": "late", "amount": 3}, {"stage": "late"}, {"stage": "late"}))
    log = frame(
        "deal_changes",
        [
            *changes(
                "d0", "amount", ("2026-01-10", None, "1"), ("2026-02-01", "1", ""), ("2026-03-01", None, "3")
            ),
            *changes("d1", "stage", ("2026-03-01", "new", "late")),
        ],
    )

    def at(month: int) -> list[tuple[Any, ...]]:
        moment = datetime(2026, month, 1, tzinfo=UTC)
        return deals_at(rows, log, moment, NOW).select("stage", "amount").rows()

    assert at(3) == [("late", 3), ("late", 100), ("late", 100)], "a change at the moment itself is in"
    assert at(2) == [("late", None), ("new", 100), ("late", 100)], (
        "the log's old value; else the value of now"
    )


def test_many_moments_in_one_pass_give_what_each_gives_alone() -> None:
    """Deals that come, move, leave and come back to a default date between the moments."""
    rows = deals(
        {"stage": "won", "segment": "SMB"},
        {"created_at": "2026-03-10", "close_date": "2026-03-31", "owner_id": None},
        {"deleted_at": "2026-04-15", "amount": None},
        {"created_at": None, "stage": "gone", "pilot": True},
        {"stage": "late", "next_step": None},
    )
    log = [
        *changes("d0", "stage", ("2026-01-10", None, "new"), ("2026-05-01", "new", "won")),
        *changes(
            "d1", "close_date", ("2026-04-10", "2026-03-31", "2026-09-30"), ("2026-06-10", None, "2026-03-31")
        ),
        *changes("d3", "pipeline", ("2026-02-10", "other", "default")),
        *changes("d3", "stage", ("2026-02-10", "late", "won"), ("2026-07-10", "won", "gone")),
    ]
    contacts = [{"external_id": "c", "created_at": "2026-01-01"}]
    # The layout has had "late" in use since 20 July only, as an open stage; before, it counted as lost.
    laid_out = [
        {"pipeline": "default", "stage": "late", "changed_at": "2026-07-20", "seq": 0, "origin": "comparison"}
        | {"field": field, "old_value": old, "new_value": new}
        for field, old, new in (("active", "false", "true"), ("is_closed", "true", "false"))
    ]
    known = frames(deals=rows, deal_changes=log, contacts=contacts, stage_changes=laid_out)
    moments = [datetime(2026, month, 20, tzinfo=UTC) for month in (9, 1, 2, 3, 4, 5, 6, 8)]
    standing = standing_faults(known, COMPANY, None, NOW)
    for for_scores in (False, True):
        opened = opened_at(known, COMPANY, moments, NOW, for_scores=for_scores)
        whole = completeness_over(opened, known, COMPANY, None, moments, "owner")
        clean = cleanliness_over(opened, known, COMPANY, None, whole, NOW, standing)
        for moment in moments:
            assert whole[moment] == completeness(known, COMPANY, None, moment, "owner", NOW)
            assert clean[moment] == cleanliness(known, COMPANY, None, moment, NOW)
    for moment in moments:
        found = faults(known, COMPANY, None, moment, NOW).filter(
            pl.col("rule").is_in(["invalid_stage", "overdue_close_date"])
        )
        assert clean[moment].parts[2].faulty == found["external_id"].n_unique()
    assert list(whole) == moments
    counts = {moment.month: (score.filled, score.required) for moment, score in whole.items()}
    # d0 is open up to April; d1 begins in March without owner and with a default date; d2 is gone, as known now.
    # d3 was in "late" in January, d4 always: not open before that stage was; d4 has no next step.
    both, three = (11, 12), {3: (16, 18), 4: (17, 18)}
    assert counts == {1: (6, 6), 2: (12, 12), **three, 5: both, 6: both, 8: (16, 18), 9: (16, 18)}


# -- cleanliness


def test_cleanliness_is_the_weighted_sum_of_its_parts() -> None:
    known = frames(
        deals=deals(
            {}, {"close_date": "2026-01-01", "stage": ""}, {"stage": "won"}
        ),  # 1 of 2 at fault, 11 of 12 cells
        accounts=[
            {"external_id": f"a{n}", "name": "Acme" if n < 3 else f"B{n}"} for n in range(6)
        ],  # 2 surplus
        contacts=[
            {"external_id": "c1", "last_activity_at": "2026-11-01"},
            {"external_id": "c2", "last_activity_at": "2026-11-01", "bounced": True},
            {"external_id": "c3", "last_activity_at": "2020-01-01"},
            {"external_id": "c4", "created_at": "2026-01-01"},
        ],
    )
    score = cleanliness(known, COMPANY, None, NOW)
    assert {part.id: (part.faulty, part.total) for part in score.parts} == {
        "completeness": (1, 12),
        "duplicates": (2, 10),
        "stages": (1, 2),
        "contacts": (2, 4),
    }
    assert score.score == pytest.approx(35 * 11 / 12 + 25 * 8 / 10 + 20 * 1 / 2 + 20 * 2 / 4)
    assert sum(part.weight for part in score.parts) == 100


def test_a_part_without_a_base_makes_the_score_undefined() -> None:
    score = cleanliness(frames(deals=deals({})), COMPANY, None, NOW)
    assert score.score is None
    assert (
        score.reason == "duplicate accounts and contacts: there are none; outdated contacts: there are none"
    )


def test_a_field_that_cannot_be_seen_makes_the_score_undefined() -> None:
    known = frames(deals=deals({}), contacts=[{"external_id": "c", "created_at": "2026-01-01"}])
    hidden = info({"contacts": {"last_activity_at": FieldState("hidden")}})
    assert cleanliness(known, COMPANY, None, NOW).score is not None
    assert "last activity of contacts cannot be seen" in str(cleanliness(known, COMPANY, hidden, NOW).reason)


def test_contacts_and_duplicates_are_those_of_the_moment_of_knowledge() -> None:
    """Read for March as known now: the contact fell silent in May, its double came in June."""
    known = frames(
        deals=deals({}),
        contacts=[
            {
                "external_id": "c1",
                "email": "a@b.c",
                "created_at": "2026-01-01",
                "last_activity_at": "2025-11-21",
            },
            {
                "external_id": "c2",
                "email": "a@b.c",
                "created_at": "2026-06-01",
                "last_activity_at": "2026-11-01",
            },
        ],
    )
    score = cleanliness(known, COMPANY, None, datetime(2026, 3, 31, tzinfo=UTC), known_at=NOW)
    assert {
        part.id: (part.faulty, part.total) for part in score.parts if part.id in ("duplicates", "contacts")
    } == {
        "duplicates": (1, 2),
        "contacts": (1, 2),
    }


# -- the report


def report(by: str | None = None) -> dict[str, Any]:
    known = frames(
        deals=deals({"close_date": "2026-01-01"}, {"segment": "SMB"}),
        owners=[{"external_id": "o1", "name": "Ada"}],
        accounts=[
            {"external_id": "a1", "name": "Acme", "created_at": "2025-01-01"},
            {"external_id": "a2", "name": "ACME", "owner_id": "o9", "created_at": "2026-01-01"},
        ],
        contacts=[{"external_id": "c", "created_at": "2026-01-01"}],
    )
    row = ("overdue_close_date", "deals", "d0", "", "o1", "warning", "old words", NOW, NOW, None)
    seen = pl.DataFrame([row], schema=FINDINGS, orient="row")
    links = {"deals": "https://crm.example/deal/{id}"}
    return build_report(known, COMPANY, info(links=links), NOW, seen, by).as_json()


def test_the_report_has_the_documented_shape() -> None:
    document = report()
    assert list(document)[:5] == ["company", "as_of", "score", "completeness", "cleanliness"]
    assert document["score"] == document["cleanliness"] == pytest.approx(35 + 25 * 2 / 3 + 20 / 2 + 20)
    assert document["completeness"] == 1.0
    assert document["fields"][0] == {
        "object": "deals",
        "field": "amount",
        "filled": 2,
        "required": 2,
        "ratio": 1.0,
        "measurable": True,
    }
    assert {rule["id"]: rule["findings"] for rule in document["rules"]} == {
        "blank_required_fields": 0,
        "duplicate_accounts": 1,
        "duplicate_contacts": 0,
        "invalid_stage": 0,
        "outdated_contacts": 0,
        "overdue_close_date": 1,
    }
    double, overdue = document["findings"]
    assert overdue == {
        "rule": "overdue_close_date",
        "object": "deals",
        "external_id": "d0",
        "other_id": None,
        "owner": "Ada",
        "message": "the deal is open, but was to close on 2026-01-01",
        "url": "https://crm.example/deal/d0",
        "first_seen": "2026-11-22T12:00:00Z",
    }
    assert (double["other_id"], double["owner"], double["url"], double["first_seen"]) == (
        "a1",
        "o9",
        None,
        None,
    )


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("owner", {"Ada": (12, 1), "o9": (0, 1)}),
        ("segment", {"SMB": (6, 0), "unknown": (6, 2)}),
        ("rule", {"duplicate_accounts": (None, 1), "overdue_close_date": (None, 1)}),
        ("field", {"amount": (2, 0), "next_step": (2, 0)}),
    ],
)
def test_the_report_counts_by(by: str, expected: dict[str, tuple[int | None, int]]) -> None:
    groups = {group["group"]: (group["filled"], group["findings"]) for group in report(by)["groups"]}
    assert {name: groups[name] for name in expected} == expected
