"""From the world's neutral values to the columns of a Salesforce record, and from events to its history.

A row is a dict from column name to value in the notation of the disk: instants as epoch seconds, dates as
text, money in major units, percentages as 0..100, references as 18-character ids. ``_deleted_at`` and
``_by`` (the id of the record whose deletion took this one along) are the org's own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from connectors.schema import exponent
from connectors.simulator.clock import moment
from connectors.simulator.salesforce.ids import record_id
from connectors.simulator.world import Event, Stage, World

Row = dict[str, Any]
FORECAST: Final = {  # neutral -> (ForecastCategory, ForecastCategoryName)
    "omitted": ("Omitted", "Omitted"),
    "pipeline": ("Pipeline", "Pipeline"),
    "best_case": ("BestCase", "Best Case"),
    "commit": ("Forecast", "Commit"),
    "closed": ("Closed", "Closed"),
}
_HISTORY_FIELDS: Final = ("StageName", "Amount", "CloseDate", "Probability", "ForecastCategory")
_EVENTS_BITS: Final = 12  # a deal's history rows are numbered key << 12 | number of the event
_MONEY: Final = frozenset(("amount", "arr", "unit_price"))
_COPIED: Final[dict[str, dict[str, str]]] = {
    "user": {"name": "Name", "first_name": "FirstName", "last_name": "LastName", "email": "Email"},
    "product": {"name": "Name", "family": "Family"},
    "account": {
        "name": "Name",
        "domain": "Domain__c",
        "phone": "Phone",
        "industry": "Industry",
        "employees": "NumberOfEmployees",
        "segment": "Segment__c",
        "source": "AccountSource",
        "country": "BillingCountry",
        "city": "BillingCity",
    },
    "contact": {
        "first_name": "FirstName",
        "last_name": "LastName",
        "email": "Email",
        "phone": "Phone",
        "title": "Title",
        "role": "Role__c",
        "buying_centre": "Buying_Centre__c",
        "last_activity": "LastActivityDate",
    },
    "lead": {
        "first_name": "FirstName",
        "last_name": "LastName",
        "company": "Company",
        "email": "Email",
        "phone": "Phone",
        "title": "Title",
        "status": "Status",
        "source": "LeadSource",
        "mql_at": "MQL_Date__c",
        "sql_at": "SQL_Date__c",
        "converted": "ConvertedDate",
    },
    "deal": {
        "name": "Name",
        "stage": "StageName",
        "currency": "CurrencyIsoCode",
        "close_date": "CloseDate",
        "type": "Type",
        "lead_source": "LeadSource",
        "next_step": "NextStep",
        "loss_reason": "Loss_Reason__c",
        "term_months": "Term_Months__c",
        "start_date": "Start_Date__c",
        "motion": "Sales_Motion__c",
        "segment": "Segment__c",
        "expansion_kind": "Expansion_Kind__c",
        "first_meeting": "First_Meeting_Date__c",
        "pilot_start": "Pilot_Start_Date__c",
        "pilot_end": "Pilot_End_Date__c",
        "pilot_converted": "Pilot_Converted_Date__c",
    },
    "line_item": {"quantity": "Quantity", "currency": "CurrencyIsoCode", "kind": "Line_Kind__c"},
    "contract": {
        "status": "StatusCode",
        "currency": "CurrencyIsoCode",
        "start_date": "StartDate",
        "end_date": "EndDate",
        "term_months": "ContractTerm",
        "activated": "ActivatedDate",
        "terminated": "Terminated_Date__c",
    },
    "subscription": {
        "kind": "Line_Kind__c",
        "quantity": "SBQQ__Quantity__c",
        "currency": "CurrencyIsoCode",
        "start_date": "SBQQ__SubscriptionStartDate__c",
        "end_date": "SBQQ__SubscriptionEndDate__c",
        "terminated": "SBQQ__TerminatedDate__c",
    },
    "contact_role": {"role": "Role"},
    "meeting": {"subject": "Subject", "starts_at": "StartDateTime", "ends_at": "EndDateTime"},
    "quota": {"start_date": "StartDate", "currency": "CurrencyIsoCode"},
    "rate": {"currency": "IsoCode", "start_date": "StartDate"},
}
_REFERENCES: Final[dict[str, dict[str, tuple[str, str]]]] = {  # neutral field -> (column, kind it points at)
    "user": {"manager": ("ManagerId", "user")},
    "account": {"parent": ("ParentId", "account"), "owner": ("OwnerId", "user")},
    "contact": {"account": ("AccountId", "account"), "owner": ("OwnerId", "user")},
    "lead": {
        "owner": ("OwnerId", "user"),
        "account": ("ConvertedAccountId", "account"),
        "contact": ("ConvertedContactId", "contact"),
        "deal": ("ConvertedOpportunityId", "deal"),
    },
    "deal": {"account": ("AccountId", "account"), "owner": ("OwnerId", "user")},
    "line_item": {"deal": ("OpportunityId", "deal"), "product": ("Product2Id", "product")},
    "contract": {"account": ("AccountId", "account"), "deal": ("SBQQ__Opportunity__c", "deal")},
    "subscription": {
        "contract": ("SBQQ__Contract__c", "contract"),
        "account": ("SBQQ__Account__c", "account"),
        "product": ("SBQQ__Product__c", "product"),
        "revises": ("SBQQ__RevisedSubscription__c", "subscription"),
    },
    "contact_role": {"deal": ("OpportunityId", "deal"), "contact": ("ContactId", "contact")},
    "meeting": {
        "account": ("AccountId", "account"),
        "contact": ("WhoId", "contact"),
        "owner": ("OwnerId", "user"),
    },
    "quota": {"owner": ("QuotaOwnerId", "user")},
}
_MONEY_COLUMNS: Final = {
    "deal": {"amount": "Amount", "arr": "ARR__c"},
    "line_item": {"unit_price": "UnitPrice", "amount": "TotalPrice"},
    "contract": {"value": "Contract_Value__c"},
    "subscription": {"unit_price": "SBQQ__NetPrice__c"},
    "quota": {"amount": "QuotaAmount"},
}

_AUTHOR: Final = record_id("user", 1)
_PLAN: Final[dict[str, dict[str, tuple[str, str]]]] = {  # both of the above; '' for what is copied
    kind: {**{name: (column, "") for name, column in copied.items()}, **_REFERENCES.get(kind, {})}
    for kind, copied in _COPIED.items()
}

_reference = lru_cache(maxsize=1 << 16)(record_id)


@dataclass
class Translator:
    """Applies the events of the world to rows. Holds what rows need from elsewhere: stages, product names."""

    stages: Mapping[str, Stage]
    home_currency: str
    products: dict[int, str] = field(default_factory=dict)

    @classmethod
    def of(cls, world: World) -> Translator:
        return cls({stage.name: stage for stage in world.stages}, world.home_currency)

    def create(self, kind: str, key: int, event: Event) -> Row:
        """The row of a record at its creation."""
        row: Row = {
            "Id": record_id(kind, key),
            "IsDeleted": 0,
            "CurrencyIsoCode": self.home_currency,
            "CreatedDate": event.at,
            "CreatedById": _AUTHOR,
            "LastModifiedById": _AUTHOR,
            "_deleted_at": None,
            "_by": None,
            **_DEFAULTS.get(kind, {}),
        }
        if kind == "product":
            self.products[key] = event.values.get("name") or ""
            row["ProductCode"] = f"P-{key:04}"
        elif kind == "contract":
            row["ContractNumber"] = f"{key:08}"
        elif kind == "subscription":
            row["Name"] = f"SUB-{key:07}"
        self._fill(kind, row, event)
        return row

    def change(self, kind: str, row: Row, event: Event) -> None:
        """A later event of an existing record, in place; ``purge`` is not for this."""
        if event.op == "set":
            self._fill(kind, row, event)
            return
        row["LastModifiedDate"] = row["SystemModstamp"] = event.at
        if event.op == "restore":
            row.update(IsDeleted=0, _deleted_at=None, _by=None)
        elif kind == "user":
            row["IsActive"] = 0  # users cannot be deleted
        else:
            row.update(IsDeleted=1, _deleted_at=event.at, _by=None)
            if event.op == "merge" and kind in ("account", "contact", "lead"):
                row["MasterRecordId"] = record_id(kind, event.values["into"])

    def _fill(self, kind: str, row: Row, event: Event) -> None:
        values = event.values
        row["LastModifiedDate"] = row["SystemModstamp"] = event.at
        plan = _PLAN[kind]
        for name, value in values.items():
            if name not in plan:
                continue
            column, target = plan[name]
            if target:
                row[column] = _reference(target, value) if value is not None else None
            else:  # Salesforce keeps no empty text
                row[column] = value if value.__class__ is not str or value.strip() else None
        row["CurrencyIsoCode"] = row.get("CurrencyIsoCode") or self.home_currency
        for name, column in _MONEY_COLUMNS.get(kind, {}).items():
            if name in values:
                row[column] = major(values[name], row["CurrencyIsoCode"])
        special = _SPECIAL.get(kind)
        if special is not None:
            special(self, row, event)


def major(minor: int | None, currency: str) -> float | None:
    """Minor units as the decimal number the API shows."""
    return None if minor is None else minor / 10 ** exponent(currency)


def _user(_: Translator, row: Row, event: Event) -> None:
    if event.values.get("active") is not None:
        row["IsActive"] = int(event.values["active"])
    row["Username"] = row.get("Email") or f"{row['Id'].lower()}@users.invalid"


def _account(_: Translator, row: Row, event: Event) -> None:
    if "domain" in event.values:
        domain = row["Domain__c"]
        row["Website"] = f"https://www.{domain}" if domain and "." in domain else domain


def _person(_: Translator, row: Row, event: Event) -> None:
    row["Name"] = " ".join(filter(None, (row.get("FirstName"), row.get("LastName")))) or None
    bounced = event.values.get("bounced")
    if "bounced" in event.values:
        row["IsEmailBounced"] = int(bool(bounced))
        row["EmailBouncedDate"] = event.at if bounced else None
        row["EmailBouncedReason"] = "550 5.1.1 mailbox unknown" if bounced else None
    if "converted" in event.values:
        row["IsConverted"] = int(row["ConvertedDate"] is not None)


def _deal(self: Translator, row: Row, event: Event) -> None:
    values = event.values
    if "stage" in values:
        stage = self.stages.get(values["stage"])
        row["IsClosed"] = int(stage is not None and stage.closed)
        row["IsWon"] = int(stage is not None and stage.won)
        row["LastStageChangeDate"] = event.at
    if "probability" in values:
        share = values["probability"]
        row["Probability"] = None if share is None else round(share * 100, 6)
    if "forecast_category" in values:
        category, name = FORECAST.get(values["forecast_category"], (None, None))
        row["ForecastCategory"], row["ForecastCategoryName"] = category, name
    if "pilot" in values:
        row["Pilot__c"] = int(bool(values["pilot"]))
    amount, percent = row.get("Amount"), row.get("Probability")
    row["ExpectedRevenue"] = None if amount is None or percent is None else round(amount * percent / 100, 2)


def _line_item(self: Translator, row: Row, event: Event) -> None:
    if event.values.get("product") is not None:
        key = event.values["product"]
        row["Name"] = self.products.get(key)
        row["ProductCode"] = f"P-{key:04}"
        row["PricebookEntryId"] = record_id("PricebookEntry", key)
    row["ListPrice"] = row.get("UnitPrice")
    row["Subtotal"] = row.get("TotalPrice")


def _contract(_: Translator, row: Row, event: Event) -> None:
    row["Status"] = row.get("StatusCode")


def _subscription(self: Translator, row: Row, event: Event) -> None:
    if event.values.get("product") is not None:
        row["SBQQ__ProductName__c"] = self.products.get(event.values["product"])
    row["SBQQ__StartDate__c"] = row.get("SBQQ__SubscriptionStartDate__c")
    row["SBQQ__EndDate__c"] = row.get("SBQQ__SubscriptionEndDate__c")


def _contact_role(_: Translator, row: Row, event: Event) -> None:
    if "primary" in event.values:
        row["IsPrimary"] = int(bool(event.values["primary"]))


def _meeting(_: Translator, row: Row, event: Event) -> None:
    if "deal" in event.values or "account" in event.values:
        deal = event.values.get("deal")
        if deal is not None:
            row["WhatId"] = _reference("deal", deal)
        elif "deal" in event.values or row.get("WhatId") is None:
            row["WhatId"] = row.get("AccountId")
    starts, ends = row.get("StartDateTime"), row.get("EndDateTime")
    row["ActivityDateTime"] = starts
    row["ActivityDate"] = moment(starts).date().isoformat() if starts is not None else None
    row["DurationInMinutes"] = (ends - starts) // 60 if starts is not None and ends is not None else None


def _quota(_: Translator, row: Row, event: Event) -> None:
    start = row.get("StartDate")
    if start:
        row["PeriodId"] = record_id("Period", int(start[:4]) * 12 + int(start[5:7]))


def _rate(_: Translator, row: Row, event: Event) -> None:
    if event.values.get("rate") is not None:
        row["ConversionRate"] = float(1 / Decimal(event.values["rate"]))


_SPECIAL: Final[dict[str, Callable[[Translator, Row, Event], None]]] = {
    "user": _user,
    "account": _account,
    "contact": _person,
    "lead": _person,
    "deal": _deal,
    "line_item": _line_item,
    "contract": _contract,
    "subscription": _subscription,
    "contact_role": _contact_role,
    "meeting": _meeting,
    "quota": _quota,
    "rate": _rate,
}
_DEFAULTS: Final[dict[str, Row]] = {
    "user": {"IsActive": 1, "UserType": "Standard"},
    "product": {"IsActive": 1},
    "contact": {"IsEmailBounced": 0},
    "lead": {"IsConverted": 0},
    "deal": {"IsPrivate": 0, "IsClosed": 0, "IsWon": 0, "Pilot__c": 0, "HasOpportunityLineItem": 0},
    "contact_role": {"IsPrimary": 0},
    "meeting": {"IsAllDayEvent": 0, "IsPrivate": 0},
    "quota": {"IsAmount": 1, "IsQuantity": 0, "ForecastingTypeId": record_id("ForecastingType", 1)},
}


def history(before: Row | None, after: Row, at: int, key: int, number: int) -> Row | None:
    """The OpportunityHistory row that event ``number`` of deal ``key`` leaves; None if it changed nothing there.

    Its values are those after the change. ``SystemModstamp`` becomes the moment it is superseded.
    """
    if before is not None and all(before.get(name) == after.get(name) for name in _HISTORY_FIELDS):
        return None
    return {
        "_key": key << _EVENTS_BITS | number,
        "Id": record_id("OpportunityHistory", key << _EVENTS_BITS | number),
        "IsDeleted": 0,
        "OpportunityId": after["Id"],
        **{name: after.get(name) for name in (*_HISTORY_FIELDS, "ExpectedRevenue", "CurrencyIsoCode")},
        "PrevAmount": before.get("Amount") if before else None,
        "PrevCloseDate": before.get("CloseDate") if before else None,
        "CreatedDate": at,
        "CreatedById": after["LastModifiedById"],
        "SystemModstamp": at,
    }


def field_history(
    before: Row | None, after: Row, at: int, key: int, number: int, names: Mapping[str, str]
) -> list[Row]:
    """The OpportunityFieldHistory rows of an event: creation, owner (name and id) and next step.

    ``names`` gives a user's name for an id.
    """
    changes: list[tuple[str, str, Any, Any]] = []
    if before is None:
        changes.append(("created", "Text", None, None))
    else:
        old, new = before.get("OwnerId"), after.get("OwnerId")
        if old != new:
            changes.append(("Owner", "Text", names.get(old or ""), names.get(new or "")))
            changes.append(("Owner", "EntityId", old, new))
        if before.get("NextStep") != after.get("NextStep"):
            changes.append(("NextStep", "Text", before.get("NextStep"), after.get("NextStep")))
    base = (key << _EVENTS_BITS | number) << 2
    return [
        {
            "_key": base + index,
            "Id": record_id("OpportunityFieldHistory", base + index),
            "IsDeleted": 0,
            "OpportunityId": after["Id"],
            "Field": name,
            "DataType": kind,
            "OldValue": old,
            "NewValue": new,
            "CreatedDate": at,
            "CreatedById": after["LastModifiedById"],
        }
        for index, (name, kind, old, new) in enumerate(changes)
    ]


def organization(name: str, currency: str, stamps: Row, timezone: str = "UTC") -> Row:
    """The one row of Organization."""
    return {
        "_key": 1,
        "Id": record_id("Organization", 1),
        "Name": name,
        "DefaultCurrencyIsoCode": currency,
        "DefaultLocaleSidKey": "en_US",
        "TimeZoneSidKey": timezone,
        "FiscalYearStartMonth": 1,
        "IsSandbox": 0,
        "OrganizationType": "Enterprise Edition",
        "InstanceName": "SIM1",
        **stamps,
    }
