"""Input files through the installed script: checked, begun from templates, and what a bad one costs."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Site, boardline, site

MONTH = ("--month", "2026-05")
TARGETS = "period,segment,metric,value,source,as_of\n"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """HubSpot has no quotas of its own: coverage stands on the targets file."""
    with site("hubspot", tmp_path_factory.mktemp("site"), accounts=12, deals=80, months=8) as place:
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        yield place


def configured(place: Site, folder: Path, **files: str) -> Path:
    """A configuration over the synced store that names these files."""
    named = {name: f"{name}.csv" for name in files}
    config = place.configure(folder, f"sqlite:///{place.folder / 'boardline.db'}", inputs=named)
    for name, text in files.items():  # after it, for it writes targets of its own
        (folder / f"{name}.csv").write_text(text, encoding="utf-8")
    return config


def an_account(place: Site) -> tuple[str, str]:
    """Id and domain of an account that no other has."""
    with sqlite3.connect(place.folder / "boardline.db") as store:
        row = store.execute(
            "select external_id, domain from accounts where deleted_at is null and domain in"
            " (select domain from accounts where domain <> '' group by domain having count(*) = 1) limit 1"
        ).fetchone()
    return str(row[0]), str(row[1])


def test_check_reads_good_files_to_their_end(served: Site, tmp_path: Path) -> None:
    account, domain = an_account(served)
    config = configured(
        served,
        tmp_path,
        targets=f"{TARGETS}2026-Q2,,quota,1000,plan,2026-04-01\n2026-Q2,,quota,2000,plan,2100-01-01\n"
        "2026-Q2,size=Giant,win_rate,30%,plan,\n",
        usage=f"customer_key,week,active,licensed\n{account},2026-05-04,1,2\nhttps://www.{domain}/,2026-05-11,1,2\n"
        "nobody.example,2026-05-04,1,2\n",
        spend="\ufeffmonth,channel,kind,amount\n2026-05,events,program,10.50\n",
    )
    done = boardline("check", "-c", config)
    assert done.status == 0, done.out
    lines = done.out.splitlines()
    assert "ok    demo: inputs.targets: targets.csv: 2 figures; 1 more count from their as_of on" in lines
    nowhere = "note  demo: inputs.targets: targets.csv line 4: no record lies in size=Giant; write one of "
    assert any(line.startswith(nowhere) for line in lines)
    assert "ok    demo: inputs.usage: usage.csv: 3 figures" in lines
    assert "ok    demo: inputs.spend: spend.csv: 1 figures" in lines
    lost = "note  demo: inputs.usage: 1 of 3 customers of usage.csv matches no account: nobody.example"
    assert lost in lines
    twice = f"{account} = https://www.{domain}/"
    assert any(line.startswith("note  demo: inputs.usage: one account") and twice in line for line in lines)
    rest = "margin, opening_arr, tickets, nps, calls, billing; numbers that need one say so"
    assert f"note  demo: inputs: no file for {rest}" in lines


def test_check_names_every_fault_and_fails(served: Site, tmp_path: Path) -> None:
    rows = "".join(f"2026-05,c{n},people,\n" for n in range(11))
    config = configured(
        served,
        tmp_path,
        spend=f"month,channel,kind,amount\n2026-05,events,salaries,1\n{rows}",
        nps="customer_key;date;score\nacme.com;2026-01-01;5\n",
        margin="quarter,stream,pct\n2026-Q1,subscription,75%\n",
    )
    done = boardline("check", "-c", config)
    assert done.status == 2, done.out
    faults = [line for line in done.out.splitlines() if line.startswith("FAIL")]
    spend = f"FAIL  demo: inputs.spend: {tmp_path / 'spend.csv'}: "
    assert faults[0] == (
        f"{spend}line 2: kind 'salaries' is neither people nor program; write for example program"
    )
    assert faults[1:10] == [
        f"{spend}line {line}: amount is empty; write for example 12000.00" for line in range(3, 12)
    ]
    assert faults[10] == f"{spend}and 2 more faults"
    assert "line 1: its cells are separated by semicolons" in faults[11]
    assert len(faults) == 12
    assert "ok    demo: inputs.margin: margin.csv: 1 figures" in done.out

    checks = boardline("check", "-c", config, "--json").json()["checks"]
    assert [check["what"] for check in checks if check["status"] == "failed"] == [
        *(["inputs.spend"] * 11),
        "inputs.nps",
    ]


def test_a_bad_file_costs_only_the_numbers_that_need_it(served: Site, tmp_path: Path) -> None:
    whole = {value["id"]: value for value in served.run("kpis", "--json", *MONTH).json()["kpis"]}
    assert whole["pipeline_coverage"]["value"] is not None
    config = configured(served, tmp_path, targets=f"{TARGETS}2026-Q2,,quota,lots,me,2026-01-01\n")

    done = boardline("kpis", "-c", config, "--json", *MONTH)

    assert done.status == 0, done.err
    assert "targets.csv line 2: value 'lots' is not a number" in done.err
    values = {value["id"]: value for value in done.json()["kpis"]}
    coverage = values.pop("pipeline_coverage")
    assert (coverage["value"], coverage["status"]) == (None, "not_computable")
    (reason,) = coverage["reasons"]
    assert reason == (
        "needs inputs: targets, and its file is faulty: targets.csv line 2: value 'lots' is not a number; "
        "write for example 12000.00"
    )
    for name, value in values.items():
        assert value == whole[name] or reason in value["reasons"]
    report = boardline("report", "-c", config, *MONTH, "--out", tmp_path / "out")
    assert report.status == 0, report.err
    (text,) = (tmp_path / "out").glob("*.txt")
    assert "line 2: value 'lots' is not a number" in " ".join(text.read_text(encoding="utf-8").split())


def test_a_revised_plan_leaves_the_number_before_it(served: Site, tmp_path: Path) -> None:
    revised = f"{TARGETS}2026-Q2,,quota,1000000,plan,\n2026-Q2,,quota,500000,board,2026-06-10\n"
    config = configured(served, tmp_path, targets=revised)

    def quota(day: str) -> str:
        done = boardline("kpis", "-c", config, "--json", *MONTH, "--as-of", day)
        (value,) = (value for value in done.json()["kpis"] if value["id"] == "pipeline_coverage")
        return str(value["denominator"])

    assert [quota(day) for day in ("2026-06-09", "2026-06-10")] == ["1000000.00", "500000.00"]


def test_init_writes_templates_that_check_accepts(served: Site, tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    mine = "month,channel,kind,amount\n2026-05,events,program,1\n"
    (folder / "spend.csv").write_text(mine)
    done = boardline("init", "--inputs", folder, "-c", tmp_path / "config.yaml")
    assert done.status == 0, done.err
    assert not (tmp_path / "config.yaml").exists()
    assert "Left as they are: spend.csv" in done.err
    assert "      usage: in/usage.csv\n" in done.err
    assert (folder / "spend.csv").read_text() == mine
    files = sorted(folder.glob("*.csv"))
    assert len(files) == 9

    named = {file.stem: f"in/{file.name}" for file in files}
    config = served.configure(tmp_path, f"sqlite:///{served.folder / 'boardline.db'}", inputs=named)
    check = boardline("check", "-c", config)
    assert check.status == 0, check.out
    assert "inputs.usage: usage.csv: 0 figures" in check.out

    again = boardline("init", "--inputs", folder)
    assert again.status == 2
    assert "--force" in again.err
    forced = boardline("init", "--inputs", folder, "--force", "-c", config)
    assert forced.status == 0, forced.err
    assert (folder / "spend.csv").read_text() != mine
    nowhere = boardline("init", "--inputs", folder / "spend.csv")
    assert nowhere.status == 2
    assert "name another folder" in nowhere.err


def test_the_reference_of_input_files_is_printed() -> None:
    done = boardline("docs", "inputs")
    assert done.status == 0, done.err
    assert done.out == (Path(__file__).parents[2] / "docs" / "inputs.md").read_text()


LIST = "customer_key,product,arr,currency,start,end\n"


@pytest.mark.parametrize(
    ("arr", "line"),
    [
        ("{}", "ok    demo: arr: from the deals' ARR field, else their amount (tcv)"),
        ("{source: line_items, basis: mrr}", "ok    demo: arr: from the deals' recurring line items (mrr)"),
        (
            "{deals_from: 2025-01-01}",
            "ok    demo: arr: from the deals' ARR field, else their amount (tcv);"
            " contracts that start before 2025-01-01 from the opening list",
        ),
        ("{source: opening_arr}", "ok    demo: arr: from the opening list alone"),
        ("{deals_from: 2025-01-01}", "FAIL  demo: arr: companies.demo.arr: deals_from needs a list"),
    ],
)
def test_check_says_where_arr_comes_from(served: Site, tmp_path: Path, arr: str, line: str) -> None:
    listed = "opening list" in line
    account, _ = an_account(served)
    files = {"opening_arr": f"{LIST}{account},,1000,USD,2024-01-01,\n"} if listed else {}
    config = configured(served, tmp_path, **files)
    config.write_text(config.read_text().replace("    report:\n", f"    arr: {arr}\n    report:\n", 1))
    done = boardline("check", "-c", config)
    assert done.status == (2 if line.startswith("FAIL") else 0), done.out
    assert any(one.startswith(line) for one in done.out.splitlines()), done.out


@pytest.mark.parametrize("source", ["contract", "cpq"])
def test_contracts_that_hubspot_does_not_keep_are_refused_with_what_to_use(
    served: Site, tmp_path: Path, source: str
) -> None:
    config = configured(served, tmp_path)
    text = config.read_text().replace("    report:\n", f"    arr: {{source: {source}}}\n    report:\n", 1)
    config.write_text(text)
    done = boardline("kpis", "-c", config, *MONTH)
    assert done.status == 2
    assert f"arr.source: {source} is read from Salesforce alone" in done.err
    assert "use source: line_items" in done.err
    assert done.err.count("\n") == 1


def test_a_list_is_read_only_where_the_configuration_says_so(served: Site, tmp_path: Path) -> None:
    account, _ = an_account(served)
    config = configured(served, tmp_path, opening_arr=f"{LIST}{account},,1000.50,USD,2024-01-01,\n")
    assert "the opening list is not read: set arr: deals_from" in boardline("check", "-c", config).out
    plain = boardline("kpis", "-c", config, *MONTH, "--json").json()["kpis"][0]
    text = config.read_text().replace("    report:\n", "    arr: {source: opening_arr}\n    report:\n", 1)
    config.write_text(text)
    alone = boardline("kpis", "-c", config, *MONTH, "--json").json()["kpis"][0]
    assert (plain["id"], alone["id"]) == ("arr", "arr")
    assert alone["value"] == "1000.50"
    assert plain["value"] != alone["value"]
    opened = boardline("kpis", "-c", config, *MONTH, "--evidence", "arr", "--json").json()["evidence"]
    assert [(row["object"], row["external_id"], row["url"]) for row in opened] == [
        ("opening_arr", "line 2", None)
    ]
