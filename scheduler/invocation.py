"""What every command shares: the common options, and output that is for a person or for a machine.

Results go to stdout, everything else (progress, logs, errors) to stderr, so that ``--json`` can be piped.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console

from connectors.errors import BoardlineError, ConfigurationError
from scheduler import logs
from scheduler.secrets import mask

ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", "-c", help="Configuration file.", metavar="FILE", show_default=False),
]
CompanyOption = Annotated[
    list[str] | None, typer.Option("--company", help="Only this company; repeatable.", metavar="NAME")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Machine-readable output on stdout.")]
VerboseOption = Annotated[bool, typer.Option("--verbose", "-v", help="Say more, with tracebacks.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Say only what went wrong.")]
NoProgressOption = Annotated[bool, typer.Option("--no-progress", help="No progress display.")]
MonthOption = Annotated[
    str | None, typer.Option("--month", help="Month to report, default the last full one.", metavar="YYYY-MM")
]
AsOfOption = Annotated[
    str | None,
    typer.Option("--as-of", help="As the CRM stood then: a date (its end) or an ISO time.", metavar="TIME"),
]

_PIPE_WIDTH = 240  # columns


@dataclass(frozen=True)
class Invocation:
    """How this run of the program was asked to behave."""

    json: bool = False
    verbose: bool = False
    quiet: bool = False
    progress: bool = True

    @classmethod
    def start(
        cls, *, json: bool = False, verbose: bool = False, quiet: bool = False, no_progress: bool = False
    ) -> Invocation:
        """Set up logging and remember the options."""
        logs.configure("verbose" if verbose else "quiet" if quiet else "normal")
        return cls(json, verbose, quiet, not no_progress and not quiet and sys.stderr.isatty())

    @property
    def out(self) -> Console:
        """For results. A table in a pipe or file is not squeezed into the width of a terminal."""
        width = None if sys.stdout.isatty() else _PIPE_WIDTH
        return Console(width=width, highlight=False, markup=False, emoji=False)

    @property
    def err(self) -> Console:
        """For everything that is not the result."""
        return Console(stderr=True, highlight=False, markup=False, emoji=False, quiet=self.quiet)

    def print_json(self, documents: Sequence[Any]) -> None:
        """One document for one company, a list for several."""
        whole = documents[0] if len(documents) == 1 else list(documents)
        sys.stdout.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2).decode() + "\n")


def moment(text: str | None, zone: ZoneInfo, option: str = "--as-of", *, future: bool = False) -> datetime:
    """An option's time as UTC: nothing is now, a date is the end of that local day, a time without offset is local.

    Today's end is now. Raises ``ConfigurationError`` when it is no time, or in the future where that makes no sense:
    nobody knows yet what the CRM will say then.
    """
    now = datetime.now(UTC)
    if text is None:
        return now
    try:
        if len(text) == len("2026-01-31"):
            local = datetime.combine(date.fromisoformat(text), time.max, tzinfo=zone)
        else:
            local = datetime.fromisoformat(text)
            local = local if local.tzinfo else local.replace(tzinfo=zone)
    except ValueError:
        raise ConfigurationError(
            f"{option}: {text!r} is no date or time; write 2026-05-31 or 2026-05-31T18:00:00Z"
        ) from None
    if not future and local.date() > now.astimezone(zone).date():
        raise ConfigurationError(f"{option}: {text} is in the future; name a moment that has passed")
    return local.astimezone(UTC) if future else min(local.astimezone(UTC), now)


def month_of(text: str | None, as_of: datetime, zone: ZoneInfo) -> str:
    """``--month`` checked; nothing is the last full month. Raises ``ConfigurationError`` for a future month."""
    today = as_of.astimezone(zone).date()
    if text is None:
        year, month = (today.year, today.month - 1) if today.month > 1 else (today.year - 1, 12)
        return f"{year:04d}-{month:02d}"
    try:
        first = datetime.strptime(text, "%Y-%m").replace(tzinfo=zone).date()
    except ValueError:
        raise ConfigurationError(f"--month: {text!r} is no month; write it as 2026-05") from None
    if first > today:
        raise ConfigurationError(
            f"--month: {text} is in the future (it is {today:%Y-%m-%d} in {zone.key}); name a month that has begun"
        )
    return f"{first:%Y-%m}"


def exit_status(errors: Iterable[BoardlineError | None]) -> int:
    """0 when all went well; the error's own status when all failed alike; 1 when only some work failed."""
    outcomes = list(errors)
    statuses = {0 if error is None else error.exit_status for error in outcomes}
    return statuses.pop() if len(statuses) == 1 else 1


def print_error(error: BoardlineError) -> None:
    """One line on stderr, without secrets."""
    sys.stderr.write(f"boardline: {mask(' '.join(str(error).split()))}\n")
