"""Bulk API 2.0 query jobs: created, polled, read page by page as CSV, aborted, deleted.

A job's result is written to a file when the job completes and does not change afterwards, so its locators
can be fetched again as long as the job exists.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import threading
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import orjson

from connectors.simulator.faults import Reply
from connectors.simulator.salesforce.compile import Compiled, Compiler
from connectors.simulator.salesforce.errors import NOT_FOUND, ApiError
from connectors.simulator.salesforce.fields import Table
from connectors.simulator.salesforce.ids import record_id
from connectors.simulator.salesforce.rest import Ask, answer, instant
from connectors.simulator.salesforce.soql import parse
from connectors.simulator.salesforce.store import Store

_DELIMITERS: Final = {
    "BACKQUOTE": "`",
    "CARET": "^",
    "COMMA": ",",
    "PIPE": "|",
    "SEMICOLON": ";",
    "TAB": "\t",
}
_ENDINGS: Final = {"LF": "\n", "CRLF": "\r\n"}
_UNSUPPORTED: Final = frozenset(("OpportunityStage", "CurrencyType", "DatedConversionRate", "Organization"))
_PAGE: Final = 50_000  # rows when the client does not say
_MOST_JOBS: Final = 10_000  # in 24 hours
_WRITE: Final = 2_000
_PAGES_AT_ONCE: Final = 5
_RESULT_PAGES_SINCE: Final = 58


@dataclass
class Job:
    """One query job. ``polls`` is how often it will still say InProgress."""

    id: str
    version: str
    operation: str
    soql: str
    delimiter: str
    ending: str
    created: int
    polls: int
    state: str = "UploadComplete"
    object: str = ""
    modified: int = 0
    rows: int = 0
    header: bytes = b""
    offsets: array[int] = field(default_factory=lambda: array("q"))  # where each row starts, and the end
    file: Path | None = None


class BulkJobs:
    """All query jobs of the org."""

    def __init__(self, store: Store, tables: Mapping[str, Table], directory: Path, polls: int) -> None:
        self._store = store
        self._tables = tables
        self._directory = directory
        self._polls = polls
        self._jobs: dict[str, Job] = {}
        self._made = 0
        self._lock = threading.Lock()

    def create(self, ask: Ask, now: int) -> Reply:
        """``POST /jobs/query``."""
        try:
            wish: dict[str, Any] = orjson.loads(ask.body)
        except orjson.JSONDecodeError as error:
            raise ApiError("JSON_PARSER_ERROR", f"The HTTP entity body is not valid JSON: {error}") from error
        operation, soql = wish.get("operation"), wish.get("query")
        if operation not in ("query", "queryAll") or not isinstance(soql, str):
            raise ApiError("INVALIDJOB", "operation (query or queryAll) and query are required")
        delimiter, ending = wish.get("columnDelimiter", "COMMA"), wish.get("lineEnding", "LF")
        if delimiter not in _DELIMITERS or ending not in _ENDINGS or wish.get("contentType", "CSV") != "CSV":
            raise ApiError("INVALIDJOB", "contentType, columnDelimiter or lineEnding is not supported")
        with self._lock:
            recent = sum(1 for job in self._jobs.values() if job.created > now - 86_400)
            if recent >= _MOST_JOBS:
                raise ApiError(
                    "LIMIT_EXCEEDED", f"Max bulk v2 query jobs ({_MOST_JOBS}) per 24 hrs has been reached"
                )
            compiled = self._compile(operation, soql, now)
            self._made += 1
            job = Job(
                record_id("QueryJob", self._made),
                ask.version,
                operation,
                soql,
                delimiter,
                ending,
                now,
                self._polls,
            )
            job.object, job.modified = compiled.table.name, now
            self._jobs[job.id] = job
        return answer(self._info(job, full=False))

    def _compile(self, operation: str, soql: str, now: int) -> Compiled:
        query = parse(soql)
        if query.entity in _UNSUPPORTED:
            raise ApiError("INVALIDENTITY", f"{query.entity} is not supported by the Bulk API")
        return Compiler(self._tables, now, everything=operation == "queryAll", style="bulk").compile(query)

    def status(self, ask: Ask, now: int) -> Reply:
        """``GET /jobs/query/<id>``: each poll takes the job one state further."""
        with self._lock:
            job = self._find(ask)
            if job.state in ("UploadComplete", "InProgress"):
                self._advance(job, now)
            return answer(self._info(job, full=True))

    def _advance(self, job: Job, now: int) -> None:
        job.modified = now
        if job.polls > 0:
            job.state, job.polls = "InProgress", job.polls - 1
            return
        self._run(job, now)
        job.state = "JobComplete"

    def _run(self, job: Job, now: int) -> None:
        compiled = self._compile(job.operation, job.soql, now)
        job.file = self._directory / f"{job.id}.csv"
        names = [".".join(column.path) for column in compiled.columns]
        job.header = _csv(job, [names])
        with job.file.open("wb") as out, self._store.lock:
            position = 0
            for rows in self._pages(compiled):
                for row in rows:
                    line = _csv(job, [row])
                    job.offsets.append(position)
                    position += len(line)
                    out.write(line)
            job.offsets.append(position)
        job.rows = len(job.offsets) - 1

    def _pages(self, compiled: Compiled) -> Iterator[list[list[Any]]]:
        keys = array("q", self._store.keys(compiled.keys, compiled.parameters))
        width = len(compiled.columns)
        booleans = [index for index, column in enumerate(compiled.columns) if column.field.type == "boolean"]
        for start in range(0, len(keys), _WRITE):
            wanted = orjson.dumps(keys[start : start + _WRITE].tolist()).decode()
            page = []
            for row in self._store.rows(compiled.page, (wanted,)):
                values = list(row[:width])
                for index in booleans:
                    if values[index] is not None:
                        values[index] = "true" if values[index] else "false"
                page.append(values)
            yield page

    def results(self, ask: Ask) -> Reply:
        """``GET /jobs/query/<id>/results``: one page of rows, with the header line."""
        with self._lock:
            job = self._complete(ask)
            start, size = self._position(ask, job), self._size(ask)
            end = min(start + size, job.rows)
            assert job.file is not None  # noqa: S101  # a complete job has its file
            with job.file.open("rb") as file:
                file.seek(job.offsets[start])
                body = job.header + file.read(job.offsets[end] - job.offsets[start])
        locator = _locator(end) if end < job.rows else "null"
        headers = {"Sforce-NumberOfRecords": str(end - start), "Sforce-Locator": locator}
        return Reply(200, body, "text/csv;charset=UTF-8", headers)

    def result_pages(self, ask: Ask) -> Reply:
        """``GET /jobs/query/<id>/resultPages``: the addresses of the next five pages."""
        if float(ask.version) < _RESULT_PAGES_SINCE:
            raise NOT_FOUND
        with self._lock:
            job = self._complete(ask)
            start, size = self._position(ask, job), self._size(ask)
        root = f"{ask.root}/jobs/query/{job.id}"
        starts = list(range(start, max(job.rows, 1), size))
        pages = [
            {"resultUrl": f"{root}/results?maxRecords={size}" + (f"&locator={_locator(at)}" if at else "")}
            for at in starts[:_PAGES_AT_ONCE]
        ]
        value: dict[str, Any] = {"resultPages": pages, "done": len(starts) <= _PAGES_AT_ONCE}
        if not value["done"]:
            following = _locator(starts[_PAGES_AT_ONCE])
            value["nextRecordUrl"] = f"{root}/resultPages?locator={following}&maxRecords={size}"
        return answer(value)

    def change(self, ask: Ask, now: int) -> Reply:
        """``PATCH /jobs/query/<id>`` with ``{"state": "Aborted"}``."""
        try:
            state = orjson.loads(ask.body).get("state")
        except (orjson.JSONDecodeError, AttributeError) as error:
            raise ApiError("JSON_PARSER_ERROR", "The HTTP entity body is not valid JSON") from error
        with self._lock:
            job = self._find(ask)
            if state != "Aborted":
                raise ApiError("INVALIDJOBSTATE", f"Invalid state transition to {state}")
            if job.state not in ("UploadComplete", "InProgress"):
                raise ApiError("INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
            job.state, job.modified = "Aborted", now
            return answer(self._info(job, full=True))

    def delete(self, ask: Ask) -> Reply:
        """``DELETE /jobs/query/<id>``: 204, with nothing in it."""
        with self._lock:
            job = self._find(ask)
            if job.state in ("UploadComplete", "InProgress"):
                raise ApiError("INVALIDJOBSTATE", "Deleting not Completed Job not allowed")
            del self._jobs[job.id]
        if job.file is not None:
            job.file.unlink()
        return Reply(204, b"")

    def list(self, ask: Ask) -> Reply:
        """``GET /jobs/query``."""
        with self._lock:
            records = [self._info(job, full=False) for job in self._jobs.values()]
        return answer({"done": True, "records": records, "nextRecordsUrl": None})

    def _find(self, ask: Ask) -> Job:
        job = self._jobs.get(ask.path["job"])
        if job is None:
            raise NOT_FOUND
        if job.version != ask.version:
            raise ApiError(
                "VERSION_MISMATCH",
                f"The job was created with API version {job.version}; use the same version",
                409,
            )
        return job

    def _complete(self, ask: Ask) -> Job:
        job = self._find(ask)
        if job.state != "JobComplete":
            raise ApiError("INVALIDJOBSTATE", f"Results are not available: the job's state is {job.state}")
        return job

    def _position(self, ask: Ask, job: Job) -> int:
        locator = ask.query.get("locator")
        if locator is None:
            return 0
        try:
            start = int(base64.urlsafe_b64decode(locator))
        except (binascii.Error, ValueError) as error:
            raise ApiError("INVALID_LOCATOR", f"Invalid locator: {locator}") from error
        if not 0 <= start <= job.rows:
            raise ApiError("INVALID_LOCATOR", f"Invalid locator: {locator}")
        return start

    def _size(self, ask: Ask) -> int:
        wish = ask.query.get("maxRecords")
        if wish is None:
            return _PAGE
        if not wish.isdigit() or int(wish) < 1:
            raise ApiError("INVALID_PARAMETER", f"maxRecords is not a positive number: {wish}")
        return int(wish)

    def _info(self, job: Job, *, full: bool) -> dict[str, Any]:
        info: dict[str, Any] = {
            "id": job.id,
            "operation": job.operation,
            "object": job.object,
            "createdById": record_id("user", 1),
            "createdDate": instant(job.created),
            "systemModstamp": instant(job.modified),
            "state": job.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": float(job.version),
            "lineEnding": job.ending,
            "columnDelimiter": job.delimiter,
        }
        if full:
            info |= {
                "jobType": "V2Query",
                "numberRecordsProcessed": job.rows,
                "retries": 0,
                "totalProcessingTime": 12 if job.state == "JobComplete" else 0,
                "isPkChunkingSupported": True,
            }
        return info


def _csv(job: Job, rows: list[list[Any]]) -> bytes:
    out = io.StringIO()
    csv.writer(
        out, delimiter=_DELIMITERS[job.delimiter], quoting=csv.QUOTE_ALL, lineterminator=_ENDINGS[job.ending]
    ).writerows(rows)
    return out.getvalue().encode()


def _locator(start: int) -> str:
    return base64.urlsafe_b64encode(str(start).encode()).decode()
