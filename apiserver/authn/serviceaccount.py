"""Service account tokens: JWTs that this cluster signed, for accounts (and pods) that still exist.

A signature is verified once; after that a token costs a digest and two look-ups in the watch cache. The look-ups are
made at every request, so a token ends with the account or the pod that it is bound to.

Source: Kubernetes documentation, "Managing Service Accounts"; RFC 7519.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import jwt

from k8slite.clock import Clock
from k8slite.errors import unauthorized

from ..strategies.base import Document
from ..tokens import CLAIMS, Lookup, TokenKey, username
from .base import CREDENTIAL_ID, Credentials, User

_CACHED = 4096
_BOUND_LEEWAY = timedelta(seconds=60)
"""A pod that is being deleted may use its token this long after its grace period's end."""
_POD_NAME = "authentication.kubernetes.io/pod-name"
_POD_UID = "authentication.kubernetes.io/pod-uid"
_NODE_NAME = "authentication.kubernetes.io/node-name"
_NODE_UID = "authentication.kubernetes.io/node-uid"
_BOUND = {"pod": "pods", "secret": "secrets", "node": "nodes"}


@dataclass(frozen=True, slots=True)
class _Verified:
    """What is left of a token once its signature is known to be good: nothing secret."""

    user: User
    audiences: frozenset[str]
    begins: float
    ends: float
    objects: tuple[tuple[str, str, str, str], ...]
    """Plural, namespace, name and UID of every object that must still exist."""


class ServiceAccountAuthenticator:
    """Verifies tokens of one issuer and one key."""

    def __init__(self, *, key: TokenKey, issuer: str, lookup: Lookup, clock: Clock) -> None:
        self._key = key
        self._issuer = issuer
        self._lookup = lookup
        self._clock = clock
        self._verified: dict[bytes, _Verified] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The account's user; None for a token of another issuer. Raises ApiError 401."""
        return self.verify(credentials.token, audiences=(self._issuer,))[0] if credentials.token else None

    def verify(self, token: str, *, audiences: Sequence[str]) -> tuple[User | None, tuple[str, ...]]:
        """The user and those of `audiences` that the token is meant for. Raises ApiError 401 (also if for none)."""
        digest = hashlib.sha256(token.encode()).digest()
        verified = self._verified.get(digest)
        if verified is None:
            verified = self._decode(token)
            if verified is None:
                return None, ()
            if len(self._verified) >= _CACHED:
                self._verified.clear()
            self._verified[digest] = verified
        now = self._clock.now()
        shared = tuple(audience for audience in audiences if audience in verified.audiences)
        if not shared or not verified.begins <= now.timestamp() < verified.ends:
            raise unauthorized()
        for plural, namespace, name, uid in verified.objects:
            if not _alive(self._lookup("", plural, namespace, name), uid=uid, now=now):
                raise unauthorized()
        return verified.user, shared

    def _decode(self, token: str) -> _Verified | None:
        try:
            if jwt.decode(token, options={"verify_signature": False}).get("iss") != self._issuer:
                return None
            claims = jwt.decode(
                token,
                self._key.public,
                algorithms=[self._key.algorithm],
                issuer=self._issuer,
                # The clock is the server's, and audiences are compared by the caller.
                options={
                    "require": ["exp", "iat", "sub", "aud"],
                    "verify_aud": False,
                    "verify_exp": False,
                    "verify_nbf": False,
                    "verify_iat": False,
                },
            )
        except jwt.DecodeError as error:
            if isinstance(error, jwt.InvalidSignatureError):
                raise unauthorized() from None
            return None  # no JWT at all
        except jwt.InvalidTokenError:
            raise unauthorized() from None
        try:
            return _read(claims)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise unauthorized() from None


def _read(claims: dict[str, Any]) -> _Verified:
    private = claims[CLAIMS]
    namespace, account = private["namespace"], private["serviceaccount"]
    if claims["sub"] != username(namespace, account["name"]):
        raise ValueError("subject and claims differ")
    objects = [("serviceaccounts", namespace, account["name"], account["uid"])]
    extra: dict[str, tuple[str, ...]] = {}
    if identifier := claims.get("jti"):
        extra[CREDENTIAL_ID] = (f"JTI={identifier}",)
    for kind, plural in _BOUND.items():
        bound = private.get(kind)
        # A pod-bound token also tells the node; only a token bound to nothing but the node ends with it.
        if bound and not (kind == "node" and "pod" in private):
            objects.append((plural, "" if kind == "node" else namespace, bound["name"], bound["uid"]))
    if pod := private.get("pod"):
        extra |= {_POD_NAME: (pod["name"],), _POD_UID: (pod["uid"],)}
    if node := private.get("node"):
        extra[_NODE_NAME] = (node["name"],)
        if node.get("uid"):
            extra[_NODE_UID] = (node["uid"],)
    audience = claims["aud"]
    return _Verified(
        user=User(
            claims["sub"],
            uid=account["uid"],
            groups=("system:serviceaccounts", f"system:serviceaccounts:{namespace}"),
            extra=extra,
        ),
        audiences=frozenset([audience] if isinstance(audience, str) else audience),
        begins=float(claims.get("nbf", claims["iat"])),
        ends=float(claims["exp"]),
        objects=tuple(objects),
    )


def _alive(document: Document | None, *, uid: str, now: datetime) -> bool:
    if document is None:
        return False
    metadata = document["metadata"]
    if metadata.get("uid") != uid:
        return False
    deleted = metadata.get("deletionTimestamp")
    return not deleted or now <= datetime.fromisoformat(deleted) + _BOUND_LEEWAY
