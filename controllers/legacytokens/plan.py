"""What becomes of a token that was made by itself, as Kubernetes did before 1.24, and that nobody uses any more.

After a year without use it is marked as invalid, which ends it and can be taken back; after another year its Secret
goes. Tokens that were asked for are left alone.

Source: Kubernetes documentation, "Managing Service Accounts", "Legacy ServiceAccount token cleaner"; KEP-2799.
"""

from __future__ import annotations

from datetime import date, timedelta
from enum import Enum, auto

from k8slite.kinds.core import Secret, ServiceAccount

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
    """Decide for one Secret of a token that no pod mounts, where uses have been noted for long enough."""
    if account is None or not any(item.name == secret.name for item in account.secrets):
        return Decision.KEEP
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
        return date.fromisoformat(text)
    except ValueError:
        return None
