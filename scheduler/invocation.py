"""What every command shares: the common options, and output that is for a person or for a machine.

Results go to stdout, everything else (progress, logs, errors) to stderr, so that ``--json`` can be piped.
"""

from __future__ import annotations

import codecs
import os
import re
import sys
from collections.abc import Callable, Iterable, Sequence
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from io import TextIOWrapper
from json import dumps
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn, TypeAlias, TypeVar
from zoneinfo import ZoneInfo

import orjson
import typer
from rich.console import Console

from connectors.errors import BoardlineError, ConfigurationError
from connectors.schema import iso
from scheduler import logs
from scheduler.config import CompanyConfig
from scheduler.secrets import mask

T = TypeVar("T")
_Failure: TypeAlias = BoardlineError | None


def path_of(text: str | Path) -> Path:
    """A path as an option takes it: one from a variable that is not set must not mean the current folder."""
    if not str(text).strip():
        raise typer.BadParameter("it is empty; name a place, or leave the option out")
    return Path(text)


ConfigOption = Annotated[
    Path | None,
    typer.Option(
        "--config", "-c", help="Configuration file.", metavar="FILE", parser=path_of, show_default=False
    ),
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

_NOT_ASCII: Final = re.compile(r"[^\x00-\x7f]")
_PIPE_WIDTH = 240  # columns
_answered: ContextVar[bool] = ContextVar("answered", default=False)  # this run has printed its document


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
        self.print_document(documents[0] if len(documents) == 1 else list(documents))

    def print_document(self, document: Any) -> None:
        """The one document of this run."""
        _answered.set(True)
        try:
            written = _as_json(document)
        except orjson.JSONEncodeError:  # the name of a file may be no text at all
            written = _as_json(_readable(document))
        print_json_text(written.decode())

    def finish(
        self, companies: Sequence[CompanyConfig], documents: Sequence[Any], failures: Sequence[_Failure]
    ) -> NoReturn:
        """Print the documents as JSON where that was asked for, and end with the exit status of the failures.

        One document where one company was asked for, a list for several, whether or not all of them succeeded; what
        failed altogether is one error document.
        """
        status = exit_status(failures)
        if self.json:
            first = next((failure for failure in failures if failure is not None), None)
            if first is not None and not documents:
                self.print_document(error_document(first, status))
            else:
                self.print_document(documents[0] if len(companies) == 1 else list(documents))
        raise typer.Exit(status)


def print_anything() -> None:
    """A character that the encoding of the output lacks is printed as its number, and ends no command."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # it was closed before we started
            setattr(sys, name, open(os.devnull, "w", encoding="utf-8"))  # noqa: SIM115  for as long as we live
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def print_json_text(text: str) -> None:
    """JSON on stdout: UTF-8, or where the output has another encoding in ASCII with JSON's own escapes."""
    if codecs.lookup(sys.stdout.encoding or "utf-8").name != "utf-8":
        text = _NOT_ASCII.sub(lambda found: dumps(found[0])[1:-1], text)
    sys.stdout.write(text + "\n")


def _as_json(document: Any) -> bytes:
    return orjson.dumps(
        document, default=_plain_value, option=orjson.OPT_INDENT_2 | orjson.OPT_PASSTHROUGH_DATETIME
    )


def _plain_value(value: Any) -> str:
    """What orjson leaves to us: every instant in one format."""
    if isinstance(value, datetime):
        return iso(value)
    if isinstance(value, date | time):
        return value.isoformat()
    raise TypeError(f"{type(value).__name__} is no JSON")


def local(moment: datetime, zone: ZoneInfo) -> str:
    """An instant as every text for a person has it: local time to the minute, with its zone."""
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M %Z}"


def _readable(value: Any) -> Any:
    """The same document with what is no text in it as its number."""
    if isinstance(value, str):
        return value.encode(errors="backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _readable(item) for key, item in value.items()}
    return [_readable(item) for item in value] if isinstance(value, list | tuple) else value


def for_each(
    companies: Sequence[CompanyConfig], work: Callable[[CompanyConfig], T]
) -> tuple[list[T], list[_Failure]]:
    """What ``work`` gave for the companies where it succeeded, and each company's failure or None.

    A failure is named on stderr and keeps no other company from its own.
    """
    done: list[T] = []
    failures: list[_Failure] = []
    for company in companies:
        try:
            done.append(work(company))
            failures.append(None)
        except BoardlineError as error:
            print_error(error, company.name)
            failures.append(error)
    return done, failures


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


def names_of(text: str, option: str) -> tuple[str, ...]:
    """The names of an option that takes some with commas. Raises ``ConfigurationError`` for an empty one.

    An option that a script fills from a variable that is not set must not mean everything.
    """
    names = tuple(name.strip() for name in text.split(","))
    if not all(names):
        raise ConfigurationError(
            f"{option}: {text!r} holds an empty name; name some, or leave the option out"
        )
    return names


def exit_status(errors: Iterable[_Failure]) -> int:
    """0 when all went well; the error's own status when all failed alike; 1 when only some work failed."""
    outcomes = list(errors)
    statuses = {0 if error is None else error.exit_status for error in outcomes}
    return statuses.pop() if len(statuses) == 1 else 1


class StoppedError(BoardlineError):
    """Somebody asked the command to stop before it was done."""


def print_error(error: BoardlineError, company: str | None = None) -> None:
    """One line on stderr, without secrets, that names the company it is about."""
    sys.stderr.write(f"boardline: {_named(one_line(error), company)}\n")


def answer_error(error: Exception, status: int) -> None:
    """The error as the one document on stdout, where ``--json`` was asked for and nothing was printed yet."""
    if "--json" in sys.argv[1:] and not _answered.get():
        Invocation(json=True).print_document(error_document(error, status))


def error_document(error: Exception, status: int) -> dict[str, Any]:
    """``{"error": {"message", "remedy", "exit_status"}}``: what is wrong, and what to do where we know it."""
    cause, _, remedy = one_line(error).rpartition("; ")
    return {
        "error": {
            "message": cause or remedy,
            "remedy": remedy if cause else None,
            "exit_status": status,
        }
    }


def one_line(error: Exception) -> str:
    """The error's text on one line, without secrets."""
    return mask(" ".join(str(error).split()))


def _named(text: str, company: str | None) -> str:
    if company is None or text.startswith((f"{company}: ", f"companies.{company}.")):
        return text
    return f"{company}: {text}"
