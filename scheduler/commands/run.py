"""``boardline run``: the daemon."""

from __future__ import annotations

import logging

from scheduler import logs
from scheduler.app import App
from scheduler.daemon import Daemon
from scheduler.invocation import CompanyOption, ConfigOption, Invocation, QuietOption, VerboseOption


def command(
    config: ConfigOption = None,
    company: CompanyOption = None,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Run all schedules until SIGTERM or Ctrl-C: syncs, and the monthly board report."""
    Invocation.start(verbose=verbose, quiet=quiet, no_progress=True)
    if not quiet and not verbose:
        logs.configure(level=logging.INFO)
    app = App.load(config)
    Daemon(app, app.companies(company or ())).run()
