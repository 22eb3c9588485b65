"""What a company has under contract, drawn from its won deals the way Salesforce and its CPQ package keep it.

Each won deal with an account makes one contract, but for one that ends everything. With a term it also makes one
subscription for each recurring line. An expansion or downgrade runs along with the latest-ending contract of its
account that is live on its start: its own contract ends with that one, and its subscriptions belong to that one,
revise what it holds of their product, and are priced for the whole months and the days that are left of it, a month
and 12/365 of one for each day over. A deal that takes away all that is live of a product, or of the account,
terminates it on its start. A contract comes into force some hours after the win. A deal that is reopened, deleted or
unwon takes its contract along.

Contract: account, deal, status (Draft | Activated), value (of its recurring lines, over its term), currency,
start_date, end_date (the last day), term_months, activated (instant), terminated (the first day on which it is over).
Subscription: contract, account, product, kind, quantity, unit_price (over its stretch of time), currency, start_date,
end_date, terminated, revises (subscription).

Two faults are planted where the company has any: contracts that nobody ever activated, and blank values and prices.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

from connectors.simulator.company import Company
from connectors.simulator.lives.days import add_months
from connectors.simulator.lives.selling import CHURN, DOWNGRADE, EXPANSION, RENEWAL
from connectors.simulator.world import Event, Kind, Life, World

Values = dict[str, Any]
Identity = tuple[Kind, int]
_HOUR: Final = 3600
_EARLY: Final = timedelta(days=3)  # a renewal may start so long before what it renews ends


def with_agreements(world: World) -> Iterator[Life]:
    """The world's lives, and behind those of each account its contracts and subscriptions."""
    midnight = datetime.combine(world.end, time(0), ZoneInfo(world.timezone)).astimezone(UTC)
    won = {stage.name for stage in world.stages if stage.won}
    flawed = isinstance(world, Company) and world.parameters.defects > 0
    scene = _Scene(won, int(midnight.timestamp()), flawed)
    for life in world.lives():
        if life.kind == "account":
            yield from scene.lives()
            scene = _Scene(won, scene.until, flawed)
        yield life
        scene.hear(life)
    yield from scene.lives()


class _Past:
    """What one record was from which instant on; None: gone."""

    def __init__(self, life: Life) -> None:
        self.key = life.key
        self.instants: list[int] = []
        self.states: list[Mapping[str, Any] | None] = []
        values: Mapping[str, Any] = {}
        there = True
        for at, op, changed in life.events:
            if op in ("create", "set"):
                values = {**values, **changed}
            else:
                there = op == "restore"
            self.instants.append(at)
            self.states.append(values if there else None)

    def at(self, instant: int) -> Mapping[str, Any] | None:
        place = bisect_right(self.instants, instant)
        return self.states[place - 1] if place else None


@dataclass(slots=True)
class _Row:
    """A contract or a subscription as it stands while the state of an account is put together."""

    values: Values
    start: date
    end: date  # first day on which it is not live
    annual: int  # minor units
    product: int | None = None

    def live(self, day: date) -> bool:
        return self.start <= day < self.end

    def terminate(self, day: date) -> None:
        self.values["terminated"] = day.isoformat()
        self.end = day


@dataclass(slots=True)
class _Agreement:
    """What one deal made."""

    key: int
    contract: _Row
    subscriptions: dict[int, _Row] = field(default_factory=dict)

    def rows(self) -> Iterator[_Row]:
        yield self.contract
        yield from self.subscriptions.values()


class _Scene:
    """The won deals of one account and their lines."""

    def __init__(self, won: set[str], until: int, flawed: bool) -> None:
        self.until = until
        self._won, self._flawed = won, flawed
        self._deals: list[_Past] = []
        self._lines: dict[int, list[_Past]] = {}

    def hear(self, life: Life) -> None:
        """Take note of a deal that was ever won, and of all lines."""
        if life.kind == "deal" and any(event.values.get("stage") in self._won for event in life.events):
            self._deals.append(_Past(life))
        elif life.kind == "line_item":
            self._lines.setdefault(life.events[0].values["deal"], []).append(_Past(life))

    def lives(self) -> Iterator[Life]:
        """Contracts before their subscriptions."""
        shown: dict[Identity, Values] = {}
        written: dict[Identity, list[Event]] = {}
        for instant in self._instants():
            state = self._state(instant)
            for identity, values in state.items():
                _tell(written.setdefault(identity, []), instant, shown.get(identity), values)
            for identity in shown.keys() - state.keys():
                written[identity].append(Event(instant, "delete", {}))
            shown = state
        for kind, key in sorted(written):
            yield Life(kind, key, tuple(written[kind, key]))

    def _instants(self) -> list[int]:
        """When anything may become different."""
        found: set[int] = set()
        for deal in self._deals:
            signed = [at for at in deal.instants if self._signed(deal.at(at))]
            if not signed:
                continue
            for record in (deal, *self._lines.get(deal.key, ())):
                found.update(at for at in record.instants if at >= signed[0])
            found.update(self._activation(deal.key, self._since(deal, at)) for at in signed)
            found.add(signed[0])
        return sorted(instant for instant in found if instant < self.until)

    def _signed(self, values: Mapping[str, Any] | None) -> bool:
        """Won, of an account, and no pilot that is still running."""
        if values is None or values.get("stage") not in self._won or values.get("account") is None:
            return False
        return not values.get("pilot") or values.get("pilot_converted") is not None

    def _since(self, deal: _Past, instant: int) -> int:
        """From when on the deal has been signed as it is at ``instant``."""
        since = instant
        for at, values in zip(deal.instants, deal.states, strict=True):
            if at > instant:
                break
            if not self._signed(values):
                since = instant
            elif since == instant:
                since = at
        return since

    @staticmethod
    def _activation(key: int, since: int) -> int:
        return since + (1 + key % 5) * _HOUR

    def _state(self, instant: int) -> dict[Identity, Values]:
        """Every contract and subscription at an instant."""
        signed = []
        for deal in self._deals:
            values = deal.at(instant)
            if values is not None and self._signed(values):
                start = values.get("start_date") or values.get("pilot_converted") or values["close_date"]
                signed.append((date.fromisoformat(start), self._since(deal, instant), deal.key, values))
        made: list[_Agreement] = []
        for start, since, key, values in sorted(signed, key=lambda each: each[:3]):
            self._agree(made, start, key, values, instant)
            if made and made[-1].key == key:
                self._activate(made[-1], since, instant)
        state: dict[Identity, Values] = {}
        for agreement in made:
            state["contract", agreement.key] = agreement.contract.values
            state.update(
                {("subscription", line): row.values for line, row in agreement.subscriptions.items()}
            )
        return state

    def _activate(self, agreement: _Agreement, since: int, instant: int) -> None:
        values, activation = agreement.contract.values, self._activation(agreement.key, since)
        forgotten = self._flawed and agreement.key % 37 == 5
        if values["term_months"] is not None and activation <= instant and not forgotten:
            values |= {"status": "Activated", "activated": activation}

    def _agree(
        self, made: list[_Agreement], start: date, key: int, deal: Mapping[str, Any], instant: int
    ) -> None:
        """Add what a deal makes, and change what it changes."""
        term = deal["term_months"] if (deal["term_months"] or 0) > 0 else None
        lines = [
            (line.key, values)
            for line in self._lines.get(key, ())
            if (values := line.at(instant)) is not None and values["kind"] != "one_time"
        ]
        worth = sum(_amount(values) for _, values in lines) if lines else deal["amount"] or 0
        if deal["type"] == CHURN and term is not None:
            live = [row for each in made for row in each.rows() if row.live(start)]
            if -worth * 12 // term >= sum(each.contract.annual for each in made if each.contract.live(start)):
                for row in live:
                    row.terminate(start)
                return
        base = _base(made, start) if deal["type"] in (EXPANSION, DOWNGRADE, CHURN) else None
        end = base.contract.end if base else add_months(start, term) if term else start
        contract = _Row(
            {
                "account": deal["account"],
                "deal": key,
                "status": "Draft",
                "value": None if self._flawed and key % 41 == 7 else worth,
                "currency": deal["currency"],
                "start_date": start.isoformat(),
                "end_date": _last(end) if term else None,
                "term_months": term,
                "activated": None,
                "terminated": None,
            },
            start,
            end,
            worth * 12 // term if term else 0,
        )
        agreement = _Agreement(key, contract)
        if term:
            before = made if base is None else [base, *(each for each in made if each is not base)]
            for number, line in lines:
                self._subscribe(agreement, base, number, line, term, before, renews=deal["type"] == RENEWAL)
        made.append(agreement)

    def _subscribe(
        self,
        agreement: _Agreement,
        base: _Agreement | None,
        number: int,
        line: Mapping[str, Any],
        term: int,
        before: Sequence[_Agreement],
        *,
        renews: bool,
    ) -> None:
        """One recurring line as a subscription, and what it means for those that are there."""
        start, end = agreement.contract.start, agreement.contract.end
        annual, quantity = line["unit_price"] * 12 // term, line["quantity"]
        months, days = _stretch(start, end)
        price = line["unit_price"]
        if base is not None:
            price = round(annual * (365 * months + 12 * days) / (365 * 12))
        owned = [
            (key, row)
            for each in before
            for key, row in each.subscriptions.items()
            if row.product == line["product"]
            and (row.live(start) or (renews and start - _EARLY <= row.end <= start + _EARLY))
        ]
        row = _Row(
            {
                "contract": (base or agreement).key,
                "account": agreement.contract.values["account"],
                "product": line["product"],
                "kind": line["kind"],
                "quantity": quantity,
                "unit_price": None if self._flawed and number % 53 == 9 else price,
                "currency": line["currency"],
                "start_date": start.isoformat(),
                "end_date": _last(end),
                "terminated": None,
                "revises": owned[0][0] if owned and (renews or base is not None) else None,
            },
            start,
            end,
            round(annual * quantity),
            line["product"],
        )
        if base is not None and quantity < 0:
            left = sum(each.values["quantity"] for _, each in owned if each.live(start)) + quantity
            if left <= 0:
                for _, each in owned:
                    if each.live(start):
                        each.terminate(start)
        agreement.subscriptions[number] = row


def _tell(events: list[Event], instant: int, before: Values | None, values: Values) -> None:
    """Write down what became different of one record; ``before`` None: it was not there."""
    if not events:
        events.append(Event(instant, "create", dict(values)))
        return
    if before is None:
        events.append(Event(instant, "restore", {}))
    changed = {name: value for name, value in values.items() if before is None or before[name] != value}
    if changed:
        events.append(Event(instant, "set", changed))


def _base(made: Sequence[_Agreement], start: date) -> _Agreement | None:
    """The latest-ending contract that something which starts then runs along with."""
    live = [each for each in made if each.contract.live(start) and each.contract.annual > 0]
    return max(live, key=lambda each: (each.contract.end, -each.key), default=None)


def _amount(line: Mapping[str, Any]) -> int:
    whole: int = round(line["unit_price"] * line["quantity"])
    return whole


def _last(end: date) -> str:
    return (end - timedelta(days=1)).isoformat()


def _stretch(start: date, end: date) -> tuple[int, int]:
    """Whole calendar months from one day to another, and the days over."""
    months = max(0, (end.year - start.year) * 12 + end.month - start.month)
    if months and add_months(start, months) > end:
        months -= 1
    return months, max(0, (end - add_months(start, months)).days)
