"""Orgs served from export files, and files that cannot be read."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from connectors.errors import ConfigurationError
from connectors.simulator.salesforce import SalesforceOrg, record_id
from connectors.simulator.server import Simulator
from tests.contract.simulator_salesforce_world import NOW, Client

ONE, TWO = record_id("deal", 1), record_id("deal", 2)
SAMPLES = Path(__file__).parents[2] / "../shared/data/salesforce_samples"


def ask(folder: Path, *queries: str) -> list[list[dict[str, Any]]]:
    with Simulator(SalesforceOrg.from_export(folder, now=NOW), tls=False) as simulator:
        client = Client(simulator)
        client.login()
        return [client.records(query) for query in queries]


@pytest.mark.parametrize("name", ["crdant", "dcarroll", "event_monitoring"])
def test_real_exports_keep_their_counts_and_sums(name: str) -> None:
    folder = SAMPLES / name
    if not folder.is_dir():
        pytest.skip("the sample exports are not here")
    counts: Counter[str] = Counter()
    sums: Counter[str] = Counter()
    names: set[str] = set()
    for path in folder.glob("*.json"):
        content = json.loads(path.read_text())
        for record in content["records"] if isinstance(content, dict) else []:
            if record["attributes"]["type"] == "Opportunity":
                counts[record["StageName"]] += 1
                sums[record["StageName"]] += record.get("Amount") or 0
                names.add(record["Name"])

    deals, stages, history = ask(
        folder,
        "SELECT Name, StageName, Amount, Probability, IsWon, CreatedDate FROM Opportunity",
        "SELECT ApiName, IsWon, IsClosed FROM OpportunityStage",
        "SELECT Id FROM OpportunityHistory",
    )

    assert Counter(deal["StageName"] for deal in deals) == counts
    served: Counter[str] = Counter()
    for deal in deals:
        served[deal["StageName"]] += deal["Amount"] or 0
    assert served == sums
    assert {deal["Name"] for deal in deals} == names
    assert {stage["ApiName"] for stage in stages} == set(counts)
    assert all(stage["IsWon"] == (stage["ApiName"] == "Closed Won") for stage in stages)
    assert all(stage["IsClosed"] == stage["ApiName"].startswith("Closed") for stage in stages)
    assert all(deal["Probability"] is not None for deal in deals)
    assert {deal["CreatedDate"] for deal in deals} == {"2026-03-01T00:00:00.000+0000"}
    assert history == []


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / name.replace("_json", ".json").replace("_csv", ".csv")).write_text(text, encoding="utf-8")
    return folder


def tree(kind: str, **values: object) -> dict[str, object]:
    reference = values.pop("reference", f"{kind}Ref1")
    return {"attributes": {"type": kind, "referenceId": reference}, **values}


def test_a_tree_with_references_and_nested_children(tmp_path: Path) -> None:
    records: list[dict[str, object]] = [
        tree(
            "Account",
            Name="Acme",
            Tier__c="Gold",
            Seats__c=5,
            Renewed__c=True,
            Contacts={"records": [tree("Contact", LastName="Chen", FirstName="Cy")]},
        ),
        tree("Product2", Name="Core", Family="Platform"),
        tree("PricebookEntry", Product2Id="@Product2Ref1", UnitPrice=15),
        tree("Opportunity", Name="D", AccountId="@AccountRef1", StageName="Closed Won", Amount=20,
             CloseDate="2025-01-01", OwnerId="@UserRef9"),
        tree("OpportunityLineItem", OpportunityId="@OpportunityRef1", PricebookEntryId="@PricebookEntryRef1",
             Quantity=3, UnitPrice=15),
        tree("Case", Subject="x"),
    ]  # fmt: skip
    write(tmp_path, everything_json=json.dumps({"records": records}), plan_json='[{"sobject": "Account"}]')

    contacts, deals, items, accounts = ask(
        tmp_path,
        "SELECT Name, Account.Name FROM Contact",
        "SELECT Account.Name, OwnerId, IsWon, Probability, ForecastCategoryName FROM Opportunity",
        "SELECT Product2.Name, Product2.Family, TotalPrice, Name FROM OpportunityLineItem",
        "SELECT Tier__c, Seats__c, Renewed__c FROM Account",
    )
    assert [(contact["Name"], contact["Account"]["Name"]) for contact in contacts] == [("Cy Chen", "Acme")]
    (deal,) = deals
    assert (deal["Account"]["Name"], deal["OwnerId"], deal["IsWon"]) == ("Acme", None, True)
    assert (deal["Probability"], deal["ForecastCategoryName"]) == (100.0, "Closed")
    (item,) = items
    assert (item["Product2"]["Family"], item["TotalPrice"], item["Name"]) == ("Platform", 45.0, "Core")
    assert accounts == [{"Tier__c": "Gold", "Seats__c": 5.0, "Renewed__c": True}]

    org = SalesforceOrg.from_export(tmp_path, now=NOW)
    org.close()
    assert any("Case" in note for note in org.notes)
    assert any("1 references to records that are not in the export" in note for note in org.notes)


def test_csv_files_named_after_their_objects(tmp_path: Path) -> None:
    won, lost = record_id("deal", 71), record_id("deal", 72)
    write(
        tmp_path,
        opportunity_csv=(
            "ID,NAME,STAGENAME,AMOUNT,CLOSEDATE,CREATEDDATE,ISCLOSED,ISWON,ZIP__C,CURRENCYISOCODE,ACCOUNT.NAME\n"
            f'{won[:15]},"Two\nlines",Signed,1000.5,2025-01-31,2024-12-01T10:00:00.000+0000,true,true,01234,EUR,Acme\n'
            f"{lost},Plain,Dropped,,2025-02-28,2024-12-02T10:00:00.000Z,true,false,99999,USD,Acme\n"
        ),
    )
    deals, stages = ask(
        tmp_path,
        "SELECT Id, Name, Amount, CreatedDate, IsWon, ZIP__C, CurrencyIsoCode FROM Opportunity ORDER BY CreatedDate",
        "SELECT ApiName, IsClosed, IsWon FROM OpportunityStage ORDER BY SortOrder",
    )
    assert deals == [
        {
            "Id": won,
            "Name": "Two\nlines",
            "Amount": 1000.5,
            "CreatedDate": "2024-12-01T10:00:00.000+0000",
            "IsWon": True,
            "ZIP__C": "01234",
            "CurrencyIsoCode": "EUR",
        },
        {
            "Id": lost,
            "Name": "Plain",
            "Amount": None,
            "CreatedDate": "2024-12-02T10:00:00.000+0000",
            "IsWon": False,
            "ZIP__C": "99999",
            "CurrencyIsoCode": "USD",
        },
    ]
    assert [tuple(stage.values()) for stage in stages] == [("Signed", True, True), ("Dropped", True, False)]


def test_numbers_as_reports_write_them(tmp_path: Path) -> None:
    write(
        tmp_path,
        Opportunity_csv=(
            "Id,Name,StageName,Amount,CloseDate\n"
            f'{ONE},x,Closed Won,"1,200.50",2026-05-31\n'
            f'{TWO},y,Closed Won,"-12,345,678",2026-05-31\n'
        ),
    )
    (deals,) = ask(tmp_path, "SELECT Amount FROM Opportunity ORDER BY Name")
    assert [deal["Amount"] for deal in deals] == [1200.5, -12345678]


def test_stages_whose_meaning_is_not_exported_are_named(tmp_path: Path) -> None:
    write(
        tmp_path,
        Opportunity_csv="Id,Name,StageName\n"
        + "".join(
            f"{record_id('deal', n)},{n},{stage}\n"
            for n, stage in enumerate(["Closed - No Decision", "Verbal", "Closed Lost", "Prospecting"], 1)
        ),
    )
    org = SalesforceOrg.from_export(tmp_path, now=NOW)
    org.close()
    assert org.notes == [
        "stage 'Closed - No Decision': the export does not say what it means, it was taken as closed without a win",
        "stage 'Verbal': the export does not say what it means, it was taken as open",
    ]
    (stages,) = ask(tmp_path, "SELECT ApiName, IsClosed FROM OpportunityStage ORDER BY SortOrder")
    assert [stage["ApiName"] for stage in stages if stage["IsClosed"]] == [
        "Closed - No Decision",
        "Closed Lost",
    ]


def test_fields_that_only_the_generated_company_has_are_absent(tmp_path: Path) -> None:
    write(tmp_path, Account_csv=f"Id,Name\n{record_id('account', 1)},Acme\n")
    with Simulator(SalesforceOrg.from_export(tmp_path, now=NOW), tls=False) as simulator:
        client = Client(simulator)
        client.login()
        fields = {field["name"] for field in client.get("sobjects/Opportunity/describe").json()["fields"]}
    assert "Amount" in fields
    assert not {name for name in fields if name.endswith("__c")}
    assert "CurrencyIsoCode" not in fields


@pytest.mark.parametrize(
    ("name", "text", "parts"),
    [
        ("a_json", '{"records": [\n{"attributes": }\n]}', ["a.json", "line 2"]),
        ("a_json", '{"Account": []}', ["a.json", "records"]),
        ("a_json", '{"records": [{"Name": "x"}]}', ["a.json", "record 1", "attributes.type"]),
        ("Account_csv", "Id,Name,Name\n,x,y\n", ["Account.csv", "Name", "twice"]),
        ("Account_csv", "Id\nx,y\n", ["Account.csv", "line 2", "2 cells"]),
        ("Account_csv", "", ["Account.csv", "first line"]),
        ("Account_csv", "Id,Name\nnonsense,x\n", ["Account.csv", "line 2", "nonsense"]),
        (
            "Opportunity_csv",
            f"Id,Amount\n{ONE},1\n{TWO},lots\n",
            ["Opportunity.csv", "line 3", "Amount", "lots", "1200.50"],
        ),
        ("Opportunity_csv", f'Id,Amount\n{ONE},"1,20"\n', ["line 2", "Amount", "'1,20'"]),
        (
            "Opportunity_csv",
            f"Id,CloseDate\n{ONE},31.12.2025\n",
            ["Opportunity.csv", "line 2", "CloseDate", "2026-05-31"],
        ),
        ("Opportunity_csv", f"Id,IsWon\n{ONE},perhaps\n", ["Opportunity.csv", "line 2", "IsWon", "perhaps"]),
        (
            "Account_csv",
            f'Id,Name\n{ONE},"Acme\n{TWO},Beta\n',
            ["Account.csv, line 2", "quote", "not closed", "export the file again"],
        ),
        ("Account_csv", f'Id,Name\n{ONE},"a\nb"\n{TWO},"x"y\n', ["Account.csv, line 4", "not doubled"]),
        ("Account_csv", "Id;Name\n1;x\n", ["Account.csv, line 1", "semicolons", "commas"]),
        ("Account_csv", "foo;bar\n1;x\n", ["Account.csv, line 1", "semicolons", "commas"]),
        ("Account_csv", "Id\tName\n1\tx\n", ["Account.csv, line 1", "tabs"]),
        (
            "Account_csv",
            "foo,bar\n1,x\n",
            ["Account.csv, line 1", "field of Account", "foo, bar", "API names"],
        ),
        (
            "Account_csv",
            "Name,Industry\nAcme,Steel\n",
            ["Account.csv, line 1", "no Id column", "with its Id"],
        ),
        ("Case_csv", "Subject\nx\n", ["no Salesforce export"]),
        ("notes_txt", "nothing", ["no Salesforce export"]),
    ],
)
def test_bad_files_are_named(tmp_path: Path, name: str, text: str, parts: list[str]) -> None:
    write(tmp_path, **{name: text})
    with pytest.raises(ConfigurationError) as refused:
        SalesforceOrg.from_export(tmp_path, now=NOW)
    for part in parts:
        assert part in str(refused.value)
    assert "\n" not in str(refused.value)


def test_other_bad_exports(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no such folder"):
        SalesforceOrg.from_export(tmp_path / "nowhere", now=NOW)
    (tmp_path / "Account.csv").write_bytes("Id,Name\n1,Åcme\n".encode("latin-1"))
    with pytest.raises(ConfigurationError, match="UTF-8"):
        SalesforceOrg.from_export(tmp_path, now=NOW)
    identifier = record_id("account", 1)
    write(tmp_path, Account_csv=f"Id,Name\n{identifier},x\n{identifier[:15]},y\n")
    with pytest.raises(ConfigurationError, match=r"line 3.*already"):
        SalesforceOrg.from_export(tmp_path, now=NOW)
    records = [
        tree("Account", Name="x"),
        tree("Account", Name="y"),
        tree("Contact", AccountId="@AccountRef1"),
    ]
    write(tmp_path, Account_csv=f"Id,Name\n{identifier},x\n", tree_json=json.dumps({"records": records}))
    with pytest.raises(ConfigurationError, match="referenceId of 2 records"):
        SalesforceOrg.from_export(tmp_path, now=NOW)
