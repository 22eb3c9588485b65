"""``boardline demo``: the whole job on a simulated CRM, or on an export of a real one."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from connectors import files
from connectors.errors import ConfigurationError
from connectors.simulator.server import Simulator
from connectors.simulator.supplied import FILES
from metrics.board import BoardReport
from metrics.render import render_forms
from pipeline.sync import SyncSummary
from scheduler import demo_config, jobs
from scheduler.app import App
from scheduler.commands.report import write
from scheduler.invocation import Invocation, NoProgressOption, QuietOption, VerboseOption, path_of
from scheduler.progress import sync_progress
from scheduler.simulation import Served, open_crm


def command(
    crm: Annotated[str, typer.Option("--crm", help="salesforce or hubspot.")] = "salesforce",
    playbook: Annotated[
        str, typer.Option("--playbook", help="hr_tech, supply_chain or dev_tools.")
    ] = "hr_tech",
    out: Annotated[
        Path, typer.Option("--out", help="Folder for store and report.", metavar="DIR", parser=path_of)
    ] = Path("boardline-demo"),
    data: Annotated[
        Path | None,
        typer.Option(
            "--data", help="Your own export instead of a generated company.", metavar="DIR", parser=path_of
        ),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", help="Another generated company.")] = 7,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
    no_progress: NoProgressOption = False,
) -> None:
    """Start the simulator, sync, score, compute, write the board report, and print where it is."""
    run = Invocation.start(verbose=verbose, quiet=quiet, no_progress=no_progress)
    now = datetime.now(UTC).replace(microsecond=0)
    served = open_crm(crm, playbook=playbook, seed=seed, now=now, data=data)
    _prepare(out)
    with Simulator(served.crm) as simulator:
        run.err.print(f"Serving {served.title} as {crm} at {simulator.url}")
        app = App.load(_configure(out, served, crm, playbook, simulator))
        company = app.companies()[0]
        with sync_progress(run, company.name) as on_progress:
            summary = jobs.sync(app, company, on_progress=on_progress)
    if summary.error is not None:
        raise summary.error
    # An export tells what stands in the CRM now and not since when: its deals are there from today on.
    month = jobs.last_full_month(now, company) if served.world else f"{now.astimezone(company.zone):%Y-%m}"
    report = jobs.report(app, company, month, datetime.now(UTC))
    written = write(report, out / "reports")
    _print(run, summary, report, written, out)
    app.store.close()


def _prepare(out: Path) -> None:
    """Make room for a new demo; only ever an earlier demo's own files are removed."""
    config = out / "config.yaml"
    try:
        if config.exists() and not config.read_bytes().startswith(demo_config.MARK.encode()):
            raise ConfigurationError(
                f"{out} holds a configuration that is not a demo's; {demo_config.ANOTHER_FOLDER}"
            )
        if (out / "boardline.db").exists() and not config.exists():
            raise ConfigurationError(
                f"{out} holds a store that is not a demo's; {demo_config.ANOTHER_FOLDER}"
            )
        out.mkdir(parents=True, exist_ok=True)
        for old in out.glob("boardline.db*"):
            old.unlink()
    except OSError as error:
        raise ConfigurationError(
            f"cannot use {out}: {error.strerror}; {demo_config.ANOTHER_FOLDER}"
        ) from error


def _configure(out: Path, served: Served, crm: str, playbook: str, simulator: Simulator) -> Path:
    certificate = out / "simulator-ca.pem"
    path = out / "config.yaml"
    inputs: dict[str, str] = {}
    if served.world is not None:  # quotas stand in Salesforce itself
        kinds = [kind for kind in FILES if kind != "targets" or crm == "hubspot"]
        inputs = demo_config.write_inputs(out, served.world, kinds)
    text = demo_config.text(
        crm,
        simulator.url,
        certificate.name,
        playbook,
        served.world.timezone if served.world else "UTC",
        inputs=inputs,
        mapped=served.world is not None,
    )
    bundle = Path(simulator.ca_bundle or "").read_bytes()
    files.write({certificate: bundle, path: text.encode()}, demo_config.ANOTHER_FOLDER)
    return path


def _print(
    run: Invocation, summary: SyncSummary, report: BoardReport, written: list[Path], out: Path
) -> None:
    streams = summary.as_json()["runs"]
    rows = sum(item["rows"] for item in streams)
    requests = sum(item["requests"] for item in streams)
    run.out.print(f"Synced {rows:,} rows in {requests:,} requests.\n")
    for sentence in report.headline:
        run.out.print(sentence)
    run.out.print("")
    text = render_forms(report, only=("txt",))["txt"].decode()
    start = text.find("SCORECARD")
    if start >= 0:
        run.out.print(text[start:].split("\n\n")[0] + "\n")
    for path in written:
        run.out.print(f"Report: {path}")
    run.out.print(f"Ask more: boardline kpis -c {out / 'config.yaml'} --by size")
