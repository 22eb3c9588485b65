"""What no CRM knows, written into files for a company of the tests: something of every kind, for every month."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from pathlib import Path

from connectors.simulator.lives.verticals import SEGMENTS
from metrics.period import month_first, shift
from pipeline.company import Inputs

CHANNELS = ("inbound", "outbound", "partner", "self-serve", "")


def filed(folder: Path, months: Sequence[str], customers: Sequence[str], currency: str) -> Inputs:
    """Spend, margin and quotas from two years before the months on; usage, tickets and NPS of ``customers``."""
    spent = [shift(months[0], back) for back in range(-24, len(months))]
    quarters = sorted({f"{month[:4]}-Q{(int(month[5:]) + 2) // 3}" for month in spent})
    first, last = month_first(months[0]) - timedelta(days=60), month_first(shift(months[-1], 1))
    mondays = [first + timedelta(days=7 * n - first.weekday()) for n in range((last - first).days // 7 + 1)]
    rows = {
        "spend": [
            f"{month},{channel},{kind},{9_000 + 137 * n + 501 * c}.{10 + c},{currency},"
            for n, month in enumerate(spent)
            for c, channel in enumerate(CHANNELS)
            for kind in ("people", "program")
        ]
        + [
            f"{month},outbound,people,{4_000 + 89 * n + 307 * s}.{20 + s},{currency},size={size}"
            for n, month in enumerate(spent)
            for s, size in enumerate(SEGMENTS)
        ],
        "margin": [f"{quarter},subscription,{60 + n}%" for n, quarter in enumerate(quarters)],
        "targets": [
            f"{quarter},,quota,{400_000 + 7_001 * n},{currency}" for n, quarter in enumerate(quarters)
        ],
        "usage": [
            f"{customer},{week},{(7 * n + week.day) % 90},100"
            for n, customer in enumerate(customers)
            for week in mondays
        ],
        "tickets": [
            f"{n},{customer},{first + timedelta(days=11 * n)},,high" for n, customer in enumerate(customers)
        ],
        "nps": [
            f"{customer},{first + timedelta(days=90 * survey)},{(37 * n + survey) % 200 - 100}"
            for n, customer in enumerate(customers[::2])
            for survey in range((last - first).days // 90 + 1)
        ],
    }
    headers = {
        "spend": "month,channel,kind,amount,currency,segment",
        "margin": "quarter,stream,pct",
        "targets": "period,segment,metric,value,currency",
        "usage": "customer_key,week,active,licensed",
        "tickets": "ticket,customer_key,opened,closed,severity",
        "nps": "customer_key,date,score",
    }
    for kind, lines in rows.items():
        (folder / f"{kind}.csv").write_text("\n".join([headers[kind], *lines]), encoding="utf-8")
    return Inputs(**{kind: folder / f"{kind}.csv" for kind in rows})
