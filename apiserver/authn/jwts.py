"""JSON Web Tokens before and at their verification, for every method that has to do with them.

Source: RFC 7515, RFC 7519; OpenID Connect Core 1.0.
"""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Collection, Iterable
from typing import Any, Protocol

from .base import Refused

UNVERIFIABLE = "go-jose/go-jose: error in cryptographic primitive"
"""What clients of Kubernetes are told of a wrong signature."""


class Key(Protocol):
    """A public key, and what it verifies."""

    @property
    def public(self) -> Any:
        """As `cryptography` has it."""
        ...


class Unverified:
    """What a token says of itself, which nobody has confirmed: good for choosing who is to verify it."""

    __slots__ = ("algorithm", "claims", "identifier", "issuer")

    def __init__(self, header: dict[str, Any], claims: dict[str, Any]) -> None:
        self.claims = claims
        self.issuer = _text(claims.get("iss"))
        self.identifier = _text(header.get("kid"))
        self.algorithm = _text(header.get("alg"))


def unverified(token: str) -> Unverified | None:
    """Read a token; None if it is no signed JSON Web Token."""
    parts = token.split(".")
    if len(parts) != 3:
        return None
    header, claims = (_document(part) for part in parts[:2])
    return Unverified(header, claims) if header is not None and claims is not None else None


def verify(token: str, keys: Iterable[Key], *, algorithms: Collection[str]) -> None:
    """Check the signature with whichever of the keys fits. Raises Refused."""
    import jwt

    for key in keys:
        try:
            jwt.api_jws.decode(token, key.public, algorithms=list(algorithms))
        except (jwt.InvalidTokenError, jwt.InvalidKeyError, ValueError, TypeError, AttributeError):
            continue  # not this key; its sort may not even fit the algorithm
        return
    raise Refused(UNVERIFIABLE)


def moment(claims: dict[str, Any], name: str) -> float | None:
    """A claim that is a time: seconds since 1970, None if it is absent. Raises Refused."""
    value = claims.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise Refused(f"claim {name} is no time")
    try:
        return float(value)
    except OverflowError:
        raise Refused(f"claim {name} is no time") from None


def audiences(claims: dict[str, Any]) -> frozenset[str]:
    """Whom the token is meant for. Raises Refused."""
    value = claims.get("aud")
    listed = [value] if isinstance(value, str) else value if isinstance(value, list) else []
    if not all(isinstance(item, str) for item in listed):
        raise Refused("claim aud is no list of strings")
    return frozenset(listed)


def _document(part: str) -> dict[str, Any] | None:
    try:
        found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    except (binascii.Error, ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) else None


def _text(value: object) -> str:
    return value if isinstance(value, str) else ""
