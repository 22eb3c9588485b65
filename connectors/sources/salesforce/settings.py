"""What the configuration may say about a Salesforce org, checked before anything is sent; ``reference`` lists it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import BaseModel, ConfigDict, Field, SecretStr, TypeAdapter, ValidationError, model_validator

from connectors import address
from connectors.errors import ConfigurationError
from connectors.source import Reference
from connectors.spelling import nearest

API_VERSION: Final = "62.0"
_Text = Annotated[str, Field(min_length=1)]
_Secret = Annotated[SecretStr, Field(min_length=1)]


class _Part(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)


class ClientCredentials(_Part):
    flow: Literal["client_credentials"]
    client_id: _Text
    client_secret: _Secret


class Jwt(_Part):
    flow: Literal["jwt"]
    username: _Text
    client_id: _Text
    private_key: _Secret | None = None
    private_key_file: Path | None = None

    @model_validator(mode="after")
    def _one_key(self) -> Jwt:
        if (self.private_key is None) == (self.private_key_file is None):
            raise ValueError("give either private_key or private_key_file")
        return self

    def key(self) -> str:
        """The PEM text. Raises ``ConfigurationError`` when the file cannot be read."""
        if self.private_key is not None:
            return self.private_key.get_secret_value()
        assert self.private_key_file is not None  # noqa: S101  # by the validator
        try:
            return self.private_key_file.expanduser().read_text(encoding="ascii")
        except (OSError, UnicodeDecodeError) as error:
            raise ConfigurationError(
                f"crm.auth.private_key_file: {self.private_key_file} cannot be read as a PEM file"
            ) from error


class RefreshToken(_Part):
    flow: Literal["refresh_token"]
    client_id: _Text
    client_secret: _Secret | None = None  # public clients have none
    refresh_token: _Secret


class Password(_Part):
    flow: Literal["password"]
    username: _Text
    password: _Secret
    security_token: SecretStr = SecretStr("")  # none from a trusted network


class SessionId(_Part):
    flow: Literal["session"]
    session_id: _Secret


Auth = ClientCredentials | Jwt | RefreshToken | Password | SessionId
_FLOWS: Final[dict[str, type[_Part]]] = {
    "client_credentials": ClientCredentials,
    "jwt": Jwt,
    "refresh_token": RefreshToken,
    "password": Password,
    "session": SessionId,
}
_AUTH: Final[TypeAdapter[Auth]] = TypeAdapter(Annotated[Auth, Field(discriminator="flow")])


class Options(_Part):
    """``crm.options``: rarely needed; ``reference`` says what each is for."""

    api_version: Annotated[str, Field(pattern=r"^\d{2,3}\.0$")] = API_VERSION
    overlap_seconds: Annotated[int, Field(ge=0, le=86_400)] = 600
    page_size: Annotated[int, Field(ge=200, le=2_000)] = 2_000
    forecasting_type: str | None = None
    audience: str | None = None


_CLIENT: Final = {"client_id": "consumer key of the connected app", "client_secret": "its consumer secret"}
_MEANING: Final[dict[str, dict[str, str]]] = {
    "client_credentials": _CLIENT,
    "jwt": {
        "username": "of the integration user",
        "client_id": _CLIENT["client_id"],
        "private_key": "PEM text of the RS256 key whose certificate the app holds, or:",
        "private_key_file": "the file with it",
    },
    "refresh_token": {
        **_CLIENT,
        "client_secret": "its consumer secret; public clients have none",
        "refresh_token": "from one authorisation by a person",
    },
    "password": {
        "username": "of the integration user (SOAP; ends with the Summer '27 release)",
        "password": "its password",
        "security_token": "its security token; none from a trusted network",
    },
    "session": {"session_id": "a session ID; it is never renewed"},
}
_OPTIONS: Final = {
    "api_version": "version of the REST API",
    "overlap_seconds": "how far an increment reaches back over the last one, for transactions that are slow to commit",
    "page_size": "records of one answer, to be lowered where wide records time out",
    "forecasting_type": "which quotas count, where the org keeps several kinds",
    "audience": "who the JWT is for, where `crm.url` is a proxy",
}


def reference() -> Reference:
    """Everything that ``crm.auth`` and ``crm.options`` take."""
    defaults = Options.model_fields
    return Reference(
        flows=_MEANING,
        options={name: (meaning, str(defaults[name].default)) for name, meaning in _OPTIONS.items()},
    )


def read_auth(auth: Mapping[str, str]) -> Auth:
    """Check ``crm.auth``. Raises ``ConfigurationError`` naming the key, never its value."""
    flow = auth.get("flow")
    if flow not in _FLOWS:
        said = "is missing" if flow is None else f"{flow!r} is unknown"
        raise ConfigurationError(
            f"crm.auth.flow {said}; use one of {', '.join(_FLOWS)}{guessed(str(flow or ''), _FLOWS)}"
        )
    try:
        return _AUTH.validate_python(dict(auth))
    except ValidationError as error:
        keys = [key for key in _FLOWS[flow].model_fields if key != "flow"]
        raise ConfigurationError(_explain(error, "crm.auth", keys, f" for flow {flow}")) from None


def read_options(options: Mapping[str, Any]) -> Options:
    """Check ``crm.options``. Raises ``ConfigurationError`` naming the key."""
    try:
        return Options.model_validate(dict(options))
    except ValidationError as error:
        raise ConfigurationError(_explain(error, "crm.options", list(Options.model_fields), "")) from None


def read_url(url: str) -> str:
    """The org's address, checked. Raises ``ConfigurationError``."""
    try:
        return address.read(url)
    except ValueError as error:
        raise ConfigurationError(f"crm.url: {error}") from None


def guessed(name: str, known: Iterable[str]) -> str:
    """'; did you mean ...?', or nothing when no known name is near."""
    near = nearest(name, known)
    return f"; did you mean {near}?" if near else ""


def _explain(error: ValidationError, where: str, known: list[str], suffix: str) -> str:
    first = error.errors(include_input=False, include_url=False)[0]
    path = [str(part) for part in first["loc"] if str(part) not in _FLOWS]
    key = ".".join(path)
    if first["type"] == "extra_forbidden":
        guess = guessed(key, known)
        return f"{where}.{key} is unknown{suffix}{guess or '; known are ' + ', '.join(known)}"
    if first["type"] == "missing":
        return f"{where}.{key} is missing{suffix}"
    message = _worded(first["type"], first.get("ctx", {}), first["msg"])
    return f"{where}{'.' + key if key else ''}: {message}{suffix}"


def _worded(kind: str, context: Mapping[str, Any], message: str) -> str:
    """Pydantic's fault in our words."""
    if kind == "value_error":
        return str(context["error"])
    if kind == "string_too_short":
        return "it is empty; give it a value"
    if kind == "string_pattern_mismatch":
        return f"this is no API version; write it as {API_VERSION}, in quotes"
    if kind == "greater_than_equal":
        return f"out of range; write {context['ge']} or more"
    if kind == "less_than_equal":
        return f"out of range; write {context['le']} or less"
    if kind.startswith("int"):
        return "this is no whole number; write digits alone"
    return "this is no text; put it in quotes" if kind.startswith(("string", "path")) else message
