"""The same sync into PostgreSQL and into SQLite: the same tables, the same numbers, table by table."""

from __future__ import annotations

from pathlib import Path

import pytest

from connectors.schema import TABLES
from pipeline.store import Store
from tests.e2e.process import NOW, boardline, site

AS_OF = f"{NOW:%Y-%m-%dT%H:%M:%SZ}"
CHANGING = {"first_seen", "last_seen", "resolved_at"}


@pytest.mark.parametrize("crm", ["salesforce", "hubspot"])
def test_both_databases_hold_the_same(crm: str, tmp_path: Path, postgres_url: str) -> None:
    with site(crm, tmp_path / "sqlite") as place:
        other = place.configure(tmp_path / "postgres", postgres_url)
        for config in (place.config, other):
            done = boardline("sync", "--once", "-c", config)
            assert done.status == 0, done.err
            again = boardline("sync", "--once", "--json", "-c", config)
            assert [run for run in again.json()["runs"] if run["changed"]] == []

    with (
        Store.open(f"sqlite:///{tmp_path / 'sqlite' / 'boardline.db'}") as lite,
        Store.open(postgres_url) as server,
    ):
        for table in TABLES:
            one, two = lite.frame("demo", table), server.frame("demo", table)
            assert one.equals(two), table
        left, right = (store.findings("demo").drop(CHANGING) for store in (lite, server))
        assert left.equals(right)
        assert left.height > 0
    answers = [
        boardline("kpis", "--json", "--month", "2026-05", "--as-of", AS_OF, "-c", config).json()
        for config in (place.config, other)
    ]
    assert answers[0] == answers[1]
