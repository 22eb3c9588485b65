"""Progress of long work on stderr: shown to a person at a terminal, silent otherwise."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from scheduler.invocation import Invocation

OnProgress = Callable[[str, int, int | None], None]


@contextmanager
def sync_progress(run: Invocation, company: str) -> Iterator[OnProgress | None]:
    """A bar per stream. Yields ``on_progress(stream, rows so far, rows in all or None)``, or None when silent."""
    if not run.progress:
        yield None
        return
    columns = (
        TextColumn("{task.fields[company]}"),
        TextColumn("{task.description}"),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=run.err, transient=True) as progress:
        tasks: dict[str, TaskID] = {}

        def on_progress(stream: str, done: int, total: int | None) -> None:
            if stream not in tasks:
                tasks[stream] = progress.add_task(stream, total=total, company=company)
            progress.update(tasks[stream], completed=done, total=total)

        yield on_progress
