"""Errors of the outside world, named by what the caller does next.

A driver's own exception never leaves the package that uses the driver: it is raised again as one of
these, with a message for a person (what is wrong, where, what to do) and without any secret.

- ``ConfigurationError``  stop; the person changes the configuration           exit status 2
- ``CredentialError``     stop; the person changes credentials or permissions  exit status 3
- ``UnreachableError``    the retry policy is exhausted; try again later       exit status 4
- ``QuotaExhausted``      the CRM's allowance is spent; resume at ``resume_at`` exit status 4
- ``StreamUnavailable``   an optional object is not visible; skip it, say so   (no failure)
- ``SourceError``         this stream failed in a way nobody foresaw; others go on  exit status 1
- ``DeliveryConflict``   something else stands where a message should go; a person decides    exit status 1
- ``DiskError``          a file could not be written whole; nothing of it was kept    exit status 1
- ``Retriable``           inside ``connectors`` only: try again, after ``retry_after`` seconds if given
"""

from __future__ import annotations

from datetime import datetime


class BoardlineError(Exception):
    """Base of every error that Boardline raises on purpose. ``str()`` is one line for a person."""

    exit_status = 1


class ConfigurationError(BoardlineError):
    """The configuration or the command is wrong."""

    exit_status = 2


class CredentialError(BoardlineError):
    """The CRM or destination refused who we are or what we may see."""

    exit_status = 3


class UnreachableError(BoardlineError):
    """The other side could not be reached, or kept failing, after all retries."""

    exit_status = 4


class QuotaExhausted(BoardlineError):
    """The allowance of calls is spent; nothing is lost, go on at ``resume_at``."""

    exit_status = 4

    def __init__(self, message: str, resume_at: datetime | None = None) -> None:
        super().__init__(message)
        self.resume_at = resume_at


class StreamUnavailable(BoardlineError):
    """An object that this CRM or this user does not have: the stream is skipped and named."""


class SourceError(BoardlineError):
    """A stream failed; other streams go on and this one keeps its cursor."""


class DeliveryConflict(BoardlineError):
    """Another content already stands under this message's key, at ``location``; nothing was overwritten."""

    def __init__(self, message: str, location: str | None = None) -> None:
        super().__init__(message)
        self.location = location


class DiskError(BoardlineError):
    """The disk is full or failing: a file that was to be written is what it was before."""


class Retriable(BoardlineError):
    """A passing fault. Caught by ``connectors.retry`` and turned into ``UnreachableError`` at the end.

    ``remedy``: what a person does when it does not pass.
    """

    exit_status = 4

    def __init__(
        self, message: str, retry_after: float | None = None, *, remedy: str = "try again later"
    ) -> None:
        super().__init__(message)
        self.retry_after = retry_after
        self.remedy = remedy
