"""Canonical tables: what every source delivers and every later step reads.

One polars schema per table. A page from any CRM is in these columns from the moment it is parsed, so
that normalising, rules and KPIs are written once. Conventions:

- ids are the CRM's own, as text; Salesforce ids have 18 characters;
- money is an integer in the minor unit of ``currency`` (cents), converted from the CRM's decimal once,
  half-even; a blank currency in the CRM is the company's home currency;
- instants are UTC with microseconds; plain dates are dates and never shifted by a time zone;
- ``null`` means the CRM holds no value; a blank or placeholder text is kept as it stands;
- ``deleted_at`` marks a tombstone (deleted, archived or merged away), ``merged_into`` names the survivor;
- ``custom`` is a JSON object of the company's own fields, ``{}`` when there are none.

The primary key of a table is listed in ``KEYS``; the store adds the company and the source to it.
"""

from __future__ import annotations

import datetime as clock
from typing import Final

import polars as pl
from polars.datatypes import DataType, DataTypeClass

UTC: Final = pl.Datetime("us", "UTC")
_Columns = dict[str, DataType | DataTypeClass]

_RECORD: Final[_Columns] = {
    "external_id": pl.String,
    "created_at": UTC,
    "modified_at": UTC,  # the CRM's own last-change stamp
    "deleted_at": UTC,
    "merged_into": pl.String,
}


def _schema(columns: _Columns) -> pl.Schema:
    return pl.Schema(columns)


def _record(**columns: DataType | DataTypeClass) -> pl.Schema:
    return pl.Schema({**_RECORD, **columns, "custom": pl.String})


TABLES: Final[dict[str, pl.Schema]] = {
    "owners": _schema(
        {
            "external_id": pl.String,
            "name": pl.String,
            "email": pl.String,
            "active": pl.Boolean,
            "manager_id": pl.String,
            "modified_at": UTC,
            "deleted_at": UTC,
        }
    ),
    # One row per pipeline and stage. `stage` is the value that deals carry (API name, HubSpot stage id).
    # A CRM without pipelines has the one pipeline "default".
    "stages": _schema(
        {
            "pipeline": pl.String,
            "stage": pl.String,
            "pipeline_label": pl.String,
            "label": pl.String,
            "sort_order": pl.Int64,
            "is_closed": pl.Boolean,
            "is_won": pl.Boolean,
            "probability": pl.Float64,  # 0..1, the stage's default
            "forecast_category": pl.String,  # omitted | pipeline | best_case | commit | closed
            "active": pl.Boolean,
            "modified_at": UTC,
            "deleted_at": UTC,
        }
    ),
    "accounts": _record(
        name=pl.String,
        domain=pl.String,
        phone=pl.String,
        parent_id=pl.String,
        owner_id=pl.String,
        industry=pl.String,
        employees=pl.Int64,
        segment=pl.String,
        source=pl.String,
        country=pl.String,
        city=pl.String,
    ),
    "contacts": _record(
        account_id=pl.String,
        first_name=pl.String,
        last_name=pl.String,
        email=pl.String,
        phone=pl.String,
        title=pl.String,
        role=pl.String,
        buying_centre=pl.String,
        owner_id=pl.String,
        last_activity_at=pl.Date,  # local date of the last verified activity
        bounced=pl.Boolean,  # e-mail known to bounce
    ),
    "leads": _record(
        first_name=pl.String,
        last_name=pl.String,
        company=pl.String,
        email=pl.String,
        status=pl.String,
        source=pl.String,
        owner_id=pl.String,
        mql_at=pl.Date,
        sql_at=pl.Date,
        converted_at=pl.Date,
        converted_account_id=pl.String,
        converted_contact_id=pl.String,
        converted_deal_id=pl.String,
    ),
    "deals": _record(
        name=pl.String,
        account_id=pl.String,
        owner_id=pl.String,
        pipeline=pl.String,
        stage=pl.String,
        is_closed=pl.Boolean,  # as the CRM says now; null when it does not
        is_won=pl.Boolean,
        amount=pl.Int64,
        currency=pl.String,
        close_date=pl.Date,
        probability=pl.Float64,  # 0..1
        forecast_category=pl.String,
        type=pl.String,  # the CRM's own words; `deal_types` of the configuration maps them
        lead_source=pl.String,
        next_step=pl.String,
        loss_reason=pl.String,
        arr=pl.Int64,
        term_months=pl.Int64,
        start_date=pl.Date,
        motion=pl.String,
        segment=pl.String,
        expansion_kind=pl.String,
        first_meeting_at=pl.Date,
        pilot=pl.Boolean,
        pilot_start=pl.Date,
        pilot_end=pl.Date,
        pilot_converted=pl.Date,
        partner=pl.String,  # who brought it in, by name or id
    ),
    # One row per change of one field of one deal, appended for ever. `seq` orders changes of one field in
    # one instant. Values are text: stage id, minor units, ISO date, probability 0..1, category, owner id.
    # The first row of a field holds its value at creation (old_value null).
    "deal_changes": _schema(
        {
            "deal_id": pl.String,
            "field": pl.String,  # stage | amount | close_date | probability | forecast_category | owner_id ...
            "changed_at": UTC,
            "seq": pl.Int64,
            "old_value": pl.String,
            "new_value": pl.String,
            "origin": pl.String,  # crm_history | comparison
        }
    ),
    "line_items": _record(
        deal_id=pl.String,
        product_id=pl.String,
        product=pl.String,
        product_family=pl.String,
        kind=pl.String,  # seat | module | one_time | services | usage | committed_usage
        quantity=pl.Float64,
        unit_price=pl.Int64,
        amount=pl.Int64,  # net line total in `currency`
        currency=pl.String,
        start_date=pl.Date,  # of this line, where it is not the deal's: a step of a ramp
        term_months=pl.Int64,
    ),
    # What a company has under contract, where it keeps that apart from its deals. `end_date` is the last day.
    "contracts": _record(
        name=pl.String,
        account_id=pl.String,
        deal_id=pl.String,  # the deal it came from
        status=pl.String,  # the CRM's own word; `arr.in_force` of the configuration says which of them count
        product=pl.String,
        kind=pl.String,  # seat | module | one_time | services | usage | committed_usage
        quantity=pl.Float64,
        amount=pl.Int64,  # net total in `currency`, of what stretch of time says `arr.basis`
        currency=pl.String,
        start_date=pl.Date,
        end_date=pl.Date,
        term_months=pl.Int64,
        signed_date=pl.Date,  # local date on which it came into force
        terminated_date=pl.Date,  # ended early: the first day on which it is over
    ),
    # The lines of such contracts, one row per product and change of it. Null dates: those of the contract.
    "subscriptions": _record(
        name=pl.String,
        contract_id=pl.String,
        account_id=pl.String,
        revises_id=pl.String,  # the subscription that this one changes or renews
        product_id=pl.String,
        product=pl.String,
        kind=pl.String,  # seat | module | one_time | services | usage | committed_usage
        quantity=pl.Float64,  # negative: what a change takes away
        unit_price=pl.Int64,
        amount=pl.Int64,  # net total in `currency`; null: quantity x unit price
        currency=pl.String,
        start_date=pl.Date,
        end_date=pl.Date,
        term_months=pl.Int64,
        terminated_date=pl.Date,
    ),
    "meetings": _record(
        account_id=pl.String,
        deal_id=pl.String,
        contact_id=pl.String,
        owner_id=pl.String,
        subject=pl.String,
        starts_at=UTC,
        ends_at=UTC,
        completed=pl.Boolean,  # null: the CRM keeps no outcome, past means held
    ),
    "quotas": _record(
        owner_id=pl.String,
        start_date=pl.Date,
        amount=pl.Int64,
        currency=pl.String,
    ),
    # Home-currency units for one unit of `currency`, in force from start_date until the next row's.
    "exchange_rates": _schema(
        {
            "currency": pl.String,
            "start_date": pl.Date,
            "rate": pl.Decimal(38, 12),
            "modified_at": UTC,
            "deleted_at": UTC,
        }
    ),
}

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "owners": ("external_id",),
    "stages": ("pipeline", "stage"),
    "accounts": ("external_id",),
    "contacts": ("external_id",),
    "leads": ("external_id",),
    "deals": ("external_id",),
    "deal_changes": ("deal_id", "field", "changed_at", "seq"),
    "line_items": ("external_id",),
    "contracts": ("external_id",),
    "subscriptions": ("external_id",),
    "meetings": ("external_id",),
    "quotas": ("external_id",),
    "exchange_rates": ("currency", "start_date"),
}

# A value that did not parse, or a record without an id: kept aside with its raw text, never dropped.
REJECTS: Final = pl.Schema(
    {"table": pl.String, "external_id": pl.String, "field": pl.String, "raw": pl.String, "reason": pl.String}
)

# A record known to be gone by id alone.
TOMBSTONES: Final = _schema(
    {"table": pl.String, "external_id": pl.String, "deleted_at": UTC, "merged_into": pl.String}
)

MINOR_UNITS: Final[dict[str, int]] = {
    # ISO 4217 currencies whose exponent is not 2.
    **dict.fromkeys(
        ("BIF", "CLP", "DJF", "GNF", "ISK", "JPY", "KMF", "KRW", "PYG", "RWF", "UGX", "UYI", "VND", "VUV"), 0
    ),
    **dict.fromkeys(("XAF", "XOF", "XPF"), 0),
    **dict.fromkeys(["BHD", "IQD", "JOD", "KWD", "LYD", "OMR", "TND"], 3),
    **dict.fromkeys(["CLF", "UYW"], 4),
}

# Every code of ISO 4217 list one, as published on 2026-01-01 (six-group.com, "Current currency & funds"), that has a
# minor unit: not the metals, the units of account without one, XTS (tests) and XXX (no currency).
_CURRENCIES: Final = """
AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF
CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP
GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT
LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR
NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN
SVC SYP SZL THB TJS TMT TND TOP TRY TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAD
XAF XCD XCG XOF XPF YER ZAR ZMW ZWG
"""
CURRENCIES: Final = frozenset(_CURRENCIES.split())

# Codes that were withdrawn in this century, and what took their place.
_BECAME_EURO: Final = "ATS BEF BGN CYP DEM EEK ESP FIM FRF GRD HRK IEP ITL LTL LUF LVL MTL NLG PTE SIT SKK"
WITHDRAWN: Final[dict[str, str]] = {
    **dict.fromkeys(_BECAME_EURO.split(), "EUR"),
    "ANG": "XCG", "AZM": "AZN", "BYR": "BYN", "CUC": "CUP", "GHC": "GHS", "MRO": "MRU", "MZM": "MZN", "ROL": "RON",
    "SDD": "SDG", "SLL": "SLE", "STD": "STN", "TMM": "TMT", "TRL": "TRY", "VEB": "VES", "VEF": "VES", "YUM": "RSD",
    "ZMK": "ZMW", "ZWD": "ZWG", "ZWL": "ZWG",
}  # fmt: skip


def exponent(currency: str) -> int:
    """Digits after the decimal point of a currency (ISO 4217); 2 unless listed."""
    return MINOR_UNITS.get(currency, 2)


def iso(moment: clock.datetime) -> str:
    """An instant as every document for machines has it: ISO 8601, UTC, ``Z``."""
    return moment.astimezone(clock.UTC).isoformat().replace("+00:00", "Z")


def empty(table: str) -> pl.DataFrame:
    """An empty frame of a canonical table."""
    return pl.DataFrame(schema=TABLES[table])
