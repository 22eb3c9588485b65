"""``docs/schema.md``: everything described, nothing described that is not there."""

from __future__ import annotations

import re

from pipeline import dictionary, meanings, reference, views
from pipeline.tables import METADATA

PAGE = reference.page()


def test_every_table_and_view_is_described_with_its_grain() -> None:
    for name in (*METADATA.tables, *views.VIEWS):
        assert f"### {name}\n" in PAGE
        assert dictionary.about()[name]
        # What tells one row from the next is said in words.
        assert re.search(r"Grain: |Grain\b", dictionary.about()[name]), name


def test_every_column_of_every_table_has_its_line() -> None:
    for name, table in METADATA.tables.items():
        part = PAGE.split(f"### {name}\n")[1].split("\n### ")[0]
        lines = [line for line in part.splitlines() if line.startswith("| `")]
        assert [line.split("`")[1] for line in lines] == [column.name for column in table.columns]
        for line in lines:
            cells = [cell.strip() for cell in line.strip("|").split(" | ")]
            assert len(cells) == 5, line
            assert cells[-1], line


def test_every_column_of_every_view_has_its_line() -> None:
    part = PAGE.split("## Views\n")[1].split("\n## Tables")[0]
    lines = [line for line in part.splitlines() if line.startswith("| `")]
    assert len(lines) > 30
    for line in lines:
        assert line.strip("|").split(" | ")[-1].strip(), line


def test_references_name_columns_that_are_there() -> None:
    for child, column, parent in meanings.REFERENCES:
        assert column in METADATA.tables[child].columns, (child, column)
        assert parent in METADATA.tables


def test_the_diagram_is_of_words_that_mermaid_knows() -> None:
    (diagram,) = re.findall(r"```mermaid\n(.*?)```", PAGE, re.DOTALL)
    first, *lines = diagram.splitlines()
    assert first == "erDiagram"
    shapes = (r"    \w+ \{", r"        [a-z_]+ \w+ PK", r"    \}", r'    \w+ \|\|--o\{ \w+ : "\w+"')
    for line in lines:
        assert any(re.fullmatch(shape, line) for shape in shapes), line


def test_meanings_are_of_columns_that_are_there() -> None:
    """A table that was renamed or dropped leaves no meaning behind."""
    assert set(meanings.OF) <= set(METADATA.tables) | set(views.VIEWS)
