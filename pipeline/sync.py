"""One pass over a company's CRM: the order of the steps, nothing else.

What the CRM shows is noted, then every stream is read page by page; each page is normalised and loaded in a
transaction of its own, so a pass that is stopped or killed goes on after the last committed page. One stream's failure
does not hide the others' success.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final, cast

import structlog

from connectors.errors import (
    BoardlineError,
    ConfigurationError,
    CredentialError,
    QuotaExhausted,
    SourceError,
    StreamUnavailable,
)
from connectors.source import Capabilities, Cursor, Page, Source, Stream
from pipeline import mapping, quarantine
from pipeline.company import Company
from pipeline.erase import erase
from pipeline.failures import StoreBusyError, StoreError
from pipeline.load import LoadCounts, load, renew_findings
from pipeline.normalise import normalise_page
from pipeline.privacy import PERSONAL, Privacy, uncovered
from pipeline.records import RunStatus, SourceInfo
from pipeline.store import Store, Transaction
from pipeline.withhold import settle

log = structlog.get_logger(__name__)

OnProgress = Callable[[str, int, int | None], None]  # stream, rows so far, rows in all where known
Stop = threading.Event | Callable[[], bool]

FATAL: Final = (ConfigurationError, CredentialError, QuotaExhausted)  # no use in asking further
_TURNS: Final = 1000  # far more than any other writer takes to finish
CONNECT: Final = "connect"  # the name under which a failure before the first stream is noted


@dataclass(frozen=True)
class StreamRun:
    """What became of one stream in this pass. ``status``: ok, failed, skipped (not visible), stopped.

    ``part``: only what changed from some moment on was read, of a stream that has never been read whole.
    """

    company: str
    stream: str
    status: RunStatus
    counts: LoadCounts = field(default_factory=LoadCounts)
    requests: int = 0
    seconds: float = 0.0
    cursor: Cursor | None = None
    error: BoardlineError | None = None
    part: bool = False

    def as_json(self) -> dict[str, Any]:
        """One element of ``sync --json``."""
        return {
            "company": self.company,
            "stream": self.stream,
            "status": self.status,
            "rows": self.counts.rows,
            "changed": self.counts.changed,
            "deleted": self.counts.deleted,
            "quarantined": self.counts.quarantined,
            "requests": self.requests,
            "seconds": round(self.seconds, 3),
            "cursor": None if self.cursor is None else dict(self.cursor),
            "error": None if self.error is None else str(self.error),
        }


@dataclass(frozen=True)
class SyncSummary:
    """What a pass did, stream by stream, in the order in which they were read.

    ``unerased``: why the bytes of what was removed are still in the store's files; None: they are not.
    """

    company: str
    source: str
    runs: tuple[StreamRun, ...] = ()
    unerased: str | None = None

    @property
    def status(self) -> RunStatus:
        """failed when a stream failed, else stopped when one was, else ok."""
        statuses = {run.status for run in self.runs}
        return "failed" if "failed" in statuses else "stopped" if "stopped" in statuses else "ok"

    @property
    def changed(self) -> int:
        """Rows new or changed, in all streams."""
        return sum(run.counts.changed for run in self.runs)

    @property
    def error(self) -> BoardlineError | None:
        """What a person must hear: the one fatal error, which streams failed, or what is still to be erased; else None.

        Its exit status is the failure's own when nothing succeeded, and 1 when only some work failed.
        """
        return self._failure or self._unerased

    @property
    def _unerased(self) -> BoardlineError | None:
        if self.unerased is None:
            return None
        return StoreError(
            f"{self.company}: what was removed of people may still be read in the store's files: {self.unerased}"
        )

    @property
    def _failure(self) -> BoardlineError | None:
        failed = [run for run in self.runs if run.status == "failed" and run.error is not None]
        if not failed:
            return None
        first = cast(BoardlineError, failed[0].error)
        if any(isinstance(run.error, FATAL) for run in failed) or not any(
            run.status == "ok" for run in self.runs
        ):
            return next(
                (cast(BoardlineError, run.error) for run in failed if isinstance(run.error, FATAL)), first
            )
        names = ", ".join(run.stream for run in failed)
        return SourceError(f"{self.company}: {names} failed, the other streams are up to date: {first}")

    def as_json(self) -> dict[str, Any]:
        """The shape of ``sync --json``."""
        return {"runs": [run.as_json() for run in self.runs]}


def sync_company(
    store: Store,
    source: Source,
    company: Company,
    *,
    full: bool = False,
    since: datetime | None = None,
    only: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    stop: Stop | None = None,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> SyncSummary:
    """Bring the store up to date with the CRM; run twice equals once.

    ``full`` reads everything again, ``since`` what changed from then on, ``only`` names streams. ``stop`` is asked
    between pages. Where the mapping changed since the last pass, the tables concerned are read again (see
    ``pipeline.mapping``). Failures of the CRM are in the summary; raised are ``ConfigurationError`` for an unknown
    stream and ``StoreError`` when the store fails.
    """
    streams, privacy = _chosen(source, only), Privacy.of(company)
    job = _Pass(store, source, company, privacy, clock, on_progress or (lambda *_: None), _asked(stop))
    store.renew()
    store.again("noting what was interrupted", job.close_interrupted)
    left = erase(store)  # what an earlier command could not
    try:
        shown = source.capabilities()
        info = store.again("noting what the CRM shows", lambda: job.begin(shown))
    except StoreError:
        raise
    except BoardlineError as error:
        return SyncSummary(company.name, source.name, (job.refused(error),), left)
    left = erase(store, 0 if left else None)  # what another privacy mode has taken out
    runs: list[StreamRun] = []
    for stream in streams:
        if job.stopped() or (runs and isinstance(runs[-1].error, FATAL)):
            runs.append(job.left_out(stream, noted=any(run.status != "stopped" for run in runs)))
        else:
            runs.append(job.stream(stream, info, full=full, since=since))
    if only is None and all(run.status in ("ok", "skipped") and not run.part for run in runs):
        store.again("noting that everything was read", job.mark_complete)
    left = erase(store, 0 if left else None)  # also what this pass has removed
    return SyncSummary(company.name, source.name, tuple(runs), left)


def _chosen(source: Source, only: Sequence[str] | None) -> tuple[Stream, ...]:
    streams = source.streams()
    known = [stream.name for stream in streams]
    unknown = sorted(set(only or ()) - set(known))
    if unknown:
        raise ConfigurationError(
            f"--only: {source.name} has no stream {', '.join(unknown)}; it has {', '.join(known)}"
        )
    return tuple(stream for stream in streams if only is None or stream.name in only)


@contextmanager
def _pages(pages: Iterator[Page]) -> Iterator[Iterator[Page]]:
    """The pages; a source that is left in the middle may clean up at once."""
    try:
        yield pages
    finally:
        if isinstance(pages, Generator):
            pages.close()


def _asked(stop: Stop | None) -> Callable[[], bool]:
    if stop is None:
        return lambda: False
    return stop.is_set if isinstance(stop, threading.Event) else stop


@dataclass
class _Pass:
    """One pass at work."""

    store: Store
    source: Source
    company: Company
    privacy: Privacy
    clock: Callable[[], datetime]
    on_progress: OnProgress
    stopped: Callable[[], bool]

    def close_interrupted(self) -> None:
        """Runs of a process that was killed are not running any more."""
        with self.store.transaction() as tx:
            tx.close_interrupted_runs(self.company.name, self.clock())

    def mark_complete(self) -> None:
        """Note that every stream was read to its end."""
        with self.store.transaction() as tx:
            tx.mark_complete(self.company.name, self.source.name, self.clock())

    def begin(self, capabilities: Capabilities) -> SourceInfo:
        """Note what the CRM shows. What a new mapping calls for happens in the same transaction."""
        name, source, now = self.company.name, self.source.name, self.clock()
        with self.store.transaction() as tx:
            known = tx.source_info(name, source)
            remapping = mapping.plan(known and uncovered(known), capabilities, self.company)
            self._remap(tx, remapping)
            marks = mapping.marks(capabilities, self.company)
            tx.save_source(name, source, self.privacy.shown(capabilities), marks, now)
            coverage = mapping.coverage(source, capabilities, tx.coverage(name, source), remapping.restarted)
            tx.save_coverage(name, source, coverage, now)
            info = cast(SourceInfo, tx.source_info(name, source))
            rewritten = self._settle_privacy(tx, info, fresh=known is None)
            if rewritten:
                tx.note_erasure((*PERSONAL, "findings", "quarantine"), now)
        return info

    def _remap(self, tx: Transaction, remapping: mapping.Remapping) -> None:
        """Empty what is no longer read, and have read again what is read differently now."""
        name, source, now = self.company.name, self.source.name, self.clock()
        for note in remapping.notes:
            log.warning("the mapping changed", company=name, change=note)
        for table, columns in remapping.emptied.items():
            tx.empty(table, name, source, columns, now)
            quarantine.drop(tx, name, source, table, columns)
            tx.mark_computed(name, source, None)
        if remapping.reread:
            again = [s.name for s in self.source.streams() if remapping.reread & set(s.tables)]
            tx.forget_cursors(name, source, again)
            tx.mark_complete(name, source, None)

    def _settle_privacy(self, tx: Transaction, info: SourceInfo, *, fresh: bool) -> bool:
        """Bring the stored people into the configured mode; whether rows were rewritten."""
        name, source, now = self.company.name, self.source.name, self.clock()
        rewritten, again = settle(tx, name, source, self.source.streams(), self.privacy, now, fresh=fresh)
        if again:
            log.warning("people are kept differently now and read again", company=name, streams=again)
            tx.forget_cursors(name, source, again)
            tx.mark_complete(name, source, None)
        if rewritten or again:
            tx.mark_computed(name, source, None)
        if rewritten:
            renew_findings(tx, self.company, info, tuple(PERSONAL), now)
        return rewritten

    def refused(self, error: BoardlineError) -> StreamRun:
        """Note that the CRM could not be asked at all."""
        run = StreamRun(self.company.name, CONNECT, "failed", requests=self.source.requests, error=error)
        self._finish(self._start(CONNECT), run)
        return run

    def left_out(self, stream: Stream, *, noted: bool) -> StreamRun:
        """The pass ended before it came to this stream. That is noted, unless it had come to none: then it was none."""
        run = StreamRun(self.company.name, stream.name, "stopped")
        if noted:
            self._finish(self._start(stream.name), run)
        return run

    def stream(self, stream: Stream, info: SourceInfo, *, full: bool, since: datetime | None) -> StreamRun:
        """Read one stream to its end, to a failure, or until somebody asks to stop."""
        number = self._start(stream.name)
        begun, asked = time.monotonic(), self.source.requests
        reading = _Reading()
        status: RunStatus = "failed"
        error: BoardlineError | None = None
        try:
            status = self._pages(stream, info, reading, full=full, since=since)
        except StreamUnavailable as unavailable:
            status, error = "skipped", unavailable
        except StoreError:
            raise
        except BoardlineError as failure:
            error = failure
            log.info("stream failed", company=self.company.name, stream=stream.name, error=str(failure))
        run = StreamRun(
            self.company.name,
            stream.name,
            status,
            reading.counts,
            self.source.requests - asked,
            time.monotonic() - begun,
            reading.cursor,
            error,
            reading.part,
        )
        self._finish(number, run)
        return run

    def _pages(
        self, stream: Stream, info: SourceInfo, reading: _Reading, *, full: bool, since: datetime | None
    ) -> RunStatus:
        """All pages. Where the store's cursor turns out to be elsewhere, what it lacks is read again from there."""
        first = reading.kept = self._kept(stream)
        # A part of a stream that was never read: its end is not the stream's, so the next pass still reads it all.
        reading.part = since is not None and (full or first is None)
        for _ in range(_TURNS):
            reading.cursor = None if full and reading.kept == first else reading.kept
            try:
                return self._pages_from(stream, info, reading, since)
            except _CursorMovedError:
                reading.kept = self._kept(stream)
                log.warning("the store's cursor is not where this pass left it", stream=stream.name)
        raise StoreBusyError(
            f"{self.store.place}: another sync of {self.company.name} is at work; wait for its end"
        )

    def _pages_from(
        self, stream: Stream, info: SourceInfo, reading: _Reading, since: datetime | None
    ) -> RunStatus:
        total: int | None = None
        with _pages(self.source.read(stream, reading.cursor, since)) as pages:
            for page in pages:
                clean = self.privacy.protect(normalise_page(page, info.home_currency))
                counts = self._load(stream, info, clean, reading)
                reading.counts, reading.cursor = reading.counts + counts, page.cursor
                total = page.total if page.total is not None else total
                self.on_progress(stream.name, reading.counts.rows, total)
                if page.last:
                    return "ok"
                if self.stopped():
                    return "stopped"
        raise SourceError(f"{stream.name}: the CRM's answer ended before its last page; sync again to go on")

    def _kept(self, stream: Stream) -> Cursor | None:
        """The store's cursor."""
        found = self.store.again("reading the cursors", lambda: self.store.cursors(self.company.name))
        return found[stream.name].cursor if stream.name in found else None

    def _load(self, stream: Stream, info: SourceInfo, page: Page, reading: _Reading) -> LoadCounts:
        """One page, in as many tries as it takes, beside the cursor that the page before left."""
        tries: list[LoadCounts] = []

        def once() -> None:
            with self.store.transaction() as tx:
                place = (self.company.name, self.source.name, stream.name)
                if not tx.cursor_is(*place, reading.kept):
                    if tries and tx.cursor_is(*place, page.cursor):
                        return  # the try before got through, only the answer was lost
                    raise _CursorMovedError
                tries.append(load(tx, self.company, info, stream, page, self.clock(), part=reading.part))

        self.store.again(f"a page of {stream.name}", once)
        if not reading.part:
            reading.kept = page.cursor
        return max(
            tries, key=lambda counts: counts.changed
        )  # written twice, it changes nothing the second time

    def _start(self, stream: str) -> int:
        """A run's number. A try that got through unheard left a run that goes no further; it is closed."""

        def once() -> int:
            with self.store.transaction() as tx:
                if tried:
                    tx.close_interrupted_runs(self.company.name, self.clock())
                tried.append(True)
                return tx.start_run(self.company.name, self.source.name, stream, self.clock())

        tried: list[bool] = []
        return self.store.again("noting the start of a stream", once)

    def _finish(self, number: int, run: StreamRun) -> None:
        counts: Mapping[str, int] = {
            "rows": run.counts.rows,
            "changed": run.counts.changed,
            "deleted": run.counts.deleted,
            "quarantined": run.counts.quarantined,
            "requests": run.requests,
        }
        cause, _, remedy = str(run.error).rpartition("; ") if run.error else ("", "", "")
        error = (cause or remedy) or None

        def once() -> None:
            with self.store.transaction() as tx:
                tx.finish_run(
                    number,
                    run.status,
                    self.clock(),
                    **counts,
                    seconds=run.seconds,
                    error=error,
                    remedy=remedy if cause else None,
                )

        self.store.again("noting the end of a stream", once)


class _CursorMovedError(Exception):
    """The store's cursor is not the one that this pass wrote last.

    Another sync moved it, or a server that took over lacks the last commits: going on would leave a gap.
    """


@dataclass
class _Reading:
    """How far a stream has got: everything here is committed. ``kept`` is what the store's cursor must be."""

    counts: LoadCounts = field(default_factory=LoadCounts)
    cursor: Cursor | None = None
    kept: Cursor | None = None
    part: bool = False
