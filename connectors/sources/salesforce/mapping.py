"""Canonical column -> Salesforce field, as data: what is read unless the configuration names another field.

A field may be reached through a lookup (``Product2.Name``). ``None``: Salesforce has no standard field for it;
the company names its own under ``fields`` of the configuration, or the column stays empty and unmeasurable.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Final, Literal

Kind = Literal[
    "text",
    "boolean",
    "filled",  # true when the field holds anything; a checkbox counts as it stands
    "date",
    "instant",
    "integer",
    "number",
    "percent",  # 25 means 0.25
    "money",
    "forecast",  # a forecast category
    "account",  # a lookup to several objects, of which only accounts are wanted; and so on
    "deal",
    "contact",
]


@dataclass(frozen=True)
class Column:
    """One canonical column: the Salesforce field it is read from and how that is understood."""

    name: str
    field: str | None
    kind: Kind = "text"


@dataclass(frozen=True)
class Table:
    """One canonical table and the object it is read from.

    ``fixed`` columns come with the table and cannot be mapped elsewhere. ``only``: fields that must be false for
    a record to count, where this org has them. ``constant``: columns that are the same for every record, because
    Salesforce has no such thing. ``deletes``: a record may vanish, so that a full listing tells.
    """

    name: str
    object: str
    columns: tuple[Column, ...]
    fixed: tuple[Column, ...] = ()
    only: tuple[str, ...] = ()
    constant: tuple[tuple[str, str], ...] = ()
    optional: bool = False
    deletes: bool = True

    def all_columns(self) -> tuple[Column, ...]:
        return (*self.fixed, *self.columns)


PIPELINE: Final = "default"  # Salesforce has one list of stages

_ID: Final = Column("external_id", "Id")
_RECORD: Final = (
    _ID,
    Column("created_at", "CreatedDate", "instant"),
    Column("modified_at", "SystemModstamp", "instant"),
)
_CURRENCY: Final = Column("currency", "CurrencyIsoCode")

OWNERS: Final = Table(
    "owners",
    "User",
    (
        Column("name", "Name"),
        Column("email", "Email"),
        Column("active", "IsActive", "boolean"),
        Column("manager_id", "ManagerId"),
    ),
    fixed=(_ID, Column("modified_at", "SystemModstamp", "instant")),
    deletes=False,  # users cannot be deleted
)

STAGES: Final = Table(
    "stages",
    "OpportunityStage",
    (),
    fixed=(
        _ID,
        Column("stage", "ApiName"),
        Column("label", "MasterLabel"),
        Column("sort_order", "SortOrder", "integer"),
        Column("is_closed", "IsClosed", "boolean"),
        Column("is_won", "IsWon", "boolean"),
        Column("probability", "DefaultProbability", "percent"),
        Column("forecast_category", "ForecastCategory", "forecast"),
        Column("active", "IsActive", "boolean"),
        Column("modified_at", "SystemModstamp", "instant"),
    ),
    constant=(("pipeline", PIPELINE), ("pipeline_label", PIPELINE)),
    deletes=False,
)

ACCOUNTS: Final = Table(
    "accounts",
    "Account",
    (
        Column("name", "Name"),
        Column("domain", "Website"),
        Column("phone", "Phone"),
        Column("parent_id", "ParentId"),
        Column("owner_id", "OwnerId"),
        Column("industry", "Industry"),
        Column("employees", "NumberOfEmployees", "integer"),
        Column("segment", None),
        Column("source", "AccountSource"),
        Column("country", "BillingCountry"),
        Column("city", "BillingCity"),
    ),
    fixed=_RECORD,
)

CONTACTS: Final = Table(
    "contacts",
    "Contact",
    (
        Column("account_id", "AccountId"),
        Column("first_name", "FirstName"),
        Column("last_name", "LastName"),
        Column("email", "Email"),
        Column("phone", "Phone"),
        Column("title", "Title"),
        Column("role", None),
        Column("buying_centre", None),
        Column("owner_id", "OwnerId"),
        Column("last_activity_at", "LastActivityDate", "date"),
        Column("bounced", "EmailBouncedDate", "filled"),
    ),
    fixed=_RECORD,
)

LEADS: Final = Table(
    "leads",
    "Lead",
    (
        Column("first_name", "FirstName"),
        Column("last_name", "LastName"),
        Column("company", "Company"),
        Column("email", "Email"),
        Column("status", "Status"),
        Column("source", "LeadSource"),
        Column("owner_id", "OwnerId"),
        Column("mql_at", None, "date"),
        Column("sql_at", None, "date"),
        Column("converted_at", "ConvertedDate", "date"),
        Column("converted_account_id", "ConvertedAccountId"),
        Column("converted_contact_id", "ConvertedContactId"),
        Column("converted_deal_id", "ConvertedOpportunityId"),
    ),
    fixed=_RECORD,
    optional=True,
)

DEALS: Final = Table(
    "deals",
    "Opportunity",
    (
        Column("name", "Name"),
        Column("account_id", "AccountId"),
        Column("owner_id", "OwnerId"),
        Column("amount", "Amount", "money"),
        Column("close_date", "CloseDate", "date"),
        Column("probability", "Probability", "percent"),
        Column("forecast_category", "ForecastCategory", "forecast"),
        Column("type", "Type"),
        Column("lead_source", "LeadSource"),
        Column("next_step", "NextStep"),
        Column("loss_reason", None),
        Column("arr", None, "money"),
        Column("term_months", None, "integer"),
        Column("start_date", None, "date"),
        Column("motion", None),
        Column("segment", None),
        Column("expansion_kind", None),
        Column("first_meeting_at", None, "date"),
        Column("pilot", None, "boolean"),
        Column("pilot_start", None, "date"),
        Column("pilot_end", None, "date"),
        Column("pilot_converted", None, "date"),
        Column("partner", None),
    ),
    fixed=(
        *_RECORD,
        _CURRENCY,
        Column("stage", "StageName"),
        Column("is_closed", "IsClosed", "boolean"),
        Column("is_won", "IsWon", "boolean"),
    ),
    constant=(("pipeline", PIPELINE),),
)

LINE_ITEMS: Final = Table(
    "line_items",
    "OpportunityLineItem",
    (
        Column("product", "Product2.Name"),
        Column("product_family", "Product2.Family"),
        Column("kind", None),
        Column("quantity", "Quantity", "number"),
        Column("unit_price", "UnitPrice", "money"),
        Column("amount", "TotalPrice", "money"),
        Column("start_date", None, "date"),
        Column("term_months", None, "integer"),
    ),
    fixed=(*_RECORD, _CURRENCY, Column("deal_id", "OpportunityId"), Column("product_id", "Product2Id")),
    optional=True,
)

CONTRACTS: Final = Table(
    "contracts",
    "Contract",
    (
        Column("name", "ContractNumber"),
        Column("account_id", "AccountId"),
        Column("deal_id", None),
        Column("status", "StatusCode"),
        Column("product", None),
        Column("kind", None),
        Column("quantity", None, "number"),
        Column("amount", None, "money"),
        Column("start_date", "StartDate", "date"),
        Column("end_date", "EndDate", "date"),
        Column("term_months", "ContractTerm", "integer"),
        Column("signed_date", "ActivatedDate", "date"),
        Column("terminated_date", None, "date"),
    ),
    fixed=(*_RECORD, _CURRENCY),
    optional=True,
)

# Of the package Salesforce CPQ. A subscription's contract says whether it is in force, and gives dates it lacks.
SUBSCRIPTIONS: Final = Table(
    "subscriptions",
    "SBQQ__Subscription__c",
    (
        Column("name", "Name"),
        Column("account_id", "SBQQ__Account__c"),
        Column("revises_id", "SBQQ__RevisedSubscription__c"),
        Column("product_id", "SBQQ__Product__c"),
        Column("product", "SBQQ__ProductName__c"),
        Column("kind", None),
        Column("quantity", "SBQQ__Quantity__c", "number"),
        Column("unit_price", "SBQQ__NetPrice__c", "money"),
        Column("amount", None, "money"),
        Column("start_date", "SBQQ__SubscriptionStartDate__c", "date"),
        Column("end_date", "SBQQ__SubscriptionEndDate__c", "date"),
        Column("term_months", None, "integer"),
        Column("terminated_date", "SBQQ__TerminatedDate__c", "date"),
    ),
    fixed=(*_RECORD, _CURRENCY, Column("contract_id", "SBQQ__Contract__c")),
    optional=True,
)
_OF_THE_PACKAGE: Final = {"deal_id": "SBQQ__Opportunity__c"}  # what it adds to Contract
CPQ_CONTRACTS: Final = replace(
    CONTRACTS,
    columns=tuple(replace(c, field=_OF_THE_PACKAGE.get(c.name, c.field)) for c in CONTRACTS.columns),
)
# What is read only where the configuration takes ARR from it.
AGREEMENTS: Final[dict[str | None, tuple[Table, ...]]] = {
    None: (),
    "contract": (CONTRACTS,),
    "cpq": (CPQ_CONTRACTS, SUBSCRIPTIONS),
}

MEETINGS: Final = Table(
    "meetings",
    "Event",
    (
        Column("account_id", "AccountId"),
        Column("deal_id", "WhatId", "deal"),
        Column("contact_id", "WhoId", "contact"),
        Column("owner_id", "OwnerId"),
        Column("subject", "Subject"),
        Column("starts_at", "StartDateTime", "instant"),
        Column("ends_at", "EndDateTime", "instant"),
        Column("completed", None, "boolean"),
    ),
    fixed=_RECORD,
    only=("IsChild", "IsRecurrence"),  # an invitee's copy, and the pattern of a series, are no meetings
    optional=True,
)

QUOTAS: Final = Table(
    "quotas",
    "ForecastingQuota",
    (
        Column("owner_id", "QuotaOwnerId"),
        Column("start_date", "StartDate", "date"),
        Column("amount", "QuotaAmount", "money"),
    ),
    fixed=(*_RECORD, _CURRENCY),
    optional=True,
)

# Not a canonical table: the rows from which deal_changes are worked out, the values after each change.
HISTORY: Final = Table(
    "deal_changes",
    "OpportunityHistory",
    (),
    fixed=(
        _ID,
        Column("deal_id", "OpportunityId"),
        Column("changed_at", "CreatedDate", "instant"),
        _CURRENCY,
        Column("stage", "StageName"),
        Column("amount", "Amount", "money"),
        Column("close_date", "CloseDate", "date"),
        Column("probability", "Probability", "percent"),
        Column("forecast_category", "ForecastCategory", "forecast"),
    ),
    optional=True,
)

HISTORY_FIELDS: Final = ("stage", "amount", "close_date", "probability", "forecast_category", "currency")

# Read by keyset on SystemModstamp, record by record.
RECORDS: Final = (OWNERS, ACCOUNTS, CONTACTS, LEADS, DEALS, LINE_ITEMS, MEETINGS)
ALWAYS: Final = (*RECORDS, STAGES, QUOTAS, HISTORY)
TABLES: Final = {table.name: table for table in (*ALWAYS, CONTRACTS, SUBSCRIPTIONS)}
# Ids begin with three characters that name the object.
PREFIXES: Final = {"account": "001", "contact": "003", "deal": "006"}
FORECAST: Final = {
    "omitted": "omitted",
    "pipeline": "pipeline",
    "bestcase": "best_case",
    "mostlikely": "best_case",  # between best case and commit: counted as the less certain of the two
    "forecast": "commit",
    "commit": "commit",
    "closed": "closed",
}
