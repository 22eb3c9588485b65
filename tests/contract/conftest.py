"""Stores on both databases for the contract suites."""

from tests.databases import (
    another_postgres_url,
    postgres_server,
    postgres_url,
    prepared_database,
    prepared_file,
    store,
    store_url,
)

__all__ = [
    "another_postgres_url",
    "postgres_server",
    "postgres_url",
    "prepared_database",
    "prepared_file",
    "store",
    "store_url",
]
