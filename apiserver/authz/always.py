"""The modes that ask nobody: for tests, and for closing a server. They run only where the configuration names them."""

from __future__ import annotations

from ..authn.base import User
from .base import Attributes, Decision, Held
from .rules import ANY, Rule

_ANY = frozenset({ANY})


class AlwaysAllow:
    """Allows everything."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """ALLOW."""
        return Decision.ALLOW, ""

    def held(self, user: User, namespace: str) -> Held:
        """Everything."""
        return Held((Rule(_ANY, _ANY, _ANY), Rule(_ANY, urls=_ANY)))


class AlwaysDeny:
    """Allows nothing, but to `system:masters`."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """No opinion, so that nobody allows it."""
        return Decision.NO_OPINION, "Everything is forbidden."

    def held(self, user: User, namespace: str) -> Held:
        """Nothing."""
        return Held()
