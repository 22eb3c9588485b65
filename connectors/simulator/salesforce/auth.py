"""Who may come in: OAuth 2.0 (client credentials, JWT bearer, refresh token) and SOAP login, and the sessions."""

from __future__ import annotations

import base64
import binascii
import re
import secrets
import threading
import time
from dataclasses import dataclass, field
from typing import Any, Final
from xml.sax.saxutils import escape, unescape

import jwt
import orjson

from connectors.simulator.faults import Reply
from connectors.simulator.salesforce.errors import JSON
from connectors.simulator.salesforce.ids import record_id

SOAP_NEWEST: Final = 64  # login() is gone from 65.0 on
SOAP_OLDEST: Final = 31
_JWT_GRANT: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
_AUDIENCES: Final = ("https://login.salesforce.com", "https://test.salesforce.com")


@dataclass(frozen=True)
class Credentials:
    """What the org accepts. ``public_key`` (PEM) verifies JWT assertions; ``access_token`` never expires."""

    client_id: str = "simulator-client"
    client_secret: str = "simulator-secret"  # noqa: S105
    username: str = "integration@example.com"
    password: str = "simulator-password"  # noqa: S105
    security_token: str = "TOKEN"  # noqa: S105
    refresh_token: str = "simulator-refresh"  # noqa: S105
    access_token: str | None = None
    public_key: str | None = None


@dataclass
class Session:
    """One access token. ``expires`` is on the simulated clock and moves on with use; None: never."""

    token: str
    expires: int | None


class RefusedError(Exception):
    """A token request refused, in OAuth's form: an object, not a list."""

    def __init__(self, error: str, description: str) -> None:
        super().__init__(description)
        self.error = error
        self.description = description


@dataclass
class Sessions:
    """All that may be presented. A session lives ``lifetime`` simulated seconds after its last use."""

    credentials: Credentials
    lifetime: int = 7_200
    rotate: bool = True  # refresh tokens work once; using one twice revokes the grant
    _sessions: dict[str, Session] = field(default_factory=dict)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self._refresh: str | None = self.credentials.refresh_token
        if self.credentials.access_token:
            token = self.credentials.access_token
            self._sessions[token] = Session(token, None)

    def open(self, now: int) -> Session:
        """A new session of the integration user."""
        token = f"{record_id('Organization', 1)[:15]}!AQ4AQ{secrets.token_urlsafe(64)}"
        session = Session(token, now + self.lifetime)
        with self._lock:
            self._sessions[token] = session
        return session

    def find(self, authorization: str, now: int) -> Session | None:
        """The living session of an ``Authorization`` header."""
        scheme, _, token = authorization.partition(" ")
        session = self._sessions.get(token) if scheme in ("Bearer", "OAuth") else None
        if session is None:
            return None
        if session.expires is not None:
            if session.expires <= now:
                with self._lock:
                    self._sessions.pop(token, None)
                return None
            session.expires = now + self.lifetime
        return session

    def alive(self, session: Session) -> bool:
        return self._sessions.get(session.token) is session

    def revoke(self) -> None:
        """End every session."""
        with self._lock:
            self._sessions.clear()

    def grant(self, form: dict[str, str], basic: str, base_url: str, now: int) -> Reply:
        """Answer a request to the token endpoint."""
        try:
            answer = self._grant(form, basic, base_url, now)
        except RefusedError as refused:
            body = {"error": refused.error, "error_description": refused.description}
            return Reply(400, orjson.dumps(body), JSON)
        return Reply(
            200, orjson.dumps(answer), JSON, {"Cache-Control": "no-cache, no-store", "Pragma": "no-cache"}
        )

    def _grant(self, form: dict[str, str], basic: str, base_url: str, now: int) -> dict[str, str]:
        kind = form.get("grant_type", "")
        extra: dict[str, str] = {}
        if kind == "client_credentials":
            self._client(form, basic, secret=True)
        elif kind == _JWT_GRANT:
            self._assertion(form.get("assertion", ""), base_url)
        elif kind == "refresh_token":
            self._client(form, basic, secret=False)
            extra = self._rotate(form.get("refresh_token", ""))
        elif kind == "password":
            raise RefusedError("invalid_grant", "authentication failure")  # off in orgs made since 2023
        else:
            raise RefusedError("unsupported_grant_type", "grant type not supported")
        session = self.open(now)
        user = record_id("user", 1)
        return {
            "access_token": session.token,
            "instance_url": base_url,
            "id": f"{base_url}/id/{record_id('Organization', 1)}/{user}",
            "issued_at": str(now * 1000),
            "signature": base64.b64encode(secrets.token_bytes(32)).decode(),
            "token_type": "Bearer",
            "scope": "api",
            **extra,
        }

    def _client(self, form: dict[str, str], basic: str, *, secret: bool) -> None:
        name, given = form.get("client_id", ""), form.get("client_secret", "")
        if basic.startswith("Basic "):
            try:
                name, _, given = base64.b64decode(basic[6:], validate=True).decode().partition(":")
            except (binascii.Error, UnicodeDecodeError) as error:
                raise RefusedError("invalid_client", "invalid client credentials") from error
        if name != self.credentials.client_id:
            raise RefusedError("invalid_client_id", "client identifier invalid")
        if (secret or given) and given != self.credentials.client_secret:
            raise RefusedError("invalid_client", "invalid client credentials")

    def _assertion(self, assertion: str, base_url: str) -> None:
        if self.credentials.public_key is None:
            raise RefusedError("invalid_grant", "user hasn't approved this consumer")
        try:
            claims: dict[str, Any] = jwt.decode(
                assertion,
                self.credentials.public_key,
                algorithms=["RS256"],
                audience=[*_AUDIENCES, base_url],
                options={"require": ["exp", "iss", "sub", "aud"]},
            )
        except jwt.ExpiredSignatureError as error:
            raise RefusedError("invalid_grant", "assertion has expired") from error
        except jwt.InvalidAudienceError as error:
            raise RefusedError("invalid_grant", "audience is invalid") from error
        except jwt.PyJWTError as error:
            raise RefusedError("invalid_grant", "invalid assertion") from error
        if claims["exp"] > time.time() + 600:  # the client's clock is the real one
            raise RefusedError("invalid_grant", "invalid assertion")
        if claims["iss"] != self.credentials.client_id:
            raise RefusedError("invalid_client_id", "client identifier invalid")
        if claims["sub"] != self.credentials.username:
            raise RefusedError("invalid_grant", "user hasn't approved this consumer")

    def _rotate(self, token: str) -> dict[str, str]:
        with self._lock:
            if self._refresh is None or token != self._refresh:
                if self.rotate:
                    self._refresh = None  # a token used twice was stolen: the grant ends
                raise RefusedError("invalid_grant", "expired access/refresh token")
            if not self.rotate:
                return {}
            self._refresh = "5Aep8" + secrets.token_urlsafe(48)
            return {"refresh_token": self._refresh}

    def soap_login(self, version: str, body: str, base_url: str, now: int) -> Reply:
        """Answer ``login()`` of the partner API."""
        number = int(version.partition(".")[0]) if re.fullmatch(r"\d+\.0", version) else 0
        if number < SOAP_OLDEST:
            return _fault("UNSUPPORTED_API_VERSION", "Invalid Api version specified on URL")
        if number > SOAP_NEWEST:
            text = (
                "No operation available for request {urn:partner.soap.sforce.com}login, please check the WSDL"
            )
            return _fault("soapenv:Client", f"{text} for the service.")
        given = (_element(body, "username"), _element(body, "password"))
        known = self.credentials
        if given != (known.username, known.password + known.security_token):
            return _fault("INVALID_LOGIN", "Invalid username, password, security token; or user locked out.")
        session = self.open(now)
        organization = record_id("Organization", 1)
        inner = (
            f"<serverUrl>{escape(base_url)}/services/Soap/u/{version}/{organization[:15]}</serverUrl>"
            f"<sessionId>{escape(session.token)}</sessionId><userId>{record_id('user', 1)}</userId>"
            f"<userInfo><organizationId>{organization}</organizationId>"
            f"<userName>{escape(known.username)}</userName>"
            f"<sessionSecondsValid>{self.lifetime}</sessionSecondsValid></userInfo>"
        )
        return _envelope(200, f"<loginResponse><result>{inner}</result></loginResponse>")


def _element(body: str, name: str) -> str:
    match = re.search(rf"<(?:\w+:)?{name}>(.*?)</(?:\w+:)?{name}>", body, re.DOTALL)
    return unescape(match[1], {"&apos;": "'", "&quot;": '"'}) if match else ""


def _fault(code: str, message: str) -> Reply:
    name = code if ":" in code else f"sf:{code}"
    detail = (
        f"<sf:LoginFault><sf:exceptionCode>{code}</sf:exceptionCode>"
        f"<sf:exceptionMessage>{escape(message)}</sf:exceptionMessage></sf:LoginFault>"
    )
    return _envelope(
        500,
        f"<soapenv:Fault><faultcode>{name}</faultcode><faultstring>{code}: {escape(message)}</faultstring>"
        f"<detail>{detail}</detail></soapenv:Fault>",
    )


def _envelope(status: int, inner: str) -> Reply:
    text = (
        '<?xml version="1.0" encoding="UTF-8"?><soapenv:Envelope'
        ' xmlns:soapenv="http://schemas.xmlsoap.org/soap/envelope/" xmlns="urn:partner.soap.sforce.com"'
        ' xmlns:sf="urn:fault.partner.soap.sforce.com">'
        f"<soapenv:Body>{inner}</soapenv:Body></soapenv:Envelope>"
    )
    return Reply(status, text.encode(), "text/xml;charset=UTF-8")
