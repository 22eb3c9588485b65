"""What each deal's ARR is made of: its recurring line items, and a remainder.

1. Each line item that is live, recurring by its kind (``basis.recurring``), in the deal's currency and has an amount is
   a part: its amount (net total, in the configured basis) annualised over the line's own term, else the deal's,
   half-even per line.
2. With ``arr.source: field`` what is left between the deal's ARR value and the lines that are live on its first day is
   one more part, the remainder (without product); a deal without such lines is one part. Where the ARR value comes
   from a total amount and lines begin or end on days of their own, the remainder is what the amount has beyond all
   lines, annualised. With ``line_items`` there is no remainder: amount and ARR field of the deal are never looked at.
3. A line with a start or term of its own is live from its start to its end, within the contract: a step of a ramp.
   Without a term of its own it runs to the contract's end.
4. Contraction and churn deals take ARR away whatever sign the CRM holds: where their ARR value is positive it is
   negated, and where their line items add up to more than zero, so are these (amounts and quantities).

Source: definition book, R3, R13, rulings 6 and 7.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from metrics.basis import after, annualised, kind, recurring, reducing
from pipeline.company import ArrSettings

PARTS: Final = (
    "contract", "row", "product", "product_name", "kind", "quantity", "arr", "currency", "begins", "ends",
)  # fmt: skip
ROWS: Final = (
    "contract", "deal_id", "customer", "deal_type", "row", "product", "product_name", "kind", "quantity", "arr",
    "currency", "start", "end", "signed", "leaves_signed", "unresolved", "stepped",
)  # fmt: skip


def items(lines: pl.DataFrame, deals: pl.DataFrame, settings: ArrSettings) -> pl.DataFrame:
    """One row per recurring line item that has an amount, annualised and signed.

    ``lines``: live canonical line items; ``deals``: external_id, deal_type, currency, arr, term_months, starts (the
    contract's first day as far as the deal itself tells). Columns: deal_id, deal_currency, row, product (identity),
    product_name, kind (seat | module | null), quantity, amount, arr (null: a total without a term), currency, begins
    (its own start, else null), months (its own term, else null), backwards (that term is negative).
    """
    amount = pl.coalesce("amount", (pl.col("quantity") * pl.col("unit_price")).round(0, mode="half_to_even"))
    own = pl.col("months").fill_null(0)
    of_deal = pl.col("term_months").fill_null(0)
    # An ARR field without a term stands for twelve months (ruling 7), and so do the lines of its deal.
    stated = (
        pl.col("field_arr").is_not_null()
        if settings.source != "line_items"
        else pl.lit(value=settings.basis != "tcv")
    )
    term = pl.when(own > 0).then(own).when(of_deal > 0).then(of_deal).when(stated).then(12)
    against = pl.col("deal_type").is_in(reducing(settings)) & (pl.col("amount").sum().over("deal_id") > 0)
    sign = pl.when(against).then(-1).otherwise(1).cast(pl.Int64)
    return (
        lines.filter(recurring(settings))
        .select(
            "deal_id",
            "quantity",
            row="external_id",
            product=pl.coalesce("product_id", "product", "product_family"),
            product_name=pl.coalesce("product", "product_family", "product_id"),
            kind=pl.when(kind().is_in(["seat", "module"])).then(kind()),
            amount=amount.cast(pl.Int64),
            currency="currency",
            begins="start_date",
            months=pl.col("term_months"),
        )
        .join(
            deals.select(
                "deal_type", "term_months", deal_id="external_id", deal_currency="currency", field_arr="arr"
            ),
            on="deal_id",
        )
        .filter(pl.col("amount").is_not_null())
        .with_columns(currency=pl.coalesce("currency", "deal_currency"))
        .with_columns(
            arr=annualised(pl.col("amount"), term, settings) * sign,
            quantity=pl.col("quantity") * sign,
            months=pl.when(own > 0).then(own),
            backwards=own < 0,
        )
        .drop("deal_type", "term_months", "field_arr")
    )


def first_step(lines: pl.DataFrame, starts: str) -> pl.DataFrame:
    """deal_id, first: the ARR of the lines live on the contract's first day (``items`` with it in ``starts``)."""
    begins = pl.coalesce("begins", starts)
    day = pl.max_horizontal(pl.col(starts), begins.min().over("deal_id"))
    ends = after(begins, pl.col("months"))
    there = (begins <= day) & (pl.col("months").is_null() | (day < ends))
    return lines.filter(there.fill_null(value=True)).group_by("deal_id").agg(first=pl.col("arr").sum())


def parts(lines: pl.DataFrame, deals: pl.DataFrame, settings: ArrSettings) -> pl.DataFrame:
    """What every deal with an ARR value is made of: the columns ``PARTS``.

    ``lines``: from ``items``; ``deals``: described, with starts, ends (of the contract by itself), arr_signed, once.
    ``begins`` and ``ends`` are null where the part begins and ends with its contract.
    """
    known = deals.select(
        deal_id="external_id", starts="starts", _ends="ends", _signed="arr_signed", _of="currency"
    )
    own = lines.join(known, on="deal_id").filter(
        pl.col("_signed").is_not_null() & (pl.col("currency") == pl.col("_of"))
    )
    ends = after(pl.coalesce("begins", "starts"), pl.col("months"))
    placed = own.with_columns(
        contract="deal_id",
        begins=pl.when(pl.col("begins") > pl.col("starts")).then("begins"),
        ends=pl.when(ends < pl.col("_ends")).then(ends),
    )
    if settings.source == "line_items":
        return placed.select(PARTS)
    return pl.concat([placed.select(PARTS), _remainders(own, placed, deals, settings)])


def _remainders(
    own: pl.DataFrame, placed: pl.DataFrame, deals: pl.DataFrame, settings: ArrSettings
) -> pl.DataFrame:
    """What the deals' ARR values have beyond their lines."""
    stepped = placed.group_by("deal_id").agg(
        _listed=pl.col("amount").sum(),
        _steps=(pl.col("begins").is_not_null() | pl.col("ends").is_not_null()).any(),
    )
    text = pl.lit(None, dtype=pl.String)
    beyond = pl.col("amount") - pl.col("once").fill_null(0) - pl.col("_listed")
    turned = pl.when(pl.col("arr_signed") * pl.col("arr_value") < 0).then(-1).otherwise(1).cast(pl.Int64)
    of_amount = annualised(beyond, pl.col("term"), settings) * turned
    value = pl.col("arr_signed") - pl.col("first").fill_null(0)
    by_amount = pl.col("_steps").fill_null(value=False) & pl.col("arr").is_null()
    return (
        deals.filter(pl.col("arr_signed").is_not_null())
        .rename({"external_id": "deal_id"})
        .join(stepped, on="deal_id", how="left")
        .join(first_step(own, "starts"), on="deal_id", how="left")
        .select(
            "currency",
            contract="deal_id",
            row="deal_id",
            product=text,
            product_name=text,
            kind=text,
            quantity=pl.lit(None, dtype=pl.Float64),
            arr=pl.when(by_amount).then(of_amount).otherwise(value),
            begins=pl.lit(None, dtype=pl.Date),
            ends=pl.lit(None, dtype=pl.Date),
            _bare=pl.col("_steps").is_null(),
        )
        .filter((pl.col("arr") != 0) | pl.col("_bare"))
        .select(PARTS)
    )


def rows(ledger: pl.DataFrame, made_of: pl.DataFrame) -> pl.DataFrame:
    """The rows of ARR of every contract (ruling 6): the columns ``ROWS``.

    ``ledger``: from ``metrics.arr.contracts``; ``made_of``: the parts of all contracts, of which a contract that goes
    on under a renewal has those of the one it continues. ``start`` and ``end`` are those of the row, ``stepped``
    tells a row that begins after its contract: a contracted step. Without such rows those of a contract add up to its
    ARR.
    """
    return (
        ledger.join(made_of.rename({"contract": "made_of"}).drop("currency"), on="made_of", suffix="_part")
        .with_columns(
            stepped=(pl.col("begins") > pl.col("start")).fill_null(value=False),
            arr="arr_part",
            start=pl.max_horizontal("start", "begins"),
            end=pl.min_horizontal("end", "ends"),
        )
        .select(ROWS)
        .sort("customer", "start", "row")
    )
