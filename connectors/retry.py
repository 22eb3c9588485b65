"""The one retry policy for every call to the outside world (tenacity).

A call that raises ``Retriable`` is tried again with exponential back-off and jitter, or after the number of
seconds the other side asked for. Each wait is logged, so that a slow sync explains itself. After the
last attempt the person gets an ``UnreachableError`` that says what kept failing.
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
    stop_after_attempt,
    wait_random_exponential,
)

from connectors.errors import Retriable, UnreachableError

T = TypeVar("T")
log = structlog.get_logger(__name__)


@dataclass(frozen=True)
class RetryPolicy:
    """How patient to be. ``first`` and ``longest`` are seconds; ``attempts`` counts the first try."""

    attempts: int = 6
    first: float = 0.5
    longest: float = 60.0

    def call(self, what: str, function: Callable[[], T]) -> T:
        """Run ``function`` until it returns; ``what`` names the call in logs and errors.

        Raises ``UnreachableError`` when the attempts are used up; any error but ``Retriable`` at once.
        """
        backoff = wait_random_exponential(multiplier=self.first, max=self.longest)

        def wait(state: RetryCallState) -> float:
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after if isinstance(error, Retriable) else None
            return asked if asked is not None else backoff(state)

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
            stop=stop_after_attempt(self.attempts),
            wait=wait,
            retry=retry_if_exception_type(Retriable),
            before_sleep=report,
            reraise=True,
        )
        try:
            return retrying(function)
        except Retriable as error:
            raise UnreachableError(
                f"{what}: {error} (gave up after {self.attempts} attempts); {error.remedy}"
            ) from error
