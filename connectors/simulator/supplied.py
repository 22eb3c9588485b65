"""What a generated company's other systems would hand over: finance, product analytics, the help desk, surveys.

Rows of the files that a CRM has no place for, under the column names that these files have (``docs/inputs.md``), as
text. They follow from the company's own lives: money is spent on the leads that came and against the quotas that were
set, people use the seats that were sold, and use them less before they leave. The same company gives the same rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from decimal import ROUND_HALF_EVEN, Decimal
from random import Random
from types import MappingProxyType
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.simulator.company import Company
from connectors.simulator.lives.days import add_months
from connectors.simulator.names import SOURCES
from connectors.simulator.world import Life

Row = dict[str, str]
PEOPLE: Final = Decimal("0.34")  # of a quarter's quota goes to people who sell
TEAMS: Final = {"inbound": 34, "outbound": 38, "partner": 10, "expansion": 12, "": 6}  # per cent of it
PER_LEAD: Final = {"inbound": 190, "outbound": 260, "partner": 320, "self-serve": 60}  # programme spend, USD
MARGIN: Final = 76  # per cent of subscription revenue, give or take three
WEEKS: Final = 64  # of usage: a year and the weeks that its first month looks back on
LEAVING: Final = 26  # weeks in which use fades before a customer goes
CLOSES: Final = 6  # days after a month's end on which finance has its numbers


@dataclass
class _Customer:
    """A customer as its systems know it: since when, the seats of each day that changed them, when it left."""

    name: str
    since: date
    seats: list[tuple[date, int]] = field(default_factory=list)
    ends: date = date.max  # of the contract
    left: date | None = None

    def licensed(self, on: date) -> int:
        return max(0, next((seats for start, seats in reversed(self.seats) if start <= on), 0))


class Supplied:
    """The files of one company, each a method of its name."""

    def __init__(self, world: Company) -> None:
        self.world = world
        self.today = datetime.fromtimestamp(world.as_of, ZoneInfo(world.timezone)).date()
        self._quotas: list[tuple[str, Decimal, str]] = []  # from, amount in minor units, currency
        self._rates: dict[str, list[tuple[str, Decimal]]] = {}
        self._leads: dict[tuple[str, str], int] = {}  # month and motion -> how many came
        self._customers: dict[str, _Customer] = {}  # by name: they know no duplicates
        self._read()

    def targets(self) -> Iterator[Row]:
        """Quotas by quarter in the home currency: each seller's at the rate of the quarter's first day."""
        for start, total in self._quota_of().items():
            yield {
                "period": start,
                "segment": "",
                "metric": "quota",
                "value": f"{total / 100:.2f}",
                "source": "generated company",
                "as_of": start,
            }

    def spend(self) -> Iterator[Row]:
        """People against the quarter's quota, programmes by the leads of the month; as finance closes the month."""
        quotas = self._quota_of()
        for month in self._months():
            given = self._closed(month)
            begun = [total for start, total in quotas.items() if start[:7] <= month]
            quota = begun[-1] if begun else next(iter(quotas.values()), Decimal(0))
            rng = Random(f"{self.world.parameters.seed}/spend/{month}")
            for channel, share in TEAMS.items():
                usual = float(quota) / 100 / 3 * float(PEOPLE) * share / 100
                yield self._spent(month, channel, "people", usual * (0.97 + 0.06 * rng.random()), given)
            for motion, cost in PER_LEAD.items():
                leads = self._leads.get((month, motion), 0)
                yield self._spent(month, motion, "program", leads * cost * (0.85 + 0.3 * rng.random()), given)

    @staticmethod
    def _spent(month: str, channel: str, kind: str, amount: float, given: date) -> Row:
        return {
            "month": month,
            "channel": channel,
            "kind": kind,
            "amount": f"{amount:.2f}",
            "currency": "USD",
            "source": "finance",
            "as_of": given.isoformat(),
        }

    def margin(self) -> Iterator[Row]:
        """Gross margin of subscriptions, quarter by quarter, the running one as forecast at its start."""
        for start in self._quota_of():
            if start > self.today.isoformat():
                continue
            points = MARGIN - 3 + Random(f"{self.world.parameters.seed}/margin/{start}").randrange(7)
            yield {
                "quarter": start,
                "stream": "subscription",
                "pct": f"{points}%",
                "source": "finance",
                "as_of": start,
            }

    def usage(self) -> Iterator[Row]:
        """Active people and licensed seats of every customer in every week of the last year and a little more."""
        first = self.today - timedelta(days=self.today.weekday() + 7 * WEEKS)
        for customer in self._customers.values():
            rng = self._chance("usage", customer)
            adoption, fading = 0.5 + 0.45 * rng.random(), rng.random() < 0.07
            for week in range(WEEKS):
                monday = first + timedelta(weeks=week)
                licensed = customer.licensed(monday)
                gone = customer.left is not None and monday >= customer.left
                if not licensed or gone or monday < customer.since:
                    continue
                share = adoption * (0.94 + 0.12 * rng.random())
                end = customer.left or (self.today if fading else None)
                if end is not None:
                    ahead = (end - monday).days / 7
                    share *= min(1.0, 0.25 + 0.75 * ahead / LEAVING)
                yield {
                    "customer_key": customer.name,
                    "week": monday.isoformat(),
                    "active": str(min(licensed, round(licensed * share))),
                    "licensed": str(licensed),
                    "source": "product analytics",
                    "as_of": (monday + timedelta(days=7)).isoformat(),
                }

    def tickets(self) -> Iterator[Row]:
        """Support tickets of the last year; those who are about to leave wait longer."""
        number = 0
        for customer in self._customers.values():
            rng = self._chance("tickets", customer)
            for _ in range(rng.randrange(0, 9)):
                opened = self.today - timedelta(days=1 + rng.randrange(365))
                lasts = 1 + int(rng.random() ** 3 * (90 if customer.left else 45))
                severity = rng.choice(("low", "normal", "normal", "high"))
                if opened < customer.since or (customer.left is not None and opened >= customer.left):
                    continue
                number += 1
                closed = opened + timedelta(days=lasts)
                yield {
                    "ticket": str(1000 + number),
                    "customer_key": customer.name,
                    "opened": opened.isoformat(),
                    "closed": closed.isoformat() if closed <= self.today else "",
                    "severity": severity,
                    "source": "help desk",
                    "as_of": opened.isoformat(),
                }

    def nps(self) -> Iterator[Row]:
        """A survey twice a year, of those who answer."""
        for customer in self._customers.values():
            rng = self._chance("nps", customer)
            mood, answers = -10 + 70 * rng.random(), rng.random() < 0.7
            for back in range(20 + rng.randrange(120), 420, 182):
                asked = self.today - timedelta(days=back)
                gone = customer.left is not None and asked >= customer.left
                if not answers or gone or asked < customer.since:
                    continue
                leaving = customer.left is not None and (customer.left - asked).days < 7 * LEAVING
                score = mood + 30 * (rng.random() - 0.5) - (45 if leaving else 0)
                yield {
                    "customer_key": customer.name,
                    "date": asked.isoformat(),
                    "score": str(max(-100, min(100, round(score)))),
                    "source": "survey",
                    "as_of": asked.isoformat(),
                }

    # -- what the lives say

    def _read(self) -> None:
        names: dict[int, str] = {}
        seats: dict[int, int] = {}  # deal -> seats of its lines
        won: list[tuple[int, dict[str, Any]]] = []
        for life in self.world.lives():
            if life.events[0].at > self.world.as_of:
                if life.kind == "quota":
                    self._note_quota(life)  # set ahead
                continue
            values = self._now(life)
            if life.kind == "rate":
                self._rates.setdefault(values["currency"], []).append(
                    (values["start_date"], Decimal(values["rate"]))
                )
            elif life.kind == "quota":
                self._note_quota(life)
            elif life.kind == "lead":
                created = datetime.fromtimestamp(life.events[0].at, ZoneInfo(self.world.timezone))
                at = (f"{created:%Y-%m}", _motion(values))
                self._leads[at] = self._leads.get(at, 0) + 1
            elif life.kind == "account":
                names[life.key] = values.get("domain") or values.get("name") or ""
            elif life.kind == "line_item" and values.get("kind") == "seat":
                deal = values["deal"]
                seats[deal] = seats.get(deal, 0) + int(values.get("quantity") or 0)
            elif life.kind == "deal" and values.get("account") and values.get("close_date"):
                won.append((life.key, values))
        self._sell(won, seats, names)

    def _sell(
        self, deals: list[tuple[int, dict[str, Any]]], seats: Mapping[int, int], names: Mapping[int, str]
    ) -> None:
        """Go through the decided deals in the order of their days."""
        outcome = {stage.name: stage.won for stage in self.world.stages if stage.closed}
        decided = [(key, deal) for key, deal in deals if deal.get("stage") in outcome]
        for key, deal in sorted(decided, key=lambda pair: (pair[1]["close_date"], pair[0])):
            on = date.fromisoformat(deal.get("start_date") or deal["close_date"])
            kind, is_won = deal.get("type"), outcome[deal["stage"]]
            name = names.get(deal["account"])
            customer = self._customers.get(name or "")
            if is_won and kind in ("New Business", "Renewal"):
                if customer is None and name:
                    customer = self._customers[name] = _Customer(name, on)
                if customer is not None:
                    customer.left = None
                    customer.ends = add_months(on, max(1, deal.get("term_months") or 12))
                    customer.seats.append((on, seats.get(key) or customer.licensed(on) or 25))
            elif customer is not None and is_won and kind in ("Expansion", "Downgrade"):
                customer.seats.append((on, customer.licensed(on) + seats.get(key, 0)))
            elif customer is not None and (kind == "Churn" if is_won else kind == "Renewal"):
                customer.left = on
        for customer in self._customers.values():
            if customer.ends <= self.today - timedelta(days=30):  # nobody renewed it
                customer.left = min(customer.ends, customer.left or date.max)

    def _now(self, life: Life) -> dict[str, Any]:
        """A record as it stands at the end of history."""
        values: dict[str, Any] = {}
        for event in life.events:
            if event.at <= self.world.as_of and event.op in ("create", "set"):
                values.update(event.values)
        return values

    def _note_quota(self, life: Life) -> None:
        values = life.events[0].values
        self._quotas.append((values["start_date"], Decimal(values["amount"]), values["currency"]))

    def _quota_of(self) -> dict[str, Decimal]:
        """The first day of each quarter -> its quota in minor units of the home currency, in order of time."""
        totals: dict[str, Decimal] = {}
        for start, amount, currency in self._quotas:
            in_force = [rate for since, rate in self._rates.get(currency, []) if since <= start]
            value = (amount * (in_force or [Decimal(1)])[-1]).quantize(Decimal(1), ROUND_HALF_EVEN)
            totals[start] = totals.get(start, Decimal(0)) + value
        return dict(sorted(totals.items()))

    def _months(self) -> Iterator[str]:
        """The months whose numbers finance has by now."""
        month = self.world.start.replace(day=1)
        while self._closed(f"{month:%Y-%m}") <= self.today:
            yield f"{month:%Y-%m}"
            month = add_months(month, 1)

    @staticmethod
    def _closed(month: str) -> date:
        return add_months(date.fromisoformat(f"{month}-01"), 1) + timedelta(days=CLOSES - 1)

    def _chance(self, what: str, customer: _Customer) -> Random:
        return Random(f"{self.world.parameters.seed}/{what}/{customer.name}")


def _motion(lead: Mapping[str, Any]) -> str:
    """The motion that a lead's source stands for; one without a source came by itself."""
    return next((motion for motion, words in SOURCES.items() if lead.get("source") in words), "inbound")


FILES: Final[Mapping[str, Callable[[Supplied], Iterator[Row]]]] = MappingProxyType(
    {
        "targets": Supplied.targets,
        "spend": Supplied.spend,
        "margin": Supplied.margin,
        "usage": Supplied.usage,
        "tickets": Supplied.tickets,
        "nps": Supplied.nps,
    }
)
