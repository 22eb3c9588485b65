"""Being asked to stop: Ctrl-C, SIGTERM and a terminal that goes away (SIGHUP).

By default the last two end the process where it stands, and nobody reads why. ``raise_when_asked`` makes all of them
an exception, so that what was begun is undone; ``note`` leaves it to the work to end at a good place.
"""

from __future__ import annotations

import signal
from collections.abc import Callable, Sequence
from types import FrameType
from typing import Any, Final

ASKED: Final = tuple(
    number for name in ("SIGINT", "SIGTERM", "SIGHUP") if (number := getattr(signal, name, None)) is not None
)
_STOPPED: Final = "stopped"


class Stopped(BaseException):
    """Somebody asked this process to stop. No error, so that no ``except Exception`` keeps it."""

    def __init__(self, number: int, text: str = _STOPPED) -> None:
        super().__init__(text)
        self.number = number

    @property
    def exit_status(self) -> int:
        """As a shell tells of a process that a signal has ended."""
        return 128 + self.number


def raise_when_asked() -> None:
    """From now on a request to stop is raised as ``Stopped`` where the program is."""
    _handle(_raise, ASKED)


def note(stop: Callable[[], object], asked: Sequence[int] = ASKED) -> None:
    """From now on the first of these requests calls ``stop``.

    The second is raised as ``Stopped``: whoever asks twice does not wait for the other side's answer.
    """
    noted = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal noted
        if noted:
            _raise(number, frame)
        noted = True
        stop()

    _handle(handler, asked)


def _raise(number: int, _: FrameType | None) -> None:
    raise Stopped(number)


def _handle(handler: Callable[[int, FrameType | None], Any], numbers: Sequence[int]) -> None:
    for number in numbers:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup` means it
            signal.signal(number, handler)
