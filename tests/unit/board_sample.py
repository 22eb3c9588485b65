"""A hand-made board report with every part filled, for the tests of its forms."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any

from metrics.board import (
    BoardReport,
    Bridge,
    Caveat,
    CleanPart,
    Definition,
    Evidence,
    LeftOut,
    Movement,
    NrrPoints,
    OwnerCount,
    Point,
    Quality,
    RuleCount,
    ScoreRow,
    StageRow,
)
from metrics.evidence import Record
from metrics.kpi import KpiValue
from metrics.nrr_points import PARTS
from metrics.period import shift
from metrics.render import wording
from pipeline.scores import FieldScore

MONTH = "2026-05"
KNOWN_AT = datetime(2026, 6, 5, 12, 0, tzinfo=UTC)
MONTHS = tuple(shift(MONTH, back) for back in range(-35, 1))


def value(id_: str = "arr", **changes: Any) -> KpiValue:
    """A KPI value; what is not named is that of ARR in May 2026."""
    return replace(
        KpiValue(
            id=id_,
            title="ARR",
            period=MONTH,
            month=MONTH,
            value=410_330_000,
            unit="currency",
            numerator=None,
            denominator=None,
            n=212,
            segment={},
            status="no_target",
            target=None,
            reasons=(),
            definition=f"{id_}/1: as in the books",
            known_at=KNOWN_AT,
            currency="USD",
        ),
        **changes,
    )


def ratio(id_: str, title: str, number: float | None, **changes: Any) -> KpiValue:
    """A KPI value that is a ratio over twelve months."""
    return value(
        id_, **({"title": title, "unit": "ratio", "value": number, "period": "2025-06..2026-05"} | changes)
    )


def row(
    now: KpiValue, month_ago: float | None, year_ago: float | None, edges: tuple[float, ...] = ()
) -> ScoreRow:
    """A scorecard line with a straight line behind it."""
    return ScoreRow(
        now=now,
        last_month=replace(now, value=month_ago, status="no_target", reasons=()),
        year_ago=replace(now, value=year_ago, status="no_target", reasons=()),
        series=tuple(Point(month, now.value) for month in MONTHS[-12:]),
        edges=edges,
    )


def bridge(label: str, opening: int, *amounts: int) -> Bridge:
    """New logo, seats, modules, other, reactivation, contraction, churn, exchange rates."""
    names = (
        "new_logo",
        "expansion_seat",
        "expansion_module",
        "expansion_other",
        "reactivation",
        "contraction",
        "churn",
    )
    labels = (
        "New logo",
        "Seat expansion",
        "Module expansion",
        "Other expansion",
        "Reactivation",
        "Contraction",
        "Churn",
    )
    ids = (*(f"arr_{name}" for name in names), "fx")
    steps = zip(ids, (*labels, "Exchange rates"), amounts, strict=True)
    return Bridge(label, opening, tuple(Movement(*step) for step in steps), opening + sum(amounts))


def report(**changes: Any) -> BoardReport:
    """The whole report. The headline is made from what is in it."""
    segments = (
        ratio(
            "win_rate", "Win rate", 0.18, numerator=4, denominator=22, n=22, segment={"size": "Mid-market"}
        ),
        ratio("win_rate", "Win rate", 0.25, numerator=10, denominator=40, n=40, segment={"size": "SMB"}),
        ratio(
            "win_rate",
            "Win rate",
            1 / 3,
            numerator=2,
            denominator=6,
            n=6,
            segment={"size": "Enterprise"},
            status="low_sample",
            reasons=("low sample: 6, fewer than 10",),
        ),
        ratio(
            "win_rate",
            "Win rate",
            None,
            n=0,
            segment={"size": "unknown"},
            status="not_computable",
            reasons=("no deal closed",),
        ),
    )
    made = BoardReport(
        company="Acme Logistics",
        playbook="HR tech",
        month=MONTH,
        period=MONTH,
        state_on=date(2026, 5, 31),
        known_at=KNOWN_AT,
        currency="USD",
        crm="Salesforce",
        records=4210,
        timezone="America/New_York",
        synced_at=datetime(2026, 6, 5, 11, 45, tzinfo=UTC),
        scorecard=(
            row(value(), 403_000_000, 320_000_000),
            row(
                ratio("nrr", "Net revenue retention", 0.9996, status="off_target", target="red below 100%"),
                1.033,
                1.06,
                (1.0, 1.05),
            ),
            row(ratio("grr", "Gross revenue retention", 0.892), 0.896, 0.9),
            row(
                value(
                    "pipeline_coverage",
                    title="Pipeline coverage",
                    unit="multiple",
                    value=2.25,
                    period="2026-Q2",
                    n=61,
                    status="off_target",
                    target="3–5× quota",
                ),
                2.4,
                3.1,
                (3.0, 5.0),
            ),
            row(
                ratio(
                    "win_rate",
                    "Win rate",
                    0.2,
                    period="2026-Q2",
                    n=68,
                    status="unreliable",
                    reasons=(
                        "close_date is filled on 71% of the 68 deals behind this number, less than 80%",
                    ),
                ),
                0.24,
                0.24,
            ),
            ScoreRow(
                value(
                    "cac_payback_months",
                    title="CAC payback",
                    unit="months",
                    value=None,
                    n=None,
                    period="2026-Q2",
                    status="not_computable",
                    reasons=("no sales and marketing spend for 2026-Q1",),
                )
            ),
        ),
        growth_month=ratio("arr_growth_mom", "ARR growth, month over month", 0.0185),
        growth_year=ratio("arr_growth_yoy", "ARR growth, year over year", 0.2834),
        bridge_month=bridge(
            "May 2026",
            403_000_000,
            9_000_000,
            4_100_000,
            1_250_000,
            0,
            800_000,
            -2_300_000,
            -5_400_000,
            -120_000,
        ),
        bridge_year=bridge(
            "12 months to May 2026",
            320_000_000,
            79_000_000,
            24_100_000,
            11_250_000,
            1_230_000,
            2_800_000,
            -12_300_000,
            -15_400_000,
            -350_000,
        ),
        arr_trend=tuple(Point(month, 200_000_000 + index * 6_009_429) for index, month in enumerate(MONTHS)),
        nrr_trend=tuple(Point(month, 1.05 if month != MONTH else 0.9996) for month in MONTHS[12:]),
        grr_trend=tuple(Point(month, 0.892) for month in MONTHS[12:]),
        nrr_points=tuple(
            NrrPoints(segment, customers, tuple(zip(PARTS, tenths, strict=True)))
            for segment, customers, tenths in (
                (None, 310, (42, 18, 0, 11, -25, -46)),
                ("SMB", 250, (3, 0, 0, 0, -60, -143)),
                ("Enterprise", 60, (70, 31, 5, 20, 0, 0)),
            )
        ),
        win_rates=segments,
        pipeline=(
            StageRow("a", "Qualification", 40, 120_000_000, True),
            StageRow("b", "Proof of concept", 20, 80_000_000, True),
            StageRow("w", "Closed Won", 411, 3_012_345_678, False),
            StageRow("l", "Closed Lost", 733, 5_012_345_678, False),
            StageRow("zz", "Old stage", 3, 12_345_678, None, unconverted=1),
        ),
        quality=Quality(
            completeness=0.79996,
            cleanliness=82.25,
            threshold=0.8,
            fields=(
                FieldScore("deals", "amount", 60, 60, 1.0),
                FieldScore("deals", "next_step", 30, 60, 0.5),
                FieldScore("deals", "motion", 0, 0, None, measurable=False),
            ),
            parts=(
                CleanPart("Duplicates", 0.08, 25),
                CleanPart("Outdated contacts", None, 20, "no contacts"),
            ),
            rules=(
                RuleCount("duplicate_accounts", "warning", 17),
                RuleCount("overdue_close_date", "error", 1211),
            ),
            owners=(OwnerCount("Dana Secret", 20), OwnerCount("Bob Hidden", 8)),
        ),
        left_out=(
            LeftOut(
                "0065", "Old deal", "no ARR and no term; not in ARR", "https://acme.my.salesforce.com/0065"
            ),
        ),
        left_out_total=7,
        caveats=(Caveat("No quotas", "Coverage cannot be computed.", "Give a targets file."),),
        definitions=(
            Definition("arr", "ARR", "arr/1", "Recurring revenue that is live.\n\nFormula: sum of ARR."),
        ),
        evidence=(
            Evidence(
                "arr",
                "ARR",
                1204,
                "currency",
                (
                    Record(
                        "deals",
                        "006A",
                        "Deal one",
                        1_234_500,
                        "live since 2025-01-01",
                        "https://acme.my.salesforce.com/006A",
                    ),
                ),
            ),
        ),
    )
    changed = replace(made, **changes)
    return replace(changed, headline=wording.headline(changed)) if "headline" not in changes else changed
