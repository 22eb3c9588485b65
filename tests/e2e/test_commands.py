"""The remaining commands through the installed script: what they print, and their exit status."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path

import orjson
import pytest
import yaml

from scheduler.commands.docs import FILES
from tests.e2e.process import Site, boardline, site

DOCS = Path(__file__).parents[2] / "docs"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site("salesforce", tmp_path_factory.mktemp("site"), accounts=30, deals=240, months=15) as place:
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        yield place


def test_check_finds_everything_in_place_and_changes_nothing(served: Site, tmp_path: Path) -> None:
    before = (served.folder / "boardline.db").read_bytes()
    config = served.configure(tmp_path, f"sqlite:///{served.folder / 'boardline.db'}")
    done = boardline("check", "-c", config)
    assert done.status == 0, done.err
    assert "home currency USD" in done.out
    assert "FAIL" not in done.out
    assert (served.folder / "boardline.db").read_bytes() == before
    assert not (tmp_path / "reports").exists()


def test_check_before_the_first_sync_creates_no_store(served: Site, tmp_path: Path) -> None:
    done = boardline("check", "-c", served.configure(tmp_path))
    assert done.status == 0, done.err
    assert "will be created" in done.out
    assert not (tmp_path / "boardline.db").exists()


def test_check_tells_a_wrong_secret(served: Site, tmp_path: Path) -> None:
    config = served.configure(tmp_path)
    config.write_text(config.read_text().replace("simulator-secret", "no-such-secret"))
    done = boardline("check", "-c", config)
    assert done.status == 3, done.out
    assert "FAIL" in done.out
    assert "no-such-secret" not in done.out + done.err


def test_a_company_turns_to_the_contracts_of_its_crm(served: Site, tmp_path: Path) -> None:
    """They are read from the next sync on, and nothing else is read again for it; until then nothing is known."""
    first = boardline("sync", "--once", "-c", served.configure(tmp_path))
    assert first.status == 0, first.err
    config = served.configure(tmp_path, arr={"source": "cpq"})
    asked = ("kpis", "-c", config, "--json", "--month", "2026-05")
    before = boardline(*asked).json()["kpis"][0]
    assert (before["id"], before["value"]) == ("arr", None)
    assert "have not been read yet: run `boardline sync --once`" in before["reasons"][0]
    assert "arr: from the subscriptions of Salesforce CPQ (tcv)" in boardline("check", "-c", config).out
    runs = {run["stream"]: run for run in boardline("sync", "--once", "--json", "-c", config).json()["runs"]}
    assert {name for name, run in runs.items() if run["changed"]} == {"contracts", "subscriptions"}
    after = boardline(*asked).json()["kpis"][0]
    assert Decimal(after["value"]) > 0
    opened = boardline(*asked, "--evidence", "arr").json()["evidence"]
    assert {row["object"] for row in opened} == {"subscriptions"}
    assert all(row["url"].endswith(row["external_id"]) for row in opened)
    again = boardline("sync", "--once", "--json", "-c", config).json()["runs"]
    assert not [run for run in again if run["changed"]]


def test_kpis_cut_and_evidence(served: Site) -> None:
    whole = {
        value["id"]: value for value in served.run("kpis", "--json", "--month", "2026-05").json()["kpis"]
    }
    cut = served.run("kpis", "--json", "--month", "2026-05", "--by", "size").json()["kpis"]
    parts = [float(value["value"]) for value in cut if value["id"] == "arr"]
    assert len(parts) > 1
    assert round(sum(parts), 2) == float(whole["arr"]["value"])
    evidence = served.run("kpis", "--json", "--month", "2026-05", "--evidence", "arr").json()
    assert sum(Decimal(row["contribution"]) for row in evidence["evidence"]) == Decimal(whole["arr"]["value"])
    assert evidence["status"] == whole["arr"]["status"]
    assert all(row["url"].startswith(served.simulator.url) for row in evidence["evidence"])


def test_the_records_behind_each_segment_of_a_number(served: Site) -> None:
    month = ("--month", "2026-05")
    cut = {
        next(iter(value["segment"].values())): value
        for value in served.run("kpis", "--json", *month, "--by", "size").json()["kpis"]
        if value["id"] == "arr"
    }
    whole = served.run("kpis", "--json", *month, "--evidence", "arr").json()["evidence"]
    opened = served.run("kpis", "--json", *month, "--evidence", "arr", "--by", "size").json()
    assert (opened["kpi"], opened["by"], opened["month"]) == ("arr", "size", "2026-05")
    segments = {one["segment"]["size"]: one for one in opened["segments"]}
    assert segments.keys() == cut.keys()
    for name, one in segments.items():
        assert {key: one[key] for key in cut[name]} == cut[name]
        assert sum(Decimal(row["contribution"]) for row in one["evidence"]) == Decimal(one["value"])
        assert all(row["url"].startswith(served.simulator.url) for row in one["evidence"])
    union = [row["external_id"] for one in segments.values() for row in one["evidence"]]
    assert sorted(union) == sorted(row["external_id"] for row in whole)
    name = next(name for name, one in segments.items() if one["evidence"])
    (alone,) = served.run(
        "kpis", "--json", *month, "--evidence", "arr", "--by", "size", "--segment", name
    ).json()["segments"]
    assert alone == segments[name]
    text = served.run("kpis", *month, "--evidence", "arr", "--by", "size", "--segment", name)
    assert text.out.startswith(f"arr by size: {name} 2026-05: ")
    for more, words in (
        (("--evidence", "arr", "--by", "size", "--segment", "Giant"), "arr has no size 'Giant' in 2026-05"),
        (("--evidence", "cost_per_lead", "--by", "size"), "cost_per_lead cannot be cut by 'size'"),
        (("--by", "size", "--segment", name), "--segment opens one segment of a number"),
    ):
        done = served.run("kpis", *month, *more)
        assert done.status == 2, done.out
        assert words in done.err


def test_definitions_beside_their_alternatives(served: Site, tmp_path: Path) -> None:
    store = f"sqlite:///{served.folder / 'boardline.db'}"
    settings = {
        "retention": {"window": "month", "nrr": "flow", "beside": ["cohort", "year"]},
        "sales": {"cycle_start": "created"},
    }
    config = served.configure(tmp_path, store, **settings)
    document = boardline("kpis", "--definitions", "--json", "--month", "2026-06", "-c", config).json()
    shown = {one["id"]: one for one in document["kpis"]}
    numbers = boardline("kpis", "--json", "--month", "2026-06", "-c", config).json()
    assert [one["id"] for one in document["kpis"]] == [one["id"] for one in numbers["kpis"]]
    for one in numbers["kpis"]:
        for key in ("period", "unit", "value", "definition"):
            assert shown[one["id"]][key] == one[key], one["id"]
    nrr = shown["nrr"]
    assert nrr["changed"] == ["retention.nrr", "retention.window"]
    assert nrr["definition"].startswith("nrr/1 flow month: ")
    beside = {way["to"]: way["value"] for way in nrr["alternatives"] if way["beside"]}
    assert beside.keys() == {"cohort", "year"}
    alone = served.configure(tmp_path / "cohort", store, retention={"window": "month"})
    cohort = boardline("kpis", "--json", "--evidence", "nrr", "--month", "2026-06", "-c", alone).json()
    assert beside["cohort"] == cohort["value"] is not None
    assert [way["to"] for way in nrr["alternatives"] if way["in_force"]][:2] == ["flow", "month"]
    assert "Salesforce" in shown["win_rate"]["elsewhere"]
    told = boardline("kpis", "--definitions", "--month", "2026-06", "-c", config).out
    assert f"{beside['cohort']:.1%}  beside it, retention.nrr: cohort" in told
    assert "with sales.cycle_start: created" in told
    settled = {
        row.split()[0]: row for row in told.split("The settings that decide")[1].splitlines() if row.strip()
    }
    assert "30" in settled["arr.grace_days"]
    assert "in force" in settled["created"]
    assert "in force" not in settled["sales.cycle_start"]


def test_definitions_need_no_sync_and_no_other_view(served: Site, tmp_path: Path) -> None:
    config = served.configure(tmp_path, retention={"beside": ["flow"]})
    document = boardline("kpis", "--definitions", "--json", "-c", config)
    assert document.status == 0, document.err
    assert {one["value"] for one in document.json()["kpis"]} == {None}
    assert document.json()["known_at"] is None
    told = boardline("kpis", "--definitions", "-c", config)
    assert told.status == 0, told.err
    assert "nothing was synced yet: no values" in told.out
    assert "retention.nrr" in told.out
    assert not (tmp_path / "boardline.db").exists()
    for other in (["--by", "size"], ["--evidence", "arr"], ["--diagnose"]):
        refused = served.run("kpis", "--definitions", *other)
        assert refused.status == 2
        assert "--definitions" in refused.err


@pytest.mark.parametrize("by", ["owner", "field", "rule", "segment"])
def test_quality_by_group(served: Site, by: str) -> None:
    done = served.run("quality", "--by", by)
    assert done.status == 0, done.err
    groups = served.run("quality", "--by", by, "--json").json()["groups"]
    assert groups
    assert all(group["group"][:20] in done.out for group in groups)


def test_nothing_synced_is_no_empty_crm(served: Site, tmp_path: Path) -> None:
    config = served.configure(tmp_path)
    for command in ("kpis", "quality", "report"):
        done = boardline(command, "-c", config)
        assert done.status == 2, done.out
        assert "nothing was synced yet" in done.err
        assert not (tmp_path / "boardline.db").exists()


def test_quality_as_csv(served: Site, tmp_path: Path) -> None:
    target = tmp_path / "fix.csv"
    done = served.run("quality", "--csv", target, "--json")
    assert done.status == 0, done.err
    rows = list(csv.DictReader(target.open(encoding="utf-8-sig")))
    assert len(rows) == len(done.json()["findings"]) > 0
    assert not any(cell.startswith(("=", "+", "-", "@")) for row in rows for cell in row.values())


def test_report_is_posted_once(served: Site) -> None:
    first = served.run("report", "--month", "2026-05", "--post", "--json")
    assert first.status == 0, first.err
    files = sorted((served.folder / "reports").rglob("*.html"))
    assert len(files) == 1
    content = files[0].read_bytes()
    second = served.run("report", "--month", "2026-05", "--post", "--json")
    assert second.status == 0, second.err
    assert sorted((served.folder / "reports").rglob("*.html")) == files
    assert files[0].read_bytes() == content


def test_a_month_that_is_not_over_is_never_posted(served: Site) -> None:
    running = f"{datetime.now(UTC):%Y-%m}"
    done = served.run("report", "--month", running, "--post", "--json")
    assert done.status == 1
    assert f"{running} was not over when the CRM was last read" in done.err
    assert not list((served.folder / "reports").rglob(f"*{running}*"))


def test_report_of_the_past_is_never_posted(served: Site) -> None:
    done = served.run("report", "--as-of", "2026-04-01", "--post")
    assert done.status == 2
    assert "--as-of" in done.err


def test_report_goes_where_it_is_told(served: Site, tmp_path: Path) -> None:
    done = served.run("report", "--month", "2026-05", "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert {path.suffix for path in (tmp_path / "out").iterdir()} == {".html", ".md", ".txt"}
    (tmp_path / "file").write_text("")
    refused = served.run("report", "--month", "2026-05", "--out", tmp_path / "file")
    assert refused.status == 2
    assert "--out" in refused.err


def test_a_company_may_be_called_as_it_is(served: Site, tmp_path: Path) -> None:
    name = "Müller & Söhne"
    config = served.configure(tmp_path)
    config.write_text(config.read_text().replace("  demo:", f'  "{name}":'), encoding="utf-8")
    assert boardline("sync", "--once", "-c", config).status == 0
    done = boardline("report", "--month", "2026-05", "-c", config, "--out", tmp_path / "out", "--json")
    assert done.status == 0, done.err
    assert {Path(file).parent for file in done.json()["files"]} == {tmp_path / "out"}
    posted = boardline("report", "--month", "2026-05", "-c", config, "--post", "--json")
    assert posted.status == 0, posted.err


def test_an_empty_crm_gives_a_report_that_says_so(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir()
    (data / "Account.csv").write_text("Id,Name\n")
    done = boardline("demo", "--data", data, "--out", tmp_path / "out")
    assert done.status == 0, done.err
    assert "no deal" in done.out.lower()
    config = tmp_path / "out" / "config.yaml"
    for command in (("kpis",), ("quality",), ("report",), ("status",)):
        again = boardline(*command, "-c", config)
        assert again.status == 0, (command, again.err)
    values = boardline("kpis", "-c", config, "--json").json()["kpis"]
    assert {value["value"] for value in values} == {None}
    assert all(value["reasons"] for value in values)


def test_init_writes_what_it_accepts(served: Site, tmp_path: Path) -> None:
    target = tmp_path / "config.yaml"
    answers = (
        "--name",
        "globex",
        "--crm",
        "hubspot",
        "--playbook",
        "dev_tools",
        "--timezone",
        "Europe/Berlin",
    )
    done = boardline("init", "-c", target, *answers)
    assert done.status == 0, done.err
    assert "GLOBEX_HUBSPOT_TOKEN" in done.err
    written = yaml.safe_load(target.read_text())
    assert written["companies"]["globex"]["crm"]["auth"]["token"] == "${GLOBEX_HUBSPOT_TOKEN}"
    again = boardline("init", "-c", target, *answers)
    assert again.status == 2
    assert "--force" in again.err
    unanswered = boardline("init", "-c", tmp_path / "other.yaml")
    assert unanswered.status == 2
    assert not (tmp_path / "other.yaml").exists()


def test_status_before_anything_happened(served: Site, tmp_path: Path) -> None:
    done = boardline("status", "-c", served.configure(tmp_path), "--json")
    assert done.status == 0, done.err
    assert done.json()["last_sync"] is None


def test_the_written_reference_is_that_of_the_code() -> None:
    for name, page in FILES.items():
        assert (DOCS / name).read_text() == page() + "\n", (
            f"run `make docs`: {name} is not what the code says"
        )
    schema = orjson.loads((DOCS / "config.schema.json").read_bytes())
    assert "companies" in schema["properties"]


def test_the_reference_leaves_nothing_to_look_for() -> None:
    page = FILES["config.md"]()
    assert "see above" not in page
    assert page.count("see below") == page.count("Default of `")
    for key in ("client_credentials", "private_key_file", "oauth", "overlap_seconds", "search_lag_seconds"):
        assert f"`{key}`" in page
    shown = boardline("simulator", "serve", "--help").out
    assert "/__simulator__/clock" in shown


def test_simulator_serves_alone(tmp_path: Path) -> None:
    import subprocess

    from tests.e2e.process import BOARDLINE, clean_environment

    process = subprocess.Popen(
        [
            BOARDLINE,
            "simulator",
            "serve",
            "--crm",
            "hubspot",
            "--accounts",
            "5",
            "--deals",
            "30",
            "--months",
            "3",
        ],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(),
    )
    assert process.stdout is not None
    assert process.stdout.readline().startswith("https://localhost:")
    process.terminate()
    assert process.wait(timeout=20) == 0
