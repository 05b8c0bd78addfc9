"""Bearer tokens: the methods in their order, and a memory of the tokens that they knew.

A token that was good once costs a digest, a look-up and its conditions (most of all: do the objects that it is bound to
still exist?). The memory is by digest, so no token is kept. What is refused is not remembered.

Source: Kubernetes' apiserver, authentication/token/{cache,union}.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Sequence
from dataclasses import dataclass

from k8slite.clock import Clock

from .base import Grant, Refused, TokenMethod, User, completed
from .metrics import AuthenticationMetrics

LONGEST = 16 * 1024
"""Characters. No issuer makes longer tokens, and every method would have to look at them."""
INVALID = "invalid bearer token"
_CACHED = 8192
_LONGEST_AUDIENCES = 4096
"""Characters of the audiences that a review asks for, with which a token is remembered."""


@dataclass(frozen=True, slots=True)
class Known:
    """A token that counts: what it grants (`user` is complete), and for which of the audiences that were asked for."""

    grant: Grant
    user: User
    audiences: tuple[str, ...]
    remarkable: bool
    """Whether there is something to say of it besides."""


class Tokens:
    """Asks each method until one knows the token. `audiences` are this server's own, the first stands for them."""

    def __init__(
        self,
        methods: Sequence[TokenMethod],
        *,
        audiences: Sequence[str],
        clock: Clock,
        metrics: AuthenticationMetrics | None = None,
    ) -> None:
        self._methods = tuple(methods)
        self._clock = clock
        self._metrics = metrics or AuthenticationMetrics()
        self._known: dict[bytes, Known] = {}
        self.audiences = tuple(audiences)

    async def verify(self, token: str, audiences: Sequence[str] = ()) -> Known:
        """What a token grants towards one of `audiences` (none: this server's). Raises Refused."""
        digest = hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
        wanted: Sequence[str] = self.audiences
        if audiences and tuple(audiences) != wanted:
            wanted = audiences
            digest += repr(tuple(audiences)).encode()
        known = self._known.get(digest)
        if known is not None:
            now, grant = self._clock.now(), known.grant
            seconds = now.timestamp()
            if seconds < grant.renew and not grant.problem(now, seconds):
                self._metrics.hits += 1
                return known
        self._known.pop(digest, None)
        with self._metrics.fetching():
            known = await self._ask(token, wanted)
        if len(digest) <= _LONGEST_AUDIENCES:
            if len(self._known) >= _CACHED:
                self._known.clear()
            self._known[digest] = known
        return known

    async def _ask(self, token: str, wanted: Sequence[str]) -> Known:
        if len(token) > LONGEST:
            raise Refused(INVALID)
        own = tuple(audience for audience in wanted if audience in self.audiences)
        reasons: list[str] = []
        for method in self._methods:
            if method.agnostic and not own:
                continue
            try:
                grant = await method.authenticate(token, wanted)
                if grant is None:
                    continue
                now = self._clock.now()
                if problem := grant.problem(now, now.timestamp()):
                    raise Refused(problem)
                shared = own
                if grant.audiences is not None:
                    shared = tuple(audience for audience in wanted if audience in grant.audiences)
                    if not shared:
                        raise Refused(_other_audience(grant.audiences, wanted))
            except Refused as refused:
                reasons.append(str(refused))
                continue
            remarkable = grant.notes is not None or grant.stale < math.inf
            return Known(grant, completed(grant.user), shared, remarkable)
        raise Refused(f"[{', '.join(dict.fromkeys((INVALID, *reasons)))}]" if reasons else INVALID)


def _other_audience(meant: frozenset[str], wanted: Sequence[str]) -> str:
    return f"token audiences {_listed(sorted(meant))} is invalid for the target audiences {_listed(wanted)}"


def _listed(names: Sequence[str]) -> str:
    return "[" + " ".join(f'"{name}"' for name in names) + "]"
