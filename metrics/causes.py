"""Why a record counts otherwise than it did when a number was published: the most specific of what happened to it.

Pure: from the records that count otherwise and from what happened since (``metrics.happenings``) to one cause for each.
A record that nothing happened to may count otherwise because something happened to another deal of its customer (a
renewal ends what it replaces), else because the number is made otherwise; where the store tells nothing, that is said.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.happened import HAPPENED

# The order of what is most specific. ``input`` to ``unknown`` are what is left: see ``decide``.
CAUSES: Final = (
    "deleted", "merged", "late", "reopened", "back_dated", "restored", "changed", "lapsed", "fx",
    "input", "currency", "definition", "settings", "unknown",
)  # fmt: skip
# Fields that make what a record counts, and whether it counts, the first one the likeliest reason; those of ``_BESIDE``
# are in few numbers.
_AMOUNTS: Final = ("amount", "arr", "currency", "term_months", "line items")
_PLACES: Final = (
    "start_date", "close_date", "stage", "type", "account_id", "parent_id", "pilot", "pilot_converted", "pilot_start",
    "pilot_end", "sales process", "converted_at", "sql_at", "mql_at",
)  # fmt: skip
_BESIDE: Final = (
    "name",
    "owner_id",
    "next_step",
    "loss_reason",
    "forecast_category",
    "phone",
    "domain",
    "city",
)
_OTHER: Final = 50
_NOISE: Final = 900
_LATER: Final = 850
_NEAR: Final = 900  # behind everything that happened to the record itself but what hardly counts

MOVED: Final = pl.Schema(
    {"object": pl.String, "external_id": pl.String, "was": pl.Float64, "now": pl.Float64}
)  # null: it was, or is, not among the records


def moved(before: pl.DataFrame, after: pl.DataFrame, same: float = 1e-9) -> pl.DataFrame:
    """The records whose contribution is another one now, in schema ``MOVED``, the largest difference first.

    ``before``: published evidence (contribution as text); ``after``: that of today. A record in several rows counts as
    their sum.
    """
    key = ["object", "external_id"]

    def summed(rows: pl.DataFrame, name: str) -> pl.DataFrame:
        told = rows.select(
            *(pl.col(part).fill_null("") for part in key), pl.col("contribution").cast(pl.Float64)
        )
        return told.group_by(key).agg(pl.col("contribution").sum().alias(name))

    both = summed(before, "was").join(summed(after, "now"), on=key, how="full", coalesce=True)
    step = (pl.col("now").fill_null(0) - pl.col("was").fill_null(0)).abs()
    came_or_went = pl.col("was").is_null() != pl.col("now").is_null()
    return (
        both.with_columns(step=step)
        .filter((pl.col("step") > same) | came_or_went)
        .sort("step", "object", "external_id", descending=[True, False, False])
        .select(MOVED.names())
    )


def decide(
    records: pl.DataFrame,
    happened: pl.DataFrame,
    customers: pl.DataFrame,
    otherwise: str,
    money: bool = True,
) -> pl.DataFrame:
    """``records`` (schema ``MOVED``), in their order, with cause, field, old, new, at and through.

    ``customers``: external_id and customer of every deal. ``otherwise``: the cause of records that neither they nor
    their customer's other deals give a reason for: input | currency | definition | settings | unknown. ``money``:
    contributions are amounts, which another amount changes before another stage does; counts and days are not.
    """
    told = happened.with_columns(rank=_rank((*_AMOUNTS, *_PLACES) if money else (*_PLACES, *_AMOUNTS)))
    own = records.join(told, on=["object", "external_id"])
    near = _of_neighbours(records, told, customers)
    # A rate changes what a record counts, not whether it counts.
    stayed = pl.col("was").is_not_null() & pl.col("now").is_not_null()
    fitting = pl.concat([own, near.select(own.columns)]).filter((pl.col("cause") != "fx") | stayed)
    # Of one kind the last to happen; what happened through another deal after what happened to the record itself.
    best = fitting.sort("rank", "at", "through", descending=[False, True, False], nulls_last=True).unique(
        ["object", "external_id"], keep="first", maintain_order=True
    )
    columns = [name for name in HAPPENED.names() if name not in ("object", "external_id")]
    joined = records.join(
        best.select("object", "external_id", *columns),
        on=["object", "external_id"],
        how="left",
        maintain_order="left",
    )
    return joined.with_columns(pl.col("cause").fill_null(otherwise))


def _rank(fields: tuple[str, ...]) -> pl.Expr:
    """100 for each place in ``CAUSES``, and the field's own place in it.

    What happened to a deal that begins after all that the number is about, and what hardly counts, comes last.
    """
    place = pl.col("cause").replace_strict(
        {cause: 100 * number for number, cause in enumerate(CAUSES)}, return_dtype=pl.Int64
    )
    order = {name: number for number, name in enumerate(fields)} | dict.fromkeys(_BESIDE, _NOISE)
    within = pl.col("field").replace_strict(order, default=_OTHER, return_dtype=pl.Int64)
    later = pl.when(~pl.col("bears").fill_null(value=True)).then(_LATER).otherwise(0)
    return place + later + pl.when(pl.col("cause") == "changed").then(within).otherwise(0)


def _of_neighbours(records: pl.DataFrame, told: pl.DataFrame, customers: pl.DataFrame) -> pl.DataFrame:
    """What happened to the customers of deals that count otherwise, through other deals or to the account itself."""
    homes = customers.filter(pl.col("customer").is_not_null())
    mine = records.filter(object="deals").join(homes, on="external_id")
    of_customers = told.filter(pl.col("object") == "accounts", ~pl.col("cause").is_in(["fx", "lapsed"]))
    shared = mine.join(
        of_customers.drop("object").rename({"external_id": "customer"}), on="customer", how="inner"
    )
    others = shared.filter(pl.col("through").ne_missing(pl.col("external_id")))
    return others.with_columns(rank=_NEAR + pl.col("rank") // 10, through=pl.coalesce("through", "customer"))
