"""Static bearer tokens from a file: CSV lines `token,user,uid,"group1,group2"`, read once at start.

Only digests are kept, and they are compared in constant time, so that neither memory nor timing gives a token away.

Source: Kubernetes documentation, "Authenticating: Static token file".
"""

from __future__ import annotations

import csv
import hashlib
import hmac
from collections.abc import Sequence
from pathlib import Path

from k8slite.config import ConfigError

from .base import Grant, User


class StaticTokens:
    """The users of a token file, by the digest of their token."""

    agnostic = True

    def __init__(self, users: dict[bytes, User]) -> None:
        self._users = users

    @classmethod
    def load(cls, path: Path) -> StaticTokens:
        """Read a token file. Raises ConfigError, which names the line but never a token."""
        users: dict[bytes, User] = {}
        try:
            with path.open(newline="") as file:
                for number, row in enumerate(csv.reader(file, skipinitialspace=True), start=1):
                    if not row or row[0].startswith("#"):
                        continue
                    if len(row) < 3 or not row[0] or not row[1]:
                        raise ConfigError(f"{path}:{number}: expected token,user,uid and optionally groups")
                    groups = tuple(filter(None, (part.strip() for part in row[3].split(",")))) if len(row) > 3 else ()
                    users[_digest(row[0])] = User(row[1], uid=row[2], groups=groups)
        except OSError as error:
            raise ConfigError(f"{path}: {error.strerror}") from error
        except csv.Error as error:
            raise ConfigError(f"{path}: malformed CSV") from error
        return cls(users)

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """The token's user; None for a token that is not in the file."""
        presented = _digest(token)
        found = None
        for digest, user in self._users.items():
            if hmac.compare_digest(digest, presented):
                found = user
        return Grant(found) if found is not None else None


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
