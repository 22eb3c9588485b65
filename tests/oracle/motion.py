"""Cohorts, cycles, velocity, stage days and pilots, deal by deal (section 3, rulings 2 to 4, 18 to 25)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from fractions import Fraction
from statistics import median

from tests.oracle.record import Record, Truth, add_months, day, quarter_start
from tests.oracle.revenue import rows_of
from tests.oracle.sales import Sales

SOURCES = {  # lead source -> motion, as the configuration has it by default
    "inbound": ("inbound", "web", "website", "webinar", "content download", "phone inquiry"),
    "outbound": ("outbound", "cold call", "trade show", "purchased list"),
    "partner": ("partner", "partner referral"),
    "self-serve": ("self-serve", "free trial"),
}
BANDS = ((1000, "Enterprise"), (200, "Mid-market"), (1, "SMB"))  # employees from
PILOT_STAGES = ("Pilot", "POC")
Pick = Callable[["Deal"], bool]


@dataclass
class Deal:
    """A new-business deal as the sales motion sees it."""

    record: Record
    size: str
    motion: str
    created: date
    qualified: date | None
    outcome: str  # open | won | lost
    decided: date | None
    arr: int | None  # home currency at the rate of the decision; None and 0: of no value
    met: date | None
    path: list[tuple[int, str]]  # (entered, stage), every entry a change

    def cycle(self, start: date | None) -> int | None:
        """Days to the decision; None where ruling 22 leaves it out."""
        assert self.decided is not None
        assert start is not None
        if (self.decided - self.created).days <= 1 or self.decided < start:
            return None
        return (self.decided - start).days


class Motion:
    """The new-business motion of one company as known at the truth's moment."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.qualifying = Sales(truth).qualifying
        self.used = {s.name: s.sort_order for s in truth.world.stages if not s.closed and s.active}
        self.rank = {
            s.name: 10_000 if s.won else s.sort_order for s in truth.world.stages if s.won or not s.closed
        }
        meetings: dict[int, list[date]] = {}
        self.instant = int(truth.known_at.timestamp())
        for meeting in truth.live("meeting"):
            if meeting["deal"] is not None and meeting["ends_at"] <= self.instant:
                meetings.setdefault(meeting["deal"], []).append(truth.local_day(meeting["starts_at"]))
        self.deals = [
            self._deal(record, meetings.get(record.key, []))
            for record in truth.live("deal")
            if truth.type_of(record) == "new"
        ]

    def _deal(self, record: Record, meetings: list[date]) -> Deal:
        truth = self.truth
        outcome, decided = truth.outcome(record)
        path: list[tuple[int, str]] = []
        for at, values in record.past:
            if not path or path[-1][1] != values["stage"]:
                path.append((at, values["stage"]))
        created = truth.local_day(record.created)
        entered = [truth.local_day(at) for at, stage in path if stage in self.qualifying]
        qualified = entered[0] if entered else created if outcome == "won" else None
        arr = None
        if decided is not None:
            rows = rows_of(truth, record)
            arr = None if rows is None else truth.home(sum(r.arr for r in rows), record["currency"], decided)
        held = [one for one in meetings if decided is None or one <= decided]
        mapped = record["first_meeting"]
        met = day(mapped) if mapped else min(held, default=None)
        return Deal(
            record,
            self._size(record),
            self._motion(record),
            created,
            qualified,
            outcome,
            decided,
            arr,
            met,
            path,
        )

    def _size(self, record: Record) -> str:
        """Ruling 24: the deal's segment, else the account's, else its number of employees."""
        account = self.truth.account(record["account"])
        if record["segment"]:
            return str(record["segment"])
        if account is None or account.gone:
            return "unknown"
        if account["segment"]:
            return str(account["segment"])
        return next((name for least, name in BANDS if (account["employees"] or 0) >= least), "unknown")

    def _motion(self, record: Record) -> str:
        if record["motion"]:
            return str(record["motion"])
        source = (record["lead_source"] or "").lower()
        return next((motion for motion, words in SOURCES.items() if source in words), "unknown")

    def _decided(self, first: date, last: date, outcomes: tuple[str, ...]) -> Iterator[Deal]:
        for deal in self.deals:
            if deal.outcome in outcomes and deal.qualified and deal.decided and first <= deal.decided <= last:
                yield deal

    def cohort(self, month: str) -> tuple[int, int, int]:
        """(won, still open, all) of the qualified deals created in the quarter to date."""
        first, last = quarter_start(month), self.truth.day_of(month)
        all_ = [deal for deal in self.deals if deal.qualified and first <= deal.created <= last]
        return sum(d.outcome == "won" for d in all_), sum(d.outcome == "open" for d in all_), len(all_)

    def cycles(self, month: str, pick: Pick = lambda deal: True) -> list[int]:
        """Days of the deals won in the quarter to date."""
        won = self._decided(quarter_start(month), self.truth.day_of(month), ("won",))
        return [days for deal in won if pick(deal) and (days := deal.cycle(deal.qualified)) is not None]

    def stale(self, month: str) -> int | None:
        """Open deals older at D than twice the median cycle; None without a median."""
        days = self.cycles(month)
        if not days:
            return None
        last = self.truth.day_of(month)
        return sum(
            (last - deal.qualified).days > 2 * median(days)
            for deal in self.deals
            if deal.outcome == "open" and deal.qualified and deal.qualified <= last
        )

    def weighted(self, month: str) -> tuple[int, int]:
        """(days x ARR, ARR) of the wins of four quarters, without self-serve."""
        first = add_months(quarter_start(month), -9)
        top = bottom = 0
        for deal in self._decided(first, self.truth.day_of(month), ("won",)):
            days = deal.cycle(deal.met or deal.qualified)
            if deal.motion != "self-serve" and deal.arr and days is not None:
                top, bottom = top + days * deal.arr, bottom + deal.arr
        return top, bottom

    def velocity(self, month: str) -> Fraction | None:
        """Minor units a day: the sum of the cells that have everything."""
        first, last = quarter_start(month), self.truth.day_of(month)
        total = None
        for size, motion in sorted({(deal.size, deal.motion) for deal in self.deals}):
            cell = [deal for deal in self.deals if (deal.size, deal.motion) == (size, motion)]
            entered = sum(deal.qualified is not None and first <= deal.qualified <= last for deal in cell)
            closed = [
                deal
                for deal in self._decided(first, last, ("won", "lost"))
                if any(deal is one for one in cell)
            ]
            won = [deal for deal in closed if deal.outcome == "won"]
            values = [deal.arr for deal in won if deal.arr]
            days = [found for deal in won if (found := deal.cycle(deal.qualified)) is not None]
            if closed and values and days and median(days) > 0:
                size_ = Fraction(sum(values), len(values))
                rate = Fraction(len(won), len(closed))
                total = (total or Fraction(0)) + entered * size_ * rate / Fraction(median(days))
        return total

    def stage_days(self, month: str) -> dict[str, list[int]]:
        """Stage in use -> days of every deal that left it for the last time in four quarters or sits in it at D."""
        first, last = add_months(quarter_start(month), -9), self.truth.day_of(month)
        moment = min(self.truth.end_of(last), self.instant)
        found: dict[str, list[int]] = {stage: [] for stage in self.used}
        for deal in self.deals:
            path = [(at, stage) for at, stage in deal.path if at <= moment]
            for stage in self.used:
                days, exit_ = 0, None
                for n, (at, name) in enumerate(path):
                    if name != stage:
                        continue
                    exit_ = self.truth.local_day(path[n + 1][0]) if n + 1 < len(path) else None
                    days += ((exit_ or last) - self.truth.local_day(at)).days
                visited = any(name == stage for _, name in path)
                if visited and (exit_ is None or exit_ >= first):
                    found[stage].append(days)
        return found

    def _exits(self, month: str, stage: str) -> Iterator[tuple[Deal, list[str]]]:
        """Deals that left a stage for the last time in four quarters, with the stages they came to afterwards by D."""
        first, last = add_months(quarter_start(month), -9), self.truth.day_of(month)
        moment = min(self.truth.end_of(last), self.instant)
        for deal in self.deals:
            path = [(at, name) for at, name in deal.path if at <= moment]
            visits = [n for n, (_, name) in enumerate(path) if name == stage]
            if (
                visits
                and visits[-1] + 1 < len(path)
                and self.truth.local_day(path[visits[-1] + 1][0]) >= first
            ):
                yield deal, [name for _, name in path[visits[-1] + 1 :]]

    def went_on(self, month: str, stage: str) -> tuple[int, int]:
        """(then in a later stage or won, all) of the deals that left it for the last time in four quarters."""
        ways = [after for _, after in self._exits(month, stage)]
        return sum(any(self.rank.get(s, 0) > self.rank[stage] for s in after) for after in ways), len(ways)

    def moves(self, month: str, stage: str) -> tuple[int, int]:
        """(moves over a stage in use, moves from it to an earlier open one) of four quarters."""
        first, last = add_months(quarter_start(month), -9), self.truth.day_of(month)
        over = back = 0
        for deal in self.deals:
            for (_, name), (at, after) in zip(deal.path, deal.path[1:], strict=False):
                if (
                    not first <= self.truth.local_day(at) <= last
                    or name not in self.rank
                    or after not in self.rank
                ):
                    continue
                a, b = self.rank[name], self.rank[after]
                over += a < self.rank[stage] < b and a < 10_000
                back += name == stage and b < a
        return over, back

    def older(self, month: str, stage: str) -> tuple[int, int]:
        """(deals, amount at D) that sit in a stage at D for more than 1.5 times its median of five deals or more."""
        last = self.truth.day_of(month)
        moment = min(self.truth.end_of(last), self.instant)
        all_days = self.stage_days(month)[stage]
        count = value = 0
        for deal in self.deals:
            path = [(at, name) for at, name in deal.path if at <= moment]
            if len(all_days) < 5 or not path or path[-1][1] != stage:
                continue
            ends = [self.truth.local_day(at) for at, _ in path[1:]] + [last]
            days = sum(
                (end - self.truth.local_day(at)).days
                for (at, name), end in zip(path, ends, strict=True)
                if name == stage
            )
            if days > 1.5 * median(all_days):
                amount = deal.record.at(moment)["amount"] or 0
                count, value = count + 1, value + self.truth.home(amount, deal.record["currency"], last)
        return count, value

    def bottleneck(self, month: str) -> float | None:
        """The largest median of a stage with five deals or more."""
        medians = [median(days) for days in self.stage_days(month).values() if len(days) >= 5]
        return max(medians, default=None)

    def pilots(self, month: str) -> tuple[list[int], int, int]:
        """(days of the pilots decided in the quarter to date, converted, failed)."""
        first, last = quarter_start(month), self.truth.day_of(month)
        days: list[int] = []
        converted = failed = 0
        for deal in self.deals:
            piloted, start = self._pilot_start(deal)
            won, on = self._pilot_end(deal)
            if not piloted or on is None or not first <= on <= last:
                continue
            converted, failed = converted + won, failed + (not won)
            if start is not None and on >= start:
                days.append((on - start).days)
        return days, converted, failed

    def running(self, month: str) -> list[int]:
        """Ages of the pilots that had begun and were not decided at D."""
        last = self.truth.day_of(month)
        ages = []
        for deal in self.deals:
            _, start = self._pilot_start(deal)
            _, on = self._pilot_end(deal)
            if start is not None and start <= last and (on is None or on > last):
                ages.append((last - start).days)
        return ages

    def _pilot_start(self, deal: Deal) -> tuple[bool, date | None]:
        """Whether a deal is a pilot, and since when, if that is known."""
        record = deal.record
        entered = [self.truth.local_day(at) for at, stage in deal.path if stage in PILOT_STAGES]
        told = record["pilot"] or record["pilot_start"] or record["pilot_converted"]
        start = entered[0] if entered else day(record["pilot_start"]) if record["pilot_start"] else None
        return bool(entered or told), start

    def values(self, month: str) -> dict[str, float | None]:
        """Every KPI of the motion by its id; None where it is undefined."""
        won, _, created = self.cohort(month)
        cycles, (top, arr), speed = self.cycles(month), self.weighted(month), self.velocity(month)
        days, converted, failed = self.pilots(month)
        return {
            "win_rate_cohort": won / created if created else None,
            "cycle_days_median": median(cycles) if cycles else None,
            "cycle_days_weighted": top / arr if arr else None,
            "sales_velocity": None if speed is None else float(speed),
            "stage_days": self.bottleneck(month),
            "poc_days": median(days) if days else None,
            "poc_conversion": converted / (converted + failed) if converted + failed else None,
        }

    def _pilot_end(self, deal: Deal) -> tuple[bool, date | None]:
        """Whether a pilot converted, and the day of its decision; no day while it runs (ruling 21)."""
        converted = deal.record["pilot_converted"]
        if deal.outcome != "lost" and converted and day(converted) <= self.truth.today:
            return True, day(converted)
        if deal.outcome == "won":
            return True, deal.decided
        ends = [deal.decided] if deal.outcome == "lost" and deal.decided else []
        until = deal.record["pilot_end"]
        if until and day(until) < self.truth.today:
            ends.append(day(until))
        return False, min(ends, default=None)
