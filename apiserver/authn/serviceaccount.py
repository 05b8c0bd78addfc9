"""Service account tokens: JWTs that this cluster signed, for accounts (and pods, secrets, nodes) that still exist.

The signature is verified once; what a token is bound to is looked up at every request (`bound.py`). Any of several keys
may have signed, and any of several issuers may be named, so that both can be changed without ending all tokens.

Source: Kubernetes documentation, "Managing Service Accounts"; RFC 7519.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from k8slite.token_keys import VerificationKey, username

from ..lookup import Objects
from . import bound, jwts
from .base import CREDENTIAL_ID, Condition, Grant, Refused, User

CLAIMS = "kubernetes.io"
"""The private claim: namespace, serviceaccount, and what the token is bound to."""
POD_NAME = "authentication.kubernetes.io/pod-name"
POD_UID = "authentication.kubernetes.io/pod-uid"
NODE_NAME = "authentication.kubernetes.io/node-name"
NODE_UID = "authentication.kubernetes.io/node-uid"
SKEW = 60.0
"""Seconds that another server, which issued the token, may be ahead of this one."""


class Keys:
    """The keys that verify, by name."""

    def __init__(self, keys: Sequence[VerificationKey]) -> None:
        self._all = list({key.identifier: key for key in keys}.values())

    def candidates(self, identifier: str) -> list[VerificationKey]:
        """Those that may have signed a token: the one that it names, or all if it names none. Raises Refused."""
        found = [key for key in self._all if not identifier or key.identifier == identifier]
        if not found:
            raise Refused("invalid signature, no keys found")
        return found

    def published(self) -> list[dict[str, Any]]:
        """All of them as JSON Web Keys."""
        return [key.published() for key in self._all]

    @property
    def algorithms(self) -> list[str]:
        """What they verify, sorted."""
        return sorted({key.algorithm for key in self._all})


class ServiceAccountTokens:
    """Tokens that TokenRequests gave out."""

    agnostic = False

    def __init__(self, *, keys: Keys, issuers: Sequence[str], objects: Objects) -> None:
        self._keys = keys
        self._issuers = frozenset(issuers)
        self._objects = objects

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """What the account may be known by; None for a token of another issuer. Raises Refused."""
        read = jwts.unverified(token)
        if read is None or read.issuer not in self._issuers:
            return None
        jwts.verify(token, self._keys.candidates(read.identifier), algorithms=self._keys.algorithms)
        try:
            return _read(read.claims, self._objects)
        except (KeyError, TypeError, ValueError, AttributeError):
            raise Refused("service account token claims could not be validated") from None


def account_groups(namespace: str) -> tuple[str, ...]:
    """The groups of every service account of a namespace."""
    return "system:serviceaccounts", f"system:serviceaccounts:{namespace}"


def _read(claims: dict[str, Any], objects: Objects) -> Grant:
    private = claims[CLAIMS]
    namespace, account = private["namespace"], private["serviceaccount"]
    if claims["sub"] != username(namespace, account["name"]):
        raise ValueError("subject and claims differ")
    if (ends := jwts.moment(claims, "exp")) is None or not (audiences := jwts.audiences(claims)):
        raise ValueError("a token of a TokenRequest ends, and is meant for somebody")
    conditions: list[Condition] = [
        bound.account(objects, namespace=namespace, name=account["name"], uid=account["uid"])
    ]
    extra: dict[str, tuple[str, ...]] = {}
    if identifier := claims.get("jti"):
        extra[CREDENTIAL_ID] = (f"JTI={identifier}",)
    for kind in ("pod", "secret", "node"):
        reference = private.get(kind)
        # A pod-bound token also tells the node; only a token bound to nothing but the node ends with it.
        if reference and not (kind == "node" and private.get("pod")):
            conditions.append(
                bound.attached(objects, kind, namespace=namespace, name=reference["name"], uid=reference["uid"])
            )
    if pod := private.get("pod"):
        extra |= {POD_NAME: (pod["name"],), POD_UID: (pod["uid"],)}
    if node := private.get("node"):
        extra[NODE_NAME] = (node["name"],)
        if node.get("uid"):
            extra[NODE_UID] = (node["uid"],)
    begins = [at for name in ("nbf", "iat") if (at := jwts.moment(claims, name)) is not None]
    stale = private.get("warnafter")
    return Grant(
        user=User(claims["sub"], uid=account["uid"], groups=account_groups(namespace), extra=extra),
        audiences=audiences,
        begins=max(begins, default=0.0) - SKEW,
        ends=ends,
        stale=float(stale) if stale else float("inf"),
        conditions=tuple(conditions),
    )
