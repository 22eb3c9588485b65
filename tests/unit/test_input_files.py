"""Input files as people hand them in: how they are saved, what their headers say, and which line is meant."""

from __future__ import annotations

import io
import zipfile
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from metrics import inputs
from metrics.inputs import InputFault, Known, Reading
from metrics.period import Calendar

HEADER = "month,channel,kind,amount,currency,segment,source,as_of"
HEAD = "month,channel,kind,amount\n"
ROW = "2026-04,events,people,100\n"


def read(path: Path) -> Known:
    known_at = datetime(2026, 6, 1, tzinfo=UTC)
    return inputs.load("spend", path, Reading(Calendar(ZoneInfo("UTC"), known_at), "USD"))


def saved(folder: Path, content: bytes) -> Path:
    path = folder / "spend.csv"
    path.write_bytes(content)
    return path


def workbook() -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as file:
        file.writestr("xl/workbook.xml", "<workbook/>")
    return content.getvalue()


@pytest.mark.parametrize(
    ("content", "line"),
    [
        ((HEAD + ROW).encode(), 2),
        ((HEAD + ROW).encode("utf-8-sig"), 2),
        ((HEAD + ROW).replace("\n", "\r\n").encode("utf-8-sig"), 2),
        ((HEAD + ROW).replace("\n", "\r").encode(), 2),
        ((HEAD + ROW).strip().encode(), 2),
        (b'"month","channel","kind","amount"\n"2026-04","events","people","100"\n', 2),
        (b" Month ,CHANNEL,Kind,amount\n 2026-04 , events,people , 100\n", 2),
        (("\n# what finance gave us\n\n" + HEAD + ROW).encode(), 5),
        ((HEAD + "# 2025-04,events,people,7\n,,,\n   \n" + ROW).encode(), 5),
        (b"month,channel,kind,amount,,\n2026-04,events,people,100,,\n", 2),  # as spreadsheets save empty columns
        (b"month,channel,kind,amount,source\n2026-04,events,people,100,\"from\nthe\n\"\"board\"\"\"\n", 2),
    ],
)  # fmt: skip
def test_ways_to_save_a_good_file(tmp_path: Path, content: bytes, line: int) -> None:
    (row,) = read(saved(tmp_path, content)).rows.iter_rows(named=True)
    assert (str(row["month"]), row["channel"], row["amount"], row["line"]) == (
        "2026-04-01", "events", 10_000, line,
    )  # fmt: skip


SEPARATED = "line 1: its cells are separated by {}; save it with commas between them"
SAVE = "save it as CSV UTF-8 (comma delimited)"


@pytest.mark.parametrize(
    ("content", "fault"),
    [
        (b"", f"is empty; its first line must be {HEADER}"),
        (b"\xef\xbb\xbf\r\n \n", f"is empty; its first line must be {HEADER}"),
        (workbook(), f"is an Excel workbook or another zip file, not CSV in UTF-8; {SAVE}"),
        (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", f"is an old Excel workbook, not CSV in UTF-8; {SAVE}"),
        (b"%PDF-1.7", f"is a PDF, not CSV in UTF-8; {SAVE}"),
        ((HEAD + ROW).encode("utf-16"), f"is text in UTF-16, not CSV in UTF-8; {SAVE}"),
        (b"SQLite format 3\0", f"is not text; {SAVE}"),
        (b"<!DOCTYPE html><html>sign in</html>", f"is a web page or XML, not CSV; {SAVE}"),
        ((HEAD + ROW + "2026-04,caf\u00e9,people,1\n").encode("latin-1"), f"line 3: is not text in UTF-8; {SAVE}"),
        ((HEAD + ROW).replace(",", ";").encode(), SEPARATED.format("semicolons")),
        ((HEAD + ROW).replace(",", "\t").encode(), SEPARATED.format("tabs")),
        (b'month,channel,kind,amount\n2026-04,events,people,1\n2026-05,"events,people,1\n2026-06,a,people,1\n',
         "line 3: is not valid CSV: a quote in the row that begins here is not closed, or not doubled inside a cell "
         "(unexpected end of data); correct it"),
    ],
)  # fmt: skip
def test_what_is_no_table_is_said_in_a_sentence(tmp_path: Path, content: bytes, fault: str) -> None:
    path = saved(tmp_path, content)
    with pytest.raises(InputFault) as caught:
        read(path)
    assert [str(one) for one in caught.value.faults] == [fault]
    assert str(caught.value).startswith(f"inputs.spend: {path}")


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(
        InputFault, match=r"none\.csv: cannot be read: No such file or directory; correct inputs"
    ):
        read(tmp_path / "none.csv")
    with pytest.raises(InputFault, match="cannot be read: Is a directory"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("header", "faults"),
    [
        ("month,chanel,kind,amount", ["unknown column 'chanel'; did you mean 'channel'?"]),
        ("month,channel,kind,amount,curency", ["unknown column 'curency'; did you mean 'currency'?"]),
        ("month,channel,kind", ["missing column amount; the first line must name them"]),
        ("month,channel,kind,amount,colour",
         ["unknown column 'colour'; known are month, channel, kind, amount, currency, segment, source, as_of"]),
        ("month,month,channel,kind,amount", ["column 'month' is there twice; keep one of them"]),
        ("month,,channel,kind,amount", ["column 2 has no name; name it, or take it out"]),
        ("month,Customer Key,amounts",
         ["unknown column 'customer key'; known are month, channel, kind, amount, currency, segment, source, as_of",
          "unknown column 'amounts'; did you mean 'amount'?",
          "missing column channel, kind; the first line must name them"]),
        ("2026-04,events,people,100",
         [f"unknown column '{cell}'; known are month, channel, kind, amount, currency, segment, source, as_of"
          for cell in ("2026-04", "events", "people", "100")]
         + ["missing column month, channel, kind, amount; the first line must name them"]),
    ],
)  # fmt: skip
def test_headers_name_every_column_that_is_wrong(tmp_path: Path, header: str, faults: list[str]) -> None:
    with pytest.raises(InputFault) as caught:
        read(saved(tmp_path, f"{header}\n{ROW}".encode()))
    assert [str(one) for one in caught.value.faults] == [f"line 1: {fault}" for fault in faults]


def test_lines_stay_true_behind_cells_with_line_breaks(tmp_path: Path) -> None:
    good = 'month,channel,kind,amount,source\n2026-01,"a\nb",people,1,"x\r\ny"\n\n'
    text = f'{good}2026-02,c,people,bad,\n2026-03,d,"p\nq",1,\n'
    with pytest.raises(InputFault) as caught:
        read(saved(tmp_path, text.encode()))
    assert [str(one) for one in caught.value.faults] == [
        "line 6: amount 'bad' is not a number; write for example 12000.00",
        "line 7: kind 'p q' is neither people nor program; write for example program",
    ]


def test_rows_with_too_many_or_too_few_cells(tmp_path: Path) -> None:
    with pytest.raises(InputFault) as caught:
        read(saved(tmp_path, (HEAD + "2026-04,events,people\n2026-04,events,people,1,000\n" + ROW).encode()))
    assert [str(one) for one in caught.value.faults] == [
        f"line {line}: has {cells} cells, but the header names 4 columns; put a cell that holds commas in double quotes"
        for line, cells in ((2, 3), (3, 5))
    ]


def test_ten_faults_are_named_and_the_others_counted(tmp_path: Path) -> None:
    rows = "".join(f"2026-04,c{n},people,\n" for n in range(12))
    path = saved(tmp_path, (HEAD + ROW + rows).encode())
    with pytest.raises(InputFault) as caught:
        read(path)
    assert (len(caught.value.faults), caught.value.total) == (10, 12)
    assert [fault.line for fault in caught.value.faults] == list(range(3, 13))
    text = str(caught.value)
    assert text.startswith(f"inputs.spend: {path} has 12 faults: line 3: amount is empty; ")
    assert text.endswith("; line 12: amount is empty; write for example 12000.00; and 2 more")
    assert caught.value.told == (
        "spend.csv line 3: amount is empty; write for example 12000.00 (and 11 more: see boardline check)"
    )


def test_what_a_cell_holds_cannot_break_a_message(tmp_path: Path) -> None:
    cell = "\x1b[31mred\u202e {} " + "9" * 100
    with pytest.raises(InputFault) as caught:
        read(saved(tmp_path, f"{HEAD}2026-04,events,people,{cell}\n".encode()))
    (fault,) = caught.value.faults
    assert fault.text == f"amount ' [31mred {{}} {'9' * 28}…' is not a number; write for example 12000.00"
