"""Lead cohorts, sourced money and what it cost, record by record (section 5, rulings 2, 3, 5, 6, 15, 16, 32 to 34)."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from fractions import Fraction
from functools import cached_property, partial
from statistics import median

from tests.oracle.motion import Motion
from tests.oracle.number import Cell, Figure, Number, ratio
from tests.oracle.record import Record, Truth, add_months, day, last_day, shift
from tests.oracle.revenue import Revenue
from tests.oracle.segments import DEAL_CUTS, UNKNOWN, Segments, motion_of, motion_of_source, stated

CHANNELS = ("marketing", "partner")
MONTH = Fraction(365, 12)
UNALLOCATED = "unallocated"
EXPANSION = "expansion"  # the channel of what selling to customers costs


@dataclass
class Paid:
    """One row of a spend file; amount in minor units."""

    month: str
    channel: str | None
    kind: str
    amount: int
    currency: str
    size: str | None = None  # that it was to win


@dataclass
class Lead:
    """A lead of a cohort."""

    record: Record
    reached: bool


@dataclass
class Sourced:
    """A deal of the quarter, and whether the channel sourced it."""

    record: Record
    value: int
    ours: bool


@dataclass
class Spent:
    """What a channel cost, home currency."""

    channel: str | None
    value: int
    month: str
    size: str | None


@dataclass
class Arrived:
    """The new-logo ARR of a customer in a month, and a month's gross margin of it."""

    customer: int
    motion: str
    brought: Fraction


class Acquisition:
    """Where the business of one company came from, as known at the truth's moment."""

    def __init__(
        self,
        truth: Truth,
        of: Segments,
        revenue: Revenue,
        spend: Sequence[Paid] = (),
        margins: Mapping[date, Fraction] | None = None,
    ) -> None:
        """``margins``: first day of a quarter -> subscription margin."""
        self.truth, self.of, self.revenue = truth, of, revenue
        self.spend = spend
        self.margins = {truth.quarter(first): margin for first, margin in (margins or {}).items()}
        self.deals = [deal for deal in truth.live("deal") if truth.type_of(deal) in ("new", "expansion")]
        starts = [contract.start for contracts in revenue.contracts.values() for contract in contracts]
        self.begun = min(truth.local_day(deal.created) for deal in truth.live("deal"))
        self.first_known = min(self.begun, *starts)
        self._new_logos: dict[str, dict[int, int]] = {}

    # --- leads ----------------------------------------------------------------------------------------

    def leads(self, month: str) -> list[Lead]:
        """The leads created in the month; reached: converted within 90 days."""
        created = [
            (lead, self.truth.local_day(lead.created), self._date(lead, "converted"))
            for lead in self.truth.live("lead")
        ]
        return self._cohort(created, month, self.truth.ways["acquisition.lead_days"])

    def mqls(self, month: str) -> list[Lead]:
        """The MQLs of the month (without an MQL date the SQL date is it); reached: SQL within 60 days."""
        marketed = []
        for lead in self.truth.live("lead"):
            sql = self._date(lead, "sql_at")
            mql = self._date(lead, "mql_at") or sql
            if mql is not None:
                marketed.append((lead, mql, sql))
        return self._cohort(marketed, month, self.truth.ways["acquisition.sql_days"])

    def _cohort(
        self, entries: Iterable[tuple[Record, date, date | None]], month: str, within: int
    ) -> list[Lead]:
        first, last = date.fromisoformat(f"{month}-01"), self.truth.day_of(month)
        return [
            Lead(lead, reached is not None and entered <= reached <= entered + timedelta(days=within))
            for lead, entered, reached in entries
            if first <= entered <= last
        ]

    def _date(self, lead: Record, field: str) -> date | None:
        """A date of a lead, if it had come by the moment of knowledge."""
        found = day(lead[field]) if lead[field] else None
        return found if found is not None and found <= self.truth.today else None

    # --- what was sourced -----------------------------------------------------------------------------

    def created(self, channel: str, month: str) -> list[Sourced]:
        """The deals created in the quarter to date, at the rate of D."""
        first, last = self.truth.quarter(month), self.truth.day_of(month)
        created = [deal for deal in self.deals if first <= self.truth.local_day(deal.created) <= last]
        return [self._sourced(deal, last, channel) for deal in created]

    def won(self, channel: str, month: str) -> list[Sourced]:
        """The deals won in the quarter to date, at the rate of their day."""
        first, last = self.truth.quarter(month), self.truth.day_of(month)
        found = []
        for deal in self.deals:
            outcome, on = self.truth.outcome(deal)
            if outcome == "won" and on is not None and first <= on <= last:
                found.append(self._sourced(deal, on, channel))
        return found

    def _sourced(self, deal: Record, on: date, channel: str) -> Sourced:
        """The channel's motion is that of the deal's source; a deal without one is judged by its motion field."""
        value = self.truth.home(deal["amount"] or 0, deal["currency"], on)
        ours, rule = self._by_source(deal, channel), self.truth.ways["acquisition.partner_rule"]
        if channel == "partner" and rule != "source":
            named = self._partner_at_first(deal) is not None
            ours = named if rule == "field" else ours or named
        return Sourced(deal, value, ours)

    def _by_source(self, deal: Record, channel: str) -> bool:
        """Whether the channel's list names its source, or the motion of that; without a source its own motion."""
        listed = {word.strip().lower() for word in self.truth.ways[f"channels.{channel}"]}
        source = stated(deal["lead_source"])
        motion = motion_of_source(source) if source else motion_of(deal)
        return bool(listed & {(source or "").lower(), (motion or "").lower()})

    def _partner_at_first(self, deal: Record) -> str | None:
        """The partner that it named when the day of its creation ended; ``partners``: (instant, name) from then on."""
        end, name = self.truth.end_of(self.truth.local_day(deal.created)), None
        for at, partner in deal["partners"] or ():
            if at <= end:
                name = partner
        return stated(name)

    # --- what it cost ---------------------------------------------------------------------------------

    def paid(self, months: Sequence[str], without: str | None = None, kind: str | None = None) -> list[Spent]:
        """What was spent in these months, each row at its month-end's rate."""
        found = []
        for row in self.spend:
            channel = motion_of_source(row.channel) or (row.channel.lower() if row.channel else None)
            if row.month in months and row.kind in (kind or row.kind) and (not without or channel != without):
                value = self.truth.home(row.amount, row.currency, self.truth.day_of(row.month))
                found.append(Spent(channel, value, row.month, row.size))
        return found

    def arrived(self, month: str) -> list[Arrived]:
        """The new logos of the quarter to date and of the three quarters before, each at its own month's rate."""
        found = []
        within = shift(f"{self.truth.quarter(month):%Y-%m}", -9)
        while within <= month:
            margin = self.margins[self.truth.quarter(within)]
            for customer, arr in self._of_month(within).items():
                motion = self.of.customer("motion", customer)
                found.append(Arrived(customer, motion, Fraction(arr, 12) * margin))
            within = shift(within, 1)
        return found

    def _of_month(self, month: str) -> dict[int, int]:
        """Customer -> ARR, of those that had none on any day up to the month before's end."""
        if month not in self._new_logos:
            on, before = self.truth.day_of(month), last_day(shift(month, -1))
            opening = self.revenue.by_customer(before, on)
            self._new_logos[month] = {
                customer: arr
                for customer, arr in self.revenue.by_customer(on, on).items()
                if not opening.get(customer) and not self.revenue.ever(customer, before)
            }
        return self._new_logos[month]

    def _payback(self, month: str) -> list[Spent | Arrived]:
        return [*self._spent(month), *self.arrived(month)]

    def _spent(self, month: str) -> list[Spent]:
        kind = "program" if self.truth.ways["acquisition.cac_load"] == "program" else None
        return self.paid(self._window(month), without=EXPANSION, kind=kind)

    def _window(self, month: str) -> list[str]:
        """The four quarters before the month's own, a quarter before the customers they won; or the months in which
        these were won, one median cycle earlier."""
        first = f"{self.truth.quarter(month):%Y-%m}"
        if self.truth.ways["acquisition.cac_lag"] == "quarter":
            return [shift(first, n) for n in range(-12, 0)]
        lag = self._cycle(month)
        months = [shift(first, n) for n in range(-9, 3) if shift(first, n) <= month]
        return [] if lag is None else [shift(one, -round(Fraction(lag) / MONTH)) for one in months]

    @cached_property
    def motion(self) -> Motion:
        return Motion(self.truth)

    def _cycle(self, month: str) -> int | float | None:
        """The median cycle of the new business won in the window."""
        first, last = add_months(self.truth.quarter(month), -9), self.truth.day_of(month)
        won = [
            deal.cycle(self.motion.begun(deal))
            for deal in self.motion.deals
            if deal.outcome == "won"
            and deal.decided
            and first <= deal.decided <= last
            and self.truth.type_of(deal.record) == "new"
        ]
        days = [one for one in won if one is not None]
        return median(days) if days else None

    def _cost(self, month: str) -> list[Spent | Lead]:
        leads = self.leads if self.truth.ways["acquisition.cost_per"] == "lead" else self.mqls
        return [*self.paid([month], kind="program"), *leads(month)]

    def _channel(self, cut: str, row: Spent | Lead | Arrived) -> str:
        if isinstance(row, Spent):
            return (row.size if cut == "size" else row.channel) or UNALLOCATED
        if isinstance(row, Arrived) and cut == "size":
            return self.of.customer(cut, row.customer)
        return row.motion if isinstance(row, Arrived) else self.of.lead(cut, row.record)

    # --- numbers --------------------------------------------------------------------------------------

    def numbers(self) -> dict[str, Number]:
        """The KPIs of acquisition, by id."""
        found = {
            kpi: Number(
                rows,
                lambda cut, row: self.of.lead(cut, row.record),
                lambda cell: ratio(sum(row.reached for row in cell.rows), len(cell.rows), len(cell.rows)),
                ("motion", "owner"),
            )
            for kpi, rows in (("lead_to_opportunity", self.leads), ("mql_to_sql", self.mqls))
        }
        for channel in CHANNELS:
            for what, step in (("pipeline", self.created), ("revenue", self.won)):
                found[f"{channel}_sourced_{what}"] = Number(
                    partial(step, channel),
                    lambda cut, row: self.of.deal(cut, row.record),
                    self._money,
                    DEAL_CUTS,
                )
        found["cost_per_lead"] = Number(self._cost, self._channel, self._per_lead, ("motion",))
        found["cac_payback_months"] = Number(self._payback, self._channel, self._months, ("motion", "size"))
        return found

    def _money(self, cell: Cell) -> Figure:
        """The money is the value, what all brought stands under it."""
        if self.truth.day_of(cell.month) < self.begun:
            return Figure(None)
        sourced = sum(row.value for row in cell.rows if row.ours)
        return Figure(
            sourced, sourced, sum(row.value for row in cell.rows), sum(row.ours for row in cell.rows)
        )

    def _per_lead(self, cell: Cell) -> Figure:
        leads = sum(isinstance(row, Lead) for row in cell.rows)
        return self._over(cell, leads, leads)

    def _months(self, cell: Cell) -> Figure:
        """Nobody knows of new logos in months that the CRM remembers nothing of."""
        arrived = [row for row in cell.rows if isinstance(row, Arrived)]
        brought = sum((row.brought for row in arrived), Fraction(0))
        found = self._over(cell, brought, len({row.customer for row in arrived}))
        first = shift(f"{self.truth.quarter(cell.month):%Y-%m}", -9)
        blind = self.truth.ways["acquisition.cac_lag"] == "cycle" and self._cycle(cell.month) is None
        if self.truth.day_of(first) < self.first_known or self._unsplit(cell) or blind:
            return Figure(None, None, found.denominator, found.n)
        return found

    def _unsplit(self, cell: Cell) -> bool:
        """A month of which no spend names a size says nothing of any size."""
        if cell.cut != "size" or cell.segment in (UNALLOCATED, UNKNOWN):
            return False
        window = self._window(cell.month)
        return bool(set(window) - {row.month for row in self.paid(window, EXPANSION) if row.size})

    def _over(self, cell: Cell, brought: int | Fraction, n: int) -> Figure:
        """Spend over what it brought; a channel without any row of spend is unknown, and no channel brought nothing."""
        spent = [row.value for row in cell.rows if isinstance(row, Spent)]
        if cell.cut is not None and not spent:
            return Figure(None, None, brought, n)
        if cell.segment in (UNALLOCATED, UNKNOWN):
            return Figure(None, sum(spent), brought, n)
        return ratio(sum(spent), brought, n)
