"""The one policy by which a transaction that failed for a passing reason is tried again (tenacity).

Only whole transactions that may happen twice are given to it: the connection may have been lost after the commit.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import structlog
from tenacity import (
    RetryCallState,
    Retrying,
    retry_if_exception_type,
    stop_after_delay,
    wait_random_exponential,
)

from pipeline.failures import PASSING

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class Patience:
    """How long to go on trying (``seconds``, in all) and how long to wait between tries (at most)."""

    seconds: float = 120.0
    first: float = 0.25
    longest: float = 10.0

    def call(self, what: str, function: Callable[[], T]) -> T:
        """Run ``function`` until it returns; ``what`` names it in the log of each wait.

        Raises what was raised last when the time is used up, and at once what is no passing failure of the store.
        """

        def report(state: RetryCallState) -> None:
            error = state.outcome.exception() if state.outcome else None
            log.warning(
                "retrying",
                call=what,
                attempt=state.attempt_number,
                wait_seconds=round(state.upcoming_sleep, 2),
                error=str(error),
            )

        retrying = Retrying(
            stop=stop_after_delay(self.seconds),
            wait=wait_random_exponential(multiplier=self.first, max=self.longest),
            retry=retry_if_exception_type(PASSING),
            before_sleep=report,
            reraise=True,
        )
        return retrying(function)
