"""``boardline simulator``: the simulated CRMs alone."""

from __future__ import annotations

import sys
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from connectors.simulator.faults import FaultPlan
from connectors.simulator.server import Simulator
from scheduler import signals
from scheduler.invocation import Invocation, QuietOption, VerboseOption, moment, path_of
from scheduler.simulation import CRMS, open_crm

app = typer.Typer(
    no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False, add_completion=False
)


@app.callback()
def _simulator() -> None:
    """The simulated CRMs alone."""


@app.command()
def serve(
    crm: Annotated[str, typer.Option("--crm", help=" or ".join(CRMS))] = "salesforce",
    port: Annotated[int, typer.Option("--port", help="0 takes a free one.", min=0, max=65535)] = 0,
    playbook: Annotated[
        str, typer.Option("--playbook", help="Vertical of the generated company.")
    ] = "hr_tech",
    seed: Annotated[int, typer.Option("--seed")] = 7,
    accounts: Annotated[int, typer.Option("--accounts", min=1)] = 300,
    deals: Annotated[int, typer.Option("--deals", min=1)] = 3000,
    months: Annotated[int, typer.Option("--months", min=1, max=120)] = 36,
    now: Annotated[str | None, typer.Option("--now", help="The simulated clock.", metavar="TIME")] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Serve an export instead.", metavar="DIR", parser=path_of)
    ] = None,
    faults: Annotated[
        str | None, typer.Option("--faults", help="For example 429@3,reset@7,random:0.05")
    ] = None,
    rate_limits: Annotated[bool, typer.Option("--rate-limits", help="Enforce the real limits.")] = False,
    tls: Annotated[bool, typer.Option(help="HTTPS with a certificate of its own.")] = True,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Serve a generated company, or an export, until Ctrl-C. The address is printed on stdout.

    Its clock moves forward, and the company with it, on
    POST ADDRESS/__simulator__/clock {"now": "2026-07-01T00:00:00Z"}; GET ADDRESS/__simulator__/state tells it.
    """
    run = Invocation.start(verbose=verbose, quiet=quiet, no_progress=True)
    clock = moment(now, ZoneInfo("UTC"), "--now", future=True) if now else datetime.now(UTC)
    plan = FaultPlan.parse(faults) if faults else None
    stop = threading.Event()
    signals.note(stop.set)
    with ExitStack() as stack:
        served = open_crm(
            crm,
            playbook=playbook,
            seed=seed,
            accounts=accounts,
            deals=deals,
            months=months,
            now=clock,
            data=data,
        )
        simulator = stack.enter_context(
            Simulator(served.crm, tls=tls, port=port, faults=plan, rate_limits=rate_limits)
        )
        sys.stdout.write(f"{simulator.url}\n")
        sys.stdout.flush()
        run.err.print(f"Serving {served.title} as {crm} at {simulator.url}")
        if simulator.ca_bundle:
            run.err.print(f"Trust its certificate: {simulator.ca_bundle}")
        run.err.print("Stop with Ctrl-C.")
        stop.wait()
