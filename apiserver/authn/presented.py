"""What a request presents to be known by: a bearer token, in a header or as browsers can, and its certificate.

Source: Kubernetes' apiserver, authentication/request/{bearertoken,websocket}.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from ..calls import Scope
from ..proxying import joining
from ..wire.connection import CERTIFICATE
from .base import Credentials, Notes

_EXTRA_SPACE = "the provided Authorization header contains extra space before the bearer token, and is ignored"


def presented(scope: Scope, headers: Mapping[bytes, bytes]) -> Credentials:
    """The credentials of a request; `headers` are those of the scope, by name."""
    state = scope.get("state")
    credentials = Credentials(
        certificate=state.get(CERTIFICATE, b"") if state else b"", headers=scope["headers"], path=scope["path"]
    )
    if b"authorization" in headers:
        _bearer(credentials)
    if not credentials.token and b"sec-websocket-protocol" in headers and b"upgrade" in headers:
        _subprotocols(credentials)
    return credentials


def _bearer(credentials: Credentials) -> None:
    """Of several headers the first counts, here as in a proxy before us."""
    header = b""
    for name, value in credentials.headers:
        if name == b"authorization":
            header = value
            break
    scheme, _, rest = header.strip().partition(b" ")
    if scheme.lower() != b"bearer":
        return
    token, _, more = rest.partition(b" ")
    if not token and more:
        credentials.notes = Notes(warnings=[_EXTRA_SPACE])
    credentials.token = token.decode("latin-1")


def _subprotocols(credentials: Credentials) -> None:
    """Browsers cannot set headers on a WebSocket: they bring their token as the name of a subprotocol."""
    tokens, others = [], 0
    for header, value in credentials.headers:
        if header != b"sec-websocket-protocol":
            continue
        for name in value.decode("latin-1").split(","):
            if name.strip().startswith(joining.TOKEN_PROTOCOL):
                tokens.append(name.strip().removeprefix(joining.TOKEN_PROTOCOL))
            else:
                others += 1
    if not tokens:
        return
    if len(tokens) > 1:
        credentials.problem = "multiple base64.bearer.authorization tokens specified"
        return
    text = tokens[0]
    try:
        token = base64.b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError):
        credentials.problem = "invalid base64.bearer.authorization token encoding"
        return
    if token and not others:
        # The subprotocol with the token never goes back to the client, so it needs another one to agree on.
        credentials.problem = "missing additional subprotocol"
        return
    credentials.token = token
