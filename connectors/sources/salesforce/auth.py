"""Signing in to Salesforce: an access token and the address to use it at."""

from __future__ import annotations

import time
from typing import Final, NamedTuple
from urllib.parse import urlsplit

import jwt
import orjson
import requests
from simple_salesforce.exceptions import SalesforceAuthenticationFailed
from simple_salesforce.login import SalesforceLogin

from connectors.address import is_loopback
from connectors.errors import BoardlineError, ConfigurationError, CredentialError, Retriable
from connectors.sources.salesforce.faults import answered
from connectors.sources.salesforce.session import SalesforceSession
from connectors.sources.salesforce.settings import (
    Auth,
    ClientCredentials,
    Jwt,
    Options,
    Password,
    RefreshToken,
    SessionId,
)

_ASSERTION_SECONDS: Final = 180
_BEARER: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_REMEDIES: Final[dict[str, str]] = {
    "client_credentials": "check crm.auth.client_id and client_secret, and that the app has a run-as user",
    "jwt": "check crm.auth.username, client_id and the key, and that an admin has approved the app for the user",
    "refresh_token": "authorise again and replace crm.auth.refresh_token",
    "password": "check crm.auth.username, password and security_token, and that SOAP login is enabled",
    "session": "replace crm.auth.session_id; a session ID is never renewed, so prefer another flow",
}


class Token(NamedTuple):
    """An access token, where it is valid, and the next refresh token where the org rotates them."""

    access: str
    instance_url: str
    refresh: str | None = None


def remedy(auth: Auth) -> str:
    """What a person does when Salesforce refuses this sign-in."""
    return _REMEDIES[auth.flow]


def sign_in(
    session: SalesforceSession, url: str, auth: Auth, options: Options, refresh: str | None = None
) -> Token:
    """One sign-in. ``refresh``: a newer refresh token than the configured one.

    Raises ``CredentialError`` with a remedy, ``Retriable`` for passing faults, ``ConfigurationError``.
    """
    match auth:
        case SessionId():
            return Token(auth.session_id.get_secret_value(), url)
        case Password():
            return _soap(session, url, auth, options)
        case ClientCredentials():
            form = {
                "grant_type": "client_credentials",
                "client_id": auth.client_id,
                "client_secret": auth.client_secret.get_secret_value(),
            }
        case Jwt():
            form = {"grant_type": _BEARER, "assertion": _assertion(url, auth, options)}
        case RefreshToken():
            form = {
                "grant_type": "refresh_token",
                "client_id": auth.client_id,
                "refresh_token": refresh or auth.refresh_token.get_secret_value(),
            }
            if auth.client_secret is not None:
                form["client_secret"] = auth.client_secret.get_secret_value()
    return _exchange(session, url, auth, form)


def _exchange(session: SalesforceSession, url: str, auth: Auth, form: dict[str, str]) -> Token:
    response = session.post(f"{url}/services/oauth2/token", data=form, headers={"Accept": "application/json"})
    host = urlsplit(url).netloc
    if response.status_code != 200:
        raise _refusal(response, host, auth)
    try:
        content = orjson.loads(response.content)
        token, instance = str(content["access_token"]), str(content["instance_url"]).rstrip("/")
        rotated = content.get("refresh_token")
    except (orjson.JSONDecodeError, KeyError, TypeError, AttributeError):
        raise Retriable(
            f"{host}: the answer to the sign-in is no token; is crm.url the address of an org?"
        ) from None
    _safe(instance, host)
    return Token(token, instance, str(rotated) if rotated else None)


def _refusal(response: requests.Response, host: str, auth: Auth) -> BoardlineError:
    """400 and 401 with an OAuth error are a refusal; anything else is classified as for the data API."""
    try:
        content = orjson.loads(response.content)
    except orjson.JSONDecodeError:
        content = None
    if isinstance(content, dict) and "error" in content and response.status_code < 500:
        code = str(content["error"])
        said = f"{code}: {' '.join(str(content.get('error_description', '')).split())[:200]}".rstrip(": ")
        if code in ("rate_limit_exceeded", "temporarily_unavailable", "server_error"):
            return Retriable(f"{host}: sign-in, {said}")
        return CredentialError(f"{host} refused the sign-in ({mask(said, auth)}); {remedy(auth)}")
    if response.status_code == 404:
        return ConfigurationError(
            f"crm.url: {host} has no Salesforce sign-in; use the org's own address, such as "
            "https://acme.my.salesforce.com"
        )
    return answered(response.status_code, response.headers, response.content, host)


def _assertion(url: str, auth: Jwt, options: Options) -> str:
    claims = {
        "iss": auth.client_id,
        "sub": auth.username,
        "aud": options.audience or _audience(url),
        "exp": int(time.time()) + _ASSERTION_SECONDS,
    }
    try:
        return jwt.encode(claims, auth.key(), algorithm="RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        where = "private_key" if auth.private_key else "private_key_file"
        raise ConfigurationError(f"crm.auth.{where} holds no RSA private key in PEM form") from None


def _audience(url: str) -> str:
    host = urlsplit(url).hostname or ""
    sandbox = host == "test.salesforce.com" or ".sandbox." in host
    return "https://test.salesforce.com" if sandbox else "https://login.salesforce.com"


def _soap(session: SalesforceSession, url: str, auth: Password, options: Options) -> Token:
    parts = urlsplit(url)
    try:
        token, instance = SalesforceLogin(
            username=auth.username,
            password=auth.password.get_secret_value(),
            security_token=auth.security_token.get_secret_value(),
            sf_version=options.api_version,
            session=session,
            scratch_url=url,
        )
    except SalesforceAuthenticationFailed as error:
        if isinstance(error.code, int) or str(error.code).endswith("SERVER_UNAVAILABLE"):
            raise Retriable(f"{parts.netloc}: sign-in, HTTP {error.code}") from None
        said = mask(" ".join(f"{error.code}: {error.auth_message}".split())[:200], auth)
        raise CredentialError(f"{parts.netloc} refused the sign-in ({said}); {remedy(auth)}") from None
    except (SyntaxError, ValueError, AttributeError):  # a page instead of the SOAP envelope
        raise Retriable(f"{parts.netloc}: the answer to the sign-in is no SOAP envelope") from None
    instance_url = f"{parts.scheme}://{instance}"
    _safe(instance_url, parts.netloc)
    return Token(token, instance_url)


def _safe(instance_url: str, host: str) -> None:
    """A token is only ever used over https, or on this machine."""
    parts = urlsplit(instance_url)
    if not parts.hostname or not (parts.scheme == "https" or is_loopback(parts.hostname)):
        raise ConfigurationError(f"crm.url: {host} names an instance that is not served over https")


def mask(text: str, auth: Auth) -> str:
    """``text`` without any secret of ``auth`` that the other side may have echoed."""
    for value in auth.model_dump().values():
        secret = value.get_secret_value() if hasattr(value, "get_secret_value") else ""
        if secret:
            text = text.replace(secret, "***")
    return text
