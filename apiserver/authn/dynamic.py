"""The configuration file of authentication, taken over anew whenever it changes.

A file that is wrong at the start ends the start. Later it changes nothing: what was believed before goes on, the fault
is logged and counted. Tokens that were believed are looked at again within seconds.

Source: Kubernetes documentation, "Authentication configuration from a file".
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from k8slite.clock import Clock
from k8slite.config import ConfigError

from ..changing_files import ChangingFiles
from . import configuration, oidc
from .anonymous import AnonymousAccess
from .base import Grant
from .metrics import AuthenticationMetrics

_log = logging.getLogger(__name__)


class ConfiguredTokens:
    """The issuers of a configuration file, and who may be anonymous by it."""

    agnostic = True

    def __init__(
        self,
        path: Path,
        *,
        disallowed: Sequence[str],
        otherwise: AnonymousAccess,
        fetch: oidc.Fetches,
        clock: Clock,
        metrics: AuthenticationMetrics,
    ) -> None:
        """Read the file. `disallowed` issuers are those of service accounts. Raises ConfigError."""
        self._path = path
        self._disallowed = tuple(disallowed)
        self._otherwise = otherwise
        self._fetch = fetch
        self._clock = clock
        self._metrics = metrics
        self._tokens = oidc.OidcTokens()
        self._anonymous = otherwise
        self._files = ChangingFiles([path], monotonic=clock.monotonic)
        self._content = b""
        self.says_anonymous = self._load().anonymous is not None

    def anonymous(self) -> AnonymousAccess:
        """Who may be anonymous now."""
        self._follow()
        return self._anonymous

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """The user of a token of one of the issuers, None for others. Raises Refused."""
        self._follow()
        return await self._tokens.authenticate(token, audiences)

    def _follow(self) -> None:
        if not self._files.changed():
            return
        try:
            self._load()
        except ConfigError as error:
            _log.error("the authentication configuration stays as it was: %s", error)
            self._metrics.reloaded("failure", self._clock.now().timestamp())

    def _load(self) -> configuration.AuthenticationConfiguration:
        try:
            content = self._path.read_bytes()
        except OSError as error:
            raise ConfigError(f"{self._path}: {error.strerror}") from error
        read = configuration.read(content, source=self._path)
        causes = configuration.check(read, disallowed=self._disallowed)
        try:
            issuers = oidc.build(read.jwt, fetch=self._fetch, clock=self._clock, causes=causes)
        except ConfigError as error:
            raise ConfigError(f"{self._path}: {error}") from error
        if self._content and content != self._content:
            _log.info("the authentication configuration has changed: %s", self._path)
            self._metrics.reloaded("success", self._clock.now().timestamp())
        if content != self._content:
            self._tokens.replace(issuers)
            self._anonymous = read.anonymous_access(self._otherwise)
        self._content = content
        return read
