"""The objects that a token is bound to: it ends with each of them.

They are looked up in the watch cache at every request, which decodes nothing unless the object has changed.

Source: Kubernetes' serviceaccount/claims.go (validation).
"""

from __future__ import annotations

from datetime import datetime, timedelta

from ..lookup import Objects, Rows

LEEWAY = timedelta(seconds=60)
"""What is being deleted counts this long after its grace period's end."""
INVALIDATED = "service account token has been invalidated"


class Bound:
    """An object that a token is bound to, and what was seen of it last."""

    __slots__ = ("_deleted", "_ends", "_mismatch", "_missing", "_name", "_namespace", "_revision", "_rows", "_uid")

    def __init__(
        self, rows: Rows, *, namespace: str, name: str, uid: str, mismatch: str, missing: str = "", deleted: str = ""
    ) -> None:
        """What is said when it is `missing` or `deleted`, and when another has its name (`{}`: that one's UID)."""
        self._rows = rows
        self._namespace = namespace
        self._name = name
        self._uid = uid
        self._missing = missing or INVALIDATED
        self._deleted = deleted or INVALIDATED
        self._mismatch = mismatch
        self._revision = 0
        self._ends: datetime | None = None

    def problem(self, now: datetime) -> str:
        """Why the object ends the token; empty while it is there and not long deleted."""
        entry = self._rows.get(self._namespace, self._name)
        if entry is None:
            return self._missing
        if entry.revision != self._revision:
            metadata = entry.document["metadata"]
            if metadata.get("uid") != self._uid:
                return self._mismatch.format(metadata.get("uid", ""))
            deleted = metadata.get("deletionTimestamp")
            self._ends = datetime.fromisoformat(deleted) + LEEWAY if deleted else None
            self._revision = entry.revision
        if self._ends is not None and now > self._ends:
            return self._deleted
        return ""


def account(objects: Objects, *, namespace: str, name: str, uid: str) -> Bound:
    """The service account of a token."""
    return Bound(
        objects.resource("", "serviceaccounts"),
        namespace=namespace,
        name=name,
        uid=uid,
        missing=f'serviceaccounts "{name}" not found',
        deleted=f"service account {namespace}/{name} has been deleted",
        mismatch=f"service account UID ({{}}) does not match claim ({uid})",
    )


def attached(objects: Objects, kind: str, *, namespace: str, name: str, uid: str) -> Bound:
    """A pod, secret or node that a token is bound to besides its account; `kind` is `pod`, `secret` or `node`."""
    return Bound(
        objects.resource("", f"{kind}s"),
        namespace="" if kind == "node" else namespace,
        name=name,
        uid=uid,
        mismatch=f"{kind} UID ({{}}) does not match service account {kind} ref claim ({uid})",
    )
