"""``boardline quality``: how far the data can be trusted, and what to fix."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from connectors.errors import ConfigurationError
from metrics.text import harmless
from pipeline.quality import report as quality_report
from scheduler.app import App
from scheduler.invocation import (
    AsOfOption,
    CompanyOption,
    ConfigOption,
    Invocation,
    JsonOption,
    QuietOption,
    VerboseOption,
    moment,
)

_SHOWN = 25
_GROUPS = ("owner", "field", "rule", "segment")
_COLUMNS = ("rule", "object", "external_id", "other_id", "owner", "message", "url", "first_seen")


def command(
    as_of: AsOfOption = None,
    by: Annotated[str | None, typer.Option("--by", help="Count by owner, field, rule or segment.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write all findings there.", metavar="FILE")] = None,
    config: ConfigOption = None,
    company: CompanyOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Field completeness, cleanliness and the fix list, from the store."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet)
    if by is not None and by not in _GROUPS:
        raise ConfigurationError(f"--by: {by!r} is not known; it is one of {', '.join(_GROUPS)}")
    app = App.load(config)
    documents: list[dict[str, Any]] = []
    for settings in app.companies(company or ()):
        result = quality_report(app.store, settings, moment(as_of, settings.zone), by=by)
        documents.append(result.as_json())
    if csv_file is not None:
        _write_csv(csv_file, documents)
    if json:
        run.print_json(documents)
    else:
        for document in documents:
            _print(run, document, by)
