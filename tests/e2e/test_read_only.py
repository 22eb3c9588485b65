"""Commands that only read, by a user who may not write: a colleague on the same machine, a store on read-only media."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Site, clean_environment, site

NOBODY = 65534
RUN = f"""
import contextlib, io, os, shutil, sys, tempfile
from scheduler.cli import main
root, *command = sys.argv[1:]

def run(folder):
    with tempfile.TemporaryDirectory() as other:
        places = {{"HERE": f"{{folder}}/x", "ELSEWHERE": f"{{other}}/x"}}
        sys.argv = ["boardline", *(places.get(part, part) for part in command), "-c", f"{{folder}}/config.yaml"]
        try:
            main()
        except SystemExit as stop:
            return stop.code or 10 * ("ELSEWHERE" in command and os.listdir(other) != ["x"])

if os.geteuid() == 0:
    # Once as root on a copy: what a command loads on its way may lie where nobody else can read.
    with tempfile.TemporaryDirectory() as copy, contextlib.redirect_stdout(io.StringIO()), \\
            contextlib.redirect_stderr(io.StringIO()):
        shutil.copytree(root, copy, dirs_exist_ok=True)
        os.chmod(copy, 0o755)
        run(copy)
    os.setgid({NOBODY}); os.setuid({NOBODY})
sys.exit(run(root))
"""


@pytest.fixture(scope="module")
def locked() -> Iterator[Site]:
    """A synced site in a folder where nothing can be written, and which everybody may look into."""
    with tempfile.TemporaryDirectory(prefix="boardline-") as name:
        folder = Path(name)
        with site("salesforce", folder, accounts=30, deals=240, months=15) as place:
            assert place.run("sync", "--once").status == 0
            for entry in folder.iterdir():
                entry.chmod(0o444)
            folder.chmod(0o555)
            yield place
            folder.chmod(0o755)


def run(place: Site, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", RUN, str(place.folder), *command],
        capture_output=True,
        text=True,
        timeout=240,
        env=clean_environment(),
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.parametrize(
    ("command", "part"),
    [
        (["kpis"], "Net revenue retention"),
        pytest.param(["quality"], "field completeness", marks=pytest.mark.slow),
        pytest.param(["report"], "SCORECARD", marks=pytest.mark.slow),
        (["status"], "last pass: complete"),
        (["quarantine", "list"], " in quarantine"),
        (["db", "check"], "The store is whole."),
        pytest.param(["audit"], "no baseline: engagement_start is not set", marks=pytest.mark.slow),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else "",
)
def test_what_only_reads_works(locked: Site, command: list[str], part: str) -> None:
    before = {entry: entry.stat().st_mtime_ns for entry in locked.folder.iterdir()}
    done = run(locked, *command)
    assert done.returncode == 0, done.stderr
    assert part in done.stdout
    assert {entry: entry.stat().st_mtime_ns for entry in locked.folder.iterdir()} == before


@pytest.mark.parametrize(
    "command",
    [["sync", "--once"], pytest.param(["report", "--post"], marks=pytest.mark.slow)],
    ids=lambda value: value[0],
)
def test_what_writes_says_why_it_cannot(locked: Site, command: list[str]) -> None:
    done = run(locked, *command)
    assert done.returncode == 2, done.stdout
    assert "the file is read-only; make it writable" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    "command",
    [
        pytest.param(["report", "--out"], marks=pytest.mark.slow),
        ["quality", "--csv"],
        pytest.param(["db", "export", "--out"], marks=pytest.mark.slow),
        ["db", "backup", "--to"],
    ],
    ids=" ".join,
)
def test_what_is_read_can_be_written_elsewhere(locked: Site, command: list[str]) -> None:
    refused = run(locked, *command, "HERE")
    assert refused.returncode == 2, refused.stdout
    assert refused.stderr.count("\n") == 1, refused.stderr
    assert "; name another" in refused.stderr
    done = run(locked, *command, "ELSEWHERE")
    assert done.returncode == 0, done.stderr
