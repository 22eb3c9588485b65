"""The file destination: whole or not at all, the same post in the same place, and clear words when a disk says no."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from connectors import registry
from connectors.destination import Attachment, Message, Receipt
from connectors.destinations import file
from connectors.errors import (
    BoardlineError,
    ConfigurationError,
    CredentialError,
    DeliveryConflict,
    UnreachableError,
)


def opened(folder: Path, **settings: Any) -> file.FileDestination:
    return file.DESTINATION.open({"type": "file", "path": str(folder), **settings})


def message(key: str = "acme:2026-05:board:1", html: bytes = b"<p>1</p>", text: str = "one") -> Message:
    return Message(key, "subject", text, "# one", (Attachment("x.html", "text/html; charset=utf-8", html),))


def tree(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_the_registry_knows_it() -> None:
    assert registry.destination("file").title == file.DESTINATION.title


def test_all_forms_arrive(tmp_path: Path) -> None:
    receipt = opened(tmp_path / "deep" / "reports").deliver(message())
    assert tree(tmp_path / "deep" / "reports") == {
        "acme_2026-05_board_1/acme_2026-05_board_1.html": b"<p>1</p>",
        "acme_2026-05_board_1/acme_2026-05_board_1.md": b"# one",
        "acme_2026-05_board_1/acme_2026-05_board_1.txt": b"one",
    }
    assert Path(receipt.location).read_bytes() == b"<p>1</p>"
    assert not receipt.repeated


def test_only_the_forms_asked_for(tmp_path: Path) -> None:
    opened(tmp_path, forms=["text"]).deliver(message())
    assert list(tree(tmp_path)) == ["acme_2026-05_board_1/acme_2026-05_board_1.txt"]


def test_the_same_again_is_a_repetition(tmp_path: Path) -> None:
    destination = opened(tmp_path)
    first = destination.deliver(message())
    stamps = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    assert destination.deliver(message()) == Receipt(first.location, repeated=True)
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == stamps


@pytest.mark.parametrize("spoil", ["content", "missing", "extra", "not a folder"])
def test_other_content_is_refused_and_kept(tmp_path: Path, spoil: str) -> None:
    destination = opened(tmp_path)
    place = Path(destination.deliver(message()).location)
    if spoil == "content":
        place.write_bytes(b"edited")
    elif spoil == "missing":
        place.unlink()
    elif spoil == "extra":
        (place.parent / "more.txt").write_text("x")
    else:
        for path in place.parent.iterdir():
            path.unlink()
        place.parent.rmdir()
        place.parent.write_text("a file")
    before = tree(tmp_path)
    with pytest.raises(DeliveryConflict, match="other content") as caught:
        destination.deliver(message())
    assert caught.value.location == str(place)
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    "key",
    [
        "../../etc/passwd",
        "/abs",
        "a/b",
        "..",
        ".hidden",
        "",
        "a" * 500,
        "nul\0",
        "ÄCME:1",
        "Acme:1",
        "con:\n",
        "a_b",
    ],
)
def test_no_key_leaves_the_folder(tmp_path: Path, key: str) -> None:
    inside = tmp_path / "reports"
    opened(inside).deliver(message(key))
    assert [path.name for path in tmp_path.iterdir()] == ["reports"]
    assert len([path for path in inside.iterdir() if path.is_dir() and not path.name.startswith(".")]) == 1


def test_two_keys_never_share_a_place(tmp_path: Path) -> None:
    keys = ["a:b", "a_b", "a-b", "A:b", "a b", "a/b", "a:b.", "a__b", "ä:b", "a:b:1", "a:b_1"]
    destination = opened(tmp_path)
    for key in keys:
        assert not destination.deliver(message(key)).repeated
    assert len({path.name.lower() for path in tmp_path.iterdir()}) == len(keys)


def test_two_at_once_leave_one_whole_summary(tmp_path: Path) -> None:
    destination = opened(tmp_path)
    receipts: list[bool] = []
    errors: list[BoardlineError] = []
    gate = threading.Barrier(8)

    def run(number: int) -> None:
        gate.wait()
        try:
            receipts.append(destination.deliver(message(html=str(number % 2).encode() * 50_000)).repeated)
        except DeliveryConflict as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert receipts.count(False) == 1
    assert len(receipts) + len(errors) == 8
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize(
    ("code", "error", "words"),
    [
        (errno.ENOSPC, UnreachableError, "disk is full"),
        (errno.EIO, UnreachableError, "cannot be written to"),
        (errno.EACCES, CredentialError, "let this user write"),
        (errno.EROFS, CredentialError, "Read-only"),
    ],
)
def test_the_disk_says_no(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int, error: type[BoardlineError], words: str
) -> None:
    def refuse(_: int) -> None:
        raise OSError(code, os.strerror(code))

    destination = opened(tmp_path)
    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(error, match=words) as caught:
        destination.deliver(message())
    assert str(tmp_path) in str(caught.value)
    assert list(tmp_path.iterdir()) == [], "nothing half-written is left"
    monkeypatch.undo()
    assert not destination.deliver(message()).repeated


def test_the_path_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("x")
    for act in (
        lambda: opened(tmp_path / "taken").check(),
        lambda: opened(tmp_path / "taken").deliver(message()),
    ):
        with pytest.raises(ConfigurationError, match="is not a folder"):
            act()
    with pytest.raises(ConfigurationError, match="is not a folder"):
        opened(tmp_path / "taken" / "below").check()


def test_check_writes_nothing_that_stays(tmp_path: Path) -> None:
    assert "can be written to (html, markdown, text)" in opened(tmp_path).check()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("settings", "words"),
    [
        ({}, "path: name the folder"),
        ({"path": " "}, "path: name the folder"),
        ({"path": 5}, "path: name the folder"),
        ({"path": "x", "forms": []}, "forms: choose from"),
        ({"path": "x", "forms": ["pdf"]}, "forms: choose from"),
        ({"path": "x", "forms": "html"}, "forms: choose from"),
        ({"path": "x", "forms": [["html"]]}, "forms: choose from"),
        ({"path": "x", "folder": "y"}, "unknown setting 'folder'"),
    ],
)
def test_wrong_settings(settings: dict[str, Any], words: str) -> None:
    with pytest.raises(ConfigurationError, match=words):
        file.DESTINATION.open({"type": "file", **settings})


def test_no_html_to_write(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no HTML form"):
        opened(tmp_path).deliver(Message("k", "s", "t", "m"))
