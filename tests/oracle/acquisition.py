"""Lead cohorts and sourced money, record by record (section 5, rulings 2, 3, 5, 6, 32, 33)."""

from __future__ import annotations

from datetime import date, timedelta

from connectors.simulator.names import SOURCES
from tests.oracle.record import Record, Truth, day, quarter_start

CHANNELS = {"marketing": "inbound", "partner": "partner"}


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
    def motion(deal: Record) -> str | None:
        """The motion that the deal's lead source stands for, else the one it states."""
        source = deal["lead_source"]
        if source is None:
            motion: str | None = deal["motion"]
            return motion
        return next((motion for motion, words in SOURCES.items() if source in words), None)
