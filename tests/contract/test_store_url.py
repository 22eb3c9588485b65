"""Addresses of a store on a real PostgreSQL server: odd passwords let in, and wrong options named."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import psycopg
import pytest

from connectors.errors import ConfigurationError
from pipeline import store_url
from pipeline.store import Store
from scheduler import secrets

PASSWORD = "a@b:c/d?e#f%40&g=h"


def test_a_password_of_any_signs_opens_the_store(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS odd")
        connection.execute(f"CREATE ROLE odd LOGIN SUPERUSER PASSWORD '{PASSWORD}'")
        (rules_file,) = connection.execute("SHOW hba_file").fetchone() or ("",)
        rules = Path(rules_file)
        rules.write_text("local all odd scram-sha-256\n" + rules.read_text())
        connection.execute("SELECT pg_reload_conf()")
    monkeypatch.setenv("PG_PASSWORD", PASSWORD)
    template = postgres_url.replace("postgres:@", "odd:${PG_PASSWORD}@")
    with Store.open(secrets.resolve_url(template, "store.url", store_url.is_encoded)) as opened:
        assert "odd" not in opened.place
        assert opened.last_sync("acme") is None


def test_a_schema_that_is_not_there_is_named_with_its_remedy(postgres_url: str) -> None:
    url = f"{postgres_url}&options=-csearch_path%3Dbl"
    for upgrade in (True, False):
        with pytest.raises(ConfigurationError, match=r"search path \(bl\).*CREATE SCHEMA") as caught:
            Store.open(url, upgrade=upgrade)
        assert "CREATE TABLE" not in str(caught.value)
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        connection.execute("CREATE SCHEMA bl")
    Store.open(url).close()
    Store.open(url, upgrade=False).close()


@pytest.mark.parametrize(
    ("option", "said"),
    [
        ("-c bogus=1", 'unrecognized configuration parameter "bogus"'),
        ("-c statement_timeout=soon", 'invalid value for parameter "statement_timeout": "soon"'),
    ],
)
def test_a_setting_that_the_server_does_not_know_is_named(postgres_url: str, option: str, said: str) -> None:
    with pytest.raises(ConfigurationError, match=said):
        Store.open(f"{postgres_url}&options={quote(option)}")
