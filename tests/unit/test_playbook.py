"""Playbooks: their lines are strict as written, and a person's own is checked line by line."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.errors import ConfigurationError
from metrics import playbook
from metrics.judge import Judge
from metrics.kpi import Status


@pytest.mark.parametrize(
    ("book", "kpi", "number", "status"),
    [
        ("supply_chain", "nrr", 1.1, "watch"),
        ("supply_chain", "nrr", 1.1000001, "on_target"),
        ("supply_chain", "nrr", 0.9, "watch"),
        ("hr_tech", "nrr", 0.999, "off_target"),
        ("hr_tech", "nrr", 1.0, "watch"),
        ("hr_tech", "nrr", 1.05, "on_target"),
        ("hr_tech", "nrr", 1.2, "on_target"),
        ("dev_tools", "nrr", 1.0, "no_target"),
        ("dev_tools", "nrr", 0.99, "off_target"),
        ("dev_tools", "nrr", 1.2, "no_target"),
        ("dev_tools", "nrr", 1.21, "watch"),
        ("hr_tech", "grr", 0.8, "no_target"),
        ("hr_tech", "grr", 0.7999, "off_target"),
        ("dev_tools", "grr", 0.5, "no_target"),
        ("supply_chain", "logo_churn", 0.2, "no_target"),
        ("supply_chain", "logo_churn", 0.21, "off_target"),
        ("supply_chain", "grr", 0.79, "off_target"),
        ("supply_chain", "win_rate", 0.2, "no_target"),
        ("supply_chain", "win_rate", 0.19, "off_target"),
        ("hr_tech", "win_rate", 0.01, "no_target"),
        ("supply_chain", "pipeline_coverage", 2.99, "off_target"),
        ("supply_chain", "pipeline_coverage", 3, "on_target"),
        ("supply_chain", "pipeline_coverage", 5, "on_target"),
        ("supply_chain", "pipeline_coverage", 5.1, "watch"),
        ("dev_tools", "pipeline_coverage", 1, "no_target"),
        ("dev_tools", "pipeline_coverage_weighted", 1.9, "off_target"),
        ("dev_tools", "pipeline_coverage_weighted", 2, "watch"),
        ("dev_tools", "pipeline_coverage_weighted", 3, "on_target"),
        ("supply_chain", "cac_payback_months", 12, "on_target"),
        ("supply_chain", "cac_payback_months", 24, "watch"),
        ("supply_chain", "cac_payback_months", 24.1, "off_target"),
        ("supply_chain", "field_completeness", 48 / 60, "on_target"),
        ("supply_chain", "field_completeness", 47 / 60, "off_target"),
        ("hr_tech", "field_completeness", 0.1, "no_target"),
    ],
)
def test_lines_are_strict_and_stay_in_their_market(
    book: str, kpi: str, number: float, status: Status
) -> None:
    judged, _ = Judge(playbook.load(book))(kpi, number)
    assert judged == status


def test_an_undefined_number_is_not_judged() -> None:
    assert Judge(playbook.load("hr_tech"))("nrr", None)[0] == "not_computable"


@pytest.mark.parametrize("name", playbook.shipped())
def test_shipped_ones_are_whole(name: str) -> None:
    book = playbook.load(name)
    assert {"arr", "nrr", "grr", "win_rate", "pipeline_coverage"} <= set(book.headline)
    assert all(line.target for line in book.kpis.values())
    assert book.edges("arr") == ()


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
    assert book.edges("nrr") == (1.08,)
    assert book.edges("grr") == (0.8,)
    assert Judge(book)("nrr", 1.08) == ("off_target", "above 108%")


def test_playbooks_beside_each_other(tmp_path: Path) -> None:
    write(tmp_path, "extends: dev_tools\ntitle: Base\n", "base.yaml")
    assert playbook.load(write(tmp_path, "extends: base.yaml\ntitle: Top\n")).title == "Top"


RULES = "extends: hr_tech\nkpis:\n  nrr:\n    rules:\n      - "


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("extends: hr_tech\nheadlines: [arr]\n", "line 2: headlines: unknown key; did you mean headline?"),
        ("extends: hr_tech\nheadline: [arr, nrrr]\n", "line 2: headline: there is no KPI 'nrrr'; did you mean nrr?"),
        ("extends: hr_tech\nheadline: [arr, arr]\n", "line 2: headline: a KPI stands in it twice"),
        ("extends: hr_tech\nheadline: []\n", "line 2: headline:"),
        ("title: x\n", "headline: Field required"),
        (RULES + "{status: green, above: 1}\n", "line 5: kpis.nrr.rules.0.status:"),
        (RULES + "status: watch\n", "line 5: kpis.nrr.rules.0: a rule needs at least one"),
        (RULES + "{status: watch, above: ten%}\n", "line 5: kpis.nrr.rules.0.above: 'ten%' is not"),
        ("extends: hr_tech\nkpis:\n  grrr: {}\n", "line 2: kpis: there is no KPI 'grrr'; did you mean grr?"),
        ("extends: hr_tec\n", "hr_tec"),
        ("extends: [a]\n", "line 1: extends names one playbook"),
        ("extends: ours.yaml\n", "extends names one playbook"),
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


def test_unknown_names(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="did you mean hr_tech"):
        playbook.load("hrtech")
    with pytest.raises(ConfigurationError, match="cannot be read"):
        playbook.load(str(tmp_path / "none.yaml"))
    binary = tmp_path / "b.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigurationError, match="not UTF-8"):
        playbook.load(str(binary))
