"""Rules of `policy`: disruption budgets.

Source: Kubernetes' validation of the group.
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value

from .selectors import label_selector
from .values import count_or_percentage

Document = dict[str, Any]


def pod_disruption_budget(obj: Document) -> list[Cause]:
    """What is wrong with a PodDisruptionBudget."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        detail = "minAvailable and maxUnavailable cannot be both set"
        causes.append(invalid_value("spec", spec, detail))
    for name in ("minAvailable", "maxUnavailable"):
        causes += count_or_percentage(spec.get(name), f"spec.{name}")
    return causes + label_selector(spec.get("selector"), "spec.selector")
