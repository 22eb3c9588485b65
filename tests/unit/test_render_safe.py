"""CRM text in the three forms: whatever a record is called, it stays text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from html import unescape
from html.parser import HTMLParser
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

from metrics.board import BoardReport, Evidence, LeftOut, Restatement, StageRow
from metrics.evidence import Record
from metrics.render import render_forms
from metrics.render.safe import cell, link, markdown, plain, record_url, unlinked
from tests.unit.board_sample import ratio, report, value

ATTACKS = (
    "<script>alert(1)</script>",
    "\"><img src=x onerror=alert(1)>",
    "</style><svg onload=alert(1)>",
    "{{ 7*7 }}{% raw %}",
    "[click](javascript:alert(1))",
    "![pixel](https://evil.example/p.png)",
    "https://evil.example/login",
    "www.evil.example",
    "evil.example",
    "mailto:boss@evil.example",
    "@everyone <!channel> <@U123>",
    "=HYPERLINK(\"https://evil.example\")",
    "+1+cmd|' /C calc'!A0",
    "-2+3",
    "@SUM(A1)",
    "＝1+1",
    "a | b | c",
    "1. first\n2. second",
    "# heading\n\n---",
    "*bold* _it_ `code` ~~gone~~ $math$",
    "\u202egnp.exe\u202c",
    "\x00\x07\x1b[31mred\x1b[0m",
    "zero\u200bwidth\ufeff",
    "line\u2028separator\u2029here",
    "&lt;b&gt; &amp; <b>",
    "<!-- comment -->",
    "A" * 5000,
    "",
    "  ",
    "日本語の取引 café Ω",
)  # fmt: skip


def hostile(text: str) -> BoardReport:
    """A report in which every text from the CRM is the attack."""
    return report(
        company=text,
        bridge_month=None,
        bridge_year=None,
        arr_trend=(),
        nrr_trend=(),
        nrr_points=(),
        grr_trend=(),
        pipeline=(StageRow("a", text, 4, 1000, True), StageRow("b", text, 2, 500, None)),
        win_rates=(
            ratio("win_rate", "Win rate", 0.25, n=40, segment={"size": text}),
            ratio("win_rate", "Win rate", 0.5, n=40, segment={"size": text}),
        ),
        left_out=(LeftOut(text, text, text, "javascript:alert(1)"),),
        evidence=(Evidence("arr", "ARR", 1, "currency", (Record("deals", text, text, 5.0, text, f"https://crm.example/{text}"),)),),
    )  # fmt: skip


@cache
def forms_of(attack: str) -> dict[str, str]:
    return {name: content.decode() for name, content in render_forms(hostile(attack)).items()}


class Page(HTMLParser):
    """Everything in a page that could act or fetch."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.handlers: list[str] = []
        self.urls: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        for name, content in attrs:
            if name.startswith("on"):
                self.handlers.append(name)
            if name in ("href", "src", "xlink:href", "action", "data", "srcset", "poster"):
                self.urls.append(content or "")


@pytest.mark.parametrize("attack", ATTACKS)
def test_html_stays_inert(attack: str) -> None:
    html = forms_of(attack)["html"]
    page = Page()
    page.feed(html)
    assert not page.tags & {"script", "img", "iframe", "object", "embed", "form", "base"}
    assert not page.handlers
    assert all(url.startswith(("#", "data:,", "https://crm.example/")) for url in page.urls)
    assert html.count("</style>") == 1
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", html)


@pytest.mark.parametrize("attack", ATTACKS)
def test_markdown_and_text_stay_inert(attack: str) -> None:
    forms = forms_of(attack)
    for page in (forms["md"], forms["txt"]):
        assert not re.search(
            "[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069\u2028\u2029\u200b\ufeff]", page
        )
        bare = re.sub(r"\(<https://crm\.example/[^>]*>\)", "", page)
        assert not re.search(r"://\w|www\.\w|\bevil\.example|@[\w<]", bare)
    md = forms["md"]
    assert not re.search(r"<(?!https://crm\.example/)", md)
    assert not re.search(r"\]\((?!<https://crm\.example/)", md)
    assert "![" not in md.replace(r"\!", "")


@pytest.mark.parametrize("attack", [text for text in ATTACKS if text[:1] in ("=", "+", "-", "@", "＝")])
def test_no_cell_is_a_formula(attack: str) -> None:
    """A table pasted into a spreadsheet calculates nothing: every such name is quoted first."""
    html = forms_of(attack)["html"]
    cells = re.findall(r"<t[hd][^>]*>\s*(?:<a[^>]*>)?([^<]*)", html)
    assert not [cell for cell in cells if re.match(r"[=@＝]|[-+](?![$\d]|–)", cell.strip())]
    assert cell(attack).startswith("'")


@pytest.mark.parametrize("attack", ["=1+1", "+1+cmd", "-2+3", "＝1+1"])
def test_only_a_cell_that_a_spreadsheet_may_read_is_quoted(attack: str) -> None:
    """Neither Markdown nor plain text is one: a quote before a name, or before our own signed amounts, is a stray."""
    forms = forms_of(attack)
    assert f"'{attack}" in unescape(forms["html"])
    for page in (forms["md"], forms["txt"]):
        assert not re.search(r"'\\?[-+=＝]", page)


def test_a_segment_that_stands_alone_names_its_cut() -> None:
    when = datetime(2026, 5, 3, tzinfo=UTC)
    item = Restatement(
        "win_rate", "Win rate", "industry", "unknown", "2026-04", "ratio", "USD", 0.25, when, 0.5
    )
    rates = (ratio("win_rate", "Win rate", 0.25, n=40, segment={"size": "unknown"}),)
    for form in render_forms(report(restatements=(item,), win_rates=rates)).values():
        told = " ".join(unescape(form.decode()).replace("\\", "").split())
        assert "Win rate by industry: unknown, April 2026" in told
        assert "size unknown wins 25.0%" in told


def test_a_signed_amount_of_ours_is_not_quoted_in_any_form() -> None:
    when = datetime(2026, 5, 3, tzinfo=UTC)
    item = Restatement("arr", "ARR", "", "", "2026-04", "currency", "USD", 500_00, when, 700_00,
                       contribution_unit="currency", difference=200_00.0)  # fmt: skip
    forms = render_forms(report(restatements=(item,)))
    for form, amount in (("md", r"\+$200.00"), ("txt", "+$200.00"), ("html", "+$200.00")):
        shown = unescape(forms[form].decode()).replace(r"\$", "$")
        assert amount in shown
        assert f"'{amount}" not in shown


@pytest.mark.parametrize("attack", ATTACKS)
def test_charts_of_hostile_labels_are_xml_and_text(attack: str) -> None:
    html = forms_of(attack)["html"]
    drawings = re.findall(r"<svg.*?</svg>", html, re.DOTALL)
    assert drawings
    for drawing in drawings:
        names = {element.tag.rpartition("}")[2] for element in ElementTree.fromstring(drawing).iter()}
        assert names <= {
            "svg",
            "g",
            "path",
            "text",
            "line",
            "rect",
            "circle",
            "tspan",
            "title",
            "defs",
            "clipPath",
        }


@given(st.text())
def test_plain_is_one_short_harmless_line(text: str) -> None:
    line = plain(text)
    assert len(line) <= 161
    assert "\n" not in line
    assert plain(line) == line
    assert not re.match(r"[=+\-@]", cell(text))
    assert cell(cell(text)) == cell(text)


@given(st.text(alphabet="ab*_`[]()<>&|#!~$^\\@:/.1-+= ", max_size=60))
def test_markdown_has_no_bare_markup(text: str) -> None:
    escaped = re.sub(r"\\[\\`*_{}\[\]()#+\-!|~$^.]", "", markdown(text))
    assert not re.search(r"[*_`\[\]()<>|#!~$^\\]", escaped)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("Renewal 2026: phase 2, 04:00", "Renewal 2026: phase 2, 04:00"),
        ("Acme Inc. 1.5 seats", "Acme Inc. 1.5 seats"),
        ("a@b.example", "a@\u2060b.\u2060example"),
        ("see http://x", "see http:\u2060//x"),
    ],
)
def test_only_addresses_are_broken(text: str, shown: str) -> None:
    assert unlinked(text) == shown


@pytest.mark.parametrize(
    "url",
    ["javascript:alert(1)", "data:text/html,x", "//evil.example", "ftp://x/y", "https://u:p@x/", "https://x/\n", "https://",
     "http://[bad", "", None, "\u202ehttps://x"],
)  # fmt: skip
def test_other_links_are_dropped(url: str | None) -> None:
    assert link(url) is None


def test_record_links() -> None:
    assert (
        record_url("https://crm.example/r/{id}/view", '00"><6') == "https://crm.example/r/00%22%3E%3C6/view"
    )
    assert link("https://crm.example/a b") is None
    assert record_url(None, "1") is None


def test_undefined_reasons_are_escaped_too() -> None:
    row = report().scorecard[-1]
    shown = report(scorecard=(type(row)(value(value=None, status="not_computable", reasons=("<b>x</b>",))),))
    html = render_forms(shown, only=("html",))["html"].decode()
    assert "not computable: &lt;b&gt;x&lt;/b&gt;" in html
    assert "<b>x" not in html
