"""The headers of a request that is passed on: the client's, but for what is between it and this server, and its user.

The other server knows this one by its certificate and learns from headers who asks. The client's own credentials stay
here, and so do headers by which it would name itself. Pure.

Source: client-go, transport (authenticating proxy); RFC 9110, section 7.6.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from urllib.parse import quote

from ..authn.base import User
from ..calls import Scope
from ..proxying import joining

HOP_BY_HOP = frozenset(
    {b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te"}
    | {b"trailer", b"transfer-encoding", b"upgrade"}
)
_OURS = frozenset({b"authorization", b"host", b"content-length", b"expect", b"x-forwarded-for", b"audit-id"})
_OURS_PREFIXES = (b"x-remote-", b"impersonate-")
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_KEY_SAFE = "!#$&'*+-.^_`|~"
"""Characters of an extra's key that a header name can hold; others are percent-encoded."""


def request_headers(scope: Scope) -> Iterator[tuple[str, str]]:
    """The client's headers that the other server may see, and where the client is.

    Servers that read headers as CGI has them take an underscore for a hyphen, so both are judged alike.
    """
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    named = [value for name, value in headers if name == b"connection"]
    dropped = {token.strip().lower() for value in named for token in value.split(b",")} | HOP_BY_HOP | _OURS
    for name, value in joining.without_token(headers):
        if not dropped.intersection((name, name.replace(b"_", b"-"))) and not _names_somebody(name):
            yield name.decode("latin-1"), value.decode("utf-8", "replace")
    forwarded = [value.decode("utf-8", "replace") for name, value in headers if name == b"x-forwarded-for"]
    if client := scope.get("client"):
        forwarded.append(_address(client[0]))
    if forwarded:
        yield "X-Forwarded-For", ", ".join(forwarded)


def _names_somebody(name: bytes) -> bool:
    return name.replace(b"_", b"-").startswith(_OURS_PREFIXES)


def user_headers(user: User) -> Iterator[tuple[str, str]]:
    """How an authenticating proxy names a user. Raises ValueError for a name that would arrive as another."""
    yield _named("X-Remote-User", user.name)
    if user.uid:
        yield _named("X-Remote-Uid", user.uid)
    for group in user.groups:
        yield _named("X-Remote-Group", group)
    for key, values in user.extra.items():
        for value in values:
            yield _named(f"X-Remote-Extra-{quote(key, safe=_KEY_SAFE)}", value)


def _named(header: str, text: str) -> tuple[str, str]:
    """A line break would begin another header, and readers strip what is blank at either end."""
    if _CONTROLS.search(text) or text != text.strip(" \t"):
        raise ValueError(f'net/http: invalid header field value for "{header}"')
    return header, text


def _address(host: str) -> str:
    try:
        return str(ipaddress.ip_address(host))
    except ValueError:
        return host
