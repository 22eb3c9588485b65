"""The one HTTP session to Salesforce: time-outs on every call, pooled connections, errors as ours.

simple-salesforce sends everything through it. An answer of the data API that is no success never gets back
to that library, whose own handling of expired sessions recurses and loses headers: it is raised here.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit, urlunsplit

import requests
from requests.adapters import HTTPAdapter
from requests.auth import AuthBase

from connectors.errors import ConfigurationError
from connectors.sources.salesforce.faults import answered, broken

_POOL: Final = 8


class _KeepHeaders(AuthBase):
    """Our Authorization header stands: requests would put ~/.netrc in its place."""

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        return request


class SalesforceSession(requests.Session):
    """A ``requests`` session for one org.

    ``sent`` is called before each request. ``server_now`` is the server's clock as of the last answer, None
    before the first one; ``usage`` the org's own count of API calls, as Salesforce words it.
    """

    def __init__(
        self, url: str, timeout: tuple[float, float], ca_bundle: str | None, sent: Callable[[], None]
    ) -> None:
        super().__init__()
        if ca_bundle is not None and not Path(ca_bundle).is_file():
            raise ConfigurationError(f"crm.ca_bundle: there is no file {ca_bundle}")
        self.server_now: datetime | None = None
        self.usage: str | None = None
        self._scheme = urlsplit(url).scheme
        self._timeout = timeout
        self._verify = ca_bundle
        self._sent = sent
        self.auth = _KeepHeaders()
        adapter = HTTPAdapter(pool_connections=_POOL, pool_maxsize=_POOL, max_retries=0)
        self.mount("https://", adapter)
        self.mount("http://", adapter)

    def request(self, method: str | bytes, url: str | bytes, **kwargs: Any) -> requests.Response:  # type: ignore[override]
        """As ``requests``, but raises only errors of ``connectors.errors`` and follows no redirect."""
        address = urlsplit(url.decode() if isinstance(url, bytes) else url)
        if self._scheme == "http":  # simple-salesforce writes https whatever the instance says
            address = address._replace(scheme="http")
        headers = {k: v for k, v in (kwargs.pop("headers", None) or {}).items() if k != "X-PrettyPrint"}
        kwargs.setdefault("timeout", self._timeout)
        if self._verify is not None:  # said here, because the environment outranks Session.verify
            kwargs["verify"] = self._verify
        kwargs["allow_redirects"] = False  # a redirect could carry secrets to another host
        self._sent()
        reached = self.server_now is not None
        try:
            response = super().request(method, urlunsplit(address), headers=headers, **kwargs)
        except requests.RequestException as error:
            raise broken(error, address.netloc, reached) from error
        self._note(response)
        if address.path.startswith("/services/data") and not _usable(response):
            raise answered(response.status_code, response.headers, response.content, address.netloc)
        return response

    def _note(self, response: requests.Response) -> None:
        self.usage = response.headers.get("Sforce-Limit-Info", self.usage)
        try:
            self.server_now = parsedate_to_datetime(response.headers["Date"]).astimezone(UTC)
        except (KeyError, ValueError):
            self.server_now = datetime.now(UTC)


def _usable(response: requests.Response) -> bool:
    return response.status_code < 300 and "json" in response.headers.get("Content-Type", "json")
