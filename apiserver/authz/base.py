"""What is asked for, and whether it may be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from ..authn.base import User


@dataclass(frozen=True, slots=True)
class Attributes:
    """A request as rules see it. Outside the resource API only `verb` (lower-case method) and `path` are set."""

    user: User
    verb: str
    path: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""

    @property
    def is_resource(self) -> bool:
        """Whether the request is for the resource API."""
        return bool(self.resource)


class Decision(Enum):
    """An authorizer's answer; the first that is not NO_OPINION counts, and none at all denies."""

    ALLOW = "allow"
    DENY = "deny"
    NO_OPINION = "no opinion"


class Authorizer(Protocol):
    """One mode."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """The decision and, for people, why."""
        ...
