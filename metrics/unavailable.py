"""Choices that the definition book leaves to a company and this version does not have: each is refused with its reason.

What can be written in their place stands in the reason too. ``arr.source`` has its own in ``metrics.arr``.
"""

from __future__ import annotations

from typing import Final

from connectors.errors import ConfigurationError
from metrics.alternatives import setting
from pipeline.company import Company

_TOUCHES: Final = (
    "is not available: campaign members and touches are not read from the CRM. Where a field of the deal holds the "
    "source you mean, name it under fields: deals: lead_source; sellers' later edits of it do not count"
)
# (setting, what is written there) -> why not, and what instead.
REASONS: Final = {
    ("arr.customer", "contract"): (
        "contract is not available: a contract that follows another would be churn and a new logo. Use account, and "
        "retention: nrr: renewal_base for what became of the contracts that were up for renewal"
    ),
    ("arr.rates", "spot"): (
        "spot is not available: exchange rates would be growth and expansion. Leave it at constant; the line of "
        "exchange rates in the ARR bridge tells what they did"
    ),
    ("acquisition.sourced_by", "first_touch"): f"first_touch {_TOUCHES}",
    ("acquisition.sourced_by", "marketing_touch"): f"marketing_touch {_TOUCHES}",
}


def check_settings(company: Company) -> None:
    """Raise ``ConfigurationError`` for a choice that is not there."""
    for (path, value), reason in REASONS.items():
        if setting(company, path) == value:
            raise ConfigurationError(f"companies.{company.name or '<company>'}.{path}: {reason}")
