"""A call that got no answer -> one of our errors, in the same words for every CRM. Pure.

Drivers wrap what urllib3 and ssl say in layers of their own, some as a text alone, so the whole chain is read for
the words that tell the cases apart.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from connectors.errors import BoardlineError, ConfigurationError, Retriable, UnreachableError

_ADDRESS: Final = "check crm.url and the network"
_PROXY: Final = "check HTTPS_PROXY and the network"
# What the chain says -> what is wrong with the certificate, and what to do. Any other fault is one of trust.
_CERTIFICATE: Final = (
    ("mismatch|not valid for|doesn't match", "the certificate that {} shows is another host's; correct the address"),
    ("not yet valid", "the certificate of {} is not valid yet; set the clock of this machine"),
    ("has expired", "the certificate of {} has expired; have it renewed there, or set the clock of this machine"),
)  # fmt: skip
_UNTRUSTED: Final = (
    "the certificate of {} is not trusted; check the address, or name the PEM file of the authority that signed it "
    "(your proxy's, for example) in crm.ca_bundle"
)
# What the chain says -> what is wrong with the address. A host that was reached before is more likely to come back.
_WRONG: Final = (
    ("Temporary failure in name resolution|Try again", "its name cannot be looked up now"),
    ("NameResolutionError|getaddrinfo|Name or service not known", "there is no such host"),
    ("Connection refused|actively refused", "the connection is refused"),
    ("No route to host|Network is unreachable", "there is no way to it"),
    (
        "WRONG_VERSION_NUMBER|wrong version number|UNKNOWN_PROTOCOL|HTTP_REQUEST|record layer failure",
        "what answers there speaks no TLS",
    ),
)


def failed(error: BaseException, host: str, *, reached: bool) -> BoardlineError:
    """The error that a failed call to ``host`` stands for.

    ``reached``: this connection has had an answer before. If not, a name that does not resolve or a port that
    refuses is a wrong address rather than a passing fault, and the person is told at once.
    """
    text = " ".join(_chain(error))
    if re.search("CERTIFICATE_VERIFY_FAILED|certificate verify failed", text):
        found = next((words for mark, words in _CERTIFICATE if re.search(mark, text)), _UNTRUSTED)
        return ConfigurationError(f"crm.url: {found.format(host)}")
    by_proxy = "ProxyError" in text
    remedy = _PROXY if by_proxy else _ADDRESS
    if re.search("(?i)timeout|timed out", text):
        return Retriable(f"{host}: {'the proxy gave ' if by_proxy else ''}no answer in time", remedy=remedy)
    cause = next((words for mark, words in _WRONG if re.search(mark, text)), None)
    if by_proxy:
        cause = "the proxy on the way to it does not answer" if cause else None
    if cause and not reached:
        return UnreachableError(f"{host} cannot be reached: {cause}; {remedy}")
    if cause:
        return Retriable(f"{host}: {cause}", remedy=remedy)
    what = (
        "the proxy refuses the way to it"
        if by_proxy
        else f"the connection broke off ({type(error).__name__})"
    )
    return Retriable(f"{host}: {what}", remedy=remedy)


def _chain(error: BaseException) -> Iterator[str]:
    """The names and texts of an error and of all that it was made from."""
    seen: set[int] = set()
    left: list[BaseException | None] = [error]
    while left:
        one = left.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        yield f"{type(one).__name__}: {one}"
        inner = getattr(one, "reason", None)
        left += [one.__cause__, one.__context__, inner if isinstance(inner, BaseException) else None]
        left += [part for part in one.args if isinstance(part, BaseException)]
