"""Disruption budgets as this controller sees them."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from k8slite.kinds.base import Condition, IntOrString, Model, Object, ResourceType


class BudgetSpec(Model):
    """Which pods, and how many of them must be there."""

    min_available: IntOrString | None = None
    max_unavailable: IntOrString | None = None
    selector: dict[str, Any] | None = None


class BudgetStatus(Model):
    """What evictions go by."""

    observed_generation: int = 0
    disrupted_pods: dict[str, datetime] = {}
    disruptions_allowed: int = 0
    current_healthy: int = 0
    desired_healthy: int = 0
    expected_pods: int = 0
    conditions: list[Condition] = []


class Budget(Object):
    """`policy/v1.PodDisruptionBudget`."""

    spec: BudgetSpec = BudgetSpec()
    status: BudgetStatus = BudgetStatus()


BUDGETS = ResourceType("policy", "v1", "poddisruptionbudgets", "PodDisruptionBudget", True, Budget)
