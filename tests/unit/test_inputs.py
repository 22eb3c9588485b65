"""Input files, kind by kind: what rows they give, and what is said of every faulty one."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
import yaml

from metrics import inputs
from metrics.inputs import InputFault, Known, Reading
from metrics.period import Calendar
from pipeline.company import Inputs

CASES = Path(__file__).parents[1] / "cases" / "inputs"
KNOWN_ON = date(2026, 6, 1)


def cases(group: str) -> list[Any]:
    return [
        pytest.param(file.stem, case, id=f"{file.stem}: {case['name']}")
        for file in sorted(CASES.glob("*.yaml"))
        for case in yaml.safe_load(file.read_text(encoding="utf-8"))[group]
    ]


def read(kind: str, folder: Path, text: str, known_on: date = KNOWN_ON, start: int = 1) -> Known:
    path = folder / f"{kind}.csv"
    path.write_text(text, encoding="utf-8")
    known_at = datetime(known_on.year, known_on.month, known_on.day, 12, tzinfo=UTC)
    return inputs.load(kind, path, Reading(Calendar(ZoneInfo("UTC"), known_at, start), "USD"))


def test_every_kind_has_its_cases() -> None:
    assert {file.stem for file in CASES.glob("*.yaml")} == set(Inputs.model_fields) == set(inputs.kinds())


@pytest.mark.parametrize(("kind", "case"), cases("good"))
def test_rows_of_a_good_file(tmp_path: Path, kind: str, case: dict[str, Any]) -> None:
    start = case.get("fiscal_year_start_month", 1)
    known = read(kind, tmp_path, case["text"], case.get("known_on", KNOWN_ON), start)

    assert known.rows.schema == inputs.kinds()[kind].schema
    assert [list(row) for row in known.rows.iter_rows()] == case["rows"]
    assert known.later == case.get("later", 0)


@pytest.mark.parametrize(("kind", "case"), cases("bad"))
def test_faults_of_a_bad_file(tmp_path: Path, kind: str, case: dict[str, Any]) -> None:
    with pytest.raises(InputFault) as caught:
        read(kind, tmp_path, case["text"])

    assert [str(fault) for fault in caught.value.faults] == case["faults"]
    assert caught.value.total == len(case["faults"])
    assert "\n" not in str(caught.value)
    assert str(caught.value).startswith(f"inputs.{kind}: {tmp_path / kind}.csv ")


@pytest.mark.parametrize("kind", Inputs.model_fields)
def test_a_template_is_a_good_file_with_one_row(tmp_path: Path, kind: str) -> None:
    layout = inputs.kinds()[kind]

    assert read(kind, tmp_path, inputs.example(layout), date(2026, 12, 31)).rows["line"].to_list() == [2]
    assert read(kind, tmp_path, inputs.template(layout)).rows.is_empty()


@pytest.mark.parametrize("kind", Inputs.model_fields)
def test_the_documentation_of_a_kind_names_its_columns(kind: str) -> None:
    documentation = import_module(f"metrics.inputs.{kind}").__doc__ or ""
    own = [name for name in inputs.kinds()[kind].header if name not in ("source", "as_of")]
    for name in own:
        assert f"\n- {name}: " in documentation
    assert "\nKey: " in documentation
