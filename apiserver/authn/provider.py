"""An OpenID Connect issuer as this server knows it: its discovery document and its keys.

Nothing is asked before the first token comes, so the server starts while its issuers are down. Keys are kept for as
long as the issuer says (within reason), and longer while it cannot be reached. A token that names an unknown key makes
them be fetched again, which is how rotation is noticed; such tokens cannot do that more often than every few seconds.

Source: OpenID Connect Discovery 1.0; RFC 7517.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Any, Protocol

import orjson

from k8slite.clock import Clock

from .base import Refused
from .configuration import Issuer

RETRY = 10.0
"""Seconds between two attempts to reach an issuer, and between two fetches for keys that were not there."""
_SHORTEST, _USUAL, _LONGEST = 60.0, 3600.0, 86400.0
_MAX_AGE = re.compile(r"max-age=(\d{1,9})")
_SORTS = frozenset({"RSA", "EC"})


class Unreachable(Exception):
    """An issuer does not answer, or not as it should; the text says how."""


@dataclass(frozen=True, slots=True, repr=False)
class Fetched:
    """What an issuer answered, and what it said of caching."""

    body: bytes
    cache_control: str = ""

    def document(self) -> Any:
        """The body as JSON. Raises Unreachable."""
        try:
            return orjson.loads(self.body)
        except orjson.JSONDecodeError:
            raise Unreachable("the issuer's answer is no JSON") from None


class Fetch(Protocol):
    """Gets something from an issuer."""

    async def __call__(self, url: str, *, token: str = "") -> Fetched:
        """What stands at a URL, for whoever has the bearer token. Raises Unreachable."""
        ...


@dataclass(frozen=True, slots=True)
class IssuerKey:
    """One of an issuer's keys."""

    public: Any = field(repr=False)
    identifier: str


class Provider:
    """Fetches the keys of one issuer, as few times as possible."""

    def __init__(self, issuer: Issuer, *, fetch: Fetch, clock: Clock) -> None:
        self._issuer = issuer
        self._fetch = fetch
        self._clock = clock
        self._keys: list[IssuerKey] | None = None
        self._expires = 0.0
        self._unknown_until = -RETRY
        self._down_until = -RETRY
        self._problem = ""
        self._lock = asyncio.Lock()
        self._fetches = 0

    async def candidates(self, identifier: str) -> list[IssuerKey]:
        """The keys that may have signed a token that names `identifier` (empty: names none). Raises Refused."""
        if self._keys is None or self._clock.monotonic() >= self._expires:
            await self._refresh()
        found = self._matching(identifier)
        if not found and self._clock.monotonic() >= self._unknown_until:
            await self._refresh()
            found = self._matching(identifier)
            if not found:
                self._unknown_until = self._clock.monotonic() + RETRY
        if self._keys is None:
            raise Refused(f"oidc: authenticator not initialized: {self._problem}")
        if not found:
            raise Refused("oidc: verify token: failed to verify signature: failed to verify id token signature")
        return found

    def _matching(self, identifier: str) -> list[IssuerKey]:
        return [key for key in self._keys or () if not identifier or key.identifier == identifier]

    async def _refresh(self) -> None:
        """Fetch the keys, once for all who wait for them; on failure the old ones stay."""
        seen = self._fetches
        async with self._lock:
            if self._fetches != seen or self._clock.monotonic() < self._down_until:
                return
            try:
                self._keys, age = await self._load()
                self._expires = self._clock.monotonic() + age
            except Unreachable as error:
                self._problem = str(error)
                self._down_until = self._clock.monotonic() + RETRY
            self._fetches += 1

    async def _load(self) -> tuple[list[IssuerKey], float]:
        url = self._issuer.url.rstrip("/") + "/.well-known/openid-configuration"
        document = (await self._fetch(self._issuer.discovery_url or url)).document()
        if not isinstance(document, dict):
            raise Unreachable("the discovery document is no object")
        if document.get("issuer") != self._issuer.url:
            raise Unreachable(
                "oidc: issuer did not match the issuer returned by provider, expected "
                f'"{self._issuer.url}" got "{document.get("issuer")}"'
            )
        where = document.get("jwks_uri")
        if not isinstance(where, str) or not where.startswith("https://"):
            raise Unreachable("the discovery document names no https jwks_uri")
        answer = await self._fetch(where)
        keys = _keys(answer.document())
        age = _MAX_AGE.search(answer.cache_control)
        return keys, min(max(float(age[1]) if age else _USUAL, _SHORTEST), _LONGEST)


def _keys(document: Any) -> list[IssuerKey]:
    """The keys of a key set that can verify; others are left out. Raises Unreachable."""
    import jwt

    listed = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(listed, list):
        raise Unreachable("the key set has no keys")
    found: list[IssuerKey] = []
    for item in listed:
        if not isinstance(item, dict) or item.get("kty") not in _SORTS or item.get("use", "sig") != "sig":
            continue
        try:
            public = jwt.PyJWK({**item, "alg": _algorithm(item)}).key
        except (jwt.PyJWKError, jwt.InvalidKeyError, ValueError, TypeError, KeyError):
            continue
        identifier = item.get("kid")
        found.append(IssuerKey(public, identifier if isinstance(identifier, str) else ""))
    return found


def _algorithm(item: dict[str, Any]) -> str:
    """An algorithm of the key's sort, for reading it; which one it verifies with is the token's to say."""
    if item["kty"] == "RSA":
        return "RS256"
    return {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}.get(str(item.get("crv")), "")
