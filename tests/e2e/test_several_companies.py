"""Several companies, one of them in trouble: the others are served, and the one is named."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import orjson
import pytest
import yaml
from typer.testing import CliRunner

from metrics.compute import registered
from scheduler.cli import app
from tests.e2e.process import Site, boardline, site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder = tmp_path_factory.mktemp("site")
    with site("salesforce", folder, accounts=30, deals=240, months=15) as place:
        assert place.run("sync", "--once").status == 0
        document = yaml.safe_load(place.config.read_text())
        document["companies"]["fresh"] = {**document["companies"]["demo"]}
        document["companies"]["other"] = {**document["companies"]["demo"]}
        place.config.write_text(yaml.safe_dump(document, sort_keys=False))
        yield place


def changed(place: Site, folder: Path, **companies: Any) -> Path:
    """The site's configuration with some settings of some companies replaced, over the same store."""
    document = yaml.safe_load(place.config.read_text())
    document["store"]["url"] = f"sqlite:///{place.folder / 'boardline.db'}"
    for name, settings in companies.items():
        document["companies"][name] = {**document["companies"][name], **settings}
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump(document, sort_keys=False))
    return path


@pytest.mark.parametrize(
    "command", ["report", *(pytest.param(name, marks=pytest.mark.slow) for name in ("kpis", "quality"))]
)
def test_a_company_that_was_never_synced_keeps_no_other_from_its_numbers(served: Site, command: str) -> None:
    one, text = served.run(command, "--company", "demo"), served.run(command)
    assert one.status == 0, one.err
    assert text.status == 1
    assert text.out.splitlines()[1:3] == one.out.splitlines()[1:3]
    for name in ("fresh", "other"):
        assert f"boardline: {name}: nothing was synced yet" in text.err
    document = served.run(command, "--json").json()
    assert [item["company"] for item in document] == ["demo"], "a list, because several were asked for"


@pytest.mark.parametrize("command", ["kpis", "quality", "report"])
def test_where_all_fail_alike_the_status_is_theirs(served: Site, command: str) -> None:
    done = served.run(command, "--company", "fresh", "--company", "other", "--json")
    assert done.status == 2
    error = done.json()["error"]
    assert "nothing was synced yet" in error["message"]
    assert "boardline sync --once" in error["remedy"]
    assert error["exit_status"] == 2


@pytest.mark.parametrize("verb", ["list", "retry"])
def test_the_quarantine_of_the_others_is_told(served: Site, verb: str) -> None:
    done = boardline("quarantine", verb, "-c", served.config, "--json")
    assert done.status == 1
    assert [item["company"] for item in done.json()] == ["demo"]
    assert "boardline: fresh: nothing was synced yet" in done.err
    assert "boardline: other: nothing was synced yet" in done.err


def test_nothing_to_explain_names_the_companies_that_could_not_be_asked(served: Site) -> None:
    done = boardline("quarantine", "explain", "0123456789", "-c", served.config)
    assert done.status == 1
    assert "boardline: fresh: nothing was synced yet" in done.err
    alone = boardline("quarantine", "explain", "0123456789", "-c", served.config, "--company", "demo")
    assert alone.status == 2
    assert "there is nothing in quarantine under 0123456789" in alone.err


def test_status_lists_every_company(served: Site) -> None:
    done = served.run("status", "--json")
    assert done.status == 0, done.err
    assert [item["company"] for item in done.json()] == ["demo", "fresh", "other"]


def test_sync_names_the_company_that_failed(served: Site, tmp_path: Path) -> None:
    crm = yaml.safe_load(served.config.read_text())["companies"]["fresh"]["crm"]
    away = changed(served, tmp_path, fresh={"crm": {**crm, "url": "https://localhost:1"}})
    done = boardline("sync", "--once", "-c", away, "--company", "fresh", "--company", "demo")
    assert done.status == 1
    assert done.err.strip().splitlines()[-1].startswith("boardline: fresh: ")
    refused = boardline("sync", "--once", "-c", away, "--company", "demo", "--only", "deels")
    assert refused.err.startswith("boardline: demo: --only")


def test_check_tells_a_company_in_trouble_from_one_that_is_well(served: Site, tmp_path: Path) -> None:
    crm = yaml.safe_load(served.config.read_text())["companies"]["fresh"]["crm"]
    path = changed(served, tmp_path, fresh={"crm": {**crm, "auth": {**crm["auth"], "client_secret": "no"}}})
    alone = boardline("check", "-c", path, "--company", "fresh")
    assert alone.status == 3, alone.out
    mixed = boardline("check", "-c", path, "--company", "fresh", "--company", "demo")
    assert mixed.status == 1
    assert "FAIL  fresh: CRM" in mixed.out
    assert "ok    demo: CRM" in mixed.out


@pytest.mark.parametrize("kpi", sorted(registered()))
def test_the_evidence_of_every_kpi_opens(served: Site, kpi: str) -> None:
    command = ["kpis", "-c", str(served.config), "--company", "demo", "--month", "2026-05", "--evidence", kpi]
    text, json = CliRunner().invoke(app, command), CliRunner().invoke(app, [*command, "--json"])
    assert (text.exit_code, json.exit_code) == (0, 0), text.exception or json.exception
    assert text.stdout.startswith(f"{kpi} ")
    document = orjson.loads(json.stdout)
    assert document["id"] == kpi
    for row in document["evidence"]:
        assert row["object"]
        assert row["url"] is None or row["external_id"] in row["url"]
    assert len(text.stdout.splitlines()) >= len(document["evidence"])


@pytest.mark.parametrize(
    ("arguments", "status", "part"),
    [
        (["kpis", "--month", "2031-01"], 2, "in the future"),
        (["kpis", "--company", "nobody"], 2, "nobody"),
        (["status", "-c", "nowhere.yaml"], 2, "nowhere.yaml"),
        (["kpis", "--no-such-option"], 2, "command line"),
    ],
)
def test_a_command_that_fails_as_a_whole_says_so_in_json(
    served: Site, arguments: list[str], status: int, part: str
) -> None:
    config = [] if "-c" in arguments else ["-c", str(served.config)]
    done = boardline(*arguments, *config, "--json")
    assert done.status == status
    error = done.json()["error"]
    assert part in error["message"]
    assert error["remedy"]
    assert error["exit_status"] == status
    assert done.err
