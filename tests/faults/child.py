"""What runs in a process of its own, so that it can be killed."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from sqlalchemy import Engine

from connectors.errors import BoardlineError
from pipeline.company import Company
from pipeline.store import Store
from tests.faults.boundaries import Boundaries
from tests.faults.scripted import ACME, work, work_latest

SECONDS = 120  # after which a child hangs

# A server that has imported everything forks each child: quick, and no thread of ours is there to be forked.
_CONTEXT = multiprocessing.get_context("forkserver")
_CONTEXT.set_forkserver_preload(["tests.faults.child"])


def start(function: Callable[..., None], *arguments: Any) -> BaseProcess:
    """A child at work on it."""
    child = _CONTEXT.Process(target=function, args=arguments)
    child.start()
    return child


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
