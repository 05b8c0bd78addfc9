"""The methods of authentication in their order, and what is common to all users that they find.

Certificates are looked at first, then tokens; the first method that knows the user counts, even if another found a
fault. Credentials that no method takes are refused, for a client with a stale token must learn of it; without any a
request is anonymous. What anonymous users may do (health and version) the authorizer says.

Source: Kubernetes documentation, "Authenticating"; Kubernetes' kubeapiserver/authenticator/config.go (the order).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence

from k8slite.clock import Clock, SystemClock
from k8slite.errors import unauthorized

from .anonymous import AnonymousAccess
from .base import ANONYMOUS, AUTHENTICATED, Authenticator, Credentials, Notes, Refused, User
from .metrics import AuthenticationMetrics
from .tokens import Known, Tokens

__all__ = ["AUTHENTICATED", "Chain"]
_QUIET = 1.0
"""Seconds for which nothing is logged after a refusal was: clients could fill the log with them."""
_log = logging.getLogger(__name__)


class Chain:
    """Certificate methods first, then tokens, then the anonymous user."""

    def __init__(
        self,
        *,
        certificates: Sequence[Authenticator] = (),
        tokens: Tokens | None = None,
        anonymous: Callable[[], AnonymousAccess] = AnonymousAccess,
        clock: Clock | None = None,
        metrics: AuthenticationMetrics | None = None,
    ) -> None:
        self._clock = clock or SystemClock()
        self.tokens = tokens or Tokens((), audiences=(), clock=self._clock)
        self.metrics = metrics or AuthenticationMetrics()
        self._certificates = tuple(certificates)
        self._anonymous = anonymous
        self._logged = -_QUIET

    async def authenticate(self, credentials: Credentials) -> User:
        """The user of a request. Raises ApiError 401."""
        problem, user = credentials.problem, None
        try:
            if credentials.certificate:
                for method in self._certificates:
                    try:
                        if (user := await method.authenticate(credentials)) is not None:
                            break
                    except Refused as refused:
                        problem = str(refused)
            if user is None and credentials.token:
                known = await self.tokens.verify(credentials.token)
                user = known.user
                if known.remarkable:
                    self._remark(credentials, known)
            elif user is None and problem:
                raise Refused(problem)
        except Refused as refused:
            self.metrics.attempts["error"] += 1
            self._note(str(refused))
            raise unauthorized() from None
        if user is None:
            if not self._anonymous().covers(credentials.path):
                self.metrics.attempts["failure"] += 1
                raise unauthorized()
            user = ANONYMOUS
        self.metrics.succeeded(user.name)
        return user

    def _remark(self, credentials: Credentials, known: Known) -> None:
        """Pass on what there is to say of a token."""
        notes = credentials.notes = credentials.notes or Notes()
        if (said := known.grant.notes) is not None:
            notes.warnings += said.warnings
            notes.annotations |= said.annotations
        if (late := self._clock.now().timestamp() - known.grant.stale) > 0:
            notes.annotations["authentication.k8s.io/stale-token"] = (
                f"subject: {known.user.name}, seconds after warning threshold: {int(late)}"
            )

    def _note(self, reason: str) -> None:
        now = self._clock.monotonic()
        if now - self._logged >= _QUIET:
            self._logged = now
            _log.info("credentials were refused: %s", reason)
