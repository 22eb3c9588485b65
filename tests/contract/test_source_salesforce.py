"""The Salesforce source against a simulated org over real sockets."""

from __future__ import annotations

import contextlib
import socket
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from typing import Any

import polars as pl
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from polars.testing import assert_frame_equal

from connectors.errors import (
    BoardlineError,
    ConfigurationError,
    CredentialError,
    QuotaExhausted,
    StreamUnavailable,
    UnreachableError,
)
from connectors.retry import RetryPolicy
from connectors.schema import KEYS, TABLES
from connectors.simulator.agreements import with_agreements
from connectors.simulator.company import Company, Parameters
from connectors.simulator.faults import FaultPlan
from connectors.simulator.salesforce import SalesforceOrg, record_id
from connectors.simulator.salesforce.auth import Credentials
from connectors.simulator.server import Simulator
from connectors.source import Cursor, Page, Source, SourceSettings
from connectors.sources.salesforce import SOURCE
from scheduler import demo_config

CLIENT = {
    "flow": "client_credentials",
    "client_id": "simulator-client",
    "client_secret": "simulator-secret",
}
FIELDS = demo_config.FIELDS["salesforce"]
PATIENT = RetryPolicy(attempts=6, first=0.001, longest=0.01)


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(Parameters("hr_tech", date(2026, 5, 1), accounts=40, deals=400))


@pytest.fixture(scope="module")
def quiet(company: Company) -> Iterator[Simulator]:
    """An org on which nothing happens; shared."""
    with Simulator(SalesforceOrg(company, now=company.as_of)) as simulator:
        yield simulator


@contextlib.contextmanager
def opened(simulator: Simulator, auth: Mapping[str, str] = CLIENT, **changes: Any) -> Iterator[Source]:
    settings: dict[str, Any] = {
        "company": "acme",
        "url": simulator.url,
        "auth": auth,
        "ca_bundle": simulator.ca_bundle,
        "fields": FIELDS,
        "timezone": "America/New_York",
        "options": {"page_size": 200},
        "retry": PATIENT,
        "timeout": (2.0, 10.0),
        "contracts": "cpq",
        **changes,
    }
    source = SOURCE.open(SourceSettings(**settings))
    try:
        yield source
    finally:
        source.close()


@dataclass
class Copy:
    """What a store would hold: rows by key, whole histories replaced, missing ids gone."""

    tables: dict[str, pl.DataFrame] = field(
        default_factory=lambda: {t: pl.DataFrame(schema=s) for t, s in TABLES.items()}
    )
    cursors: dict[str, Cursor] = field(default_factory=dict)
    rejects: int = 0
    received: int = 0

    def take(self, stream: str, page: Page) -> None:
        for table, frame in page.frames.items():
            assert frame.schema == TABLES[table]
            on = ["deal_id"] if table == "deal_changes" else list(KEYS[table])
            kept = self.tables[table].join(frame.select(on).unique(), on=on, how="anti")
            fresh = frame if table == "deal_changes" else frame.unique(on, keep="last")
            self.tables[table] = pl.concat([kept, fresh])
            self.received += frame.height
        for table, ids in (page.live_ids or {}).items():
            stored = self.tables[table]
            known = pl.col("external_id").is_in(ids.to_list()) | pl.col("deleted_at").is_not_null()
            self.tables[table] = stored.filter(known)
        self.rejects += page.rejects.height
        self.cursors[stream] = page.cursor

    def read(self, source: Source) -> None:
        for stream in source.streams():
            for page in source.read(stream, self.cursors.get(stream.name)):
                self.take(stream.name, page)
                last = page.last
            assert last

    def alive(self, table: str) -> pl.DataFrame:
        frame = self.tables[table]
        return frame.filter(pl.col("deleted_at").is_null()) if "deleted_at" in frame.columns else frame


def full(simulator: Simulator, **changes: Any) -> Copy:
    copy = Copy()
    with opened(simulator, **changes) as source:
        copy.read(source)
    return copy


def assert_same(found: Copy, expected: Copy, *, alive: bool = False) -> None:
    for table in TABLES:
        a, b = (c.alive(table) if alive else c.tables[table] for c in (found, expected))
        key = list(KEYS[table])
        if table == "deal_changes" and alive:  # the past of a purged deal stays where it was read
            a, b = (
                f.filter(pl.col("deal_id").is_in(expected.alive("deals")["external_id"].to_list()))
                for f in (a, b)
            )
        assert_frame_equal(a.sort(key), b.sort(key))


@pytest.fixture(scope="module")
def expected(quiet: Simulator) -> Copy:
    """Everything the quiet org holds."""
    return full(quiet)


# what is read


def test_every_stream_agrees_with_what_happened(expected: Copy, company: Company) -> None:
    """Against the generator's own record: every living deal with its values, and its whole history."""
    copy = expected
    deals: dict[str, dict[str, Any]] = {}
    past: set[tuple[str, str, datetime, str | None]] = set()
    for life in company.lives():
        if life.kind != "deal":
            continue
        key = record_id("deal", life.key)
        values: dict[str, Any] = {}
        events = [event for event in life.events if event.at <= company.as_of]
        if not events or events[-1].op in ("delete", "merge", "purge"):
            continue
        for event in events:
            for name, value in event.values.items():
                if name in ("stage", "amount", "close_date") and values.get(name) != value:
                    shown = str(value) if value is not None else None
                    past.add((key, name, datetime.fromtimestamp(event.at, UTC), shown))
            values.update(event.values)
        deals[key] = values
    found = {row["external_id"]: row for row in copy.alive("deals").to_dicts()}
    assert found.keys() == deals.keys()
    for key, values in deals.items():
        row = found[key]
        for name in (
            "name",
            "stage",
            "amount",
            "currency",
            "probability",
            "forecast_category",
            "arr",
            "term_months",
        ):
            assert row[name] == values.get(name), (key, name)
        assert row["account_id"] == (
            record_id("account", values["account"]) if values.get("account") else None
        )
        assert str(row["close_date"]) == values["close_date"]
    changes = copy.tables["deal_changes"].filter(
        pl.col("field").is_in(["stage", "amount", "close_date"]) & pl.col("deal_id").is_in(list(deals))
    )
    rows = set(changes.select("deal_id", "field", "changed_at", "new_value").iter_rows())
    assert rows == past
    assert copy.rejects == 0
    assert all(not copy.tables[table].is_empty() for table in TABLES)


def test_contracts_and_subscriptions_agree_with_what_happened(expected: Copy, company: Company) -> None:
    kinds = {"contract": "contracts", "subscription": "subscriptions"}
    there: dict[str, dict[str, dict[str, Any]]] = {table: {} for table in kinds.values()}
    for life in with_agreements(company):
        events = [event for event in life.events if event.at <= company.as_of]
        if life.kind not in kinds or not events or events[-1].op == "delete":
            continue
        values = {name: value for event in events for name, value in event.values.items()}
        there[kinds[life.kind]][record_id(life.kind, life.key)] = values
    for table, wanted in there.items():
        found = {row["external_id"]: row for row in expected.alive(table).to_dicts()}
        assert found.keys() == wanted.keys()
        for key, values in wanted.items():
            row = found[key]
            for name in ("start_date", "end_date"):
                assert (row[name] and str(row[name])) == values[name], (key, name)
            assert (row["terminated_date"] and str(row["terminated_date"])) == values["terminated"]
            assert row["account_id"] == record_id("account", values["account"])
            if table == "contracts":
                assert row["deal_id"] == record_id("deal", values["deal"])
                for name, ours in (("value", "amount"), ("status", "status"), ("term_months", "term_months")):
                    assert row[ours] == values[name], (key, name)
                assert (row["signed_date"] is None) == (values["activated"] is None)
            else:
                assert row["contract_id"] == record_id("contract", values["contract"])
                assert row["revises_id"] == (
                    values["revises"] and record_id("subscription", values["revises"])
                )
                assert [row[name] for name in ("quantity", "unit_price", "kind", "currency")] == [
                    values[name] for name in ("quantity", "unit_price", "kind", "currency")
                ]
    assert {row["status"] for row in expected.alive("contracts").to_dicts()} == {"Draft", "Activated"}


def test_contracts_are_read_only_where_arr_is_read_from_them(quiet: Simulator) -> None:
    read: dict[str | None, tuple[set[str], str | None]] = {}
    for source_of_arr in (None, "contract", "cpq"):
        fields = {table: columns for table, columns in FIELDS.items() if table != "contracts"}
        with opened(quiet, contracts=source_of_arr, fields=fields) as source:
            shown = source.capabilities().fields
            streams = {stream.name for stream in source.streams()} & {"contracts", "subscriptions"}
            assert streams == set(shown) & {"contracts", "subscriptions"}
            deal = shown["contracts"]["deal_id"].crm_field if "contracts" in shown else None
            read[source_of_arr] = (streams, deal)
    assert read == {
        None: (set(), None),
        "contract": ({"contracts"}, None),
        "cpq": ({"contracts", "subscriptions"}, "SBQQ__Opportunity__c"),
    }


def test_an_org_without_the_package_says_so(company: Company) -> None:
    org = SalesforceOrg(
        company,
        now=company.as_of,
        absent_objects=["SBQQ__Subscription__c"],
        hidden={"Contract": ["SBQQ__Opportunity__c", "StatusCode"]},
    )
    with Simulator(org) as simulator, opened(simulator) as source:
        shown = source.capabilities()
        missing = next(stream for stream in source.streams() if stream.name == "subscriptions")
        with pytest.raises(StreamUnavailable, match="SBQQ__Subscription__c is not visible"):
            list(source.read(missing, None))
        contracts = next(stream for stream in source.streams() if stream.name == "contracts")
        frames = [page.frames["contracts"] for page in source.read(contracts, None)]
    assert "subscriptions: the object SBQQ__Subscription__c is not visible; left out" in shown.notes
    assert "contracts: not visible to this user: deal_id, status" in shown.notes
    assert shown.fields["contracts"]["status"].state == "hidden"
    assert pl.concat(frames)["status"].null_count() == pl.concat(frames).height > 0


def test_what_the_org_shows(quiet: Simulator) -> None:
    with opened(quiet) as source:
        shown = source.capabilities()
        assert source.capabilities() is shown
    assert shown.home_currency == "USD"
    assert shown.history >= {"stage", "amount", "close_date", "probability", "forecast_category"}
    assert shown.fields["deals"]["arr"].state == "mapped"
    assert shown.fields["meetings"]["completed"].state == "unmapped"
    assert shown.links["deals"] == f"{quiet.url}/{{id}}"
    assert shown.records["deals"] > 200


def test_hidden_and_missing_fields_are_said_and_not_asked_for(company: Company) -> None:
    org = SalesforceOrg(company, now=company.as_of, hidden={"Opportunity": ["NextStep", "Amount"]})
    fields = {"deals": {"arr": "ARR_c"}, "accounts": {"domain": "domain__C"}}
    with (
        Simulator(org) as simulator,
        opened(simulator, fields=fields, custom={"deals": {"kind": "ForecastCategoryName"}}) as source,
    ):
        shown = source.capabilities().fields
        copy = Copy()
        copy.read(source)
    assert shown["deals"]["next_step"].state == "hidden"
    assert "Opportunity.NextStep" in str(shown["deals"]["next_step"].remedy)
    assert "did you mean ARR__c?" in str(shown["deals"]["arr"].remedy)
    assert shown["accounts"]["domain"].state == "mapped"
    assert shown["deals"]["custom.kind"].state == "mapped"
    deals = copy.tables["deals"]
    assert deals["amount"].null_count() == deals.height
    assert deals["stage"].null_count() == 0
    assert deals["custom"].str.contains('"kind":"').all()
    assert copy.tables["accounts"]["domain"].null_count() < copy.tables["accounts"].height


def test_objects_that_are_not_there_are_skipped_by_name(company: Company) -> None:
    org = SalesforceOrg(company, now=company.as_of, absent_objects=["ForecastingQuota", "CurrencyType"])
    with Simulator(org) as simulator, opened(simulator) as source:
        for stream in source.streams():
            if stream.name in ("quotas", "exchange_rates"):
                assert stream.optional
                with pytest.raises(StreamUnavailable, match=stream.name):
                    list(source.read(stream, None))
        shown = source.capabilities()
    assert "ForecastingQuota" in " ".join(shown.notes)
    assert shown.fields["quotas"]["amount"].state == "hidden"
    assert shown.fields["deals"]["currency"].state == "mapped"


# going on


def test_an_increment_brings_the_changes_and_only_those(company: Company) -> None:
    with Simulator(SalesforceOrg(company, now=company.as_of)) as simulator:
        copy = full(simulator)
        everything = copy.received
        with opened(simulator) as source:
            copy.received = 0
            copy.read(source)
        whole = sum(copy.tables[t].height for t in ("stages", "exchange_rates", "quotas"))
        assert copy.received <= whole + everything // 20  # but for the overlap, nothing comes twice
        before = copy.tables["deals"]
        for days in (12, 19):
            simulator.advance(simulator.now + timedelta(days=days))
            copy.received = 0
            with opened(simulator) as source:
                copy.read(source)
            assert copy.received < everything // 2
            assert_same(copy, full(simulator), alive=True)
        assert not copy.tables["deals"].equals(before)


def test_what_was_purged_is_found_by_the_listing(company: Company) -> None:
    purged = [
        (event.at, record_id(life.kind, life.key), life.kind)
        for life in company.lives()
        for event in life.events
        if event.op in ("purge", "delete", "merge")
        and event.at > company.as_of
        and life.kind in ("account", "contact", "deal")
    ]
    with Simulator(SalesforceOrg(company, now=company.as_of)) as simulator:
        copy = full(simulator)
        simulator.advance(simulator.now + timedelta(days=45))
        with opened(simulator) as source:
            copy.read(source)
        expected = full(simulator)
    assert purged, "the company must lose records for this test to tell anything"
    assert_same(copy, expected, alive=True)


def test_every_cursor_resumes(quiet: Simulator, expected: Copy) -> None:
    with opened(quiet) as source:
        for stream in source.streams():
            pages = list(source.read(stream, None))
            for stop in range(len(pages) - 1):
                copy = Copy()
                for page in pages[: stop + 1]:
                    copy.take(stream.name, page)
                for page in source.read(stream, pages[stop].cursor):
                    copy.take(stream.name, page)
                assert page.last
                assert page.cursor == pages[-1].cursor
                for table in stream.tables:
                    key = list(KEYS[table])
                    assert_frame_equal(copy.tables[table].sort(key), expected.tables[table].sort(key))


def test_since_reads_what_changed_from_then_on(quiet: Simulator, expected: Copy) -> None:
    since = quiet.now - timedelta(days=60)
    changed = expected.tables["deals"].filter(pl.col("modified_at") >= since)
    with opened(quiet) as source:
        stream = next(s for s in source.streams() if s.name == "deals")
        frames = [page.frames["deals"] for page in source.read(stream, None, since)]
    assert 0 < changed.height < expected.tables["deals"].height
    assert_frame_equal(pl.concat(frames).sort("external_id"), changed.sort("external_id"))


# trouble


@pytest.mark.parametrize("kind", ["429", "500", "502html", "503", "reset", "truncate", "html", "expired"])
def test_passing_faults_change_nothing(quiet: Simulator, expected: Copy, kind: str) -> None:
    """Every third request fails, at every page and every sign-in in turn."""
    for offset in (1, 2, 3):
        plan = FaultPlan.parse(",".join(f"{kind}@{n}" for n in range(offset, 400, 3)))
        quiet.faults = plan
        try:
            found = full(quiet)
        finally:
            quiet.faults = None
        assert len(plan.struck) > 15
        assert_same(found, expected)


def test_records_that_change_while_they_are_paged(company: Company) -> None:
    with Simulator(SalesforceOrg(company, now=company.as_of)) as simulator:
        simulator.faults = FaultPlan.parse(",".join(f"change@{n}" for n in range(20, 60, 4)))
        copy = full(simulator)
        assert len(simulator.faults.struck) > 5
        simulator.faults = None
        with opened(simulator) as source:
            copy.read(source)
        assert_same(copy, full(simulator), alive=True)


@pytest.mark.parametrize(
    ("plan", "error"),
    [("quota@5+", QuotaExhausted), ("429@5+", UnreachableError), ("reset@5+", UnreachableError)],
)
def test_lasting_faults(quiet: Simulator, plan: str, error: type[BoardlineError]) -> None:
    quiet.faults = FaultPlan.parse(plan)
    try:
        with pytest.raises(error) as caught:
            full(quiet)
    finally:
        quiet.faults = None
    assert "localhost" in str(caught.value)
    assert "simulator-secret" not in str(caught.value)


def test_a_token_that_always_expires_is_a_refusal(quiet: Simulator) -> None:
    quiet.faults = FaultPlan.parse("expired@1+~/services/data")
    try:
        with pytest.raises(CredentialError, match="signing in anew did not help"):
            full(quiet)
    finally:
        quiet.faults = None


# signing in


def _key_pair() -> tuple[str, str]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    return private.decode(), public.decode()


def test_every_flow_signs_in_and_again_after_expiry(company: Company) -> None:
    private, public = _key_pair()
    org = SalesforceOrg(
        company, now=company.as_of, credentials=Credentials(public_key=public, access_token="00D!fixed")
    )
    user = "integration@example.com"
    flows: list[dict[str, str]] = [
        CLIENT,
        {"flow": "jwt", "username": user, "client_id": "simulator-client", "private_key": private},
        {
            "flow": "refresh_token",
            "client_id": "simulator-client",
            "client_secret": "simulator-secret",
            "refresh_token": "simulator-refresh",
        },
        {"flow": "password", "username": user, "password": "simulator-password", "security_token": "TOKEN"},
    ]
    with Simulator(org) as simulator:
        with opened(simulator, {"flow": "session", "session_id": "00D!fixed"}) as source:
            assert source.capabilities().home_currency == "USD"
        for auth in flows:
            with opened(simulator, auth) as source:
                owners = source.streams()[0]
                first = [page.frames["owners"] for page in source.read(owners, None)]
                org.revoke_tokens()  # a rotating refresh token has been replaced by now
                again = [page.frames["owners"] for page in source.read(owners, None)]
            assert_frame_equal(pl.concat(first), pl.concat(again))


@pytest.mark.parametrize(
    ("auth", "said"),
    [
        ({**CLIENT, "client_secret": "wrong-secret-value"}, "client_secret"),
        ({**CLIENT, "client_id": "nobody"}, "invalid_client_id"),
        (
            {"flow": "refresh_token", "client_id": "simulator-client", "refresh_token": "stale-token-value"},
            "authorise again",
        ),
        ({"flow": "session", "session_id": "00D!stale-session"}, "session_id"),
        (
            {"flow": "password", "username": "u", "password": "wrong-password", "security_token": "t"},
            "INVALID_LOGIN",
        ),
    ],
)
def test_refusals_say_what_to_check(company: Company, auth: dict[str, str], said: str) -> None:
    with (
        Simulator(SalesforceOrg(company, now=company.as_of)) as simulator,
        opened(simulator, auth) as source,
        pytest.raises(CredentialError) as caught,
    ):
        source.capabilities()
    assert said in str(caught.value)
    for secret in ("wrong-secret-value", "stale-token-value", "stale-session", "wrong-password"):
        assert secret not in str(caught.value)


def test_a_wrong_host_is_named_at_once(quiet: Simulator) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        url = f"https://localhost:{closed.getsockname()[1]}"
    slow = RetryPolicy(attempts=10, first=30)
    with (
        opened(quiet, url=url, retry=slow) as source,
        pytest.raises(UnreachableError, match=url.removeprefix("https://")),
    ):
        source.capabilities()
    with opened(quiet, ca_bundle=None) as source, pytest.raises(ConfigurationError, match="ca_bundle"):
        source.capabilities()


def test_plain_http_on_this_machine(company: Company) -> None:
    with Simulator(SalesforceOrg(company, now=company.as_of), tls=False) as simulator:
        copy = full(simulator, ca_bundle=None)
        assert copy.tables["deals"].height > 200


def test_few_requests(quiet: Simulator) -> None:
    """A full read of small tables costs about one query and one watermark each, besides the descriptions."""
    with opened(quiet, options={}) as source:
        for stream in source.streams():
            list(source.read(stream, None))
        assert source.requests <= 45
