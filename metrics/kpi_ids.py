"""The names of the KPIs, for whoever only checks a name."""

from __future__ import annotations

from typing import Final

# Every KPI of the product; a playbook may only name these.
KPI_IDS: Final = (
    "arr", "carr", "arr_new_logo", "arr_expansion_seat", "arr_expansion_module", "arr_expansion_other",
    "arr_reactivation", "arr_contraction", "arr_churn", "arr_growth_mom", "arr_growth_yoy", "nrr", "grr",
    "logo_churn", "win_rate", "win_rate_value", "win_rate_cohort", "avg_deal_size", "cycle_days_median",
    "cycle_days_weighted", "sales_velocity", "stage_days", "poc_days", "poc_conversion",
    "pipeline_coverage", "pipeline_coverage_weighted", "forecast_in_quarter", "forecast_accuracy_error",
    "cac_payback_months", "lead_to_opportunity", "mql_to_sql", "marketing_sourced_pipeline",
    "marketing_sourced_revenue", "partner_sourced_pipeline", "partner_sourced_revenue", "cost_per_lead",
    "health_score", "field_completeness", "data_cleanliness",
)  # fmt: skip
