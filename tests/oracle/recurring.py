"""The KPIs of recurring revenue, customer by customer and product by product (section 2, rulings 5, 14 to 17)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from tests.oracle.number import Cell, Figure, Number, by_customer, ratio
from tests.oracle.revenue import MOVES, Position, Revenue
from tests.oracle.segments import CUTS, DEAL_CUTS, UNKNOWN, Segments

Rows = Callable[[str], Sequence[Position]]
LOSSES = ("contraction", "churn")  # printed as positive amounts


@dataclass
class Kept:
    """A customer of the cohort: ARR a year before, and now."""

    customer: int
    then: int
    now: int


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

    def cohort(month: str) -> list[Kept]:
        then = by_customer(revenue.positions(month), lambda row: row.year)
        now = by_customer(revenue.positions(month), lambda row: row.now)
        return [Kept(customer, arr, now[customer]) for customer, arr in then.items() if arr > 0]

    def retention(figure: Callable[[Cell], Figure]) -> Number:
        return Number(
            cohort,
            lambda cut, row: of.customer(cut, row.customer),
            figure,
            DEAL_CUTS,
        )

    return {
        "arr": number(live, lambda cell: _stock(cell, lambda row: row.now)),
        "carr": number(contracted, lambda cell: _stock(cell, lambda row: row.now + row.pending)),
        **{f"arr_{name}": number(seen, partial(_movement, name)) for name in MOVES},
        "arr_growth_mom": number(seen, lambda cell: _growth(cell, lambda row: row.prev)),
        "arr_growth_yoy": number(seen, lambda cell: _growth(cell, lambda row: row.year)),
        "nrr": retention(lambda cell: _share(cell, lambda row: row.now)),
        "grr": retention(lambda cell: _share(cell, lambda row: min(row.now, row.then))),
        "logo_churn": retention(
            lambda cell: ratio(sum(row.now <= 0 for row in cell.rows), len(cell.rows), len(cell.rows))
        ),
    }


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


def _share(cell: Cell, kept: Callable[[Kept], int]) -> Figure:
    return ratio(sum(map(kept, cell.rows)), sum(row.then for row in cell.rows), len(cell.rows))
