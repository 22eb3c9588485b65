"""A command that is asked to stop says so, ends as a script expects, and the next one goes on."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import orjson
import pytest

from connectors.simulator.faults import FaultPlan
from tests.e2e.process import BOARDLINE, Site, boardline, clean_environment, site
from tests.e2e.tables import differences

PATIENCE = 60.0
SLOW = FaultPlan.parse("slow@1+=0.15")  # slow enough to be stopped in the middle
TOLD = "boardline: stopped before its end; what was read is kept, and the next sync goes on from there"


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site("salesforce", tmp_path_factory.mktemp("site"), accounts=12, deals=60, months=6) as place:
        yield place


@pytest.fixture(autouse=True)
def nothing_ignored() -> Iterator[None]:
    """What is ignored here would be ignored by every process that is started, too."""
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    ignored = {number for number, handler in before.items() if handler is signal.SIG_IGN}
    for number in ignored:
        signal.signal(number, signal.SIG_DFL)
    yield
    for number in ignored:
        signal.signal(number, signal.SIG_IGN)


def stopped(place: Site, config: Path, number: int, *options: str) -> tuple[int, str, str]:
    """Sync until some streams were read, ask to stop; status, stdout and stderr."""
    out, err = config.with_name("out"), config.with_name("err")
    goal = place.simulator.requests.total + 20
    with out.open("wb") as to_out, err.open("wb") as to_err:
        process = subprocess.Popen(
            [BOARDLINE, "sync", "--once", "-c", str(config), *options],
            stdin=subprocess.DEVNULL,
            stdout=to_out,
            stderr=to_err,
            env=clean_environment(),
        )
    deadline = time.monotonic() + PATIENCE
    while place.simulator.requests.total < goal:
        assert process.poll() is None, err.read_text()
        assert time.monotonic() < deadline, "it did not get so far"
        time.sleep(0.01)
    process.send_signal(number)
    return process.wait(PATIENCE), out.read_text(), err.read_text()


@pytest.mark.parametrize(
    ("number", "status"),
    [
        pytest.param(signal.SIGHUP, 1, marks=pytest.mark.slow),
        (signal.SIGINT, 130),
        pytest.param(signal.SIGTERM, 1, marks=pytest.mark.slow),
    ],
    ids=str,
)
def test_a_pass_that_is_stopped_is_not_done(
    served: Site, tmp_path: Path, number: signal.Signals, status: int
) -> None:
    served.simulator.faults = SLOW
    config = served.configure(tmp_path)
    ended, _, err = stopped(served, config, number)
    assert ended == status, err
    assert err.splitlines() == [TOLD]
    if number != signal.SIGTERM:
        return
    assert boardline("report", "-c", config, "--post").status == 1, "half a company is not posted"
    served.simulator.faults = None
    assert boardline("sync", "--once", "-c", config).status == 0
    whole = served.configure(tmp_path / "whole")
    assert boardline("sync", "--once", "-c", whole).status == 0
    assert differences(tmp_path / "boardline.db", tmp_path / "whole" / "boardline.db") == []


def test_a_script_reads_which_streams_were_read(served: Site, tmp_path: Path) -> None:
    served.simulator.faults = SLOW
    ended, out, err = stopped(served, served.configure(tmp_path), signal.SIGTERM, "--json")
    assert ended == 1
    assert err.splitlines() == [TOLD]
    statuses = [run["status"] for run in orjson.loads(out)["runs"]]
    assert statuses[0] == "ok"
    assert statuses[-1] == "stopped"


def test_nohup_means_it(served: Site, tmp_path: Path) -> None:
    served.simulator.faults = FaultPlan.parse("slow@1+=0.05")
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        ended, _, err = stopped(served, served.configure(tmp_path), signal.SIGHUP)
    finally:
        signal.signal(signal.SIGHUP, before)
    assert ended == 0, err


@pytest.mark.parametrize(
    ("number", "status"),
    [
        (signal.SIGTERM, 143),
        pytest.param(signal.SIGINT, 130, marks=pytest.mark.slow),
        pytest.param(signal.SIGHUP, 129, marks=pytest.mark.slow),
    ],
)
def test_any_command_says_that_it_was_stopped(tmp_path: Path, number: signal.Signals, status: int) -> None:
    ours, theirs = pty.openpty()
    with (tmp_path / "err").open("wb") as err:
        process = subprocess.Popen(
            [BOARDLINE, "init", "-c", str(tmp_path / "config.yaml")], stdin=theirs, stdout=theirs, stderr=err
        )
    os.close(theirs)
    deadline = time.monotonic() + PATIENCE
    while "Short name" not in (tmp_path / "err").read_text():
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(number)
    assert process.wait(PATIENCE) == status
    os.close(ours)
    assert (tmp_path / "err").read_text().splitlines()[-1].endswith("boardline: stopped")
    assert not (tmp_path / "config.yaml").exists()
