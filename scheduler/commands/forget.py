"""``boardline forget``: remove a person, or a whole company of the portfolio, from the store."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from connectors.errors import BoardlineError, ConfigurationError
from pipeline import database, forget, mentions
from pipeline.erase import due, erase
from pipeline.person import Person, find_person
from pipeline.privacy import Privacy
from pipeline.store import Reader
from pipeline.tables import METADATA
from scheduler.app import App
from scheduler.invocation import ConfigOption, Invocation, JsonOption, QuietOption, VerboseOption
from scheduler.lock import exclusive


@dataclass(frozen=True)
class Plan:
    """What is about to be removed: table -> rows, and in words."""

    what: str
    rows: dict[str, int]
    notes: tuple[str, ...]
    person: Person | None = None
    already: bool = False


def command(
    company: Annotated[str | None, typer.Option("--company", help="Whose data.", metavar="NAME")] = None,
    person: Annotated[
        str | None,
        typer.Option("--person", help="E-mail address, or CRM id of a contact or lead.", metavar="WHO"),
    ] = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="All that is stored of the company.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    config: ConfigOption = None,
    json: JsonOption = False,
    verbose: VerboseOption = False,
    quiet: QuietOption = False,
) -> None:
    """Remove a person or a company from the store, for good; the person does not come back with later syncs."""
    run = Invocation.start(json=json, verbose=verbose, quiet=quiet, no_progress=True)
    if not company:
        raise ConfigurationError("forget needs --company NAME; nothing was removed")
    if (person is None) == (not everything):
        raise ConfigurationError("name one: --person WHO, or --everything; nothing was removed")
    if person is not None and not person.strip():
        raise ConfigurationError(
            "--person is empty; give an e-mail address, or the CRM id of a contact or lead"
        )
    app = App.load(config)
    if missing := database.missing_file(app.store_url):
        raise ConfigurationError(f"there is no store at {missing}; nothing was removed, correct store.url")
    with app.store.reading() as reader:
        plan = _plan(app, reader, company, person)
    outside = _outside(app, company)
    if not yes and not plan.already:
        _confirm(run, plan)
    works = ("sync", "report") if everything else ("sync",)
    with ExitStack() as stack:
        for work in works:
            stack.enter_context(exclusive(app.store, company, work))
        removed = _remove(app, company, person)
        trouble = erase(app.store)
    _tell(run, company, plan, removed, outside, trouble)
    if trouble:
        raise BoardlineError(
            f"the rows are removed, but the store's files may still hold their bytes: {trouble}"
        )


def _plan(app: App, reader: Reader, company: str, person: str | None) -> Plan:
    """Count, without changing anything. Raises ``ConfigurationError`` where there is nothing to remove."""
    if person is None:
        rows = forget.count(reader, forget.company_steps(company))
        if not rows and due(reader):
            return Plan(
                f"everything of {company}, of which the store holds nothing any more", {}, (), already=True
            )
        if not rows:
            raise ConfigurationError(
                f"{app.store.place} holds nothing of a company {company!r}{_known(app, reader)}"
            )
        return Plan(f"everything of {company}", rows, tuple(_company_notes(app, company)))
    found = find_person(reader, company, person, _privacy(app, company, person))
    if not found.records:
        if any(person.strip() in ids for crm in _crms(reader, company)
               for ids in forget.forgotten(reader, company, crm).values()):  # fmt: skip
            return Plan(f"{person} of {company}, who was forgotten already", {}, (), None, already=True)
        if due(reader) and forget.count(reader, forget.company_steps(company)):
            return Plan(
                f"{person} of {company}, of whom the store holds nothing any more", {}, (), already=True
            )
        raise ConfigurationError(_nobody(app, reader, company, person))
    rows = {}
    for crm, ids in found.ids.items():
        for name, number in forget.count(
            reader, forget.person_steps(reader, company, crm, ids, found.words)
        ).items():
            rows[name] = rows.get(name, 0) + number
    told = ", ".join(
        f"{crm} {name} {one}"
        for crm, tables in found.ids.items()
        for name, ids in tables.items()
        for one in ids
    )
    left = mentions.elsewhere(reader, company, found.words)
    notes = [f"{number} rows of {name} mention the person in their own texts and stay; correct them in the CRM, "
             "and the next sync brings the correction" for name, number in left.items()]  # fmt: skip
    return Plan(f"one person of {company} ({told})", rows, tuple(notes), found)


def _nobody(app: App, reader: Reader, company: str, person: str) -> str:
    """Why nobody was found."""
    if not forget.count(reader, forget.company_steps(company)):
        return f"{app.store.place} holds nothing of a company {company!r}{_known(app, reader)}"
    hint = "name the CRM id of the contact or lead"
    if "@" in person and app.config.companies.get(company) and _mode(app, company) == "none":
        return f"{company}: e-mails are not kept (privacy.contacts: none), so nobody is found by one; {hint}"
    return f"{company}: no contact or lead in the store is {person}; nothing was removed, check the spelling or {hint}"


def _known(app: App, reader: Reader) -> str:
    names = sorted(set(_companies(reader)) | set(app.config.companies))
    return f"; known are {', '.join(names)}" if names else ""


def _companies(reader: Reader) -> list[str]:
    sources = METADATA.tables["sources"]
    return [
        str(one)
        for one in reader.connection.execute(sources.select().with_only_columns(sources.c.company)).scalars()
    ]


def _crms(reader: Reader, company: str) -> list[str]:
    sources = METADATA.tables["sources"]
    query = sources.select().with_only_columns(sources.c.crm).where(sources.c.company == company)
    return [str(one) for one in reader.connection.execute(query).scalars()]


def _mode(app: App, company: str) -> str:
    settings = app.config.companies.get(company)
    return settings.privacy.contacts if settings else "full"


def _privacy(app: App, company: str, person: str) -> Privacy:
    """How addresses are stored; a company that is no longer configured has no key, and is searched as written."""
    settings = app.config.companies.get(company)
    return Privacy() if settings is None or "@" not in person else Privacy.of(app.with_key(settings))


def _company_notes(app: App, company: str) -> list[str]:
    if company not in app.config.companies:
        return []
    return [
        f"{company} is still in {app.path}: the next sync reads it again, and its past reports could be posted anew; "
        "take it out of the file as well"
    ]


def _confirm(run: Invocation, plan: Plan) -> None:
    rows = ", ".join(f"{number:,} of {name}" for name, number in sorted(plan.rows.items())) or "no rows"
    if not sys.stdin.isatty():
        raise ConfigurationError(
            f"this would remove {plan.what}: {rows}; nobody is here to ask, so nothing was removed, confirm with --yes"
        )
    run.err.print(f"This removes {plan.what}, for good:")
    for name, number in sorted(plan.rows.items()):
        run.err.print(f"  {number:>9,}  {name}")
    for line in plan.notes:
        run.err.print(line)
    if not typer.confirm("Remove it?", err=True):
        raise ConfigurationError("nothing was removed")


def _remove(app: App, company: str, person: str | None) -> dict[str, int]:
    """In one transaction, what the store holds now."""
    now = datetime.now(UTC)
    removed: dict[str, int] = {}
    with app.store.transaction() as tx:
        if person is None:
            return forget.forget_company(tx, company, now)
        found = find_person(tx, company, person, _privacy(app, company, person))
        for crm, ids in found.ids.items():
            for name, number in forget.forget(tx, company, crm, ids, found.words, now).items():
                removed[name] = removed.get(name, 0) + number
    return removed


def _outside(app: App, company: str) -> list[str]:
    """What the store's removal does not reach."""
    lines = []
    for record in app.store.deliveries(company):
        if record.location:
            lines.append(
                f"the report of {record.month} handed over to {record.destination}: {record.location}"
            )
    for name, settings in app.config.destinations.items():
        if settings.get("type") == "file" and settings.get("path"):
            lines.append(f"files of destination {name}: {Path(str(settings['path']))}")
    lines += [
        "reports and CSV files that were written elsewhere, and messages that were posted",
        "backups and exports of the store, and PostgreSQL's write-ahead log, its archives and replicas until they are "
        "rotated out",
        "logs of the daemon, where somebody keeps them",
        "the CRM itself",
    ]
    return list(dict.fromkeys(lines))


def _tell(
    run: Invocation,
    company: str,
    plan: Plan,
    removed: dict[str, int],
    outside: list[str],
    trouble: str | None,
) -> None:
    document: dict[str, Any] = {
        "company": company,
        "person": None if plan.person is None else plan.person.ids,
        "removed": removed,
        "bytes_gone": trouble is None,
        "notes": list(plan.notes),
        "may_still_hold_it": outside,
    }
    if run.json:
        run.print_json([document])
        return
    if run.quiet:
        return
    if plan.already:
        gone = "" if trouble else "; no byte of what was removed is left in the store's files"
        run.out.print(f"Nothing to remove of {plan.what}{gone}.")
    else:
        rows = ", ".join(f"{number:,} of {name}" for name, number in sorted(removed.items())) or "no rows"
        run.out.print(f"Removed {plan.what}: {rows}.")
    for line in plan.notes:
        run.out.print(line)
    run.out.print("These lie outside the store and may still hold it:")
    for line in outside:
        run.out.print(f"  {line}")
