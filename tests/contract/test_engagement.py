"""The baseline is frozen once on both databases, rebuilt from history; checkpoint and audit stand on it."""

from __future__ import annotations

from datetime import UTC, date, datetime
from typing import Any

import polars as pl
import pytest
from sqlalchemy import text

from connectors.errors import ConfigurationError
from connectors.source import Capabilities
from metrics import baseline
from metrics.audit import as_json, audit
from metrics.checkpoint import CheckpointReport, checkpoint
from metrics.playbook import load
from pipeline.company import Company
from pipeline.store import Store
from tests.unit.books import Books, at

TOOK, LATER, READ = at("2026-06-20"), at("2026-09-05"), at("2026-12-31")
SEEN = Capabilities(
    home_currency="USD", fields={}, links={"deals": "https://crm.example/{id}"}, history=frozenset()
)


def company(playbook: str = "hr_tech", **settings: Any) -> Company:
    values: dict[str, Any] = {"engagement_start": date(2026, 6, 1), **settings}
    return Company(name="acme", playbook=playbook, currency="USD", **values)


def books(lost_customers: int = 2, won_since: int = 9, of: int = 12) -> Books:
    """Twelve customers of a year and more; two left in May. April and May: 2 of 12 deals won, in July and August 9."""
    made = Books()
    for number in range(12):
        made.account(f"c{number}", segment="SMB")
        made.won(f"d{number}", f"c{number}", "2024-05-01", 1000, 60)
    for number in range(lost_customers):
        made.won(f"x{number}", f"c{number}", "2026-05-10", 1000, 12, type="Churn")
    for began, closed, won in (("2026-04-02", "2026-05-12", 2), ("2026-07-02", "2026-08-06", won_since)):
        for number in range(of):
            last = "Won" if number < won else "Lost"
            made.deal(
                f"{closed} {number}", began, ((began, "Discovery"), (closed, last)), account_id="c5", close_date=closed,
                amount=100_000, segment="SMB", motion="inbound", loss_reason="Price" if last == "Lost" else None,
            )  # fmt: skip
    made.deal(
        "pilot", "2026-06-01", (("2026-06-02", "Proposal"),), account_id="c6", pilot=True, pilot_start="2026-06-02",
        close_date="2026-12-01", amount=5,
    )  # fmt: skip
    return made


def keep(store: Store, made: Books, read: datetime | None = READ) -> None:
    """What syncs up to ``read`` would have left in the store; None: none came to its end."""
    with store.transaction() as tx:
        for table, rows in made.frames().items():
            frame = rows.with_columns(pl.col("custom").fill_null("{}")) if "custom" in rows.columns else rows
            if table == "deal_changes":
                tx.append_changes(table, "acme", "fake", frame, TOOK)
            elif not frame.is_empty():
                tx.upsert(table, "acme", "fake", frame, TOOK)
        tx.save_source("acme", "fake", SEEN, "", read or TOOK)
        tx.mark_complete("acme", "fake", read)


def ask(store: Store, settings: Company, day: str, **more: Any) -> CheckpointReport:
    return checkpoint(store, settings, load(settings.playbook), at(day), at(day), **more)


def snapshots(store: Store) -> int:
    with store.reading() as reader:
        return int(reader.connection.execute(text("SELECT count(*) FROM snapshots")).scalar_one())


def test_the_baseline_is_what_was_known_when_the_engagement_began(store: Store) -> None:
    keep(store, books())
    made = baseline.frozen(store, company(), load("hr_tech"), LATER)
    assert (made.month, made.quarter, made.taken_at, made.note) == ("2026-05", "2026-03", LATER, None)
    assert made.known_at == datetime(2026, 5, 31, 23, 59, 59, 999999, UTC)
    assert made.number("nrr", "2026-05").value == pytest.approx(10 / 12)
    assert made.number("win_rate", "2026-05").value == pytest.approx(2 / 12), (
        "what closed since is not known yet"
    )
    assert made.number("win_rate", "2026-03").value is None
    assert snapshots(store) == 2


def test_it_is_frozen_once(store: Store) -> None:
    keep(store, books())
    first = baseline.frozen(store, company(), load("hr_tech"), TOOK)
    with (
        store.transaction() as tx
    ):  # the CRM keeps no past of a deal's ARR: what it says now, it says of May as well
        deal = books().frames()["deals"].filter(external_id="d11")
        tx.upsert("deals", "acme", "fake", deal.with_columns(arr=pl.lit(1), custom=pl.lit("{}")), LATER)
    again = baseline.frozen(store, company(), load("hr_tech"), LATER)
    assert again == first
    assert again.taken_at == TOOK
    assert snapshots(store) == 2
    moved = baseline.frozen(store, company(engagement_start=date(2026, 6, 2)), load("hr_tech"), LATER)
    assert moved.number("nrr", "2026-05").value != first.number("nrr", "2026-05").value, (
        "another day, another baseline"
    )


def test_half_a_crm_is_not_frozen(store: Store) -> None:
    keep(store, books(), read=None)
    made = baseline.frozen(store, company(), load("hr_tech"), LATER)
    assert made.taken_at is None
    assert made.note is not None
    assert "not been read to its end" in made.note
    assert snapshots(store) == 0


def test_a_crm_that_was_last_read_before_the_engagement_began_is_not_frozen(store: Store) -> None:
    keep(store, books(), read=at("2026-05-31"))
    made = baseline.frozen(store, company(), load("hr_tech"), LATER)
    assert made.note == (
        "not frozen: the CRM has not been read since the engagement began; run `boardline sync --once`"
    )
    assert snapshots(store) == 0


def test_a_published_baseline_is_no_published_number(store: Store) -> None:
    keep(store, books())
    baseline.frozen(store, company(), load("hr_tech"), LATER)
    with store.reading() as reader:
        assert reader.published("acme") == []


def test_hr_tech_after_ninety_days(store: Store) -> None:
    """Better: the win rate, 2 of 12 to 9 of 12, and the cycle. Not better: NRR and all that goes with it."""
    keep(store, books())
    agreed = ("nrr", "grr", "win_rate", "logo_churn", "cycle_days_median")
    made = ask(store, company(engagement={"agreed_kpis": agreed}), "2026-09-05")
    assert (made.kind, made.day, made.due, made.month) == ("improvement", 97, date(2026, 8, 30), "2026-08")
    by_id = {one.kpi: one for one in made.changes}
    assert by_id["win_rate"].baseline == pytest.approx(2 / 12)
    assert by_id["win_rate"].now == pytest.approx(9 / 12)
    assert by_id["win_rate"].improved
    # 40 days in May, 35 in August: 12.5 % shorter.
    assert (by_id["cycle_days_median"].baseline, by_id["cycle_days_median"].now) == (40, 35)
    assert by_id["cycle_days_median"].relative == pytest.approx(0.125)
    # The customers lost in May are lost in August's twelve months as well.
    assert not by_id["nrr"].improved
    assert by_id["nrr"].baseline == by_id["nrr"].now == pytest.approx(10 / 12)
    assert (made.verdict, made.as_json()["improved"]) == ("not_working", 2)
    early = ask(store, company(engagement={"agreed_kpis": agreed}), "2026-08-29")
    assert (early.verdict, early.day) == ("too_early", 90)


def test_dev_tools_reads_its_two_monthly_after_ninety_days(store: Store) -> None:
    keep(store, books())
    early = ask(store, company("dev_tools"), "2026-08-29")
    assert early.verdict == "too_early"
    assert {one.state for one in early.changes} == {"not_judged"}
    assert not any(one.improved for one in early.changes)
    assert early.readings == ()
    made = ask(store, company("dev_tools"), "2026-08-31")
    assert made.verdict == "no_gain_yet"
    assert [(one.month, one.kpi) for one in made.readings if one.kpi == "nrr"] == [
        ("2026-05", "nrr"), ("2026-06", "nrr"), ("2026-07", "nrr"),
    ]  # fmt: skip
    assert ask(store, company("dev_tools"), "2026-09-29").verdict == "poor_fit"


def test_supply_chain_goes_by_the_clock(store: Store) -> None:
    keep(store, books())
    made = ask(store, company("supply_chain", engagement={"agreed_kpis": ("win_rate", "nrr")}), "2026-09-05")
    assert {one.kpi: one.state for one in made.changes} == {"win_rate": "improved", "nrr": "too_early"}
    assert made.verdict == "on_course"
    assert made.due == date(2027, 3, 2)
    assert [one.sentence for one in made.fit if "churn" in one.sentence] == []


@pytest.mark.parametrize(
    ("settings", "day", "words"),
    [
        ({"engagement_start": None}, "2026-09-05", "engagement_start is not set"),
        ({"engagement_start": date(2026, 10, 1)}, "2026-09-05", "the engagement begins on 2026-10-01"),
        ({"engagement": {"agreed_kpis": ("nrr",)}}, "2026-09-05", "5 to 7 are needed"),
        ({}, "2026-05-01", "name a later moment"),
    ],
)
def test_what_cannot_be_compared_is_refused(
    store: Store, settings: dict[str, Any], day: str, words: str
) -> None:
    keep(store, books())
    with pytest.raises(ConfigurationError, match=words):
        ask(store, company(**settings), day)
    assert snapshots(store) == 0


def test_a_month_before_the_baseline_is_refused(store: Store) -> None:
    keep(store, books())
    with pytest.raises(ConfigurationError, match="lies before the baseline"):
        ask(store, company(), "2026-09-05", month="2026-04")


def test_the_audit_tells_all_that_the_book_lists(store: Store) -> None:
    keep(store, books())
    settings = company(
        "dev_tools", engagement={"methodology": "MEDDIC", "sales_team": 2, "founder_led": True}
    )
    made = audit(store, settings, load("dev_tools"), at("2026-07-01"), at("2026-07-01"))
    assert (made.month, made.day) == ("2026-06", 31)
    assert made.baseline is not None
    assert made.baseline.taken_at == at("2026-07-01")
    assert made.quality.completeness is not None
    assert set(made.stage_faults) == {"invalid_stage", "overdue_close_date"}
    assert made.quarters == (
        "2024-09", "2024-12", "2025-03", "2025-06", "2025-09", "2025-12", "2026-03", "2026-06",
    )  # fmt: skip
    assert made.known_quarters == 8
    groups = {(one.by, one.name): (one.won, one.lost) for one in made.groups}
    assert groups["all deals", "all"] == (2, 10)
    assert groups["size", "SMB"] == (2, 10)
    assert groups["motion", "inbound"] == (2, 10)
    assert groups["loss reason", "Price"] == (0, 10)
    assert [(one.external_id, one.since, one.age) for one in made.pilots] == [("pilot", date(2026, 6, 2), 28)]
    assert made.pilot_limit == 45
    assert (made.methodology, made.compensation) == ("MEDDIC", None)
    assert len(made.questions) == 4
    assert [one.level for one in made.fit] == ["remark"], "the team size is supply chain's line"
    assert [step.kpi for step in made.plan] == ["pipeline_coverage_weighted", "cycle_days_weighted"]
    document = as_json(made)
    assert document["baseline"]["frozen"] is True
    assert document["pilots"]["running"][0]["age"] == 28
    assert [line["kpi"] for line in document["plan"]] == ["pipeline_coverage_weighted", "cycle_days_weighted"]


def test_the_audit_needs_no_engagement(store: Store) -> None:
    keep(store, books())
    made = audit(store, company(engagement_start=None), load("hr_tech"), at("2026-07-01"), at("2026-07-01"))
    assert made.baseline is None
    assert made.baseline_note == "no baseline: engagement_start is not set in the configuration"
    assert snapshots(store) == 0


@pytest.mark.parametrize(
    ("playbook", "made", "settings", "wanted"),
    [
        (
            "supply_chain",
            books(3),
            {"sales_team": 2},
            ["Paying customers: 9, below 10", "above 20", "below 3: with"],
        ),
        (
            "supply_chain",
            books(1),
            {"sales_team": 4},
            ["4, below 5 and at least 3: the model works best with a team of 5 to 15"],
        ),
        (
            "hr_tech",
            books(3),
            {"sales_team": 2},
            ["below $500K: below $500K ARR a fractional CRO is premature"],
        ),
        ("dev_tools", books(3), {"sales_team": 2}, []),
        ("dev_tools", books(3), {"founder_led": True}, ["Founder-led sales are no obstacle"]),
    ],
)
def test_fit_warnings_stay_in_their_market(
    store: Store, playbook: str, made: Books, settings: dict[str, Any], wanted: list[str]
) -> None:
    keep(store, made)
    found = audit(
        store, company(playbook, engagement=settings), load(playbook), at("2026-07-01"), at("2026-07-01")
    ).fit
    assert len(found) == len(wanted), found
    for warning, part in zip(found, wanted, strict=True):
        assert part in warning.sentence


def test_a_young_company_gets_other_numbers_to_watch(store: Store) -> None:
    made = books(3)
    for number in range(26):
        made.rows["meetings"].append(
            {"external_id": f"m{number}", "deal_id": "pilot", "starts_at": at("2026-06-10"), "completed": number != 0,
             "created_at": at("2026-06-01")}
        )  # fmt: skip
    keep(store, made)
    found = audit(store, company(), load("hr_tech"), at("2026-07-01"), at("2026-07-01")).fit
    # 25 held in thirteen weeks; April and May: 2 of 12 decided deals won.
    assert (
        "1.9 qualified conversations a week and a demo-to-close rate of 16.7% in 13 weeks"
        in found[0].sentence
    )
