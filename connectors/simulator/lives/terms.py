"""What a customer buys: lines of deals, and the subscription they add up to.

Money is in cents of the deal's currency. Annual unit prices divide by 12, so a line's total over any term in
months is exact: amount = quantity x annual price x term / 12. The amounts of a deal's lines add up to the
deal's amount, and its ARR is the annual value of its recurring lines.
"""

from __future__ import annotations

from dataclasses import dataclass

from connectors.simulator.lives.scene import Scene
from connectors.simulator.lives.verticals import Product


@dataclass(slots=True)
class Line:
    """One product on a deal; ``cents`` per unit and year, or per unit where the product is one-time."""

    product: Product
    quantity: int
    cents: int

    @property
    def recurring(self) -> bool:
        return self.product.kind != "one_time"

    def unit_price(self, term: int) -> int:
        """Price of one unit over the whole term."""
        return self.cents * term // 12 if self.recurring else self.cents


def annual(lines: list[Line]) -> int:
    """ARR of the lines."""
    return sum(line.quantity * line.cents for line in lines if line.product.kind != "one_time")


def total(lines: list[Line], term: int) -> int:
    """What the deal is worth over its term, one-time lines included."""
    return sum(line.quantity * line.unit_price(term) for line in lines)


@dataclass(slots=True)
class Subscription:
    """What one customer has bought and not given up. Days count from the company's first."""

    start: int
    end: int
    lines: list[Line]
    known: int  # day on which it was signed
    currency: str
    told: bool = True  # False: the CRM's entry is so wrong that its ARR cannot be told
    ended: bool = False  # renewed, or given up

    def live(self, day: int) -> bool:
        return not self.ended and self.start <= day < self.end


def first_order(scene: Scene, segment: int, u: float) -> list[Line]:
    """Seats, most often with a module or two, sometimes services. ``u`` (0..1) is how large."""
    vertical, r = scene.vertical, scene.r
    low, high = vertical.segments[segment].seats
    seats = max(1, int(low * (high / low) ** u))
    lines: list[Line] = []
    modules: list[Product] = []
    for product in vertical.products:
        if product.kind == "module":
            modules.append(product)
        elif product.kind == "seat":
            if not lines:
                lines.append(Line(product, seats, price(scene, product, segment)))
            elif r() < 0.12:
                lines.append(
                    Line(product, max(1, int(seats * (0.2 + 0.6 * r()))), price(scene, product, segment))
                )
        elif r() < vertical.services_share:
            lines.append(Line(product, 1 + int(r() * 3), product.cents[segment]))
    count = int(r() * 2.2)
    start = int(r() * len(modules))
    for n in range(count):
        product = modules[(start + n) % len(modules)]
        lines.append(Line(product, 1, price(scene, product, segment)))
    return lines


def price(scene: Scene, product: Product, segment: int) -> int:
    """List price with up to a quarter off; some prices are not round."""
    cents = product.cents[segment]
    u = scene.r()
    if u < 0.35:
        return cents
    return int(cents * (1.15 - 0.4 * u)) // 12 * 12


def more_seats(scene: Scene, owned: list[Line]) -> list[Line]:
    """Seats added to a seat product that is owned."""
    seats = [line for line in owned if line.product.kind == "seat"]
    line = seats[int(scene.r() * len(seats))]
    return [Line(line.product, max(1, int(line.quantity * scene.spread(0.04, 0.22))), line.cents)]


def new_module(scene: Scene, owned: list[Line], segment: int) -> list[Line]:
    """A product not owned yet; more seats where everything is owned."""
    names = {line.product.name for line in owned}
    left = [p for p in scene.vertical.products if p.kind != "one_time" and p.name not in names]
    if not left:
        return more_seats(scene, owned)
    product = left[int(scene.r() * len(left))]
    quantity = 1
    if product.kind == "seat":
        quantity = max(1, int(max(line.quantity for line in owned) * scene.spread(0.2, 0.6)))
    return [Line(product, quantity, price(scene, product, segment))]


def fewer(scene: Scene, owned: list[Line]) -> list[Line]:
    """Seats or a module given up, as negative lines; something always stays."""
    modules = [line for line in owned if line.product.kind == "module"]
    if modules and len(owned) > 1 and scene.r() < 0.4:
        line = modules[int(scene.r() * len(modules))]
        return [Line(line.product, -line.quantity, line.cents)]
    seats = [line for line in owned if line.product.kind == "seat" and line.quantity > 3]
    if not seats:
        return []
    line = max(seats, key=lambda x: x.quantity)
    return [Line(line.product, -max(1, int(line.quantity * scene.spread(0.08, 0.35))), line.cents)]


def applied(owned: list[Line], change: list[Line]) -> list[Line]:
    """The lines after a change; one line per product, at the price of the larger part."""
    by_name = {line.product.name: Line(line.product, line.quantity, line.cents) for line in owned}
    for line in change:
        if not line.recurring:
            continue
        old = by_name.get(line.product.name)
        if old is None:
            by_name[line.product.name] = Line(line.product, line.quantity, line.cents)
        else:
            old.quantity += line.quantity
    return [line for line in by_name.values() if line.quantity > 0]


def renewed(scene: Scene, owned: list[Line]) -> list[Line]:
    """What is renewed: most as it is, some at a higher price, with more or with fewer seats."""
    u = scene.r()
    lines = [Line(line.product, line.quantity, line.cents) for line in owned]
    if u < 0.42:
        return lines
    if u < 0.66:
        factor = 1 + scene.pick((0.03, 0.04, 0.05, 0.07))
        for line in lines:
            line.cents = int(line.cents * factor) // 12 * 12
        return lines
    if u < 0.86:
        return applied(lines, more_seats(scene, lines))
    return applied(lines, fewer(scene, lines))
