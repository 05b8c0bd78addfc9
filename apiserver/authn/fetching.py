"""Documents of OpenID Connect issuers, over HTTPS under the trust that their configuration asks for.

Redirects are not followed: who answers for an issuer is its configuration's to say.
"""

from __future__ import annotations

from ..backends import BackendError, Backends, Target, Trust, read_bounded
from .configuration import JwtAuthenticator
from .oidc import Fetches
from .provider import Fetch, Fetched, Unreachable

_TIMEOUT = 10.0
_LIMIT = 1 << 20
_HEADERS = (("Accept", "application/json"),)


def fetches(backends: Backends) -> Fetches:
    """What makes the way to each issuer."""

    def to(source: JwtAuthenticator) -> Fetch:
        trust = Trust(ca_bundle=source.issuer.certificate_authority.encode())

        async def fetch(url: str, *, token: str = "") -> Fetched:
            return await _fetch(backends, Target(None, url, trust), token)

        return fetch

    return to


async def _fetch(backends: Backends, target: Target, token: str) -> Fetched:
    headers = [*_HEADERS, ("Authorization", f"Bearer {token}")] if token else _HEADERS
    try:
        async with backends.request(target, "GET", headers=headers, timeout=_TIMEOUT) as response:
            body = await read_bounded(response, _LIMIT)
            status, cache = response.status, response.headers.get("Cache-Control", "")
    except BackendError as error:
        raise Unreachable(f'Get "{target.url}": {error}') from error
    if status != 200:
        raise Unreachable(f'Get "{target.url}": status {status}')
    return Fetched(body, cache)
