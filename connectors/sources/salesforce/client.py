"""Calls to one org through simple-salesforce: signed in, tried again, and signed in anew once when need be."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final, TypeVar, cast
from urllib.parse import urlsplit

import requests
import structlog
from simple_salesforce.api import Salesforce

from connectors.errors import CredentialError, Retriable, SourceError
from connectors.retry import RetryPolicy
from connectors.sources.salesforce.auth import Token, mask, remedy, sign_in
from connectors.sources.salesforce.faults import ExpiredSessionError, LostLocatorError
from connectors.sources.salesforce.session import SalesforceSession
from connectors.sources.salesforce.settings import Auth, Options, SessionId

T = TypeVar("T")
Record = Mapping[str, Any]
log = structlog.get_logger(__name__)
_WINDOW: Final = timedelta(minutes=5)  # of /updated: only its latestDateCovered is wanted


@dataclass(frozen=True)
class Answer:
    """One page of a query's result. ``more`` is where the next one is; None on the last."""

    records: list[dict[str, Any]]
    total: int
    more: str | None


@dataclass(frozen=True, eq=False)
class _Login:
    """What one sign-in gave."""

    salesforce: Salesforce


class SalesforceClient:
    """One signed-in connection. Safe to share between threads: they sign in one at a time."""

    def __init__(
        self, session: SalesforceSession, url: str, auth: Auth, options: Options, retry: RetryPolicy
    ) -> None:
        self.session = session
        self._url = url
        self._auth = auth
        self._options = options
        self._retry = retry
        self._size = {"Sforce-Query-Options": f"batchSize={options.page_size}"}
        self._lock = threading.Lock()
        self._login: _Login | None = None
        self._refresh: str | None = None

    def query(self, soql: str) -> Answer:
        """The first page of a query over all records, deleted ones included (``queryAll``)."""
        return self._answer(
            self._call("query", lambda sf: sf.query(soql, include_deleted=True, headers=self._size))
        )

    def count(self, soql: str) -> int:
        """The result of a ``SELECT COUNT()`` over the records that are not deleted."""
        return int(self._call("count", lambda sf: sf.query(soql))["totalSize"])

    def more(self, url: str) -> Answer:
        """The next page. Raises ``LostLocatorError`` when the rest is gone; it dies with the session it began in."""
        content = self._call(
            "query page",
            lambda sf: sf.query_more(url, identifier_is_url=True, headers=self._size),
            tied=True,
        )
        return self._answer(content)

    def describe(self, name: str) -> Mapping[str, Any]:
        """The description of one object. Raises ``MissingObjectError``."""
        content = self._call(f"describe {name}", lambda sf: sf.restful(f"sobjects/{name}/describe"))
        return cast(Mapping[str, Any], content)

    def covered(self, name: str) -> datetime:
        """Up to when every change of an object's records is committed and visible (``latestDateCovered``).

        Raises ``UnknownWatermarkError`` when Salesforce cannot say.
        """
        now = self.now()
        window = {"start": _stamp(now - _WINDOW), "end": _stamp(now)}
        content = self._call(
            f"updated {name}", lambda sf: sf.restful(f"sobjects/{name}/updated/", params=window)
        )
        try:
            return datetime.strptime(
                (content or {})["latestDateCovered"], "%Y-%m-%dT%H:%M:%S.%f%z"
            ).astimezone(UTC)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"{self._host}: /updated of {name} names no latestDateCovered") from error

    def now(self) -> datetime:
        """The server's clock as of its last answer; signs in if there was none yet."""
        if self._login is None:
            self._retry.call("Salesforce sign-in", lambda: self._sign_in(None))
        return self.session.server_now or datetime.now(UTC)

    def close(self) -> None:
        self.session.close()

    @property
    def _host(self) -> str:
        return urlsplit(self._url).netloc

    def _call(self, what: str, function: Callable[[Salesforce], T], *, tied: bool = False) -> T:
        """Run one call with the retry policy; an expired session is renewed once, then it is a refusal.

        ``tied``: the call means nothing outside the session it was prepared in.
        """
        renewed = False

        def attempt() -> T:
            nonlocal renewed
            login = self._login or self._sign_in(None)
            try:
                return function(login.salesforce)
            except ExpiredSessionError as error:
                if renewed:
                    text = f"{error}; signing in anew did not help: {remedy(self._auth)}"
                    raise CredentialError(text) from error
                renewed = True
                self._renew(login)
                if tied:
                    raise LostLocatorError(str(error)) from error
                raise Retriable(str(error), retry_after=0.0) from error
            except requests.exceptions.InvalidJSONError as error:
                renewed = False
                raise Retriable(f"{self._host}: the answer was cut short") from error
            except Retriable:
                renewed = False  # the new token was taken; should it expire too, that is another expiry
                raise

        return self._retry.call(f"Salesforce {what}", attempt)

    def _renew(self, expired: _Login) -> None:
        if isinstance(self._auth, SessionId):
            raise CredentialError(f"{self._host}: the session has expired; {remedy(self._auth)}")
        self._retry.call("Salesforce sign-in", lambda: self._sign_in(expired))

    def _sign_in(self, instead_of: _Login | None) -> _Login:
        """Sign in, unless another thread has done so meanwhile."""
        with self._lock:
            if self._login is not None and self._login is not instead_of:
                return self._login
            token = sign_in(self.session, self._url, self._auth, self._options, self._refresh)
            if token.refresh:
                self._refresh = token.refresh
            self._login = _Login(self._build(token))
            log.info("signed in", host=urlsplit(token.instance_url).netloc, flow=self._auth.flow)
            return self._login

    def _build(self, token: Token) -> Salesforce:
        return Salesforce(
            session_id=token.access,
            instance_url=token.instance_url,
            version=self._options.api_version,
            session=self.session,
            parse_float=_plain,
            object_pairs_hook=cast(Any, None),  # plain dicts, by the fast parser
        )

    def _answer(self, content: Any) -> Answer:
        if not isinstance(content, dict) or not isinstance(content.get("records"), list):
            raise SourceError(mask(f"{self._host}: the answer to a query has no records", self._auth))
        more = content.get("nextRecordsUrl")
        if not content.get("done", True) and not more:
            raise SourceError(f"{self._host}: a query's result is incomplete, and no next page is named")
        return Answer(
            content["records"], int(content.get("totalSize", 0)), None if content.get("done") else more
        )


def _plain(number: str) -> Any:
    """A JSON decimal as its own digits: 0.1 stays 0.1, and money is never a float."""
    return number


def _stamp(moment: datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S+00:00")
