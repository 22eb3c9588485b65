"""What holds for every test."""

from __future__ import annotations

import os

from hypothesis import settings

settings.register_profile("boardline", deadline=None)  # no test fails for the pace of the machine
settings.load_profile("boardline")

if (
    "PYTEST_XDIST_WORKER" in os.environ
):  # the workers and the processes that they start share the cores already
    os.environ.setdefault("POLARS_MAX_THREADS", "1")
