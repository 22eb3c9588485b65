"""The store's contract on every PostgreSQL that is supported: 15 to 18 (`make postgres` fetches them)."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest

from tests import postgres_versions

TESTS = Path(__file__).parents[1]
SUITE = (
    *(
        f"contract/test_{name}.py"
        for name in ("store", "load", "backup", "export", "migrations", "inspection")
    ),
    "e2e/test_bi.py",
    "e2e/test_postgres.py",
)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("version", [15, 16, 17, 18])
def test_the_store_keeps_its_contract(version: int) -> None:
    programs = postgres_versions.found().get(version)
    if programs is None:
        pytest.skip(f"PostgreSQL {version} is not unpacked here; run `make postgres`")
    with postgres_versions.serve(programs) as url, psycopg.connect(url) as connection:
        assert connection.info.server_version // 10_000 == version
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-n",
        "0",
        "-k",
        "postgres or bi",
        *(TESTS / name for name in SUITE),
    ]
    environment = {**os.environ, postgres_versions.CHOSEN: str(programs)}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=TESTS.parent)
    assert done.returncode == 0, done.stdout
    assert " skipped" not in done.stdout, done.stdout
