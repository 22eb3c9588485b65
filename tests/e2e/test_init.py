"""`boardline init`: a wrong answer is asked for again at a terminal, and nothing wrong or secret is written."""

from __future__ import annotations

import os
import pty
import select
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
import yaml

from tests.e2e.process import BOARDLINE, boardline, clean_environment

PATIENCE = 60.0
GIVEN = {
    "--name": "globex", "--crm": "salesforce", "--url": "https://globex.my.salesforce.com",
    "--playbook": "dev_tools", "--timezone": "Europe/Berlin",
}  # fmt: skip


def options(**changes: str) -> list[str]:
    given = {**GIVEN, **{f"--{name}": value for name, value in changes.items()}}
    return [part for pair in given.items() for part in pair]


class Dialogue:
    """``init`` at a terminal."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            [BOARDLINE, "init", *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, cwd=folder, env=clean_environment(),
        )  # fmt: skip
        os.close(theirs)
        self.told = ""

    def answer(self, question: str, text: str) -> str:
        """Wait for a question, answer it; what was printed since the last one."""
        seen = len(self.told)
        self._read(lambda: question in self.told[seen:] and self.told.rstrip().endswith("]:"))
        os.write(self.ours, f"{text}\n".encode())
        return self.told[seen:]

    def end(self) -> int:
        self._read(lambda: False)
        os.close(self.ours)
        return self.process.wait(PATIENCE)

    def _read(self, enough: Callable[[], bool]) -> None:
        deadline = time.monotonic() + PATIENCE
        while not enough():
            assert time.monotonic() < deadline, self.told
            if select.select([self.ours], [], [], 0.1)[0]:
                try:
                    self.told += os.read(self.ours, 4096).decode()
                except OSError:  # the other end is closed
                    return


def test_a_wrong_answer_is_asked_for_again_and_the_others_are_kept(tmp_path: Path) -> None:
    asked = Dialogue(tmp_path)
    asked.answer("Short name", "Acme Ltd!")
    again = asked.answer("Short name", "acme")
    assert (
        "boardline: Short name of the client company: 'Acme Ltd!' is no short name; write up to 60" in again
    )
    asked.answer("CRM (", "sugar")
    assert "'sugar' is not known; it is one of salesforce, hubspot" in asked.answer("CRM (", "salesforce")
    asked.answer("Salesforce address", "https://me:hidden@acme.my.salesforce.com")
    told = asked.answer("Salesforce address", "http://acme.my.salesforce.com")
    assert "must not contain credentials" in told
    assert "use https://acme.my.salesforce.com" in asked.answer(
        "Salesforce address", "ftp://acme.my.salesforce.com"
    )
    assert "use https://acme.my.salesforce.com" in asked.answer(
        "Salesforce address", "acme.my.salesforce.com"
    )
    asked.answer("Playbook", "")
    asked.answer("Time zone", "Europe/Berln")
    assert "there is no time zone 'Europe/Berln'; use a name such as" in asked.answer(
        "Time zone", "Europe/Berlin"
    )
    assert asked.end() == 0, asked.told
    assert ".new" not in asked.told
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())["companies"]["acme"]
    assert written["crm"]["url"] == "https://acme.my.salesforce.com"
    assert written["timezone"] == "Europe/Berlin"
    assert "hidden" not in (tmp_path / "config.yaml").read_text()
    assert [path.name for path in tmp_path.iterdir()] == ["config.yaml"]


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (
            {"url": "https://me:hidden@globex.example"},
            "--url: the address must not contain credentials; put them",
        ),
        (
            {"url": "https://globex.example?token=hidden"},
            "--url: give the address alone, without path, query",
        ),
        ({"url": "https://globex.example#hidden"}, "--url: give the address alone, without path, query"),
        (
            {"url": "http://globex.example"},
            "--url: http would send the token unencrypted; use https://globex.example",
        ),
        ({"url": "ftp://globex.example"}, "--url: a CRM is not reached by ftp; use https://globex.example"),
        (
            {"url": "https://me:hidden@globex.example", "crm": "hubspot"},
            "--url: the address must not contain cred",
        ),
        (
            {"timezone": "Europe/Berln"},
            "--timezone: there is no time zone 'Europe/Berln'; use a name such as",
        ),
        ({"name": "Globex"}, "--name: 'Globex' is no short name; write up to 60 lower-case letters"),
        ({"name": "g" * 61}, "is no short name; write up to 60 lower-case letters"),
        ({"crm": "sugar"}, "--crm: 'sugar' is not known; it is one of salesforce, hubspot"),
        (
            {"playbook": "retail"},
            "--playbook: 'retail' is not known; it is one of hr_tech, supply_chain, dev_tools",
        ),
        ({"url": ""}, "--url: '' is no address; write https://"),
        ({"name": ""}, "--name: '' is no short name"),
    ],
)
def test_a_wrong_option_ends_it(tmp_path: Path, changes: dict[str, str], told: str) -> None:
    done = boardline("init", *options(**changes), cwd=tmp_path)
    assert done.status == 2
    assert told in done.err
    assert len(done.err.splitlines()) == 1
    assert "hidden" not in done.err
    assert list(tmp_path.iterdir()) == []


def test_a_bare_host_is_reached_by_https(tmp_path: Path) -> None:
    done = boardline("init", *options(url="globex.my.salesforce.com"), cwd=tmp_path)
    assert done.status == 0, done.err
    written = yaml.safe_load((tmp_path / "config.yaml").read_text())["companies"]["globex"]
    assert written["crm"]["url"] == "https://globex.my.salesforce.com"


def test_answers_from_a_pipe_end_at_the_first_wrong_one(tmp_path: Path) -> None:
    """The next line is meant for the next question."""
    lines: Sequence[str] = ("Acme Ltd!", "salesforce", "", "", "")
    done = subprocess.run(
        [BOARDLINE, "init"], input="\n".join(lines), capture_output=True, text=True, cwd=tmp_path,
        env=clean_environment(),
    )  # fmt: skip
    assert done.returncode == 2
    assert "'Acme Ltd!' is no short name" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_variables_are_ones_that_a_shell_can_set(tmp_path: Path) -> None:
    done = boardline("init", *options(name="3m-uk"), cwd=tmp_path)
    assert done.status == 0, done.err
    auth = yaml.safe_load((tmp_path / "config.yaml").read_text())["companies"]["3m-uk"]["crm"]["auth"]
    assert auth["client_id"] == "${_3M_UK_SF_CLIENT_ID}"
    assert "_3M_UK_SF_CLIENT_SECRET" in done.err


def test_a_place_where_it_cannot_be_written_is_told_before_the_questions(tmp_path: Path) -> None:
    done = boardline("init", "-c", tmp_path / "nowhere" / "config.yaml")
    assert done.status == 2
    assert f"there is no folder {tmp_path / 'nowhere'}; name another file with -c" in done.err
