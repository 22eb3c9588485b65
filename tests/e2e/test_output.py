"""What commands print and write: in any encoding, onto any disk, times in one format."""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.process import BOARDLINE, Done, Site, boardline, clean_environment, site
from tests.unit.test_files import longest_file

NAME = "Müller & 日本 😀"  # not in Latin-1, not in the first plane


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site("salesforce", tmp_path_factory.mktemp("site"), accounts=30, deals=240, months=15) as place:
        text = place.config.read_text().replace("  demo:", f'  "{NAME}":', 1)
        place.config.write_text(text, encoding="utf-8")
        assert place.run("sync", "--once").status == 0
        yield place


@pytest.mark.parametrize(
    "encoding", ["ascii", *(pytest.param(name, marks=pytest.mark.slow) for name in ("latin-1", "utf-8"))]
)
@pytest.mark.parametrize(
    "command", [("report",), ("kpis",), ("quality",), ("status",), ("check",), ("docs",)]
)
def test_no_character_ends_a_command(served: Site, encoding: str, command: tuple[str, ...]) -> None:
    """With the encodings that a terminal, or a script's pipe, may have."""
    config = () if command == ("docs",) else ("-c", str(served.config))
    done = subprocess.run(
        [BOARDLINE, *command, *config],
        capture_output=True,
        env={**clean_environment(), "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0, done.stderr
    text = done.stdout.decode(encoding)
    if config:
        shown = {
            "ascii": r"M\xfcller & \u65e5\u672c \U0001f600",
            "latin-1": r"Müller & \u65e5\u672c \U0001f600",
        }
        assert shown.get(encoding, NAME).upper() in text.upper()


@pytest.mark.parametrize("encoding", ["ascii", "utf-16"])
def test_json_is_json_in_every_encoding(served: Site, encoding: str) -> None:
    done = subprocess.run(
        [BOARDLINE, "kpis", "--json", "-c", served.config],
        capture_output=True,
        env={**clean_environment(), "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.decode(encoding))["company"] == NAME


def test_a_file_name_that_is_no_text_can_be_told(served: Site, tmp_path: Path) -> None:
    folder = tmp_path / "a\udcff"
    done = served.run("report", "--out", folder, "--json")
    assert done.status == 0, done.err
    assert len(done.json()["files"]) == len(list(folder.iterdir())) == 3


def test_what_is_written_is_utf_8(served: Site, tmp_path: Path) -> None:
    ascii_only = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    for command in (("report", "--out", tmp_path), ("quality", "--csv", tmp_path / "a.csv")):
        assert boardline(*command, "-c", served.config, environment=ascii_only).status == 0
    written = sorted(tmp_path.iterdir())
    assert {path.suffix for path in written} == {".csv", ".html", ".md", ".txt"}
    for path in written:
        assert "日本" in path.read_bytes().decode("utf-8-sig"), path


# ---- disks


def on_a_full_disk(*arguments: str | Path) -> Done:
    """No file may grow beyond some bytes while the command runs."""
    with longest_file(2000):
        process = subprocess.Popen(
            [BOARDLINE, *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=clean_environment(),
        )
    out, err = process.communicate()
    return Done(process.returncode, out, err)


def test_a_full_disk_leaves_no_half_file(served: Site, tmp_path: Path) -> None:
    old = tmp_path / "old.csv"
    old.write_text("old")
    for what, arguments in {
        "reports": ("report", "-c", served.config, "--out", tmp_path / "reports"),
        "new.csv": ("quality", "-c", served.config, "--csv", tmp_path / "new.csv"),
        "old.csv": ("quality", "-c", served.config, "--csv", old),
        "docs": ("docs", "--write", tmp_path / "docs"),
    }.items():
        done = on_a_full_disk(*arguments)
        assert done.status == 1, (what, done.err)
        told = (
            f"{tmp_path / what}: the disk is full, nothing was written; free space there and run this again"
        )
        assert told in done.err, what
        assert "Traceback" not in done.err
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert files == [old]
    assert old.read_text() == "old"


def test_output_that_meets_a_full_disk(served: Site) -> None:
    if not Path("/dev/full").is_char_device():
        pytest.skip("there is no such device here")
    for command in (("kpis", "--json"), ("docs",)):
        config = () if command == ("docs",) else ("-c", str(served.config))
        with open("/dev/full", "wb") as full:
            done = subprocess.run(
                [BOARDLINE, *command, *config], stdout=full, stderr=subprocess.PIPE, env=clean_environment()
            )
        assert done.returncode == 1
        assert done.stderr.decode().splitlines() == [
            "boardline: where the output goes: the disk is full; free space there and run this again"
        ]


# ---- times


ISO = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z")


def instants(document: Any) -> Iterator[str]:
    """Every text in a document that is an instant in any format."""
    if isinstance(document, dict):
        document = [value for key, value in document.items() if key != "cursor"]  # the CRM's own
    if isinstance(document, list):
        for item in document:
            yield from instants(item)
    elif isinstance(document, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:", document):
        yield document


def test_machines_read_one_format_of_times(served: Site) -> None:
    found: list[str] = []
    for command in (
        ("kpis",),
        ("quality",),
        ("status",),
        ("audit",),
        ("report",),
        ("sync", "--once"),
        ("kpis", "--evidence", "arr"),
    ):
        found += instants(served.run(*command, "--json").json())
    assert len(found) > 20
    assert [text for text in found if not ISO.fullmatch(text)] == []


def test_people_read_local_times(served: Site) -> None:
    """To the minute and with the zone, in every text."""
    local = r"\d{4}-\d\d-\d\d \d\d:\d\d E[SD]T"
    for command, words in {
        "kpis": "as known at ",
        "quality": ", as of ",
        "status": "last complete sync ",
    }.items():
        out = served.run(command).out
        assert re.search(words + local, out), out
        assert not re.search(r"\d\d:\d\d(:\d\d|\.\d|Z|\+)", out), out


def test_evidence_prints_its_number_as_the_table_does(served: Site) -> None:
    table = served.run("kpis", "--month", "2026-05").out
    for kpi, title in {
        "win_rate": "Win rate",
        "arr": "ARR",
        "pipeline_coverage": "Pipeline coverage",
    }.items():
        shown = served.run("kpis", "--month", "2026-05", "--evidence", kpi).out.splitlines()[0]
        row = next(line for line in table.splitlines() if line.startswith(f"{title}  "))
        number = shown.split(": ", 1)[1].split(" (")[0]
        assert re.search(rf"\s{re.escape(number)}\s", row), (shown, row)
        assert not re.search(r"\d\.\d{3,}", shown)
    value = served.run("kpis", "--month", "2026-05", "--evidence", "win_rate", "--json").json()["value"]
    assert isinstance(value, float)


def test_the_daemon_says_nothing_of_its_libraries(served: Site, tmp_path: Path) -> None:
    config = served.configure(tmp_path, schedule={"sync": "every 1 hour"})
    with (tmp_path / "err").open("wb") as log:
        process = subprocess.Popen([BOARDLINE, "run", "-c", config], stderr=log, env=clean_environment())
    try:
        deadline = time.monotonic() + 60
        while "sync finished" not in (told := (tmp_path / "err").read_text()):
            assert process.poll() is None, told
            assert time.monotonic() < deadline, told
            time.sleep(0.05)
    finally:
        process.terminate()
        assert process.wait(60) == 0
    assert "alembic" not in told
    assert "Context impl" not in told
