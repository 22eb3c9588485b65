"""ARR, its bridge, NRR, GRR and logo churn, customer by customer (R9 to R13, rulings 5, 6, 14 to 17)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from fractions import Fraction
from functools import cached_property

from tests.oracle.ledger import NEVER, Ledger
from tests.oracle.record import last_day, shift

MOVES = (
    "new_logo", "expansion_seat", "expansion_module", "expansion_other", "reactivation", "contraction", "churn",
)  # fmt: skip


@dataclass
class Owned:
    """One product of one customer on one day."""

    arr: int = 0
    quantity: float = 0
    kind: str | None = None
    counted: bool = True


@dataclass
class Position:
    """What a customer has of a product at the D of a month and had before, all at the rates of D."""

    customer: int
    product: int | None
    now: int = 0
    prev: int = 0
    year: int = 0
    pending: int = 0  # what CARR adds
    live: bool = False  # something of it is live at D, be it nothing worth
    waits: bool = False  # something of it is pending
    only_pending: bool = False
    moves: dict[str, int] = field(default_factory=lambda: dict.fromkeys(MOVES, 0))


def _split(
    product: int | None,
    old: Owned | None,
    new: Owned,
    fresh: Owned | None,
    moves: dict[str, int],
    price: str,
) -> None:
    """Ruling 15, of a product of a customer who stays; the generator has no ramps, so nothing was contracted before."""
    net = new.arr - (old.arr if old else 0)
    if net < 0:
        moves["contraction"] += net
    elif net > 0:
        explained = 0
        if product is not None and new.kind in ("seat", "module"):
            priced = fresh or new  # the new unit price is that of what came since
            if old is None:
                explained = net
            else:
                added = Fraction(new.quantity) - Fraction(old.quantity)
                if old.counted and added > 0 and priced.quantity > 0:
                    explained = round(added * priced.arr / Fraction(priced.quantity))
            if price == "kind":
                explained = net
            moves[f"expansion_{new.kind}"] += explained
        moves["expansion_other"] += net - explained


class Revenue(Ledger):
    """What the contracts of a company come to; its arguments are those of ``Ledger``."""

    @cached_property
    def _positions(self) -> dict[str, list[Position]]:
        """By month, filled as it is asked for."""
        return {}

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
        on = self.truth.day_of(month)
        return self.arr(month) + sum(amount for _, _, amount in self.pending(on))

    def pending(self, on: date) -> Iterator[tuple[int, int | None, int]]:
        """Ruling 14: what is signed comes in, what a signed renewal replaces or a signed churn ends goes out."""
        for customer, contracts in self.contracts.items():
            for contract in contracts:
                renewed = min(
                    (c.signed for c in contracts if c.type == "renewal" and c.start == contract.end),
                    default=NEVER,
                )
                coming = contract.signed <= on < contract.start < contract.end
                left = min(renewed, contract.ended_by) <= on < contract.end
                effect = coming - (left and (coming or contract.live(on)))
                if effect:
                    for row in contract.rows:
                        value = self.truth.home(row.arr, contract.currency, on)
                        yield customer, row.product, effect * value

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
        found: dict[int, dict[str, int]] = {}
        for (customer, _), moves in self.product_moves(before, on, rates_of).items():
            sums = found.setdefault(customer, dict.fromkeys(MOVES, 0))
            for name, amount in moves.items():
                sums[name] += amount
        return found

    def product_moves(
        self, before: date, on: date, rates_of: date
    ) -> dict[tuple[int, int | None], dict[str, int]]:
        """The same by customer and product: one that comes or goes does so with all that it has."""
        found: dict[tuple[int, int | None], dict[str, int]] = {}
        for customer in self.contracts:
            was, now = (self._products(customer, at, rates_of) for at in (before, on))
            opening, closing = (sum(owned.arr for owned in products.values()) for products in (was, now))
            fresh = self._products(customer, on, rates_of, since=before) if opening and closing else {}
            for product in {*was, *now}:
                moves = found[customer, product] = dict.fromkeys(MOVES, 0)
                old, new = was.get(product), now.get(product)
                net = (new.arr if new else 0) - (old.arr if old else 0)
                if not opening:
                    moves["reactivation" if self.ever(customer, before) else "new_logo"] += net
                elif not closing:
                    moves["churn"] += net
                else:
                    price = self.truth.ways["arr.price"]
                    _split(product, old, new or Owned(), fresh.get(product), moves, price)
        return found

    def ever(self, customer: int, until: date) -> bool:
        """Whether the customer had ARR on any day up to one; it can only rise on a day when a contract starts."""
        contracts = self.contracts[customer]
        days = {c.start for c in contracts if c.start <= until}
        return any(sum(self.home(c, day) for c in contracts if c.live(day)) > 0 for day in days)

    def positions(self, month: str) -> list[Position]:
        """Who had what at the month's D, the month-end before, or a year before."""
        if month not in self._positions:
            self._positions[month] = self._place(month)
        return self._positions[month]

    def _place(self, month: str) -> list[Position]:
        on, before, year = self.truth.day_of(month), last_day(shift(month, -1)), last_day(shift(month, -12))
        found: dict[tuple[int, int | None], Position] = {}
        for customer in self.contracts:
            for name, at in (("now", on), ("prev", before), ("year", year)):
                for product, owned in self._products(customer, at, on).items():
                    place = found.setdefault((customer, product), Position(customer, product))
                    setattr(place, name, owned.arr)
                    place.live |= name == "now"
        for customer, product, amount in self.pending(on):
            place = found.setdefault((customer, product), Position(customer, product, only_pending=True))
            place.pending, place.waits = place.pending + amount, True
        for key, moves in self.product_moves(before, on, on).items():
            found[key].moves = moves
        return list(found.values())

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

    def up_for_renewal(self, opening: date, on: date) -> dict[int, tuple[int, int]]:
        """Customer -> ARR of the opening whose term ended by a day, and what became of it: all ARR then, without what
        of the opening was not up (R13, a second view)."""
        found = {}
        for customer, contracts in self.contracts.items():
            there = [contract for contract in contracts if contract.live(opening)]
            up = [contract for contract in there if contract.up_between(opening, on)]
            locked = [contract for contract in there if not contract.up_between(opening, on)]
            now = [c for c in contracts if c.live(on) and not any(c is one for one in locked)]
            if up:
                found[customer] = (
                    sum(self.home(contract, on) for contract in up),
                    sum(self.home(contract, on) for contract in now),
                )
        return found

    def points(self, month: str, months: int, how: str) -> tuple[int, dict[str, float]]:
        """The opening, and what each kind of movement since makes of it (section 2: points that sum to NRR - 100)."""
        on, then = self.truth.day_of(month), last_day(shift(month, -months))
        cohort = {customer: arr for customer, arr in self.by_customer(then, on).items() if arr > 0}
        sums = dict.fromkeys(MOVES, 0)
        for back in range(months):
            within = shift(month, -back)
            moved = self.moves(last_day(shift(within, -1)), min(last_day(within), on), on)
            for customer, each in moved.items():
                if how != "cohort" or customer in cohort:
                    for name, amount in each.items():
                        sums[name] += amount
        # Whoever had ARR at the opening cannot be new: it came back.
        back_again = sums["reactivation"] + (sums["new_logo"] if how == "cohort" else 0)
        base = sum(cohort.values())
        parts = {name.removeprefix("expansion_"): sums[name] for name in MOVES if name != "new_logo"}
        parts["reactivation"] = 0 if how == "flow" else back_again
        return base, {name: amount / base for name, amount in parts.items()}

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
