"""The configuration of a demo: the simulator's field names, mapped the way a RevOps engineer would."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Final

import yaml

from connectors import files
from connectors.simulator.company import Company
from connectors.simulator.hubspot import ACCESS_TOKEN
from connectors.simulator.salesforce.auth import Credentials
from connectors.simulator.supplied import FILES, Supplied

_SALESFORCE: dict[str, Any] = {
    "accounts": {"domain": "Domain__c", "segment": "Segment__c"},
    "deals": {
        "arr": "ARR__c",
        "term_months": "Term_Months__c",
        "start_date": "Start_Date__c",
        "motion": "Sales_Motion__c",
        "segment": "Segment__c",
        "expansion_kind": "Expansion_Kind__c",
        "first_meeting_at": "First_Meeting_Date__c",
        "loss_reason": "Loss_Reason__c",
        "pilot": "Pilot__c",
        "pilot_start": "Pilot_Start_Date__c",
        "pilot_end": "Pilot_End_Date__c",
        "pilot_converted": "Pilot_Converted_Date__c",
    },
    "contacts": {
        "role": "Role__c",
        "buying_centre": "Buying_Centre__c",
        "last_activity_at": "LastActivityDate",
        "bounced": "EmailBouncedDate",
    },
    "leads": {"mql_at": "MQL_Date__c", "sql_at": "SQL_Date__c"},
    "line_items": {"kind": "Line_Kind__c"},
    "contracts": {
        "amount": "Contract_Value__c",
        "deal_id": "SBQQ__Opportunity__c",
        "terminated_date": "Terminated_Date__c",
    },
    "subscriptions": {"kind": "Line_Kind__c"},
}
_HUBSPOT: dict[str, Any] = {
    "accounts": {"segment": "segment", "source": "account_source"},
    "deals": {
        "lead_source": "deal_source",
        "arr": "contract_arr",
        "term_months": "term_months",
        "start_date": "contract_start_date",
        "motion": "sales_motion",
        "segment": "segment",
        "expansion_kind": "expansion_kind",
        "first_meeting_at": "first_meeting_date",
        "pilot": "pilot",
        "pilot_start": "pilot_start_date",
        "pilot_end": "pilot_end_date",
        "pilot_converted": "pilot_converted_date",
    },
    "contacts": {"role": "buying_role", "buying_centre": "buying_centre"},
    "leads": {"source": "lead_source"},
    "line_items": {"kind": "line_kind", "product_family": "product_family"},
}
FIELDS = {"salesforce": _SALESFORCE, "hubspot": _HUBSPOT}
_SALESFORCE_LOGIN = Credentials()
# What the simulators accept: no secrets, they open nothing but a demo.
AUTH = {
    "salesforce": {
        "flow": "client_credentials",
        "client_id": _SALESFORCE_LOGIN.client_id,
        "client_secret": _SALESFORCE_LOGIN.client_secret,
    },
    "hubspot": {"flow": "token", "token": ACCESS_TOKEN},
}
ANOTHER_FOLDER: Final = "name another folder with --out"
MARK = "# Written by `boardline demo`; overwritten by the next one."


def text(
    crm: str,
    url: str,
    ca_bundle: str,
    playbook: str,
    timezone: str,
    *,
    inputs: Mapping[str, str] | None = None,
    mapped: bool = True,
) -> str:
    """The demo's ``config.yaml``. ``mapped`` False: a foreign export, read through the standard fields alone."""
    company: dict[str, Any] = {
        "playbook": playbook,
        "timezone": timezone,
        "crm": {"type": crm, "url": url, "auth": AUTH[crm], "ca_bundle": ca_bundle},
        "fields": FIELDS[crm] if mapped else {},
        "report": {"destinations": ["board"]},
    }
    if inputs:
        company["inputs"] = dict(inputs)
    document = {
        "store": {"url": "sqlite:///boardline.db"},
        "companies": {"demo": company},
        "destinations": {"board": {"type": "file", "path": "reports", "forms": ["html", "markdown", "text"]}},
    }
    body = yaml.safe_dump(document, sort_keys=False, allow_unicode=True)
    return (
        f"{MARK}\n# The simulator it names has stopped; kpis, quality and report work from the store.\n{body}"
    )


def write_inputs(folder: Path, world: Company, kinds: Iterable[str] = FILES) -> dict[str, str]:
    """Write what the generated company's other systems know; kind of input -> file name, as ``inputs:`` takes it."""
    supplied, contents = Supplied(world), {}
    for kind in kinds:
        written = io.StringIO()
        rows = list(FILES[kind](supplied))
        table = csv.DictWriter(written, list(rows[0]) if rows else ["source"], lineterminator="\n")
        table.writeheader()
        table.writerows(rows)
        contents[folder / f"{kind}.csv"] = written.getvalue().encode()
    files.write(contents, ANOTHER_FOLDER)
    return {path.stem: path.name for path in contents}
