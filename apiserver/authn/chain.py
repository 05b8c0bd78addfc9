"""The methods of authentication in their order, and what is common to all users that they find.

Without credentials a request is anonymous; what anonymous users may do (health and version) the authorizer says.
Credentials that no method takes are refused: a client with a stale token must learn of it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from k8slite.clock import Clock
from k8slite.config import ApiServerConfig
from k8slite.errors import unauthorized

from ..lookup import Objects
from ..verbs.tokens import TokenKey
from .base import ANONYMOUS, Authenticator, Credentials, User
from .request_header import HeaderNames, RequestHeaderAuthenticator
from .serviceaccount import ServiceAccountAuthenticator
from .static import StaticTokenAuthenticator
from .x509 import CertificateAuthenticator, Issuers

AUTHENTICATED = "system:authenticated"
_CACHED = 8192


class Chain:
    """Certificate methods first, then token methods; the first that knows the user counts."""

    def __init__(self, *, certificates: Sequence[Authenticator] = (), tokens: Sequence[Authenticator] = ()) -> None:
        self._certificates = tuple(certificates)
        self._tokens = tuple(tokens)
        # Methods give the same object for the same credentials again: the group is added once, not at each request.
        self._completed: dict[int, tuple[User, User]] = {}

    async def authenticate(self, credentials: Credentials) -> User:
        """The user of a request. Raises ApiError 401."""
        if credentials.certificate:
            for method in self._certificates:
                if (user := await method.authenticate(credentials)) is not None:
                    return self._complete(user)
        if credentials.token:
            for method in self._tokens:
                if (user := await method.authenticate(credentials)) is not None:
                    return self._complete(user)
            raise unauthorized()
        return ANONYMOUS

    def _complete(self, user: User) -> User:
        known = self._completed.get(id(user))
        if known is not None and known[0] is user:
            return known[1]
        completed = user
        if AUTHENTICATED not in user.groups and ANONYMOUS.groups[0] not in user.groups:
            completed = replace(user, groups=(*user.groups, AUTHENTICATED))
        if len(self._completed) >= _CACHED:
            self._completed.clear()
        self._completed[id(user)] = (user, completed)
        return completed


def build(config: ApiServerConfig, *, key: TokenKey, objects: Objects, clock: Clock) -> Chain:
    """The chain that a configuration asks for. Raises ConfigError for a bad token file or CA file."""
    tokens: list[Authenticator] = []
    if config.token_file is not None:
        tokens.append(StaticTokenAuthenticator.load(config.token_file))
    tokens.append(
        ServiceAccountAuthenticator(key=key, issuer=config.service_account_issuer, objects=objects, clock=clock)
    )
    if config.requestheader_client_ca_file is None:
        return Chain(certificates=[CertificateAuthenticator(clock=clock)], tokens=tokens)
    proxies = RequestHeaderAuthenticator(
        Issuers.load(config.requestheader_client_ca_file),
        allowed=config.requestheader_allowed_names,
        headers=HeaderNames.of(config),
        clock=clock,
    )
    clients = CertificateAuthenticator(clock=clock, issuers=Issuers.load(config.client_ca_file))
    return Chain(certificates=[proxies, clients], tokens=tokens)
