"""Who asks, what they present, and what a method of authentication makes of it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Protocol


@dataclass(frozen=True, slots=True)
class User:
    """An authenticated (or anonymous) user."""

    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)


CREDENTIAL_ID = "authentication.kubernetes.io/credential-id"
"""The key in `User.extra` that names the credential a user came with, never the credential itself."""

AUTHENTICATED = "system:authenticated"
ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


def completed(user: User) -> User:
    """The user with the group that all who are authenticated have in common."""
    if AUTHENTICATED in user.groups or ANONYMOUS.groups[0] in user.groups:
        return user
    return replace(user, groups=(*user.groups, AUTHENTICATED))


class Refused(Exception):
    """Credentials that are of this method and wrong. The text says why, and never holds a credential."""


@dataclass(slots=True)
class Notes:
    """What a method has to say beside the user: warnings for the client, annotations for the audit event."""

    warnings: list[str] = field(default_factory=list)
    annotations: dict[str, str] = field(default_factory=dict)


@dataclass(slots=True)
class Credentials:
    """What a request brings: the bearer token, the peer's certificate (DER), each empty if absent; and all headers.

    `problem` is why what it brings can be no credential at all; it is refused. `path` is where the request goes.
    `notes` is made by the method that has something to say.
    """

    token: str = field(default="", repr=False)
    certificate: bytes = field(default=b"", repr=False)
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)
    path: str = ""
    problem: str = ""
    notes: Notes | None = None


class Authenticator(Protocol):
    """A method that looks at the connection: certificates, and who vouches for others by one."""

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The `completed` user, or None if these credentials are not of this kind. Raises Refused."""
        ...


class Condition(Protocol):
    """What must still be so for a token to count, asked at every request: it is cheap."""

    def problem(self, now: datetime) -> str:
        """Why the token does not count any more; empty while it does."""
        ...


@dataclass(frozen=True, slots=True)
class Grant:
    """What is left of a token once a method knows it to be good: nothing secret.

    `audiences` are those that it is meant for, None if it is meant for this server and does not say. Times are seconds
    since 1970. After `renew` the method is asked again; after `stale` the token counts, but should have been replaced.
    """

    user: User
    audiences: frozenset[str] | None = None
    begins: float = -math.inf
    ends: float = math.inf
    renew: float = math.inf
    stale: float = math.inf
    conditions: tuple[Condition, ...] = ()
    notes: Notes | None = None

    def problem(self, now: datetime, seconds: float) -> str:
        """Why the token does not count now (which is `seconds` after 1970); empty if it does."""
        if seconds >= self.ends:
            return "service account token has expired"
        if seconds < self.begins:
            return "service account token is not valid yet"
        for condition in self.conditions:
            if problem := condition.problem(now):
                return problem
        return ""


class TokenMethod(Protocol):
    """A method that looks at bearer tokens."""

    agnostic: bool
    """Whether its tokens are meant for this server without saying so: it is not asked about those for others."""

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """What the token grants, None if it is not of this kind. Raises Refused.

        `audiences` are those of which the token must be meant for one; only methods that ask others need them.
        """
        ...
