"""A transaction that was prepared and never ended keeps removed rows readable: it is named, and waited for."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from pipeline import erase
from pipeline.store import Store
from tests.contract.test_erase import JANE, held, sync, with_options
from tests.contract.test_forget import remove
from tests.faults.conftest import OwnServer


@pytest.fixture
def preparing(own_server: OwnServer) -> Iterator[OwnServer]:
    """The server, with transactions that may be prepared."""
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM SET max_prepared_transactions = 2")
    own_server.control("restart", "-m", "fast")
    yield own_server
    with psycopg.connect(own_server.url, autocommit=True) as connection:
        connection.execute("ALTER SYSTEM RESET max_prepared_transactions")
    own_server.control("restart", "-m", "fast")


def test_a_prepared_transaction_is_named(preparing: OwnServer) -> None:
    url = preparing.database()
    with Store.open(with_options(url, "-c lock_timeout=200ms")) as store:
        sync(store)
        with psycopg.connect(url, autocommit=True) as other:
            for statement in ("CREATE TABLE mine (n int)", "BEGIN", "INSERT INTO mine VALUES (1)",
                              "PREPARE TRANSACTION 'a transfer'"):  # fmt: skip
                other.execute(statement.encode())
            remove(store, "jane@acme.example")
            assert "prepared transaction a transfer began before the removal" in str(erase.erase(store))
            assert JANE in held(store)
            other.execute("ROLLBACK PREPARED 'a transfer'")
        assert erase.erase(store) is None
        assert JANE not in held(store)
