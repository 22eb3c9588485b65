"""Salesforce record ids: key prefix, instance, base-62 number, and the three characters that check case.

The order of ids of one object is the order of their keys.
"""

from __future__ import annotations

from typing import Final

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_CHECK: Final = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_POD: Final = "Hs"
_FIVE: Final = 62**5
_PAIRS: Final = [  # two base-62 digits, and which of them are capitals
    (one + two, ("A" <= one <= "Z") | ("A" <= two <= "Z") << 1) for one in _DIGITS for two in _DIGITS
]

PREFIXES: Final[dict[str, str]] = {
    "Account": "001",
    "Contact": "003",
    "Contract": "800",
    "CurrencyType": "01L",
    "DatedConversionRate": "04w",
    "Event": "00U",
    "ForecastingQuota": "0J9",
    "ForecastingType": "0Db",
    "Lead": "00Q",
    "Opportunity": "006",
    "OpportunityContactRole": "00K",
    "OpportunityFieldHistory": "017",
    "OpportunityHistory": "008",
    "OpportunityLineItem": "00k",
    "OpportunityStage": "01J",
    "Organization": "00D",
    "Period": "026",
    "Pricebook2": "01s",
    "PricebookEntry": "01u",
    "Product2": "01t",
    "QueryJob": "750",
    "SBQQ__Subscription__c": "a0S",
    "User": "005",
}
OBJECTS: Final[dict[str, str]] = {  # the world's kinds
    "user": "User",
    "product": "Product2",
    "rate": "DatedConversionRate",
    "quota": "ForecastingQuota",
    "account": "Account",
    "contact": "Contact",
    "lead": "Lead",
    "deal": "Opportunity",
    "line_item": "OpportunityLineItem",
    "contract": "Contract",
    "subscription": "SBQQ__Subscription__c",
    "contact_role": "OpportunityContactRole",
    "meeting": "Event",
}
_KINDS: Final = {name: kind for kind, name in OBJECTS.items()}
_BY_PREFIX: Final = {prefix: _KINDS.get(name, name) for name, prefix in PREFIXES.items()}


def record_id(kind: str, key: int) -> str:
    """The 18-character id of a record. ``kind`` is one of the world's kinds or an object's API name."""
    head, check = _heads[kind]
    high, low = divmod(key, _FIVE)
    upper, upper_check = _five_digits(high) if high else _ZERO
    lower, lower_check = _five_digits(low)
    return head + upper + lower + check + upper_check + lower_check


def _five_digits(number: int) -> tuple[str, str]:
    """Five base-62 digits and the character that checks them; written for speed."""
    rest, last = divmod(number, 62)
    first, second = divmod(rest, 3_844)
    if first >= 3_844:
        raise ValueError("key is too large for an id")
    (one, one_bits), (two, two_bits) = _PAIRS[first], _PAIRS[second]
    digit = _DIGITS[last]
    return one + two + digit, _CHECK[one_bits | two_bits << 2 | ("A" <= digit <= "Z") << 4]


def key_of(identifier: str) -> tuple[str, int]:
    """The kind (object name where the world has no kind) and key that ``record_id`` was given.

    Takes 15 or 18 characters; ``ValueError`` for anything that ``record_id`` did not make.
    """
    if not valid(identifier) or identifier[3:5] != _POD or identifier[:3] not in _BY_PREFIX:
        raise ValueError(f"{identifier!r} is not an id of this org")
    key = 0
    for digit in identifier[5:15]:
        key = key * 62 + _DIGITS.index(digit)
    return _BY_PREFIX[identifier[:3]], key


def checked(fifteen: str) -> str:
    """The 18-character form of a 15-character id."""
    suffix = ""
    for start in (0, 5, 10):
        bits = sum(1 << i for i, char in enumerate(fifteen[start : start + 5]) if "A" <= char <= "Z")
        suffix += _CHECK[bits]
    return fifteen + suffix


_heads: Final = {
    kind: (prefix + _POD, checked(prefix + _POD + "0" * 10)[15])
    for name, prefix in PREFIXES.items()
    for kind in (name, _KINDS.get(name, name))
}
_ZERO: Final = ("00000", "A")


def valid(identifier: str) -> bool:
    """Whether this is the form of an id: 15 letters and digits, or those and their check suffix."""
    if not (identifier.isascii() and identifier.isalnum()):
        return False
    return len(identifier) == 15 or (len(identifier) == 18 and checked(identifier[:15]) == identifier)
