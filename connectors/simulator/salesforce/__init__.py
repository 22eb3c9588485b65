"""The simulated company as a Salesforce org: the REST and Bulk 2.0 APIs, as strict as the real ones."""

from __future__ import annotations

from connectors.simulator.salesforce.ids import key_of, record_id
from connectors.simulator.salesforce.org import SalesforceOrg

__all__ = ["SalesforceOrg", "key_of", "record_id"]
