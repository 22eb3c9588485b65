"""``boardline init``: a first configuration, and a test of the connection; or input files to be filled in."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Final

import typer
import yaml
from pydantic import ValidationError
from tzlocal import get_localzone_name

from connectors import address, files
from connectors.errors import BoardlineError, ConfigurationError
from metrics import inputs as input_files
from pipeline.company import Company
from scheduler import config as configuration
from scheduler.app import App
from scheduler.invocation import Invocation, QuietOption, VerboseOption, path_of, print_error

_FLOWS = {
    "salesforce": {
        "flow": "client_credentials",
        "client_id": "SF_CLIENT_ID",
        "client_secret": "SF_CLIENT_SECRET",
    },
    "hubspot": {"flow": "token", "token": "HUBSPOT_TOKEN"},
}
_ANOTHER_FILE: Final = "name another file with -c"
_PLAYBOOKS = ("hr_tech", "supply_chain", "dev_tools")


def command(
    path: Annotated[
        Path, typer.Option("--config", "-c", help="File to write.", metavar="FILE", parser=path_of)
    ] = Path(configuration.CONFIG_NAME),
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
            parser=path_of,
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
    _may_write(path, force)
    name = _answer("--name", "Short name of the client company", name, "acme", _short_name)
    crm = _answer("--crm", f"CRM ({', '.join(_FLOWS)})", crm, "salesforce", _one_of(tuple(_FLOWS)))
    if crm == "salesforce" or url is not None:
        words, default = "Salesforce address (My Domain)", f"https://{name}.my.salesforce.com"
        url = _answer("--url", words, url, default, address.complete)
    playbook = _answer(
        "--playbook", f"Playbook ({', '.join(_PLAYBOOKS)})", playbook, "hr_tech", _one_of(_PLAYBOOKS)
    )
    here = get_localzone_name() or "UTC"
    timezone = _answer("--timezone", "Time zone of the company", timezone, here, _time_zone)
    variables = {
        key: value if key == "flow" else f"{_variable_prefix(name)}_{value}"
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
    contents, kept = {}, []
    for name, kind in input_files.kinds().items():
        file = folder / f"{name}.csv"
        if os.path.exists(file) and not force:
            kept.append(file.name)
        else:
            contents[file] = input_files.template(kind).encode()
    if contents:
        files.write(contents, "name another folder with --inputs", folder=folder)
    written = [file.stem for file in contents]
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
    configuration.parse(text, path)  # what we write must be what we accept
    files.write({path: text.encode()}, _ANOTHER_FILE)


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


def _may_write(path: Path, force: bool) -> None:
    """Said before the questions: an answer is not given twice."""
    if os.path.exists(path) and not force:
        raise ConfigurationError(f"{path} exists already; edit it, or overwrite it with --force")
    if not os.path.isdir(path.parent):
        raise ConfigurationError(f"cannot write {path}: there is no folder {path.parent}; {_ANOTHER_FILE}")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise ConfigurationError(f"cannot write {path}: {path.parent} is read-only; {_ANOTHER_FILE}")


def _answer(option: str, question: str, given: str | None, default: str, check: Callable[[str], str]) -> str:
    """An answer as ``check`` takes it: given as an option, or asked for, at a terminal until it is one."""
    while True:
        try:
            return check(_ask(question, default) if given is None else given.strip())
        except ValueError as wrong:
            error = ConfigurationError(f"{option if given is not None else question}: {wrong}")
            if given is not None or not sys.stdin.isatty():
                raise error from None
            print_error(error)


def _ask(question: str, default: str) -> str:
    try:
        return str(typer.prompt(question, default=default, err=True)).strip()
    except typer.Abort:
        raise ConfigurationError(
            "stopped; nothing was written (all answers can be given as options, see --help)"
        ) from None


def _one_of(known: tuple[str, ...]) -> Callable[[str], str]:
    def check(answer: str) -> str:
        if answer not in known:
            raise ValueError(f"{answer!r} is not known; it is one of {', '.join(known)}")
        return answer

    return check


def _short_name(answer: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,59}", answer):
        raise ValueError(f"{answer!r} is no short name; write up to 60 lower-case letters, digits, - and _")
    return answer


def _time_zone(answer: str) -> str:
    try:
        return Company(timezone=answer).timezone
    except ValidationError as error:
        raise ValueError(str(error.errors()[0]["ctx"]["error"])) from None


def _variable_prefix(name: str) -> str:
    """What the names of environment variables begin with: a shell takes none that begins with a digit."""
    prefix = name.upper().replace("-", "_")
    return f"_{prefix}" if prefix[0].isdigit() else prefix
