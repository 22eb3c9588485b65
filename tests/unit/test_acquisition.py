"""What must hold for the acquisition and health numbers of any books: parts, evidence, faulty files, wording."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from metrics.compute import compute, registered
from metrics.facts import Facts
from metrics.kpi import KpiValue
from metrics.period import months_between
from metrics.spend import in_months
from tests.unit.books import Books, at, only

SOURCED = (
    "marketing_sourced_pipeline",
    "marketing_sourced_revenue",
    "partner_sourced_pipeline",
    "partner_sourced_revenue",
)
LEADS = ("lead_to_opportunity", "mql_to_sql")
ALL = (*SOURCED, *LEADS, "cost_per_lead", "cac_payback_months", "health_score")
MONTHS = months_between("2025-11", "2026-03")


def files(folder: Path, **texts: str) -> dict[str, Path]:
    paths = {kind: folder / f"{kind}.csv" for kind in texts}
    for kind, text in texts.items():
        paths[kind].write_text(text, encoding="utf-8")
    return paths


def firm() -> Books:
    """Customers, deals and leads of every motion and of none, in two currencies."""
    books = Books()
    books.rate("EUR", "2024-01-01", "1.137")
    books.rows["owners"] = [{"external_id": "1", "name": "Ann"}, {"external_id": "2", "name": "Bo"}]
    books.account("old", segment="SMB")
    books.won("before all", "old", "2024-01-01", 77, 60, motion="inbound")
    sources = ("Webinar", "Cold Call", "Partner", "Zed", None)
    for number, source in enumerate(sources * 3):
        account = books.account(
            f"account {number}", segment=("SMB", "Enterprise", None)[number % 3], owner_id="1"
        )
        month = MONTHS[number // 3]
        books.won(
            f"won {number}", account, f"{month}-11", 30 + number, 36, amount=(40 + number) * 100, lead_source=source,
            created=f"{month}-02", currency=("USD", "EUR")[number % 2], owner_id=("1", "2", None)[number % 3],
        )  # fmt: skip
        books.lead(
            f"lead {number}", f"{month}-03", source, mql_at=f"{month}-05", sql_at=f"{month}-08" if number % 2 else None,
            converted_at=f"{month}-20" if number % 3 else None, owner_id=("1", None)[number % 2],
        )  # fmt: skip
    return books


def fed(folder: Path, **more: str) -> dict[str, Path]:
    spend = ["month,channel,kind,amount,currency"]
    for number, month in enumerate(months_between("2024-01", "2026-03")):
        spend += [
            f"{month},{channel},{kind},{10 + number + 3 * place}.37,{('USD', 'EUR')[place % 2]}"
            for place, channel in enumerate(("inbound", "outbound", "partner", ""))
            for kind in ("people", "program")
        ]
    margin = ["quarter,stream,pct"] + [
        f"{first},subscription,{60 + place}%"
        for place, first in enumerate(("2025-01", "2025-04", "2025-07", "2025-10", "2026-01"))
    ]
    usage = ["customer_key,week,active,licensed"] + [
        f"account {number},{week},{number * 5},60"
        for number in range(12)
        for week in ("2026-02-16", "2026-03-16")
    ]
    texts = {"spend": "\n".join(spend), "margin": "\n".join(margin), "usage": "\n".join(usage)}
    return files(folder, **texts | more)


@pytest.fixture
def facts(tmp_path: Path) -> Facts:
    return firm().facts("2026-02", "2026-03", now=at("2026-04-20"), inputs=fed(tmp_path))


@pytest.mark.parametrize("name", ALL)
def test_parts_add_up_to_the_total(facts: Facts, name: str) -> None:
    kpi = registered()[name]
    for cut in kpi.cuts:
        for month in facts.months:
            whole = only(compute(facts, [name]), month=month)
            parts = [value for value in compute(facts, [name], (cut,)) if value.month == month]
            assert whole.value is not None
            assert len(parts) > 2 or cut != "motion"
            for side in ("numerator", "denominator", "n"):
                total = sum(getattr(part, side) or 0 for part in parts)
                assert total == pytest.approx(getattr(whole, side), rel=1e-12), (cut, month, side)


@pytest.mark.parametrize("name", [name for name in ALL if name != "cac_payback_months"])
def test_evidence_adds_up_to_the_numerator(facts: Facts, name: str) -> None:
    whole = only(compute(facts, [name]), month="2026-03")
    opened = registered()[name].evidence(facts, "2026-03")
    assert opened["contribution"].sum() == pytest.approx(whole.numerator)
    assert opened.height
    assert opened["note"].null_count() == 0
    assert opened.select("object", "external_id").is_unique().all()


def test_evidence_of_payback_holds_what_was_paid_and_whom_it_won(facts: Facts) -> None:
    whole = only(compute(facts, ["cac_payback_months"]), month="2026-03")
    opened = registered()["cac_payback_months"].evidence(facts, "2026-03")
    sums = dict(opened.group_by("object").agg(pl.col("contribution").sum()).iter_rows())
    assert sums == {
        "spend": pytest.approx(whole.numerator),
        "accounts": pytest.approx(whole.denominator),
    }
    assert opened.filter(object="accounts").height == whole.n
    first = opened.filter(external_id="2025-01 inbound people USD").row(0, named=True)
    assert (first["name"], first["contribution"]) == ("inbound, people", 2237)
    assert first["note"] == "$22.37 of January 2025, line 98 of the spend file"


def test_evidence_of_leads_names_no_person(facts: Facts) -> None:
    books = firm()
    books.lead("person", "2026-03-05", "Webinar", first_name="Ann", last_name="Lee", email="ann@lee.example")
    opened = registered()["lead_to_opportunity"].evidence(
        books.facts("2026-03", now=at("2026-04-20")), "2026-03"
    )
    assert "person Inc." in opened["name"].to_list()
    text = str(opened.to_dicts())
    assert "Lee" not in text
    assert "ann@" not in text


def test_a_faulty_file_costs_only_the_numbers_that_need_it(tmp_path: Path) -> None:
    broken = "quarter,stream,pct\n2026-Q1,subscription,75"
    found = firm().facts("2026-03", now=at("2026-04-20"), inputs=fed(tmp_path, margin=broken))
    values = {value.id: value for value in compute(found, ALL)}
    payback = values.pop("cac_payback_months")
    assert payback.value is None
    assert payback.reasons[0].startswith(
        "needs inputs: margin, and its file is faulty: margin.csv line 2: pct '75'"
    )
    assert [name for name, value in values.items() if value.value is None] == []


def test_what_is_not_configured_is_asked_for(tmp_path: Path) -> None:
    found = firm().facts("2026-03", now=at("2026-04-20"))
    reasons = {value.id: value.reasons for value in compute(found, ALL) if value.value is None}
    assert reasons == {
        "cost_per_lead": ("needs spend: name a file under inputs: spend: in the configuration",),
        "cac_payback_months": ("needs spend: name a file under inputs: spend: in the configuration",),
        "health_score": ("needs files of usage, tickets and nps that make half of it, named under inputs:",),
    }


@pytest.mark.parametrize(
    ("months", "text"),
    [
        (["2026-03"], "March 2026"),
        (["2025-12", "2026-01"], "December 2025 to January 2026"),
        (
            ["2025-10", "2025-12", "2026-01", "2026-03"],
            "October 2025, December 2025 to January 2026 and March 2026",
        ),
    ],
)
def test_missing_months_in_words(months: list[str], text: str) -> None:
    assert in_months([date.fromisoformat(f"{month}-01") for month in months]) == text


drawn_leads = st.lists(
    st.tuples(
        st.integers(0, 300),  # created, days after 2025-06-01
        st.one_of(st.none(), st.integers(-5, 130)),  # converted, days after that
        st.one_of(st.none(), st.integers(-5, 130)),  # SQL
        st.sampled_from(["Webinar", "Cold Call", "Zed", None]),
    ),
    max_size=15,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(drawn_leads)
def test_any_leads(drawn: list[tuple[int, int | None, int | None, str | None]]) -> None:
    """Every lead is in one cohort, a rate is a share, and a cohort that has matured never changes."""
    books = Books()
    start = date(2025, 6, 1).toordinal()
    for number, (created, converted, sql, source) in enumerate(drawn):
        day = date.fromordinal(start + created)
        books.lead(
            str(number), day.isoformat(), source,
            converted_at=None if converted is None else date.fromordinal(start + created + converted).isoformat(),
            sql_at=None if sql is None else date.fromordinal(start + created + sql).isoformat(),
        )  # fmt: skip
    months = months_between("2025-06", "2026-03")
    late, later = (
        {(value.id, value.month): value for value in compute(books.facts(*months, now=now), LEADS)}
        for now in (at("2026-04-20"), at("2026-12-20"))
    )
    assert sum(value.n or 0 for (name, _), value in later.items() if name == LEADS[0]) == len(drawn)
    for key, value in later.items():
        assert value.value is None or 0 <= value.value <= 1
        if not any("immature" in reason for reason in late[key].reasons):
            assert numbers(late[key]) == numbers(value)


def numbers(value: KpiValue) -> tuple[object, ...]:
    return value.value, value.numerator, value.denominator, value.n
