"""What becomes of a token that was made by itself, as Kubernetes did before 1.24, and that nobody uses any more.

After a year without use it is marked as invalid, which ends it and can be taken back; after another year its Secret
goes. Tokens that were asked for are left alone.

Source: Kubernetes documentation, "Managing Service Accounts", "Legacy ServiceAccount token cleaner"; KEP-2799.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date, timedelta
from enum import Enum, auto
from typing import Any

from k8slite.kinds.core import Secret, ServiceAccount

from ..tokens.plan import ACCOUNT_UID

INVALID_SINCE = "kubernetes.io/legacy-token-invalid-since"
LAST_USED = "kubernetes.io/legacy-token-last-used"


class Decision(Enum):
    """What to do about a Secret."""

    KEEP = auto()
    MARK = auto()
    """Label it as invalid from today."""
    DELETE = auto()


def observed(since: str, *, today: date, period: timedelta) -> bool:
    """Whether uses have been noted, from the day `since` on, for as long as a token must have gone unused."""
    began = day(since)
    return began is not None and began < today - period


def plan(secret: Secret, account: ServiceAccount | None, *, today: date, period: timedelta) -> Decision:
    """Decide for one Secret of a token that no pod names, where uses have been noted for long enough."""
    if secret.deleting or account is None or not any(item.name == secret.name for item in account.secrets):
        return Decision.KEEP
    if secret.metadata.annotations.get(ACCOUNT_UID) not in (None, "", account.uid):
        return Decision.KEEP  # of an earlier account of that name: the token controller sees to it
    labels, horizon = secret.metadata.labels, today - period
    made = secret.metadata.creation_timestamp
    if made is None or made.date() >= horizon:
        return Decision.KEEP
    if (used := labels.get(LAST_USED)) is not None:
        last = day(used)
        if last is None or last >= horizon:
            return Decision.KEEP
    since = day(labels.get(INVALID_SINCE, ""))
    if since is None:
        return Decision.MARK
    return Decision.KEEP if since >= horizon else Decision.DELETE


def day(text: str) -> date | None:
    """A day as `2026-01-31`; None for anything else."""
    try:
        found = date.fromisoformat(text)
    except ValueError:
        return None
    return found if found.isoformat() == text else None


def secrets_named(spec: Any) -> Iterator[str]:
    """The Secrets that a pod's specification names anywhere: volumes of all kinds, environment, image pulls.

    Read from the document and rather too much than too little, as what is named is kept.
    """
    if isinstance(spec, list):
        for item in spec:
            yield from secrets_named(item)
    if not isinstance(spec, dict):
        return
    for field, value in spec.items():
        if field == "secretName" and isinstance(value, str):
            yield value
        elif "secret" in field.lower():
            yield from (item["name"] for item in _all(value) if isinstance(item.get("name"), str))
        yield from secrets_named(value)


def _all(value: Any) -> list[dict[str, Any]]:
    return [item for item in (value if isinstance(value, list) else [value]) if isinstance(item, dict)]
