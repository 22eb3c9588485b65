"""The command line. Exit status: 0 done, 1 some work failed, 2 usage or configuration, 3 credentials, 4 unreachable."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final

import structlog
import typer
from typer.core import TyperGroup

from connectors.errors import BoardlineError, ConfigurationError, DiskError
from connectors.files import FULL
from scheduler import logs, signals
from scheduler.invocation import StoppedError, answer_error, print_anything, print_error

# Each command is a module of ``scheduler.commands``, loaded when it is asked for: help answers at once.
COMMANDS: Final = {
    "demo": "The whole job on a simulated CRM, or on an export of yours.",
    "init": "Ask a few questions, write config.yaml, test the connection.",
    "check": "Is everything in place? Changes nothing, posts nothing.",
    "sync": "Pull what changed from the CRM into the store.",
    "quality": "Completeness, cleanliness and the fix list.",
    "kpis": "The numbers, for any month, as known at any moment.",
    "report": "Build the board report, write it, post it.",
    "audit": "The 30-day audit: data, history, wins and losses, pilots, a 90-day plan.",
    "checkpoint": "Where the engagement stands against its baseline.",
    "quarantine": "Values that did not parse: list, explain, retry.",
    "forget": "Remove a person, or a whole company, from the store.",
    "run": "The daemon: syncs and reports on schedule.",
    "status": "Last and next runs, and deliveries.",
    "db": "The store itself: upgrade, check, backup, restore, export.",
    "docs": "The reference: KPIs, rules, configuration, input files, the store's tables.",
    "simulator": "The simulated CRMs alone.",
}
_MODULE: Final = "scheduler.commands"


class _Commands(TyperGroup):
    """Knows every command by name and loads only the one that is used."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in COMMANDS:
            return None
        module = import_module(f"{_MODULE}.{cmd_name}")
        app = getattr(module, "app", None)
        if app is None:
            app = typer.Typer(rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False)
            app.command(name=cmd_name)(module.command)
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


app = typer.Typer(
    name="boardline",
    cls=_Commands,
    help="Board-ready revenue KPIs from Salesforce and HubSpot, with the evidence behind every number.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


@app.callback()
def _boardline() -> None:
    """Makes it a group; the commands are found by name."""


def main() -> None:
    """Run one command; an error that we foresaw is one line, any other a bug with a traceback on request."""
    signals.raise_when_asked()
    print_anything()
    logs.configure()  # a command says how much it logs; before that, too, nothing may go to stdout
    sys.exit(_flushed(_run()))


def _run() -> int:
    """The exit status of the command."""
    try:
        app()
    except SystemExit as stop:
        if stop.code == ConfigurationError.exit_status:  # Typer has said what is wrong with the command line
            problem = "the command line is not understood, stderr says where; see the command's --help"
            answer_error(ConfigurationError(problem), stop.code)
        return stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BoardlineError as error:
        return _failed(error, error.exit_status)
    except signals.Stopped as stop:
        return _failed(StoppedError(str(stop)), stop.exit_status)
    except BrokenPipeError:
        return 1  # the reader of our output went away
    except Exception as error:  # noqa: BLE001  the last line of defence
        if isinstance(error, OSError) and error.errno in FULL:
            return _failed(DiskError(_full(error)), DiskError.exit_status)
        structlog.get_logger("boardline").exception("unexpected error", error=str(error))
        sys.stderr.write("boardline: this is a bug in Boardline; the log line above says where\n")
        answer_error(error, 1)
        return 1
    return 0


def _failed(error: BoardlineError, status: int) -> int:
    print_error(error)
    answer_error(error, status)
    return status


def _full(error: OSError) -> str:
    place = error.filename or "where the output goes"
    return f"{place}: the disk is full; free space there and run this again"


def _flushed(status: int) -> int:
    """What is still to be printed may meet a full disk, or nobody who reads it; said here, not by the interpreter."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _drop_output()
        return status or 1
    except OSError as error:
        _drop_output()
        print_error(
            DiskError(_full(error) if error.errno in FULL else f"the output cannot be written: {error}")
        )
        return status or DiskError.exit_status
    return status


def _drop_output() -> None:
    """The interpreter flushes once more at its end."""
    with open(os.devnull, "w", encoding="utf-8") as nowhere:
        os.dup2(nowhere.fileno(), sys.stdout.fileno())
