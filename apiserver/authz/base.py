"""What is asked for, and whether it may be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from k8slite.selectors import EVERYTHING, FieldSelector, LabelSelector

from ..authn.base import User
from .rules import Rule

NO_FIELDS = FieldSelector()


@dataclass(slots=True)  # not frozen, as that costs: one is made for every request
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


class Reason(str):
    """Why, for people; `fault` is what could not be found out on the way, as a webhook that does not answer."""

    __slots__ = ("fault",)

    fault: str

    def __new__(cls, text: str = "", *, fault: str = "") -> Reason:
        """A reason with a fault."""
        made = super().__new__(cls, text)
        made.fault = fault
        return made


def fault_of(reason: str) -> str:
    """What could not be found out, empty for a reason that is sure."""
    return reason.fault if isinstance(reason, Reason) else ""


class Authorizer(Protocol):
    """One mode."""

    async def authorize(self, attributes: Attributes) -> tuple[Decision, str]:
        """The decision and, for people, why."""
        ...


@dataclass(frozen=True, slots=True)
class Held:
    """The rules that a user holds in a namespace, as far as a mode can tell."""

    rules: Sequence[Rule] = ()
    problems: Sequence[str] = ()
    incomplete: bool = False
    """There may be more."""


class Resolver(Protocol):
    """A mode that can list what a user may do."""

    def held(self, user: User, namespace: str) -> Held:
        """The rules of a user in a namespace."""
        ...
