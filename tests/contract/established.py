"""A company that has sold for two years before the random lives begin, so that every number says something."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, Final

from hypothesis import strategies as st

from tests.contract.lives import BEGIN, Crm, Event, Row, accounts, day, happen, of_deals

# Everything that a deal's numbers are made of; a CRM that keeps the history of them all needs no comparison.
DATES: Final = [BEGIN.date() + timedelta(days=days) for days in (-370, -100, -20, 0, 15, 45, 100)]
VALUES: Final[dict[str, st.SearchStrategy[Any]]] = {
    "stage": st.sampled_from("AABCWW"),
    "amount": st.sampled_from([None, 0, 70_000, 1_234_501]),
    "owner_id": st.sampled_from([None, "p", "q"]),
    "account_id": accounts,
    "arr": st.sampled_from([None, 0, 60_000, 999_999]),
    "close_date": st.sampled_from([None, *DATES]),
    "start_date": st.sampled_from([None, *DATES]),
    "term_months": st.sampled_from([None, 1, 12, 24]),
    "currency": st.sampled_from([None, "EUR", "USD"]),
    "type": st.sampled_from(
        [None, "New Business", "New Business", "Expansion", "Renewal", "Downgrade", "Churn"]
    ),
    "lead_source": st.sampled_from([None, "Web", "Partner", "Cold Call"]),
    "motion": st.sampled_from([None, "inbound", "partner"]),
    "segment": st.sampled_from([None, "SMB", "Enterprise"]),
    "pilot": st.sampled_from([None, True, False]),
    "pilot_end": st.sampled_from([None, *DATES]),
    "pilot_converted": st.sampled_from([None, *DATES]),
    "first_meeting_at": st.sampled_from([None, *DATES]),
    "probability": st.sampled_from([None, 0.1, 0.25, 1.0]),
    "forecast_category": st.sampled_from([None, "commit", "best_case"]),
    "next_step": st.sampled_from([None, "call"]),
}
# What one CRM keeps the history of, and what the other does: associations of neither.
NARROW: Final = ("stage", "amount", "close_date", "probability", "forecast_category")
WIDE: Final = tuple(name for name in VALUES if name != "account_id")

# key, days of creation, (days, stage) ..., account, type, amount, ARR, days of the close, more
_WON: Final[tuple[Any, ...]] = (
    (
        "d",
        -720,
        ((-700, "B"), (-640, "W")),
        "a",
        "New Business",
        1_200_000,
        1_200_000,
        -640,
        {"lead_source": "Web"},
    ),
    (
        "e",
        -600,
        ((-580, "B"), (-500, "W")),
        "b",
        "New Business",
        2_400_001,
        1_200_001,
        -500,
        {"term_months": 24},
    ),
    ("f", -300, ((-290, "W"),), "a", "Renewal", 1_300_000, 1_300_000, -275, {"owner_id": "q"}),
    ("g", -200, ((-190, "B"), (-120, "W")), "c", "New Business", 555_555, 555_555, -120, {"currency": "USD"}),
    ("h", -90, ((-60, "B"), (-20, "W")), "b", "Expansion", 250_000, 250_000, -20, {"motion": "partner"}),
    (
        "i",
        -80,
        ((-70, "B"), (-10, "W")),
        "c",
        "New Business",
        610_000,
        610_000,
        -10,
        {"lead_source": "Partner"},
    ),
)
_OTHERS: Final[tuple[Any, ...]] = (
    ("j", -95, ((-75, "B"), (-30, "C")), "a", "New Business", 300_000, 300_000, -30, {}),
    ("k", -85, ((-50, "B"),), "b", "New Business", 800_000, 800_000, 25, {"segment": "SMB"}),
    ("l", -60, ((-30, "B"),), "c", "New Business", 90_000, 90_000, 40, {"pilot": True, "pilot_start": -25}),
    ("m", -45, (), "a", "Expansion", 120_000, None, 70, {"lead_source": "Cold Call", "probability": 0.4}),
    ("n", -40, (), "a", "Renewal", 1_300_000, 1_300_000, 90, {}),
)
DEALS: Final = "".join(row[0] for row in (*_WON, *_OTHERS))


def established(tracked: Sequence[str]) -> Crm:
    """The company on the day on which the random lives begin. ``tracked``: what its CRM keeps the history of."""
    crm = Crm(tracked=tuple(tracked), stages="ABCW")
    steps: list[tuple[float, Event]] = [
        (-800, ("account", ("a", {"name": "Anna", "owner_id": "p", "industry": "Retail", "employees": 50}))),
        (
            -800,
            (
                "account",
                ("b", {"name": "Bert", "owner_id": "q", "employees": 5000, "domain": "bert.example"}),
            ),
        ),
        (-800, ("account", ("c", {"name": "Cora", "owner_id": "p", "industry": "Mining"}))),
        (-800, ("put", ("exchange_rates", "USD 2024-01-01", {"rate": Decimal("0.9")}))),
        (-150, ("put", ("exchange_rates", "USD 2025-08-01", {"rate": Decimal("0.85")}))),
        (-800, ("put", ("owners", "p", {"name": "Pat", "active": True}))),
        (-800, ("put", ("owners", "q", {"name": "Quinn", "active": True}))),
    ]
    for row in (*_WON, *_OTHERS):
        steps += _life(*row)
    for number, month in enumerate((-160, -95, -70, -40, -20, -5)):
        steps.append((month, ("put", ("leads", f"lead{number}", _lead(number, month)))))
        steps.append((month, ("put", ("contacts", f"contact{number}", _contact(number, month)))))
    steps += [
        (-640, ("put", ("line_items", "i1", _line("d", "seat", 10, 1_000_000)))),
        (-275, ("put", ("line_items", "i2", _line("f", "seat", 11, 1_100_000)))),
        (-120, ("put", ("line_items", "i3", _line("g", "module", 1, 555_555) | {"currency": "USD"}))),
        (-20, ("put", ("line_items", "i4", _line("h", "seat", 2, 250_000)))),
        (-88, ("put", ("meetings", "m1", _meeting("h", -86)))),
        (-72, ("put", ("meetings", "m2", _meeting("i", -71)))),
    ]
    for number, quarter in enumerate(("2025-10-01", "2026-01-01", "2026-04-01")):
        quota = {
            "start_date": quarter,
            "amount": 2_000_000 + number,
            "currency": "EUR",
            "owner_id": "pq"[number % 2],
        }
        steps.append((-100, ("put", ("quotas", f"quota{number}", quota))))
    for when, event in sorted(steps, key=lambda step: step[0]):
        crm.now = day(when)
        happen(crm, event)
    crm.now = BEGIN
    return crm


def _life(
    key: str,
    created: float,
    entries: Sequence[tuple[float, str]],
    account: str,
    kind: str,
    amount: int,
    arr: int | None,
    close: float,
    more: Mapping[str, Any],
) -> list[tuple[float, Event]]:
    row: Row = {
        "name": key, "pipeline": "p", "stage": "A", "account_id": account, "type": kind, "amount": amount, "arr": arr,
        "close_date": day(close).date(), "term_months": 12, "owner_id": "p", "currency": "EUR",
    } | dict(more)  # fmt: skip
    if "pilot_start" in row:
        row["pilot_start"] = day(row["pilot_start"]).date()
    steps: list[tuple[float, Event]] = [(created, ("create", (key, row)))]
    return steps + [(when, ("edit", (key, "stage", stage))) for when, stage in entries]


def _lead(number: int, born: float) -> Row:
    mql, sql = (day(born + after).date() if number % 3 != 2 else None for after in (2, 4))
    converted = day(born + 5).date() if number % 2 else None
    source = ("Web", "Partner", None)[number % 3]
    return {"company": f"Lead {number}", "source": source, "owner_id": "pq"[number % 2], "mql_at": mql, "sql_at": sql,
            "converted_at": converted}  # fmt: skip


def _contact(number: int, born: float) -> Row:
    return {"account_id": "abc"[number % 3], "email": f"one{number // 2}@bert.example", "first_name": "One",
            "last_name": f"Of {number}", "last_activity_at": day(born + 3).date(), "bounced": number == 4}  # fmt: skip


def _line(deal: str, kind: str, quantity: float, amount: int) -> Row:
    return {"deal_id": deal, "product_id": kind, "product": kind.title(), "kind": kind, "quantity": quantity,
            "amount": amount, "currency": "EUR"}  # fmt: skip


def _meeting(deal: str, on: float) -> Row:
    return {"deal_id": deal, "starts_at": day(on), "ends_at": day(on + 0.05), "completed": True}


def _put(
    table: str, keys: Sequence[str], values: Mapping[str, st.SearchStrategy[Any]]
) -> st.SearchStrategy[Event]:
    row = st.fixed_dictionaries(dict(values))
    return st.tuples(st.just("put"), st.tuples(st.just(table), st.sampled_from(keys), row))


_keys = st.sampled_from(DEALS + "xyz")
_new = st.sampled_from("xyz")
# What comes and goes of records that have a past: known by our comparison, or by the CRM's own history.
HISTORIC: Final[list[st.SearchStrategy[Event]]] = [
    *of_deals(_keys, VALUES)[1:4],
    st.tuples(st.just("create"), st.tuples(_new, st.fixed_dictionaries(VALUES))),
    st.tuples(st.just("merge"), st.tuples(accounts, accounts)),
    st.tuples(
        st.just("account"),
        st.tuples(
            st.sampled_from("abct"),
            st.one_of(
                st.fixed_dictionaries({"owner_id": st.sampled_from([None, "p", "q"])}),
                st.fixed_dictionaries({"parent_id": st.sampled_from([None, "a", "b", "c"])}),
                st.fixed_dictionaries({"industry": st.sampled_from([None, "Retail", "Mining"])}),
                st.fixed_dictionaries({"employees": st.sampled_from([None, 10, 300])}),
                st.fixed_dictionaries({"name": st.sampled_from(["Bert", "Dora"])}),
            ),
        ),
    ),
]
# What the CRM keeps no past of, whatever else it keeps: what was in the bin, and how the sales process was laid out.
NOTICED_ONLY: Final[list[st.SearchStrategy[Event]]] = [
    st.tuples(st.just("restore"), st.tuples(_keys)),
    st.tuples(st.just("layout"), st.tuples(st.sampled_from(["AB", "A", "ABC", "ABN"]))),
    st.tuples(st.just("lay"), st.tuples(st.sampled_from(["ABCW", "ANBCW", "NABCW", "BACW", "ACW"]))),
]
LATE: Final = of_deals(_new, VALUES)[5]
# Rows of the tables without a past: new ones, changed ones and deleted ones.
PASTLESS: Final[list[st.SearchStrategy[Event]]] = [
    _put("leads", ["lead1", "lead3", "lead9"], {
        "source": st.sampled_from([None, "Web"]), "owner_id": st.sampled_from([None, "p"]),
        "mql_at": st.sampled_from([None, *DATES]), "converted_at": st.sampled_from([None, *DATES]),
    }),
    _put("contacts", ["contact0", "contact4", "contact9"], {
        "account_id": accounts, "bounced": st.booleans(), "last_activity_at": st.sampled_from([None, *DATES]),
    }),
    _put("line_items", ["i1", "i3", "i9"], {
        "deal_id": st.sampled_from("degi"), "kind": st.sampled_from(["seat", "one_time"]),
        "amount": st.sampled_from([0, 300_000]), "currency": st.just("EUR"), "quantity": st.sampled_from([None, 1.0]),
    }),
    _put("meetings", ["m1", "m9"], {
        "deal_id": st.sampled_from("hi"), "starts_at": st.sampled_from([day(-89), day(3)]),
        "completed": st.sampled_from([None, True, False]),
    }),
    _put("quotas", ["quota1", "quota9"], {
        "start_date": st.just(date(2026, 1, 1)), "amount": st.sampled_from([0, 900_000]), "currency": st.just("EUR"),
    }),
    _put("exchange_rates", ["USD 2025-08-01", "USD 2026-01-20"], {
        "rate": st.sampled_from([Decimal("0.7"), Decimal(1)]),
    }),
    _put("owners", ["p", "r"], {"name": st.sampled_from(["Pat", "Quinn", "Robin"]), "active": st.booleans()}),
    st.tuples(st.just("drop"), st.sampled_from([("leads", "lead1"), ("line_items", "i2"), ("contacts", "contact0")])),
]  # fmt: skip
