"""Input files of a generated company: every kind of row that a number feeds on, and nothing of it the same twice."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

from connectors.simulator.lives.verticals import SEGMENTS
from tests.oracle.acquisition import Paid
from tests.oracle.health import Lives, Survey, Ticket, Use
from tests.oracle.kpis import Files
from tests.oracle.ledger import Listed
from tests.oracle.motion_figures import StageTargets
from tests.oracle.quotas import Filed
from tests.oracle.record import Truth, add_months, quarter_start, shift
from tests.oracle.segments import DEAL_CUTS, Segments

SEVERITIES = ("low", "high", "medium", "urgent")
CURRENCIES = ("USD", "EUR", "GBP")
CHANNELS = ("inbound", "Webinar", "outbound", "partner", "self-serve", "expansion", None)


def files(truth: Truth, of: Segments, months: Sequence[str]) -> Files:
    """All of them for numbers of these months."""
    start = quarter_start(months[0])
    quarters = [add_months(start, 3 * n) for n in range(-4, len(months) // 3 + 1)]
    accounts = sorted(account.key for account in truth.live("account"))
    return Files(
        quotas=quotas(truth, of, quarters),
        stage_days=stage_days(truth, of, quarters),
        spend=spend(months),
        margins={first: Fraction(60 + n, 100) for n, first in enumerate(quarters)},
        lives=lives(accounts, monday(start) + timedelta(weeks=26), 4 * len(months)),
    )


def monday(on: date) -> date:
    return on - timedelta(days=on.weekday())


def spend(months: Sequence[str]) -> list[Paid]:
    """Spend of every channel, of one that is a lead source, and of none, in three currencies; from the second month
    on some of it names the size that it was to win."""
    sized = [
        Paid(month, "outbound", "people", 900_001 + 7_919 * (n * 3 + s), CURRENCIES[(n + s) % 3], size)
        for n, month in enumerate([shift(months[0], n) for n in range(-11, len(months))])
        for s, size in enumerate(SEGMENTS)
    ]
    return sized + [
        Paid(month, channel, kind, 1_000_003 + 7_919 * (n * 7 + c * 2 + k), CURRENCIES[(n + c) % 3])
        for n, month in enumerate([shift(months[0], n) for n in range(-12, len(months))])
        for c, channel in enumerate(CHANNELS)
        for k, kind in enumerate(("people", "program"))
        if (n + c) % 9  # what cost nothing has no row
    ]


def quotas(truth: Truth, of: Segments, quarters: Sequence[date]) -> list[Filed]:
    """For the whole company, for all segments but a few, for one that nothing lies in, and one quota of nothing."""
    segments = {(cut, of.deal(cut, deal)) for cut in DEAL_CUTS for deal in truth.live("deal")}
    named = [(None, ""), *sorted(segments), ("size", "Nobody Yet"), ("owner", "Nobody Yet")]
    return [
        Filed(first, cut, segment, 0 if (n + 3 * m) % 11 == 0 else 40_000_100 + 137 * n + 31 * m, CURRENCIES[m % 3])
        for n, first in enumerate(quarters)
        for m, (cut, segment) in enumerate(named)
        if (n + m) % 5 or cut is None
    ]  # fmt: skip


def stage_days(truth: Truth, of: Segments, quarters: Sequence[date]) -> StageTargets:
    """Every second quarter, and by size, motion and owner: sometimes for one stage, sometimes for several."""
    used = [stage.name for stage in truth.world.stages if not stage.closed and stage.active]
    segments = {
        (cut, of.deal(cut, deal)) for cut in ("size", "motion", "owner") for deal in truth.live("deal")
    }
    return {
        (first, cut, segment, stage): 3 + (n * 7 + m * 5 + s * 11) % 40
        for n, first in enumerate(quarters)
        for m, (cut, segment) in enumerate([(None, None), *sorted(segments)])
        for s, stage in enumerate(used)
        if n % 2 and (n + m + s) % 3
    }


def lives(accounts: Iterable[int], first: date, weeks: int) -> Lives:
    """Rows that differ from account to account and from week to week; of every third thing some have none.

    Surveys begin eight months before ``first`` (a Monday), usage and tickets on it.
    """
    usage = [
        Use(key, first + timedelta(weeks=n), key * 7 % 22 + n % 3, 0 if key % 17 == 0 else 20)
        for key in accounts
        if key % 3
        for n in range(weeks)
        if (key + n) % 11
    ]
    tickets = [
        Ticket(
            key,
            opened := first + timedelta(days=(key * 13 + n * 29) % (weeks * 7 - 10)),
            None if (key + n) % 4 == 0 else opened + timedelta(days=(key + n * 5) % 60),
            SEVERITIES[(key + n) % 4],
        )
        for key in accounts
        for n in range(key % 5 * 6)
    ]
    span = weeks * 7 + 240
    surveys = [
        Survey(key, first - timedelta(days=243 - (key * 5 + n * 97) % span), (key * 31 + n * 57) % 201 - 100)
        for key in accounts
        if key % 4
        for n in range(weeks // 10)
    ]
    return Lives(usage, tickets, surveys)


def write(folder: Path, found: Files, ids: Mapping[int, str]) -> dict[str, Path]:
    """Writes them as CSV; ``ids``: an account's key -> what the CRM calls it. Kind -> path."""
    lines = {
        "targets": [
            "period,segment,metric,value,currency",
            *(
                f"{row.quarter},{_part(row.cut, row.segment)},quota,{_major(row.amount)},{row.currency}"
                for row in found.quotas
            ),
            *(
                f"{first},{_part(cut, segment)},stage_days:{stage},{days},"
                for (first, cut, segment, stage), days in found.stage_days.items()
            ),
        ],
        "spend": [
            "month,channel,kind,amount,currency,segment",
            *(
                f"{r.month},{r.channel or ''},{r.kind},{_major(r.amount)},{r.currency},"
                f"{_part('size' if r.size else None, r.size)}"
                for r in found.spend
            ),
        ],
        "margin": [
            "quarter,stream,pct",
            *(f"{first},subscription,{int(pct * 100)}%" for first, pct in found.margins.items()),
        ],
        **life_lines(found.lives, ids),
    }  # fmt: skip
    return _written(folder, lines)


def life_lines(found: Lives, ids: Mapping[int, str]) -> dict[str, list[str]]:
    return {
        "usage": ["customer_key,week,active,licensed"]
        + [f"{ids[row.account]},{row.week},{row.active},{row.licensed}" for row in found.usage],
        "tickets": ["customer_key,opened,closed,severity"]
        + [f"{ids[row.account]},{row.opened},{row.closed or ''},{row.severity}" for row in found.tickets],
        "nps": ["customer_key,date,score"]
        + [f"{ids[row.account]},{row.day},{row.score}" for row in found.surveys],
    }


def _part(cut: str | None, segment: str | None) -> str:
    return "" if cut is None else f"{cut}={segment}"


def _major(minor: int) -> Decimal:
    return Decimal(minor).scaleb(-2)


def _written(folder: Path, lines: Mapping[str, Sequence[str]]) -> dict[str, Path]:
    paths = {kind: folder / f"{kind}.csv" for kind in lines}
    for kind, path in paths.items():
        path.write_text("\n".join(lines[kind]), encoding="utf-8")
    return paths


def written_list(path: Path, rows: Iterable[Listed], ids: Mapping[int, str]) -> None:
    """An opening list."""
    lines = [
        f"{ids[row.customer]},{row.product},{_major(row.arr)},{row.currency},{row.start},{row.end or ''}"
        for row in rows
    ]
    path.write_text("\n".join(["customer_key,product,arr,currency,start,end", *lines]), encoding="utf-8")
