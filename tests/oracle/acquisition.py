"""Lead cohorts and sourced money, record by record (section 5, rulings 2, 3, 5, 6, 32, 33)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction

from connectors.simulator.names import SOURCES
from tests.oracle.record import Record, Truth, day, last_day, quarter_start, shift
from tests.oracle.revenue import Revenue, rows_of

CHANNELS = {"marketing": "inbound", "partner": "partner"}


@dataclass
class Paid:
    """One row of a spend file; amount in minor units."""

    month: str
    channel: str | None
    kind: str
    amount: int
    currency: str


class Acquisition:
    """Where the business of one company came from, as known at the truth's moment."""

    def __init__(self, truth: Truth) -> None:
        self.truth = truth
        self.deals = [deal for deal in truth.live("deal") if truth.type_of(deal) in ("new", "expansion")]

    def lead_to_opportunity(self, month: str) -> tuple[int, int]:
        """(converted within 90 days, created) of the leads created in the month."""
        created = [
            (self.truth.local_day(lead.created), self._date(lead, "converted"))
            for lead in self.truth.live("lead")
        ]
        return self._cohort(created, month, 90)

    def mql_to_sql(self, month: str) -> tuple[int, int]:
        """(SQL within 60 days, MQLs) of the month; without an MQL date the SQL date is it."""
        marketed = []
        for lead in self.truth.live("lead"):
            sql = self._date(lead, "sql_at")
            mql = self._date(lead, "mql_at") or sql
            if mql is not None:
                marketed.append((mql, sql))
        return self._cohort(marketed, month, 60)

    def _cohort(self, entries: list[tuple[date, date | None]], month: str, within: int) -> tuple[int, int]:
        first, last = date.fromisoformat(f"{month}-01"), self.truth.day_of(month)
        members = [(entered, reached) for entered, reached in entries if first <= entered <= last]
        converted = [
            entered
            for entered, reached in members
            if reached is not None and entered <= reached <= entered + timedelta(days=within)
        ]
        return len(converted), len(members)

    def _date(self, lead: Record, field: str) -> date | None:
        """A date of a lead, if it had come by the moment of knowledge."""
        found = day(lead[field]) if lead[field] else None
        return found if found is not None and found <= self.truth.today else None

    def pipeline(self, channel: str, month: str) -> tuple[int, int]:
        """(sourced by the channel, all) of the amounts created in the quarter to date, at the rate of D."""
        first, last = quarter_start(month), self.truth.day_of(month)
        created = [deal for deal in self.deals if first <= self.truth.local_day(deal.created) <= last]
        return self._money([(deal, last) for deal in created], channel)

    def revenue(self, channel: str, month: str) -> tuple[int, int]:
        """(sourced by the channel, all) of the amounts won in the quarter to date, at the rate of their day."""
        first, last = quarter_start(month), self.truth.day_of(month)
        won = []
        for deal in self.deals:
            outcome, on = self.truth.outcome(deal)
            if outcome == "won" and on is not None and first <= on <= last:
                won.append((deal, on))
        return self._money(won, channel)

    def _money(self, dated: list[tuple[Record, date]], channel: str) -> tuple[int, int]:
        sourced = total = 0
        for deal, on in dated:
            value = self.truth.home(deal["amount"] or 0, deal["currency"], on)
            total += value
            if self.motion(deal) == CHANNELS[channel]:
                sourced += value
        return sourced, total

    @staticmethod
    def motion(record: Record) -> str | None:
        """The motion that the source of a deal or a lead stands for, else the one it states."""
        source = record["lead_source"] or record["source"]
        if source is None:
            motion: str | None = record["motion"]
            return motion
        return next((motion for motion, words in SOURCES.items() if source in words), None)

    # --- what it cost ---------------------------------------------------------------------------------

    def spend(self, rows: Sequence[Paid], months: Sequence[str]) -> dict[str | None, int]:
        """Channel -> money spent in these months, each row at its month-end's rate."""
        sums: dict[str | None, int] = {}
        for row in rows:
            if row.month in months:
                value = self.truth.home(row.amount, row.currency, self.truth.day_of(row.month))
                sums[row.channel] = sums.get(row.channel, 0) + value
        return sums

    def cost_per_lead(self, rows: Sequence[Paid], month: str) -> dict[str | None, tuple[int, int]]:
        """Channel -> (programme spend, leads created); None: the whole company."""
        spent = self.spend([row for row in rows if row.kind == "program"], [month])
        first, last = date.fromisoformat(f"{month}-01"), self.truth.day_of(month)
        leads: dict[str | None, int] = {}
        for lead in self.truth.live("lead"):
            if first <= self.truth.local_day(lead.created) <= last:
                motion = self.motion(lead)
                leads[motion] = leads.get(motion, 0) + 1
        channels = {
            channel: (spent.get(channel, 0), leads.get(channel, 0)) for channel in {*spent, *leads} - {None}
        }
        return {**channels, None: (sum(spent.values()), sum(leads.values()))}

    def payback(
        self, rows: Sequence[Paid], margins: Mapping[date, Fraction], month: str, revenue: Revenue
    ) -> dict[str | None, tuple[int, Fraction]]:
        """Channel -> (spend one quarter earlier, a month's gross margin of new-logo ARR); None: the whole company."""
        quarter = f"{quarter_start(month):%Y-%m}"
        since = shift(quarter, -9)
        before = [shift(since, -3 + n) for n in range(12)]
        spent = self.spend(rows, before)
        gained: dict[str | None, Fraction] = {}
        arrived = since
        while arrived <= month:
            margin = margins[quarter_start(arrived)]
            for motion, arr in self._new_logos(arrived, revenue):
                gained[motion] = gained.get(motion, Fraction(0)) + Fraction(arr, 12) * margin
            arrived = shift(arrived, 1)
        channels = {
            channel: (spent.get(channel, 0), gained.get(channel, Fraction(0)))
            for channel in {*spent, *gained} - {None}
        }
        return {**channels, None: (sum(spent.values()), sum(gained.values(), Fraction(0)))}

    def _new_logos(self, month: str, revenue: Revenue) -> list[tuple[str | None, int]]:
        """(motion, ARR) of the customers that had none on any day up to the month before's end."""
        on, before = self.truth.day_of(month), last_day(shift(month, -1))
        opening = revenue.by_customer(before, on)
        return [
            (self._motion_of(customer), arr)
            for customer, arr in revenue.by_customer(on, on).items()
            if not opening.get(customer) and not revenue.ever(customer, before)
        ]

    def _motion_of(self, customer: int) -> str | None:
        """That of the customer's first new-business contract (ruling 16)."""
        contracts = []
        for deal in self.deals:
            outcome, on = self.truth.outcome(deal)
            if self.truth.type_of(deal) != "new" or outcome != "won" or on is None:
                continue
            if self.truth.customer(deal["account"]) == customer and rows_of(self.truth, deal) is not None:
                start = day(deal["start_date"]) if deal["start_date"] else on
                contracts.append((start, on, deal.key, deal))
        if not contracts:
            return None
        first = min(contracts, key=lambda contract: contract[:3])[3]
        stated: str | None = first["motion"]
        return stated or self.motion(first)
