"""Open deals in no valid stage.

The stage is blank or a placeholder, or it is not an active stage of the sales process: retired, or not in the layout at
all. Deals in unknown stages count as open. Where the CRM shows no layout, only blank stages can be found.

Source: definition book, section 6, rulings 35 and 36.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl

from pipeline.company import Company
from pipeline.emptiness import bare
from pipeline.rule import FOUND, Frames, Rule
from pipeline.states import open_deals

_BLANK: Final = bare(pl.col("stage")).is_null()
FAULTY: Final = _BLANK | ~pl.col("stage_active")  # over the columns of ``open_deals``


def find(frames: Frames, company: Company, as_of: datetime) -> pl.DataFrame:
    """One row per open deal whose stage is blank or not active."""
    deals = open_deals(frames["deals"], frames["stages"], company, as_of)
    message = (
        pl.when(_BLANK)
        .then(pl.lit("the deal is open and its stage is blank"))
        .when(pl.col("stage_known"))
        .then(pl.format("the deal is open in {}, a stage that is no longer in use", "stage_label"))
        .otherwise(pl.format("the deal is open in {}, which is no stage of the sales process", "stage_label"))
    )
    return (
        deals.filter(FAULTY)
        .with_columns(other_id=pl.lit(""), message=message)
        .select(list(FOUND))
        .sort("external_id")
    )


RULE: Final = Rule(
    id="invalid_stage",
    object="deals",
    severity="error",
    title="Open deal in no valid stage",
    remedy="Move the deal to a stage of the current sales process, or close it.",
    tables=("deals", "stages"),
    find=find,
    needs=(("deals", "stage"),),
)
