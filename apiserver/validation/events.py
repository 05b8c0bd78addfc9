"""Rules of `events.k8s.io` for Events: complete when they are made, and fixed afterwards but for their series.

Both groups serve the same objects; these rules are asked only of clients of the newer one. Documents have the stored
form, that of the core group, and so have the paths of causes.

Source: Kubernetes' core validation (ValidateEventCreate, ValidateEventUpdate).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value, required

from .values import IMMUTABLE

Document = dict[str, Any]

_TYPES = ("Normal", "Warning")
_OLD = ("firstTimestamp", "lastTimestamp", "count", "source")
_FIXED = (
    *("involvedObject", "reason", "message", "source", "firstTimestamp", "lastTimestamp", "count", "type", "eventTime"),
    *("action", "related", "reportingComponent", "reportingInstance"),
)
_SAID = {"reportingComponent": "reportingController"}
"""Fields that causes name in another way than the document does."""


def complete(event: Document) -> list[Cause]:
    """What a new Event lacks, and what only old ones may hold."""
    causes = _series(event)
    if not event.get("eventTime"):
        causes.append(required("eventTime"))
    if (kind := event.get("type") or "") not in _TYPES:
        causes.append(invalid_value("type", "", f"has invalid value: {kind}"))
    return causes + [invalid_value(name, "", "needs to be unset") for name in _OLD if event.get(name)]


def fixed(new: Document, old: Document) -> list[Cause]:
    """What changed in an Event that must not."""
    causes = _series(new) if new.get("series") != old.get("series") else []
    for name in _FIXED:
        after = new.get(name)
        if (after or None) != (old.get(name) or None):
            causes.append(invalid_value(_SAID.get(name, name), after, IMMUTABLE))
    return causes


def _series(event: Document) -> list[Cause]:
    series = event.get("series")
    if series is None:
        return []
    causes = []
    if (series.get("count") or 0) < 2:
        causes.append(invalid_value("series.count", "", "should be at least 2"))
    if not series.get("lastObservedTime"):
        causes.append(required("series.lastObservedTime"))
    return causes
