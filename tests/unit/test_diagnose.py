"""What to look at when a number is off: the cause, worked out by hand for small companies, and its records."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from metrics import playbook
from metrics.compute import compute
from metrics.diagnose import diagnose, registered
from metrics.facts import Facts
from metrics.finding import Finding
from metrics.period import shift
from metrics.playbook import Playbook
from metrics.scope import hidden_kpis, scorecard
from pipeline.company import Company
from tests.unit.books import Books, at, only

MONTH = "2026-06"
NOW = at("2026-06-30", 23)
MONTHS = [shift(MONTH, back) for back in range(-12, 1)]


def facts_of(books: Books, **settings: Any) -> Facts:
    return books.facts(*MONTHS, now=NOW, **settings)


def found(books: Books, book: str, call: str, **settings: Any) -> Finding:
    findings = {one.call: one for one in diagnose(facts_of(books, **settings), MONTH, playbook.load(book))}
    assert call in findings, list(findings)
    return findings[call]


def parts(finding: Finding) -> dict[str, float | None]:
    return {part.label: part.value for part in finding.parts}


def customer(books: Books, key: str, size: str, arr: int = 1000, start: str = "2024-01-01") -> None:
    books.account(key, segment=size)
    books.won(f"{key} deal", key, start, arr, 60)


def leaking() -> Books:
    """Twelve customers with 12,000 a year ago: an SMB one left, an enterprise one left, a mid-market one shrank by 400,
    one of the others expanded by 300: NRR (12,000 - 2,000 - 400 + 300) / 12,000 = 82.5 %."""
    books = Books()
    for number, size in enumerate(["SMB"] * 4 + ["Mid-market"] * 4 + ["Enterprise"] * 4):
        customer(books, f"c{number}", size)
    books.won("x0", "c0", "2026-02-01", 1000, 12, type="Churn")
    books.won("x8", "c8", "2026-02-01", 1000, 12, type="Churn")
    books.won("s4", "c4", "2026-02-01", 400, 12, type="Downgrade")
    books.won("e5", "c5", "2026-02-01", 300, 12, type="Expansion")
    return books


@pytest.mark.parametrize("book", ["hr_tech", "dev_tools", "supply_chain"])
def test_where_retention_leaks(book: str) -> None:
    finding = found(leaking(), book, "retention")
    assert finding.sentence.startswith("Net revenue retention (2025-07..2026-06) is 82.5%, ")
    assert (
        "of the 12 customers live a year before, compared then and now, 20.0 points were lost: churn of small accounts"
        " 8.3, churn of larger accounts 8.3, contraction of mid-market accounts 3.3; expansion gave back 2.5; 9 of 10"
        " kept customers never expanded" in finding.sentence
    )
    assert finding.next == playbook.load(book).diagnoses["retention"].next
    assert parts(finding) == {
        "Churn of small accounts": 100_000,
        "Churn of larger accounts": 100_000,
        "Contraction of mid-market accounts": 40_000,
        "Contraction of other accounts": 0,
        "Expansion": 30_000,
        "Kept and never expanded": 9,
        "Seat expansion": 0,
        "Module expansion": 0,
    }
    assert [(one.external_id, one.contribution) for one in finding.records[:4]] == [
        ("c0", -100_000), ("c8", -100_000), ("c4", -40_000), ("c5", 30_000),
    ]  # fmt: skip
    assert finding.total == 12
    assert finding.records[0].note == "SMB, churned: $1,000.00 a year before, $0.00 now"


def test_who_left_and_came_back_is_churn_in_the_points_and_not_lost_in_the_diagnosis() -> None:
    """Both say by what they count: c9, one of twelve alike, was away from September to December."""
    books = leaking()
    books.won("away", "c9", "2025-09-01", 1000, 12, type="Churn")
    books.won("back", "c9", "2025-12-01", 1000, 24)
    value = only(compute(books.facts(*MONTHS, now=NOW), ["nrr"]), month="2026-06")
    assert "reactivation +8.3" in value.reasons[0]
    assert "churn -25.0" in value.reasons[0]  # c0, c8 and c9 of 12
    sentence = found(books, "hr_tech", "retention").sentence
    assert "compared then and now, 20.0 points were lost: churn of small accounts 8.3" in sentence


def test_seats_and_modules_are_told_apart() -> None:
    books = leaking()
    books.won("seats", "c6", "2026-03-01", 200, 12, type="Expansion")
    books.line("seats", "Seat", "seat", 2, 200)
    books.won("module", "c7", "2026-03-01", 150, 12, type="Expansion")
    books.line("module", "Module", "module", 1, 150)
    expansion = parts(found(books, "hr_tech", "retention"))
    assert (expansion["Seat expansion"], expansion["Module expansion"]) == (20_000, 15_000)


def lost(early: int) -> Books:
    """Twenty customers; five leave within the year, ``early`` of them at the end of their first year."""
    books = Books()
    for number in range(20):
        size = "SMB" if number < 15 else "Enterprise"
        start = "2025-03-01" if number < early else "2023-01-01"
        customer(books, f"c{number:02}", size, 1000, start)
        if number < 5:
            books.won(f"x{number}", f"c{number:02}", "2026-03-01", 1000, 12, type="Churn")
    return books


def test_who_was_lost_and_how_long_they_had_been_there() -> None:
    finding = found(lost(3), "supply_chain", "churn")
    assert finding.sentence == (
        "Logo churn (2025-07..2026-06) is 25.0%, above 20.0%: 5 of the 20 customers live a year before left with $5K;"
        " 3 of them by their first anniversary; product or implementation, not sales leadership."
    )
    assert parts(finding)["Lost within the first year"] == 3
    assert finding.records[0].note == (
        "$1,000.00 a year before, $0.00 now; customer from 2025-03-01 to 2026-03-01"
    )
    arr = found(lost(0), "supply_chain", "lost_arr")
    assert arr.sentence.startswith(
        "Gross revenue retention (2025-07..2026-06) is 75.0%, below 80.0%: 5 of the 20 customers"
    )
    assert "gross ARR churn above 20%" in arr.sentence, "which of the two it was is named"
    assert "0 of them by their first anniversary" in arr.sentence
    hr = found(lost(0), "hr_tech", "lost_arr")
    assert hr.sentence.endswith("; product-market fit or implementation.")


def test_growth_in_its_parts() -> None:
    books = leaking()
    customer(books, "new", "SMB", 2500, "2026-01-01")
    finding = found(books, "supply_chain", "growth")
    assert finding.sentence == (
        "ARR growth, year over year (2025-07..2026-06) is 3.3%: in 12 months new logos brought $2.50K, expansion $300;"
        " contraction took $400 and churn $2K."
    )
    assert finding.records[0].note == "new logo: $2,500.00"
    assert parts(finding) == {
        "New logos": 250_000, "Expansion": 30_000, "Reactivation": 0, "Contraction": -40_000, "Churn": -200_000,
    }  # fmt: skip


def test_growth_that_is_bought_with_bad_deals() -> None:
    """March: 12,000 against 12,000 a year before. June: two of twelve have left and 6,000 are new."""
    books = Books()
    for number in range(12):
        customer(books, f"c{number}", "SMB")
    for number in (0, 1):
        books.won(f"x{number}", f"c{number}", "2026-05-01", 1000, 12, type="Churn")
    customer(books, "big", "Enterprise", 6000, "2026-05-10")
    finding = found(books, "dev_tools", "growth_quality")
    assert finding.sentence == (
        "Net revenue retention (2025-07..2026-06) is 83.3%, below what it was 3 months before: NRR was 100.0% a quarter"
        " before, while ARR growth over a year rose from 0.0% to 33.3%; 2 customers took away $2K since; growth is"
        " bought with low-quality deals."
    )
    assert [one.external_id for one in finding.records] == ["c0", "c1"]


def decided(rates: dict[str, tuple[int, int]], reasons: tuple[str | None, ...] = ("Price",)) -> Books:
    """New deals decided in May: segment -> (won, lost), lost for the reasons in turn."""
    books = Books()
    books.account("a")
    for size, (won, lost_) in rates.items():
        for number in range(won + lost_):
            last = "Won" if number < won else "Lost"
            books.deal(
                f"{size} {number}", "2026-03-01", (("2026-03-02", "Discovery"), ("2026-05-05", last)),
                account_id="a", close_date="2026-05-05", arr=100, term_months=12, segment=size,
                loss_reason=reasons[number % len(reasons)] if last == "Lost" else None,
            )  # fmt: skip
    return books


def test_a_blend_hides_its_segments() -> None:
    """Worked example 5: 25 % of all are 40 % of SMB and 10 % of enterprise."""
    books = decided({"SMB": (8, 12), "Enterprise": (2, 18)})
    finding = found(books, "hr_tech", "win_rate")
    assert finding.sentence == (
        "Win rate (2026-Q2) is 25.0%: by size, 40.0% in SMB (8 of 20) against 10.0% in Enterprise (2 of 20);"
        " of 30 losses: Price 30."
    )
    assert finding.total == 40, "the rates rest on all that were decided, the losses first"
    assert [one.contribution for one in finding.records] == [1] * 10
    close = decided({"SMB": (8, 12), "Enterprise": (7, 13)})
    assert "win_rate" not in {one.call for one in diagnose(facts_of(close), MONTH, playbook.load("hr_tech"))}
    few = decided({"SMB": (8, 12), "Enterprise": (0, 9)})
    assert "win_rate" not in {one.call for one in diagnose(facts_of(few), MONTH, playbook.load("hr_tech"))}


def test_why_deals_were_lost() -> None:
    books = decided({"SMB": (3, 17)}, ("Price", "Price", "No budget", None))
    finding = found(books, "supply_chain", "win_rate")
    # Losses 3..19: reasons by number mod 4: 0 and 1 Price, 2 No budget, 3 none.
    assert finding.sentence == (
        "Win rate (2026-Q2) is 15.0%, below 20.0%: of 17 losses: Price 8, no reason given 5, No budget 4;"
        " product-market fit or sales enablement."
    )


def open_deal(books: Books, key: str, created: str, amount: int = 1000, **values: Any) -> None:
    books.deal(
        key, created, ((created, "Prospecting"), (created, "Discovery")), account_id="a",
        close_date="2026-06-25", amount=amount * 100, **values,
    )  # fmt: skip


def test_stale_pipeline() -> None:
    """Won deals take 40 days from qualification; a deal open for more than 80 on 21 April is stale."""
    books = Books()
    books.account("a")
    for number in range(12):
        books.deal(
            f"w{number}", "2026-01-05", (("2026-01-05", "Discovery"), ("2026-02-14", "Won")),
            account_id="a", close_date="2026-02-14", arr=100, term_months=12,
        )  # fmt: skip
    open_deal(books, "old", "2026-01-30", 2000)  # 81 days on 21 April
    open_deal(books, "limit", "2026-01-31", 3000)  # 80 days
    books.quota("2026-04-01", 900)
    finding = found(books, "supply_chain", "stale_pipe")
    assert finding.sentence == (
        "Pipeline coverage (2026-Q2) is 5.56×, above 5.00×: 1 of 2 deals, $2K (2.22× of the coverage), are open"
        " longer than 80 days, 2 times the median cycle."
    )
    assert [(one.external_id, one.contribution) for one in finding.records] == [("old", 200_000)]
    assert finding.records[0].note == "open for 81 days on 2026-04-21; Discovery, closing 2026-06-25"


def funnel(created_now: int, stalled: int, won: int) -> Books:
    """Spans of 91 days that each brought ten deals of 1,000, created 20 days before its end and decided 10 days after
    it, five of them won; so ten young deals are open at each end. In the last span: ten deals of ``created_now``, ten
    more of which some have stood in Discovery for 81 days, and of the ten deals decided some were won."""
    books = Books()
    books.account("a")
    day = date(2026, 6, 30)
    for span in range(1, 5):
        last = day - timedelta(days=91 * span)
        began, closed = ((last + timedelta(days=days)).isoformat() for days in (-20, 10))
        for number in range(10):
            ended = "Won" if number < (won if span == 1 else 5) else "Lost"
            books.deal(
                f"{span} {number}", began, ((began, "Discovery"), (closed, ended)), account_id="a", close_date=closed,
                amount=100_000, arr=100, term_months=12,
            )  # fmt: skip
    recent, old = (day - timedelta(days=20)).isoformat(), (day - timedelta(days=81)).isoformat()
    for number in range(10):
        here = {"account_id": "a", "close_date": "2026-06-29"}
        books.deal(f"new {number}", recent, ((recent, "Discovery"),), amount=created_now * 100, **here)
        since = old if number < stalled else recent
        books.deal(f"open {number}", since, ((since, "Discovery"),), amount=0, **here)
    books.quota("2026-04-01", 1_000_000)
    return books


@pytest.mark.parametrize(
    ("books", "cause", "text"),
    [
        (funnel(100, 0, 5), "the top of the funnel", "pipeline created in 91 days $1K (usually $10K"),
        (funnel(1000, 8, 5), "a stalled middle", "8 of 20 open deals stalled (usually 0%)"),
        (funnel(1000, 0, 1), "conversion", "1 of 10 decided deals won (usually 50%)"),
    ],
)
def test_top_middle_or_conversion(books: Books, cause: str, text: str) -> None:
    finding = found(books, "supply_chain", "coverage")
    assert f"the cause lies in {cause};" in finding.sentence
    assert text in finding.sentence
    assert "; it signals future revenue shortfalls" in finding.sentence
    assert finding.records


def test_a_funnel_as_usual_has_no_cause() -> None:
    finding = found(funnel(1000, 0, 5), "supply_chain", "coverage")
    assert "none of the three is below its own norm of the year before" in finding.sentence
    # The pipeline created is as usual, and it is told: twenty deals, ten of them of nothing.
    assert (finding.total, finding.unit) == (20, "currency")
    assert finding.records[0].contribution == 1000_00


def slow(days_in_proposal: int) -> Books:
    """Eight deals won in May, after 10 days in Discovery and some in Proposal; those of enterprise take longest."""
    books = Books()
    books.account("a")
    for number in range(12):
        extra = 20 if number < 6 else 0
        qualified = date(2026, 5, 20) - timedelta(days=10 + days_in_proposal + extra)
        proposed = qualified + timedelta(days=10)
        books.deal(
            f"w{number:02}", qualified.isoformat(),
            ((qualified.isoformat(), "Discovery"), (proposed.isoformat(), "Proposal"), ("2026-05-20", "Won")),
            account_id="a", close_date="2026-05-20", arr=100, term_months=12,
            segment="Enterprise" if number < 6 else "SMB",
        )  # fmt: skip
    return books


def test_in_which_stage_and_segment_deals_stall() -> None:
    finding = found(slow(270), "supply_chain", "cycle")
    # Cycles: six of 300 days and six of 280, median 290; Proposal: 290 and 270 days, median 280.
    assert finding.sentence == (
        "Sales cycle (2026-Q2) is 290 days, above 9 months: deals stay longest in Proposal (median 280 days, n=12);"
        " Enterprise takes longest (median 300 days, 6 deals); the problem may be in the proof-of-concept stage."
    )
    assert parts(finding) == {"Median days in Discovery": 10, "Median days in Proposal": 280}
    assert (finding.records[0].external_id, finding.records[0].contribution) == ("w00", 290)
    calls = {one.call for one in diagnose(facts_of(slow(250)), MONTH, playbook.load("supply_chain"))}
    assert "cycle" not in calls


def test_the_enterprise_segment_has_its_own_line() -> None:
    books = slow(270)
    for number in range(10):
        deal = dict(books.rows["deals"][number % 6])
        books.deal(
            f"more {number}", "2025-07-24",
            (("2025-07-24", "Discovery"), ("2025-08-03", "Proposal"), ("2026-05-20", "Won")),
            account_id="a", close_date="2026-05-20", arr=100, term_months=12, segment=deal["segment"],
        )  # fmt: skip
    finding = found(books, "hr_tech", "cycle")
    assert finding.segment == {"size": "Enterprise"}
    assert finding.sentence.startswith(
        "Sales cycle by size: Enterprise (2026-Q2) is 300 days, above 9 months: deals stay"
    )


def test_a_clients_own_target_calls_for_a_look(tmp_path: Any) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(
        "period,segment,metric,value,source,as_of\n2026-Q2,,cycle_days_median,90,plan,2026-01-01\n"
    )
    finding = found(slow(100), "hr_tech", "cycle_target", inputs={"targets": path})
    assert finding.sentence.startswith(
        "Sales cycle (2026-Q2) is 120 days, against the client's target of 90 days: deals stay longest in Proposal"
    )
    assert "a product gap, pricing or the sales process" in finding.sentence


def test_incomplete_fields_are_named() -> None:
    books = Books()
    books.account("a")
    for number in range(10):
        books.deal(
            f"d{number}", "2026-06-02", stage="Discovery", account_id="a", amount=100 if number < 7 else None
        )
    finding = found(books, "supply_chain", "data")
    assert finding.sentence == (
        "Field completeness (2026-06) is 45.0%, below 80.0%: least filled are close date on 0.0% of 10 deals,"
        " next step on 0.0% of 10 deals, owner id on 0.0% of 10 deals."
    )


def everything() -> Books:
    """A company at which as much as possible is wrong."""
    books = leaking()
    for number in range(12):
        customer(books, f"late{number}", "SMB", 1000, "2024-02-01")
        books.won(f"gone{number}", f"late{number}", "2026-04-01", 1000, 12, type="Churn")
    customer(books, "big", "Enterprise", 90_000, "2026-05-10")
    rows = decided({"SMB": (2, 18), "Enterprise": (1, 19)}).rows
    for table in ("deals", "deal_changes"):
        books.rows[table] += rows[table]
    books.account("a")
    books.quota("2026-04-01", 1_000_000)
    return books


@pytest.mark.parametrize("book", playbook.shipped())
def test_no_diagnosis_of_one_market_is_made_in_another(book: str) -> None:
    loaded = playbook.load(book)
    facts = facts_of(everything())
    findings = diagnose(facts, MONTH, loaded)
    assert findings
    for finding in findings:
        call = loaded.diagnoses[finding.call]
        assert (call.rule, call.kpi, call.next) == (finding.rule, finding.kpi, finding.next)
        for other in playbook.shipped():
            says = {one.says for one in playbook.load(other).diagnoses.values() if one.says}
            mine = {one.says for one in loaded.diagnoses.values() if one.says}
            assert not any(text in finding.sentence for text in says - mine if text not in " ".join(mine)), (
                other
            )


def test_a_playbook_without_diagnoses_says_nothing() -> None:
    silent = Playbook(name="silent", title="Silent", headline=("nrr",))
    assert diagnose(facts_of(everything()), MONTH, silent) == ()


def test_every_diagnosis_that_a_book_calls_for_exists_and_is_documented() -> None:
    import sys

    called = {call.rule for name in playbook.shipped() for call in playbook.load(name).diagnoses.values()}
    assert called == set(registered())
    for name, diagnosis in registered().items():
        assert diagnosis.id == name
        assert "Source:" in (sys.modules[f"metrics.diagnosis.{name}"].__doc__ or "")


@pytest.mark.parametrize("book", playbook.shipped())
def test_an_empty_company_is_not_diagnosed(book: str) -> None:
    assert diagnose(facts_of(Books()), MONTH, playbook.load(book)) == ()


def test_what_a_role_does_not_own_is_hidden() -> None:
    dev, hr = playbook.load("dev_tools"), playbook.load("hr_tech")
    small, large = Books(), Books()
    customer(small, "c", "SMB", 4_999_999)
    customer(large, "c", "SMB", 5_000_000)
    owned = {"marketing_sourced_pipeline", "marketing_sourced_revenue", "cost_per_lead", "mql_to_sql"}
    assert hidden_kpis(facts_of(small), MONTH, dev) == set()
    assert hidden_kpis(facts_of(large), MONTH, dev) == owned
    assert hidden_kpis(facts_of(large, engagement={"scope": "full_gtm"}), MONTH, dev) == set()
    assert hidden_kpis(facts_of(small), MONTH, hr) == owned - {"mql_to_sql"}, (
        "the size of $5M is not HR tech's"
    )


def test_another_kind_of_company_has_another_headline() -> None:
    facts = facts_of(leaking(), engagement={"founder_led": True, "partner_led": True})
    names, why = scorecard(facts, MONTH, playbook.load("dev_tools"))
    assert names[:2] == ["pipeline_coverage_weighted", "cycle_days_weighted"]
    assert why is not None
    assert why.startswith("founder-led sales")
    _, partner = scorecard(facts, MONTH, playbook.load("hr_tech"))
    assert partner is not None
    assert partner.startswith("partner-led")
    assert scorecard(facts, MONTH, playbook.load("supply_chain"))[1] is None


def test_completeness_fields_come_from_the_playbook(tmp_path: Any) -> None:
    path = tmp_path / "ours.yaml"
    path.write_text("extends: hr_tech\nrequired_fields: [amount, loss_reason]\n")
    ours = Company(name="x", playbook=str(path))
    assert playbook.applied(ours).required_deal_fields == ("amount", "loss_reason")
    own = Company(name="x", playbook=str(path), required_deal_fields=("stage",))
    assert playbook.applied(own).required_deal_fields == ("stage",)
    assert playbook.applied(Company(name="x")) == Company(name="x")


def test_customers_at_risk(tmp_path: Any) -> None:
    """Usage weighs 50 and tickets 25: c2 has (0 x 50 + 100 x 25) / 75 = 33.3, c1 fell from 86.7 to 53.3."""
    weeks = {5: ("04", "11", "18", "25"), 6: ("01", "08", "15", "22")}
    active = {(5, 1): 80, (6, 1): 30, (5, 2): 0, (6, 2): 0}
    usage = [
        f"c{number},2026-0{month}-{day},{active.get((month, number), 80)},100,file,2026-01-01"
        for number in range(12)
        for month, days in weeks.items()
        for day in days
    ]
    (tmp_path / "usage.csv").write_text("\n".join(["customer_key,week,active,licensed,source,as_of", *usage]))
    (tmp_path / "tickets.csv").write_text(
        "customer_key,opened,closed,severity,source,as_of\nc3,2026-01-01,2026-01-02,low,file,2026-01-01\n"
    )
    inputs = {kind: tmp_path / f"{kind}.csv" for kind in ("usage", "tickets")}
    finding = found(leaking(), "supply_chain", "health", inputs=inputs)
    assert finding.sentence.endswith(
        "1 of 10 scored customers below 40, 1 fell by 15 points or more within the month."
    )
    assert [one.external_id for one in finding.records] == ["c2", "c1"]
    assert [one.contribution for one in finding.records] == pytest.approx([100 / 3, 160 / 3])


def test_payback_by_channel(tmp_path: Any) -> None:
    """Four quarters of 3,000 (inbound) and 27,000 (outbound) for 1,000 ARR each at 75 %: 12,000 / 62.5 = 192 months and
    108,000 / 62.5 = 1,728; together 120,000 / 125 = 960."""
    months = [f"{year}-{month:02}" for year in (2025, 2026) for month in range(1, 13)]
    spend = [
        f"{month},{channel},people,{amount},USD,file,2024-01-01"
        for month in months
        for channel, amount in (("inbound", 1000), ("outbound", 9000))
    ]
    margin = [
        f"{year}-Q{quarter},subscription,75%,file,2024-01-01"
        for year in (2025, 2026)
        for quarter in range(1, 5)
    ]
    (tmp_path / "spend.csv").write_text(
        "\n".join(["month,channel,kind,amount,currency,source,as_of", *spend])
    )
    (tmp_path / "margin.csv").write_text("\n".join(["quarter,stream,pct,source,as_of", *margin]))
    books = leaking()
    for motion in ("inbound", "outbound"):
        customer(books, motion, "Enterprise", 1000, "2026-02-01")
        books.rows["deals"][-1]["motion"] = motion
    finding = found(
        books,
        "supply_chain",
        "payback",
        inputs={kind: tmp_path / f"{kind}.csv" for kind in ("spend", "margin")},
    )
    assert finding.sentence == (
        "CAC payback (2025-Q3..2026-Q2) is 960 months, above 24 months: by channel: outbound 1,728 months, inbound 192"
        " months; cash flow may be strained (low sample)."
    )


def test_unweighted_coverage_that_misleads() -> None:
    """3,000 at 50 % against 500: 6x, weighted 3x is healthy; against 600 5x and 2.5x. 100 is what is usually won."""
    books = Books()
    books.account("a")
    for number in range(12):
        books.deal(
            f"won {number}", "2026-04-22", (("2026-04-22", "Discovery"), ("2026-05-05", "Won")),
            account_id="a", close_date="2026-05-05", arr=10_000, term_months=12,
        )  # fmt: skip
    for number in range(30):
        books.deal(
            f"open {number}", "2026-01-05", (("2026-01-05", "Discovery"),), account_id="a", close_date="2026-06-25",
            amount=9900 if number < 20 else 10_200,
        )  # fmt: skip
    books.quota("2026-04-01", 600)
    finding = found(books, "dev_tools", "coverage_misleads")
    assert finding.sentence == (
        "Pipeline coverage (2026-Q2) is 5.00×, at least 3.00×: weighted by probability it is 2.50×; 20 of 30 deals are"
        " smaller than the $100 that is usually won; unweighted coverage misleads."
    )
    books.rows["quotas"][0]["amount"] = 50_000
    assert "coverage_misleads" not in {
        one.call for one in diagnose(facts_of(books), MONTH, playbook.load("dev_tools"))
    }
