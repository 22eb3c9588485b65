"""Handing a board report over: each version goes to each destination once, through crashes and retries.

The outbox is the store's ``deliveries``. A note that we are about to post is durable before anything is sent; how it
ended is noted after. What is noted as posted is never sent again, also when today's numbers differ: that is reported,
and whether to issue a new version is for a person to say. A note without an end means that we may have posted: it is
tried again with the same key, which a destination that can tell does not post twice.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from typing import Any, Final, Literal

import orjson

from connectors.destination import Attachment, Destination, Message, file_stem
from connectors.errors import BoardlineError, DeliveryConflict
from metrics import snapshot
from metrics.board import BoardReport
from metrics.render import FORMS, numbers, render_forms
from metrics.words import by_segment
from pipeline.company import Company
from pipeline.records import DeliveryRecord
from pipeline.store import Store
from pipeline.transaction import Transaction

FIRST_VERSION: Final = 1
Outcome = Literal["posted", "already_posted", "failed", "unknown"]
Clock = Callable[[], datetime]


@dataclass(frozen=True)
class Delivery:
    """How handing a report to one destination ended.

    ``posted``: it is there, since now or since an earlier try that was not noted. ``already_posted``: nothing was
    sent; ``differences`` names the numbers that have changed since. ``failed``: nothing was posted, ``problem`` says
    why, and the next run tries again. ``unknown``: something else stands where it should go, a person decides.
    """

    destination: str
    key: str
    status: Outcome
    location: str | None = None
    differences: tuple[str, ...] = ()
    problem: BoardlineError | None = None

    def as_json(self) -> dict[str, Any]:
        """For ``report --json``."""
        return {
            "destination": self.destination,
            "key": self.key,
            "status": self.status,
            "location": self.location,
            "differences": list(self.differences),
            "error": str(self.problem) if self.problem else None,
        }

    def __str__(self) -> str:
        changed = f"; today's numbers differ in: {', '.join(self.differences)}" if self.differences else ""
        if self.problem:
            return f"{self.destination}: {self.status}: {self.problem}{changed}"
        return f"{self.destination}: {self.status.replace('_', ' ')} ({self.location}){changed}"


def deliver(
    store: Store,
    company: Company,
    report: BoardReport,
    destinations: Mapping[str, Destination],
    version: int = FIRST_VERSION,
    now: Clock = lambda: datetime.now(UTC),
) -> list[Delivery]:
    """Hand the report to each destination, by its configured name, at most once per month and version.

    One destination's failure does not keep the others from getting theirs. Raises only the store's own errors.
    """
    forms = _Forms(report)
    return [
        _one(store, company, forms, name, destination, version, now)
        for name, destination in destinations.items()
    ]


def key_of(company: str, month: str, destination: str, version: int = FIRST_VERSION) -> str:
    """The same for every try of the same post."""
    return f"{company}:{month}:{destination}:{version}"


class _Forms:
    """The forms of one report, rendered once and only when something is sent."""

    def __init__(self, report: BoardReport) -> None:
        self.report = report
        self.fingerprint = fingerprint(report)

    @property
    def snapshot(self) -> str | None:
        """The digest of the numbers in it; None where there are none to freeze."""
        return self.report.frozen.digest if self.report.frozen is not None else None

    def keep(self, now: Clock) -> Callable[[Transaction], str] | None:
        """Saves the numbers in it."""
        frozen = self.report.frozen
        return None if frozen is None else lambda tx: snapshot.save(tx, frozen, now())

    @cached_property
    def rendered(self) -> dict[str, bytes]:
        return render_forms(self.report)

    def message(self, key: str) -> Message:
        stem = file_stem(f"{self.report.company}-{self.report.month}")
        return Message(
            key=key,
            subject=subject(self.report),
            text=self.rendered["txt"].decode(),
            markdown=self.rendered["md"].decode(),
            attachments=tuple(
                Attachment(f"{stem}.{suffix}", FORMS[suffix], content)
                for suffix, content in self.rendered.items()
            ),
        )


def subject(report: BoardReport) -> str:
    """``Acme: board revenue summary, May 2026``."""
    return f"{report.company}: board revenue summary, {numbers.month_name(report.month)}"


def _one(
    store: Store,
    company: Company,
    forms: _Forms,
    name: str,
    destination: Destination,
    version: int,
    now: Clock,
) -> Delivery:
    month, key = forms.report.month, key_of(company.name, forms.report.month, name, version)
    earlier = store.delivery(key)
    if earlier is not None and earlier.status == "posted":
        return _already(name, earlier, forms.report)
    # Also on another try: it may be today's numbers that get through, and then it is they that were published.
    store.begin_delivery(company.name, month, name, version, key, forms.fingerprint, now(), forms.keep(now))
    try:
        receipt = destination.deliver(forms.message(key))
    except DeliveryConflict as conflict:
        return _conflict(store, name, key, earlier, forms.report, conflict, now)
    except BoardlineError as error:
        store.finish_delivery(key, "failed", now(), error=str(error))
        return Delivery(name, key, "failed", problem=error)
    store.finish_delivery(
        key,
        "posted",
        now(),
        location=receipt.location,
        content_hash=forms.fingerprint,
        snapshot=forms.snapshot,
    )
    return Delivery(name, key, "posted", receipt.location)


def _already(name: str, note: DeliveryRecord, report: BoardReport, location: str | None = None) -> Delivery:
    changed = differences(note.content_hash, report)
    return Delivery(name, note.key, "already_posted", location or note.location, changed)


def _conflict(
    store: Store,
    name: str,
    key: str,
    earlier: DeliveryRecord | None,
    report: BoardReport,
    conflict: DeliveryConflict,
    now: Clock,
) -> Delivery:
    """Other content stands under our key. After a try whose end was not noted it is that try's: it got through."""
    if earlier is not None and earlier.status == "pending":
        store.finish_delivery(key, "posted", now(), location=conflict.location)
        return _already(name, earlier, report, conflict.location)
    store.finish_delivery(key, "unknown", now(), location=conflict.location, error=str(conflict))
    return Delivery(name, key, "unknown", conflict.location, problem=conflict)


def fingerprint(report: BoardReport) -> str:
    """One short hash per printed number, as JSON, so that a later run can say which of them have changed."""
    return orjson.dumps({name: _hash(text) for name, text in _printed(report).items()}).decode()


def differences(earlier: str, report: BoardReport) -> tuple[str, ...]:
    """The titles of the numbers that are not what they were in the ``fingerprint`` given."""
    before = orjson.loads(earlier)
    after = {name: _hash(text) for name, text in _printed(report).items()}
    return tuple(name for name in dict.fromkeys([*after, *before]) if before.get(name) != after.get(name))


def _printed(report: BoardReport) -> dict[str, str]:
    """Every number of the report by a name a person knows, exactly."""
    scores = {row.now.title: f"{row.now.value!r} {row.now.status}" for row in report.scorecard}
    bridges = {
        f"ARR bridge of {bridge.label}": repr((bridge.opening, bridge.movements, bridge.closing))
        for bridge in (report.bridge_month, report.bridge_year)
        if bridge is not None
    }
    segments = {
        f"Win rate{by_segment(value.segment)}": f"{value.value!r} {value.n}" for value in report.win_rates
    }
    stages = {"Pipeline by stage": repr([(row.stage, row.deals, row.amount) for row in report.pipeline])}
    return {**scores, **bridges, **segments, **stages}


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]
