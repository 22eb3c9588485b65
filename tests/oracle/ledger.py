"""The subscription ledger, contract by contract (R3 to R8, rulings 5 to 14)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from tests.oracle import agreements
from tests.oracle.record import Record, Truth, add_months, day

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
    term: int | None = None
    key: str = ""
    natural_end: date = field(default=NEVER)  # before anything else of the customer came in its way
    cut: date = NEVER  # where another deal ended it
    due: date = NEVER  # when it was up for renewal, the first time where it renews by itself
    renews_itself: bool = False
    goes_on: bool = False  # under a renewal
    total: bool = False  # states all that the customer has

    def up_between(self, opening: date, on: date) -> bool:
        """Whether its term came to an end by a day; one that renews by itself ends term by term, one of which must lie
        after the opening."""
        if not self.renews_itself or not self.term:
            return self.due <= on
        end, count = self.due, 0
        while end <= opening:
            count += 1
            end = add_months(self.due, count * self.term)
        return end <= on

    @property
    def base(self) -> bool:
        return self.type in ("new", "renewal")

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


def recurring(truth: Truth, line: Record) -> bool:
    """Whether a line is part of ARR (R3)."""
    kind = re.sub(r"[\s-]+", "_", (line["kind"] or "").strip().lower())
    committed = kind == "committed_usage" and not truth.ways["arr.committed_usage"]
    return kind not in ("one_time", "services", "usage") and not committed


def _kind(line: Record) -> str | None:
    """Seats and modules are told apart; of everything else nobody knows what it is a rise of."""
    return line["kind"] if line["kind"] in ("seat", "module") else None


def annual(truth: Truth, amount: int, months: int) -> int:
    """An amount as ARR: a total over its months, a month's, or a year's as it stands (R3)."""
    basis = truth.ways["arr.basis"]
    return (
        round(Fraction(amount * 12, months)) if basis == "tcv" else amount * 12 if basis == "mrr" else amount
    )


def rows_of_lines(truth: Truth, deal: Record) -> list[Row] | None:
    """The recurring lines of a won deal, each a total over the deal's term; amount and ARR field play no part."""
    term = deal["term_months"]
    lines = [
        line
        for line in truth.lines.get(deal.key, [])
        if recurring(truth, line) and line["amount"] is not None
    ]
    if (term or 0) < 0 or not lines or (not term and truth.ways["arr.basis"] == "tcv"):
        return None
    return [
        Row(annual(truth, line["amount"], term or 12), line["product"], _kind(line), line["quantity"] or 0)
        for line in lines
    ]


def rows_of(truth: Truth, deal: Record) -> list[Row] | None:
    """The ARR rows of a won deal (ruling 7); None when it brings none. What is paid for a pilot is none (R8)."""
    if truth.unconverted(deal, truth.today) and truth.outcome(deal)[0] == "won":
        return None
    if truth.ways["arr.source"] == "line_items":
        return rows_of_lines(truth, deal)
    term = deal["term_months"]
    if term is not None and term < 0:
        return None
    tcv = truth.ways["arr.basis"] == "tcv"
    lines = truth.lines.get(deal.key, [])
    once = sum(line["amount"] or 0 for line in lines if not recurring(truth, line)) if tcv else 0
    if deal["arr"] is not None:
        total = deal["arr"]
        months = term or 12
    elif deal["amount"] is not None and (term or not tcv):
        months = term or 12
        total = annual(truth, deal["amount"] - once, months)
    else:
        return None
    rows = []
    for line in lines:
        if recurring(truth, line):
            of_line = annual(truth, line["amount"] or 0, months)
            rows.append(Row(of_line, line["product"], _kind(line), line["quantity"] or 0))
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
        self.grace = timedelta(days=truth.ways["arr.grace_days"])
        self.contracts: dict[int, list[Contract]] = {}
        churns: dict[int, list[Contract]] = {}
        open_renewals: set[int] = set()
        self.lost: dict[int, list[date]] = {}
        for deal in truth.live("deal"):
            kind = truth.type_of(deal)
            customer = truth.customer(deal["account"])
            if kind is None or customer is None:
                continue
            outcome, closed = truth.outcome(deal)
            if outcome == "open" and kind == "renewal":
                open_renewals.add(customer)
            if outcome == "lost" and kind == "renewal" and closed is not None:
                self.lost.setdefault(customer, []).append(closed)
            if outcome != "won" or closed is None:
                continue
            rows = rows_of_lines(truth, deal) if source == "line_items" else rows_of(truth, deal)
            start = day(deal["start_date"]) if deal["start_date"] else closed
            if (
                rows is None
                or source not in ("field", "line_items")
                or (deals_from is not None and start < deals_from)
            ):
                continue
            term = deal["term_months"] or 12
            end = add_months(start, term)
            contract = Contract(
                customer, kind, deal["currency"], closed, start, end, rows, end, term=term, key=f"{deal.key}"
            )
            if truth.ways["arr.expansion"] == "total":
                contract.total = kind == "expansion" or (kind == "contraction" and contract.arr >= 0)
            into = churns if kind == "churn" else self.contracts
            into.setdefault(customer, []).append(contract)
        for contract in self._of_list(listed):
            if deals_from is None or contract.start < deals_from:
                self.contracts.setdefault(contract.customer, []).append(contract)
        for kept in self._kept(source):
            self.contracts.setdefault(kept.customer, []).append(kept)
        for customer in {*self.contracts, *churns}:
            self._settle(customer, churns.get(customer, []), customer in open_renewals)

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
        for contract in contracts:
            contract.natural_end = contract.own_end
        renewals = [c for c in contracts if c.type == "renewal"]
        for renewal in sorted(renewals, key=lambda c: c.start):  # ruling 10
            latest = renewal.start + timedelta(days=3)
            for contract in contracts:
                forever = contract.own_end == NEVER
                if contract.start < renewal.start < contract.own_end and (
                    forever or contract.own_end <= latest
                ):
                    contract.own_end = renewal.start
        self._run([*contracts, *churns])
        for contract in (*contracts, *churns):
            contract.due = contract.end
        if self.truth.ways["arr.auto_renew"]:
            self._prolong(customer, contracts)
        self._take_turns(contracts, churns)
        self._bridge_gaps(contracts)
        if contracts and renewal_open:  # ruling 13
            last = max(c.end for c in contracts)
            if last <= self.truth.today < last + self.grace:
                for contract in contracts:
                    ended = contract.cut == last or (contract.terminated and contract.own_end == last)
                    if contract.end == last and not ended:
                        contract.end = last + self.grace

    @staticmethod
    def _run(contracts: list[Contract]) -> None:
        """Ruling 9: a change runs along with the latest-ending new or renewal contract live on its start."""
        for contract in contracts:
            if contract.base:
                contract.end = min(contract.own_end, contract.cut)
        for contract in contracts:
            if not contract.base:
                ends = [c.end for c in contracts if c.base and c.live(contract.start)]
                contract.end = min(max(ends, default=contract.own_end), contract.cut)

    def _prolong(self, customer: int, contracts: list[Contract]) -> None:
        """R5: a contract that no renewal replaced goes on term by term, until the next one, or a renewal that is
        lost."""
        bases = [c for c in contracts if c.base]
        for contract in bases:
            replaced = contract.own_end != contract.natural_end
            if not contract.term or replaced or contract.own_end > self.truth.today:
                continue
            stops = [c.start for c in bases if c.start >= contract.natural_end]
            lost = [on for on in self.lost.get(customer, ()) if on > contract.start]
            if lost:
                stops.append(_term_end(contract, min(lost) - self.grace))
            until = min([*stops, _term_end(contract, self.truth.today + timedelta(days=1))])
            contract.renews_itself = until > contract.own_end
            contract.own_end = until
        self._run(contracts)

    def _take_turns(self, contracts: list[Contract], churns: list[Contract]) -> None:
        """What depends on what is live: on one day renewals that only add, then totals, then churn (ruling 11)."""
        adds = self.truth.ways["arr.renewal"] == "delta"
        turns = [(c.start, 0, c.signed, c.key, c) for c in contracts if adds and c.type == "renewal"]
        turns += [(c.start, 1, c.signed, c.key, c) for c in contracts if c.total]
        turns += [(c.start, 2, c.signed, c.key, c) for c in churns]
        waiting = sorted(turns, key=lambda turn: turn[:4])
        while waiting:
            _, rank, _, _, mine = waiting.pop(0)
            later = [turn[4] for turn in waiting]
            settled = [c for c in contracts if c is not mine and not any(c is one for one in later)]
            if rank == 0:
                self._continue(contracts, settled, mine)
            elif rank == 1:
                self._replace(settled, mine)
            else:
                self._churn(contracts, settled, mine)
            self._run(contracts)

    def _continue(self, contracts: list[Contract], settled: list[Contract], renewal: Contract) -> None:
        """What expires goes on for the renewal's term: what ended within the grace before it, else what ended last."""
        over = [c for c in settled if c.start < c.end and c.start < renewal.start and c.end <= renewal.start]
        last = max((c.end for c in over), default=None)
        for contract in over:
            recent = contract.end == last or contract.end >= renewal.start - self.grace
            if recent and not contract.goes_on and contract.cut != contract.end:
                contract.goes_on = True
                contracts.append(
                    Contract(
                        *(contract.customer, "renewal", contract.currency, renewal.signed, renewal.start),
                        *(renewal.own_end, contract.rows, renewal.own_end),
                        term=renewal.term,
                        key=f"{contract.key} under {renewal.key}",
                        due=renewal.own_end,
                    )
                )

    @staticmethod
    def _replace(settled: list[Contract], total: Contract) -> None:
        live = [c for c in settled if c.live(total.start)]
        total.own_end = max((c.end for c in live if c.base or c.total), default=total.own_end)
        for contract in live:
            contract.cut, contract.ended_by = total.start, total.signed

    def _churn(self, contracts: list[Contract], settled: list[Contract], churn: Contract) -> None:
        """Ruling 11: a churn deal of at least the live ARR ends it all, a smaller one is a contraction."""
        live = [c for c in settled if c.live(churn.start)]
        at_stake = sum(self.home(c, churn.start) for c in live)
        if not live or -self.home(churn, churn.start) >= at_stake:
            for contract in live:
                contract.cut, contract.ended_by = churn.start, churn.signed
        else:
            contracts.append(churn)

    def _bridge_gaps(self, contracts: list[Contract]) -> None:
        """Ruling 12: nothing live from e on, and a new or renewal contract starts within the grace."""
        starts = sorted(c.start for c in contracts if c.base)
        for end in sorted({c.end for c in contracts}):
            if any(c.live(end) for c in contracts):
                continue
            following = [s for s in starts if s > end]
            if following and following[0] <= end + self.grace:
                for contract in contracts:
                    if contract.end == end and contract.start < end:
                        contract.end = following[0]

    def home(self, contract: Contract, on: date) -> int:
        return sum(self.truth.home(row.arr, contract.currency, on) for row in contract.rows)


def _term_end(contract: Contract, day: date) -> date:
    """The first end of a contract's terms from a day on."""
    assert contract.term
    count = 1
    while (end := add_months(contract.start, count * contract.term)) < day:
        count += 1
    return end


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
