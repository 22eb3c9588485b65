"""ARR, its bridge, NRR, GRR and logo churn, customer by customer (R3 to R13, rulings 5 to 17)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import date, timedelta
from fractions import Fraction
from itertools import pairwise

from tests.oracle import agreements
from tests.oracle.record import Record, Truth, add_months, day, last_day, shift

GRACE = timedelta(days=30)
NEVER = date.max
MOVES = (
    "new_logo", "expansion_seat", "expansion_module", "expansion_other", "reactivation", "contraction", "churn",
)  # fmt: skip


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


@dataclass
class Owned:
    """One product of one customer on one day."""

    arr: int = 0
    quantity: float = 0
    kind: str | None = None
    counted: bool = True


class Revenue:
    """The subscription ledger of one company as known at the truth's moment.

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
        self.signed_later: list[Contract] = []
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

    # --- numbers --------------------------------------------------------------------------------------

    def home(self, contract: Contract, on: date) -> int:
        return sum(self.truth.home(row.arr, contract.currency, on) for row in contract.rows)

    def by_customer(self, on: date, rates_of: date) -> dict[int, int]:
        """Customer -> ARR live on a day, at another day's rates."""
        arr = {}
        for customer, contracts in self.contracts.items():
            total = sum(self.home(c, rates_of) for c in contracts if c.live(on))
            if total:
                arr[customer] = total
        return arr

    def arr(self, month: str) -> int:
        on = self.truth.day_of(month)
        return sum(self.by_customer(on, on).values())

    def carr(self, month: str) -> int:
        """Ruling 14: what is signed comes in, what a signed renewal replaces or a signed churn ends goes out."""
        on = self.truth.day_of(month)
        total = self.arr(month)
        for contracts in self.contracts.values():
            for contract in contracts:
                renewed = min(
                    (c.signed for c in contracts if c.type == "renewal" and c.start == contract.end),
                    default=NEVER,
                )
                if contract.signed <= on < contract.start < contract.end:
                    total += self.home(contract, on)
                if min(renewed, contract.ended_by) <= on < contract.end and contract.live(on):
                    total -= self.home(contract, on)
        return total

    def bridge(self, month: str) -> dict[str, int]:
        """Ruling 15, at the constant rate of the month's D; ``fx`` is the opening's."""
        on, before = self.truth.day_of(month), last_day(shift(month, -1))
        opening, closing = self.by_customer(before, on), self.by_customer(on, on)
        moves = dict.fromkeys(MOVES, 0)
        for each in self.moves(before, on, on).values():
            for name, amount in each.items():
                moves[name] += amount
        own = sum(self.by_customer(before, before).values())
        total = sum(opening.values())
        return {"opening": own, "fx": total - own, **moves, "closing": sum(closing.values())}

    def moves(self, before: date, on: date, rates_of: date) -> dict[int, dict[str, int]]:
        """What moved between two days, customer by customer, at the rates of a third."""
        opening, closing = self.by_customer(before, rates_of), self.by_customer(on, rates_of)
        found = {}
        for customer in {*opening, *closing}:
            moves = found[customer] = dict.fromkeys(MOVES, 0)
            was, now = opening.get(customer, 0), closing.get(customer, 0)
            if not was:
                moves["reactivation" if self.ever(customer, before) else "new_logo"] += now
            elif not now:
                moves["churn"] -= was
            else:
                self._split(customer, before, on, rates_of, moves)
        return found

    def ever(self, customer: int, until: date) -> bool:
        """Whether the customer had ARR on any day up to one; it can only rise on a day when a contract starts."""
        contracts = self.contracts[customer]
        days = {c.start for c in contracts if c.start <= until}
        return any(sum(self.home(c, day) for c in contracts if c.live(day)) > 0 for day in days)

    def _split(self, customer: int, before: date, on: date, rates_of: date, moves: dict[str, int]) -> None:
        was, now = (self._products(customer, day, rates_of) for day in (before, on))
        fresh = self._products(customer, on, rates_of, since=before)
        for product in {*was, *now}:
            old, new = was.get(product, Owned()), now.get(product, Owned())
            net = new.arr - old.arr
            if net < 0:
                moves["contraction"] += net
            elif net > 0:
                explained = 0
                if product is not None and new.kind in ("seat", "module"):
                    added = Fraction(new.quantity) - Fraction(old.quantity)
                    priced = fresh.get(product, new)  # the new unit price is that of what came since
                    if product not in was:
                        explained = net
                    elif old.counted and added > 0 and priced.quantity > 0:
                        explained = round(added * priced.arr / Fraction(priced.quantity))
                    moves[f"expansion_{new.kind}"] += explained
                moves["expansion_other"] += net - explained

    def _products(
        self, customer: int, on: date, rates_of: date, since: date | None = None
    ) -> dict[int | None, Owned]:
        """What a customer owns on a day, product by product; with ``since`` only what started after it."""
        products: dict[int | None, Owned] = {}
        for contract in self.contracts[customer]:
            if contract.live(on) and (since is None or contract.start > since):
                for row in contract.rows:
                    owned = products.setdefault(row.product, Owned())
                    owned.arr += self.truth.home(row.arr, contract.currency, rates_of)
                    owned.quantity += row.quantity or 0
                    owned.counted &= row.quantity is not None
                    owned.kind = owned.kind or row.kind
        return products

    def retention(self, month: str) -> dict[str, float | int | None]:
        """NRR, GRR and logo churn of the customers live a year before (ruling 17)."""
        on, then = self.truth.day_of(month), last_day(shift(month, -12))
        cohort = {c: arr for c, arr in self.by_customer(then, on).items() if arr > 0}
        today = self.by_customer(on, on)
        base = sum(cohort.values())
        if not base:
            return {"nrr": None, "grr": None, "logo_churn": None, "n": 0}
        kept = {customer: today.get(customer, 0) for customer in cohort}
        return {
            "nrr": sum(kept.values()) / base,
            "grr": sum(min(kept[c], cohort[c]) for c in cohort) / base,
            "logo_churn": sum(1 for arr in kept.values() if arr <= 0) / len(cohort),
            "n": len(cohort),
        }

    def retention_otherwise(self, month: str, months: int) -> dict[str, float | None]:
        """The other ways of section 2: the cohort over so many months, and flows of their movements at D's rates."""
        on, then = self.truth.day_of(month), last_day(shift(month, -months))
        was, today = self.by_customer(then, on), self.by_customer(on, on)
        cohort = {customer: arr for customer, arr in was.items() if arr > 0}
        base = sum(cohort.values())
        if not base:
            return dict.fromkeys(("cohort", "min", "point", "flow", "back", "gross", "event"))
        sums, left = dict.fromkeys(MOVES, 0), 0
        for back in range(months):
            within = shift(month, -back)
            moved = self.moves(last_day(shift(within, -1)), min(last_day(within), on), on)
            for customer, each in moved.items():
                left += customer in cohort and each["churn"] < 0
                for name, amount in each.items():
                    sums[name] += amount
        lost = sums["contraction"] + sums["churn"]
        gained = sum(amount for name, amount in sums.items() if name.startswith("expansion"))
        return {
            "cohort": sum(today.get(customer, 0) for customer in cohort) / base,
            "min": sum(min(today.get(customer, 0), arr) for customer, arr in cohort.items()) / base,
            "point": sum(1 for customer in cohort if today.get(customer, 0) <= 0) / len(cohort),
            "flow": (base + gained + lost) / base,
            "back": (base + gained + lost + sums["reactivation"]) / base,
            "gross": (base + lost) / base,
            "event": left / len(cohort),
        }

    def growth(self, month: str, months: int) -> float | None:
        """ARR growth over so many months, both ends at D's rate."""
        on = self.truth.day_of(month)
        now = sum(self.by_customer(on, on).values())
        then = sum(self.by_customer(last_day(shift(month, -months)), on).values())
        return (now - then) / then if then > 0 else None


def opening_list(truth: Truth, until: date | None = None) -> list[Listed]:
    """A list as somebody would keep it: per customer and product what it came to, from change to change.

    ``until``: what had begun by then, each last one to its contract's own end; every seventh of those has no end at
    all. What a list cannot hold is left out: negative levels, and two currencies of one product from one day on.
    """
    revenue = Revenue(truth)
    names = {product.key: product["name"] for product in truth.all("product")}
    found: dict[tuple[int, str, date], Listed] = {}
    for customer, contracts in sorted(revenue.contracts.items()):
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
