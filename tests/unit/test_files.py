"""Plain files are written whole or not at all, whatever stands in their place."""

from __future__ import annotations

import os
import resource
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connectors import files
from connectors.errors import BoardlineError, ConfigurationError, DiskError

REMEDY = "name another file"


@contextmanager
def longest_file(size: int) -> Iterator[None]:
    """No file may grow beyond so many bytes: what a full disk is to whoever writes."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_what_was_there_is_replaced_and_keeps_its_permissions(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("old and longer")
    path.chmod(0o640)
    files.write({path: b"new"}, REMEDY)
    assert path.read_bytes() == b"new"
    assert path.stat().st_mode & 0o777 == 0o640
    assert list(tmp_path.iterdir()) == [path]


def test_a_new_file_has_the_permissions_that_the_person_wants(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.write({tmp_path / "a.csv": b"new"}, REMEDY)
    finally:
        os.umask(before)
    assert (tmp_path / "a.csv").stat().st_mode & 0o777 == 0o640


def test_a_full_disk_leaves_everything_as_it_was(tmp_path: Path) -> None:
    small, large, old = tmp_path / "a.md", tmp_path / "b.html", tmp_path / "c.txt"
    old.write_text("old")
    with (
        longest_file(1000),
        pytest.raises(DiskError, match=r"the disk is full, nothing was written; ") as caught,
    ):
        files.write({small: b"x" * 10, old: b"new", large: b"x" * 5000}, REMEDY)
    assert caught.value.exit_status == 1
    assert list(tmp_path.iterdir()) == [old]
    assert old.read_text() == "old"


def test_a_link_is_followed_and_kept(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    (there / "real.csv").write_text("old")
    link = tmp_path / "link.csv"
    link.symlink_to("there/real.csv")
    files.write({link: b"new"}, REMEDY)
    assert link.is_symlink()
    assert (there / "real.csv").read_bytes() == b"new"


def test_a_pipe_is_written_to_and_not_replaced(tmp_path: Path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    read: list[bytes] = []
    reader = threading.Thread(target=lambda: read.append(pipe.read_bytes()))
    reader.start()
    files.write({pipe: b"new"}, REMEDY)
    reader.join()
    assert read == [b"new"]
    assert pipe.is_fifo()


def test_a_device_is_written_to_and_not_replaced() -> None:
    device = Path("/dev/full")
    if not device.is_char_device():
        pytest.skip("there is no such device here")
    with pytest.raises(DiskError, match="the disk is full"):
        files.write({device: b"new"}, REMEDY)
    assert device.is_char_device()


@pytest.mark.parametrize("place", ["nowhere/a.csv", "file/a.csv", ".", "a" * 300])
def test_a_place_where_nothing_can_be_written(tmp_path: Path, place: str) -> None:
    (tmp_path / "file").write_text("old")
    with pytest.raises(BoardlineError) as caught:
        files.write({tmp_path / place: b"new"}, REMEDY)
    assert type(caught.value) is ConfigurationError
    assert str(caught.value).startswith(f"cannot write {tmp_path / place}: ")
    assert str(caught.value).endswith(f"; {REMEDY}")
    assert [entry.name for entry in tmp_path.iterdir()] == ["file"]


def test_the_folder_is_made(tmp_path: Path) -> None:
    folder = tmp_path / "a" / "b"
    files.write({folder / "c": b"1", folder / "d": b"2"}, REMEDY, folder=folder)
    assert {entry.name: entry.read_bytes() for entry in folder.iterdir()} == {"c": b"1", "d": b"2"}
