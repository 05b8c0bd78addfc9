"""Who asks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

ANONYMOUS = User("system:anonymous", groups=("system:unauthenticated",))


@dataclass(frozen=True, slots=True)
class Credentials:
    """What a request brings: the bearer token, the peer's certificate (DER), each empty if absent; and all headers."""

    token: str = field(default="", repr=False)
    certificate: bytes = b""
    headers: Sequence[tuple[bytes, bytes]] = field(default=(), repr=False)


class Authenticator(Protocol):
    """One method. Returns None to pass; raises ApiError 401 for credentials that are its own and wrong."""

    async def authenticate(self, credentials: Credentials) -> User | None:
        """The user, or None if these credentials are not of this kind."""
        ...
