"""Stores on both databases for the fault tests."""

from tests.databases import postgres_server, postgres_url, store, store_url

__all__ = ["postgres_server", "postgres_url", "store", "store_url"]
