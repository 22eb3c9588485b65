"""Cohorts, cycles, velocity, stage days and pilots, deal by deal (section 3, rulings 2 to 4, 18 to 25)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from statistics import median

from tests.oracle.ledger import rows_of
from tests.oracle.record import Record, Truth, add_months, day
from tests.oracle.sales import Sales
from tests.oracle.segments import UNKNOWN, motion_of, size_of

PILOT_STAGES = ("Pilot", "POC")


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
    weight: int | None  # what it weighs in the weighted cycle, the same way
    met: date | None
    path: list[tuple[int, str]]  # (entered, stage), every entry a change

    def cycle(self, start: date | None) -> int | None:
        """Days to the decision; None where ruling 22 leaves it out."""
        assert self.decided is not None
        assert start is not None
        if (self.decided - self.created).days <= 1 or self.decided < start:
            return None
        return (self.decided - start).days


@dataclass
class Row:
    """A deal as one number counts it."""

    deal: Deal
    what: str  # outcome, stage, or what became of a pilot
    days: int | None = None


class Motion:
    """The sales motion of one company as known at the truth's moment."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.pilot_stages = truth.ways["sales.poc_stages"] or PILOT_STAGES
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
        self._passages: dict[str, list[Row]] = {}
        self.deals = [
            self._deal(record, meetings.get(record.key, []))
            for record in truth.live("deal")
            if truth.sold(record)
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
        arr = weight = None
        if decided is not None:
            rows = rows_of(truth, record)
            arr = None if rows is None else truth.home(sum(r.arr for r in rows), record["currency"], decided)
            weight = arr
            if truth.ways["sales.cycle_weight"] == "amount":
                weight = truth.home(record["amount"] or 0, record["currency"], decided)
        held = [one for one in meetings if decided is None or one <= decided]
        mapped = record["first_meeting"]
        met = day(mapped) if mapped else min(held, default=None)
        return Deal(
            record,
            size_of(truth, record) or UNKNOWN,
            motion_of(record) or UNKNOWN,
            created,
            qualified,
            outcome,
            decided,
            arr,
            weight,
            met,
            path,
        )

    def begun(self, deal: Deal) -> date | None:
        """Where a deal's cycle begins: at the qualified stage, its creation, or its first meeting."""
        start = self.truth.ways["sales.cycle_start"]
        if start == "created":
            return deal.created
        return (deal.met if start == "first_meeting" else None) or deal.qualified

    def _decided(self, first: date, last: date, outcomes: tuple[str, ...]) -> Iterator[Deal]:
        for deal in self.deals:
            if deal.outcome in outcomes and deal.qualified and deal.decided and first <= deal.decided <= last:
                yield deal

    def cycles(self, month: str) -> list[int]:
        """Days of the deals won in the quarter to date."""
        return [row.days for row in self.closed(month) if row.what == "won" and row.days is not None]

    def created(self, month: str) -> list[Row]:
        """The qualified deals created in the quarter to date."""
        first, last = self.truth.quarter(month), self.truth.day_of(month)
        return [
            Row(deal, deal.outcome) for deal in self.deals if deal.qualified and first <= deal.created <= last
        ]

    def closed(self, month: str) -> list[Row]:
        """The qualified deals won or lost in the quarter to date, with the days of their cycle."""
        decided = self._decided(self.truth.quarter(month), self.truth.day_of(month), ("won", "lost"))
        return [Row(deal, deal.outcome, deal.cycle(self.begun(deal))) for deal in decided]

    def won_in_a_year(self, month: str) -> list[Row]:
        """The wins of four quarters, with the days since their first meeting; of self-serve none."""
        decided = self._decided(add_months(self.truth.quarter(month), -9), self.truth.day_of(month), ("won",))
        return [
            Row(deal, "won", None if deal.motion == "self-serve" else deal.cycle(deal.met or deal.qualified))
            for deal in decided
        ]

    def entering(self, month: str) -> list[Row]:
        """The opportunities of the quarter to date (ruling 23: those that got to the qualified stage), or those
        that were open at its start."""
        first, last = self.truth.quarter(month), self.truth.day_of(month)
        if self.truth.ways["sales.velocity_opportunities"] == "open":
            return [
                Row(deal, "entered")
                for deal in self.deals
                if deal.qualified and deal.qualified < first and (not deal.decided or deal.decided >= first)
            ]
        return [
            Row(deal, "entered") for deal in self.deals if deal.qualified and first <= deal.qualified <= last
        ]

    def stale(self, month: str) -> int | None:
        """Open deals older at D than twice the median cycle; None without a median."""
        days = self.cycles(month)
        if not days:
            return None
        last = self.truth.day_of(month)
        return sum(
            (last - start).days > 2 * median(days)
            for deal in self.deals
            if deal.outcome == "open"
            and deal.qualified
            and deal.qualified <= last
            and (start := self.begun(deal))
        )

    def stage_days(self, month: str) -> dict[str, list[int]]:
        """Stage in use -> days of every deal in it (see ``passages``)."""
        found: dict[str, list[int]] = {stage: [] for stage in self.used}
        for row in self.passages(month):
            found[row.what].append(row.days or 0)
        return found

    def passages(self, month: str) -> list[Row]:
        """Every deal in every stage in use that it left for the last time in four quarters, or sits in at D."""
        if month not in self._passages:
            self._passages[month] = list(self._pass(month))
        return self._passages[month]

    def _window(self, month: str) -> tuple[date, date]:
        """The quarters over which stages are read, four by default."""
        back = 3 * (self.truth.ways["sales.stage_quarters"] - 1)
        return add_months(self.truth.quarter(month), -back), self.truth.day_of(month)

    def _pass(self, month: str) -> Iterator[Row]:
        first, last = self._window(month)
        moment = min(self.truth.end_of(last), self.instant)
        for deal in self.deals:
            path = [(at, stage) for at, stage in deal.path if at <= moment]
            for stage in {name for _, name in path if name in self.used}:
                days, exit_ = 0, None
                for n, (at, name) in enumerate(path):
                    if name != stage:
                        continue
                    exit_ = self.truth.local_day(path[n + 1][0]) if n + 1 < len(path) else None
                    days += ((exit_ or last) - self.truth.local_day(at)).days
                if exit_ is None or exit_ >= first:
                    yield Row(deal, stage, days)

    def _exits(self, month: str, stage: str) -> Iterator[tuple[Deal, list[str]]]:
        """Deals that left a stage for the last time in four quarters, with the stages they came to afterwards by D."""
        first, last = self._window(month)
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
        first, last = self._window(month)
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
        """(deals, amount at D) that sit in a stage at D for more than 1.5 times its median of five deals or more (or
        others)."""
        last = self.truth.day_of(month)
        moment = min(self.truth.end_of(last), self.instant)
        all_days = self.stage_days(month)[stage]
        count = value = 0
        for deal in self.deals:
            path = [(at, name) for at, name in deal.path if at <= moment]
            if len(all_days) < self.truth.ways["sales.stage_deals"] or not path or path[-1][1] != stage:
                continue
            ends = [self.truth.local_day(at) for at, _ in path[1:]] + [last]
            days = sum(
                (end - self.truth.local_day(at)).days
                for (at, name), end in zip(path, ends, strict=True)
                if name == stage
            )
            if days > self.truth.ways["sales.stage_old"] * median(all_days):
                amount = deal.record.at(moment)["amount"] or 0
                count, value = count + 1, value + self.truth.home(amount, deal.record["currency"], last)
        return count, value

    def pilots(self, month: str) -> list[Row]:
        """The pilots decided in the quarter to date, with their days, and those that run at D."""
        first, last = self.truth.quarter(month), self.truth.day_of(month)
        found = [Row(deal, "running") for deal in self._running(last)]
        for deal in self.deals:
            piloted, start = self._pilot_start(deal)
            won, on = self._pilot_end(deal)
            if piloted and on is not None and first <= on <= last:
                days = None if start is None or on < start else (on - start).days
                found.append(Row(deal, "converted" if won else "failed", days))
        return found

    def running(self, month: str) -> list[int]:
        """Ages of the pilots that had begun and were not decided at D."""
        last = self.truth.day_of(month)
        return [(last - start).days for deal in self._running(last) if (start := self._pilot_start(deal)[1])]

    def _running(self, last: date) -> Iterator[Deal]:
        for deal in self.deals:
            _, start = self._pilot_start(deal)
            _, on = self._pilot_end(deal)
            if start is not None and start <= last and (on is None or on > last):
                yield deal

    def _pilot_start(self, deal: Deal) -> tuple[bool, date | None]:
        """Whether a deal is a pilot, and since when, if that is known."""
        record = deal.record
        entered = [self.truth.local_day(at) for at, stage in deal.path if stage in self.pilot_stages]
        told = record["pilot"] or record["pilot_start"] or record["pilot_converted"]
        start = entered[0] if entered else day(record["pilot_start"]) if record["pilot_start"] else None
        return bool(entered or told), start

    def _pilot_end(self, deal: Deal) -> tuple[bool, date | None]:
        """Whether a pilot converted, and the day of its decision; no day while it runs (ruling 21)."""
        converted = deal.record["pilot_converted"]
        if deal.outcome != "lost" and converted and day(converted) <= self.truth.today:
            return True, day(converted)
        if deal.outcome == "won" and not self.truth.unconverted(deal.record, self.truth.today):
            return True, deal.decided
        ends = [deal.decided] if deal.outcome == "lost" and deal.decided else []
        until = deal.record["pilot_end"]
        if until and day(until) < self.truth.today:
            ends.append(day(until))
        return False, min(ends, default=None)
