"""The three forms say the report's numbers and nothing else: they are read back and compared."""

from __future__ import annotations

import re
from dataclasses import replace
from functools import cache
from html.parser import HTMLParser

import pytest
from rich.cells import cell_len

from metrics.board import BoardReport
from metrics.evidence import Record
from metrics.finding import CausePart, Finding
from metrics.kpi import KpiValue
from metrics.render import numbers, render_forms, wording
from metrics.render.safe import _JOINER
from tests.unit.board_sample import KNOWN_AT, ratio, report

FORMS = ("html", "md", "txt")


@cache
def forms() -> dict[str, str]:
    return {name: content.decode() for name, content in render_forms(report()).items()}


class Tables(HTMLParser):
    """The tables of a page as rows of texts, by caption, and the structure that readers of screens need."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tables: dict[str, list[list[str]]] = {}
        self.captionless = 0
        self._rows: list[list[str]] = []
        self._text: list[str] | None = None
        self._caption: str | None = None
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.ids += [content for name, content in attrs if name == "id" and content]
        if tag == "table":
            self._rows, self._caption = [], None
        elif tag == "tr":
            self._rows.append([])
        elif tag in ("td", "th", "caption"):
            self._text = []

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._text is not None:
            self._rows[-1].append(" ".join("".join(self._text).split()))
            self._text = None
        elif tag == "caption" and self._text is not None:
            self._caption, self._text = " ".join("".join(self._text).split()), None
        elif tag == "table":
            self.captionless += self._caption is None
            self.tables[self._caption or ""] = self._rows

    def handle_data(self, data: str) -> None:
        if self._text is not None:
            self._text.append(f" {data} ")


def scorecard_of(form: str) -> dict[str, list[str]]:
    """Metric -> cells now, last month, year ago, as one form prints them."""
    page = forms()[form]
    if form == "html":
        rows = next(rows for caption, rows in Tables(page).tables.items() if "status follows" in caption)
        return {row[0]: row[1:4] for row in rows[1:]}
    if form == "md":
        lines = page.split("## Scorecard")[1].split("Notes:")[0].splitlines()
        table = [
            [cell.strip() for cell in line.strip("|").split(" | ")] for line in lines if line.startswith("|")
        ]
        return {row[0]: row[1:4] for row in table[2:]}
    block = page.split("SCORECARD")[1].split("\n* ")[0].splitlines()[4:]
    found: dict[str, list[str]] = {}
    name = ""
    for line in block:
        cells = [cell.strip() for cell in line.split(" | ")]
        if len(cells) < 4:
            continue
        if re.search(r"\d|not|–", cells[2]):
            name = cells[0]
            found[name] = cells[1:4]
        else:
            found[name + " " + cells[0]] = [
                f"{a} {b}".strip() for a, b in zip(found.pop(name), cells[1:4], strict=True)
            ]
            name = name + " " + cells[0]
    return found


@pytest.mark.parametrize("form", FORMS)
def test_scorecard_reads_back(form: str) -> None:
    shown = scorecard_of(form)
    assert len(shown) == len(report().scorecard)
    for row, (name, cells) in zip(report().scorecard, shown.items(), strict=True):
        assert name.replace(_JOINER, "").replace("\\", "").startswith(row.now.title)
        printed = cells[0].replace(_JOINER, "").replace("\\", "")
        if row.now.value is None:
            reason = f"not computable: {row.now.reasons[0]}"
            if form == "txt":  # in a line of its own below the table
                assert f"* {row.now.title}: {reason}" in " ".join(forms()[form].replace(_JOINER, "").split())
                assert printed == "not computable"
            else:
                assert printed == reason
            continue
        assert printed == numbers.value_text(row.now, row.edges)
        earlier = (row.last_month, row.year_ago)
        for value, cell in zip(earlier, cells[1:], strict=True):
            text = numbers.value_text(value, row.edges) if value else None
            assert text is not None
            assert cell.replace("\\", "").startswith(text)


@pytest.mark.parametrize("form", FORMS)
def test_bridges_read_back_and_tie(form: str) -> None:
    page = forms()[form]
    for bridge in (report().bridge_month, report().bridge_year):
        assert bridge is not None
        expected = [bridge.opening, *(step.amount for step in bridge.movements), bridge.closing]
        if form == "html":
            caption = f"ARR bridge, {bridge.label}; it ties to the cent"
            cells = [row[1] for row in Tables(page).tables[caption][1:]]
        else:
            block = page[page.index(f"{bridge.label}: ") :]
            cells = re.findall(r"\| +([-+]?\$[\d,.]+)", block)[: len(expected)]
        read = [round(float(re.sub(r"[$,+]", "", cell)) * 100) for cell in cells]
        assert read == expected
        assert read[0] + sum(read[1:-1]) == read[-1]


@pytest.mark.parametrize("form", FORMS)
def test_the_points_of_nrr_read_back_and_add_up(form: str) -> None:
    page = " ".join(forms()[form].replace("\\", "").replace(_JOINER, "").split())
    assert "What made NRR: churn took 4.6 points; seat brought 4.2 points" in page
    for row in report().nrr_points:
        for _, tenths in row.parts:
            assert wording.points(tenths) in page
    tables = Tables(forms()["html"]).tables
    lines = next(rows for caption, rows in tables.items() if caption.startswith("Points that make NRR"))
    assert lines[1] == ["All (n=310)", "+4.2", "+1.8", "0", "+1.1", "-2.5", "-4.6", "0"]
    for _, *parts, total in lines[1:]:
        assert sum(float(part) for part in parts) == pytest.approx(float(total), abs=1e-9)


@pytest.mark.parametrize("form", FORMS)
def test_an_escalator_is_told_apart_from_what_was_sold(form: str) -> None:
    """R13: contracted step-ups stand inside expansion, and apart."""
    bridge = report().bridge_month
    assert bridge is not None
    assert "escalator" not in forms()[form].split("Definitions")[0]
    stepped = report(bridge_month=replace(bridge, escalator=123_45))
    page = render_forms(stepped)[form].decode().replace("\\", "")
    assert "of it contracted before (escalator)" in " ".join(page.split())
    assert "$123.45" in page


@pytest.mark.parametrize("form", FORMS)
def test_every_other_number_is_there(form: str) -> None:
    page = forms()[form].replace("\\", "")
    for stage in report().pipeline:
        assert numbers.money(stage.amount, "USD") in page
    for value in report().win_rates:
        assert (numbers.value_text(value) or "not computable") in page
    for text in ("79.996%", "fails the gate of 80%", "82.2", "1,228", "30 of 60", "not visible in the CRM"):
        assert text in page, text
    assert "No quotas" in page
    if form != "txt":
        assert "$12,345.00" in page
        assert "1 of 1,204" in page


@pytest.mark.parametrize("form", FORMS)
def test_no_owner_is_named(form: str) -> None:
    assert "Secret" not in forms()[form]
    assert "Hidden" not in forms()[form]
    assert "2 owners" in forms()[form]


def test_headline_is_three_sentences_with_numbers() -> None:
    first, second, third = report().headline
    assert (
        first == "ARR was $4.10M on 31 May 2026, up 1.8% on the month before and up 28.3% on a year before"
        " at constant exchange rates."
    )
    assert second == (
        "The biggest movement of May 2026 was new logo (+$90K) in a net change of +$73.3K;"
        " NRR is 99.96% (off target; target: red below 100%)."
    )
    assert third == (
        "63 open deals hold $2.12M on 5 June 2026; "
        "coverage of the 2026-Q2 quota is 2.25× (off target; target: 3–5× quota)."
    )
    for form in FORMS:
        page = " ".join(forms()[form].replace("\\", "").replace(_JOINER, "").split())
        assert all(sentence in page for sentence in report().headline)


def test_one_growth_is_told_everywhere() -> None:
    """ARR growth is at constant rates; the sentence, the chart's title and the KPI cannot disagree."""
    page = forms()["html"]
    assert "ARR grew 28.3% in twelve months at constant exchange rates, to $4.10M" in page
    assert "Changes beside ARR include exchange rates" in page
    still = replace(report(), bridge_month=None, bridge_year=None)
    assert "constant" not in " ".join(wording.headline(still))
    assert (
        "unchanged on a year before"
        in wording.headline(replace(still, growth_year=ratio("arr_growth_yoy", "Growth", 0.0)))[0]
    )


def test_an_undefined_number_is_never_nought() -> None:
    blank = tuple(
        replace(
            row, now=replace(row.now, value=None, status="not_computable", reasons=("no data",)), series=()
        )
        for row in report().scorecard
    )
    shown = report(scorecard=blank, bridge_month=None, bridge_year=None, arr_trend=(), nrr_trend=(), grr_trend=(),
                   nrr_points=(),
                   win_rates=(), pipeline=(), quality=None)  # fmt: skip
    assert shown.headline[0] == "ARR is not computable: no data."
    for name, content in render_forms(shown).items():
        text = " ".join(content.decode().split())
        assert text.count("not computable") >= len(blank), name
        assert not re.search(r"(?<![\d.,])\$0(?!\d)|>0(\.0)?%<", text)


def test_an_empty_company_says_so() -> None:
    bare = BoardReport(**{
        **{name: getattr(report(), name) for name in
           ("company", "playbook", "month", "period", "state_on", "known_at", "currency", "crm")},
        "records": 0,
    })  # fmt: skip
    empty = replace(bare, headline=wording.headline(bare))
    for content in render_forms(empty).values():
        assert "no accounts and no deals" in content.decode()
        assert "$" not in content.decode()


def test_text_fits_eighty_columns() -> None:
    assert max(cell_len(line) for line in forms()["txt"].splitlines()) <= 80
    wide = render_forms(report(company="日本語" * 40), only=("txt",))["txt"].decode()
    assert max(cell_len(line) for line in wide.splitlines()) <= 80


def test_the_page_is_one_small_file_that_asks_for_nothing() -> None:
    page = forms()["html"]
    assert len(page) < 1_500_000
    parsed = Tables(page)
    assert not set(parsed.tags) & {
        "script",
        "img",
        "iframe",
        "object",
        "embed",
        "base",
        "form",
        "video",
        "audio",
    }
    assert page.count("<link ") == page.count('<link rel="icon" href="data:,">') == 1
    fetched = re.findall(r"""(?:src|srcset|xlink:href|poster)\s*=|@import|url\(""", page)
    assert not fetched
    assert set(re.findall(r'href="(?!#|data:,)([^/]+//[^/"]+)', page)) == {"https://acme.my.salesforce.com"}
    assert "default-src 'none'" in page


def test_the_page_can_be_read_by_everybody() -> None:
    page = forms()["html"]
    parsed = Tables(page)
    assert {"main", "header", "footer", "h1", "h2", "caption", "figcaption", "details"} <= set(parsed.tags)
    assert parsed.tags.count("h1") == 1
    assert parsed.captionless == 0
    assert len(parsed.ids) == len(set(parsed.ids))
    charts = re.findall(r'<svg[^>]*class="chart[^>]*>', page)
    assert charts
    assert all('role="img"' in chart and "aria-label=" in chart for chart in charts)
    assert '<html lang="en">' in page
    for rule in ("prefers-color-scheme: dark", "@media print", "max-width: 640px"):
        assert rule in page
    for section in re.findall(r'aria-labelledby="([^"]+)"', page):
        assert section in parsed.ids


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_texts_stand_out_from_their_ground(scheme: str) -> None:
    """WCAG AA: 4.5 to 1 for every text colour on the ground it is used on."""
    page = forms()["html"]
    blocks = re.findall(r":root \{(.*?)\}", page, re.DOTALL)
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6})", blocks[0 if scheme == "light" else 1]))
    pairs = [(text, ground) for text in ("ink", "muted", "link") for ground in ("paper", "panel")]
    pairs += [(name, f"{name}-bg") for name in ("good", "mid", "bad", "none")]
    for text, ground in pairs:
        assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)


def contrast(one: str, other: str) -> float:
    light, dark = sorted((luminance(one), luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize(
    ("target", "edges", "words"),
    [("red below 80%", (0.8,), "Within limits"), ("by ARR level", (), "Not judged"), (None, (), "No target")],
)
def test_a_line_that_is_kept_is_not_without_target(
    target: str | None, edges: tuple[float, ...], words: str
) -> None:
    row = report().scorecard[0]
    assert row.now.status == "no_target"
    assert wording.status(replace(row, now=replace(row.now, target=target), edges=edges)) == words


def segment(name: str, rate: float | None, n: int) -> KpiValue:
    return ratio("win_rate", "Win rate", rate, n=n, segment={"size": name})


@pytest.mark.parametrize(
    ("segments", "sentence"),
    [
        (
            [segment("SMB", 0.4, 40), segment("Mid-market", 1 / 9, 9), segment("Enterprise", 0.2, 10)],
            "Of the segments with at least 10 closed deals, Enterprise wins least, 20.0% (n=10); SMB 40.0% (n=40) most",
        ),
        (
            [segment("SMB", 0.4, 40), segment("Enterprise", 0.2, 10)],
            "Enterprise wins least, 20.0% (n=10); SMB 40.0% (n=40) most",
        ),
        (
            [segment("SMB", 0.4, 40), segment("Enterprise", 0.2, 9)],
            "SMB wins 40.0% (n=40); every other segment has fewer than 10 closed deals, too few to judge",
        ),
        ([segment("SMB", 0.4, 40)], "SMB wins 40.0% (n=40)"),
        (
            [segment("SMB", 0.4, 40), segment("Enterprise", 0.4, 10), segment("unknown", None, 0)],
            "Of the segments with at least 10 closed deals, each wins 40.0%",
        ),
        ([segment("SMB", 0.4, 40), segment("Enterprise", 0.4, 10)], "Of the segments, each wins 40.0%"),
        (
            [segment("SMB", 0.4, 9), segment("Enterprise", 0.4, 1)],
            "Every segment has fewer than 10 closed deals: too few to name one",
        ),
        ([segment("SMB", None, 0)], "No new-business deal closed in the quarter to date"),
    ],
)
def test_a_sentence_on_segments_tells_which_it_left_out(segments: list[KpiValue], sentence: str) -> None:
    assert wording.win_title(report(win_rates=tuple(segments))) == sentence


@pytest.mark.parametrize("form", FORMS)
def test_fields_are_called_what_people_call_them(form: str) -> None:
    quality = report().quality
    assert quality is not None
    ids = tuple(replace(quality.fields[0], field=name) for name in ("owner_id", "account_id"))
    page = render_forms(report(quality=replace(quality, fields=ids)), only=(form,))[form].decode()
    assert "owner id" not in page
    for name in ("owner", "account"):
        assert re.search(rf"deals: {name}\b", page.replace("\\", ""))


def test_what_is_undefined_is_read_in_one_line() -> None:
    """In the 80 columns of the text, with every number of the scorecard missing, and with a single one."""
    rows = report().scorecard

    def without(count: int) -> BoardReport:
        blank = []
        for row in rows[:count]:
            gone = replace(row.now, value=None, status="not_computable", reasons=("no data",))
            blank.append(replace(row, now=gone, last_month=gone, year_ago=gone))
        return report(scorecard=(*blank, *rows[count:]))

    for count in (1, len(rows)):
        shown = without(count)
        cells = [
            value for row in shown.scorecard for value in (row.now, row.last_month, row.year_ago) if value
        ]
        text = render_forms(shown, only=("txt",))["txt"].decode()
        table = text[text.index("SCORECARD") : text.index("* ")]
        missing = sum(cell.value is None for cell in cells)
        assert table.count(" not computable") == missing >= 3 * count, table
        assert not re.search(r"\bnot *\|", table), table
        assert max(map(cell_len, table.splitlines())) <= 80


def test_what_to_look_at_is_in_every_form_and_harmless() -> None:
    hostile = Record(
        "deals",
        "006<b>",
        "=HYPERLINK(1) <script>@all</script> [x](http://evil.example)",
        -1_234_500,
        "lost: <i>",
        None,
    )
    finding = Finding(
        call="retention", rule="retention_leak", kpi="nrr", title="Net revenue retention", month="2026-05", segment={},
        sentence="Net revenue retention is 95.5%, below 100.0%: <b>Key</b> accounts left.",
        next="Build a renewal process.",
        parts=(CausePart("Churn of small accounts", -1_234_500, "currency", "4.5 points"),),
        records=(hostile,), total=7,
        unit="currency", currency="USD", known_at=KNOWN_AT,
    )  # fmt: skip
    made = report(findings=(finding,), role="founder-led sales")
    page, markdown, words = (form.decode() for form in render_forms(made).values())
    for form in (page, markdown, words):
        assert "what to look at" in form.lower()
        assert "Build a renewal process" in " ".join(form.split())
        assert "founder" in form
    for form in (page, markdown):
        assert "<script" not in form
        assert "<b>Key" not in form
        assert "-$12,345.00" in form
    assert "[x](http" not in markdown
    assert b"What to look at" not in render_forms(report(), ("html",))["html"]
