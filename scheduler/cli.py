"""The command line. Exit status: 0 done, 1 some work failed, 2 usage or configuration, 3 credentials, 4 unreachable."""

from __future__ import annotations

import sys

import structlog
import typer

from connectors.errors import BoardlineError
from scheduler.commands import check, demo, docs, init, kpis, quality, report, run, simulator, status, sync
from scheduler.invocation import print_error

app = typer.Typer(
    name="boardline",
    help="Board-ready revenue KPIs from Salesforce and HubSpot, with the evidence behind every number.",
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for module in (demo, init, check, sync, quality, kpis, report, run, status, docs):
    app.command(name=module.__name__.rsplit(".", 1)[-1])(module.command)
app.add_typer(simulator.app, name="simulator")


def main() -> None:
    """Run one command; an error that we foresaw is one line, any other a bug with a traceback on request."""
    try:
        app()
    except BoardlineError as error:
        print_error(error)
        sys.exit(error.exit_status)
    except KeyboardInterrupt:
        sys.exit(130)
    except BrokenPipeError:
        sys.exit(1)  # the reader of our output went away
    except Exception as error:
        structlog.get_logger("boardline").exception("unexpected error", error=str(error))
        sys.stderr.write("boardline: this is a bug in Boardline; the log line above says where\n")
        sys.exit(1)
