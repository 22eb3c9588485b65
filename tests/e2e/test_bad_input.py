"""Everything a person can get wrong: one line with cause and remedy, and the documented exit status."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e.process import Done, Site, boardline, site


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    with site("salesforce", tmp_path_factory.mktemp("site"), accounts=12, deals=60, months=6) as place:
        assert place.run("sync", "--once").status == 0
        yield place


def changed(place: Site, folder: Path, old: str, new: str) -> Path:
    text = place.config.read_text()
    assert old in text
    path = folder / "config.yaml"
    path.write_text(text.replace(old, new, 1))
    return path


def no_config(place: Site, folder: Path) -> Done:
    return boardline("kpis", cwd=folder, environment={"XDG_CONFIG_HOME": str(folder)})


def missing_file(place: Site, folder: Path) -> Done:
    return boardline("kpis", "-c", folder / "nowhere.yaml")


def unknown_key(place: Site, folder: Path) -> Done:
    return boardline("sync", "--once", "-c", changed(place, folder, "playbook:", "playbok:"))


def bad_yaml(place: Site, folder: Path) -> Done:
    return boardline("sync", "--once", "-c", changed(place, folder, "companies:", "companies: ["))


def missing_secret(place: Site, folder: Path) -> Done:
    return boardline(
        "sync", "--once", "-c", changed(place, folder, "simulator-secret", "${BOARDLINE_TEST_SECRET}")
    )


def wrong_host(place: Site, folder: Path) -> Done:
    return boardline(
        "sync", "--once", "-c", changed(place, folder, place.simulator.url, "https://localhost:1")
    )


def unknown_host(place: Site, folder: Path) -> Done:
    return boardline(
        "sync", "--once", "-c", changed(place, folder, place.simulator.url, "https://nobody.invalid")
    )


def wrong_token(place: Site, folder: Path) -> Done:
    return boardline("sync", "--once", "-c", changed(place, folder, "simulator-secret", "wrong-secret-4711"))


def unknown_crm(place: Site, folder: Path) -> Done:
    return boardline("sync", "--once", "-c", changed(place, folder, "type: salesforce", "type: salesfarce"))


def not_a_database(place: Site, folder: Path) -> Done:
    (folder / "notes.txt").write_text("this is no database at all, " * 100)
    return boardline("kpis", "-c", changed(place, folder, "sqlite:///boardline.db", "sqlite:///notes.txt"))


def unreadable_store(place: Site, folder: Path) -> Done:
    return boardline(
        "kpis", "-c", changed(place, folder, "sqlite:///boardline.db", "sqlite:///no/such/folder/x.db")
    )


def no_postgres(place: Site, folder: Path) -> Done:
    url = "postgresql://boardline:hidden-password-0815@localhost:1/boardline"
    return boardline("kpis", "-c", changed(place, folder, "sqlite:///boardline.db", url))


def torn_password(place: Site, folder: Path) -> Done:
    url = "postgresql://boardline:hidden-password-0815@hidden-password-0815@localhost:1/boardline"
    return boardline("kpis", "-c", changed(place, folder, "sqlite:///boardline.db", url))


def store_option(place: Site, folder: Path, option: str) -> Done:
    (folder / "boardline.db").write_bytes((place.config.parent / "boardline.db").read_bytes())
    url = f"sqlite:///boardline.db?{option}"
    return boardline("kpis", "-c", changed(place, folder, "sqlite:///boardline.db", url))


def store_waits_for_abc(place: Site, folder: Path) -> Done:
    return store_option(place, folder, "timeout=abc")


def store_option_unknown(place: Site, folder: Path) -> Done:
    return store_option(place, folder, "bogus=1")


def export_of_a_far_day(place: Site, folder: Path) -> Done:
    only = ("--only", "deals_as_of", "--day", "2040-06-30")
    return boardline("db", "export", "-c", place.config, "--out", folder / "out", *only)


def future_month(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--month", "2031-01")


def no_month(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--month", "May")


def no_time(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--as-of", "yesterday")


def future_moment(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--as-of", "2031-01-01")


def unknown_company(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--company", "nobody")


def unknown_stream(place: Site, folder: Path) -> Done:
    return place.run("sync", "--once", "--only", "deels")


def no_stream(place: Site, folder: Path) -> Done:
    return place.run("sync", "--once", "--only", "")


def stream_between_commas(place: Site, folder: Path) -> Done:
    return place.run("sync", "--once", "--only", "deals,,leads")


def full_since(place: Site, folder: Path) -> Done:
    return place.run("sync", "--once", "--full", "--since", "2026-05-01")


def since_nothing(place: Site, folder: Path) -> Done:
    return place.run("sync", "--once", "--since", "")


def only_on_schedule(place: Site, folder: Path) -> Done:
    return place.run("sync", "--only", "")


def export_nothing(place: Site, folder: Path) -> Done:
    return boardline("db", "export", "-c", place.config, "--out", folder / "out", "--only", "")


def no_currency(place: Site, folder: Path) -> Done:
    return boardline(
        "kpis", "-c", changed(place, folder, "    timezone:", "    currency: XXX\n    timezone:")
    )


def password_in_the_address(place: Site, folder: Path) -> Done:
    host = place.simulator.url.removeprefix("https://")
    path = changed(place, folder, place.simulator.url, f"https://me:hidden-password-0815@{host}")
    return boardline("check", "-c", path)


def unknown_evidence(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--evidence", "ar")


def unknown_cut(place: Site, folder: Path) -> Done:
    return place.run("kpis", "--by", "colour")


def wrong_cron_field(place: Site, folder: Path) -> Done:
    schedule = "schedule: {sync: 'cron: 99 * * * *'}\n    report:"
    return boardline("check", "-c", changed(place, folder, "report:", schedule))


def unsafe_company_name(place: Site, folder: Path) -> Done:
    path = changed(place, folder, "  demo:", '  "../evil":')
    return boardline("report", "--out", folder / "out", "-c", path)


def taken_port(place: Site, folder: Path) -> Done:
    port = place.simulator.url.rpartition(":")[2]
    small = ("--accounts", "5", "--deals", "20", "--months", "3")
    return boardline("simulator", "serve", "--port", port, *small)


CASES: dict[Callable[[Site, Path], Done], tuple[int, list[str]]] = {
    no_config: (2, ["no configuration", "boardline init", "-c FILE"]),
    missing_file: (2, ["nowhere.yaml", "No such file", "boardline init"]),
    unknown_key: (2, ["unknown key 'playbok'", "did you mean 'playbook'?", "line"]),
    bad_yaml: (2, ["bad YAML", "line"]),
    missing_secret: (2, ["BOARDLINE_TEST_SECRET", "crm.auth.client_secret", "export"]),
    wrong_host: (4, ["localhost:1"]),
    unknown_host: (4, ["nobody.invalid"]),
    wrong_token: (3, ["client_secret"]),
    unknown_crm: (2, ["salesfarce", "hubspot, salesforce"]),
    not_a_database: (2, ["notes.txt"]),
    unreadable_store: (2, ["no/such/folder"]),
    no_postgres: (4, ["localhost"]),
    torn_password: (2, ["store.url", "percent-encode", "%40"]),
    store_waits_for_abc: (2, ["store.url", "timeout=abc is no time to wait"]),
    store_option_unknown: (2, ["store.url", "no option 'bogus'", "timeout"]),
    export_of_a_far_day: (2, ["--day 2040-06-30 is outside the days that the store knows (demo: "]),
    future_month: (2, ["2031-01", "future"]),
    no_month: (2, ["May", "2026-05"]),
    future_moment: (2, ["2031-01-01", "future"]),
    no_time: (2, ["yesterday", "2026-05-31"]),
    unknown_company: (2, ["nobody", "demo"]),
    unknown_stream: (2, ["deels", "deals"]),
    no_stream: (2, ["--only: '' holds an empty name"]),
    stream_between_commas: (2, ["--only: 'deals,,leads' holds an empty name"]),
    full_since: (2, ["--full", "--since", "leave out one of them"]),
    since_nothing: (2, ["--since: '' is no date"]),
    only_on_schedule: (2, ["--only need --once"]),
    export_nothing: (2, ["--only: '' holds an empty name"]),
    no_currency: (2, ["companies.demo.currency", "'XXX' is no currency in use"]),
    password_in_the_address: (2, ["companies.demo.crm.url", "must not contain credentials"]),
    taken_port: (2, ["cannot listen on port", "address already in use; choose another port, or 0"]),
    unknown_evidence: (2, ["'ar'", "arr"]),
    unknown_cut: (2, ["colour", "size"]),
    wrong_cron_field: (2, ["config.yaml, line", "companies.demo.schedule.sync", "minute '99'", "0 to 59"]),
    unsafe_company_name: (2, ["config.yaml, line", "'../evil' is no name", "letters, digits, spaces"]),
}


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.__name__)
def test_bad_input(served: Site, tmp_path: Path, case: Callable[[Site, Path], Done]) -> None:
    status, parts = CASES[case]

    done = case(served, tmp_path)

    assert done.status == status, done.err
    assert done.out == ""
    message = done.err.strip().splitlines()[-1]
    assert message.startswith("boardline: ")
    for part in parts:
        assert part in message, message
    assert "Traceback" not in done.err
    for secret in ("simulator-secret", "wrong-secret-4711", "hidden-password-0815"):
        assert secret not in done.err


@pytest.mark.parametrize(
    "command",
    [("report", "--out"), ("quality", "--csv"), ("docs", "--write"), ("kpis", "-c"), ("init", "--inputs"),
     ("demo", "--out"), ("db", "backup", "--to"), ("db", "export", "--out"), ("simulator", "serve", "--data")],
    ids=" ".join,
)  # fmt: skip
def test_an_empty_path_is_not_the_current_folder(tmp_path: Path, command: tuple[str, ...]) -> None:
    done = boardline(*command, "", cwd=tmp_path)
    assert done.status == 2
    assert "it is empty; name a place, or leave the option out" in done.err
    assert list(tmp_path.iterdir()) == []
