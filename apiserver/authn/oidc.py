"""OpenID Connect: tokens of issuers elsewhere, for users that this cluster does not keep.

A token is believed if its issuer is configured, one of the issuer's keys signed it, it is meant for one of the
configured audiences, and now lies between its beginning and its end. Then its claims make a user (`claims.py`).

Source: OpenID Connect Core 1.0, section 3.1.3.7; Kubernetes documentation, "OpenID Connect Tokens".
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from k8slite.clock import Clock
from k8slite.config import ConfigError
from k8slite.errors import Cause

from . import jwts
from .base import Grant, Refused
from .claims import Mapper
from .configuration import ALGORITHMS, JwtAuthenticator
from .distributed import DistributedClaim
from .mapping_builder import Builder
from .provider import Fetch, Provider
from .verifier import Verifier

REMEMBERED = 10.0
"""Seconds for which a token is not looked at again, so that a change of the configuration counts soon."""
Fetches = Callable[[JwtAuthenticator], Fetch]
"""Makes what reaches an issuer, with the trust that its configuration asks for."""
_GOOGLE = ("accounts.google.com", "https://accounts.google.com")
"""The name that Google's tokens may have, and that of the issuer."""


class OidcIssuer:
    """Verifies the tokens of one issuer."""

    def __init__(
        self, source: JwtAuthenticator, mapper: Mapper, *, fetch: Fetch, clock: Clock, algorithms: Sequence[str]
    ) -> None:
        self.url = source.issuer.url
        self._mapper = mapper
        self._clock = clock
        self._verifier = Verifier(audiences=source.issuer.audiences, clock=clock, algorithms=algorithms)
        self._provider = Provider(source.issuer, fetch=fetch, clock=clock)
        self._elsewhere: DistributedClaim | None = None
        if claim := source.claim_mappings.groups.claim:
            self._elsewhere = DistributedClaim(claim, verifier=self._verifier, fetch=fetch, clock=clock)

    async def grant(self, token: str, read: jwts.Unverified) -> Grant:
        """What a token grants that says it is of this issuer. Raises Refused."""
        try:
            ends = await self._verifier.verify(token, read, self._provider)
        except Refused as refused:
            raise Refused(f"oidc: verify token: {refused}") from None
        claims = read.claims
        if self._elsewhere is not None:
            claims = await self._elsewhere.added(claims)
        renew = min(ends, self._clock.now().timestamp() + REMEMBERED)
        return Grant(self._mapper.user(claims), ends=ends, renew=renew)


class OidcTokens:
    """The tokens of all configured issuers; `issuers` may be replaced at any time."""

    agnostic = True

    def __init__(self, issuers: Sequence[OidcIssuer] = ()) -> None:
        self.issuers: dict[str, OidcIssuer] = {}
        self.replace(issuers)

    def replace(self, issuers: Sequence[OidcIssuer]) -> None:
        """Believe these issuers from now on, and no others."""
        self.issuers = {issuer.url: issuer for issuer in issuers}

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """The user of a token; None for one of an issuer that is not configured. Raises Refused."""
        if not self.issuers or (read := jwts.unverified(token)) is None:
            return None
        name = _GOOGLE[1] if read.issuer == _GOOGLE[0] else read.issuer
        issuer = self.issuers.get(name)
        return await issuer.grant(token, read) if issuer is not None else None


def build(
    sources: Sequence[JwtAuthenticator],
    *,
    fetch: Fetches,
    clock: Clock,
    algorithms: Sequence[str] = ALGORITHMS,
    causes: Sequence[Cause] = (),
) -> list[OidcIssuer]:
    """Issuers ready to verify. Raises ConfigError, with `causes` found before and all that are found in mappings."""
    found = list(causes)
    issuers: list[OidcIssuer] = []
    for index, source in enumerate(sources):
        builder = Builder(source, f"jwt[{index}]")
        mapper = builder.build()
        found += builder.causes
        issuers.append(OidcIssuer(source, mapper, fetch=fetch(source), clock=clock, algorithms=algorithms))
    if found:
        raise ConfigError("; ".join(map(str, found)))
    return issuers
