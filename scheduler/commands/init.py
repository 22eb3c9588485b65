"""``boardline init``: a first configuration, and a test of the connection; or input files to be filled in."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated, Any

import typer
import yaml
from tzlocal import get_localzone_name

from connectors.errors import BoardlineError, ConfigurationError
from metrics import inputs as input_files
from scheduler import config as configuration
from scheduler.app import App
from scheduler.invocation import Invocation, QuietOption, VerboseOption, print_error

_FLOWS = {
    "salesforce": {
        "flow": "client_credentials",
        "client_id": "SF_CLIENT_ID",
        "client_secret": "SF_CLIENT_SECRET",
    },
    "hubspot": {"flow": "token", "token": "HUBSPOT_TOKEN"},
}
_PLAYBOOKS = ("hr_tech", "supply_chain", "dev_tools")


def command(
    path: Annotated[Path, typer.Option("--config", "-c", help="File to write.", metavar="FILE")] = Path(
        configuration.CONFIG_NAME
    ),
    name: Annotated[str | None, typer.Option("--name", help="Short name of the client company.")] = None,
    crm: Annotated[str | None, typer.Option("--crm", help="salesforce or hubspot.")] = None,
    url: Annotated[
        str | None, typer.Option("--url", help="Salesforce: https://yours.my.salesforce.com")
    ] = None,
    playbook: Annotated[str | None, typer.Option("--playbook", help=", ".join(_PLAYBOOKS))] = None,
    timezone: Annotated[str | None, typer.Option("--timezone", help="For example Europe/Berlin.")] = None,
    inputs: Annotated[
        Path | None,
        typer.Option(
            "--inputs",
            help="Write templates of the files with what no CRM knows into this folder, and nothing else.",
            metavar="DIR",
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite existing files.")] = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Ask a few questions, write config.yaml, and test the connection if the secrets are there already."""
    run = Invocation.start(verbose=verbose, quiet=quiet, no_progress=True)
    if inputs is not None:
        _templates(run, inputs, path, force)
        return
    if path.exists() and not force:
        raise ConfigurationError(f"{path} exists already; edit it, or overwrite it with --force")
    name = name or _ask("Short name of the client company", "acme")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]*", name):
        raise ConfigurationError(f"the name {name!r} must be of lower-case letters, digits, - and _")
    crm = _choice("CRM", crm, tuple(_FLOWS), "salesforce")
    if crm == "salesforce":
        url = url or _ask("Salesforce address (My Domain)", f"https://{name}.my.salesforce.com")
    playbook = _choice("Playbook", playbook, _PLAYBOOKS, "hr_tech")
    timezone = timezone or _ask("Time zone of the company", get_localzone_name() or "UTC")
    variables = {
        key: value if key == "flow" else f"{name.upper().replace('-', '_')}_{value}"
        for key, value in _FLOWS[crm].items()
    }
    _write(path, name, crm, url, playbook, timezone, variables)
    run.err.print(f"Wrote {path}. It names no secret; put these into the environment:")
    missing = [value for key, value in variables.items() if key != "flow" and not os.environ.get(value)]
    for variable in (value for key, value in variables.items() if key != "flow"):
        run.err.print(f"  {variable}{'' if variable in missing else '  (set)'}")
    if missing:
        run.err.print("Then: boardline check")
        return
    _test(path)
    run.err.print("The connection works. Next: boardline sync --once, then boardline report --out reports")
    run.err.print("What no CRM knows (quotas, spend, margin, usage): boardline init --inputs inputs")


def _templates(run: Invocation, folder: Path, config: Path, force: bool) -> None:
    """One file for each kind of input. None is configured: an empty one would say that there is nothing."""
    written, kept = [], []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name, kind in input_files.kinds().items():
            file = folder / f"{name}.csv"
            if file.exists() and not force:
                kept.append(file.name)
                continue
            file.write_text(input_files.template(kind), encoding="utf-8")
            written.append(name)
    except OSError as error:
        raise ConfigurationError(
            f"--inputs: cannot write into {folder}: {error.strerror}; name another folder"
        ) from error
    if kept:
        run.err.print(f"Left as they are: {', '.join(kept)} (overwrite them with --force)")
    if not written:
        raise ConfigurationError(f"--inputs: all files are in {folder} already; overwrite them with --force")
    run.err.print(f"Wrote {len(written)} templates. Fill in those you need and name them in {config}:")
    run.err.print("    inputs:")
    for name in written:
        run.err.print(f"      {name}: {os.path.relpath(folder / name, config.parent)}.csv")
    run.err.print("Then: boardline check. What each column means: boardline docs inputs")


def _write(
    path: Path, name: str, crm: str, url: str | None, playbook: str, timezone: str, variables: dict[str, str]
) -> None:
    auth = {key: value if key == "flow" else f"${{{value}}}" for key, value in variables.items()}
    connection: dict[str, Any] = {"type": crm, **({"url": url} if url else {}), "auth": auth}
    document = {
        "store": {"url": "sqlite:///boardline.db"},
        "companies": {
            name: {
                "playbook": playbook,
                "timezone": timezone,
                "crm": connection,
                "report": {"destinations": ["board"]},
            }
        },
        "destinations": {"board": {"type": "file", "path": "reports", "forms": ["html", "markdown", "text"]}},
    }
    text = (
        "# See config.example.yaml for every setting, above all `fields` and `deal_types`.\n"
        + yaml.safe_dump(document, sort_keys=False)
    )
    draft = path.with_name(path.name + ".new")
    try:
        draft.write_text(text, encoding="utf-8")
        configuration.load(draft)  # what we write must be what we accept
        draft.replace(path)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {path}: {error.strerror}; name another file with -c"
        ) from error
    finally:
        draft.unlink(missing_ok=True)


def _test(path: Path) -> None:
    app = App.load(path)
    for company in app.companies():
        source = app.open_source(company)
        try:
            source.capabilities()
        except BoardlineError as error:
            print_error(error)
            raise typer.Exit(error.exit_status) from error
        finally:
            source.close()


def _ask(question: str, default: str) -> str:
    try:
        return str(typer.prompt(question, default=default, err=True)).strip()
    except typer.Abort:
        raise ConfigurationError(
            "stopped; nothing was written (all answers can be given as options, see --help)"
        ) from None


def _choice(question: str, given: str | None, known: tuple[str, ...], default: str) -> str:
    answer = given or _ask(f"{question} ({', '.join(known)})", default)
    if answer not in known:
        raise ConfigurationError(f"{question}: {answer!r} is not known; it is one of {', '.join(known)}")
    return answer
