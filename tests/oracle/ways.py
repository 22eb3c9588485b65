"""The choices that the definition book leaves to a company, each with the book's default.

What is chosen otherwise is read from here by everything else of the second computation. ``None`` stands for what the
book finds by itself: the generator's own time zone, the second open stage, the stages that are named pilots.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

DEFAULTS: Final[Mapping[str, Any]] = {
    "timezone": None,
    "fiscal_year_start_month": 1,
    "size_bands": ((1000, "Enterprise"), (200, "Mid-market"), (0, "SMB")),  # employees from
    "qualified_stage": None,
    "required_deal_fields": ("amount", "close_date", "stage", "owner_id", "account_id", "next_step"),
    "channels.marketing": ("inbound",),
    "channels.partner": ("partner",),
    "arr.source": "field",
    "arr.basis": "tcv",
    "arr.in_force": ("Activated",),
    "arr.deals_from": None,
    "arr.expansion": "delta",
    "arr.renewal": "total",
    "arr.grace_days": 30,
    "arr.auto_renew": False,
    "arr.customer": "ultimate_parent",
    "arr.rates": "constant",
    "arr.price": "other",
    "arr.committed_usage": False,
    "arr.headline": "arr",
    "retention.window": "year",
    "retention.nrr": "cohort",
    "retention.grr": "min",
    "retention.logo_churn": "point",
    "sales.include_expansion": False,
    "sales.win_rate": "broad",
    "sales.no_decision": (
        *("No decision", "No decision made", "No decision / Non-responsive", "Non-responsive", "No response"),
        *("Unresponsive", "Went dark", "Status quo"),
    ),
    "sales.cycle_start": "qualified",
    "sales.velocity_opportunities": "entering",
    "sales.poc_stages": (),
    "sales.poc_limit_days": 30,  # of the playbook hr_tech
    "sales.deal_size": "mean",
    "sales.deal_size_window": "quarter",
    "sales.deal_size_value": "arr",
    "sales.cycle_weight": "arr",
    "sales.outcome_day": "close_date",
    "sales.stage_deals": 5,
    "sales.stage_quarters": 4,
    "sales.stage_old": 1.5,
    "sales.paid_pilot": "open",
    "forecast.snapshot_day": 21,
    "forecast.coverage_odds": "p1",
    "forecast.coverage_base": "quota",
    "forecast.method": "p2",
    "forecast.error_over": "actual",
    "acquisition.cac_lag": "quarter",
    "acquisition.cac_load": "full",
    "acquisition.lead_days": 90,
    "acquisition.sql_days": 60,
    "acquisition.cost_per": "lead",
    "acquisition.sourced_by": "original_source",
    "acquisition.partner_rule": "either",
    "health.usage": 50,
    "health.tickets": 25,
    "health.nps": 25,
    "health.red_below": 40,
    "health.green_from": 70,
    "health.drop": 15,
    "health.old_ticket_days": 30,
    "health.severe": (
        "critical",
        "severe",
        "urgent",
        "high",
        "blocker",
        "p0",
        "p1",
        "sev0",
        "sev1",
        "s1",
        "1",
    ),
    "quality.completeness": 35,
    "quality.duplicates": 25,
    "quality.stages": 20,
    "quality.contacts": 20,
    "quality.outdated_months": 12,
    "quality.field_weights": {},
    "quality.required_from": {},
    "quality.completeness_by": "cells",
}


class Ways:
    """The choices of one company: the defaults, but for what is chosen."""

    def __init__(self, chosen: Mapping[str, Any] | None = None) -> None:
        self.chosen = dict(chosen or {})
        strange = self.chosen.keys() - DEFAULTS.keys()
        if strange:
            raise KeyError(f"the second computation knows no choice {sorted(strange)}")

    def __getitem__(self, path: str) -> Any:
        return self.chosen.get(path, DEFAULTS[path])
