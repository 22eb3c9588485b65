"""What boards were told before and is not so any more, in words: which number, by how much, and why.

The page has one line for each number, with causes, counts and amounts; the records stand in the evidence.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from metrics.board import BoardReport, CauseShare, RecordChange, Restatement
from metrics.kpi import Unit
from metrics.kpi_ids import MONEY
from metrics.render import annex, numbers
from metrics.render.safe import link, plain
from metrics.words import by_segment

TITLE: Final = "Restated since it was published"
_CAUSES: Final = 4  # of one number; the rest is counted
_CENT: Final = 0.5
_SILENT: Final = "The records behind it are the same; what they hold has changed"
_NOUNS: Final = {
    "deals": "deal",
    "accounts": "account",
    "leads": "lead",
    "contracts": "contract",
    "subscriptions": "subscription",
    "spend": "line of spend",
    "opening_arr": "row of the opening list",
}
_FIELDS: Final = {"arr": "ARR", "converted_at": "converted", "sql_at": "SQL date", "mql_at": "MQL date"}
# What is said of one record or many; {field}: what changed.
_SAID: Final = {
    "deleted": "deleted",
    "merged": "merged",
    "late": "recorded late",
    "reopened": "reopened",
    "back_dated": "back-dated",
    "restored": "restored from the bin",
    "changed": "changed: {field}",
    "lapsed": "expired and not renewed in time",
    "fx": "at a corrected exchange rate",
    "input": "from revised input",
    "currency": "reported in another currency",
    "definition": "by another definition",
    "settings": "by other settings",
    "unknown": "for reasons that no record tells",
}


@dataclass(frozen=True)
class RestatedLine:
    """A published number that is another one now: which, what it was and when, what it is, and why."""

    what: str
    published: str
    now: str
    why: str


def lines(report: BoardReport) -> tuple[RestatedLine, ...]:
    """What is restated, the latest month first.

    A difference that no digit of the page shows, and that no definition or currency explains, is none for a board.
    """
    return tuple(_line(item, report) for item in report.restatements if _shows(item))


def evidence(report: BoardReport) -> tuple[annex.EvidenceList, ...]:
    """The records behind each restated number, with what happened to each."""
    return tuple(
        _records(item, report, number)
        for number, item in enumerate(report.restatements)
        if item.records and _shows(item)
    )


def _shows(item: Restatement) -> bool:
    before, after = (_figure(value, item.unit, item.currency) for value in (item.published, item.now))
    return before != after or bool(item.other_currency or item.other_definition)


def _what(item: Restatement) -> str:
    segment = by_segment({item.cut: plain(item.segment, 60)}) if item.segment else ""
    return f"{item.title}{segment}, {numbers.month_name(item.month)}"


def _line(item: Restatement, report: BoardReport) -> RestatedLine:
    when = numbers.day(item.published_at.astimezone(ZoneInfo(report.timezone)).date())
    before = _figure(item.published, item.unit, item.other_currency or item.currency)
    return RestatedLine(
        what=_what(item),
        published=f"{before} ({when})",
        now=_figure(item.now, item.unit, item.currency),
        why=". ".join(_why(item)) or _SILENT,
    )


def _figure(value: float | None, unit: Unit, currency: str) -> str:
    return annex.UNDEFINED if value is None else numbers.quantity(value, unit, currency, exact=True)


def _why(item: Restatement) -> Iterator[str]:
    change = _change(item)
    told = _causes(item)
    if change or told:
        yield ": ".join(part for part in (change, told) if part)
    if item.other_currency:
        yield f"It was reported in {item.other_currency}"
    if item.other_definition:
        yield f"It was defined as {plain(item.other_definition, 200)}"
    if item.other_settings:
        yield f"The configuration said otherwise of {', '.join(item.other_settings)}"
    if item.inputs:
        yield plain("; ".join(item.inputs), 300)
    if item.now is None and item.reasons:
        yield plain("; ".join(item.reasons), 300)


def _change(item: Restatement) -> str:
    """``-$50,000.00``; of an average or a share what its sum changed by; nothing where that means nothing."""
    if item.difference is not None:
        amount = _signed(item.difference, item.contribution_unit, item.currency)
        own = item.unit == "currency" and item.now is not None and item.published is not None
        same = own and abs((item.now or 0) - (item.published or 0) - item.difference) < _CENT
        ratio = numbers.change(item.now, item.published, item.unit, item.currency)
        return amount if same else ", ".join(part for part in (ratio, f"its numerator {amount}") if part)
    if item.other_currency:
        return ""
    return numbers.change(item.now, item.published, item.unit, item.currency) or ""


def _signed(value: float, unit: Unit, currency: str) -> str:
    text = numbers.quantity(value, unit, currency, exact=unit in MONEY)
    return text if value < 0 else f"+{text}"


def _causes(item: Restatement) -> str:
    """``1 deal reopened (-$30,000.00), 2 deals back-dated (+$20,000.00)``, and what they leave open."""
    told = [_share(share, item) for share in item.causes[:_CAUSES]]
    rest = item.causes[_CAUSES:]
    if rest:
        told.append(f"{sum(share.records for share in rest):,} more for other causes{_rest(rest, item)}")
    missing = item.unexplained
    unknown = sum(share.step or 0 for share in item.causes if share.cause == "unknown")
    if missing is not None and abs(missing - unknown) >= _CENT:
        told.append(
            f"{_signed(missing - unknown, item.contribution_unit, item.currency)} in none of these records"
        )
    return ", ".join(told)


def _rest(shares: tuple[CauseShare, ...], item: Restatement) -> str:
    if item.contribution_unit not in MONEY or any(share.step is None for share in shares):
        return ""
    return f" ({_signed(sum(share.step or 0 for share in shares), item.contribution_unit, item.currency)})"


def _share(share: CauseShare, item: Restatement) -> str:
    noun = _NOUNS.get(share.object, "record")
    first, _, rest = noun.partition(" ")
    many = f"{first}s {rest}".strip()
    amount = ""
    if item.contribution_unit in MONEY and share.step is not None:
        amount = f" ({_signed(share.step, item.contribution_unit, item.currency)})"
    return f"{share.records:,} {noun if share.records == 1 else many} {said(share)}{amount}"


def said(share: CauseShare) -> str:
    """``reopened``; of what happened to another record: ``through a deal reopened``."""
    words = _SAID[share.cause].format(field=_field(share.field))
    if not share.through:
        return words
    return (
        f"with a deal {words}"
        if share.object == "accounts"
        else f"by another change at its customer ({words})"
    )


def _field(field: str | None) -> str:
    """A column as a person calls it; null: nobody keeps which."""
    if field is None:
        return "which field is not kept"
    return _FIELDS.get(field, field.removesuffix("_id").replace("_", " "))


def _records(item: Restatement, report: BoardReport, number: int) -> annex.EvidenceList:
    """``number``: its place, which tells segments apart that are called whatever the CRM calls them."""
    share = annex.shown(len(item.records), item.total)
    return annex.EvidenceList(
        kpi=f"restated-{item.kpi}-{item.month}{f'-{item.cut}-{number}' if item.segment else ''}",
        title=f"Restated: {_what(item)}",
        shown=share,
        caption=f"Records that count otherwise in {_what(item)}: {share}"
        + (", the largest differences" if len(item.records) < item.total else ""),
        records=tuple(
            annex.RecordLine(
                name=plain(record.name, 80) or plain(record.external_id, 60),
                external_id=plain(record.external_id, 60),
                contribution=_moved(item, record),
                note=plain(_note(record, report), 240),
                url=link(record.url),
            )
            for record in item.records
        ),
    )


def _moved(item: Restatement, record: RecordChange) -> str:
    def figure(value: float | None, currency: str) -> str:
        return "not counted" if value is None else _figure(value, item.contribution_unit, currency)

    before = figure(record.before, item.other_currency or item.currency)
    return f"{before}, now {figure(record.after, item.currency)}"


def _note(record: RecordChange, report: BoardReport) -> str:
    """``reopened on 7 June 2026: stage Closed Won -> Discovery``."""
    share = CauseShare(record.cause, record.object, 1, None, record.field, record.through is not None)
    when = ""
    if record.at is not None:
        when = f" on {numbers.day(record.at.astimezone(ZoneInfo(report.timezone)).date())}"
    values = ""
    if record.old is not None or record.new is not None:
        field = "" if record.cause == "changed" else f"{_field(record.field)} "
        values = f": {field}{record.old or 'blank'} -> {record.new or 'blank'}"
        if record.cause == "fx":
            values = f": {record.new}"
    through = f" ({record.through})" if record.through else ""
    return f"{said(share)}{when}{values}{through}"
