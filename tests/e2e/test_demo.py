"""`boardline demo`: the whole job on the built-in simulator, and on exports that nobody here made."""

from __future__ import annotations

import re
from collections import Counter
from decimal import Decimal
from pathlib import Path
from typing import Any

import orjson
import polars as pl
import pytest

from metrics.compute import pipeline_by_stage
from metrics.facts import Facts
from pipeline.store import Store
from scheduler import config as configuration
from scheduler.invocation import moment
from tests.e2e.process import boardline

SAMPLES = Path(__file__).parents[2] / "../shared/data/salesforce_samples"


@pytest.mark.parametrize("crm", ["salesforce", pytest.param("hubspot", marks=pytest.mark.slow)])
def test_the_demo_runs_the_whole_job(crm: str, tmp_path: Path) -> None:
    done = boardline("demo", "--crm", crm, "--out", tmp_path / "demo")

    assert done.status == 0, done.err
    assert re.search(r"ARR was \$\d+\.\d+M", done.out), done.out
    for form in ("html", "md", "txt"):
        path = re.search(rf"Report: (\S+\.{form})$", done.out, re.MULTILINE)
        assert path is not None, done.out
        assert Path(path[1]).stat().st_size > 2000
    config = tmp_path / "demo" / "config.yaml"
    numbers = boardline("kpis", "-c", config, "--json").json()["kpis"]
    lacking = {item["id"] for item in numbers if item["value"] is None}
    assert lacking <= {"forecast_accuracy_error"}, "what no CRM knows comes with the demo as files"
    checked = boardline("check", "-c", config)  # its CRM is gone; its files are not
    for kind in ("spend", "margin", "usage", "tickets", "nps"):
        assert re.search(rf"^ok +demo: inputs.{kind}: {kind}.csv: [\d,]+ figures$", checked.out, re.MULTILINE)


@pytest.mark.slow
def test_it_may_be_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        assert boardline("demo", "--out", tmp_path / "demo").status == 0


def test_the_demo_touches_no_folder_but_its_own(tmp_path: Path) -> None:
    mine = tmp_path / "config.yaml"
    mine.write_text("store: {url: sqlite:///boardline.db}\n")

    done = boardline("demo", "--out", tmp_path)

    assert done.status == 2
    assert "--out" in done.err
    assert mine.read_text() == "store: {url: sqlite:///boardline.db}\n"


def opportunities(folder: Path) -> list[dict[str, Any]]:
    """Every opportunity record of an export, straight from its files."""
    found = []
    for path in sorted(folder.glob("*.json")):
        document = orjson.loads(path.read_bytes())
        records = document.get("records", []) if isinstance(document, dict) else []
        found += [record for record in records if record["attributes"]["type"] == "Opportunity"]
    return found


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="the sample exports are not on this machine")
@pytest.mark.parametrize("sample", ["dcarroll", "crdant", "event_monitoring"])
def test_an_export_keeps_its_counts_and_sums_by_stage(sample: str, tmp_path: Path) -> None:
    records = opportunities(SAMPLES / sample)
    counts = Counter(record["StageName"] for record in records)
    sums: dict[str, Decimal] = {}
    for record in records:
        sums[record["StageName"]] = sums.get(record["StageName"], Decimal(0)) + Decimal(
            str(record.get("Amount") or 0)
        )

    done = boardline("demo", "--data", SAMPLES / sample, "--out", tmp_path)

    assert done.status == 0, done.err
    text = next((tmp_path / "reports").glob("*.txt")).read_text()
    printed = {
        row[1].strip(): (int(row[2]), Decimal(row[3].replace(",", "")))
        for row in re.finditer(r"^ (\S[^|\n]*)\| +(\d+) \| +\$([\d,.]+)$", text, re.MULTILINE)
    }
    for stage, count in counts.items():
        assert printed[stage] == (count, sums[stage]), stage
    assert printed["All deals"] == (len(records), sum(sums.values()))
    flat = " ".join(text.split())
    assert "No contract terms" in flat, "what the export cannot tell is said"
    assert "No history" in flat
    assert "ARR is not computable" in flat
    store_holds(tmp_path, counts, sums)


def store_holds(folder: Path, counts: Counter[str], sums: dict[str, Decimal]) -> None:
    """The same counts and sums from the store, through the metrics."""
    settings = configuration.load(folder / "config.yaml")
    company = settings.companies["demo"]
    now = moment(None, company.zone)
    with Store.open(settings.store.url) as store:
        table = pipeline_by_stage(Facts.load(store, company, (f"{now:%Y-%m}",), now)).filter(
            pl.col("deals") > 0
        )
    found = {
        row["stage"]: (row["deals"], Decimal(row["amount"]) / 100) for row in table.iter_rows(named=True)
    }
    assert found == {stage: (count, sums[stage]) for stage, count in counts.items()}


@pytest.mark.parametrize(
    ("name", "content", "expected"),
    [
        ("Opportunity.json", '{"records": [', "line"),
        ("Opportunity.csv", "", "Opportunity.csv"),
        ("notes.txt", "nothing to see", "export"),
        ("Account.csv", "foo;bar\n1;2\n", "semicolons"),
    ],
)
def test_a_bad_export_is_explained(name: str, content: str, expected: str, tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / name).write_text(content)

    done = boardline("demo", "--data", tmp_path / "data", "--out", tmp_path / "out")

    assert done.status == 2, done.out
    assert expected in done.err
    assert "Traceback" not in done.err
