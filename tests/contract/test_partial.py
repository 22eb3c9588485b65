"""What a killed process left half done is removed by the next; what somebody is at work on is not."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path

from pipeline import partial


def _work(place: str, told: str) -> None:
    with partial.folder(Path(place), "backup") as made:
        (made / "people.db").write_text("jane@acme.example")
        Path(told).write_text(made.name)
        time.sleep(120)


def test_a_killed_process_leaves_nothing_for_longer_than_to_the_next(tmp_path: Path) -> None:
    place, told = tmp_path / "place", tmp_path / "told"
    place.mkdir()
    child = multiprocessing.get_context("spawn").Process(target=_work, args=(str(place), str(told)))
    child.start()
    while not told.exists() or not told.read_text():
        assert child.is_alive()
        time.sleep(0.01)
    with partial.folder(place, "backup"):
        assert (place / told.read_text() / "people.db").exists()  # it is at work
    with partial.folder(place, "export"):
        assert (place / told.read_text() / "people.db").exists()
    os.kill(child.pid or 0, signal.SIGKILL)
    child.join()
    assert (place / told.read_text()).exists()
    with partial.folder(place, "backup") as made:
        assert [path for path in place.iterdir() if path != made] == []
    assert list(place.iterdir()) == []


def test_many_at_once_do_not_sweep_each_other(tmp_path: Path) -> None:
    failures: list[BaseException] = []

    def work(number: int) -> None:
        try:
            for turn in range(20):
                with partial.folder(tmp_path, "export") as made:
                    (made / "file").write_text(f"{number} {turn}")
                    assert (made / "file").read_text() == f"{number} {turn}"
        except BaseException as error:  # noqa: BLE001 - handed to the test
            failures.append(error)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert list(tmp_path.iterdir()) == []


def test_another_programs_folder_is_left_alone(tmp_path: Path) -> None:
    mine = tmp_path / ".boardline-export-notes"
    mine.mkdir()
    (mine / "notes.txt").write_text("mine")
    with partial.folder(tmp_path, "export"):
        pass
    assert (mine / "notes.txt").read_text() == "mine"
