"""What is asked for, and whether it may be."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from k8slite.selectors import EVERYTHING, FieldSelector, LabelSelector

from ..authn.base import User

NO_FIELDS = FieldSelector()


@dataclass(frozen=True, slots=True)
class Attributes:
    """A request as rules see it. Outside the resource API only `verb` (lower-case method) and `path` are set.

    `fields` and `labels` are what a list, a watch or a deletion of many is narrowed to; an authorizer may count on
    them, as nothing else is answered.
    """

    user: User
    verb: str
    path: str = ""
    group: str = ""
    version: str = ""
    resource: str = ""
    subresource: str = ""
    namespace: str = ""
    name: str = ""
    fields: FieldSelector = NO_FIELDS
    labels: LabelSelector = EVERYTHING

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
