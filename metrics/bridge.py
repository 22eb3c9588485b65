"""Stocks of ARR and the movements between two month-ends.

Source: definition book, section 2 and rulings 1, 5, 6, 14 to 17. Each row of ARR is valued at the constant rate of D
for both ends, rounded half-even, then summed. Per customer: opening 0 is new logo, or reactivation where the customer
had ARR on any day up to the opening; closing 0 is churn; else per product a fall is contraction and a rise is

- all seat or module, by the line's kind, where the product was not owned at the opening;
- added quantity x new unit price as seat or module where the quantity rose. The new unit price is the ARR of the
  product's rows that started since the opening divided by their quantity (all its live rows where none
  started); the part is rounded half-even, and what is left (price, escalator) is other, negative where the price fell;
- other where there is no product, no kind, no added quantity, or a quantity of the opening is not known.

With `arr.price: kind` what is left (price) is of the line's kind too, where there is a product and a kind; but for what
was contracted before, which stays other.

``escalator`` is what of "other" was contracted before: at most the rise of those contracts' product of which a later
step began since the opening (R13). It is shown apart and adds nothing. Contraction and churn are positive amounts:
opening + fx + new_logo + expansions + reactivation - contraction - churn = closing.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Final

import polars as pl

from metrics.currency import Rates

MOVEMENTS: Final = (
    "new_logo", "expansion_seat", "expansion_module", "expansion_other", "reactivation", "contraction", "churn",
)  # fmt: skip
LOSSES: Final = ("contraction", "churn")
POINTS: Final = ("now", "prev", "prev_own", "year")
_POINT: Final = pl.Enum(POINTS)
# Where each point lies, and the day of its rate: columns of ``Calendar.periods``.
_ENDS: Final = {
    "now": ("day", "day"),
    "prev": ("prev_day", "day"),
    "prev_own": ("prev_day", "prev_day"),
    "year": ("year_day", "day"),
}
# What only tells seats and modules from prices.
_PRICING: Final = (
    "now_quantity", "prev_quantity", "prev_rows", "fresh_value", "fresh_quantity", "uncounted", "steps",
)  # fmt: skip


def positions(
    rows: pl.DataFrame, periods: pl.DataFrame, rates: Rates, points: Collection[str] = POINTS
) -> pl.LazyFrame:
    """Every row of ARR that is live at one of the points of a month, valued in the report's currency.

    Points: ``now`` (D), ``prev`` (the month-end before), ``year`` (the month-end a year before), all at the rate of D;
    ``prev_own`` (the month-end before at its own rate). Columns: those of ``rows``, month, point, fresh (started
    since the month-end before), value (Int64 minor units).
    """
    wanted = {point: ends for point, ends in _ENDS.items() if point in points}
    grid = pl.concat(
        periods.lazy().select("month", "prev_day", at=at, rate_day=rate, point=pl.lit(point, dtype=_POINT))
        for point, (at, rate) in wanted.items()
    )
    days = pl.concat([periods[at] for at, _ in wanted.values()]).unique().sort()
    placed = (
        _live(rows.lazy(), days)
        .join(grid, on="at", how="inner")
        .with_columns(fresh=pl.col("start") > pl.col("prev_day"))
    )
    return rates.convert(placed, "arr", "rate_day", "value").drop("prev_day", "rate_day")


def _live(rows: pl.LazyFrame, days: pl.Series, since: str = "start", until: str = "end") -> pl.LazyFrame:
    """One row per row of ARR and day on which it is live (since <= day < until), with the column ``at``.

    ``days``: sorted, each once.
    """
    first = pl.lit(days).search_sorted(pl.col(since), side="left").cast(pl.Int64)
    after = pl.lit(days).search_sorted(pl.col(until), side="left").cast(pl.Int64)
    held = rows.with_columns(_first=first, _after=after).filter(pl.col("_first") < pl.col("_after"))
    spread = held.with_columns(_at=pl.int_ranges("_first", "_after")).drop("_first", "_after").explode("_at")
    numbered = days.alias("at").to_frame().lazy().select("at", _at=pl.int_range(pl.len()))
    return spread.join(numbered, on="_at").drop("_at")


def pending(rows: pl.DataFrame, periods: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """What CARR adds to ARR (ruling 14): rows with month, value (signed), at the rate of D.

    A row signed by D that starts later adds its ARR; a row counted so far that ends at the start of a renewal, or by a
    churn deal, signed by D, is taken off. One of which both is true adds nothing. A contract that is a ramp comes with
    its first step: the later ones replace each other in time, and none of them is what was signed to start (R3).
    """
    real, left = rows.filter(pl.col("start") < pl.col("end")), pl.col("leaves_signed")
    coming = real.filter((pl.col("signed") < pl.col("start")) & ~pl.col("stepped")).with_columns(
        _since="signed", _until=pl.min_horizontal("start", left), _effect=pl.lit(1)
    )
    leaving = real.filter(left.is_not_null()).with_columns(
        _since=pl.max_horizontal("start", left), _until="end", _effect=pl.lit(-1)
    )
    months = periods.select("month", "day").sort("day")
    due = _live(pl.concat([coming, leaving]).lazy(), months["day"], "_since", "_until")
    placed = due.drop("_since", "_until").collect()
    valued = rates.convert(placed, "arr", "at", "value").with_columns(pl.col("value") * pl.col("_effect"))
    return valued.join(months, left_on="at", right_on="day", maintain_order="left").drop("at", "_effect")


def first_live(rows: pl.DataFrame, rates: Rates) -> pl.DataFrame:
    """customer, first: the first day on which the customer's ARR was above zero (each row at its start's rate)."""
    valued = rates.convert(rows.filter(pl.col("start") < pl.col("end")), "arr", "start", "value")
    steps = pl.concat(
        [
            valued.select("customer", day="start", step="value"),
            valued.select("customer", day="end", step=-pl.col("value")),
        ]
    )
    levels = (
        steps.group_by("customer", "day")
        .agg(pl.col("step").sum())
        .sort("customer", "day")
        .with_columns(level=pl.col("step").cum_sum().over("customer"))
    )
    return levels.filter(pl.col("level") > 0).group_by("customer").agg(first=pl.col("day").min())


def by_product(placed: pl.LazyFrame, stepped: bool) -> pl.LazyFrame:
    """``positions`` summed per month, customer and product.

    Columns: month, customer, product, product_name, kind, now, prev, prev_own, year (values), now_quantity,
    prev_quantity, prev_rows, fresh_value, fresh_quantity, uncounted (a row of the opening has no quantity), steps.
    ``stepped``: whether any of the rows is one of a ramp.
    """
    at = {point: pl.col("point") == point for point in POINTS}
    fresh, value, quantity = at["now"] & pl.col("fresh"), pl.col("value"), pl.col("quantity")
    # Columns of their own add up many times faster than what is sifted group by group.
    sums = {point: pl.when(where).then(value) for point, where in at.items()} | {
        "now_quantity": pl.when(at["now"]).then(quantity),
        "prev_quantity": pl.when(at["prev"]).then(quantity),
        "prev_rows": at["prev"].cast(pl.UInt32),
        "fresh_value": pl.when(fresh).then(value),
        "fresh_quantity": pl.when(fresh).then(quantity),
        "_uncounted": (at["prev"] & quantity.is_null()).cast(pl.UInt32),
    }
    totals = (
        placed.select(
            "month", "customer", "product", "product_name", "kind",
            _fresh_kind=pl.when(fresh).then("kind"), **sums,
        )
        .group_by("month", "customer", "product")
        .agg(pl.col(*sums).sum(), pl.col("product_name", "kind", "_fresh_kind").max())
        .with_columns(kind=pl.coalesce("_fresh_kind", "kind"), uncounted=pl.col("_uncounted") > 0)
        .drop("_fresh_kind", "_uncounted")
    )  # fmt: skip
    keys = ["month", "customer", "product"]
    if not stepped:
        return totals.with_columns(steps=pl.lit(0, pl.Int64))
    return totals.join(_steps(placed), on=keys, how="left", nulls_equal=True).with_columns(
        pl.col("steps").fill_null(0)
    )


def _steps(placed: pl.LazyFrame) -> pl.LazyFrame:
    """month, customer, product, steps: the rise of the contracts of which a later step began since the opening."""
    keys = ["month", "customer", "product"]
    begun = pl.col("stepped") & pl.col("fresh") & (pl.col("point") == "now")
    stepped = placed.filter(begun).select(*keys, "contract").unique()
    sign = pl.when(pl.col("point") == "now").then(1).when(pl.col("point") == "prev").then(-1)
    return (
        placed.filter(pl.col("point").is_in(["now", "prev"]))
        .join(stepped, on=[*keys, "contract"], how="semi", nulls_equal=True)
        .group_by(keys)
        .agg(steps=(pl.col("value") * sign).sum())
    )


def movements(totals: pl.LazyFrame, first: pl.DataFrame, periods: pl.DataFrame, price: str) -> pl.LazyFrame:
    """``by_product``, without what prices are made of, with one signed column per movement, ``escalator`` and ``fx``,
    all in minor units.

    ``first``: from ``first_live``; ``price``: `arr.price`. Losses are positive. Each row ties: prev_own + fx + gains -
    losses = now.
    """
    ends = totals.group_by("month", "customer").agg(
        _opening=pl.col("prev").sum(), _closing=pl.col("now").sum()
    )
    rows = (
        totals.join(ends, on=["month", "customer"])
        .join(first.lazy(), on="customer", how="left")
        .join(periods.lazy().select("month", "prev_day"), on="month")
        .with_columns(_net=pl.col("now") - pl.col("prev"))
        .with_columns(_quantity_part=_quantity_part())
    )
    if price == "kind":
        rows = rows.with_columns(_quantity_part=_priced_part())
    known = (pl.col("first") <= pl.col("prev_day")).fill_null(False)
    arrives = pl.col("_opening") == 0
    leaves = ~arrives & (pl.col("_closing") == 0)
    stays = ~arrives & ~leaves
    grows = stays & (pl.col("_net") > 0)
    net, part = pl.col("_net"), pl.col("_quantity_part")
    parts = {
        "new_logo": pl.when(arrives & ~known).then(net),
        "expansion_seat": pl.when(grows & (pl.col("kind") == "seat")).then(part),
        "expansion_module": pl.when(grows & (pl.col("kind") == "module")).then(part),
        "expansion_other": pl.when(grows).then(net - part),
        "reactivation": pl.when(arrives & known).then(net),
        "contraction": pl.when(stays & (net < 0)).then(-net),
        "churn": pl.when(leaves).then(-net),
    }
    named = rows.with_columns(
        *(value.fill_null(0).alias(name) for name, value in parts.items()),
        fx=pl.col("prev") - pl.col("prev_own"),
    )
    return named.with_columns(
        escalator=pl.min_horizontal("expansion_other", "steps").clip(lower_bound=0)
    ).drop(*_PRICING, "_opening", "_closing", "_net", "_quantity_part", "first", "prev_day")


def moved(
    rows: pl.DataFrame, spans: pl.DataFrame, rates: Rates, first: pl.DataFrame, price: str
) -> pl.LazyFrame:
    """The movements of many months at once, of each at the rate of a day of its own.

    ``spans``: month, within, prev_day, day (the ends of the month ``within``), rate_day. Columns: month, within,
    customer, product and one per movement, as from ``movements``. Only customers of whom a row began or ended within
    are looked at: nothing else moves at a constant rate.
    """
    happened = pl.concat([rows.lazy().select("customer", at=day) for day in ("start", "end")])
    touched = happened.with_columns(within=pl.col("at").dt.strftime("%Y-%m")).unique()
    # A span goes by its number: a text in each of millions of rows costs more than all that is counted.
    numbered = spans.with_row_index("span").lazy()
    watched = (
        numbered.join(touched, on="within")
        .filter(pl.col("at") <= pl.col("day"))
        .select("span", "prev_day", "day", "rate_day", "customer")
        .unique()
    )
    ends = pl.concat(
        watched.select("prev_day", "rate_day", "customer", at=day, month="span", point=pl.lit(point, _POINT))
        for point, day in (("now", "day"), ("prev", "prev_day"))
    )
    placed = (
        ends.join(rows.lazy().drop("signed", "leaves_signed"), on="customer")
        .filter((pl.col("start") <= pl.col("at")) & (pl.col("at") < pl.col("end")))
        .with_columns(fresh=pl.col("start") > pl.col("prev_day"))
        .drop("start", "end", "at", "prev_day")
    )
    totals = by_product(rates.convert(placed, "arr", "rate_day", "value"), rows["stepped"].any())
    named = movements(totals, first, numbered.select("prev_day", month="span").collect(), price)
    return (
        named.rename({"month": "span"})
        .join(numbered.select("span", "month", "within"), on="span")
        .select("month", "within", "customer", "product", *MOVEMENTS)
    )


def _priced_part() -> pl.Expr:
    """What of a product's rise is of its kind where prices are: all but what was contracted before."""
    part, net = pl.col("_quantity_part"), pl.col("_net")
    other = pl.min_horizontal(net - part, "steps").clip(lower_bound=0)
    return pl.when(pl.col("kind").is_null() | pl.col("product").is_null()).then(part).otherwise(net - other)


def _quantity_part() -> pl.Expr:
    """How much of a product's rise is seats or modules; 0 where its rows have no kind."""
    added = pl.col("now_quantity") - pl.col("prev_quantity")
    fresh = pl.col("fresh_quantity") > 0
    price_of = pl.when(fresh).then("fresh_value").otherwise("now").cast(pl.Float64)
    quantity = pl.when(fresh).then("fresh_quantity").otherwise("now_quantity")
    volume = (added * price_of / quantity).round(0, mode="half_to_even").cast(pl.Int64, strict=False)
    return (
        pl.when(pl.col("kind").is_null() | pl.col("product").is_null())
        .then(0)
        .when(pl.col("prev_rows") == 0)
        .then("_net")
        .when("uncounted")
        .then(0)
        .when((added > 0) & (quantity > 0))
        .then(volume)
        .otherwise(0)
    )


def bridge(moved: pl.DataFrame, periods: pl.DataFrame) -> pl.DataFrame:
    """One row per month: month, opening, the movements, fx, closing, escalator (minor units; 0 without ARR).

    Raises ``ArithmeticError`` should a month not tie to the cent, which would be a fault of this module.
    """
    sums = moved.group_by(pl.col("month").cast(pl.String)).agg(
        pl.col("prev_own").sum().alias("opening"),
        *(pl.col(name).sum() for name in (*MOVEMENTS, "fx")),
        pl.col("now").sum().alias("closing"),
        pl.col("escalator").sum(),
    )
    table = (
        periods.select("month")
        .join(sums, on="month", how="left", maintain_order="left")
        .with_columns(pl.exclude("month").fill_null(0))
    )
    gains = pl.sum_horizontal([name for name in MOVEMENTS if name not in LOSSES])
    open_end = pl.col("opening") + pl.col("fx") + gains - pl.sum_horizontal(LOSSES) != pl.col("closing")
    broken = table.filter(open_end)["month"].to_list()
    if broken:
        raise ArithmeticError(f"the ARR bridge does not tie in {', '.join(broken)}")
    return table
