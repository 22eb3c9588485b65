"""Audit, checkpoint and diagnoses through the installed script, from a synced store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.process import Site, boardline, site
from tests.e2e.test_read_only import run


@pytest.fixture(scope="module")
def served() -> Iterator[Site]:
    """In a folder that everybody may look into: one test reads it as somebody who may not write."""
    with (
        tempfile.TemporaryDirectory(prefix="boardline-") as name,
        site("salesforce", Path(name), accounts=40, deals=400, months=24) as place,
    ):
        place.folder.chmod(0o755)
        assert place.run("sync", "--once").status == 0
        yield place


def configured(place: Site, name: str, **company: Any) -> Path:
    """A configuration of its own over the same store."""
    return place.configure(place.folder / name, f"sqlite:///{place.folder / 'boardline.db'}", **company)


def test_kpis_say_what_to_look_at(served: Site) -> None:
    config = configured(served, "diagnosed", playbook="supply_chain")
    document = boardline("kpis", "-c", config, "--month", "2026-05", "--diagnose", "--json").json()
    findings = document["findings"]
    assert {one["kpi"] for one in findings} >= {"nrr", "arr_growth_yoy"}
    for one in findings:
        assert one["sentence"].endswith(".")
        assert one["next"].endswith(".")
        assert one["records_total"] >= len(one["records"])
        assert all(
            record["url"].startswith(served.simulator.url)
            for record in one["records"]
            if record["external_id"]
        )
    values = {one["id"]: one for one in document["kpis"]}
    assert {one["month"] for one in document["kpis"]} == {"2026-05"}, (
        "the months it looks back at are not printed"
    )
    plain = boardline("kpis", "-c", config, "--month", "2026-05", "--json").json()
    assert {one["id"]: one for one in plain["kpis"]} == values, "looking back changes no number and no status"
    text = boardline("kpis", "-c", config, "--month", "2026-05", "--diagnose").out
    assert "What to look at" in text
    assert findings[0]["sentence"].split(":")[0] in text
    report = boardline("report", "-c", config, "--month", "2026-05", "--out", served.folder / "out").out
    page, markdown, words = (Path(line).read_text() for line in report.splitlines())
    for form in (page, markdown, words.replace("\n", " ")):
        assert "what to look at" in form.lower()
    assert findings[0]["sentence"] in words.replace("\n", " ")
    assert findings[0]["next"] in page


def test_diagnosing_is_of_the_whole_company(served: Site) -> None:
    for more in (("--by", "size"), ("--evidence", "nrr")):
        done = served.run("kpis", "--diagnose", *more)
        assert done.status == 2
        assert "--diagnose looks at the whole company" in done.err


def test_a_checkpoint_from_the_baseline_on(served: Site) -> None:
    agreed = ["nrr", "grr", "win_rate", "cycle_days_median", "pipeline_coverage"]
    config = configured(served, "checked", engagement_start="2026-03-01", engagement={"agreed_kpis": agreed})
    first = boardline("checkpoint", "-c", config, "--json")
    assert first.status == 0, first.err
    document = first.json()
    assert document["verdict"] in ("working", "not_working")
    assert [one["id"] for one in document["kpis"]] == agreed
    assert document["baseline"]["frozen"] is True
    assert (document["baseline"]["month"], document["baseline"]["quarter"]) == ("2026-02", "2025-12")
    then = boardline("kpis", "-c", config, "--month", "2026-02", "--as-of", "2026-02-28", "--json").json()[
        "kpis"
    ]
    known = {one["id"]: one["value"] for one in then}
    assert {one["id"]: one["baseline"] for one in document["kpis"]} == {kpi: known[kpi] for kpi in agreed}
    again = boardline("checkpoint", "-c", config, "--json").json()
    assert again["baseline"] == document["baseline"]
    text = boardline("checkpoint", "-c", config)
    assert text.status == 0
    assert document["sentence"] in text.out
    early = boardline("checkpoint", "-c", config, "--as-of", "2026-04-10", "--json").json()
    assert (early["verdict"], early["day"]) == ("too_early", 41)


def test_an_audit(served: Site) -> None:
    config = configured(served, "audited", playbook="dev_tools", engagement_start="2026-06-01")
    done = boardline("audit", "-c", config, "--json")
    assert done.status == 0, done.err
    document = done.json()
    assert document["month"] == "2026-06" or document["month"] > "2026-06"
    assert document["baseline"]["month"] == "2026-05"
    assert document["quality"]["completeness"] > 0.5
    assert len(document["quarters"]) == 8
    assert {one["by"] for one in document["wins_and_losses"]} == {
        "all deals", "size", "industry", "motion", "loss reason",
    }  # fmt: skip
    assert document["questions"]
    text = boardline("audit", "-c", config)
    assert text.status == 0, text.err
    for part in (
        "Data",
        "rebuilt from history",
        "Wins and losses",
        "Pilots",
        "What no CRM tells",
        "Plan for 90 days",
    ):
        assert part in text.out


@pytest.mark.parametrize(
    ("company", "arguments", "words"),
    [
        ({}, (), "engagement_start is not set"),
        ({"engagement_start": "2030-01-01"}, (), "the engagement begins on 2030-01-01"),
        ({"engagement_start": "2026-03-01", "engagement": {"agreed_kpis": ["nrr"]}}, (), "5 to 7 are needed"),
        ({"engagement_start": "2026-03-01"}, ("--as-of", "2026-02-01"), "name a later moment"),
        ({"engagement_start": "2026-03-01"}, ("--as-of", "soon"), "is no date or time"),
        ({"engagement_start": "2026-03-01"}, ("--month", "2026-01"), "lies before the baseline"),
        ({"engagement_start": "soon"}, (), "this is no date"),
        ({"engagement": {"agreed_kpis": ["nrrr"]}}, (), "there is no KPI 'nrrr'; did you mean 'nrr'?"),
        ({"playbook": "hr_teck"}, (), "did you mean hr_tech"),
    ],
)
def test_what_cannot_be_compared(
    served: Site, company: dict[str, Any], arguments: tuple[str, ...], words: str
) -> None:
    config = configured(served, "wrong", **company)
    done = boardline("checkpoint", "-c", config, "--json", *arguments)
    assert done.status == 2, done.out
    assert words in done.err
    assert done.json()["error"]["exit_status"] == 2


def test_an_own_playbook_that_is_wrong_names_its_line(served: Site) -> None:
    config = configured(served, "own", playbook="ours.yaml")
    (config.parent / "ours.yaml").write_text(
        "extends: hr_tech\nkpis:\n  nrr: {rules: [{status: red, below: 1}]}\n"
    )
    for command in ("kpis", "report", "audit", "quality", "checkpoint"):
        done = boardline(command, "-c", config)
        assert done.status == 2, command
        assert "ours.yaml, line 3: kpis.nrr.rules.0.status" in done.err
    assert yaml.safe_load(config.read_text())["companies"]["demo"]["playbook"] == "ours.yaml"


def test_a_store_that_cannot_be_written_keeps_no_baseline(served: Site) -> None:
    with site("salesforce", served.folder / "locked", accounts=30, deals=240, months=15) as place:
        assert place.run("sync", "--once").status == 0
        document = yaml.safe_load(place.config.read_text())
        document["companies"]["demo"] |= {"engagement_start": "2026-03-01"}
        place.config.write_text(yaml.safe_dump(document))
        for entry in place.folder.iterdir():
            entry.chmod(0o444)
        place.folder.chmod(0o555)
        try:
            done = run(place, "checkpoint")
        finally:
            place.folder.chmod(0o755)
    assert done.returncode == 0, done.stderr
    assert "not frozen: " in done.stdout
    assert "cannot be written by this user" in done.stdout
