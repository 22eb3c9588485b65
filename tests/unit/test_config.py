"""The configuration: everything that can be wrong gets one line that says what, where and what to do."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from connectors.errors import ConfigurationError
from connectors.schema import CURRENCIES, MINOR_UNITS, WITHDRAWN
from pipeline.company import ArrSettings, PrivacySettings, RetentionSettings
from scheduler import config, secrets
from scheduler.app import App

GOOD = """\
store: {url: sqlite:///boardline.db}
companies:
  acme:
    playbook: hr_tech
    timezone: Europe/Berlin
    crm:
      type: salesforce
      url: https://acme.my.salesforce.com
      auth: {flow: client_credentials, client_id: "${ID}", client_secret: "${SECRET}"}
    report: {destinations: [board]}
destinations:
  board: {type: file, path: reports}
"""

# what is changed in the good file -> what the message must contain
FAULTS = {
    "unknown top-level key": ("store:", "stor:", ["line 1", "unknown key 'stor'", "did you mean 'store'?"]),
    "unknown company key": ("timezone:", "timzone:", ["line 5", "companies.acme", "'timzone'", "'timezone'"]),
    "unknown nested key": ("type: salesforce", "typ: salesforce", ["line 7", "companies.acme.crm", "'type'"]),
    "time zone": ("Europe/Berlin", "Europe/Berln", ["line 5", "no time zone 'Europe/Berln'"]),
    "missing key": (
        "      type: salesforce",
        "      # no type",
        ["line 6", "companies.acme.crm", "'type' is missing"],
    ),
    "broken YAML": ("destinations: [board]", "destinations: [board", ["line 10", "bad YAML"]),
    "tab": ("    playbook", "\tplaybook", ["line 4", "bad YAML"]),
    "duplicate key": ("    playbook: hr_tech", "    timezone: UTC", ["line 5", "given twice", "line 4"]),
    "unknown destination": ("[board]", "[bord]", ["no destination 'bord'", "did you mean 'board'?"]),
    "destination without type": ("type: file, ", "", ["destinations.board", "`type` is missing"]),
    "wrong kind": (
        "timezone: Europe/Berlin",
        "fiscal_year_start_month: 13",
        ["line 5", "13 is out of range; write 12 or less"],
    ),
    "unknown column": (
        "    report:",
        "    fields: {deals: {ar: ARR__c}}\n    report:",
        ["line 10", "deals.ar is unknown", "did you mean 'arr'?"],
    ),
    "contracts of HubSpot": (
        "    crm:\n      type: salesforce",
        "    arr: {source: cpq}\n    crm:\n      type: hubspot",
        ["companies.acme", "cpq is read from Salesforce alone", "use source: line_items", "opening_arr"],
    ),
    "contracts worth nothing": (
        "    report:",
        "    arr: {source: contract}\n    report:",
        ["companies.acme", "fields: contracts: {amount: ...}"],
    ),
    "contracts and deals": (
        "    report:",
        "    arr: {source: cpq, renewal: delta}\n    report:",
        ["line 10", "renewal says how deals become contracts", "source: cpq"],
    ),
    "nothing in force": (
        "    report:",
        "    arr: {source: cpq, in_force: []}\n    report:",
        ["line 10", "in_force"],
    ),
    "unknown agreed KPI": (
        "    report:",
        "    engagement: {agreed_kpis: [nrr, win_rat]}\n    report:",
        ["line 10", "agreed_kpis: there is no KPI 'win_rat'", "did you mean 'win_rate'?"],
    ),
    "agreed twice": (
        "    report:",
        "    engagement: {agreed_kpis: [nrr, nrr]}\n    report:",
        ["line 10", "a KPI is named twice"],
    ),
    "unknown engagement key": (
        "    report:",
        "    engagement: {agreed: [nrr]}\n    report:",
        ["line 10", "unknown key 'agreed'", "did you mean 'agreed_kpis'?"],
    ),
    "unknown scope": (
        "    report:",
        "    engagement: {scope: marketing}\n    report:",
        ["line 10", "'marketing' is not known; it is one of revenue, full_gtm"],
    ),
    "a type with two meanings": (
        "    report:",
        "    deal_types: {new: [Deal], expansion: [deal]}\n    report:",
        ["line 10", "'deal' stands under new and under expansion", "one of them"],
    ),
    "bands with a hole": (
        "    report:",
        "    size_bands: [{name: A, employees_from: 100}]\n    report:",
        ["line 10", "must begin at employees_from: 0"],
    ),
    "a weight of no required field": (
        "    report:",
        "    quality: {field_weights: {amont: 2}}\n    report:",
        ["companies.acme", "quality.field_weights names 'amont', which is no required field", "amount"],
    ),
    "weights of nothing": (
        "    report:",
        "    required_deal_fields: [amount]\n    quality: {field_weights: {amount: 0}}\n    report:",
        ["companies.acme", "gives every required field the weight 0"],
    ),
    "required from a stage, but not required": (
        "    report:",
        "    quality: {required_from: {loss_reason: Proposal}}\n    report:",
        ["companies.acme", "quality.required_from names 'loss_reason', which is no required field"],
    ),
    "too many quarters of stages": (
        "    report:",
        "    sales: {stage_quarters: 9}\n    report:",
        ["line 10", "9 is out of range; write 8 or less"],
    ),
    "no multiple of a norm": (
        "    report:",
        "    sales: {stage_old: 0.5}\n    report:",
        ["line 10", "0.5 is out of range; write 1.0 or more"],
    ),
    "unknown partner rule": (
        "    report:",
        "    acquisition: {partner_rule: lookup}\n    report:",
        ["line 10", "'lookup' is not known; it is one of either, source, field"],
    ),
    "a list": (GOOD, "- a\n", ["does not hold"]),
    "hashing without a key": (
        "    report:",
        "    privacy: {contacts: hashed}\n    report:",
        ["line 10", "hashed needs a key", "key: ${NAME}"],
    ),
    "an unknown privacy mode": (
        "    report:",
        "    privacy: {contacts: hash}\n    report:",
        ["line 10", "one of full, hashed, none"],
    ),
    "an unknown privacy key": (
        "    report:",
        "    privacy: {contact: none}\n    report:",
        ["line 10", "unknown key 'contact'", "did you mean 'contacts'?"],
    ),
    "bad schedule": (
        "    report:",
        "    schedule: {sync: sometimes}\n    report:",
        ["line 10", "'sometimes' is no schedule", "every 15 minutes"],
    ),
    "bad cron field": (
        "    report:",
        "    schedule: {board_report: 'cron: 99 * * * *'}\n    report:",
        ["line 10", "companies.acme.schedule.board_report", "minute '99'", "0 to 59"],
    ),
}


NAMES = {
    '"../evil"': "no / \\ : or control character",
    "a/b": "no / \\ : or control character",
    '"a\\\\b"': "no / \\ : or control character",
    "'a:b'": "no / \\ : or control character",
    '"a\\tb"': "no / \\ : or control character",
    '"a\\u202Eb"': "no / \\ : or control character",
    ".hidden": "no dot",
    "'-c'": "no dot, dash",
    "' acme'": "space at its beginning",
    "''": "is empty",
    "'  '": "is empty",
    "a" * 61: "61 letters long; 60 are allowed",
    "2026": "no text; put it in quotes",
}


@pytest.mark.parametrize("name", NAMES)
def test_a_name_that_is_unsafe_is_refused(file: Path, name: str) -> None:
    file.write_text(GOOD.replace("acme:", f"{name}:", 1))
    with pytest.raises(ConfigurationError) as caught:
        config.load(file)
    assert f"{file}, line 3: companies" in str(caught.value)
    assert NAMES[name] in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("name", ["Müller & Söhne GmbH", "日本電気", "acme-2_x", "O'Reilly (UK), Ltd."])
def test_a_name_may_be_what_companies_are_called(file: Path, name: str) -> None:
    file.write_text(GOOD.replace("acme:", f'"{name}":', 1), encoding="utf-8")
    assert config.load(file).companies[name].name == name


def test_two_companies_cannot_share_a_name(file: Path) -> None:
    file.write_text(GOOD.replace("    playbook:", "    name: other\n    playbook:", 1))
    with pytest.raises(ConfigurationError, match=r"companies\.acme\.name: .* key"):
        config.load(file)


def leaves(
    schema: Mapping[str, Any], part: Mapping[str, Any], at: tuple[str, ...]
) -> Iterator[tuple[str, ...]]:
    """Every place in the file that has a value of its own."""
    for option in part.get("anyOf", [part]):
        found = schema["$defs"][option["$ref"].rsplit("/", 1)[-1]] if "$ref" in option else option
        for key, inner in found.get("properties", {}).items():
            yield (*at, key)
            yield from leaves(schema, inner, (*at, key))


PLACES = sorted({*leaves(config.json_schema(), config.json_schema()["$defs"]["CompanyConfig"], ()), ("crm",)})


@pytest.mark.parametrize("wrong", [[[1]], {"a": {"b": 1}}, -1, "no such thing", []], ids=repr)
@pytest.mark.parametrize("place", PLACES, ids=".".join)
def test_no_fault_is_told_in_the_words_of_a_library(file: Path, place: tuple[str, ...], wrong: Any) -> None:
    document = yaml.safe_load(GOOD)
    at = document["companies"]["acme"]
    for key in place[:-1]:
        at = at.setdefault(key, {})
    at[place[-1]] = wrong
    file.write_text(yaml.safe_dump(document))
    try:
        config.load(file)
    except ConfigurationError as error:
        message = str(error)
    else:
        return  # some places take it
    assert re.search(r"; |did you mean|known are", message), message
    assert not re.search(
        r"(?i)input should|valid (string|integer|tuple|dict)|pattern|value error|\[key\]", message
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("companies:\n  acme:", "companies: {}\nx:\n  acme:", "unknown key 'x'"),
        (
            "    timezone:",
            "    currency: usd\n    timezone:",
            "'usd' is no currency; write its ISO code in capitals",
        ),
        (
            "    timezone:",
            "    completeness_threshold: 0\n    timezone:",
            "0 is out of range; write more than 0",
        ),
        ("    timezone:", "    arr: {basis: mmr}\n    timezone:", "one of arr, mrr, acv, tcv"),
        ("    timezone:", "    engagement_start: June\n    timezone:", "no date; write it as 2026-06-01"),
        ('client_id: "${ID}"', "client_id: 4711", "no text; put it in quotes"),
    ],
)
def test_what_is_allowed_is_said(file: Path, old: str, new: str, expected: str) -> None:
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        config.load(file)
    assert expected in str(caught.value)
    assert "4711" not in str(caught.value)


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("XXX", "'XXX' is no currency in use; write the ISO 4217 code of the company's own, such as USD"),
        ("XAU", "'XAU' is no currency in use; did you mean "),
        ("USS", "'USS' is no currency in use; did you mean USD, "),
        ("EUO", "EUR"),
        ("HRK", "HRK is no longer in use; write EUR, which took its place"),
        ("ZWL", "ZWL is no longer in use; write ZWG, which took its place"),
    ],
)
def test_a_currency_is_one_in_use(file: Path, code: str, told: str) -> None:
    file.write_text(GOOD.replace("    timezone:", f"    currency: {code}\n    timezone:", 1))
    with pytest.raises(ConfigurationError) as caught:
        config.load(file)
    assert f"{file}, line 5: companies.acme.currency: " in str(caught.value)
    assert told in str(caught.value)


@pytest.mark.parametrize("code", ["USD", "EUR", "JPY", "KWD", "CLF", "XOF", "XCG", "ZWG", "SLE", "VES"])
def test_a_currency_in_use_is_taken(file: Path, code: str) -> None:
    file.write_text(GOOD.replace("    timezone:", f"    currency: {code}\n    timezone:", 1))
    assert config.load(file).companies["acme"].currency == code


def test_the_lists_of_currencies_agree() -> None:
    assert len(CURRENCIES) == 165  # 178 codes of the list, 13 of them without a minor unit
    assert set(MINOR_UNITS) <= CURRENCIES
    assert set(WITHDRAWN.values()) <= CURRENCIES
    assert not CURRENCIES & set(WITHDRAWN)


@pytest.mark.parametrize(
    ("url", "told"),
    [
        ("https://me:hidden@acme.my.salesforce.com", "must not contain credentials; put them under crm.auth"),
        ("https://acme.my.salesforce.com?token=hidden", "without path, query or fragment: https://acme.my."),
        ("https://acme.my.salesforce.com/#hidden", "without path, query or fragment: https://acme.my."),
        ("http://acme.my.salesforce.com", "use https://acme.my.salesforce.com"),
        ("acme.my.salesforce.com", "did you mean https://acme.my.salesforce.com?"),
    ],
)
def test_an_address_that_no_source_takes_is_refused_and_not_repeated(file: Path, url: str, told: str) -> None:
    file.write_text(GOOD.replace("https://acme.my.salesforce.com", f'"{url}"'))
    with pytest.raises(ConfigurationError) as caught:
        config.load(file)
    assert f"{file}, line 8: companies.acme.crm.url: " in str(caught.value)
    assert told in str(caught.value)
    assert "hidden" not in str(caught.value)


def test_no_company_is_told_with_what_to_do(file: Path) -> None:
    file.write_text("companies: {}\n")
    with pytest.raises(ConfigurationError, match="line 1: companies: it is empty; add at least one"):
        config.load(file)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "config.yaml"
    path.write_text(GOOD)
    return path


@pytest.mark.parametrize("name", FAULTS)
def test_a_fault_is_explained_in_one_line(file: Path, name: str) -> None:
    old, new, expected = FAULTS[name]
    assert old in GOOD
    file.write_text(GOOD.replace(old, new, 1))
    with pytest.raises(ConfigurationError) as caught:
        config.load(file)
    message = str(caught.value)
    assert "\n" not in message
    assert caught.value.exit_status == 2
    for part in [str(file), *expected]:
        assert part in message


def test_a_good_file_roots_its_paths_and_names_its_companies(file: Path) -> None:
    loaded = config.load(file)
    assert loaded.companies["acme"].name == "acme"
    assert loaded.store.url == f"sqlite:///{file.parent / 'boardline.db'}"
    assert loaded.destinations["board"]["path"] == file.parent / "reports"


@pytest.mark.parametrize("text", ["", "# nothing\n", "[1, 2]\n", "companies: {}\n", "companies:\n"])
def test_an_empty_file_is_refused(file: Path, text: str) -> None:
    file.write_text(text)
    with pytest.raises(ConfigurationError):
        config.load(file)


def test_no_configuration_says_where_it_looked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("BOARDLINE_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    with pytest.raises(ConfigurationError, match="boardline init"):
        config.find(None)


def test_the_example_is_complete_and_valid() -> None:
    example = Path(__file__).parents[2] / "config.example.yaml"
    loaded = config.load(example)
    acme = loaded.companies["acme"]
    text = example.read_text()
    parts = (
        config.Config,
        config.CompanyConfig,
        config.CrmSettings,
        config.ScheduleSettings,
        config.ReportSettings,
        PrivacySettings,
        ArrSettings,
        RetentionSettings,
    )
    for model in parts:
        for key in model.model_fields:
            assert key == "name" or f"{key}:" in text or key == "options", f"{key} is missing in the example"
    assert acme.fields.mapped()["deals"]["arr"] == "ARR__c"


def test_secrets_come_from_three_places_and_are_masked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ACME_KEY", "s3cr3t/+from env")
    file = tmp_path / "secret"
    file.write_text("from-a-file-0815\n")
    assert secrets.resolve("${ACME_KEY}", "here") == "s3cr3t/+from env"
    assert secrets.resolve(f"x-${{file:{file}}}", "here") == "x-from-a-file-0815"
    masked = secrets.mask("a s3cr3t/+from env, b from-a-file-0815, c s3cr3t%2F%2Bfrom%20env")
    assert "s3cr3t" not in masked
    assert "0815" not in masked


@pytest.mark.parametrize(
    ("reference", "expected"),
    [
        ("${NOT_THERE}", "export NOT_THERE="),
        ("${file:/nowhere/x}", "/nowhere/x"),
        ("${keyring:service}", "keyring:service/user"),
    ],
)
def test_a_missing_secret_names_itself_and_its_place(
    reference: str, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("NOT_THERE", raising=False)
    with pytest.raises(ConfigurationError) as caught:
        secrets.resolve(reference, "companies.acme.crm.auth.client_id")
    assert expected in str(caught.value)
    assert "companies.acme.crm.auth.client_id" in str(caught.value)


def test_a_privacy_key_is_resolved_when_it_is_used_and_never_shown(
    file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file.write_text(
        GOOD.replace("    report:", '    privacy: {contacts: hashed, key: "${PRIVACY_KEY}"}\n    report:')
    )
    app = App.load(file)
    company = app.companies()[0]
    with pytest.raises(ConfigurationError, match=r"privacy\.key.*PRIVACY_KEY"):
        app.with_key(company)
    monkeypatch.setenv("PRIVACY_KEY", "too-short-key")
    with pytest.raises(ConfigurationError, match="16 characters") as caught:
        app.with_key(company)
    assert "too-short-key" not in str(caught.value)
    monkeypatch.setenv("PRIVACY_KEY", "long-enough-a-key-0815")
    keyed = app.with_key(company)
    assert keyed.privacy.key is not None
    assert keyed.privacy.key.get_secret_value() == "long-enough-a-key-0815"
    assert "0815" not in repr(keyed) + str(keyed) + secrets.mask("key long-enough-a-key-0815")


def test_two_companies_may_share_their_settings(tmp_path: Path) -> None:
    """By an anchor of YAML: one mapping under two names."""
    path = tmp_path / "config.yaml"
    path.write_text(
        GOOD.replace("  acme:", "  acme: &shared").replace(
            "destinations:\n", "  globex: *shared\ndestinations:\n"
        )
    )
    found = config.load(path).companies
    assert {name: company.name for name, company in found.items()} == {"acme": "acme", "globex": "globex"}
