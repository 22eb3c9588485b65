"""The plain files that the program writes: each is there whole, or is what it was before.

What is written goes beside its place first, to the disk, and then takes the place in one step; a full disk or a
killed process leaves no half file under a name that somebody reads.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from connectors.errors import ConfigurationError, DiskError

FULL: Final = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_FAILING: Final = (errno.EIO, errno.ESTALE)
_DEVICES: Final = ("/dev/", "/proc/")
_LONGEST: Final = 60  # characters of a name that its part keeps


def write(contents: Mapping[Path, bytes], remedy: str, *, folder: Path | None = None) -> None:
    """Write all of these files, or none of them; ``folder`` is made first where it is missing.

    A link is followed and kept. A device or a pipe is written to as it is. Raises ``ConfigurationError`` with
    ``remedy`` for a place that cannot be written to, ``DiskError`` for a disk that is full or failing.
    """
    place = folder or next(iter(contents))
    parts: dict[Path, Path] = {}  # what is written -> the place that it takes
    with _explained(place, remedy):
        try:
            if folder is not None:
                folder.mkdir(parents=True, exist_ok=True)
            for path, content in contents.items():
                if _is_device(path):
                    path.write_bytes(content)
                    continue
                target = Path(os.path.realpath(path))
                if target.is_dir():
                    raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
                part = target.with_name(f".{target.name[:_LONGEST]}.{secrets.token_hex(6)}.part")
                parts[part] = target
                put(part, content)
                if target.exists():
                    part.chmod(target.stat().st_mode & 0o777)
            for part, target in parts.items():
                part.replace(target)
        finally:
            for part in parts:
                part.unlink(missing_ok=True)
        for parent in {target.parent for target in parts.values()}:
            settle(parent)


def put(path: Path, content: bytes) -> None:
    """A new file with this content, on the disk when this returns. Raises ``OSError``, also where one is there."""
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def settle(folder: Path) -> None:
    """Make the names in a folder durable, where the system lets a folder be opened."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _is_device(path: Path) -> bool:
    """Not to be replaced by a file, whatever stands there now (``/dev/stdout`` may be a file)."""
    special = path.exists() and not path.is_file() and not path.is_dir()
    return special or str(path.absolute()).startswith(_DEVICES)


@contextmanager
def _explained(place: Path, remedy: str) -> Iterator[None]:
    """The system's errors as ours, in one line with what to do."""
    try:
        yield
    except OSError as error:
        if error.errno in FULL:
            problem, cure = "the disk is full", "free space there"
        elif error.errno in _FAILING:
            problem, cure = f"the disk failed ({error.strerror})", "look after it"
        else:
            told = "it is no folder" if error.errno == errno.EEXIST else error.strerror or error
            raise ConfigurationError(f"cannot write {place}: {told}; {remedy}") from error
        raise DiskError(f"{place}: {problem}, nothing was written; {cure} and run this again") from error
