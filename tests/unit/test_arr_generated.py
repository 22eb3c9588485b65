"""What must hold for the revenue of any company, generated or drawn at random."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from connectors.simulator.company import Company as World
from connectors.simulator.company import Parameters
from metrics import coverage
from metrics.bridge import LOSSES, MOVEMENTS
from metrics.compute import bridge, compute
from metrics.facts import Facts
from metrics.kpi import CUTS, KpiValue
from metrics.nrr_points import PARTS, points, tenths
from metrics.period import months_between, shift
from metrics.recurring import of_customers
from metrics.retention import variants
from pipeline.company import ArrSettings, Company, Inputs, RetentionSettings
from pipeline.records import SourceInfo
from tests.unit.books import Books, at, days_later
from tests.unit.generated import frames
from tests.unit.test_kpi_cases import written

VERTICALS = ("supply_chain", "hr_tech", "dev_tools")


@cache
def generated(vertical: str) -> Facts:
    """Thirty months of a generated company, seen from its present."""
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    now = datetime.fromtimestamp(world.as_of, UTC)
    company = Company(name="generated", timezone=world.timezone)
    return Facts(company, months_between("2024-01", "2026-06"), now, frames(world, world.as_of))


def points_sum(facts: Facts, cuts: tuple[str | None, ...]) -> None:
    """The points of NRR sum to NRR - 1 in every month and segment, and in words to the tenth."""
    settings = facts.company.retention
    for cut in cuts:
        found = points(facts, settings.nrr, settings.window, cut).collect()
        rates = {
            (value.month, None if cut is None else value.segment[cut]): value.value
            for value in compute(facts, ["nrr"], (cut,))
        }
        for row in found.iter_rows(named=True):
            nrr = rates[row["month"], row["segment"]]
            total = 1 + sum(row[part] for part in PARTS)
            assert nrr is None or nrr == pytest.approx(total, abs=1e-9), (row["month"], row["segment"])
        written_out = found.select(pl.sum_horizontal(tenths()), exact=pl.sum_horizontal(PARTS) * 1000)
        for tenth, exact in written_out.iter_rows():
            assert abs(tenth - exact) <= 0.5 + 1e-6


def holds(facts: Facts) -> None:
    """The bridge ties and chains, GRR is at most 1 and at most NRR, and the parts of every cut add up."""
    table = bridge(facts)
    gains = pl.sum_horizontal([name for name in MOVEMENTS if name not in LOSSES])
    ends = table.select(pl.col("opening") + pl.col("fx") + gains - pl.sum_horizontal(LOSSES)).to_series()
    assert ends.to_list() == table["closing"].to_list()
    assert table["opening"].to_list()[1:] == table["closing"].to_list()[:-1]
    values = {
        (value.id, value.month): value
        for value in compute(facts, ["arr", "nrr", "grr", "logo_churn", "carr"])
    }
    assert [values["arr", month].value or 0 for month in facts.months] == table["closing"].to_list()
    for month in facts.months:
        net, gross = values["nrr", month].value, values["grr", month].value
        assert (net is None) == (gross is None)
        if net is not None and gross is not None:
            assert gross <= min(1, net) + 1e-12
            assert 0 <= (values["logo_churn", month].value or 0) <= 1
    points_sum(facts, (None,))
    sums = [f"arr_{name}" for name in MOVEMENTS]
    whole = {(value.id, value.month): value.numerator or 0 for value in compute(facts, sums)}
    whole |= {
        (name, month): values[name, month].numerator or 0
        for name in ("arr", "carr")
        for month in facts.months
    }
    for cut in CUTS:
        parts: dict[tuple[str, str], float] = {}
        segments = compute(facts, ["arr", "carr", "nrr", "grr", *sums], cuts=(cut,))
        gross_is_at_most_net(segments, cut)
        for value in segments:
            parts[value.id, value.month] = parts.get((value.id, value.month), 0) + (value.numerator or 0)
        kept = {key: value.numerator or 0 for key, value in values.items() if key[0] in ("nrr", "grr")}
        assert parts == {key: (whole | kept)[key] for key in parts}
        ties_in_every_segment(facts, cut)


def gross_is_at_most_net(values: list[KpiValue], cut: str) -> None:
    """Nobody can keep more than was there, and whoever grew keeps no less for it: in every segment (ruling 17)."""
    found = {(value.id, value.month, value.segment[cut]): value.value for value in values}
    for (kpi, month, segment), gross in found.items():
        if kpi == "grr":
            net = found["nrr", month, segment]
            assert (gross is None) == (net is None)
            assert gross is None or net is None or gross <= min(1, net) + 1e-12, (cut, segment, month)


def ties_in_every_segment(facts: Facts, cut: str) -> None:
    """Opening and closing are the segment's ARR; what the movements leave between them is the exchange rates'."""
    found: dict[tuple[str | None, str], dict[str, float]] = {}
    for value in compute(facts, ["arr", *(f"arr_{name}" for name in MOVEMENTS)], cuts=(cut,)):
        found.setdefault((value.segment[cut], value.month), {})[value.id] = value.value or 0
    by = of_customers(facts, facts.movements.lazy(), cut).with_columns(pl.col(cut).fill_null("unknown"))
    fx = {
        (segment, month): amount
        for segment, month, amount in by.group_by(cut, "month").agg(pl.col("fx").sum()).collect().iter_rows()
    }
    for (segment, month), parts in found.items():
        if (segment, before := shift(month, -1)) in found:
            moved = sum(
                -parts[f"arr_{name}"] if name in LOSSES else parts[f"arr_{name}"] for name in MOVEMENTS
            )
            opening = found[segment, before]["arr"]
            assert opening + fx.get((segment, month), 0) + moved == parts["arr"], (cut, segment, month)


@pytest.mark.parametrize("vertical", VERTICALS)
def test_a_generated_company(vertical: str) -> None:
    facts = generated(vertical)
    holds(facts)
    points_sum(facts, ("size", "motion"))
    table = bridge(facts)
    assert (table["fx"] != 0).any()


def test_everything_that_can_happen_happens_in_them() -> None:
    totals = pl.concat([bridge(generated(vertical)).select(MOVEMENTS) for vertical in VERTICALS]).sum()
    assert {name: totals[name][0] > 0 for name in MOVEMENTS} == dict.fromkeys(MOVEMENTS, True)


@pytest.mark.parametrize("vertical", VERTICALS)
def test_every_contract_is_the_sum_of_its_rows(vertical: str) -> None:
    facts = generated(vertical)
    sums = facts.arr_rows.group_by("deal_id").agg(pl.col("arr").sum())
    joined = facts.contracts.select("deal_id", total="arr").join(sums, on="deal_id", how="left")
    assert joined.filter(pl.col("arr") != pl.col("total")).is_empty()
    assert joined["arr"].null_count() == 0


@pytest.mark.parametrize("vertical", VERTICALS)
def test_the_past_seen_from_then_needs_no_knowledge_of_what_came_later(vertical: str) -> None:
    """Facts of last autumn from the books of today, with history undone, equal those from the books of then.

    Fields without history (terms, starts, merges) are not undone, so only pipeline figures can be compared.
    """
    world = World(Parameters(vertical=vertical, end=date(2026, 7, 1), accounts=120, deals=1200, months=30))
    then = datetime(2025, 11, 12, 9, tzinfo=UTC)
    company = Company(name="generated", timezone=world.timezone)
    months = months_between("2025-01", "2025-11")
    old = Facts(company, months, then, frames(world, int(then.timestamp())))
    new = Facts(company, months, then, frames(world, world.as_of))
    # What was deleted since is out of everything now, and a pilot's conversion has no history.
    still = new.raw("deals").filter(pl.col("deleted_at").is_null())["external_id"].implode()
    columns = ["month", "external_id", "stage", "amount", "close_date"]
    before, after = (
        coverage.snapshot(f).select(columns).filter(pl.col("external_id").is_in(still)).rows()
        for f in (old, new)
    )
    assert before == after
    assert len(before) > 50
    same = pl.col("external_id").is_in(still) & ~pl.col("external_id").is_in(
        new.deals.filter("pilot")["external_id"].implode()
    )
    columns = ["external_id", "stage", "amount", "close_date", "outcome"]
    before, after = (f.deals.filter(same).select(columns).sort("external_id").rows() for f in (old, new))
    assert before == after


@pytest.mark.parametrize("vertical", VERTICALS)
def test_flows_are_harsher_than_snapshots(vertical: str) -> None:
    """GRR by flow is at most GRR by the min rule; leaving is counted at least as often as being gone."""
    facts = otherwise(
        generated(vertical), retention=RetentionSettings(beside=("flow", "event", "quarter", "month"))
    )
    table = variants(facts)
    assert table["value"].is_not_null().sum() > 100
    ratios = {
        (row["kpi"], row["how"], row["month"]): row["value"] for row in table.filter(window="year").to_dicts()
    }
    for month in facts.months:
        if ratios["grr", "min", month] is not None:
            assert ratios["grr", "flow", month] <= ratios["grr", "min", month] + 1e-12
            assert ratios["nrr", "flow", month] >= ratios["grr", "flow", month] - 1e-12
            assert ratios["logo_churn", "event", month] >= ratios["logo_churn", "point", month]


def otherwise(facts: Facts, **settings: Any) -> Facts:
    """The same tables under other settings."""
    company = facts.company.model_copy(update=settings)
    return Facts(company, facts.months, facts.known_at, facts.raw_frames, facts.info)


@pytest.mark.parametrize("vertical", VERTICALS)
@pytest.mark.parametrize("source", ["line_items", "opening_arr", "deals_from"])
def test_a_generated_company_from_another_source(vertical: str, source: str, tmp_path: Path) -> None:
    facts = generated(vertical)
    arr = ArrSettings(source="line_items")
    inputs = Inputs()
    if source != "line_items":
        day = date(2025, 4, 10) if source == "deals_from" else None
        arr = ArrSettings(deals_from=day) if day else ArrSettings(source="opening_arr")
        inputs = Inputs(opening_arr=tmp_path / "opening_arr.csv")
        write_list(tmp_path / "opening_arr.csv", facts, day)
    other = otherwise(facts, arr=arr, inputs=inputs)
    holds(other)
    assert (other.contracts["deal_id"].null_count() > 0) == (source != "line_items")
    assert (other.contracts["deal_id"].is_not_null().any()) == (source != "opening_arr")


@pytest.mark.parametrize(("vertical", "source"), [("hr_tech", "contract"), ("dev_tools", "cpq")])
def test_a_generated_company_from_the_crms_own_contracts(
    vertical: str, source: Literal["contract", "cpq"]
) -> None:
    other = otherwise(generated(vertical), arr=ArrSettings(source=source))
    holds(other)
    assert set(other.contracts["deal_type"]) == {"new", "renewal"}
    assert other.agreements["problem"].is_not_null().any()


def write_list(path: Path, facts: Facts, until: date | None) -> None:
    """The ledger's own contracts as a list, as far as a list can hold them."""
    rows = facts.arr_rows.filter(pl.col("arr") > 0, pl.col("start") < pl.col("end"))
    rows = rows if until is None else rows.filter(pl.col("start") < until)
    unlike = ["customer", "product_name", "start"]
    rows.unique(unlike, keep="first", maintain_order=True).select(
        pl.col("arr") / 100, "currency", "start", "end", customer_key="customer", product="product_name"
    ).write_csv(path)


CONSTANT = {"EUR": "1.1", "GBP": "1.27", "JPY": "0.0067"}


@pytest.mark.parametrize("arr", [ArrSettings(), ArrSettings(source="line_items", basis="arr")])
@pytest.mark.parametrize("report", ["EUR", "JPY"])
def test_the_currency_of_the_report_changes_ratios_by_rounding_only(report: str, arr: ArrSettings) -> None:
    """At constant rates; a yen is coarser than a cent, so its rows are larger amounts."""
    books = Books()
    for currency, rate in CONSTANT.items():
        books.rate(currency, "2020-01-01", rate)
    for number in range(40):
        account, currency = books.account(f"a{number}"), ("USD", "EUR", "GBP")[number % 3]
        start = f"2024-{1 + number % 12:02d}-05"
        books.won(f"n{number}", account, start, 7_001 + 313 * number, 12 + number % 24, currency=currency)
        books.line(f"n{number}", "Seat", "seat", 7, 5_003 + 97 * number, currency=currency)
        kind = ("Expansion", "Downgrade", "Renewal")[number % 3]
        amount = (2_017, -1_009, 9_001)[number % 3]
        later = f"2025-{1 + number % 12:02d}-05"
        books.won(f"m{number}", account, later, amount, 12, type=kind, currency=currency)
        books.line(f"m{number}", "Seat", "seat", 1, amount, currency=currency)
    months = months_between("2024-06", "2026-06")
    beside = RetentionSettings(beside=("flow", "event", "month", "quarter"))
    ratios = ["nrr", "grr", "logo_churn", "arr_growth_mom", "arr_growth_yoy"]
    info = SourceInfo("test", "salesforce", "USD", {}, {}, frozenset(), (), "", at("2026-06-30"))
    home, abroad = (
        Facts(
            Company(name="test", currency=currency, arr=arr, retention=beside),
            months,
            at("2026-06-30"),
            books.frames(),
            info,
        )
        for currency in ("USD", report)
    )
    compared = 0
    for one, other in zip(compute(home, ratios), compute(abroad, ratios), strict=True):
        assert (one.value is None, one.n) == (other.value is None, other.n)
        if one.value is not None and other.value is not None:
            assert one.value == pytest.approx(other.value, rel=1e-5, abs=1e-5)
            compared += one.value not in (0, 1)
    assert compared > 60
    assert (
        variants(home)
        .drop("value", "numerator", "denominator")
        .equals(variants(abroad).drop("value", "numerator", "denominator"))
    )
    near = (variants(home)["value"] - variants(abroad)["value"]).abs().max()
    assert isinstance(near, float)
    assert near < 1e-5


deals = st.lists(
    st.fixed_dictionaries(
        {
            "account": st.sampled_from("ABC"),
            "type": st.sampled_from(["New Business", "Expansion", "Renewal", "Downgrade", "Churn"]),
            "start": st.integers(0, 900).map(
                lambda days: (date(2024, 1, 1) + timedelta(days=days)).isoformat()
            ),
            "arr": st.integers(-40, 200),
            "term": st.sampled_from([None, 1, 3, 12, 24]),
            "currency": st.sampled_from(["USD", "USD", "EUR", "JPY"]),
            "seats": st.integers(0, 9),
            "step": st.sampled_from([None, None, 40, 200, 370]),  # days after the deal's start
            "line_term": st.sampled_from([None, None, 6, 12]),
        }
    ),
    max_size=12,
)
listed = st.lists(
    st.fixed_dictionaries(
        {
            "customer": st.sampled_from(["A", "B", "C", "Nobody"]),
            "product": st.sampled_from(["", "seat", "Other"]),
            "start": st.integers(0, 900),
            "days": st.sampled_from([None, 1, 200, 366]),
            "arr": st.integers(0, 200),
            "currency": st.sampled_from(["USD", "EUR", "JPY"]),
        }
    ),
    max_size=6,
    unique_by=lambda row: (row["customer"], row["product"], row["start"]),
)
ARR: list[dict[str, Any]] = [
    {},
    {"source": "line_items", "basis": "arr"},
    {"source": "line_items", "basis": "tcv"},
    {"basis": "mrr"},
    {"expansion": "total"},
    {"renewal": "delta"},
    {"expansion": "total", "renewal": "delta", "auto_renew": True},
    {"auto_renew": True, "grace_days": 0},
    {"customer": "account", "grace_days": 90},
    {"source": "opening_arr"},
    {"deals_from": "2025-02-01"},
    {"deals_from": "2025-02-01", "renewal": "delta", "source": "line_items", "basis": "acv"},
]


DAYS = st.sampled_from(["2026-06-15", "2026-06-30"])
SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]


@pytest.mark.parametrize("arr", ARR, ids=str)
@settings(max_examples=5, deadline=None, suppress_health_check=SLOW)
@given(deals, listed, DAYS)
def test_any_books(
    tmp_path: Path, arr: dict[str, Any], drawn: list[dict[str, Any]], rows: list[dict[str, Any]], now: str
) -> None:
    any_books(tmp_path, arr, drawn, rows, now)


@pytest.mark.slow
@pytest.mark.parametrize("arr", ARR, ids=str)
@settings(max_examples=100, deadline=None, suppress_health_check=SLOW)
@given(deals, listed, DAYS)
def test_any_books_at_length(
    tmp_path: Path, arr: dict[str, Any], drawn: list[dict[str, Any]], rows: list[dict[str, Any]], now: str
) -> None:
    any_books(tmp_path, arr, drawn, rows, now)


def any_books(
    tmp_path: Path, arr: dict[str, Any], drawn: list[dict[str, Any]], rows: list[dict[str, Any]], now: str
) -> None:
    books = Books()
    for account in "ABC":
        books.account(account, parent_id="A" if account == "C" else None, segment=account)
    for number, deal in enumerate(drawn):
        kept = {name: deal[name] for name in ("type", "currency")}
        books.won(str(number), deal["account"], deal["start"], deal["arr"], deal["term"], **kept)
        if deal["seats"]:
            own = {"currency": deal["currency"], "term_months": deal["line_term"]}
            if deal["step"]:
                own["start_date"] = days_later(deal["start"], deal["step"])
            books.line(str(number), "Seat", "seat", deal["seats"], deal["seats"] * 3, **own)
    books.deal("waiting", stage="Proposal", type="Renewal", account_id="B")
    for currency, start, rate in (
        ("EUR", "2024-03-01", "1.1"),
        ("EUR", "2025-03-01", "0.937"),
        ("JPY", "2024-01-01", "0.0067"),
    ):
        books.rate(currency, start, rate)
    first = date(2024, 1, 1)
    path = written(
        tmp_path,
        "opening_arr",
        [
            [
                row["customer"],
                row["product"],
                str(row["arr"]),
                row["currency"],
                str(first + timedelta(days=row["start"])),
                "" if row["days"] is None else str(first + timedelta(days=row["start"] + row["days"])),
            ]
            for row in rows
        ],
    )
    company: dict[str, Any] = {"arr": arr, "inputs": {"opening_arr": path}}
    holds(books.facts(*months_between("2024-01", "2026-06"), now=at(now), **company))
