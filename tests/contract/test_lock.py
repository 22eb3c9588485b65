"""Whether somebody is at work on a company can be seen, on both databases, without getting in the way."""

from __future__ import annotations

import pytest

from pipeline.store import Store
from scheduler.lock import Busy, exclusive, held


def test_a_lock_is_seen_while_it_is_held(store: Store) -> None:
    assert held(store, "acme", "sync") is False
    with exclusive(store, "acme", "sync"):
        assert held(store, "acme", "sync") is True
        assert held(store, "acme", "report") is False
        assert held(store, "globex", "sync") is False
        with pytest.raises(Busy, match="acme"), exclusive(store, "acme", "sync"):
            pass
    assert held(store, "acme", "sync") is False
    with exclusive(store, "acme", "sync"):
        assert held(store, "acme", "sync") is True
