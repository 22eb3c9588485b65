"""Two companies of one portfolio whose CRMs use the same ids for everything: neither is shown, touched or counted with
the other, on both databases."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest
import yaml
from sqlalchemy import text

from pipeline.store import Store
from pipeline.tables import METADATA
from tests.databases import new_database
from tests.e2e.process import NOW, boardline, site

AS_OF = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
TWINS = ("acme", "globex")
# When we looked and how, which is another moment for each; notes count the calls of the day.
OURS = {
    *(
        "recorded_at",
        "first_seen",
        "last_seen",
        "resolved_at",
        "updated_at",
        "refreshed_at",
        "complete_at",
        "notes",
    ),
    *("started_at", "finished_at", "seconds", "known_at", "reliable_from", "id", "as_of", "requests"),
}


@pytest.fixture(
    scope="module",
    params=[("salesforce", "postgresql"), pytest.param(("hubspot", "sqlite"), marks=pytest.mark.slow)],
    ids="-".join,
)
def portfolio(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, postgres_server: str
) -> Iterator[tuple[Path, str]]:
    """A configuration with two companies that are the same in all but their name, synced; and the store's address."""
    crm, kind = request.param
    folder = tmp_path_factory.mktemp("twins")
    with new_database(postgres_server) as url:
        address = url if kind == "postgresql" else f"sqlite:///{folder / 'boardline.db'}"
        with site(crm, folder, store_url=address, accounts=25, deals=150, months=12) as place:
            document = yaml.safe_load(place.config.read_text())
            company = document["companies"].pop("demo")
            document["companies"] = dict.fromkeys(TWINS, company)
            place.config.write_text(yaml.safe_dump(document, sort_keys=False))
            done = place.run("sync", "--once")
            assert done.status == 0, done.err
            with (
                Store.open(address) as store,
                store.transaction() as tx,
            ):  # one value that did not parse in each
                for name in TWINS:
                    tx.connection.execute(
                        text(
                            "INSERT INTO quarantine SELECT company, crm, 'deals', MIN(external_id), 'close_date', '', "
                            "'soon', 'not a date', MIN(recorded_at), MIN(recorded_at) FROM deals WHERE company = :name "
                            "GROUP BY company, crm"
                        ),
                        {"name": name},
                    )
            yield place.config, address


def told(config: Path, name: str, folder: Path) -> dict[str, Any]:
    """Everything that the commands say of one company."""
    commands: dict[str, tuple[str, ...]] = {
        "kpis": ("kpis", "--month", "2026-05", "--as-of", AS_OF, "--by", "size"),
        "evidence": ("kpis", "--month", "2026-05", "--as-of", AS_OF, "--evidence", "win_rate"),
        "quality": ("quality", "--as-of", AS_OF, "--by", "owner"),
        "quarantine": ("quarantine", "list"),
    }
    found: dict[str, Any] = {}
    for command, words in commands.items():
        done = boardline(*words, "-c", config, "--company", name, "--json")
        assert done.status == 0, done.err
        found[command] = done.json()
    done = boardline("db", "export", "--out", folder / name, "--company", name, "-c", config)
    assert done.status == 0, done.err
    for path in sorted((folder / name).glob("*.parquet")):
        frame = pl.read_parquet(path)
        if "company" in frame.columns:
            assert set(frame["company"]) <= {name}, path.name
            found[f"exported {path.stem}"] = sorted(
                map(repr, frame.select(pl.exclude("company", *OURS)).rows())
            )
    return found


def without_names(found: dict[str, Any], name: str) -> str:
    """As text, with the company's own name and what is made from it (ids of quarantined cells) taken out."""
    for cell in found["quarantine"]["quarantined"]:
        cell.update(id="", first_seen="", last_seen="")
    for item in found["quality"]["findings"]:
        item["first_seen"] = ""
    return repr({key: value for key, value in found.items() if key != "exported runs"}).replace(
        name, "company"
    )


def rows_of(address: str, name: str) -> dict[str, list[str]]:
    with Store.open(address) as store, store.reading() as reader:
        return {
            one.name: sorted(
                repr(tuple(row)) for row in reader.connection.execute(one.select().where(one.c.company == name))
            )
            for one in METADATA.sorted_tables
            if "company" in one.c
        }  # fmt: skip


def test_neither_sees_or_touches_the_other(portfolio: tuple[Path, str], tmp_path: Path) -> None:
    config, address = portfolio
    first, second = (told(config, name, tmp_path / "before") for name in TWINS)
    assert len(first["exported deals"]) > 50
    assert len(first["quarantine"]["quarantined"]) >= 1
    assert without_names(first, "acme") == without_names(second, "globex")
    with Store.open(address) as store, store.reading() as reader:
        shared = "SELECT COUNT(*) FROM deals a JOIN deals b ON b.external_id = a.external_id AND b.company = 'globex' "
        assert reader.connection.execute(text(shared + "WHERE a.company = 'acme'")).scalar_one() > 50
        day = text(
            "SELECT company, COUNT(*) FROM deals_as_of WHERE day = '2026-05-31' GROUP BY company ORDER BY 1"
        )
        counts = [tuple(row) for row in reader.connection.execute(day)]
        email = reader.connection.execute(
            text("SELECT MIN(email) FROM contacts WHERE company = 'acme' AND email LIKE '%@%'")
        ).scalar_one()
    assert counts[0][1] == counts[1][1] > 10

    other = rows_of(address, "globex")
    retried = boardline("quarantine", "retry", "-c", config, "--company", "acme")
    assert retried.status == 0, retried.err
    gone = boardline("forget", "-c", config, "--company", "acme", "--person", email, "--yes")
    assert gone.status == 0, gone.err
    assert rows_of(address, "globex") == other
    assert not any(email in row for rows in rows_of(address, "acme").values() for row in rows)
    synced = boardline("sync", "--once", "--full", "-c", config, "--company", "acme")
    assert synced.status == 0, synced.err
    assert rows_of(address, "globex") == other
    assert not any(email in row for rows in rows_of(address, "acme").values() for row in rows)
    assert any(email in row for row in other["contacts"])

    everything = boardline("forget", "-c", config, "--company", "acme", "--everything", "--yes")
    assert everything.status == 0, everything.err
    assert not any(rows_of(address, "acme").values())
    assert rows_of(address, "globex") == other
    after = told(config, "globex", tmp_path / "after")
    assert without_names(after, "globex") == without_names(second, "globex")
    whole = boardline("db", "check", "-c", config)
    assert whole.status == 0, whole.out
