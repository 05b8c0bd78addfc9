"""Defaults of `scheduling.k8s.io`: priority classes.

Source: Kubernetes API reference (pkg/apis/<group>/v1/defaults.go).
"""

from __future__ import annotations

from typing import Any

Document = dict[str, Any]


def priorityclass(obj: Document) -> None:
    """Fill in a PriorityClass."""
    obj.setdefault("preemptionPolicy", "PreemptLowerPriority")
