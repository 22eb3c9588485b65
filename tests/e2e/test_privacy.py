"""People, companies and quarantine through the installed command: what is typed wrong, and what is gone afterwards."""

from __future__ import annotations

import os
import pty
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import filelock
import pytest
import yaml

from tests.e2e.process import BOARDLINE, Done, Site, boardline, clean_environment, site

KEY = "a-key-that-nobody-may-read-4711"


@pytest.fixture(scope="module", params=["salesforce", pytest.param("hubspot", marks=pytest.mark.slow)])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site(request.param, tmp_path_factory.mktemp("site"), accounts=15, deals=60, months=8) as place:
        done = place.run("sync", "--once")
        assert done.status == 0, done.err
        yield place


@pytest.fixture
def copy(served: Site, tmp_path: Path) -> Path:
    """A configuration with a store of its own, already synced."""
    config = served.configure(tmp_path / "own")
    shutil.copy(served.folder / "boardline.db", config.parent / "boardline.db")
    return config


def ask(config: Path, query: str, *values: Any) -> list[tuple[Any, ...]]:
    with closing(sqlite3.connect(config.parent / "boardline.db")) as database:
        found = database.execute(query, values).fetchall()
        database.commit()
        return found


def someone(config: Path) -> tuple[str, str, str]:
    """(id, e-mail, full name) of a contact whose name nobody else has."""
    return ask(
        config,
        "SELECT external_id, email, first_name || ' ' || last_name FROM contacts WHERE email LIKE '%@%' "
        "GROUP BY first_name, last_name HAVING count(*) = 1 ORDER BY external_id LIMIT 1",
    )[0]


def bytes_of(config: Path) -> bytes:
    files = [path for path in config.parent.iterdir() if path.name.startswith("boardline.db")]
    return b"".join(path.read_bytes() for path in files)


def set_privacy(config: Path, **privacy: Any) -> None:
    document = yaml.safe_load(config.read_text())
    document["companies"]["demo"]["privacy"] = privacy
    config.write_text(yaml.safe_dump(document))


def test_a_forgotten_person_is_gone_and_does_not_come_back(copy: Path) -> None:
    who, email, name = someone(copy)
    assert email.encode() in bytes_of(copy)
    asked = boardline("forget", "-c", copy, "--company", "demo", "--person", email)
    assert asked.status == 2
    assert "--yes" in asked.err
    assert "contacts" in asked.err
    assert ask(copy, "SELECT count(*) FROM contacts WHERE external_id = ?", who) == [(1,)]

    done = boardline("forget", "-c", copy, "--company", "demo", "--person", email, "--yes", "--json")
    assert done.status == 0, done.err
    document = done.json()
    assert document["removed"]["contacts"] >= 1
    assert document["bytes_gone"] is True
    assert any("backups" in line for line in document["may_still_hold_it"])
    assert not [word for word in (email, name) if word.encode() in bytes_of(copy)]

    again = boardline("sync", "-c", copy, "--once", "--full")
    assert again.status == 0, again.err
    assert not [word for word in (email, name) if word.encode() in bytes_of(copy)]
    assert ask(copy, "SELECT count(*) FROM contacts WHERE external_id = ?", who) == [(0,)]
    for named, status in ((who, 0), (email, 2)):  # an id is remembered, an address is not
        assert (
            boardline("forget", "-c", copy, "--company", "demo", "--person", named, "--yes").status == status
        )


def test_what_could_not_be_erased_is_erased_by_the_same_command_again(copy: Path) -> None:
    """Another program reads; the second run knows nobody by that address any more, and ends what the first began."""
    document = yaml.safe_load(copy.read_text())
    document["store"]["url"] = "sqlite:///boardline.db?timeout=0.5"
    copy.write_text(yaml.safe_dump(document))
    _, email, _ = someone(copy)
    command = ("forget", "-c", copy, "--company", "demo", "--person", email, "--yes")
    with closing(sqlite3.connect(copy.parent / "boardline.db")) as other:
        other.execute("BEGIN")
        other.execute("SELECT count(*) FROM contacts").fetchone()
        first = boardline(*command)
        assert first.status == 1
        assert "may still hold their bytes" in first.err
        still = boardline(*command)
        assert still.status == 1
        assert "may still hold their bytes" in still.err
        synced = boardline("sync", "-c", copy, "--once")
        assert synced.status == 1
        assert "may still be read in the store's files" in synced.err
    assert email not in repr(ask(copy, "SELECT * FROM erasures"))
    checked = boardline("db", "check", "-c", copy)
    assert "whose bytes are still in the files" in checked.out
    again = boardline(*command, "--json")
    assert again.status == 0, again.err
    assert (again.json()["removed"], again.json()["bytes_gone"]) == ({}, True)
    assert email.encode() not in bytes_of(copy)
    third = boardline(*command)
    assert third.status == 2
    assert "no contact or lead in the store is" in third.err


@pytest.mark.parametrize(
    ("answer", "status", "left"),
    [pytest.param(b"n\n", 2, 1, marks=pytest.mark.slow), (b"\n", 2, 1), (b"y\n", 0, 0)],
)
def test_at_a_terminal_a_person_is_asked(copy: Path, answer: bytes, status: int, left: int) -> None:
    who, *_ = someone(copy)
    terminal, theirs = pty.openpty()
    process = subprocess.Popen(
        [BOARDLINE, "forget", "-c", str(copy), "--company", "demo", "--person", who],
        stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    os.write(terminal, answer)
    out, err = process.communicate(timeout=120)
    os.close(terminal)
    os.close(theirs)
    assert process.returncode == status, err
    assert b"Remove it?" in err
    assert b"contacts" in err
    assert ask(copy, "SELECT count(*) FROM contacts WHERE external_id = ?", who) == [(left,)]
    assert (b"may still hold it" in out) == (status == 0)


def test_a_busy_company_is_left_alone(copy: Path) -> None:
    import hashlib

    who, *_ = someone(copy)
    name = hashlib.sha256(b"demo").hexdigest()[:12]
    with filelock.FileLock(f"{copy.parent / 'boardline.db'}.{name}.sync.lock"):
        done = boardline("forget", "-c", copy, "--company", "demo", "--person", who, "--yes")
    assert done.status == 1
    assert "try again later" in done.err
    assert ask(copy, "SELECT count(*) FROM contacts WHERE external_id = ?", who) == [(1,)]


def test_a_company_leaves_the_store_also_when_it_left_the_configuration(copy: Path) -> None:
    text = copy.read_text()
    copy.write_text(text.replace("  demo:", "  other:"))
    unknown = boardline("forget", "-c", copy, "--company", "dem", "--everything", "--yes")
    assert unknown.status == 2
    assert "known are demo, other" in unknown.err
    done = boardline("forget", "-c", copy, "--company", "demo", "--everything", "--yes", "--json")
    assert done.status == 0, done.err
    assert done.json()["removed"]["deals"] > 10
    tables = [name for (name,) in ask(copy, "SELECT name FROM sqlite_master WHERE type = 'table'")]
    owned = [
        name
        for name in tables
        if ask(copy, "SELECT 1 FROM pragma_table_info(?) WHERE name = 'company'", name)
    ]
    assert len(owned) > 15
    assert [name for name in owned if ask(copy, f"SELECT 1 FROM {name} WHERE company = 'demo'")] == []
    assert boardline("forget", "-c", copy, "--company", "demo", "--everything", "--yes").status == 2


WRONG = {
    "no company": (["forget", "--person", "x@y.example", "--yes"], "--company NAME"),
    "nothing named": (["forget", "--company", "demo", "--yes"], "--person WHO, or --everything"),
    "both named": (["forget", "--company", "demo", "--person", "x", "--everything", "--yes"], "--person WHO"),
    "a blank person": (["forget", "--company", "demo", "--person", "  ", "--yes"], "--person is empty"),
    "an unknown person": (
        ["forget", "--company", "demo", "--person", "no@body.example", "--yes"],
        "no contact or lead",
    ),
    "an unknown company": (
        ["forget", "--company", "nobody", "--person", "x@y.example", "--yes"],
        "known are demo",
    ),
    "an unknown cell": (["quarantine", "explain", "0123456789"], "quarantine list"),
    "a table alone": (["quarantine", "explain", "deals"], "name the record too"),
    "an unknown table": (["quarantine", "list", "--table", "deels"], "no table 'deels'"),
    "an unknown field": (
        ["quarantine", "list", "--table", "deals", "--field", "colour"],
        "no field 'colour'",
    ),
    "an unknown company's cells": (["quarantine", "retry", "--company", "nobody"], "known are demo"),
}


@pytest.mark.parametrize("case", WRONG)
def test_wrong_input_is_one_line(served: Site, case: str) -> None:
    (command, *rest), part = WRONG[case]
    done = boardline(command, *rest, "-c", served.config)
    assert done.status == 2, done.err
    assert done.out == ""
    assert part in done.err
    assert len(done.err.strip().splitlines()) == 1
    assert "nobody" in case or "Traceback" not in done.err


def test_a_stricter_mode_takes_the_bytes_away_and_a_plainer_one_brings_them_back(copy: Path) -> None:
    _, email, name = someone(copy)
    local = email.split("@")[0]
    set_privacy(copy, contacts="hashed", key="${BOARDLINE_TEST_PRIVACY}")
    environment = {"BOARDLINE_TEST_PRIVACY": KEY}
    refused = boardline("sync", "-c", copy, "--once")
    assert refused.status == 2
    assert "privacy.key" in refused.err
    assert (
        boardline("sync", "-c", copy, "--once", environment={"BOARDLINE_TEST_PRIVACY": "short"}).status == 2
    )
    assert email.encode() in bytes_of(copy)

    hashed = boardline("sync", "-c", copy, "--once", "--json", "-v", environment=environment)
    assert hashed.status == 0, hashed.err
    held = bytes_of(copy)
    assert not [word for word in (email, f"{local}@", name, KEY) if word.encode() in held]
    assert KEY not in hashed.out + hashed.err
    found = boardline("forget", "-c", copy, "--company", "demo", "--person", email, environment=environment)
    assert found.status == 2
    assert "this would remove one person" in found.err  # found by the digest

    set_privacy(copy, contacts="none")
    assert boardline("sync", "-c", copy, "--once").status == 0
    assert ask(copy, "SELECT count(*) FROM contacts WHERE email IS NOT NULL OR last_name IS NOT NULL") == [
        (0,)
    ]
    quality = boardline("quality", "-c", copy, "--json")
    assert quality.json()["score"] is None
    assert "privacy.contacts: none" in " ".join(quality.json()["reasons"])
    by_mail = boardline("forget", "-c", copy, "--company", "demo", "--person", email, "--yes")
    assert by_mail.status == 2
    assert "CRM id" in by_mail.err

    set_privacy(copy, contacts="full")
    assert boardline("sync", "-c", copy, "--once").status == 0
    assert email.encode() in bytes_of(copy)


def test_quarantined_values_are_listed_explained_and_read_again(served: Site, copy: Path) -> None:
    ((deal,),) = ask(
        copy, "SELECT external_id FROM deals WHERE deleted_at IS NULL ORDER BY external_id LIMIT 1"
    )
    ask(copy, "UPDATE deals SET close_date = NULL, term_months = NULL WHERE external_id = ?", deal)
    ask(copy, "DELETE FROM quarantine")
    for field, raw in (("close_date", "2026-03-31"), ("term_months", "a\x1b[31m year")):
        ask(
            copy,
            "INSERT INTO quarantine VALUES ('demo', ?, 'deals', ?, ?, '', ?, 'not understood', ?, ?)",
            served.crm, deal, field, raw, "2026-06-01 00:00:00.000000", "2026-06-01 00:00:00.000000",
        )  # fmt: skip
    listed = boardline("quarantine", "list", "-c", copy, "--json")
    cells = {cell["field"]: cell for cell in listed.json()["quarantined"]}
    assert cells.keys() == {"close_date", "term_months"}
    shown = boardline("quarantine", "list", "-c", copy, "--field", "term_months")
    assert "\x1b" not in shown.out
    assert "close_date" not in shown.out

    (told,) = (boardline("quarantine", "explain", cells["close_date"]["id"], "-c", copy, "--json").json(),)
    assert told["expected"].startswith("a date")
    assert told["crm_field"] == {"salesforce": "CloseDate", "hubspot": "closedate"}[served.crm]
    assert deal in told["url"]
    assert "fields.deals.close_date" in told["what_to_do"]
    both = boardline("quarantine", "explain", "deals", deal, "-c", copy, "--json").json()
    assert len(both) == 2

    done: Done = boardline("quarantine", "retry", "-c", copy, "--json")
    assert done.status == 0, done.err
    outcome = {one["field"]: one["outcome"] for one in done.json()["retried"]}
    assert outcome == {"close_date": "restored", "term_months": "unreadable"}
    assert ask(copy, "SELECT close_date FROM deals WHERE external_id = ?", deal) == [("2026-03-31",)]
    again = boardline("quarantine", "retry", "-c", copy)
    assert "1 still not readable" in again.out
    assert ask(copy, "SELECT field FROM quarantine") == [("term_months",)]
