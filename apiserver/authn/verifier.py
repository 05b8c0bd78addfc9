"""Whether a token of an issuer is good: signed by one of its keys, meant for us, and not too early or too late.

Source: OpenID Connect Core 1.0, section 3.1.3.7.
"""

from __future__ import annotations

from collections.abc import Sequence

from k8slite.clock import Clock

from . import jwts
from .base import Refused
from .provider import Provider

_EARLY = 60.0
"""Seconds by which an issuer's clock may be ahead, for a token's beginning."""


class Verifier:
    """Verifies tokens that are meant for one of `audiences` and signed by one of `algorithms`."""

    def __init__(self, *, audiences: Sequence[str], clock: Clock, algorithms: Sequence[str]) -> None:
        self._audiences = frozenset(audiences)
        self._clock = clock
        self._algorithms = tuple(algorithms)

    async def verify(self, token: str, read: jwts.Unverified, provider: Provider) -> float:
        """When a token ends (seconds since 1970) that `provider` is the issuer of. Raises Refused."""
        if read.algorithm not in self._algorithms:
            raise Refused(f'oidc: id token signed with unsupported algorithm, got "{read.algorithm}"')
        audiences = jwts.audiences(read.claims)
        if not audiences & self._audiences:
            raise Refused(f"oidc: expected audience in {sorted(self._audiences)} got {sorted(audiences)}")
        now = self._clock.now().timestamp()
        ends, begins = jwts.moment(read.claims, "exp"), jwts.moment(read.claims, "nbf")
        if ends is None or now >= ends:
            raise Refused("oidc: token is expired")
        if begins is not None and now + _EARLY < begins:
            raise Refused("oidc: current time is before the nbf (not before) time")
        jwts.verify(token, await provider.candidates(read.identifier), algorithms=[read.algorithm])
        return ends
