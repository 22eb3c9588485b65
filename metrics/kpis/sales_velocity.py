"""Sales velocity: the ARR that the sales motion brings in a day.

Formula: per cell of size and motion, qualified opportunities x average deal size x win rate / median cycle in days;
the total is the sum of the cells that have all four, never made from blended inputs. Opportunities: new-business deals
that got to the qualified stage in the fiscal quarter of the month, from its first day to D (or those open at its start,
`sales.velocity_opportunities`); size, win rate and cycle as `avg_deal_size`, `win_rate` and `cycle_days_median`
define them, within the cell; the win rate is always the broad one, for opportunities that nobody will decide are among
those it is multiplied with; the size always the mean. Per opportunity, without their number, it stands in the note, and
so do the cells that lack an input. Null where no cell has all. By size and motion the segments add up; by owner,
industry or pipeline the cells lie inside the segment, so they need not. The total is rounded once, and its records
and segments of size and motion add up to it. n: deals closed in the cells.
Exclusions: those of its four inputs.
Unit: money a day. Source: definition book, section 3, rulings 2, 5, 18 to 23.
Elsewhere:
- HubSpot: its report named deal velocity is only the days to close, no money a day.
"""

from __future__ import annotations

import polars as pl

from metrics import alternatives, cycles, outcomes, velocity
from metrics.facts import Facts
from metrics.kpi import Kpi


def compute(facts: Facts, cut: str | None) -> pl.LazyFrame:
    return velocity.velocity(facts, cut)


def evidence(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
    return velocity.deals_behind(facts, month, cut)


KPI = Kpi(
    id="sales_velocity",
    title="Sales velocity a day",
    unit="currency",
    higher_is_better=True,
    period="quarter",
    definition="sales_velocity/1: sum over size x motion of opportunities x deal size x win rate / median cycle",
    parts=("currency", None),
    requires=(("deals", "close_date"), ("deals", "type"), ("deals", "arr")),
    reads=("line_items", "exchange_rates"),
    compute=compute,
    evidence=evidence,
    counted=True,
    cuts=outcomes.CUTS,
    stands_on=outcomes.wins,
    configured=cycles.configured,
    alternatives=(
        *alternatives.OPPORTUNITIES,
        *alternatives.CYCLE,
        *alternatives.DEALS,
        *alternatives.QUALIFIED,
        *alternatives.DEAL_VALUE,
    ),
)
