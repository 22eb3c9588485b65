"""The KPIs of recurring revenue, customer by customer and product by product (section 2, rulings 5, 14 to 17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.oracle.number import Cell, Figure, Number, by_customer, ratio
from tests.oracle.record import last_day, shift
from tests.oracle.revenue import MOVES, Position, Revenue
from tests.oracle.segments import CUTS, DEAL_CUTS, UNKNOWN, Segments

Rows = Callable[[str], Sequence[Position]]
LOSSES = ("contraction", "churn")  # printed as positive amounts


@dataclass
class Kept:
    """A customer at the opening, and since: ARR then, and what of it counts."""

    customer: int
    then: int
    part: int


def numbers(revenue: Revenue, of: Segments) -> dict[str, Number]:
    """All of them by id. Retention compares customers, so it has no cut by product."""
    names = {product.key: product["name"] for product in revenue.truth.all("product")}

    def segment(cut: str, row: Position) -> str:
        if cut == "product":
            return names[row.product] if row.product is not None else UNKNOWN
        return of.customer(cut, row.customer)

    def number(rows: Rows, figure: Callable[[Cell], Figure]) -> Number:
        return Number(rows, segment, figure, CUTS)

    def live(month: str) -> list[Position]:
        return [row for row in revenue.positions(month) if row.live]

    def contracted(month: str) -> list[Position]:
        return [row for row in revenue.positions(month) if row.live or row.waits]

    def seen(month: str) -> list[Position]:
        return [row for row in revenue.positions(month) if not row.only_pending]

    def retained(kpi: str) -> Number:
        """Of logo churn customers are counted, of the others money."""
        return Number(
            partial(_kept, revenue, kpi),
            lambda cut, row: of.customer(cut, row.customer),
            _of_customers if kpi == "logo_churn" else _of_money,
            DEAL_CUTS,
        )

    return {
        "arr": number(live, lambda cell: _stock(cell, lambda row: row.now)),
        "carr": number(contracted, lambda cell: _stock(cell, lambda row: row.now + row.pending)),
        **{f"arr_{name}": number(seen, partial(_movement, name)) for name in MOVES},
        "arr_growth_mom": number(seen, lambda cell: _growth(cell, lambda row: row.prev)),
        "arr_growth_yoy": number(seen, lambda cell: _growth(cell, lambda row: row.year)),
        **{kpi: retained(kpi) for kpi in ("nrr", "grr", "logo_churn")},
    }


WINDOWS = {"year": 12, "quarter": 3, "month": 1}


def _kept(revenue: Revenue, kpi: str, month: str) -> list[Kept]:
    """The customers of a month's opening, and those that moved since where movements count (section 2)."""
    ways, on = revenue.truth.ways, revenue.truth.day_of(month)
    months, how = WINDOWS[ways["retention.window"]], ways[f"retention.{kpi}"]
    if how == "renewal_base":
        base = revenue.up_for_renewal(last_day(shift(month, -months)), on)
        return [Kept(customer, up, now) for customer, (up, now) in base.items() if up > 0]
    was = revenue.by_customer(last_day(shift(month, -months)), on)
    then = {customer: arr for customer, arr in was.items() if arr > 0}
    now = revenue.by_customer(on, on)
    if how in ("cohort", "min", "point"):
        parts: dict[str, Callable[[int, int], int]] = {
            "cohort": lambda arr, left: left,
            "min": min,
            "point": lambda arr, left: int(left <= 0),
        }
        part = parts[how]
        return [Kept(customer, arr, part(arr, now.get(customer, 0))) for customer, arr in then.items()]
    sums: dict[int, int] = dict.fromkeys(then, 0) if how == "event" else dict(then)
    for back in range(months):
        within = shift(month, -back)
        moved = revenue.moves(last_day(shift(within, -1)), min(last_day(within), on), on)
        for customer, moves in moved.items():
            if how == "event":
                if customer in then:
                    sums[customer] += moves["churn"] < 0
                continue
            counted = {"contraction", "churn"}
            if kpi == "nrr":
                counted |= {"expansion_seat", "expansion_module", "expansion_other"}
            if how == "flow_with_reactivation":
                counted.add("reactivation")
            change = sum(moves[name] for name in counted)
            if change or customer in sums:
                sums[customer] = sums.get(customer, 0) + change
    return [Kept(customer, then.get(customer, 0), part) for customer, part in sums.items()]


def _of_customers(cell: Cell) -> Figure:
    n = sum(row.then > 0 for row in cell.rows)
    return ratio(sum(row.part for row in cell.rows), n, n)


def _of_money(cell: Cell) -> Figure:
    then = sum(row.then for row in cell.rows)
    return ratio(sum(row.part for row in cell.rows), then, sum(row.then > 0 for row in cell.rows))


def _stock(cell: Cell, amount: Callable[[Position], int]) -> Figure:
    """n: customers with more than nothing."""
    held = by_customer(cell.rows, amount)
    total = sum(held.values())
    return Figure(total, total, None, sum(arr > 0 for arr in held.values()))


def _movement(name: str, cell: Cell) -> Figure:
    """n: customers it touched."""
    total = sum(row.moves[name] for row in cell.rows) * (-1 if name in LOSSES else 1)
    return Figure(total, total, None, len({row.customer for row in cell.rows if row.moves[name]}))


def _growth(cell: Cell, before: Callable[[Position], int]) -> Figure:
    """n: customers that had something then."""
    then = by_customer(cell.rows, before)
    now = by_customer(cell.rows, lambda row: row.now)
    base = sum(then.values())
    return ratio(sum(now.values()) - base, base, sum(arr > 0 for arr in then.values()))
