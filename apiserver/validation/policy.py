"""Rules of `policy`: disruption budgets.

Source: Kubernetes' policy validation (ValidatePodDisruptionBudget).
"""

from __future__ import annotations

from typing import Any

from k8slite.errors import Cause, invalid_value

from .selectors import label_selector
from .values import count_or_percentage, non_negative, not_above_all, optional_choice

Document = dict[str, Any]

_COUNTS = ("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")


def pod_disruption_budget(obj: Document) -> list[Cause]:
    """What is wrong with a PodDisruptionBudget."""
    spec = obj.get("spec") or {}
    causes: list[Cause] = []
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        causes.append(invalid_value("spec", spec, "minAvailable and maxUnavailable cannot be both set"))
    for name in ("minAvailable", "maxUnavailable"):
        value, field = spec.get(name), f"spec.{name}"
        causes += count_or_percentage(value, field) + not_above_all(value, field)
    causes += label_selector(spec.get("selector"), "spec.selector")
    policy, field = spec.get("unhealthyPodEvictionPolicy"), "spec.unhealthyPodEvictionPolicy"
    return causes + optional_choice(policy, field, ("AlwaysAllow", "IfHealthyBudget"))


def pod_disruption_budget_update(new: Document, old: Document) -> list[Cause]:
    """What is wrong with a budget's changed status."""
    status = new.get("status") or {}
    if status == (old.get("status") or {}):
        return []
    return [cause for name in _COUNTS for cause in non_negative(status.get(name), f"status.{name}")]
