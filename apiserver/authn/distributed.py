"""A claim that the token does not hold, but says where it is: another token, at an address of the issuer's choosing.

Only the claim of the groups may lie elsewhere, and only a mapping by its name sees it there. The other token may be of
another issuer, which is reached under the same trust; it must be meant for the same audiences.

Source: OpenID Connect Core 1.0, section 5.6.2; Kubernetes' apiserver, authenticator/token/oidc (claim resolver).
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from typing import Any

from k8slite.clock import Clock

from . import jwts
from .base import Refused
from .configuration import Issuer
from .provider import Fetch, Provider, Unreachable
from .verifier import Verifier

_ISSUERS = 16
"""So many other issuers are remembered."""


class DistributedClaim:
    """Fetches one claim from where tokens say that it is."""

    def __init__(self, claim: str, *, verifier: Verifier, fetch: Fetch, clock: Clock) -> None:
        self._claim = claim
        self._verifier = verifier
        self._fetch = fetch
        self._clock = clock
        self._providers: OrderedDict[str, Provider] = OrderedDict()

    async def added(self, claims: Mapping[str, Any]) -> dict[str, Any]:
        """The claims of a verified token, with the one that lies elsewhere, if it does. Raises Refused."""
        try:
            place = self._place(claims)
            if place is None:
                return dict(claims)
            return {**claims, self._claim: await self._value(*place)}
        except Refused as refused:
            raise Refused(f"oidc: could not expand distributed claims: {refused}") from None

    def _place(self, claims: Mapping[str, Any]) -> tuple[str, str] | None:
        """Where the claim is, and the token that is wanted there; None if it is nowhere else."""
        names = claims.get("_claim_names")
        if self._claim in claims or names is None:
            return None
        sources = claims.get("_claim_sources")
        if not isinstance(names, dict) or not isinstance(sources, dict):
            raise Refused("oidc: could not parse claim sources")
        name = names.get(self._claim)
        if name is None:
            return None
        source = sources.get(name) if isinstance(name, str) else None
        if not isinstance(source, dict):
            raise Refused(f"id token _claim_names contained a source {name} missing in _claims_sources")
        url, token = source.get("endpoint"), source.get("access_token")
        if not isinstance(url, str) or not url:
            return None  # an aggregated claim: nobody supports those
        if not url.startswith("https://"):
            raise Refused("the endpoint of a claim must be https")
        return url, token if isinstance(token, str) else ""

    async def _value(self, url: str, token: str) -> Any:
        try:
            text = (await self._fetch(url, token=token)).body.decode("ascii").strip()
        except (Unreachable, UnicodeDecodeError) as error:
            raise Refused(f'while getting distributed claim "{self._claim}": {error}') from None
        read = jwts.unverified(text)
        if read is None or not read.issuer.startswith("https://"):
            raise Refused(f'getting untrusted issuer failed for claim "{self._claim}"')
        await self._verifier.verify(text, read, self._provider(read.issuer))
        if self._claim not in read.claims:
            raise Refused(f'jwt returned by distributed claim endpoint "{url}" did not contain claim: {self._claim}')
        return read.claims[self._claim]

    def _provider(self, url: str) -> Provider:
        provider = self._providers.get(url)
        if provider is None:
            provider = self._providers[url] = Provider(Issuer(url=url), fetch=self._fetch, clock=self._clock)
            if len(self._providers) > _ISSUERS:
                self._providers.popitem(last=False)
        self._providers.move_to_end(url)
        return provider
