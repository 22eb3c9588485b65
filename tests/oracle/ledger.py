"""The subscription ledger, contract by contract (R3 to R8, rulings 5 to 14)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from tests.oracle import agreements
from tests.oracle.record import Record, Truth, add_months, day

GRACE = timedelta(days=30)
NEVER = date.max


@dataclass
class Row:
    """One row of ARR: a recurring line item, or what the lines do not explain."""

    arr: int  # minor units of the contract's currency
    product: int | None
    kind: str | None
    quantity: float | None  # None: nobody knows, as in a list


@dataclass
class Contract:
    customer: int
    type: str
    currency: str
    signed: date
    start: date
    end: date
    rows: list[Row]
    own_end: date = field(default=NEVER)
    ended_by: date = NEVER  # when the churn deal that ends it was signed
    terminated: bool = False  # its own end came before its time

    @property
    def arr(self) -> int:
        return sum(row.arr for row in self.rows)

    def live(self, on: date) -> bool:
        return self.start <= on < self.end


@dataclass(frozen=True)
class Listed:
    """One row of an opening list; ``end`` None: it goes on."""

    customer: int
    product: str
    arr: int
    currency: str
    start: date
    end: date | None


def rows_of_lines(truth: Truth, deal: Record) -> list[Row] | None:
    """The recurring lines of a won deal, each a total over the deal's term; amount and ARR field play no part."""
    term = deal["term_months"]
    recurring = [
        line
        for line in truth.lines.get(deal.key, [])
        if line["kind"] != "one_time" and line["amount"] is not None
    ]
    if not term or term < 0 or not recurring:
        return None
    return [
        Row(round(Fraction(line["amount"] * 12, term)), line["product"], line["kind"], line["quantity"] or 0)
        for line in recurring
    ]


def rows_of(truth: Truth, deal: Record) -> list[Row] | None:
    """The ARR rows of a won deal (ruling 7); None when it brings none."""
    term = deal["term_months"]
    if term is not None and term < 0:
        return None
    lines = truth.lines.get(deal.key, [])
    one_time = sum(line["amount"] or 0 for line in lines if line["kind"] == "one_time")
    if deal["arr"] is not None:
        total = deal["arr"]
        months = term or 12
    elif deal["amount"] is not None and term:
        months = term
        total = round(Fraction((deal["amount"] - one_time) * 12, months))
    else:
        return None
    rows = []
    for line in lines:
        if line["kind"] != "one_time":
            annual = round(Fraction((line["amount"] or 0) * 12, months))
            rows.append(Row(annual, line["product"], line["kind"], line["quantity"] or 0))
    rest = total - sum(row.arr for row in rows)
    if rest or not rows:
        rows.append(Row(rest, None, None, 0))
    return rows


class Ledger:
    """All contracts of one company as known at the truth's moment.

    ``source``: field, line_items, opening_arr (``listed`` alone), contract or cpq (the CRM's own contracts, or their
    subscriptions). ``deals_from``: contracts that start before that day come from ``listed``, the others from deals.
    """

    def __init__(
        self,
        truth: Truth,
        source: str = "field",
        listed: Iterable[Listed] = (),
        deals_from: date | None = None,
    ) -> None:
        self.truth = truth
        read = rows_of_lines if source == "line_items" else rows_of
        self.contracts: dict[int, list[Contract]] = {}
        churns: list[Contract] = []
        open_renewals: set[int] = set()
        for deal in truth.live("deal"):
            kind = truth.type_of(deal)
            customer = truth.customer(deal["account"])
            if kind is None or customer is None:
                continue
            outcome, closed = truth.outcome(deal)
            if outcome == "open" and kind == "renewal":
                open_renewals.add(customer)
            if outcome != "won" or closed is None:
                continue
            rows = read(truth, deal)
            start = day(deal["start_date"]) if deal["start_date"] else closed
            if (
                rows is None
                or source not in ("field", "line_items")
                or (deals_from is not None and start < deals_from)
            ):
                continue
            end = add_months(start, deal["term_months"] or 12)
            contract = Contract(customer, kind, deal["currency"], closed, start, end, rows, end)
            if kind == "churn":
                churns.append(contract)
            else:
                self.contracts.setdefault(customer, []).append(contract)
        for contract in self._of_list(listed):
            if deals_from is None or contract.start < deals_from:
                self.contracts.setdefault(contract.customer, []).append(contract)
        for kept in self._kept(source):
            self.contracts.setdefault(kept.customer, []).append(kept)
        for customer in {*self.contracts, *(churn.customer for churn in churns)}:
            self._settle(
                customer,
                [churn for churn in churns if churn.customer == customer],
                customer in open_renewals,
            )

    def _of_list(self, listed: Iterable[Listed]) -> Iterator[Contract]:
        """Signed on its start, or on the day it is known where that is earlier."""
        named = {product["name"].lower(): product.key for product in self.truth.all("product")}
        kinds = {product.key: product["kind"] for product in self.truth.all("product")}
        for row in listed:
            product = named.get(row.product.lower())
            made_of = Row(row.arr, product, kinds.get(product) if product else None, None)
            signed = min(row.start, self.truth.today)
            end = row.end or NEVER
            yield Contract(row.customer, "new", row.currency, signed, row.start, end, [made_of], end)

    def _kept(self, source: str) -> Iterator[Contract]:
        """The contracts of the CRM's own; what was terminated before it began never was one."""
        for kept in agreements.kept(self.truth, source):
            end = min(kept.end, kept.terminated or NEVER)
            row = Row(kept.arr, kept.product, kept.kind, kept.quantity)
            if kept.start < end:
                yield Contract(
                    *(kept.customer, kept.type, kept.currency, kept.signed, kept.start, end, [row], end),
                    terminated=kept.terminated is not None,
                )

    def _settle(self, customer: int, churns: list[Contract], renewal_open: bool) -> None:
        contracts = self.contracts.setdefault(customer, [])
        bases = [c for c in contracts if c.type in ("new", "renewal")]
        for contract in contracts:  # ruling 9
            if contract.type in ("expansion", "contraction"):
                contract.end = self._base_end(bases, contract)
        for renewal in sorted(
            (c for c in contracts if c.type == "renewal"), key=lambda c: c.start
        ):  # ruling 10
            latest = renewal.start + timedelta(days=3)
            for contract in contracts:
                forever = contract.end == NEVER
                if contract.start < renewal.start < contract.end and (forever or contract.end <= latest):
                    contract.end = renewal.start
        self._churn(contracts, bases, churns)
        self._bridge_gaps(contracts)
        if contracts and renewal_open:  # ruling 13
            last = max(c.end for c in contracts)
            if last <= self.truth.today < last + GRACE:
                for contract in contracts:
                    if contract.end == last and not (contract.terminated and contract.own_end == last):
                        contract.end = last + GRACE

    def _churn(self, contracts: list[Contract], bases: list[Contract], churns: list[Contract]) -> None:
        """Ruling 11: a churn deal of at least the live ARR ends it all, a smaller one is a contraction."""
        for churn in sorted(churns, key=lambda c: c.start):
            live = [c for c in contracts if c.live(churn.start)]
            if not live:
                continue
            at_stake = sum(self.home(c, churn.start) for c in live)
            if -self.home(churn, churn.start) >= at_stake:
                for contract in live:
                    contract.end = churn.start
                    contract.ended_by = churn.signed
            else:
                churn.end = self._base_end(bases, churn)
                contracts.append(churn)

    @staticmethod
    def _base_end(bases: list[Contract], contract: Contract) -> date:
        return max((b.end for b in bases if b.live(contract.start)), default=contract.own_end)

    @staticmethod
    def _bridge_gaps(contracts: list[Contract]) -> None:
        """Ruling 12: nothing live from e on, and a new or renewal contract starts within the grace."""
        starts = sorted(c.start for c in contracts if c.type in ("new", "renewal"))
        for end in sorted({c.end for c in contracts}):
            if any(c.live(end) for c in contracts):
                continue
            following = [s for s in starts if s > end]
            if following and following[0] <= end + GRACE:
                for contract in contracts:
                    if contract.end == end and contract.start < end:
                        contract.end = following[0]

    def home(self, contract: Contract, on: date) -> int:
        return sum(self.truth.home(row.arr, contract.currency, on) for row in contract.rows)


def opening_list(truth: Truth, until: date | None = None) -> list[Listed]:
    """A list as somebody would keep it: per customer and product what it came to, from change to change.

    ``until``: what had begun by then, each last one to its contract's own end; every seventh of those has no end at
    all. What a list cannot hold is left out: negative levels, and two currencies of one product from one day on.
    """
    ledger = Ledger(truth)
    names = {product.key: product["name"] for product in truth.all("product")}
    found: dict[tuple[int, str, date], Listed] = {}
    for customer, contracts in sorted(ledger.contracts.items()):
        levels: dict[tuple[int | None, str], list[tuple[date, date, int]]] = {}
        for contract in contracts:
            if truth.records["account"][customer].gone or (until is not None and contract.start >= until):
                continue
            end = contract.end if until is None else max(contract.own_end, contract.start)
            for row in contract.rows:
                levels.setdefault((row.product, contract.currency), []).append((contract.start, end, row.arr))
        for (product, currency), spans in levels.items():
            edges = sorted({edge for start, end, _ in spans for edge in (start, end)})
            for n, (start, end) in enumerate(pairwise(edges)):
                level = sum(arr for since, to, arr in spans if since <= start < to)
                if level <= 0 or (until is not None and start >= until):
                    continue
                name = names[product] if product is not None else ""
                last = until is not None and end >= until
                close = None if last and (customer + n) % 7 == 0 else end
                found.setdefault(
                    (customer, name, start), Listed(customer, name, level, currency, start, close)
                )
    return list(found.values())
