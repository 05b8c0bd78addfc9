"""What a request presents to be known by: a bearer token, in a header or as browsers can, and its certificate."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping

from ..calls import Scope
from ..proxying import joining
from ..wire.connection import CERTIFICATE
from .base import Credentials


def presented(scope: Scope, headers: Mapping[bytes, bytes]) -> Credentials:
    """The credentials of a request."""
    token = ""
    header = headers.get(b"authorization")
    if header is not None:
        scheme, _, value = header.partition(b" ")
        if scheme.lower() == b"bearer":
            token = value.strip().decode("latin-1")
    elif b"sec-websocket-protocol" in headers and b"upgrade" in headers:
        token = _subprotocol_token(headers[b"sec-websocket-protocol"].decode("latin-1"))
    state = scope.get("state")
    return Credentials(token, state.get(CERTIFICATE, b"") if state else b"", scope["headers"])


def _subprotocol_token(protocols: str) -> str:
    """Browsers cannot set headers on a WebSocket: they bring their token as the name of a subprotocol."""
    for name in protocols.split(","):
        if name.strip().startswith(joining.TOKEN_PROTOCOL):
            text = name.strip().removeprefix(joining.TOKEN_PROTOCOL)
            try:
                return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)).decode()
            except (binascii.Error, UnicodeDecodeError):
                return "malformed"
    return ""
