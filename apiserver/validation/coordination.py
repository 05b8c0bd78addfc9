"""Rules of `coordination.k8s.io`: leases.

Source: Kubernetes' coordination validation (ValidateLeaseSpec).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, forbidden_field

from . import names
from .values import choice, non_negative, positive, spelled

Document = dict[str, Any]


def lease(obj: Document) -> list[Cause]:
    """What is wrong with a Lease."""
    spec = obj.get("spec") or {}
    causes = positive(spec.get("leaseDurationSeconds"), "spec.leaseDurationSeconds")
    causes += non_negative(spec.get("leaseTransitions"), "spec.leaseTransitions")
    strategy = spec.get("strategy")
    if strategy and "/" in strategy:
        causes += spelled(strategy, "spec.strategy", names.qualified_name)
    elif strategy:
        causes += choice(strategy, "spec.strategy", ("OldestEmulationVersion",))
    elif spec.get("preferredHolder"):
        causes.append(forbidden_field("spec.preferredHolder", "may only be specified if `strategy` is defined"))
    return causes
