"""Starts a command in a process of its own, forked from one that has loaded the libraries already.

Loading them is most of what a short command does, and the tests start hundreds. Each process loads our own modules
itself, and polars, whose threads do not survive a fork. Tests of the installed script and of daemons start the script
(``process.start``).
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

_LOADED = (
    "apscheduler.schedulers.background",
    "apscheduler.triggers.interval",
    "filelock",
    "hubspot",
    "orjson",
    "psycopg",
    "rich.progress",
    "rich.table",
    "simple_salesforce",
    "sqlalchemy.dialects.postgresql",
    "sqlalchemy.dialects.sqlite",
    "sqlmodel",
    "structlog",
    "tenacity",
    "typer.main",
    "yaml",
)
_FORKS = get_context("forkserver")
_FORKS.set_forkserver_preload(list(_LOADED))


@dataclass(frozen=True)
class Ended:
    """How a process ended and what it printed."""

    status: int
    out: str
    err: str


def command(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path | None, timeout: float
) -> Ended:
    """Run ``boardline`` with these arguments to its end. Raises ``TimeoutError`` where it does not come to one."""
    with TemporaryDirectory() as folder:
        out, err = Path(folder, "out"), Path(folder, "err")
        process = begin(arguments, environment, cwd or Path.cwd(), out, err)
        process.join(timeout)
        if process.exitcode is None:
            process.kill()
            process.join()
            raise TimeoutError(f"boardline {' '.join(arguments)}: not done after {timeout:g} seconds")
        return Ended(process.exitcode, out.read_text(), err.read_text())


def begin(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, out: Path, err: Path
) -> BaseProcess:
    """Start it, and leave it running; what it prints is added to the files."""
    process = _FORKS.Process(target=_become, args=(tuple(arguments), dict(environment), cwd, out, err))
    process.start()
    return process


def _become(
    arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, out: Path, err: Path
) -> None:
    """Turn into the command: its surroundings, its files, its program."""
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(cwd)
    added = os.O_WRONLY | os.O_CREAT | os.O_APPEND
    for number, path, flags in ((0, Path(os.devnull), os.O_RDONLY), (1, out, added), (2, err, added)):
        opened = os.open(path, flags)
        os.dup2(opened, number)
        os.close(opened)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115  the process's own, for as long as it lives
    sys.argv = ["boardline", *arguments]
    from scheduler.cli import main

    main()
