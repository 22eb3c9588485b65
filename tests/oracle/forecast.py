"""Coverage, forecast and its error, deal by deal and day by day (section 4, rulings 26 to 31).

Everything is read as it was known at the end of a day, which may lie before the moment of knowledge.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from typing import Any

from tests.oracle.number import Amount, Cell, Figure, Number
from tests.oracle.quotas import Quota, Quotas
from tests.oracle.record import Record, Truth, add_months, day
from tests.oracle.segments import DEAL_CUTS, Segments, size_of

ROLLED = {"commit": ("commit",), "best_case": ("commit", "best_case")}  # categories that a seller expects
FEWEST, LEAST, MOST = 20, 4, 8  # deals in a cell; quarters of history
Place = tuple[str | None, str | None]  # stage, size (None: of any size, or unknown)


@dataclass
class Open:
    """A deal of the in-quarter pipeline at the end of a day."""

    deal: Record
    stage: str | None
    value: int  # home currency at the rate of that day
    p1: Fraction
    size: str | None
    category: str | None


@dataclass
class Landing:
    """A deal of a forecast: won, or open and weighed both ways."""

    deal: Record
    by_history: Fraction
    by_crm: Fraction
    expected: Fraction  # by the company's own method
    value: int = 0  # of a win
    open: int | None = None  # the amount of one that is not


@dataclass
class Won:
    """What a deal brought in the quarter."""

    deal: Record
    value: int


class Forecasts:
    """The in-quarter pipeline and what comes of it."""

    def __init__(self, truth: Truth, *, keeps_retired: bool = True) -> None:
        """``keeps_retired``: whether the CRM still shows the stages that were taken out of the layout; else nobody can
        know their probability (ruling 28)."""
        self.truth = truth
        # From the first day of a quarter to that on which its pipeline is read.
        self.ahead = timedelta(days=truth.ways["forecast.snapshot_day"] - 1)
        self.shown = {name for name, stage in truth.stages.items() if stage.active or keeps_retired}
        self.deals = [d for d in truth.live("deal") if truth.type_of(d) in ("new", "expansion")]
        self.first_day = min(truth.local_day(deal.created) for deal in truth.live("deal"))
        self.begun = min(truth.local_day(deal.created) for deal in self.deals)
        self.snapshots: dict[date, list[Open]] = {}
        self.landings: dict[tuple[date, date], list[Landing]] = {}

    # --- one deal on one day --------------------------------------------------------------------------

    def won_day(self, deal: Record, instant: int, on: date) -> date | None:
        """The day on which the deal counts as won, as known at an instant on a day; None where it does not."""
        if deal.created > instant:
            return None
        then = deal.at(instant)
        stage = self.truth.stages.get(then["stage"])
        if stage is None or not stage.won:
            return None
        if self.truth.unconverted(deal, on):
            return self.truth.closed_on(deal, instant) if self.truth.pays(deal) else None
        if deal["pilot"]:
            return day(deal["pilot_converted"])
        return self.truth.closed_on(deal, instant)

    def open_on(self, on: date, end: date) -> list[Open]:
        """Ruling 26: open at the end of a day, closing from that day on and before ``end``."""
        found = []
        for deal in self.deals:
            if not self.truth.open_at(deal, on):
                continue
            then = deal.at(self.instant(on))
            if not then["close_date"] or not on <= day(then["close_date"]) < end:
                continue
            p1 = Fraction(str(then["probability"])) if then["stage"] in self.shown else Fraction(0)
            value = self.truth.home(then["amount"] or 0, deal["currency"], on)
            category = then["forecast_category"]
            found.append(Open(deal, then["stage"], value, p1, size_of(self.truth, deal), category))
        return found

    def instant(self, on: date) -> int:
        """The last second of a day, or of what is known of it."""
        return min(self.truth.end_of(on), int(self.truth.known_at.timestamp()))

    # --- quarters -------------------------------------------------------------------------------------

    def snapshot(self, first: date) -> list[Open]:
        if first not in self.snapshots:
            self.snapshots[first] = self.open_on(first + self.ahead, add_months(first, 3))
        return self.snapshots[first]

    def shares(self, first: date, on: date) -> dict[tuple[str, Place], Fraction]:
        """p2 of the cells that have one, sized and pooled, in a quarter and as known at the end of a day."""
        quarters = [add_months(first, -3 * back) for back in range(1, MOST + 1)]
        quarters = [quarter for quarter in quarters if quarter > self.first_day]
        if len(quarters) < LEAST:
            return {}
        sums: dict[tuple[str, Place], tuple[int, int, int]] = {}
        for quarter in quarters:
            for row in self.snapshot(quarter):
                won = self.won_day(row.deal, self.instant(on), on)
                brought = row.value if won and quarter <= won < add_months(quarter, 3) else 0
                for cell in (("sized", (row.stage, row.size)), ("pooled", (row.stage, None))):
                    n, total, good = sums.get(cell, (0, 0, 0))
                    sums[cell] = (n + 1, total + row.value, good + brought)
        return {
            cell: Fraction(good, total)
            for cell, (n, total, good) in sums.items()
            if n >= FEWEST and total > 0
        }

    def weighed(self, first: date, on: date, rows: Sequence[Open]) -> list[Landing]:
        """Open deals with what is expected of them, by own history and by the CRM."""
        shares, method = self.shares(first, on), self.truth.ways["forecast.method"]
        found = []
        for row in rows:
            pooled = shares.get(("pooled", (row.stage, None)), row.p1)
            p2 = shares.get(("sized", (row.stage, row.size)), pooled)
            by_history, by_crm = p2 * row.value, row.p1 * row.value
            if method in ROLLED:
                expected = Fraction(row.value if row.category in ROLLED[method] else 0)
            else:
                expected = by_history if method == "p2" else by_crm
            found.append(Landing(row.deal, by_history, by_crm, expected, open=row.value))
        return found

    def landing(self, first: date, on: date) -> list[Landing]:
        """Ruling 30: what was won from the quarter's first day to a day, and what is open on it, weighed."""
        if (first, on) not in self.landings:
            won = self.won(first, on, self.instant(on), on)
            still = self.weighed(first, on, self.open_on(on, add_months(first, 3)))
            self.landings[first, on] = [*won, *still]
        return self.landings[first, on]

    def won(self, first: date, last: date, instant: int, on: date) -> list[Landing]:
        """What was won from one day to another, as known at an instant on a day."""
        found = []
        for deal in self.deals:
            won = self.won_day(deal, instant, on)
            if won is not None and first <= won <= last:
                value = self.truth.home(deal.at(instant)["amount"] or 0, deal["currency"], won)
                found.append(Landing(deal, Fraction(value), Fraction(value), Fraction(value), value))
        return found

    # --- numbers --------------------------------------------------------------------------------------

    def in_quarter(self, month: str) -> tuple[int, int]:
        """(by own history, by the CRM's probability) the forecast of a month's D."""
        rows = self.landing(self.truth.quarter(month), self.truth.day_of(month))
        by_history = sum((row.by_history for row in rows), Fraction(0))
        return round(by_history), round(sum((row.by_crm for row in rows), Fraction(0)))

    def day_21(self, month: str) -> bool:
        """Whether the snapshot of a month's quarter is known; a future one gives null (ruling 26)."""
        return self.truth.end_of(self.truth.quarter(month) + self.ahead) <= self.truth.known_at.timestamp()

    def covering(self, month: str) -> Sequence[Landing]:
        """What covers a quota: the snapshot of its quarter, or with what is to go of it all that stands at D."""
        first = self.truth.quarter(month)
        if self.to_go:
            return self.landing(first, self.truth.day_of(month))
        if not self.day_21(month):
            return ()
        return self.weighed(first, first + self.ahead, self.snapshot(first))

    @property
    def to_go(self) -> bool:
        return bool(self.truth.ways["forecast.coverage_base"] == "to_go")

    def judged(self, month: str) -> list[Landing | Won]:
        """Ruling 31: what was forecast on day 21, and what the quarter then brought; nothing while it is open."""
        first = self.truth.quarter(month)
        last = add_months(first, 3) - timedelta(days=1)
        if not self._over(month):
            return []
        settled, left = last, 5
        while left:
            settled += timedelta(days=1)
            left -= settled.weekday() < 5
        settled = min(settled, self.truth.today)
        brought = self.won(first, last, self.instant(settled), settled)
        said = self.landing(first, first + self.ahead)
        return [*said, *(Won(row.deal, row.value) for row in brought)]

    def _over(self, month: str) -> bool:
        last = add_months(self.truth.quarter(month), 3) - timedelta(days=1)
        return self.truth.end_of(last) < self.truth.known_at.timestamp()

    def numbers(self, of: Segments, quotas: Quotas) -> dict[str, Number]:
        """The KPIs of pipeline and forecast, by id."""

        def segment(cut: str, row: Any) -> str:
            return row.segment if isinstance(row, Quota) else of.deal(cut, row.deal)

        def against_quota(weight: Callable[[Landing], Amount]) -> Number:
            def open_part(row: Any) -> Amount:
                return weight(row) if isinstance(row, Landing) and row.open is not None else 0

            return Number(self.covering, segment, self._coverage, DEAL_CUTS, open_part, quotas.given)

        by_crm = self.truth.ways["forecast.coverage_odds"] == "p1"
        return {
            "pipeline_coverage": against_quota(lambda row: row.open or 0),
            "pipeline_coverage_weighted": against_quota(lambda row: row.by_crm if by_crm else row.by_history),
            "forecast_in_quarter": Number(
                lambda month: self.landing(self.truth.quarter(month), self.truth.day_of(month)),
                segment,
                self._forecast,
                DEAL_CUTS,
                lambda row: row.expected,
            ),
            "forecast_accuracy_error": Number(
                self.judged,
                segment,
                self._error,
                DEAL_CUTS,
                lambda row: row.expected if isinstance(row, Landing) else 0,
            ),
        }

    def _coverage(self, cell: Cell) -> Figure:
        """Null without a quota, and one of nothing is none; null where nothing is to go of it."""
        quota = sum(row.value for row in cell.rows if isinstance(row, Quota)) or None
        rows = [row for row in cell.rows if isinstance(row, Landing)]
        n = sum(row.open is not None for row in rows)
        if self.to_go:
            missing = None if quota is None else quota - sum(row.value for row in rows if row.open is None)
            value = Fraction(cell.weighed, missing) if missing is not None and missing > 0 else None
            return Figure(value, cell.weighed, missing, n)
        if not self.day_21(cell.month):
            return Figure(None, None, quota, None)
        value = Fraction(cell.weighed, quota) if quota else None
        return Figure(value, cell.weighed, quota, n)

    def _forecast(self, cell: Cell) -> Figure:
        if self.begun > self.truth.day_of(cell.month):
            return Figure(None)
        return Figure(cell.weighed, cell.weighed, None, len(cell.rows))

    def _error(self, cell: Cell) -> Figure:
        """|F - A| / A; nothing won of what was forecast is all of it. Or over F: what was not forecast is all of it."""
        if not self._over(cell.month):
            return Figure(None)
        brought = [row.value for row in cell.rows if isinstance(row, Won)]
        said, won = cell.weighed, sum(brought)
        base, other = (won, said) if self.truth.ways["forecast.error_over"] == "actual" else (said, won)
        value = Fraction(abs(said - won), base) if base else 1 if other else None
        return Figure(value, abs(said - won), base, len(brought))
