"""Folders for what is not whole yet, beside the place where it will stand; none is left behind.

A process that was killed cannot clean up, and what it leaves holds people's data: the next one that writes into the
same place removes it. A folder that is in use is known by the lock that its process holds.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import filelock

from connectors.errors import ConfigurationError

_LOCK: Final = "in-use.lock"


@contextmanager
def folder(place: Path, kind: str) -> Iterator[Path]:
    """A new folder in ``place`` for one piece of work (``kind``), gone afterwards. Raises ``OSError``.

    It holds a file of its own, the lock.
    """
    prefix = f".boardline-{kind}-"
    for left in sorted(place.glob(f"{prefix}*")):
        _sweep(left)
    made, lock = _made(place, prefix)
    try:
        yield made
    finally:
        lock.release()
        shutil.rmtree(made, ignore_errors=True)


@contextmanager
def making(place: Path) -> Iterator[None]:
    """Makes a folder, with those above it, where it is not there. Raises ``ConfigurationError``.

    What was made is gone again when the work fails, unless something has come to stand in it.
    """
    new = [one for one in (place, *place.parents) if not one.exists()]
    try:
        try:
            place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise ConfigurationError(
                f"{place}: it cannot be made ({error.strerror}); name another folder"
            ) from error
        yield
    except BaseException:
        for one in new:
            try:
                one.rmdir()
            except OSError:  # not made, or no longer empty: so are those above it
                break
        raise


def _made(place: Path, prefix: str) -> tuple[Path, filelock.FileLock]:
    """A folder and the lock in it. One that was swept before it was locked is made once more."""
    while True:
        made = Path(tempfile.mkdtemp(prefix=prefix, dir=place))
        lock = filelock.FileLock(made / _LOCK)
        try:
            lock.acquire()
        except FileNotFoundError:
            continue
        if (made / _LOCK).exists():
            return made, lock
        lock.release()


def _sweep(left: Path) -> None:
    """Remove a folder whose process is gone."""
    file = left / _LOCK
    if not file.exists():
        return
    lock = filelock.FileLock(file)
    try:
        lock.acquire(timeout=0)
    except (filelock.Timeout, OSError):
        return
    try:
        shutil.rmtree(left, ignore_errors=True)
    finally:
        lock.release()
