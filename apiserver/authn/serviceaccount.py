"""Service account tokens: JWTs that this cluster signed, for accounts (and pods) that still exist.

A signature is verified once; after that a token costs a digest and two look-ups in the watch cache, which decode
nothing unless the object has changed. They are made at every request, so a token ends with the account or the pod that
it is bound to.

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

from ..lookup import Objects, Rows
from ..verbs.tokens import CLAIMS, TokenKey, username
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
    objects: tuple[_Bound, ...]
    """Every object that must still exist."""


class _Bound:
    """An object that a token is bound to, and what was seen of it last."""

    __slots__ = ("_ends", "_name", "_namespace", "_revision", "_rows", "_uid")

    def __init__(self, rows: Rows, *, namespace: str, name: str, uid: str) -> None:
        self._rows = rows
        self._namespace = namespace
        self._name = name
        self._uid = uid
        self._revision = 0
        self._ends: datetime | None = None

    def alive(self, now: datetime) -> bool:
        """Whether the object is still there and not long deleted."""
        entry = self._rows.get(self._namespace, self._name)
        if entry is None:
            return False
        if entry.revision != self._revision:
            metadata = entry.document["metadata"]
            if metadata.get("uid") != self._uid:
                return False
            deleted = metadata.get("deletionTimestamp")
            self._ends = datetime.fromisoformat(deleted) + _BOUND_LEEWAY if deleted else None
            self._revision = entry.revision
        return self._ends is None or now <= self._ends


class ServiceAccountAuthenticator:
    """Verifies tokens of one issuer and one key."""

    def __init__(self, *, key: TokenKey, issuer: str, objects: Objects, clock: Clock) -> None:
        self._key = key
        self._issuer = issuer
        self._objects = objects
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
        if not all(bound.alive(now) for bound in verified.objects):
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
            return _read(claims, self._objects)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise unauthorized() from None


def _read(claims: dict[str, Any], objects: Objects) -> _Verified:
    private = claims[CLAIMS]
    namespace, account = private["namespace"], private["serviceaccount"]
    if claims["sub"] != username(namespace, account["name"]):
        raise ValueError("subject and claims differ")

    def bound_to(plural: str, namespace: str, reference: dict[str, str]) -> _Bound:
        rows = objects.resource("", plural)
        return _Bound(rows, namespace=namespace, name=reference["name"], uid=reference["uid"])

    required = [bound_to("serviceaccounts", namespace, account)]
    extra: dict[str, tuple[str, ...]] = {}
    if identifier := claims.get("jti"):
        extra[CREDENTIAL_ID] = (f"JTI={identifier}",)
    for kind, plural in _BOUND.items():
        bound = private.get(kind)
        # A pod-bound token also tells the node; only a token bound to nothing but the node ends with it.
        if bound and not (kind == "node" and "pod" in private):
            required.append(bound_to(plural, "" if kind == "node" else namespace, bound))
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
        objects=tuple(required),
    )
