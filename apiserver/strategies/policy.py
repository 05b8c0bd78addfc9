"""`policy`: disruption budgets.

Source: Kubernetes' registry of the group, */strategy.go.
"""

from __future__ import annotations

from ..validation.policy import pod_disruption_budget, pod_disruption_budget_update
from .base import Strategy
from .simple import SimpleStrategy

STRATEGIES: dict[tuple[str, str], Strategy] = {
    ("policy", "poddisruptionbudgets"): SimpleStrategy(
        validate=pod_disruption_budget,
        validate_update=pod_disruption_budget_update,
        generation=True,
        unconditional_update=False,
        initial_status={"disruptionsAllowed": 0, "currentHealthy": 0, "desiredHealthy": 0, "expectedPods": 0},
    ),
}
