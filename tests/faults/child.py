"""What runs in a process of its own, so that it can be killed."""

from __future__ import annotations

import faulthandler
import multiprocessing
import os
import sys
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, Final

from sqlalchemy import Engine

from connectors.errors import BoardlineError
from pipeline import backup, erase, export, forget, restore
from pipeline.backup import OnProgress
from pipeline.company import Company
from pipeline.person import find_person
from pipeline.privacy import Privacy
from pipeline.store import Store
from tests.faults.boundaries import Boundaries
from tests.faults.scripted import ACME, LATER, work, work_latest

SECONDS = 120  # after which a child hangs

# A server that has imported everything forks each child: quick, and no thread of ours is there to be forked.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.child"])


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A child at work on it."""
    child = _CONTEXT.Process(target=_told, args=(function, *arguments))
    child.start()
    return child


def _told(function: Callable[..., None], *arguments: Any) -> None:
    """A child that hangs says where."""
    faulthandler.dump_traceback_later(SECONDS - 10, file=sys.__stderr__ or sys.stderr)
    function(*arguments)


def run(function: Callable[..., None], *arguments: Any) -> int:
    """How a child ended: its exit status, or minus the signal that killed it."""
    return ended(start(function, *arguments))


def ended(child: BaseProcess) -> int:
    """The same of one that was started."""
    child.join(SECONDS)
    if child.exitcode is None:
        child.kill()
        raise AssertionError(f"the child was still at work after {SECONDS} seconds")
    return child.exitcode


def sync_until(url: str, at: int, names: str) -> None:
    """Sync, and die at a boundary; where none is named, write the names of all to the file ``names``."""
    boundaries = Boundaries(at)
    boundaries.watch(Engine)
    with Store.open(url) as store:
        work(store)
    Path(names).write_text("\n".join(boundaries.names))


def sync_latest(url: str, company: str) -> None:
    """Sync a company from what its CRM gives on the second day, to the end."""
    with Store.open(url) as store:
        summary = work_latest(store, Company(name=company, timezone=ACME.timezone))
        assert summary.status == "ok", summary.error


def open_until(url: str, at: int, names: str) -> None:
    """Make the tables, and die at a boundary; as ``sync_until``."""
    boundaries = Boundaries(at)
    boundaries.watch(Engine)
    Store.open(url).close()
    Path(names).write_text("\n".join(boundaries.names))


def command_until(url: str, at: int, names: str, command: str, place: str) -> None:
    """Do one piece of work on a whole store, and die at a boundary; as ``sync_until``. Progress counts as one too."""
    boundaries = Boundaries(at)
    boundaries.watch(Engine)
    with Store.at(url) as store:
        COMMANDS[command](store, Path(place), lambda name, *_: boundaries.cross(f"progress of {name}"))
    Path(names).write_text("\n".join(boundaries.names))


def _upgrade(store: Store, _place: Path, _on_progress: OnProgress) -> None:
    store.upgrade()


def _backup(store: Store, place: Path, on_progress: OnProgress) -> None:
    backup.backup(store, place / "backup.db", force=True, on_progress=on_progress)


def _restore(store: Store, place: Path, on_progress: OnProgress) -> None:
    restore.restore(store, place / "backup.db", force=True, on_progress=on_progress)


def _export(store: Store, place: Path, on_progress: OnProgress) -> None:
    export.export(store, place / "out", export.Wanted(), force=True, on_progress=on_progress)


def _forget(store: Store, _place: Path, _on_progress: OnProgress) -> None:
    with store.transaction() as tx:
        found = find_person(tx, "acme", "c1", Privacy())
        for crm, ids in found.ids.items():
            forget.forget(tx, "acme", crm, ids, found.words, LATER)
    assert erase.erase(store) is None


COMMANDS: Final[dict[str, Callable[[Store, Path, OnProgress], None]]] = {
    "upgrade": _upgrade,
    "backup": _backup,
    "restore": _restore,
    "export": _export,
    "forget": _forget,
}


def sync_as(user: int, url: str, told: str) -> None:
    """Sync as another user of the machine, and write what a person would read to the file ``told``."""
    with open(told, "w", encoding="utf-8") as answer:
        os.setgid(user)
        os.setuid(user)
        try:
            with Store.open(url) as store:
                failed = [str(run.error) for summary in work(store) for run in summary.runs if run.error]
                answer.write("\n".join(failed) or "done")
        except BoardlineError as error:
            answer.write(f"{type(error).__name__}: {error}")
