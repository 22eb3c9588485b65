"""How a company stands: what became of its last pass over the CRM, and of its board summaries. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from shlex import quote
from typing import Literal

from pipeline.records import DeliveryRecord, RunRecord

Outcome = Literal["complete", "partial", "failed", "stopped", "running", "interrupted", "unclear"]


@dataclass(frozen=True)
class LastPass:
    """``complete``: every stream was read to its end. ``partial``: only some streams were read: only they were asked
    for, or it was killed between two. ``failed``: a stream failed, ``error`` and ``remedy`` are the first one's.
    ``stopped``: somebody asked it to. ``running``: a process is at it. ``interrupted``: it was killed; the next pass
    goes on where it stopped. ``unclear``: one of these two, and this user may not see which. ``at``: when it ended, or
    the last that is known of it.
    """

    status: Outcome
    at: datetime
    stream: str | None = None
    error: str | None = None
    remedy: str | None = None


def last_pass(
    runs: Sequence[RunRecord], complete_at: datetime | None, at_work: Callable[[], bool | None]
) -> LastPass | None:
    """The last pass of these runs, newest first; None: there was none.

    ``complete_at``: when a pass last read everything. ``at_work`` tells whether a process syncs this company now
    (None: it cannot be seen); it is asked only where a run is marked as running.
    """
    last = _of_last_pass(runs)
    if not last:
        return None
    at = max(run.finished_at or run.started_at for run in last)
    open_run = next((run for run in last if run.status == "running"), None)
    if open_run is not None:
        status: dict[bool | None, Outcome] = {True: "running", False: "interrupted", None: "unclear"}
        return LastPass(status[at_work()], at, open_run.stream)
    if failed := next((run for run in reversed(last) if run.status == "failed"), None):
        return LastPass("failed", at, failed.stream, failed.error, failed.remedy)
    if complete_at is not None and complete_at >= at:
        return LastPass("complete", complete_at)
    stopped = next((run for run in last if run.status == "stopped"), None)
    return LastPass("stopped", at, stopped.stream) if stopped else LastPass("partial", at)


def _of_last_pass(runs: Sequence[RunRecord]) -> list[RunRecord]:
    """A pass reads each stream once, so it reaches back to where a stream comes again."""
    last: list[RunRecord] = []
    for run in runs:
        if run.stream in {other.stream for other in last}:
            break
        last.append(run)
    return last


@dataclass(frozen=True)
class Advice:
    """What the state of a delivery means, and what to do; ``remedy`` None: nothing."""

    meaning: str
    remedy: str | None = None


def advice(delivery: DeliveryRecord) -> Advice:
    """For one board summary and one destination."""
    company, to = quote(delivery.company), quote(delivery.destination)
    again = f"boardline report --company {company} --month {delivery.month} --post --to {to}"
    retry = f"`boardline run` tries again at its start and at each report; or run `{again}`"
    match delivery.status:
        case "posted":
            return Advice("it is there")
        case "pending":
            return Advice("it was begun and how it ended is not noted; it is not posted twice", retry)
        case "failed":
            return Advice("it was not posted", retry)
        case _:
            return Advice(
                "something else stands where it should go, so nothing was posted and nothing overwritten",
                f"look at {delivery.location or 'the destination'} and move it away, then run `{again}`",
            )
