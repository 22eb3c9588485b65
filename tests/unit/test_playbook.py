"""Playbooks: their lines are strict as written, and a person's own is checked line by line."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.errors import ConfigurationError
from metrics import playbook
from metrics.condition import Quantity
from metrics.judge import Asked, Judge
from metrics.kpi import Status, Unit
from pipeline.company import Company

CASES = Path(__file__).parents[1] / "cases" / "playbooks"

# Definition book, section 7b: the markets whose source document draws a line for a KPI.
REGISTER: dict[str, set[str]] = {
    "nrr": {"supply_chain", "hr_tech", "dev_tools"},
    "grr": {"supply_chain", "hr_tech"},
    "logo_churn": {"supply_chain"},
    "arr_growth_mom": {"dev_tools"},
    "arr_growth_yoy": {"dev_tools"},
    "win_rate": {"supply_chain"},
    "cycle_days_median": {"supply_chain", "hr_tech"},
    "cycle_days_weighted": {"dev_tools"},
    "pipeline_coverage": {"supply_chain"},
    "pipeline_coverage_weighted": {"dev_tools"},
    "cac_payback_months": {"supply_chain", "hr_tech"},
    "forecast_accuracy_error": {"supply_chain"},
    "lead_to_opportunity": {"supply_chain"},
    "poc_days": {"supply_chain", "hr_tech"},
    "health_score": {"supply_chain"},
    "field_completeness": {"supply_chain"},
}


def dollars(bound: Quantity) -> float:
    """A company that reports in dollars."""
    assert bound.currency == "USD"
    return bound.value * 100


def asked(
    kpi: str,
    unit: Unit,
    value: float | None,
    known: Mapping[str, float] | None = None,
    segment: Mapping[str, str] | None = None,
    **more: Any,
) -> Asked:
    """A number beside others: ``name`` of the same month, ``name-6`` of six months before."""

    def other(name: str, months: int) -> float | None:
        return (known or {}).get(f"{name}-{months}" if months else name)

    return Asked(kpi, value, unit=unit, segment=segment or {}, other=other, money=dollars, **more)


def thresholds() -> list[Any]:
    books = yaml.safe_load((CASES / "thresholds.yaml").read_text("utf-8"))
    return [
        pytest.param(
            book["book"], *number[:5], *number[5:], id=f"{book['book']} {number[0]} {number[2]} {index}"
        )
        for book in books
        for index, number in enumerate(book["numbers"])
    ]


@pytest.mark.parametrize(
    "case", [tuple(one.values) for one in thresholds()], ids=[one.id for one in thresholds()]
)
def test_lines_are_strict_as_written_and_say_why(case: tuple[Any, ...]) -> None:
    book, kpi, unit, value, status, sentence, *more = case
    verdict = Judge(playbook.load(book))(asked(kpi, unit, value, *more))
    assert (verdict.status, verdict.sentence) == (status, sentence)


def test_every_rule_that_is_shipped_has_its_case() -> None:
    """A rule that no case fires would be one that nobody has checked."""
    fired = {(one.values[0], one.values[5]) for one in thresholds()}
    for name in playbook.shipped():
        for kpi, line in playbook.load(name).kpis.items():
            cases = [one.values for one in thresholds() if one.values[:2] == (name, kpi)]
            statuses = [case[4] for case in cases if case[5] is not None]
            assert len(statuses) >= len(line.rules), f"{name}: {kpi}"
    assert len(fired) > 30


def probes() -> Iterator[tuple[str, float, Mapping[str, float], Mapping[str, str]]]:
    """Every KPI at every threshold of every book and beside it, in every circumstance that any rule asks for."""
    bounds = {
        bound.value
        for name in playbook.shipped()
        for line in playbook.load(name).kpis.values()
        for rule in line.rules
        for _, bound in rule.bounds
    }
    values = sorted({value + step for value in bounds for step in (-0.01, 0, 0.01)} | {-10.0, 1e4})
    circumstances: list[dict[str, float]] = [
        {},
        {"company_arr": 5e7, "arr_growth_compound": 0.01, "avg_deal_size": 1e5, "cycle_days_median": 900,
         "engagement_months": 1, "cycle_days_weighted": 900},
        {"company_arr": 2e8, "arr_growth_compound": 0.5, "avg_deal_size": 2e7, "engagement_months": 9},
    ]  # fmt: skip
    for kpi in playbook.KPI_IDS:
        for value in values:
            for known in circumstances:
                for segment in ({}, {"size": "Enterprise"}, {"size": "SMB"}):
                    yield kpi, value, known | {f"{kpi}-3": 0.5, f"{kpi}-6": 0.5}, segment


@pytest.mark.parametrize("name", playbook.shipped())
def test_no_rule_of_one_market_fires_in_another(name: str) -> None:
    judge = Judge(playbook.load(name))
    fired = set()
    for kpi, value, known, segment in probes():
        verdict = judge(asked(kpi, "ratio", value, known, segment))
        if verdict.status != "no_target":
            fired.add(kpi)
    assert fired == {kpi for kpi, markets in REGISTER.items() if name in markets}


def test_a_playbook_that_says_nothing_judges_nothing(tmp_path: Path) -> None:
    judge = Judge(playbook.load(write(tmp_path, "title: Bare\nheadline: [nrr]\n")))
    assert {
        judge(asked(kpi, "ratio", value, known, segment)).status for kpi, value, known, segment in probes()
    } == {"no_target"}


def test_an_undefined_number_is_not_judged() -> None:
    verdict = Judge(playbook.load("hr_tech"))(asked("nrr", "ratio", None))
    assert (verdict.status, verdict.sentence) == ("not_computable", None)


@pytest.mark.parametrize(
    ("kpi", "value", "client", "segment", "better", "status"),
    [
        ("pipeline_coverage", 2.9, 3.0, {}, True, "off_target"),  # the source document of HR tech is silent
        ("pipeline_coverage", 3.0, 3.0, {}, True, "on_target"),
        ("cycle_days_median", 120.0, 90.0, {}, False, "off_target"),
        ("cycle_days_median", 90.0, 90.0, {}, False, "on_target"),
        (
            "cycle_days_median",
            300.0,
            310.0,
            {"size": "Enterprise"},
            False,
            "off_target",
        ),  # its own line comes first
        ("win_rate", 0.1, 0.2, {}, True, "no_target"),  # by segment, never as one number
        ("win_rate", 0.1, 0.2, {"size": "Enterprise"}, True, "off_target"),
        ("nrr", 0.99, 0.9, {}, True, "off_target"),  # red is red, whatever was agreed
        ("arr", 5.0, 4.0, {}, None, "no_target"),  # neither side is better
    ],
)
def test_the_clients_own_target_counts_where_the_book_is_silent(
    kpi: str, value: float, client: float, segment: dict[str, str], better: bool | None, status: Status
) -> None:
    made = asked(kpi, "days", value, {}, segment, client=client, higher_is_better=better)
    verdict = Judge(playbook.load("hr_tech"))(made)
    assert verdict.status == status
    assert "the client's own: " in (verdict.target or "")


def test_a_cohort_that_still_fills_up_proves_nothing() -> None:
    """Asked when the last month over for 90 days lies two months back: that one is compared with the one six before."""
    known = {"lead_to_opportunity-2": 0.13, "lead_to_opportunity-8": 0.12, "lead_to_opportunity-6": 0.5}
    judge = Judge(playbook.load("supply_chain"))
    rising = asked("lead_to_opportunity", "ratio", 0.01, known, settled=lambda days: {90: 2}[days])
    assert judge(rising).status == "on_target"
    falling = asked("lead_to_opportunity", "ratio", 0.9, known, settled=lambda days: 0)
    assert judge(falling).status == "on_target"
    without = asked(
        "lead_to_opportunity", "ratio", 0.9, {"lead_to_opportunity-8": 0.1}, settled=lambda days: 2
    )
    assert judge(without).status == "no_target"
    assert playbook.load("supply_chain").looks_back == (0, 2, 3, 4, 6, 8, 9, 10)


def test_a_condition_on_an_amount_without_a_rate_does_not_hold() -> None:
    made = Asked("arr_growth_yoy", 0.1, other=lambda name, months: 2e8, money=lambda bound: None)
    assert Judge(playbook.load("dev_tools"))(made).status == "no_target"


@pytest.mark.parametrize("name", playbook.shipped())
def test_shipped_ones_are_whole(name: str) -> None:
    book = playbook.load(name)
    assert {"arr", "nrr", "grr", "win_rate", "pipeline_coverage"} <= set(book.scorecard)
    assert book.required_fields == Company().required_deal_fields
    assert book.checkpoint is not None
    assert all(line.target for line in book.kpis.values())
    assert all(call.next.endswith(".") for call in book.diagnoses.values())
    assert book.edges("arr") == ()


def test_the_headlines_are_those_of_the_source_documents() -> None:
    assert playbook.load("hr_tech").headline == ("nrr", "cac_payback_months", "stage_days", "win_rate", "grr")
    growth = ("arr_growth_mom", "arr_growth_yoy")  # one KPI, two windows
    assert playbook.load("dev_tools").headline == (
        "nrr", *growth, "cycle_days_weighted", "pipeline_coverage_weighted",
    )  # fmt: skip
    assert playbook.load("supply_chain").headline[:2] == ("nrr", "arr_growth_yoy")
    assert {name: playbook.load(name).poc_limit_days for name in playbook.shipped()} == {
        "hr_tech": 30, "supply_chain": 45, "dev_tools": 45,
    }  # fmt: skip


def test_three_are_shipped() -> None:
    assert playbook.shipped() == ("dev_tools", "hr_tech", "supply_chain")


def write(folder: Path, text: str, name: str = "ours.yaml") -> str:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return str(path)


def test_an_own_playbook_extends_a_shipped_one(tmp_path: Path) -> None:
    book = playbook.load(
        write(
            tmp_path,
            "extends: hr_tech\nheadline: [arr, nrr]\nkpis:\n  nrr:\n    target: above 108%\n    rules:\n"
            "      - {status: on_target, above: 108%}\n      - {status: off_target, at_most: 1.08}\n",
        )
    )
    assert (book.name, book.title, book.headline) == ("ours", "HR tech", ("arr", "nrr"))
    assert book.scorecard[:4] == ("arr", "nrr", "arr_new_logo", "arr_expansion_seat")
    assert book.edges("nrr") == (1.08,)
    assert book.edges("grr") == (0.8,)
    verdict = Judge(book)(asked("nrr", "ratio", 1.08))
    assert (verdict.status, verdict.target) == ("off_target", "above 108%")
    assert book.diagnoses == playbook.load("hr_tech").diagnoses


def test_an_entry_is_replaced_or_taken_out(tmp_path: Path) -> None:
    text = (
        "extends: supply_chain\nkpis: {win_rate: null}\n"
        "diagnoses:\n  win_rate: null\n  cycle: {rule: slow_stages, kpi: cycle_days_median, next: Look.}\n"
        "segments: {enterprise: {names: [Key accounts]}}\n"
    )
    book, shipped = playbook.load(write(tmp_path, text)), playbook.load("supply_chain")
    assert set(shipped.kpis) - set(book.kpis) == {"win_rate"}
    assert set(shipped.diagnoses) - set(book.diagnoses) == {"win_rate"}
    assert book.diagnoses["cycle"].sets == ({},)
    assert book.in_segment("enterprise", "size", " key ACCOUNTS")
    assert not book.in_segment("enterprise", "size", "Enterprise")
    assert book.in_segment("small", "size", "SMB")


def test_playbooks_beside_each_other(tmp_path: Path) -> None:
    write(tmp_path, "extends: dev_tools\ntitle: Base\n", "base.yaml")
    assert playbook.load(write(tmp_path, "extends: base.yaml\ntitle: Top\n")).title == "Top"


RULES = "extends: hr_tech\nkpis:\n  nrr:\n    rules:\n      - "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: hr_tech\nheadlines: [arr]\n", "line 2: headlines: unknown key; did you mean headline?"),
        ("extends: hr_tech\nheadline: [arr, nrrr]\n", "line 2: headline.1: there is no KPI 'nrrr'; did you mean nrr?"),
        ("extends: hr_tech\nheadline: [arr, arr]\n", "line 2: headline: a KPI stands in it twice"),
        ("extends: hr_tech\nheadline: []\n", "line 2: headline:"),
        ("title: x\n", "headline: Field required"),
        (RULES + "{status: green, above: 1}\n", "line 5: kpis.nrr.rules.0.status:"),
        (RULES + "status: watch\n", "line 5: kpis.nrr.rules.0: at least one of below, at_most"),
        (RULES + "{status: watch, above: ten%}\n", "line 5: kpis.nrr.rules.0.above: 'ten%' is not"),
        (RULES + "{status: watch, above: true}\n", "line 5: kpis.nrr.rules.0.above: True is no bound; write 3"),
        (RULES + "{status: watch, above: 3 moons}\n", "line 5: kpis.nrr.rules.0.above: '3 moons' is no bound"),
        (RULES + "{status: watch, rising_over: 40}\n", "line 5: kpis.nrr.rules.0.rising_over: "),
        (RULES + "{status: watch, when: {nrrr: {above: 1}}}\n",
         "line 5: kpis.nrr.rules.0.when: there is no KPI or circumstance 'nrrr'; did you mean nrr?"),
        (RULES + "{status: watch, when: {nrr: {}}}\n", "line 5: kpis.nrr.rules.0.when.nrr: at least one of"),
        (RULES + "{status: watch, when: {nrr: {abov: 1}}}\n",
         "line 5: kpis.nrr.rules.0.when.nrr.abov: unknown key; did you mean above?"),
        (RULES + "{status: watch, above: 1, segment: huge}\n",
         "line 5: kpis.nrr.rules.0.segment: there is no segment 'huge'; known are small, mid_market, enterprise"),
        ("extends: hr_tech\ntitle: x\nsegments: {small: null}\ndiagnoses:\n  a: {rule: retention_leak, kpi: nrr, "
         "next: x,\n    segment: enterprize}\n",
         "line 6: diagnoses.a.segment: there is no segment 'enterprize'; did you mean enterprise?"),
        ("extends: hr_tech\nsegments:\n  enterprise: null\n",
         "line 3: segments.enterprise: there is no segment 'enterprise'; known are small, mid_market (used by kpis."),
        (RULES + "{status: watch, above: $5M}\n", "line 5: kpis.nrr.rules.0.above: $5M is an amount, which nrr is not; "
         "write a share, for example 105% or 1.05"),
        (RULES + "{status: watch, above: 1,\n         at_most: 9 months}\n",
         "line 6: kpis.nrr.rules.0.at_most: 9 months is a time, which nrr is not; write a share"),
        (RULES + "{status: watch, above: 105}\n",
         "line 5: kpis.nrr.rules.0.above: 105 can be a percentage or a share; write 105%, or a share such as 1.05"),
        (RULES + "{status: watch, when: {avg_deal_size: {above: 100000}}}\n",
         "line 5: kpis.nrr.rules.0.when.avg_deal_size.above: 100000 is a plain number, which avg_deal_size is not; "
         "write an amount with its currency, for example $100K or EUR 5M"),
        ("extends: hr_tech\nkpis:\n  cac_payback_months:\n    rules: [{status: watch, above: 18 months}]\n",
         "line 4: kpis.cac_payback_months.rules.0.above: 18 months is a time, which cac_payback_months is not; write a "
         "number of months, for example 18"),
        ("extends: hr_tech\nkpis:\n  pipeline_coverage: {judged_by: company_arr,\n"
         "    rules: [{status: watch, above: 3}]}\n",
         "line 4: kpis.pipeline_coverage.rules.0.above: 3 is a plain number, which company_arr is not; write an"),
        ("extends: hr_tech\nkpis:\n  pipeline_coverage: {rules: [{status: watch, above: 300%}]}\n",
         "line 3: kpis.pipeline_coverage.rules.0.above: 300% is a share, which pipeline_coverage is not; write a "
         "multiple as a plain number, for example 3"),
        ("extends: hr_tech\nfit:\n  - {when: {sales_team: {below: 3 days}}, says: x}\n",
         "line 3: fit.0.when.sales_team.below: 3 days is a time, which sales_team is not; write a plain number"),
        ("extends: hr_tech\nhidden:\n  - {kpis: [arr], owned_when: [{company_arr: {below: 5}}]}\nsupporting: []\n",
         "line 3: hidden.0.owned_when.0.company_arr.below: 5 is a plain number, which company_arr is not"),
        ("extends: hr_tech\nshifts:\n  - {any_of: [{nrr: {above: 1 week}}], headline: [arr], says: x}\n",
         "line 3: shifts.0.any_of.0.nrr.above: 1 week is a time, which nrr is not"),
        ("extends: hr_tech\ndiagnoses:\n  a:\n    rule: stale_pipeline\n    kpi: nrr\n    next: x\n    options:\n"
         "      times_the_median_cycl: 3\n", "line 8: diagnoses.a.options.times_the_median_cycl: stale_pipeline takes "
         "no such option; did you mean times_the_median_cycle?"),
        ("extends: hr_tech\ndiagnoses:\n  a: {rule: retention_leak, kpi: nrr, next: x, options: {gap: 3}}\n",
         "line 3: diagnoses.a.options.gap: retention_leak takes no such option; it takes none"),
        ("extends: hr_tech\nkpis:\n  nrr: {judged_by: arr}\n", "line 3: kpis.nrr: there is no circumstance 'arr'"),
        ("extends: hr_tech\nhidden:\n  - kpis: [nrr]\n", "nrr is hidden and on the scorecard"),
        ("extends: hr_tech\nhidden:\n  - {kpi: [nrr]}\n", "line 3: hidden.0.kpi: unknown key; did you mean kpis?"),
        ("extends: hr_tech\nsegments:\n  big: {names: []}\n", "line 3: segments.big.names: it is empty"),
        ("extends: hr_tech\nsegments:\n  big: {cut: colour, names: [a]}\n", "line 3: segments.big.cut:"),
        ("extends: hr_tech\nrequired_fields: [amount, stge]\n",
         "line 2: required_fields: there is no field of a deal 'stge'; did you mean stage?"),
        ("extends: hr_tech\npoc_limit_days: soon\n", "line 2: poc_limit_days:"),
        ("extends: hr_tech\ndiagnoses:\n  a: {rule: leak, kpi: nrr, next: x}\n",
         "line 3: diagnoses.a: there is no diagnosis 'leak'"),
        ("extends: hr_tech\ndiagnoses:\n  a: {rule: retention_leak, kpi: nrr}\n",
         "line 3: diagnoses.a.next: Field required"),
        ("extends: hr_tech\ndiagnoses:\n  a: {rule: retention_leak, kpi: nrr, next: x, when: {nrr: {above: 1}}, "
         "any_of: [{nrr: {above: 1}}]}\n", "line 3: diagnoses.a: either when or any_of"),
        ("extends: hr_tech\nfit:\n  - {when: {teams: {below: 3}}, says: x}\n",
         "line 3: fit.0.when: there is no KPI or circumstance 'teams'"),
        ("extends: hr_tech\nexpectations:\n  - {kpis: [nrr], from_days: 9, to_days: 3}\n",
         "line 3: expectations.0: from_days lies after to_days"),
        ("extends: hr_tech\ncheckpoint: {kind: leading, kpis: [nrr], otherwise: x}\n",
         "line 2: checkpoint: leading needs limit_days"),
        ("extends: hr_tech\ncheckpoint: {kind: improvement, kpis: [nrr], needed: 3, otherwise: x}\n",
         "line 2: checkpoint: 3 of 1 KPIs can never be better"),
        ("extends: hr_tech\nshifts:\n  - {when: {arr: {above: 1}}, headline: [arrr], says: x}\n",
         "line 3: shifts.0.headline.0: there is no KPI 'arrr'; did you mean arr?"),
        ("extends: hr_tech\ntitle: a\ntitle: b\n", "line 3: 'title' is given twice (first in line 2)"),
        ("extends: hr_tech\nkpis:\n  grrr: {}\n", "line 2: kpis: there is no KPI 'grrr'; did you mean grr?"),
        ("extends: hr_tec\n", "hr_tec"),
        ("extends: [a]\n", "line 1: extends names one playbook"),
        ("title: x\nextends: ours.yaml\n", "line 2: extends: ours.yaml is this playbook itself; extend a shipped one"),
        ("a: b: c\n", "line 1: this is not valid YAML"),
        ("- a\n", "line 1: a playbook is a mapping"),
        ("", "line 1: a playbook is a mapping"),
        ("extends: hr_tech\nkpis: 3\n", "line 2: kpis:"),
    ],
)  # fmt: skip
def test_faults_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        playbook.load(write(tmp_path, text))
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_playbooks_that_extend_each_other_name_the_circle(tmp_path: Path) -> None:
    write(tmp_path, "title: b\nextends: ./a.yaml\n", "b.yaml")
    first = write(tmp_path, "extends: b.yaml\n", "a.yaml")
    with pytest.raises(ConfigurationError) as caught:
        playbook.load(first)
    assert str(caught.value) == (
        f"playbook {tmp_path / 'b.yaml'}, line 2: extends: they extend each other in a circle (a.yaml -> b.yaml -> "
        "a.yaml); extend a shipped one (dev_tools, hr_tech, supply_chain), or leave extends out"
    )


def test_playbooks_that_extend_each_other_too_deep_name_the_chain(tmp_path: Path) -> None:
    for number in range(1, 5):
        write(tmp_path, f"extends: p{number + 1}.yaml\n", f"p{number}.yaml")
    write(tmp_path, "headline: [nrr]\n", "p5.yaml")
    assert playbook.load(str(tmp_path / "p2.yaml")).headline == ("nrr",)
    deep = (
        r"p4.yaml, line 1: extends: playbooks may extend each other 3 deep.*p1.yaml -> p2.yaml -> .*p5.yaml"
    )
    with pytest.raises(ConfigurationError, match=deep):
        playbook.load(str(tmp_path / "p1.yaml"))


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean hr_tech"):
        playbook.load("hrtech")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        playbook.load(str(tmp_path / "none.yaml"))
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        playbook.load(str(binary))
