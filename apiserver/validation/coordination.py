"""Rules of `coordination.k8s.io`: leases.

Source: Kubernetes' validation of the group.
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value

Document = dict[str, Any]


def lease(obj: Document) -> list[Cause]:
    """What is wrong with a Lease."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    seconds, transitions = spec.get("leaseDurationSeconds"), spec.get("leaseTransitions")
    if seconds is not None and seconds <= 0:
        causes.append(invalid_value("spec.leaseDurationSeconds", seconds, "must be greater than 0"))
    if transitions is not None and transitions < 0:
        causes.append(invalid_value("spec.leaseTransitions", transitions, "must be greater than or equal to 0"))
    return causes
