"""What a bootstrap token says, and what is signed with it.

Whoever joins knows a token and nothing else. It reads the ConfigMap `cluster-info` without credentials, and believes
what it says because somebody who knows the token has signed it.

Source: Kubernetes documentation, "Authenticating with Bootstrap Tokens"; RFC 7515 (JWS, appendix F: detached content).
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

import orjson

from k8slite.kinds.core import Secret

TYPE = "bootstrap.kubernetes.io/token"
NAMESPACE = "kube-system"
KUBECONFIG = "kubeconfig"
"""What is signed of the ConfigMap."""
SIGNATURE = "jws-kubeconfig-"
"""And what signatures are called, with the token's id."""
_name = re.compile(r"bootstrap-token-([a-z0-9]{6})").fullmatch
_moment = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)").fullmatch
_LONG_AGO = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Token:
    """A token that may sign."""

    id: str
    secret: str

    def __repr__(self) -> str:
        """Never the secret: it must not reach a log."""
        return f"Token({self.id})"


def is_token(secret: Secret) -> bool:
    """Whether a Secret holds a bootstrap token."""
    return secret.type == TYPE and secret.namespace == NAMESPACE


def expires(secret: Secret) -> datetime | None:
    """When the token ends; None if never. What is no time is long ago."""
    text = _text(secret, "expiration")
    if not text:
        return None
    try:
        return datetime.fromisoformat(text) if _moment(text) else _LONG_AGO
    except ValueError:
        return _LONG_AGO


def token(secret: Secret, *, now: datetime) -> Token | None:
    """The token, if it may sign now."""
    named = _name(secret.name)
    identity, value = _text(secret, "token-id"), _text(secret, "token-secret")
    end = expires(secret)
    if named is None or named[1] != identity or not value or (end is not None and end <= now):
        return None
    return Token(identity, value) if _text(secret, "usage-bootstrap-signing") == "true" else None


def _text(secret: Secret, key: str) -> str:
    try:
        return base64.b64decode(secret.data.get(key, "")).decode()
    except (binascii.Error, UnicodeDecodeError):
        return ""


def signature(content: str, by: Token) -> str:
    """The detached signature of a text: a JWS without its middle."""
    header = _encoded(orjson.dumps({"alg": "HS256", "kid": by.id}))
    signed = hmac.new(by.secret.encode(), header + b"." + _encoded(content.encode()), hashlib.sha256).digest()
    return (header + b".." + _encoded(signed)).decode()


def _encoded(value: bytes) -> bytes:
    return base64.urlsafe_b64encode(value).rstrip(b"=")


def signed(data: Mapping[str, str], tokens: Iterable[Token]) -> dict[str, str] | None:
    """The data of `cluster-info` with the signatures that it should have; None if it is right, or there is nothing."""
    if KUBECONFIG not in data:
        return None
    wanted = {key: value for key, value in data.items() if not key.startswith(SIGNATURE)}
    wanted |= {f"{SIGNATURE}{each.id}": signature(data[KUBECONFIG], each) for each in tokens}
    return wanted if wanted != data else None
