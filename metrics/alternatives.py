"""The choices that the definition book leaves to a company: which setting makes each, and what a number is then.

A KPI names those that make another number of it in ``Kpi.alternatives``, the default of each setting first. They stand
here and not in the KPIs' modules because most of them touch many KPIs and must say the same in each. What cannot be
chosen is no alternative: what a KPI prints beside itself anyway stands in its documentation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

from pipeline.company import Company


@dataclass(frozen=True)
class Alternative:
    """One way to make a number.

    ``setting``: its path in a company's configuration, such as ``retention.nrr``. ``value``: what is written there;
    None stands for any value of the setting's kind (a number of days, a list, a stage). ``means``: what the number is
    then, without a full stop.
    """

    setting: str
    value: str | bool | None
    means: str

    def in_force(self, company: Company) -> bool:
        """Whether the company has chosen this way; of a free value there is only the one that is set."""
        return self.value is None or setting(company, self.setting) == self.value


def setting(company: Company, path: str) -> Any:
    """What a company has under ``arr.basis`` or ``channels.marketing``; None for a channel that it has not named."""
    found: Any = company
    for part in path.split("."):
        found = found.get(part) if isinstance(found, dict) else getattr(found, part)
    return found


_BASIS: Final = (
    Alternative("arr.basis", "tcv", "an amount is the whole contract's: x 12 / term in months"),
    Alternative("arr.basis", "arr", "an amount is a year's, as it stands"),
    Alternative("arr.basis", "acv", "an amount is the annual contract value, as it stands"),
    Alternative("arr.basis", "mrr", "an amount is a month's: x 12"),
)
_USAGE: Final = (
    Alternative("arr.committed_usage", value=False, means="usage is no ARR, committed or not"),
    Alternative("arr.committed_usage", value=True, means="usage that is committed is ARR, overage is not"),
)
# What a deal is worth a year (R3, ruling 7).
DEAL_VALUE: Final = (
    Alternative("arr.source", "field", "a deal is worth its ARR field, else its amount by arr.basis"),
    Alternative(
        "arr.source", "line_items", "a deal is worth the sum of its recurring line items by arr.basis"
    ),
    *_BASIS,
    *_USAGE,
)
# On which day a deal was won or lost (R9).
OUTCOME_DAY: Final = (
    Alternative("sales.outcome_day", "close_date", "a deal is won or lost on its close date"),
    Alternative(
        "sales.outcome_day", "stage_entry", "on the day it entered the won or lost stage, else the close date"
    ),
)
PAID_PILOT: Final = (
    Alternative("sales.paid_pilot", "open", "a pilot is open until it is converted"),
    Alternative(
        "sales.paid_pilot",
        "won",
        "a pilot with an amount in a won stage is won, and brings no ARR until then",
    ),
)
# What a deal's outcome is, and its day.
OUTCOME: Final = (*OUTCOME_DAY, *PAID_PILOT)
# What is live on a day (R3 to R7, rulings 7 to 16).
LEDGER: Final = (
    *DEAL_VALUE,
    *OUTCOME_DAY,
    Alternative(
        "arr.source", "opening_arr", "contracts come from the list of inputs.opening_arr, none from deals"
    ),
    Alternative(
        "arr.source", "contract", "the CRM's own contracts count, each by its amount, none from deals"
    ),
    Alternative(
        "arr.source",
        "cpq",
        "subscriptions of Salesforce CPQ count, each quantity x net price, none from deals",
    ),
    Alternative("arr.in_force", None, "the statuses with which a contract of the CRM's own counts"),
    Alternative(
        "arr.deals_from",
        None,
        "contracts that start before this day come from the list, later ones from deals",
    ),
    Alternative("arr.expansion", "delta", "the amount of an expansion is what it adds"),
    Alternative("arr.expansion", "total", "the amount of an expansion is all that the customer has then"),
    Alternative("arr.renewal", "total", "the amount of a renewal is the new total"),
    Alternative("arr.renewal", "delta", "the amount of a renewal is what it adds to what expires"),
    Alternative("arr.grace_days", None, "0 to 90 days that a renewal may be late without being churn"),
    Alternative("arr.auto_renew", value=False, means="a contract ends at its end"),
    Alternative(
        "arr.auto_renew", value=True, means="a contract goes on for the same term until something ends it"
    ),
    Alternative("arr.customer", "ultimate_parent", "a customer is all accounts under one ultimate parent"),
    Alternative("arr.customer", "account", "a customer is one account"),
    Alternative("arr.rates", "constant", "both ends of a stock are valued at the rate of its last day"),
)
# What a rise is called (section 2, ruling 15).
PRICE: Final = (
    Alternative("arr.price", "other", "what a dearer product adds is other expansion"),
    Alternative("arr.price", "kind", "what a dearer product adds is expansion of its kind, seats or modules"),
)
HEADLINE: Final = (
    Alternative("arr.headline", "arr", "live ARR leads the report"),
    Alternative("arr.headline", "carr", "contracted ARR leads the report"),
)
_WINDOW: Final = (
    Alternative("retention.window", "year", "over twelve months"),
    Alternative("retention.window", "quarter", "over three months, not annualised"),
    Alternative("retention.window", "month", "over one month, not annualised"),
)
NRR: Final = (
    Alternative("retention.nrr", "cohort", "ARR now of the customers of the opening / their ARR then"),
    Alternative("retention.nrr", "flow", "(opening + expansion - contraction - churn) / opening"),
    Alternative(
        "retention.nrr",
        "flow_with_reactivation",
        "(opening + expansion + reactivation - contraction - churn) / opening",
    ),
    Alternative("retention.nrr", "renewal_base", "what became of the ARR up for renewal / that ARR"),
    *_WINDOW,
    *LEDGER,
)
GRR: Final = (
    Alternative("retention.grr", "min", "the lesser of now and then per customer / ARR then"),
    Alternative("retention.grr", "flow", "(opening - contraction - churn) / opening"),
    *_WINDOW,
    *LEDGER,
)
LOGO_CHURN: Final = (
    Alternative("retention.logo_churn", "point", "customers of the opening without ARR at the end"),
    Alternative(
        "retention.logo_churn", "event", "every time that one of them left, also those that are back"
    ),
    *_WINDOW,
    *LEDGER,
)
# Which deals are sold the way that is measured (R7).
DEALS: Final = (
    *OUTCOME,
    Alternative("sales.include_expansion", value=False, means="new business alone"),
    Alternative("sales.include_expansion", value=True, means="expansion deals count like new business"),
)
WIN_RATE: Final = (
    Alternative("sales.win_rate", "broad", "lost without a decision is lost"),
    Alternative("sales.win_rate", "narrow", "competitive deals only: lost without a decision is left out"),
    Alternative("sales.no_decision", None, "the loss reasons of a deal that nobody decided"),
)
QUALIFIED: Final = (
    Alternative(
        "qualified_stage", None, "the stage from which a deal is qualified, else the second open one"
    ),
)
DEAL_SIZE: Final = (
    Alternative("sales.deal_size", "mean", "the mean of the deals won, the median beside it"),
    Alternative("sales.deal_size", "median", "the median of the deals won, the mean beside it"),
)
DEAL_SIZE_WINDOW: Final = (
    Alternative("sales.deal_size_window", "quarter", "of the deals won in the quarter to date"),
    Alternative("sales.deal_size_window", "four_quarters", "of the deals won in the trailing four quarters"),
)
DEAL_SIZE_VALUE: Final = (
    Alternative("sales.deal_size_value", "arr", "a deal is as large as its ARR"),
    Alternative(
        "sales.deal_size_value",
        "acv",
        "a deal is as large as its amount by arr.basis a year, one-time part included",
    ),
)
CYCLE_WEIGHT: Final = (
    Alternative("sales.cycle_weight", "arr", "a deal weighs as much as its ARR"),
    Alternative("sales.cycle_weight", "amount", "a deal weighs as much as its amount"),
)
STAGE_DEALS: Final = (
    Alternative("sales.stage_deals", None, "deals that a stage needs to be a bottleneck or to have a norm"),
)
STAGE_NORM: Final = (
    Alternative(
        "sales.stage_quarters", None, "quarters, the month's own the last, over which days and norms are read"
    ),
    Alternative("sales.stage_old", None, "times the norm, beyond which a deal has grown old in its stage"),
)
CYCLE: Final = (
    Alternative("sales.cycle_start", "qualified", "a cycle runs from the qualified stage"),
    Alternative("sales.cycle_start", "created", "a cycle runs from the deal's creation"),
    Alternative(
        "sales.cycle_start", "first_meeting", "a cycle runs from the first meeting, else the qualified stage"
    ),
)
OPPORTUNITIES: Final = (
    Alternative(
        "sales.velocity_opportunities", "entering", "opportunities that got qualified in the quarter"
    ),
    Alternative(
        "sales.velocity_opportunities", "open", "opportunities that were open at the quarter's start"
    ),
)
SNAPSHOT: Final = (
    Alternative(
        "forecast.snapshot_day", None, "the day of the quarter that coverage, history and errors are read on"
    ),
)
COVERAGE_ODDS: Final = (
    Alternative("forecast.coverage_odds", "p1", "the pipeline is weighted by the CRM's probability"),
    Alternative("forecast.coverage_odds", "p2", "the pipeline is weighted by own history"),
)
COVERAGE_BASE: Final = (
    Alternative("forecast.coverage_base", "quota", "the pipeline of the snapshot day against the quota"),
    Alternative("forecast.coverage_base", "to_go", "the pipeline of D against what is to go of the quota"),
)
FORECAST: Final = (
    *OUTCOME,
    Alternative("forecast.method", "p2", "open deals are expected to bring what own history says"),
    Alternative("forecast.method", "p1", "open deals are expected to bring what the CRM's probability says"),
    Alternative("forecast.method", "commit", "of open deals those in the category commit are expected"),
    Alternative("forecast.method", "best_case", "of open deals those in commit and best case are expected"),
)
ERROR: Final = (
    Alternative("forecast.error_over", "actual", "the error is a share of what was won"),
    Alternative("forecast.error_over", "forecast", "the error is a share of what was forecast"),
)
PILOT_STAGES: Final = (
    Alternative("sales.poc_stages", None, "the stages in which a pilot runs, else those that are named so"),
)
PILOT_LIMIT: Final = (
    Alternative("sales.poc_limit_days", None, "days beyond which a pilot is too long, else the playbook's"),
)
CAC: Final = (
    Alternative("acquisition.cac_lag", "quarter", "the spend of one quarter earlier"),
    Alternative("acquisition.cac_lag", "cycle", "the spend of one median sales cycle earlier"),
    Alternative("acquisition.cac_load", "full", "people and programme spend"),
    Alternative("acquisition.cac_load", "program", "programme spend alone"),
)
LEAD_DAYS: Final = (
    Alternative("acquisition.lead_days", None, "days that a lead may take to become an opportunity"),
)
SQL_DAYS: Final = (Alternative("acquisition.sql_days", None, "days that an MQL may take to become an SQL"),)
COST_PER: Final = (
    Alternative("acquisition.cost_per", "lead", "programme spend over the leads created in the month"),
    Alternative(
        "acquisition.cost_per", "mql", "programme spend over the leads that became MQLs in the month"
    ),
)
SOURCED_BY: Final = (
    Alternative("acquisition.sourced_by", "original_source", "a deal is whose its first lead source is"),
)
MARKETING: Final = (
    *SOURCED_BY,
    Alternative("channels.marketing", None, "the lead sources and motions that are marketing's"),
)
PARTNER: Final = (
    Alternative(
        "acquisition.partner_rule", "either", "a deal is the partners' by its source or its partner field"
    ),
    Alternative("acquisition.partner_rule", "source", "a deal is the partners' by its source"),
    Alternative("acquisition.partner_rule", "field", "a deal is the partners' by its partner field"),
    *SOURCED_BY,
    Alternative("channels.partner", None, "the lead sources and motions that are the partners'"),
)
HEALTH: Final = (
    Alternative("health.usage", None, "weight of usage"),
    Alternative("health.tickets", None, "weight of tickets"),
    Alternative("health.nps", None, "weight of NPS"),
    Alternative("health.severe", None, "severities of a ticket that counts from its first day"),
    Alternative("health.old_ticket_days", None, "days after which any open ticket counts"),
    Alternative("health.red_below", None, "score below which a customer is red"),
    Alternative("health.green_from", None, "score from which a customer is green"),
    Alternative("health.drop", None, "fall within 30 days that is an alarm"),
)
CLEANLINESS: Final = (
    Alternative("quality.completeness", None, "weight of completeness, in percent"),
    Alternative("quality.duplicates", None, "weight of duplicates, in percent"),
    Alternative("quality.stages", None, "weight of stage faults, in percent"),
    Alternative("quality.contacts", None, "weight of outdated contacts, in percent"),
    Alternative("quality.outdated_months", None, "months without activity after which a contact is outdated"),
)
REQUIRED_FIELDS: Final = (
    Alternative("required_deal_fields", None, "the fields of an open deal that must be filled"),
    Alternative("quality.field_weights", None, "how much each of them weighs, else 1"),
    Alternative(
        "quality.required_from", None, "the stage from which on each of them must be filled, else any"
    ),
)
COMPLETENESS_BY: Final = (
    Alternative("quality.completeness_by", "cells", "the cells of every deal weigh alike"),
    Alternative("quality.completeness_by", "amount", "the cells of a deal weigh as much as its amount"),
)
