"""Users named by an authenticating proxy, in headers: believed only with the proxy's own certificate.

The proxy shows a certificate of the request-header CA, which signs for proxies and nobody else; without one these
headers mean nothing. An API server that aggregates others names its users to them in just this way.

Source: Kubernetes documentation, "Authenticating proxy"; apiserver, authentication/request/headerrequest.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import unquote

from cryptography import x509

from k8slite.clock import Clock
from k8slite.config import ApiServerConfig

from .base import Credentials, Refused, User, completed
from .x509 import Issuers, common_names

_CACHED = 256


@dataclass(frozen=True, slots=True)
class HeaderNames:
    """Which headers name the user, lower-case; of `user` and `uid` the first that has a value counts."""

    user: tuple[bytes, ...]
    uid: tuple[bytes, ...]
    groups: tuple[bytes, ...]
    extra: tuple[bytes, ...]
    """Prefixes; what follows is the key, percent-encoded."""

    @classmethod
    def of(cls, config: ApiServerConfig) -> HeaderNames:
        """Those of a configuration."""

        def lower(names: Sequence[str]) -> tuple[bytes, ...]:
            return tuple(name.strip().lower().encode("latin-1") for name in names)

        return cls(
            lower(config.requestheader_username_headers),
            lower(config.requestheader_uid_headers),
            lower(config.requestheader_group_headers),
            lower(config.requestheader_extra_headers_prefix),
        )


class RequestHeaderAuthenticator:
    """Believes proxies whose certificate one CA signed and whose common name is allowed (if any are named: only those).

    `Credentials.headers` has lower-case names.
    """

    def __init__(self, issuers: Issuers, *, allowed: Sequence[str], headers: HeaderNames, clock: Clock) -> None:
        self._issuers = issuers
        self._allowed = frozenset(allowed)
        self._headers = headers
        self._clock = clock
        self._proxies: dict[bytes, tuple[bool, datetime, datetime]] = {}

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user that a proxy names; None if it is no proxy, or names none. Raises Refused."""
        if not credentials.certificate:
            return None
        if self._issuers.changed():
            self._proxies.clear()
        known = self._proxies.get(credentials.certificate)
        if known is None:
            if len(self._proxies) >= _CACHED:
                self._proxies.clear()
            known = self._proxies[credentials.certificate] = self._read(credentials.certificate)
        trusted, begins, ends = known
        if not trusted:
            return None
        user = user_of(credentials.headers, self._headers)
        if user is not None and not begins <= self._clock.now() <= ends:
            raise Refused("x509: certificate has expired or is not yet valid")
        return completed(user) if user is not None else None

    def _read(self, der: bytes) -> tuple[bool, datetime, datetime]:
        certificate = x509.load_der_x509_certificate(der)
        trusted = self._issuers.issued(certificate)
        if trusted and self._allowed:
            trusted = bool(self._allowed.intersection(common_names(certificate)[-1:]))
        return trusted, certificate.not_valid_before_utc, certificate.not_valid_after_utc


def user_of(headers: Sequence[tuple[bytes, bytes]], names: HeaderNames) -> User | None:
    """The user that headers name, None without a name."""

    def values(wanted: bytes) -> list[str]:
        return [value.decode("utf-8", "replace") for name, value in headers if name == wanted and value]

    def first(wanted: Sequence[bytes]) -> str:
        return next((value for name in wanted for value in values(name)), "")

    user = first(names.user)
    if not user:
        return None
    extra: dict[str, tuple[str, ...]] = {}
    for prefix in names.extra:
        for name, value in headers:
            if name.startswith(prefix):
                key = unquote(name.removeprefix(prefix).decode("latin-1"))
                extra[key] = (*extra.get(key, ()), value.decode("utf-8", "replace"))
    groups = tuple(value for name in names.groups for value in values(name))
    return User(user, uid=first(names.uid), groups=groups, extra=extra)
