"""The file destination: the board summary as files, for a shared drive or the reader's own disk.

Settings: ``path`` (a folder; it is created), ``forms`` (any of html, markdown, text; default all). Every message gets
a folder of its own below ``path``, named after its key, so the same post always lands in the same place. The folder
appears whole, with all forms in it, or not at all, and is never changed afterwards.
"""

from __future__ import annotations

import errno
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from connectors import files
from connectors.destination import Message, Receipt, file_stem
from connectors.errors import ConfigurationError, CredentialError, DeliveryConflict, UnreachableError

_MEDIA: Final = {"html": "text/html", "markdown": "text/markdown", "text": "text/plain"}
_SUFFIX: Final = {"html": ".html", "markdown": ".md", "text": ".txt"}
_REFUSED: Final = (errno.EACCES, errno.EPERM, errno.EROFS)
_TAKEN: Final = (errno.EEXIST, errno.ENOTEMPTY, errno.ENOTDIR)


@dataclass
class FileDestination:
    """A folder that summaries are written to."""

    folder: Path
    forms: tuple[str, ...]
    name: str = "file"

    def check(self) -> str:
        """Write and remove a file where the summaries will go; makes no folder. Raises like ``deliver``."""
        there = next(place for place in (self.folder, *self.folder.absolute().parents) if place.exists())
        with _explained(self.folder), tempfile.TemporaryFile(dir=there):
            pass
        made = "" if there == self.folder else " once it is made"
        return f"{self.folder} can be written to{made} ({', '.join(self.forms)})"

    def deliver(self, message: Message) -> Receipt:
        """Write all forms in one step; the receipt names the first.

        What is there already with the same content counts as delivered. Raises ``DeliveryConflict`` where other
        content stands under this key (nothing is overwritten), ``CredentialError`` without permission,
        ``UnreachableError`` on a full or failing disk.
        """
        stem = file_stem(message.key)
        wanted = {stem + _SUFFIX[form]: _content(message, form) for form in self.forms}
        place = self.folder / stem
        first = str(place / next(iter(wanted)))
        with _explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
            if not place.exists() and _put(place, wanted):
                return Receipt(first)
            if _holds(place, wanted):
                return Receipt(first, repeated=True)
        raise DeliveryConflict(
            f"{place} exists with other content and is left as it is; move it away to deliver this summary again",
            first,
        )


@dataclass(frozen=True)
class FileDestinationType:
    """Opens file destinations."""

    name: str = "file"
    title: str = "Files in a folder"

    def open(self, settings: Mapping[str, Any]) -> FileDestination:
        """Raises ``ConfigurationError`` naming the setting that is wrong."""
        unknown = set(settings) - {"type", "path", "forms"}
        if unknown:
            raise ConfigurationError(
                f"file destination: unknown setting {min(unknown)!r}; known are path and forms"
            )
        path, forms = settings.get("path"), settings.get("forms", list(_MEDIA))
        if not isinstance(path, str | Path) or not str(path).strip():
            raise ConfigurationError("file destination: path: name the folder that summaries are written to")
        if (
            not isinstance(forms, list | tuple)
            or not forms
            or not all(isinstance(form, str) and form in _MEDIA for form in forms)
        ):
            raise ConfigurationError(
                f"file destination: forms: choose from {', '.join(_MEDIA)}, not {forms!r}"
            )
        return FileDestination(Path(path).expanduser(), tuple(form for form in _MEDIA if form in forms))


DESTINATION: Final = FileDestinationType()


def _content(message: Message, form: str) -> bytes:
    for part in message.attachments:
        if part.media_type.partition(";")[0].strip() == _MEDIA[form]:
            return part.content
    if form == "html":
        raise ConfigurationError(
            f"{message.key}: there is no HTML form; take html out of the file destination's forms"
        )
    return (message.markdown if form == "markdown" else message.text).encode()


def _holds(place: Path, wanted: Mapping[str, bytes]) -> bool:
    """Whether exactly these files with this content are there."""
    if not place.is_dir() or {entry.name for entry in place.iterdir()} != set(wanted):
        return False
    return all(
        (place / name).is_file() and (place / name).read_bytes() == content
        for name, content in wanted.items()
    )


def _put(place: Path, wanted: Mapping[str, bytes]) -> bool:
    """Write beside the place, to the disk, then move it there in one step. False: another process was faster."""
    made = Path(tempfile.mkdtemp(dir=place.parent, prefix=f".{place.name[:60]}.", suffix=".part"))
    try:
        for name, content in wanted.items():
            files.put(made / name, content)
        made.chmod(0o755)
        files.settle(made)
        try:
            made.rename(place)
        except OSError as error:
            if error.errno in _TAKEN:
                return False
            raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    files.settle(place.parent)
    return True


@contextmanager
def _explained(folder: Path) -> Iterator[None]:
    """Turns the system's errors into ours, in one line with what to do."""
    try:
        yield
    except (FileExistsError, NotADirectoryError) as error:
        raise ConfigurationError(
            f"{folder} is not a folder; choose another path for the file destination"
        ) from error
    except OSError as error:
        if error.errno in _REFUSED:
            raise CredentialError(
                f"{folder} cannot be written to: {error.strerror}; let this user write there or choose another path"
            ) from error
        if error.errno in files.FULL:
            raise UnreachableError(
                f"{folder}: the disk is full; free space there and run this again"
            ) from error
        raise UnreachableError(f"{folder} cannot be written to: {error.strerror or error}") from error
