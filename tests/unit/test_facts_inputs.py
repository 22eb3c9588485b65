"""Input files as facts: as known at a moment, matched to accounts, and what a faulty one does to numbers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from metrics import playbook, unread
from metrics.caveats import of as caveats_of
from metrics.compute import compute, evidence, registered
from metrics.facts import Facts
from metrics.inputs import InputFault, kinds, settings_of
from metrics.judge import Judge
from metrics.kpi import EVIDENCE
from pipeline.company import Company, Inputs
from pipeline.records import SourceInfo
from tests.unit.books import Books, at, only

TARGETS = "period,segment,metric,value,source,as_of\n"
USAGE = "customer_key,week,active,licensed\n"


def written(folder: Path, kind: str, text: str) -> dict[str, Path]:
    path = folder / f"{kind}.csv"
    path.write_text(text, encoding="utf-8")
    return {kind: path}


def pipeline() -> Books:
    found = Books()
    found.deal(
        "big",
        "2026-04-02",
        stage="Discovery",
        amount=60_000,
        close_date="2026-06-30",
        segment="Enterprise",
        owner_id="1",
    )
    found.deal(
        "small",
        "2026-04-02",
        stage="Discovery",
        amount=20_000,
        close_date="2026-06-30",
        segment="SMB",
        owner_id="2",
    )
    found.rows["owners"] = [{"external_id": "1", "name": "Ann"}, {"external_id": "2", "name": "Bo"}]
    return found


@pytest.mark.parametrize("kind", Inputs.model_fields)
def test_without_a_file_there_are_no_rows(kind: str) -> None:
    facts = Books().facts("2026-05")
    assert facts.input(kind).schema == kinds()[kind].schema
    assert facts.input(kind).is_empty()
    assert not facts.has_input(kind)
    assert facts.unmatched(kind) is None
    assert facts.input_faults == ()


# Accounts: "acme" (two ids of a merger), "beta" with a subsidiary of the same domain, two strangers called Gamma.
def accounts() -> Books:
    found = Books()
    found.account("0015g00000AbCdEFGH", name="Acme, Inc.", domain="acme.com")
    found.account("beta", name="Béta GmbH", domain="beta.de")
    found.account("beta-fr", name="Beta France", domain="beta.de", parent_id="beta")
    found.account("gamma1", name="Gamma", domain="gamma.io")
    found.account("gamma2", name="Gamma Ltd", domain="gamma.com")
    found.account("old", name="Old", deleted_at=at("2025-01-01"), merged_into="0015g00000AbCdEFGH")
    found.account("gone", name="Gone", domain="gone.com", deleted_at=at("2025-01-01"))
    found.account("later", name="Later", domain="later.com", created_at=at("2026-06-15"))
    found.account("mail", name="Freelancer", domain="gmail.com")
    found.account("blank", name="n/a", domain="unknown")
    found.account("gamma.io", name="An id that looks like a domain")
    return found


ACME = "0015g00000AbCdEFGH"
KEYS = {
    ACME: ACME,
    "0015g00000AbCdE": ACME,  # as Salesforce reports print ids
    "0015G00000ABCDE": None,  # ids have case
    "old": ACME,  # merged away
    "acme.com": ACME,
    "https://www.ACME.com/contact": ACME,
    "ann@acme.com": ACME,
    "ACME Inc": ACME,
    "beta": "beta",
    "beta.de": "beta",  # a hierarchy is one customer
    "Beta France": "beta-fr",
    "gamma": None,  # two that have nothing to do with each other
    "gamma.com": "gamma2",
    "gamma.io": "gamma.io",  # the id comes first
    "gone.com": None,
    "gone": None,
    "later.com": None,  # not yet created
    "gmail.com": None,  # everybody's
    "Freelancer": "mail",
    "n/a": None,
    "unknown": None,
    "nobody": None,
}


def test_customers_are_matched_by_id_then_domain_then_name(tmp_path: Path) -> None:
    rows = "".join(f"{key},2026-04-0{day},1,2\n" for key in KEYS for day in (1, 8))
    facts = accounts().facts("2026-05", now=at("2026-05-31"), inputs=written(tmp_path, "usage", USAGE + rows))
    found = facts.input("usage").select("customer_key", "account_id").unique(maintain_order=True)
    assert dict(found.iter_rows()) == KEYS
    assert facts.input("usage").height == 2 * len(KEYS)
    lost = [key for key, account in KEYS.items() if account is None]
    assert facts.unmatched("usage") == (
        f"{len(lost)} of {len(KEYS)} customers of usage.csv match no account: {lost[0]}, "
        f"gamma (2 accounts have this name), {', '.join(lost[2:5])}, {len(lost) - 5} more"
    )


def test_customers_are_those_of_the_moment(tmp_path: Path) -> None:
    files = written(tmp_path, "nps", "customer_key,date,score\nlater.com,2026-03-31,5\n")
    before = accounts().facts("2026-05", now=at("2026-05-31"), inputs=files)
    assert before.input("nps")["account_id"].to_list() == [None]
    assert before.unmatched("nps") == "1 of 1 customers of nps.csv matches no account: later.com"
    after = accounts().facts("2026-06", now=at("2026-06-30"), inputs=files)
    assert after.input("nps")["account_id"].to_list() == ["later"]
    assert after.unmatched("nps") is None


def test_a_number_before_a_revision_is_the_one_it_was(tmp_path: Path) -> None:
    text = f"{TARGETS}2026-Q2,,quota,400,plan,2026-01-05\n2026-Q2,,quota,200,board,2026-05-20\n"
    files = written(tmp_path, "targets", text)

    def coverage(day: str, hour: int, zone: str = "UTC") -> float | None:
        facts = pipeline().facts("2026-05", now=at(day, hour), inputs=files, timezone=zone)
        value = only(compute(facts, ["pipeline_coverage"])).value
        return None if value is None else float(value)

    assert coverage("2026-05-19", 23) == 2.0
    assert coverage("2026-05-20", 0) == 4.0
    # It is the company's own day that counts: in Tokyo the 20th has begun.
    assert coverage("2026-05-19", 16, "Asia/Tokyo") == 4.0


def test_the_file_stands_in_where_the_crm_has_no_quota(tmp_path: Path) -> None:
    text = f"{TARGETS}2026-Q2,,quota,400,plan,\n2026-Q2,size=SMB,quota,100,plan,\n"
    facts = pipeline().facts("2026-05", now=at("2026-05-31"), inputs=written(tmp_path, "targets", text))
    assert only(compute(facts, ["pipeline_coverage"])).value == 2.0
    parts = compute(facts, ["pipeline_coverage"], cuts=("size",))
    assert only(parts, segment={"size": "SMB"}).value == 2.0
    enterprise = only(parts, segment={"size": "Enterprise"})
    assert (enterprise.value, enterprise.numerator) == (None, 60_000)
    assert enterprise.reasons == ("needs a quota by size of 2026-Q2: in the CRM or in the targets file",)


def test_quotas_of_the_crm_come_first_and_are_given_by_owner(tmp_path: Path) -> None:
    found = pipeline()
    found.quota("2026-04-01", 300, owner="1")
    found.quota("2026-05-01", 100, owner="2")
    files = written(tmp_path, "targets", f"{TARGETS}2026-Q2,,quota,1,plan,\n")
    facts = found.facts("2026-05", now=at("2026-05-31"), inputs=files)
    assert only(compute(facts, ["pipeline_coverage"])).value == 2.0
    parts = compute(facts, ["pipeline_coverage"], cuts=("owner",))
    assert {value.segment["owner"]: value.value for value in parts} == {
        "Ann": 2.0,
        "Bo": 2.0,
        "unknown": None,
    }


def test_part_of_a_quota_is_none() -> None:
    found = pipeline()
    found.quota("2026-04-01", 300)
    found.quota("2026-04-01", 100, currency="CHF")
    value = only(compute(found.facts("2026-05", now=at("2026-05-31")), ["pipeline_coverage"]))
    assert (value.value, value.reasons) == (
        None,
        ("needs CHF rate, for a quota of 2026-Q2",),
    )


LOST = (
    "2026-Q2,size=Enterprise,quota,1,plan,\n"  # nothing is wrong with it
    "2026-Q2,size=enterprize,quota,1,plan,\n"
    "2026-Q2,size=ENTERPRISE,win_rate,25%,plan,\n"  # nor with this one
    "2026-Q2,size=ENTERPRISE,quota,1,plan,2026-02-01\n"
    "2026-Q2,owner=Bob,quota,1,plan,\n"
    "2026-Q2,,stage_days:discovery,14,plan,\n"
    "2026-Q2,,stage_days:Discovry,14,plan,\n"
    "2026-Q2,pipeline=default,lead_to_opportunity,10%,plan,\n"
)


def test_targets_that_nothing_is_held_against_are_told_with_their_lines(tmp_path: Path) -> None:
    files = written(tmp_path, "targets", TARGETS + LOST)
    facts = pipeline().facts("2026-05", now=at("2026-05-31"), inputs=files)
    assert unread.targets(facts) == (
        "targets.csv line 3: no record lies in size=enterprize; did you mean Enterprise?",
        "targets.csv line 5: no record lies in size=ENTERPRISE; did you mean Enterprise?",
        "targets.csv line 6: no record lies in owner=Bob; did you mean Bo?",
        "targets.csv line 8: the CRM has no stage 'Discovry'; did you mean Discovery?",
        "targets.csv line 9: lead_to_opportunity cannot be cut by pipeline; it can be cut by motion, owner",
    )
    info = SourceInfo("test", "salesforce", "USD", {}, {}, frozenset(), (), "", at("2026-05-31"))
    (told,) = [caveat for caveat in caveats_of(facts, info, ()) if caveat.title.startswith("Targets")]
    assert told.text.startswith("In targets.csv line 3: no record lies in size=enterprize; did you mean")


def test_a_target_in_a_currency_without_a_rate_is_not_computable(tmp_path: Path) -> None:
    text = "period,segment,metric,value,currency\n2026-Q2,,arr,5000000,EUR\n2026-Q2,,win_rate,0.25,EUR\n"
    facts = pipeline().facts("2026-05", now=at("2026-05-31"), inputs=written(tmp_path, "targets", text))
    values = compute(facts, ["arr", "win_rate"], judge=Judge(playbook.load("hr_tech")))
    assert only(values, id="arr").target == "the client's own: not computable: needs EUR rate"
    assert "the client's own: 25.0%" in (only(values, id="win_rate").target or "")
    assert unread.targets(facts) == (
        "targets.csv line 2: arr in EUR: not computable: needs EUR rate to USD; add it in the CRM, or write the amount"
        " in USD",
    )


BROKEN = TARGETS + "2026-Q2,,quota,lots,plan,\n2026-Q2,,quota,more,plan,\n"
WHY = (
    "needs inputs: targets, and its file is faulty: targets.csv line 2: value 'lots' is not a number; "
    "write for example 12000.00 (and 1 more: see boardline check)"
)


def test_a_faulty_file_costs_only_the_numbers_that_need_it(tmp_path: Path) -> None:
    found = pipeline()
    found.won("w", found.account("a"), "2026-01-01", 1200)
    sound = found.facts("2026-04", "2026-05", now=at("2026-05-31"))
    facts = found.facts(
        "2026-04", "2026-05", now=at("2026-05-31"), inputs=written(tmp_path, "targets", BROKEN)
    )
    with pytest.raises(InputFault, match="line 2: value 'lots' is not a number"):
        facts.input("targets")
    assert [fault.kind for fault in facts.input_faults] == ["targets"]

    values = compute(facts, cuts=(None, "size"))
    for value in values:
        if value.id.startswith("pipeline_coverage"):
            assert (value.value, value.status, value.reasons) == (None, "not_computable", (WHY,))
    coverage = [value for value in values if value.id == "pipeline_coverage"]
    assert [(value.month, dict(value.segment)) for value in coverage] == [
        ("2026-04", {}),
        ("2026-05", {}),
        ("2026-04", {"size": "unknown"}),
        ("2026-05", {"size": "unknown"}),
    ]
    others = [value for value in values if WHY not in value.reasons]
    same = {
        (value.id, value.month, *value.segment.items()): value
        for value in compute(sound, cuts=(None, "size"))
    }
    assert len(others) > 40
    for value in others:
        assert value == same[value.id, value.month, *value.segment.items()]


def test_a_faulty_targets_file_is_not_needed_where_the_crm_has_the_quotas(tmp_path: Path) -> None:
    found = pipeline()
    found.quota("2026-04-01", 400)
    files = written(tmp_path, "targets", BROKEN)
    facts = found.facts("2026-05", now=at("2026-05-31"), inputs=files)
    assert only(compute(facts, ["pipeline_coverage"])).value == 2.0
    longer = found.facts("2026-03", "2026-05", now=at("2026-05-31"), inputs=files)
    assert {value.value for value in compute(longer, ["pipeline_coverage"])} == {None}


def test_evidence_is_opened_where_it_needs_no_faulty_file(tmp_path: Path) -> None:
    facts = pipeline().facts("2026-05", now=at("2026-05-31"), inputs=written(tmp_path, "targets", BROKEN))
    kpi = registered()["pipeline_coverage"]
    assert set(evidence(facts, kpi, "2026-05")["external_id"]) == {"big", "small"}

    def of_the_file(facts: Facts, month: str, cut: str | None = None) -> pl.DataFrame:
        return facts.input("targets")

    assert evidence(facts, replace(kpi, evidence=of_the_file), "2026-05").equals(
        pl.DataFrame(schema=EVIDENCE)
    )


def test_a_report_names_faulty_files_that_no_number_names(tmp_path: Path) -> None:
    found = pipeline()
    found.account("a")
    bad = {**written(tmp_path, "targets", BROKEN), **written(tmp_path, "nps", "customer_key\n")}
    facts = found.facts("2026-05", now=at("2026-05-31"), inputs=bad)
    info = SourceInfo("test", "salesforce", "USD", {}, {}, frozenset(), (), "", at("2026-05-31"))
    told = caveats_of(facts, info, compute(facts, ["pipeline_coverage"]))
    titles = [caveat.title for caveat in told]
    assert "Faulty input file: nps" in titles
    assert "Faulty input file: targets" not in titles
    assert "No quotas" not in titles
    assert any(WHY[1:] in caveat.text for caveat in told)


def test_settings_tell_what_a_file_holds(tmp_path: Path) -> None:
    files = written(tmp_path, "spend", "month,channel,kind,amount\n")
    company = Company(name="test", inputs=Inputs(**files, margin=tmp_path / "none.csv", calls=tmp_path))
    before = settings_of(company)
    assert (before["inputs: margin"], before["inputs: calls"]) == ("missing", "unreadable")
    files["spend"].write_text("month,channel,kind,amount\n2026-01,,people,1\n", encoding="utf-8")
    after = settings_of(company)
    assert {key for key in after if before[key] != after[key]} == {"inputs: spend"}


def test_rows_are_in_the_order_of_the_file(tmp_path: Path) -> None:
    rows = "".join(f"c{n % 7},2026-0{1 + n // 7}-05,{n},50\n" for n in range(28))
    facts = Books().facts("2026-05", inputs=written(tmp_path, "usage", USAGE + rows))
    assert facts.input("usage").select(pl.col("active")).to_series().to_list() == list(range(28))
