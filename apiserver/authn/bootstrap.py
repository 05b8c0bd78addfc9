"""Bootstrap tokens, with which a new node asks for its certificate: `<id>.<secret>`, each in a Secret of kube-system.

The Secret is read again whenever it changes, and its expiry counts at every request.

Source: Kubernetes documentation, "Authenticating with Bootstrap Tokens".
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..lookup import Objects
from .base import Grant, User

NAMESPACE = "kube-system"
TYPE = "bootstrap.kubernetes.io/token"
_TOKEN = re.compile(r"([a-z0-9]{6})\.([a-z0-9]{16})", re.ASCII)
_GROUP = re.compile(r"system:bootstrappers:[a-z0-9:-]{0,255}[a-z0-9]", re.ASCII)
_DEFAULT_GROUP = "system:bootstrappers"
_log = logging.getLogger(__name__)


class BootstrapTokens:
    """Looks tokens up in the Secrets `bootstrap-token-<id>`."""

    agnostic = True

    def __init__(self, objects: Objects) -> None:
        self._rows = objects.resource("", "secrets")

    async def authenticate(self, token: str, audiences: Sequence[str]) -> Grant | None:
        """The user `system:bootstrap:<id>`; None for what is no such token, or none that counts."""
        parts = _TOKEN.fullmatch(token)
        if parts is None:
            return None
        name = f"bootstrap-token-{parts[1]}"
        entry = self._rows.get(NAMESPACE, name)
        if entry is None:
            return None
        found = read(entry.document)
        if isinstance(found, str):
            _log.info("bootstrap secret %s/%s: %s", NAMESPACE, name, found)
            return None
        if not hmac.compare_digest(found.secret.encode(), parts[2].encode()) or found.identifier != parts[1]:
            return None
        user = User(f"system:bootstrap:{found.identifier}", groups=found.groups)
        ends = found.expires.timestamp() if found.expires else float("inf")
        return Grant(user, ends=ends, conditions=(_Unchanged(self._rows, name, entry.revision),))


@dataclass(frozen=True, slots=True, repr=False)
class BootstrapToken:
    """What a bootstrap Secret says."""

    identifier: str
    secret: str
    groups: tuple[str, ...]
    expires: datetime | None


def read(secret: dict[str, Any]) -> BootstrapToken | str:
    """A Secret as a bootstrap token for authentication, or why it is none."""
    data = secret.get("data") or {}

    def text(key: str) -> str:
        try:
            return base64.b64decode(data.get(key) or "", validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            return ""

    if secret["metadata"].get("deletionTimestamp"):
        return "is deleted and awaiting removal"
    if secret.get("type") != TYPE:
        return f"has invalid type, expected {TYPE}"
    if not text("token-secret") or not text("token-id"):
        return "has no token-id or no token-secret"
    if text("usage-bootstrap-authentication") != "true":
        return "is not marked usage-bootstrap-authentication=true"
    expires = None
    if expiration := text("expiration"):
        try:
            expires = datetime.fromisoformat(expiration)
        except ValueError:
            return "has an unparseable expiration"
        if expires.tzinfo is None:
            return "has an unparseable expiration"
    groups = [_DEFAULT_GROUP]
    for group in filter(None, text("auth-extra-groups").split(",")):
        if not _GROUP.fullmatch(group):
            return f"has invalid value for key auth-extra-groups: {group}"
        groups.append(group)
    return BootstrapToken(text("token-id"), text("token-secret"), tuple(sorted(set(groups))), expires)


class _Unchanged:
    """The Secret is still what it was when it was read."""

    __slots__ = ("_name", "_revision", "_rows")

    def __init__(self, rows: Any, name: str, revision: int) -> None:
        self._rows = rows
        self._name = name
        self._revision = revision

    def problem(self, now: datetime) -> str:
        """Why the token has to be looked at again."""
        entry = self._rows.get(NAMESPACE, self._name)
        return "" if entry is not None and entry.revision == self._revision else "the bootstrap token has changed"
