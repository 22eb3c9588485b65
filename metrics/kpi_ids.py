"""The names of the KPIs and what each is measured in, for whoever only checks what was written about one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal

Unit = Literal["currency", "currency_days", "ratio", "count", "days", "months", "points", "multiple"]

# Units that are made of amounts of money; ``currency_days`` are days weighed by amounts, no money of anybody.
MONEY: Final[tuple[Unit, ...]] = ("currency", "currency_days")

# Every KPI of the product; a playbook may only name these.
UNITS: Final[Mapping[str, Unit]] = {
    "arr": "currency",
    "carr": "currency",
    "arr_new_logo": "currency",
    "arr_expansion_seat": "currency",
    "arr_expansion_module": "currency",
    "arr_expansion_other": "currency",
    "arr_reactivation": "currency",
    "arr_contraction": "currency",
    "arr_churn": "currency",
    "arr_growth_mom": "ratio",
    "arr_growth_yoy": "ratio",
    "nrr": "ratio",
    "grr": "ratio",
    "logo_churn": "ratio",
    "win_rate": "ratio",
    "win_rate_value": "ratio",
    "win_rate_cohort": "ratio",
    "avg_deal_size": "currency",
    "cycle_days_median": "days",
    "cycle_days_weighted": "days",
    "sales_velocity": "currency",
    "stage_days": "days",
    "poc_days": "days",
    "poc_conversion": "ratio",
    "pipeline_coverage": "multiple",
    "pipeline_coverage_weighted": "multiple",
    "forecast_in_quarter": "currency",
    "forecast_accuracy_error": "ratio",
    "cac_payback_months": "months",
    "lead_to_opportunity": "ratio",
    "mql_to_sql": "ratio",
    "marketing_sourced_pipeline": "currency",
    "marketing_sourced_revenue": "currency",
    "partner_sourced_pipeline": "currency",
    "partner_sourced_revenue": "currency",
    "cost_per_lead": "currency",
    "health_score": "points",
    "field_completeness": "ratio",
    "data_cleanliness": "points",
}
KPI_IDS: Final = tuple(UNITS)
