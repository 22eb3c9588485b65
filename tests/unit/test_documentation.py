"""How other products define the same names: every KPI says so in one form, or is named here with the reason."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Final

import pytest

from metrics import documentation
from metrics.board import Definition
from metrics.compute import registered
from metrics.render.html import render_html
from metrics.render.markdown import render_markdown
from tests.unit import board_sample

# One spelling each.
PRODUCTS: Final = {
    "Baremetrics", "Battery", "ChartMogul", "Clari", "ClariLayer", "Elementary", "Fivetran (dbt_hubspot)",
    "Fivetran (dbt_salesforce)", "Funnelcast and Varicent", "GitLab", "HubSpot", "ICONIQ", "Kellblog", "KeyBanc",
    "mrr-playbook", "Petavue", "SaaS CFO", "SaaSGrid", "Salesforce", "SMSB", "Sourcegraph", "Tidemill",
}  # fmt: skip
# What nobody else was found to define.
OWN: Final = {
    "cycle_days_weighted": "a cycle weighted by ARR is the dev-tools playbook's own",
    "partner_sourced_pipeline": "what others say of partners is about the business that was won",
}
KPIS: Final = sorted(registered())


@pytest.mark.parametrize("name", KPIS)
def test_every_kpi_says_how_others_define_its_name(name: str) -> None:
    told = documentation.of(name).elsewhere
    assert bool(told) != (name in OWN), f"{name} needs a paragraph `Elsewhere:`, or a reason in OWN, not both"
    products = [product for product, _ in told]
    assert products == sorted(set(products), key=str.casefold)
    for product, sentence in told:
        assert product in PRODUCTS
        assert re.fullmatch(r"[^.]+(?:\.\d[^.]*)*\.", sentence), (
            f"{product}: this is not one sentence: {sentence}"
        )
        assert len(sentence) < 240


def test_what_is_excused_is_a_kpi_with_a_reason() -> None:
    assert set(OWN) <= set(KPIS)
    assert all(len(reason.split()) > 4 for reason in OWN.values())


def test_every_product_is_named_somewhere() -> None:
    named = {product for name in KPIS for product, _ in documentation.of(name).elsewhere}
    assert named == PRODUCTS


def test_a_sentence_goes_on_in_the_next_line() -> None:
    told = documentation.read(
        "Win rate.\n\nFormula: won / all.\nElsewhere:\n- GitLab: as here,\n  but later.\n- HubSpot: no.\n"
    )
    assert told.text == "Win rate.\n\nFormula: won / all."
    assert told.elsewhere == (("GitLab", "as here, but later."), ("HubSpot", "no."))


@pytest.mark.parametrize(
    "line", ["GitLab: as here.", "- GitLab as here.", "  as here.", "", "-GitLab: as here."]
)
def test_another_form_is_refused(line: str) -> None:
    with pytest.raises(ValueError, match="no line of the form"):
        documentation.read(f"Win rate.\nElsewhere:\n{line}\n- HubSpot: no.")


def test_a_docstring_without_the_paragraph_is_all_text() -> None:
    assert documentation.read("Win rate.\n\nElsewhere: it is another.") == documentation.Documentation(
        "Win rate.\n\nElsewhere: it is another."
    )


def test_the_report_prints_it_after_the_kpis_own_words() -> None:
    entry = Definition("arr", "ARR", "arr/1", "Live.\n\nFormula: sum.", (("GitLab", "MRR x 12, as <here>."),))
    made = board_sample.report(definitions=(entry,))
    assert "Elsewhere, GitLab: MRR x 12, as &lt;here&gt;." in render_markdown(made)
    assert "<li>GitLab: MRR x 12, as &lt;here&gt;.</li>" in render_html(made)
    bare = replace(made, definitions=(replace(entry, elsewhere=()),))
    assert "Elsewhere" not in render_markdown(bare) + render_html(bare)
