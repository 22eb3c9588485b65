"""Unweighted coverage that misleads: what the probabilities leave of it, and how many deals are smaller than usual.

Source: dev-tools document ("unweighted coverage of 3x can hide a pipeline full of $1,000/month deals that will never
close").
"""

from __future__ import annotations

import polars as pl

from metrics.case import Case, Cause, Diagnosis, count
from metrics.finding import CausePart
from metrics.render import numbers


def find(case: Case) -> Cause | None:
    weighted, size = case.number("pipeline_coverage_weighted"), case.number("avg_deal_size")
    if weighted is None:
        return None
    deals = case.deals_behind()
    words = f"weighted by probability it is {numbers.quantity(weighted, 'multiple', '', (2.0, 3.0))}"
    parts = [CausePart("Weighted coverage", weighted, "multiple")]
    small = deals.filter(pl.col("contribution") < size) if size is not None else deals.clear()
    if size is not None:
        of = f"{small.height:,} of {count(deals.height, 'deal')}"
        words += f"; {of} are smaller than the {case.money(size)} that is usually won"
        parts.append(
            CausePart(
                "Smaller than usually won",
                float(small["contribution"].sum()),
                "currency",
                count(small.height, "deal"),
            )
        )
    return Cause(
        words=words,
        parts=tuple(parts),
        records=small,
        unit="currency",
    )


DIAGNOSIS = Diagnosis("small_deals", "Coverage that misleads", find)
